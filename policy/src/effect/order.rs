//! What sequences of writes break on their way, and in which order they would not.
//!
//! Only connections that are allowed both before the first and after the last write count as broken when they
//! are denied in between, judged from the side of the pod that loses them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::flows::{self, Flows};
use crate::policy::{Direction, Policy};
use crate::world::{Pod, World};

use super::window::{Versions, Window};
use super::write::one_of_each_class;

/// One write: an object and what it becomes.
#[derive(Clone, Debug)]
pub struct Step {
    /// The object's namespace.
    pub namespace: Arc<str>,
    /// The object's name.
    pub name: Arc<str>,
    /// What it becomes; `None` deletes it.
    pub version: Option<Arc<Policy>>,
}

impl Step {
    /// Creates or replaces an object.
    pub fn put(policy: Arc<Policy>) -> Self {
        Self {
            namespace: policy.namespace.clone(),
            name: policy.name.clone(),
            version: Some(policy),
        }
    }
}

/// A pod class that loses connections at some point.
#[derive(Clone, Debug)]
pub struct Break {
    /// The first pod of the class, as an index into the pods that were passed in.
    pub pod: usize,
    /// How many pods the class has.
    pub pods: usize,
    /// The direction seen from the pod.
    pub direction: Direction,
    /// How many steps of each writer are done at the earliest such point. It lasts until the next step in the
    /// pod's namespace; steps elsewhere do not matter to it.
    pub done: Vec<usize>,
    /// What is denied there although it is allowed before and after.
    pub flows: Vec<Flows>,
}

/// All points at which sequences of writes break something.
#[derive(Clone, Debug, Default)]
pub struct Analysis {
    /// Every class, direction and point at which something is broken.
    pub breaks: Vec<Break>,
    /// False when there are too many interleavings to look at all of them.
    pub exhaustive: bool,
    /// The worst point with the breaks that last there, by position.
    worst: Option<(Vec<usize>, Vec<usize>)>,
}

impl Analysis {
    /// The point at which most pods lose something, with what they lose; of equally bad ones the earliest. Exact
    /// over all interleavings of the writers if the analysis is exhaustive.
    pub fn worst(&self) -> Option<(Vec<usize>, Vec<&Break>)> {
        let (point, breaks) = self.worst.as_ref()?;
        Some((point.clone(), breaks.iter().map(|at| &self.breaks[*at]).collect()))
    }
}

/// Points beyond this number are not looked at: of one namespace, where policies are judged, and of all together,
/// where what was found is only added up.
const MOST_POINTS: usize = 20_000;
const MOST_TOGETHER: usize = 1_000_000;

/// Looks at every point that writers can be at, each keeping its own order, however they interleave. An object
/// that several writers have written may be at any of their last versions.
pub fn analyse(world: &World, pods: &[Pod], start: &[Arc<Policy>], writers: &[Vec<Step>]) -> Analysis {
    let mut analysis = Analysis {
        exhaustive: true,
        ..Analysis::default()
    };
    let mut namespaces: BTreeMap<&str, Own> = BTreeMap::new();
    for (at, pod, count) in classes(pods) {
        let own = namespaces
            .entry(&pod.namespace)
            .or_insert_with(|| Own::new(writers, &pod.namespace));
        let timeline = Timeline {
            start,
            writers,
            namespace: &pod.namespace,
        };
        analyse_class(world, (at, pod, count), &timeline, own, &mut analysis);
    }
    let together: Vec<Own> = namespaces
        .into_values()
        .filter(|own| !own.breaks.is_empty())
        .collect();
    let ends: Vec<usize> = writers.iter().map(Vec::len).collect();
    let points = points(&ends, MOST_TOGETHER);
    analysis.exhaustive &= points.len() <= MOST_TOGETHER;
    analysis.worst = worst(&together, &points, &analysis.breaks);
    analysis
}

/// The steps of one namespace among those of all writers, and what is found broken between them.
struct Own {
    /// For each writer, how many of its steps are done when each of this namespace's is.
    done_at: Vec<Vec<usize>>,
    /// Breaks, by how many steps of this namespace each writer has done.
    breaks: BTreeMap<Vec<usize>, Vec<usize>>,
}

impl Own {
    fn new(writers: &[Vec<Step>], namespace: &str) -> Self {
        let positions = |writer: &Vec<Step>| {
            let own = (1..)
                .zip(writer)
                .filter(|(_, step)| *step.namespace == *namespace);
            own.map(|(done, _)| done).collect()
        };
        Self {
            done_at: writers.iter().map(positions).collect(),
            breaks: BTreeMap::new(),
        }
    }

    /// The earliest point at which this many of the namespace's steps are done.
    fn earliest(&self, own: &[usize]) -> Vec<usize> {
        let done = |(done_at, own): (&Vec<usize>, &usize)| own.checked_sub(1).map_or(0, |last| done_at[last]);
        self.done_at.iter().zip(own).map(done).collect()
    }

    /// How many of the namespace's steps are done at a point.
    fn within(&self, point: &[usize]) -> Vec<usize> {
        let own = |(done_at, point): (&Vec<usize>, &usize)| done_at.partition_point(|done| done <= point);
        self.done_at.iter().zip(point).map(own).collect()
    }
}

fn analyse_class(
    world: &World,
    (at, pod, count): (usize, &Pod, usize),
    timeline: &Timeline<'_>,
    own: &mut Own,
    analysis: &mut Analysis,
) {
    let ends: Vec<usize> = own.done_at.iter().map(Vec::len).collect();
    let points = points(&ends, MOST_POINTS);
    analysis.exhaustive &= points.len() <= MOST_POINTS;
    let flows = |own_steps: &[usize], own: &Own, direction| {
        timeline
            .at(&own.earliest(own_steps))
            .guaranteed_flows(world, pod, direction)
    };
    for direction in Direction::ALL {
        let before = flows(&vec![0; ends.len()], own, direction);
        let kept = kept(&before, &flows(&ends, own, direction), &mut analysis.exhaustive);
        for point in points.iter().take(MOST_POINTS).filter(|_| !kept.is_empty()) {
            let lost = flows::subtract(kept.clone(), &flows(point, own, direction));
            if !lost.is_empty() {
                let found = own.breaks.entry(point.clone()).or_default();
                found.push(analysis.breaks.len());
                analysis.breaks.push(Break {
                    pod: at,
                    pods: count,
                    direction,
                    done: own.earliest(point),
                    flows: lost,
                });
            }
        }
    }
}

/// The point at which most pods have lost something, with the breaks there. A class counts once, whatever it has
/// lost.
fn worst(namespaces: &[Own], points: &[Vec<usize>], breaks: &[Break]) -> Option<(Vec<usize>, Vec<usize>)> {
    let lost = |found: &Vec<usize>| -> usize {
        let classes: BTreeMap<usize, usize> = found
            .iter()
            .map(|at| (breaks[*at].pod, breaks[*at].pods))
            .collect();
        classes.values().sum()
    };
    let weights: Vec<BTreeMap<&Vec<usize>, usize>> = namespaces
        .iter()
        .map(|own| {
            own.breaks
                .iter()
                .map(|(point, found)| (point, lost(found)))
                .collect()
        })
        .collect();
    let mut most: Option<(usize, &Vec<usize>)> = None;
    for point in points.iter().take(MOST_TOGETHER) {
        let of =
            |(own, weights): (&Own, &BTreeMap<&Vec<usize>, usize>)| weights.get(&own.within(point)).copied();
        let total: usize = namespaces.iter().zip(&weights).filter_map(of).sum();
        if total > most.map_or(0, |(total, _)| total) {
            most = Some((total, point));
        }
    }
    let (_, point) = most?;
    let found = namespaces
        .iter()
        .filter_map(|own| own.breaks.get(&own.within(point)));
    Some((point.clone(), found.flatten().copied().collect()))
}

/// An order of the steps in which nothing is broken at any time, if each step settles before the next begins;
/// `None` when none was found. Steps on one object keep their order. Up to twenty steps in a namespace the
/// search is exhaustive; beyond that it takes the first step that breaks nothing and never looks back.
pub fn safe_order(world: &World, pods: &[Pod], start: &[Arc<Policy>], steps: &[Step]) -> Option<Vec<usize>> {
    let mut namespaces: BTreeMap<&Arc<str>, Vec<usize>> = BTreeMap::new();
    for (at, step) in steps.iter().enumerate() {
        namespaces.entry(&step.namespace).or_default().push(at);
    }
    let mut order = Vec::with_capacity(steps.len());
    for (namespace, own) in namespaces {
        let pods: Vec<&Pod> = classes(pods)
            .map(|(_, pod, _)| pod)
            .filter(|p| p.namespace == *namespace)
            .collect();
        let mut search = Search::new(world, &pods, start, steps, (namespace, &own));
        order.extend(search.run()?);
    }
    Some(order)
}

/// The search for an order of the steps of one namespace.
struct Search<'s> {
    world: &'s World,
    steps: &'s [Step],
    own: &'s [usize],
    start: BTreeMap<&'s str, Option<Arc<Policy>>>,
    /// What each pod class must keep, by direction.
    kept: Vec<(&'s Pod, [Vec<Flows>; 2])>,
    dead: HashSet<Vec<bool>>,
}

/// Up to this many steps every order is tried.
const EXHAUSTIVE: usize = 20;

impl<'s> Search<'s> {
    fn new(
        world: &'s World,
        pods: &[&'s Pod],
        start: &'s [Arc<Policy>],
        steps: &'s [Step],
        (namespace, own): (&str, &'s [usize]),
    ) -> Self {
        let here = start.iter().filter(|policy| *policy.namespace == *namespace);
        let start: BTreeMap<&str, _> = here.map(|policy| (&*policy.name, Some(policy.clone()))).collect();
        let mut search = Self {
            world,
            steps,
            own,
            start,
            kept: Vec::new(),
            dead: HashSet::new(),
        };
        let (before, after) = (
            search.window(&vec![false; own.len()]),
            search.window(&vec![true; own.len()]),
        );
        for pod in pods {
            let kept = Direction::ALL.map(|direction| {
                let flows = |window: &Window| window.guaranteed_flows(world, pod, direction);
                kept(&flows(&before), &flows(&after), &mut true)
            });
            search.kept.push((pod, kept));
        }
        search
    }

    fn run(&mut self) -> Option<Vec<usize>> {
        let mut order = Vec::with_capacity(self.own.len());
        let mut done = vec![false; self.own.len()];
        self.extend(&mut done, &mut order).then_some(order)
    }

    fn extend(&mut self, done: &mut Vec<bool>, order: &mut Vec<usize>) -> bool {
        if order.len() == self.own.len() {
            return true;
        }
        if self.dead.contains(done) {
            return false;
        }
        for next in 0..self.own.len() {
            if done[next] || self.waits(done, next) {
                continue;
            }
            done[next] = true;
            // Everything else is settled, so while this step spreads, each view is the state before it or after.
            if !self.keeps(&self.window(done)) {
                done[next] = false;
                continue;
            }
            order.push(self.own[next]);
            if self.extend(done, order) {
                return true;
            }
            order.pop();
            done[next] = false;
            if self.own.len() > EXHAUSTIVE {
                return false;
            }
        }
        self.dead.insert(done.clone());
        false
    }

    /// An earlier step on the same object is still to be done.
    fn waits(&self, done: &[bool], next: usize) -> bool {
        let name = |at: usize| &self.steps[self.own[at]].name;
        (0..next).any(|at| !done[at] && name(at) == name(next))
    }

    fn keeps(&self, window: &Window) -> bool {
        self.kept.iter().all(|(pod, kept)| {
            Direction::ALL.into_iter().zip(kept).all(|(direction, kept)| {
                let guaranteed = window.guaranteed_flows(self.world, pod, direction);
                flows::subtract(kept.clone(), &guaranteed).is_empty()
            })
        })
    }

    /// The objects after the steps that are done.
    fn window(&self, done: &[bool]) -> Window {
        let mut objects: BTreeMap<&str, Option<Arc<Policy>>> = self.start.clone();
        for at in (0..done.len()).filter(|at| done[*at]) {
            let step = &self.steps[self.own[at]];
            objects.insert(&step.name, step.version.clone());
        }
        objects.into_values().map(|version| vec![version]).collect()
    }
}

/// What is allowed in both; the flag falls when that is too much to tell.
fn kept(before: &[Flows], after: &[Flows], told: &mut bool) -> Vec<Flows> {
    flows::intersect(before, after).unwrap_or_else(|| {
        *told = false;
        Vec::new()
    })
}

/// The first pod of each class with the number of its pods.
fn classes(pods: &[Pod]) -> impl Iterator<Item = (usize, &Pod, usize)> {
    let alike = |a: &Pod, b: &Pod| {
        a.labels == b.labels && a.namespace == b.namespace && a.ports == b.ports && a.state == b.state
    };
    one_of_each_class(pods, |_| true)
        .map(move |(at, pod)| (at, pod, pods.iter().filter(|other| alike(pod, other)).count()))
}

/// The objects of one namespace over time.
struct Timeline<'t> {
    start: &'t [Arc<Policy>],
    writers: &'t [Vec<Step>],
    namespace: &'t str,
}

impl Timeline<'_> {
    fn at(&self, done: &[usize]) -> Window {
        let here = self
            .start
            .iter()
            .filter(|policy| *policy.namespace == *self.namespace);
        let mut objects: BTreeMap<&str, Versions> = here
            .map(|policy| (&*policy.name, vec![Some(policy.clone())]))
            .collect();
        let mut written: BTreeMap<&str, Versions> = BTreeMap::new();
        for (writer, done) in self.writers.iter().zip(done) {
            let mut last: BTreeMap<&str, Option<Arc<Policy>>> = BTreeMap::new();
            for step in writer
                .iter()
                .take(*done)
                .filter(|step| *step.namespace == *self.namespace)
            {
                last.insert(&step.name, step.version.clone());
            }
            for (name, version) in last {
                written.entry(name).or_default().push(version);
            }
        }
        objects.extend(written);
        objects.into_values().collect()
    }
}

/// Every combination of how far each writer may be, in ascending order, at most one more than `most`.
fn points(ends: &[usize], most: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for end in ends {
        let extend = |point: &Vec<usize>, done: usize| point.iter().copied().chain([done]).collect();
        all = all
            .iter()
            .flat_map(|point| (0..=*end).map(move |done| extend(point, done)))
            .take(most + 1)
            .collect();
    }
    all
}
