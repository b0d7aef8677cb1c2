//! From an object to the form of it that is kept.

// Every converter has the same signature: it takes an object and may have nothing to keep of it.
#![allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)]

use std::sync::Arc;

use bulkhead_api::{
    isolation::SystemIsolationStatus,
    vocabulary::{CLUSTER, CLUSTER_OPERATOR, condition},
};
use bulkhead_policy::{Labels, PodState, Protocol};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Resource, ResourceExt, api::DynamicObject, core::PartialObjectMeta};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::key;
use crate::{
    decide::config::{IsolationConfig, NetworkConfig},
    observe::{
        ObservedPolicy,
        kinds::{self, Templated},
        operands::{self, operand_object},
        world::{Declaration, Item, Key, Kind, NamespaceObject, PodShape, Release, SystemObject},
    },
};

/// The kept form of one object, for worlds that no watch feeds. `None`: nothing of it is kept.
///
/// # Errors
/// The object is not of the kind.
pub fn kept(kind: Kind, object: Value) -> Result<Option<(Key, Item)>, serde_json::Error> {
    match kind {
        Kind::Namespaces => typed(object, namespace),
        Kind::NetworkPolicies => typed(object, policy),
        Kind::Pods => typed(object, pod),
        Kind::Deployments => typed(object, template::<kinds::Deployment>),
        Kind::StatefulSets => typed(object, template::<kinds::StatefulSet>),
        Kind::DaemonSets => typed(object, template::<kinds::DaemonSet>),
        Kind::Jobs => typed(object, template::<kinds::Job>),
        Kind::CronJobs => typed(object, template::<kinds::CronJob>),
        Kind::EndpointSlices => typed(object, ports),
        Kind::SystemNamespaces => typed(object, system),
        Kind::SystemNetworkPolicies => typed(object, declaration),
        Kind::SystemIsolations => typed(object, isolation),
        Kind::Networks => typed(object, network),
        Kind::Infrastructures => typed(object, infrastructure),
        Kind::ClusterVersions => typed(object, cluster_version),
        Kind::ClusterOperators => typed(object, cluster_operator),
        Kind::CustomResourceDefinitions => typed(object, definition),
        Kind::OperandNetworkPolicies => typed(object, operand_policy),
        operand => typed(object, move |object| source(operand, &object)),
    }
}

fn typed<K: Resource + DeserializeOwned>(
    object: Value,
    keep: impl Fn(K) -> Option<Item>,
) -> Result<Option<(Key, Item)>, serde_json::Error> {
    let object: K = serde_json::from_value(object)?;
    let key = key(&object);
    Ok(keep(object).map(|item| (key, item)))
}

pub(super) fn namespace(object: kinds::Namespace) -> Option<Item> {
    let meta = object.metadata;
    Some(Item::Namespace(NamespaceObject {
        uid: meta.uid?.into(),
        labels: meta.labels.unwrap_or_default().into_iter().collect(),
        terminating: meta.deletion_timestamp.is_some(),
    }))
}

pub(super) fn policy(object: kinds::NetworkPolicy) -> Option<Item> {
    Some(Item::Policy(Arc::new(ObservedPolicy::new(object)?)))
}

pub(super) fn pod(object: kinds::Pod) -> Option<Item> {
    Some(Item::Pod(pod_shape(object)))
}

/// The look of a pod.
pub fn pod_shape(object: kinds::Pod) -> PodShape {
    let finished = matches!(object.status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let labels = object.metadata.labels.unwrap_or_default().into_iter().collect();
    shape(
        labels,
        &object.spec,
        finished,
        object.metadata.deletion_timestamp.is_some(),
    )
}

fn shape(labels: Labels, spec: &kinds::PodSpec, finished: bool, terminating: bool) -> PodShape {
    let ports = spec.containers.iter().flat_map(|c| &c.ports).filter_map(|port| {
        let protocol = Protocol::parse(port.protocol.as_deref().unwrap_or("TCP"))?;
        Some((protocol, port.container_port))
    });
    let state = match (finished, spec.host_network) {
        (true, _) => PodState::Finished,
        (_, true) => PodState::HostNetwork,
        _ => PodState::Networked,
    };
    PodShape {
        labels,
        ports: ports.collect(),
        state,
        terminating,
    }
}

pub(super) fn template<K: Templated + Resource>(object: K) -> Option<Item> {
    let Some(template) = object.template() else {
        return Some(Item::Template(None));
    };
    let labels = template.metadata.as_ref().and_then(|m| m.labels.clone());
    let labels: Labels = labels.unwrap_or_default().into_iter().collect();
    let namespace = object.namespace().unwrap_or_default();
    let operand = operands::workload(&namespace, &object.name_any(), &labels, &template.spec);
    let shape = Some(shape(labels, &template.spec, false, false));
    Some(match operand {
        Some(operand) => Item::OperandTemplate(shape, operand),
        None => Item::Template(shape),
    })
}

pub(super) fn operand_policy(object: DynamicObject) -> Option<Item> {
    let (operand, object) = operand_object(&object)?;
    Some(Item::OperandPolicy(operand, Box::new(object)))
}

pub(super) fn source(kind: Kind, object: &DynamicObject) -> Option<Item> {
    Some(Item::OperandSource(operands::excerpt(kind, object)))
}

pub(super) fn ports(object: kinds::EndpointSlice) -> Option<Item> {
    Some(Item::Ports(
        object
            .ports
            .unwrap_or_default()
            .into_iter()
            .filter_map(|p| p.port)
            .collect(),
    ))
}

fn read<T: DeserializeOwned>(data: &Value, field: &str) -> Result<T, String> {
    let value = data
        .get(field)
        .cloned()
        .unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    serde_json::from_value(value).map_err(|error| format!("{field}: {error}"))
}

/// Reads a `SystemNamespace`.
pub(super) fn system(object: DynamicObject) -> Option<Item> {
    Some(Item::System(Arc::new(system_object(object)?)))
}

/// The kept form of a `SystemNamespace`.
pub fn system_object(object: DynamicObject) -> Option<SystemObject> {
    Some(SystemObject {
        uid: object.metadata.uid?,
        resource_version: object.metadata.resource_version?,
        generation: object.metadata.generation.unwrap_or_default(),
        spec: read(&object.data, "spec"),
        status: read(&object.data, "status").unwrap_or_default(),
    })
}

pub(super) fn declaration(object: DynamicObject) -> Option<Item> {
    Some(Item::Declaration(Box::new(Declaration {
        uid: object.metadata.uid?,
        generation: object.metadata.generation.unwrap_or_default(),
        resource_version: object.metadata.resource_version?,
        spec: read(&object.data, "spec").map(Arc::new),
        last_good: None,
        status: read(&object.data, "status").unwrap_or_default(),
    })))
}

pub(super) fn isolation(object: DynamicObject) -> Option<Item> {
    isolation_config(object).map(|config| Item::Isolation(Box::new(config)))
}

/// The kept form of `SystemIsolation`; `None` for any but the singleton.
pub fn isolation_config(object: DynamicObject) -> Option<IsolationConfig> {
    if object.metadata.name.as_deref() != Some(CLUSTER) {
        return None;
    }
    Some(IsolationConfig {
        uid: object.metadata.uid?,
        generation: object.metadata.generation.unwrap_or_default(),
        resource_version: object.metadata.resource_version?,
        spec: read(&object.data, "spec"),
        status: read::<SystemIsolationStatus>(&object.data, "status").unwrap_or_default(),
    })
}

pub(super) fn network(object: DynamicObject) -> Option<Item> {
    network_config(&object).map(|config| Item::Network(Box::new(config)))
}

/// The kept form of the Network operator config; `None` for any but the singleton.
pub fn network_config(object: &DynamicObject) -> Option<NetworkConfig> {
    if object.metadata.name.as_deref() != Some(CLUSTER) {
        return None;
    }
    let spec = object.data.get("spec").cloned().unwrap_or_default();
    let conditions = object
        .data
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let ours = |c: &Value| {
        c["type"]
            .as_str()
            .is_some_and(|t| t.starts_with(condition::NETWORK_PREFIX))
    };
    let at = |pointer: &str| spec.pointer(pointer).filter(|v| !v.is_null()).cloned();
    Some(NetworkConfig {
        generation: object.metadata.generation.unwrap_or_default(),
        unmanaged: at("/managementState").is_some_and(|state| state == "Unmanaged"),
        switch: at("/systemNetworkPolicy"),
        overrides: at("/unsupportedConfigOverrides/systemNetworkPolicy"),
        plugin: at("/defaultNetwork/type").and_then(|v| v.as_str().map(Into::into)),
        conditions: conditions
            .into_iter()
            .flatten()
            .filter(|c| ours(c))
            .cloned()
            .collect(),
    })
}

pub(super) fn infrastructure(object: DynamicObject) -> Option<Item> {
    let topology = object.data.pointer("/status/controlPlaneTopology");
    (object.name_any() == CLUSTER).then(|| Item::Infrastructure(topology.is_some_and(|t| t == "External")))
}

pub(super) fn cluster_version(object: DynamicObject) -> Option<Item> {
    let conditions = object
        .data
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let progressing = |c: &Value| c["type"] == "Progressing" && c["status"] == "True";
    let target = object
        .data
        .pointer("/status/desired/version")
        .and_then(Value::as_str);
    Some(Item::ClusterVersion(Release {
        progressing: conditions.is_some_and(|all| all.iter().any(progressing)),
        target: target.map(Into::into),
    }))
}

pub(super) fn cluster_operator(object: DynamicObject) -> Option<Item> {
    let conditions = object
        .data
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let ours = object.name_any() == CLUSTER_OPERATOR;
    ours.then(|| Item::ClusterOperator(conditions.cloned().unwrap_or_default()))
}

pub(super) fn definition(object: PartialObjectMeta<CustomResourceDefinition>) -> Option<Item> {
    let ours = object.name_any().ends_with(bulkhead_api::GROUP);
    ours.then(|| Item::Definition(object.metadata.deletion_timestamp.is_some()))
}
