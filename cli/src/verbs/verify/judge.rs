//! The judgement of one namespace.

use std::fmt;

use anyhow::{Result, bail};
use bulkhead_api::namespace::Lineage;
use bulkhead_api::switch::Isolation;
use bulkhead_controllers::decide::config::mode_text;
use bulkhead_controllers::decide::{Decision, OpenReason};
use bulkhead_controllers::observe::world::{Kind, Sync};
use bulkhead_controllers::plan::{Input, Member, View, judge, list};
use bulkhead_policy::{Direction, Rule};
use jiff::Timestamp;
use serde::Serialize;

use super::exceptions::Exceptions;
use crate::look::Look;

/// What is judged. The words make stable test names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// A mode is in force without contradiction.
    Configured,
    /// Every label that catalog or declaration demands is there.
    Labelled,
    /// A restrictive set is known.
    SetKnown,
    /// What the mode promises holds.
    Covered,
    /// The operator has reported on the namespace.
    Reported,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configured => "configured",
            Self::Labelled => "labelled",
            Self::SetKnown => "set-known",
            Self::Covered => "covered",
            Self::Reported => "reported",
        })
    }
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// It does not, and an exception says why that is accepted for now.
    Excepted,
    /// An administrator keeps the operator off, so nothing is promised.
    Skipped,
}

/// One case.
#[derive(Clone, Debug, Serialize)]
pub struct Case {
    /// The namespace; empty for the cluster.
    pub namespace: String,
    /// What was judged.
    pub check: Check,
    /// How it ended.
    pub verdict: Verdict,
    /// What is wrong, or why it is skipped.
    pub message: String,
    /// What an administrator should know although it holds.
    pub notes: Vec<String>,
}

/// Fails where our kinds are not served: then there is nothing to hold anything against.
pub fn require_definitions(look: &Look) -> Result<()> {
    let ours = [
        Kind::SystemIsolations,
        Kind::SystemNamespaces,
        Kind::SystemNetworkPolicies,
    ];
    let unserved: Vec<&str> = ours
        .into_iter()
        .filter(|k| *look.world.sync(*k) == Sync::Unserved)
        .map(Kind::plural)
        .collect();
    if !unserved.is_empty() {
        bail!(
            "{} of {} are not installed here: apply the definitions first (kubectl apply -k manifests/crds)",
            unserved.join(", "),
            bulkhead_api::GROUP
        );
    }
    Ok(())
}

/// Whether the configuration is in force.
pub fn configuration(look: &Look) -> Case {
    let config = &look.cluster.config;
    let mut notes = Vec::new();
    if let Some(hold) = &config.hold {
        notes.push(format!("the emergency hold is set: {}", hold.reason));
    }
    let problem = match (&config.problem, look.cluster.frozen) {
        (Some(problem), _) => Some(format!("{}: {}", problem.reason, problem.message)),
        (None, Some(frozen)) => Some(format!("nothing is decided: {frozen}")),
        (None, None) if !config.stored => Some(format!(
            "the operator has not applied it yet: {}",
            mode_text(config.applied)
        )),
        _ => None,
    };
    case("", Check::Configured, problem, notes)
}

/// Every case of a namespace; none if it is no system namespace.
pub fn namespace(input: &Input, exceptions: &Exceptions, now: Timestamp) -> Vec<Case> {
    let view = View::new(input);
    let decision = view.decision();
    if decision == Decision::Ignore || view.terminating() {
        return Vec::new();
    }
    if decision == Decision::HandsOff {
        let message = "managementState is Unmanaged: nothing is promised".to_owned();
        let skipped = Case {
            verdict: Verdict::Skipped,
            ..case(&input.name, Check::Covered, Some(message), Vec::new())
        };
        return vec![skipped];
    }
    vec![
        labelled(&view),
        set_known(&view, exceptions, now),
        covered(&view, decision),
        reported(&view, decision),
    ]
}

fn case(namespace: &str, check: Check, problem: Option<String>, notes: Vec<String>) -> Case {
    Case {
        namespace: namespace.to_owned(),
        check,
        verdict: if problem.is_some() {
            Verdict::Fail
        } else {
            Verdict::Pass
        },
        message: problem.unwrap_or_default(),
        notes,
    }
}

fn labelled(view: &View<'_>) -> Case {
    let name = &view.input.name;
    if !view.is_trusted() {
        let note = "neither catalogued nor adopted, so it must not have labels that others trust";
        return case(name, Check::Labelled, None, vec![note.to_owned()]);
    }
    let missing = view.missing_labels();
    let problem = (!missing.is_empty()).then(|| format!("missing: {}", missing.join(", ")));
    case(name, Check::Labelled, problem, Vec::new())
}

fn set_known(view: &View<'_>, exceptions: &Exceptions, now: Timestamp) -> Case {
    let (name, expected) = (&view.input.name, &view.expected);
    let rejected = expected.rejected.clone();
    if expected.ingress.is_some() {
        return case(name, Check::SetKnown, None, rejected);
    }
    if expected.catalogued && expected.lineage == Lineage::Legacy {
        let note = "catalogued without a set: it stays open in every mode".to_owned();
        return case(name, Check::SetKnown, None, vec![note]);
    }
    let kind = if expected.lineage == Lineage::New {
        "lineage New"
    } else {
        "unlisted"
    };
    let message = format!("{kind}, and nobody declared its servers: create a SystemNetworkPolicy");
    let failed = case(name, Check::SetKnown, Some(message.clone()), rejected);
    match exceptions.of(name) {
        Some(exception) if exception.holds(now) => Case {
            verdict: Verdict::Excepted,
            message: format!(
                "{message} (accepted until {}: {})",
                exception.expires, exception.reason
            ),
            ..failed
        },
        Some(exception) => Case {
            message: format!("{message} (the exception expired on {})", exception.expires),
            ..failed
        },
        None => failed,
    }
}

fn covered(view: &View<'_>, decision: Decision) -> Case {
    let name = &view.input.name;
    let mut notes = Vec::new();
    let problems = match decision {
        Decision::Closed(isolation) => closed(view, isolation, &mut notes),
        Decision::Open(reason) => {
            if reason == OpenReason::Hold {
                notes.push("open because of the emergency hold".to_owned());
            }
            open(view)
        }
        Decision::Preserved => {
            notes.push("left as the platform ships it; no mode is set".to_owned());
            Vec::new()
        }
        Decision::SetLost => vec!["its declaration is gone; the last set stays in force".to_owned()],
        Decision::Release | Decision::HandBack => vec!["it is being handed back and is not done".to_owned()],
        Decision::Frozen(reason) => vec![format!("it cannot be judged: {reason}")],
        Decision::Ignore | Decision::HandsOff => Vec::new(),
    };
    let problem = (!problems.is_empty()).then(|| list(&problems));
    case(name, Check::Covered, problem, notes)
}

fn counting<'a>(view: &View<'a>) -> impl Iterator<Item = &'a Member> {
    view.input.pods.iter().filter(|member| member.counts())
}

/// Restricted: each pod is isolated in the promised directions, what is declared is allowed, and nothing of
/// ours allows more. What others allow is their right, and is noted.
fn closed(view: &View<'_>, isolation: Isolation, notes: &mut Vec<String>) -> Vec<String> {
    if let Some(allow_all) = view.allow_all() {
        let blockers = judge(view, Decision::Closed(isolation));
        let (reason, message) = blockers.verdict();
        let why = if blockers.block() {
            format!("blocked: {reason}: {message}")
        } else {
            "the operator has not closed it yet".to_owned()
        };
        return vec![format!(
            "it should be Restricted, and {} opens it; {why}",
            allow_all.name
        )];
    }
    let mut problems = Vec::new();
    let world = &view.input.cluster.world;
    let egress = view.isolates_egress(isolation);
    for direction in Direction::ALL
        .into_iter()
        .filter(|d| egress || *d == Direction::Ingress)
    {
        for member in counting(view) {
            let pod = &member.pod;
            if !view.window.surely_isolates(pod, direction) {
                problems.push(format!("{} is not isolated for {direction}", pod.name));
                continue;
            }
            let declared = view.required(pod, direction);
            for flows in view.window.missing(world, pod, direction, &declared) {
                problems.push(format!(
                    "{} {direction} is declared and denied: {flows}",
                    pod.name
                ));
            }
            for (object, flows) in view.window.excess(world, pod, direction, &declared) {
                let by = object
                    .and_then(|at| view.window_names.get(at))
                    .map_or("", |name| name);
                let text = format!("{by} allows {} {direction} more than declared: {flows}", pod.name);
                if view.ours.iter().any(|p| &*p.name == by) {
                    problems.push(text);
                } else {
                    notes.push(text);
                }
            }
        }
    }
    if view.expected.ingress.as_ref().is_some_and(|i| i.port_only) {
        notes.push(
            "rules for host traffic admit every source: the network plugin cannot select nodes".to_owned(),
        );
    }
    notes.sort();
    notes.dedup();
    problems
}

/// Open: everybody may reach each pod on every port, and each pod may reach everybody.
fn open(view: &View<'_>) -> Vec<String> {
    let world = &view.input.cluster.world;
    let everything = [Rule::default()];
    let mut problems = Vec::new();
    for direction in Direction::ALL {
        for member in counting(view) {
            if !view
                .window
                .missing(world, &member.pod, direction, &everything)
                .is_empty()
            {
                problems.push(match direction {
                    Direction::Ingress => format!("{} is not reachable by everybody", member.pod.name),
                    Direction::Egress => format!("{} cannot reach everybody", member.pod.name),
                });
            }
        }
    }
    problems
}

/// The operator has stored a state, and it speaks of the newest choices.
fn reported(view: &View<'_>, decision: Decision) -> Case {
    let name = &view.input.name;
    let Some(system) = &view.input.system else {
        let message = "there is no SystemNamespace for it: the operator has not met it; is it running?";
        return case(name, Check::Reported, Some(message.to_owned()), Vec::new());
    };
    let observed = system.status.observed_generation.unwrap_or_default();
    let problem = if observed < system.generation {
        Some("the operator has not seen the newest choices for it; is it running?".to_owned())
    } else if system.status.effective_mode.is_none() && !matches!(decision, Decision::Frozen(_)) {
        Some("the operator has not reported an effective mode".to_owned())
    } else {
        None
    };
    case(name, Check::Reported, problem, Vec::new())
}
