//! Carries out the next step of one bundle, as [`super::Executor`] does for one namespace.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bulkhead_api::{
    operand::{Operand, OperandIntent, OperandNetworkPolicyStatus},
    vocabulary as names,
};
use bulkhead_policy::Pod;
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{ApplyError, Outcome, fault, namespace::still_leading, policies::PolicyWriter, reads::Reads};
use crate::{
    observe::{
        Moment,
        operands::{OperandObject, excerpt, operand_object},
        watch::resource,
        world::{Kind, PodShape},
    },
    operands::{
        discover,
        plan::{self, Input, Step},
    },
    plan::{Member, PolicyWrite},
    runtime::{client::within, leadership::Claim},
};

/// Carries out steps of bundles.
pub struct OperandExecutor {
    client: Client,
    limit: Duration,
    reads: Reads,
    sequence: u32,
    /// When the process started: the zero of [`Moment`].
    epoch: std::time::Instant,
}

impl OperandExecutor {
    /// An executor whose requests each take at most `limit`.
    pub fn new(client: Client, limit: Duration, sequence: u32, epoch: std::time::Instant) -> Self {
        let reads = Reads {
            client: client.clone(),
            limit,
        };
        Self {
            client,
            limit,
            reads,
            sequence,
            epoch,
        }
    }

    /// Carries out one step as the leader that holds `claim`.
    pub async fn carry_out(&self, input: &Input, step: &Step, claim: &Claim) -> Outcome {
        let mut outcome = Outcome::default();
        let result = match step {
            Step::Fence { namespace, objects } => {
                self.fence(input, namespace, objects, claim, &mut outcome).await
            }
            Step::Stage { namespace, writes } => {
                self.stage(input, namespace, writes, claim, &mut outcome).await
            }
            Step::Contract { namespace, writes } => {
                Box::pin(self.contract(input, namespace, writes, claim, &mut outcome)).await
            }
        };
        outcome.error = result.err();
        outcome
    }

    /// Writes that take nothing away: our object and the policies are read live, and each write is sent only if
    /// it is still planned.
    async fn stage(
        &self,
        input: &Input,
        namespace: &Arc<str>,
        writes: &[PolicyWrite],
        claim: &Claim,
        outcome: &mut Outcome,
    ) -> Result<(), ApplyError> {
        let mut fresh = input.clone();
        fresh.object = self.object(input.operand).await?;
        if changed(input, &fresh) || (fresh.object.is_none() && !self.is_defined().await?) {
            return Err(ApplyError::Overtaken);
        }
        self.refresh_policies(&mut fresh, namespace).await?;
        let Some(Step::Stage { writes: planned, .. }) = plan::step_in(&fresh, namespace) else {
            return Err(ApplyError::Overtaken);
        };
        for write in writes.iter().filter(|write| planned.contains(write)) {
            still_leading(claim, "staging")?;
            let written = self
                .writer(input.operand)
                .write(namespace, write, true, claim)
                .await?;
            outcome.policies.push(written);
        }
        Ok(())
    }

    /// Intent first, then live reads of all that the contract rests on, then the writes with preconditions.
    async fn contract(
        &self,
        input: &Input,
        namespace: &Arc<str>,
        writes: &[PolicyWrite],
        claim: &Claim,
        outcome: &mut Outcome,
    ) -> Result<(), ApplyError> {
        still_leading(claim, "announcing a contract")?;
        self.announce(input, namespace, outcome).await?;
        let fresh = Box::pin(self.read_everything(input, namespace)).await?;
        let planned = plan::step_in(&fresh, namespace);
        let same = matches!(&planned, Some(Step::Contract { writes: w, .. }) if w == writes);
        if !same || changed(input, &fresh) || (fresh.object.is_none() && !self.is_defined().await?) {
            return Err(ApplyError::Overtaken);
        }
        for write in writes {
            still_leading(claim, "a contract")?;
            match self
                .writer(input.operand)
                .write(namespace, write, true, claim)
                .await
            {
                Ok(written) => outcome.policies.push(written),
                Err(error) => {
                    outcome.uncertain = error.is_uncertain();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Stores the intent, unless the very same one is stored already. A bundle whose object was deleted has
    /// nothing to store it in, and nothing that it allows any more.
    async fn announce(
        &self,
        input: &Input,
        namespace: &Arc<str>,
        outcome: &mut Outcome,
    ) -> Result<(), ApplyError> {
        let Some(object) = &input.object else {
            return Ok(());
        };
        let term = i64::try_from(input.writer.term).unwrap_or(i64::MAX);
        let intent = OperandIntent {
            epoch: object.status.epoch.unwrap_or_default() + 1,
            namespace: namespace.to_string(),
            holder: input.writer.identity.to_string(),
            term,
        };
        let stored = object.status.intent.as_ref();
        if stored
            .is_some_and(|i| i.namespace == intent.namespace && i.holder == intent.holder && i.term == term)
        {
            return Ok(());
        }
        let status = json!({"epoch": intent.epoch, "intent": intent});
        self.patch_status(input.operand, object, status, outcome).await
    }

    /// Moves the version of everything that an older contract could hit, then forgets that contract.
    async fn fence(
        &self,
        input: &Input,
        namespace: &Arc<str>,
        objects: &[(Arc<str>, Arc<str>)],
        claim: &Claim,
        outcome: &mut Outcome,
    ) -> Result<(), ApplyError> {
        let Some(object) = &input.object else {
            return Err(ApplyError::Overtaken);
        };
        let epoch = object.status.epoch.unwrap_or_default() + 1;
        for (name, uid) in objects {
            still_leading(claim, "a fence")?;
            self.writer(input.operand)
                .fence(namespace, name, uid, epoch)
                .await?;
        }
        still_leading(claim, "forgetting a contract")?;
        let status = json!({"epoch": epoch, "intent": null});
        self.patch_status(input.operand, object, status, outcome).await
    }

    /// Writes the whole status of a bundle, from the version that was seen.
    pub async fn write_status(
        &self,
        operand: Operand,
        object: &OperandObject,
        status: &OperandNetworkPolicyStatus,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let mut value = serde_json::to_value(status).unwrap_or_default();
        // What is absent has to be said in a merge patch.
        for field in [
            "intent",
            "namespaces",
            "policies",
            "components",
            "warnings",
            "conditions",
        ] {
            if value.get(field).is_none() {
                value[field] = Value::Null;
            }
        }
        outcome.error = self
            .patch_status(operand, object, value, &mut outcome)
            .await
            .err();
        outcome
    }

    async fn patch_status(
        &self,
        operand: Operand,
        object: &OperandObject,
        status: Value,
        outcome: &mut Outcome,
    ) -> Result<(), ApplyError> {
        let name = operand.object_name();
        let what = format!("patch operandnetworkpolicies/status {name}");
        let version = outcome
            .system_version
            .as_deref()
            .unwrap_or(&object.resource_version);
        let body = json!({"metadata": {"uid": object.uid, "resourceVersion": version}, "status": status});
        let params = PatchParams {
            field_manager: Some(names::FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        fault::before();
        let api =
            Api::<DynamicObject>::all_with(self.client.clone(), &resource(Kind::OperandNetworkPolicies));
        let made = within(self.limit, api.patch_status(name, &params, &Patch::Merge(body))).await;
        fault::after();
        outcome.system_version = made.map_err(ApplyError::request(what))?.resource_version();
        Ok(())
    }

    fn writer(&self, operand: Operand) -> PolicyWriter {
        PolicyWriter {
            client: self.client.clone(),
            limit: self.limit,
            sequence: self.sequence,
            bundle: Some(operand),
        }
    }

    fn now(&self) -> Moment {
        self.epoch.elapsed()
    }

    async fn object(&self, operand: Operand) -> Result<Option<Arc<OperandObject>>, ApplyError> {
        let object = self
            .reads
            .object(Kind::OperandNetworkPolicies, operand.object_name())
            .await?;
        Ok(object
            .as_ref()
            .and_then(operand_object)
            .map(|(_, object)| Arc::new(object)))
    }

    /// Our objects go with their definition, which is no wish to remove what they made: that takes a definition
    /// that stays.
    async fn is_defined(&self) -> Result<bool, ApplyError> {
        let name = format!(
            "{}.{}",
            Kind::OperandNetworkPolicies.plural(),
            bulkhead_api::GROUP
        );
        let definition = self.reads.object(Kind::CustomResourceDefinitions, &name).await?;
        Ok(definition.is_some_and(|d| d.metadata.deletion_timestamp.is_none()))
    }

    async fn refresh_policies(&self, fresh: &mut Input, namespace: &Arc<str>) -> Result<(), ApplyError> {
        let policies = self.reads.policies(namespace).await?;
        fresh.now = self.now();
        let place = fresh.places.entry(namespace.clone()).or_default();
        place
            .history
            .observe_all(policies.iter().map(|p| &**p), fresh.now);
        place.policies = policies;
        Ok(())
    }

    /// The input as live reads tell it: our object, what the operand's own objects say, policies and pods.
    async fn read_everything(&self, input: &Input, namespace: &Arc<str>) -> Result<Input, ApplyError> {
        let mut fresh = input.clone();
        fresh.object = self.object(input.operand).await?;
        let mut sources = (*input.sources).clone();
        for (kind, source) in discover::kinds_of(input.operand) {
            let found = self.reads.excerpts(*kind).await?;
            sources.objects.replace(*source, found);
        }
        fresh.sources = Arc::new(sources);
        if let Some(Ok(spec)) = fresh.object.as_ref().map(|o| &o.spec) {
            let mut bundle = fresh.sources.bundle(spec);
            // What was found in other namespaces is part of the bundle's warnings and is not read again.
            bundle.warnings.clone_from(&input.bundle.warnings);
            fresh.bundle = Arc::new(bundle);
        }
        let pods = self.reads.pods(namespace).await?;
        self.refresh_policies(&mut fresh, namespace).await?;
        let place = fresh.places.entry(namespace.clone()).or_default();
        let templates = place.pods.iter().filter(|p| p.name.contains('/')).cloned();
        place.pods = Arc::new(examples(namespace, pods).into_iter().chain(templates).collect());
        Ok(fresh)
    }
}

/// Somebody changed, deleted or replaced our object meanwhile.
fn changed(before: &Input, after: &Input) -> bool {
    let id = |input: &Input| input.object.as_ref().map(|o| (o.uid.clone(), o.generation));
    id(before) != id(after)
}

/// One pod of each look, by the name that comes first.
fn examples(namespace: &Arc<str>, pods: Vec<(String, PodShape)>) -> Vec<Pod> {
    let mut first: BTreeMap<String, PodShape> = BTreeMap::new();
    let mut sorted = pods;
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, shape) in sorted {
        if !shape.terminating && !first.values().any(|known| *known == shape) {
            first.insert(name, shape);
        }
    }
    first
        .iter()
        .map(|(name, shape)| Member::new(namespace, name, shape).pod)
        .collect()
}

impl Reads {
    /// What is kept of every object of a kind that tells of an operand; none if it is not served.
    async fn excerpts(&self, kind: Kind) -> Result<Vec<Value>, ApplyError> {
        let api = Api::<DynamicObject>::all_with(self.client.clone(), &resource(kind));
        match within(self.limit, api.list(&ListParams::default())).await {
            Ok(found) => Ok(found
                .items
                .iter()
                .map(|o| excerpt(kind, o).value().clone())
                .collect()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
            Err(error) => Err(ApplyError::request(format!("list {}", kind.plural()))(error)),
        }
    }
}
