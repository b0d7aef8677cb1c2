//! Laws that hold whatever the policies say.
#![allow(clippy::unwrap_used)] // in helpers of tests a failed unwrap is a failed test

mod common;

use bulkhead_policy::effect::effect_of_write;
use bulkhead_policy::engine::{EndId, State};
use bulkhead_policy::tiers::ClusterPolicy;
use bulkhead_policy::v1::{NetworkPolicySpec, parse};
use bulkhead_policy::{Cluster, Pod, Policy, PortSet, Rule, Window, World, Write};
use common::random::{self, FULL, HOME, as_pod, cluster, home_pod, parsed, spec};
use common::tiers::{BruteCluster, cluster_policy};
use proptest::prelude::*;

const NAMES: [&str; 3] = ["n0", "n1", "n2"];

type Specs = Vec<(usize, NetworkPolicySpec)>;

fn specs() -> impl Strategy<Value = Specs> {
    prop::collection::vec((0usize..3, spec(FULL)), 1..5)
}

fn read(specs: &Specs) -> Vec<Policy> {
    let read =
        |(at, (home, spec)): (usize, &(usize, _))| parse(NAMES[*home], format!("p{at}"), spec).unwrap();
    specs.iter().enumerate().map(read).collect()
}

/// What every pod and address surely, and what it perhaps, reaches; ends in the order of pods, then addresses.
fn answers(
    world: &World,
    pods: &[Pod],
    policies: &[Policy],
    tiers: &[ClusterPolicy],
) -> Vec<(PortSet, PortSet)> {
    let refs: Vec<&Policy> = policies.iter().collect();
    let cluster = Cluster::of(
        pods,
        State {
            world,
            policies: &refs,
            tiers,
        },
    );
    let mut ends: Vec<EndId> = (0..pods.len())
        .filter_map(|at| cluster.ends().of_pod(at))
        .collect();
    ends.extend(
        random::addresses()
            .into_iter()
            .map(|address| cluster.ends().outside(address)),
    );
    ends.push(cluster.ends().host());
    let pairs = ends
        .iter()
        .flat_map(|from| ends.iter().map(move |to| (*from, *to)));
    let normal = |(surely, perhaps): (PortSet, PortSet)| (surely.clone(), perhaps.subtract(&surely));
    pairs.map(|(from, to)| normal(cluster.ports(from, to))).collect()
}

/// Every rule in a policy of its own; a policy without rules stays.
fn split(policies: &[Policy]) -> Vec<Policy> {
    let mut all = Vec::new();
    for policy in policies {
        let (ingress, egress) = (policy.ingress.clone(), policy.egress.clone());
        let isolating = Policy {
            ingress: ingress.as_ref().map(|_| Vec::new()),
            egress: egress.as_ref().map(|_| Vec::new()),
            ..policy.clone()
        };
        let part = |at: usize, ingress: Option<Rule>, egress: Option<Rule>| Policy {
            name: format!("{}-{at}", policy.name).into(),
            ingress: ingress.map(|rule| vec![rule]),
            egress: egress.map(|rule| vec![rule]),
            ..policy.clone()
        };
        let into = ingress.into_iter().flatten().map(|rule| (Some(rule), None));
        let out = egress.into_iter().flatten().map(|rule| (None, Some(rule)));
        all.push(isolating);
        all.extend(into.chain(out).enumerate().map(|(at, (i, e))| part(at, i, e)));
    }
    all
}

fn reordered(policies: &[Policy]) -> Vec<Policy> {
    let mut all: Vec<Policy> = policies.iter().rev().cloned().collect();
    let rules = all
        .iter_mut()
        .flat_map(|policy| [&mut policy.ingress, &mut policy.egress]);
    for rules in rules.flatten() {
        rules.reverse();
        for rule in rules {
            rule.peers.reverse();
            rule.ports.reverse();
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn adding_an_allow_never_removes_a_pair(
        (world, pods) in cluster(),
        specs in specs(),
        (at, extra) in (any::<prop::sample::Index>(), spec(FULL)),
    ) {
        let pods: Vec<Pod> = pods.iter().map(as_pod).collect();
        let before = read(&specs);
        let mut after = before.clone();
        let policy = &mut after[at.index(before.len())];
        let more = parse(&*policy.namespace, "more", &extra).unwrap();
        for (rules, added) in [(&mut policy.ingress, more.ingress), (&mut policy.egress, more.egress)] {
            if let (Some(rules), Some(added)) = (rules, added) {
                rules.extend(added);
            }
        }
        let (old, new) = (answers(&world, &pods, &before, &[]), answers(&world, &pods, &after, &[]));
        for ((old, maybe), (new, still)) in old.iter().zip(&new) {
            prop_assert!(new.is_superset(old));
            prop_assert!(new.union(still).is_superset(maybe), "nothing undecided becomes denied");
        }
    }

    #[test]
    fn splitting_and_reordering_rules_changes_nothing(
        (world, pods) in cluster(),
        specs in specs(),
        tiers in prop::collection::vec(cluster_policy(), 0..3),
    ) {
        let pods: Vec<Pod> = pods.iter().map(as_pod).collect();
        let policies = read(&specs);
        let tiers: Vec<ClusterPolicy> = tiers.iter().map(BruteCluster::parsed).collect();
        let plain = answers(&world, &pods, &policies, &tiers);
        prop_assert_eq!(&answers(&world, &pods, &split(&policies), &tiers), &plain);
        prop_assert_eq!(&answers(&world, &pods, &reordered(&policies), &tiers), &plain);
        // Cluster policies are tried by priority, whatever their order in a list.
        let turned: Vec<ClusterPolicy> = tiers.iter().rev().cloned().collect();
        prop_assert_eq!(&answers(&world, &pods, &policies, &turned), &plain);
    }

    #[test]
    fn renaming_pods_and_policies_changes_nothing(
        (world, pods) in cluster(),
        specs in specs(),
        tiers in prop::collection::vec(cluster_policy(), 0..3),
    ) {
        let pods: Vec<Pod> = pods.iter().map(as_pod).collect();
        let tiers: Vec<ClusterPolicy> = tiers.iter().map(BruteCluster::parsed).collect();
        let policies = read(&specs);
        let renamed = |name: &str| -> std::sync::Arc<str> { format!("z-{}", name.chars().rev().collect::<String>()).into() };
        let other_pods: Vec<Pod> = pods.iter().map(|pod| Pod { name: renamed(&pod.name), ..pod.clone() }).collect();
        let others: Vec<Policy> =
            policies.iter().map(|policy| Policy { name: renamed(&policy.name), ..policy.clone() }).collect();
        let other_tiers: Vec<ClusterPolicy> =
            tiers.iter().map(|policy| ClusterPolicy { name: renamed(&policy.name), ..policy.clone() }).collect();
        prop_assert_eq!(
            answers(&world, &other_pods, &others, &other_tiers),
            answers(&world, &pods, &policies, &tiers)
        );
    }

    #[test]
    fn passing_everything_in_every_tier_is_having_no_tier(
        (world, pods) in cluster(),
        specs in specs(),
    ) {
        let pods: Vec<Pod> = pods.iter().map(as_pod).collect();
        let policies = read(&specs);
        let peers = "[{namespaces: {}}, {networks: ['0.0.0.0/0', '::/0']}, {nodes: {}}]";
        let pass = |tier: &str| {
            let text = format!(
                "{{tier: {tier}, priority: 1, subject: {{namespaces: {{}}}}, \
                 ingress: [{{action: Pass, from: {peers}}}], egress: [{{action: Pass, to: {peers}}}]}}"
            );
            bulkhead_policy::tiers::parse_cluster("pass", &serde_yaml::from_str(&text).unwrap()).unwrap()
        };
        let tiers = [pass("Admin"), pass("Baseline")];
        prop_assert_eq!(answers(&world, &pods, &policies, &tiers), answers(&world, &pods, &policies, &[]));
    }

    #[test]
    fn effects_compose_along_a_plan(
        start in prop::collection::vec(spec(FULL), 0..3),
        writes in prop::collection::vec((prop::option::of(0usize..3), prop::option::of(spec(FULL))), 1..5),
        subject in home_pod(),
    ) {
        let (world, pod) = (World::default(), as_pod(&subject));
        let pods = [pod];
        let before = Window::settled(start.iter().map(|spec| parsed(HOME, spec)));
        let mut window = before.clone();
        let (mut contracted, mut expanded) = (false, false);
        for (object, version) in &writes {
            let object = object.filter(|at| *at < window.objects().len());
            let write = Write { object, version: version.as_ref().map(|spec| parsed(HOME, spec)) };
            let effect = effect_of_write(&world, &window, &write, &pods);
            contracted |= effect.contracts();
            expanded |= effect.expands();
            window = window.after(&write).after_settling();
        }
        for direction in bulkhead_policy::Direction::ALL {
            for end in random::every_peer() {
                let peer = match &end {
                    common::brute::End::Pod(pod) => as_pod(pod),
                    common::brute::End::Address(_) => continue,
                };
                let ports = |window: &Window| {
                    window.guaranteed_ports(&world, &pods[0], direction, &bulkhead_policy::Endpoint::Pod(&peer))
                };
                let (old, new) = (ports(&before), ports(&window));
                prop_assert!(contracted || new.is_superset(&old), "what is lost in the end was lost by a step");
                prop_assert!(expanded || old.is_superset(&new), "what is gained in the end was gained by a step");
            }
        }
    }
}
