//! What is kept of operands: their own objects, their workloads, and which pods are theirs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use bulkhead_api::operand::{Operand, OperandNetworkPolicySpec, OperandNetworkPolicyStatus};
use bulkhead_policy::Labels;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::{Map, Value, json};

use super::{
    ObservedPolicy,
    kind::Kind,
    kinds,
    objects::{Key, PodShape},
};
use crate::operands::markers;

/// An `OperandNetworkPolicy` as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct OperandObject {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Its generation.
    pub generation: i64,
    /// Its spec; an error text if it is not what the schema says.
    pub spec: Result<OperandNetworkPolicySpec, String>,
    /// The status that we stored last.
    pub status: OperandNetworkPolicyStatus,
}

/// The kept form of an `OperandNetworkPolicy`; `None` for a name that no operand has.
pub fn operand_object(object: &DynamicObject) -> Option<(Operand, OperandObject)> {
    let operand = Operand::named(object.metadata.name.as_deref()?)?;
    let field = |name: &str| object.data.get(name).cloned().unwrap_or_else(|| json!({}));
    let kept = OperandObject {
        uid: object.metadata.uid.clone()?,
        resource_version: object.metadata.resource_version.clone()?,
        generation: object.metadata.generation.unwrap_or_default(),
        spec: serde_json::from_value(field("spec")).map_err(|error| format!("spec: {error}")),
        status: serde_json::from_value(field("status")).unwrap_or_default(),
    };
    Some((operand, kept))
}

/// Part of an object that somebody else made. It may hold a password, so it is never printed.
#[derive(Clone, PartialEq)]
pub struct Excerpt(Arc<Value>);

impl Excerpt {
    /// The part.
    pub fn value(&self) -> &Value {
        &self.0
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Excerpt")
    }
}

/// The annotation by which the operator of cert-manager rejects an IstioCSR.
const REJECTED: &str = "operator.openshift.io/istio-csr-reject-multiple-instance";

/// Fields of each kind that bundles look at. Of a proxy, what is in force stands in its status.
fn fields(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Proxies => &["/spec", "/status"],
        Kind::ZeroTrustWorkloadIdentityManagers | Kind::CertManagers => &[],
        Kind::SpireServers => &["/spec/federation", "/spec/datastore"],
        Kind::ClusterFederatedTrustDomains => &["/spec/bundleEndpointURL"],
        Kind::IstioCsrs => &["/spec/istioCSRConfig/server"],
        Kind::ExternalSecretsManagers => &["/spec/globalConfig/proxy"],
        Kind::ExternalSecretsConfigs => &[
            "/spec/controllerConfig/networkPolicies",
            "/spec/controllerConfig/namespace",
            "/spec/controllerConfig/certProvider",
            "/spec/plugins/bitwardenSecretManagerProvider/mode",
            "/spec/appConfig/proxy",
        ],
        _ => &["/spec"],
    }
}

/// What is kept of an object that tells of an operand.
pub fn excerpt(kind: Kind, object: &DynamicObject) -> Excerpt {
    let mut metadata = json!({"name": object.name_any(), "namespace": object.namespace()});
    if let Some(born) = &object.metadata.creation_timestamp {
        metadata["creationTimestamp"] = json!(born);
    }
    if let Some(rejected) = object.annotations().get(REJECTED) {
        metadata["annotations"] = json!({ REJECTED: rejected });
    }
    let mut kept = json!({"metadata": metadata});
    for pointer in fields(kind) {
        if let Some(value) = object.data.pointer(pointer) {
            put(&mut kept, pointer, value.clone());
        }
    }
    Excerpt(Arc::new(kept))
}

/// Puts a value at a path, making the objects on the way.
fn put(object: &mut Value, pointer: &str, value: Value) {
    let mut place = object;
    for field in pointer.split('/').filter(|f| !f.is_empty()) {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[field];
    }
    *place = value;
}

/// What is kept of a workload if its pods are an operand's.
pub fn workload(namespace: &str, name: &str, labels: &Labels, spec: &kinds::PodSpec) -> Option<Excerpt> {
    if !markers::is_operand(labels) {
        return None;
    }
    let container = |c: &kinds::Container| {
        let env = c
            .env
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}));
        let ports = c
            .ports
            .iter()
            .map(|p| json!({"name": p.name, "containerPort": p.container_port}));
        json!({"env": env.collect::<Vec<_>>(), "command": c.command, "args": c.args,
            "ports": ports.collect::<Vec<_>>()})
    };
    let labels: Map<String, Value> = labels
        .iter()
        .map(|(key, value)| (key.to_string(), json!(value)))
        .collect();
    let containers: Vec<Value> = spec.containers.iter().map(container).collect();
    Some(Excerpt(Arc::new(json!({
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"template": {"metadata": {"labels": labels}, "spec": {"containers": containers}}},
    }))))
}

/// Everything that is kept of operands.
#[derive(Debug, Default)]
pub struct OperandWorld {
    /// Our objects.
    pub policies: BTreeMap<Operand, Arc<OperandObject>>,
    /// Objects of operands and of the platform, by kind and name.
    pub objects: BTreeMap<(Kind, Key), Excerpt>,
    /// Pods that carry a label of an operand, wherever they are.
    pub pods: BTreeSet<Key>,
    /// Policies of bundles, wherever they stand.
    pub standing: BTreeSet<Key>,
    /// The definition of our objects is being removed, and they with it.
    pub removing: bool,
    /// Something of this has changed since the last look.
    changed: bool,
}

/// Whether a definition is that of `OperandNetworkPolicy`.
pub fn is_definition(name: &str) -> bool {
    name.split_once('.')
        .is_some_and(|(plural, _)| plural == Kind::OperandNetworkPolicies.plural())
}

impl OperandWorld {
    /// Whether something has changed since the last call.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Notes whether the definition of our objects is being removed.
    pub fn set_removing(&mut self, removing: bool) {
        self.changed |= self.removing != removing;
        self.removing = removing;
    }

    /// Keeps an object of ours.
    pub fn put_policy(&mut self, operand: Operand, object: OperandObject) {
        self.changed = true;
        self.policies.insert(operand, Arc::new(object));
    }

    /// Keeps an object that tells of an operand; `None`: it does not any more.
    pub fn put_object(&mut self, kind: Kind, key: &Key, object: Option<Excerpt>) {
        let id = (kind, key.clone());
        self.changed |= self.objects.get(&id) != object.as_ref();
        match object {
            Some(object) => drop(self.objects.insert(id, object)),
            None => drop(self.objects.remove(&id)),
        }
    }

    /// Notes whether a pod is an operand's; `None`: it is gone.
    pub fn note_pod(&mut self, key: &Key, shape: Option<&PodShape>) {
        self.changed |= match shape {
            Some(shape) if markers::is_operand(&shape.labels) => self.pods.insert(key.clone()),
            _ => self.pods.remove(key),
        };
    }

    /// Notes whether a policy is a bundle's; `None`: it is gone.
    pub fn note_standing(&mut self, key: &Key, policy: Option<&ObservedPolicy>) {
        self.changed |= match policy {
            Some(policy) if policy.is_of_bundle() => self.standing.insert(key.clone()),
            _ => self.standing.remove(key),
        };
    }

    /// An object of one of these kinds is gone.
    pub fn remove(&mut self, kind: Kind, key: &Key) {
        if kind == Kind::OperandNetworkPolicies {
            if let Some(operand) = Operand::named(&key.1) {
                self.changed |= self.policies.remove(&operand).is_some();
            }
        } else {
            self.put_object(kind, key, None);
        }
    }
}
