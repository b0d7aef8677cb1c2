//! Writes that concern the whole cluster: the applied configuration, summaries, conditions.

use std::time::Duration;

use bulkhead_api::{isolation::SystemIsolationStatus, vocabulary as names};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{ApplyError, fault};
use crate::{
    decide::config::IsolationConfig,
    observe::{watch::resource, world::Kind},
    runtime::client::within,
};

/// Writes `SystemIsolation`, conditions on the Network operator config, and verdicts on declarations.
#[derive(Clone)]
pub struct ClusterWriter {
    /// The client.
    pub client: Client,
    /// Deadline of one write.
    pub limit: Duration,
}

impl ClusterWriter {
    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &resource(kind))
    }

    /// Creates the singleton with an empty spec; one that exists already is fine.
    pub async fn create_isolation(&self) -> Result<(), ApplyError> {
        let mut object = DynamicObject::new(names::CLUSTER, &resource(Kind::SystemIsolations));
        object.data = json!({"spec": {}});
        let params = PostParams {
            field_manager: Some(names::FIELD_MANAGER.into()),
            ..PostParams::default()
        };
        fault::before();
        let made = within(
            self.limit,
            self.api(Kind::SystemIsolations).create(&params, &object),
        )
        .await;
        fault::after();
        match made {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            made => made
                .map(drop)
                .map_err(ApplyError::request("create systemisolations cluster")),
        }
    }

    /// Writes the whole status of the singleton, from the version that was seen.
    pub async fn isolation_status(
        &self,
        seen: &IsolationConfig,
        status: &SystemIsolationStatus,
    ) -> Result<(), ApplyError> {
        let mut value = serde_json::to_value(status).unwrap_or_default();
        for field in ["carrier", "applied", "counts", "conditions"] {
            if value.get(field).is_none() {
                value[field] = Value::Null;
            }
        }
        // Members of a nested object would survive a merge patch that leaves them out.
        for field in ["mode", "isolation", "newNamespaces"] {
            if value["applied"].is_object() && value["applied"].get(field).is_none() {
                value["applied"][field] = Value::Null;
            }
        }
        let metadata = json!({"uid": seen.uid, "resourceVersion": seen.resource_version});
        let body = json!({"metadata": metadata, "status": value});
        let params = PatchParams {
            field_manager: Some(names::FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        fault::before();
        let patch = Patch::Merge(body);
        let made = within(
            self.limit,
            self.api(Kind::SystemIsolations)
                .patch_status(names::CLUSTER, &params, &patch),
        )
        .await;
        fault::after();
        made.map(drop)
            .map_err(ApplyError::request("patch systemisolations/status cluster"))
    }

    /// Applies our conditions on the Network operator config, beside those of others.
    pub async fn network_conditions(&self, conditions: &[Value]) -> Result<(), ApplyError> {
        let body = json!({
            "apiVersion": "operator.openshift.io/v1",
            "kind": "Network",
            "metadata": {"name": names::CLUSTER},
            "status": {"conditions": conditions},
        });
        self.apply_status(Kind::Networks, names::CLUSTER, body).await
    }

    /// Writes the conditions and the version of our ClusterOperator, which the payload creates.
    pub async fn cluster_operator(&self, conditions: &[Value]) -> Result<(), ApplyError> {
        let release = std::env::var("RELEASE_VERSION").unwrap_or_else(|_| env!("CARGO_PKG_VERSION").into());
        let body = json!({
            "apiVersion": "config.openshift.io/v1",
            "kind": "ClusterOperator",
            "metadata": {"name": names::CLUSTER_OPERATOR},
            "status": {"conditions": conditions, "versions": [{"name": "operator", "version": release}]},
        });
        self.apply_status(Kind::ClusterOperators, names::CLUSTER_OPERATOR, body)
            .await
    }

    async fn apply_status(&self, kind: Kind, name: &str, body: Value) -> Result<(), ApplyError> {
        let params = PatchParams::apply(names::FIELD_MANAGER).force();
        fault::before();
        let patch = Patch::Apply(body);
        let made = within(self.limit, self.api(kind).patch_status(name, &params, &patch)).await;
        fault::after();
        match made {
            // Absent is not an error: there is nothing to report on.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            made => made.map(drop).map_err(ApplyError::request(format!(
                "apply {}/status {name}",
                kind.plural()
            ))),
        }
    }

    /// Writes the verdict on a declaration.
    pub async fn declaration_status(
        &self,
        namespace: &str,
        name: &str,
        resource_version: &str,
        status: &bulkhead_api::server::SystemNetworkPolicyStatus,
    ) -> Result<(), ApplyError> {
        let api: Api<DynamicObject> = Api::namespaced_with(
            self.client.clone(),
            namespace,
            &resource(Kind::SystemNetworkPolicies),
        );
        let body = json!({"metadata": {"resourceVersion": resource_version}, "status": status});
        let params = PatchParams {
            field_manager: Some(names::FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        fault::before();
        let made = within(self.limit, api.patch_status(name, &params, &Patch::Merge(body))).await;
        fault::after();
        made.map(drop).map_err(ApplyError::request(format!(
            "patch systemnetworkpolicies/status {namespace}/{name}"
        )))
    }
}
