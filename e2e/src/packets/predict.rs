//! What the policy engine expects of the policies that are stored right now.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use bulkhead_policy::{
    Dialect, Endpoint, Labels, Pod, PodState, Policy, Protocol, Traffic, Verdict, World, connection, v1,
};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::ListParams;
use kube::{Api, Client};

use super::truth::Attempt;
use crate::checker::objects;

/// A cluster as the engine sees it.
pub struct Prediction {
    world: World,
    policies: Vec<Policy>,
    pods: BTreeMap<(String, String), Pod>,
}

/// What the engine says of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Said {
    pub open: bool,
    /// The policies that isolate or allow, for reports.
    pub why: String,
}

impl Prediction {
    /// Reads namespaces, pods and policies.
    pub async fn read(client: &Client, dialect: Dialect) -> anyhow::Result<Self> {
        let list = ListParams::default();
        let namespaces = Api::<core::Namespace>::all(client.clone()).list(&list).await?;
        let pods = Api::<core::Pod>::all(client.clone()).list(&list).await?;
        let policies = Api::<NetworkPolicy>::all(client.clone()).list(&list).await?;
        let mut world = World::new(dialect);
        for namespace in namespaces {
            let labels = labels(namespace.metadata.labels.as_ref());
            world.set_namespace(
                namespace.metadata.name.context("a namespace without name")?,
                &labels,
            );
        }
        let read = pods.into_iter().map(pod).collect::<anyhow::Result<_>>()?;
        Ok(Self {
            world,
            policies: policies.into_iter().map(policy).collect::<anyhow::Result<_>>()?,
            pods: read,
        })
    }

    /// How many policies there are.
    pub fn policies(&self) -> usize {
        self.policies.len()
    }

    /// Whether the connection is allowed.
    pub fn of(&self, attempt: Attempt<'_>) -> anyhow::Result<Said> {
        let (client, server) = (self.pod(attempt.client)?, self.pod(attempt.server)?);
        let (protocol, port) = attempt.port;
        let protocol = match protocol {
            objects::Protocol::Tcp => Protocol::Tcp,
            objects::Protocol::Udp => Protocol::Udp,
            objects::Protocol::Sctp => Protocol::Sctp,
        };
        let (from, to) = (Endpoint::Pod(client), Endpoint::Pod(server));
        let answer = connection(
            &self.world,
            &self.policies,
            &from,
            &to,
            Traffic::Port(protocol, port),
        );
        ensure!(
            !matches!(answer.verdict, Verdict::Unknown(_)),
            "the engine does not know about {} to {} on {port}",
            attempt.client.id(),
            attempt.server.id()
        );
        let sides = [("egress", answer.egress), ("ingress", answer.ingress)];
        let told: Vec<String> = sides
            .into_iter()
            .filter_map(|(side, decision)| {
                let decision = decision?;
                (decision.verdict != Verdict::Allowed).then(|| format!("{side} denied"))
            })
            .collect();
        Ok(Said {
            open: answer.verdict == Verdict::Allowed,
            why: told.join(", "),
        })
    }

    fn pod(&self, role: &super::cast::Role) -> anyhow::Result<&Pod> {
        let key = (role.member.namespace.clone(), role.pod.clone());
        self.pods
            .get(&key)
            .with_context(|| format!("pod {} is gone", role.id()))
    }
}

fn labels(of: Option<&BTreeMap<String, String>>) -> Labels {
    let pairs = of.into_iter().flatten();
    pairs.map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn pod(object: core::Pod) -> anyhow::Result<((String, String), Pod)> {
    let (meta, spec) = (object.metadata, object.spec.unwrap_or_default());
    let (namespace, name) = (meta.namespace.unwrap_or_default(), meta.name.unwrap_or_default());
    let mut pod = Pod::new(namespace.as_str(), name.as_str(), labels(meta.labels.as_ref()));
    let status = object.status.unwrap_or_default();
    pod.state = match (status.phase.as_deref(), spec.host_network) {
        (Some("Succeeded" | "Failed"), _) => PodState::Finished,
        (_, Some(true)) => PodState::HostNetwork,
        _ => PodState::Networked,
    };
    if let Some(address) = status.pod_ip {
        pod.addresses
            .push(address.parse().with_context(|| format!("address of {name}"))?);
    }
    pod.node = spec.node_name.map(Into::into);
    Ok(((namespace, name), pod))
}

fn policy(object: NetworkPolicy) -> anyhow::Result<Policy> {
    let (namespace, name) = (
        object.metadata.namespace.unwrap_or_default(),
        object.metadata.name.unwrap_or_default(),
    );
    let spec = serde_json::to_value(object.spec.unwrap_or_default())?;
    let spec: v1::NetworkPolicySpec = serde_json::from_value(spec)?;
    Ok(v1::parse(namespace.as_str(), name.as_str(), &spec)?)
}
