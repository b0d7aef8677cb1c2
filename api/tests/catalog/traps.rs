//! Traps that cut traffic elsewhere, each by its number in the facts about OpenShift.

use bulkhead_api::{
    server::{Client, DestinationType, Port, Protocol},
    yaml,
};

use crate::{
    facts::{FACTS, PortFact, Workload},
    labels::labels,
    model::{CATALOG, Peer, admits, tenant},
};

fn kas_operator() -> Peer {
    let namespace = "openshift-kube-apiserver-operator";
    Peer::pod(namespace, labels(&[("app", "kube-apiserver-operator")]))
}

fn prometheus() -> Peer {
    let name = ("app.kubernetes.io/name", "prometheus");
    Peer::pod(
        "openshift-monitoring",
        labels(&[name, ("app.kubernetes.io/instance", "k8s")]),
    )
}

fn router() -> Peer {
    let key = "ingresscontroller.operator.openshift.io/deployment-ingresscontroller";
    Peer::pod("openshift-ingress", labels(&[(key, "internal-apps")]))
}

/// Whether the pods of a workload, by name, admit a peer on a TCP port.
fn open(namespace: &str, workload: &str, port: i32, peer: &Peer) -> bool {
    let fact = FACTS.namespace(namespace).expect("a namespace of the facts");
    let workload = fact
        .workloads
        .iter()
        .find(|w| w.name == workload)
        .expect("a workload of the facts");
    let entry = &CATALOG.entries[namespace];
    workload
        .pods()
        .iter()
        .all(|pod| admits(entry, pod, Protocol::TCP, port, peer))
}

fn ports() -> impl Iterator<Item = (&'static str, &'static Workload, &'static PortFact)> {
    FACTS
        .pod_workloads()
        .flat_map(|(n, w)| w.ports.iter().map(move |p| (n.name.as_str(), w, p)))
}

#[test]
fn h2_a_host_network_client_has_no_place_for_a_pod_selector() {
    let client = |text: &str| yaml::from_str::<Client>(text);
    assert!(client("{type: HostNetwork}").is_ok());
    assert!(client("{type: HostNetwork, podSelector: {}}").is_err());
}

#[test]
fn h9_what_a_router_reaches_is_reached_by_a_router_on_the_host_network_too() {
    let mut routed = 0;
    for (namespace, workload, port) in ports().filter(|(_, _, p)| p.clients().any(|c| c == "router")) {
        for peer in [Peer::Host, router()] {
            assert!(
                open(namespace, &workload.name, port.port, &peer),
                "{namespace} {} {peer:?}",
                port.port
            );
        }
        routed += 1;
    }
    assert!(routed > 10);
}

#[test]
fn h10_routers_are_reached_from_outside_the_cluster_health_probes_included() {
    for port in [80, 443, 1936] {
        assert!(
            open(
                "openshift-ingress",
                "router-<ingresscontroller>",
                port,
                &Peer::External
            ),
            "{port}"
        );
    }
}

#[test]
fn h11_webhooks_are_reached_from_nodes_and_from_the_kube_apiserver_operator() {
    let mut webhooks = 0;
    for (namespace, workload, port) in ports().filter(|(_, _, p)| p.role.contains("webhook")) {
        for peer in [Peer::Host, kas_operator()] {
            assert!(
                open(namespace, &workload.name, port.port, &peer),
                "{namespace} {} {peer:?}",
                port.port
            );
        }
        assert!(
            !open(namespace, &workload.name, port.port, &tenant()),
            "{namespace} {}",
            port.port
        );
        webhooks += 1;
    }
    assert!(webhooks > 20);
}

#[test]
fn h12_connectivity_checks_reach_the_openshift_api_server_and_their_targets() {
    let source = Peer::pod(
        "openshift-network-diagnostics",
        labels(&[("app", "network-check-source")]),
    );
    assert!(open("openshift-apiserver", "apiserver", 8443, &source));
    assert!(open(
        "openshift-network-diagnostics",
        "network-check-target",
        8080,
        &source
    ));
    assert!(!open("openshift-apiserver", "apiserver", 17698, &source));
}

#[test]
fn aggregated_apis_are_reached_from_nodes() {
    let mut apis = 0;
    for (namespace, workload, port) in ports().filter(|(_, _, p)| p.role.contains("aggregated-api")) {
        assert!(
            open(namespace, &workload.name, port.port, &Peer::Host),
            "{namespace} {}",
            port.port
        );
        apis += 1;
    }
    assert_eq!(apis, 5);
}

/// Service ports and the pod ports behind them, as the trap lists them.
#[test]
fn p1_ports_are_those_behind_services() {
    let cases = [
        (
            "openshift-multus",
            "multus-admission-controller",
            443,
            6443,
            kas_operator(),
        ),
        (
            "openshift-cluster-node-tuning-operator",
            "cluster-node-tuning-operator",
            443,
            4343,
            kas_operator(),
        ),
        (
            "openshift-machine-api",
            "machine-api-controllers",
            443,
            8440,
            kas_operator(),
        ),
        ("openshift-monitoring", "metrics-server", 443, 10250, prometheus()),
        (
            "openshift-monitoring",
            "prometheus-k8s",
            10902,
            10903,
            prometheus(),
        ),
        (
            "openshift-cluster-csi-drivers",
            "vmware-vsphere-csi-driver-controller",
            447,
            9206,
            prometheus(),
        ),
        (
            "openshift-kueue-operator",
            "kueue-controller-manager",
            443,
            8082,
            Peer::Host,
        ),
        (
            "openshift-local-storage",
            "diskmaker-manager",
            8383,
            9393,
            prometheus(),
        ),
    ];
    for (namespace, workload, service, pod, peer) in cases {
        assert!(open(namespace, workload, pod, &peer), "{namespace} {pod}");
        assert!(
            !open(namespace, workload, service, &peer),
            "{namespace} {service}"
        );
    }
}

#[test]
fn p1_gossip_of_alertmanager_stays_among_its_replicas() {
    let replica = Peer::pod(
        "openshift-monitoring",
        labels(&[("app.kubernetes.io/name", "alertmanager")]),
    );
    assert!(open("openshift-monitoring", "alertmanager-main", 9094, &replica));
    assert!(!open(
        "openshift-monitoring",
        "alertmanager-main",
        9094,
        &tenant()
    ));
    assert!(open("openshift-monitoring", "alertmanager-main", 9095, &tenant()));
}

#[test]
fn p2_dns_answers_everybody_on_5353_over_both_protocols() {
    let entry = &CATALOG.entries["openshift-dns"];
    for name in ["default", "a-second-dns"] {
        let pod = labels(&[("dns.operator.openshift.io/daemonset-dns", name)]);
        for protocol in [Protocol::UDP, Protocol::TCP] {
            for peer in [tenant(), Peer::Host] {
                assert!(
                    admits(entry, &pod, protocol, 5353, &peer),
                    "{name} {protocol:?} {peer:?}"
                );
            }
            assert!(!admits(entry, &pod, protocol, 53, &tenant()));
        }
    }
}

/// Named ports cannot be written at all.
#[test]
fn p3_a_port_is_a_number() {
    assert!(yaml::from_str::<Port>("{port: 8443}").is_ok());
    assert!(yaml::from_str::<Port>("{port: https}").is_err());
    assert!(yaml::from_str::<Port>("{port: '8443'}").is_err());
}

/// The API port is read from the cluster, and DNS ports belong to the platform: no entry fixes either.
#[test]
fn r13_egress_to_dns_and_the_api_server_names_no_port() {
    for entry in CATALOG.entries.values() {
        for rule in entry.egress.iter().flat_map(|e| &e.rules) {
            let platform =
                |d: DestinationType| matches!(d, DestinationType::DNS | DestinationType::APIServer);
            let fixed = !rule.ports.is_empty() && rule.destinations.iter().any(|d| platform(d.r#type));
            assert!(!fixed, "{}: {rule:?}", entry.namespace);
        }
    }
}

#[test]
fn r5_pods_of_strangers_in_shared_namespaces_belong_to_no_server() {
    let stranger = labels(&[
        ("app", "auth-proxy"),
        ("app.kubernetes.io/part-of", "somebody-else"),
    ]);
    for namespace in [
        "openshift-ingress",
        "openshift-marketplace",
        "openshift-monitoring",
        "openshift-machine-api",
    ] {
        let servers = crate::model::servers_of(&CATALOG.entries[namespace], &stranger);
        assert!(
            servers.is_empty(),
            "{namespace} takes a stranger for {}",
            servers[0].name
        );
    }
}

#[test]
fn r3_bare_metal_and_autoscaler_ports_are_declared_one_by_one() {
    let ports = [
        ("cluster-autoscaler-operator", 8443, kas_operator()),
        ("metal3-baremetal-operator", 9447, Peer::Host),
        ("metal3-image-customization", 8084, Peer::External),
    ];
    for (workload, port, peer) in ports {
        assert!(
            open("openshift-machine-api", workload, port, &peer),
            "{workload} {port}"
        );
    }
    assert!(!open(
        "openshift-machine-api",
        "cluster-autoscaler-operator",
        8441,
        &prometheus()
    ));
}

#[test]
fn gateways_accept_any_port_except_their_metrics() {
    for port in [80, 443, 8443, 15021, 30000, 65535] {
        assert!(
            open("openshift-ingress", "<gateway>", port, &Peer::External),
            "{port}"
        );
    }
    assert!(!open("openshift-ingress", "<gateway>", 15090, &Peer::External));
    assert!(open("openshift-ingress", "<gateway>", 15090, &prometheus()));
}

#[test]
fn scrapes_come_from_prometheus_and_not_from_its_neighbours() {
    let neighbour = Peer::pod("openshift-monitoring", labels(&[("app", "third-party-exporter")]));
    let scraped = |p: &PortFact| p.clients().eq(["prometheus-platform"]);
    let mut limited = 0;
    for (namespace, workload, port) in ports().filter(|(_, _, p)| scraped(p)) {
        assert!(
            open(namespace, &workload.name, port.port, &prometheus()),
            "{namespace} {}",
            port.port
        );
        for stranger in [&neighbour, &tenant(), &Peer::Host, &Peer::External] {
            assert!(
                !open(namespace, &workload.name, port.port, stranger),
                "{namespace} {}",
                port.port
            );
        }
        limited += 1;
    }
    assert!(limited > 100);
}
