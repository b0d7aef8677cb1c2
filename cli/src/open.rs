//! The emergency opening: hold first, then an allow-all in every system namespace, all at once, without the
//! operator.

use anyhow::Result;
use bulkhead_api::SystemIsolation;
use bulkhead_api::operand::Operand;
use bulkhead_api::vocabulary::{ANNOTATION_HOLD, CLUSTER, FIELD_MANAGER};
use bulkhead_controllers::apply::policies::labelled;
use bulkhead_controllers::observe::{ObservedPolicy, kinds};
use bulkhead_controllers::operands::order::shield_name;
use futures::{StreamExt as _, stream};
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use serde_json::json;

use crate::args::DryRun;
use crate::bundles;
use crate::errors;
use crate::inventory::{self, Target};
use crate::policies::{HOLD_OPEN, allow_all, allow_all_names, is_our_allow_all, opens_all};
use crate::write::{self, Written};

/// Requests under way at once.
const CONCURRENCY: usize = 32;

/// Where the hold is stored.
#[derive(Debug)]
pub enum Hold {
    /// On `SystemIsolation`, as it should be.
    Stored(Box<Written>),
    /// It could not be stored there, for this reason: every allow-all carries it.
    OnEachPolicy(String),
}

/// Stores the hold.
pub async fn set_hold(client: &Client, reason: &str, dry_run: DryRun) -> Hold {
    let patch = json!({"spec": {"hold": {"state": HOLD_OPEN, "reason": reason}}});
    match write::upsert::<SystemIsolation>(client, CLUSTER, &patch, dry_run).await {
        Ok(written) => Hold::Stored(Box::new(written)),
        Err(error) => Hold::OnEachPolicy(errors::api_message(&error)),
    }
}

/// What became of one namespace.
#[derive(Debug)]
pub struct Opened {
    /// The namespace.
    pub namespace: String,
    /// The policy that opens it, or why there is none.
    pub result: Result<Allow, String>,
}

/// The allow-all of one namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// Its name; not the usual one where somebody else holds that.
    pub name: String,
    /// What happened to it.
    pub how: How,
}

/// What happened to an allow-all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It was absent.
    Created,
    /// Ours was edited, or lacked the hold.
    Restored,
    /// It was there as it should be.
    Unchanged,
    /// The namespace is going away and takes no new policies.
    Terminating,
}

impl How {
    /// The word for it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Restored => "restored",
            Self::Unchanged => "unchanged",
            Self::Terminating => "skipped, namespace is terminating",
        }
    }
}

/// Opens every target. Each one is told to `tell` as soon as its outcome is known; nobody waits for anybody.
pub async fn open_all(
    client: &Client,
    targets: Vec<Target>,
    hold_on_policy: bool,
    dry_run: DryRun,
    mut tell: impl FnMut(&Opened) -> Result<()>,
) -> Result<Vec<Opened>> {
    let mut results = stream::iter(targets)
        .map(|target| async move {
            let result = open(client, &target, hold_on_policy, dry_run).await;
            Opened {
                namespace: target.name,
                result,
            }
        })
        .buffer_unordered(CONCURRENCY);
    let mut all = Vec::new();
    while let Some(opened) = results.next().await {
        tell(&opened)?;
        all.push(opened);
    }
    all.sort_by(|a, b| a.namespace.cmp(&b.namespace));
    Ok(all)
}

async fn open(client: &Client, target: &Target, hold: bool, dry_run: DryRun) -> Result<Allow, String> {
    if target.terminating {
        return Ok(Allow {
            name: String::new(),
            how: How::Terminating,
        });
    }
    let namespace = Namespace::new(client, &target.name, dry_run);
    for name in allow_all_names() {
        if let Some(how) = namespace.open_as(&name, hold).await? {
            return Ok(Allow { name, how });
        }
    }
    Err("somebody else holds every name that an allow-all could take: create a policy that allows everything \
         under another name"
        .to_owned())
}

/// Opens every namespace in which policies of a bundle stand, under the name that its operator knows.
pub async fn open_bundles(client: &Client, hold_on_policy: bool, dry_run: DryRun) -> Result<Vec<Opened>> {
    let mut all = Vec::new();
    for (operand, name) in bundles::standing(client).await? {
        let mut namespace = Namespace::new(client, &name, dry_run);
        namespace.bundle = Some(operand);
        let shield = shield_name(operand);
        let result = match namespace.open_as(&shield, hold_on_policy).await {
            Ok(Some(how)) => Ok(Allow { name: shield, how }),
            Ok(None) => Err(format!("somebody else holds the name {shield}")),
            Err(why) => Err(why),
        };
        all.push(Opened {
            namespace: name.clone(),
            result,
        });
    }
    Ok(all)
}

/// The policies of one namespace.
struct Namespace<'a> {
    name: &'a str,
    writes: Api<DynamicObject>,
    reads: Api<kinds::NetworkPolicy>,
    bundle: Option<Operand>,
    dry_run: DryRun,
}

impl<'a> Namespace<'a> {
    fn new(client: &Client, name: &'a str, dry_run: DryRun) -> Self {
        Self {
            name,
            writes: Api::namespaced_with(
                client.clone(),
                name,
                &ApiResource::erase::<kinds::NetworkPolicy>(&()),
            ),
            reads: Api::namespaced(client.clone(), name),
            bundle: None,
            dry_run,
        }
    }

    async fn read(&self, name: &str) -> Result<Option<ObservedPolicy>, String> {
        let stored = self.reads.get_opt(name).await;
        Ok(stored
            .map_err(|error| errors::api_message(&error))?
            .and_then(ObservedPolicy::new))
    }

    /// Opens under this name; `None` if somebody else holds it.
    async fn open_as(&self, name: &str, hold: bool) -> Result<Option<How>, String> {
        if self.dry_run == DryRun::Client {
            let stored = self.read(name).await?;
            return Ok(stored.map_or(Some(How::Created), |stored| judge(&stored, hold)));
        }
        // POST before anything else: it is the shortest way to an open namespace.
        if self.create(name, hold).await? {
            return Ok(Some(How::Created));
        }
        let Some(stored) = self.read(name).await? else {
            return Err(format!(
                "{name} was deleted while it was read: run the command again"
            ));
        };
        match judge(&stored, hold) {
            Some(How::Restored) => self.restore(name, hold, &stored).await.map(Some),
            other => Ok(other),
        }
    }

    fn allow_all(&self, name: &str, hold: bool, before: Option<&ObservedPolicy>) -> serde_json::Value {
        labelled(allow_all(self.name, name, hold, before), self.bundle)
    }

    /// Creates it; false if the name is taken.
    async fn create(&self, name: &str, hold: bool) -> Result<bool, String> {
        let wanted = serde_json::from_value(self.allow_all(name, hold, None)).map_err(|e| e.to_string())?;
        let params = PostParams {
            dry_run: self.dry_run == DryRun::Server,
            field_manager: Some(FIELD_MANAGER.to_owned()),
        };
        match self.writes.create(&params, &wanted).await {
            Ok(_) => Ok(true),
            Err(error) if errors::is_already_exists(&error) => Ok(false),
            Err(error) => Err(errors::api_message(&error)),
        }
    }

    async fn restore(&self, name: &str, hold: bool, before: &ObservedPolicy) -> Result<How, String> {
        // The uid keeps an apply from creating a policy where the stored one is gone.
        let wanted = self.allow_all(name, hold, Some(before));
        let mut params = PatchParams::apply(FIELD_MANAGER).force().validation_strict();
        params.dry_run = self.dry_run == DryRun::Server;
        let written = self.writes.patch(name, &params, &Patch::Apply(&wanted)).await;
        let written = written.map_err(|error| errors::api_message(&error))?;
        let after = serde_json::to_value(written).and_then(serde_json::from_value::<kinds::NetworkPolicy>);
        match after.ok().and_then(ObservedPolicy::new) {
            Some(after) if opens_all(&after.policy) => Ok(How::Restored),
            _ => Err(format!(
                "{name} is ours and still does not allow everything: delete it and run the command again"
            )),
        }
    }
}

/// What a stored policy of the wanted name needs; `None` if it is not ours.
fn judge(stored: &ObservedPolicy, hold: bool) -> Option<How> {
    if !stored.managed_by_us {
        return None;
    }
    let carries_it = !hold || stored.hold;
    Some(if carries_it && opens_all(&stored.policy) {
        How::Unchanged
    } else {
        How::Restored
    })
}

/// Takes the hold off every allow-all of ours; tells which carried it.
pub async fn drop_annotations(client: &Client, dry_run: DryRun) -> Result<Vec<(String, Result<(), String>)>> {
    let api: Api<kinds::NetworkPolicy> = Api::all(client.clone());
    let stored = inventory::list(&api, ListParams::default()).await?;
    let held: Vec<ObservedPolicy> = stored
        .into_iter()
        .filter_map(ObservedPolicy::new)
        .filter(|p| p.hold && is_our_allow_all(p))
        .collect();
    let dropped = stream::iter(held).map(|policy| async move {
        let result = drop_annotation(client, &policy, dry_run).await;
        let name = format!("{}/{}", policy.policy.namespace, policy.name);
        (name, result.map_err(|error| errors::api_message(&error)))
    });
    Ok(dropped.buffer_unordered(CONCURRENCY).collect().await)
}

async fn drop_annotation(
    client: &Client,
    stored: &ObservedPolicy,
    dry_run: DryRun,
) -> Result<(), kube::Error> {
    if dry_run == DryRun::Client {
        return Ok(());
    }
    let namespace = Namespace::new(client, &stored.policy.namespace, dry_run);
    let patch = json!({"metadata": {"uid": &*stored.uid, "annotations": {ANNOTATION_HOLD: null}}});
    let params = PatchParams {
        dry_run: dry_run == DryRun::Server,
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    namespace
        .writes
        .patch(&stored.name, &params, &Patch::Merge(&patch))
        .await
        .map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use bulkhead_controllers::decide::{Role, render};

    fn stored(ours: bool, hold: bool) -> ObservedPolicy {
        ObservedPolicy {
            name: "bulkhead-allow-all".into(),
            uid: "1".into(),
            resource_version: "1".into(),
            managed_by_us: ours,
            bundle: None,
            owner: None,
            role: Some(Role::AllowAll),
            format: 1,
            sequence: 0,
            hold,
            policy: render::allow_all("x", "bulkhead-allow-all").policy,
            unreadable: false,
        }
    }

    #[test]
    fn a_squatter_is_never_relied_on_even_if_it_opens() {
        assert_eq!(judge(&stored(false, true), false), None);
    }

    #[test]
    fn ours_is_restored_when_edited_or_without_the_hold() {
        assert_eq!(judge(&stored(true, false), false), Some(How::Unchanged));
        assert_eq!(judge(&stored(true, false), true), Some(How::Restored));
        let mut edited = stored(true, true);
        Arc::make_mut(&mut edited.policy).egress = None;
        assert_eq!(judge(&edited, false), Some(How::Restored));
    }
}
