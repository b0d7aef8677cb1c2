//! Closing, keeping closed, changing a set while closed, isolating egress.

use bulkhead_api::{namespace::Action, switch::Isolation, vocabulary as names};

use super::{
    Plan, PolicyWrite, State, Step, View,
    engine::{Judge, Meaning, targets},
    open::{damped, open, stage},
    sync::{Difference, apply, delete},
};
use crate::decide::{Role, Target, render};

/// A namespace that should be closed.
pub fn plan(view: &View<'_>, isolation: Isolation, plan: &mut Plan) {
    let egress = view.isolates_egress(isolation);
    let wanted = wanted(view, egress);
    let broken_opener =
        view.ours.iter().any(|p| p.role == Some(Role::AllowAll)) && view.allow_all().is_none();
    if broken_opener && let Some(write) = open(view) {
        // Somebody edited the allow-all while it was still needed: whole again first.
        plan.state = State::Opening;
        plan.step = Some(Step::Open(write));
    } else if view.allow_all().is_some() {
        from_open(view, &wanted, plan);
    } else {
        from_closed(view, &wanted, egress, plan);
    }
}

/// The policies that should stand in the end.
fn wanted(view: &View<'_>, egress: bool) -> Vec<Target> {
    let expected = &view.expected;
    let egress = expected.egress.as_ref().filter(|_| egress);
    targets([expected.ingress.as_ref(), egress])
        .into_iter()
        .cloned()
        .collect()
}

/// The allow-all stands: stage under it, let it settle, look before the leap, remove it.
fn from_open(view: &View<'_>, wanted: &[Target], plan: &mut Plan) {
    stage(view, wanted, State::Staging, plan);
    if plan.step.is_some() || plan.wake.is_some() || plan.state == State::Frozen {
        return;
    }
    if let Some(at) = view.all_settled_at() {
        (plan.state, plan.wake) = (State::Settling, Some(at));
        return;
    }
    let writes: Vec<PolicyWrite> = view.allow_alls().map(delete).collect();
    contract(view, Action::Close, State::Closing, writes, wanted, plan);
}

/// Proposes a contract if nothing stands in its way.
fn contract(
    view: &View<'_>,
    action: Action,
    state: State,
    writes: Vec<PolicyWrite>,
    wanted: &[Target],
    plan: &mut Plan,
) {
    if view.newer_writer() {
        plan.state = State::NewerWriter;
        return;
    }
    if view.input.cluster.contracts_frozen.is_some() {
        plan.state = State::Frozen;
        return;
    }
    if view.expected.incomplete || plan.blocked(view) {
        plan.state = State::Blocked;
        return;
    }
    let own = view.input.name == view.input.cluster.own_namespace;
    if own && action == Action::Close && !view.input.others_closed {
        plan.state = State::Settling;
        return;
    }
    let mut judge = Judge::new(view, wanted.iter().collect());
    if writes.iter().any(|write| judge.take(write) == Meaning::Unsafe) {
        // Nothing planned here may be unsafe; a write that is waits, and the namespace says so.
        tracing::warn!(namespace = %view.input.name, ?action, "the engine refuses a contract");
        plan.state = State::Blocked;
        return;
    }
    plan.state = state;
    plan.step = Some(Step::Contract { action, writes });
}

/// No allow-all stands: repair, widen, narrow; back through an allow-all only where nothing else is safe.
fn from_closed(view: &View<'_>, wanted: &[Target], egress: bool, plan: &mut Plan) {
    let sequence = view.input.cluster.sequence;
    let difference = Difference::new(view, wanted);
    if let Some(done) = egress_opener(view, &difference, egress, plan) {
        return done;
    }
    let widened = difference.widened(sequence);
    if !widened.is_empty() {
        return widen(view, wanted, widened, plan);
    }
    if let Some(at) = view.all_settled_at() {
        plan.wake = Some(at);
        let at_rest = view.is_as_reported() && difference.is_none() && view.allow_egress().is_none();
        plan.state = match (plan_has_intent(view), at_rest) {
            (true, _) => State::Closing,
            (false, false) => State::Settling,
            // Only the clock is new: somebody began to lead.
            (false, true) => State::AsExpected,
        };
        return;
    }
    narrow(view, &difference, wanted, egress, plan);
    // Whatever narrowing waits for, what was done before has been seen by everybody.
    plan.acknowledged = plan.step.is_none();
}

fn plan_has_intent(view: &View<'_>) -> bool {
    view.status().is_some_and(|s| s.intent.is_some())
}

/// Egress is isolated and released under a policy that opens egress alone. Returns `Some` when that policy has
/// to be written, or has to settle, first.
fn egress_opener(view: &View<'_>, difference: &Difference<'_>, egress: bool, plan: &mut Plan) -> Option<()> {
    let is_egress = |role| matches!(role, Role::Egress | Role::DefaultDenyEgress);
    let stands = |role: Role| view.ours.iter().any(|p| p.role == Some(role));
    let missing = difference
        .pairs
        .iter()
        .any(|p| is_egress(p.target.role) && p.stands.is_none());
    let arriving = egress && missing && !stands(Role::DefaultDenyEgress);
    let leaving = !egress && difference.obsolete.iter().any(|p| p.role.is_some_and(is_egress));
    if !(arriving || leaving) {
        return None;
    }
    plan.state = State::Updating;
    match view.allow_egress() {
        None => plan.step = Some(Step::Stage(vec![open_egress(view)])),
        Some(opener) => {
            let at = view.settled_at(&opener.name).filter(|at| *at > view.input.now)?;
            plan.wake = Some(at);
        }
    }
    Some(())
}

/// The write that makes a policy of ours open egress. It cannot deny: what it isolates it allows everything.
fn open_egress(view: &View<'_>) -> PolicyWrite {
    let free = view.free_name(names::ALLOW_EGRESS);
    let edited = view
        .ours
        .iter()
        .find(|p| p.role == Some(Role::AllowEgress) || *p.name == *free);
    let name = edited.map_or(&*free, |p| &*p.name);
    let target = render::allow_egress(&view.input.name, name);
    match edited {
        Some(stands) => apply(stands, target, view.input.cluster.sequence),
        None => PolicyWrite::Create(target),
    }
}

/// Writes what is missing: at once what takes nothing away, as a contract what isolates but is safe, under a
/// new allow-all what is not.
fn widen(view: &View<'_>, wanted: &[Target], widened: Vec<PolicyWrite>, plan: &mut Plan) {
    let (ready, late) = damped(view, widened.clone());
    let mut judge = Judge::new(view, wanted.iter().collect());
    let harmless: Vec<PolicyWrite> = ready.into_iter().filter(|w| judge.is_harmless(w)).collect();
    if !harmless.is_empty() {
        (plan.state, plan.step) = (State::Updating, Some(Step::Stage(harmless)));
        return;
    }
    if late.is_some() {
        (plan.state, plan.wake) = (State::Updating, late);
        return;
    }
    let closed_already = view.was_closed() || view.foreign_isolation();
    let mut judge = Judge::new(view, wanted.iter().collect());
    let safe: Vec<PolicyWrite> = widened
        .into_iter()
        .filter(|w| judge.take(w) == Meaning::Safe)
        .collect();
    if closed_already && !safe.is_empty() {
        return contract(view, Action::Close, State::Updating, safe, wanted, plan);
    }
    if closed_already && let Some(at) = view.everything_settled_at() {
        // What is unsafe now may be safe once everybody has seen the rest.
        (plan.state, plan.wake) = (State::Updating, Some(at));
        return;
    }
    if let Some(write) = open(view) {
        plan.state = State::Staging;
        plan.step = Some(Step::Open(write));
    }
}

/// Everything that should stand stands and has settled: take away what should not.
fn narrow(view: &View<'_>, difference: &Difference<'_>, wanted: &[Target], egress: bool, plan: &mut Plan) {
    let sequence = view.input.cluster.sequence;
    let under_opener = |p: &&&crate::observe::ObservedPolicy| {
        !egress && matches!(p.role, Some(Role::Egress | Role::DefaultDenyEgress))
    };
    let leaving: Vec<PolicyWrite> = difference
        .obsolete
        .iter()
        .filter(under_opener)
        .map(|p| delete(p))
        .collect();
    if !leaving.is_empty() {
        return contract(view, Action::Narrow, State::Updating, leaving, wanted, plan);
    }
    let writes = difference.narrowed(sequence);
    if !writes.is_empty() {
        return match waits_for(view, difference) {
            Some(_) => plan.state = State::Updating,
            None => contract(view, Action::Narrow, State::Updating, writes, wanted, plan),
        };
    }
    if let Some(opener) = view.allow_egress() {
        contract(
            view,
            Action::IsolateEgress,
            State::Updating,
            vec![delete(opener)],
            wanted,
            plan,
        );
    }
}

/// Why an old rule is still needed: a release is being rolled out, or a live pod declares a port that only the
/// old rule allows.
fn waits_for(view: &View<'_>, difference: &Difference<'_>) -> Option<&'static str> {
    if view.input.cluster.platform.upgrading {
        return Some("ClusterVersionProgressing");
    }
    let wanted: Vec<&Target> = difference.pairs.iter().map(|p| p.target).collect();
    let wide = difference.too_wide().map(|(stands, _)| stands);
    let old: Vec<_> = wide.chain(difference.obsolete.iter().copied()).collect();
    let needs = |member: &&super::input::Member| {
        member.counts()
            && member.ports.iter().any(|(protocol, port)| {
                let opened = |policy: &bulkhead_policy::Policy| {
                    policy.pods.matches(&member.pod.labels)
                        && policy
                            .ingress
                            .iter()
                            .flatten()
                            .any(|rule| opens(rule, *protocol, *port))
                };
                old.iter().any(|p| opened(&p.policy)) && !wanted.iter().any(|t| opened(&t.policy))
            })
    };
    view.input.pods.iter().find(needs).map(|_| "PodsDeclareOldPort")
}

fn opens(rule: &bulkhead_policy::Rule, protocol: bulkhead_policy::Protocol, port: u16) -> bool {
    let covers = |p: &bulkhead_policy::PortRule| {
        p.protocol == protocol
            && match p.port {
                bulkhead_policy::policy::Port::Any => true,
                bulkhead_policy::policy::Port::Range(first, last) => (first..=last).contains(&port),
                bulkhead_policy::policy::Port::Named(_) => false,
            }
    };
    rule.ports.is_empty() || rule.ports.iter().any(covers)
}
