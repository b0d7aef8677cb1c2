//! What declarations must not say, each refused with field, value and remedy.

#![allow(clippy::needless_pass_by_value)]

use bulkhead_api::{Catalog, server::SystemNetworkPolicySpec};
use serde_json::{Value, json};

use crate::decide::validate::{Rejection, declaration};

fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    catalog.header.groups = vec![
        serde_json::from_value(json!({"name": "ingress", "namespaces": ["openshift-ingress"]})).unwrap(),
    ];
    catalog
}

fn check(spec: Value) -> Result<(), Rejection> {
    let spec: SystemNetworkPolicySpec = serde_json::from_value(spec).unwrap();
    declaration(&spec, &catalog(), |key| key == "granted")
}

fn servers(rule: Value) -> Value {
    json!({"catalogEntry": "Extend", "servers": [
        {"name": "first", "podSelector": {}},
        {"name": "web", "podSelector": {"matchLabels": {"app": "web"}}, "rules": [rule]}]})
}

fn egress(rule: Value) -> Value {
    json!({"catalogEntry": "Extend", "egress": [{"name": "web", "podSelector": {}, "rules": [rule]}]})
}

fn raw(spec: Value) -> Value {
    json!({"catalogEntry": "Extend", "additionalPolicies": [{"name": "raw", "spec": spec}]})
}

#[test]
#[allow(clippy::too_many_lines)]
fn each_mistake_is_refused_with_field_value_and_remedy() {
    let anywhere = json!([{"type": "Anywhere"}]);
    let clients = |c: Value| servers(json!({"ports": [{"port": 443}], "clients": [c]}));
    let destinations = |d: Value| egress(json!({"ports": [{"port": 443}], "destinations": [d]}));
    let ports = |p: Value| servers(json!({"ports": [p], "clients": anywhere}));
    let rule = "spec.servers[1].rules[0]";
    let at = |tail: &str| format!("{rule}{tail}");
    let out = |tail: &str| format!("spec.egress[0].rules[0]{tail}");
    let extra = "spec.additionalPolicies[0].spec";
    let rows = [
        (
            ports(json!({"port": 0})),
            at(".ports[0].port"),
            "0",
            "between 1 and 65535",
        ),
        (
            ports(json!({"port": 65536})),
            at(".ports[0].port"),
            "65536",
            "between 1 and 65535",
        ),
        (
            ports(json!({"port": -1})),
            at(".ports[0].port"),
            "-1",
            "between 1 and 65535",
        ),
        (
            ports(json!({"port": 80, "endPort": 70000})),
            at(".ports[0].endPort"),
            "70000",
            "between 1 and 65535",
        ),
        (
            ports(json!({"port": 443, "endPort": 80})),
            at(".ports[0].endPort"),
            "80 is below port 443",
            "leave it out",
        ),
        (
            servers(json!({"ports": [{"port": 443}], "clients": []})),
            at(".clients"),
            "is empty",
            "name the clients",
        ),
        (
            clients(json!({"type": "CIDR", "cidr": {"cidr": "10.0.0.0"}})),
            at(".clients[0].cidr.cidr"),
            "10.0.0.0",
            "10.0.0.0/8",
        ),
        (
            clients(json!({"type": "CIDR", "cidr": {"cidr": "10.0.0.0/33"}})),
            at(".clients[0].cidr.cidr"),
            "10.0.0.0/33",
            "10.0.0.0/8",
        ),
        (
            clients(json!({"type": "CIDR", "cidr": {"cidr": "nonsense"}})),
            at(".clients[0].cidr.cidr"),
            "nonsense",
            "10.0.0.0/8",
        ),
        (
            clients(json!({"type": "CIDR", "cidr": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}})),
            at(".clients[0].cidr.except[0]"),
            "11.0.0.0/16",
            "narrow it",
        ),
        (
            clients(json!({"type": "CIDR", "cidr": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}})),
            at(".clients[0].cidr.except[0]"),
            "10.0.0.0/8",
            "strictly inside",
        ),
        (
            clients(json!({"type": "NamespaceGroup", "namespaceGroup": {"name": "ingres"}})),
            at(".clients[0].namespaceGroup.name"),
            "ingres",
            "known groups: ingress",
        ),
        (
            clients(json!({"type": "Namespace", "namespace": {"name": "openshift-dns",
                "podSelector": {"matchExpressions": [{"key": "app", "operator": "In"}]}}})),
            at(".clients[0].podSelector.matchExpressions[0].values"),
            "is empty",
            "at least one value",
        ),
        (
            json!({"catalogEntry": "Extend", "servers": [{"name": "web", "podSelector":
                {"matchExpressions": [{"key": "app", "operator": "Exists", "values": ["x"]}]}}]}),
            "spec.servers[0].podSelector.matchExpressions[0].values".into(),
            "x",
            "leave it out",
        ),
        (
            egress(json!({"destinations": []})),
            out(".destinations"),
            "is empty",
            "at least one destination",
        ),
        (
            destinations(json!({"type": "CIDR", "cidr": {"cidr": "::/200"}})),
            out(".destinations[0].cidr.cidr"),
            "::/200",
            "fd00::/8",
        ),
        (
            destinations(json!({"type": "NamespaceGroup", "namespaceGroup": {"name": "none"}})),
            out(".destinations[0].namespaceGroup.name"),
            "none",
            "known groups",
        ),
        (
            egress(json!({"ports": [{"port": 0}], "destinations": [{"type": "DNS"}]})),
            out(".ports[0].port"),
            "0",
            "between",
        ),
        (
            raw(json!({"podSelector": {}})),
            format!("{extra}.policyTypes"),
            "is required",
            "list Ingress",
        ),
        (
            raw(
                json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": "web"}]}]}),
            ),
            extra.into(),
            "named port",
            "number of the pod's port",
        ),
        (
            raw(
                json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": "dns"}]}]}),
            ),
            extra.into(),
            "named port",
            "number of the pod's port",
        ),
        (
            raw(
                json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 0}]}]}),
            ),
            extra.into(),
            "0",
            "port",
        ),
        (
            raw(json!({"podSelector": {}, "policyTypes": ["Sideways"]})),
            extra.into(),
            "Sideways",
            "policyTypes",
        ),
        (
            json!({"catalogEntry": "Extend", "namespaceLabels": {"granted": "", "other": ""}}),
            "spec.namespaceLabels".into(),
            "other",
            "spec.labelGrants",
        ),
    ];
    for (spec, field, value, remedy) in rows {
        let text = spec.to_string();
        let Err(rejection) = check(spec) else {
            panic!("accepted: {text}")
        };
        for part in [&*field, value, remedy] {
            assert!(rejection.message.contains(part), "{part} is not in: {rejection}");
        }
    }
}

#[test]
fn a_hundred_servers_and_selectors_that_match_nothing_are_accepted() {
    let servers: Vec<Value> = (0..100)
        .map(|n| {
            json!({"name": format!("server-{n}"), "podSelector": {"matchLabels": {"app": format!("none-{n}")}},
                   "rules": [{"ports": [{"port": 443}], "clients": [{"type": "APIServer"}]}]})
        })
        .collect();
    check(json!({"catalogEntry": "Extend", "servers": servers})).unwrap();
}

#[test]
fn what_is_right_is_accepted() {
    let clients = json!([
        {"type": "Namespace", "namespace": {"name": "openshift-monitoring"}},
        {"type": "NamespaceGroup", "namespaceGroup": {"name": "ingress"}},
        {"type": "SameNamespace"}, {"type": "HostNetwork"}, {"type": "APIServer"}, {"type": "AnyNamespace"},
        {"type": "Anywhere"}, {"type": "CIDR", "cidr": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
    ]);
    check(servers(
        json!({"ports": [{"port": 1}, {"port": 65535, "endPort": 65535}], "clients": clients}),
    ))
    .unwrap();
    check(egress(
        json!({"destinations": [{"type": "DNS"}, {"type": "APIServer"}, {"type": "Anywhere"}]}),
    ))
    .unwrap();
    check(raw(
        json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 443}]}]}),
    ))
    .unwrap();
    check(json!({"catalogEntry": "Replace", "namespaceLabels": {"granted": "x"}})).unwrap();
}
