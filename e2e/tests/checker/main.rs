//! The checker finds what it is there to find: planted histories, good and bad.

mod story;

use std::time::Duration;

use bulkhead_e2e::checker::report::{Level, Report};
use bulkhead_e2e::checker::{Rules, check};
use serde_json::{Value, json};
use story::{Story, allow_all, deny, prometheus, server};

const NS: &str = "openshift-dns-operator";

fn judge(story: &Story) -> Report {
    let rules = Rules::load(Duration::from_secs(2)).unwrap();
    check(&rules, &story.history())
}

/// An open cluster that is about to close; the allow-all has long been there.
fn open() -> Story {
    let mut story = Story::dns_operator();
    story
        .mode("Unrestricted")
        .policy("bulkhead", NS, "bulkhead-allow-all", allow_all())
        .says(NS, "Unrestricted", false);
    story.begins();
    story.after(10_000);
    story
}

fn closed() -> Story {
    let mut story = Story::dns_operator();
    story
        .mode("Restricted")
        .policy("bulkhead", NS, "s", server())
        .policy("bulkhead", NS, "d", deny())
        .says(NS, "Restricted", false);
    story.begins();
    story.after(10_000);
    story
}

fn levels(report: &Report) -> Vec<Level> {
    report.violations().map(|loss| loss.level).collect()
}

#[test]
fn closing_in_the_safe_order_is_clean_and_was_really_judged() {
    let mut story = open();
    story
        .mode("Restricted")
        .after(50)
        .policy("bulkhead", NS, "s", server());
    story.after(2500).policy("bulkhead", NS, "d", deny());
    story.after(2500).intends(NS, "Unrestricted");
    story.after(20).delete_policy(NS, "bulkhead-allow-all");
    story.after(2500).says(NS, "Restricted", false);
    let report = judge(&story);
    report.assert_clean().unwrap();
    assert!(
        report.counts.connections > 0 && report.counts.mixes > 0,
        "{report}"
    );
}

#[test]
fn a_deny_before_any_allow_is_found_at_its_revision() {
    let mut story = Story::dns_operator();
    story.mode("Restricted").begins().after(5000);
    story
        .policy("bulkhead", NS, "d", deny())
        .after(5000)
        .policy("bulkhead", NS, "s", server());
    let report = judge(&story);
    assert_eq!(levels(&report)[0], Level::Stored, "{report}");
    let loss = report.violations().next().unwrap();
    assert_eq!(&*loss.namespace, NS);
    assert!(loss.write.contains("/d"), "{loss}");
    assert!(loss.regained.is_some(), "{loss}");
}

#[test]
fn a_deny_one_second_after_its_allow_is_found_under_mixed_views_only() {
    let mut story = Story::dns_operator();
    story.mode("Restricted").begins().after(5000);
    story
        .policy("bulkhead", NS, "s", server())
        .after(1000)
        .policy("bulkhead", NS, "d", deny());
    // The server policy isolates the pod and serves it by one write; the deny may be seen without it.
    assert!(levels(&judge(&story)).contains(&Level::Mixed));
    assert!(!levels(&judge(&story)).contains(&Level::Stored));
}

#[test]
fn a_deny_two_seconds_and_a_half_after_its_allow_is_clean() {
    let mut story = Story::dns_operator();
    story
        .mode("Restricted")
        .policy("bulkhead", NS, "bulkhead-allow-all", allow_all())
        .begins()
        .after(5000);
    story
        .policy("bulkhead", NS, "s", server())
        .after(2500)
        .policy("bulkhead", NS, "d", deny());
    judge(&story).assert_clean().unwrap();
}

#[test]
fn deleting_the_allow_all_without_a_set_is_found() {
    let mut story = open();
    story
        .mode("Restricted")
        .after(50)
        .policy("bulkhead", NS, "d", deny())
        .after(2500)
        .delete_policy(NS, "bulkhead-allow-all");
    assert_eq!(levels(&judge(&story)), [Level::Stored]);
}

#[test]
fn deleting_the_allow_all_while_the_mode_is_unrestricted_is_found() {
    let mut story = open();
    story
        .policy("bulkhead", NS, "s", server())
        .after(5000)
        .delete_policy(NS, "bulkhead-allow-all");
    let report = judge(&story);
    assert!(levels(&report).contains(&Level::Stored), "{report}");
    assert!(report.violations().any(|loss| loss.example.contains("open")));
}

#[test]
fn a_set_that_forgets_a_client_is_found_when_the_allow_all_goes() {
    let mut story = open();
    let wrong =
        json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 9394}]}]});
    story
        .mode("Restricted")
        .policy("bulkhead", NS, "s", wrong)
        .after(5000)
        .delete_policy(NS, "bulkhead-allow-all");
    let report = judge(&story);
    assert!(
        report
            .violations()
            .any(|loss| loss.example.contains("prometheus-k8s-0")),
        "{report}"
    );
}

#[test]
fn acknowledging_open_before_it_is_open_is_found() {
    let mut story = closed();
    story
        .mode("Unrestricted")
        .after(100)
        .says(NS, "Unrestricted", false)
        .after(3000);
    story.policy("bulkhead", NS, "bulkhead-allow-all", allow_all());
    assert!(levels(&judge(&story)).contains(&Level::Stored));
}

#[test]
fn opening_and_acknowledging_at_once_is_clean() {
    let mut story = closed();
    story
        .mode("Unrestricted")
        .after(100)
        .policy("bulkhead", NS, "bulkhead-allow-all", allow_all());
    story
        .after(10)
        .says(NS, "Unrestricted", false)
        .after(5000)
        .delete_policy(NS, "d");
    judge(&story).assert_clean().unwrap();
}

#[test]
fn a_stale_delete_after_the_mode_went_back_is_found() {
    let mut story = open();
    story
        .mode("Restricted")
        .policy("bulkhead", NS, "s", server())
        .after(2500)
        .policy("bulkhead", NS, "d", deny());
    story
        .after(2500)
        .mode("Unrestricted")
        .after(20)
        .says(NS, "Unrestricted", false);
    story.after(500).delete_policy(NS, "bulkhead-allow-all");
    assert!(levels(&judge(&story)).contains(&Level::Stored));
}

#[test]
fn what_somebody_else_takes_away_is_counted_apart_and_seen_to_heal() {
    let mut story = Story::dns_operator();
    story
        .mode("Unrestricted")
        .says(NS, "Unrestricted", false)
        .begins()
        .after(5000);
    story.policy("somebody", NS, "their-deny", deny()).after(100);
    story.policy("bulkhead", NS, "bulkhead-allow-all", allow_all());
    let report = judge(&story);
    report.assert_clean().unwrap();
    let loss = report.foreign().next().unwrap();
    assert_eq!(loss.level, Level::Stored);
    assert!(loss.regained.is_some(), "{loss}");
}

#[test]
fn a_preserved_namespace_that_loses_more_than_it_ships_is_found() {
    let mut story = Story::dns_operator();
    let shipped =
        json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 9393}]}]});
    story
        .policy("shipped", NS, "theirs", shipped)
        .begins()
        .after(5000);
    story.policy(
        "bulkhead",
        NS,
        "s",
        json!({"podSelector": {}, "policyTypes": ["Egress"]}),
    );
    let report = judge(&story);
    assert!(
        report
            .violations()
            .any(|loss| loss.example.contains("without the operator")),
        "{report}"
    );
}

#[test]
fn a_pod_that_still_listens_on_the_old_port_keeps_its_clients() {
    let set = |port: u16| {
        let rules = json!([{"ports": [{"port": port}], "clients": [{"type": "Namespace", "namespace": {"name": "tenant"}}]}]);
        let selector = json!({"matchLabels": {"name": "dns-operator"}});
        json!({"catalogEntry": "Replace", "servers": [{"name": "s", "podSelector": selector, "rules": rules}]})
    };
    let policy = |port: u16| {
        let from = json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "tenant"}}}]);
        json!({"podSelector": {"matchLabels": {"name": "dns-operator"}}, "policyTypes": ["Ingress"],
            "ingress": [{"from": from, "ports": [{"port": port}]}]})
    };
    let moved = |rolled_out: bool| {
        let mut story = Story::dns_operator();
        story
            .mode("Restricted")
            .declares(NS, "x", set(9393))
            .policy("bulkhead", NS, "old", policy(9393));
        story
            .policy("bulkhead", NS, "d", deny())
            .says(NS, "Restricted", false)
            .begins()
            .after(5000);
        story
            .declares(NS, "x", set(9400))
            .after(50)
            .policy("bulkhead", NS, "new", policy(9400))
            .after(3000);
        if rolled_out {
            story
                .pod(NS, "dns-operator-1", &json!({"name": "dns-operator"}), 9400)
                .after(3000);
        }
        story.delete_policy(NS, "old");
        judge(&story)
    };
    moved(true).assert_clean().unwrap();
    assert!(levels(&moved(false)).contains(&Level::Stored));
}

/// A set of the DNS operator with one client namespace that takes the place of the facts.
fn replacing(client: &str) -> Value {
    let clients = json!([{"type": "Namespace", "namespace": {"name": client}}]);
    json!({"catalogEntry": "Replace", "servers": [{
        "name": "s", "podSelector": {"matchLabels": {"name": "dns-operator"}},
        "rules": [{"ports": [{"port": 9393}], "clients": clients}]}]})
}

/// What the set of one client namespace stands as.
fn admitting(client: &str) -> Value {
    let from = json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": client}}}]);
    json!({"podSelector": {"matchLabels": {"name": "dns-operator"}}, "policyTypes": ["Ingress"],
        "ingress": [{"from": from, "ports": [{"port": 9393}]}]})
}

/// Closed to what one declaration says; then a second one contradicts it while the operator still works.
fn contradicted() -> Story {
    let mut story = Story::dns_operator();
    story
        .namespace("tenant-a")
        .pod("tenant-a", "web", &json!({"app": "web"}), 8080)
        .mode("Restricted")
        .declares(NS, "mine", replacing("tenant-a"))
        .policy("bulkhead", NS, "s", admitting("tenant-a"))
        .policy("bulkhead", NS, "d", deny())
        .says(NS, "Restricted", false)
        .begins();
    story
        .says(NS, "Restricted", true)
        .declares(NS, "second", replacing("tenant"))
        .says(NS, "Restricted", true)
        .after(3000)
        .says(NS, "Restricted", false)
        .after(3000);
    story
}

#[test]
fn declarations_that_contradict_each_other_ask_for_nothing_new() {
    judge(&contradicted()).assert_clean().unwrap();
    let mut given_up = contradicted();
    given_up.policy("bulkhead", NS, "s", admitting("tenant"));
    assert!(levels(&judge(&given_up)).contains(&Level::Stored));
}

#[test]
fn a_label_that_a_policy_relies_on_must_not_be_taken_away() {
    let mut story = closed();
    story.pod("openshift-monitoring", "prometheus-k8s-1", &prometheus(), 9091);
    judge(&story).assert_clean().unwrap();
    let by_label = json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{
        "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "elsewhere"}}}]}]});
    story.after(3000).policy("bulkhead", NS, "s", by_label);
    assert!(levels(&judge(&story)).contains(&Level::Stored));
}

fn breaches(report: &Report) -> Vec<&'static str> {
    report.breaches.iter().map(|breach| breach.invariant).collect()
}

#[test]
fn an_allow_all_that_goes_without_a_stored_intent_is_found() {
    let mut story = open();
    story
        .mode("Restricted")
        .policy("bulkhead", NS, "s", server())
        .policy("bulkhead", NS, "d", deny());
    story.after(5000).delete_policy(NS, "bulkhead-allow-all");
    assert_eq!(breaches(&judge(&story)), ["S3"]);
}

#[test]
fn admitting_more_than_is_declared_is_found_once_settled() {
    let by_port =
        json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 9393}]}]});
    let mut story = Story::dns_operator();
    story
        .mode("Restricted")
        .policy("bulkhead", NS, "s", by_port)
        .policy("bulkhead", NS, "d", deny());
    story.says(NS, "Restricted", false).begins();
    let report = judge(&story);
    assert!(report.violations().next().is_none());
    assert!(
        report
            .breaches
            .iter()
            .any(|b| b.invariant == "S2" && b.what.contains("tenant")),
        "{report}"
    );
    assert!(report.counts.forbidden > 0);
}

#[test]
fn what_somebody_else_admits_counts_only_where_status_keeps_silent() {
    let theirs =
        json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 9393}]}]});
    let saying = |effective: &str| {
        let mut story = closed();
        story
            .policy("shipped", NS, "theirs", theirs.clone())
            .says(NS, effective, false)
            .begins();
        judge(&story)
    };
    saying("PartlyRestricted").assert_clean().unwrap();
    assert!(breaches(&saying("Restricted")).contains(&"S2"));
}

#[test]
fn a_repair_says_nothing_of_what_others_wrote_before_it_but_the_next_status_does() {
    let wide =
        json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 9393}]}]});
    let repaired = || {
        let mut story = closed();
        story
            .policy("shipped", NS, "theirs", wide.clone())
            .policy("bulkhead", NS, "s", server());
        story
    };
    let silent = |story: &Story| !breaches(&judge(story)).contains(&"S2");
    let mut later = repaired();
    later.after(5000).says(NS, "Restricted", true);
    assert!(silent(&later), "nothing was claimed since");
    let mut claimed = repaired();
    claimed.says(NS, "Restricted", false);
    assert!(!silent(&claimed), "the claim was made anew");
}

#[test]
fn writing_outside_system_namespaces_or_to_what_others_made_is_found() {
    let mut story = closed();
    story.policy("bulkhead", "tenant", "x", deny());
    assert_eq!(breaches(&judge(&story)), ["S5"]);
    let mut story = closed();
    story
        .policy("shipped", NS, "theirs", deny())
        .begins()
        .policy("bulkhead", NS, "theirs", server());
    assert_eq!(breaches(&judge(&story)), ["S5"]);
}
