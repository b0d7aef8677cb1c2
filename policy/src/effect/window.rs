//! The versions that the policies of one namespace may be seen at.

use std::sync::Arc;

use crate::family::{Family, Seen};
use crate::flows::{self, Flows};
use crate::lower::{Lowered, Opened};
use crate::policy::{Direction, Policy, Rule};
use crate::ports::PortSet;
use crate::selector::Selector;
use crate::verdict::{Traffic, Verdict, isolates, opened, without_policies};
use crate::world::{Endpoint, Pod, PodState, World};

use super::write::Write;

/// The versions of one object, oldest first, `None` for absence. The last one is live; there is at least one.
pub type Versions = Vec<Option<Arc<Policy>>>;

/// The policy objects of one namespace, each with the versions that it may be seen at.
#[derive(Clone, Debug, Default)]
pub struct Window {
    objects: Vec<Versions>,
}

impl Window {
    /// A window in which every object has been seen by everybody.
    pub fn settled(policies: impl IntoIterator<Item = Arc<Policy>>) -> Self {
        policies.into_iter().map(|policy| vec![Some(policy)]).collect()
    }

    /// Adds an object and returns its index. Without any version it counts as absent.
    pub fn push(&mut self, versions: Versions) -> usize {
        self.objects
            .push(if versions.is_empty() { vec![None] } else { versions });
        self.objects.len() - 1
    }

    /// The objects in the order in which they were added.
    pub fn objects(&self) -> &[Versions] {
        &self.objects
    }

    /// The newest version of each object that exists.
    pub fn live(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.objects
            .iter()
            .filter_map(|versions| versions.last()?.as_ref())
    }

    /// This window right after a write: the object may now also be seen at its new version.
    #[must_use]
    pub fn after(&self, write: &Write) -> Self {
        let mut after = self.clone();
        match write.object.and_then(|at| after.objects.get_mut(at)) {
            Some(versions) => versions.push(write.version.clone()),
            None => after.objects.push(vec![None, write.version.clone()]),
        }
        after
    }

    /// The same objects once everybody has seen the newest versions.
    #[must_use]
    pub fn after_settling(&self) -> Self {
        Self::settled(self.live().cloned())
    }

    /// True when every mix isolates the pod.
    pub fn surely_isolates(&self, pod: &Pod, direction: Direction) -> bool {
        self.objects.iter().any(|versions| {
            versions
                .iter()
                .all(|version| applies(version.as_deref(), direction, pod).is_some())
        })
    }

    /// True when some mix isolates the pod.
    pub fn possibly_isolates(&self, pod: &Pod, direction: Direction) -> bool {
        self.isolating(direction, pod).next().is_some()
    }

    /// True when the connection is proven to be allowed in every mix.
    pub fn guaranteed(
        &self,
        world: &World,
        pod: &Pod,
        direction: Direction,
        peer: &Endpoint<'_>,
        traffic: Traffic,
    ) -> bool {
        match traffic {
            Traffic::Port(protocol, port) => self
                .guaranteed_ports(world, pod, direction, peer)
                .contains(protocol, port),
            Traffic::Other => self.other_traffic(world, pod, direction, peer) == Some(true),
        }
    }

    /// True unless the connection is proven to be denied in every mix.
    pub fn possible(
        &self,
        world: &World,
        pod: &Pod,
        direction: Direction,
        peer: &Endpoint<'_>,
        traffic: Traffic,
    ) -> bool {
        match traffic {
            Traffic::Port(protocol, port) => self
                .possible_ports(world, pod, direction, peer)
                .contains(protocol, port),
            Traffic::Other => self.other_traffic(world, pod, direction, peer) != Some(false),
        }
    }

    /// The ports on which connections with `peer` are proven to be allowed in every mix, in every address family
    /// that they may use.
    pub fn guaranteed_ports(
        &self,
        world: &World,
        pod: &Pod,
        direction: Direction,
        peer: &Endpoint<'_>,
    ) -> PortSet {
        let in_family = |family: Family| {
            let peer = Seen::new(peer, family);
            self.guaranteed_in_one(world, pod, direction, &peer.endpoint())
        };
        let each = Family::apart(&Endpoint::Pod(pod), peer)
            .into_iter()
            .map(in_family);
        each.reduce(|a, b| a.intersect(&b))
            .unwrap_or_else(|| self.guaranteed_in_one(world, pod, direction, peer))
    }

    fn guaranteed_in_one(
        &self,
        world: &World,
        pod: &Pod,
        direction: Direction,
        peer: &Endpoint<'_>,
    ) -> PortSet {
        if let Some(verdict) = without_policies(world, pod, direction, peer) {
            return all_if(verdict == Verdict::Allowed);
        }
        let sure = |version| opened_by(world, version, direction, pod, peer).0;
        let mut unless_isolated = PortSet::all();
        let mut by_one_object = PortSet::none();
        for versions in &self.objects {
            let mut by_all_versions = PortSet::all();
            for version in versions.iter().map(Option::as_deref) {
                let ports = sure(version);
                if applies(version, direction, pod).is_some() {
                    unless_isolated = unless_isolated.intersect(&ports);
                }
                by_all_versions = by_all_versions.intersect(&ports);
            }
            by_one_object = by_one_object.union(&by_all_versions);
        }
        by_one_object.union(&unless_isolated)
    }

    /// The ports on which connections with `peer` are not proven to be denied in every mix and in every address
    /// family that they may use.
    pub fn possible_ports(
        &self,
        world: &World,
        pod: &Pod,
        direction: Direction,
        peer: &Endpoint<'_>,
    ) -> PortSet {
        let in_family = |family: Family| {
            let peer = Seen::new(peer, family);
            self.possible_in_one(world, pod, direction, &peer.endpoint())
        };
        let each = Family::apart(&Endpoint::Pod(pod), peer)
            .into_iter()
            .map(in_family);
        each.reduce(|a, b| a.union(&b))
            .unwrap_or_else(|| self.possible_in_one(world, pod, direction, peer))
    }

    fn possible_in_one(
        &self,
        world: &World,
        pod: &Pod,
        direction: Direction,
        peer: &Endpoint<'_>,
    ) -> PortSet {
        if let Some(verdict) = without_policies(world, pod, direction, peer) {
            return all_if(verdict == Verdict::Allowed);
        }
        if !self.surely_isolates(pod, direction) {
            return PortSet::all();
        }
        let versions = self.objects.iter().flatten();
        let each = versions.map(|version| opened_by(world, version.as_deref(), direction, pod, peer));
        each.fold(PortSet::none(), |all, (surely, perhaps)| {
            all.union(&surely).union(&perhaps)
        })
    }

    /// Which part of `required` is not guaranteed in every mix: an empty answer is a proof over every peer that
    /// could exist. Rules are read as a policy of the pod's namespace would read them.
    pub fn missing(&self, world: &World, pod: &Pod, direction: Direction, required: &[Rule]) -> Vec<Flows> {
        if pod.state != PodState::Networked || !self.possibly_isolates(pod, direction) {
            return Vec::new();
        }
        let required = flows_of_rules(world, &pod.namespace, required, direction, pod);
        flows::subtract(required, &self.guaranteed_flows(world, pod, direction))
    }

    /// Everything that is proven to be allowed in every mix. Sets that are too large to tell are left out.
    pub fn guaranteed_flows(&self, world: &World, pod: &Pod, direction: Direction) -> Vec<Flows> {
        if pod.state != PodState::Networked || !self.possibly_isolates(pod, direction) {
            return flows::everything();
        }
        let flows_of = |policy: &Policy| flows_of(world, policy, direction, pod);
        let mut guaranteed = Vec::new();
        for versions in &self.objects {
            let applied: Option<Vec<&Policy>> = versions
                .iter()
                .map(|v| applies(v.as_deref(), direction, pod))
                .collect();
            let allowed = applied.and_then(|all| in_all(all.into_iter(), flows_of));
            guaranteed.extend(allowed.into_iter().flatten());
        }
        if !self.surely_isolates(pod, direction) {
            let allowed = in_all(self.isolating(direction, pod), flows_of);
            guaranteed.extend(allowed.into_iter().flatten());
        }
        guaranteed
    }

    /// What may be allowed in some mix beyond `declared`, with the index of the object that allows it, or `None`
    /// when the pod may not be isolated at all. An empty answer is a proof that nothing wider is allowed.
    pub fn excess(
        &self,
        world: &World,
        pod: &Pod,
        direction: Direction,
        declared: &[Rule],
    ) -> Vec<(Option<usize>, Flows)> {
        if pod.state != PodState::Networked {
            return Vec::new();
        }
        let declared = flows_of_rules(world, &pod.namespace, declared, direction, pod);
        let wider = |allowed: Vec<Flows>| flows::subtract(allowed, &declared);
        if !self.surely_isolates(pod, direction) {
            return wider(flows::everything())
                .into_iter()
                .map(|flows| (None, flows))
                .collect();
        }
        let mut all = Vec::new();
        for (at, versions) in self.objects.iter().enumerate() {
            let policies = versions
                .iter()
                .filter_map(|version| applies(version.as_deref(), direction, pod));
            let allowed = policies
                .flat_map(|policy| flows_of(world, policy, direction, pod))
                .collect();
            all.extend(wider(allowed).into_iter().map(|flows| (Some(at), flows)));
        }
        all
    }

    /// The distinct versions of any object that isolate the pod.
    fn isolating<'a>(&'a self, direction: Direction, pod: &'a Pod) -> impl Iterator<Item = &'a Policy> {
        self.objects
            .iter()
            .flatten()
            .filter_map(move |version| applies(version.as_deref(), direction, pod))
    }

    /// Other protocols are only decided when isolation is; the API leaves them open otherwise.
    fn other_traffic(
        &self,
        world: &World,
        pod: &Pod,
        direction: Direction,
        peer: &Endpoint<'_>,
    ) -> Option<bool> {
        match without_policies(world, pod, direction, peer) {
            Some(verdict) => Some(verdict == Verdict::Allowed),
            None => (!self.possibly_isolates(pod, direction)).then_some(true),
        }
    }
}

impl FromIterator<Versions> for Window {
    fn from_iter<I: IntoIterator<Item = Versions>>(objects: I) -> Self {
        let mut window = Self::default();
        for versions in objects {
            window.push(versions);
        }
        window
    }
}

fn all_if(allowed: bool) -> PortSet {
    if allowed { PortSet::all() } else { PortSet::none() }
}

/// The version when it isolates the pod.
pub(super) fn applies<'a>(
    version: Option<&'a Policy>,
    direction: Direction,
    pod: &Pod,
) -> Option<&'a Policy> {
    version.filter(|policy| isolates(policy, direction, pod))
}

/// Surely and perhaps opened ports; absence and a policy for other pods open none.
fn opened_by(
    world: &World,
    version: Option<&Policy>,
    direction: Direction,
    pod: &Pod,
    peer: &Endpoint<'_>,
) -> (PortSet, PortSet) {
    let Opened { surely, perhaps, .. } = match applies(version, direction, pod) {
        Some(policy) => opened(world, policy, direction, pod, peer),
        None => Opened::default(),
    };
    (surely, perhaps)
}

/// What a policy allows to or from a pod that it isolates.
pub(super) fn flows_of(world: &World, policy: &Policy, direction: Direction, pod: &Pod) -> Vec<Flows> {
    flows::allowed_by(
        &Lowered::all(world, policy, direction).unwrap_or_default(),
        direction,
        pod,
    )
}

fn flows_of_rules(
    world: &World,
    namespace: &str,
    rules: &[Rule],
    direction: Direction,
    pod: &Pod,
) -> Vec<Flows> {
    let own = Selector::namespace_name(namespace);
    let lowered: Vec<Lowered> = rules
        .iter()
        .map(|rule| Lowered::new(world, &own, direction, rule))
        .collect();
    flows::allowed_by(&lowered, direction, pod)
}

/// What all policies allow; `None` when that is too much to tell, which counts as nothing.
fn in_all<'a>(
    mut policies: impl Iterator<Item = &'a Policy>,
    flows_of: impl Fn(&Policy) -> Vec<Flows>,
) -> Option<Vec<Flows>> {
    let mut common = flows_of(policies.next()?);
    for policy in policies {
        common = flows::intersect(&common, &flows_of(policy))?;
    }
    Some(common)
}
