//! The effect of writes, told as the steps of closing and opening a namespace.

mod common;

use std::sync::Arc;

use bulkhead_policy::v1::parse_rules;
use bulkhead_policy::{
    Dialect, Direction, Effect, Pod, Policy, Rule, Window, World, Write, effect::effect_of_write,
};
use common::scene::{pod, policy, yaml};

const ALLOW_ALL: &str = "{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]}";
const DENY: &str = "{podSelector: {}, policyTypes: [Ingress]}";
const SERVER: &str = "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], \
    ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: client}}}], ports: [{port: 80}]}]}";

fn home(spec: &str) -> Arc<Policy> {
    Arc::new(policy("home", spec))
}

fn pods() -> Vec<Pod> {
    vec![
        pod("home", "web-1", [("app", "web")]),
        pod("home", "web-2", [("app", "web")]),
        pod("home", "db", [("app", "db")]),
    ]
}

fn create(spec: &str) -> Write {
    Write {
        object: None,
        version: Some(home(spec)),
    }
}

fn effect(before: &Window, write: &Write) -> Effect {
    effect_of_write(&World::default(), before, write, &pods()).effect()
}

fn ingress(rules: &str) -> Vec<Rule> {
    parse_rules(Direction::Ingress, &yaml(&format!("{{ingress: {rules}}}"))).unwrap_or_default()
}

fn missing(window: &Window, pod: &Pod, required: &[Rule]) -> Vec<String> {
    let world = World::new(Dialect::ovn_kubernetes());
    window
        .missing(&world, pod, Direction::Ingress, required)
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn allow_all_over_open_pods_changes_nothing_and_isolates_each_class_once() {
    let write = create(ALLOW_ALL);
    let effect = effect_of_write(&World::default(), &Window::default(), &write, &pods());
    assert_eq!(effect.effect(), Effect::Neutral);
    let both = |at| [(at, Direction::Ingress), (at, Direction::Egress)];
    assert_eq!(effect.newly_isolates, [both(0), both(2)].concat());
}

#[test]
fn staging_under_allow_all_is_neutral_and_removing_it_contracts() {
    let staged = Window::settled([home(ALLOW_ALL)]);
    assert_eq!(effect(&staged, &create(SERVER)), Effect::Neutral);
    assert_eq!(effect(&staged, &create(DENY)), Effect::Neutral);
    let full = Window::settled([home(ALLOW_ALL), home(SERVER), home(DENY)]);
    let removal = Write {
        object: Some(0),
        version: None,
    };
    let result = effect_of_write(&World::default(), &full, &removal, &pods());
    assert_eq!(result.effect(), Effect::Contract);
    assert!(
        result.lost.iter().any(|change| change.pod == 2),
        "the database loses everything"
    );
    assert!(
        result
            .lost
            .iter()
            .all(|change| change.direction == Direction::Ingress),
        "egress stays open"
    );
}

#[test]
fn an_allow_rule_for_unisolated_pods_is_a_contraction() {
    let result = effect_of_write(&World::default(), &Window::default(), &create(SERVER), &pods());
    assert_eq!(result.effect(), Effect::Contract);
    assert_eq!(result.newly_isolates, [(0, Direction::Ingress)]);
}

#[test]
fn opening_expands() {
    let closed = Window::settled([home(SERVER), home(DENY)]);
    assert_eq!(effect(&closed, &create(ALLOW_ALL)), Effect::Expand);
}

#[test]
fn a_fresh_allow_all_guarantees_nothing_to_isolated_pods_until_it_is_settled() {
    let db = &pods()[2];
    let everything = ingress("[{}]");
    let mut window = Window::settled([home(DENY)]);
    window.push(vec![None, Some(home(ALLOW_ALL))]);
    assert!(
        !missing(&window, db, &everything).is_empty(),
        "the deny may be seen without it"
    );
    assert!(missing(&window.after_settling(), db, &everything).is_empty());
    let only = Window::from_iter([vec![None, Some(home(ALLOW_ALL))]]);
    assert!(
        missing(&only, db, &everything).is_empty(),
        "absent or present, it allows all"
    );
}

#[test]
fn a_deleted_deny_still_isolates_within_the_settle_time() {
    let window = Window::from_iter([vec![Some(home(DENY)), None]]);
    let result = effect_of_write(&World::default(), &window, &create(SERVER), &pods());
    assert_eq!(
        result.newly_isolates,
        [(0, Direction::Ingress)],
        "some mix does not isolate yet"
    );
    assert!(!missing(&window, &pods()[2], &ingress("[{}]")).is_empty());
}

#[test]
fn a_replaced_rule_guarantees_what_both_versions_allow() {
    let other = SERVER.replace("port: 80", "port: 80, endPort: 90");
    let window = Window::from_iter([vec![Some(home(SERVER)), Some(home(&other))]]);
    let from_client = "[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: client}}}], ports: [{port: 80}, {port: 85}]}]";
    assert_eq!(
        missing(&window, &pods()[0], &ingress(from_client)),
        ["every pod in namespace client on TCP/85"]
    );
}

#[test]
fn a_requirement_may_be_covered_by_several_rules_together() {
    let spec = "{podSelector: {}, ingress: [\
        {from: [{namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [a, b]}]}}], ports: [{port: 80}]},\
        {from: [{namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [a]}]}}], ports: [{port: 80}]},\
        {from: [{namespaceSelector: {}}], ports: [{port: 81, endPort: 65535}]}]}";
    let window = Window::settled([home(spec)]);
    let db = &pods()[2];
    let pods_anywhere =
        "[{from: [{namespaceSelector: {}, podSelector: {}}], ports: [{port: 80, endPort: 65535}]}]";
    assert!(missing(&window, db, &ingress(pods_anywhere)).is_empty());
    let anyone = missing(&window, db, &ingress("[{ports: [{port: 100}]}]"));
    assert_eq!(
        anyone,
        ["any address on TCP/100"],
        "pods and the host network are covered, the outside is not"
    );
}

#[test]
fn host_traffic_counts_as_covered_only_without_a_pod_selector() {
    let host =
        "{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: openshift-host-network}}}]}";
    let with_pods = host.replace("}}}", "}}, podSelector: {}}");
    let of = |rule: &str| Window::settled([home(&format!("{{podSelector: {{}}, ingress: [{rule}]}}"))]);
    let required = ingress(&format!("[{host}]"));
    assert!(missing(&of(host), &pods()[0], &required).is_empty());
    let lacking = missing(&of(&with_pods), &pods()[0], &required);
    assert!(
        lacking.iter().all(|flows| flows.starts_with("the host network")) && !lacking.is_empty(),
        "{lacking:?}"
    );
}

#[test]
fn excess_names_the_object_that_is_wider_than_declared() {
    let window = Window::settled([
        home(SERVER),
        home(DENY),
        home("{podSelector: {}, ingress: [{ports: [{port: 9}]}]}"),
    ]);
    let declared = ingress(
        "[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: client}}}], ports: [{port: 80}]}]",
    );
    let world = World::default();
    let wider = window.excess(&world, &pods()[0], Direction::Ingress, &declared);
    assert!(
        !wider.is_empty() && wider.iter().all(|(object, _)| *object == Some(2)),
        "{wider:?}"
    );
    let open = Window::default().excess(&world, &pods()[0], Direction::Ingress, &declared);
    assert!(open.iter().all(|(object, _)| object.is_none()) && !open.is_empty());
}
