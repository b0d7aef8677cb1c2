//! Where OVN-Kubernetes reads policies otherwise.

use bulkhead_policy::{Dialect, Endpoint, PodState, World};

use crate::common::scene::{PodExt, Scene, pod, tcp, udp};

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
