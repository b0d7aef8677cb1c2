//! Observed objects in the form in which they are kept.

use std::sync::Arc;

use bulkhead_api::{
    namespace::{SystemNamespaceSpec, SystemNamespaceStatus},
    operand::Operand,
    server::{SystemNetworkPolicySpec, SystemNetworkPolicyStatus},
};
use bulkhead_policy::{Labels, PodState, Protocol};

use super::{
    ObservedPolicy,
    operands::{Excerpt, OperandObject},
};
use crate::decide::config::{IsolationConfig, NetworkConfig};

/// Namespace (empty for cluster-scoped objects) and name.
pub type Key = (Arc<str>, Arc<str>);

/// What all pods of one look have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodShape {
    /// Labels.
    pub labels: Labels,
    /// Declared container ports.
    pub ports: Box<[(Protocol, u16)]>,
    /// Pod network, host network or finished.
    pub state: PodState,
    /// It is being deleted.
    pub terminating: bool,
}

/// A `SystemNamespace` as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct SystemObject {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Its generation.
    pub generation: i64,
    /// Its spec; an error text if it is not what the schema says.
    pub spec: Result<SystemNamespaceSpec, String>,
    /// The status that we stored last.
    pub status: SystemNamespaceStatus,
}

/// A `SystemNetworkPolicy` as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    /// Its uid.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Its spec; an error text if it is not what the schema says.
    pub spec: Result<Arc<SystemNetworkPolicySpec>, String>,
    /// The spec that was accepted last.
    pub last_good: Option<Arc<SystemNetworkPolicySpec>>,
    /// The status that we stored last.
    pub status: SystemNetworkPolicyStatus,
}

/// One observed object in its kept form.
#[derive(Clone, Debug)]
pub enum Item {
    /// Labels, uid, and whether it is being deleted.
    Namespace(NamespaceObject),
    /// A network policy.
    Policy(Arc<ObservedPolicy>),
    /// A pod.
    Pod(PodShape),
    /// What the pods of a workload will look like; `None` when it makes none any more.
    Template(Option<PodShape>),
    /// The same of a workload that is an operand's.
    OperandTemplate(Option<PodShape>, Excerpt),
    /// An `OperandNetworkPolicy`.
    OperandPolicy(Operand, Box<OperandObject>),
    /// An object that tells of an operand.
    OperandSource(Excerpt),
    /// Ports of the API server.
    Ports(Vec<u16>),
    /// A `SystemNamespace`.
    System(Arc<SystemObject>),
    /// A `SystemNetworkPolicy`.
    Declaration(Box<Declaration>),
    /// `SystemIsolation`.
    Isolation(Box<IsolationConfig>),
    /// The Network operator config.
    Network(Box<NetworkConfig>),
    /// Whether the control plane runs outside the cluster.
    Infrastructure(bool),
    /// The release that is installed or being rolled out.
    ClusterVersion(Release),
    /// Conditions of our ClusterOperator.
    ClusterOperator(Vec<serde_json::Value>),
    /// Whether a definition is being removed.
    Definition(bool),
}

/// The release that is installed or being rolled out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// It is being rolled out.
    pub progressing: bool,
    /// Its version, for example `5.0.0`.
    pub target: Option<String>,
}

/// A namespace object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceObject {
    /// Its uid.
    pub uid: Arc<str>,
    /// Its labels.
    pub labels: Labels,
    /// It is being deleted.
    pub terminating: bool,
}

/// What a watch reports.
#[derive(Clone, Debug)]
pub enum Change {
    /// A complete list begins.
    Restarted,
    /// An object is there.
    Put(Key, Item),
    /// An object is gone.
    Gone(Key),
    /// The list was complete.
    Synced,
    /// The kind is not served.
    Unserved,
    /// Reading fails.
    Failing(String),
}
