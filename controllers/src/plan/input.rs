//! Everything that a plan looks at.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bulkhead_api::namespace::Lineage;
use bulkhead_policy as engine;

use crate::{
    decide::{Configuration, Platform, render::Rendered},
    observe::{
        History, Moment, ObservedPolicy,
        world::{NamespaceObject, PodShape, SystemObject},
    },
};

/// Who is writing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writer {
    /// Identity in leader election.
    pub identity: Arc<str>,
    /// Term of its leadership.
    pub term: u64,
}

/// Which `SystemNetworkPolicies` a plan rests on: uid and generation by namespace and name.
pub type Generations = BTreeMap<(Arc<str>, Arc<str>), (Arc<str>, i64)>;

/// What all namespaces of a pass have in common.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The configuration in force.
    pub config: Configuration,
    /// What the cluster is like.
    pub platform: Platform,
    /// The world that policies are judged in.
    pub world: Arc<engine::World>,
    /// How long everybody may take to see a change.
    pub settle: Moment,
    /// Sequence of our catalog.
    pub sequence: u32,
    /// Who is writing.
    pub writer: Writer,
    /// The namespace that the operator itself runs in.
    pub own_namespace: Arc<str>,
    /// Why decisions are frozen.
    pub frozen: Option<&'static str>,
    /// Why nothing may be contracted, although decisions are not frozen.
    pub contracts_frozen: Option<&'static str>,
    /// `SystemNamespace` is served, so that one can be created.
    pub system_namespaces_served: bool,
    /// Label keys that stored policies of anybody select namespaces by.
    pub used_label_keys: Arc<BTreeSet<Arc<str>>>,
    /// The declarations that all of this was made from.
    pub generations: Arc<Generations>,
}

/// What is declared for one namespace, rendered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    /// The namespace has a catalog entry.
    pub catalogued: bool,
    /// Since when it exists, as declared.
    pub lineage: Lineage,
    /// Policies for ingress; `None` where nobody declared a set.
    pub ingress: Option<Rendered>,
    /// Policies for egress; `None` where nobody declared a set.
    pub egress: Option<Rendered>,
    /// Egress that the namespace itself declares, or that servers declare who name it as a client. Servers that
    /// admit every namespace are left out: nobody says that this one needs them.
    pub egress_needs: Option<Rendered>,
    /// Labels that catalog and declarations demand.
    pub labels: BTreeMap<String, String>,
    /// Part of the set is unknown: nothing may be narrowed on the strength of it.
    pub incomplete: bool,
    /// Declarations that were not accepted, for messages.
    pub rejected: Vec<String>,
}

/// Everything that a plan for one namespace looks at.
#[derive(Clone, Debug)]
pub struct Input {
    /// What all namespaces have in common.
    pub cluster: Arc<Cluster>,
    /// Its name.
    pub name: Arc<str>,
    /// Now, on the monotonic clock.
    pub now: Moment,
    /// Now, on the wall clock; only for expiry dates.
    pub wall: jiff::Timestamp,
    /// The namespace itself; `None`: it does not exist.
    pub object: Option<NamespaceObject>,
    /// When it was first read.
    pub first_seen: Moment,
    /// Its `SystemNamespace`.
    pub system: Option<Arc<SystemObject>>,
    /// What is declared for it.
    pub expected: Arc<Expected>,
    /// Its policies as they stand.
    pub policies: Vec<Arc<ObservedPolicy>>,
    /// Their versions over time.
    pub history: History,
    /// Its pods, one of each look, and what its workloads will make.
    pub pods: Arc<Vec<Member>>,
    /// An operand bundle has the namespace, so it is none of the switch's.
    pub bundled: bool,
    /// The outcome of a write that may have contracted is unknown.
    pub uncertain: bool,
    /// Every other namespace that should close has closed.
    pub others_closed: bool,
    /// When each policy was last written by us, for damping.
    pub written: BTreeMap<Arc<str>, Moment>,
}

/// A pod or pod template.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// As policies see it; its name is that of one example, or `kind/name` of a workload.
    pub pod: engine::Pod,
    /// Declared container ports.
    pub ports: Vec<(engine::Protocol, u16)>,
    /// It is being deleted.
    pub terminating: bool,
}

impl Member {
    /// A pod, or what a workload will make, of this look.
    pub fn new(namespace: &Arc<str>, name: &str, shape: &PodShape) -> Self {
        let mut pod = engine::Pod::new(namespace.clone(), name, shape.labels.clone());
        pod.state = shape.state;
        Self {
            pod,
            ports: shape.ports.to_vec(),
            terminating: shape.terminating,
        }
    }

    /// Policies apply to it and it is there to stay.
    pub fn counts(&self) -> bool {
        self.pod.state == engine::PodState::Networked && !self.terminating
    }
}
