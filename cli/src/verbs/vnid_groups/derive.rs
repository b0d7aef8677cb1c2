//! Which namespaces join which group, from what is declared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bulkhead_api::server::{ClientType, DestinationType, Exposure, Server};
use bulkhead_controllers::decide::{RestrictiveSet, render};

use super::Member;
use crate::look::Look;

/// Group 0.
pub const DEFAULT: &str = "default";
/// Group 1.
pub const CONTROL_PLANE: &str = "control-plane";

/// Everything that is declared.
pub struct Declared {
    /// What servers and workloads each namespace has.
    pub sets: BTreeMap<Arc<str>, RestrictiveSet>,
    /// Who the servers of each namespace are for.
    pub exposures: BTreeMap<Arc<str>, Exposure>,
    /// Clients with the other namespaces whose servers name them.
    pub ties: BTreeMap<String, BTreeSet<String>>,
}

impl Declared {
    /// Reads it off a look.
    pub fn new(look: &mut Look) -> Self {
        let sets = look.sets();
        let mut ties: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (namespace, set) in &sets {
            for (client, _) in render::served_by(namespace, set, look.catalog()) {
                if let Some(client) = client.filter(|client| client != namespace) {
                    ties.entry(client.to_string())
                        .or_default()
                        .insert(namespace.to_string());
                }
            }
        }
        Self {
            sets: sets.into_iter().collect(),
            exposures: look.exposures(),
            ties,
        }
    }

    /// Whether "everybody" means clients outside that nobody can list: they come through nodes, whose traffic
    /// reaches every namespace.
    pub fn everybody_is_outside(&self, namespace: &str) -> bool {
        self.exposures.get(namespace).copied().unwrap_or_default() == Exposure::Internal
    }

    fn open_servers(&self, namespace: &str, set: &RestrictiveSet) -> Vec<String> {
        let open = |server: &Server| {
            if admits(server, ClientType::AnyNamespace) {
                Some(format!("its server {} admits every namespace", server.name))
            } else if admits(server, ClientType::Anywhere) && !self.everybody_is_outside(namespace) {
                Some(format!("its server {} admits everybody", server.name))
            } else {
                None
            }
        };
        set.servers.iter().filter_map(open).collect()
    }
}

/// Whether a server has a client of this kind.
pub fn admits(server: &Server, kind: ClientType) -> bool {
    let mut clients = server.rules.iter().flat_map(|rule| &rule.clients);
    clients.any(|client| client.r#type == kind)
}

/// The members of both groups.
pub fn members(declared: &Declared, arbitrary: usize) -> Vec<Member> {
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (namespace, set) in &declared.sets {
        let mut found = declared.open_servers(namespace, set);
        found.extend(roaming(set));
        if !found.is_empty() {
            reasons.entry(namespace.to_string()).or_default().extend(found);
        }
    }
    let ties = &declared.ties;
    for (client, servers) in ties.iter().filter(|(_, servers)| servers.len() >= arbitrary) {
        let text = format!(
            "servers of {} other namespaces declare it as their client",
            servers.len()
        );
        reasons.entry(client.clone()).or_default().push(text);
    }
    let joined: BTreeSet<&String> = reasons.keys().collect();
    let mut pairs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (client, servers) in ties.iter().filter(|(client, _)| !joined.contains(client)) {
        for server in servers.iter().filter(|server| !joined.contains(server)) {
            pairs
                .entry(client.clone())
                .or_default()
                .push(format!("is a client of {server}"));
            pairs
                .entry(server.clone())
                .or_default()
                .push(format!("serves {client}"));
        }
    }
    let member = |group| {
        move |(namespace, because)| Member {
            group,
            namespace,
            because,
        }
    };
    let default = reasons.into_iter().map(member(DEFAULT));
    default
        .chain(pairs.into_iter().map(member(CONTROL_PLANE)))
        .collect()
}

/// Workloads that reach arbitrary namespaces. "Anywhere" does not count: it stands for destinations outside
/// that nobody can list.
fn roaming(set: &RestrictiveSet) -> impl Iterator<Item = String> + '_ {
    let roams = |rule: &&bulkhead_api::server::EgressRule| {
        let destinations = rule.rules.iter().flat_map(|r| &r.destinations);
        destinations
            .into_iter()
            .any(|d| d.r#type == DestinationType::AnyNamespace)
    };
    set.egress
        .iter()
        .filter(roams)
        .map(|rule| format!("its workload {} reaches every namespace", rule.name))
}
