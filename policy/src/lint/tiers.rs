//! Checks on the cluster policies of the tiers.

use crate::flows::{self, Channel, Flows};
use crate::lower::{Covers, covers};
use crate::policy::Direction;
use crate::ports::{PortSet, Protocol};
use crate::region::Region;
use crate::tiers::{ClusterPeer, ClusterPolicy, ClusterRule};
use crate::world::{Endpoint, Pod};

use super::{Check, Finding, Surroundings};

/// Runs every check on cluster policies. Findings have no namespace.
pub fn lint_tiers(around: Surroundings<'_>, policies: &[ClusterPolicy]) -> Vec<Finding> {
    let each = policies
        .iter()
        .flat_map(|policy| lint_tier(around, policies, policy));
    each.collect()
}

/// Runs every check on one of the cluster policies.
pub fn lint_tier(around: Surroundings<'_>, all: &[ClusterPolicy], policy: &ClusterPolicy) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |check, field: String, message: String| {
        findings.push(Finding {
            check,
            namespace: "".into(),
            name: policy.name.clone(),
            field,
            message,
        });
    };
    let subject = |pod: &Pod| policy.applies_to(around.world, pod);
    if !around.pods.is_empty() && !around.pods.iter().any(subject) {
        add(
            Check::SelectsNothing,
            "spec.subject".into(),
            "matches no pod today".into(),
        );
    }
    for direction in Direction::ALL {
        let (list, peers) = match direction {
            Direction::Ingress => ("ingress", "from"),
            Direction::Egress => ("egress", "to"),
        };
        for (at, rule) in policy.rules(direction).iter().enumerate() {
            let field = format!("spec.{list}[{at}]");
            for (i, peer) in rule.peers.iter().enumerate() {
                if is_nobody(around, direction, peer) {
                    let message = "matches no pod today".into();
                    add(
                        Check::PeerMatchesNothing,
                        format!("{field}.{peers}[{i}]"),
                        message,
                    );
                }
            }
            if let Some(message) = shadowed(all, policy, direction, at) {
                add(Check::ShadowedRule, field.clone(), message);
            }
            if let Some(other) = contradicting(all, policy, direction, at) {
                let message = format!(
                    "policy {other} has the same priority and does something else with some of it; \
                     nobody can say which comes first"
                );
                add(Check::EqualPriority, field, message);
            }
        }
    }
    findings
}

/// A peer that selects pods, and none of them is there.
fn is_nobody(around: Surroundings<'_>, direction: Direction, peer: &ClusterPeer) -> bool {
    let ClusterPeer::Pods { namespaces, pods } = peer else {
        return false;
    };
    let region = Region::pods(namespaces.clone(), pods.clone());
    let hit = |pod: &Pod| covers(around.world, &region, direction, &Endpoint::Pod(pod)) == Covers::Yes;
    !around.pods.is_empty() && !around.pods.iter().any(hit)
}

/// Why a rule can never decide: rules that are looked at before it match everything that it matches.
fn shadowed(
    all: &[ClusterPolicy],
    policy: &ClusterPolicy,
    direction: Direction,
    at: usize,
) -> Option<String> {
    let rules = policy.rules(direction);
    let mine = matched(&rules[at], false)?;
    let own: Vec<Flows> = rules[..at]
        .iter()
        .filter_map(|rule| matched(rule, true))
        .flatten()
        .collect();
    if covered(&mine, &own) {
        return Some("earlier rules of this policy match all of it".into());
    }
    let before = |other: &&ClusterPolicy| {
        other.tier == policy.tier
            && other.priority < policy.priority
            && policy.namespaces.is_subset_of(&other.namespaces)
            && policy.pods.is_subset_of(&other.pods)
    };
    let others = all.iter().filter(before).flat_map(|other| other.rules(direction));
    let others: Vec<Flows> = others
        .filter_map(|rule| matched(rule, true))
        .flatten()
        .chain(own)
        .collect();
    covered(&mine, &others).then(|| "rules of policies with a lower priority number match all of it".into())
}

/// Another policy of the same priority that does something else with a part of what a rule matches.
fn contradicting<'a>(
    all: &'a [ClusterPolicy],
    policy: &ClusterPolicy,
    direction: Direction,
    at: usize,
) -> Option<&'a str> {
    let rule = &policy.rules(direction)[at];
    let mine = matched(rule, false)?;
    let rivals = all.iter().filter(|other| {
        other.tier == policy.tier
            && other.priority == policy.priority
            && other.name < policy.name
            && policy.namespaces.intersects(&other.namespaces)
            && policy.pods.intersects(&other.pods)
    });
    let clashes = |theirs: &ClusterRule| {
        theirs.action != rule.action
            && matched(theirs, false).is_some_and(|theirs| {
                flows::intersect(&mine, &theirs).is_none_or(|common| !common.is_empty())
            })
    };
    let mut rivals = rivals.filter(|other| other.rules(direction).iter().any(clashes));
    rivals.next().map(|other| &*other.name)
}

fn covered(wanted: &[Flows], covers: &[Flows]) -> bool {
    !wanted.is_empty() && flows::subtract(wanted.to_vec(), covers).is_empty()
}

/// What a rule matches. With `surely` only what it matches whatever is not known about nodes and domains;
/// `None` when that cannot be told.
fn matched(rule: &ClusterRule, surely: bool) -> Option<Vec<Flows>> {
    let mut regions = Vec::new();
    for peer in &rule.peers {
        match peer {
            ClusterPeer::Pods { namespaces, pods } => {
                regions.push(Region::pods(namespaces.clone(), pods.clone()));
            }
            ClusterPeer::Networks(set) => regions.push(Region::Addresses(set.clone())),
            ClusterPeer::Nodes(selector) if !surely || selector.is_everything() => regions.push(Region::Host),
            ClusterPeer::Domains(_) if !surely => return None,
            ClusterPeer::Nodes(_) | ClusterPeer::Domains(_) => {}
        }
    }
    let channels = match &rule.ports {
        None => vec![Channel::Ports(PortSet::all()), Channel::OtherProtocols],
        Some(ports) => {
            let named = ports
                .names
                .iter()
                .flat_map(|name| Protocol::ALL.map(|protocol| Channel::Named(protocol, name.clone())));
            let numbers = Channel::Ports(ports.numbers.clone());
            let numbers = (!ports.numbers.is_empty()).then_some(numbers);
            named.chain(numbers).collect()
        }
    };
    let flows = |peers: &Region| {
        let with = |channel: &Channel| Flows {
            peers: peers.clone(),
            channel: channel.clone(),
        };
        channels.iter().map(with).collect::<Vec<_>>()
    };
    Some(regions.iter().flat_map(flows).collect())
}
