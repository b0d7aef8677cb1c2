//! SPIRE.

use bulkhead_api::operand::Operand::ZeroTrustWorkloadIdentityManager as Z;
use bulkhead_policy::{Pod, policy::Port};
use serde_json::json;

use super::support::*;
use crate::operands::Source;

fn operator() -> Pod {
    pod(ZTWIM, &[("name", ZTWIM)])
}

fn component(name: &str) -> Pod {
    let instance = (
        "app.kubernetes.io/instance",
        "cluster-zero-trust-workload-identity-manager",
    );
    pod(ZTWIM, &[instance, (NAME, name)])
}

fn server() -> Pod {
    component("spire-server")
}

fn agent() -> Pod {
    component("spire-agent")
}

fn oidc() -> Pod {
    component("spiffe-oidc-discovery-provider")
}

#[test]
fn spire_accepts_what_the_proposal_lists_and_nothing_else() {
    let table = case(Z).table();
    let everywhere = ["stranger", ZTWIM];
    let monitoring = [
        "openshift-monitoring",
        "openshift-user-workload-monitoring",
        "labelled",
    ];
    let rows = [
        (operator(), NOTHING, "TCP/8443"),
        (
            server(),
            "TCP/8081,TCP/8443,TCP/9443",
            "TCP/8081-8082,TCP/8443,TCP/9402,TCP/9443",
        ),
        (agent(), NOTHING, "TCP/9402"),
        (oidc(), "TCP/8443", "TCP/8443"),
        (component("spiffe-csi-driver"), NOTHING, NOTHING),
        (pod(ZTWIM, &[("app", "anything")]), NOTHING, NOTHING),
    ];
    for (to, anybody, scraper) in rows {
        for from in everywhere {
            assert_eq!(table.ingress(&to, from), anybody, "{from} to {}", to.name);
        }
        for from in monitoring {
            assert_eq!(table.ingress(&to, from), scraper, "{from} to {}", to.name);
        }
    }
}

#[test]
fn spire_opens_what_the_proposal_lists_and_its_additions_and_nothing_else() {
    let table = case(Z).table();
    let rows = [
        (operator(), "TCP/6443", "TCP/6443"),
        (
            server(),
            "TCP/6443,TCP/8443",
            "TCP/5353,TCP/6443,TCP/8443,UDP/5353",
        ),
        (
            agent(),
            "TCP/6443,TCP/8081,TCP/10250",
            "TCP/5353,TCP/6443,TCP/8081,TCP/10250,UDP/5353",
        ),
        (oidc(), NOTHING, NOTHING),
        (component("spiffe-csi-driver"), NOTHING, NOTHING),
    ];
    for (from, outside, dns) in rows {
        assert_eq!(table.out(&from, OUTSIDE), outside, "{}", from.name);
        assert_eq!(table.out_to(&from, &dns_pod()), dns, "{}", from.name);
    }
}

#[test]
fn every_policy_of_the_proposal_has_its_name() {
    let names = names(&case(Z).bundle(), ZTWIM);
    let proposed = [
        "allow-operator-api-server-egress",
        "allow-operator-metrics-ingress",
        "allow-spire-server-agent-ingress",
        "allow-spire-server-webhook-ingress",
        "allow-spire-server-metrics-ingress",
        "allow-spire-server-api-egress",
        "allow-spire-server-federation",
        "allow-spire-server-dns-egress",
        "allow-spire-agent-server-egress",
        "allow-spire-agent-metrics-ingress",
        "allow-spire-agent-api-egress",
        "allow-oidc-provider-https-ingress",
        "deny-all-traffic",
    ];
    let added = ["allow-spire-agent-dns-egress", "allow-spire-agent-kubelet-egress"];
    for name in proposed.iter().chain(&added) {
        assert!(names.contains(&(*name).to_owned()), "{name} is missing");
    }
    assert_eq!(names.len(), proposed.len() + added.len(), "{names:?}");
    assert_eq!(names.last().unwrap(), "deny-all-traffic");
}

#[test]
fn z1_pods_are_selected_by_labels_that_users_cannot_change() {
    let table = case(Z).table();
    let custom = pod(ZTWIM, &[("team", "identity"), (NAME, "spire-server")]);
    assert_eq!(
        table.ingress(&custom, "stranger"),
        table.ingress(&server(), "stranger")
    );
}

#[test]
fn z2_the_operator_serves_metrics_on_8080_only_if_its_deployment_says_so() {
    let with = |container| {
        let deployment = workload(ZTWIM, json!({"name": ZTWIM}), container);
        case(Z)
            .with(Source::Workload, deployment)
            .table()
            .ingress(&operator(), "openshift-monitoring")
    };
    let env = |name: &str, value: &str| json!({"env": [{"name": name, "value": value}]});
    assert_eq!(with(json!({})), "TCP/8443");
    assert_eq!(with(env("METRICS_BIND_ADDRESS", ":8443")), "TCP/8443");
    assert_eq!(with(env("METRICS_BIND_ADDRESS", ":8080")), "TCP/8080,TCP/8443");
    assert_eq!(with(env("METRICS_SECURE", "false")), "TCP/8080,TCP/8443");
    assert_eq!(
        with(env("METRICS_BIND_ADDRESS", "0")),
        "TCP/8443",
        "0 switches metrics off"
    );
}

#[test]
fn z3_agents_resolve_the_name_of_their_server() {
    let ports = case(Z).table().out_to(&agent(), &dns_pod());
    assert!(
        ports.contains("TCP/5353") && ports.contains("UDP/5353"),
        "{ports}"
    );
}

#[test]
fn z4_agents_reach_the_kubelet_wherever_it_is() {
    let table = case(Z).table();
    for node in ["10.0.0.7", "fd00::7"] {
        assert!(table.out(&agent(), node).contains("TCP/10250"));
    }
    assert!(!table.out(&server(), "10.0.0.7").contains("10250"));
}

#[test]
fn z5_agents_keep_the_api_server_under_the_proposed_name() {
    let bundle = case(Z).bundle();
    let policy = policy(&bundle, ZTWIM, "allow-spire-agent-api-egress")
        .unwrap()
        .clone();
    assert_eq!(Table::of([policy]).out(&agent(), OUTSIDE), "TCP/6443");
}

#[test]
fn z6_agents_on_the_host_network_reach_the_server_unless_only_pods_may() {
    let port = |case: super::support::Case| case.table().ingress_from_host(&server());
    assert!(port(case(Z)).contains("TCP/8081"));
    let spec = json!({"operand": "ZeroTrustWorkloadIdentityManager",
        "zeroTrustWorkloadIdentityManager": {"agentIngress": "AgentPods"}});
    let narrow = case(Z).spec(spec);
    assert!(!narrow.table().ingress(&server(), "stranger").contains("8081"));
    assert!(
        narrow
            .table()
            .ingress_from(&server(), &agent())
            .contains("TCP/8081")
    );
    assert!(!port(narrow).contains("8081"));
}

#[test]
fn z7_the_webhook_port_stays_open_whatever_services_say() {
    let table = case(Z).table();
    assert!(table.ingress_from_host(&server()).contains("TCP/9443"));
    assert!(table.ingress(&server(), "stranger").contains("TCP/9443"));
}

#[test]
fn z8_metrics_are_opened_by_number_for_pods_that_declare_no_port() {
    let bundle = case(Z).bundle();
    let rules = bundle
        .policies()
        .flat_map(|p| p.ingress.iter().chain(&p.egress))
        .flatten();
    let ports: Vec<_> = rules.flat_map(|r| &r.ports).collect();
    assert!(!ports.is_empty() && ports.iter().all(|p| matches!(p.port, Port::Range(..))));
    assert!(server().ports.is_empty());
    let open = Table::new(&bundle).ingress(&server(), "openshift-monitoring");
    assert!(open.contains("8082") && open.contains("9402"), "{open}");
}

#[test]
fn z9_federation_goes_out_on_443_and_on_the_ports_of_its_endpoints() {
    let out = |case: super::support::Case| case.table().out(&server(), OUTSIDE);
    assert_eq!(
        out(case(Z)),
        "TCP/6443,TCP/8443",
        "the proposal's rule stands without federation"
    );
    let federated = |federation| case(Z).config(Source::SpireServer, json!({"federation": federation}));
    assert_eq!(out(federated(json!({}))), "TCP/443,TCP/6443,TCP/8443");
    let peers = json!({"federatesWith": [{"bundleEndpointUrl": "https://peer.example:9443/x"}, {"bundleEndpointUrl": "https://other.example"}],
        "bundleEndpoint": {"httpsWeb": {"acme": {"directoryUrl": "https://acme.example:14000/dir"}}}});
    assert_eq!(
        out(federated(peers)),
        "TCP/443,TCP/6443,TCP/8443,TCP/9443,TCP/14000"
    );
    let dynamic = json!({"spec": {"bundleEndpointURL": "https://third.example:7443"}});
    let dynamic = case(Z).with(Source::FederatedTrustDomain, dynamic);
    assert_eq!(out(dynamic), "TCP/443,TCP/6443,TCP/7443,TCP/8443");
    let table = case(Z).table();
    assert!(
        table.ingress_from_host(&server()).contains("TCP/8443"),
        "routers on the host network"
    );
    assert!(table.ingress(&server(), "openshift-ingress").contains("TCP/8443"));
}

#[test]
fn z10_an_external_database_is_reached_on_its_port() {
    let out = |datastore| {
        let case = case(Z).config(Source::SpireServer, json!({"datastore": datastore}));
        case.table().out(&server(), OUTSIDE)
    };
    assert_eq!(
        out(json!({"databaseType": "sqlite3", "connectionString": "/run/data.sqlite3"})),
        "TCP/6443,TCP/8443"
    );
    assert_eq!(
        out(json!({"databaseType": "postgres"})),
        "TCP/5432,TCP/6443,TCP/8443"
    );
    let mysql =
        json!({"databaseType": "mysql", "connectionString": "spire:p@ss(w@tcp(db.example:3307)/spire"});
    assert_eq!(out(mysql), "TCP/3307,TCP/6443,TCP/8443");
    let bundle = case(Z).bundle();
    assert!(policy(&bundle, ZTWIM, "allow-spire-server-datastore-egress").is_none());
}

#[test]
fn z11_proxies_are_reached_by_those_that_are_told_to_use_them() {
    let env = json!({"env": [{"name": "HTTPS_PROXY", "value": "http://user:secret@proxy.example:3128"}]});
    let table = case(Z)
        .with(Source::Workload, workload(ZTWIM, json!({"name": ZTWIM}), env))
        .table();
    for pod in [server(), agent(), oidc()] {
        assert!(table.out(&pod, OUTSIDE).contains("TCP/3128"), "{}", pod.name);
    }
    assert!(!table.out(&operator(), OUTSIDE).contains("3128"));
}

#[test]
fn z12_the_oidc_provider_serves_https_and_opens_nothing() {
    let table = case(Z).table();
    assert_eq!(table.ingress(&oidc(), "stranger"), "TCP/8443");
    assert_eq!(table.ingress_from_host(&oidc()), "TCP/8443");
    assert_eq!(table.out(&oidc(), OUTSIDE), NOTHING);
}

#[test]
fn z13_the_csi_driver_is_isolated_and_is_no_surprise() {
    let driver = component("spiffe-csi-driver");
    let case = case(Z).running(driver.clone());
    let bundle = case.bundle();
    assert_eq!(Table::new(&bundle).out(&driver, OUTSIDE), NOTHING);
    assert!(crate::operands::uncovered::pods(&bundle, &case.objects.pods).is_empty());
}

#[test]
fn z14_a_hosted_api_server_is_reached_on_its_own_port() {
    let slice = json!({"metadata": {"namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "ports": [{"port": 7443}]});
    let table = case(Z).with(Source::EndpointSlice, slice).table();
    for pod in [operator(), server(), agent()] {
        let ports = table.out(&pod, "172.20.0.1");
        assert!(
            ports.contains("TCP/7443") && ports.contains("TCP/6443"),
            "{ports}"
        );
    }
}
