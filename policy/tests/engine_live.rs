//! An answer that is kept up to date equals one that is computed afresh, after every single event.
#![allow(clippy::unwrap_used)] // in helpers of tests a failed unwrap is a failed test

mod common;

use std::collections::BTreeMap;

use bulkhead_policy::engine::{Event, Live, State};
use bulkhead_policy::tiers::ClusterPolicy;
use bulkhead_policy::v1::{NetworkPolicySpec, parse};
use bulkhead_policy::{Cluster, Dialect, Endpoint, Labels, Pod, PodState, Policy, PortSet, Protocol, World};
use common::brute::BrutePod;
use common::random::{self, FULL, as_pod, cluster, spec};
use common::scene::{PodExt, pod, policy};
use common::tiers::{BruteCluster, cluster_policy};
use proptest::prelude::*;

const NAMES: [&str; 3] = ["n0", "n1", "n2"];

/// What happens, in terms of small numbers, so that objects are often hit again.
#[derive(Clone, Debug)]
enum Step {
    Pod(usize, BrutePod, u8),
    PodGone(usize),
    Policy(usize, usize, NetworkPolicySpec),
    PolicyGone(usize, usize),
    Namespace(usize, bool),
    NamespaceGone(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let a_pod = cluster().prop_map(|(_, pods)| pods[0].clone());
    prop_oneof![
        3 => (0usize..6, a_pod, 0u8..8).prop_map(|(at, pod, change)| Step::Pod(at, pod, change)),
        2 => (0usize..6).prop_map(Step::PodGone),
        4 => (0usize..3, 0usize..2, spec(FULL)).prop_map(|(n, at, spec)| Step::Policy(n, at, spec)),
        1 => (0usize..3, 0usize..2).prop_map(|(n, at)| Step::PolicyGone(n, at)),
        2 => (0usize..3, any::<bool>()).prop_map(|(n, labelled)| Step::Namespace(n, labelled)),
        1 => (0usize..3).prop_map(Step::NamespaceGone),
    ]
}

/// The cluster as plain values.
#[derive(Clone)]
struct Model {
    world: World,
    pods: BTreeMap<(String, String), Pod>,
    policies: BTreeMap<(String, String), Policy>,
}

impl Model {
    fn event(&mut self, step: &Step) -> Event {
        match step {
            Step::Pod(at, brute, change) => {
                let mut pod = as_pod(brute);
                pod.name = format!("p{at}").into();
                match change {
                    0 => pod.state = PodState::Finished,
                    1 => pod.addresses.clear(),
                    2 => pod.addresses.push(
                        if pod.addresses[0].is_ipv4() {
                            "fd00::9"
                        } else {
                            "10.1.0.9"
                        }
                        .parse()
                        .unwrap(),
                    ),
                    _ => {}
                }
                self.pods
                    .insert((pod.namespace.to_string(), pod.name.to_string()), pod.clone());
                Event::Pod(pod)
            }
            Step::PodGone(at) => {
                let name = format!("p{at}");
                let key = self
                    .pods
                    .keys()
                    .find(|key| key.1 == name)
                    .cloned()
                    .unwrap_or(("n0".into(), name));
                self.pods.remove(&key);
                Event::PodGone(key.0.into(), key.1.into())
            }
            Step::Policy(n, at, spec) => {
                let policy = parse(NAMES[*n], format!("np{at}"), spec).unwrap();
                self.policies
                    .insert((NAMES[*n].into(), format!("np{at}")), policy.clone());
                Event::Policy(policy)
            }
            Step::PolicyGone(n, at) => {
                self.policies.remove(&(NAMES[*n].into(), format!("np{at}")));
                Event::PolicyGone(NAMES[*n].into(), format!("np{at}").into())
            }
            Step::Namespace(n, labelled) => {
                let labels = if *labelled {
                    Labels::from([("t", "x")])
                } else {
                    Labels::default()
                };
                self.world.set_namespace(NAMES[*n], &labels);
                Event::Namespace(NAMES[*n].into(), labels)
            }
            Step::NamespaceGone(n) => {
                self.world.remove_namespace(NAMES[*n]);
                Event::NamespaceGone(NAMES[*n].into())
            }
        }
    }
}

fn agree(live: &Live<'_>, model: &Model, tiers: &[ClusterPolicy]) -> Result<(), TestCaseError> {
    let pods: Vec<Pod> = model.pods.values().cloned().collect();
    let policies: Vec<&Policy> = model.policies.values().collect();
    let fresh = Cluster::of(
        &pods,
        State {
            world: &model.world,
            policies: &policies,
            tiers,
        },
    );
    let mut ends: Vec<(Vec<u32>, Endpoint<'_>)> = Vec::new();
    for (at, pod) in pods.iter().enumerate() {
        let own = [fresh.ends().of_pod(at), fresh.ends().second_of_pod(at)];
        let own: Vec<u32> = own.into_iter().flatten().collect();
        if own.is_empty() {
            let none: Vec<u32> = Vec::new();
            prop_assert_eq!(live.ends(&Endpoint::Pod(pod)), none, "a finished pod is no end");
        } else {
            ends.push((own, Endpoint::Pod(pod)));
        }
    }
    let outside = random::addresses().into_iter();
    ends.extend(outside.map(|address| (vec![fresh.ends().outside(address)], Endpoint::External(address))));
    ends.push((vec![fresh.ends().host()], Endpoint::Host { address: None }));
    let blocks: Vec<_> = live.blocks().collect();
    for (source, from) in &ends {
        for (destination, to) in &ends {
            let (surely, perhaps) = live.ports(from, to).unwrap();
            let (expected, maybe) = fresh.ports_of(source, destination);
            prop_assert_eq!(&surely, &expected, "{} to {}", from, to);
            prop_assert_eq!(
                perhaps.subtract(&surely),
                maybe.subtract(&expected),
                "{} to {}",
                from,
                to
            );
            let (from, to) = (live.ends(from), live.ends(to));
            let ([from], [to]) = (from.as_slice(), to.as_slice()) else {
                continue;
            };
            let listed = blocks
                .iter()
                .filter(|b| b.sure && b.sources.contains(*from) && b.destinations.contains(*to));
            let listed = listed.fold(PortSet::none(), |all, block| all.union(&block.ports));
            prop_assert_eq!(&listed, &expected, "blocks");
        }
    }
    prop_assert_eq!(live.len(), blocks.len());
    for block in blocks {
        prop_assert!(!block.sources.is_empty() && !block.destinations.is_empty() && !block.ports.is_empty());
    }
    Ok(())
}

fn dialect() -> impl Strategy<Value = Dialect> {
    let ovn = Dialect {
        host_namespace: Some("n1".into()),
        ..Dialect::ovn_kubernetes()
    };
    prop_oneof![Just(Dialect::spec()), Just(Dialect::cilium()), Just(ovn)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn after_every_event_the_answer_is_that_of_a_fresh_computation(
        (mut world, pods) in cluster(),
        dialect in dialect(),
        specs in prop::collection::vec((0usize..3, 0usize..2, spec(FULL)), 0..4),
        tiers in prop_oneof![2 => Just(vec![]), 1 => prop::collection::vec(cluster_policy(), 1..4)],
        networks in prop::array::uniform3(prop::option::weighted(0.1, prop_oneof![Just("x"), Just("y")])),
        steps in prop::collection::vec(step(), 1..12),
    ) {
        world.dialect = dialect;
        for (name, network) in NAMES.iter().zip(networks) {
            world.set_network(*name, network.map(Into::into));
        }
        let tiers: Vec<ClusterPolicy> = tiers.iter().map(BruteCluster::parsed).collect();
        let mut model = Model { world, pods: BTreeMap::new(), policies: BTreeMap::new() };
        for (at, brute) in pods.iter().enumerate() {
            model.event(&Step::Pod(at, brute.clone(), 9));
        }
        for (n, at, spec) in &specs {
            model.event(&Step::Policy(*n, *at, spec.clone()));
        }
        let mut live = Live::new(model.world.clone(), model.pods.values().cloned(), model.policies.values().cloned(), &tiers);
        agree(&live, &model, &tiers)?;
        for step in &steps {
            live.apply(model.event(step));
            agree(&live, &model, &tiers)?;
        }
    }
}

/// Asks whether the first pod reaches the second on a TCP port.
fn reaches(live: &Live<'_>, from: &Pod, to: &Pod, port: u16) -> bool {
    let (surely, _) = live.ports(&from.end(), &to.end()).unwrap();
    surely.contains(Protocol::Tcp, port)
}

#[test]
fn a_pod_that_declares_a_port_name_for_the_first_time_is_found_by_rules_of_others() {
    let client = pod("home", "c", []);
    let mut server = pod("away", "s", []);
    let by_name = policy(
        "home",
        "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{port: web}]}]}",
    );
    let mut live = Live::new(World::default(), [client.clone(), server.clone()], [by_name], &[]);
    assert!(!reaches(&live, &client, &server, 8080));
    server = server.port("web", Protocol::Tcp, 8080);
    live.apply(Event::Pod(server.clone()));
    assert!(reaches(&live, &client, &server, 8080));
}

#[test]
fn a_new_address_block_tells_pods_apart_that_were_alike() {
    let client = pod("home", "c", []);
    let (inside, beside) = (
        pod("away", "1", []).at("10.1.0.1"),
        pod("away", "2", []).at("10.0.0.1"),
    );
    let pods = [client.clone(), inside.clone(), beside.clone()];
    let mut live = Live::new(World::default(), pods, [], &[]);
    assert_eq!(live.ends(&inside.end()), live.ends(&beside.end()));
    live.apply(Event::Policy(policy(
        "home",
        "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.1.0.0/16}}]}]}",
    )));
    assert!(reaches(&live, &client, &inside, 80));
    assert!(!reaches(&live, &client, &beside, 80));
}
