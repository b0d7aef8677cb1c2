//! What is stored in the cluster, as far as several verbs need it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use bulkhead_api::namespace::Adoption;
use bulkhead_api::vocabulary::{CLUSTER, is_forbidden_name, is_system_name};
use bulkhead_api::{SystemIsolation, SystemNamespace};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, ListParams, PartialObjectMeta};
use kube::{Client, Resource, ResourceExt as _};

use crate::errors::{self, Absent};

/// Objects fetched per request.
const PAGE: u32 = 500;

/// All objects of a kind, page by page.
pub async fn list<K>(api: &Api<K>, params: ListParams) -> Result<Vec<K>, kube::Error>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let mut params = params.limit(PAGE);
    let mut items = Vec::new();
    loop {
        let page = api.list(&params).await?;
        items.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(items),
        }
    }
}

/// Explains what to do where one of our kinds is not served.
pub fn served<K: Resource<DynamicType = ()>, T>(result: Result<T, kube::Error>) -> Result<T> {
    result.map_err(|error| {
        let plural = K::plural(&());
        if errors::absent(&error) == Some(Absent::Kind) {
            return anyhow::Error::from(error).context(format!(
                "{plural}.{} is not installed here: apply the definitions first (kubectl apply -k on an overlay of manifests/)",
                K::group(&())
            ));
        }
        anyhow::Error::from(error).context(format!("cannot read or write {plural}"))
    })
}

/// `SystemIsolation` cluster, `None` where it was never created.
pub async fn system_isolation(client: &Client) -> Result<Option<SystemIsolation>, kube::Error> {
    match Api::all(client.clone()).get(CLUSTER).await {
        Ok(object) => Ok(Some(object)),
        Err(error) if errors::absent(&error) == Some(Absent::Object) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Every `SystemNamespace`.
pub async fn system_namespaces(client: &Client) -> Result<Vec<SystemNamespace>, kube::Error> {
    list(&Api::all(client.clone()), ListParams::default()).await
}

/// Names and metadata of every namespace.
pub async fn namespaces(client: &Client) -> Result<Vec<PartialObjectMeta<Namespace>>> {
    let api: Api<Namespace> = Api::all(client.clone());
    let mut params = ListParams::default().limit(PAGE);
    let mut items = Vec::new();
    loop {
        let page = api
            .list_metadata(&params)
            .await
            .context("cannot list namespaces")?;
        items.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(items),
        }
    }
}

/// A namespace that is opened in an emergency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// It is being deleted and takes no new objects.
    pub terminating: bool,
}

/// The existing namespaces that may be closed by us: `openshift-*` unless handed back, adopted ones, and
/// every one in which the operator recorded policies of ours, whatever is declared meanwhile.
pub fn system_targets(
    existing: &[PartialObjectMeta<Namespace>],
    declared: &[SystemNamespace],
) -> Vec<Target> {
    let declared: BTreeMap<String, &SystemNamespace> = declared.iter().map(|d| (d.name_any(), d)).collect();
    let mut targets: Vec<Target> = existing
        .iter()
        .filter(|namespace| {
            is_target(
                &namespace.name_any(),
                declared.get(&namespace.name_any()).copied(),
            )
        })
        .map(|namespace| Target {
            name: namespace.name_any(),
            terminating: namespace.metadata.deletion_timestamp.is_some(),
        })
        .collect();
    targets.sort_by(|a, b| a.name.cmp(&b.name));
    targets
}

fn is_target(name: &str, declared: Option<&SystemNamespace>) -> bool {
    if is_forbidden_name(name) {
        return false;
    }
    let holds_ours = declared
        .and_then(|d| d.status.as_ref())
        .is_some_and(|status| !status.policies.is_empty() || status.effective_mode.is_some());
    match declared.and_then(|d| d.spec.adoption) {
        Some(Adoption::Adopted) => true,
        Some(Adoption::NotAdopted) => holds_ours,
        None => is_system_name(name) || holds_ours,
    }
}

/// The system namespaces of the cluster. Without our kind, or the right to list it, the `openshift-*` ones;
/// then the second value says what could not be read.
pub async fn targets(client: &Client) -> Result<(Vec<Target>, Option<String>)> {
    let existing = namespaces(client).await?;
    let (declared, gap) = match system_namespaces(client).await {
        Ok(declared) => (declared, None),
        Err(error) => (Vec::new(), Some(errors::api_message(&error))),
    };
    Ok((system_targets(&existing, &declared), gap))
}

/// A condition by its type.
pub fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == kind)
}

/// Whether a condition has this status.
pub fn is(conditions: &[Condition], kind: &str, status: &str) -> bool {
    condition(conditions, kind).is_some_and(|c| c.status == status)
}

/// Names that were asked for and do not exist.
pub fn unknown(asked: &[String], known: impl IntoIterator<Item = String>) -> Vec<&str> {
    let known: BTreeSet<String> = known.into_iter().collect();
    asked
        .iter()
        .filter(|name| !known.contains(*name))
        .map(String::as_str)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_api::namespace::{PolicyRef, SystemNamespaceSpec, SystemNamespaceStatus};

    fn declared(name: &str, adoption: Option<Adoption>, holds_ours: bool) -> SystemNamespace {
        let mut object = SystemNamespace::new(
            name,
            SystemNamespaceSpec {
                adoption,
                ..Default::default()
            },
        );
        let policies = vec![PolicyRef {
            name: "bulkhead-x".into(),
            uid: "1".into(),
        }];
        object.status = holds_ours.then(|| SystemNamespaceStatus {
            policies,
            ..Default::default()
        });
        object
    }

    #[test]
    fn an_emergency_reaches_every_namespace_that_may_be_closed_and_no_other() {
        let on = Some(Adoption::Adopted);
        let off = Some(Adoption::NotAdopted);
        assert!(is_target("openshift-dns", None));
        assert!(is_target("team-a", Some(&declared("team-a", on, false))));
        assert!(
            is_target("team-a", Some(&declared("team-a", off, true))),
            "release under way"
        );
        assert!(!is_target(
            "openshift-x",
            Some(&declared("openshift-x", off, false))
        ));
        assert!(!is_target("team-a", Some(&declared("team-a", None, false))));
        assert!(!is_target("team-a", None));
        assert!(!is_target(
            "kube-system",
            Some(&declared("kube-system", on, true))
        ));
        assert!(!is_target("default", None));
    }
}
