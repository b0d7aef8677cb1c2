//! Carries out steps against the model, write by write and read by read as `apply` does against the API
//! server. Before each of them something may come between.

use std::sync::Arc;

use bulkhead_api::{
    conditions::{Said, replaced},
    namespace::{Action, Intent},
    vocabulary::condition,
};
use serde_json::Value;

use super::{
    judge,
    model::Refused,
    operator::Operator,
    run::{Between, Run},
};
use crate::{
    apply::policies::body,
    observe::Moment,
    plan::{self, Input, LabelChange, PolicyWrite, Step},
};

/// Why a step ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Refused, overtaken, or not leading any more: planned again.
    Race,
    /// No answer: it may have been carried out, or may be some day.
    Uncertain,
    /// The process is gone.
    Crash,
}

/// A request for one policy, as it is sent.
#[derive(Clone, Debug)]
pub enum Request {
    Create(Value),
    Apply(Value),
    Delete {
        name: Arc<str>,
        uid: Arc<str>,
        version: Arc<str>,
    },
}

impl Request {
    fn new(write: &PolicyWrite, contract: bool, sequence: u32) -> Self {
        let namespace = super::brute::SUBJECT;
        match write {
            PolicyWrite::Create(target) => Self::Create(body(namespace, target, None, None, sequence)),
            PolicyWrite::Apply {
                uid,
                resource_version,
                target,
                sequence,
            } => {
                let version = contract.then_some(resource_version);
                Self::Apply(body(namespace, target, Some(uid), version, *sequence))
            }
            PolicyWrite::Delete {
                name,
                uid,
                resource_version,
            } => Self::Delete {
                name: name.clone(),
                uid: uid.clone(),
                version: resource_version.clone(),
            },
        }
    }

    pub fn name(&self) -> Arc<str> {
        match self {
            Self::Create(body) | Self::Apply(body) => body["metadata"]["name"].as_str().unwrap().into(),
            Self::Delete { name, .. } => name.clone(),
        }
    }
}

impl Run {
    /// Carries out one step of the leader.
    pub fn carry_out(&mut self, input: &Input, step: &Step) -> Result<(), End> {
        judge::assert_preconditions(step, &input.policies);
        match step {
            Step::Open(write) => self.open(input, write),
            Step::CreateSystemNamespace => {
                self.gate()?;
                race(self.model.create_system())
            }
            Step::Fence { objects } => self.fence(input, objects),
            Step::Label(change) => self.label(input, change),
            Step::Stage(writes) => self.stage(input, writes),
            Step::Contract { action, writes } => self.contract(input, *action, writes),
        }
    }

    fn gate(&mut self) -> Result<(), End> {
        match self.between(false) {
            Between::Nothing => Ok(()),
            Between::Crash => Err(End::Crash),
            // A read or a status write that gets no answer is simply tried again.
            Between::Lost => Err(End::Race),
        }
    }

    fn open(&mut self, input: &Input, write: &PolicyWrite) -> Result<(), End> {
        self.gate()?;
        let fresh = self.operator.refreshed(input, &self.model, self.now);
        if !matches!(plan::plan(&fresh).step, Some(Step::Open(again)) if again == *write) {
            return Err(End::Race);
        }
        self.write(write, false, None)
    }

    fn stage(&mut self, input: &Input, writes: &[PolicyWrite]) -> Result<(), End> {
        self.gate()?;
        let mut fresh = input.clone();
        Operator::with_policies(&mut fresh, &self.model, self.now);
        let Some(Step::Stage(planned)) = plan::plan(&fresh).step else {
            return Err(End::Race);
        };
        for write in writes.iter().filter(|w| planned.contains(w)) {
            self.assert_harmless = true;
            let written = self.write(write, true, None);
            self.assert_harmless = false;
            written?;
        }
        Ok(())
    }

    fn contract(&mut self, input: &Input, action: Action, writes: &[PolicyWrite]) -> Result<(), End> {
        self.announce(input, action)?;
        self.gate()?;
        let fresh = self.read_everything(input);
        let planned = plan::plan(&fresh).step;
        let same =
            matches!(&planned, Some(Step::Contract { action: a, writes: w }) if *a == action && w == writes);
        if !same || !fresh.cluster.config.stored {
            return Err(End::Race);
        }
        for write in writes {
            let system = self.model.system.clone();
            let intent = system.as_ref().and_then(|s| s.status.intent.as_ref());
            let ours = intent.is_some_and(|i| {
                *i.holder == *self.operator.identity
                    && i.term == i64::try_from(self.operator.term).unwrap()
                    && i.action == action
            });
            assert!(ours, "a contract without a stored intent: {write:?}, {intent:?}");
            self.contracts += 1;
            let epoch = system.map(|s| s.status.epoch);
            self.write(write, true, epoch)?;
        }
        Ok(())
    }

    fn announce(&mut self, input: &Input, action: Action) -> Result<(), End> {
        let Some(system) = &input.system else {
            return Err(End::Race);
        };
        let writer = &input.cluster.writer;
        let term = i64::try_from(writer.term).unwrap();
        let own = |i: &Intent| *i.holder == *writer.identity && i.term == term && i.action == action;
        if system.status.intent.as_ref().is_some_and(own) {
            return Ok(());
        }
        self.gate()?;
        let epoch = system.status.epoch + 1;
        let intent = Intent {
            epoch,
            action,
            holder: writer.identity.to_string(),
            term,
        };
        let moving = Said::new(
            condition::PROGRESSING,
            true,
            "Announced",
            "a contract is announced",
        );
        let conditions = replaced(&system.status.conditions, &moving, system.generation, input.wall);
        race(self.model.patch_status(&system.resource_version, |s| {
            (s.epoch, s.intent, s.conditions) = (epoch, Some(intent), conditions);
        }))
    }

    fn fence(&mut self, input: &Input, objects: &[(Arc<str>, Arc<str>)]) -> Result<(), End> {
        let Some(system) = &input.system else {
            return Err(End::Race);
        };
        self.operator.uncertain = false;
        let epoch = system.status.epoch + 1;
        for (name, uid) in objects {
            self.gate()?;
            let key = bulkhead_api::vocabulary::ANNOTATION_EPOCH;
            // An object that is gone, or another one by now, needs no fence.
            let _ = self.model.annotate(name, uid, key, &epoch.to_string());
        }
        self.gate()?;
        race(self.model.patch_status(&system.resource_version, |s| {
            (s.epoch, s.intent) = (epoch, None);
        }))
    }

    fn label(&mut self, input: &Input, change: &LabelChange) -> Result<(), End> {
        let Some(system) = &input.system else {
            return Err(End::Race);
        };
        self.gate()?;
        race(self.model.patch_status(&system.resource_version, |s| {
            s.labels.clone_from(&change.owned);
        }))?;
        self.gate()?;
        self.model.label(change);
        Ok(())
    }

    fn read_everything(&mut self, input: &Input) -> Input {
        let mut fresh = self.operator.refreshed(input, &self.model, self.now);
        Operator::with_policies(&mut fresh, &self.model, self.now);
        fresh.pods = super::shapes::members(&self.model.pods);
        fresh
    }

    /// One request. It may be answered, refused, or get no answer; then it may still arrive at any later moment.
    fn write(&mut self, write: &PolicyWrite, contract: bool, epoch: Option<i64>) -> Result<(), End> {
        let request = Request::new(write, contract, self.operator.sequence);
        match self.between(true) {
            Between::Nothing => {}
            Between::Crash => {
                self.limbo.push((request, epoch));
                return Err(End::Crash);
            }
            Between::Lost => {
                self.limbo.push((request, epoch));
                if epoch.is_some() {
                    self.operator.uncertain = true;
                }
                return Err(End::Uncertain);
            }
        }
        judge::assert_ours(&self.model, write);
        self.operator
            .written
            .insert(write.name().clone(), self.now_for_written());
        self.send(&request).map_err(|_| End::Race)
    }

    fn now_for_written(&self) -> Moment {
        self.now
    }
}

fn race(result: Result<impl Sized, Refused>) -> Result<(), End> {
    result.map(drop).map_err(|_| End::Race)
}
