//! The traps of NetworkPolicy v1 in which analyzers and authors get caught, numbered as in the list of known
//! traps that the project keeps.

mod common;

use bulkhead_policy::v1::{NetworkPolicySpec, parse};
use bulkhead_policy::{
    Dialect, EndPort, Endpoint, Labels, PodState, Protocol, Selector, Traffic, Unknown, Verdict, World,
};
use common::scene::{PodExt, Scene, complaint, host, outside, pod, policy, read, tcp, udp, yaml};

const CLOSED: &str = "{podSelector: {}, policyTypes: [Ingress]}";

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
fn trap_09_a_named_port_resolves_per_destination_pod_by_name_and_protocol() {
    let client = pod("home", "client", []);
    let first = pod("home", "first", [])
        .port("web", Protocol::Tcp, 8080)
        .port("web", Protocol::Tcp, 8081);
    let second = pod("home", "second", []).port("web", Protocol::Tcp, 9090);
    let wrong = pod("home", "wrong", []).port("web", Protocol::Udp, 8080);
    for spec in [
        "{podSelector: {}, ingress: [{ports: [{port: web}]}]}",
        "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}], ports: [{port: web}]}]}",
        "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: web}]}]}",
    ] {
        let scene = Scene::new().policy("home", spec);
        let reaches =
            |server: &bulkhead_policy::Pod, port| scene.allows(client.end(), server.end(), tcp(port));
        assert!(
            reaches(&first, 8080) && reaches(&first, 8081) && !reaches(&first, 9090),
            "{spec}"
        );
        assert!(reaches(&second, 9090) && !reaches(&second, 8080), "{spec}");
        assert!(!reaches(&wrong, 8080), "{spec}");
        assert!(!scene.allows(client.end(), wrong.end(), udp(8080)), "{spec}");
    }
}

#[test]
fn trap_10_a_named_port_never_matches_a_destination_known_by_address() {
    let client = pod("home", "client", []);
    let server = pod("away", "server", [])
        .at("10.0.0.7")
        .port("web", Protocol::Tcp, 8080);
    for to in [
        "",
        "to: [{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: '::/0'}}], ",
    ] {
        let spec =
            format!("{{podSelector: {{}}, policyTypes: [Egress], egress: [{{{to}ports: [{{port: web}}]}}]}}");
        let scene = Scene::new().policy("home", &spec);
        assert!(
            !scene.allows(client.end(), outside("203.0.113.9"), tcp(8080)),
            "{spec}"
        );
        assert_eq!(
            scene.allows(client.end(), server.end(), tcp(8080)),
            to.is_empty(),
            "{spec}"
        );
    }
}

#[test]
fn trap_11_a_named_ingress_port_from_an_address_block_resolves_on_the_target() {
    let server = pod("home", "server", []).port("web", Protocol::Tcp, 8080);
    let scene = Scene::new().policy(
        "home",
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}], ports: [{port: web}]}]}",
    );
    assert!(scene.allows(outside("203.0.113.9"), server.end(), tcp(8080)));
    assert!(!scene.allows(outside("203.0.113.9"), server.end(), tcp(80)));
}

#[test]
fn trap_12_end_port_spans_a_range_and_needs_a_number_to_start_from() {
    let spec = "{podSelector: {}, ingress: [{ports: [{port: 32000, endPort: 32768}]}]}";
    let (server, client) = (pod("home", "s", []), pod("home", "c", []));
    let reached = |scene: &Scene| {
        [31999, 32000, 32768, 32769].map(|p| scene.allows(client.end(), server.end(), tcp(p)))
    };
    assert_eq!(
        reached(&Scene::new().policy("home", spec)),
        [false, true, true, false]
    );
    let blind = Dialect {
        end_port: EndPort::Ignored,
        ..Dialect::spec()
    };
    assert_eq!(
        reached(&Scene::on(blind).policy("home", spec)),
        [false, true, false, false]
    );
    for (port, field) in [
        (
            "{port: 80, endPort: 79}",
            "spec.ingress[0].ports[0].endPort: 79 is below port 80",
        ),
        (
            "{endPort: 80}",
            "spec.ingress[0].ports[0].endPort: needs a numeric port",
        ),
        (
            "{port: web, endPort: 80}",
            "spec.ingress[0].ports[0].endPort: cannot follow the named port",
        ),
        (
            "{port: 80, endPort: 65536}",
            "spec.ingress[0].ports[0].endPort: 65536 is not between 1 and 65535",
        ),
    ] {
        let text = complaint(&format!("{{podSelector: {{}}, ingress: [{{ports: [{port}]}}]}}"));
        assert!(text.starts_with(field), "{text}");
    }
}

#[test]
fn trap_13_impossible_ports_are_refused_with_field_and_value() {
    for (port, problem) in [
        ("0", "0 is not between 1 and 65535"),
        ("65536", "65536 is not between"),
        ("-1", "-1 is not between"),
        ("'80'", "\"80\" is text; write the number without quotes"),
        ("Web", "\"Web\" is not a port name"),
        ("a--b", "\"a--b\" is not a port name"),
        ("sixteen-letters-x", "is not a port name"),
    ] {
        let text = complaint(&format!(
            "{{podSelector: {{}}, egress: [{{ports: [{{port: {port}}}]}}]}}"
        ));
        assert!(
            text.starts_with("spec.egress[0].ports[0].port: ") && text.contains(problem),
            "{text}"
        );
    }
}

#[test]
fn trap_14_an_absent_protocol_is_tcp() {
    let scene = Scene::new().policy("home", "{podSelector: {}, ingress: [{ports: [{port: 53}]}]}");
    let (server, client) = (pod("home", "s", []), pod("home", "c", []));
    assert!(scene.allows(client.end(), server.end(), tcp(53)));
    assert!(!scene.allows(client.end(), server.end(), udp(53)));
    let text = complaint("{podSelector: {}, ingress: [{ports: [{protocol: tcp}]}]}");
    assert_eq!(
        text,
        "spec.ingress[0].ports[0].protocol: \"tcp\" is not TCP, UDP or SCTP"
    );
}

#[test]
fn trap_15_a_rule_for_one_protocol_isolates_the_pod_for_all() {
    for protocol in ["UDP", "SCTP"] {
        let spec =
            format!("{{podSelector: {{}}, ingress: [{{ports: [{{protocol: {protocol}, port: 80}}]}}]}}");
        let scene = Scene::new().policy("home", &spec);
        assert!(!scene.allows(pod("home", "c", []).end(), pod("home", "s", []).end(), tcp(80)));
    }
}

#[test]
fn trap_16_protocols_outside_the_api_are_undecided_for_isolated_pods_only() {
    let (server, client) = (pod("home", "s", []), pod("home", "c", []));
    assert!(Scene::new().allows(client.end(), server.end(), Traffic::Other));
    let scene = Scene::new().policy("home", "{podSelector: {}, ingress: [{}]}");
    let verdict = scene.verdict(client.end(), server.end(), Traffic::Other);
    assert_eq!(verdict, Verdict::Unknown(Unknown::ProtocolOutsideApi));
}

#[test]
fn trap_17_whether_address_blocks_match_pods_is_a_matter_of_dialect() {
    let spec = "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}";
    let (server, client) = (pod("home", "s", []), pod("away", "c", []).at("10.1.2.3"));
    assert!(
        Scene::new()
            .policy("home", spec)
            .allows(client.end(), server.end(), tcp(80))
    );
    let strict = Dialect {
        ip_block_matches_pods: false,
        ..Dialect::spec()
    };
    assert!(
        !Scene::on(strict)
            .policy("home", spec)
            .allows(client.end(), server.end(), tcp(80))
    );
    let pending = pod("away", "new", []);
    let verdict = Scene::new()
        .policy("home", spec)
        .verdict(pending.end(), server.end(), tcp(80));
    assert_eq!(verdict, Verdict::Unknown(Unknown::AddressNotKnown));
}

#[test]
fn trap_18_a_source_that_may_be_translated_is_not_guessed() {
    let server = pod("home", "s", []);
    let verdict = |dialect, from: &str| {
        let spec = format!("{{podSelector: {{}}, ingress: [{{from: [{from}]}}]}}");
        Scene::on(dialect)
            .policy("home", &spec)
            .verdict(Endpoint::ExternalUnknown, server.end(), tcp(80))
    };
    let block = "{ipBlock: {cidr: 203.0.113.0/24}}";
    assert_eq!(
        verdict(Dialect::spec(), block),
        Verdict::Unknown(Unknown::AddressNotKnown)
    );
    assert_eq!(
        verdict(Dialect::spec(), "{namespaceSelector: {}}"),
        Verdict::Denied
    );
    let translated = Verdict::Unknown(Unknown::SourceTranslated);
    assert_eq!(
        verdict(Dialect::ovn_kubernetes(), "{namespaceSelector: {}}"),
        translated
    );
    let all = "{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: '::/0'}}";
    assert_eq!(verdict(Dialect::spec(), all), Verdict::Allowed);
}

#[test]
fn trap_19_an_exception_is_strictly_inside_and_another_policy_may_allow_it_again() {
    let server = pod("home", "s", []);
    let scene = Scene::new().policy(
        "home",
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}]}",
    );
    assert!(scene.allows(outside("10.2.0.1"), server.end(), tcp(80)));
    assert!(!scene.allows(outside("10.1.0.1"), server.end(), tcp(80)));
    let wider = scene.policy(
        "home",
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.1.0.0/16}}]}]}",
    );
    assert!(wider.allows(outside("10.1.0.1"), server.end(), tcp(80)));
    for hole in ["10.0.0.0/8", "0.0.0.0/0", "11.0.0.0/16", "fd00::/64"] {
        let text = complaint(&format!(
            "{{podSelector: {{}}, ingress: [{{from: [{{ipBlock: {{cidr: 10.0.0.0/8, except: ['{hole}']}}}}]}}]}}"
        ));
        assert!(
            text.starts_with("spec.ingress[0].from[0].ipBlock.except[0]: "),
            "{text}"
        );
    }
    let text = complaint("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.1}}]}]}");
    assert!(text.ends_with("write 10.0.0.1/32 for one address"), "{text}");
}

#[test]
fn trap_20_host_network_pods_are_not_selected_and_count_as_their_node() {
    let on_host = pod("home", "h", [("app", "x")])
        .at("192.0.2.5")
        .state(PodState::HostNetwork);
    let server = pod("home", "s", []);
    let scene = Scene::new().policy(
        "home",
        "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}",
    );
    assert!(
        scene.allows(pod("away", "c", []).end(), on_host.end(), tcp(80)),
        "not isolated"
    );
    assert!(
        !scene.allows(on_host.end(), server.end(), tcp(80)),
        "not selected as a peer"
    );
    let by_address = scene.policy(
        "home",
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.0.2.0/24}}]}]}",
    );
    assert!(by_address.allows(on_host.end(), server.end(), tcp(80)));
}

#[test]
fn trap_22_a_pod_reaches_itself_but_replicas_are_policed() {
    let scene = Scene::new().policy("home", "{podSelector: {}, policyTypes: [Ingress, Egress]}");
    let (one, two) = (
        pod("home", "r-1", [("app", "r")]),
        pod("home", "r-2", [("app", "r")]),
    );
    assert!(scene.allows(one.end(), one.end(), tcp(80)));
    assert!(!scene.allows(one.end(), two.end(), tcp(80)));
}

#[test]
fn trap_23_a_finished_pod_is_no_end_of_any_connection() {
    let done = pod("home", "job", []).at("10.0.0.9").state(PodState::Finished);
    let server = pod("home", "s", []);
    assert!(!Scene::new().allows(done.end(), server.end(), tcp(80)));
    assert!(!Scene::new().allows(server.end(), done.end(), tcp(80)));
}

#[test]
fn trap_24_a_pod_is_policed_until_it_is_gone() {
    // A terminating pod is passed as networked: there is no third state that would free it.
    let terminating = pod("home", "t", []).state(PodState::Networked);
    let scene = Scene::new().policy("home", CLOSED);
    assert!(!scene.allows(pod("away", "c", []).end(), terminating.end(), tcp(80)));
}

#[test]
fn trap_25_the_name_label_of_a_namespace_cannot_be_forged() {
    let scene = Scene::new().namespace("evil", [("kubernetes.io/metadata.name", "trusted")]).policy(
        "home",
        "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: trusted}}}]}]}",
    );
    let server = pod("home", "s", []);
    assert!(!scene.allows(pod("evil", "c", []).end(), server.end(), tcp(80)));
    assert!(scene.allows(pod("trusted", "c", []).end(), server.end(), tcp(80)));
}

#[test]
fn trap_26_an_unknown_namespace_has_its_name_label_and_is_known_to_be_assumed() {
    let mut world = World::default();
    world.set_namespace("known", &Labels::default());
    assert!(world.knows("known") && !world.knows("unknown"));
    assert!(Selector::namespace_name("unknown").matches(&world.namespace_labels("unknown")));
    assert!(!Selector::from([("team", "a")]).matches(&world.namespace_labels("unknown")));
}

#[test]
fn trap_27_negative_operators_match_an_absent_key_and_positive_ones_do_not() {
    let client = pod("home", "c", []);
    for (operator, matches) in [
        ("operator: NotIn, values: [a]", true),
        ("operator: DoesNotExist", true),
        ("operator: In, values: [a]", false),
        ("operator: Exists", false),
    ] {
        let spec = format!(
            "{{podSelector: {{}}, ingress: [{{from: [{{podSelector: {{matchExpressions: [{{key: k, {operator}}}]}}}}]}}]}}"
        );
        let scene = Scene::new().policy("home", &spec);
        assert_eq!(
            scene.allows(client.end(), pod("home", "s", []).end(), tcp(80)),
            matches,
            "{operator}"
        );
    }
}

#[test]
fn trap_28_pods_of_one_owner_are_judged_by_their_own_labels() {
    let scene = Scene::new().policy(
        "home",
        "{podSelector: {matchLabels: {hash: new}}, policyTypes: [Ingress]}",
    );
    let client = pod("home", "c", []);
    assert!(scene.allows(
        client.end(),
        pod("home", "w-old", [("app", "w"), ("hash", "old")]).end(),
        tcp(80)
    ));
    assert!(!scene.allows(
        client.end(),
        pod("home", "w-new", [("app", "w"), ("hash", "new")]).end(),
        tcp(80)
    ));
}

#[test]
fn trap_30_address_families_are_apart_and_a_v4_block_denies_v6() {
    let spec = "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}";
    let scene = Scene::new().policy("home", spec);
    let server = pod("home", "s", []);
    assert!(scene.allows(outside("203.0.113.9"), server.end(), tcp(80)));
    assert!(!scene.allows(outside("2001:db8::9"), server.end(), tcp(80)));
    let dual = pod("away", "c", []).at("10.0.0.1").at("fd00::1");
    let verdict = scene.verdict(dual.end(), server.end(), tcp(80));
    assert_eq!(verdict, Verdict::Unknown(Unknown::SomeAddressesOnly));
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
fn trap_39_legal_label_values_are_accepted_and_others_named() {
    read("{podSelector: {matchLabels: {A_b.c: '', example.com/K_1: X_y.Z-9}}}").unwrap();
    for (labels, problem) in [
        ("{k: -a}", "\"-a\" is not a label value"),
        ("{k: 'a b'}", "\"a b\" is not a label value"),
        ("{'': a}", "\"\" is not a label key"),
        ("{UPPER.example/k: a}", "\"UPPER.example/k\" is not a label key"),
    ] {
        let text = complaint(&format!("{{podSelector: {{matchLabels: {labels}}}}}"));
        assert!(text.contains(problem), "{text}");
    }
}

#[test]
fn on_ovn_kubernetes_a_namespace_selector_reaches_the_host_only_without_a_pod_selector() {
    let server = pod("home", "s", []);
    let kubelet = Endpoint::Host { address: None };
    let on_host = pod("infra", "h", [("app", "x")])
        .at("192.0.2.5")
        .state(PodState::HostNetwork);
    let label = "{matchLabels: {policy-group.network.openshift.io/host-network: ''}}";
    for (peer, reaches) in [
        (format!("{{namespaceSelector: {label}}}"), true),
        (
            format!("{{namespaceSelector: {label}, podSelector: {{}}}}"),
            false,
        ),
        ("{namespaceSelector: {}}".to_owned(), true),
        (
            "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: infra}}}".to_owned(),
            false,
        ),
        ("{podSelector: {}}".to_owned(), false),
    ] {
        let scene = Scene::on(Dialect::ovn_kubernetes())
            .namespace(
                "openshift-host-network",
                [("policy-group.network.openshift.io/host-network", "")],
            )
            .policy(
                "home",
                &format!("{{podSelector: {{}}, ingress: [{{from: [{peer}]}}]}}"),
            );
        for from in [kubelet, on_host.end()] {
            assert_eq!(
                scene.allows(from, server.end(), tcp(443)),
                reaches,
                "{from} through {peer}"
            );
        }
        let plain = Scene {
            world: World::default(),
            policies: scene.policies,
        };
        assert!(
            !plain.allows(kubelet, server.end(), tcp(443)),
            "{peer} by the plain reading"
        );
    }
}

#[test]
fn on_ovn_kubernetes_labels_of_host_network_pods_count_in_egress_only() {
    let etcd = pod("infra", "etcd", [("app", "etcd")])
        .at("192.0.2.5")
        .state(PodState::HostNetwork);
    let client = pod("home", "c", []);
    let peer = "[{namespaceSelector: {}, podSelector: {matchLabels: {app: etcd}}}]";
    let egress = format!("{{podSelector: {{}}, policyTypes: [Egress], egress: [{{to: {peer}}}]}}");
    let ingress = format!("{{podSelector: {{}}, ingress: [{{from: {peer}}}]}}");
    assert!(
        Scene::on(Dialect::ovn_kubernetes())
            .policy("home", &egress)
            .allows(client.end(), etcd.end(), tcp(2379))
    );
    assert!(
        !Scene::on(Dialect::ovn_kubernetes())
            .policy("home", &ingress)
            .allows(etcd.end(), client.end(), tcp(80))
    );
    assert!(
        !Scene::new()
            .policy("home", &egress)
            .allows(client.end(), etcd.end(), tcp(2379))
    );
}

#[test]
fn on_ovn_kubernetes_a_named_port_opens_its_whole_protocol() {
    let scene = Scene::on(Dialect::ovn_kubernetes())
        .policy("home", "{podSelector: {}, ingress: [{ports: [{port: web}]}]}");
    let (server, client) = (pod("home", "s", []), pod("home", "c", []));
    assert!(scene.allows(client.end(), server.end(), tcp(1234)));
    assert!(!scene.allows(client.end(), server.end(), udp(1234)));
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

#[test]
fn every_fault_of_a_spec_is_listed_with_its_field() {
    let spec = yaml(
        "{podSelector: {matchExpressions: [{key: k, operator: in, values: [a]}, {key: k, operator: In}, \
         {key: k, operator: Exists, values: [a]}]}, policyTypes: [ingress], ingress: [{from: [{}, \
         {podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}, {ipBlock: {cidr: nonsense}}]}]}",
    );
    let fields: Vec<String> = parse("home", "test", &spec)
        .unwrap_err()
        .0
        .into_iter()
        .map(|error| error.field)
        .collect();
    assert_eq!(
        fields,
        [
            "spec.podSelector.matchExpressions[0].operator",
            "spec.podSelector.matchExpressions[1].values",
            "spec.podSelector.matchExpressions[2].values",
            "spec.policyTypes[0]",
            "spec.ingress[0].from[0]",
            "spec.ingress[0].from[1]",
            "spec.ingress[0].from[2].ipBlock.cidr",
        ]
    );
}
