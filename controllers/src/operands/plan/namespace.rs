//! The next step of one namespace of a bundle.

use std::{sync::Arc, time::Duration};

use bulkhead_policy::{
    Direction, Pod, Policy, Write,
    effect::{self, effect_of_write},
};

use super::{
    Input, Occupied, Place, State, Step,
    mixes::{in_every_mix, opens_everything},
};
use crate::{
    decide::{Role as Purpose, Target},
    observe::{Moment, ObservedPolicy, history::engine_window},
    operands::{
        BundlePolicy, Role, Warning,
        foreign::Foreign,
        order::{self, Standing},
        uncovered,
    },
    plan::PolicyWrite,
};

/// How long an object is left alone after it was written, so that a fight with somebody else stays slow.
const DAMPING: Duration = Duration::from_secs(1);

/// What comes next in one namespace.
pub(super) struct Next {
    pub(super) state: State,
    pub(super) step: Option<Step>,
    pub(super) wake: Option<Moment>,
}

impl Next {
    fn of(state: State) -> Self {
        Self {
            state,
            step: None,
            wake: None,
        }
    }
}

/// Plans one namespace.
pub(super) struct Planner<'a> {
    input: &'a Input,
    name: &'a Arc<str>,
    place: &'a Place,
    have: Vec<Standing>,
    want: Vec<Standing>,
    others: Vec<Arc<Policy>>,
    /// Nothing more may be isolated.
    held: bool,
    warnings: &'a [Warning],
}

impl<'a> Planner<'a> {
    pub(super) fn new(
        input: &'a Input,
        occupied: &[Occupied],
        warnings: &'a [Warning],
        name: &'a Arc<str>,
        place: &'a Place,
        wanted: &[Standing],
    ) -> Self {
        let (own, others): (Vec<_>, Vec<_>) = place.policies.iter().partition(|p| input.is_own(p));
        let occupied: Vec<&Occupied> = occupied.iter().filter(|o| o.policy.namespace == *name).collect();
        let is_free = |p: &Policy| {
            let taken = input
                .taken
                .iter()
                .any(|t| t.namespace == p.namespace && t.name == p.name);
            !taken && !occupied.iter().any(|o| o.policy.name == p.name)
        };
        let want = wanted
            .iter()
            .filter(|(_, p)| p.namespace == *name && is_free(p))
            .cloned()
            .collect();
        let takes = |o: &Occupied| matches!(o.by, Foreign::Conflict { takes: true, .. });
        let held = occupied.iter().any(|o| takes(o));
        let mut planner = Self {
            input,
            name,
            place,
            have: own.into_iter().map(|p| (role(p), p.policy.clone())).collect(),
            want,
            others: others.into_iter().map(|p| p.policy.clone()).collect(),
            held,
            warnings,
        };
        planner.held |= planner.is_squatted();
        planner
    }

    /// Somebody else has the name of the temporary allow-all.
    pub(super) fn is_squatted(&self) -> bool {
        let shield = order::shield_name(self.input.operand);
        self.others.iter().any(|p| *p.name == *shield)
    }

    pub(super) fn next(&self) -> Next {
        let place = order::Place {
            world: &self.input.world,
            namespace: self.name,
            operand: self.input.operand,
            others: &self.others,
            running: &self.place.pods,
        };
        let phases = order::phases(&place, &self.have, &self.want);
        let Some(phase) = phases.into_iter().next() else {
            return self.at_rest();
        };
        if !self.place.writable {
            return Next::of(State::NamespaceMissing);
        }
        let shield = order::shield_name(self.input.operand);
        if self.held && phase.iter().any(|step| *step.name == *shield) {
            // The shield would open the namespace and could not go any more.
            return Next::of(State::Held);
        }
        let pods = order::pods(&place, &self.have, &self.want);
        let (harmless, rest) = self.sort(phase, &pods);
        if harmless.is_empty() {
            self.contract(&rest)
        } else {
            self.write(&harmless, |namespace, writes| Step::Stage { namespace, writes })
        }
    }

    /// Everything stands. What lost our label gets it again, or it would be forgotten when the bundle goes.
    fn at_rest(&self) -> Next {
        let unlabelled = self
            .place
            .policies
            .iter()
            .filter(|p| self.input.is_own(p) && p.bundle.is_none());
        let unlabelled: Vec<effect::Step> = unlabelled.map(|p| effect::Step::put(p.policy.clone())).collect();
        if !unlabelled.is_empty() && self.place.writable {
            return self.write(&unlabelled, |namespace, writes| Step::Stage { namespace, writes });
        }
        let settled = self.place.history.all_settled_at(self.input.settle);
        match settled.filter(|at| *at > self.input.now) {
            Some(at) => Next {
                wake: Some(at),
                ..Next::of(State::Settling)
            },
            None if self.held => Next::of(State::Held),
            None => Next::of(State::AsExpected),
        }
    }

    /// Those that take nothing away in any mix of what may still be seen, each after those before it; the rest.
    fn sort(&self, phase: Vec<effect::Step>, pods: &[Pod]) -> (Vec<effect::Step>, Vec<effect::Step>) {
        let versions = self.place.history.window(self.input.now, self.input.settle);
        let mut window = engine_window(&versions);
        let mut names: Vec<Arc<str>> = versions.into_iter().map(|(name, _)| name).collect();
        let (mut harmless, mut rest) = (Vec::new(), Vec::new());
        let opens = |step: &effect::Step| step.version.as_deref().is_some_and(opens_everything);
        for step in phase {
            let change = Write {
                object: names.iter().position(|name| *name == step.name),
                version: step.version.clone(),
            };
            let effect = effect_of_write(&self.input.world, &window, &change, pods);
            let takes_nothing = !effect.contracts() && (effect.newly_isolates.is_empty() || opens(&step));
            if takes_nothing && in_every_mix(&window, &change) {
                window = window.after(&change);
                if change.object.is_none() {
                    names.push(step.name.clone());
                }
                harmless.push(step);
            } else {
                rest.push(step);
            }
        }
        (harmless, rest)
    }

    /// Something is taken away: only when everybody has seen what stands, and what will be cut off was named.
    fn contract(&self, steps: &[effect::Step]) -> Next {
        if self.held {
            return Next::of(State::Held);
        }
        let settled = self.place.history.all_settled_at(self.input.settle);
        if let Some(at) = settled.filter(|at| *at > self.input.now) {
            return Next {
                wake: Some(at),
                ..Next::of(State::Settling)
            };
        }
        if !self.uncovered_are_named() {
            return Next::of(State::Settling);
        }
        self.write(steps, |namespace, writes| Step::Contract { namespace, writes })
    }

    /// Pods that nobody thought of are in the status before a deny cuts them off.
    fn uncovered_are_named(&self) -> bool {
        let Some(object) = &self.input.object else {
            return true;
        };
        let mut uncovered = self.warnings.iter().filter(|w| w.reason == uncovered::REASON);
        uncovered.all(|w| {
            object
                .status
                .warnings
                .iter()
                .any(|said| said.reason == w.reason && said.message == w.text())
        })
    }

    pub(super) fn write(
        &self,
        steps: &[effect::Step],
        step: impl Fn(Arc<str>, Vec<PolicyWrite>) -> Step,
    ) -> Next {
        let free_at = |name: &Arc<str>| {
            let last = self.input.written.get(&(self.name.clone(), name.clone()));
            last.map(|at| *at + DAMPING).filter(|at| *at > self.input.now)
        };
        let busy = steps.iter().filter_map(|s| free_at(&s.name)).max();
        let due: Vec<PolicyWrite> = steps
            .iter()
            .filter(|s| free_at(&s.name).is_none())
            .filter_map(|s| self.policy_write(s))
            .collect();
        Next {
            state: State::Writing,
            step: (!due.is_empty()).then(|| step(self.name.clone(), due)),
            wake: busy,
        }
    }

    fn policy_write(&self, step: &effect::Step) -> Option<PolicyWrite> {
        let standing = self.place.policies.iter().find(|p| p.name == step.name);
        Some(match (&step.version, standing) {
            (Some(policy), None) => PolicyWrite::Create(self.target(policy)),
            (Some(policy), Some(standing)) => PolicyWrite::Apply {
                uid: standing.uid.clone(),
                resource_version: standing.resource_version.clone(),
                target: self.target(policy),
                sequence: self.input.sequence.max(standing.sequence),
            },
            (None, standing) => {
                let standing = standing?;
                PolicyWrite::Delete {
                    name: standing.name.clone(),
                    uid: standing.uid.clone(),
                    resource_version: standing.resource_version.clone(),
                }
            }
        })
    }

    fn target(&self, policy: &Arc<Policy>) -> Target {
        let mut all = self.input.bundle.policies.iter();
        let known = all.find(|p| p.policy.name == policy.name && p.policy.namespace == policy.namespace);
        known.map_or_else(|| shield(policy), BundlePolicy::target)
    }
}

fn shield(policy: &Arc<Policy>) -> Target {
    Target {
        role: Purpose::AllowAll,
        server: "".into(),
        policy: policy.clone(),
    }
}

/// What a standing policy does: as its label says, else by whether it opens anything.
fn role(policy: &ObservedPolicy) -> Role {
    let opens = |direction| {
        policy
            .policy
            .rules(direction)
            .is_some_and(|rules| !rules.is_empty())
    };
    match policy.role {
        Some(Purpose::OperandDeny) => Role::Deny,
        Some(Purpose::OperandAllow | Purpose::AllowAll) => Role::Allow,
        _ if Direction::ALL.into_iter().any(opens) => Role::Allow,
        _ => Role::Deny,
    }
}
