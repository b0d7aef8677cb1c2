//! Policies of the cluster's administrator: the tiers before and after NetworkPolicy.
//!
//! AdminNetworkPolicy and BaselineAdminNetworkPolicy (`policy.networking.k8s.io/v1alpha1`) and their successor
//! ClusterNetworkPolicy (`v1alpha2`) are read into one [`ClusterPolicy`]. They do not isolate: their rules are
//! tried in order and the first that matches accepts, denies or passes to the next tier. A pod that a
//! NetworkPolicy isolates never reaches the Baseline tier.

mod parse;
mod schema;
mod verdict;

use std::sync::Arc;

use crate::address::AddressSet;
use crate::policy::Direction;
use crate::ports::PortSet;
use crate::selector::Selector;
use crate::world::{Pod, PodState, World};

pub use parse::{parse_admin, parse_baseline, parse_cluster};
pub use schema::{AdminSpec, ClusterSpec};
pub use verdict::{Decider, Side, Tiered, connection};

/// When a policy is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// Before NetworkPolicy.
    Admin,
    /// After NetworkPolicy, for pods that none isolates.
    Baseline,
}

/// What a rule does with traffic that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Allow and stop; v1alpha1 calls it Allow.
    Accept,
    /// Drop and stop.
    Deny,
    /// Leave this tier.
    Pass,
}

/// One peer of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClusterPeer {
    /// Pods on the pod network.
    Pods {
        /// Over namespace labels.
        namespaces: Selector,
        /// Over pod labels.
        pods: Selector,
    },
    /// Nodes by their labels.
    Nodes(Selector),
    /// Addresses, of pods and nodes too.
    Networks(AddressSet),
    /// Names outside the cluster.
    Domains(Vec<Box<str>>),
}

/// One rule; its position decides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClusterRule {
    /// What happens on a match.
    pub action: Action,
    /// The other ends.
    pub peers: Vec<ClusterPeer>,
    /// The destination ports; `None` matches whatever the protocol.
    pub ports: Option<ClusterPorts>,
}

/// Destination ports of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClusterPorts {
    /// By number.
    pub numbers: PortSet,
    /// By container port name, of any protocol.
    pub names: Vec<Arc<str>>,
}

/// A policy over the pods of many namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClusterPolicy {
    /// The object's name.
    pub name: Arc<str>,
    /// Its tier.
    pub tier: Tier,
    /// From 0 to 1000; lower is looked at first. Between equal ones the order is undefined.
    pub priority: u16,
    /// The subject's namespaces.
    pub namespaces: Selector,
    /// The subject's pods in them; never pods on the host network.
    pub pods: Selector,
    /// Rules for incoming connections.
    pub ingress: Vec<ClusterRule>,
    /// Rules for outgoing connections.
    pub egress: Vec<ClusterRule>,
}

impl ClusterPolicy {
    /// True for pods that the policy is about.
    pub fn applies_to(&self, world: &World, pod: &Pod) -> bool {
        pod.state == PodState::Networked
            && self.pods.matches(&pod.labels)
            && self.namespaces.matches(&world.namespace_labels(&pod.namespace))
    }

    /// The rules for a direction.
    pub fn rules(&self, direction: Direction) -> &[ClusterRule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}
