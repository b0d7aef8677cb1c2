//! Named histories: one for each way in which a planner of this kind cuts traffic or gets stuck.

use bulkhead_api::{
    namespace::{Action, Adoption, EffectiveMode},
    switch::{Isolation, Mode},
};
use serde_json::{Value, json};

use super::{
    brute::{CLIENTS, SUBJECT},
    model::foreign,
    run::{Act, Event, Run, SETTLE, switch},
    shapes::{PodModel, SetModel, entry, server},
};
use crate::{
    observe::Moment,
    plan::{self, State, Step},
};

fn clients(port: u16) -> Value {
    json!([{"ports": [{"port": port}],
            "clients": [{"type": "Namespace", "namespace": {"name": CLIENTS}}, {"type": "HostNetwork"}]}])
}

fn web() -> Value {
    server("web", &json!({"matchLabels": {"app": "a"}}), &clients(8443))
}

fn db() -> Value {
    let rules = json!([{"ports": [{"port": 443}], "clients": [{"type": "SameNamespace"}]}]);
    server("db", &json!({"matchLabels": {"tier": "x"}}), &rules)
}

fn set_of(servers: &[Value]) -> SetModel {
    let egress = json!([{"name": "all", "podSelector": {}, "rules": [
        {"destinations": [{"type": "DNS"}, {"type": "APIServer"}]}
    ]}]);
    SetModel {
        entry: Some(entry(SUBJECT, &json!(servers), &egress, "Legacy")),
        ..SetModel::default()
    }
}

fn simple() -> SetModel {
    set_of(&[web(), db()])
}

fn pods() -> Vec<PodModel> {
    vec![PodModel::new(0, 8443), PodModel::new(1, 443)]
}

fn restricted(isolation: Isolation) -> Act {
    let mut restricted = switch(Some(Mode::Restricted));
    restricted.isolation = isolation;
    Act::Mode(restricted)
}

fn unrestricted() -> Act {
    Act::Mode(switch(Some(Mode::Unrestricted)))
}

fn removed() -> Act {
    let mut removed = switch(None);
    removed.removal_meant = true;
    Act::Mode(removed)
}

fn deny_all() -> Value {
    json!({"podSelector": {}, "policyTypes": ["Ingress"]})
}

/// Opened, staged and at rest.
fn open() -> Run {
    let mut run = Run::new(simple(), pods(), true);
    run.act(&unrestricted());
    run.assert_reached();
    run
}

/// Closed and at rest.
fn closed(isolation: Isolation) -> Run {
    let mut run = open();
    run.act(&restricted(isolation));
    run.assert_reached();
    run
}

fn work(run: &mut Run, ticks: usize) {
    run.play(&Event::Work(ticks));
}

fn names_of_ours(run: &Run) -> Vec<String> {
    let ours = run.model.policies.iter().filter(|(_, p)| p.ours());
    ours.map(|(name, _)| name.to_string()).collect()
}

fn has(run: &Run, name: &str) -> bool {
    run.model.policies.contains_key(name)
}

fn effective(run: &Run) -> Option<EffectiveMode> {
    run.model.system.as_ref()?.status.effective_mode
}

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
fn opening_is_the_first_write_after_any_prefix_of_closing_whoever_leads() {
    for isolation in [Isolation::Ingress, Isolation::IngressAndEgress] {
        for same_leader in [true, false] {
            for at in 0.. {
                let mut run = Run::new(simple(), pods(), true);
                run.act(&restricted(isolation));
                let fired = run.work_with(
                    at,
                    if same_leader {
                        Act::Upgrading(false)
                    } else {
                        Act::Crash
                    },
                );
                run.act(&unrestricted());
                let (before, stands) = (run.journal.len(), has(&run, "bulkhead-allow-all"));
                run.converge();
                let next = run.journal.get(before);
                assert!(
                    stands || next.is_some_and(|n| n == "create bulkhead-allow-all"),
                    "request {at}: {:?}",
                    run.journal
                );
                run.assert_reached();
                if !fired {
                    assert!(at > 6, "only {at} requests");
                    break;
                }
            }
        }
    }
}

/// Plays `change` on a run, with something coming before each of the requests that it takes in turn.
fn at_every_request(start: impl Fn() -> Run, change: &[Act], act: &Act) {
    for at in 0.. {
        let mut run = start();
        for change in change {
            run.act(change);
        }
        let fired = run.work_with(at, act.clone());
        run.assert_reached();
        while !run.limbo.is_empty() {
            run.play(&Event::Arrives(0));
        }
        run.assert_reached();
        if !fired {
            assert!(at > 1, "only {at} requests");
            return;
        }
    }
}

fn another_set() -> Act {
    // One server changes its selector, one its port, one comes.
    let web = server("web", &json!({"matchLabels": {"app": "a"}}), &clients(80));
    let db = server("db", &json!({"matchLabels": {"app": "b"}}), &clients(443));
    let more = server("more", &json!({"matchLabels": {"tier": "y"}}), &clients(80));
    Act::Set(Box::new(set_of(&[web, db, more])))
}

#[test]
fn a_crash_before_any_request_of_any_transition_costs_nothing_that_is_required() {
    let open_to_closed = restricted(Isolation::Ingress);
    at_every_request(open, &[open_to_closed], &Act::Crash);
    at_every_request(open, &[restricted(Isolation::IngressAndEgress)], &Act::Crash);
    let ingress = || closed(Isolation::Ingress);
    at_every_request(ingress, &[unrestricted()], &Act::Crash);
    at_every_request(ingress, &[another_set()], &Act::Crash);
    at_every_request(ingress, &[Act::DeleteAll], &Act::Crash);
    at_every_request(ingress, &[Act::Adoption(Some(Adoption::NotAdopted))], &Act::Crash);
    at_every_request(ingress, &[restricted(Isolation::IngressAndEgress)], &Act::Crash);
    let both = || closed(Isolation::IngressAndEgress);
    at_every_request(both, &[restricted(Isolation::Ingress)], &Act::Crash);
}

#[test]
fn a_request_without_an_answer_may_arrive_at_any_later_moment() {
    at_every_request(open, &[restricted(Isolation::Ingress)], &Act::LoseAnswer);
    let ingress = || closed(Isolation::Ingress);
    at_every_request(ingress, &[another_set()], &Act::LoseAnswer);
    at_every_request(
        ingress,
        &[restricted(Isolation::IngressAndEgress)],
        &Act::LoseAnswer,
    );
    at_every_request(
        ingress,
        &[Act::Adoption(Some(Adoption::NotAdopted))],
        &Act::LoseAnswer,
    );
}

#[test]
fn a_contract_of_a_dead_leader_never_lands_after_the_next_one_has_fenced() {
    let mut run = open();
    run.act(&restricted(Isolation::Ingress));
    // The last request of closing is the deletion of the allow-all: the leader dies while it is on its way.
    let mut at = 0;
    let last = loop {
        let mut trial = run.clone();
        assert!(trial.work_with(at, Act::Crash), "the deletion was never sent");
        if trial
            .limbo
            .iter()
            .any(|(r, _)| &*r.name() == "bulkhead-allow-all")
        {
            break trial;
        }
        at += 1;
    };
    run = last;
    run.act(&unrestricted());
    run.assert_reached();
    let writes = run.model.writes;
    run.play(&Event::Arrives(0));
    assert_eq!(run.model.writes, writes, "it landed");
    assert!(has(&run, "bulkhead-allow-all"));
}

#[test]
fn a_deletion_on_its_way_does_not_close_a_namespace_that_is_blocked_since() {
    for act in [Act::Crash, Act::LoseAnswer] {
        let mut run = (0..100)
            .map(|at| {
                let mut trial = open();
                trial.act(&restricted(Isolation::Ingress));
                assert!(trial.work_with(at, act.clone()), "the deletion was never sent");
                trial
            })
            .find(|trial| {
                trial
                    .limbo
                    .iter()
                    .any(|(r, _)| &*r.name() == "bulkhead-allow-all")
            })
            .unwrap();
        run.act(&Act::Pods(vec![PodModel::new(4, 80)]));
        assert_eq!(run.converge().state, State::Blocked);
        run.play(&Event::Arrives(0));
        assert!(has(&run, "bulkhead-allow-all"), "closed although blocked");
    }
}

#[test]
fn a_deletion_under_an_allow_all_cannot_land_late_on_a_closed_namespace() {
    // While open, the set loses a server; the leader dies while that server's policy is being deleted. The
    // server comes back, its policy still stands, and the namespace closes.
    for at in 0..12 {
        let mut run = open();
        run.act(&Act::Set(Box::new(set_of(&[db()]))));
        run.work_with(at, Act::Crash);
        let held = run.limbo.iter().any(|(r, _)| r.name().contains("-web-"));
        run.act(&Act::Set(Box::new(simple())));
        run.act(&restricted(Isolation::Ingress));
        run.assert_reached();
        while !run.limbo.is_empty() {
            run.play(&Event::Arrives(0));
        }
        run.assert_reached();
        if held {
            return;
        }
    }
    panic!("no deletion was ever under way");
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
fn terminating_pods_are_served_until_they_are_gone() {
    let mut leaving = PodModel::new(0, 8443);
    leaving.terminating = true;
    let mut run = Run::new(simple(), vec![leaving], true);
    run.act(&restricted(Isolation::Ingress));
    run.assert_reached();
    run.act(&Act::DeleteAll);
    run.assert_reached();
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

#[test]
fn restarts_of_a_settled_namespace_write_nothing() {
    for mut run in [
        open(),
        closed(Isolation::Ingress),
        closed(Isolation::IngressAndEgress),
    ] {
        let writes = run.model.writes;
        for _ in 0..3 {
            run.crash();
            run.converge();
        }
        assert_eq!(run.model.writes, writes);
    }
}
