//! The tiers of the cluster's administrator around NetworkPolicy, with the traps that concern them.
#![allow(clippy::unwrap_used)] // in helpers of tests a failed unwrap is a failed test

mod common;

use bulkhead_policy::tiers::{
    ClusterPolicy, Decider, connection, parse_admin, parse_baseline, parse_cluster,
};
use bulkhead_policy::{Dialect, Endpoint, Pod, PodState, Policy, Protocol, Traffic, Unknown, Verdict, World};
use common::random::{self, FULL, as_pod, spec};
use common::scene::{PodExt, host, outside, pod, policy, tcp, udp};
use proptest::prelude::*;

fn cnp(tier: &str, priority: u16, rules: &str) -> ClusterPolicy {
    let text = format!("{{tier: {tier}, priority: {priority}, subject: {{namespaces: {{}}}}, {rules}}}");
    parse_cluster(
        format!("{tier}-{priority}"),
        &serde_yaml::from_str(&text).unwrap(),
    )
    .unwrap()
}

fn any(action: &str) -> String {
    format!("ingress: [{{action: {action}, from: [{{namespaces: {{}}}}]}}]")
}

fn ask(cluster: &[ClusterPolicy], policies: &[Policy]) -> Verdict {
    let (server, client) = (pod("home", "s", []), pod("away", "c", []));
    connection(
        &World::default(),
        cluster,
        policies,
        &client.end(),
        &server.end(),
        tcp(80),
    )
    .verdict
}

fn egress_verdict(rules: &str, to: &Endpoint<'_>, traffic: Traffic) -> Verdict {
    let client = pod("home", "c", []);
    let world = World::new(Dialect::cilium());
    connection(&world, &[cnp("Admin", 1, rules)], &[], &client.end(), to, traffic).verdict
}

#[test]
fn trap_31_equal_priorities_are_undecided_only_where_they_disagree() {
    let (accept, deny) = (cnp("Admin", 5, &any("Accept")), cnp("Admin", 5, &any("Deny")));
    let both = [accept.clone(), deny.clone()];
    assert_eq!(ask(&both, &[]), Verdict::Unknown(Unknown::EqualPriorities));
    assert_eq!(ask(&[accept.clone(), accept.clone()], &[]), Verdict::Allowed);
    let elsewhere = ClusterPolicy {
        namespaces: bulkhead_policy::Selector::namespace_name("other"),
        ..deny.clone()
    };
    assert_eq!(ask(&[accept.clone(), elsewhere], &[]), Verdict::Allowed);
    let first = ClusterPolicy { priority: 4, ..deny };
    assert_eq!(ask(&[accept, first], &[]), Verdict::Denied);
}

#[test]
fn trap_32_each_version_spells_actions_and_ports_in_its_own_way() {
    let admin = |rules: &str| {
        let text = format!("{{priority: 1, subject: {{namespaces: {{}}}}, {rules}}}");
        parse_admin("a", &serde_yaml::from_str(&text).unwrap())
    };
    let old = admin("ingress: [{action: Allow, from: [{namespaces: {}}], ports: [{portNumber: {protocol: TCP, port: 80}}, \
        {portRange: {protocol: UDP, start: 5, end: 9}}, {namedPort: web}]}]")
    .unwrap();
    let new = cnp(
        "Admin",
        1,
        "ingress: [{action: Accept, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}, \
         {udp: {destinationPort: {range: {start: 5, end: 9}}}}, {destinationNamedPort: web}]}]",
    );
    assert_eq!(old.ingress, new.ingress);
    let text = admin("ingress: [{action: Accept, from: [{namespaces: {}}]}]")
        .unwrap_err()
        .to_string();
    assert_eq!(
        text,
        "spec.ingress[0].action: \"Accept\" is not Allow, Deny or Pass"
    );
    let baseline: bulkhead_policy::tiers::AdminSpec = serde_yaml::from_str(
        "{subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {}}]}]}",
    )
    .unwrap();
    assert!(
        parse_baseline("default", &baseline)
            .unwrap_err()
            .to_string()
            .contains("is not Allow or Deny")
    );
    let text = "{tier: admin, priority: 1001, subject: {namespaces: {}, pods: {}}, egress: [{action: Deny, to: []}]}";
    let errors = parse_cluster("c", &serde_yaml::from_str(text).unwrap()).unwrap_err();
    let fields: Vec<&str> = errors.0.iter().map(|error| &*error.field).collect();
    assert_eq!(
        fields,
        ["spec.tier", "spec.priority", "spec.subject", "spec.egress[0].to"]
    );
}

#[test]
fn trap_33_the_tiers_are_asked_in_order_and_network_policy_shields_from_the_baseline() {
    let open = policy("home", "{podSelector: {}, ingress: [{}]}");
    let closed = policy("home", "{podSelector: {}, policyTypes: [Ingress]}");
    let baseline = || cnp("Baseline", 0, &any("Deny"));
    let pass = || cnp("Admin", 1, &any("Pass"));
    let late_deny = || cnp("Admin", 2, &any("Deny"));
    let accept = || cnp("Admin", 1, &any("Accept"));
    assert_eq!(
        ask(&[accept()], std::slice::from_ref(&closed)),
        Verdict::Allowed,
        "Admin before NetworkPolicy"
    );
    assert_eq!(ask(&[baseline()], &[]), Verdict::Denied, "nothing isolates");
    assert_eq!(
        ask(&[baseline()], std::slice::from_ref(&open)),
        Verdict::Allowed,
        "NetworkPolicy decides"
    );
    assert_eq!(
        ask(&[pass(), late_deny()], &[]),
        Verdict::Allowed,
        "Pass leaves the tier"
    );
    assert_eq!(
        ask(&[pass(), late_deny(), baseline()], &[]),
        Verdict::Denied,
        "and reaches the Baseline"
    );
    assert_eq!(
        ask(&[pass()], &[closed]),
        Verdict::Denied,
        "and reaches NetworkPolicy"
    );
}

#[test]
fn trap_34_the_first_matching_rule_of_a_cluster_policy_wins() {
    let rules = |first: &str, second: &str| {
        format!(
            "ingress: [{{action: {first}, from: [{{namespaces: {{}}}}]}}, {{action: {second}, from: [{{namespaces: {{}}}}]}}]"
        )
    };
    assert_eq!(
        ask(&[cnp("Admin", 1, &rules("Deny", "Accept"))], &[]),
        Verdict::Denied
    );
    assert_eq!(
        ask(&[cnp("Admin", 1, &rules("Accept", "Deny"))], &[]),
        Verdict::Allowed
    );
}

#[test]
fn trap_17_networks_cover_pods_and_nodes_by_address_whatever_the_plugin() {
    let rules = "egress: [{action: Deny, to: [{networks: ['10.0.0.0/8', '192.0.2.0/24']}]}]";
    let inside = pod("away", "s", []).at("10.1.2.3");
    assert_eq!(egress_verdict(rules, &inside.end(), tcp(80)), Verdict::Denied);
    assert_eq!(
        egress_verdict(rules, &host("192.0.2.9"), tcp(80)),
        Verdict::Denied
    );
    assert_eq!(
        egress_verdict(rules, &outside("203.0.113.1"), tcp(80)),
        Verdict::Allowed
    );
}

#[test]
fn trap_20_subjects_and_peers_never_hold_pods_on_the_host_network() {
    let deny = [cnp("Admin", 1, &any("Deny"))];
    let on_host = pod("home", "h", []).state(PodState::HostNetwork);
    let server = pod("home", "s", []);
    let ask = |from: &Pod, to: &Pod| {
        connection(&World::default(), &deny, &[], &from.end(), &to.end(), tcp(80)).verdict
    };
    assert_eq!(ask(&server, &on_host), Verdict::Allowed);
    assert_eq!(ask(&on_host, &server), Verdict::Allowed);
}

#[test]
fn trap_16_a_rule_without_ports_covers_other_protocols_and_one_with_ports_does_not() {
    let deny_all = "egress: [{action: Deny, to: [{networks: ['0.0.0.0/0']}]}]";
    let deny_tcp = "egress: [{action: Deny, to: [{networks: ['0.0.0.0/0']}], protocols: [{tcp: {}}]}]";
    let to = outside("203.0.113.1");
    assert_eq!(egress_verdict(deny_all, &to, Traffic::Other), Verdict::Denied);
    assert_eq!(egress_verdict(deny_tcp, &to, Traffic::Other), Verdict::Allowed);
    assert_eq!(egress_verdict(deny_tcp, &to, udp(53)), Verdict::Allowed);
    assert_eq!(egress_verdict(deny_tcp, &to, tcp(53)), Verdict::Denied);
}

#[test]
fn domains_and_node_labels_are_undecided_unless_the_answer_is_the_same_anyway() {
    let named = "egress: [{action: Accept, to: [{domainNames: [example.com]}]}, {action: Deny, to: [{networks: ['0.0.0.0/0']}]}]";
    let to = outside("203.0.113.1");
    assert_eq!(
        egress_verdict(named, &to, tcp(443)),
        Verdict::Unknown(Unknown::DomainNames)
    );
    let harmless = "egress: [{action: Accept, to: [{domainNames: [example.com]}]}]";
    assert_eq!(egress_verdict(harmless, &to, tcp(443)), Verdict::Allowed);
    let labelled = "egress: [{action: Deny, to: [{nodes: {matchLabels: {role: infra}}}]}]";
    assert_eq!(
        egress_verdict(labelled, &host("192.0.2.1"), tcp(6443)),
        Verdict::Unknown(Unknown::NodeLabels)
    );
    let every = "egress: [{action: Deny, to: [{nodes: {}}]}]";
    assert_eq!(
        egress_verdict(every, &host("192.0.2.1"), tcp(6443)),
        Verdict::Denied
    );
}

#[test]
fn a_named_port_of_a_cluster_rule_is_looked_up_on_the_destination_whatever_its_protocol() {
    let rules = "egress: [{action: Deny, to: [{namespaces: {}}], protocols: [{destinationNamedPort: dns}]}]";
    let server = pod("away", "s", [])
        .port("dns", Protocol::Udp, 5353)
        .port("dns", Protocol::Tcp, 5354);
    let verdicts =
        [udp(5353), tcp(5354), tcp(5353)].map(|traffic| egress_verdict(rules, &server.end(), traffic));
    assert_eq!(verdicts, [Verdict::Denied, Verdict::Denied, Verdict::Allowed]);
}

#[test]
fn a_side_names_the_rule_that_decided() {
    let cluster = [cnp("Admin", 1, &any("Deny"))];
    let (server, client) = (pod("home", "s", []), pod("away", "c", []));
    let answer = connection(
        &World::default(),
        &cluster,
        &[],
        &client.end(),
        &server.end(),
        tcp(80),
    );
    let side = answer.ingress.unwrap();
    assert!(matches!(side.by, Decider::Cluster(policy, 0) if *policy.name == *"Admin-1"));
}

proptest! {
    #[test]
    fn passing_everything_equals_having_no_tier(
        (world, pods) in random::cluster(),
        specs in prop::collection::vec((0usize..3, spec(FULL)), 0..5),
        port in prop::sample::select(random::ports()),
    ) {
        let names = ["n0", "n1", "n2"];
        let policies: Vec<Policy> = specs.iter()
            .map(|(at, spec)| bulkhead_policy::v1::parse(names[*at], "random", spec).unwrap()).collect();
        let all = format!("{}, egress: [{{action: Pass, to: [{{namespaces: {{}}}}]}}]", any("Pass"));
        let cluster = [cnp("Admin", 1, &all), cnp("Baseline", 1, &all)];
        let pods: Vec<Pod> = pods.iter().map(as_pod).collect();
        let traffic = Traffic::Port(random::protocol(port.0), port.1);
        for from in &pods {
            for to in &pods {
                let plain = bulkhead_policy::connection(&world, &policies, &from.end(), &to.end(), traffic);
                let tiered = connection(&world, &cluster, &policies, &from.end(), &to.end(), traffic);
                prop_assert_eq!(plain.verdict, tiered.verdict);
            }
        }
    }
}
