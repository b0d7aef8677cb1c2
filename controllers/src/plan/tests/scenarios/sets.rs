//! Sets that change, and pods that come and go meanwhile.

use bulkhead_api::{namespace::Adoption, switch::Isolation};
use serde_json::json;

use super::{clients, closed, db, has, names_of_ours, open, restricted, set_of, simple, web, work};
use crate::plan::{
    State,
    tests::{
        run::{Act, Event, Run, SETTLE},
        shapes::{PodModel, server},
    },
};

#[test]
fn a_selector_change_keeps_old_and_new_side_by_side_until_both_have_settled() {
    let mut run = closed(Isolation::Ingress);
    // db is served by another look; its pods declare a port that the new rule opens too.
    let moved = server("db", &json!({"matchLabels": {"app": "b"}}), &clients(443));
    let old: Vec<String> = names_of_ours(&run);
    let from = run.journal.len();
    run.act(&Act::Set(Box::new(set_of(&[web(), moved]))));
    run.assert_reached();
    let journal = &run.journal[from..];
    assert_eq!(journal.len(), 2, "{journal:?}");
    assert!(journal[0].starts_with("create bulkhead-db-") && journal[1].starts_with("delete bulkhead-db-"));
    assert!(old.iter().any(|name| journal[1].ends_with(name.as_str())));
    assert!(run.times[from] + SETTLE <= run.times[from + 1]);
}

#[test]
fn a_rule_that_live_pods_still_need_stays_until_they_are_gone() {
    let mut run = closed(Isolation::Ingress);
    let moved = server("web", &json!({"matchLabels": {"app": "a"}}), &clients(80));
    run.act(&Act::Set(Box::new(set_of(&[moved, db()]))));
    run.assert_reached();
    let web = |run: &Run| {
        let name = names_of_ours(run)
            .into_iter()
            .find(|n| n.contains("-web-"))
            .unwrap();
        run.model.policies[&*name].object["spec"]["ingress"].to_string()
    };
    assert!(
        web(&run).contains("8443") && web(&run).contains("80"),
        "{}",
        web(&run)
    );
    run.act(&Act::Upgrading(true));
    run.act(&Act::Pods(vec![PodModel::new(0, 80), PodModel::new(1, 443)]));
    run.assert_reached();
    assert!(web(&run).contains("8443"), "narrowed during an upgrade");
    run.act(&Act::Upgrading(false));
    run.assert_reached();
    assert!(!web(&run).contains("8443"), "{}", web(&run));
}

#[test]
fn an_older_catalog_takes_nothing_away_not_even_on_release() {
    let mut run = open();
    run.operator.sequence = 0;
    run.act(&Act::Adoption(Some(Adoption::NotAdopted)));
    let plan = run.converge();
    assert_eq!(plan.state, State::NewerWriter);
    assert!(has(&run, "bulkhead-allow-all") && has(&run, "bulkhead-default-deny"));
    assert!(
        run.journal.iter().all(|j| !j.starts_with("delete")),
        "{:?}",
        run.journal
    );
    run.act(&Act::Adoption(None));
    run.act(&restricted(Isolation::Ingress));
    assert_eq!(run.converge().state, State::NewerWriter);
    assert!(has(&run, "bulkhead-allow-all"));
}

#[test]
fn two_repairs_of_which_one_rests_on_the_other_do_not_go_together() {
    let mut run = closed(Isolation::Ingress);
    // Somebody points web at the pods of db and serves them, waits, and deletes db.
    let borrowed = json!({"podSelector": {"matchLabels": {"tier": "x"}}, "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 443}]}]});
    let at = |run: &Run, part: &str| names_of_ours(run).iter().position(|n| n.contains(part)).unwrap();
    let web = at(&run, "-web-");
    run.play(&Event::Act(Act::EditOurs(web, borrowed)));
    run.play(&Event::Wait(60_000));
    let db = at(&run, "-db-");
    run.act(&Act::DeleteOurs(db));
    run.assert_reached();
}

#[test]
fn a_pod_that_comes_while_a_deleted_set_is_written_anew_is_served_whatever_its_server_selects_by() {
    let by_key = json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]});
    for wait in 0..10 {
        let mut run = Run::new(
            set_of(&[server("any", &by_key, &clients(8443))]),
            Vec::new(),
            true,
        );
        run.act(&restricted(Isolation::Ingress));
        run.assert_reached();
        run.act(&Act::DeleteAll);
        run.play(&Event::Wait(60_000));
        work(&mut run, wait);
        run.act(&Act::Pods(vec![PodModel::new(3, 8443)]));
        run.assert_reached();
    }
}

#[test]
fn a_pod_of_two_servers_may_come_while_a_deleted_set_is_written_again() {
    // No pod runs, and a pod of either server alone would lose nothing on the way.
    let quiet = server("quiet", &json!({"matchLabels": {"tier": "x"}}), &json!([]));
    let busy = server(
        "busy",
        &json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]}),
        &clients(8443),
    );
    for wait in 0..10 {
        let mut run = Run::new(set_of(&[quiet.clone(), busy.clone()]), Vec::new(), false);
        run.act(&restricted(Isolation::Ingress));
        run.assert_reached();
        run.act(&Act::DeleteAll);
        work(&mut run, wait);
        run.act(&Act::Pods(vec![PodModel::new(1, 443)]));
        run.assert_reached();
    }
}

#[test]
fn terminating_pods_are_served_until_they_are_gone() {
    let mut leaving = PodModel::new(0, 8443);
    leaving.terminating = true;
    let mut run = Run::new(simple(), vec![leaving], true);
    run.act(&restricted(Isolation::Ingress));
    run.assert_reached();
    run.act(&Act::DeleteAll);
    run.assert_reached();
}
