//! What the checker keeps of a stored object, read from the JSON that etcd holds.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::labels::{Labels, Selector};

/// Field manager of everything that the operator writes.
pub const OURS: &str = "bulkhead";

/// Metadata of a stored object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Identity of the object.
    pub uid: String,
    /// Grows with each change of the spec.
    pub generation: i64,
    /// Labels; null and absent are the same.
    #[serde(deserialize_with = "or_default")]
    pub labels: Labels,
    /// Present while the object is being deleted.
    pub deletion_timestamp: Option<String>,
    /// Who owns which fields.
    #[serde(deserialize_with = "or_default")]
    pub managed_fields: Vec<Managed>,
}

/// One entry of managedFields.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Managed {
    /// Name of the manager.
    pub manager: String,
    /// Apply or Update.
    pub operation: String,
    /// Second of the last change.
    pub time: Option<String>,
    /// Empty, or `status`.
    pub subresource: String,
    /// The fields.
    #[serde(rename = "fieldsV1")]
    pub fields: Value,
}

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// A namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Namespace {
    /// Labels as stored.
    pub labels: Labels,
    /// Being deleted.
    pub terminating: bool,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pod {
    /// Labels as stored.
    pub labels: Labels,
    /// Shares the network of its node, so that no policy applies to it.
    pub host_network: bool,
    /// Finished or being deleted.
    pub gone: bool,
    /// First pod IP, where there is one.
    pub ip: Option<IpAddr>,
    /// Declared container ports.
    pub ports: Vec<ContainerPort>,
}

/// A declared container port.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    /// Name, possibly empty.
    pub name: String,
    /// Number.
    pub container_port: u16,
    /// Protocol; absent means TCP.
    pub protocol: Option<Protocol>,
}

/// Transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[allow(missing_docs)]
pub enum Protocol {
    #[default]
    #[serde(rename = "TCP")]
    Tcp,
    #[serde(rename = "UDP")]
    Udp,
    #[serde(rename = "SCTP")]
    Sctp,
}

/// A NetworkPolicy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// Identity.
    pub uid: String,
    /// The operator owns its spec.
    pub ours: bool,
    /// Pods that it selects.
    pub pods: Selector,
    /// Ingress rules; absent when the policy does not isolate for ingress.
    pub ingress: Option<Vec<Rule>>,
    /// Egress rules; absent when the policy does not isolate for egress.
    pub egress: Option<Vec<Rule>>,
}

/// A rule: peers × ports; an absent list stands for all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// Peers.
    pub peers: Option<Vec<Peer>>,
    /// Ports.
    pub ports: Option<Vec<PortRule>>,
}

/// A peer of a rule.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Peer {
    /// Namespaces of the pods; absent means the policy's own.
    pub namespace_selector: Option<Selector>,
    /// Pods; absent means all of those namespaces.
    pub pod_selector: Option<Selector>,
    /// Addresses.
    pub ip_block: Option<IpBlock>,
}

/// An address range with holes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct IpBlock {
    /// The range.
    pub cidr: ipnet::IpNet,
    /// The holes.
    #[serde(default, deserialize_with = "or_default")]
    pub except: Vec<ipnet::IpNet>,
}

/// A port of a rule.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortRule {
    /// Absent means TCP.
    pub protocol: Option<Protocol>,
    /// Number or name; absent means all of the protocol.
    pub port: Option<PortRef>,
    /// Makes a range.
    pub end_port: Option<u16>,
}

/// A port by number or by name.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum PortRef {
    /// By number.
    Number(u16),
    /// By name of a container port.
    Name(String),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawSpec {
    pod_selector: Selector,
    #[serde(deserialize_with = "or_default")]
    policy_types: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    ingress: Vec<RawRule>,
    #[serde(deserialize_with = "or_default")]
    egress: Vec<RawRule>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawRule {
    #[serde(deserialize_with = "or_default")]
    from: Vec<Peer>,
    #[serde(deserialize_with = "or_default")]
    to: Vec<Peer>,
    #[serde(deserialize_with = "or_default")]
    ports: Vec<PortRule>,
}

impl RawRule {
    fn rule(self) -> Rule {
        let peers: Vec<Peer> = self.from.into_iter().chain(self.to).collect();
        Rule {
            peers: (!peers.is_empty()).then_some(peers),
            ports: (!self.ports.is_empty()).then_some(self.ports),
        }
    }
}

/// Metadata of any stored object.
pub fn meta(object: &Value) -> Meta {
    Meta::deserialize(&object["metadata"]).unwrap_or_default()
}

/// Reads a NetworkPolicy. The error is a text, since such an object would be a defect of this reader.
pub fn policy(object: &Value, meta: &Meta) -> Result<Policy, String> {
    let spec = RawSpec::deserialize(&object["spec"]).map_err(|e| e.to_string())?;
    let lists = |direction: &str| spec.policy_types.iter().any(|t| t == direction);
    // The API server fills policyTypes in; the default is here for planted histories.
    let untyped = spec.policy_types.is_empty();
    let isolates_egress = lists("Egress") || (untyped && !spec.egress.is_empty());
    let isolates_ingress = lists("Ingress") || untyped;
    let rules = |raw: Vec<RawRule>| raw.into_iter().map(RawRule::rule).collect();
    Ok(Policy {
        uid: meta.uid.clone(),
        ours: owns_spec(meta),
        pods: spec.pod_selector,
        ingress: isolates_ingress.then(|| rules(spec.ingress)),
        egress: isolates_egress.then(|| rules(spec.egress)),
    })
}

fn owns_spec(meta: &Meta) -> bool {
    meta.managed_fields
        .iter()
        .any(|entry| entry.manager == OURS && entry.fields.get("f:spec").is_some())
}

/// Reads a namespace.
pub fn namespace(meta: &Meta) -> Namespace {
    Namespace {
        labels: meta.labels.clone(),
        terminating: meta.deletion_timestamp.is_some(),
    }
}

/// Reads a pod.
pub fn pod(object: &Value, meta: &Meta) -> Pod {
    let (spec, status) = (&object["spec"], &object["status"]);
    let finished = matches!(status["phase"].as_str(), Some("Succeeded" | "Failed"));
    let ports = spec["containers"].as_array().into_iter().flatten();
    Pod {
        labels: meta.labels.clone(),
        host_network: spec["hostNetwork"].as_bool().unwrap_or(false),
        gone: finished || meta.deletion_timestamp.is_some(),
        ip: status["podIP"].as_str().and_then(|ip| ip.parse().ok()),
        ports: ports
            .flat_map(|container| container["ports"].as_array().into_iter().flatten())
            .filter_map(|port| ContainerPort::deserialize(port).ok())
            .collect(),
    }
}

/// A value that is kept in several places of a history.
pub type Kept<T> = Option<Arc<T>>;
