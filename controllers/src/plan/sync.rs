//! The difference between the policies that stand and those that should.

use std::sync::Arc;

use bulkhead_policy::{Direction, Policy, Rule};

use super::{PolicyWrite, View};
use crate::{
    decide::{Role, Target},
    observe::ObservedPolicy,
};

/// One target and what stands in its place.
#[derive(Debug)]
pub struct Pair<'a> {
    /// What should stand.
    pub target: &'a Target,
    /// What stands, if it is ours.
    pub stands: Option<&'a ObservedPolicy>,
}

/// What stands beside what should.
#[derive(Debug)]
pub struct Difference<'a> {
    /// Every target.
    pub pairs: Vec<Pair<'a>>,
    /// Policies of ours that no target asks for, working openers left out: the denies first, so that removing them
    /// in order never leaves a deny without its allows.
    pub obsolete: Vec<&'a ObservedPolicy>,
}

/// Whether a stored policy of ours says what the target says, compared by meaning.
pub fn says(policy: &ObservedPolicy, target: &Target) -> bool {
    policy.name == target.policy.name
        && policy.policy.pods == target.policy.pods
        && same(policy.policy.ingress.as_ref(), target.policy.ingress.as_ref())
        && same(policy.policy.egress.as_ref(), target.policy.egress.as_ref())
}

fn same(a: Option<&Vec<Rule>>, b: Option<&Vec<Rule>>) -> bool {
    let contains_all = |x: &[Rule], y: &[Rule]| y.iter().all(|rule| x.contains(rule));
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => contains_all(a, b) && contains_all(b, a),
        _ => false,
    }
}

impl<'a> Difference<'a> {
    /// Compares.
    pub fn new(view: &View<'a>, targets: &'a [Target]) -> Self {
        let stands = |target: &Target| view.ours.iter().copied().find(|p| p.name == target.policy.name);
        let pairs = targets
            .iter()
            .map(|target| Pair {
                target,
                stands: stands(target),
            })
            .collect();
        let wanted = |p: &ObservedPolicy| targets.iter().any(|t| t.policy.name == p.name);
        let mut obsolete: Vec<&ObservedPolicy> = view
            .ours
            .iter()
            .copied()
            .filter(|p| !wanted(p) && !view.is_opener(p))
            .collect();
        obsolete.sort_by_key(|p| !matches!(p.role, Some(Role::DefaultDeny | Role::DefaultDenyEgress)));
        Self { pairs, obsolete }
    }

    /// Every target stands exactly as it should and nothing else of ours does.
    pub fn is_none(&self) -> bool {
        self.obsolete.is_empty()
            && self
                .pairs
                .iter()
                .all(|p| p.stands.is_some_and(|s| says(s, p.target)))
    }

    /// Writes that make every target allow at least what it should, keeping all that stands.
    pub fn widened(&self, sequence: u32) -> Vec<PolicyWrite> {
        let write = |pair: &Pair<'_>| match pair.stands {
            None => Some(PolicyWrite::Create(pair.target.clone())),
            Some(stands) => {
                let union = union(&stands.policy, &pair.target.policy);
                let target = Target {
                    policy: Arc::new(union),
                    ..pair.target.clone()
                };
                (!says(stands, &target)).then(|| apply(stands, target, sequence))
            }
        };
        self.pairs.iter().filter_map(write).collect()
    }

    /// Writes that take away what no target asks for, once every target allows at least what it should.
    pub fn narrowed(&self, sequence: u32) -> Vec<PolicyWrite> {
        let exact = self
            .too_wide()
            .map(|(s, target)| apply(s, target.clone(), sequence));
        exact.chain(self.obsolete.iter().map(|p| delete(p))).collect()
    }

    /// Targets that allow more than they should.
    pub fn too_wide(&self) -> impl Iterator<Item = (&'a ObservedPolicy, &'a Target)> + '_ {
        let wide = |pair: &Pair<'a>| {
            pair.stands
                .filter(|s| !says(s, pair.target))
                .map(|s| (s, pair.target))
        };
        self.pairs.iter().filter_map(wide)
    }
}

/// A write that makes a policy of ours say what the target says.
pub fn apply(stands: &ObservedPolicy, target: Target, sequence: u32) -> PolicyWrite {
    PolicyWrite::Apply {
        uid: stands.uid.clone(),
        resource_version: stands.resource_version.clone(),
        target,
        sequence: sequence.max(stands.sequence),
    }
}

/// A write that deletes a policy of ours.
pub fn delete(stands: &ObservedPolicy) -> PolicyWrite {
    PolicyWrite::Delete {
        name: stands.name.clone(),
        uid: stands.uid.clone(),
        resource_version: stands.resource_version.clone(),
    }
}

/// The target's rules and, after them, the ones that stand. Selector and types are the target's: they are part
/// of the identity, so they differ only where somebody edited the object.
fn union(stands: &Policy, target: &Policy) -> Policy {
    let join = |direction: Direction| {
        let mut rules = target.rules(direction)?.to_vec();
        let kept = stands
            .rules(direction)
            .unwrap_or_default()
            .iter()
            .filter(|rule| !rules.contains(rule));
        let kept: Vec<Rule> = kept.cloned().collect();
        rules.extend(kept);
        Some(rules)
    };
    Policy {
        ingress: join(Direction::Ingress),
        egress: join(Direction::Egress),
        ..target.clone()
    }
}
