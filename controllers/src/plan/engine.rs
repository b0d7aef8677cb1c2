//! What the policy engine says about writes that are being planned.

use std::sync::Arc;

use bulkhead_policy::{
    Direction, Labels, Operator, Pod, Requirement, Rule, Selector, Window, Write, effect::effect_of_write,
};

use super::{PolicyWrite, View};
use crate::decide::{Target, render::Rendered};

/// What a planned write means for connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing that is allowed now is taken away, from any pod that exists or may come.
    Harmless,
    /// It takes connections away, but in every mix of recent versions all that is required stays allowed.
    Safe,
    /// In some mix of recent versions something required would be denied.
    Unsafe,
}

/// Judges a sequence of writes, each after those before it.
pub struct Judge<'a> {
    view: &'a View<'a>,
    targets: Vec<&'a Target>,
    pods: Vec<Pod>,
    window: Window,
    names: Vec<Arc<str>>,
}

impl<'a> Judge<'a> {
    /// Starts from what stands. The targets say what is required.
    pub fn new(view: &'a View<'a>, targets: Vec<&'a Target>) -> Self {
        // Terminating pods too: they serve until they are gone.
        let mut pods: Vec<Pod> = view.input.pods.iter().map(|m| m.pod.clone()).collect();
        pods.extend(imagined(view, &targets));
        Self {
            pods,
            targets,
            window: view.window.clone(),
            names: view.window_names.clone(),
            view,
        }
    }

    /// Judges the next write and, unless it is unsafe, assumes that it was made.
    pub fn take(&mut self, write: &PolicyWrite) -> Meaning {
        self.assume_if(write, |meaning| meaning != Meaning::Unsafe)
    }

    /// Judges the next write for a step that makes harmless writes alone, so that only those are assumed.
    pub fn is_harmless(&mut self, write: &PolicyWrite) -> bool {
        self.assume_if(write, |meaning| meaning == Meaning::Harmless) == Meaning::Harmless
    }

    fn assume_if(&mut self, write: &PolicyWrite, wanted: impl Fn(Meaning) -> bool) -> Meaning {
        let object = self.names.iter().position(|name| name == write.name());
        let version = match write {
            PolicyWrite::Create(target) | PolicyWrite::Apply { target, .. } => Some(target.policy.clone()),
            PolicyWrite::Delete { .. } => None,
        };
        let change = Write { object, version };
        let world = &self.view.input.cluster.world;
        let effect = effect_of_write(world, &self.window, &change, &self.pods);
        let after = self.window.after(&change);
        let takes_nothing = !effect.contracts() && effect.newly_isolates.is_empty();
        let in_every_mix =
            || self.only_adds(&change) || self.others_settled(object) || self.adds_no_loss(&change, &after);
        let meaning = if takes_nothing && in_every_mix() {
            Meaning::Harmless
        } else if self.keeps_required(&change, &after) {
            Meaning::Safe
        } else {
            Meaning::Unsafe
        };
        if wanted(meaning) {
            self.window = after;
            if object.is_none() {
                self.names.push(write.name().clone());
            }
        }
        meaning
    }

    /// The object is new, or keeps its selector, its directions and all of its rules: whatever an older version
    /// of any object allowed is allowed as before.
    fn only_adds(&self, change: &Write) -> bool {
        let before = change
            .object
            .and_then(|at| self.window.objects()[at].last()?.as_ref());
        let keeps = |before: &[Rule], after: &[Rule]| before.iter().all(|rule| after.contains(rule));
        match (before, &change.version) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(before), Some(after)) => {
                before.pods == after.pods
                    && Direction::ALL
                        .into_iter()
                        .all(|d| match (before.rules(d), after.rules(d)) {
                            (None, None) => true,
                            (Some(before), Some(after)) => keeps(before, after),
                            _ => false,
                        })
            }
        }
    }

    /// Every other object is seen by everybody as it is, so that comparing the newest versions is enough.
    fn others_settled(&self, object: Option<usize>) -> bool {
        let mut others = self
            .window
            .objects()
            .iter()
            .enumerate()
            .filter(|(at, _)| Some(*at) != object);
        others.all(|(_, versions)| versions.len() == 1)
    }

    /// Pods that some version of the object selects; to all others the write means nothing.
    fn touched<'s>(&'s self, change: &'s Write) -> impl Iterator<Item = &'s Pod> + use<'s, 'a> {
        let known = change.object.map(|at| self.window.objects()[at].as_slice());
        let versions = known.unwrap_or_default().iter().chain([&change.version]);
        let selectors: Vec<&Selector> = versions.flatten().map(|policy| &policy.pods).collect();
        let selected = move |pod: &&Pod| selectors.iter().any(|s| s.matches(&pod.labels));
        self.pods.iter().filter(selected)
    }

    /// Whatever is required and missing in some mix afterwards is missing already.
    fn adds_no_loss(&self, change: &Write, after: &Window) -> bool {
        let world = &self.view.input.cluster.world;
        let live = self.window.after_settling();
        self.touched(change).all(|pod| {
            Direction::ALL.into_iter().all(|direction| {
                let required = required(&self.targets, pod, direction);
                let before = live.missing(world, pod, direction, &required);
                let after = after.missing(world, pod, direction, &required);
                after.iter().all(|flows| before.contains(flows))
            })
        })
    }

    fn keeps_required(&self, change: &Write, after: &Window) -> bool {
        let world = &self.view.input.cluster.world;
        self.touched(change).all(|pod| {
            Direction::ALL.into_iter().all(|direction| {
                let required = required(&self.targets, pod, direction);
                after.missing(world, pod, direction, &required).is_empty()
            })
        })
    }
}

/// What the targets let a pod do in a direction.
pub fn required(targets: &[&Target], pod: &Pod, direction: Direction) -> Vec<Rule> {
    let selecting = targets.iter().filter(|t| t.policy.pods.matches(&pod.labels));
    selecting
        .filter_map(|t| t.policy.rules(direction))
        .flatten()
        .cloned()
        .collect()
}

/// Pods that do not exist yet but may at any moment: one of each server, one of every two servers that one pod can
/// belong to, and one that nobody declared.
fn imagined(view: &View<'_>, targets: &[&Target]) -> Vec<Pod> {
    let namespace = &view.input.name;
    let servers = Selector::overlaps(targets.iter().map(|t| &t.policy.pods));
    let mut pods: Vec<Pod> = servers
        .iter()
        .map(example)
        .chain([Labels::default()])
        .map(|labels| Pod::new(namespace.clone(), "any pod to come", labels))
        .collect();
    pods.sort_by(|a, b| a.labels.cmp(&b.labels));
    pods.dedup_by(|a, b| a.labels == b.labels);
    pods
}

/// Labels that a selector matches.
fn example(selector: &Selector) -> Labels {
    let label = |requirement: Requirement| match requirement.operator {
        Operator::In => Some((requirement.key, requirement.values.into_iter().next()?)),
        Operator::Exists => Some((requirement.key, "any-value".into())),
        Operator::NotIn | Operator::DoesNotExist => None,
    };
    selector.requirements().into_iter().filter_map(label).collect()
}

/// Every target of the given renderings.
pub fn targets<'a>(rendered: impl IntoIterator<Item = Option<&'a Rendered>>) -> Vec<&'a Target> {
    rendered.into_iter().flatten().flat_map(|r| &r.targets).collect()
}
