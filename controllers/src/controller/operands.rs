//! Bundles: what is found of operands, what should stand of their policies, and the next step of each.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bulkhead_api::operand::{Enforcement, Operand, OperandNetworkPolicyStatus};

use super::{
    Controller, Done,
    bundles::{self, Decided},
    control::Control,
};
use crate::{
    apply::{OperandExecutor, Outcome},
    observe::{Moment, operands::OperandObject, world::Key},
    operands::{
        Bundle,
        plan::{self, Input, Plan, State, Step},
    },
    report::{
        self,
        metrics::{OperandPolicies, OperandReason},
    },
    runtime::leadership::Claim,
};

/// What is remembered of one bundle between steps. All of it may be lost at any time.
#[derive(Debug, Default)]
struct Memory {
    control: Control,
    /// The namespace of the last step.
    namespace: Option<Arc<str>>,
    /// When each policy was last written by us.
    written: BTreeMap<Key, Moment>,
    /// The last failure.
    error: Option<String>,
}

/// The part of the controller that keeps bundles.
pub struct Operands {
    executor: Arc<OperandExecutor>,
    memories: BTreeMap<Operand, Memory>,
    /// Namespaces that a bundle has policies in, or would have.
    interest: BTreeSet<Arc<str>>,
    /// Namespaces that are a bundle's and none of the switch's.
    bundled: BTreeSet<Arc<str>>,
    wakes: BTreeMap<Operand, Moment>,
    dirty: bool,
}

impl Operands {
    /// Nothing was seen yet.
    pub fn new(executor: OperandExecutor) -> Self {
        Self {
            executor: Arc::new(executor),
            memories: BTreeMap::new(),
            interest: BTreeSet::new(),
            bundled: BTreeSet::new(),
            wakes: BTreeMap::new(),
            dirty: true,
        }
    }

    /// Something happened in a namespace.
    pub fn touched(&mut self, namespace: &str) {
        self.dirty |= self.interest.contains(namespace);
    }

    /// Something happened that every bundle may depend on.
    pub fn touch(&mut self) {
        self.dirty = true;
    }

    /// When to look again.
    pub fn next_wake(&self) -> Option<Moment> {
        self.wakes.values().min().copied()
    }

    /// Whether a namespace is a bundle's.
    pub fn has(&self, namespace: &str) -> bool {
        self.bundled.contains(namespace)
    }

    /// Whether a change of a policy may be one of ours that was not seen yet.
    pub fn expects(&self, key: &Key) -> bool {
        self.memories
            .values()
            .any(|m| m.control.busy || m.written.contains_key(key))
    }

    /// Leadership began.
    pub fn restart(&mut self) {
        for memory in self.memories.values_mut() {
            memory.control.restart();
            memory.written.clear();
        }
        self.dirty = true;
    }
}

impl Controller {
    /// Plans every bundle that something happened to.
    pub(super) fn work_on_operands(&mut self, claim: &Claim, now: Moment) {
        let due = |at: &Moment| *at <= now;
        let woken = self.operands.wakes.values().any(due);
        if !std::mem::take(&mut self.operands.dirty) && !self.world.operands.take_changed() && !woken {
            return;
        }
        self.world.operands.take_changed();
        self.operands.wakes.retain(|_, at| !due(at));
        if bundles::is_pending(&self.world) {
            // Nothing is known yet, and nothing is said about that: a restart changes no status.
            self.operands.dirty = true;
            return;
        }
        let decided = bundles::decide(&self.world, &self.cluster, &self.settings);
        self.note_namespaces(&decided);
        let frozen = bundles::frozen(&self.world);
        for operand in Operand::ALL {
            self.consider_bundle(operand, &decided, frozen.as_deref(), claim, now);
        }
    }

    /// Which namespaces matter from now on, and which are none of the switch's.
    fn note_namespaces(&mut self, decided: &Decided) {
        let standing = self
            .world
            .operands
            .standing
            .iter()
            .map(|(namespace, _)| namespace.clone());
        let standing: BTreeSet<Arc<str>> = standing.collect();
        let named = |bundle: &Arc<Bundle>| bundle.namespaces();
        let mut interest = standing.clone();
        interest.extend(decided.bundles.values().flat_map(named));
        let enforced = decided.bundles.iter().filter(|(operand, _)| {
            let spec = self
                .world
                .operands
                .policies
                .get(operand)
                .and_then(|o| o.spec.as_ref().ok());
            spec.is_some_and(|s| s.enforcement.unwrap_or_default() == Enforcement::Enforce)
        });
        let mut bundled = standing;
        bundled.extend(enforced.flat_map(|(_, bundle)| bundle.namespaces()));
        bundled.remove(&self.settings.own_namespace);
        if let Some(csr) = &decided.facts.cert_manager.istio_csr {
            // Policies of others decide about its warning.
            interest.insert(csr.namespace.clone());
        }
        // What was or becomes a bundle's is planned anew by the switch.
        let moved = bundled.symmetric_difference(&self.operands.bundled).cloned();
        self.dirty.extend(moved.collect::<Vec<_>>());
        self.operands.interest = interest;
        self.operands.bundled = bundled;
    }

    fn consider_bundle(
        &mut self,
        operand: Operand,
        decided: &Decided,
        frozen: Option<&str>,
        claim: &Claim,
        now: Moment,
    ) {
        let Some(input) = self.operand_input(operand, decided, frozen, claim, now) else {
            self.operands.memories.remove(&operand);
            self.show_bundle(operand, None);
            return;
        };
        let memory = self.operands.memories.entry(operand).or_default();
        let state = memory
            .namespace
            .as_ref()
            .and_then(|name| self.world.namespaces.get(name));
        let record = input.object.as_ref().map(|o| o.resource_version.as_str());
        // A record that is gone will not arrive any more.
        let record = record.or(Some(LAST));
        if let Some(at) = memory.control.not_before_arrival(state, record, now) {
            self.operands.wakes.insert(operand, at);
            return;
        }
        let plan = plan::plan(&input);
        if let Some(wake) = plan.wake {
            self.operands.wakes.insert(operand, wake);
        }
        if let Some(step) = plan.step.clone() {
            self.start_operand(input, step, claim);
            return;
        }
        self.settle_bundle(operand, &input, plan, now);
    }

    /// Nothing can be done now: what is stored about the bundle should say so.
    fn settle_bundle(&mut self, operand: Operand, input: &Input, mut plan: Plan, now: Moment) {
        let memory = &self.operands.memories[&operand];
        let failing = memory.error.as_deref().filter(|_| memory.control.is_failing(now));
        let wall = jiff::Timestamp::now();
        let stored = input.object.as_ref().map(|o| &o.status);
        let mut status = report::operand::status(input, &plan, failing, wall);
        if plan.state == State::Settling {
            // After a restart every clock runs anew. What is as it was reported needs no other word.
            plan.state = State::AsExpected;
            let calm = report::operand::status(input, &plan, failing, wall);
            status = if calm.as_ref() == stored { calm } else { status };
        }
        self.show_bundle(operand, status.as_ref());
        if let (Some(object), Some(status)) = (&input.object, status)
            && status != object.status
        {
            self.store_bundle(operand, object.clone(), status);
        }
    }

    /// What the plan of a bundle rests on; `None` where there is nothing to keep and nothing to clean.
    fn operand_input(
        &self,
        operand: Operand,
        decided: &Decided,
        frozen: Option<&str>,
        claim: &Claim,
        now: Moment,
    ) -> Option<Input> {
        let object = self.world.operands.policies.get(&operand).cloned();
        let is_ours = |key: &&Key| {
            let policy = self
                .world
                .namespaces
                .get(&key.0)
                .and_then(|n| n.policies.get(&key.1));
            policy.is_some_and(|p| p.bundle == Some(operand))
        };
        let standing = self
            .world
            .operands
            .standing
            .iter()
            .filter(is_ours)
            .map(|key| key.0.clone());
        let standing: BTreeSet<Arc<str>> = standing.collect();
        if object.is_none() && standing.is_empty() {
            return None;
        }
        let bundle = decided.bundles.get(&operand).cloned().unwrap_or_else(|| {
            Arc::new(Bundle {
                operand,
                active: false,
                policies: Vec::new(),
                components: Vec::new(),
                warnings: Vec::new(),
            })
        });
        let names: BTreeSet<Arc<str>> = standing.into_iter().chain(bundle.namespaces()).collect();
        let places = names.into_iter().map(|name| {
            let place = bundles::place(&name, self.world.namespaces.get(&name));
            (name, place)
        });
        let memory = self.operands.memories.get(&operand);
        Some(Input {
            operand,
            object,
            sources: decided.sources.clone(),
            taken: decided
                .collisions
                .iter()
                .filter(|(second, _)| *second == operand)
                .map(|(_, policy)| policy.clone())
                .collect(),
            bundle,
            places: places.collect(),
            world: self.cluster.world.clone(),
            settle: self.settings.settle,
            now,
            writer: crate::plan::Writer {
                identity: self.settings.identity.clone(),
                term: claim.term,
            },
            uncertain: memory.is_some_and(|m| m.control.uncertain),
            written: memory.map(|m| m.written.clone()).unwrap_or_default(),
            frozen: frozen.map(Into::into),
            hold: self.cluster.config.hold.is_some(),
            sequence: self.cluster.sequence,
        })
    }

    fn start_operand(&mut self, input: Input, step: Step, claim: &Claim) {
        let operand = input.operand;
        tracing::debug!(bundle = operand.object_name(), ?step, "step");
        let memory = self.operands.memories.entry(operand).or_default();
        memory.control.busy = true;
        memory.namespace = Some(step.namespace().clone());
        if matches!(step, Step::Fence { .. }) {
            memory.control.uncertain = false;
        }
        let (executor, claim) = (self.operands.executor.clone(), claim.clone());
        self.workers.spawn(async move {
            let outcome = Box::pin(executor.carry_out(&input, &step, &claim)).await;
            Done::Operand { operand, outcome }
        });
    }

    fn store_bundle(
        &mut self,
        operand: Operand,
        object: Arc<OperandObject>,
        status: OperandNetworkPolicyStatus,
    ) {
        for note in report::operand::notes(&object.status, &status) {
            tracing::info!(
                bundle = operand.object_name(),
                reason = note.reason,
                message = note.message,
                "transition"
            );
            let own = self.settings.own_namespace.clone();
            self.publish(
                &note,
                "OperandNetworkPolicy",
                operand.object_name(),
                &own,
                Some(object.uid.clone()),
            );
        }
        let memory = self.operands.memories.entry(operand).or_default();
        memory.control.busy = true;
        let executor = self.operands.executor.clone();
        self.workers.spawn(async move {
            let outcome = executor.write_status(operand, &object, &status).await;
            Done::Operand { operand, outcome }
        });
    }

    /// Takes in what came of a step or a status.
    pub(super) fn finished_operand(&mut self, operand: Operand, outcome: &Outcome, now: Moment) {
        let memory = self.operands.memories.entry(operand).or_default();
        if let Some(error) = &outcome.error {
            if error.is_race() {
                tracing::debug!(bundle = operand.object_name(), %error, "planned again");
            } else {
                tracing::warn!(bundle = operand.object_name(), %error, "step failed");
                memory.error = Some(error.to_string());
                let reason = report::metrics::Reason { reason: "operand" };
                self.metrics.apply_failures.get_or_create(&reason).inc();
            }
        }
        let namespace = memory.namespace.clone();
        if let Some(namespace) = &namespace {
            for policy in &outcome.policies {
                memory
                    .written
                    .insert((namespace.clone(), policy.name.clone()), now);
            }
        }
        if let Some(at) = memory.control.finish(outcome, now) {
            self.operands.wakes.insert(operand, at);
        }
        if let Some(namespace) = &namespace {
            self.count_own(namespace, outcome);
        }
        self.operands.touch();
    }

    /// Shows what a bundle is in metrics; `None`: there is none.
    fn show_bundle(&self, operand: Operand, status: Option<&OperandNetworkPolicyStatus>) {
        let bundle = operand.object_name();
        let active = status.is_some_and(|s| {
            s.conditions
                .iter()
                .any(|c| c.type_ == bulkhead_api::vocabulary::condition::ACTIVE && c.status == "True")
        });
        let label = report::metrics::Bundle { bundle };
        self.metrics
            .operand_active
            .get_or_create(&label)
            .set(i64::from(active));
        for (state, text) in OperandPolicies::STATES {
            let count = status.map_or(0, |s| s.policies.iter().filter(|p| p.state == state).count());
            let label = OperandPolicies { bundle, state: text };
            self.metrics
                .operand_policies
                .get_or_create(&label)
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        for warning in status.into_iter().flat_map(|s| &s.warnings) {
            *counts.entry(&warning.reason).or_default() += 1;
        }
        for reason in OperandReason::ALL {
            let label = OperandReason { bundle, reason };
            match counts.get(reason) {
                Some(count) => drop(self.metrics.operand_warnings.get_or_create(&label).set(*count)),
                None => drop(self.metrics.operand_warnings.remove(&label)),
            }
        }
    }
}

/// Later than any resourceVersion.
const LAST: &str = "18446744073709551615";
