//! The restrictive policies for ingress.

use std::{collections::BTreeMap, sync::Arc};

use bulkhead_api::{Catalog, server::Server};
use bulkhead_policy::{Direction, Policy, Rule, Selector};

use super::{
    Rendered, Role, Target, additional::additional, clients::admission, identity::identity, target::deny,
    without_repeats,
};
use crate::decide::{Platform, RestrictiveSet, selector};

/// The restrictive policies for ingress.
pub fn ingress(namespace: &str, set: &RestrictiveSet, platform: &Platform, catalog: &Catalog) -> Rendered {
    let mut rendered = Rendered::default();
    let mut servers: BTreeMap<(String, Selector), Vec<Rule>> = BTreeMap::new();
    for server in &set.servers {
        let (rules, port_only) = server_rules(server, platform, catalog);
        rendered.port_only |= port_only;
        servers
            .entry((server.name.clone(), selector::pods(&server.pod_selector)))
            .or_default()
            .extend(rules);
    }
    for ((server, pods), rules) in servers {
        let name = identity("", &server, &pods, "Ingress");
        let policy = Policy {
            namespace: namespace.into(),
            name: name.into(),
            pods,
            ingress: Some(without_repeats(rules)),
            egress: None,
        };
        rendered.targets.push(Target {
            role: Role::Server,
            server: server.into(),
            policy: Arc::new(policy),
        });
    }
    rendered
        .targets
        .extend(additional(namespace, set, Direction::Ingress));
    rendered.targets.push(deny(namespace, Direction::Ingress));
    rendered
}

fn server_rules(server: &Server, platform: &Platform, catalog: &Catalog) -> (Vec<Rule>, bool) {
    let mut port_only = false;
    let mut rules = Vec::new();
    for rule in &server.rules {
        // A group without members admits nobody; an empty list would admit everybody.
        let Some(admission) = admission(&rule.clients, platform, catalog) else {
            continue;
        };
        port_only |= admission.port_only;
        rules.push(Rule {
            peers: admission.peers,
            ports: rule.ports.iter().filter_map(selector::port).collect(),
        });
    }
    (rules, port_only)
}
