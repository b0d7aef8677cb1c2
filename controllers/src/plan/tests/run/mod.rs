//! One history of a cluster: what administrators, other controllers, crashes and the operator do to it.

mod acts;
mod goal;
mod requests;

use bulkhead_api::{
    isolation::AppliedConfig,
    switch::{Isolation, Mode, NewNamespaces},
    vocabulary::condition,
};

pub use acts::Act;
pub use requests::Between;

use super::{
    brute::Universe,
    checker::{self, Checker, Goal, Switch},
    executor::{End, Request},
    model::Model,
    operator::Operator,
    shapes::{PodModel, SetModel},
};
use crate::{decide::config::Applied, observe::Moment, plan, report};

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
