//! Policies written in the API's shape mean what they meant.
#![allow(clippy::unwrap_used)] // in helpers of tests a failed unwrap is a failed test

mod common;

use bulkhead_policy::v1::{NetworkPolicySpec, parse};
use common::random::{FULL, spec};
use common::scene::policy;
use proptest::prelude::*;
use serde_json::{Value, json};

fn rendered(text: &str) -> Value {
    serde_json::to_value(NetworkPolicySpec::from(&policy("home", text))).unwrap()
}

#[test]
fn a_direction_that_allows_nothing_is_null_and_owned() {
    let deny = rendered("{podSelector: {}, policyTypes: [Ingress, Egress]}");
    assert_eq!(
        deny,
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": null, "egress": null})
    );
}

#[test]
fn an_allow_all_keeps_its_empty_rules() {
    let open = rendered("{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]}");
    assert_eq!(open["ingress"], json!([{}]));
    assert_eq!(open["egress"], json!([{}]));
}

#[test]
fn empty_inner_lists_are_left_out() {
    let text = "{podSelector: {matchLabels: {}, matchExpressions: []}, ingress: [{from: [], ports: []}, \
                {from: [{ipBlock: {cidr: 10.0.0.0/8, except: []}}], ports: [{port: 80, endPort: 90}]}]}";
    assert_eq!(
        rendered(text)["ingress"],
        json!([{}, {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
                    "ports": [{"protocol": "TCP", "port": 80, "endPort": 90}]}])
    );
}

proptest! {
    #[test]
    fn rendering_and_reading_again_gives_the_same_policy(spec in spec(FULL)) {
        let policy = parse("home", "name", &spec).unwrap();
        let text = serde_json::to_string(&NetworkPolicySpec::from(&policy)).unwrap();
        let again: NetworkPolicySpec = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(parse("home", "name", &again).unwrap(), policy);
    }
}
