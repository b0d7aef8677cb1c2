//! The deletions, each with preconditions, so that nothing goes that was not judged.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use bulkhead_api::SystemNamespace;
use bulkhead_api::vocabulary::LABEL_SYSTEM_NAMESPACE;
use bulkhead_controllers::apply::labels;
use bulkhead_controllers::decide::Role;
use bulkhead_controllers::observe::ObservedPolicy;
use bulkhead_controllers::plan::{LabelChange, View};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Client;
use kube::api::{Api, DeleteParams, Preconditions};

use super::{Stock, opens};
use crate::args::DryRun;
use crate::errors;
use crate::session::Session;
use crate::write::dry_run_note;

/// Namespaces worked on at once.
const CONCURRENCY: usize = 16;
/// How long one change of labels may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Deletes and tells.
pub struct Remover<'a> {
    /// The client.
    pub client: &'a Client,
    /// Whether anything is carried out.
    pub dry_run: DryRun,
    /// Where to tell.
    pub session: &'a Session,
}

impl Remover<'_> {
    /// Restrictive sets: the denies before what allows.
    pub async fn sets(&self, stock: &Stock) -> Result<()> {
        self.policies(
            stock,
            |policy| !opens(policy),
            |policy| match policy.role {
                Some(Role::DefaultDeny | Role::DefaultDenyEgress | Role::OperandDeny) => 0,
                _ => 1,
            },
        )
        .await
    }

    /// The policies that open: the allow-all last.
    pub async fn openers(&self, stock: &Stock) -> Result<()> {
        self.policies(stock, opens, |policy| {
            u8::from(policy.role == Some(Role::AllowAll))
        })
        .await
    }

    async fn policies(
        &self,
        stock: &Stock,
        chosen: impl Fn(&ObservedPolicy) -> bool,
        order: impl Fn(&ObservedPolicy) -> u8,
    ) -> Result<()> {
        let batches = stock.views().map(|view| {
            let mut batch: Vec<ObservedPolicy> = view
                .ours
                .iter()
                .filter(|p| chosen(p))
                .map(|p| (*p).clone())
                .collect();
            batch.sort_by_key(|policy| order(policy));
            (view.input.name.clone(), batch)
        });
        let batches: Vec<(Arc<str>, Vec<ObservedPolicy>)> = batches.collect();
        stream::iter(batches.into_iter().map(Ok))
            .try_for_each_concurrent(CONCURRENCY, |(namespace, batch)| async move {
                for policy in batch {
                    self.policy(&namespace, &policy).await?;
                }
                Ok(())
            })
            .await
    }

    async fn policy(&self, namespace: &str, policy: &ObservedPolicy) -> Result<()> {
        let api: Api<NetworkPolicy> = Api::namespaced(self.client.clone(), namespace);
        if self.dry_run != DryRun::Client {
            let params = DeleteParams {
                dry_run: self.dry_run == DryRun::Server,
                preconditions: Some(Preconditions {
                    uid: Some(policy.uid.to_string()),
                    resource_version: Some(policy.resource_version.to_string()),
                }),
                ..DeleteParams::default()
            };
            match api.delete(&policy.name, &params).await {
                Ok(_) => {}
                Err(error) if errors::absent(&error).is_some() => {}
                Err(error) => bail!(
                    "networkpolicy {} in namespace {namespace} is not deleted: {}; run the command again",
                    policy.name,
                    errors::api_message(&error)
                ),
            }
        }
        self.session.print(&format!(
            "networkpolicy.networking.k8s.io/{} deleted in namespace {namespace}{}",
            policy.name,
            dry_run_note(self.dry_run)
        ))
    }

    /// Labels that the operator set, as far as no stored policy of anybody selects by them.
    pub async fn labels(&self, stock: &Stock) -> Result<()> {
        for view in stock.views() {
            let Some(change) = label_change(&view) else {
                continue;
            };
            let keys = change.remove.join(", ");
            if self.dry_run == DryRun::None {
                labels::change(self.client, LIMIT, &view.input.name, &change).await?;
            }
            self.session.print(&format!(
                "namespace/{} labels removed unless in use: {keys}{}",
                view.input.name,
                dry_run_note(self.dry_run)
            ))?;
        }
        Ok(())
    }

    /// The `SystemNamespace` of every namespace.
    pub async fn system_namespaces(&self, stock: &Stock) -> Result<()> {
        let api: Api<SystemNamespace> = Api::all(self.client.clone());
        let names: Vec<String> = stock
            .views()
            .filter(|v| v.input.system.is_some())
            .map(|v| v.input.name.to_string())
            .collect();
        let dry_run = self.dry_run;
        let mut deleted = stream::iter(names)
            .map(|name| {
                let api = &api;
                async move {
                    let params = DeleteParams {
                        dry_run: dry_run == DryRun::Server,
                        ..DeleteParams::default()
                    };
                    let result = match dry_run {
                        DryRun::Client => Ok(()),
                        _ => api.delete(&name, &params).await.map(|_| ()),
                    };
                    (name, result)
                }
            })
            .buffered(CONCURRENCY);
        while let Some((name, result)) = deleted.next().await {
            match result {
                Err(error) if errors::absent(&error).is_none() => {
                    bail!(
                        "systemnamespace {name} is not deleted: {}",
                        errors::api_message(&error)
                    )
                }
                _ => self.session.print(&format!(
                    "systemnamespace.{}/{name} deleted{}",
                    bulkhead_api::GROUP,
                    dry_run_note(self.dry_run)
                ))?,
            }
        }
        Ok(())
    }
}

fn label_change(view: &View<'_>) -> Option<LabelChange> {
    let object = view.input.object.as_ref()?;
    let recorded = view.status().map(|s| s.labels.clone()).unwrap_or_default();
    let mut remove: Vec<String> = recorded
        .into_iter()
        .chain([LABEL_SYSTEM_NAMESPACE.to_owned()])
        .filter(|key| object.labels.get(key).is_some())
        .collect();
    remove.sort();
    remove.dedup();
    (!remove.is_empty()).then(|| LabelChange {
        uid: object.uid.to_string(),
        remove,
        ..LabelChange::default()
    })
}
