//! Live reads. Every one of them is a quorum read: no resourceVersion is sent (facts: kube5.md 4).

use std::{sync::Arc, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
};
use serde::de::DeserializeOwned;

use super::ApplyError;
use crate::{
    observe::{
        ObservedPolicy, kinds,
        watch::{pod_shape, resource, system_object},
        world::{Kind, PodShape, SystemObject},
    },
    plan::Generations,
    runtime::client::within,
};

/// Reads with a deadline on each.
#[derive(Clone)]
pub struct Reads {
    /// The client.
    pub client: Client,
    /// Deadline of one read.
    pub limit: Duration,
}

impl Reads {
    /// One object by name; `None` if it does not exist or its kind is not served.
    pub async fn object(&self, kind: Kind, name: &str) -> Result<Option<DynamicObject>, ApplyError> {
        let api = Api::<DynamicObject>::all_with(self.client.clone(), &resource(kind));
        match within(self.limit, api.get(name)).await {
            Ok(object) => Ok(Some(object)),
            // Not by reason: a kind that is not served is answered without a Status.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(ApplyError::request(format!("read {} {name}", kind.plural()))(
                error,
            )),
        }
    }

    /// The `SystemNamespace` of a namespace.
    pub async fn system(&self, name: &str) -> Result<Option<Arc<SystemObject>>, ApplyError> {
        let object = self.object(Kind::SystemNamespaces, name).await?;
        Ok(object.and_then(system_object).map(Arc::new))
    }

    /// Every policy of a namespace.
    pub async fn policies(&self, namespace: &str) -> Result<Vec<Arc<ObservedPolicy>>, ApplyError> {
        let all: Vec<kinds::NetworkPolicy> = self.list(namespace, "networkpolicies").await?;
        Ok(all
            .into_iter()
            .filter_map(ObservedPolicy::new)
            .map(Arc::new)
            .collect())
    }

    /// Name and look of every pod of a namespace.
    pub async fn pods(&self, namespace: &str) -> Result<Vec<(String, PodShape)>, ApplyError> {
        let all: Vec<kinds::Pod> = self.list(namespace, "pods").await?;
        Ok(all
            .into_iter()
            .map(|pod| (pod.metadata.name.clone().unwrap_or_default(), pod_shape(pod)))
            .collect())
    }

    /// Uid and generation of every `SystemNetworkPolicy`. None where the kind is not served.
    pub async fn generations(&self) -> Result<Generations, ApplyError> {
        let api = Api::<DynamicObject>::all_with(self.client.clone(), &resource(Kind::SystemNetworkPolicies));
        let found = match within(self.limit, api.list_metadata(&ListParams::default())).await {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Generations::new()),
            found => found.map_err(ApplyError::request("list systemnetworkpolicies".to_owned()))?,
        };
        let entry = |meta: ObjectMeta| {
            let key = (meta.namespace?.into(), meta.name?.into());
            Some((key, (meta.uid?.into(), meta.generation.unwrap_or_default())))
        };
        Ok(found
            .items
            .into_iter()
            .filter_map(|object| entry(object.metadata))
            .collect())
    }

    async fn list<K>(&self, namespace: &str, what: &str) -> Result<Vec<K>, ApplyError>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
    {
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        let found = within(self.limit, api.list(&ListParams::default())).await;
        Ok(found
            .map_err(ApplyError::request(format!("list {what} in {namespace}")))?
            .items)
    }
}
