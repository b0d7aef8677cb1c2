//! What others decide: shipped policies, overrides, lineage, names and management.

use bulkhead_api::{
    namespace::EffectiveMode,
    switch::{Isolation, Mode},
};
use serde_json::json;

use super::{deny_all, effective, has, names_of_ours, open, pods, removed, restricted, simple, unrestricted};
use crate::plan::{
    State,
    tests::{
        model::foreign,
        run::{Act, Run},
    },
};

#[test]
fn shipped_policies_stay_in_force_where_nobody_set_a_mode() {
    let mut run = Run::new(simple(), pods(), true);
    run.act(&Act::Foreign(0, deny_all()));
    run.assert_reached();
    assert_eq!(effective(&run), Some(EffectiveMode::Preserved));
    assert!(names_of_ours(&run).is_empty() && run.journal.is_empty());
    run.act(&unrestricted());
    run.assert_reached();
    run.act(&removed());
    // Ours is gone and theirs denies again, which the pre-flight allows for where nothing declared is denied.
    assert_eq!(run.converge().state, State::Blocked);
    run.act(&Act::Foreign(
        0,
        json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}),
    ));
    run.assert_reached();
    assert_eq!(effective(&run), Some(EffectiveMode::Preserved));
}

#[test]
fn an_override_that_is_over_gives_the_namespace_back_to_what_ships() {
    let mut run = Run::new(simple(), pods(), true);
    run.act(&Act::Foreign(
        0,
        json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}),
    ));
    run.assert_reached();
    run.act(&Act::Override(Some((Mode::Restricted, Some(600)))));
    while effective(&run) != Some(EffectiveMode::PartlyRestricted) {
        assert!(run.tick_and_wait(), "never closed");
    }
    assert!(has(&run, "bulkhead-default-deny"));
    run.assert_reached();
    assert_eq!(effective(&run), Some(EffectiveMode::Preserved));
    assert!(names_of_ours(&run).is_empty());
}

#[test]
fn a_namespace_of_new_lineage_stays_closed_when_its_declaration_goes() {
    let mut new = simple();
    new.entry.as_mut().unwrap().lineage = bulkhead_api::namespace::Lineage::New;
    let mut run = Run::new(new, pods(), true);
    run.act(&unrestricted());
    run.assert_reached();
    assert_eq!(effective(&run), Some(EffectiveMode::Restricted));
    run.act(&Act::Set(Box::default()));
    run.assert_reached();
    assert!(!has(&run, "bulkhead-allow-all") && has(&run, "bulkhead-default-deny"));
}

#[test]
fn names_that_somebody_else_took_are_left_to_them() {
    let mut run = Run::new(simple(), pods(), true);
    let taken = [
        "bulkhead-allow-all",
        "bulkhead-allow-egress",
        "bulkhead-default-deny",
        "bulkhead-default-deny-egress",
    ];
    let theirs = json!({"podSelector": {"matchLabels": {"app": "none"}}, "policyTypes": ["Ingress"]});
    for name in taken {
        let mut body = foreign(name, &theirs);
        body["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "bulkhead",
            "network.operator.openshift.io/policy-role": "allow-all"});
        run.model.create(&body, "somebody").unwrap();
    }
    for goal in [
        unrestricted(),
        restricted(Isolation::Ingress),
        restricted(Isolation::IngressAndEgress),
        restricted(Isolation::Ingress),
        unrestricted(),
    ] {
        run.act(&goal);
        run.assert_reached();
    }
    for name in taken {
        assert!(!run.model.policies[name].ours(), "{name} was taken over");
        let spec = &run.model.policies[name].object["spec"];
        assert_eq!(*spec, theirs, "{name} was changed");
    }
    assert!(has(&run, "bulkhead-allow-all-2"));
}

#[test]
fn an_unmanaged_namespace_is_not_written_to() {
    let mut run = open();
    run.act(&Act::Unmanaged(true));
    let writes = run.journal.len();
    run.act(&restricted(Isolation::Ingress));
    run.act(&Act::DeleteAll);
    run.converge();
    assert_eq!(run.journal.len(), writes);
}
