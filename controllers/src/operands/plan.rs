//! From what stands of a bundle and what should stand to its next step. Pure: time is part of the input.
//!
//! As for system namespaces, one step is planned at a time from what is stored, and nothing else is remembered.
//! What takes nothing away is done at once; anything else waits until everybody has seen what stands, is announced
//! in the status and planned again from live reads.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bulkhead_api::{
    Catalog,
    operand::{Operand, OperandIntent, OperandNetworkPolicySpec},
};
use bulkhead_policy::{
    Direction, Pod, Policy, World, Write,
    effect::{self, Window, effect_of_write},
};

use super::{
    Bundle, BundlePolicy, Context, Objects, Role, Warning, bundles, discover,
    foreign::{self, Foreign},
    order::{self, Standing},
    uncovered,
};
use crate::{
    decide::{Platform, Role as Purpose, Target, render},
    observe::{History, Moment, ObservedPolicy, history::engine_window, operands::OperandObject},
    plan::{PolicyWrite, Writer},
};

/// How long an object is left alone after it was written, so that a fight with somebody else stays slow.
const DAMPING: Duration = Duration::from_secs(1);

/// A namespace of a bundle as it stands.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// It exists and is not being deleted.
    pub writable: bool,
    /// Its policies, those of others included.
    pub policies: Vec<Arc<ObservedPolicy>>,
    /// Their versions over time.
    pub history: History,
    /// Its pods, and what its workloads will make.
    pub pods: Arc<Vec<Pod>>,
}

/// What bundles are made from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Objects of operands and of the platform.
    pub objects: Objects,
    /// What the cluster is like.
    pub platform: Platform,
    /// Policy groups that clients may name.
    pub catalog: Arc<Catalog>,
}

impl Sources {
    /// The bundle of a spec.
    pub fn bundle(&self, spec: &OperandNetworkPolicySpec) -> Bundle {
        let facts = discover(&self.objects, &self.platform);
        bundles::build(Context {
            facts: &facts,
            spec,
            catalog: &self.catalog,
        })
    }
}

/// Everything that the plan of one bundle rests on.
#[derive(Clone, Debug)]
pub struct Input {
    /// Whose bundle it is.
    pub operand: Operand,
    /// The object; `None`: it was deleted, and everything that it made has to go.
    pub object: Option<Arc<OperandObject>>,
    /// What the bundle is made from.
    pub sources: Arc<Sources>,
    /// What should stand.
    pub bundle: Arc<Bundle>,
    /// Policies of the bundle that another bundle makes already.
    pub taken: Vec<Arc<Policy>>,
    /// Every namespace that it has policies in, or should have.
    pub places: BTreeMap<Arc<str>, Place>,
    /// How policies are read.
    pub world: Arc<World>,
    /// How long everybody may take to see a change.
    pub settle: Duration,
    /// Now.
    pub now: Moment,
    /// Who plans.
    pub writer: Writer,
    /// A write that may have taken something away got no answer.
    pub uncertain: bool,
    /// When each policy was last written by us.
    pub written: BTreeMap<(Arc<str>, Arc<str>), Moment>,
    /// Why nothing may be decided.
    pub frozen: Option<String>,
    /// The emergency hold: everything opens and nothing is taken away.
    pub hold: bool,
    /// Sequence to record.
    pub sequence: u32,
}

impl Input {
    /// What the administrator wants; what a bundle without an object wants is nothing.
    pub fn spec(&self) -> Option<&OperandNetworkPolicySpec> {
        self.object.as_ref()?.spec.as_ref().ok()
    }

    /// What should stand; `None`: nothing may be written.
    fn wanted(&self) -> Option<Vec<Standing>> {
        let Some(object) = &self.object else {
            return Some(Vec::new());
        };
        order::wanted(&self.bundle, object.spec.as_ref().ok()?)
    }

    /// Whether an intent is that of this leader in this term.
    pub fn is_own_intent(&self, intent: &OperandIntent) -> bool {
        let term = i64::try_from(self.writer.term).unwrap_or(i64::MAX);
        intent.holder == *self.writer.identity && intent.term == term
    }

    /// Whether a policy stands for this bundle: it is ours, and carries its label or the name of one of its
    /// policies and no other label.
    pub fn is_own(&self, policy: &ObservedPolicy) -> bool {
        let named = || {
            let mut all = self.bundle.policies();
            all.any(|p| p.name == policy.name && p.namespace == policy.policy.namespace)
        };
        policy.managed_by_us
            && match policy.bundle {
                Some(bundle) => bundle == self.operand,
                None => named(),
            }
    }
}

/// The next step of a bundle.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Move the version of every object that an older contract could hit, then forget that contract.
    Fence {
        /// The namespace.
        namespace: Arc<str>,
        /// Name and uid of each object.
        objects: Vec<(Arc<str>, Arc<str>)>,
    },
    /// Writes that take no connection away.
    Stage {
        /// The namespace.
        namespace: Arc<str>,
        /// The writes.
        writes: Vec<PolicyWrite>,
    },
    /// Writes that may take connections away.
    Contract {
        /// The namespace.
        namespace: Arc<str>,
        /// The writes.
        writes: Vec<PolicyWrite>,
    },
}

impl Step {
    /// The namespace that it is about.
    pub fn namespace(&self) -> &Arc<str> {
        match self {
            Self::Fence { namespace, .. }
            | Self::Stage { namespace, .. }
            | Self::Contract { namespace, .. } => namespace,
        }
    }
}

/// How far a bundle is from what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It is what it should be.
    AsExpected,
    /// Writes are under way.
    Writing,
    /// Everybody has to see the last change first.
    Settling,
    /// A policy of somebody else takes away what the bundle needs, so nothing more is isolated.
    Held,
    /// A namespace does not exist.
    NamespaceMissing,
    /// The emergency hold is set: everything is open.
    HoldOpen,
    /// Nothing is written, because something is unknown.
    Frozen,
}

/// A policy of the bundle whose name is not free.
#[derive(Clone, Debug, PartialEq)]
pub struct Occupied {
    /// The policy.
    pub policy: Arc<Policy>,
    /// By whom, and what that means.
    pub by: Foreign,
}

/// What to do next for a bundle, and what there is to say about it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How far it is.
    pub state: State,
    /// What to do next, if anything.
    pub step: Option<Step>,
    /// When to look again without a change.
    pub wake: Option<Moment>,
    /// Names that are not free.
    pub occupied: Vec<Occupied>,
    /// What needs attention.
    pub warnings: Vec<Warning>,
}

/// Plans the next step.
pub fn plan(input: &Input) -> Plan {
    let mut plan = Plan {
        state: State::AsExpected,
        step: None,
        wake: None,
        occupied: occupied(input),
        warnings: warnings(input),
    };
    if input.frozen.is_some() {
        plan.state = State::Frozen;
        return plan;
    }
    let Some(wanted) = input.wanted() else { return plan };
    if input.hold {
        hold(input, &mut plan);
        return plan;
    }
    if let Some(step) = fence(input) {
        plan.state = State::Writing;
        plan.step = Some(step);
        return plan;
    }
    for (name, place) in &input.places {
        // Where the hold could not be stored centrally, each policy that opens carries it.
        if place.policies.iter().any(|p| p.hold && input.is_own(p)) {
            plan.state = State::HoldOpen;
            plan.step = plan.step.take().or_else(|| opening(input, name, place));
            continue;
        }
        let next = Planner::new(input, &plan.occupied, &plan.warnings, name, place, &wanted).next();
        plan.state = plan.state.max(next.state);
        plan.step = plan.step.or(next.step);
        plan.wake = [plan.wake, next.wake].into_iter().flatten().min();
    }
    if plan.step.is_some() {
        plan.state = State::Writing;
    }
    plan
}

/// In an emergency the temporary allow-all stands wherever something of the bundle stands, and stays.
fn hold(input: &Input, plan: &mut Plan) {
    plan.state = State::HoldOpen;
    for (name, place) in &input.places {
        plan.step = plan.step.take().or_else(|| opening(input, name, place));
    }
}

fn opening(input: &Input, name: &Arc<str>, place: &Place) -> Option<Step> {
    let shield = order::shield_name(input.operand);
    let mut own = place.policies.iter().filter(|p| input.is_own(p)).peekable();
    own.peek()?;
    let planner = Planner::new(input, &[], &[], name, place, &[]);
    let open = render::allow_all(name, &shield).policy;
    let stands = own.any(|p| p.policy == open);
    if stands || !place.writable || planner.is_squatted() {
        return None;
    }
    let stage = |namespace, writes| Step::Stage { namespace, writes };
    planner.write(&[effect::Step::put(open)], stage).step
}

/// The step of one namespace, whatever there is to do in others.
pub fn step_in(input: &Input, namespace: &Arc<str>) -> Option<Step> {
    let (wanted, place) = (input.wanted()?, input.places.get(namespace)?);
    if input.hold || place.policies.iter().any(|p| p.hold && input.is_own(p)) {
        return opening(input, namespace, place);
    }
    let (occupied, warnings) = (occupied(input), warnings(input));
    Planner::new(input, &occupied, &warnings, namespace, place, &wanted)
        .next()
        .step
}

/// What needs attention: what the bundle noticed, pods that a deny would cut off, names that two bundles want.
fn warnings(input: &Input) -> Vec<Warning> {
    let pods: Vec<Pod> = input
        .places
        .values()
        .flat_map(|p| p.pods.iter().cloned())
        .collect();
    let mut all = input.bundle.warnings.clone();
    all.extend(uncovered::warning(&input.bundle, &pods));
    all.extend(input.taken.iter().map(|policy| {
        Warning::new(
            "SharedName",
            format!(
                "another bundle keeps {}/{} already; give one of them another namespace",
                policy.namespace, policy.name
            ),
        )
    }));
    all
}

/// Names that somebody else has, in namespaces that are known.
fn occupied(input: &Input) -> Vec<Occupied> {
    let mut all = Vec::new();
    for (name, place) in &input.places {
        for policy in input.bundle.policies().filter(|p| p.namespace == *name) {
            let standing = place.policies.iter().find(|p| p.name == policy.name);
            let Some(standing) = standing.filter(|p| !p.managed_by_us) else {
                continue;
            };
            let owner = standing.owner.as_deref().unwrap_or("unknown").to_owned();
            let by = foreign::judge(&input.world, &input.bundle, &standing.policy, owner, &place.pods);
            all.push(Occupied {
                policy: policy.clone(),
                by,
            });
        }
    }
    all
}

/// An older contract may still be on its way: of another leader or term, or one that got no answer.
fn fence(input: &Input) -> Option<Step> {
    let status = &input.object.as_ref()?.status;
    let intent = status.intent.as_ref()?;
    if input.is_own_intent(intent) && !input.uncertain {
        return None;
    }
    let namespace: Arc<str> = intent.namespace.as_str().into();
    let place = input.places.get(&namespace);
    let ours = place
        .into_iter()
        .flat_map(|p| &p.policies)
        .filter(|p| input.is_own(p));
    Some(Step::Fence {
        objects: ours.map(|p| (p.name.clone(), p.uid.clone())).collect(),
        namespace,
    })
}

/// What comes next in one namespace.
struct Next {
    state: State,
    step: Option<Step>,
    wake: Option<Moment>,
}

impl Next {
    fn of(state: State) -> Self {
        Self {
            state,
            step: None,
            wake: None,
        }
    }
}

/// Plans one namespace.
struct Planner<'a> {
    input: &'a Input,
    name: &'a Arc<str>,
    place: &'a Place,
    have: Vec<Standing>,
    want: Vec<Standing>,
    others: Vec<Arc<Policy>>,
    /// Nothing more may be isolated.
    held: bool,
    warnings: &'a [Warning],
}

impl<'a> Planner<'a> {
    fn new(
        input: &'a Input,
        occupied: &[Occupied],
        warnings: &'a [Warning],
        name: &'a Arc<str>,
        place: &'a Place,
        wanted: &[Standing],
    ) -> Self {
        let (own, others): (Vec<_>, Vec<_>) = place.policies.iter().partition(|p| input.is_own(p));
        let occupied: Vec<&Occupied> = occupied.iter().filter(|o| o.policy.namespace == *name).collect();
        let is_free = |p: &Policy| {
            let taken = input
                .taken
                .iter()
                .any(|t| t.namespace == p.namespace && t.name == p.name);
            !taken && !occupied.iter().any(|o| o.policy.name == p.name)
        };
        let want = wanted
            .iter()
            .filter(|(_, p)| p.namespace == *name && is_free(p))
            .cloned()
            .collect();
        let takes = |o: &Occupied| matches!(o.by, Foreign::Conflict { takes: true, .. });
        let held = occupied.iter().any(|o| takes(o));
        let mut planner = Self {
            input,
            name,
            place,
            have: own.into_iter().map(|p| (role(p), p.policy.clone())).collect(),
            want,
            others: others.into_iter().map(|p| p.policy.clone()).collect(),
            held,
            warnings,
        };
        planner.held |= planner.is_squatted();
        planner
    }

    /// Somebody else has the name of the temporary allow-all.
    fn is_squatted(&self) -> bool {
        let shield = order::shield_name(self.input.operand);
        self.others.iter().any(|p| *p.name == *shield)
    }

    fn next(&self) -> Next {
        let place = order::Place {
            world: &self.input.world,
            namespace: self.name,
            operand: self.input.operand,
            others: &self.others,
            running: &self.place.pods,
        };
        let phases = order::phases(&place, &self.have, &self.want);
        let Some(phase) = phases.into_iter().next() else {
            return self.at_rest();
        };
        if !self.place.writable {
            return Next::of(State::NamespaceMissing);
        }
        let shield = order::shield_name(self.input.operand);
        if self.held && phase.iter().any(|step| *step.name == *shield) {
            // The shield would open the namespace and could not go any more.
            return Next::of(State::Held);
        }
        let pods = order::pods(&place, &self.have, &self.want);
        let (harmless, rest) = self.sort(phase, &pods);
        if harmless.is_empty() {
            self.contract(&rest)
        } else {
            self.write(&harmless, |namespace, writes| Step::Stage { namespace, writes })
        }
    }

    /// Everything stands. What lost our label gets it again, or it would be forgotten when the bundle goes.
    fn at_rest(&self) -> Next {
        let unlabelled = self
            .place
            .policies
            .iter()
            .filter(|p| self.input.is_own(p) && p.bundle.is_none());
        let unlabelled: Vec<effect::Step> = unlabelled.map(|p| effect::Step::put(p.policy.clone())).collect();
        if !unlabelled.is_empty() && self.place.writable {
            return self.write(&unlabelled, |namespace, writes| Step::Stage { namespace, writes });
        }
        let settled = self.place.history.all_settled_at(self.input.settle);
        match settled.filter(|at| *at > self.input.now) {
            Some(at) => Next {
                wake: Some(at),
                ..Next::of(State::Settling)
            },
            None if self.held => Next::of(State::Held),
            None => Next::of(State::AsExpected),
        }
    }

    /// Those that take nothing away in any mix of what may still be seen, each after those before it; the rest.
    fn sort(&self, phase: Vec<effect::Step>, pods: &[Pod]) -> (Vec<effect::Step>, Vec<effect::Step>) {
        let versions = self.place.history.window(self.input.now, self.input.settle);
        let mut window = engine_window(&versions);
        let mut names: Vec<Arc<str>> = versions.into_iter().map(|(name, _)| name).collect();
        let (mut harmless, mut rest) = (Vec::new(), Vec::new());
        let opens = |step: &effect::Step| step.version.as_deref().is_some_and(opens_everything);
        for step in phase {
            let change = Write {
                object: names.iter().position(|name| *name == step.name),
                version: step.version.clone(),
            };
            let effect = effect_of_write(&self.input.world, &window, &change, pods);
            let takes_nothing = !effect.contracts() && (effect.newly_isolates.is_empty() || opens(&step));
            if takes_nothing && in_every_mix(&window, &change) {
                window = window.after(&change);
                if change.object.is_none() {
                    names.push(step.name.clone());
                }
                harmless.push(step);
            } else {
                rest.push(step);
            }
        }
        (harmless, rest)
    }

    /// Something is taken away: only when everybody has seen what stands, and what will be cut off was named.
    fn contract(&self, steps: &[effect::Step]) -> Next {
        if self.held {
            return Next::of(State::Held);
        }
        let settled = self.place.history.all_settled_at(self.input.settle);
        if let Some(at) = settled.filter(|at| *at > self.input.now) {
            return Next {
                wake: Some(at),
                ..Next::of(State::Settling)
            };
        }
        if !self.uncovered_are_named() {
            return Next::of(State::Settling);
        }
        self.write(steps, |namespace, writes| Step::Contract { namespace, writes })
    }

    /// Pods that nobody thought of are in the status before a deny cuts them off.
    fn uncovered_are_named(&self) -> bool {
        let Some(object) = &self.input.object else {
            return true;
        };
        let mut uncovered = self.warnings.iter().filter(|w| w.reason == uncovered::REASON);
        uncovered.all(|w| {
            object
                .status
                .warnings
                .iter()
                .any(|said| said.reason == w.reason && said.message == w.text())
        })
    }

    fn write(&self, steps: &[effect::Step], step: impl Fn(Arc<str>, Vec<PolicyWrite>) -> Step) -> Next {
        let free_at = |name: &Arc<str>| {
            let last = self.input.written.get(&(self.name.clone(), name.clone()));
            last.map(|at| *at + DAMPING).filter(|at| *at > self.input.now)
        };
        let busy = steps.iter().filter_map(|s| free_at(&s.name)).max();
        let due: Vec<PolicyWrite> = steps
            .iter()
            .filter(|s| free_at(&s.name).is_none())
            .filter_map(|s| self.policy_write(s))
            .collect();
        Next {
            state: State::Writing,
            step: (!due.is_empty()).then(|| step(self.name.clone(), due)),
            wake: busy,
        }
    }

    fn policy_write(&self, step: &effect::Step) -> Option<PolicyWrite> {
        let standing = self.place.policies.iter().find(|p| p.name == step.name);
        Some(match (&step.version, standing) {
            (Some(policy), None) => PolicyWrite::Create(self.target(policy)),
            (Some(policy), Some(standing)) => PolicyWrite::Apply {
                uid: standing.uid.clone(),
                resource_version: standing.resource_version.clone(),
                target: self.target(policy),
                sequence: self.input.sequence.max(standing.sequence),
            },
            (None, standing) => {
                let standing = standing?;
                PolicyWrite::Delete {
                    name: standing.name.clone(),
                    uid: standing.uid.clone(),
                    resource_version: standing.resource_version.clone(),
                }
            }
        })
    }

    fn target(&self, policy: &Arc<Policy>) -> Target {
        let mut all = self.input.bundle.policies.iter();
        let known = all.find(|p| p.policy.name == policy.name && p.policy.namespace == policy.namespace);
        known.map_or_else(|| shield(policy), BundlePolicy::target)
    }
}

fn shield(policy: &Arc<Policy>) -> Target {
    Target {
        role: Purpose::AllowAll,
        server: "".into(),
        policy: policy.clone(),
    }
}

/// What a standing policy does: as its label says, else by whether it opens anything.
fn role(policy: &ObservedPolicy) -> Role {
    let opens = |direction| {
        policy
            .policy
            .rules(direction)
            .is_some_and(|rules| !rules.is_empty())
    };
    match policy.role {
        Some(Purpose::OperandDeny) => Role::Deny,
        Some(Purpose::OperandAllow | Purpose::AllowAll) => Role::Allow,
        _ if Direction::ALL.into_iter().any(opens) => Role::Allow,
        _ => Role::Deny,
    }
}

/// Comparing the newest versions is enough to know that no mix loses anything.
fn in_every_mix(window: &Window, change: &Write) -> bool {
    only_adds(window, change)
        || only_releases(window, change)
        || is_shielded(window, change.object)
        || others_settled(window, change.object)
}

/// The object is new: whatever any version of the others allows is allowed as before.
fn only_adds(window: &Window, change: &Write) -> bool {
    let is_new = |at: usize| window.objects()[at].iter().all(Option::is_none);
    change.object.is_none_or(is_new) && change.version.is_some()
}

/// The object goes and never opened anything.
fn only_releases(window: &Window, change: &Write) -> bool {
    let rules = |p: &Policy| {
        Direction::ALL
            .into_iter()
            .any(|d| p.rules(d).is_some_and(|r| !r.is_empty()))
    };
    let opens_nothing = |at: usize| window.objects()[at].iter().flatten().all(|p| !rules(p));
    change.version.is_none() && change.object.is_some_and(opens_nothing)
}

/// Another object opens everything in all of its versions.
fn is_shielded(window: &Window, object: Option<usize>) -> bool {
    let mut others = window
        .objects()
        .iter()
        .enumerate()
        .filter(|(at, _)| Some(*at) != object);
    others.any(|(_, versions)| {
        versions
            .iter()
            .all(|v| v.as_deref().is_some_and(opens_everything))
    })
}

/// Every other object is seen by everybody as it is.
fn others_settled(window: &Window, object: Option<usize>) -> bool {
    let mut others = window
        .objects()
        .iter()
        .enumerate()
        .filter(|(at, _)| Some(*at) != object);
    others.all(|(_, versions)| versions.len() == 1)
}

/// What it isolates it opens.
fn opens_everything(policy: &Policy) -> bool {
    policy.pods.is_everything()
        && Direction::ALL.into_iter().all(|direction| {
            let rules = policy.rules(direction);
            rules.is_some_and(|rules| rules.contains(&bulkhead_policy::Rule::default()))
        })
}
