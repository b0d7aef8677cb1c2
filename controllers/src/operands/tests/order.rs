//! Nothing that a bundle allows is denied while it is written, changed or removed.

use std::sync::Arc;

use bulkhead_api::operand::Operand;
use bulkhead_policy::{Direction, Labels, Pod, Policy, Window};
use serde_json::json;

use super::support::*;
use crate::operands::order::{Phase, Standing, wanted};
use crate::operands::{Source, foreign::examples};

fn standing(case: &Case) -> Vec<Standing> {
    wanted(&case.bundle(), &case.spec).unwrap()
}

fn pods(namespace: &str, policies: &[Standing]) -> Vec<Pod> {
    let labels = policies
        .iter()
        .filter(|(_, p)| &*p.namespace == namespace)
        .flat_map(|(_, p)| examples(&p.pods));
    labels
        .chain([Labels::default()])
        .map(|l| Pod::new(namespace, "any", l))
        .collect()
}

/// Every state between the first and the last write; writes of a phase in both orders.
fn states(start: &[Standing], phases: &[Phase], backwards: bool) -> Vec<Vec<Arc<Policy>>> {
    let mut stands: Vec<Arc<Policy>> = start.iter().map(|(_, p)| p.clone()).collect();
    let mut all = vec![stands.clone()];
    for phase in phases {
        let mut steps: Vec<_> = phase.iter().collect();
        if backwards {
            steps.reverse();
        }
        for step in steps {
            stands.retain(|p| (&p.namespace, &p.name) != (&step.namespace, &step.name));
            stands.extend(step.version.clone());
            all.push(stands.clone());
        }
    }
    all
}

/// What the end allows is allowed in every state, if the start allowed it.
fn assert_never_denied(namespace: &str, have: &[Standing], want: &[Standing]) {
    let world = world();
    let phases = super::support::phases(&world, namespace, have, want);
    for backwards in [false, true] {
        let states = states(have, &phases, backwards);
        let (first, end) = (
            Window::settled(states[0].clone()),
            Window::settled(states.last().unwrap().clone()),
        );
        for pod in pods(namespace, &[have, want].concat()) {
            for direction in Direction::ALL {
                // A side without isolation requires what the other allows; two isolated ones, their common rules.
                let side = |w: &[Standing]| -> Option<Vec<_>> {
                    let on: Vec<_> = w
                        .iter()
                        .filter(|(_, p)| bulkhead_policy::verdict::isolates(p, direction, &pod))
                        .collect();
                    (!on.is_empty()).then(|| {
                        on.iter()
                            .flat_map(|(_, p)| p.rules(direction).unwrap().to_vec())
                            .collect()
                    })
                };
                let required = match (side(have), side(want)) {
                    (Some(a), Some(b)) => a.into_iter().filter(|r| b.contains(r)).collect(),
                    (Some(rules), None) | (None, Some(rules)) => rules,
                    (None, None) => vec![bulkhead_policy::Rule::default()],
                };
                for window in [&first, &end] {
                    assert!(window.missing(&world, &pod, direction, &required).is_empty());
                }
                for (at, state) in states.iter().enumerate() {
                    let lost = Window::settled(state.clone()).missing(&world, &pod, direction, &required);
                    assert!(
                        lost.is_empty(),
                        "{namespace}, write {at}, {direction} of {{{}}}: {lost:?}",
                        pod.labels
                    );
                }
            }
        }
    }
}

fn last_state(have: &[Standing], phases: &[Phase]) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = states(have, phases, false)
        .pop()
        .unwrap()
        .iter()
        .map(|p| p.name.clone())
        .collect();
    names.sort();
    names
}

#[test]
fn bundles_come_and_go_without_denying_what_they_allow() {
    for operand in Operand::ALL {
        let case = case(operand);
        let all = standing(&case);
        for namespace in case.bundle().namespaces() {
            let here: Vec<Standing> = all
                .iter()
                .filter(|(_, p)| p.namespace == namespace)
                .cloned()
                .collect();
            assert_never_denied(&namespace, &[], &here);
            assert_never_denied(&namespace, &here, &[]);
            let into = phases(&world(), &namespace, &[], &here);
            assert_eq!(
                last_state(&[], &into),
                last_state(&here, &[]),
                "something else is left"
            );
            assert!(last_state(&here, &phases(&world(), &namespace, &here, &[])).is_empty());
        }
    }
}

#[test]
fn components_come_and_go_without_denying_what_stays_allowed() {
    let off = case(Operand::ExternalSecrets);
    let on = case(Operand::ExternalSecrets).config(
        Source::ExternalSecretsConfig,
        json!({"plugins": {"bitwardenSecretManagerProvider": {"mode": "Enabled"}},
            "controllerConfig": {"certProvider": {"certManager": {"mode": "Enabled"}}}}),
    );
    let here = |case: &Case| -> Vec<Standing> {
        standing(case)
            .into_iter()
            .filter(|(_, p)| &*p.namespace == "external-secrets")
            .collect()
    };
    let (off, on) = (here(&off), here(&on));
    for (have, want) in [(&off, &on), (&on, &off)] {
        assert_never_denied("external-secrets", have, want);
        let writes: usize = phases(&world(), "external-secrets", have, want)
            .iter()
            .map(Vec::len)
            .sum();
        assert_eq!(
            writes, 3,
            "only what differs, and no temporary opening where none is needed"
        );
    }
}

#[test]
fn a_settled_bundle_writes_nothing() {
    for operand in Operand::ALL {
        let case = case(operand);
        for namespace in case.bundle().namespaces() {
            assert!(phases(&world(), &namespace, &standing(&case), &standing(&case)).is_empty());
        }
    }
}

#[test]
fn an_interrupted_install_is_finished_and_its_temporary_opening_removed() {
    let case = case(Operand::ZeroTrustWorkloadIdentityManager);
    let all = standing(&case);
    let whole = states(&[], &phases(&world(), ZTWIM, &[], &all), false);
    for (at, state) in whole.iter().enumerate() {
        let have: Vec<Standing> = state
            .iter()
            .map(|p| {
                all.iter()
                    .find(|(_, w)| w == p)
                    .cloned()
                    .unwrap_or((crate::operands::Role::Allow, p.clone()))
            })
            .collect();
        let rest = phases(&world(), ZTWIM, &have, &all);
        assert_eq!(
            last_state(&have, &rest),
            last_state(&all, &[]),
            "after write {at}"
        );
    }
}

#[test]
fn writes_of_one_phase_may_overtake_each_other() {
    let rule = |port| bulkhead_policy::Rule {
        peers: Vec::new(),
        ports: vec![bulkhead_policy::PortRule::number(
            bulkhead_policy::Protocol::Tcp,
            port,
        )],
    };
    let allow = |name: &str, ports: &[u16]| -> Standing {
        let policy = Policy {
            namespace: "ns".into(),
            name: name.into(),
            pods: bulkhead_policy::Selector::everything(),
            ingress: Some(ports.iter().map(|p| rule(*p)).collect()),
            egress: None,
        };
        (crate::operands::Role::Allow, Arc::new(policy))
    };
    let have = [allow("a", &[1, 2])];
    // In this order nothing is lost; the other way round port 2 is, until the second write arrives.
    assert_never_denied("ns", &have, &[allow("b", &[2]), allow("a", &[1])]);
}
