//! Why a namespace needs no group, from what is declared: the answer to a list that names it all the same.

use std::collections::BTreeSet;

use bulkhead_api::Catalog;
use bulkhead_api::catalog::{Applicability, CatalogEntry};
use bulkhead_api::server::{ClientType, Server};
use bulkhead_controllers::plan::list;

use super::Member;
use super::derive::{CONTROL_PLANE, DEFAULT, Declared, admits};

/// Why `name` is not in `group`.
pub fn why(name: &str, group: &str, members: &[Member], declared: &Declared, catalog: &Catalog) -> String {
    if let Some(member) = members.iter().find(|m| m.namespace == name) {
        let wider = if group == CONTROL_PLANE && member.group == DEFAULT {
            ", which reaches every group"
        } else {
            ""
        };
        return format!(
            "it belongs to {}{wider}: {}",
            member.group,
            member.because.join("; ")
        );
    }
    let entry = catalog.entries.get(name);
    if entry.is_none() && !declared.sets.contains_key(name) {
        return match declared.ties.get(name) {
            None => "nothing is declared for it, and no server names it as a client".to_owned(),
            Some(servers) => format!("nothing is declared for it; {}", clients_of(servers, members)),
        };
    }
    let mut parts: Vec<String> = entry.into_iter().filter_map(on_host).collect();
    parts.extend(servers(name, members, declared));
    if let Some(servers) = declared.ties.get(name) {
        parts.push(clients_of(servers, members));
    }
    parts.join("; ")
}

/// What is known of a namespace's pods on the host network.
fn on_host(entry: &CatalogEntry) -> Option<String> {
    match entry.applicability {
        Applicability::Empty => Some("no pods are expected in it".to_owned()),
        Applicability::HostNetworkOnly => Some(
            "all its pods are on the host network, whose traffic reaches every namespace and is reached from all"
                .to_owned(),
        ),
        Applicability::PodNetwork => (!entry.host_network.is_empty()).then(|| {
            let (names, are) = (&entry.host_network, if entry.host_network.len() == 1 { "is" } else { "are" });
            format!(
                "{} {are} on the host network, whose traffic reaches every namespace and is reached from all",
                list(names)
            )
        }),
    }
}

/// Who is declared to reach its servers.
fn servers(name: &str, members: &[Member], declared: &Declared) -> Vec<String> {
    let Some(set) = declared.sets.get(name) else {
        return Vec::new();
    };
    let clients: BTreeSet<&String> = declared
        .ties
        .iter()
        .filter(|(_, servers)| servers.contains(name))
        .map(|(client, _)| client)
        .collect();
    let joined = |client: &&&String| {
        members
            .iter()
            .any(|m| m.group == DEFAULT && m.namespace == ***client)
    };
    let inside: Vec<String> = clients.iter().filter(joined).map(ToString::to_string).collect();
    let mut parts = Vec::new();
    let open = |server: &&Server| admits(server, ClientType::Anywhere) && declared.everybody_is_outside(name);
    for server in set.servers.iter().filter(open) {
        parts.push(format!(
            "its server {} admits everybody and is declared Internal: those are clients outside, whose traffic comes \
             through nodes",
            server.name
        ));
    }
    if !inside.is_empty() {
        parts.push(format!(
            "of other namespaces only {} may reach its servers, and the default group reaches all",
            list(&inside)
        ));
    } else if parts.is_empty() {
        let names: Vec<String> = set.servers.iter().map(|server| server.name.clone()).collect();
        parts.push(if names.is_empty() {
            "it has no server on the pod network".to_owned()
        } else {
            format!(
                "no other namespace is a declared client of its servers: {}",
                list(&names)
            )
        });
    }
    parts
}

/// Whose client a namespace is.
fn clients_of(servers: &BTreeSet<String>, members: &[Member]) -> String {
    let joined = |server: &&String| {
        members
            .iter()
            .any(|m| m.group == DEFAULT && m.namespace == **server)
    };
    let inside: Vec<String> = servers.iter().filter(joined).cloned().collect();
    if inside.len() == servers.len() {
        format!(
            "it is a client of {} alone, which every namespace reaches",
            list(&inside)
        )
    } else {
        let all: Vec<String> = servers.iter().cloned().collect();
        format!("it is a client of {}", list(&all))
    }
}
