//! One watch per kind. Each turns objects into their kept form on arrival and reports into a bounded queue.

mod kept;
mod resource;

use std::fmt::Debug;

use futures::{StreamExt, pin_mut};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, Resource, ResourceExt, api::DynamicObject, core::PartialObjectMeta, runtime::watcher,
};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

pub use kept::{isolation_config, kept, network_config, pod_shape, system_object};
pub use resource::resource;

use self::kept::{
    cluster_operator, cluster_version, declaration, definition, infrastructure, isolation, namespace,
    network, operand_policy, pod, policy, ports, source, system, template,
};
use super::{
    definitions::Definitions,
    kinds,
    world::{Change, Item, Key, Kind},
};
use crate::runtime::backoff::WatchBackoff;

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

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::{Value, json};

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
