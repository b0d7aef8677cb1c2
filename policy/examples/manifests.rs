//! Writes a cluster of the shape of a benchmark as manifests, a JSON list to standard output.
//!
//! `cargo run --release --example manifests -- NAMESPACES [PREFIX]`: nine workloads and 22 policies a namespace, names
//! that begin with PREFIX (default `ns-`).
#![allow(clippy::unwrap_used)] // a failed unwrap ends the example

#[path = "../benches/shapes/mod.rs"]
mod shapes;

use std::io::Write as _;

use bulkhead_policy::v1::NetworkPolicySpec;
use bulkhead_policy::{Labels, Pod, Policy};
use serde_json::{Map, Value, json};
use shapes::{Shape, cluster};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let namespaces = arguments.next().map_or(604, |count| count.parse().unwrap());
    let prefix = arguments.next().unwrap_or_else(|| "ns-".to_owned());
    let shape = Shape {
        name: "",
        namespaces,
        workloads: 9,
        replicas: 1,
        policies: 22,
        distinct: false,
    };
    let (world, pods, policies) = cluster(&shape);
    let namespaces = world.namespaces().map(|(name, labels)| namespace(name, labels));
    let objects = namespaces
        .chain(pods.iter().map(pod))
        .chain(policies.iter().map(policy));
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    write!(out, "{{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [").unwrap();
    for (at, object) in objects.enumerate() {
        let text = object.to_string().replace("\"ns-", &format!("\"{prefix}"));
        write!(out, "{}\n{text}", if at == 0 { "" } else { "," }).unwrap();
    }
    writeln!(out, "\n]}}").unwrap();
}

fn labels(labels: &Labels) -> Value {
    let pairs = labels.iter().map(|(key, value)| (key.to_owned(), value.into()));
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn namespace(name: &str, own: &Labels) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels(own)}})
}

fn pod(pod: &Pod) -> Value {
    let addresses = pod.addresses.iter().map(|ip| json!({"ip": ip.to_string()}));
    let ports = pod.ports.iter();
    let ports =
        ports.map(|p| json!({"name": &*p.name, "protocol": p.protocol.as_str(), "containerPort": p.port}));
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": &*pod.namespace, "name": &*pod.name, "labels": labels(&pod.labels)},
        "spec": {"containers": [{"name": "c", "ports": ports.collect::<Vec<_>>()}]},
        "status": {"phase": "Running", "podIPs": addresses.collect::<Vec<_>>()},
    })
}

fn policy(policy: &Policy) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": &*policy.namespace, "name": &*policy.name},
        "spec": NetworkPolicySpec::from(policy),
    })
}
