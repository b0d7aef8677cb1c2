//! Compares this crate with what other evaluators say: `judge [--differ | --time] < cases`, one JSON object a line as
//! hack/differential-peers/README.md describes. Every answer is compared with the verdict on the connection and
//! with the whole-cluster engine. Ends with an error unless all agree; with `--differ`, unless each case has answers
//! that differ, so that a known difference which is gone gets noticed. `--time` measures instead.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, stdin};
use std::net::IpAddr;
use std::time::Instant;

use bulkhead_policy::v1::{NetworkPolicySpec, parse};
use bulkhead_policy::{
    Cluster, Dialect, Endpoint, Labels, NamedPort, Pod, Policy, Protocol, Traffic, Verdict, World, connection,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    by: String,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    pods: Vec<CasePod>,
    #[serde(default)]
    policies: Option<Vec<CasePolicy>>,
    #[serde(default)]
    outside: Vec<IpAddr>,
    #[serde(default)]
    answers: Option<Vec<Answer>>,
}

#[derive(Deserialize)]
struct CasePod {
    namespace: String,
    name: String,
    labels: BTreeMap<String, String>,
    address: IpAddr,
    #[serde(default)]
    ports: Vec<CasePort>,
}

#[derive(Deserialize)]
struct CasePort {
    name: String,
    protocol: String,
    port: u16,
}

#[derive(Deserialize)]
struct CasePolicy {
    namespace: String,
    name: String,
    spec: NetworkPolicySpec,
}

#[derive(Deserialize)]
struct Answer {
    from: usize,
    to: usize,
    protocol: String,
    port: u16,
    allowed: bool,
}

/// What was compared so far.
#[derive(Default)]
struct Tally {
    cases: usize,
    answers: usize,
    differ: usize,
    with_itself: usize,
    /// Cases without any difference.
    agreeing: Vec<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let asked = |flag: &str| std::env::args().any(|arg| arg == flag);
    let (timed, differing) = (asked("--time"), asked("--differ"));
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for (at, line) in stdin().lock().lines().enumerate() {
        let case: Case = serde_json::from_str(&line?).map_err(|error| format!("line {}: {error}", at + 1))?;
        if timed {
            time(&case)?;
        } else {
            judge(&case, tallies.entry(case.by.clone()).or_default())?;
        }
    }
    if timed {
        return Ok(());
    }
    let mut wrong = usize::from(tallies.values().map(|tally| tally.answers).sum::<usize>() == 0);
    for (by, tally) in &tallies {
        println!(
            "{by}: {} clusters, {} answers, {} differ",
            tally.cases, tally.answers, tally.differ
        );
        if tally.with_itself > 0 {
            println!("  not counted: {} about a pod with itself", tally.with_itself);
        }
        if differing {
            tally
                .agreeing
                .iter()
                .for_each(|name| println!("  agrees by now: {name}"));
            wrong += tally.agreeing.len();
        } else {
            wrong += tally.differ;
        }
    }
    if wrong > 0 {
        return Err("the answers are not what they should be".into());
    }
    Ok(())
}

/// A cluster as this crate takes it.
type Read = (World, Vec<Pod>, Vec<Policy>);

fn read(case: &Case) -> Result<Read, Box<dyn Error>> {
    let mut world = World::new(match case.by.as_str() {
        // It never matches pods by address; docs/decisions/0013 says why ours does.
        "network-config-analyzer" => Dialect::cilium(),
        _ => Dialect::spec(),
    });
    for (name, labels) in &case.namespaces {
        world.set_namespace(name.as_str(), &labels_of(labels));
    }
    let pods = case.pods.iter().map(pod).collect::<Result<_, _>>()?;
    let mut policies = Vec::new();
    for policy in case.policies.iter().flatten() {
        policies.push(parse(
            policy.namespace.as_str(),
            policy.name.as_str(),
            &policy.spec,
        )?);
    }
    Ok((world, pods, policies))
}

fn labels_of(labels: &BTreeMap<String, String>) -> Labels {
    labels
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

fn pod(case: &CasePod) -> Result<Pod, Box<dyn Error>> {
    let mut pod = Pod::new(
        case.namespace.as_str(),
        case.name.as_str(),
        labels_of(&case.labels),
    );
    pod.addresses = vec![case.address];
    for port in &case.ports {
        pod.ports.push(NamedPort {
            name: port.name.as_str().into(),
            protocol: protocol(&port.protocol)?,
            port: port.port,
        });
    }
    Ok(pod)
}

fn protocol(name: &str) -> Result<Protocol, Box<dyn Error>> {
    Protocol::parse(name).ok_or_else(|| format!("{name:?} is not a protocol").into())
}

fn judge(case: &Case, tally: &mut Tally) -> Result<(), Box<dyn Error>> {
    let (world, pods, policies) = read(case).map_err(|error| format!("{}: {error}", case.name))?;
    let refs: Vec<&Policy> = policies.iter().collect();
    let cluster = Cluster::new(&world, &pods, &refs);
    let end = |at: usize| {
        if let Some(pod) = pods.get(at) {
            return (Endpoint::Pod(pod), cluster.ends().of_pod(at));
        }
        let address = case.outside[at - pods.len()];
        let end = cluster.ends().outside(address);
        (Endpoint::External(address), Some(end))
    };
    tally.cases += 1;
    let before = tally.differ;
    for answer in case.answers.iter().flatten() {
        let (protocol, port) = (protocol(&answer.protocol)?, answer.port);
        let ((from, source), (to, destination)) = (end(answer.from), end(answer.to));
        let verdict = connection(&world, &policies, &from, &to, Traffic::Port(protocol, port)).verdict
            == Verdict::Allowed;
        let engine = source
            .zip(destination)
            .and_then(|(from, to)| cluster.allows(from, to, protocol, port));
        tally.answers += 1;
        if answer.from == answer.to {
            // A pod always reaches itself; docs/decisions/0013.
            tally.with_itself += usize::from(!answer.allowed && verdict);
        } else if verdict != answer.allowed || engine != Some(verdict) {
            tally.differ += 1;
            println!(
                "differ: {}: {from} to {to} on {protocol}/{port}: {} says {}, verdict {verdict}, engine {engine:?}",
                case.name, case.by, answer.allowed
            );
        }
    }
    if tally.differ == before {
        tally.agreeing.push(case.name.clone());
    }
    Ok(())
}

/// Everything that this crate would be asked by a whole connectivity report, from values that are read already.
fn time(case: &Case) -> Result<(), Box<dyn Error>> {
    let (world, pods, policies) = read(case)?;
    let refs: Vec<&Policy> = policies.iter().collect();
    let start = Instant::now();
    let cluster = Cluster::new(&world, &pods, &refs);
    println!(
        "{}\t{}\t{:.6}",
        case.name,
        cluster.len(),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}
