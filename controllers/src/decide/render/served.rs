//! Servers as their clients see them: what one namespace declares about others.

use std::sync::Arc;

use bulkhead_api::{
    Catalog,
    server::{Client, ClientType, PodSelector},
    vocabulary as names,
};
use bulkhead_policy::{PortRule, Selector};

use super::clients::members;
use crate::decide::{RestrictiveSet, selector};

/// A server elsewhere that declares a namespace as its client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServedBy {
    /// Pods of the client namespace that it names.
    pub client_pods: Selector,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its pods.
    pub pods: Selector,
    /// Its ports; empty: every port.
    pub ports: Vec<PortRule>,
}

/// What the servers of a namespace declare about others: pairs of client namespace (`None`: any) and server.
pub fn served_by(
    namespace: &str,
    set: &RestrictiveSet,
    catalog: &Catalog,
) -> Vec<(Option<Arc<str>>, ServedBy)> {
    let mut all = Vec::new();
    for server in &set.servers {
        let pods = selector::pods(&server.pod_selector);
        for rule in &server.rules {
            let ports: Vec<PortRule> = rule.ports.iter().filter_map(selector::port).collect();
            for (client, client_pods) in rule
                .clients
                .iter()
                .flat_map(|c| client_namespaces(c, namespace, catalog))
            {
                let served = ServedBy {
                    client_pods,
                    namespace: namespace.into(),
                    pods: pods.clone(),
                    ports: ports.clone(),
                };
                all.push((client, served));
            }
        }
    }
    all
}

fn client_namespaces(client: &Client, own: &str, catalog: &Catalog) -> Vec<(Option<Arc<str>>, Selector)> {
    let pods = |s: Option<&PodSelector>| s.map_or_else(Selector::everything, selector::pods);
    match client.r#type {
        ClientType::Namespace => client
            .namespace
            .iter()
            .map(|n| (Some(n.name.as_str().into()), pods(n.pod_selector.as_ref())))
            .collect(),
        ClientType::NamespaceGroup => {
            let group = members(client.namespace_group.as_ref(), catalog).iter();
            group
                .map(|n| (Some(n.as_str().into()), Selector::everything()))
                .collect()
        }
        ClientType::SameNamespace => {
            vec![(
                Some(own.into()),
                pods(client.same_namespace.as_ref().map(|n| &n.pod_selector)),
            )]
        }
        ClientType::APIServer => vec![(
            Some(names::KAS_OPERATOR_NAMESPACE.into()),
            Selector::from([("app", names::KAS_OPERATOR_APP)]),
        )],
        ClientType::AnyNamespace | ClientType::Anywhere => vec![(None, Selector::everything())],
        // Host-network pods are never isolated, and an address range says nothing about who has it.
        ClientType::HostNetwork | ClientType::CIDR => Vec::new(),
    }
}
