//! One object as it was read, and where.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::marks;

/// The kinds that mean something to the analysing verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Kind {
    Namespace,
    Pod,
    Deployment,
    StatefulSet,
    DaemonSet,
    ReplicaSet,
    ReplicationController,
    DeploymentConfig,
    Job,
    CronJob,
    Service,
    EndpointSlice,
    NetworkPolicy,
    AdminNetworkPolicy,
    BaselineAdminNetworkPolicy,
    ClusterNetworkPolicy,
    SystemNetworkPolicy,
    SystemNamespace,
    SystemIsolation,
    Network,
    Infrastructure,
    ClusterVersion,
    /// Anything else.
    Unknown,
}

/// Group, version (empty: any), resource and kind of everything that is read.
pub const KINDS: [(&str, &str, &str, &str, Kind); 22] = [
    ("", "v1", "namespaces", "Namespace", Kind::Namespace),
    ("", "v1", "pods", "Pod", Kind::Pod),
    ("apps", "v1", "deployments", "Deployment", Kind::Deployment),
    ("apps", "v1", "statefulsets", "StatefulSet", Kind::StatefulSet),
    ("apps", "v1", "daemonsets", "DaemonSet", Kind::DaemonSet),
    ("apps", "v1", "replicasets", "ReplicaSet", Kind::ReplicaSet),
    (
        "",
        "v1",
        "replicationcontrollers",
        "ReplicationController",
        Kind::ReplicationController,
    ),
    (
        "apps.openshift.io",
        "v1",
        "deploymentconfigs",
        "DeploymentConfig",
        Kind::DeploymentConfig,
    ),
    ("batch", "v1", "jobs", "Job", Kind::Job),
    ("batch", "v1", "cronjobs", "CronJob", Kind::CronJob),
    ("", "v1", "services", "Service", Kind::Service),
    (
        "discovery.k8s.io",
        "v1",
        "endpointslices",
        "EndpointSlice",
        Kind::EndpointSlice,
    ),
    (
        "networking.k8s.io",
        "v1",
        "networkpolicies",
        "NetworkPolicy",
        Kind::NetworkPolicy,
    ),
    (
        "policy.networking.k8s.io",
        "v1alpha1",
        "adminnetworkpolicies",
        "AdminNetworkPolicy",
        Kind::AdminNetworkPolicy,
    ),
    (
        "policy.networking.k8s.io",
        "v1alpha1",
        "baselineadminnetworkpolicies",
        "BaselineAdminNetworkPolicy",
        Kind::BaselineAdminNetworkPolicy,
    ),
    (
        "policy.networking.k8s.io",
        "v1alpha2",
        "clusternetworkpolicies",
        "ClusterNetworkPolicy",
        Kind::ClusterNetworkPolicy,
    ),
    (
        bulkhead_api::GROUP,
        "v1alpha1",
        "systemnetworkpolicies",
        "SystemNetworkPolicy",
        Kind::SystemNetworkPolicy,
    ),
    (
        bulkhead_api::GROUP,
        "v1alpha1",
        "systemnamespaces",
        "SystemNamespace",
        Kind::SystemNamespace,
    ),
    (
        bulkhead_api::GROUP,
        "v1alpha1",
        "systemisolations",
        "SystemIsolation",
        Kind::SystemIsolation,
    ),
    (
        "operator.openshift.io",
        "v1",
        "networks",
        "Network",
        Kind::Network,
    ),
    (
        "config.openshift.io",
        "v1",
        "infrastructures",
        "Infrastructure",
        Kind::Infrastructure,
    ),
    (
        "config.openshift.io",
        "v1",
        "clusterversions",
        "ClusterVersion",
        Kind::ClusterVersion,
    ),
];

impl Kind {
    /// The kind of this group and name. Versions do not matter, but for the two generations of cluster policies
    /// that kinds tell apart anyway.
    pub fn of(api_version: &str, name: &str) -> Self {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        KINDS
            .iter()
            .find(|(g, _, _, k, _)| *g == group && *k == name)
            .map_or(Self::Unknown, |(.., kind)| *kind)
    }

    /// Objects of the kind live in namespaces.
    pub fn is_namespaced(self) -> bool {
        !matches!(
            self,
            Self::Namespace
                | Self::AdminNetworkPolicy
                | Self::BaselineAdminNetworkPolicy
                | Self::ClusterNetworkPolicy
                | Self::SystemNamespace
                | Self::SystemIsolation
                | Self::Network
                | Self::Infrastructure
                | Self::ClusterVersion
                | Self::Unknown
        )
    }

    /// It makes pods from a template.
    pub fn is_workload(self) -> bool {
        matches!(
            self,
            Self::Deployment
                | Self::StatefulSet
                | Self::DaemonSet
                | Self::ReplicaSet
                | Self::ReplicationController
                | Self::DeploymentConfig
                | Self::Job
                | Self::CronJob
        )
    }
}

/// Where an object was read.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The file as the user named it; `None` for objects of the cluster and for what was rendered here.
    pub file: Option<Arc<str>>,
    /// The line in the file, from 1, at which `text` begins.
    pub first_line: usize,
    /// The document that holds the object.
    pub text: Arc<str>,
    /// Where in the document the object is: empty, or `items[3]`.
    pub inside: String,
}

impl Source {
    /// The line of a field such as `spec.ingress[0].ports[1]`, or of what comes nearest to it.
    pub fn line_of(&self, field: &str) -> Option<usize> {
        self.file.as_ref()?;
        let path = match (self.inside.is_empty(), field.is_empty()) {
            (true, _) => field.to_owned(),
            (false, true) => self.inside.clone(),
            (false, false) => format!("{}.{field}", self.inside),
        };
        Some(self.first_line + marks::line_of(&self.text, &path)? - 1)
    }

    /// `file:line` of a field; `None` where there is no file.
    pub fn place_of(&self, field: &str) -> Option<String> {
        let file = self.file.as_ref()?;
        Some(match self.line_of(field) {
            Some(line) => format!("{file}:{line}"),
            None => file.to_string(),
        })
    }
}

/// One object.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for cluster-scoped ones.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// All of it.
    pub value: Value,
    /// Where it was read.
    pub source: Source,
}

impl Object {
    /// Takes a value that has `kind`, `apiVersion` and a name.
    pub fn new(value: Value, source: Source) -> Result<Self, String> {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("/apiVersion"), text("/kind"));
        if api_version.is_empty() || kind.is_empty() {
            return Err("no Kubernetes object: apiVersion and kind are required".to_owned());
        }
        let kind = Kind::of(api_version, kind);
        let (namespace, name): (Arc<str>, Arc<str>) =
            (text("/metadata/namespace").into(), text("/metadata/name").into());
        if name.is_empty() && kind != Kind::Unknown {
            return Err(format!("a {} without metadata.name", text("/kind")));
        }
        Ok(Self {
            kind,
            namespace,
            name,
            value,
            source,
        })
    }

    /// The name of its kind.
    pub fn kind_name(&self) -> &str {
        self.value["kind"].as_str().unwrap_or_default()
    }

    /// Puts an object that should be in some namespace into this one.
    pub fn default_namespace(&mut self, namespace: &str) {
        if self.namespace.is_empty() && self.kind.is_namespaced() {
            self.namespace = namespace.into();
            self.value["metadata"]["namespace"] = namespace.into();
        }
    }

    /// Reads a part of it.
    pub fn part<T: DeserializeOwned>(&self, pointer: &str) -> Result<Option<T>, serde_json::Error> {
        match self.value.pointer(pointer) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => T::deserialize(value).map(Some),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind_name())?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// Of objects of one kind and name the last one, in the place of the first. The names of those that files give more
/// than once are told: what a file says instead of the cluster is meant.
pub fn last_of_each(objects: Vec<Object>, repeated: &mut Vec<String>) -> Vec<Object> {
    let mut at: HashMap<(Kind, Arc<str>, Arc<str>), usize> = HashMap::new();
    let mut kept: Vec<Object> = Vec::with_capacity(objects.len());
    for object in objects {
        if object.kind == Kind::Unknown {
            kept.push(object);
            continue;
        }
        let key = (object.kind, object.namespace.clone(), object.name.clone());
        if let Some(&place) = at.get(&key) {
            let by_files = [&kept[place], &object].iter().all(|o| o.source.file.is_some());
            repeated.extend(by_files.then(|| object.to_string()));
            kept[place] = object;
        } else {
            at.insert(key, kept.len());
            kept.push(object);
        }
    }
    kept
}
