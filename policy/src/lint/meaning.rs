//! Checks on what a policy does among the pods and policies around it.

use crate::address::AddressSet;
use crate::dialect::HOST_NETWORK_NAMESPACE;
use crate::flows::{self, Flows};
use crate::labels::NAMESPACE_NAME_LABEL;
use crate::lower::{Covers, Lowered, covers};
use crate::policy::{Direction, Peer, Policy, Port, Rule};
use crate::ports::Protocol;
use crate::region::Region;
use crate::selector::Selector;
use crate::world::{Endpoint, Pod, PodState};

use super::{Check, Report, Subject, Surroundings};

/// The namespace of OpenShift's DNS pods, and where they listen.
const DNS_NAMESPACE: &str = "openshift-dns";
const DNS_POD_PORT: u16 = 5353;
const DNS_SERVICE_PORT: u16 = 53;
/// Where API servers listen unless they are hosted elsewhere.
const API_PORT: u16 = 6443;

pub(super) fn check(around: Surroundings<'_>, policy: &Policy, all: &[Subject<'_>], report: &mut Report<'_>) {
    let selected = |pod: &&Pod| pod.namespace == policy.namespace && policy.pods.matches(&pod.labels);
    if !around.pods.is_empty() && !around.pods.iter().any(|pod| selected(&pod)) {
        report.add(Check::SelectsNothing, "spec.podSelector", "matches no pod today");
    }
    for direction in Direction::ALL {
        let (list, peers) = match direction {
            Direction::Ingress => ("ingress", "from"),
            Direction::Egress => ("egress", "to"),
        };
        for (at, rule) in policy.rules(direction).unwrap_or_default().iter().enumerate() {
            let path = format!("spec.{list}[{at}]");
            for (i, peer) in rule.peers.iter().enumerate() {
                check_peer(
                    around,
                    policy,
                    (direction, peer),
                    &format!("{path}.{peers}[{i}]"),
                    report,
                );
                check_block(
                    around,
                    (policy, direction, peer),
                    all,
                    &format!("{path}.{peers}[{i}].ipBlock"),
                    report,
                );
            }
            if direction == Direction::Egress {
                check_egress(rule, &path, report);
            }
            check_services(around, policy, (direction, rule), &path, report);
            check_redundant(around, (policy, direction, at), all, &path, report);
        }
    }
}

fn check_peer(
    around: Surroundings<'_>,
    policy: &Policy,
    (direction, peer): (Direction, &Peer),
    path: &str,
    report: &mut Report<'_>,
) {
    let Peer::Pods { namespaces, pods } = peer else {
        return;
    };
    let labels = around.world.namespace_labels(HOST_NETWORK_NAMESPACE);
    let means_host = |selector: &Selector| !selector.is_everything() && selector.matches(&labels);
    let host = namespaces.as_ref().is_some_and(means_host) && direction == Direction::Ingress;
    if host && pods.is_some() {
        let advice =
            format!("with a podSelector {HOST_NETWORK_NAMESPACE} holds nothing; leave podSelector out");
        return report.add(Check::HostWithPodSelector, path, advice);
    }
    let selected = namespaces
        .clone()
        .unwrap_or_else(|| Selector::namespace_name(&policy.namespace));
    let region = Region::pods(selected.on_namespaces(), pods.clone().unwrap_or_default());
    let hit = |pod: &Pod| covers(around.world, &region, direction, &Endpoint::Pod(pod)) == Covers::Yes;
    if !host && !around.pods.is_empty() && !around.pods.iter().any(hit) {
        report.add(Check::PeerMatchesNothing, path, "matches no pod today");
    }
}

fn check_block(
    around: Surroundings<'_>,
    (policy, direction, peer): (&Policy, Direction, &Peer),
    all: &[Subject<'_>],
    path: &str,
    report: &mut Report<'_>,
) {
    let Peer::IpBlock { cidr, except } = peer else {
        return;
    };
    let block = AddressSet::block(cidr, except);
    let holds = |pod: &&Pod| {
        pod.state == PodState::Networked && pod.addresses.iter().any(|address| block.contains(*address))
    };
    // A block of everything is not about pods.
    if let Some(pod) = around.pods.iter().find(holds).filter(|_| cidr.prefix_len() > 0) {
        let advice = format!(
            "holds pod {}/{}; some network plugins never match pods by address, so select them by labels",
            pod.namespace, pod.name
        );
        report.add(Check::BlockOfPods, path, advice);
    }
    let left_out = except.iter().fold(AddressSet::default(), |all, hole| {
        all.union(&AddressSet::network(hole))
    });
    let reopens = |other: &&Policy| {
        let rules = other.rules(direction).unwrap_or_default().iter();
        let blocks = rules.flat_map(|rule| &rule.peers).filter_map(|peer| match peer {
            Peer::IpBlock { cidr, except } => Some(AddressSet::block(cidr, except)),
            Peer::Pods { .. } => None,
        });
        let mut blocks = blocks.filter(|other| *other != block);
        other.namespace == policy.namespace
            && other.pods.intersects(&policy.pods)
            && blocks.any(|other| other.intersects(&left_out))
    };
    if let Some(other) = all.iter().map(|subject| subject.policy).find(reopens) {
        let advice = format!(
            "what except leaves out is opened by a rule of policy {}: rules only add to each other",
            other.name
        );
        report.add(Check::ExceptReopened, format!("{path}.except"), advice);
    }
}

fn check_egress(rule: &Rule, path: &str, report: &mut Report<'_>) {
    let opens = |protocol, number| {
        rule.ports.iter().any(|port| {
            port.protocol == protocol
                && match port.port {
                    Port::Any => true,
                    Port::Range(first, last) => (first..=last).contains(&number),
                    Port::Named(_) => false,
                }
        })
    };
    let only = |number| {
        rule.ports
            .iter()
            .any(|port| port.port == Port::Range(number, number))
    };
    let field = format!("{path}.ports");
    for number in [DNS_SERVICE_PORT, DNS_POD_PORT] {
        if only(number) && opens(Protocol::Udp, number) && !opens(Protocol::Tcp, number) {
            let advice = format!("DNS needs TCP {number} too: long answers and retries use it");
            report.add(Check::DnsWithoutTcp, field.clone(), advice);
        }
    }
    let to_dns = rule.peers.iter().any(|peer| {
        let Peer::Pods {
            namespaces: Some(namespaces),
            ..
        } = peer
        else {
            return false;
        };
        let names = namespaces
            .required_values(NAMESPACE_NAME_LABEL)
            .unwrap_or_default();
        names.iter().any(|name| **name == *DNS_NAMESPACE)
    });
    if to_dns && only(DNS_SERVICE_PORT) && !opens(Protocol::Udp, DNS_POD_PORT) {
        let advice = format!(
            "the pods of {DNS_NAMESPACE} listen on {DNS_POD_PORT}; {DNS_SERVICE_PORT} is the port of the Service, \
             which policies never see"
        );
        report.add(Check::DnsPort, field.clone(), advice);
    }
    if only(API_PORT) {
        let advice = format!(
            "hosted API servers listen elsewhere than {API_PORT}; read the port from default/kubernetes"
        );
        report.add(Check::ApiPort, field, advice);
    }
}

/// Ports that only a Service has: its pods, which the rule reaches, listen elsewhere.
fn check_services(
    around: Surroundings<'_>,
    policy: &Policy,
    (direction, rule): (Direction, &Rule),
    path: &str,
    report: &mut Report<'_>,
) {
    let own = Selector::namespace_name(&policy.namespace);
    let lowered = Lowered::new(around.world, &own, direction, rule);
    let reached = |pod: &Pod| match direction {
        Direction::Ingress => pod.namespace == policy.namespace && policy.pods.matches(&pod.labels),
        Direction::Egress => {
            let named = lowered
                .regions
                .iter()
                .filter(|region| matches!(region, Region::Pods { .. }));
            let mut named = named.filter(|_| !rule.peers.is_empty());
            named.any(|region| covers(around.world, region, direction, &Endpoint::Pod(pod)) == Covers::Yes)
        }
    };
    for service in around
        .services
        .iter()
        .filter(|service| service.port != service.target)
    {
        let (dialled, target) = (service.port, service.target);
        let named = rule
            .ports
            .iter()
            .any(|port| port.protocol == service.protocol && port.port == Port::Range(dialled, dialled));
        let behind = |pod: &&Pod| pod.namespace == service.namespace && service.pods.matches(&pod.labels);
        let opens_target = lowered.numbers.contains(service.protocol, target);
        if named && !opens_target && around.pods.iter().filter(behind).any(reached) {
            let advice = format!(
                "{} {dialled} is the port of Service {}/{}; its pods listen on {target}, which is what policies see",
                service.protocol, service.namespace, service.name
            );
            report.add(Check::ServicePort, format!("{path}.ports"), advice);
        }
    }
}

/// A rule whose connections other rules allow anyway, in this policy or in one that selects at least its pods.
fn check_redundant(
    around: Surroundings<'_>,
    (policy, direction, at): (&Policy, Direction, usize),
    all: &[Subject<'_>],
    path: &str,
    report: &mut Report<'_>,
) {
    let rules = policy.rules(direction).unwrap_or_default();
    let Some(mine) = flows_of(around, policy, direction, &rules[at]) else {
        return;
    };
    let within = |index: usize| {
        rules
            .get(index)
            .and_then(|rule| flows_of(around, policy, direction, rule))
    };
    // Of two equal rules the later one is redundant.
    let earlier = |index: usize| index < at || within(index).is_some_and(|theirs| !covered(&theirs, &mine));
    let others: Vec<Flows> = (0..rules.len())
        .filter(|index| *index != at && earlier(*index))
        .filter_map(within)
        .flatten()
        .collect();
    if covered(&mine, &others) {
        return report.add(
            Check::RedundantRule,
            path,
            "other rules of this policy allow all of it",
        );
    }
    for other in all.iter().map(|subject| subject.policy) {
        let elsewhere = other.namespace != policy.namespace || std::ptr::eq(other, policy);
        if elsewhere || !policy.pods.is_subset_of(&other.pods) {
            continue;
        }
        let theirs = other.rules(direction).unwrap_or_default().iter();
        let theirs: Vec<Flows> = theirs
            .filter_map(|rule| flows_of(around, other, direction, rule))
            .flatten()
            .collect();
        let equal = policy.pods == other.pods && covered(&theirs, &mine);
        if covered(&mine, &theirs) && !(equal && policy.name < other.name) {
            return report.add(
                Check::RedundantRule,
                path,
                format!("policy {} allows all of it", other.name),
            );
        }
    }
}

fn covered(wanted: &[Flows], covers: &[Flows]) -> bool {
    flows::subtract(wanted.to_vec(), covers).is_empty()
}

/// What a rule allows to any pod; `None` when that hangs on the pod's port names.
fn flows_of(
    around: Surroundings<'_>,
    policy: &Policy,
    direction: Direction,
    rule: &Rule,
) -> Option<Vec<Flows>> {
    let lowered = Lowered::new(
        around.world,
        &Selector::namespace_name(&policy.namespace),
        direction,
        rule,
    );
    lowered
        .names
        .is_empty()
        .then(|| flows::allowed_by(&[lowered], direction, &Pod::default()))
}
