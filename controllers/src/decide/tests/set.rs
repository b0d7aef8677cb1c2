//! Composition of a set from its catalog entry and the declarations beside its servers.

#![allow(clippy::needless_pass_by_value)]

use std::sync::Arc;

use bulkhead_api::{Catalog, CatalogEntry, namespace::Lineage, server::SystemNetworkPolicySpec};
use serde_json::{Value, json};

use crate::decide::set::{Composition, Declared, compose};

fn server(name: &str, app: &str) -> Value {
    json!({"name": name, "podSelector": {"matchLabels": {"app": app}}})
}

fn entry(applicability: &str) -> CatalogEntry {
    let servers = if applicability == "PodNetwork" {
        json!([server("web", "catalog"), server("db", "catalog")])
    } else {
        json!([])
    };
    serde_json::from_value(json!({
        "namespace": "openshift-test", "lineage": "Legacy", "applicability": applicability, "servers": servers,
        "egress": [{"name": "web", "podSelector": {}}], "sources": [], "confidence": "high",
    }))
    .unwrap()
}

fn spec(value: Value) -> Arc<SystemNetworkPolicySpec> {
    Arc::new(serde_json::from_value(value).unwrap())
}

fn extend(servers: Value) -> Arc<SystemNetworkPolicySpec> {
    spec(json!({"catalogEntry": "Extend", "servers": servers}))
}

fn replace(servers: Value) -> Arc<SystemNetworkPolicySpec> {
    spec(json!({"catalogEntry": "Replace", "servers": servers}))
}

fn declared(name: &str, spec: Arc<SystemNetworkPolicySpec>) -> Declared {
    Declared {
        name: name.into(),
        generation: 1,
        spec: Ok(spec),
        last_good: None,
    }
}

fn composed(entry: Option<&CatalogEntry>, all: &[Declared]) -> Composition {
    compose(entry, all, &Catalog::default(), |key| key == "granted")
}

/// Server names with the app that each selects.
fn servers(composition: &Composition) -> Vec<(String, String)> {
    let set = composition.set.as_ref().expect("no set");
    let mut all: Vec<_> = set
        .servers
        .iter()
        .map(|s| (s.name.clone(), s.pod_selector.match_labels["app"].clone()))
        .collect();
    all.sort();
    all
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect()
}

#[test]
fn extend_overrides_servers_by_name_and_keeps_the_others() {
    let own = declared(
        "own",
        extend(json!([server("web", "own"), server("more", "own")])),
    );
    let composition = composed(Some(&entry("PodNetwork")), &[own]);
    assert_eq!(
        servers(&composition),
        pairs(&[("db", "catalog"), ("more", "own"), ("web", "own")])
    );
    assert_eq!(composition.set.unwrap().egress.len(), 1);
    assert!(!composition.incomplete);
}

#[test]
fn replace_leaves_nothing_of_the_catalog_and_goes_together_with_extend() {
    let all = [
        declared("a", replace(json!([server("only", "own")]))),
        declared("b", extend(json!([server("more", "own")]))),
    ];
    let composition = composed(Some(&entry("PodNetwork")), &all);
    assert_eq!(servers(&composition), pairs(&[("more", "own"), ("only", "own")]));
    assert!(composition.set.unwrap().egress.is_empty());
}

#[test]
fn two_replace_objects_contradict_each_other_and_nothing_may_be_narrowed() {
    let all = [
        declared("a", replace(json!([server("a", "own")]))),
        declared("b", replace(json!([server("b", "own")]))),
        declared("c", extend(json!([server("c", "own")]))),
    ];
    let composition = composed(Some(&entry("PodNetwork")), &all);
    assert!(composition.incomplete);
    let reasons: Vec<Option<&str>> = composition
        .verdicts
        .iter()
        .map(|(_, _, v)| v.as_ref().err().map(|r| r.reason))
        .collect();
    assert_eq!(reasons, [Some("Conflict"), Some("Conflict"), None]);
    let message = &composition.verdicts[0].2.as_ref().unwrap_err().message;
    assert!(
        message.contains("spec.catalogEntry") && message.contains("Replace") && message.contains("Extend")
    );
}

#[test]
fn an_invalid_declaration_leaves_its_last_good_one_in_force() {
    let broken = extend(json!([{"name": "web", "podSelector": {},
        "rules": [{"ports": [{"port": 0}], "clients": [{"type": "Anywhere"}]}]}]));
    let good = extend(json!([server("web", "last-good")]));
    let known = Declared {
        spec: Ok(broken.clone()),
        last_good: Some(good.clone()),
        ..declared("own", good.clone())
    };
    let composition = composed(Some(&entry("PodNetwork")), &[known]);
    assert_eq!(
        servers(&composition),
        pairs(&[("db", "catalog"), ("web", "last-good")])
    );
    assert!(!composition.incomplete);
    assert!(composition.verdicts[0].2.is_err());
    // Unreadable is no better, and without a last good one part of the set is unknown.
    let unknown = Declared {
        spec: Err("spec: unknown field".into()),
        last_good: None,
        ..declared("own", good)
    };
    let composition = composed(Some(&entry("PodNetwork")), &[unknown]);
    assert!(composition.incomplete);
    assert_eq!(
        composition.verdicts[0].2.as_ref().unwrap_err().message,
        "spec: unknown field"
    );
}

#[test]
fn a_label_that_is_not_granted_rejects_its_declaration() {
    let labelled = |key: &str| {
        spec(
            json!({"catalogEntry": "Extend", "servers": [server("web", "own")], "namespaceLabels": {key: "x"}}),
        )
    };
    let composition = composed(None, &[declared("own", labelled("granted"))]);
    assert_eq!(composition.labels.get("granted").map(String::as_str), Some("x"));
    let composition = composed(None, &[declared("own", labelled("other"))]);
    let rejection = composition.verdicts[0].2.as_ref().unwrap_err();
    assert_eq!(rejection.reason, "LabelNotGranted");
    assert!(rejection.message.contains("other") && rejection.message.contains("labelGrants"));
    assert!(composition.labels.is_empty());
}

#[test]
fn lineage_is_the_declared_one_before_that_of_the_catalog() {
    let new = spec(json!({"catalogEntry": "Extend", "lineage": "New"}));
    assert_eq!(
        composed(Some(&entry("PodNetwork")), &[declared("own", new)]).lineage,
        Lineage::New
    );
    assert_eq!(composed(Some(&entry("PodNetwork")), &[]).lineage, Lineage::Legacy);
    assert_eq!(composed(None, &[]).lineage, Lineage::Legacy);
}

#[test]
fn a_namespace_without_servers_has_no_set_unless_nothing_there_can_be_protected() {
    assert_eq!(composed(None, &[]).set, None);
    let mut unknown = entry("PodNetwork");
    unknown.servers.clear();
    assert_eq!(composed(Some(&unknown), &[]).set, None);
    for applicability in ["HostNetworkOnly", "Empty"] {
        assert!(
            composed(Some(&entry(applicability)), &[]).set.is_some(),
            "{applicability}"
        );
    }
    assert!(
        composed(None, &[declared("own", extend(json!([server("a", "own")])))])
            .set
            .is_some()
    );
}
