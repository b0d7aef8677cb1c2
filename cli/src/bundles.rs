//! Operand bundles as they stand in the cluster.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use bulkhead_api::operand::Operand;
use bulkhead_api::vocabulary::LABEL_BUNDLE;
use bulkhead_controllers::observe::{ObservedPolicy, kinds};
use kube::Client;
use kube::api::{Api, ListParams};

use crate::inventory;

/// Bundles with the namespaces in which policies of theirs stand.
pub async fn standing(client: &Client) -> Result<BTreeSet<(Operand, String)>> {
    let api: Api<kinds::NetworkPolicy> = Api::all(client.clone());
    let labelled = ListParams::default().labels(LABEL_BUNDLE);
    let all = inventory::list(&api, labelled)
        .await
        .context("cannot list networkpolicies")?;
    let policies = all
        .into_iter()
        .filter_map(ObservedPolicy::new)
        .filter(|p| p.managed_by_us);
    Ok(policies
        .filter_map(|p| Some((p.bundle?, p.policy.namespace.to_string())))
        .collect())
}
