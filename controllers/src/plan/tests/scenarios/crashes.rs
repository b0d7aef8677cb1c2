//! Crashes, lost answers and leaders of before.

use bulkhead_api::{namespace::Adoption, switch::Isolation};
use serde_json::json;

use super::{clients, closed, db, has, open, pods, restricted, set_of, simple, unrestricted};
use crate::plan::{
    State,
    tests::{
        run::{Act, Event, Run},
        shapes::{PodModel, server},
    },
};

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
