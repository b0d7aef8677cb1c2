//! One entry per namespace of the facts, saying what the facts say.

use std::collections::BTreeSet;

use bulkhead_api::{
    catalog::{Applicability, CatalogEntry, Confidence},
    namespace::Lineage,
    server::Exposure,
};

use crate::{
    facts::{FACTS, NamespaceFact, Workload},
    model::{CATALOG, files, servers_of},
};

fn pairs() -> impl Iterator<Item = (&'static NamespaceFact, &'static CatalogEntry)> {
    FACTS.namespaces.iter().map(|n| (n, &CATALOG.entries[&n.name]))
}

#[test]
fn every_namespace_of_the_facts_has_an_entry_and_no_other_has() {
    let entries: BTreeSet<_> = CATALOG.entries.keys().map(String::as_str).collect();
    assert_eq!(entries, FACTS.names());
    assert!(
        entries.len() > 100,
        "the facts know more than a hundred namespaces"
    );
}

#[test]
fn each_file_is_named_after_its_namespace() {
    let names: BTreeSet<_> = files().into_iter().map(|(name, _)| name).collect();
    let mut expected: BTreeSet<_> = CATALOG.entries.keys().map(|n| format!("{n}.yaml")).collect();
    expected.insert("catalog.yaml".into());
    assert_eq!(names, expected);
}

#[test]
fn sources_and_confidence_are_those_of_the_facts() {
    for (fact, entry) in pairs() {
        assert_eq!(entry.sources, fact.source, "{}", fact.name);
        assert_eq!(entry.confidence, fact.confidence, "{}", fact.name);
    }
}

#[test]
fn the_header_names_a_release_and_a_sequence() {
    assert_eq!(
        (CATALOG.header.sequence, CATALOG.header.release.as_str()),
        (1, "5.0")
    );
}

#[test]
fn everything_known_up_to_this_release_is_legacy() {
    assert!(pairs().all(|(_, entry)| entry.lineage == Lineage::Legacy));
}

#[test]
fn an_entry_says_whether_policies_have_anything_to_act_on() {
    for (fact, entry) in pairs() {
        let expected = match fact.policy_applicability.as_str() {
            "none-host-network" => Applicability::HostNetworkOnly,
            // Empty today because the workload comes from an operator that nobody inspected.
            "empty" if fact.name == "openshift-lightspeed" => Applicability::PodNetwork,
            "empty" => Applicability::Empty,
            _ => Applicability::PodNetwork,
        };
        assert_eq!(entry.applicability, expected, "{}", fact.name);
    }
}

#[test]
fn only_namespaces_whose_pods_nobody_can_list_are_left_without_a_set() {
    let mut without = 0;
    for (fact, entry) in pairs() {
        let listable = fact
            .workloads
            .iter()
            .any(|w| !w.host_network && !w.is_unlistable());
        assert_eq!(!entry.servers.is_empty(), listable, "{}", fact.name);
        if !listable && entry.applicability == Applicability::PodNetwork {
            let note = "NoPolicySet";
            assert!(
                entry.notes.iter().any(|n| n.contains(note)),
                "{}: no note on {note}",
                fact.name
            );
            assert!(entry.egress.is_empty(), "{}: egress without servers", fact.name);
            without += 1;
        }
    }
    assert_eq!(
        without, 14,
        "twelve uninspected namespaces, openshift-lightspeed and openshift-operators"
    );
}

#[test]
fn uninspected_namespaces_admit_that() {
    for (fact, entry) in pairs().filter(|(fact, _)| fact.policy_applicability == "unknown") {
        assert_eq!(entry.confidence, Confidence::Low, "{}", fact.name);
        assert!(
            entry.notes.iter().any(|n| n.starts_with("Not inspected.")),
            "{}",
            fact.name
        );
    }
}

#[test]
fn each_pod_of_the_facts_belongs_to_exactly_one_server_and_one_egress_rule() {
    let mut pods = 0;
    for (fact, workload) in FACTS.pod_workloads().filter(|(_, w)| !w.is_unlistable()) {
        let entry = &CATALOG.entries[&fact.name];
        for pod in workload.pods() {
            let servers: Vec<_> = servers_of(entry, &pod).iter().map(|s| s.name.as_str()).collect();
            let egress: Vec<_> = crate::destinations::rules_of(entry, &pod)
                .map(|e| e.name.as_str())
                .collect();
            assert_eq!(
                servers.len(),
                1,
                "{} {} {pod:?}: {servers:?}",
                fact.name,
                workload.name
            );
            assert_eq!(servers, egress, "{} {}", fact.name, workload.name);
            pods += 1;
        }
    }
    println!("{pods} kinds of pod are each declared once");
    assert!(pods > 130);
}

#[test]
fn every_server_and_egress_rule_selects_a_pod_of_the_facts() {
    for (fact, entry) in pairs() {
        let pods: Vec<_> = fact
            .workloads
            .iter()
            .filter(|w| !w.host_network)
            .flat_map(Workload::pods)
            .collect();
        let hit = |selector| pods.iter().any(|pod| crate::labels::matches(selector, pod));
        for server in &entry.servers {
            assert!(hit(&server.pod_selector), "{} {}", fact.name, server.name);
        }
        for rule in &entry.egress {
            assert!(hit(&rule.pod_selector), "{} {}", fact.name, rule.name);
        }
    }
}

#[test]
fn servers_are_for_users_where_pods_of_users_or_routes_reach_them() {
    for (fact, entry) in pairs() {
        let mut ports = fact
            .workloads
            .iter()
            .filter(|w| !w.host_network)
            .flat_map(|w| &w.ports);
        let for_users = ports.any(|p| {
            p.role.contains("user-facing") || p.clients.iter().any(|c| c == "any-pod" || c == "external")
        });
        let expected = if for_users {
            Exposure::UserFacing
        } else {
            Exposure::Internal
        };
        assert_eq!(entry.exposure, expected, "{}", fact.name);
    }
}
