//! What a plan derives from its input before it decides anything.

use std::{borrow::Cow, sync::Arc};

use bulkhead_api::{
    namespace::{Action, Adoption, EffectiveMode, Lineage, SystemNamespaceSpec, SystemNamespaceStatus},
    switch::{Isolation, ManagementState, Mode},
    vocabulary::{self as names, condition},
};
use bulkhead_policy::{Direction, Policy, Window};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{Expected, Input};
use crate::{
    decide::{
        Decision, Role, Target,
        mode::{self, Facts},
        render,
    },
    observe::{Moment, ObservedPolicy, history::engine_window},
};

/// How many of our names somebody may take in one namespace before we give up.
const MOST_SQUATTERS: u32 = 1000;

/// One namespace, seen by the planner.
#[derive(Debug)]
pub struct View<'a> {
    /// What it was derived from.
    pub input: &'a Input,
    /// Policies of ours.
    pub ours: Vec<&'a ObservedPolicy>,
    /// Policies of others.
    pub foreign: Vec<&'a ObservedPolicy>,
    /// Every policy, and policies that are gone, with the versions at which they may still be seen.
    pub window: Window,
    /// Names of the objects of `window`.
    pub window_names: Vec<Arc<str>>,
    /// What is declared, with other names where others squat on ours.
    pub expected: Cow<'a, Expected>,
}

impl<'a> View<'a> {
    /// Derives the view.
    pub fn new(input: &'a Input) -> Self {
        let status = input.system.as_ref().map(|s| &s.status);
        let recorded =
            |p: &ObservedPolicy| status.is_some_and(|s| s.policies.iter().any(|r| *r.uid == *p.uid));
        let (ours, foreign): (Vec<_>, Vec<_>) = input
            .policies
            .iter()
            .map(|p| &**p)
            .partition(|p| (p.managed_by_us && !p.is_of_bundle()) || recorded(p));
        let named = input.history.window(input.now, input.cluster.settle);
        let window = engine_window(&named);
        let window_names = named.into_iter().map(|(name, _)| name).collect();
        let expected = unsquatted(&input.expected, &foreign);
        Self {
            input,
            ours,
            foreign,
            window,
            window_names,
            expected,
        }
    }

    /// The mode that the decision table gives.
    pub fn decision(&self) -> Decision {
        let input = self.input;
        if input.object.is_none() {
            return Decision::Ignore;
        }
        let spec = self.spec();
        let (desired, effective) = self
            .status()
            .map_or((None, None), |s| (s.desired_mode, s.effective_mode));
        let facts = Facts {
            frozen: input.cluster.frozen.or_else(|| {
                let unreadable = input.system.as_ref().is_some_and(|s| s.spec.is_err());
                unreadable.then_some("InvalidSystemNamespace")
            }),
            config: &input.cluster.config,
            system: self.is_system(),
            holds_policies: !self.ours.is_empty(),
            holds_ours: !self.ours.is_empty() || self.status().is_some_and(|s| !s.labels.is_empty()),
            local_hold: self.ours.iter().any(|p| p.role == Some(Role::AllowAll) && p.hold),
            unmanaged: spec.is_some_and(|s| s.management_state == Some(ManagementState::Unmanaged)),
            mode_override: self.override_in_force(),
            set_known: self.expected.ingress.is_some(),
            closed_by_us: self.closed_by_us(),
            lineage: self.lineage(),
            foreign_isolation: self.foreign_isolation(),
            allow_all: self.allow_all().is_some(),
            was_open: desired == Some(EffectiveMode::Unrestricted),
            was_closed_or_theirs: desired == Some(EffectiveMode::Preserved)
                || matches!(
                    effective,
                    Some(EffectiveMode::Restricted | EffectiveMode::PartlyRestricted)
                ),
            newborn: self.born_at().is_some(),
            removal_meant: input.cluster.config.removal_meant,
        };
        mode::decide(&facts)
    }

    /// The spec of its `SystemNamespace`, if there is one that can be read.
    pub fn spec(&self) -> Option<&'a SystemNamespaceSpec> {
        self.input.system.as_ref().and_then(|s| s.spec.as_ref().ok())
    }

    /// The status that we stored last.
    pub fn status(&self) -> Option<&'a SystemNamespaceStatus> {
        self.input.system.as_ref().map(|s| &s.status)
    }

    /// Whether it is a system namespace: by adoption, catalog or name; never `default` or `kube-*`.
    pub fn is_system(&self) -> bool {
        let name = &*self.input.name;
        let by_name = names::is_system_name(name) || self.expected.catalogued;
        match self.spec().and_then(|s| s.adoption) {
            _ if names::is_forbidden_name(name) || self.input.bundled => false,
            Some(Adoption::Adopted) => true,
            Some(Adoption::NotAdopted) => false,
            None => by_name,
        }
    }

    /// Since when it exists, as declared; as declared last where nobody declares anything any more.
    pub fn lineage(&self) -> Lineage {
        let last = self
            .status()
            .and_then(|s| s.lineage)
            .filter(|_| self.expected.ingress.is_none());
        last.unwrap_or(self.expected.lineage)
    }

    /// Only catalogued and adopted namespaces get labels that others may trust.
    pub fn is_trusted(&self) -> bool {
        let adopted = self.spec().is_some_and(|s| s.adoption == Some(Adoption::Adopted));
        self.is_system() && (adopted || self.expected.catalogued)
    }

    /// It is being deleted.
    pub fn terminating(&self) -> bool {
        self.input.object.as_ref().is_some_and(|o| o.terminating)
    }

    /// When it stops being newborn; `None` once it is not.
    pub fn born_at(&self) -> Option<Moment> {
        let settled = self.input.first_seen + self.input.cluster.settle;
        (settled > self.input.now).then_some(settled)
    }

    /// The override's mode, unless it has expired or was once seen to expire.
    pub fn override_in_force(&self) -> Option<Mode> {
        let system = self.input.system.as_ref()?;
        let chosen = self.spec()?.mode_override.as_ref()?;
        let expired = chosen
            .expiration_time
            .as_ref()
            .is_some_and(|t| t.0 <= self.input.wall)
            || system.status.expired_generation == Some(system.generation);
        (!expired).then_some(chosen.mode)
    }

    /// When the override will expire, on the monotonic clock, or an hour before if that is still to come.
    pub fn override_expiry(&self) -> Option<Moment> {
        let time = self.spec()?.mode_override.as_ref()?.expiration_time.as_ref()?;
        self.override_in_force()?;
        let seconds = time.0.duration_since(self.input.wall).as_secs().max(0);
        let left = Moment::from_secs(u64::try_from(seconds).unwrap_or_default() + 1);
        let hour = Moment::from_hours(1);
        Some(self.input.now + left.checked_sub(hour).filter(|d| !d.is_zero()).unwrap_or(left))
    }

    /// When an override that keeps the namespace open ends within the hour, and what follows is closing.
    pub fn closes_soon(&self) -> Option<jiff::Timestamp> {
        let time = self.spec()?.mode_override.as_ref()?.expiration_time.as_ref()?.0;
        let open = self.override_in_force()? == Mode::Unrestricted;
        let closing = self.input.cluster.config.applied.mode == Some(Mode::Restricted);
        let soon = time.duration_since(self.input.wall).as_secs() <= 3600;
        (open && closing && soon).then_some(time)
    }

    /// The allow-alls of ours that really open everything.
    pub fn allow_alls(&self) -> impl Iterator<Item = &'a ObservedPolicy> + '_ {
        self.ours.iter().copied().filter(|p| opens(p, Role::AllowAll))
    }

    /// One of them.
    pub fn allow_all(&self) -> Option<&'a ObservedPolicy> {
        self.allow_alls().next()
    }

    /// The policy of ours that really opens egress.
    pub fn allow_egress(&self) -> Option<&'a ObservedPolicy> {
        self.ours.iter().copied().find(|p| opens(p, Role::AllowEgress))
    }

    /// Our deny stands without an allow-all of ours. One that somebody edited does not count as removed: it has to
    /// be made whole again.
    pub fn closed_by_us(&self) -> bool {
        let stands = |role: Role| self.ours.iter().any(|p| p.role == Some(role));
        !stands(Role::AllowAll) && stands(Role::DefaultDeny)
    }

    /// Others isolate something in some direction.
    pub fn foreign_isolation(&self) -> bool {
        // Judged from the policies themselves: pods that they select may come at any time.
        !self.foreign.is_empty()
    }

    /// It was acknowledged as closed, or stands closed although the status was lost.
    pub fn was_closed(&self) -> bool {
        let effective = self.status().and_then(|s| s.effective_mode);
        match effective {
            Some(EffectiveMode::Restricted | EffectiveMode::PartlyRestricted) => true,
            Some(_) => false,
            None => self.closed_by_us(),
        }
    }

    /// It was reported as closed and settled, and no policy has changed since.
    pub fn is_as_reported(&self) -> bool {
        let reported = self.status().and_then(|s| s.policies_resource_version.clone());
        self.was_closed() && reported.is_some() && reported == self.newest_version()
    }

    /// The newest resourceVersion of its policies.
    pub fn newest_version(&self) -> Option<String> {
        let versions = self.input.policies.iter();
        let newest = versions
            .filter_map(|p| p.resource_version.parse::<u64>().ok())
            .max();
        newest.map(|version| version.to_string())
    }

    /// It is settled: nobody can still see another version.
    pub fn is_settled(&self, name: &str) -> bool {
        self.settled_at(name).is_some_and(|at| at <= self.input.now)
    }

    /// When it is settled.
    pub fn settled_at(&self, name: &str) -> Option<Moment> {
        self.input.history.settled_at(name, self.input.cluster.settle)
    }

    /// When the last unsettled policy of ours settles; `None` if all are.
    pub fn all_settled_at(&self) -> Option<Moment> {
        let ours = |name: &&Arc<str>| {
            self.ours.iter().any(|p| p.name == **name) || name.starts_with(names::POLICY_PREFIX)
        };
        let at = self
            .window_names
            .iter()
            .filter(ours)
            .filter_map(|name| self.settled_at(name))
            .max()?;
        (at > self.input.now).then_some(at)
    }

    /// The whole ingress set is stored as it should be and settled.
    pub fn is_staged(&self) -> bool {
        self.set_stands(|name| self.is_settled(name))
    }

    /// The whole set stands and was reported as settled before: a restart of the clock is no news.
    pub fn was_staged(&self) -> bool {
        let said = |c: &Condition| c.type_ == condition::STAGED && c.status == "True";
        let reported = self.status().is_some_and(|s| s.conditions.iter().any(said));
        reported && self.set_stands(|_| true)
    }

    fn set_stands(&self, also: impl Fn(&str) -> bool) -> bool {
        let stands = |target: &Target| self.ours.iter().any(|p| super::sync::says(p, target));
        self.expected.ingress.as_ref().is_some_and(|rendered| {
            let mut targets = rendered.targets.iter();
            targets.all(|target| stands(target) && also(&target.policy.name))
        })
    }

    /// A writer of a newer format or catalog wrote here, and no administrator accepted the rollback.
    pub fn newer_writer(&self) -> bool {
        let cluster = &self.input.cluster;
        let accepted = cluster.config.accepted_sequence == Some(i64::from(cluster.sequence));
        let newer = |p: &&ObservedPolicy| p.sequence > cluster.sequence && !accepted;
        self.ours.iter().any(newer) || self.ours.iter().any(|p| p.format > names::FORMAT)
    }

    /// An older contract could still land: by another leader, for another purpose, or with unknown outcome.
    pub fn needs_fence(&self, decision: Decision) -> bool {
        let Some(intent) = self.status().and_then(|s| s.intent.as_ref()) else {
            return false;
        };
        let writer = &self.input.cluster.writer;
        let ours = *intent.holder == *writer.identity && u64::try_from(intent.term) == Ok(writer.term);
        let wanted = match intent.action {
            Action::Close | Action::IsolateEgress => matches!(decision, Decision::Closed(_)),
            // Sets are narrowed in open namespaces too.
            Action::Narrow => matches!(
                decision,
                Decision::Closed(_) | Decision::Open(_) | Decision::Release | Decision::HandBack
            ),
            Action::Release => matches!(decision, Decision::Release | Decision::HandBack),
        };
        self.input.uncertain || !ours || !wanted
    }

    /// The name that an opener of ours should have: others may squat on the first ones.
    pub fn free_name(&self, wanted: &str) -> String {
        let mut candidates =
            std::iter::once(wanted.to_owned()).chain((2..=MOST_SQUATTERS).map(|n| format!("{wanted}-{n}")));
        let squatted = |name: &String| self.foreign.iter().any(|p| *p.name == **name);
        candidates.find(|name| !squatted(name)).unwrap_or_default()
    }

    /// It really opens what its role says, and may stand while others do the closing.
    pub fn is_opener(&self, policy: &ObservedPolicy) -> bool {
        policy
            .role
            .is_some_and(|role| role.opens() && opens(policy, role))
    }

    /// What others say, at every version that may still be seen.
    pub fn theirs(&self) -> Window {
        let ours = |name: &str| self.ours.iter().any(|p| *p.name == *name);
        let named = self.window_names.iter().zip(self.window.objects());
        named
            .filter(|(name, _)| !ours(name))
            .map(|(_, versions)| versions.clone())
            .collect()
    }

    /// When the last policy of anybody settles; `None` if all are.
    pub fn everything_settled_at(&self) -> Option<Moment> {
        let at = self.input.history.all_settled_at(self.input.cluster.settle)?;
        (at > self.input.now).then_some(at)
    }

    /// Labels that the namespace should have and has not.
    pub fn missing_labels(&self) -> Vec<String> {
        let has = |key: &str, value: &str| {
            self.input
                .object
                .as_ref()
                .is_some_and(|o| o.labels.get(key) == Some(value))
        };
        super::labels::wanted(self)
            .into_iter()
            .filter(|(k, v)| !has(k, v))
            .map(|(k, _)| k)
            .collect()
    }

    /// Whether closing isolates egress here. The operator never isolates its own namespace for egress.
    pub fn isolates_egress(&self, isolation: Isolation) -> bool {
        isolation == Isolation::IngressAndEgress && self.input.name != self.input.cluster.own_namespace
    }

    /// What is declared for a pod in a direction.
    pub fn required(&self, pod: &bulkhead_policy::Pod, direction: Direction) -> Vec<bulkhead_policy::Rule> {
        let both = [self.expected.ingress.as_ref(), self.expected.egress.as_ref()];
        super::engine::required(&super::engine::targets(both), pod, direction)
    }
}

/// Targets whose name somebody else took get a suffixed one.
fn unsquatted<'a>(expected: &'a Expected, foreign: &[&ObservedPolicy]) -> Cow<'a, Expected> {
    let taken = |name: &str| foreign.iter().any(|p| *p.name == *name);
    let all = |e: &Expected| {
        [&e.ingress, &e.egress]
            .into_iter()
            .flatten()
            .any(|r| r.targets.iter().any(|t| taken(&t.policy.name)))
    };
    if !all(expected) {
        return Cow::Borrowed(expected);
    }
    let mut renamed = expected.clone();
    for target in [&mut renamed.ingress, &mut renamed.egress]
        .into_iter()
        .flatten()
        .flat_map(|r| &mut r.targets)
    {
        let free = (2..=MOST_SQUATTERS)
            .map(|n| format!("{}-{n}", target.policy.name))
            .find(|name| !taken(name));
        if taken(&target.policy.name)
            && let Some(name) = free
        {
            target.policy = Arc::new(Policy {
                name: name.into(),
                ..(*target.policy).clone()
            });
        }
    }
    Cow::Owned(renamed)
}

/// Whether a policy of ours really does what its role says, whatever its label claims.
fn opens(policy: &ObservedPolicy, role: Role) -> bool {
    let target = match role {
        Role::AllowAll => render::allow_all(&policy.policy.namespace, &policy.name),
        _ => render::allow_egress(&policy.policy.namespace, &policy.name),
    };
    policy.role == Some(role)
        && policy.policy.pods == target.policy.pods
        && policy.policy.ingress == target.policy.ingress
        && policy.policy.egress == target.policy.egress
}
