//! The patterns of the architecture record, as far as bundles use them.

use bulkhead_api::operand::Operand::{ExternalSecrets, ZeroTrustWorkloadIdentityManager as Z};
use bulkhead_policy::{Labels, Pod};
use serde_json::json;

use super::support::*;
use crate::decide::Dns;
use crate::operands::{order, uncovered};

fn server() -> Pod {
    pod(ZTWIM, &[(NAME, "spire-server")])
}

fn kubernetes() -> Case {
    let mut case = case(Z);
    case.platform.dns = Dns::Kubernetes;
    case
}

#[test]
fn a1_namespaces_are_selected_by_the_label_that_nobody_can_set() {
    let mut table = kubernetes().table();
    table
        .world
        .set_namespace("impostor", &Labels::from([("name", "kube-system")]));
    let resolver = |namespace| pod(namespace, &[("k8s-app", "kube-dns")]);
    assert!(
        table
            .out_to(&server(), &resolver("kube-system"))
            .contains("UDP/53")
    );
    assert!(!table.out_to(&server(), &resolver("impostor")).contains("UDP/53"));
}

#[test]
fn a2_dns_is_opened_for_both_protocols_on_the_ports_of_the_platform_and_for_resolvers_alone() {
    let resolver = pod("kube-system", &[("k8s-app", "kube-dns")]);
    let table = kubernetes().table();
    assert_eq!(
        table.out_to(&server(), &resolver),
        "TCP/53,TCP/6443,TCP/8443,UDP/53"
    );
    let neighbour = pod("kube-system", &[("k8s-app", "metrics-server")]);
    assert_eq!(table.out_to(&server(), &neighbour), "TCP/6443,TCP/8443");
    let openshift = case(Z).table();
    assert_eq!(
        openshift.out_to(&server(), &dns_pod()),
        "TCP/5353,TCP/6443,TCP/8443,UDP/5353"
    );
    let both = json!({"operand": Z, "dns": {"profile": "OpenShift", "additionalPorts": [53]}});
    let both = kubernetes().spec(both).table();
    assert_eq!(
        both.out_to(&server(), &dns_pod()),
        "TCP/53,TCP/5353,TCP/6443,TCP/8443,UDP/53,UDP/5353"
    );
}

#[test]
fn a3_resolvers_at_link_local_addresses_and_ipv6_are_reached() {
    let spec = json!({"operand": "ExternalSecrets", "dns": {"addresses": ["169.254.20.10", "fd00::10"]}});
    let table = case(ExternalSecrets).spec(spec).table();
    let controller = pod("external-secrets", &[(NAME, "external-secrets")]);
    for resolver in ["169.254.20.10", "fd00::10"] {
        assert_eq!(table.out(&controller, resolver), "TCP/53,TCP/6443,UDP/53");
    }
    for other in ["169.254.169.254", "fd00::11", "2001:db8::1"] {
        assert_eq!(
            table.out(&controller, other),
            "TCP/6443",
            "the API server may have any address"
        );
    }
}

#[test]
fn a4_an_audit_writes_nothing_and_still_names_what_a_deny_would_cut_off() {
    let forgotten = pod(ZTWIM, &[("app", "forgotten")]);
    let case = case(Z)
        .spec(json!({"operand": Z, "enforcement": "Audit"}))
        .running(forgotten.clone());
    let bundle = case.bundle();
    assert_eq!(order::wanted(&bundle, &case.spec), None);
    assert_eq!(uncovered::pods(&bundle, &case.objects.pods), [&forgotten]);
}
