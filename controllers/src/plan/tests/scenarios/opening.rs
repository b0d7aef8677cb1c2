//! What opens, stays open and is repaired.

use bulkhead_api::{
    namespace::{Adoption, EffectiveMode},
    switch::Isolation,
};
use serde_json::json;

use super::{closed, deny_all, effective, has, names_of_ours, open, pods, restricted, simple, unrestricted};
use crate::{
    observe::Moment,
    plan::tests::{
        run::{Act, Run},
        shapes::SetModel,
    },
};

#[test]
fn a_hold_opens_and_stops_even_the_release_of_a_namespace() {
    let mut run = closed(Isolation::Ingress);
    run.act(&Act::Hold(true));
    run.act(&Act::Adoption(Some(Adoption::NotAdopted)));
    let contracts = run.contracts;
    run.assert_reached();
    assert!(has(&run, "bulkhead-allow-all"));
    assert_eq!(run.contracts, contracts, "a contract during the hold");
    run.act(&Act::Hold(false));
    run.assert_reached();
    assert!(names_of_ours(&run).is_empty());
}

#[test]
fn a_released_namespace_keeps_its_allow_all_until_the_set_is_gone_however_unreadable_declarations_are() {
    let mut run = closed(Isolation::Ingress);
    run.act(&Act::Set(Box::new(SetModel {
        unreadable: true,
        ..simple()
    })));
    run.act(&Act::Adoption(Some(Adoption::NotAdopted)));
    run.assert_reached();
    assert!(names_of_ours(&run).is_empty(), "{:?}", run.journal);
}

#[test]
fn an_opener_of_egress_that_somebody_closed_is_made_whole_or_removed() {
    let closing = json!({"podSelector": {}, "policyTypes": ["Egress"]});
    // While egress is on its way to being isolated.
    let mut run = closed(Isolation::Ingress);
    run.act(&restricted(Isolation::IngressAndEgress));
    while !has(&run, "bulkhead-allow-egress") {
        assert!(run.tick_and_wait());
    }
    let at = names_of_ours(&run)
        .iter()
        .position(|n| n == "bulkhead-allow-egress")
        .unwrap();
    run.act(&Act::EditOurs(at, closing.clone()));
    run.assert_reached();
    assert!(!has(&run, "bulkhead-allow-egress") && has(&run, "bulkhead-default-deny-egress"));
    // And while the goal has moved on meanwhile.
    let mut run = closed(Isolation::Ingress);
    run.act(&restricted(Isolation::IngressAndEgress));
    while !has(&run, "bulkhead-allow-egress") {
        assert!(run.tick_and_wait());
    }
    run.act(&Act::EditOurs(at, closing));
    run.act(&unrestricted());
    run.assert_reached();
    run.act(&restricted(Isolation::Ingress));
    run.assert_reached();
    assert!(!has(&run, "bulkhead-allow-egress"));
}

#[test]
fn an_allow_all_that_the_platform_default_put_there_is_restored_over_whatever_came_since() {
    let mut run = Run::new(simple(), pods(), true);
    run.assert_reached();
    run.act(&Act::Foreign(0, deny_all()));
    run.assert_reached();
    let at = names_of_ours(&run)
        .iter()
        .position(|n| n == "bulkhead-allow-all")
        .unwrap();
    run.act(&Act::DeleteOurs(at));
    run.assert_reached();
    assert!(has(&run, "bulkhead-allow-all"), "{:?}", run.journal);
}

#[test]
fn an_edited_allow_all_is_made_whole_even_when_the_declaration_goes_at_the_same_time() {
    let mut run = open();
    let at = names_of_ours(&run)
        .iter()
        .position(|n| n == "bulkhead-allow-all")
        .unwrap();
    run.act(&restricted(Isolation::Ingress));
    run.act(&Act::EditOurs(at, deny_all()));
    run.act(&Act::Set(Box::default()));
    run.assert_reached();
    assert_eq!(effective(&run), Some(EffectiveMode::Unrestricted));
}

#[test]
fn repairs_of_one_object_wait_a_second_while_somebody_fights_and_openings_never_do() {
    let mut run = closed(Isolation::Ingress);
    let from = run.journal.len();
    let start = run.now;
    while run.now < start + Moment::from_secs(3) {
        let web = names_of_ours(&run).iter().position(|n| n.contains("-web-"));
        if let Some(web) = web {
            run.act(&Act::DeleteOurs(web));
        }
        run.tick(usize::MAX);
        run.now += Moment::from_millis(50);
    }
    let repairs = run.journal.len() - from;
    assert!((2..=5).contains(&repairs), "{repairs} repairs in three seconds");
    let mut run = open();
    let from = run.journal.len();
    for _ in 0..10 {
        let at = names_of_ours(&run)
            .iter()
            .position(|n| n == "bulkhead-allow-all")
            .unwrap();
        run.act(&Act::DeleteOurs(at));
        run.tick(usize::MAX);
        assert!(has(&run, "bulkhead-allow-all"));
    }
    assert_eq!(run.journal.len() - from, 10);
}
