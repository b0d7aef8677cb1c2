//! Policy groups and their labels.

use std::collections::{BTreeMap, BTreeSet};

use crate::{facts::FACTS, model::CATALOG};

/// The older form: one key, the group as its value.
const OLDER: &str = "network.openshift.io/policy-group";
/// The newer form: a key per group.
const NEWER: &str = "policy-group.network.openshift.io/";

fn is_group_key(key: &str) -> bool {
    key == OLDER || key.starts_with(NEWER)
}

#[test]
fn groups_list_only_namespaces_of_the_facts_and_each_once() {
    let names = FACTS.names();
    let mut groups = BTreeSet::new();
    for group in &CATALOG.header.groups {
        assert!(groups.insert(&group.name), "group {} appears twice", group.name);
        let members: BTreeSet<_> = group.namespaces.iter().map(String::as_str).collect();
        assert_eq!(
            members.len(),
            group.namespaces.len(),
            "{} lists a member twice",
            group.name
        );
        assert!(
            !members.is_empty() && members.is_subset(&names),
            "{}: {members:?}",
            group.name
        );
    }
    let expected = ["console", "host-network", "ingress", "monitoring"];
    assert_eq!(
        groups.into_iter().map(String::as_str).collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn groups_carry_both_generations_of_labels() {
    for group in &CATALOG.header.groups {
        let newer = (format!("{NEWER}{}", group.name), String::new());
        let older = (OLDER.to_owned(), group.name.clone());
        let mut expected = BTreeMap::from([newer, older]);
        // The network operator owns the older key there (`ingress` while routers use the host network).
        if group.name == "host-network" {
            expected.remove(OLDER);
        }
        assert_eq!(group.labels, expected, "{}", group.name);
    }
}

#[test]
fn no_namespace_gets_two_values_for_one_label() {
    for name in FACTS.names() {
        let groups = CATALOG
            .header
            .groups
            .iter()
            .filter(|g| g.namespaces.iter().any(|n| n == name));
        let labels: Vec<_> = groups.flat_map(|g| &g.labels).collect();
        assert_eq!(
            labels.len(),
            CATALOG.group_labels(name).len(),
            "{name}: {labels:?}"
        );
    }
}

#[test]
fn labels_agree_with_those_that_the_platform_puts_on_its_namespaces() {
    let mut agreed = 0;
    for fact in &FACTS.namespaces {
        let ours = CATALOG.group_labels(&fact.name);
        for (key, value) in fact.labels.iter().filter(|(key, _)| is_group_key(key)) {
            assert_eq!(ours.get(key), Some(value), "{} {key}", fact.name);
            agreed += 1;
        }
    }
    assert_eq!(agreed, 6, "the facts name six such labels");
}

#[test]
fn only_group_keys_are_granted() {
    for (name, entry) in &CATALOG.entries {
        assert!(
            entry.granted_labels.iter().all(|k| is_group_key(k)),
            "{name}: {:?}",
            entry.granted_labels
        );
    }
}
