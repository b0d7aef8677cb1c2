//! Events on a cluster whose answer is kept up to date: `cargo bench -p bulkhead-policy --bench incremental`.
//!
//! Printed are events per second by kind on the shape of a real cluster, beside how often the whole answer could
//! be computed afresh in that time; nothing is asserted.
#![allow(missing_docs, clippy::unwrap_used)]

mod shapes;

use std::time::Instant;

use bulkhead_policy::engine::{Event, Live};
use bulkhead_policy::{Cluster, Labels, Pod, Policy};
use shapes::{Random, SHAPES, Selectors, cluster};

const EVENTS: usize = 2_000;

fn main() {
    let shape = &SHAPES[1];
    let (world, pods, policies) = cluster(shape);
    let refs: Vec<&Policy> = policies.iter().collect();
    let start = Instant::now();
    let fresh = Cluster::new(&world, &pods, &refs);
    let whole = start.elapsed().as_secs_f64();
    println!(
        "{}: {} blocks, afresh {:.3} s, so {:.0} a second",
        shape.name,
        fresh.len(),
        whole,
        1.0 / whole
    );
    let start = Instant::now();
    let mut live = Live::new(world.clone(), pods.clone(), policies.clone(), &[]);
    println!(
        "to be kept up to date: {} blocks, {:.3} s",
        live.len(),
        start.elapsed().as_secs_f64()
    );

    let selectors = Selectors::new(shape);
    let mut random = Random(1);
    let mut at = |limit| random.below(limit);
    let replaced: Vec<Event> = (0..EVENTS)
        .map(|_| {
            let old = &policies[at(policies.len())];
            let number: usize = old.name.trim_start_matches("policy-").parse().unwrap();
            let mut random = Random(at(1 << 30) as u64 + 1);
            Event::Policy(shapes::policy(
                &old.namespace,
                number,
                shape,
                &selectors,
                &mut random,
            ))
        })
        .collect();
    let toggled: Vec<Event> = (0..EVENTS / 2)
        .flat_map(|_| {
            let policy = &policies[at(policies.len())];
            let gone = Event::PolicyGone(policy.namespace.clone(), policy.name.clone());
            [gone, Event::Policy(policy.clone())]
        })
        .collect();
    let restarted: Vec<Event> = (0..EVENTS / 2)
        .flat_map(|round| {
            let pod = &pods[at(pods.len())];
            let replica = Pod {
                name: format!("again-{round}").into(),
                ..pod.clone()
            };
            [
                Event::Pod(replica),
                Event::PodGone(pod.namespace.clone(), format!("again-{round}").into()),
            ]
        })
        .collect();
    let relabelled: Vec<Event> = (0..EVENTS / 2)
        .flat_map(|round| {
            let pod = &pods[at(pods.len())];
            let labels = pod.labels.with("track", &format!("canary-{}", round % 3));
            [
                Event::Pod(Pod {
                    labels,
                    ..pod.clone()
                }),
                Event::Pod(pod.clone()),
            ]
        })
        .collect();
    let moved: Vec<Event> = (0..EVENTS / 10)
        .map(|round| {
            let pod = &pods[at(pods.len())];
            let labels = Labels::from([("team", format!("team-{}", round % 50)), ("stage", "s0".into())]);
            Event::Namespace(pod.namespace.clone(), labels)
        })
        .collect();
    for (name, events) in [
        ("policy replaced", replaced),
        ("policy deleted and created", toggled),
        ("replica added and removed", restarted),
        ("pod relabelled and back", relabelled),
        ("namespace relabelled", moved),
    ] {
        let count = f64::from(u32::try_from(events.len()).unwrap());
        let start = Instant::now();
        for event in events {
            live.apply(event);
        }
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{name:<28} {:>9.0} events/s, {:.3} ms each",
            count / seconds,
            seconds * 1e3 / count
        );
    }
    println!("{} blocks at the end", live.len());
}
