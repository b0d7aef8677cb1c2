//! The gRPC port of istio-csr.

use std::sync::Arc;

use bulkhead_policy::{NamedPort, Pod, Policy, Protocol, tiers, v1};
use serde_json::{Value, json};

use super::support::world;
use crate::operands::facts::IstioCsr;
use crate::operands::grpc::{AdminPolicies, Grpc, administrator, example, judge, warning};

fn found() -> IstioCsr {
    IstioCsr {
        namespace: "mesh".into(),
        grpc_port: 6443,
        service_port: 443,
    }
}

fn policy(spec: Value) -> Arc<Policy> {
    let spec: v1::NetworkPolicySpec = serde_json::from_value(spec).unwrap();
    Arc::new(v1::parse("mesh", "theirs", &spec).unwrap())
}

fn ingress(rules: Value) -> Value {
    json!({"podSelector": {"matchLabels": {"app": "cert-manager-istio-csr"}}, "policyTypes": ["Ingress"], "ingress": rules})
}

fn asked(spec: Value, admin: AdminPolicies, pod: &Pod) -> Grpc {
    judge(&world(), &[policy(spec)], admin, pod, &found())
}

#[test]
fn a_port_is_open_by_every_way_to_write_it_and_closed_by_every_way_to_miss_it() {
    let rows = [
        (json!([{}]), Grpc::Open),
        (json!([{"from": [{"namespaceSelector": {}}]}]), Grpc::Open),
        (json!([{"ports": [{"port": 6443}]}]), Grpc::Open),
        (
            json!([{"ports": [{"port": 6443, "protocol": "TCP"}]}]),
            Grpc::Open,
        ),
        (json!([{"ports": [{"port": 6000, "endPort": 7000}]}]), Grpc::Open),
        (json!([{"ports": [{"protocol": "TCP"}]}]), Grpc::Open),
        (
            json!([{"ports": [{"port": 6443, "protocol": "UDP"}]}]),
            Grpc::Closed,
        ),
        (
            json!([{"ports": [{"port": 6000, "endPort": 6442}]}]),
            Grpc::Closed,
        ),
        (json!([{"ports": [{"port": "grpc"}]}]), Grpc::Closed),
        (json!([]), Grpc::Closed),
        (json!([{"ports": [{"port": 443}]}]), Grpc::ServicePortOnly),
        (
            json!([{"ports": [{"port": 443}]}, {"ports": [{"port": 6443}]}]),
            Grpc::Open,
        ),
    ];
    for (rules, expected) in rows {
        let found = asked(ingress(rules.clone()), AdminPolicies::Silent, &example(&found()));
        assert_eq!(found, expected, "{rules}");
    }
}

#[test]
fn peers_that_cannot_exist_open_nothing() {
    let never = json!({"matchExpressions": [{"key": "a", "operator": "Exists"}, {"key": "a", "operator": "DoesNotExist"}]});
    let rules = json!([{"from": [{"podSelector": never}], "ports": [{"port": 6443}]}]);
    assert_eq!(
        asked(ingress(rules), AdminPolicies::Silent, &example(&found())),
        Grpc::Closed
    );
}

#[test]
fn policies_for_other_pods_or_for_egress_do_not_count() {
    let other = json!({"podSelector": {"matchLabels": {"app": "istiod"}}, "policyTypes": ["Ingress"], "ingress": [{}]});
    let egress = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]});
    for spec in [other, egress] {
        assert_eq!(
            asked(spec, AdminPolicies::Silent, &example(&found())),
            Grpc::Closed
        );
    }
}

#[test]
fn a_named_port_counts_when_the_pod_declares_it() {
    let named = ingress(json!([{"ports": [{"port": "grpc"}]}]));
    let mut pod = example(&found());
    pod.ports = vec![NamedPort {
        name: "grpc".into(),
        protocol: Protocol::Tcp,
        port: 6443,
    }];
    assert_eq!(asked(named, AdminPolicies::Silent, &pod), Grpc::Open);
}

#[test]
fn policies_of_the_administrator_come_first_and_unreadable_ones_leave_it_open_to_doubt() {
    let nothing = ingress(json!([]));
    let pod = example(&found());
    assert_eq!(asked(nothing.clone(), AdminPolicies::Allow, &pod), Grpc::Open);
    assert_eq!(asked(nothing, AdminPolicies::Unreadable, &pod), Grpc::Unknown);
}

#[test]
fn policies_of_the_administrator_let_in_by_the_admin_tier_and_for_this_pod_and_port_alone() {
    let subject = |app: &str| {
        json!({"pods": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "mesh"}},
            "podSelector": {"matchLabels": {"app": app}}}})
    };
    let csr = "cert-manager-istio-csr";
    let tcp = |port: u16| json!([{"tcp": {"destinationPort": {"number": port}}}]);
    let rule = |action: &str, protocols: Value| json!([{"action": action, "from": [{"namespaces": {}}], "protocols": protocols}]);
    let rows = [
        ("Admin", csr, rule("Accept", tcp(6443)), AdminPolicies::Allow),
        ("Admin", csr, rule("Accept", tcp(443)), AdminPolicies::Silent),
        ("Admin", csr, rule("Deny", tcp(6443)), AdminPolicies::Silent),
        (
            "Admin",
            "istiod",
            rule("Accept", tcp(6443)),
            AdminPolicies::Silent,
        ),
        ("Baseline", csr, rule("Accept", tcp(6443)), AdminPolicies::Silent),
    ];
    let world = world();
    for (tier, app, ingress, expected) in rows {
        let spec = json!({"tier": tier, "priority": 10, "subject": subject(app), "ingress": ingress});
        let spec: tiers::ClusterSpec = serde_json::from_value(spec).unwrap();
        let policy = tiers::parse_cluster("theirs", &spec).unwrap();
        let said = administrator(&world, [Some(policy.clone())], &example(&found()), 6443);
        assert_eq!(said, expected, "{policy:?}");
    }
    let said = administrator(&world, [None], &example(&found()), 6443);
    assert_eq!(said, AdminPolicies::Unreadable);
}

#[test]
fn the_service_port_has_a_text_of_its_own_and_satisfaction_has_none() {
    let closed = warning(Grpc::Closed, &found()).unwrap();
    let service = warning(Grpc::ServicePortOnly, &found()).unwrap();
    assert!(
        service
            .message
            .contains("service port opened, container port is 6443"),
        "{}",
        service.message
    );
    assert_ne!(closed.reason, service.reason);
    assert_eq!(warning(Grpc::Open, &found()), None);
    assert_eq!(warning(Grpc::Unknown, &found()), None);
}
