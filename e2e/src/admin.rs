//! What an administrator does, and what he sees.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bulkhead_api::{SystemIsolation, SystemNamespace, SystemNetworkPolicy};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::wait::eventually;

/// How long the operator may take for anything that waits for some settle times.
pub const LIMIT: Duration = Duration::from_mins(2);

/// Name of the singletons.
const CLUSTER: &str = "cluster";

/// The administrator's hands.
#[derive(Clone)]
pub struct Admin {
    /// The client behind them.
    pub client: Client,
}

/// Where the switch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// `SystemIsolation`.
    Isolation,
    /// The Network operator config.
    Network,
    /// The schemaless field of the Network operator config.
    Overrides,
}

impl Admin {
    /// Of this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Policies of a namespace.
    pub fn policies(&self, namespace: &str) -> Api<NetworkPolicy> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Namespaces.
    pub fn namespaces(&self) -> Api<Namespace> {
        Api::all(self.client.clone())
    }

    /// Our record of each system namespace.
    pub fn system(&self) -> Api<SystemNamespace> {
        Api::all(self.client.clone())
    }

    /// The singleton of ours.
    pub fn isolation(&self) -> Api<SystemIsolation> {
        Api::all(self.client.clone())
    }

    /// Declarations of a namespace.
    pub fn declarations(&self, namespace: &str) -> Api<SystemNetworkPolicy> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Sets the mode where the kind is ours.
    pub async fn mode(&self, mode: &str) -> anyhow::Result<()> {
        self.switch(Carrier::Isolation, &json!({"mode": mode})).await
    }

    /// Sets the switch in a carrier, or removes it with null. Options that the new one does not name go.
    pub async fn switch(&self, carrier: Carrier, switch: &Value) -> anyhow::Result<()> {
        let mut switch = switch.clone();
        for option in ["restricted", "unrestricted"] {
            if switch.is_object() && switch[option].is_null() {
                switch[option] = Value::Null;
            }
        }
        let config = match switch {
            Value::Null => json!({"systemNetworkPolicy": null}),
            switch => json!({"systemNetworkPolicy": {"systemNamespaces": switch}}),
        };
        match carrier {
            Carrier::Isolation => self.merge_isolation(&config).await,
            Carrier::Network => self.merge_network(&config).await,
            Carrier::Overrides => {
                self.merge_network(&json!({"unsupportedConfigOverrides": config}))
                    .await
            }
        }
    }

    /// Merges into the spec of `SystemIsolation`, which is created if absent.
    pub async fn merge_isolation(&self, spec: &Value) -> anyhow::Result<()> {
        let patch = json!({"spec": spec});
        let api = self.isolation();
        match api
            .patch(CLUSTER, &PatchParams::default(), &Patch::Merge(&patch))
            .await
        {
            Err(kube::Error::Api(status)) if status.code == 404 => {
                let object = without_nulls(json!({
                    "apiVersion": "network.operator.openshift.io/v1alpha1", "kind": "SystemIsolation",
                    "metadata": {"name": CLUSTER}, "spec": spec,
                }));
                api.create(&PostParams::default(), &serde_json::from_value(object)?)
                    .await
                    .map(drop)?;
                Ok(())
            }
            other => Ok(other.map(drop)?),
        }
    }

    /// Merges into the spec of the Network operator config, which is created if absent.
    pub async fn merge_network(&self, spec: &Value) -> anyhow::Result<()> {
        let resource = kube::api::ApiResource::erase::<bulkhead_api::network::Network>(&());
        let api: Api<kube::api::DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let object = without_nulls(json!({
            "apiVersion": "operator.openshift.io/v1", "kind": "Network",
            "metadata": {"name": CLUSTER}, "spec": spec,
        }));
        match api
            .patch(
                CLUSTER,
                &PatchParams::default(),
                &Patch::Merge(&json!({"spec": spec})),
            )
            .await
        {
            Err(kube::Error::Api(status)) if status.code == 404 => {
                api.create(&PostParams::default(), &serde_json::from_value(object)?)
                    .await
                    .map(drop)?;
                Ok(())
            }
            other => Ok(other.map(drop)?),
        }
    }

    /// Merges into the spec of a `SystemNamespace`, which is created if absent.
    pub async fn merge_system(&self, namespace: &str, spec: &Value) -> anyhow::Result<()> {
        let api = self.system();
        match api
            .patch(
                namespace,
                &PatchParams::default(),
                &Patch::Merge(&json!({"spec": spec})),
            )
            .await
        {
            Err(kube::Error::Api(status)) if status.code == 404 => {
                let object = without_nulls(json!({
                    "apiVersion": "network.operator.openshift.io/v1alpha1", "kind": "SystemNamespace",
                    "metadata": {"name": namespace}, "spec": spec,
                }));
                api.create(&PostParams::default(), &serde_json::from_value(object)?)
                    .await
                    .map(drop)?;
                Ok(())
            }
            other => Ok(other.map(drop)?),
        }
    }

    /// Stores a declaration.
    pub async fn declare(&self, namespace: &str, name: &str, spec: &Value) -> anyhow::Result<()> {
        let object = json!({
            "apiVersion": "network.operator.openshift.io/v1alpha1", "kind": "SystemNetworkPolicy",
            "metadata": {"name": name, "namespace": namespace}, "spec": spec,
        });
        let params = PatchParams::apply("bulkhead-e2e").force();
        self.declarations(namespace)
            .patch(name, &params, &Patch::Apply(&object))
            .await?;
        Ok(())
    }

    /// Stores a policy as somebody else.
    pub async fn put_policy(&self, namespace: &str, name: &str, spec: &Value) -> anyhow::Result<()> {
        let object = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": namespace}, "spec": spec,
        });
        let params = PatchParams::apply("somebody-else").force();
        self.policies(namespace)
            .patch(name, &params, &Patch::Apply(&object))
            .await?;
        Ok(())
    }

    /// Deletes a policy.
    pub async fn delete_policy(&self, namespace: &str, name: &str) -> anyhow::Result<()> {
        self.policies(namespace)
            .delete(name, &DeleteParams::default())
            .await?;
        Ok(())
    }

    /// Names of the policies of a namespace.
    pub async fn policy_names(&self, namespace: &str) -> anyhow::Result<Vec<String>> {
        let list = self.policies(namespace).list(&ListParams::default()).await?;
        Ok(list.items.into_iter().filter_map(|p| p.metadata.name).collect())
    }

    /// What the operator says of a namespace.
    pub async fn state(&self, namespace: &str) -> anyhow::Result<State> {
        let object = self.system().get(namespace).await?;
        let status = object.status.context("no status yet")?;
        let condition = |kind: &str| status.conditions.iter().find(|c| c.type_ == kind).cloned();
        let progressing = condition("Progressing").context("no Progressing condition yet")?;
        Ok(State {
            desired: status.desired_mode.map(|m| format!("{m:?}")),
            effective: status.effective_mode.map(|m| format!("{m:?}")),
            progressing: progressing.status == "True",
            reason: progressing.reason,
            conditions: status.conditions,
        })
    }

    /// Waits until the namespace is in one of these modes and nothing is under way.
    pub async fn settled(&self, namespace: &str, modes: &[&str]) -> anyhow::Result<State> {
        eventually(
            &format!("{namespace} to be {}", modes.join(" or ")),
            LIMIT,
            || async {
                let state = self.state(namespace).await?;
                let matches = state
                    .effective
                    .as_deref()
                    .is_some_and(|mode| modes.contains(&mode));
                ensure!(matches && !state.progressing, "it is {state:?}");
                Ok(state)
            },
        )
        .await
    }

    /// Waits until the cluster's summary is current and complete, with this mode applied; `None` stands for
    /// no mode at all.
    pub async fn applied(
        &self,
        mode: Option<&str>,
        limit: Duration,
    ) -> anyhow::Result<bulkhead_api::isolation::Counts> {
        eventually(
            &format!("mode {mode:?} to be applied everywhere"),
            limit,
            || async {
                let object = self.isolation().get(CLUSTER).await?;
                let status = object.status.context("no status yet")?;
                let applied = status
                    .applied
                    .as_ref()
                    .and_then(|a| a.mode)
                    .map(|m| format!("{m:?}"));
                ensure!(applied.as_deref() == mode, "applied is {applied:?}");
                ensure!(
                    status.observed_generation == object.metadata.generation,
                    "status is behind"
                );
                let progressing = status.conditions.iter().find(|c| c.type_ == "Progressing");
                let progressing = progressing.context("no Progressing condition")?;
                ensure!(
                    progressing.status == "False",
                    "{}: {}",
                    progressing.reason,
                    progressing.message
                );
                let counts = status.counts.context("no counts")?;
                let said = self.count("Unrestricted").await?;
                ensure!(
                    said == counts.open,
                    "{said} namespaces say that they are open, the summary {counts:?}"
                );
                Ok(counts)
            },
        )
        .await
    }

    /// The newest revision of the store.
    pub async fn version(&self) -> anyhow::Result<u64> {
        let list = self.isolation().list(&ListParams::default()).await?;
        Ok(list
            .metadata
            .resource_version
            .context("a list without version")?
            .parse()?)
    }

    /// How many namespaces say that they are in this mode.
    async fn count(&self, mode: &str) -> anyhow::Result<i32> {
        let all = self.system().list(&ListParams::default()).await?;
        let modes = all.items.into_iter().filter_map(|n| n.status?.effective_mode);
        Ok(i32::try_from(modes.filter(|m| format!("{m:?}") == mode).count())?)
    }

    /// A condition of the summary: status, reason and message.
    pub async fn condition(&self, kind: &str) -> anyhow::Result<(String, String, String)> {
        let object = self.isolation().get(CLUSTER).await?;
        let conditions = object.status.map(|s| s.conditions).unwrap_or_default();
        let found = conditions.into_iter().find(|c| c.type_ == kind);
        found
            .map(|c| (c.status, c.reason, c.message))
            .with_context(|| format!("no condition {kind}"))
    }
}

/// How many namespaces are closed besides the operator's own, which is New and therefore closed in every mode.
pub fn closed_besides_own(counts: &bulkhead_api::isolation::Counts) -> i32 {
    counts.restricted + counts.partly - 1
}

/// What the operator says of a namespace.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct State {
    pub desired: Option<String>,
    pub effective: Option<String>,
    pub progressing: bool,
    pub reason: String,
    pub conditions: Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition>,
}

impl State {
    /// Status of a condition, empty if absent.
    pub fn condition(&self, kind: &str) -> &str {
        self.conditions
            .iter()
            .find(|c| c.type_ == kind)
            .map_or("", |c| c.status.as_str())
    }
}

/// A merge patch removes by null; an object that is created must not hold any.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, v)| !v.is_null());
            Value::Object(kept.map(|(k, v)| (k, without_nulls(v))).collect())
        }
        other => other,
    }
}
