//! Verdicts through all tiers.

use crate::address::AddressSet;
use crate::family::{Family, Seen};
use crate::lower::{Covers, Unknown, among, covers};
use crate::policy::{Direction, Policy};
use crate::region::Region;
use crate::verdict::{Decision, Traffic, Verdict, allowed_in_one, without_policies};
use crate::world::{Endpoint, Pod, PodState, World};

use super::{Action, ClusterPeer, ClusterPolicy, ClusterPorts, ClusterRule, Tier};

/// What decided about one side of a connection.
#[derive(Clone, Debug)]
pub enum Decider<'a> {
    /// A rule of a cluster policy, by its position.
    Cluster(&'a ClusterPolicy, usize),
    /// The policies of the pod's namespace.
    Namespaced(Decision<'a>),
    /// Nothing applies, so everything is allowed, or the pod is not policed.
    Nobody,
    /// Several answers are possible.
    Undecided,
    /// Something else decides in each address family.
    Families(Vec<(Family, Side<'a>)>),
}

/// One side's verdict and what decided it.
#[derive(Clone, Debug)]
pub struct Side<'a> {
    /// The answer.
    pub verdict: Verdict,
    /// What decided.
    pub by: Decider<'a>,
}

/// Both sides of a connection through all tiers.
#[derive(Clone, Debug)]
pub struct Tiered<'a> {
    /// Allowed only when both sides allow.
    pub verdict: Verdict,
    /// The source's side; `None` when it is no pod.
    pub egress: Option<Side<'a>>,
    /// The destination's side; `None` when it is no pod.
    pub ingress: Option<Side<'a>>,
}

/// Whether `source` may send `traffic` to `destination`, with the policies of all tiers and in each address
/// family apart.
pub fn connection<'a, P>(
    world: &World,
    cluster: &'a [ClusterPolicy],
    policies: P,
    source: &Endpoint<'_>,
    destination: &Endpoint<'_>,
    traffic: Traffic,
) -> Tiered<'a>
where
    P: IntoIterator<Item = &'a Policy> + Clone,
{
    let in_family = |family: Family| {
        let (source, destination) = (Seen::new(source, family), Seen::new(destination, family));
        let (source, destination) = (source.endpoint(), destination.endpoint());
        let found = connection_in_one(world, cluster, policies.clone(), &source, &destination, traffic);
        (family, found)
    };
    let each = Family::apart(source, destination).into_iter().map(in_family);
    let both = each.reduce(|(family, one), (other, two)| (family, one.with_family(family, two, other)));
    match both {
        Some((_, found)) => found,
        None => connection_in_one(world, cluster, policies, source, destination, traffic),
    }
}

fn connection_in_one<'a, P>(
    world: &World,
    cluster: &'a [ClusterPolicy],
    policies: P,
    source: &Endpoint<'_>,
    destination: &Endpoint<'_>,
    traffic: Traffic,
) -> Tiered<'a>
where
    P: IntoIterator<Item = &'a Policy> + Clone,
{
    let side = |policies: P, direction, end: &Endpoint<'_>, peer: &Endpoint<'_>| match end {
        Endpoint::Pod(pod) => {
            let question = Question {
                world,
                direction,
                pod,
                peer,
                traffic,
            };
            Some(question.side(cluster, policies))
        }
        _ => None,
    };
    let egress = side(policies.clone(), Direction::Egress, source, destination);
    let ingress = side(policies, Direction::Ingress, destination, source);
    let verdict = |side: &Option<Side<'_>>| side.as_ref().map_or(Verdict::Allowed, |side| side.verdict);
    Tiered {
        verdict: verdict(&egress).and(verdict(&ingress)),
        egress,
        ingress,
    }
}

impl Tiered<'_> {
    fn with_family(self, own: Family, other: Self, others: Family) -> Self {
        let both = |a: Option<_>, b| a.zip(b).map(|(a, b)| Side::with_family(a, own, b, others));
        Self {
            verdict: self.verdict.of_families(other.verdict),
            egress: both(self.egress, other.egress),
            ingress: both(self.ingress, other.ingress),
        }
    }
}

impl Side<'_> {
    /// Both families' side, with the reasons of both where they differ.
    fn with_family(self, own: Family, other: Self, others: Family) -> Self {
        let verdict = self.verdict.of_families(other.verdict);
        let same = match (&self.by, &other.by) {
            (Decider::Cluster(a, at), Decider::Cluster(b, bt)) => std::ptr::eq(*a, *b) && at == bt,
            (Decider::Nobody, Decider::Nobody) => self.verdict == other.verdict,
            (Decider::Undecided, Decider::Undecided) => true,
            _ => false,
        };
        let by = match (self.by, other.by) {
            (by, _) if same => by,
            (Decider::Namespaced(a), Decider::Namespaced(b)) => Decider::Namespaced(a.with_family(b)),
            (by, other_by) => Decider::Families(vec![
                (
                    own,
                    Self {
                        verdict: self.verdict,
                        by,
                    },
                ),
                (
                    others,
                    Self {
                        verdict: other.verdict,
                        by: other_by,
                    },
                ),
            ]),
        };
        Self { verdict, by }
    }
}

/// What may come out of a policy or tier.
#[derive(Clone, Copy)]
enum Outcome<'a> {
    /// A rule that matches.
    Rule(&'a ClusterPolicy, usize),
    /// No rule matches.
    Nothing,
}

/// Everything that may come out, and why it is not one thing.
#[derive(Default)]
struct Outcomes<'a> {
    all: Vec<Outcome<'a>>,
    why: Option<Unknown>,
}

struct Question<'q> {
    world: &'q World,
    direction: Direction,
    pod: &'q Pod,
    peer: &'q Endpoint<'q>,
    traffic: Traffic,
}

impl Question<'_> {
    fn side<'a>(
        &self,
        cluster: &'a [ClusterPolicy],
        policies: impl IntoIterator<Item = &'a Policy>,
    ) -> Side<'a> {
        if let Some(verdict) = without_policies(self.world, self.pod, self.direction, self.peer) {
            return Side {
                verdict,
                by: Decider::Nobody,
            };
        }
        let admin = self.tier(cluster, Tier::Admin);
        let mut why = admin.why;
        let mut answers = Vec::new();
        let mut left = false;
        for outcome in admin.all {
            match outcome {
                Outcome::Rule(policy, at) if policy.rules(self.direction)[at].action != Action::Pass => {
                    answers.push(final_rule(self.direction, policy, at));
                }
                _ => left = true,
            }
        }
        if left {
            let (after, reason) = self.after_admin(cluster, policies);
            answers.extend(after);
            why = why.or(reason);
        }
        agreed(answers, why)
    }

    /// What may come of traffic that the Admin tier leaves to others.
    fn after_admin<'a>(
        &self,
        cluster: &'a [ClusterPolicy],
        policies: impl IntoIterator<Item = &'a Policy>,
    ) -> (Vec<Side<'a>>, Option<Unknown>) {
        let decision = allowed_in_one(
            self.world,
            policies,
            self.direction,
            self.pod,
            self.peer,
            self.traffic,
        );
        if !decision.isolated_by.is_empty() {
            return (
                vec![Side {
                    verdict: decision.verdict,
                    by: Decider::Namespaced(decision),
                }],
                None,
            );
        }
        let baseline = self.tier(cluster, Tier::Baseline);
        let answer = |outcome: &Outcome<'a>| match outcome {
            Outcome::Rule(policy, at) => final_rule(self.direction, policy, *at),
            Outcome::Nothing => Side {
                verdict: Verdict::Allowed,
                by: Decider::Nobody,
            },
        };
        (baseline.all.iter().map(answer).collect(), baseline.why)
    }

    /// What may come out of a tier. Policies of one priority may be looked at in any order.
    fn tier<'a>(&self, cluster: &'a [ClusterPolicy], tier: Tier) -> Outcomes<'a> {
        let mut policies: Vec<&ClusterPolicy> = cluster
            .iter()
            .filter(|policy| policy.tier == tier && policy.applies_to(self.world, self.pod))
            .collect();
        policies.sort_by_key(|policy| policy.priority);
        let mut found = Outcomes::default();
        for equals in policies.chunk_by(|a, b| a.priority == b.priority) {
            let each: Vec<Outcomes<'_>> = equals.iter().map(|policy| self.policy(policy)).collect();
            let falls = |o: &Outcomes<'_>| o.all.iter().any(|outcome| matches!(outcome, Outcome::Nothing));
            let falls_through = each.iter().all(falls);
            let matching = each
                .iter()
                .filter(|o| o.all.iter().any(|x| matches!(x, Outcome::Rule(..))))
                .count();
            if matching > 1 {
                found.why = found.why.or(Some(Unknown::EqualPriorities));
            }
            for outcomes in each {
                found.why = found.why.or(outcomes.why);
                found.all.extend(
                    outcomes
                        .all
                        .into_iter()
                        .filter(|o| matches!(o, Outcome::Rule(..))),
                );
            }
            if !falls_through {
                return found;
            }
        }
        found.all.push(Outcome::Nothing);
        found
    }

    fn policy<'a>(&self, policy: &'a ClusterPolicy) -> Outcomes<'a> {
        let mut found = Outcomes::default();
        for (at, rule) in policy.rules(self.direction).iter().enumerate() {
            match self.matches(rule) {
                Covers::No => continue,
                Covers::Maybe(why) => found.why = found.why.or(Some(why)),
                Covers::Yes => {
                    found.all.push(Outcome::Rule(policy, at));
                    return found;
                }
            }
            found.all.push(Outcome::Rule(policy, at));
        }
        found.all.push(Outcome::Nothing);
        found
    }

    fn matches(&self, rule: &ClusterRule) -> Covers {
        let mut best = Covers::No;
        for peer in &rule.peers {
            if !rule.ports.as_ref().is_none_or(|ports| self.on_port(ports, peer)) {
                continue;
            }
            match self.covers(peer) {
                Covers::Yes => return Covers::Yes,
                maybe @ Covers::Maybe(_) => best = maybe,
                Covers::No => {}
            }
        }
        best
    }

    fn on_port(&self, ports: &ClusterPorts, peer: &ClusterPeer) -> bool {
        let Traffic::Port(protocol, port) = self.traffic else {
            return false;
        };
        let destination = match (self.direction, peer, self.peer) {
            (Direction::Ingress, ..) => Some(self.pod),
            (Direction::Egress, ClusterPeer::Pods { .. }, Endpoint::Pod(pod)) => Some(*pod),
            (Direction::Egress, ..) => None,
        };
        let named = |pod: &Pod| {
            ports
                .names
                .iter()
                .any(|name| pod.port_numbers(protocol, name).any(|p| p == port))
        };
        ports.numbers.contains(protocol, port) || destination.is_some_and(named)
    }

    fn covers(&self, peer: &ClusterPeer) -> Covers {
        match peer {
            ClusterPeer::Pods { namespaces, pods } => {
                let region = Region::pods(namespaces.clone(), pods.clone());
                covers(self.world, &region, self.direction, self.peer)
            }
            ClusterPeer::Nodes(selector) => match self.peer {
                Endpoint::Pod(pod) if pod.state != PodState::HostNetwork => Covers::No,
                Endpoint::External(_) | Endpoint::ExternalUnknown => Covers::No,
                _ if selector.is_everything() => Covers::Yes,
                Endpoint::Node(node) if selector.matches(&node.labels) => Covers::Yes,
                Endpoint::Node(_) => Covers::No,
                _ => Covers::Maybe(Unknown::NodeLabels),
            },
            ClusterPeer::Networks(set) => self.in_networks(set),
            ClusterPeer::Domains(_) => match self.peer {
                Endpoint::External(_) | Endpoint::ExternalUnknown => Covers::Maybe(Unknown::DomainNames),
                _ => Covers::No,
            },
        }
    }

    /// Networks cover whoever has the address, by definition and whatever the network plugin.
    fn in_networks(&self, set: &AddressSet) -> Covers {
        match self.peer {
            Endpoint::Pod(pod) => among(set, &pod.addresses),
            Endpoint::Host { address } => among(set, address.as_slice()),
            Endpoint::Node(node) => among(set, &node.addresses),
            Endpoint::External(address) => among(set, &[*address]),
            Endpoint::OwnNode | Endpoint::ExternalUnknown => among(set, &[]),
        }
    }
}

/// A matching rule that ends the evaluation; Pass ends the Baseline tier with the default.
fn final_rule(direction: Direction, policy: &ClusterPolicy, at: usize) -> Side<'_> {
    let verdict = match policy.rules(direction)[at].action {
        Action::Accept | Action::Pass => Verdict::Allowed,
        Action::Deny => Verdict::Denied,
    };
    Side {
        verdict,
        by: Decider::Cluster(policy, at),
    }
}

/// The answer that all possible ways agree on.
fn agreed(mut answers: Vec<Side<'_>>, why: Option<Unknown>) -> Side<'_> {
    let first = answers.first().map(|side| side.verdict);
    match (first, answers.iter().all(|side| Some(side.verdict) == first), why) {
        (Some(_), true, _) => answers.swap_remove(0),
        (_, _, why) => {
            let verdict = Verdict::Unknown(why.unwrap_or(Unknown::EqualPriorities));
            Side {
                verdict,
                by: Decider::Undecided,
            }
        }
    }
}
