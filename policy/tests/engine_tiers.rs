//! The whole-cluster engine, the verdict on one connection and brute force agree through all tiers: with address
//! blocks, named ports, two address families, networks, and every dialect.
#![allow(clippy::unwrap_used)] // in helpers of tests a failed unwrap is a failed test

mod common;

use std::collections::BTreeSet;
use std::net::IpAddr;

use bulkhead_policy::engine::{Changed, Counts, Diff, EndId, State};
use bulkhead_policy::tiers::{ClusterPolicy, connection};
use bulkhead_policy::v1::parse;
use bulkhead_policy::{Cluster, Dialect, Endpoint, Pod, PodState, Policy, PortSet, Traffic, Verdict, World};
use common::brute::{BrutePod, BrutePolicy, End, Side};
use common::random::{self, FULL, as_pod, cluster, spec};
use common::scene::{PodExt, pod, policy};
use common::tiers::{BruteCluster, Question, answers, cluster_policy};
use proptest::prelude::*;

const NAMES: [&str; 3] = ["n0", "n1", "n2"];

fn dialect() -> impl Strategy<Value = Dialect> {
    let ovn = Dialect {
        host_namespace: Some("n1".into()),
        ..Dialect::ovn_kubernetes()
    };
    prop_oneof![Just(Dialect::spec()), Just(Dialect::cilium()), Just(ovn)]
}

fn ends<'a>(cluster: &Cluster<'_>, pods: &'a [Pod]) -> Vec<(Vec<EndId>, Endpoint<'a>)> {
    let of_pod = |at| [cluster.ends().of_pod(at), cluster.ends().second_of_pod(at)];
    let of_pod = |(at, pod)| (of_pod(at).into_iter().flatten().collect(), Endpoint::Pod(pod));
    let mut all: Vec<(Vec<EndId>, Endpoint<'_>)> = pods.iter().enumerate().map(of_pod).collect();
    all.retain(|(ends, _)| !ends.is_empty());
    let outside = random::addresses().into_iter();
    all.extend(outside.map(|address| (vec![cluster.ends().outside(address)], Endpoint::External(address))));
    all.push((vec![cluster.ends().host()], Endpoint::Host { address: None }));
    all
}

fn same(a: &Endpoint<'_>, b: &Endpoint<'_>) -> bool {
    matches!((a, b), (Endpoint::Pod(a), Endpoint::Pod(b)) if a.is(b))
}

fn decided(verdict: Verdict) -> Option<bool> {
    match verdict {
        Verdict::Allowed => Some(true),
        Verdict::Denied => Some(false),
        Verdict::Unknown(_) => None,
    }
}

/// The pods as the crate sees them; some finished, some without an address, some with a second one.
fn varied(pods: &[BrutePod], changes: &[u8]) -> Vec<Pod> {
    let mut pods: Vec<Pod> = pods.iter().map(as_pod).collect();
    for (pod, change) in pods.iter_mut().zip(changes) {
        match change {
            0 => pod.state = PodState::Finished,
            1 => pod.addresses.clear(),
            2 | 3 => {
                let other: IpAddr = if pod.addresses[0].is_ipv4() {
                    "fd00::9"
                } else {
                    "10.1.0.9"
                }
                .parse()
                .unwrap();
                pod.addresses.push(other);
            }
            _ => {}
        }
    }
    pods
}

/// One answer when every order, reading and address family gives it.
fn brute_answer(
    tiers: &[BruteCluster],
    policies: &[BrutePolicy<'_>],
    (from, to): (&End, &End),
    port: (&'static str, u16),
) -> Option<bool> {
    let side = |side, pod: &End, peer: &End| match pod {
        End::Pod(pod) => answers(
            &Question {
                side,
                pod,
                peer,
                port,
            },
            tiers,
            policies,
        ),
        End::Address(_) => BTreeSet::from([true]),
    };
    let (out, into) = (side(Side::Egress, from, to), side(Side::Ingress, to, from));
    let one = |set: &BTreeSet<bool>| set.iter().next().copied().filter(|_| set.len() == 1);
    match (one(&out), one(&into)) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn through_all_tiers_every_pair_gets_the_verdict_of_its_connection(
        (mut world, pods) in cluster(),
        dialect in dialect(),
        tiers in prop::collection::vec(cluster_policy(), 0..5),
        specs in prop::collection::vec((0usize..3, spec(FULL)), 0..5),
        changes in prop::collection::vec(0u8..8, 8),
        networks in prop::array::uniform3(prop::option::weighted(0.1, prop_oneof![Just("x"), Just("y")])),
    ) {
        world.dialect = dialect;
        for (name, network) in NAMES.iter().zip(networks) {
            world.set_network(*name, network.map(Into::into));
        }
        let pods = varied(&pods, &changes);
        let tiers: Vec<ClusterPolicy> = tiers.iter().map(BruteCluster::parsed).collect();
        let policies: Vec<Policy> =
            specs.iter().map(|(at, spec)| parse(NAMES[*at], "random", spec).unwrap()).collect();
        let refs: Vec<&Policy> = policies.iter().collect();
        let cluster = Cluster::of(&pods, State { world: &world, policies: &refs, tiers: &tiers });
        let ends = ends(&cluster, &pods);
        for (source, from) in &ends {
            for (destination, to) in ends.iter().filter(|(_, to)| !same(from, to)) {
                for (protocol, port) in random::ports() {
                    let protocol = random::protocol(protocol);
                    let traffic = Traffic::Port(protocol, port);
                    let verdict = connection(&world, &tiers, &policies, from, to, traffic).verdict;
                    let (surely, perhaps) = cluster.ports_of(source, destination);
                    let answer = match (surely.contains(protocol, port), perhaps.contains(protocol, port)) {
                        (true, _) => Some(true),
                        (false, maybe) => (!maybe).then_some(false),
                    };
                    prop_assert_eq!(answer, decided(verdict), "{} to {} on {:?}", from, to, traffic);
                    prop_assert_eq!(cluster.verdict(from, to, traffic), verdict);
                }
            }
        }
    }

    #[test]
    fn through_all_tiers_a_connection_is_judged_as_brute_force_judges_it(
        (world, pods) in cluster(),
        tiers in prop::collection::vec(cluster_policy(), 0..5),
        specs in prop::collection::vec((0usize..3, spec(FULL)), 0..5),
        second in prop::collection::vec(any::<bool>(), 8),
    ) {
        let parsed: Vec<ClusterPolicy> = tiers.iter().map(BruteCluster::parsed).collect();
        let policies: Vec<Policy> =
            specs.iter().map(|(at, spec)| parse(NAMES[*at], "random", spec).unwrap()).collect();
        let brute: Vec<BrutePolicy<'_>> =
            specs.iter().map(|(at, spec)| BrutePolicy { namespace: NAMES[*at], spec }).collect();
        let changes: Vec<u8> = second.iter().map(|second| if *second { 2 } else { 9 }).collect();
        let duals = varied(&pods, &changes);
        let outside: Vec<End> = random::addresses().into_iter().map(End::Address).collect();
        for (at, one) in pods.iter().enumerate() {
            for (peer, dual) in pods.iter().enumerate().filter(|(peer, _)| *peer != at)
                .map(|(peer, pod)| (End::Pod(pod.clone()), Some(peer)))
                .chain(outside.iter().map(|end| (end.clone(), None)))
            {
                let plain = match (&peer, dual) {
                    (End::Address(address), _) => Endpoint::External(*address),
                    (End::Pod(_), at) => Endpoint::Pod(&duals[at.unwrap()]),
                };
                for port in random::ports() {
                    let traffic = Traffic::Port(random::protocol(port.0), port.1);
                    let verdict = connection(&world, &parsed, &policies, &Endpoint::Pod(&duals[at]), &plain, traffic).verdict;
                    // A connection runs in one family; the answer is one that holds in each that both ends have.
                    let mine = addresses(one, second[at]);
                    let theirs = dual.map_or(vec![peer.clone()], |at| addresses(&pods[at], second[at]));
                    let all = || mine.iter().flat_map(|a| theirs.iter().map(move |b| (a, b)));
                    let is_v4 = |end: &End| match end {
                        End::Pod(pod) => pod.address.is_ipv4(),
                        End::Address(address) => address.is_ipv4(),
                    };
                    let mut run: Vec<_> = all().filter(|(a, b)| is_v4(a) == is_v4(b)).collect();
                    if run.is_empty() {
                        run = all().collect();
                    }
                    let each: BTreeSet<_> =
                        run.into_iter().map(|ends| brute_answer(&tiers, &brute, ends, port)).collect();
                    let expected = each.iter().next().copied().flatten().filter(|_| each.len() == 1);
                    prop_assert_eq!(decided(verdict), expected, "{} to {:?} on {:?}", one.name, &peer, port);
                }
            }
        }
    }

    #[test]
    fn the_difference_of_two_states_with_tiers_is_the_difference_of_their_answers(
        (world, pods) in cluster(),
        specs in prop::collection::vec((0usize..3, spec(FULL)), 0..4),
        before in prop::collection::vec(cluster_policy(), 0..3),
        after in prop::collection::vec(cluster_policy(), 0..3),
    ) {
        let pods: Vec<Pod> = pods.iter().map(as_pod).collect();
        let policies: Vec<Policy> =
            specs.iter().map(|(at, spec)| parse(NAMES[*at], "random", spec).unwrap()).collect();
        let refs: Vec<&Policy> = policies.iter().collect();
        let read = |tiers: &[BruteCluster]| -> Vec<ClusterPolicy> { tiers.iter().map(BruteCluster::parsed).collect() };
        let (before, after) = (read(&before), read(&after));
        let state = |tiers| State { world: &world, policies: &refs, tiers };
        let diff = Diff::between(&pods, state(&before), state(&after));
        for source in 0..diff.ends().len() {
            for destination in 0..diff.ends().len() {
                let old = diff.before.ports(source, destination).0;
                let new = diff.after.ports(source, destination).0;
                let about = |c: &&Changed| c.sources.contains(source) && c.destinations.contains(destination);
                let found: Vec<&Changed> = diff.changes().iter().filter(about).collect();
                let gained = found.iter().fold(PortSet::none(), |all, c| all.union(&c.gained));
                let lost = found.iter().fold(PortSet::none(), |all, c| all.union(&c.lost));
                prop_assert_eq!(gained, new.subtract(&old), "{} to {}", source, destination);
                prop_assert_eq!(lost, old.subtract(&new), "{} to {}", source, destination);
            }
        }
    }
}

/// The pod at each of its addresses.
fn addresses(pod: &BrutePod, second: bool) -> Vec<End> {
    let mut all = vec![End::Pod(pod.clone())];
    if second {
        let other = if pod.address.is_ipv4() {
            "fd00::9"
        } else {
            "10.1.0.9"
        };
        all.push(End::Pod(BrutePod {
            address: other.parse().unwrap(),
            ..pod.clone()
        }));
    }
    all
}

#[test]
fn coverage_tells_isolation_from_what_cluster_policies_deny() {
    let pods = [
        pod("a", "1", [("app", "x")]),
        pod("a", "2", []),
        pod("b", "3", []),
    ];
    let world = World::default();
    let policies = [policy(
        "a",
        "{podSelector: {matchLabels: {app: x}}, policyTypes: [Ingress]}",
    )];
    let read = |text: &str| {
        bulkhead_policy::tiers::parse_cluster("c", &serde_yaml::from_str(text).unwrap()).unwrap()
    };
    let tiers = [
        read(
            "{tier: Baseline, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}",
        ),
        read(
            "{tier: Admin, priority: 1, subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: b}}}, egress: [{action: Deny, to: [{namespaces: {}}]}]}",
        ),
    ];
    let cluster = Cluster::of(
        &pods,
        State {
            world: &world,
            policies: &policies.iter().collect::<Vec<_>>(),
            tiers: &tiers,
        },
    );
    let seen: Vec<_> = cluster
        .coverage()
        .iter()
        .map(|c| (c.pods, c.ingress, c.egress))
        .collect();
    let counts = |isolated, admin, baseline, closed, open| Counts {
        isolated,
        admin,
        baseline,
        closed,
        open,
    };
    assert_eq!(
        seen,
        [
            (2, counts(1, 0, 1, 2, 0), counts(0, 0, 0, 0, 2)),
            (1, counts(0, 0, 1, 1, 0), counts(0, 1, 0, 1, 0))
        ],
        "an isolated pod never reaches the Baseline tier"
    );
    assert_eq!(
        cluster.verdict(&pods[2].end(), &pods[1].end(), common::scene::tcp(1)),
        Verdict::Denied
    );
}
