//! The pre-flight: would closing deny anything that is required? Judged in every mode, so that an
//! administrator sees the answer before asking the question.

use std::sync::Arc;

use bulkhead_api::{namespace::UndeclaredPods, switch::Isolation};
use bulkhead_policy::{
    Dialect, Direction, Pod, Policy, Port, PortRule, Protocol, Rule, Window, World, effect::Versions,
};

use super::{
    View,
    engine::{required, targets},
};
use crate::decide::{Decision, Role, Target};

/// What stands in the way of closing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blockers {
    /// Pods and pod templates on the pod network that no declared server selects.
    pub undeclared: Vec<String>,
    /// Undeclared pods are isolated knowingly.
    pub isolate_undeclared: bool,
    /// Required connections that our policies would not allow, in words.
    pub missing: Vec<String>,
    /// Required egress that policies of others would deny once the allow-all is gone, in words.
    pub narrowed: Vec<String>,
    /// Nobody declared a set.
    pub no_set: bool,
}

/// The most examples that a message names.
const NAMED: usize = 5;

impl Blockers {
    /// Closing has to wait.
    pub fn block(&self) -> bool {
        self.no_set
            || (!self.undeclared.is_empty() && !self.isolate_undeclared)
            || !self.missing.is_empty()
            || !self.narrowed.is_empty()
    }

    /// Reason and message for the condition `Restrictable`.
    pub fn verdict(&self) -> (&'static str, String) {
        if self.no_set {
            return (
                "NoPolicySet",
                "nobody declared which servers it has; create a SystemNetworkPolicy".into(),
            );
        }
        if !self.undeclared.is_empty() && !self.isolate_undeclared {
            let remedy = "declare them in a SystemNetworkPolicy, or set undeclaredPods: Isolate";
            return (
                "UndeclaredPods",
                format!("no declared server selects {}; {remedy}", list(&self.undeclared)),
            );
        }
        if !self.missing.is_empty() {
            return (
                "RequiredConnectionDenied",
                format!("would be denied: {}", list(&self.missing)),
            );
        }
        if !self.narrowed.is_empty() {
            let what = list(&self.narrowed);
            return (
                "EgressNarrowed",
                format!(
                    "policies of others would deny egress that is declared: {what}; choose isolation \
                     IngressAndEgress, or declare the egress of these pods in a SystemNetworkPolicy"
                ),
            );
        }
        ("AsExpected", "closing denies nothing that is required".into())
    }
}

/// Names a few and counts the rest.
pub fn list(all: &[String]) -> String {
    let named = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match all.len().checked_sub(NAMED) {
        Some(more @ 1..) => format!("{named} and {more} more"),
        _ => named,
    }
}

/// Judges what closing would do.
pub fn judge(view: &View<'_>, decision: Decision) -> Blockers {
    let expected = &view.expected;
    if matches!(decision, Decision::Ignore | Decision::Release) {
        return Blockers::default();
    }
    if decision == Decision::HandBack {
        return hand_back(view);
    }
    let Some(ingress) = &expected.ingress else {
        return Blockers {
            no_set: true,
            ..Blockers::default()
        };
    };
    let isolation = match decision {
        Decision::Closed(isolation) => isolation,
        _ => Isolation::Ingress,
    };
    let egress = view.isolates_egress(isolation);
    let policy = view.spec().and_then(|s| s.undeclared_pods).unwrap_or_default();
    let declared = targets([Some(ingress)]);
    let both = targets([Some(ingress), expected.egress.as_ref().filter(|_| egress)]);
    let mut blockers = Blockers {
        isolate_undeclared: policy == UndeclaredPods::Isolate,
        ..Blockers::default()
    };
    let ours_alone = isolation_by_all_allows_by_ours(view);
    let theirs = view.theirs();
    let world = &view.input.cluster.world;
    let staged = view.is_staged();
    let needed = targets([expected.egress_needs.as_ref()]);
    let plain = plain_world();
    for member in view.input.pods.iter().filter(|m| m.counts()) {
        let pod = &member.pod;
        if !is_declared(&declared, pod) {
            blockers.undeclared.push(pod.name.to_string());
        }
        if staged {
            for direction in Direction::ALL
                .into_iter()
                .filter(|d| egress || *d == Direction::Ingress)
            {
                let flows = ours_alone.missing(world, pod, direction, &required(&both, pod, direction));
                blockers
                    .missing
                    .extend(flows.iter().map(|f| format!("{} {direction} {f}", pod.name)));
            }
        }
        if !egress && (view.allow_all().is_some() || view.allow_egress().is_some()) {
            let needs = declared_needs(&needed, pod, Direction::Egress);
            let flows = theirs.missing(&plain, pod, Direction::Egress, &needs);
            blockers
                .narrowed
                .extend(flows.iter().map(|f| format!("{} {f}", pod.name)));
        }
    }
    blockers
}

/// What the platform's own policies would deny of what is declared, in both directions.
fn hand_back(view: &View<'_>) -> Blockers {
    let mut blockers = Blockers::default();
    let plain = plain_world();
    let theirs = view.theirs();
    let declared = targets([
        view.expected.ingress.as_ref(),
        view.expected.egress_needs.as_ref(),
    ]);
    for member in view.input.pods.iter().filter(|m| m.counts()) {
        for direction in Direction::ALL {
            let needs = declared_needs(&declared, &member.pod, direction);
            let flows = theirs.missing(&plain, &member.pod, direction, &needs);
            blockers.narrowed.extend(
                flows
                    .iter()
                    .map(|f| format!("{} {direction} {f}", member.pod.name)),
            );
        }
    }
    blockers
}

/// Egress needs are judged by the plain reading of the API: what a plugin adds for host-network pods of a look
/// is nothing that anybody declared to need.
fn plain_world() -> World {
    World::new(Dialect::spec())
}

/// What is declared for a pod, as far as policies of others can be expected to spell it: a rule without ports
/// means TCP and UDP.
fn declared_needs(targets: &[&Target], pod: &Pod, direction: Direction) -> Vec<Rule> {
    let mut rules = required(targets, pod, direction);
    for rule in rules.iter_mut().filter(|rule| rule.ports.is_empty()) {
        rule.ports = [Protocol::Tcp, Protocol::Udp]
            .map(|protocol| PortRule {
                protocol,
                port: Port::Any,
            })
            .to_vec();
    }
    rules
}

/// A server other than the deny selects the pod.
fn is_declared(targets: &[&Target], pod: &Pod) -> bool {
    targets
        .iter()
        .any(|t| t.role != Role::DefaultDeny && t.policy.pods.matches(&pod.labels))
}

/// Isolation as everybody's policies give it, allows as our set alone gives them: what others allow may go at
/// any time, and the openers are what closing removes.
fn isolation_by_all_allows_by_ours(view: &View<'_>) -> Window {
    let named = view.window_names.iter().zip(view.window.objects());
    named
        .filter_map(|(name, versions)| weakened(view, name, versions))
        .collect()
}

fn weakened(view: &View<'_>, name: &Arc<str>, versions: &Versions) -> Option<Versions> {
    match view.ours.iter().find(|p| p.name == *name) {
        Some(p) if p.role.is_some_and(Role::opens) => None,
        Some(_) => Some(versions.clone()),
        None => Some(
            versions
                .iter()
                .map(|v| v.as_ref().map(|p| Arc::new(allows_nothing(p))))
                .collect(),
        ),
    }
}

fn allows_nothing(policy: &Policy) -> Policy {
    let emptied = |rules: &Option<Vec<_>>| rules.as_ref().map(|_| Vec::new());
    Policy {
        ingress: emptied(&policy.ingress),
        egress: emptied(&policy.egress),
        ..policy.clone()
    }
}
