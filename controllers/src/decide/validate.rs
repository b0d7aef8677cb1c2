//! What admission cannot refuse in a declaration, refused with field, value and remedy.

use std::fmt;

use bulkhead_api::{
    Catalog,
    server::{Client, Destination, PodSelector, Port, SystemNetworkPolicySpec},
};
use bulkhead_policy::{IpNet, v1};

/// Why a declaration is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// CamelCase reason for the Accepted condition.
    pub reason: &'static str,
    /// Field, value and remedy.
    pub message: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

fn invalid(field: &str, problem: impl fmt::Display) -> Rejection {
    Rejection {
        reason: "Invalid",
        message: format!("{field}: {problem}"),
    }
}

/// Checks one declaration; `granted` says whether a label key may be set on its namespace.
pub fn declaration(
    spec: &SystemNetworkPolicySpec,
    catalog: &Catalog,
    granted: impl Fn(&str) -> bool,
) -> Result<(), Rejection> {
    for (i, server) in spec.servers.iter().enumerate() {
        selector(&format!("spec.servers[{i}].podSelector"), &server.pod_selector)?;
        for (j, rule) in server.rules.iter().enumerate() {
            let field = format!("spec.servers[{i}].rules[{j}]");
            ports(&field, &rule.ports)?;
            if rule.clients.is_empty() {
                return Err(invalid(
                    &format!("{field}.clients"),
                    "is empty; name the clients, or leave out the rule for a server without clients",
                ));
            }
            for (k, client) in rule.clients.iter().enumerate() {
                self::client(&format!("{field}.clients[{k}]"), client, catalog)?;
            }
        }
    }
    for (i, egress) in spec.egress.iter().enumerate() {
        selector(&format!("spec.egress[{i}].podSelector"), &egress.pod_selector)?;
        for (j, rule) in egress.rules.iter().enumerate() {
            let field = format!("spec.egress[{i}].rules[{j}]");
            ports(&field, &rule.ports)?;
            if rule.destinations.is_empty() {
                return Err(invalid(
                    &format!("{field}.destinations"),
                    "is empty; name at least one destination",
                ));
            }
            for (k, destination) in rule.destinations.iter().enumerate() {
                self::destination(&format!("{field}.destinations[{k}]"), destination, catalog)?;
            }
        }
    }
    for (i, additional) in spec.additional_policies.iter().enumerate() {
        additional_policy(&format!("spec.additionalPolicies[{i}].spec"), &additional.spec)?;
    }
    match spec.namespace_labels.keys().find(|key| !granted(key)) {
        Some(key) => Err(Rejection {
            reason: "LabelNotGranted",
            message: format!(
                "spec.namespaceLabels: {key} is not granted to this namespace; remove it, or let a cluster \
                 administrator add it to spec.labelGrants of SystemIsolation cluster"
            ),
        }),
        None => Ok(()),
    }
}

fn ports(field: &str, ports: &[Port]) -> Result<(), Rejection> {
    for (i, port) in ports.iter().enumerate() {
        let field = format!("{field}.ports[{i}]");
        for (name, number) in [("port", Some(port.port)), ("endPort", port.end_port)] {
            if number.is_some_and(|n| !(1..=65535).contains(&n)) {
                let number = number.unwrap_or_default();
                return Err(invalid(
                    &format!("{field}.{name}"),
                    format!("{number} is not between 1 and 65535; give the number of the pod's port"),
                ));
            }
        }
        if port.end_port.is_some_and(|end| end < port.port) {
            return Err(invalid(
                &format!("{field}.endPort"),
                format!(
                    "{} is below port {}; give the last port of the range, or leave it out",
                    port.end_port.unwrap_or_default(),
                    port.port
                ),
            ));
        }
    }
    Ok(())
}

fn selector(field: &str, selector: &PodSelector) -> Result<(), Rejection> {
    use bulkhead_api::server::Operator::{DoesNotExist, Exists, In, NotIn};
    for (i, requirement) in selector.match_expressions.iter().enumerate() {
        let field = format!("{field}.matchExpressions[{i}].values");
        match (requirement.operator, requirement.values.is_empty()) {
            (In | NotIn, true) => {
                return Err(invalid(
                    &field,
                    "is empty; name at least one value with In and NotIn",
                ));
            }
            (Exists | DoesNotExist, false) => {
                return Err(invalid(
                    &field,
                    format!(
                        "{} is forbidden with Exists and DoesNotExist; leave it out",
                        requirement.values.join(", ")
                    ),
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn client(field: &str, client: &Client, catalog: &Catalog) -> Result<(), Rejection> {
    if let Some(group) = &client.namespace_group {
        known_group(field, &group.name, catalog)?;
    }
    let selectors = [
        client.namespace.as_ref().and_then(|n| n.pod_selector.as_ref()),
        client.same_namespace.as_ref().map(|n| &n.pod_selector),
    ];
    for found in selectors.into_iter().flatten() {
        selector(&format!("{field}.podSelector"), found)?;
    }
    client
        .cidr
        .as_ref()
        .map_or(Ok(()), |c| cidr(field, &c.cidr, &c.except))
}

fn destination(field: &str, destination: &Destination, catalog: &Catalog) -> Result<(), Rejection> {
    if let Some(group) = &destination.namespace_group {
        known_group(field, &group.name, catalog)?;
    }
    if let Some(found) = destination
        .namespace
        .as_ref()
        .and_then(|n| n.pod_selector.as_ref())
    {
        selector(&format!("{field}.podSelector"), found)?;
    }
    destination
        .cidr
        .as_ref()
        .map_or(Ok(()), |c| cidr(field, &c.cidr, &c.except))
}

fn known_group(field: &str, name: &str, catalog: &Catalog) -> Result<(), Rejection> {
    if catalog.group(name).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = catalog.header.groups.iter().map(|g| g.name.as_str()).collect();
    Err(invalid(
        &format!("{field}.namespaceGroup.name"),
        format!(
            "there is no policy group {name}; known groups: {}",
            known.join(", ")
        ),
    ))
}

fn cidr(field: &str, text: &str, except: &[String]) -> Result<(), Rejection> {
    let parse = |field: String, text: &str| {
        text.parse::<IpNet>().map_err(|_| {
            invalid(
                &field,
                format!("{text} is not an address range; write one such as 10.0.0.0/8 or fd00::/8"),
            )
        })
    };
    let whole = parse(format!("{field}.cidr.cidr"), text)?;
    for (i, text) in except.iter().enumerate() {
        let field = format!("{field}.cidr.except[{i}]");
        let inner = parse(field.clone(), text)?;
        if !whole.contains(&inner) || whole == inner {
            return Err(invalid(
                &field,
                format!("{inner} is not strictly inside {whole}; narrow it or remove it"),
            ));
        }
    }
    Ok(())
}

fn additional_policy(
    field: &str,
    spec: &k8s_openapi::api::networking::v1::NetworkPolicySpec,
) -> Result<(), Rejection> {
    if spec.policy_types.as_ref().is_none_or(Vec::is_empty) {
        return Err(invalid(
            &format!("{field}.policyTypes"),
            "is required; list Ingress, Egress or both",
        ));
    }
    let policy = raw_policy("", "", spec).map_err(|message| invalid(field, message))?;
    let named = |rules: &Option<Vec<bulkhead_policy::Rule>>| {
        let mut ports = rules.iter().flatten().flat_map(|rule| &rule.ports);
        ports.any(|port| matches!(port.port, bulkhead_policy::policy::Port::Named(_)))
    };
    if named(&policy.ingress) || named(&policy.egress) {
        return Err(invalid(
            field,
            "uses a named port, which network plugins read differently; give the number of the pod's port",
        ));
    }
    Ok(())
}

/// The engine's form of a raw NetworkPolicy spec.
pub fn raw_policy(
    namespace: &str,
    name: &str,
    spec: &k8s_openapi::api::networking::v1::NetworkPolicySpec,
) -> Result<bulkhead_policy::Policy, String> {
    let value = serde_json::to_value(spec).map_err(|e| e.to_string())?;
    let spec: v1::NetworkPolicySpec = serde_json::from_value(value).map_err(|e| e.to_string())?;
    v1::parse(namespace, name, &spec).map_err(|e| e.to_string())
}
