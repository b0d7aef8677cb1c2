//! The effect of one write and what a window guarantees, over a thousand namespaces:
//! `cargo bench -p bulkhead-policy --bench effects`.
//!
//! Each namespace has twenty pods in five classes, an allow-all that is being removed, eight server policies and
//! a deny, which is what a planner judges while it closes a cluster. Nothing is asserted.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Instant;

use bulkhead_policy::effect::{Window, Write, effect_of_write};
use bulkhead_policy::{Direction, Labels, Peer, Pod, Policy, PortRule, Protocol, Rule, Selector, World};

const NAMESPACES: u32 = 1_000;

fn policy(
    namespace: &Arc<str>,
    pods: Selector,
    ingress: Vec<Rule>,
    egress: Option<Vec<Rule>>,
) -> Arc<Policy> {
    Arc::new(Policy {
        namespace: namespace.clone(),
        name: "p".into(),
        pods,
        ingress: Some(ingress),
        egress,
    })
}

/// Some clients on two ports each.
fn clients(count: usize, port: u16) -> Vec<Rule> {
    let client = |at: usize| Peer::Pods {
        namespaces: Some(Selector::namespace_name(&format!("client-{at}"))),
        pods: None,
    };
    let ports = [port, port + 1]
        .map(|port| PortRule::number(Protocol::Tcp, port))
        .to_vec();
    vec![Rule {
        peers: (0..count).map(client).collect(),
        ports,
    }]
}

fn namespace(at: u32) -> (Window, Vec<Pod>, Vec<Rule>) {
    let name: Arc<str> = format!("openshift-{at}").into();
    let app = |server: usize| format!("server-{}", server % 5);
    let pods = (0..20).map(|pod| {
        Pod::new(
            name.clone(),
            format!("pod-{pod}"),
            Labels::from([("app", app(pod))]),
        )
    });
    let open = || vec![Rule::default()];
    let mut window = Window::settled([policy(&name, Selector::everything(), open(), Some(open()))]);
    for (server, port) in (0..8).zip(8000u16..) {
        let pods = Selector::from([("app", &*app(server))]);
        window.push(vec![Some(policy(&name, pods, clients(6, port * 4), None))]);
    }
    window.push(vec![
        None,
        Some(policy(&name, Selector::everything(), Vec::new(), None)),
    ]);
    (window, pods.collect(), clients(6, 32_000))
}

fn main() {
    let world = World::default();
    let all: Vec<_> = (0..NAMESPACES).map(namespace).collect();
    let per = |start: Instant, count: u32| {
        let micros = start.elapsed().as_secs_f64() * 1e6;
        println!(
            "{:>12.1} us each, {:>8.1} ms in all",
            micros / f64::from(count),
            micros / 1e3
        );
    };
    print!(
        "{:<44}",
        format!("effect of removing allow-all, {NAMESPACES} namespaces")
    );
    let start = Instant::now();
    let removal = Write {
        object: Some(0),
        version: None,
    };
    let contracts = all
        .iter()
        .filter(|(window, pods, _)| effect_of_write(&world, window, &removal, pods).contracts());
    let contracts = contracts.count();
    per(start, NAMESPACES);
    print!("{:<44}", format!("what is missing, {} pods", NAMESPACES * 20));
    let start = Instant::now();
    let mut missing = 0;
    for (window, pods, required) in &all {
        let window = window.after(&removal);
        missing += pods
            .iter()
            .map(|pod| window.missing(&world, pod, Direction::Ingress, required).len())
            .sum::<usize>();
    }
    per(start, NAMESPACES * 20);
    println!("({contracts} contractions, {missing} pieces missing)");
}
