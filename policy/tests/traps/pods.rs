//! Pods, the labels that select them and their namespaces.

use bulkhead_policy::{Labels, PodState, Selector, World};

use crate::CLOSED;
use crate::common::scene::{PodExt, Scene, pod, tcp};

#[test]
fn trap_20_host_network_pods_are_not_selected_and_count_as_their_node() {
    let on_host = pod("home", "h", [("app", "x")])
        .at("192.0.2.5")
        .state(PodState::HostNetwork);
    let server = pod("home", "s", []);
    let scene = Scene::new().policy(
        "home",
        "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}",
    );
    assert!(
        scene.allows(pod("away", "c", []).end(), on_host.end(), tcp(80)),
        "not isolated"
    );
    assert!(
        !scene.allows(on_host.end(), server.end(), tcp(80)),
        "not selected as a peer"
    );
    let by_address = scene.policy(
        "home",
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.0.2.0/24}}]}]}",
    );
    assert!(by_address.allows(on_host.end(), server.end(), tcp(80)));
}

#[test]
fn trap_22_a_pod_reaches_itself_but_replicas_are_policed() {
    let scene = Scene::new().policy("home", "{podSelector: {}, policyTypes: [Ingress, Egress]}");
    let (one, two) = (
        pod("home", "r-1", [("app", "r")]),
        pod("home", "r-2", [("app", "r")]),
    );
    assert!(scene.allows(one.end(), one.end(), tcp(80)));
    assert!(!scene.allows(one.end(), two.end(), tcp(80)));
}

#[test]
fn trap_23_a_finished_pod_is_no_end_of_any_connection() {
    let done = pod("home", "job", []).at("10.0.0.9").state(PodState::Finished);
    let server = pod("home", "s", []);
    assert!(!Scene::new().allows(done.end(), server.end(), tcp(80)));
    assert!(!Scene::new().allows(server.end(), done.end(), tcp(80)));
}

#[test]
fn trap_24_a_pod_is_policed_until_it_is_gone() {
    // A terminating pod is passed as networked: there is no third state that would free it.
    let terminating = pod("home", "t", []).state(PodState::Networked);
    let scene = Scene::new().policy("home", CLOSED);
    assert!(!scene.allows(pod("away", "c", []).end(), terminating.end(), tcp(80)));
}

#[test]
fn trap_25_the_name_label_of_a_namespace_cannot_be_forged() {
    let scene = Scene::new().namespace("evil", [("kubernetes.io/metadata.name", "trusted")]).policy(
        "home",
        "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: trusted}}}]}]}",
    );
    let server = pod("home", "s", []);
    assert!(!scene.allows(pod("evil", "c", []).end(), server.end(), tcp(80)));
    assert!(scene.allows(pod("trusted", "c", []).end(), server.end(), tcp(80)));
}

#[test]
fn trap_26_an_unknown_namespace_has_its_name_label_and_is_known_to_be_assumed() {
    let mut world = World::default();
    world.set_namespace("known", &Labels::default());
    assert!(world.knows("known") && !world.knows("unknown"));
    assert!(Selector::namespace_name("unknown").matches(&world.namespace_labels("unknown")));
    assert!(!Selector::from([("team", "a")]).matches(&world.namespace_labels("unknown")));
}

#[test]
fn trap_27_negative_operators_match_an_absent_key_and_positive_ones_do_not() {
    let client = pod("home", "c", []);
    for (operator, matches) in [
        ("operator: NotIn, values: [a]", true),
        ("operator: DoesNotExist", true),
        ("operator: In, values: [a]", false),
        ("operator: Exists", false),
    ] {
        let spec = format!(
            "{{podSelector: {{}}, ingress: [{{from: [{{podSelector: {{matchExpressions: [{{key: k, {operator}}}]}}}}]}}]}}"
        );
        let scene = Scene::new().policy("home", &spec);
        assert_eq!(
            scene.allows(client.end(), pod("home", "s", []).end(), tcp(80)),
            matches,
            "{operator}"
        );
    }
}

#[test]
fn trap_28_pods_of_one_owner_are_judged_by_their_own_labels() {
    let scene = Scene::new().policy(
        "home",
        "{podSelector: {matchLabels: {hash: new}}, policyTypes: [Ingress]}",
    );
    let client = pod("home", "c", []);
    assert!(scene.allows(
        client.end(),
        pod("home", "w-old", [("app", "w"), ("hash", "old")]).end(),
        tcp(80)
    ));
    assert!(!scene.allows(
        client.end(),
        pod("home", "w-new", [("app", "w"), ("hash", "new")]).end(),
        tcp(80)
    ));
}
