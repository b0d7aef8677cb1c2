//! One history of a cluster: what administrators, other controllers, crashes and the operator do to it.

use std::sync::Arc;

use bulkhead_api::{
    isolation::{AppliedConfig, Hold, HoldState, ModeRemoval},
    namespace::{Adoption, EffectiveMode, Override, UndeclaredPods},
    switch::{
        Isolation, ManagementState, Mode, NewNamespaces, RestrictedOptions, SystemNamespaces,
        SystemNetworkPolicyConfig, UnrestrictedOptions,
    },
    vocabulary::{self as names, condition},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;

use super::{
    brute::{Side, Universe},
    checker::{self, Checker, Goal, Switch},
    executor::{End, Request},
    judge,
    model::{Model, Refused, foreign},
    operator::{Operator, wall},
    shapes::{PodModel, SetModel, pod_labels},
};
use crate::{
    decide::config::Applied,
    observe::Moment,
    plan::{self, State},
    report,
};

/// What may come between two requests of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    Nothing,
    Crash,
    /// The next request gets no answer.
    Lost,
}

/// What others do.
#[derive(Clone, Debug)]
pub enum Act {
    Mode(Switch),
    Hold(bool),
    Unmanaged(bool),
    Override(Option<(Mode, Option<u64>)>),
    Adoption(Option<Adoption>),
    Undeclared(UndeclaredPods),
    Pods(Vec<PodModel>),
    Set(Box<SetModel>),
    Upgrading(bool),
    /// Somebody else's policy appears or changes.
    Foreign(usize, Value),
    /// It goes.
    ForeignGone(usize),
    /// The n-th object of ours is deleted by somebody else.
    DeleteOurs(usize),
    /// The n-th object of ours is changed in place by somebody else.
    EditOurs(usize, Value),
    DeleteAll,
    Crash,
    LoseAnswer,
}

impl Act {
    fn is_foreign_write(&self) -> bool {
        matches!(
            self,
            Self::Foreign(..)
                | Self::ForeignGone(_)
                | Self::DeleteOurs(_)
                | Self::EditOurs(..)
                | Self::DeleteAll
        )
    }
}

/// One entry of a history.
#[derive(Clone, Debug)]
pub enum Event {
    Act(Act),
    /// Time passes.
    Wait(u64),
    /// The operator looks once, having seen so many more events; at the n-th request something comes between.
    Tick(usize, Option<(u16, Act)>),
    /// The operator works undisturbed for some ticks, time passing as it asks.
    Work(usize),
    /// The n-th request that got no answer arrives after all.
    Arrives(usize),
}

/// A history under way.
#[derive(Clone, Debug)]
pub struct Run {
    pub model: Model,
    pub operator: Operator,
    pub checker: Checker,
    pub now: Moment,
    pub limbo: Vec<(Request, Option<i64>)>,
    pub switch: Switch,
    pub assert_harmless: bool,
    /// Somebody wrote between the live read of this step and its writes. No precondition spans two objects, so
    /// what the step takes away now is not held against it.
    pub raced: bool,
    /// Contract writes so far.
    pub contracts: u64,
    /// What the operator's requests changed, in order.
    pub journal: Vec<String>,
    /// When.
    pub times: Vec<Moment>,
    injected: Option<(u16, Act)>,
    must_see: usize,
    settle: Moment,
    host_selectable: bool,
}

/// The settle time of the model.
pub const SETTLE: Moment = Moment::from_secs(30);

impl Run {
    pub fn new(set: SetModel, pods: Vec<PodModel>, host_selectable: bool) -> Self {
        let model = Model::new(set, pods);
        let operator = Operator::start(&model, 1, SETTLE, host_selectable, Moment::ZERO);
        let checker = Checker::new(Universe::new(host_selectable), SETTLE, &model);
        let mut run = Self {
            checker,
            operator,
            model,
            now: Moment::ZERO,
            limbo: Vec::new(),
            switch: Switch::default(),
            assert_harmless: false,
            raced: false,
            contracts: 0,
            journal: Vec::new(),
            times: Vec::new(),
            injected: None,
            must_see: 0,
            settle: SETTLE,
            host_selectable,
        };
        run.look("start");
        run
    }

    /// Plays one entry.
    pub fn play(&mut self, event: &Event) {
        match event {
            Event::Act(act) => {
                self.act(act);
            }
            Event::Wait(millis) => self.now += Moment::from_millis(*millis),
            Event::Tick(count, injected) => {
                self.injected.clone_from(injected);
                self.tick(*count);
                (self.injected, self.raced) = (None, false);
            }
            Event::Work(ticks) => {
                for _ in 0..*ticks {
                    if !self.tick_and_wait() {
                        break;
                    }
                }
            }
            Event::Arrives(at) => self.arrive(*at),
        }
        self.look("event");
    }

    /// Judges the stored revision.
    pub fn look(&mut self, after: &str) {
        let goal = checker::goal(&self.model, self.in_force(), self.now);
        self.checker.ask(goal, &self.model);
        let violations = self.checker.violations(&self.model, self.now);
        assert!(
            violations.is_empty(),
            "S1 after {after} at {:?}: {}\njournal: {:?}",
            self.now,
            violations.join("; "),
            self.journal
        );
    }

    /// The switch, or, where its mode went without a word, what was applied last.
    fn in_force(&self) -> Switch {
        if self.switch.mode.is_some() || self.switch.removal_meant {
            return self.switch;
        }
        let status = &self.model.carriers.isolation.as_ref().unwrap().status;
        let last = status.applied.as_ref().map(Applied::from).unwrap_or_default();
        Switch {
            mode: last.mode,
            isolation: last.isolation,
            new_namespaces: last.new_namespaces,
            removal_meant: false,
        }
    }

    /// Before each request of the operator; `writing`: after the live reads that it rests on.
    pub fn between(&mut self, writing: bool) -> Between {
        self.now += Moment::from_millis(10);
        match &mut self.injected {
            Some((0, _)) => {
                let (_, act) = self.injected.take().unwrap();
                match act {
                    Act::Crash => return Between::Crash,
                    Act::LoseAnswer => return Between::Lost,
                    act => {
                        self.raced |= writing && act.is_foreign_write();
                        self.act(&act);
                    }
                }
            }
            Some((count, _)) => *count -= 1,
            None => {}
        }
        Between::Nothing
    }

    /// A request of ours reaches the API server.
    pub fn send(&mut self, request: &Request) -> Result<(), Refused> {
        let name = request.name();
        let looks = 0..pod_labels().len();
        let before: Vec<_> = looks
            .flat_map(|l| Side::ALL.map(|s| (l, s, self.checker.denied_live(l, s))))
            .collect();
        let writes = self.model.writes;
        match request {
            Request::Create(body) => self.model.create(body, names::FIELD_MANAGER).map(drop),
            Request::Apply(body) => self.model.apply(body, names::FIELD_MANAGER).map(drop),
            Request::Delete { name, uid, version } => self.model.delete(name, Some(uid), Some(version)),
        }?;
        if self.model.writes == writes {
            return Ok(());
        }
        let verb = match request {
            Request::Create(_) => "create",
            Request::Apply(_) => "apply",
            Request::Delete { .. } => "delete",
        };
        self.journal.push(format!("{verb} {name}"));
        self.times.push(self.now);
        let (stored, now) = (self.model.policies.get(&name), self.now);
        if self.raced {
            self.checker.excuse(now, |c| c.stored(&name, stored, now));
        } else {
            self.checker.stored(&name, stored, now);
        }
        if self.assert_harmless && !self.raced {
            let present: Vec<usize> = self.model.pods.iter().map(|p| p.look).collect();
            for (look, side, before) in before {
                let lost = self.checker.denied_live(look, side) & !before;
                assert!(
                    lost == 0 || !present.contains(&look),
                    "{verb} {name} is planned as harmless and takes {} from {:?} {side:?}",
                    self.checker.universe.names(lost),
                    pod_labels()[look]
                );
            }
        }
        self.look(&format!("{verb} {name}"));
        Ok(())
    }

    fn arrive(&mut self, at: usize) {
        if self.limbo.is_empty() {
            return;
        }
        let (request, epoch) = self.limbo.remove(at % self.limbo.len());
        // A creation has no precondition that it could carry; those never outlive the claim.
        if matches!(request, Request::Create(_)) {
            return;
        }
        let status = self.model.system.as_ref().map(|s| s.status.clone());
        let over = epoch.is_some_and(|e| status.is_none_or(|s| s.intent.is_none() || s.epoch != e));
        let writes = self.model.writes;
        let result = self.send(&request);
        assert!(
            !over || result.is_err() || self.model.writes == writes,
            "a contract of an older epoch landed: {request:?}"
        );
    }

    /// Somebody acts.
    pub fn act(&mut self, act: &Act) {
        match act {
            Act::Crash => self.crash(),
            Act::LoseAnswer => {}
            Act::Foreign(n, spec) => {
                let name = format!("shipped-{n}");
                let body = foreign(&name, spec);
                self.foreign_write(&name, |m| {
                    let _ = m
                        .create(&body, "somebody")
                        .or_else(|_| m.apply(&body, "somebody"));
                });
            }
            Act::ForeignGone(n) => {
                let name = format!("shipped-{n}");
                self.foreign_write(&name, |m| {
                    let _ = m.delete(&name, None, None);
                });
            }
            Act::DeleteOurs(n) => {
                if let Some(name) = self.nth_of_ours(*n) {
                    self.foreign_write(&name, |m| {
                        let _ = m.delete(&name, None, None);
                    });
                }
            }
            Act::EditOurs(n, spec) => {
                if let Some(name) = self.nth_of_ours(*n) {
                    let mut body = foreign(&name, spec);
                    body["metadata"]["labels"] =
                        self.model.policies[&*name].object["metadata"]["labels"].clone();
                    self.foreign_write(&name, |m| {
                        let _ = m.apply(&body, "somebody");
                    });
                }
            }
            Act::DeleteAll => {
                let all: Vec<Arc<str>> = self.model.policies.keys().cloned().collect();
                for name in all {
                    self.foreign_write(&name, |m| {
                        let _ = m.delete(&name, None, None);
                    });
                }
            }
            other => self.administer(other),
        }
        self.look(&format!("{act:?}"));
    }

    fn nth_of_ours(&self, n: usize) -> Option<String> {
        let ours: Vec<_> = self.model.policies.iter().filter(|(_, p)| p.ours()).collect();
        let (name, _) = ours.get(n.checked_rem(ours.len())?)?;
        Some(name.to_string())
    }

    fn foreign_write(&mut self, name: &str, write: impl FnOnce(&mut Model)) {
        if self
            .model
            .policies
            .get(name)
            .is_some_and(super::model::Stored::ours)
        {
            self.checker.forget_older_set();
        }
        write(&mut self.model);
        self.checker.asked_at = self.model.events.len();
        let (stored, now) = (self.model.policies.get(name).cloned(), self.now);
        self.checker
            .excuse(now, |c| c.stored(&name.into(), stored.as_ref(), now));
    }

    fn administer(&mut self, act: &Act) {
        let (model, now) = (&mut self.model, self.now);
        match act {
            Act::Mode(switch) => {
                self.switch = *switch;
                model.edit_isolation(|spec| {
                    spec.system_network_policy = switch.mode.map(|mode| config_of(mode, *switch));
                    spec.mode_removal = switch.removal_meant.then_some(ModeRemoval::PlatformDecides);
                });
            }
            Act::Hold(on) => model.edit_isolation(|spec| {
                spec.hold = on.then(|| Hold {
                    state: HoldState::Open,
                    reason: "test".into(),
                });
            }),
            Act::Unmanaged(on) => {
                model.edit_system(|spec| spec.management_state = on.then_some(ManagementState::Unmanaged));
            }
            Act::Override(chosen) => model.edit_system(|spec| {
                spec.mode_override = chosen.map(|(mode, seconds)| Override {
                    mode,
                    reason: "test".into(),
                    expiration_time: seconds.map(|s| Time(wall(now + Moment::from_secs(s)))),
                });
            }),
            Act::Adoption(adoption) => model.edit_system(|spec| spec.adoption = *adoption),
            Act::Undeclared(policy) => model.edit_system(|spec| spec.undeclared_pods = Some(*policy)),
            Act::Pods(pods) => model.set_pods(pods.clone()),
            Act::Set(set) => model.set_set((**set).clone()),
            Act::Upgrading(on) => model.set_upgrading(*on),
            _ => {}
        }
    }

    /// The process dies; another one leads, knowing nothing.
    pub fn crash(&mut self) {
        let term = self.operator.term + 1;
        self.operator = Operator::start(&self.model, term, self.settle, self.host_selectable, self.now);
        self.must_see = 0;
    }

    /// The operator looks once. True if it did anything.
    pub fn tick(&mut self, count: usize) -> Option<plan::Plan> {
        let own = self.must_see.saturating_sub(self.operator.seen);
        self.operator.deliver(&self.model, count.max(own), self.now);
        if self.summarise() {
            return None;
        }
        let input = self.operator.input(self.now);
        let plan = plan::plan(&input);
        if self.checker.goal() == Goal::Untouched && self.operator.seen >= self.checker.asked_at {
            assert_eq!(plan.step, None, "a write in an unmanaged namespace");
        }
        let result = match &plan.step {
            Some(step) => self.carry_out(&input, step),
            None => self.settle_status(&input, &plan),
        };
        self.must_see = self.model.events.len();
        if result == Err(End::Crash) {
            self.crash();
        }
        Some(plan)
    }

    /// Stores the configuration in force, as the summary does. True if there was something to store.
    fn summarise(&mut self) -> bool {
        let cluster = self.operator.input(self.now).cluster.clone();
        let isolation = self.model.carriers.isolation.as_ref().unwrap();
        let mut status = isolation.status.clone();
        status.applied = Some(AppliedConfig::from(cluster.config.applied));
        status.carrier.clone_from(&cluster.config.carrier);
        if status == isolation.status || !self.operator.knows_isolation(isolation) {
            return false;
        }
        self.model.report(status);
        self.must_see = self.model.events.len();
        true
    }

    fn settle_status(&mut self, input: &plan::Input, plan: &plan::Plan) -> Result<(), End> {
        let Some(system) = input.system.clone() else {
            return Ok(());
        };
        let Some(status) = report::namespace::status(input, plan) else {
            return Ok(());
        };
        let progressing = status
            .conditions
            .iter()
            .find(|c| c.type_ == condition::PROGRESSING);
        let done = progressing.is_some_and(|c| c.reason == "AsExpected" || c.reason == "Preserved")
            && status.intent.is_none();
        let effective = status.effective_mode;
        if status != system.status {
            match self.between(false) {
                Between::Nothing => {}
                Between::Crash => return Err(End::Crash),
                Between::Lost => return Err(End::Race),
            }
            let written = self.model.patch_status(&system.resource_version, |s| *s = status);
            written.map_err(|_| End::Race)?;
        }
        // Where the declaration is gone, whatever stood last stays, and nobody says what that is.
        let known = self.model.set.declares() || !matches!(self.checker.goal(), Goal::Closed(_));
        if done && known && self.operator.seen >= self.checker.asked_at {
            self.checker.confirm(effective);
        }
        self.look("status");
        Ok(())
    }

    /// One undisturbed look; time passes as the plan asks. False when nothing is left to do.
    pub fn tick_and_wait(&mut self) -> bool {
        let before = self.model.writes;
        let plan = self.tick(usize::MAX);
        let tried = plan.as_ref().is_some_and(|p| p.step.is_some());
        if tried || self.model.writes != before || self.operator.seen < self.model.events.len() {
            self.now += Moment::from_millis(100);
            return true;
        }
        let Some(wake) = plan.and_then(|p| p.wake) else {
            return false;
        };
        self.now = wake.max(self.now + Moment::from_millis(1));
        true
    }

    /// Lets the operator work; before its n-th request from now on something comes between. False if it needed
    /// fewer requests.
    pub fn work_with(&mut self, at: u16, act: Act) -> bool {
        self.injected = Some((at, act));
        for _ in 0..400 {
            let (before, fired) = (self.raced, self.injected.is_none());
            let more = self.tick_and_wait();
            self.raced = before && !fired;
            if fired || !more {
                break;
            }
        }
        let fired = self.injected.is_none();
        (self.injected, self.raced) = (None, false);
        self.look("work");
        fired
    }

    /// Lets the operator work until nothing is left to do, within a bound.
    pub fn converge(&mut self) -> plan::Plan {
        self.injected = None;
        for _ in 0..400 {
            if !self.tick_and_wait() {
                let plan = plan::plan(&self.operator.input(self.now));
                assert_eq!(plan.step, None, "a settled state plans something");
                return plan;
            }
        }
        let plan = plan::plan(&self.operator.input(self.now));
        panic!("no end in sight: {plan:?}\njournal: {:?}", self.journal);
    }

    /// After faults have stopped: the goal is reached and stays, without a further write.
    pub fn assert_reached(&mut self) {
        self.converge();
        // Every override of these histories has expired by then.
        self.now += SETTLE * 10;
        let plan = self.converge();
        let writes = self.model.writes;
        self.now += SETTLE * 3;
        self.converge();
        assert_eq!(self.model.writes, writes, "writes in a settled state");
        self.look("rest");
        self.assert_goal(&plan);
    }

    fn assert_goal(&self, plan: &plan::Plan) {
        let goal = self.checker.goal();
        let status = self
            .model
            .system
            .as_ref()
            .map(|s| s.status.clone())
            .unwrap_or_default();
        if goal != Goal::Untouched {
            assert_eq!(
                status.intent, None,
                "an intent is left over: {plan:?}, {:?}",
                self.journal
            );
        }
        let at = format!(
            "goal {goal:?}, state {:?}, journal {:?}",
            plan.state, self.journal
        );
        match goal {
            Goal::Untouched => {}
            Goal::Theirs => assert!(
                !self.model.policies.values().any(super::model::Stored::ours) || self.may_block(plan),
                "{at}"
            ),
            Goal::Open => {
                for look in 0..pod_labels().len() {
                    for side in Side::ALL {
                        assert_eq!(self.checker.denied_live(look, side), 0, "still closed: {at}");
                    }
                }
                assert_eq!(status.effective_mode, Some(EffectiveMode::Unrestricted), "{at}");
            }
            Goal::Closed(isolation) => self.assert_closed(isolation, plan, status.effective_mode, &at),
        }
    }

    fn assert_closed(
        &self,
        isolation: Isolation,
        plan: &plan::Plan,
        effective: Option<EffectiveMode>,
        at: &str,
    ) {
        if self.may_block(plan) {
            return;
        }
        if !self.model.set.declares() {
            return;
        }
        let closed = matches!(
            effective,
            Some(EffectiveMode::Restricted | EffectiveMode::PartlyRestricted)
        );
        assert!(closed, "{effective:?}: {at}");
        if isolation == Isolation::Ingress {
            judge::assert_no_egress(&self.model);
        }
        for look in 0..pod_labels().len() {
            let declared = self.checker.declared(look, Side::Ingress);
            let allowed = self.checker.allowed_by_ours(look, Side::Ingress);
            if self.host_selectable {
                assert_eq!(allowed & !declared, 0, "{:?}: {at}", pod_labels()[look]);
            }
            assert_eq!(allowed & declared, declared, "{at}");
            if isolation == Isolation::IngressAndEgress {
                let declared = self.checker.declared(look, Side::Egress);
                assert_eq!(
                    self.checker.allowed_by_ours(look, Side::Egress) & declared,
                    declared,
                    "{at}"
                );
            }
        }
    }

    /// Whether there is a reason to be blocked, for a plan that says it is.
    fn may_block(&self, plan: &plan::Plan) -> bool {
        if plan.state == State::Updating {
            let wide = self.model.upgrading || self.model.pods.iter().any(|p| !p.terminating);
            return wide;
        }
        if plan.state != State::Blocked {
            return false;
        }
        let stray = self
            .model
            .pods
            .iter()
            .any(|p| !p.terminating && !self.is_declared(p.look));
        let foreign = self.model.policies.values().any(|p| !p.ours());
        assert!(
            stray || foreign || self.model.set.unreadable,
            "blocked for no reason: {:?}",
            plan.blockers
        );
        true
    }

    fn is_declared(&self, look: usize) -> bool {
        let entry = self.model.set.entry.as_ref();
        entry.is_some_and(|e| {
            e.servers.iter().any(|s| {
                let selector =
                    serde_json::from_value(serde_json::to_value(&s.pod_selector).unwrap()).unwrap();
                super::brute::selects(&selector, &pod_labels()[look])
            })
        })
    }
}

fn config_of(mode: Mode, switch: Switch) -> SystemNetworkPolicyConfig {
    let restricted = (mode == Mode::Restricted).then_some(RestrictedOptions {
        isolation: Some(switch.isolation),
    });
    let unrestricted = (mode == Mode::Unrestricted).then_some(UnrestrictedOptions {
        new_namespaces: Some(switch.new_namespaces),
    });
    SystemNetworkPolicyConfig {
        system_namespaces: Some(SystemNamespaces {
            mode,
            restricted,
            unrestricted,
        }),
    }
}

/// A switch with a mode and defaults.
pub fn switch(mode: Option<Mode>) -> Switch {
    Switch {
        mode,
        isolation: Isolation::Ingress,
        new_namespaces: NewNamespaces::Restricted,
        removal_meant: false,
    }
}
