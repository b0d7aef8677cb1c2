//! Rules, peers and policy types that are absent or empty.

use bulkhead_policy::v1::NetworkPolicySpec;
use bulkhead_policy::{Endpoint, World};

use crate::CLOSED;
use crate::common::scene::{PodExt, Scene, host, outside, pod, policy, read, tcp, udp};

#[test]
fn trap_01_absent_and_empty_rule_lists_allow_nothing_and_one_empty_rule_allows_all() {
    let (server, client) = (pod("home", "server", []), pod("home", "client", []));
    for (spec, allowed) in [
        ("{podSelector: {}, policyTypes: [Ingress]}", false),
        ("{podSelector: {}, policyTypes: [Ingress], ingress: null}", false),
        ("{podSelector: {}, policyTypes: [Ingress], ingress: []}", false),
        ("{podSelector: {}, policyTypes: [Ingress], ingress: [{}]}", true),
    ] {
        let scene = Scene::new().policy("home", spec);
        assert_eq!(
            scene.allows(client.end(), server.end(), tcp(80)),
            allowed,
            "{spec}"
        );
    }
}

#[test]
fn trap_02_absent_and_empty_peers_mean_anyone_even_outside_the_cluster() {
    let (server, client) = (pod("home", "server", []), pod("away", "client", []));
    for spec in [
        "{podSelector: {}, ingress: [{ports: [{port: 80}]}]}",
        "{podSelector: {}, ingress: [{from: [], ports: [{port: 80}]}]}",
    ] {
        let scene = Scene::new().policy("home", spec);
        for from in [
            client.end(),
            outside("203.0.113.9"),
            host("192.0.2.1"),
            Endpoint::ExternalUnknown,
        ] {
            assert!(scene.allows(from, server.end(), tcp(80)), "{from} with {spec}");
            assert!(!scene.allows(from, server.end(), tcp(81)), "{from} with {spec}");
        }
    }
}

#[test]
fn trap_03_absent_and_empty_ports_mean_all_but_one_empty_port_means_every_tcp_port() {
    let (server, client) = (pod("home", "server", []), pod("home", "client", []));
    for (rule, udp_too) in [
        ("{}", true),
        ("{ports: []}", true),
        ("{ports: null}", true),
        ("{ports: [{}]}", false),
    ] {
        let scene = Scene::new().policy("home", &format!("{{podSelector: {{}}, ingress: [{rule}]}}"));
        assert!(scene.allows(client.end(), server.end(), tcp(65535)), "{rule}");
        assert_eq!(
            scene.allows(client.end(), server.end(), udp(53)),
            udp_too,
            "{rule}"
        );
    }
}

#[test]
fn trap_04_selectors_in_one_peer_are_both_required_and_in_two_peers_either_is_enough() {
    let server = pod("home", "server", []);
    let matrix = [
        ("[{podSelector: {}}]", [true, true, false, false]),
        ("[{namespaceSelector: {}}]", [true, true, true, true]),
        (
            "[{namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchLabels: {app: x}}}]",
            [false, false, true, false],
        ),
        (
            "[{namespaceSelector: {matchLabels: {team: a}}}, {podSelector: {matchLabels: {app: x}}}]",
            [true, false, true, true],
        ),
    ];
    let clients = [
        pod("home", "1", [("app", "x")]),
        pod("home", "2", []),
        pod("away", "3", [("app", "x")]),
        pod("away", "4", []),
    ];
    for (from, expected) in matrix {
        let scene = Scene::new()
            .namespace("home", [])
            .namespace("away", [("team", "a")])
            .policy(
                "home",
                &format!("{{podSelector: {{}}, ingress: [{{from: {from}}}]}}"),
            );
        let seen = clients
            .each_ref()
            .map(|client| scene.allows(client.end(), server.end(), tcp(80)));
        assert_eq!(seen, expected, "{from}");
    }
}

#[test]
fn trap_05_a_namespace_selector_reaches_the_same_pods_with_an_absent_and_with_an_empty_pod_selector() {
    let server = pod("home", "server", []);
    for peer in [
        "{namespaceSelector: {matchLabels: {t: x}}}",
        "{namespaceSelector: {matchLabels: {t: x}}, podSelector: {}}",
    ] {
        let scene = Scene::new()
            .namespace("home", [])
            .namespace("away", [("t", "x")])
            .policy(
                "home",
                &format!("{{podSelector: {{}}, ingress: [{{from: [{peer}]}}]}}"),
            );
        assert!(scene.allows(pod("away", "c", []).end(), server.end(), tcp(80)));
        assert!(!scene.allows(pod("home", "c", []).end(), server.end(), tcp(80)));
    }
}

#[test]
fn trap_06_absent_policy_types_mean_ingress_and_egress_only_with_egress_rules() {
    for (spec, ingress, egress) in [
        ("{podSelector: {}}", true, false),
        ("{podSelector: {}, policyTypes: []}", true, false),
        ("{podSelector: {}, egress: []}", true, false),
        ("{podSelector: {}, egress: [{}]}", true, true),
        ("{podSelector: {}, policyTypes: [Egress]}", false, true),
    ] {
        let policy = read(spec).unwrap();
        assert_eq!(
            (policy.ingress.is_some(), policy.egress.is_some()),
            (ingress, egress),
            "{spec}"
        );
    }
}

#[test]
fn trap_07_ingress_rules_without_the_ingress_type_neither_isolate_nor_allow() {
    let scene = Scene::new().policy(
        "home",
        "{podSelector: {}, policyTypes: [Egress], ingress: [{from: [{podSelector: {}}]}]}",
    );
    assert!(scene.allows(pod("away", "c", []).end(), pod("home", "s", []).end(), tcp(80)));
    let closed = scene.policy("home", CLOSED);
    assert!(!closed.allows(outside("203.0.113.9"), pod("home", "s", []).end(), tcp(80)));
}

#[test]
fn trap_08_a_missing_or_null_pod_selector_selects_every_pod() {
    for spec in [
        "{policyTypes: [Ingress]}",
        "{podSelector: null, policyTypes: [Ingress]}",
    ] {
        assert!(read(spec).unwrap().pods.is_everything());
        assert!(
            !serde_yaml::to_string(&NetworkPolicySpec::from(&read(spec).unwrap()))
                .unwrap()
                .contains("podSelector: null")
        );
    }
}

#[test]
fn trap_34_the_order_of_rules_and_policies_does_not_matter() {
    let (server, client) = (pod("home", "s", []), pod("home", "c", []));
    let allow = "{podSelector: {}, ingress: [{ports: [{port: 80}]}, {ports: [{port: 81}]}]}";
    let swapped = "{podSelector: {}, ingress: [{ports: [{port: 81}]}, {ports: [{port: 80}]}]}";
    for (first, second) in [
        (allow, CLOSED),
        (CLOSED, allow),
        (swapped, CLOSED),
        (CLOSED, swapped),
    ] {
        let scene = Scene::new().policy("home", first).policy("home", second);
        let seen = [80, 81, 82].map(|port| scene.allows(client.end(), server.end(), tcp(port)));
        assert_eq!(seen, [true, true, false]);
    }
}

#[test]
fn a_decision_names_what_isolates_and_which_rules_allow() {
    let allow = policy(
        "home",
        "{podSelector: {}, ingress: [{ports: [{port: 1}]}, {from: [{podSelector: {}}]}]}",
    );
    let deny = policy("home", CLOSED);
    let other = policy(
        "home",
        "{podSelector: {matchLabels: {app: other}}, policyTypes: [Ingress]}",
    );
    let (server, client) = (pod("home", "s", []), pod("home", "c", []));
    let all = [allow, deny, other];
    let answer = bulkhead_policy::connection(&World::default(), &all, &client.end(), &server.end(), tcp(80));
    let ingress = answer.ingress.unwrap();
    assert_eq!(ingress.isolated_by, [&all[0], &all[1]]);
    assert_eq!(ingress.allowed_by, [(&all[0], 1)]);
    assert!(answer.egress.unwrap().isolated_by.is_empty());
}
