//! Random histories: any set, any pods, any switch, shipped policies, edits and deletions by others, crashes and
//! lost answers at any request, requests that arrive late.
//!
//! `BULKHEAD_CASES=5000 cargo test -p bulkhead-controllers plan::` looks longer.

use bulkhead_api::{
    namespace::{Adoption, UndeclaredPods},
    switch::{Isolation, Mode, NewNamespaces},
};
use proptest::{collection::vec, option, prelude::*, sample::select, test_runner::Config};
use serde_json::{Value, json};

use super::{
    brute::{CLIENTS, SUBJECT},
    checker::Switch,
    run::{Act, Event, Run},
    shapes::{PodModel, SetModel, entry, server},
};

fn cases(default: u32) -> Config {
    let cases = std::env::var("BULKHEAD_CASES").ok().and_then(|n| n.parse().ok());
    Config {
        cases: cases.unwrap_or(default),
        failure_persistence: None,
        max_shrink_iters: 600,
        ..Config::default()
    }
}

fn selector() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"matchLabels": {"app": "a"}}),
        json!({"matchLabels": {"tier": "x"}}),
        json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]}),
        json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}),
        json!({"matchLabels": {"app": "b"}}),
        json!({"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}),
    ])
}

fn client() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"type": "Namespace", "namespace": {"name": CLIENTS}}),
        json!({"type": "Namespace", "namespace": {"name": CLIENTS, "podSelector": {"matchLabels": {"app": "c"}}}}),
        json!({"type": "NamespaceGroup", "namespaceGroup": {"name": "friends"}}),
        json!({"type": "SameNamespace"}),
        json!({"type": "HostNetwork"}),
        json!({"type": "APIServer"}),
        json!({"type": "AnyNamespace"}),
        json!({"type": "Anywhere"}),
        json!({"type": "CIDR", "cidr": {"cidr": "203.0.113.0/24"}}),
    ])
}

fn ports() -> impl Strategy<Value = Value> {
    select(vec![
        json!([{"port": 8443}]),
        json!([{"port": 443}]),
        json!([{"port": 80, "endPort": 500}]),
        json!([{"protocol": "UDP", "port": 53}, {"port": 80}]),
        json!([]),
    ])
}

fn rules() -> impl Strategy<Value = Value> {
    let rule = (ports(), vec(client(), 1..3)).prop_map(|(p, c)| json!({"ports": p, "clients": c}));
    vec(rule, 0..3).prop_map(Value::Array)
}

fn servers() -> impl Strategy<Value = Value> {
    let one = (select(vec!["s0", "s1", "s2"]), selector(), rules());
    vec(one, 0..4).prop_map(|all| all.iter().map(|(n, s, r)| server(n, s, r)).collect())
}

fn egress() -> impl Strategy<Value = Value> {
    let to = select(vec![
        json!({"type": "DNS"}),
        json!({"type": "APIServer"}),
        json!({"type": "Namespace", "namespace": {"name": CLIENTS}}),
        json!({"type": "Anywhere"}),
        json!({"type": "SameNamespace"}),
    ]);
    let rule = vec(to, 1..3).prop_map(|to| json!({"destinations": to}));
    let one =
        (selector(), vec(rule, 0..3)).prop_map(|(s, r)| json!({"name": "out", "podSelector": s, "rules": r}));
    vec(one, 0..3).prop_map(Value::Array)
}

fn set() -> impl Strategy<Value = SetModel> {
    let lineage = prop_oneof![5 => Just("Legacy"), 1 => Just("New")];
    let served = json!([server(
        "far",
        &json!({"matchLabels": {"app": "c"}}),
        &json!([
        {"ports": [{"port": 443}], "clients": [
            {"type": "Namespace", "namespace": {"name": SUBJECT, "podSelector": {"matchLabels": {"app": "a"}}}}]}])
    )]);
    let far = option::of(Just(entry(CLIENTS, &served, &json!([]), "Legacy")));
    let one = (
        option::weighted(0.9, (servers(), egress(), lineage)),
        far,
        prop::bool::weighted(0.04),
    );
    one.prop_map(|(own, served_by, unreadable)| SetModel {
        entry: own.map(|(s, e, l)| entry(SUBJECT, &s, &e, l)),
        served_by,
        unreadable,
    })
}

fn pods() -> impl Strategy<Value = Vec<PodModel>> {
    let look = prop_oneof![8 => 0..4usize, 1 => Just(4usize)];
    let one = (look, select(vec![443u16, 8443, 80]), prop::bool::weighted(0.1));
    let one = one.prop_map(|(look, port, terminating)| PodModel {
        terminating,
        ..PodModel::new(look, port)
    });
    vec(one, 0..4)
}

fn a_switch() -> impl Strategy<Value = Switch> {
    let mode =
        prop_oneof![4 => Just(Some(Mode::Restricted)), 3 => Just(Some(Mode::Unrestricted)), 2 => Just(None)];
    let isolation = select(vec![
        Isolation::Ingress,
        Isolation::Ingress,
        Isolation::IngressAndEgress,
    ]);
    let new = select(vec![NewNamespaces::Restricted, NewNamespaces::Unrestricted]);
    (mode, isolation, new, any::<bool>()).prop_map(|(mode, isolation, new, meant)| Switch {
        mode,
        // Options are forbidden beside another mode, so they fall back to their defaults.
        isolation: if mode == Some(Mode::Restricted) {
            isolation
        } else {
            Isolation::Ingress
        },
        new_namespaces: if mode == Some(Mode::Unrestricted) {
            new
        } else {
            NewNamespaces::Restricted
        },
        removal_meant: mode.is_none() && meant,
    })
}

/// Specs of other people's policies, and of their edits of ours.
fn spec() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"podSelector": {}, "policyTypes": ["Ingress"]}),
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
        json!({"podSelector": {"matchLabels": {"app": "a"}}, "policyTypes": ["Ingress"]}),
        json!({"podSelector": {"matchLabels": {"tier": "x"}}, "policyTypes": ["Ingress"],
               "ingress": [{"from": [{"namespaceSelector": {}}], "ports": [{"port": 443}]}]}),
        json!({"podSelector": {}, "policyTypes": ["Egress"],
               "egress": [{"ports": [{"protocol": "UDP", "port": 53}, {"port": 53}]}]}),
        json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}),
        json!({"podSelector": {"matchLabels": {"app": "b"}}, "policyTypes": ["Egress"]}),
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]}),
    ])
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => a_switch().prop_map(Act::Mode),
        1 => any::<bool>().prop_map(Act::Hold),
        1 => any::<bool>().prop_map(Act::Unmanaged),
        2 => option::of((select(vec![Mode::Restricted, Mode::Unrestricted]), option::of(10..200u64)))
            .prop_map(Act::Override),
        1 => select(vec![None, Some(Adoption::Adopted), Some(Adoption::NotAdopted)]).prop_map(Act::Adoption),
        1 => select(vec![UndeclaredPods::Isolate, UndeclaredPods::Block]).prop_map(Act::Undeclared),
        4 => pods().prop_map(Act::Pods),
        4 => set().prop_map(|s| Act::Set(Box::new(s))),
        1 => any::<bool>().prop_map(Act::Upgrading),
        3 => (0..2usize, spec()).prop_map(|(n, s)| Act::Foreign(n, s)),
        2 => (0..2usize).prop_map(Act::ForeignGone),
        3 => (0..8usize).prop_map(Act::DeleteOurs),
        3 => (0..8usize, spec()).prop_map(|(n, s)| Act::EditOurs(n, s)),
        1 => Just(Act::DeleteAll),
        2 => Just(Act::Crash),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let inner = prop_oneof![3 => Just(Act::Crash), 3 => Just(Act::LoseAnswer), 4 => act()];
    prop_oneof![
        5 => act().prop_map(Event::Act),
        2 => (1..40_000u64).prop_map(Event::Wait),
        5 => (0..4usize, option::of((0..8u16, inner))).prop_map(|(n, i)| Event::Tick(n, i)),
        5 => (1..40usize).prop_map(Event::Work),
        1 => (0..8usize).prop_map(Event::Arrives),
    ]
}

/// A closing that is likely to be under way: staged, and asked for.
fn opening_moves() -> impl Strategy<Value = Vec<Event>> {
    let first = a_switch().prop_map(|s| vec![Event::Work(30), Event::Act(Act::Mode(s)), Event::Work(8)]);
    prop_oneof![1 => Just(Vec::new()), 3 => first]
}

fn play(set: SetModel, pods: Vec<PodModel>, host: bool, events: &[Event]) -> Run {
    let mut run = Run::new(set, pods, host);
    for event in events {
        run.play(event);
    }
    run
}

proptest! {
    #![proptest_config(cases(220))]

    #[test]
    fn no_history_denies_what_is_required_and_every_history_ends_where_it_should(
        set in set(), pods in pods(), host in prop::bool::weighted(0.8),
        first in opening_moves(), events in vec(event(), 1..24),
    ) {
        let all: Vec<Event> = first.into_iter().chain(events).collect();
        let mut run = play(set, pods, host, &all);
        run.assert_reached();
    }
}
