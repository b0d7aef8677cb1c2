//! The clock of the settle time: what restarts it, and what may still be seen.

use std::sync::Arc;

use bulkhead_policy::{Policy, Rule, Selector};

use super::{History, Moment, ObservedPolicy};

const SETTLE: Moment = Moment::from_secs(30);

fn at(seconds: u64) -> Moment {
    Moment::from_secs(seconds)
}

/// A policy with some number of rules.
fn policy(uid: &str, version: u64, rules: usize) -> ObservedPolicy {
    ObservedPolicy {
        name: "web".into(),
        uid: uid.into(),
        resource_version: version.to_string().into(),
        managed_by_us: true,
        bundle: None,
        owner: None,
        role: None,
        format: 1,
        sequence: 1,
        hold: false,
        policy: Arc::new(Policy {
            namespace: "openshift-test".into(),
            name: "web".into(),
            pods: Selector::everything(),
            ingress: Some(vec![Rule::default(); rules]),
            egress: None,
        }),
        unreadable: false,
    }
}

/// How many rules each version has that may be seen; `None` is absence.
fn seen(history: &History, now: Moment) -> Vec<Option<usize>> {
    let window = history.window(now, SETTLE);
    let versions = window
        .first()
        .map(|(_, versions)| versions.clone())
        .unwrap_or_default();
    versions
        .iter()
        .map(|v| v.as_ref().map(|p| p.ingress.as_ref().map_or(0, Vec::len)))
        .collect()
}

fn observe(history: &mut History, policy: Option<&ObservedPolicy>, now: u64) {
    history.observe(&"web".into(), policy, at(now));
}

#[test]
fn a_policy_settles_one_settle_time_after_it_was_first_seen() {
    let mut history = History::default();
    assert_eq!(history.settled_at("web", SETTLE), None);
    observe(&mut history, Some(&policy("a", 1, 0)), 10);
    assert_eq!(history.settled_at("web", SETTLE), Some(at(40)));
    assert_eq!(history.all_settled_at(SETTLE), Some(at(40)));
    assert_eq!(
        seen(&history, at(39)),
        [None, Some(0)],
        "absence may still be seen"
    );
    assert_eq!(seen(&history, at(40)), [Some(0)]);
}

#[test]
fn only_a_changed_uid_or_spec_restarts_the_clock() {
    let mut history = History::default();
    observe(&mut history, Some(&policy("a", 1, 0)), 0);
    let mut touched = policy("a", 2, 0);
    (touched.hold, touched.sequence, touched.role) = (true, 7, None);
    observe(&mut history, Some(&touched), 20);
    assert_eq!(
        history.settled_at("web", SETTLE),
        Some(at(30)),
        "status or metadata"
    );
    observe(&mut history, Some(&policy("a", 3, 1)), 25);
    assert_eq!(history.settled_at("web", SETTLE), Some(at(55)), "spec");
    observe(&mut history, Some(&policy("b", 4, 1)), 26);
    assert_eq!(history.settled_at("web", SETTLE), Some(at(56)), "uid");
    assert_eq!(seen(&history, at(26)), [None, Some(0), Some(1), Some(1)]);
}

#[test]
fn absence_settles_too_and_a_policy_that_was_never_there_has_no_clock() {
    let mut history = History::default();
    observe(&mut history, None, 0);
    assert_eq!(history.settled_at("web", SETTLE), None);
    observe(&mut history, Some(&policy("a", 1, 2)), 0);
    observe(&mut history, None, 100);
    assert_eq!(history.settled_at("web", SETTLE), Some(at(130)));
    assert_eq!(seen(&history, at(129)), [Some(2), None]);
    assert_eq!(seen(&history, at(130)), [None]);
}

#[test]
fn a_complete_read_notices_what_is_gone() {
    let mut history = History::default();
    let web = policy("a", 1, 0);
    history.observe_all([&web], at(0));
    history.observe_all(std::iter::empty(), at(50));
    assert_eq!(history.settled_at("web", SETTLE), Some(at(80)));
    history.observe_all(std::iter::empty(), at(60));
    assert_eq!(
        history.settled_at("web", SETTLE),
        Some(at(80)),
        "nothing changed since"
    );
}

#[test]
fn a_new_leader_starts_every_clock_at_zero_with_absence_possible() {
    let mut history = History::default();
    observe(&mut history, Some(&policy("a", 1, 1)), 0);
    history.restart(at(1000));
    assert_eq!(history.settled_at("web", SETTLE), Some(at(1030)));
    assert_eq!(seen(&history, at(1029)), [None, Some(1)]);
    assert_eq!(seen(&history, at(1030)), [Some(1)]);
}

#[test]
fn what_nobody_can_see_any_more_is_forgotten_and_nothing_else() {
    let mut history = History::default();
    observe(&mut history, Some(&policy("a", 1, 0)), 0);
    observe(&mut history, Some(&policy("a", 2, 1)), 20);
    history.forget(at(49), SETTLE);
    assert_eq!(seen(&history, at(49)), [Some(0), Some(1)]);
    history.forget(at(50), SETTLE);
    assert_eq!(seen(&history, at(20)), [Some(1)]);
    observe(&mut history, None, 60);
    history.forget(at(89), SETTLE);
    assert_eq!(history.settled_at("web", SETTLE), Some(at(90)));
    history.forget(at(90), SETTLE);
    assert_eq!(history.settled_at("web", SETTLE), None);
    // It comes back as something that was absent before.
    observe(&mut history, Some(&policy("b", 3, 1)), 100);
    assert_eq!(seen(&history, at(100)), [None, Some(1)]);
}
