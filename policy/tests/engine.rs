//! The whole-cluster engine gives the same answers as verdicts on single connections.

mod common;

use bulkhead_policy::engine::{Changed, Counts, Coverage, Diff, EndId, What};
use bulkhead_policy::v1::parse;
use bulkhead_policy::{
    Cluster, Dialect, Endpoint, Labels, Pod, PodState, Policy, PortSet, Traffic, Verdict, World, connection,
};
use common::random::{self, FULL, as_pod, cluster, spec};
use common::scene::{PodExt, pod, policy};
use proptest::prelude::*;

const NAMES: [&str; 3] = ["n0", "n1", "n2"];

/// Every end of the cluster that a verdict can be asked about.
fn ends<'a>(cluster: &Cluster<'_>, pods: &'a [Pod]) -> Vec<(EndId, Endpoint<'a>)> {
    let of_pod = |(at, pod)| Some((cluster.ends().of_pod(at)?, Endpoint::Pod(pod)));
    let mut all: Vec<(EndId, Endpoint<'_>)> = pods.iter().enumerate().filter_map(of_pod).collect();
    let outside = random::addresses().into_iter();
    all.extend(outside.map(|address| (cluster.ends().outside(address), Endpoint::External(address))));
    all.push((cluster.ends().host(), Endpoint::Host { address: None }));
    all
}

fn same(a: &Endpoint<'_>, b: &Endpoint<'_>) -> bool {
    matches!((a, b), (Endpoint::Pod(a), Endpoint::Pod(b)) if a.is(b))
}

fn dialect() -> impl Strategy<Value = Dialect> {
    let strict = Dialect {
        ip_block_matches_pods: false,
        ip_block_matches_hosts: false,
        ..Dialect::spec()
    };
    let ovn = Dialect {
        host_namespace: Some("n1".into()),
        ..Dialect::ovn_kubernetes()
    };
    prop_oneof![Just(Dialect::spec()), Just(strict), Just(ovn)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_pair_gets_the_verdict_of_its_connection(
        (mut world, pods) in cluster(),
        dialect in dialect(),
        specs in prop::collection::vec((0usize..3, spec(FULL)), 0..8),
        states in prop::collection::vec(prop::option::weighted(0.2, any::<bool>()), 8),
    ) {
        world.dialect = dialect;
        let pods = vary(pods.iter().map(as_pod).collect(), &states);
        let policies: Vec<Policy> =
            specs.iter().map(|(at, spec)| parse(NAMES[*at], "random", spec).unwrap()).collect();
        let refs: Vec<&Policy> = policies.iter().collect();
        let cluster = Cluster::new(&world, &pods, &refs);
        let ends = ends(&cluster, &pods);
        for (source, from) in &ends {
            for (destination, to) in &ends {
                if same(from, to) {
                    continue;
                }
                for (protocol, port) in random::ports() {
                    let (protocol, traffic) = (random::protocol(protocol), Traffic::Port(random::protocol(protocol), port));
                    let verdict = connection(&world, &policies, from, to, traffic).verdict;
                    let expected = match verdict {
                        Verdict::Allowed => Some(true),
                        Verdict::Denied => Some(false),
                        Verdict::Unknown(_) => None,
                    };
                    let answer = cluster.allows(*source, *destination, protocol, port);
                    prop_assert_eq!(answer, expected, "{} to {} on {:?}", from, to, traffic);
                    prop_assert_eq!(cluster.verdict(from, to, traffic), verdict);
                }
            }
        }
        blocks_agree(&cluster)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_difference_of_two_states_is_the_difference_of_their_answers(
        (mut world, pods) in cluster(),
        relabelled in any::<bool>(),
        kept in prop::collection::vec((0usize..3, spec(FULL)), 0..4),
        removed in prop::collection::vec((0usize..3, spec(FULL)), 0..3),
        added in prop::collection::vec((0usize..3, spec(FULL)), 0..3),
    ) {
        let before_world = world.clone();
        if relabelled {
            world.set_namespace("n1", &Labels::from([("t", "x")]));
        }
        let pods: Vec<Pod> = pods.iter().map(as_pod).collect();
        let read = |specs: &[(usize, _)]| -> Vec<Policy> {
            specs.iter().map(|(at, spec)| parse(NAMES[*at], "random", spec).unwrap()).collect()
        };
        let (kept, removed, added) = (read(&kept), read(&removed), read(&added));
        let before: Vec<&Policy> = kept.iter().chain(&removed).collect();
        let after: Vec<&Policy> = kept.iter().chain(&added).collect();
        let diff = Diff::new(&pods, (&before_world, &before), (&world, &after));
        let ends = diff.ends().len();
        for source in 0..ends {
            for destination in 0..ends {
                let old = diff.before.ports(source, destination).0;
                let new = diff.after.ports(source, destination).0;
                let about = |c: &&Changed| c.sources.contains(source) && c.destinations.contains(destination);
                let found: Vec<&Changed> = diff.changes().iter().filter(about).collect();
                let gained = found.iter().fold(PortSet::none(), |all, c| all.union(&c.gained));
                let lost = found.iter().fold(PortSet::none(), |all, c| all.union(&c.lost));
                prop_assert!(found.len() <= 1);
                prop_assert_eq!(gained, new.subtract(&old), "{} to {}", source, destination);
                prop_assert_eq!(lost, old.subtract(&new), "{} to {}", source, destination);
            }
        }
    }
}

/// Some pods finished, some without an address.
fn vary(mut pods: Vec<Pod>, states: &[Option<bool>]) -> Vec<Pod> {
    for (pod, state) in pods.iter_mut().zip(states) {
        match state {
            Some(true) => pod.state = PodState::Finished,
            Some(false) => pod.addresses.clear(),
            None => {}
        }
    }
    pods
}

fn blocks_agree(cluster: &Cluster<'_>) -> Result<(), TestCaseError> {
    let ends = cluster.ends().len();
    let mut surely = vec![PortSet::none(); (ends * ends) as usize];
    for block in cluster.blocks() {
        prop_assert!(!block.sources.is_empty() && !block.destinations.is_empty() && !block.ports.is_empty());
        for source in (0..ends).filter(|end| block.sources.contains(*end)) {
            for destination in (0..ends).filter(|end| block.destinations.contains(*end)) {
                let ports = &mut surely[(source * ends + destination) as usize];
                if block.sure {
                    *ports = ports.union(&block.ports);
                }
            }
        }
    }
    for source in 0..ends {
        for destination in 0..ends {
            let at = (source * ends + destination) as usize;
            prop_assert_eq!(&surely[at], &cluster.ports(source, destination).0);
        }
    }
    Ok(())
}

#[test]
fn pods_that_policies_cannot_tell_apart_are_one_end() {
    let pods = [
        pod("a", "1", [("app", "x")]),
        pod("a", "2", [("app", "x")]),
        pod("a", "3", [("app", "y")]),
        pod("b", "4", [("app", "x")]),
        pod("b", "5", [("app", "x")]).state(PodState::Finished),
    ];
    let world = World::default();
    let cluster = Cluster::new(&world, &pods, &[]);
    let ends: Vec<_> = (0..5).map(|at| cluster.ends().of_pod(at)).collect();
    assert_eq!(ends, [Some(0), Some(0), Some(1), Some(2), None]);
    let What::Pods(members) = cluster.ends().what(0) else {
        panic!("end 0 is a class")
    };
    assert_eq!(
        members.iter().map(|pod| &*pod.name).collect::<Vec<_>>(),
        ["1", "2"]
    );
}

#[test]
fn an_open_cluster_is_one_block() {
    let pods = [pod("a", "1", []), pod("b", "2", [])];
    let world = World::default();
    let cluster = Cluster::new(&world, &pods, &[]);
    assert_eq!(cluster.len(), 1);
}

#[test]
fn coverage_counts_isolated_pods_by_direction() {
    let pods = [
        pod("a", "1", [("app", "x")]),
        pod("a", "2", [("app", "y")]),
        pod("a", "3", []).state(PodState::HostNetwork),
        pod("b", "4", []),
    ];
    let world = World::default();
    let policies = [
        policy("a", "{podSelector: {}, policyTypes: [Ingress]}"),
        policy(
            "a",
            "{podSelector: {matchLabels: {app: x}}, policyTypes: [Egress]}",
        ),
    ];
    let cluster = Cluster::new(&world, &pods, &policies.iter().collect::<Vec<_>>());
    let closed = |isolated, pods| Counts {
        isolated,
        closed: isolated,
        open: pods - isolated,
        ..Counts::default()
    };
    let expected = [("a", 2, 2, 1), ("b", 1, 0, 0)];
    let expected = expected.map(|(name, pods, ingress, egress)| Coverage {
        namespace: name.into(),
        pods,
        ingress: closed(ingress, pods),
        egress: closed(egress, pods),
    });
    assert_eq!(cluster.coverage(), expected);
}
