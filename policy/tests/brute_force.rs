//! The crate's answers equal those of a brute-force evaluator on random input.
#![allow(clippy::unwrap_used)] // in helpers of tests a failed unwrap is a failed test

mod common;

use bulkhead_policy::effect::{Versions, effect_of_write};
use bulkhead_policy::v1::{NetworkPolicySpec, parse, parse_rules};
use bulkhead_policy::{Direction, Endpoint, Policy, Traffic, Verdict, Window, World, Write, connection};
use common::brute::{self, BrutePod, BrutePolicy, End, Side};
use common::random::{self, FULL, HOME, Vocabulary, as_pod, cluster, home_pod, parsed, protocol, spec};
use proptest::prelude::*;

const SIDES: [(Direction, Side); 2] = [
    (Direction::Ingress, Side::Ingress),
    (Direction::Egress, Side::Egress),
];

/// What one object may be seen as.
type SpecVersions = Vec<Option<NetworkPolicySpec>>;

/// One way to see all objects.
type Mix<'a> = Vec<BrutePolicy<'a>>;

fn versions(vocabulary: Vocabulary) -> impl Strategy<Value = SpecVersions> {
    prop::collection::vec(prop::option::weighted(0.8, spec(vocabulary)), 1..4)
}

fn objects(vocabulary: Vocabulary) -> impl Strategy<Value = Vec<SpecVersions>> {
    prop::collection::vec(versions(vocabulary), 1..4)
}

fn window(objects: &[SpecVersions]) -> Window {
    let read = |spec: &NetworkPolicySpec| parsed(HOME, spec);
    let versions =
        |specs: &SpecVersions| -> Versions { specs.iter().map(|s| s.as_ref().map(read)).collect() };
    objects.iter().map(versions).collect()
}

/// Every choice of one version for each object.
fn mixes(objects: &[SpecVersions]) -> Vec<Mix<'_>> {
    let mut all: Vec<Vec<&NetworkPolicySpec>> = vec![Vec::new()];
    for versions in objects {
        let seen = |mix: &[_], version| [mix, Option::as_slice(version)].concat();
        let versions: Vec<Option<&NetworkPolicySpec>> = versions.iter().map(Option::as_ref).collect();
        all = all
            .iter()
            .flat_map(|mix| versions.iter().map(|v| seen(mix, v)).collect::<Vec<_>>())
            .collect();
    }
    let policies = |mix: Vec<_>| {
        mix.into_iter()
            .map(|spec| BrutePolicy {
                namespace: HOME,
                spec,
            })
            .collect()
    };
    all.into_iter().map(policies).collect()
}

/// The newest version of each object.
fn live(objects: &[SpecVersions]) -> Mix<'_> {
    let newest = objects.iter().filter_map(|versions| versions.last()?.as_ref());
    newest
        .map(|spec| BrutePolicy {
            namespace: HOME,
            spec,
        })
        .collect()
}

fn as_endpoint<'a>(end: &End, pod: Option<&'a bulkhead_policy::Pod>) -> Endpoint<'a> {
    match (end, pod) {
        (End::Pod(_), Some(pod)) => Endpoint::Pod(pod),
        (End::Pod(_), None) => unreachable!("pods are converted by the caller"),
        (End::Address(address), _) => Endpoint::External(*address),
    }
}

fn a_policy_allowing(rules: &NetworkPolicySpec, side: Side) -> NetworkPolicySpec {
    let name = if side == Side::Ingress {
        "Ingress"
    } else {
        "Egress"
    };
    NetworkPolicySpec {
        pod_selector: None,
        policy_types: Some(vec![name.to_owned()]),
        ..rules.clone()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn connections_are_judged_as_brute_force_judges_them(
        (world, pods) in cluster(),
        specs in prop::collection::vec((0usize..3, spec(FULL)), 0..6),
    ) {
        let names = ["n0", "n1", "n2"];
        let policies: Vec<Policy> =
            specs.iter().map(|(at, spec)| parse(names[*at], "random", spec).unwrap()).collect();
        let brute: Mix<'_> =
            specs.iter().map(|(at, spec)| BrutePolicy { namespace: names[*at], spec }).collect();
        let real: Vec<_> = pods.iter().map(as_pod).collect();
        let mut ends: Vec<(End, Endpoint<'_>)> =
            pods.iter().zip(&real).map(|(brute, pod)| (End::Pod(brute.clone()), Endpoint::Pod(pod))).collect();
        ends.extend(random::addresses().into_iter().map(|a| (End::Address(a), Endpoint::External(a))));
        for (source, from) in &ends {
            for (destination, to) in &ends {
                for port in random::ports() {
                    let side = |side, end: &End, peer: &End| match end {
                        End::Pod(pod) => brute::allowed(&brute, side, pod, peer, port),
                        End::Address(_) => true,
                    };
                    let expected = side(Side::Egress, source, destination)
                        && side(Side::Ingress, destination, source);
                    let traffic = Traffic::Port(protocol(port.0), port.1);
                    let verdict = connection(&world, &policies, from, to, traffic).verdict;
                    let expected = if expected { Verdict::Allowed } else { Verdict::Denied };
                    prop_assert_eq!(verdict, expected, "{} to {} on {:?}", from, to, port);
                }
            }
        }
    }

    #[test]
    fn guaranteed_and_possible_equal_all_and_some_of_the_mixes(
        (world, pods) in cluster(),
        objects in objects(FULL),
        subject in home_pod(),
    ) {
        let window = window(&objects);
        let mixes = mixes(&objects);
        let pod = as_pod(&subject);
        let ends = pods.iter().map(|p| End::Pod(p.clone())).chain(random::addresses().into_iter().map(End::Address));
        for end in ends {
            let peer = if let End::Pod(brute) = &end { Some(as_pod(brute)) } else { None };
            let endpoint = as_endpoint(&end, peer.as_ref());
            for (direction, side) in SIDES {
                let guaranteed = window.guaranteed_ports(&world, &pod, direction, &endpoint);
                let possible = window.possible_ports(&world, &pod, direction, &endpoint);
                for port in random::ports() {
                    let seen: Vec<bool> =
                        mixes.iter().map(|mix| brute::allowed(mix, side, &subject, &end, port)).collect();
                    let at = (protocol(port.0), port.1);
                    let (all, some) = (seen.iter().all(|&yes| yes), seen.iter().any(|&yes| yes));
                    prop_assert_eq!(guaranteed.contains(at.0, at.1), all, "{} {:?}", endpoint, port);
                    prop_assert_eq!(possible.contains(at.0, at.1), some, "{} {:?}", endpoint, port);
                }
            }
        }
    }

    #[test]
    fn a_write_loses_or_gains_exactly_what_brute_force_loses_or_gains(
        objects in objects(Vocabulary { blocks: true, names: false }),
        replaced in prop::option::of(0usize..3),
        version in prop::option::of(spec(Vocabulary { blocks: true, names: false })),
        subject in home_pod(),
    ) {
        let replaced = replaced.filter(|&at| at < objects.len());
        let write = Write { object: replaced, version: version.as_ref().map(|spec| parsed(HOME, spec)) };
        let mut after = objects.clone();
        match replaced {
            Some(at) => after[at].push(version),
            None => after.push(vec![version]),
        }
        let effect = effect_of_write(&World::default(), &window(&objects), &write, &[as_pod(&subject)]);
        let (lost, gained) = changes(&live(&objects), &live(&after), &subject);
        prop_assert_eq!(effect.contracts(), lost, "{:?}", effect.lost);
        prop_assert_eq!(effect.expands(), gained, "{:?}", effect.gained);
    }

    #[test]
    fn no_lost_connection_goes_unnoticed_with_named_ports(
        objects in objects(FULL),
        version in prop::option::of(spec(FULL)),
        subject in home_pod(),
    ) {
        let write = Write { object: Some(0), version: version.as_ref().map(|spec| parsed(HOME, spec)) };
        let mut after = objects.clone();
        after[0].push(version);
        let effect = effect_of_write(&World::default(), &window(&objects), &write, &[as_pod(&subject)]);
        let (lost, gained) = changes(&live(&objects), &live(&after), &subject);
        prop_assert!(effect.contracts() || !lost);
        prop_assert!(effect.expands() || !gained);
    }

    #[test]
    fn what_is_missing_equals_what_some_mix_denies(
        objects in objects(Vocabulary { blocks: false, names: false }),
        required in spec(Vocabulary { blocks: false, names: false }),
        subject in home_pod(),
    ) {
        for (direction, side) in SIDES {
            let (missing, denied) = missing_and_denied(&objects, &required, &subject, (direction, side));
            prop_assert_eq!(missing, denied, "{}", direction);
        }
    }

    #[test]
    fn nothing_that_some_mix_denies_is_left_out_of_what_is_missing(
        objects in objects(FULL),
        required in spec(FULL),
        subject in home_pod(),
    ) {
        for (direction, side) in SIDES {
            let (missing, denied) = missing_and_denied(&objects, &required, &subject, (direction, side));
            prop_assert!(missing || !denied, "{}", direction);
        }
    }

    #[test]
    fn excess_is_found_whenever_some_mix_allows_more_than_declared(
        objects in objects(FULL),
        declared in spec(FULL),
        subject in home_pod(),
    ) {
        let window = window(&objects);
        let mixes = mixes(&objects);
        for (direction, side) in SIDES {
            let rules = parse_rules(direction, &declared).unwrap();
            let found = window.excess(&World::default(), &as_pod(&subject), direction, &rules);
            let only = a_policy_allowing(&declared, side);
            let declared = [BrutePolicy { namespace: HOME, spec: &only }];
            let wider = any_connection(|end, port| {
                !brute::allowed(&declared, side, &subject, end, port)
                    && mixes.iter().any(|mix| brute::allowed(mix, side, &subject, end, port))
            });
            prop_assert!(!found.is_empty() || !wider);
        }
    }
}

/// Whether the symbolic answer misses something, and whether some mix denies something that is required.
fn missing_and_denied(
    objects: &[SpecVersions],
    required: &NetworkPolicySpec,
    subject: &BrutePod,
    (direction, side): (Direction, Side),
) -> (bool, bool) {
    let rules = parse_rules(direction, required).unwrap();
    let missing = window(objects).missing(&World::default(), &as_pod(subject), direction, &rules);
    let only = a_policy_allowing(required, side);
    let required = [BrutePolicy {
        namespace: HOME,
        spec: &only,
    }];
    let mixes = mixes(objects);
    let denied = any_connection(|end, port| {
        brute::allowed(&required, side, subject, end, port)
            && !mixes
                .iter()
                .all(|mix| brute::allowed(mix, side, subject, end, port))
    });
    (
        !missing.is_empty(),
        denied || other_protocols_denied(&required, &mixes, subject, side),
    )
}

/// Protocols outside the API pass only through rules without ports; no port of the vocabulary shows that.
fn other_protocols_denied(
    required: &[BrutePolicy<'_>],
    mixes: &[Mix<'_>],
    subject: &BrutePod,
    side: Side,
) -> bool {
    const OTHER: (&str, u16) = ("ICMP", 1);
    any_end(|end| {
        brute::allowed(required, side, subject, end, OTHER)
            && !mixes
                .iter()
                .all(|mix| brute::allowed(mix, side, subject, end, OTHER))
    })
}

fn any_end(mut test: impl FnMut(&End) -> bool) -> bool {
    random::every_peer().iter().any(&mut test)
}

fn any_connection(test: impl Fn(&End, (&str, u16)) -> bool) -> bool {
    let ports = random::ports();
    any_end(|end| ports.iter().any(|&port| test(end, port)))
}

/// Whether a connection of the subject is lost, and whether one is gained, between two sets of policies.
fn changes(before: &[BrutePolicy<'_>], after: &[BrutePolicy<'_>], subject: &BrutePod) -> (bool, bool) {
    let mut ports = random::ports();
    ports.push(("ICMP", 1));
    let (mut lost, mut gained) = (false, false);
    for (_, side) in SIDES {
        for end in random::every_peer() {
            for &port in &ports {
                let old = brute::allowed(before, side, subject, &end, port);
                let new = brute::allowed(after, side, subject, &end, port);
                lost |= old && !new;
                gained |= new && !old;
            }
        }
    }
    (lost, gained)
}
