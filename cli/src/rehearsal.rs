//! The operator's own planner, run to the end against objects in memory: what it would write, in which order,
//! and what each write means for connections according to the engine.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_api::namespace::Intent;
use bulkhead_api::vocabulary as names;
use bulkhead_controllers::decide::Target;
use bulkhead_controllers::observe::ObservedPolicy;
use bulkhead_controllers::observe::objects::SystemObject;
use bulkhead_controllers::plan::{self, Input, LabelChange, Plan, PolicyWrite, State, Step};
use bulkhead_controllers::report;
use bulkhead_policy::effect::effect_of_write;
use bulkhead_policy::{Effect, Labels, Pod, Window, Write, WriteEffect};
use serde::Serialize;

/// Steps after which a plan that does not come to rest is given up.
const MOST: usize = 500;

/// One step of the operator in one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// When, in seconds since the beginning, if nothing takes any time but waiting.
    pub after: u64,
    /// What is done.
    pub what: String,
    /// `Expand`, `Contract` or `Neutral`; absent for what is no write of a policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<&'static str>,
    /// Connections that are not allowed any more afterwards.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
    /// Connections that are allowed from then on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gained: Vec<String>,
}

/// The whole transition of one namespace.
#[derive(Clone, Debug, Serialize)]
pub struct Transition {
    /// The namespace.
    pub namespace: Arc<str>,
    /// Every step, in order.
    pub steps: Vec<Done>,
    /// The state that it comes to rest in.
    pub state: &'static str,
    /// Why it goes no further, where something stands in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<String>,
}

/// Plays the transition of one namespace to its end.
pub fn play(mut input: Input) -> Transition {
    // Everything that is stored now has been seen by everybody.
    let start = input.cluster.settle + Duration::from_secs(1);
    input.now = start;
    let mut stage = Stage {
        input,
        start,
        written: 0,
        steps: Vec::new(),
    };
    let last = stage.run();
    let blocked = last
        .blockers
        .as_ref()
        .filter(|b| last.state == State::Blocked && b.block())
        .map(|b| {
            let (reason, message) = b.verdict();
            format!("{reason}: {message}")
        });
    Transition {
        namespace: stage.input.name.clone(),
        steps: stage.steps,
        state: last.state.as_str(),
        blocked,
    }
}

struct Stage {
    input: Input,
    start: Duration,
    written: u64,
    steps: Vec<Done>,
}

impl Stage {
    fn run(&mut self) -> Plan {
        let mut last = plan::plan(&self.input);
        for _ in 0..MOST {
            let told = self.report(&last);
            match &last.step {
                Some(step) => self.carry_out(&step.clone()),
                None if told => {}
                None => match last
                    .wake
                    .filter(|at| *at > self.input.now && last.state.is_transition())
                {
                    Some(at) => self.wait(at),
                    None => return last,
                },
            }
            last = plan::plan(&self.input);
        }
        last
    }

    /// Stores the status as the operator would; tells whether that changed anything that plans look at.
    fn report(&mut self, plan: &Plan) -> bool {
        let Some(status) = report::namespace::status(&self.input, plan) else {
            return false;
        };
        let Some(system) = &self.input.system else {
            return false;
        };
        let matters = |s: &bulkhead_api::namespace::SystemNamespaceStatus| {
            (
                s.intent.clone(),
                s.desired_mode,
                s.effective_mode,
                s.policies.clone(),
                s.policies_resource_version.clone(),
            )
        };
        let changed = matters(&system.status) != matters(&status);
        self.input.system = Some(Arc::new(SystemObject {
            status,
            ..(**system).clone()
        }));
        changed
    }

    fn say(&mut self, what: String) {
        let after = self.input.now.saturating_sub(self.start).as_secs();
        self.steps.push(Done {
            after,
            what,
            effect: None,
            lost: Vec::new(),
            gained: Vec::new(),
        });
    }

    fn wait(&mut self, until: Duration) {
        let seconds = until.saturating_sub(self.input.now).as_secs_f64();
        self.say(format!(
            "wait {seconds:.0}s until everybody has seen the last change"
        ));
        self.input.now = until;
    }

    fn carry_out(&mut self, step: &Step) {
        match step {
            Step::CreateSystemNamespace => {
                self.say(format!("create SystemNamespace {}", self.input.name));
                self.input.system = Some(Arc::new(SystemObject {
                    uid: "planned".into(),
                    resource_version: "1".into(),
                    generation: 1,
                    spec: Ok(bulkhead_api::namespace::SystemNamespaceSpec::default()),
                    status: bulkhead_api::namespace::SystemNamespaceStatus::default(),
                }));
            }
            Step::Fence { objects } => {
                self.say(format!(
                    "fence {} policies against older writes that may still land",
                    objects.len()
                ));
                self.set_intent(None);
            }
            Step::Label(change) => self.label(change),
            Step::Open(write) => self.write(write),
            Step::Stage(writes) => self.write_all(writes),
            Step::Contract { action, writes } => {
                let writer = &self.input.cluster.writer;
                let intent = Intent {
                    epoch: 0,
                    action: *action,
                    holder: writer.identity.to_string(),
                    term: i64::try_from(writer.term).unwrap_or_default(),
                };
                self.set_intent(Some(intent));
                self.say(format!("store the intent to {}", intent_text(*action)));
                self.write_all(writes);
            }
        }
    }

    fn set_intent(&mut self, intent: Option<Intent>) {
        let Some(system) = &self.input.system else { return };
        let mut system = (**system).clone();
        system.status.epoch += 1;
        let epoch = system.status.epoch;
        system.status.intent = intent.map(|intent| Intent { epoch, ..intent });
        self.input.system = Some(Arc::new(system));
    }

    fn label(&mut self, change: &LabelChange) {
        let set = change.set.iter().map(|(key, value)| format!("{key}={value}"));
        let removed = change.remove.iter().map(|key| format!("{key}-"));
        let words: Vec<String> = set.chain(removed).collect();
        self.say(format!("label the namespace {}", words.join(" ")));
        if let Some(object) = &mut self.input.object {
            let kept = object
                .labels
                .iter()
                .filter(|(key, _)| !change.remove.iter().any(|r| r == key));
            let kept: Vec<(String, String)> = kept.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            object.labels = kept.into_iter().chain(change.set.clone()).collect::<Labels>();
        }
        if let Some(system) = &self.input.system {
            let mut system = (**system).clone();
            system.status.labels.clone_from(&change.owned);
            self.input.system = Some(Arc::new(system));
        }
    }

    fn write_all(&mut self, writes: &[PolicyWrite]) {
        for write in writes {
            self.write(write);
        }
    }

    fn write(&mut self, write: &PolicyWrite) {
        let name = write.name().clone();
        let stored = match write {
            PolicyWrite::Create(target) => Some(self.stored(target, None, self.input.cluster.sequence)),
            PolicyWrite::Apply {
                uid,
                target,
                sequence,
                ..
            } => Some(self.stored(target, Some(uid), *sequence)),
            PolicyWrite::Delete { .. } => None,
        };
        let effect = self.effect(&name, stored.as_ref());
        let verb = match write {
            PolicyWrite::Create(_) => "create",
            PolicyWrite::Apply { .. } => "update",
            PolicyWrite::Delete { .. } => "delete",
        };
        self.say(format!("{verb} NetworkPolicy {name}"));
        if let Some(done) = self.steps.last_mut() {
            tell(done, &effect, &self.input);
        }
        self.input.history.observe(&name, stored.as_ref(), self.input.now);
        self.input.policies.retain(|p| p.name != name);
        self.input.policies.extend(stored.map(Arc::new));
    }

    fn stored(&mut self, target: &Target, uid: Option<&Arc<str>>, sequence: u32) -> ObservedPolicy {
        self.written += 1;
        ObservedPolicy {
            name: target.policy.name.clone(),
            uid: uid
                .cloned()
                .unwrap_or_else(|| format!("planned-{}", self.written).into()),
            // Beyond every version that is stored now, as the next one of the API server would be.
            resource_version: (u64::MAX / 2 + self.written).to_string().into(),
            managed_by_us: true,
            bundle: None,
            owner: None,
            role: Some(target.role),
            format: names::FORMAT,
            sequence,
            hold: false,
            policy: target.policy.clone(),
            unreadable: false,
        }
    }

    /// What the write means for the pods that are there, everything before it being settled.
    fn effect(&self, name: &Arc<str>, stored: Option<&ObservedPolicy>) -> WriteEffect {
        let object = self.input.policies.iter().position(|p| p.name == *name);
        let window = Window::settled(self.input.policies.iter().map(|p| p.policy.clone()));
        let write = Write {
            object,
            version: stored.map(|p| p.policy.clone()),
        };
        effect_of_write(&self.input.cluster.world, &window, &write, &pods(&self.input))
    }
}

fn pods(input: &Input) -> Vec<Pod> {
    input.pods.iter().map(|member| member.pod.clone()).collect()
}

fn tell(done: &mut Done, effect: &WriteEffect, input: &Input) {
    done.effect = Some(match effect.effect() {
        Effect::Neutral => "Neutral",
        Effect::Expand => "Expand",
        Effect::Contract => "Contract",
    });
    let text = |change: &bulkhead_policy::Change| format!("{} {change}", input.pods[change.pod].pod.name);
    done.lost = effect.lost.iter().map(text).collect();
    done.gained = effect.gained.iter().map(text).collect();
}

fn intent_text(action: bulkhead_api::namespace::Action) -> &'static str {
    use bulkhead_api::namespace::Action;
    match action {
        Action::Close => "close",
        Action::Narrow => "narrow",
        Action::IsolateEgress => "isolate egress",
        Action::Release => "hand back",
    }
}
