//! Writes of network policies.

use std::{sync::Arc, time::Duration};

use bulkhead_api::{operand::Operand, vocabulary as names};
use bulkhead_policy::v1::NetworkPolicySpec;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions},
    core::{ApiResource, Status},
};
use serde_json::{Value, json};

use super::{ApplyError, fault, namespace::Written};
use crate::{
    decide::Target,
    plan::PolicyWrite,
    runtime::{client::within, leadership::Claim},
};

/// Writes policies, each under a deadline.
#[derive(Clone)]
pub struct PolicyWriter {
    /// The client.
    pub client: Client,
    /// Deadline of one write.
    pub limit: Duration,
    /// Sequence to record on what is created.
    pub sequence: u32,
    /// The bundle that the policies are for.
    pub bundle: Option<Operand>,
}

impl PolicyWriter {
    fn api(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(
            self.client.clone(),
            namespace,
            &ApiResource::erase::<NetworkPolicy>(&()),
        )
    }

    /// Carries out one write. A contract sends uid and resourceVersion, so that it fails if anything moved;
    /// an expansion sends the uid alone.
    ///
    /// No request outlives the claim: by the time another process leads, it was answered or given up.
    pub async fn write(
        &self,
        namespace: &str,
        write: &PolicyWrite,
        contract: bool,
        claim: &Claim,
    ) -> Result<Written, ApplyError> {
        fault::before();
        let own = Self {
            limit: self.limit.min(claim.remaining()),
            ..self.clone()
        };
        let result = match write {
            PolicyWrite::Create(target) => own.create(namespace, target).await,
            PolicyWrite::Apply {
                uid,
                resource_version,
                target,
                sequence,
            } => {
                let version = contract.then_some(resource_version);
                own.apply(namespace, target, uid, version, *sequence).await
            }
            PolicyWrite::Delete {
                name,
                uid,
                resource_version,
            } => own.delete(namespace, name, uid, resource_version).await,
        };
        fault::after();
        result
    }

    async fn create(&self, namespace: &str, target: &Target) -> Result<Written, ApplyError> {
        let name = target.policy.name.clone();
        let what = format!("create networkpolicies {name} in {namespace}");
        let body = labelled(body(namespace, target, None, None, self.sequence), self.bundle);
        let object = read_object(&what, body)?;
        let params = PostParams {
            field_manager: Some(names::FIELD_MANAGER.into()),
            ..PostParams::default()
        };
        let made = within(self.limit, self.api(namespace).create(&params, &object)).await;
        Ok(stored(name, "create", &made.map_err(ApplyError::request(what))?))
    }

    async fn apply(
        &self,
        namespace: &str,
        target: &Target,
        uid: &Arc<str>,
        version: Option<&Arc<str>>,
        sequence: u32,
    ) -> Result<Written, ApplyError> {
        let name = target.policy.name.clone();
        let what = format!("apply networkpolicies {name} in {namespace}");
        let body = labelled(body(namespace, target, Some(uid), version, sequence), self.bundle);
        let params = PatchParams::apply(names::FIELD_MANAGER).force();
        let made = within(
            self.limit,
            self.api(namespace).patch(&name, &params, &Patch::Apply(body)),
        )
        .await;
        Ok(stored(name, "apply", &made.map_err(ApplyError::request(what))?))
    }

    async fn delete(
        &self,
        namespace: &str,
        name: &Arc<str>,
        uid: &Arc<str>,
        version: &Arc<str>,
    ) -> Result<Written, ApplyError> {
        let what = format!("delete networkpolicies {name} in {namespace}");
        let only_this = Preconditions {
            uid: Some(uid.to_string()),
            resource_version: Some(version.to_string()),
        };
        let params = DeleteParams::default().preconditions(only_this);
        let (api, target) = (self.api(namespace), name.clone());
        let request = async move { api.delete(&target, &params).await };
        let made = within(self.limit, fault::late(request)).await;
        match made {
            Ok(_) => Ok(gone(name)),
            // It is gone, which is what was wanted.
            Err(kube::Error::Api(status)) if is_not_found(&status) => Ok(gone(name)),
            Err(error) => Err(ApplyError::request(what)(error)),
        }
    }

    /// Moves the resourceVersion of an object of ours, so that older deletes and narrowings fail. An object
    /// that is gone needs no fence.
    pub async fn fence(&self, namespace: &str, name: &str, uid: &str, epoch: i64) -> Result<(), ApplyError> {
        fault::before();
        let what = format!("fence networkpolicies {name} in {namespace}");
        let annotations = json!({names::ANNOTATION_EPOCH: epoch.to_string()});
        let body = json!({"metadata": {"uid": uid, "annotations": annotations}});
        let params = PatchParams {
            field_manager: Some(names::FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        let made = within(
            self.limit,
            self.api(namespace).patch(name, &params, &Patch::Merge(body)),
        )
        .await;
        fault::after();
        match made {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if is_not_found(&status) || status.code == 409 => Ok(()),
            Err(error) => Err(ApplyError::request(what)(error)),
        }
    }
}

fn stored(name: Arc<str>, operation: &'static str, object: &DynamicObject) -> Written {
    Written {
        name,
        operation,
        resource_version: object.resource_version(),
    }
}

fn gone(name: &Arc<str>) -> Written {
    Written {
        name: name.clone(),
        operation: "delete",
        resource_version: None,
    }
}

fn is_not_found(status: &Status) -> bool {
    status.code == 404
}

fn read_object(what: &str, body: Value) -> Result<DynamicObject, ApplyError> {
    serde_json::from_value(body).map_err(|error| ApplyError::Unreadable {
        what: what.to_owned(),
        problem: error.to_string(),
    })
}

/// Policies of a bundle carry its name: they are the record of what it made.
pub fn labelled(mut body: Value, bundle: Option<Operand>) -> Value {
    if let Some(bundle) = bundle {
        body["metadata"]["labels"][names::LABEL_BUNDLE] = json!(bundle.object_name());
    }
    body
}

/// The object as it is sent. Empty direction lists are null, so that we own them and nothing is written when
/// nothing changes (facts: kube5.md 2).
pub fn body(
    namespace: &str,
    target: &Target,
    uid: Option<&Arc<str>>,
    version: Option<&Arc<str>>,
    sequence: u32,
) -> Value {
    let mut annotations = json!({
        names::ANNOTATION_FORMAT: names::FORMAT.to_string(),
        names::ANNOTATION_SEQUENCE: sequence.to_string(),
    });
    if !target.server.is_empty() {
        annotations[names::ANNOTATION_SERVER] = json!(&*target.server);
    }
    let mut metadata = json!({
        "name": &*target.policy.name,
        "namespace": namespace,
        "labels": {names::LABEL_MANAGED_BY: names::MANAGED_BY, names::LABEL_ROLE: target.role.as_str()},
        "annotations": annotations,
    });
    if let Some(uid) = uid {
        metadata["uid"] = json!(&**uid);
    }
    if let Some(version) = version {
        metadata["resourceVersion"] = json!(&**version);
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": NetworkPolicySpec::from(&*target.policy),
    })
}
