//! Carries out the next step of one namespace.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bulkhead_api::{
    conditions::{Said, replaced},
    namespace::{Action, Intent, SystemNamespaceStatus},
    switch::Isolation,
    vocabulary::{self as names, condition},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{ApplyError, fault, labels, live::Live, policies::PolicyWriter, reads::Reads};
use crate::{
    decide::{Decision, config},
    observe::{
        Moment,
        watch::resource,
        world::{Kind, SystemObject},
    },
    plan::{self, Cluster, Generations, Input, Member, PolicyWrite, State, Step},
    runtime::{client::within, leadership::Claim},
};

/// A policy that was written, to be awaited in the watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Name of the policy.
    pub name: Arc<str>,
    /// create, apply or delete.
    pub operation: &'static str,
    /// Its resourceVersion afterwards; `None`: it is gone.
    pub resource_version: Option<String>,
}

/// What came of a step.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Policies that were written.
    pub policies: Vec<Written>,
    /// The `SystemNamespace` as the last write left it: its resourceVersion.
    pub system_version: Option<String>,
    /// Why the step ended early.
    pub error: Option<ApplyError>,
    /// A write that may have contracted got no answer.
    pub uncertain: bool,
    /// Label keys that stay because a stored policy selects by them, against what the watches showed.
    pub labels_in_use: BTreeSet<String>,
}

/// Carries out steps.
pub struct Executor {
    client: Client,
    limit: Duration,
    reads: Reads,
    live: Live,
    policies: PolicyWriter,
    /// When the process started: the zero of [`Moment`].
    epoch: std::time::Instant,
}

impl Executor {
    /// An executor whose requests each take at most `limit`.
    pub fn new(
        client: Client,
        limit: Duration,
        sequence: u32,
        read_overrides: bool,
        epoch: std::time::Instant,
    ) -> Self {
        let reads = Reads {
            client: client.clone(),
            limit,
        };
        Self {
            live: Live::new(reads.clone(), read_overrides),
            policies: PolicyWriter {
                client: client.clone(),
                limit,
                sequence,
                bundle: None,
            },
            reads,
            client,
            limit,
            epoch,
        }
    }

    /// Carries out one step as the leader that holds `claim`.
    pub async fn carry_out(&self, input: &Input, step: &Step, claim: &Claim) -> Outcome {
        let mut outcome = Outcome::default();
        let result = match step {
            Step::Open(write) => Box::pin(self.open(input, write, claim, &mut outcome)).await,
            Step::CreateSystemNamespace => self.create_system(input, claim, &mut outcome).await,
            Step::Fence { objects } => self.fence(input, objects, claim, &mut outcome).await,
            Step::Label(change) => self.label(input, change, claim, &mut outcome).await,
            Step::Stage(writes) => self.stage(input, writes, claim, &mut outcome).await,
            Step::Contract { action, writes } => {
                Box::pin(self.contract(input, *action, writes, claim, &mut outcome)).await
            }
        };
        outcome.error = result.err();
        outcome
    }

    /// Opening needs a live read of carriers and `SystemNamespace`, so that a stale leader does not open what
    /// was closed since.
    async fn open(
        &self,
        input: &Input,
        write: &PolicyWrite,
        claim: &Claim,
        outcome: &mut Outcome,
    ) -> Result<(), ApplyError> {
        let (carriers, system) = Box::pin(futures::future::try_join(
            self.live.carriers(),
            self.reads.system(&input.name),
        ))
        .await?;
        let fresh = self.refreshed(input, &carriers, system);
        let same = |step: &Option<Step>| matches!(step, Some(Step::Open(again)) if again == write);
        if !same(&plan::plan(&fresh).step) {
            return Err(ApplyError::Overtaken);
        }
        still_leading(claim, "opening")?;
        outcome
            .policies
            .push(self.policies.write(&input.name, write, false, claim).await?);
        Ok(())
    }

    /// Writes that take nothing away: the policies are read live, and each write is sent only if it is still
    /// planned.
    async fn stage(
        &self,
        input: &Input,
        writes: &[PolicyWrite],
        claim: &Claim,
        outcome: &mut Outcome,
    ) -> Result<(), ApplyError> {
        let policies = self.reads.policies(&input.name).await?;
        let mut fresh = input.clone();
        fresh.now = self.now();
        fresh
            .history
            .observe_all(policies.iter().map(|p| &**p), fresh.now);
        fresh.policies = policies;
        let Some(Step::Stage(planned)) = plan::plan(&fresh).step else {
            return Err(ApplyError::Overtaken);
        };
        for write in writes.iter().filter(|write| planned.contains(write)) {
            still_leading(claim, "staging")?;
            // Deletions rest on the allow-all that was just read, but nothing may slip in between.
            let written = self.policies.write(&input.name, write, true, claim).await?;
            outcome.policies.push(written);
        }
        Ok(())
    }

    /// Intent first, then live reads of all that the contract rests on, then the writes with preconditions.
    async fn contract(
        &self,
        input: &Input,
        action: Action,
        writes: &[PolicyWrite],
        claim: &Claim,
        outcome: &mut Outcome,
    ) -> Result<(), ApplyError> {
        still_leading(claim, "announcing a contract")?;
        self.announce(input, action, outcome).await?;
        let fresh = Box::pin(self.read_everything(input)).await?;
        let stored = fresh.cluster.config.stored;
        let planned = plan::plan(&fresh).step;
        let same =
            matches!(&planned, Some(Step::Contract { action: a, writes: w }) if *a == action && w == writes);
        if !same || !stored {
            return Err(ApplyError::Overtaken);
        }
        for write in writes {
            still_leading(claim, "a contract")?;
            match self.policies.write(&input.name, write, true, claim).await {
                Ok(written) => outcome.policies.push(written),
                Err(error) => {
                    outcome.uncertain = error.is_uncertain();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Stores the intent, unless the very same one is stored already.
    async fn announce(&self, input: &Input, action: Action, outcome: &mut Outcome) -> Result<(), ApplyError> {
        let Some(system) = &input.system else {
            return Err(ApplyError::Overtaken);
        };
        let writer = &input.cluster.writer;
        let term = i64::try_from(writer.term).unwrap_or(i64::MAX);
        let own = |i: &Intent| *i.holder == *writer.identity && i.term == term && i.action == action;
        if system.status.intent.as_ref().is_some_and(own) {
            return Ok(());
        }
        let epoch = system.status.epoch + 1;
        let intent = Intent {
            epoch,
            action,
            holder: writer.identity.to_string(),
            term,
        };
        let state = match action {
            Action::Close => State::Closing,
            Action::Narrow | Action::IsolateEgress => State::Updating,
            Action::Release => State::Releasing,
        };
        // From here on nobody may take what the status said before for the state of the namespace.
        let moving = Said::new(
            condition::PROGRESSING,
            true,
            state.as_str(),
            "a contract is announced",
        );
        let conditions = replaced(&system.status.conditions, &moving, system.generation, input.wall);
        let status = json!({"epoch": epoch, "intent": intent, "conditions": conditions});
        self.patch_status(&input.name, system, status, outcome).await
    }

    /// Moves the version of everything that an older contract could hit, then forgets that contract.
    async fn fence(
        &self,
        input: &Input,
        objects: &[(Arc<str>, Arc<str>)],
        claim: &Claim,
        outcome: &mut Outcome,
    ) -> Result<(), ApplyError> {
        let Some(system) = &input.system else {
            return Err(ApplyError::Overtaken);
        };
        let epoch = system.status.epoch + 1;
        for (name, uid) in objects {
            still_leading(claim, "a fence")?;
            self.policies.fence(&input.name, name, uid, epoch).await?;
        }
        // Something may have been created meanwhile, and something may have landed: the next plan sees it.
        still_leading(claim, "forgetting a contract")?;
        let status = json!({"epoch": epoch, "intent": null});
        self.patch_status(&input.name, system, status, outcome).await
    }

    async fn label(
        &self,
        input: &Input,
        change: &plan::LabelChange,
        claim: &Claim,
        outcome: &mut Outcome,
    ) -> Result<(), ApplyError> {
        let Some(system) = &input.system else {
            return Err(ApplyError::Overtaken);
        };
        let used = labels::in_use(&self.client, self.limit, &change.remove).await?;
        let change = change.keeping(&used);
        outcome.labels_in_use = used;
        // A label is on record from before it is set until after it is gone, so that a crash forgets none.
        let during = change.on_record();
        if during != system.status.labels {
            still_leading(claim, "recording labels")?;
            let record = json!({"labels": during});
            self.patch_status(&input.name, system, record, outcome).await?;
        }
        still_leading(claim, "labelling")?;
        labels::change(&self.client, self.limit, &input.name, &change).await?;
        if change.owned != during {
            still_leading(claim, "forgetting labels")?;
            let record = json!({"labels": change.owned});
            self.patch_status(&input.name, system, record, outcome).await?;
        }
        Ok(())
    }

    async fn create_system(
        &self,
        input: &Input,
        claim: &Claim,
        outcome: &mut Outcome,
    ) -> Result<(), ApplyError> {
        still_leading(claim, "creating a SystemNamespace")?;
        let what = format!("create systemnamespaces {}", input.name);
        let api = self.systems();
        let mut object = DynamicObject::new(&input.name, &resource(Kind::SystemNamespaces));
        object.data = json!({"spec": {}});
        let params = PostParams {
            field_manager: Some(names::FIELD_MANAGER.into()),
            ..PostParams::default()
        };
        fault::before();
        let made = within(self.limit, api.create(&params, &object)).await;
        fault::after();
        let made = made.map_err(ApplyError::request(what))?;
        outcome.system_version = made.resource_version();
        Ok(())
    }

    /// Writes the whole status of a `SystemNamespace`.
    pub async fn write_status(
        &self,
        name: &str,
        system: &SystemObject,
        status: &SystemNamespaceStatus,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let mut value = serde_json::to_value(status).unwrap_or_default();
        // What is absent has to be said in a merge patch.
        let fields = [
            "intent",
            "lineage",
            "source",
            "desiredMode",
            "effectiveMode",
            "expiredGeneration",
            "policies",
            "labels",
            "conditions",
            "policiesResourceVersion",
        ];
        for field in fields {
            if value.get(field).is_none() {
                value[field] = serde_json::Value::Null;
            }
        }
        outcome.error = self.patch_status(name, system, value, &mut outcome).await.err();
        outcome
    }

    async fn patch_status(
        &self,
        name: &str,
        system: &SystemObject,
        status: serde_json::Value,
        outcome: &mut Outcome,
    ) -> Result<(), ApplyError> {
        let what = format!("patch systemnamespaces/status {name}");
        // A status written from a stale view would undo an intent: the version must be the one that was seen.
        let version = outcome
            .system_version
            .as_deref()
            .unwrap_or(&system.resource_version);
        let body = json!({"metadata": {"uid": system.uid, "resourceVersion": version}, "status": status});
        let params = PatchParams {
            field_manager: Some(names::FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        fault::before();
        let made = within(
            self.limit,
            self.systems().patch_status(name, &params, &Patch::Merge(body)),
        )
        .await;
        fault::after();
        outcome.system_version = made.map_err(ApplyError::request(what))?.resource_version();
        Ok(())
    }

    fn systems(&self) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &resource(Kind::SystemNamespaces))
    }

    fn now(&self) -> Moment {
        self.epoch.elapsed()
    }

    /// The input as live reads tell it.
    async fn read_everything(&self, input: &Input) -> Result<Input, ApplyError> {
        let policies = self.reads.policies(&input.name);
        let pods = self.reads.pods(&input.name);
        let reads = futures::future::try_join5(
            self.live.carriers(),
            self.live.generations(),
            self.reads.system(&input.name),
            policies,
            pods,
        );
        let (carriers, generations, system, policies, pods) = Box::pin(reads).await?;
        if !rests_on(input, &generations) {
            return Err(ApplyError::Overtaken);
        }
        let mut fresh = self.refreshed(input, &carriers, system);
        fresh
            .history
            .observe_all(policies.iter().map(|p| &**p), fresh.now);
        fresh.policies = policies;
        let templates = input.pods.iter().filter(|m| m.pod.name.contains('/')).cloned();
        let live = pods
            .into_iter()
            .map(|(name, shape)| Member::new(&input.name, &name, &shape));
        fresh.pods = Arc::new(live.chain(templates).collect());
        Ok(fresh)
    }

    fn refreshed(
        &self,
        input: &Input,
        carriers: &crate::decide::Carriers,
        system: Option<Arc<SystemObject>>,
    ) -> Input {
        let remembered = input
            .cluster
            .config
            .carrier
            .clone()
            .map(|c| (input.cluster.config.applied, c));
        let config = config::resolve(carriers, remembered.as_ref());
        let mut fresh = input.clone();
        fresh.cluster = Arc::new(Cluster {
            config,
            ..(*input.cluster).clone()
        });
        fresh.system = system;
        fresh.now = self.now();
        fresh
    }
}

/// What is declared is what the plan was made from. With egress isolated every server that names the namespace as
/// a client counts, wherever it is declared.
fn rests_on(input: &Input, live: &Generations) -> bool {
    let egress = plan::View::new(input).decision() == Decision::Closed(Isolation::IngressAndEgress);
    let concerns = |((namespace, _), _): &(&(Arc<str>, Arc<str>), _)| egress || *namespace == input.name;
    let planned = input.cluster.generations.iter();
    planned.filter(concerns).eq(live.iter().filter(concerns))
}

pub(super) fn still_leading(claim: &Claim, before: &str) -> Result<(), ApplyError> {
    if claim.is_valid() {
        Ok(())
    } else {
        Err(ApplyError::NotLeading(before.to_owned()))
    }
}
