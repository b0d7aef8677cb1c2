//! The restrictive policies for egress.

use std::{collections::BTreeMap, sync::Arc};

use bulkhead_api::{Catalog, server::Destination};
use bulkhead_policy::{Direction, Peer, Policy, PortRule, Rule, Selector};

use super::{
    Rendered, Role, ServedBy, Target, additional::additional, destinations::destination, identity::identity,
    target::deny, without_repeats,
};
use crate::decide::{Platform, RestrictiveSet, selector};

/// The restrictive policies for egress. `served_by` are the servers elsewhere that declare this namespace as a
/// client: what they allow in, the client is allowed out.
pub fn egress(
    namespace: &str,
    set: &RestrictiveSet,
    served_by: &[ServedBy],
    platform: &Platform,
    catalog: &Catalog,
) -> Rendered {
    let mut rendered = Rendered::default();
    for ((workload, pods), rules) in rules_by_workload(set, served_by, platform, catalog) {
        let name = identity("egress-", &workload, &pods, "Egress");
        let policy = Policy {
            namespace: namespace.into(),
            name: name.into(),
            pods,
            ingress: None,
            egress: Some(without_repeats(rules)),
        };
        rendered.targets.push(Target {
            role: Role::Egress,
            server: workload.into(),
            policy: Arc::new(policy),
        });
    }
    rendered
        .targets
        .extend(additional(namespace, set, Direction::Egress));
    rendered.targets.push(deny(namespace, Direction::Egress));
    rendered
}

/// What each workload may reach, by its name and pods.
fn rules_by_workload(
    set: &RestrictiveSet,
    served_by: &[ServedBy],
    platform: &Platform,
    catalog: &Catalog,
) -> BTreeMap<(String, Selector), Vec<Rule>> {
    let mut workloads: BTreeMap<(String, Selector), Vec<Rule>> = BTreeMap::new();
    for workload in &set.egress {
        let rules = workload.rules.iter().flat_map(|rule| {
            let ports: Vec<PortRule> = rule.ports.iter().filter_map(selector::port).collect();
            let each = move |d: &Destination| destination(d, &ports, platform, catalog);
            rule.destinations.iter().flat_map(each).collect::<Vec<_>>()
        });
        let key = (workload.name.clone(), selector::pods(&workload.pod_selector));
        workloads.entry(key).or_default().extend(rules);
    }
    for served in served_by {
        let peer = Peer::Pods {
            namespaces: Some(Selector::namespace_name(&served.namespace)),
            pods: (!served.pods.is_everything()).then(|| served.pods.clone()),
        };
        let key = ("clients".to_owned(), served.client_pods.clone());
        let rule = Rule {
            peers: vec![peer],
            ports: served.ports.clone(),
        };
        workloads.entry(key).or_default().push(rule);
    }
    workloads
}
