//! The way from open to closed, and what holds it up.

use bulkhead_api::{
    namespace::{Action, EffectiveMode},
    switch::Isolation,
};
use serde_json::json;

use super::{closed, effective, has, open, pods, restricted, simple, unrestricted};
use crate::plan::{
    self, State, Step,
    tests::{
        run::{Act, Run, SETTLE},
        shapes::PodModel,
    },
};

#[test]
fn a_namespace_closes_and_opens_again() {
    let mut run = closed(Isolation::Ingress);
    assert_eq!(effective(&run), Some(EffectiveMode::Restricted));
    run.act(&unrestricted());
    run.assert_reached();
    assert_eq!(effective(&run), Some(EffectiveMode::Unrestricted));
}

#[test]
fn the_set_is_written_under_a_settled_allow_all_servers_before_the_deny() {
    let run = open();
    let at = |name: &str| run.journal.iter().position(|j| j.contains(name)).unwrap();
    let (allow_all, web, db, deny) = (at("allow-all"), at("-web-"), at("-db-"), at("default-deny"));
    assert!(allow_all < web && web < deny && db < deny, "{:?}", run.journal);
    assert!(run.times[allow_all] + SETTLE <= run.times[web.min(db)]);
}

#[test]
fn the_allow_all_goes_in_a_step_of_its_own_once_everything_under_it_has_settled() {
    let mut run = Run::new(simple(), pods(), true);
    run.act(&restricted(Isolation::Ingress));
    run.assert_reached();
    let (last, staged) = (run.journal.len() - 1, run.journal.len() - 2);
    assert_eq!(run.journal[last], "delete bulkhead-allow-all");
    assert!(run.times[staged] + SETTLE <= run.times[last], "{:?}", run.times);
}

#[test]
fn a_closed_namespace_counts_as_settled_one_settle_time_after_its_allow_all_went() {
    let mut run = open();
    run.act(&restricted(Isolation::Ingress));
    for _ in 0..400 {
        run.tick_and_wait();
        if !has(&run, "bulkhead-allow-all") {
            break;
        }
    }
    let went = *run.times.last().unwrap();
    while effective(&run) != Some(EffectiveMode::Restricted) {
        assert!(run.tick_and_wait(), "never acknowledged");
    }
    assert!(
        run.now >= went + SETTLE,
        "acknowledged at {:?} after {went:?}",
        run.now
    );
}

#[test]
fn every_contract_waits_for_its_intent_and_hits_only_what_was_planned() {
    let mut run = open();
    run.act(&restricted(Isolation::Ingress));
    let mut seen = Vec::new();
    for _ in 0..50 {
        let input = run.operator.input(run.now);
        if let Some(Step::Contract { action, .. }) = plan::plan(&input).step {
            seen.push(action);
        }
        run.tick_and_wait();
    }
    assert!(seen.contains(&Action::Close), "{seen:?}");
    assert!(run.contracts > 0);
    let epoch = run.model.system.as_ref().unwrap().status.epoch;
    assert!(epoch > 0);
}

#[test]
fn a_stray_pod_blocks_closing_and_nothing_else() {
    let mut run = Run::new(simple(), vec![PodModel::new(0, 8443), PodModel::new(4, 80)], true);
    run.act(&restricted(Isolation::Ingress));
    let plan = run.converge();
    assert_eq!(plan.state, State::Blocked);
    assert_eq!(plan.blockers.unwrap().undeclared, ["pod-1"]);
    assert!(has(&run, "bulkhead-allow-all") && has(&run, "bulkhead-default-deny"));
    run.act(&Act::Pods(pods()));
    run.assert_reached();
    assert_eq!(effective(&run), Some(EffectiveMode::Restricted));
    // A stray pod that comes later reopens nothing.
    run.act(&Act::Pods(vec![PodModel::new(4, 80)]));
    run.converge();
    assert!(!has(&run, "bulkhead-allow-all"));
}

#[test]
fn closing_waits_until_everybody_has_seen_the_allows_of_others_that_it_rests_on() {
    let mut run = open();
    let dns = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [
        {"ports": [{"protocol": "UDP", "port": 53}, {"port": 53}, {"port": 6443}, {"port": 443}]}]});
    run.act(&Act::Foreign(
        0,
        json!({"podSelector": {}, "policyTypes": ["Egress"]}),
    ));
    run.act(&restricted(Isolation::Ingress));
    assert_eq!(run.converge().state, State::Blocked);
    assert!(has(&run, "bulkhead-allow-all"));
    run.act(&Act::Foreign(1, dns));
    let allowed = run.now;
    run.assert_reached();
    assert_eq!(*run.journal.last().unwrap(), "delete bulkhead-allow-all");
    let went = *run.times.last().unwrap();
    assert!(
        went >= allowed + SETTLE,
        "closed at {went:?}, the allow came at {allowed:?}"
    );
}

#[test]
fn the_own_namespace_closes_last_and_opens_without_waiting() {
    let mut run = open();
    (run.operator.own_namespace, run.operator.others_closed) = (true, false);
    run.act(&restricted(Isolation::IngressAndEgress));
    run.converge();
    assert!(has(&run, "bulkhead-allow-all"), "closed before the others");
    run.operator.others_closed = true;
    run.converge();
    assert!(!has(&run, "bulkhead-allow-all"));
    assert!(
        !has(&run, "bulkhead-default-deny-egress"),
        "its egress was isolated"
    );
    run.operator.others_closed = false;
    run.act(&unrestricted());
    run.assert_reached();
}
