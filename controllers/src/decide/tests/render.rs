//! From declarations to policies.

#![allow(clippy::needless_pass_by_value)]

use std::sync::Arc;

use bulkhead_api::{Catalog, server::Server};
use bulkhead_policy::v1::NetworkPolicySpec;
use serde_json::{Value, json};

use crate::decide::{
    Dns, Platform, RestrictiveSet, Role,
    render::{self, Rendered, ServedBy},
};

const HOME: &str = "openshift-test";

fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    catalog.header.groups = serde_json::from_value(json!([
        {"name": "ingress", "namespaces": ["openshift-ingress", "openshift-host-network"]},
        {"name": "nobody", "namespaces": []}]))
    .unwrap();
    catalog
}

fn ovn() -> Platform {
    Platform {
        host_selectable: true,
        ..Platform::default()
    }
}

fn set(servers: Value, egress: Value, additional: Value) -> RestrictiveSet {
    RestrictiveSet {
        servers: serde_json::from_value(servers).unwrap(),
        egress: serde_json::from_value(egress).unwrap(),
        additional: serde_json::from_value(additional).unwrap(),
    }
}

fn ingress_of(clients: Value, platform: &Platform) -> (Value, bool) {
    let servers = json!([{"name": "web", "podSelector": {"matchLabels": {"app": "web"}},
        "rules": [{"ports": [{"port": 443}], "clients": clients}]}]);
    let set = set(servers, json!([]), json!([]));
    let rendered = render::ingress(HOME, &set, platform, &catalog());
    (spec(&rendered, 0)["ingress"].clone(), rendered.port_only)
}

/// The spec of the n-th target as it is sent.
fn spec(rendered: &Rendered, at: usize) -> Value {
    serde_json::to_value(NetworkPolicySpec::from(&*rendered.targets[at].policy)).unwrap()
}

fn egress_of(destination: Value, ports: Value, platform: &Platform) -> Value {
    let workload = json!([{"name": "web", "podSelector": {}, "rules": [{"ports": ports, "destinations": [destination]}]}]);
    let set = set(json!([]), workload, json!([]));
    spec(&render::egress(HOME, &set, &[], platform, &catalog()), 0)["egress"].clone()
}

fn named(namespace: &str) -> Value {
    json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}})
}

#[test]
fn clients_become_peers_by_immutable_names() {
    let port = json!([{"protocol": "TCP", "port": 443}]);
    let rows = [
        (
            json!({"type": "Namespace", "namespace": {"name": "openshift-dns"}}),
            json!([{"namespaceSelector": named("openshift-dns")}]),
        ),
        (
            json!({"type": "Namespace", "namespace": {"name": "a", "podSelector": {"matchLabels": {"app": "x"}}}}),
            json!([{"namespaceSelector": named("a"), "podSelector": {"matchLabels": {"app": "x"}}}]),
        ),
        (
            json!({"type": "HostNetwork"}),
            json!([{"namespaceSelector": named("openshift-host-network")}]),
        ),
        (json!({"type": "SameNamespace"}), json!([{"podSelector": {}}])),
        (
            json!({"type": "CIDR", "cidr": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}),
            json!([{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]),
        ),
        // Host traffic is no pod of any namespace: the empty pod selector keeps it out.
        (
            json!({"type": "AnyNamespace"}),
            json!([{"namespaceSelector": {}, "podSelector": {}}]),
        ),
    ];
    for (client, from) in rows {
        let (rules, port_only) = ingress_of(json!([client]), &ovn());
        assert_eq!(rules, json!([{"from": from, "ports": port}]), "{client}");
        assert!(!port_only);
    }
    assert_eq!(
        ingress_of(json!([{"type": "Anywhere"}]), &ovn()).0,
        json!([{"ports": port}])
    );
}

#[test]
fn a_group_is_a_list_of_names_and_an_empty_one_admits_nobody() {
    let group = |name: &str| json!([{"type": "NamespaceGroup", "namespaceGroup": {"name": name}}]);
    let (rules, _) = ingress_of(group("ingress"), &ovn());
    let from = rules[0]["from"].as_array().unwrap();
    assert_eq!(from.len(), 2);
    assert!(from.contains(&json!({"namespaceSelector": named("openshift-host-network")})));
    assert_eq!(
        ingress_of(group("nobody"), &ovn()).0,
        Value::Null,
        "an empty list admits everybody"
    );
}

#[test]
fn the_api_server_is_the_host_network_and_its_operator_where_both_can_be_selected() {
    let client = json!([{"type": "APIServer"}]);
    let (rules, port_only) = ingress_of(client.clone(), &ovn());
    let from = rules[0]["from"].as_array().unwrap();
    assert!(from.contains(&json!({"namespaceSelector": named("openshift-host-network")})));
    assert!(from.contains(
        &json!({"namespaceSelector": named("openshift-kube-apiserver-operator"),
        "podSelector": {"matchLabels": {"app": "kube-apiserver-operator"}}})
    ));
    assert!(!port_only);
    let external = Platform {
        external_control_plane: true,
        ..ovn()
    };
    for platform in [external, Platform::default()] {
        let (rules, port_only) = ingress_of(client.clone(), &platform);
        assert_eq!(rules, json!([{"ports": [{"protocol": "TCP", "port": 443}]}]));
        assert!(port_only, "a fallback that is not reported");
    }
}

#[test]
fn host_clients_fall_back_to_their_ports_and_take_the_whole_rule_with_them() {
    let clients = json!([{"type": "HostNetwork"}, {"type": "Namespace", "namespace": {"name": "a"}}]);
    let (rules, port_only) = ingress_of(clients, &Platform::default());
    assert_eq!(rules, json!([{"ports": [{"protocol": "TCP", "port": 443}]}]));
    assert!(port_only);
    let (_, port_only) = ingress_of(
        json!([{"type": "Namespace", "namespace": {"name": "a"}}]),
        &Platform::default(),
    );
    assert!(!port_only);
}

#[test]
fn a_server_without_rules_is_isolated_and_the_deny_comes_last_and_lists_ingress_alone() {
    let servers = json!([{"name": "quiet", "podSelector": {"matchLabels": {"app": "quiet"}}}]);
    let rendered = render::ingress(HOME, &set(servers, json!([]), json!([])), &ovn(), &catalog());
    let roles: Vec<Role> = rendered.targets.iter().map(|t| t.role).collect();
    assert_eq!(roles, [Role::Server, Role::DefaultDeny]);
    for at in 0..2 {
        assert_eq!(spec(&rendered, at)["policyTypes"], json!(["Ingress"]));
        assert_eq!(spec(&rendered, at)["ingress"], Value::Null);
    }
    assert_eq!(spec(&rendered, 1)["podSelector"], json!({}));
}

#[test]
fn dns_is_where_the_platform_answers_it() {
    let dns = json!({"type": "DNS"});
    let openshift = Platform {
        dns: Dns::OpenShift,
        ..ovn()
    };
    let rows = [(openshift, "openshift-dns", 5353), (ovn(), "kube-system", 53)];
    for (platform, namespace, port) in rows {
        let rules = egress_of(dns.clone(), json!([]), &platform);
        assert_eq!(rules[0]["to"][0]["namespaceSelector"], named(namespace));
        let ports = rules[0]["ports"].as_array().unwrap();
        for protocol in ["TCP", "UDP"] {
            assert!(
                ports.contains(&json!({"protocol": protocol, "port": port})),
                "{rules}"
            );
        }
        assert_eq!(ports.len(), 2);
    }
}

#[test]
fn the_api_server_is_reached_on_the_ports_that_were_discovered() {
    let platform = Platform {
        api_ports: vec![6443, 7443],
        ..ovn()
    };
    let rules = egress_of(json!({"type": "APIServer"}), json!([]), &platform);
    assert_eq!(
        rules,
        json!([{"ports": [{"protocol": "TCP", "port": 6443}, {"protocol": "TCP", "port": 7443}]}])
    );
    let own = egress_of(json!({"type": "APIServer"}), json!([{"port": 443}]), &platform);
    assert_eq!(own, json!([{"ports": [{"protocol": "TCP", "port": 443}]}]));
}

#[test]
fn a_client_may_reach_every_server_that_declares_it() {
    let servers: Vec<Server> = serde_json::from_value(json!([
        {"name": "web", "podSelector": {"matchLabels": {"app": "web"}}, "rules": [
            {"ports": [{"port": 8443}], "clients": [
                {"type": "Namespace", "namespace": {"name": "openshift-client", "podSelector": {"matchLabels": {"app": "c"}}}},
                {"type": "HostNetwork"}]},
            {"ports": [{"port": 443}], "clients": [{"type": "Anywhere"}]}]}]))
    .unwrap();
    let far = RestrictiveSet {
        servers,
        ..RestrictiveSet::default()
    };
    let served = render::served_by("openshift-far", &far, &catalog());
    let clients: Vec<Option<&str>> = served.iter().map(|(c, _)| c.as_deref()).collect();
    assert_eq!(clients, [Some("openshift-client"), None]);
    let by: Vec<ServedBy> = served.into_iter().map(|(_, by)| by).collect();
    let rendered = render::egress(
        "openshift-client",
        &RestrictiveSet::default(),
        &by,
        &ovn(),
        &catalog(),
    );
    let specs: Vec<Value> = (0..rendered.targets.len())
        .map(|at| spec(&rendered, at))
        .collect();
    let one = specs
        .iter()
        .find(|s| s["podSelector"] == json!({"matchLabels": {"app": "c"}}))
        .unwrap();
    assert_eq!(
        one["egress"],
        json!([{"to": [{"namespaceSelector": named("openshift-far"), "podSelector": {"matchLabels": {"app": "web"}}}],
                "ports": [{"protocol": "TCP", "port": 8443}]}])
    );
    assert_eq!(rendered.targets.last().unwrap().role, Role::DefaultDenyEgress);
}

#[test]
fn a_policy_is_named_by_server_selector_and_types_and_by_nothing_else() {
    let name = |server: &str, selector: Value, port: u16| {
        let servers = json!([{"name": server, "podSelector": selector,
            "rules": [{"ports": [{"port": port}], "clients": [{"type": "Anywhere"}]}]}]);
        let rendered = render::ingress(HOME, &set(servers, json!([]), json!([])), &ovn(), &catalog());
        rendered.targets[0].policy.name.clone()
    };
    let web = json!({"matchLabels": {"app": "web"}});
    let first = name("web", web.clone(), 443);
    // Known to installations: a change of the hash would replace every policy of every cluster.
    assert_eq!(&*first, "bulkhead-web-79733a60");
    assert_eq!(
        first,
        name("web", web.clone(), 8443),
        "rules are patched, not renamed"
    );
    let spelled = json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]});
    assert_eq!(
        first,
        name("web", spelled, 443),
        "the same pods under another name"
    );
    let others: [Arc<str>; 2] = [
        name("web", json!({"matchLabels": {"app": "b"}}), 443),
        name("two", web, 443),
    ];
    assert!(!others.contains(&first) && others[0] != others[1]);
}

#[test]
fn additional_policies_are_split_by_direction() {
    let both = json!([{"name": "raw", "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"port": 1}]}], "egress": [{"ports": [{"port": 2}]}]}}]);
    let set = set(json!([]), json!([]), both);
    let ingress = render::ingress(HOME, &set, &ovn(), &catalog());
    assert_eq!(ingress.targets[0].role, Role::Additional);
    assert_eq!(spec(&ingress, 0)["policyTypes"], json!(["Ingress"]));
    let egress = render::egress(HOME, &set, &[], &ovn(), &catalog());
    assert_eq!(egress.targets[0].role, Role::Egress);
    assert_eq!(spec(&egress, 0)["policyTypes"], json!(["Egress"]));
    assert_ne!(ingress.targets[0].policy.name, egress.targets[0].policy.name);
}

#[test]
fn an_allow_all_opens_both_directions_for_every_pod() {
    let target = render::allow_all(HOME, "bulkhead-allow-all");
    let spec = serde_json::to_value(NetworkPolicySpec::from(&*target.policy)).unwrap();
    assert_eq!(
        spec,
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]})
    );
}
