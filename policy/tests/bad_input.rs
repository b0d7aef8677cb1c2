//! Whatever somebody writes, reading it gives a value or names what is wrong, and what was read can be judged.
#![allow(clippy::unwrap_used)] // in helpers of tests a failed unwrap is a failed test

mod common;

use bulkhead_policy::lint::{Subject, Surroundings, lint};
use bulkhead_policy::tiers::{AdminSpec, ClusterSpec, parse_admin, parse_baseline, parse_cluster};
use bulkhead_policy::v1::{LabelSelector, NetworkPolicySpec, parse};
use bulkhead_policy::{Cluster, Labels, Pod, Policy, World};
use common::random::{FULL, spec};
use proptest::prelude::*;

/// Judges a policy in every way there is; the answers do not matter here, only that there are some.
fn judge(policy: &Policy, written: &NetworkPolicySpec) {
    let pods = [
        Pod::new("home", "a", Labels::from([("a", "x")])),
        Pod::new("away", "b", Labels::default()),
    ];
    let world = World::default();
    let cluster = Cluster::new(&world, &pods, &[policy]);
    assert!(cluster.coverage().len() == 2 && cluster.blocks().count() == cluster.len());
    let around = Surroundings {
        world: &world,
        pods: &pods,
        services: &[],
    };
    drop(lint(
        around,
        &[Subject {
            spec: written,
            policy,
        }],
    ));
    // What was read can be written, and means the same when it is read again.
    let again = NetworkPolicySpec::from(policy);
    assert_eq!(&parse("home", "p", &again).unwrap(), policy);
}

/// A field of a policy, or something that is none.
fn word() -> impl Strategy<Value = String> {
    let words = [
        "podSelector",
        "policyTypes",
        "ingress",
        "egress",
        "from",
        "to",
        "ports",
        "port",
        "endPort",
        "protocol",
        "ipBlock",
        "cidr",
        "except",
        "namespaceSelector",
        "matchLabels",
        "matchExpressions",
        "key",
        "operator",
        "values",
        "In",
        "NotIn",
        "Exists",
        "TCP",
        "SCTP",
        "80",
        "0",
        "-1",
        "65536",
        "99999999999999999999",
        "web",
        "10.0.0.0/8",
        "10.0.0.0/33",
        "::/0",
        "null",
        "true",
        "~",
        "a/b/c",
        "tier",
        "Admin",
        "priority",
        "subject",
        "namespaces",
        "pods",
        "action",
        "Deny",
        "networks",
        "domainNames",
        "",
        "ä",
    ];
    prop::sample::select(words.to_vec()).prop_map(str::to_owned)
}

/// Documents that look like policies and often are none.
fn document() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        word().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map(word(), inner, 0..5)
                .prop_map(|fields| fields.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

fn read_everything(text: &str) {
    if let Ok(written) = serde_yaml::from_str::<NetworkPolicySpec>(text) {
        match parse("home", "p", &written) {
            Ok(policy) => judge(&policy, &written),
            Err(faults) => {
                assert!(!faults.0.is_empty() && faults.0.iter().all(|f| f.field.starts_with("spec")));
            }
        }
    }
    if let Ok(written) = serde_yaml::from_str::<ClusterSpec>(text) {
        drop(parse_cluster("c", &written));
    }
    if let Ok(written) = serde_yaml::from_str::<AdminSpec>(text) {
        drop((parse_admin("a", &written), parse_baseline("b", &written)));
    }
}

/// A valid document with a piece of it replaced or removed.
fn damaged() -> impl Strategy<Value = String> {
    (
        spec(FULL),
        any::<prop::sample::Index>(),
        0usize..12,
        "[ -~\n]{0,6}",
    )
        .prop_map(|(spec, at, length, with)| {
            let mut text: Vec<char> = serde_yaml::to_string(&spec).unwrap().chars().collect();
            let start = at.index(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, with.chars());
            text.into_iter().collect()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_everything(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn documents_made_of_the_right_words_are_read_or_refused(document in document()) {
        read_everything(&document.to_string());
    }

    #[test]
    fn damaged_policies_are_read_or_refused(text in damaged()) {
        read_everything(&text);
    }

    #[test]
    fn every_valid_policy_survives_being_judged_and_written(spec in spec(FULL)) {
        judge(&parse("home", "p", &spec).unwrap(), &spec);
    }

    #[test]
    fn arbitrary_selectors_are_read_or_refused(
        key in "[ -~]{0,70}", value in "[ -~]{0,70}", operator in word(), values in prop::collection::vec("[ -~]{0,5}", 0..3),
    ) {
        let text = serde_json::json!({
            "matchLabels": {key.clone(): value},
            "matchExpressions": [{"key": key, "operator": operator, "values": values}],
        });
        let selector: LabelSelector = serde_json::from_value(text).unwrap();
        let written = NetworkPolicySpec { pod_selector: Some(selector), ..NetworkPolicySpec::default() };
        if let Ok(policy) = parse("home", "p", &written) {
            judge(&policy, &written);
        }
    }
}
