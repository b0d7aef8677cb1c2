//! The effect of one write.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::flows::{self, Flows};
use crate::policy::{Direction, Policy};
use crate::verdict::isolates;
use crate::world::{Pod, World};

use super::window::{Window, applies, flows_of};

/// A creation, replacement or deletion of one object of a [`Window`].
#[derive(Clone, Debug)]
pub struct Write {
    /// The object's index in the window; `None` creates a new one.
    pub object: Option<usize>,
    /// What it becomes; `None` deletes it.
    pub version: Option<Arc<Policy>>,
}

/// The sum of a write's changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing changes.
    Neutral,
    /// Connections are added and none is lost.
    Expand,
    /// Some connection may be lost, whatever is added.
    Contract,
}

/// Connections of one pod class that a write adds or takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The first pod of the class, as an index into the pods that were passed in.
    pub pod: usize,
    /// The direction seen from that pod.
    pub direction: Direction,
    /// The connections.
    pub flows: Flows,
}

/// What a write changes for the pods of a namespace once everybody has seen it.
#[derive(Clone, Debug, Default)]
pub struct WriteEffect {
    /// Connections that the live objects allow before and may not allow after. Empty is a proof.
    pub lost: Vec<Change>,
    /// Connections that the live objects allow after and did not before.
    pub gained: Vec<Change>,
    /// Pods (first of their class) and directions that the new version isolates while nothing else isolates
    /// them in every mix of the window before.
    pub newly_isolates: Vec<(usize, Direction)>,
}

impl WriteEffect {
    /// True unless it is proven that no connection is lost.
    pub fn contracts(&self) -> bool {
        !self.lost.is_empty()
    }

    /// True when a connection is, or may be, added.
    pub fn expands(&self) -> bool {
        !self.gained.is_empty()
    }

    /// The sum.
    pub fn effect(&self) -> Effect {
        match (self.contracts(), self.expands()) {
            (true, _) => Effect::Contract,
            (false, true) => Effect::Expand,
            (false, false) => Effect::Neutral,
        }
    }
}

/// Compares the live objects before and after a write, over every peer that could exist, for the given pods of
/// the namespace. Pods that policies cannot tell apart are looked at once.
pub fn effect_of_write(world: &World, before: &Window, write: &Write, pods: &[Pod]) -> WriteEffect {
    let after = before.after(write);
    let mut effect = WriteEffect::default();
    // Selecting is cheaper than telling classes apart, and most writes select few pods.
    let matters = |pod: &Pod| Direction::ALL.into_iter().any(|d| touches(before, write, d, pod));
    for (at, pod) in one_of_each_class(pods, matters) {
        for direction in Direction::ALL {
            if !touches(before, write, direction, pod) {
                continue;
            }
            let (old, new) = (
                live_flows(world, before, direction, pod),
                live_flows(world, &after, direction, pod),
            );
            let change = |flows| Change {
                pod: at,
                direction,
                flows,
            };
            effect
                .lost
                .extend(flows::subtract(old.clone(), &new).into_iter().map(change));
            effect
                .gained
                .extend(flows::subtract(new, &old).into_iter().map(change));
            let isolated = applies(write.version.as_deref(), direction, pod).is_some();
            if isolated && !before.surely_isolates(pod, direction) {
                effect.newly_isolates.push((at, direction));
            }
        }
    }
    effect
}

/// A write matters to pods that the old or the new version selects.
fn touches(before: &Window, write: &Write, direction: Direction, pod: &Pod) -> bool {
    let old = write
        .object
        .and_then(|at| before.objects().get(at)?.last()?.as_deref());
    [old, write.version.as_deref()]
        .into_iter()
        .any(|version| applies(version, direction, pod).is_some())
}

fn live_flows(world: &World, window: &Window, direction: Direction, pod: &Pod) -> Vec<Flows> {
    let mut isolated = false;
    let mut allowed = Vec::new();
    for policy in window.live().filter(|policy| isolates(policy, direction, pod)) {
        isolated = true;
        allowed.extend(flows_of(world, policy, direction, pod));
    }
    if isolated { allowed } else { flows::everything() }
}

/// The first pod of each set that no policy of the namespace can tell apart, of those that matter.
pub(super) fn one_of_each_class(
    pods: &[Pod],
    matters: impl Fn(&Pod) -> bool,
) -> impl Iterator<Item = (usize, &Pod)> {
    let mut seen = HashSet::new();
    let class = |pod: &&Pod| {
        (
            pod.namespace.clone(),
            pod.labels.clone(),
            pod.ports.clone(),
            pod.state,
        )
    };
    pods.iter()
        .enumerate()
        .filter(move |(_, pod)| matters(pod) && seen.insert(class(pod)))
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.direction, self.flows)
    }
}
