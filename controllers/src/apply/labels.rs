//! Labels of namespaces.

use std::{collections::BTreeSet, time::Duration};

use bulkhead_api::vocabulary as names;
use bulkhead_policy::{Peer, Policy};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind, PartialObjectMeta},
};
use serde_json::{Map, Value, json};

use super::{ApplyError, fault};
use crate::{
    observe::{ObservedPolicy, kinds},
    plan::LabelChange,
    runtime::client::within,
};

/// Policy kinds besides NetworkPolicy whose selectors may name namespace labels.
const TIERS: [(&str, &str, &str); 3] = [
    ("v1alpha1", "AdminNetworkPolicy", "adminnetworkpolicies"),
    (
        "v1alpha1",
        "BaselineAdminNetworkPolicy",
        "baselineadminnetworkpolicies",
    ),
    ("v1alpha2", "ClusterNetworkPolicy", "clusternetworkpolicies"),
];

/// Sets and removes labels. The uid goes along, so that a namespace that was recreated is left alone and none
/// is ever created.
pub async fn change(
    client: &Client,
    limit: Duration,
    name: &str,
    change: &LabelChange,
) -> Result<(), ApplyError> {
    let mut labels: Map<String, Value> = change.set.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
    labels.extend(change.remove.iter().map(|key| (key.clone(), Value::Null)));
    fault::before();
    let body = json!({"metadata": {"uid": change.uid, "labels": labels}});
    let params = PatchParams {
        field_manager: Some(names::FIELD_MANAGER.into()),
        ..PatchParams::default()
    };
    let api = Api::<PartialObjectMeta<Namespace>>::all(client.clone());
    let made = within(limit, api.patch(name, &params, &Patch::Merge(body))).await;
    fault::after();
    made.map(drop)
        .map_err(ApplyError::request(format!("label namespaces {name}")))
}

/// Which of these keys any stored policy of any kind selects namespaces by, read live.
pub async fn in_use(
    client: &Client,
    limit: Duration,
    keys: &[String],
) -> Result<BTreeSet<String>, ApplyError> {
    if keys.is_empty() {
        return Ok(BTreeSet::new());
    }
    let used = used_keys(client, limit).await?;
    Ok(keys.iter().filter(|key| used.contains(*key)).cloned().collect())
}

async fn used_keys(client: &Client, limit: Duration) -> Result<BTreeSet<String>, ApplyError> {
    let api = Api::<kinds::NetworkPolicy>::all(client.clone());
    let all = within(limit, api.list(&ListParams::default())).await;
    let all = all.map_err(ApplyError::request("list networkpolicies"))?;
    let observed = all.items.into_iter().filter_map(ObservedPolicy::new);
    let mut used: BTreeSet<String> = observed.flat_map(|p| namespace_keys(&p.policy)).collect();
    for (version, kind, plural) in TIERS {
        let gvk = GroupVersionKind::gvk("policy.networking.k8s.io", version, kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
        let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
        match within(limit, api.list(&ListParams::default())).await {
            Ok(list) => list
                .items
                .iter()
                .for_each(|object| collect_keys(&object.data, &mut used)),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(ApplyError::request(format!("list {plural}"))(error)),
        }
    }
    Ok(used)
}

/// Keys of namespace labels that a policy selects by.
pub fn namespace_keys(policy: &Policy) -> Vec<String> {
    let rules = policy.ingress.iter().chain(&policy.egress).flatten();
    let selectors = rules.flat_map(|rule| &rule.peers).filter_map(|peer| match peer {
        Peer::Pods { namespaces, .. } => namespaces.as_ref(),
        Peer::IpBlock { .. } => None,
    });
    selectors
        .flat_map(|s| s.keys().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// Keys below any selector of a tier policy: rather one too many than one too few.
fn collect_keys(value: &Value, used: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match (name.as_str(), field) {
                    ("matchLabels", Value::Object(labels)) => used.extend(labels.keys().cloned()),
                    ("key", Value::String(key)) => {
                        used.insert(key.clone());
                    }
                    _ => collect_keys(field, used),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_keys(item, used)),
        _ => {}
    }
}
