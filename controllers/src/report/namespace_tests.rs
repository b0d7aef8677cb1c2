//! What the status of a system namespace says.

use std::{collections::BTreeMap, sync::Arc};

use bulkhead_api::{
    namespace::{Action, EffectiveMode, Intent, SystemNamespaceSpec, SystemNamespaceStatus},
    switch::Mode,
    vocabulary::condition,
};
use bulkhead_policy::{Direction, Labels, PodState, Policy, Rule, Selector};
use jiff::Timestamp;

use super::namespace::status;
use crate::{
    decide::{
        Configuration, Platform, Role, Target,
        config::Applied,
        render::{self, Rendered},
    },
    observe::{
        History, Moment, ObservedPolicy,
        world::{NamespaceObject, PodShape, SystemObject},
    },
    plan::{Cluster, Expected, Input, Member, State, Writer, plan},
};

const HOME: &str = "openshift-test";
const LATER: Moment = Moment::from_secs(1000);

fn observed(target: &Target, managed_by_us: bool) -> Arc<ObservedPolicy> {
    Arc::new(ObservedPolicy {
        name: target.policy.name.clone(),
        uid: format!("uid-{}", target.policy.name).into(),
        resource_version: "5".into(),
        managed_by_us,
        bundle: None,
        owner: None,
        role: managed_by_us.then_some(target.role),
        format: 1,
        sequence: 1,
        hold: false,
        policy: target.policy.clone(),
        unreadable: false,
    })
}

fn deny() -> Target {
    let policy = Policy {
        namespace: HOME.into(),
        name: "bulkhead-default-deny".into(),
        pods: Selector::everything(),
        ingress: Some(Vec::new()),
        egress: None,
    };
    Target {
        role: Role::DefaultDeny,
        server: "".into(),
        policy: Arc::new(policy),
    }
}

fn shipped(ingress: Vec<Rule>) -> Arc<ObservedPolicy> {
    let policy = Policy {
        name: "shipped".into(),
        ingress: Some(ingress),
        ..(*deny().policy).clone()
    };
    let target = Target {
        policy: Arc::new(policy),
        ..deny()
    };
    observed(&target, false)
}

/// A namespace whose set is the deny alone, with policies that settled long ago.
fn input(mode: Option<Mode>, policies: Vec<Arc<ObservedPolicy>>) -> Input {
    let platform = Platform::default();
    let config = Configuration {
        applied: Applied {
            mode,
            ..Applied::default()
        },
        stored: true,
        ..Configuration::default()
    };
    let cluster = Cluster {
        config,
        world: platform.world(),
        platform,
        settle: Moment::from_secs(30),
        sequence: 1,
        writer: Writer {
            identity: "me".into(),
            term: 1,
        },
        own_namespace: "openshift-bulkhead".into(),
        frozen: None,
        contracts_frozen: None,
        system_namespaces_served: true,
        used_label_keys: Arc::default(),
        generations: Arc::default(),
    };
    let mut history = History::default();
    history.observe_all(policies.iter().map(|p| &**p), Moment::ZERO);
    let shape = PodShape {
        labels: Labels::from([("app", "web")]),
        ports: Box::default(),
        state: PodState::Networked,
        terminating: true,
    };
    let expected = Expected {
        catalogued: true,
        ingress: Some(Rendered {
            targets: vec![deny()],
            port_only: false,
        }),
        egress: Some(Rendered::default()),
        egress_needs: Some(Rendered::default()),
        ..Expected::default()
    };
    let label = bulkhead_api::vocabulary::LABEL_SYSTEM_NAMESPACE;
    Input {
        cluster: Arc::new(cluster),
        name: HOME.into(),
        now: LATER,
        wall: Timestamp::from_second(1_700_000_000).unwrap(),
        object: Some(NamespaceObject {
            uid: "namespace".into(),
            labels: Labels::from([(label, "")]),
            terminating: false,
        }),
        first_seen: Moment::ZERO,
        system: Some(Arc::new(system())),
        expected: Arc::new(expected),
        policies,
        history,
        pods: Arc::new(vec![Member::new(&HOME.into(), "web-1", &shape)]),
        bundled: false,
        uncertain: false,
        others_closed: true,
        written: BTreeMap::new(),
    }
}

fn system() -> SystemObject {
    SystemObject {
        uid: "uid".into(),
        resource_version: "1".into(),
        generation: 4,
        spec: Ok(SystemNamespaceSpec::default()),
        status: SystemNamespaceStatus {
            labels: vec![bulkhead_api::vocabulary::LABEL_SYSTEM_NAMESPACE.into()],
            ..SystemNamespaceStatus::default()
        },
    }
}

fn allow_all() -> Arc<ObservedPolicy> {
    observed(&render::allow_all(HOME, "bulkhead-allow-all"), true)
}

fn said(status: &SystemNamespaceStatus, kind: &str) -> (String, String, String) {
    let found = status
        .conditions
        .iter()
        .find(|c| c.type_ == kind)
        .expect("no such condition");
    (found.status.clone(), found.reason.clone(), found.message.clone())
}

fn with_status(mut input: Input, status: SystemNamespaceStatus) -> Input {
    input.system = Some(Arc::new(SystemObject { status, ..system() }));
    input
}

/// The status, which must be the same again once it is stored.
fn fixed_point(input: Input) -> SystemNamespaceStatus {
    let first = status(&input, &plan(&input)).unwrap();
    let mut again = with_status(input, first.clone());
    again.now += Moment::from_secs(100);
    again.wall = Timestamp::from_second(1_700_000_100).unwrap();
    assert_eq!(
        status(&again, &plan(&again)),
        Some(first.clone()),
        "another status without a change"
    );
    first
}

#[test]
fn an_open_namespace_says_so_and_names_what_it_overrides() {
    let status = fixed_point(input(
        Some(Mode::Unrestricted),
        vec![allow_all(), observed(&deny(), true), shipped(Vec::new())],
    ));
    assert_eq!(status.effective_mode, Some(EffectiveMode::Unrestricted));
    assert_eq!(status.desired_mode, Some(EffectiveMode::Unrestricted));
    assert_eq!(status.foreign_policies, 1);
    let (overridden, _, message) = said(&status, condition::SHIPPED_POLICY_OVERRIDDEN);
    assert!(overridden == "True" && message.contains("shipped"), "{message}");
    assert_eq!(said(&status, condition::STAGED).0, "True");
    assert_eq!(said(&status, condition::ISOLATED).0, "False");
    assert_eq!(said(&status, condition::PROGRESSING).1, "AsExpected");
    let names: Vec<&str> = status.policies.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["bulkhead-allow-all", "bulkhead-default-deny"]);
}

#[test]
fn a_closed_namespace_is_restricted_as_of_a_resource_version_and_loses_its_intent() {
    let mut closing = input(Some(Mode::Restricted), vec![observed(&deny(), true)]);
    let mut before = system().status;
    before.epoch = 3;
    before.intent = Some(Intent {
        epoch: 3,
        action: Action::Close,
        holder: "me".into(),
        term: 1,
    });
    closing = with_status(closing, before);
    let status = fixed_point(closing);
    assert_eq!(status.effective_mode, Some(EffectiveMode::Restricted));
    assert_eq!(status.policies_resource_version.as_deref(), Some("5"));
    assert_eq!((status.epoch, status.intent.clone()), (3, None));
    assert_eq!(said(&status, condition::ISOLATED).0, "True");
}

#[test]
fn a_closed_namespace_that_lost_its_set_while_nothing_may_be_written_claims_nothing() {
    let mut bare = input(Some(Mode::Restricted), Vec::new());
    Arc::make_mut(&mut bare.cluster).contracts_frozen = Some("PodsUnknown");
    let mut before = system().status;
    before.effective_mode = Some(EffectiveMode::Restricted);
    before.policies_resource_version = Some("5".into());
    let status = fixed_point(with_status(bare, before));
    let (isolated, reason, _) = said(&status, condition::ISOLATED);
    assert_eq!((&*isolated, &*reason), ("False", "NotSettled"));
    assert_eq!(status.policies_resource_version, None);
}

#[test]
fn what_others_admit_beyond_the_set_makes_it_partly_restricted_and_is_named() {
    let mut web = shipped(vec![Rule::default()]);
    Arc::make_mut(&mut web).name = "wide-open".into();
    let mut closed = input(Some(Mode::Restricted), vec![observed(&deny(), true), web]);
    Arc::make_mut(&mut closed.pods)[0].terminating = false;
    let mut expected = (*closed.expected).clone();
    let server = Policy {
        name: "bulkhead-web".into(),
        pods: Selector::from([("app", "web")]),
        ..(*deny().policy).clone()
    };
    let server = Target {
        role: Role::Server,
        server: "web".into(),
        policy: Arc::new(server),
    };
    expected
        .ingress
        .as_mut()
        .unwrap()
        .targets
        .insert(0, server.clone());
    closed.expected = Arc::new(expected);
    closed.policies.push(observed(&server, true));
    closed
        .history
        .observe_all(closed.policies.iter().map(|p| &**p), Moment::ZERO);
    let status = fixed_point(closed);
    assert_eq!(status.effective_mode, Some(EffectiveMode::PartlyRestricted));
    let (isolated, reason, message) = said(&status, condition::ISOLATED);
    assert_eq!((&*isolated, &*reason), ("False", "WiderThanDeclared"));
    assert!(
        message.contains("wide-open") && message.contains(Direction::Ingress.as_str()),
        "{message}"
    );
}

#[test]
fn a_fallback_to_ports_is_partly_restricted_and_says_why() {
    let mut closed = input(Some(Mode::Restricted), vec![observed(&deny(), true)]);
    let mut expected = (*closed.expected).clone();
    expected.ingress.as_mut().unwrap().port_only = true;
    closed.expected = Arc::new(expected);
    let status = fixed_point(closed);
    assert_eq!(status.effective_mode, Some(EffectiveMode::PartlyRestricted));
    assert!(
        said(&status, condition::ISOLATED)
            .2
            .contains("cannot select nodes")
    );
}

#[test]
fn a_preserved_namespace_shows_the_set_that_it_would_get() {
    let status = fixed_point(input(None, vec![shipped(Vec::new())]));
    assert_eq!(status.effective_mode, Some(EffectiveMode::Preserved));
    assert_eq!(status.desired_mode, Some(EffectiveMode::Preserved));
    assert_eq!(said(&status, condition::PROGRESSING).1, "Preserved");
    assert_eq!(said(&status, condition::STAGED).1, "Preserved");
    assert_eq!(said(&status, condition::COVERED).0, "True");
}

#[test]
fn a_namespace_without_a_set_says_what_to_do() {
    let mut open = input(Some(Mode::Restricted), vec![allow_all()]);
    open.expected = Arc::new(Expected {
        catalogued: true,
        ..Expected::default()
    });
    let status = fixed_point(open);
    let (covered, reason, message) = said(&status, condition::COVERED);
    assert_eq!((&*covered, &*reason), ("False", "NoPolicySet"));
    assert!(message.contains("SystemNetworkPolicy"));
    assert_eq!(status.effective_mode, Some(EffectiveMode::Unrestricted));
}

#[test]
fn a_lost_set_is_reported_and_stays_in_force() {
    let mut closed = input(Some(Mode::Restricted), vec![observed(&deny(), true)]);
    closed.expected = Arc::new(Expected::default());
    let mut before = system().status;
    before.effective_mode = Some(EffectiveMode::PartlyRestricted);
    before.policies_resource_version = Some("5".into());
    let status = fixed_point(with_status(closed, before));
    assert_eq!(status.effective_mode, Some(EffectiveMode::PartlyRestricted));
    assert_eq!(said(&status, condition::COVERED).1, "SetLost");
    // Nobody can say how exact it is.
    let (isolated, reason, _) = said(&status, condition::ISOLATED);
    assert_eq!((&*isolated, &*reason), ("False", "SetLost"));
    assert_eq!(status.policies_resource_version, None);
}

#[test]
fn while_something_moves_the_mode_is_the_one_before_and_the_reason_is_the_state() {
    let mut closing = input(Some(Mode::Restricted), vec![observed(&deny(), true)]);
    closing.history = History::default();
    closing
        .history
        .observe_all(closing.policies.iter().map(|p| &**p), LATER);
    let mut before = system().status;
    before.effective_mode = Some(EffectiveMode::Unrestricted);
    let closing = with_status(closing, before);
    let plan = plan(&closing);
    assert_eq!(plan.state, State::Settling);
    let status = status(&closing, &plan).unwrap();
    assert_eq!(status.effective_mode, Some(EffectiveMode::Unrestricted));
    let (progressing, reason, message) = said(&status, condition::PROGRESSING);
    assert_eq!((&*progressing, &*reason), ("True", "Settling"));
    assert!(message.contains("waits until 2023-11-14T22:13:51Z"), "{message}");
}

#[test]
fn an_expiry_once_seen_is_recorded_for_its_generation() {
    let mut open = input(
        Some(Mode::Unrestricted),
        vec![allow_all(), observed(&deny(), true)],
    );
    let spec = serde_json::json!({"override": {"mode": "Restricted", "reason": "test",
        "expirationTime": "2023-01-01T00:00:00Z"}});
    open.system = Some(Arc::new(SystemObject {
        spec: Ok(serde_json::from_value(spec).unwrap()),
        ..system()
    }));
    let first = status(&open, &plan(&open)).unwrap();
    assert_eq!(first.expired_generation, Some(4));
    // A clock that runs backwards does not bring it back.
    let object = SystemObject {
        status: first,
        ..(**open.system.as_ref().unwrap()).clone()
    };
    open.system = Some(Arc::new(object));
    open.wall = Timestamp::from_second(1_000_000_000).unwrap();
    let again = status(&open, &plan(&open)).unwrap();
    assert_eq!(again.expired_generation, Some(4));
    assert_eq!(again.desired_mode, Some(EffectiveMode::Unrestricted));
}

#[test]
fn transition_times_move_only_with_the_status() {
    let open = input(
        Some(Mode::Unrestricted),
        vec![allow_all(), observed(&deny(), true)],
    );
    let first = fixed_point(open);
    let mut closing = with_status(
        input(Some(Mode::Restricted), vec![observed(&deny(), true)]),
        first.clone(),
    );
    closing.wall = Timestamp::from_second(1_700_005_000).unwrap();
    let second = status(&closing, &plan(&closing)).unwrap();
    let time = |status: &SystemNamespaceStatus, kind: &str| {
        let found = status.conditions.iter().find(|c| c.type_ == kind).unwrap();
        found.last_transition_time.0.as_second()
    };
    assert_eq!(
        time(&second, condition::COVERED),
        time(&first, condition::COVERED)
    );
    assert_eq!(time(&second, condition::ISOLATED), 1_700_005_000);
}
