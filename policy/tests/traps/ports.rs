//! Ports, names of ports and protocols.

use bulkhead_policy::{Dialect, EndPort, Protocol, Traffic, Unknown, Verdict};

use crate::common::scene::{PodExt, Scene, complaint, outside, pod, tcp, udp};

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
