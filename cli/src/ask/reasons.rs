//! Why the engine answered as it did, rule by rule.

use bulkhead_policy::tiers::{ClusterPolicy, Decider, Side, Tiered};
use bulkhead_policy::v1::NetworkPolicySpec;
use bulkhead_policy::{Decision, Direction, Endpoint, Family, Policy, Verdict, Window};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

use super::Question;
use crate::input::State;
use crate::input::ends::End;
use crate::input::state::WrittenCluster;

/// Both sides' reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reasons {
    /// The source's side; absent where the source is no pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<Reason>,
    /// The destination's side; absent where the destination is no pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Reason>,
    /// Why the answer is another than what the sides say by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub together: Option<String>,
}

/// One side's reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// This side's answer.
    pub answer: &'static str,
    /// In one sentence.
    pub because: String,
    /// Policies that isolate the pod.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub isolated_by: Vec<PolicyRef>,
    /// Rules that allow the connection.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_by: Vec<RuleRef>,
    /// Rules of isolating policies that do not allow it, and what they lack.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_allowed_by: Vec<RuleRef>,
    /// The rule of a cluster policy that decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<RuleRef>,
    /// What decides in each address family, where that differs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub families: Vec<OfFamily>,
}

/// The reason in one address family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OfFamily {
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
}

/// A policy and where it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyRef {
    /// `NAMESPACE/NAME`, or the kind and name of a cluster policy.
    pub policy: String,
    /// `file:line`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// A rule and where it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleRef {
    /// The policy, as in [`PolicyRef`].
    pub policy: String,
    /// The field, for example `spec.ingress[0]`.
    pub rule: String,
    /// `file:line`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The rule as written, or what it lacks.
    pub says: String,
}

impl Reasons {
    /// The reasons of an answer.
    pub fn of(state: &State, question: &Question, tiered: &Tiered<'_>) -> Self {
        let ask = |direction| Asked {
            state,
            question,
            direction,
        };
        Self {
            egress: tiered
                .egress
                .as_ref()
                .map(|side| ask(Direction::Egress).reason(side)),
            ingress: tiered
                .ingress
                .as_ref()
                .map(|side| ask(Direction::Ingress).reason(side)),
            together: together(tiered),
        }
    }

    /// Both sides in one line, the denying one alone where one denies.
    pub fn in_short(&self) -> String {
        if let Some(together) = &self.together {
            return together.clone();
        }
        let sides = [("egress", &self.egress), ("ingress", &self.ingress)];
        let sides: Vec<(&str, &Reason)> = sides
            .into_iter()
            .filter_map(|(n, r)| Some((n, r.as_ref()?)))
            .collect();
        let worst = ["Denied", "Unknown"]
            .into_iter()
            .find(|w| sides.iter().any(|(_, r)| r.answer == *w));
        let told = sides.iter().filter(|(_, r)| worst.is_none_or(|w| r.answer == w));
        let told: Vec<String> = told.map(|(name, r)| format!("{name}: {}", r.because)).collect();
        if told.is_empty() {
            "no side is a pod, so no policy applies".to_owned()
        } else {
            told.join("; ")
        }
    }
}

/// Why both sides together come to something that neither says.
fn together(tiered: &Tiered<'_>) -> Option<String> {
    let sides = [&tiered.egress, &tiered.ingress];
    let said = |wanted: Verdict| {
        sides
            .iter()
            .any(|side| side.as_ref().is_some_and(|s| s.verdict == wanted))
    };
    match tiered.verdict {
        Verdict::Unknown(why) if !said(tiered.verdict) => Some(why.to_string()),
        Verdict::Denied if !said(Verdict::Denied) => {
            Some("each address family is denied by one of the sides".to_owned())
        }
        _ => None,
    }
}

/// One side of one question.
struct Asked<'q> {
    state: &'q State,
    question: &'q Question,
    direction: Direction,
}

impl Asked<'_> {
    fn reason(&self, side: &Side<'_>) -> Reason {
        let mut reason = Reason {
            answer: super::word(side.verdict),
            because: String::new(),
            isolated_by: Vec::new(),
            allowed_by: Vec::new(),
            not_allowed_by: Vec::new(),
            decided_by: None,
            families: Vec::new(),
        };
        match &side.by {
            Decider::Cluster(policy, at) => {
                let rule = self.cluster_rule(policy, *at);
                reason.because = format!(
                    "{} {} says {:?}",
                    rule.policy,
                    rule.rule,
                    policy.rules(self.direction)[*at].action
                );
                reason.decided_by = Some(rule);
            }
            Decider::Namespaced(decision) => self.namespaced(decision, &mut reason),
            Decider::Nobody => self.nobody(side.verdict, &mut reason),
            Decider::Undecided => {}
            Decider::Families(each) => self.families(each, &mut reason),
        }
        if let Verdict::Unknown(why) = side.verdict {
            reason.because = if reason.families.is_empty() {
                why.to_string()
            } else {
                format!("{why}: {}", reason.because)
            };
        }
        reason
    }

    /// What decides in each address family, where that is not the same.
    fn families(&self, each: &[(Family, Side<'_>)], reason: &mut Reason) {
        let reasons = each.iter().map(|(family, side)| OfFamily {
            family: family.to_string(),
            reason: self.reason(side),
        });
        reason.families = reasons.collect();
        let told = reason
            .families
            .iter()
            .map(|f| format!("{}: {}", f.family, f.reason.because));
        reason.because = told.collect::<Vec<_>>().join("; ");
    }

    fn nobody(&self, verdict: Verdict, reason: &mut Reason) {
        reason.because = match (verdict, self.pod_state()) {
            (Verdict::Denied, _) => "a pod has ended, so nothing answers".to_owned(),
            (_, bulkhead_policy::PodState::HostNetwork) => {
                "the pod uses the network of its node, which no policy isolates".to_owned()
            }
            _ if self.question.source == self.question.destination => {
                "a pod always reaches itself".to_owned()
            }
            _ => "no policy isolates the pod".to_owned(),
        };
    }

    fn pod_state(&self) -> bulkhead_policy::PodState {
        match self.subject() {
            End::Pod(at) => self.state.pods[at].state,
            _ => bulkhead_policy::PodState::default(),
        }
    }

    fn subject(&self) -> End {
        match self.direction {
            Direction::Egress => self.question.source,
            Direction::Ingress => self.question.destination,
        }
    }

    fn peer(&self) -> End {
        match self.direction {
            Direction::Egress => self.question.destination,
            Direction::Ingress => self.question.source,
        }
    }

    fn namespaced(&self, decision: &Decision<'_>, reason: &mut Reason) {
        reason.isolated_by = decision.isolated_by.iter().map(|p| self.policy(p)).collect();
        reason.allowed_by = decision
            .allowed_by
            .iter()
            .map(|(p, at)| self.rule(p, *at, |spec| self.text(spec, *at)))
            .collect();
        match (decision.allowed_by.first(), decision.isolated_by.first()) {
            (Some(_), _) => {
                let first = &reason.allowed_by[0];
                let more = match reason.allowed_by.len() - 1 {
                    0 => String::new(),
                    more => format!(", and {more} more"),
                };
                reason.because = format!("{} {} allows it{more}", first.policy, first.rule);
            }
            (None, Some(_)) => {
                let names: Vec<String> = reason.isolated_by.iter().map(|p| p.policy.clone()).collect();
                let by = bulkhead_controllers::plan::list(&names);
                reason.because = format!("isolated by {by}, and no rule allows it");
                for policy in &decision.isolated_by {
                    let rules = policy.rules(self.direction).unwrap_or_default();
                    let lacks = (0..rules.len()).map(|at| self.rule(policy, at, |_| self.lacks(policy, at)));
                    reason.not_allowed_by.extend(lacks);
                }
            }
            (None, None) => "no policy isolates the pod".clone_into(&mut reason.because),
        }
    }

    /// What one rule opens between these two ends, from the engine.
    fn lacks(&self, policy: &Policy, at: usize) -> String {
        let End::Pod(subject) = self.subject() else {
            return String::new();
        };
        let only = |rules: &Option<Vec<bulkhead_policy::Rule>>| {
            rules
                .as_ref()
                .map(|rules| rules.get(at).cloned().into_iter().collect())
        };
        let alone = match self.direction {
            Direction::Ingress => Policy {
                ingress: only(&policy.ingress),
                egress: None,
                ..policy.clone()
            },
            Direction::Egress => Policy {
                egress: only(&policy.egress),
                ingress: None,
                ..policy.clone()
            },
        };
        let window = Window::settled([Arc::new(alone)]);
        let peer: Endpoint<'_> = self.peer().endpoint(self.state);
        let (world, pod) = (&self.state.world, &self.state.pods[subject]);
        let surely = window.guaranteed_ports(world, pod, self.direction, &peer);
        if !surely.is_empty() {
            return format!("names this peer on {surely} only");
        }
        let perhaps = window.possible_ports(world, pod, self.direction, &peer);
        if perhaps.is_empty() {
            "does not name this peer".to_owned()
        } else {
            format!("may name this peer on {perhaps}")
        }
    }

    fn text(&self, spec: &NetworkPolicySpec, at: usize) -> String {
        let value = match self.direction {
            Direction::Ingress => spec
                .ingress
                .as_ref()
                .and_then(|r| serde_json::to_value(r.get(at)?).ok()),
            Direction::Egress => spec
                .egress
                .as_ref()
                .and_then(|r| serde_json::to_value(r.get(at)?).ok()),
        };
        value.unwrap_or(Value::Null).to_string()
    }

    fn field(&self, at: usize) -> String {
        format!("spec.{}[{at}]", self.direction.as_str().to_lowercase())
    }

    fn policy(&self, policy: &Policy) -> PolicyRef {
        let source = self.state.written(policy).map(|w| &w.source);
        PolicyRef {
            policy: format!("{}/{}", policy.namespace, policy.name),
            place: source.and_then(|s| s.place_of("spec")),
        }
    }

    fn rule(&self, policy: &Policy, at: usize, says: impl Fn(&NetworkPolicySpec) -> String) -> RuleRef {
        let written = self.state.written(policy);
        let rule = self.field(at);
        RuleRef {
            policy: format!("{}/{}", policy.namespace, policy.name),
            place: written.and_then(|w| w.source.place_of(&rule)),
            says: written.map(|w| says(&w.spec)).unwrap_or_default(),
            rule,
        }
    }

    fn cluster_rule(&self, policy: &ClusterPolicy, at: usize) -> RuleRef {
        let written = self
            .state
            .written_cluster()
            .find(|(p, _)| std::ptr::eq(*p, policy))
            .map(|(_, written)| written);
        let rule = self.field(at);
        RuleRef {
            policy: written.map_or_else(|| policy.name.to_string(), WrittenCluster::title),
            place: written.and_then(|w| w.source.place_of(&rule)),
            says: format!("{:?}", policy.rules(self.direction)[at].action),
            rule,
        }
    }
}
