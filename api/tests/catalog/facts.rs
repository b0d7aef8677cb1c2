//! The facts file and its short notation: names that vary, alternatives, and words for clients and targets.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use bulkhead_api::{
    catalog::{Confidence, Source},
    server::Protocol,
    yaml,
};
use serde::Deserialize;

use crate::labels::Labels;

/// Namespaces with more than one owner: whoever names one as a client must name pods of it.
pub const SHARED: [&str; 8] = [
    "openshift-ingress",
    "openshift-operators",
    "openshift-marketplace",
    "openshift-monitoring",
    "openshift-cluster-csi-drivers",
    "openshift-machine-api",
    "openshift-image-registry",
    "openshift-machine-config-operator",
];

/// The whole file, read once.
pub static FACTS: LazyLock<Facts> = LazyLock::new(|| {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../e2e/facts/openshift-namespaces.yaml"
    );
    let text = std::fs::read_to_string(path).expect("the facts file is readable");
    yaml::from_str(&text).expect("the facts file has the known shape")
});

#[derive(Deserialize)]
pub struct Facts {
    pub clients: BTreeMap<String, ClientFact>,
    pub egress_targets: BTreeMap<String, TargetFact>,
    pub namespaces: Vec<NamespaceFact>,
}

#[derive(Deserialize)]
pub struct ClientFact {
    pub network: String,
    pub namespace: Option<String>,
    #[serde(default)]
    pub pod_labels: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
pub struct TargetFact {
    pub network: Option<String>,
    pub namespace: Option<String>,
    #[serde(default)]
    pub pod_labels: BTreeMap<String, Value>,
    pub ports: Vec<String>,
}

#[derive(Deserialize)]
pub struct NamespaceFact {
    pub name: String,
    pub source: Vec<Source>,
    pub confidence: Confidence,
    pub labels: BTreeMap<String, String>,
    pub workloads: Vec<Workload>,
    pub policy_applicability: String,
}

#[derive(Deserialize)]
pub struct Workload {
    pub name: String,
    pub host_network: bool,
    pub pod_labels: BTreeMap<String, Value>,
    pub ports: Vec<PortFact>,
    #[serde(default)]
    pub egress: Vec<String>,
    pub note: Option<String>,
}

#[derive(Deserialize)]
pub struct PortFact {
    pub port: i32,
    pub protocol: Protocol,
    pub role: String,
    pub service_port: Option<i32>,
    pub clients: Vec<String>,
}

/// A label value, or several of which each pod has one.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Value {
    One(String),
    Many(Vec<String>),
}

/// Names that the facts know for what stands in angle brackets. Others vary freely.
const KNOWN_NAMES: [(&str, &[&str]); 2] = [
    ("<provider>", &["a", "g", "z", "v", "o", "ibm"]),
    (
        "<driver>",
        &[
            "aws-ebs",
            "azure-disk",
            "azure-file",
            "gcp-pd",
            "ibm-vpc-block",
            "openstack-cinder",
            "manila",
            "powervs-block",
        ],
    ),
];
/// Two values that stand for any.
const ANY_NAMES: &[&str] = &["default", "something-else"];

impl Value {
    /// Values that pods carry.
    fn samples(&self) -> Vec<String> {
        match self {
            Self::One(value) => samples(value),
            Self::Many(values) => values.clone(),
        }
    }
}

fn samples(value: &str) -> Vec<String> {
    let placeholder = match (value.find('<'), value.find('>')) {
        (Some(from), Some(to)) => &value[from..=to],
        _ if value.contains('*') => "*",
        _ => return vec![value.to_owned()],
    };
    let names = KNOWN_NAMES.iter().find(|(key, _)| *key == placeholder);
    let names = names.map_or(ANY_NAMES, |(_, names)| names);
    names
        .iter()
        .map(|name| value.replace(placeholder, name))
        .collect()
}

/// Every set of labels that the notation stands for.
pub fn label_sets(notation: &BTreeMap<String, Value>) -> Vec<Labels> {
    notation.iter().fold(vec![Labels::new()], |sets, (key, value)| {
        let with = |set: &Labels, v: String| {
            let mut set = set.clone();
            set.insert(key.clone(), v);
            set
        };
        sets.iter()
            .flat_map(|set| value.samples().into_iter().map(move |v| with(set, v)))
            .collect()
    })
}

/// Whether labels could be those that the notation describes.
pub fn fits(labels: &Labels, notation: &BTreeMap<String, Value>) -> bool {
    notation.iter().all(|(key, value)| {
        labels.get(key).is_some_and(|present| match value {
            Value::One(text) if text.contains(['*', '<']) => true,
            other => other.samples().contains(present),
        })
    })
}

impl Facts {
    pub fn namespace(&self, name: &str) -> Option<&NamespaceFact> {
        self.namespaces.iter().find(|n| n.name == name)
    }

    pub fn names(&self) -> BTreeSet<&str> {
        self.namespaces.iter().map(|n| n.name.as_str()).collect()
    }

    /// Workloads whose pods a policy can select.
    pub fn pod_workloads(&self) -> impl Iterator<Item = (&NamespaceFact, &Workload)> {
        self.namespaces
            .iter()
            .flat_map(|n| n.workloads.iter().map(move |w| (n, w)))
            .filter(|(_, w)| !w.host_network)
    }
}

impl Workload {
    /// The labels of every kind of pod that the workload stands for.
    pub fn pods(&self) -> Vec<Labels> {
        label_sets(&self.pod_labels)
    }

    /// The facts forbid a set for these pods: nobody can list them.
    pub fn is_unlistable(&self) -> bool {
        self.note
            .as_deref()
            .is_some_and(|n| n.contains("never restrict automatically"))
    }

    /// Users choose the ports of these pods.
    pub fn has_user_defined_ports(&self) -> bool {
        self.note
            .as_deref()
            .is_some_and(|n| n.contains("listener ports are user-defined"))
    }
}

impl PortFact {
    /// Clients that need a rule. A node always reaches its own pods.
    pub fn clients(&self) -> impl Iterator<Item = &str> {
        self.clients
            .iter()
            .map(String::as_str)
            .filter(|c| *c != "kubelet")
    }
}
