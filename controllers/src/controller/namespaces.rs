//! One namespace at a time: its plan, the step that a worker carries out, and what came of it.

use std::sync::Arc;

use super::{
    Controller, Done,
    control::{self, Control},
    snapshot,
};
use crate::{
    apply::Outcome,
    observe::Moment,
    plan::{self, Input, Plan, Step},
    report,
    runtime::leadership::Claim,
};

impl Controller {
    pub(super) fn consider(&mut self, name: &Arc<str>, claim: &Claim, now: Moment) {
        let Some(state) = self.world.namespaces.get(name) else {
            self.controls.remove(name);
            self.report_soon();
            return;
        };
        let catalogued = self.settings.catalog.entries.contains_key(&**name);
        if !control::is_interesting(name, state, catalogued) {
            self.controls.remove(name);
            return;
        }
        let control = self.controls.entry(name.clone()).or_default();
        if let Some(at) = control.not_before(Some(state), now) {
            self.wakes.insert((at, name.clone()));
            return;
        }
        let input = self.input(name, now);
        let plan = plan::plan(&input);
        self.announce_expiry(name, &input);
        if let Some(wake) = plan.wake {
            self.wakes.insert((wake, name.clone()));
        }
        let recorded = match &plan.step {
            Some(step) => {
                self.start(name, input, step.clone(), claim);
                false
            }
            None => self.settle_status(name, &input, &plan),
        };
        self.summarise(name, &plan, recorded, now);
    }

    fn input(&mut self, name: &Arc<str>, now: Moment) -> Input {
        let expected = self
            .declarations
            .expected(name, &self.world, &self.settings, &self.cluster.platform);
        // Only its own namespace waits for the others.
        let others_closed = *name != self.settings.own_namespace || self.others_closed();
        let state = &self.world.namespaces[name];
        let control = self.controls.get(name);
        Input {
            cluster: self.cluster.clone(),
            name: name.clone(),
            now,
            wall: jiff::Timestamp::now(),
            object: state.object.clone(),
            first_seen: state.first_seen,
            system: state.system.clone(),
            expected,
            policies: state.policies.values().cloned().collect(),
            history: state.history.clone(),
            pods: Arc::new(snapshot::members(name, state)),
            bundled: self.operands.has(name),
            uncertain: control.is_some_and(|c| c.uncertain),
            others_closed,
            written: control.map(|c| c.written.clone()).unwrap_or_default(),
        }
    }

    fn others_closed(&self) -> bool {
        let own = &self.settings.own_namespace;
        let closing = |control: &Control| {
            control.summary.is_some_and(|s| {
                matches!(s.decision, crate::decide::Decision::Closed(_)) && s.state.is_transition()
            })
        };
        !self
            .controls
            .iter()
            .any(|(name, control)| name != own && closing(control))
    }

    fn start(&mut self, name: &Arc<str>, input: Input, step: Step, claim: &Claim) {
        tracing::debug!(namespace = %name, ?step, "step");
        let control = self.controls.entry(name.clone()).or_default();
        control.busy = true;
        if matches!(step, Step::Fence { .. }) {
            control.uncertain = false;
        }
        self.steps_in_flight += 1;
        let (executor, claim, name) = (self.executor.clone(), claim.clone(), name.clone());
        self.workers.spawn(async move {
            let kind = kind_of(&step);
            let outcome = Box::pin(executor.carry_out(&input, &step, &claim)).await;
            Done::Step { name, kind, outcome }
        });
    }

    /// Nothing is left to do: what is stored about the namespace should say so. Returns whether the mode that
    /// is stored is the one that it has.
    fn settle_status(&mut self, name: &Arc<str>, input: &Input, plan: &Plan) -> bool {
        let Some(system) = input.system.clone() else {
            return true;
        };
        let Some(status) = report::namespace::status(input, plan) else {
            return true;
        };
        if status == system.status {
            return true;
        }
        let recorded = status.effective_mode == system.status.effective_mode;
        self.tell(name, &system, &status);
        self.controls.entry(name.clone()).or_default().busy = true;
        self.steps_in_flight += 1;
        let (executor, name) = (self.executor.clone(), name.clone());
        self.workers.spawn(async move {
            let outcome = executor.write_status(&name, &system, &status).await;
            Done::Status { name, outcome }
        });
        recorded
    }

    pub(super) fn close_step(&mut self, name: &Arc<str>, kind: &'static str, outcome: &Outcome, now: Moment) {
        if let Some(error) = &outcome.error {
            if error.is_race() {
                tracing::debug!(namespace = %name, step = kind, %error, "planned again");
            } else {
                tracing::warn!(namespace = %name, step = kind, %error, "step failed");
                self.metrics
                    .apply_failures
                    .get_or_create(&report::metrics::Reason { reason: kind })
                    .inc();
            }
        }
        if !outcome.labels_in_use.is_empty() {
            let mut cluster = (*self.cluster).clone();
            let keys = outcome.labels_in_use.iter().map(|key| Arc::from(key.as_str()));
            cluster.used_label_keys = Arc::new(cluster.used_label_keys.iter().cloned().chain(keys).collect());
            self.cluster = Arc::new(cluster);
        }
        let control = self.controls.entry(name.clone()).or_default();
        if let Some(at) = control.finish(outcome, now) {
            self.wakes.insert((at, name.clone()));
        }
        self.dirty.insert(name.clone());
    }
}

fn kind_of(step: &Step) -> &'static str {
    match step {
        Step::Open(_) => "open",
        Step::CreateSystemNamespace => "create",
        Step::Fence { .. } => "fence",
        Step::Label(_) => "label",
        Step::Stage(_) => "stage",
        Step::Contract { .. } => "contract",
    }
}
