//! The planner, played to its end against a store: what is taken away is taken away late, announced, and only if
//! nothing that the end allows is denied meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_api::Catalog;
use bulkhead_api::operand::{Operand, OperandIntent, OperandNetworkPolicyStatus, OperandWarning};
use bulkhead_policy::{Direction, Pod, Policy};
use serde_json::json;

use super::support::*;
use crate::decide::Role as Purpose;
use crate::observe::history::engine_window;
use crate::observe::{ObservedPolicy, operands::OperandObject};
use crate::operands::order::shield_name;
use crate::operands::plan::{Input, Place, Plan, Sources, State, Step, plan};
use crate::operands::{Source, foreign::examples};
use crate::plan::{PolicyWrite, Writer};

const SETTLE: Duration = Duration::from_secs(30);

/// A cluster with one bundle in it.
struct Game {
    input: Input,
    version: u64,
    log: Vec<(&'static str, Arc<str>, Arc<str>)>,
}

fn object(case: &Case) -> OperandObject {
    OperandObject {
        uid: "bundle".into(),
        resource_version: "1".into(),
        generation: 1,
        spec: Ok(case.spec.clone()),
        status: OperandNetworkPolicyStatus::default(),
    }
}

impl Game {
    fn new(case: &Case) -> Self {
        let bundle = case.bundle();
        let sources = Sources {
            objects: case.objects.clone(),
            platform: case.platform.clone(),
            catalog: Arc::new(Catalog::default()),
        };
        let place = || Place {
            writable: true,
            ..Place::default()
        };
        let places = bundle
            .namespaces()
            .into_iter()
            .map(|name| (name, place()))
            .collect();
        let input = Input {
            operand: case.spec.operand,
            object: Some(Arc::new(object(case))),
            sources: Arc::new(sources),
            bundle: Arc::new(bundle),
            taken: Vec::new(),
            places,
            world: Arc::new(world()),
            settle: SETTLE,
            now: Duration::from_secs(1000),
            writer: Writer {
                identity: "me".into(),
                term: 1,
            },
            uncertain: false,
            written: BTreeMap::new(),
            frozen: None,
            hold: false,
            sequence: 1,
        };
        Self {
            input,
            version: 0,
            log: Vec::new(),
        }
    }

    /// Something else is wanted from now on.
    fn want(&mut self, case: &Case) {
        self.input.bundle = Arc::new(case.bundle());
        self.input.object = Some(Arc::new(object(case)));
    }

    fn store(&mut self, namespace: &Arc<str>, policy: &Arc<Policy>, ours: bool, role: Option<Purpose>) {
        self.version += 1;
        let stored = ObservedPolicy {
            name: policy.name.clone(),
            uid: format!("{}-{}", policy.name, self.version).into(),
            resource_version: self.version.to_string().into(),
            managed_by_us: ours,
            bundle: ours.then_some(self.input.operand),
            owner: (!ours).then(|| "somebody".into()),
            role,
            format: 1,
            sequence: 1,
            hold: false,
            policy: policy.clone(),
            unreadable: false,
        };
        let now = self.input.now;
        let place = self.input.places.entry(namespace.clone()).or_default();
        place.policies.retain(|p| p.name != stored.name);
        place.history.observe(&stored.name, Some(&stored), now);
        place.policies.push(Arc::new(stored));
    }

    fn remove(&mut self, namespace: &Arc<str>, name: &Arc<str>) {
        let now = self.input.now;
        let place = self.input.places.entry(namespace.clone()).or_default();
        place.policies.retain(|p| p.name != *name);
        place.history.observe(name, None, now);
    }

    fn write(&mut self, namespace: &Arc<str>, write: &PolicyWrite) {
        self.log.push((
            if matches!(write, PolicyWrite::Delete { .. }) {
                "delete"
            } else {
                "put"
            },
            namespace.clone(),
            write.name().clone(),
        ));
        match write {
            PolicyWrite::Create(target) | PolicyWrite::Apply { target, .. } => {
                self.store(namespace, &target.policy, true, Some(target.role));
            }
            PolicyWrite::Delete { name, .. } => self.remove(namespace, name),
        }
    }

    /// Stores the warnings, as the report does when there is no step.
    fn report(&mut self, plan: &Plan) {
        if let Some(object) = &mut self.input.object {
            let warnings = plan.warnings.iter().map(|w| OperandWarning {
                reason: w.reason.to_owned(),
                message: w.text(),
            });
            Arc::make_mut(object).status.warnings = warnings.collect();
        }
    }

    /// Plays until nothing is left to do, looking at every state on the way.
    fn play(&mut self, mut look: impl FnMut(&Self)) -> Plan {
        for _ in 0..200 {
            let next = plan(&self.input);
            match &next.step {
                Some(Step::Stage { namespace, writes } | Step::Contract { namespace, writes }) => {
                    for write in writes {
                        self.write(namespace, write);
                        look(self);
                    }
                }
                Some(Step::Fence { .. }) => panic!("nothing to fence"),
                None => {
                    let named = next.state != State::Settling || next.wake.is_some();
                    self.report(&next);
                    match next.wake {
                        Some(at) => self.input.now = at,
                        None if named => return next,
                        None => {}
                    }
                }
            }
            self.input.now += Duration::from_millis(10);
        }
        panic!("it never ends: {:?}", self.log)
    }

    /// Whether every mix of recent versions allows what the policies let these pods do.
    fn assert_allowed(&self, end: &[Arc<Policy>]) {
        for (namespace, place) in &self.input.places {
            let window = engine_window(&place.history.window(self.input.now, SETTLE));
            for pod in pods(namespace, end) {
                for direction in Direction::ALL {
                    let selecting: Vec<_> = end
                        .iter()
                        .filter(|p| p.namespace == *namespace && p.pods.matches(&pod.labels))
                        .filter_map(|p| p.rules(direction))
                        .collect();
                    let required: Vec<_> = selecting.into_iter().flatten().cloned().collect();
                    let missing = window.missing(&self.input.world, &pod, direction, &required);
                    assert!(
                        missing.is_empty(),
                        "{namespace} {} {direction}: {missing:?} after {:?}",
                        pod.labels,
                        self.log
                    );
                }
            }
        }
    }

    fn names(&self, namespace: &str) -> Vec<String> {
        let place = &self.input.places[namespace];
        let mut all: Vec<String> = place.policies.iter().map(|p| p.name.to_string()).collect();
        all.sort();
        all
    }
}

fn pods(namespace: &Arc<str>, policies: &[Arc<Policy>]) -> Vec<Pod> {
    let here = policies.iter().filter(|p| p.namespace == *namespace);
    let labels = here.flat_map(|p| examples(&p.pods));
    labels.map(|l| Pod::new(namespace.clone(), "any", l)).collect()
}

fn policies(case: &Case) -> Vec<Arc<Policy>> {
    case.bundle().policies().cloned().collect()
}

#[test]
fn what_the_end_allows_is_allowed_in_every_mix_while_a_bundle_comes_and_goes() {
    for operand in Operand::ALL {
        let case = case(operand);
        let end = policies(&case);
        let mut game = Game::new(&case);
        let done = game.play(|game| game.assert_allowed(&end));
        assert_eq!(done.state, State::AsExpected);
        for namespace in case.bundle().namespaces() {
            let shield = shield_name(operand);
            assert!(
                !game.names(&namespace).contains(&shield),
                "the temporary opening stays"
            );
        }
        let stored: usize = game.input.places.values().map(|p| p.policies.len()).sum();
        assert_eq!(stored, end.len());
        // The object is deleted: everything goes, the denies before any allow.
        game.log.clear();
        game.input.object = None;
        let inactive = crate::operands::Bundle {
            active: false,
            policies: Vec::new(),
            ..case.bundle()
        };
        game.input.bundle = Arc::new(inactive);
        game.play(|game| game.assert_allowed(&end));
        assert!(
            game.input.places.values().all(|p| p.policies.is_empty()),
            "{:?}",
            game.log
        );
        for namespace in case.bundle().namespaces() {
            let deletions = game
                .log
                .iter()
                .filter(|(what, n, _)| *what == "delete" && *n == namespace);
            let names: Vec<&str> = deletions.map(|(_, _, name)| &**name).collect();
            assert!(names[0].starts_with("deny-"), "{names:?}");
        }
    }
}

#[test]
fn a_component_that_comes_and_an_entry_that_goes_take_nothing_else_away() {
    let without = case(Operand::ExternalSecrets);
    let with = case(Operand::ExternalSecrets).config(
        Source::ExternalSecretsConfig,
        json!({"plugins": {"bitwardenSecretManagerProvider": {"mode": "Enabled"}},
            "controllerConfig": {"networkPolicies": [
                {"name": "vault", "componentName": "CoreController", "egress": [{"ports": [{"port": 8200}]}]}]}}),
    );
    let mut game = Game::new(&without);
    game.play(|_| {});
    let both: Vec<Arc<Policy>> = policies(&without);
    game.want(&with);
    game.log.clear();
    game.play(|game| game.assert_allowed(&both));
    assert!(game.log.iter().all(|(what, ..)| *what == "put"), "{:?}", game.log);
    game.want(&without);
    game.play(|game| game.assert_allowed(&both));
    assert_eq!(game.names("external-secrets").len(), 6);
}

#[test]
fn drift_that_took_something_away_is_repaired_at_once_and_drift_that_added_waits() {
    let case = case(Operand::ExternalSecrets);
    let mut game = Game::new(&case);
    game.play(|_| {});
    game.input.now += SETTLE;
    let ns: Arc<str> = "external-secrets".into();
    game.remove(&ns, &"allow-to-dns".into());
    let next = plan(&game.input);
    assert!(matches!(next.step, Some(Step::Stage { .. })), "{next:?}");
    game.play(|_| {});
    game.input.now += SETTLE;
    // A deny that somebody made an allow-all.
    let open = crate::decide::render::allow_all(&ns, "deny-all-traffic").policy;
    game.store(&ns, &open, true, Some(Purpose::OperandDeny));
    let next = plan(&game.input);
    assert_eq!((next.state, next.step), (State::Settling, None));
    game.play(|_| {});
    let deny = game.input.places[&ns]
        .policies
        .iter()
        .find(|p| &*p.name == "deny-all-traffic");
    assert!(deny.is_some_and(|p| p.policy.ingress == Some(Vec::new())));
}

#[test]
fn pods_that_nobody_thought_of_are_named_before_a_deny_cuts_them_off() {
    let mut game = Game::new(&case(Operand::CertManager));
    let stranger = pod("cert-manager", &[("app", "cert-manager-trust-manager")]);
    let place = game.input.places.get_mut("cert-manager").unwrap();
    place.pods = Arc::new(vec![stranger]);
    let mut said_first = false;
    game.play(|game| {
        let deny = game
            .log
            .last()
            .is_some_and(|(_, n, name)| &**n == "cert-manager" && name.starts_with("deny-"));
        if deny {
            let status = &game.input.object.as_ref().unwrap().status;
            said_first = status
                .warnings
                .iter()
                .any(|w| w.message.contains("cert-manager/cert-manager-trust-manager"));
        }
    });
    assert!(said_first, "{:?}", game.log);
}

#[test]
fn a_conflict_that_takes_something_away_holds_every_isolation_back() {
    let case = case(Operand::ExternalSecrets);
    let mut game = Game::new(&case);
    let ns: Arc<str> = "external-secrets".into();
    let mut squatter = (**policies(&case)
        .iter()
        .find(|p| &*p.name == "allow-api-server-egress")
        .unwrap())
    .clone();
    squatter.egress = Some(Vec::new());
    game.store(&ns, &Arc::new(squatter), false, None);
    let done = game.play(|_| {});
    assert_eq!(done.state, State::Held);
    assert_eq!(game.names(&ns), ["allow-api-server-egress"]);
    assert_eq!(
        game.names("external-secrets-operator").len(),
        2,
        "another namespace is not held"
    );
}

#[test]
fn an_older_intent_is_fenced_before_anything_else() {
    let case = case(Operand::ExternalSecrets);
    let mut game = Game::new(&case);
    game.play(|_| {});
    let object = Arc::make_mut(game.input.object.as_mut().unwrap());
    object.status.intent = Some(OperandIntent {
        epoch: 3,
        namespace: "external-secrets".into(),
        holder: "another".into(),
        term: 1,
    });
    let Some(Step::Fence { namespace, objects }) = plan(&game.input).step else {
        panic!("no fence")
    };
    assert_eq!((&*namespace, objects.len()), ("external-secrets", 6));
    // Our own needs none, unless its outcome is unknown.
    Arc::make_mut(game.input.object.as_mut().unwrap())
        .status
        .intent
        .as_mut()
        .unwrap()
        .holder = "me".into();
    assert_eq!(plan(&game.input).step, None);
    game.input.uncertain = true;
    assert!(matches!(plan(&game.input).step, Some(Step::Fence { .. })));
}

#[test]
fn the_hold_opens_what_stands_and_takes_nothing_away() {
    let case = case(Operand::ExternalSecrets);
    let mut game = Game::new(&case);
    game.play(|_| {});
    game.input.hold = true;
    let before = policies(&case);
    let done = game.play(|game| game.assert_allowed(&before));
    assert_eq!(done.state, State::HoldOpen);
    let shield = shield_name(Operand::ExternalSecrets);
    for namespace in case.bundle().namespaces() {
        assert!(game.names(&namespace).contains(&shield));
    }
    game.input.hold = false;
    game.play(|game| game.assert_allowed(&before));
    assert!(!game.names("external-secrets").contains(&shield));
}

#[test]
fn a_policy_that_lost_our_label_gets_it_again() {
    let case = case(Operand::ExternalSecrets);
    let mut game = Game::new(&case);
    game.play(|_| {});
    let place = game.input.places.get_mut("external-secrets").unwrap();
    Arc::make_mut(&mut place.policies[0]).bundle = None;
    let next = plan(&game.input);
    let Some(Step::Stage { writes, .. }) = next.step else {
        panic!("{next:?}")
    };
    assert!(matches!(writes.as_slice(), [PolicyWrite::Apply { .. }]));
}

#[test]
fn nothing_is_written_while_something_is_unknown_or_a_namespace_is_missing() {
    let case = case(Operand::ExternalSecrets);
    let mut game = Game::new(&case);
    game.input.frozen = Some("pods has not been read yet".into());
    assert_eq!(
        (plan(&game.input).state, plan(&game.input).step),
        (State::Frozen, None)
    );
    game.input.frozen = None;
    for place in game.input.places.values_mut() {
        place.writable = false;
    }
    let next = plan(&game.input);
    assert_eq!((next.state, next.step), (State::NamespaceMissing, None));
}
