//! Policies that the operators themselves ship today.

use std::sync::Arc;

use bulkhead_api::operand::Operand::ExternalSecrets as E;
use bulkhead_policy::{Policy, v1};
use serde_json::{Value, json};

use super::support::*;
use crate::operands::foreign::{Foreign, judge, owner};

const NS: &str = "external-secrets";

fn theirs(name: &str, spec: Value) -> Arc<Policy> {
    let spec: v1::NetworkPolicySpec = serde_json::from_value(spec).unwrap();
    Arc::new(v1::parse(NS, name, &spec).unwrap())
}

fn judged(name: &str, spec: Value) -> Foreign {
    judge(
        &world(),
        &case(E).bundle(),
        &theirs(name, spec),
        "them".to_owned(),
        &[],
    )
}

fn conflict(found: Foreign) -> String {
    match found {
        Foreign::Conflict {
            owner, difference, ..
        } => {
            assert_eq!(owner, "them");
            difference
        }
        Foreign::ProvidedBy { .. } => panic!("no conflict"),
    }
}

fn provided() -> Foreign {
    Foreign::ProvidedBy {
        owner: "them".to_owned(),
    }
}

#[test]
fn the_operators_own_deny_is_as_good_as_ours() {
    let deny = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
    assert_eq!(judged("deny-all-traffic", deny), provided());
}

#[test]
fn a_policy_that_opens_what_another_of_the_bundle_opens_is_no_conflict() {
    let uwm = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openshift-user-workload-monitoring"}}});
    let webhook = json!({"podSelector": {"matchLabels": {"app.kubernetes.io/name": "external-secrets-webhook"}},
        "policyTypes": ["Ingress", "Egress"], "egress": [{"ports": [{"port": 6443}]}],
        "ingress": [{"ports": [{"port": 10250}]}, {"from": [uwm], "ports": [{"port": 8080}]}]});
    assert_eq!(judged("allow-api-server-egress-for-webhook", webhook), provided());
}

#[test]
fn a_policy_that_opens_more_is_a_conflict_that_says_what() {
    let open = json!({"podSelector": {"matchLabels": {"app.kubernetes.io/name": "external-secrets-webhook"}},
        "policyTypes": ["Ingress", "Egress"], "egress": [{"ports": [{"port": 6443}]}],
        "ingress": [{"ports": [{"port": 10250}, {"port": 22}]}]});
    let difference = conflict(judged("allow-api-server-egress-for-webhook", open));
    assert!(
        difference.starts_with("also allows") && difference.contains("TCP/22"),
        "{difference}"
    );
}

#[test]
fn a_policy_that_opens_less_is_a_conflict_that_says_what() {
    let narrow = json!({"podSelector": {"matchLabels": {"app.kubernetes.io/name": "external-secrets-webhook"}},
        "policyTypes": ["Ingress", "Egress"], "ingress": [{"ports": [{"port": 10250}]}]});
    let difference = conflict(judged("allow-api-server-egress-for-webhook", narrow));
    assert!(
        difference.contains("does not allow") && difference.contains("TCP/6443"),
        "{difference}"
    );
}

#[test]
fn a_deny_that_leaves_pods_open_is_a_conflict() {
    let component = json!({"podSelector": {"matchLabels": {"app": "external-secrets"}}, "policyTypes": ["Ingress", "Egress"]});
    assert!(conflict(judged("deny-all-traffic", component)).contains("also allows"));
}

#[test]
fn owners_are_known_by_their_labels_and_otherwise_by_who_wrote_the_spec() {
    let labelled =
        json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "external-secrets-operator"}}});
    assert_eq!(owner(&labelled), "external-secrets-operator");
    let cert_manager =
        json!({"metadata": {"labels": {"cert-manager.operator.openshift.io/owned-by": "cert-manager"}}});
    assert_eq!(owner(&cert_manager), "cert-manager");
    let written =
        json!({"metadata": {"managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]}});
    assert_eq!(owner(&written), "kubectl");
    assert_eq!(owner(&json!({})), "unknown");
}
