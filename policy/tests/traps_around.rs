//! The traps that lie around policies: nodes, networks, the control plane, files and open connections. Numbered as
//! in `traps`.
#![allow(clippy::unwrap_used)] // in helpers of tests a failed unwrap is a failed test

mod common;

use bulkhead_policy::v1::{NetworkPolicySpec, parse};
use bulkhead_policy::well_known::{ControlPlane, WellKnown};
use bulkhead_policy::{
    Cluster, Dialect, Endpoint, Labels, Node, Pod, PodState, Policy, Protocol, Unknown, Verdict, World,
    connection,
};
use common::scene::{PodExt, Scene, host, outside, pod, policy, tcp};
use serde::Deserialize;

const SHUT: &str = "{podSelector: {}, policyTypes: [Ingress, Egress]}";

fn on(node: &str, mut pod: Pod) -> Pod {
    pod.node = Some(node.into());
    pod
}

fn node(name: &str) -> Node {
    Node {
        name: name.into(),
        labels: Labels::default(),
        addresses: vec!["192.0.2.1".parse().unwrap()],
    }
}

#[test]
fn trap_21_a_node_and_its_own_pods_always_reach_each_other_and_other_nodes_do_not() {
    let scene = Scene::new().policy("home", SHUT);
    let server = on("n1", pod("home", "s", []));
    let agent = |at: &str| on(at, pod("infra", "agent", []).at("192.0.2.1")).state(PodState::HostNetwork);
    let (near, far) = (node("n1"), node("n2"));
    let (near_agent, far_agent) = (agent("n1"), agent("n2"));
    for (peer, reached) in [
        (Endpoint::OwnNode, true),
        (Endpoint::Node(&near), true),
        (Endpoint::Node(&far), false),
        (Endpoint::Host { address: None }, false),
        (near_agent.end(), true),
        (far_agent.end(), false),
    ] {
        assert_eq!(
            scene.allows(peer, server.end(), tcp(80)),
            reached,
            "{peer} to the pod"
        );
        assert_eq!(
            scene.allows(server.end(), peer, tcp(80)),
            reached,
            "the pod to {peer}"
        );
    }
    // Cilium lets policies decide about what a pod dials there, and never keeps the node from its pods.
    let mut judged = Scene::new().policy("home", SHUT);
    judged.world.dialect = Dialect::cilium();
    assert!(judged.allows(Endpoint::OwnNode, server.end(), tcp(80)));
    assert!(judged.allows(near_agent.end(), server.end(), tcp(80)));
    assert!(!judged.allows(server.end(), Endpoint::OwnNode, tcp(80)));
    assert!(!judged.allows(server.end(), near_agent.end(), tcp(80)));
    // Nodes that nobody knows are not taken for one another.
    let (unplaced, roaming) = (
        pod("home", "s", []),
        pod("infra", "agent", []).state(PodState::HostNetwork),
    );
    assert!(!scene.allows(roaming.end(), unplaced.end(), tcp(80)));
}

#[test]
fn trap_29_lists_streams_json_line_ends_and_repeated_names_are_read_alike() {
    let unix = "podSelector: {}\npolicyTypes: [Ingress]\ningress:\n- ports:\n  - port: 80\n";
    let windows = unix.replace('\n', "\r\n");
    let json = r#"{"podSelector":{},"policyTypes":["Ingress"],"ingress":[{"ports":[{"port":80}]}]}"#;
    let read = |text: &str| -> NetworkPolicySpec { serde_yaml::from_str(text).unwrap() };
    assert_eq!(read(unix), read(&windows));
    assert_eq!(read(unix), read(json));
    assert_eq!(read(unix), serde_json::from_str(json).unwrap());
    let stream = format!("{unix}---\r\n{windows}---\n{json}\n");
    let all: Vec<NetworkPolicySpec> = serde_yaml::Deserializer::from_str(&stream)
        .map(|document| NetworkPolicySpec::deserialize(document).unwrap())
        .collect();
    assert_eq!(all, [read(unix), read(unix), read(unix)]);
    // Two files may hold one name: both objects count, neither is an error.
    let twice: Vec<Policy> = [unix, SHUT]
        .map(|text| parse("home", "same", &read(text)).unwrap())
        .into();
    let (server, client) = (pod("home", "s", []), pod("home", "c", []));
    let world = World::default();
    let pods = [server, client];
    let cluster = Cluster::new(&world, &pods, &twice.iter().collect::<Vec<_>>());
    let ends = [0, 1].map(|at| cluster.ends().of_pod(at).unwrap());
    assert_eq!(cluster.coverage()[0].ingress.isolated, 2);
    let answer = connection(&world, &twice, &pods[1].end(), &pods[0].end(), tcp(80));
    assert_eq!(answer.ingress.unwrap().isolated_by.len(), 2);
    assert_eq!(
        cluster.allows(ends[1], ends[0], bulkhead_policy::Protocol::Tcp, 80),
        Some(false),
        "the second one isolates egress"
    );
}

#[test]
fn trap_35_networks_of_their_own_are_apart_before_any_policy_and_peers_never_match_across() {
    let scene = || {
        let mut scene = Scene::new().policy(
            "red",
            "{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}",
        );
        scene.world.set_network("red", Some("tenant".into()));
        scene.world.set_network("pink", Some("tenant".into()));
        scene.world.set_network("blue", Some("other".into()));
        scene
    };
    let (red, pink, blue, plain) = (
        pod("red", "1", []),
        pod("pink", "2", []),
        pod("blue", "3", []),
        pod("plain", "4", []),
    );
    assert!(scene().allows(pink.end(), red.end(), tcp(80)), "one network");
    for stranger in [&blue, &plain] {
        assert!(
            !scene().allows(stranger.end(), red.end(), tcp(80)),
            "peers do not match across"
        );
        assert!(
            !scene().allows(red.end(), stranger.end(), tcp(80)),
            "and nothing isolates {}",
            stranger.name
        );
    }
    assert!(scene().allows(Endpoint::OwnNode, red.end(), tcp(80)), "probes");
    let mut joined = scene();
    joined.world.set_network("blue", Some("tenant".into()));
    joined.world.set_network("pink", None);
    assert!(joined.allows(blue.end(), red.end(), tcp(80)));
    assert!(!joined.allows(pink.end(), red.end(), tcp(80)));
}

#[test]
fn trap_36_where_an_ingress_controller_runs_decides_which_rule_lets_it_in() {
    let by_pod = "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}, podSelector: {}}]}]}";
    let by_namespace = "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {policy-group.network.openshift.io/ingress: ''}}}]}]}";
    let router = pod("ingress", "router", []).at("10.0.0.5");
    let on_host = pod("ingress", "router", [])
        .at("192.0.2.5")
        .state(PodState::HostNetwork);
    let server = pod("home", "s", []);
    let verdicts = |dialect: Dialect, spec: &str| {
        let scene = Scene::on(dialect)
            .namespace("ingress", [("policy-group.network.openshift.io/ingress", "")])
            .namespace(
                "openshift-host-network",
                [("policy-group.network.openshift.io/ingress", "")],
            )
            .policy("home", spec);
        [router.end(), on_host.end(), Endpoint::ExternalUnknown]
            .map(|from| scene.verdict(from, server.end(), tcp(8080)))
    };
    let (allowed, denied) = (Verdict::Allowed, Verdict::Denied);
    let translated = Verdict::Unknown(Unknown::SourceTranslated);
    assert_eq!(verdicts(Dialect::spec(), by_pod), [allowed, denied, denied]);
    assert_eq!(verdicts(Dialect::spec(), by_namespace), [allowed, denied, denied]);
    assert_eq!(
        verdicts(Dialect::ovn_kubernetes(), by_namespace),
        [allowed, allowed, translated]
    );
}

#[test]
fn trap_37_the_control_plane_reaches_pods_from_hosts_or_through_a_tunnel() {
    let pods = [
        pod("kube-system", "agent", [("k8s-app", "konnectivity-agent")]).at("10.0.0.9"),
        pod("home", "webhook", []),
    ];
    let nodes = ControlPlane::OnNodes(vec!["192.0.2.1".parse().unwrap()]);
    let hosted = ControlPlane::Hosted(vec!["203.0.113.1".parse().unwrap()]);
    let from_nodes = Scene::new().policy(
        "home",
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.0.2.0/24}}]}], egress: [{to: [{ipBlock: {cidr: 192.0.2.0/24}}]}]}",
    );
    let from_agents = Scene::new().policy(
        "home",
        "{podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: konnectivity-agent}}}]}]}",
    );
    let arrives = |scene: &Scene, known: WellKnown, plane: &ControlPlane| {
        let ends = known.ends(plane, &pods);
        Verdict::of_all(
            ends.into_iter()
                .map(|end| scene.verdict(end, pods[1].end(), tcp(9443))),
        )
    };
    for caller in [WellKnown::WebhookCaller, WellKnown::AggregatedApiCaller] {
        assert_eq!(arrives(&from_nodes, caller, &nodes), Verdict::Allowed);
        assert_eq!(arrives(&from_nodes, caller, &hosted), Verdict::Denied);
        assert_eq!(arrives(&from_agents, caller, &nodes), Verdict::Denied);
        assert_eq!(arrives(&from_agents, caller, &hosted), Verdict::Allowed);
    }
    assert_eq!(
        arrives(&from_agents, WellKnown::Kubelet, &hosted),
        Verdict::Allowed
    );
    assert_eq!(
        arrives(&from_agents, WellKnown::OtherNode, &hosted),
        Verdict::Denied
    );
    let dials = |plane: &ControlPlane| {
        let ends = WellKnown::ApiServer.ends(plane, &pods);
        Verdict::of_all(
            ends.into_iter()
                .map(|end| from_nodes.verdict(pods[1].end(), end, tcp(6443))),
        )
    };
    assert_eq!(dials(&nodes), Verdict::Allowed);
    assert_eq!(dials(&hosted), Verdict::Denied);
    for known in WellKnown::ALL {
        assert_eq!(WellKnown::named(known.name()), Some(known));
    }
}

#[test]
fn trap_38_open_connections_follow_the_plugin_and_replies_are_never_judged() {
    let open = Scene::new();
    let shut = |dialect: Dialect| Scene::on(dialect).policy("home", SHUT);
    let (server, client) = (pod("home", "s", []), pod("away", "c", []));
    for (dialect, expected) in [
        (Dialect::spec(), Verdict::Unknown(Unknown::EstablishedConnection)),
        (
            Dialect::cilium(),
            Verdict::Unknown(Unknown::EstablishedConnection),
        ),
        (Dialect::calico(), Verdict::Allowed),
        (Dialect::ovn_kubernetes(), Verdict::Denied),
    ] {
        let after = shut(dialect.clone()).verdict(client.end(), server.end(), tcp(80));
        assert_eq!(after, Verdict::Denied);
        assert_eq!(after.for_established(&dialect), expected);
        let still = open.verdict(client.end(), server.end(), tcp(80));
        assert_eq!(still.for_established(&dialect), Verdict::Allowed);
    }
    // The server answers although it may not open a connection itself.
    let answering = Scene::new().policy(
        "home",
        "{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}]}",
    );
    assert!(answering.allows(client.end(), server.end(), tcp(80)));
    assert!(!answering.allows(server.end(), client.end(), tcp(80)));
    assert!(answering.allows(outside("203.0.113.9"), server.end(), tcp(80)));
    assert!(answering.allows(host("192.0.2.1"), server.end(), tcp(80)));
}

#[test]
fn a_pod_with_several_addresses_is_judged_by_each_when_asked_so() {
    let block = "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}";
    let server = pod("home", "s", []);
    let dual = pod("away", "c", []).at("10.0.0.1").at("fd00::1");
    let world = World::default();
    let policies = [policy("home", block)];
    let ask = |client: &Pod| connection(&world, &policies, &client.end(), &server.end(), tcp(80)).verdict;
    assert_eq!(ask(&dual), Verdict::Unknown(Unknown::SomeAddressesOnly));
    let by_family = [0, 1].map(|at| ask(&dual.seen_at(dual.addresses[at])));
    assert_eq!(by_family, [Verdict::Allowed, Verdict::Denied]);
}

#[test]
fn two_rules_for_the_two_families_allow_a_dual_stack_pod_and_both_are_named() {
    let v4 = "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}";
    let v6 = "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 'fd00::/8'}}], ports: [{port: 80}]}]}";
    let server = pod("home", "s", []).at("10.9.0.1").at("fd00::9");
    let dual = pod("away", "c", []).at("10.0.0.1").at("fd00::1");
    let world = World::default();
    let policies = [policy("home", v4), policy("home", v6)];
    let ask = |traffic| connection(&world, &policies, &dual.end(), &server.end(), traffic);
    let both = ask(tcp(80));
    assert_eq!(both.verdict, Verdict::Allowed);
    let named = both.ingress.unwrap().allowed_by;
    assert!(
        std::ptr::eq(named[0].0, &raw const policies[0]) && std::ptr::eq(named[1].0, &raw const policies[1])
    );
    let one = ask(tcp(81));
    assert_eq!(one.verdict, Verdict::Unknown(Unknown::SomeAddressesOnly));
    assert_eq!(
        one.ingress.unwrap().allowed_by.len(),
        1,
        "the rule of IPv4 is named"
    );
    let through_tiers =
        bulkhead_policy::tiers::connection(&world, &[], &policies, &dual.end(), &server.end(), tcp(80));
    assert_eq!(through_tiers.verdict, Verdict::Allowed);
    let pods = [server.clone(), dual.clone()];
    let cluster = Cluster::new(&world, &pods, &policies.iter().collect::<Vec<_>>());
    let ends =
        [0, 1].map(|at| [cluster.ends().of_pod(at), cluster.ends().second_of_pod(at)].map(Option::unwrap));
    let (surely, perhaps) = cluster.ports_of(&ends[1], &ends[0]);
    assert!(surely.contains(Protocol::Tcp, 80) && !surely.contains(Protocol::Tcp, 81));
    assert!(perhaps.contains(Protocol::Tcp, 81), "IPv4 alone");
}

#[test]
fn ends_that_share_one_family_are_judged_in_that_one_alone() {
    let v4 = "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}";
    let old = pod("home", "s", []).at("10.9.0.1");
    let dual = pod("away", "c", []).at("10.0.0.1").at("fd00::1");
    let policies = [policy("home", v4)];
    let answer = connection(&World::default(), &policies, &dual.end(), &old.end(), tcp(80));
    assert_eq!(
        answer.verdict,
        Verdict::Allowed,
        "an IPv4-only server is reached over IPv4"
    );
}
