//! One watch per kind. Each turns objects into their kept form on arrival and reports into a bounded queue.

// Every converter has the same signature: it takes an object and may have nothing to keep of it.
#![allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)]

use std::{fmt::Debug, sync::Arc};

use bulkhead_api::{
    isolation::SystemIsolationStatus,
    vocabulary::{CLUSTER, CLUSTER_OPERATOR, condition},
};
use bulkhead_policy::{Labels, PodState, Protocol};
use futures::{StreamExt, pin_mut};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::DynamicObject,
    core::{ApiResource, GroupVersionKind, PartialObjectMeta},
    runtime::watcher,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::mpsc;

use super::{
    ObservedPolicy,
    definitions::Definitions,
    kinds::{self, Templated},
    operands::{self, operand_object},
    world::{Change, Declaration, Item, Key, Kind, NamespaceObject, PodShape, Release, SystemObject},
};
use crate::{
    decide::config::{IsolationConfig, NetworkConfig},
    runtime::backoff::WatchBackoff,
};

/// Where watches report to.
pub type Changes = mpsc::Sender<(Kind, Change)>;

/// Where a watch reports to, and what the watches of all kinds know in common.
#[derive(Clone)]
pub struct Channel {
    /// The queue.
    pub changes: Changes,
    /// Tells when kinds may have come.
    pub definitions: Definitions,
    /// Lists come as streams, which needs the right to watch; pages need only the right to list.
    pub streaming: bool,
}

/// Runs the watch of one kind for ever. Ends only when nobody listens any more.
pub async fn run(client: Client, kind: Kind, changes: Channel) {
    match kind {
        Kind::Namespaces => drive(Api::<kinds::Namespace>::all(client), kind, changes, namespace).await,
        Kind::NetworkPolicies => drive(Api::<kinds::NetworkPolicy>::all(client), kind, changes, policy).await,
        Kind::Pods => drive(Api::<kinds::Pod>::all(client), kind, changes, pod).await,
        Kind::Deployments => drive(Api::<kinds::Deployment>::all(client), kind, changes, template).await,
        Kind::StatefulSets => drive(Api::<kinds::StatefulSet>::all(client), kind, changes, template).await,
        Kind::DaemonSets => drive(Api::<kinds::DaemonSet>::all(client), kind, changes, template).await,
        Kind::Jobs => drive(Api::<kinds::Job>::all(client), kind, changes, template).await,
        Kind::CronJobs => drive(Api::<kinds::CronJob>::all(client), kind, changes, template).await,
        Kind::EndpointSlices => {
            drive(
                Api::<kinds::EndpointSlice>::namespaced(client, "default"),
                kind,
                changes,
                ports,
            )
            .await;
        }
        Kind::SystemNamespaces => dynamic(client, kind, changes, system).await,
        Kind::SystemNetworkPolicies => dynamic(client, kind, changes, declaration).await,
        Kind::SystemIsolations => dynamic(client, kind, changes, isolation).await,
        Kind::Networks => dynamic(client, kind, changes, network).await,
        Kind::Infrastructures => dynamic(client, kind, changes, infrastructure).await,
        Kind::ClusterVersions => dynamic(client, kind, changes, cluster_version).await,
        Kind::ClusterOperators => dynamic(client, kind, changes, cluster_operator).await,
        Kind::CustomResourceDefinitions => {
            drive(
                Api::<PartialObjectMeta<CustomResourceDefinition>>::all(client),
                kind,
                changes,
                definition,
            )
            .await;
        }
        Kind::OperandNetworkPolicies => dynamic(client, kind, changes, operand_policy).await,
        operand => dynamic(client, kind, changes, move |object| source(operand, &object)).await,
    }
}

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

/// Group, version and kind of what is watched without a type, because it may be absent or malformed.
pub fn resource(kind: Kind) -> ApiResource {
    let (group, version, name) = match kind {
        Kind::SystemNamespaces => (bulkhead_api::GROUP, bulkhead_api::VERSION, "SystemNamespace"),
        Kind::SystemNetworkPolicies => (bulkhead_api::GROUP, bulkhead_api::VERSION, "SystemNetworkPolicy"),
        Kind::SystemIsolations => (bulkhead_api::GROUP, bulkhead_api::VERSION, "SystemIsolation"),
        Kind::Networks => ("operator.openshift.io", "v1", "Network"),
        Kind::Infrastructures => ("config.openshift.io", "v1", "Infrastructure"),
        Kind::ClusterVersions => ("config.openshift.io", "v1", "ClusterVersion"),
        Kind::ClusterOperators => ("config.openshift.io", "v1", "ClusterOperator"),
        Kind::OperandNetworkPolicies => (bulkhead_api::GROUP, bulkhead_api::VERSION, "OperandNetworkPolicy"),
        Kind::Proxies => ("config.openshift.io", "v1", "Proxy"),
        Kind::ZeroTrustWorkloadIdentityManagers => (
            "operator.openshift.io",
            "v1alpha1",
            "ZeroTrustWorkloadIdentityManager",
        ),
        Kind::SpireServers => ("operator.openshift.io", "v1alpha1", "SpireServer"),
        Kind::ClusterFederatedTrustDomains => ("spire.spiffe.io", "v1alpha1", "ClusterFederatedTrustDomain"),
        Kind::CertManagers => ("operator.openshift.io", "v1alpha1", "CertManager"),
        Kind::IstioCsrs => ("operator.openshift.io", "v1alpha1", "IstioCSR"),
        Kind::ExternalSecretsConfigs => ("operator.openshift.io", "v1alpha1", "ExternalSecretsConfig"),
        Kind::ExternalSecretsManagers => ("operator.openshift.io", "v1alpha1", "ExternalSecretsManager"),
        Kind::ExternalSecrets => ("operator.openshift.io", "v1alpha1", "ExternalSecrets"),
        Kind::AdminNetworkPolicies => ("policy.networking.k8s.io", "v1alpha1", "AdminNetworkPolicy"),
        Kind::ClusterNetworkPolicies => ("policy.networking.k8s.io", "v1alpha2", "ClusterNetworkPolicy"),
        Kind::CustomResourceDefinitions => ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
        // The typed kinds are not watched this way.
        _ => ("", "v1", ""),
    };
    let gvk = GroupVersionKind::gvk(group, version, name);
    ApiResource::from_gvk_with_plural(&gvk, kind.plural())
}

async fn dynamic(client: Client, kind: Kind, changes: Channel, keep: impl Fn(DynamicObject) -> Option<Item>) {
    drive(
        Api::<DynamicObject>::all_with(client, &resource(kind)),
        kind,
        changes,
        keep,
    )
    .await;
}

fn config(kind: Kind, streaming: bool) -> watcher::Config {
    let config = if streaming {
        watcher::Config::default().streaming_lists()
    } else {
        watcher::Config::default()
    };
    match kind {
        Kind::EndpointSlices => config.labels("kubernetes.io/service-name=kubernetes"),
        _ => config,
    }
}

/// Watches, and starts over from a complete list after any failure: kube's watcher would go on from where it
/// was without a word, and nobody could tell a watch that works again from one that still fails.
///
/// The list comes as a stream of objects, so that none is held twice (facts: kube5.md 1); API servers that
/// cannot do that say so once, and are asked for pages from then on.
async fn drive<K>(api: Api<K>, kind: Kind, channel: Channel, keep: impl Fn(K) -> Option<Item>)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut pauses = WatchBackoff::default();
    let mut streaming = channel.streaming;
    loop {
        let stream = watcher(api.clone(), config(kind, streaming));
        pin_mut!(stream);
        let end = loop {
            let Some(event) = stream.next().await else {
                break None;
            };
            let (change, failed) = match event {
                Ok(watcher::Event::Init) => (Some(Change::Restarted), false),
                Ok(watcher::Event::InitDone) => (Some(Change::Synced), false),
                Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                    (put(object, &keep), false)
                }
                Ok(watcher::Event::Delete(object)) => (Some(Change::Gone(key(&object))), false),
                Err(error) if streaming && refuses_streaming(&error) => {
                    streaming = false;
                    break None;
                }
                Err(error) => (failure(kind, &error), true),
            };
            if failed {
                break change;
            }
            if kind == Kind::CustomResourceDefinitions {
                channel.definitions.changed();
            }
            if let Some(change) = change
                && channel.changes.send((kind, change)).await.is_err()
            {
                return;
            }
        };
        if kind == Kind::CustomResourceDefinitions {
            channel.definitions.unknown();
        }
        let unserved = matches!(end, Some(Change::Unserved));
        if let Some(change) = end
            && channel.changes.send((kind, change)).await.is_err()
        {
            return;
        }
        if unserved {
            channel.definitions.worth_asking(&mut pauses).await;
        } else {
            tokio::time::sleep(pauses.next().unwrap_or_default()).await;
        }
    }
}

/// The server's way of saying that it does not send lists as streams.
fn refuses_streaming(error: &watcher::Error) -> bool {
    let watcher::Error::WatchStartFailed(kube::Error::Api(status)) = error else {
        return false;
    };
    let named = |details: &kube::core::response::StatusDetails| {
        details
            .causes
            .iter()
            .any(|cause| cause.field == "sendInitialEvents")
    };
    status.code == 422 && status.details.as_ref().is_some_and(named)
}

fn put<K: Resource>(object: K, keep: impl Fn(K) -> Option<Item>) -> Option<Change> {
    let key = key(&object);
    keep(object).map(|item| Change::Put(key, item))
}

fn key<K: Resource>(object: &K) -> Key {
    (
        object.namespace().unwrap_or_default().into(),
        object.name_any().into(),
    )
}

fn failure(kind: Kind, error: &watcher::Error) -> Option<Change> {
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    };
    let code = status.map(|status| status.code);
    if code == Some(404) && kind.optional() {
        tracing::debug!(kind = kind.plural(), "not served here");
    } else {
        tracing::warn!(kind = kind.plural(), code, %error, "watch failed");
    }
    match (code, status) {
        (Some(404), _) => Some(Change::Unserved),
        // Expired: the watcher lists again by itself.
        (Some(410), _) => None,
        (_, Some(status)) => Some(Change::Failing(status.message.clone())),
        (_, None) => Some(Change::Failing(error.to_string())),
    }
}

fn namespace(object: kinds::Namespace) -> Option<Item> {
    let meta = object.metadata;
    Some(Item::Namespace(NamespaceObject {
        uid: meta.uid?.into(),
        labels: meta.labels.unwrap_or_default().into_iter().collect(),
        terminating: meta.deletion_timestamp.is_some(),
    }))
}

fn policy(object: kinds::NetworkPolicy) -> Option<Item> {
    Some(Item::Policy(Arc::new(ObservedPolicy::new(object)?)))
}

fn pod(object: kinds::Pod) -> Option<Item> {
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

fn template<K: Templated + Resource>(object: K) -> Option<Item> {
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

fn operand_policy(object: DynamicObject) -> Option<Item> {
    let (operand, object) = operand_object(&object)?;
    Some(Item::OperandPolicy(operand, Box::new(object)))
}

fn source(kind: Kind, object: &DynamicObject) -> Option<Item> {
    Some(Item::OperandSource(operands::excerpt(kind, object)))
}

fn ports(object: kinds::EndpointSlice) -> Option<Item> {
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
pub fn system(object: DynamicObject) -> Option<Item> {
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

fn declaration(object: DynamicObject) -> Option<Item> {
    Some(Item::Declaration(Box::new(Declaration {
        uid: object.metadata.uid?,
        generation: object.metadata.generation.unwrap_or_default(),
        resource_version: object.metadata.resource_version?,
        spec: read(&object.data, "spec").map(Arc::new),
        last_good: None,
        status: read(&object.data, "status").unwrap_or_default(),
    })))
}

fn isolation(object: DynamicObject) -> Option<Item> {
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

fn network(object: DynamicObject) -> Option<Item> {
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

fn infrastructure(object: DynamicObject) -> Option<Item> {
    let topology = object.data.pointer("/status/controlPlaneTopology");
    (object.name_any() == CLUSTER).then(|| Item::Infrastructure(topology.is_some_and(|t| t == "External")))
}

fn cluster_version(object: DynamicObject) -> Option<Item> {
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

fn cluster_operator(object: DynamicObject) -> Option<Item> {
    let conditions = object
        .data
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let ours = object.name_any() == CLUSTER_OPERATOR;
    ours.then(|| Item::ClusterOperator(conditions.cloned().unwrap_or_default()))
}

fn definition(object: PartialObjectMeta<CustomResourceDefinition>) -> Option<Item> {
    let ours = object.name_any().ends_with(bulkhead_api::GROUP);
    ours.then(|| Item::Definition(object.metadata.deletion_timestamp.is_some()))
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::json;

    use super::*;

    fn start_failed(status: &Value) -> watcher::Error {
        let status: Status = serde_json::from_value(status.clone()).expect("a status");
        watcher::Error::WatchStartFailed(kube::Error::Api(Box::new(status)))
    }

    /// As a server answers whose gate `WatchList` is off (facts: kube5.md 1).
    #[test]
    fn only_the_refusal_of_a_streamed_list_leads_to_pages() {
        let cause = json!({"field": "sendInitialEvents", "reason": "FieldValueForbidden", "message": ""});
        let mut status = json!({
            "status": "Failure", "message": "", "reason": "Invalid", "code": 422,
            "details": {"kind": "ListOptions", "causes": [cause]},
        });
        assert!(refuses_streaming(&start_failed(&status)));
        status["details"]["causes"][0]["field"] = "labelSelector".into();
        assert!(!refuses_streaming(&start_failed(&status)));
        let absent = json!({"status": "Failure", "message": "", "reason": "NotFound", "code": 404});
        assert!(!refuses_streaming(&start_failed(&absent)));
    }
}
