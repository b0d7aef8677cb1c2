//! From what stands and what should stand to the next step, with its effect. Pure: no I/O, no clock.
//!
//! A plan names one step at a time. The step is carried out, the watches deliver what came of it, and the
//! next plan is made from that: there is no memory of where a transition stood except what is stored. A step
//! that could take a connection away is planned a second time from live reads before it is carried out
//! (`apply`), so that it rests on nothing stale.

mod close;
mod engine;
mod input;
mod labels;
mod open;
mod preflight;
mod sync;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;

use bulkhead_api::namespace::Action;

pub use input::{Cluster, Expected, Generations, Input, Member, Writer};
pub use labels::LabelChange;
pub use preflight::{Blockers, judge, list};
pub use view::View;

use crate::{
    decide::{Decision, Target},
    observe::Moment,
};

/// One write of one policy object.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyWrite {
    /// Create it.
    Create(Target),
    /// Make an existing object of ours say this.
    Apply {
        /// The object's uid.
        uid: Arc<str>,
        /// The object's version that the plan was made from.
        resource_version: Arc<str>,
        /// What it should say.
        target: Target,
        /// Sequence to record: the highest that ever wrote it.
        sequence: u32,
    },
    /// Delete an object of ours.
    Delete {
        /// Its name.
        name: Arc<str>,
        /// Its uid.
        uid: Arc<str>,
        /// Its version that the plan was made from.
        resource_version: Arc<str>,
    },
}

impl PolicyWrite {
    /// Name of the object.
    pub fn name(&self) -> &Arc<str> {
        match self {
            Self::Create(target) | Self::Apply { target, .. } => &target.policy.name,
            Self::Delete { name, .. } => name,
        }
    }
}

/// What to do next in one namespace.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Create or repair the policy that opens the namespace. Needs a live read of carriers and
    /// `SystemNamespace`, and nothing else: it can never deny.
    Open(PolicyWrite),
    /// Create the `SystemNamespace`.
    CreateSystemNamespace,
    /// Move the version of every object of ours that an older contract could hit, then forget that contract.
    Fence {
        /// Objects of ours that stand: name and uid.
        objects: Vec<(Arc<str>, Arc<str>)>,
    },
    /// Set and remove labels of the namespace.
    Label(LabelChange),
    /// Writes that take no connection away, judged from a live read of the policies.
    Stage(Vec<PolicyWrite>),
    /// Writes that may take connections away.
    Contract {
        /// What the intent says.
        action: Action,
        /// The writes, in order.
        writes: Vec<PolicyWrite>,
    },
}

/// How far a namespace is from what it should be. The STATE column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// It is what it should be.
    AsExpected,
    /// Its allow-all is not stored yet.
    Opening,
    /// The restrictive set is being written under a settled allow-all.
    Staging,
    /// Waiting until everybody has seen the last change.
    Settling,
    /// It should close, and the pre-flight says that this would deny something required.
    Blocked,
    /// The allow-all is being removed, or was and has not settled.
    Closing,
    /// A changed set is being widened, then narrowed.
    Updating,
    /// It is being handed back.
    Releasing,
    /// Nothing is written, because something is unknown.
    Frozen,
    /// Nothing is written, because an administrator said so.
    Unmanaged,
    /// Left as the platform ships it.
    Preserved,
    /// A newer version wrote here: only expansions.
    NewerWriter,
    /// The namespace is being deleted.
    Terminating,
}

impl State {
    /// As conditions spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AsExpected => "AsExpected",
            Self::Opening => "Opening",
            Self::Staging => "Staging",
            Self::Settling => "Settling",
            Self::Blocked => "Blocked",
            Self::Closing => "Closing",
            Self::Updating => "Updating",
            Self::Releasing => "Releasing",
            Self::Frozen => "Frozen",
            Self::Unmanaged => "Unmanaged",
            Self::Preserved => "Preserved",
            Self::NewerWriter => "NewerWriter",
            Self::Terminating => "Terminating",
        }
    }

    /// A transition is under way.
    pub fn is_transition(self) -> bool {
        matches!(
            self,
            Self::Opening | Self::Staging | Self::Settling | Self::Closing | Self::Updating | Self::Releasing
        )
    }
}

/// The next step of one namespace, and what there is to say about it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the namespace should be.
    pub decision: Decision,
    /// How far it is.
    pub state: State,
    /// What to do next, if anything.
    pub step: Option<Step>,
    /// When to look again without a change.
    pub wake: Option<Moment>,
    /// What stands in the way of closing. Judged in every mode, but only where it matters: before a contract,
    /// and when there is nothing left to do but to report.
    pub blockers: Option<Blockers>,
    /// The set is stored and settled.
    pub staged: bool,
    /// A contract has ended and its outcome is known: its intent can be cleared.
    pub acknowledged: bool,
}

impl Plan {
    /// What stands in the way of closing; judged at the first call.
    fn blocked(&mut self, view: &View<'_>) -> bool {
        let decision = self.decision;
        self.blockers
            .get_or_insert_with(|| preflight::judge(view, decision))
            .block()
    }
}

/// Plans the next step.
pub fn plan(input: &Input) -> Plan {
    let view = View::new(input);
    let decision = view.decision();
    let mut plan = Plan {
        decision,
        state: State::AsExpected,
        step: None,
        wake: None,
        blockers: None,
        staged: view.is_staged() || view.was_staged(),
        acknowledged: false,
    };
    if view.terminating() {
        plan.state = State::Terminating;
        return plan;
    }
    match decision {
        Decision::Ignore => {
            // Released to the end: nothing of ours is left that an older contract could hit.
            plan.acknowledged = view.status().is_some_and(|s| s.intent.is_some());
            return plan;
        }
        Decision::Frozen(_) => plan.state = State::Frozen,
        Decision::HandsOff => plan.state = State::Unmanaged,
        Decision::Preserved => plan.state = State::Preserved,
        // Judged again once everybody can have seen what stands.
        Decision::SetLost => plan.wake = view.all_settled_at(),
        Decision::Open(reason) => open::plan(&view, reason, &mut plan),
        Decision::Closed(isolation) => close::plan(&view, isolation, &mut plan),
        Decision::Release | Decision::HandBack => open::release(&view, &mut plan),
    }
    if plan.state == State::Blocked && plan.step.is_none() {
        // It may stay blocked for days, and no write is under way.
        plan.acknowledged = true;
    }
    let urgent = matches!(plan.step, Some(Step::Open(_)));
    if !urgent && let Some(step) = housekeeping(&view, decision) {
        plan.step = Some(step);
        plan.acknowledged = false;
    }
    if let Decision::Preserved | Decision::Frozen(_) = decision {
        plan.wake = plan.wake.or_else(|| view.born_at());
    }
    if plan.step.is_none() && plan.blocked(&view) {
        // What blocks may be a version that nobody sees any more by then.
        plan.wake = plan.wake.or_else(|| view.everything_settled_at());
    }
    if let Some(expiry) = view.override_expiry() {
        plan.wake = Some(plan.wake.map_or(expiry, |wake| wake.min(expiry)));
    }
    plan
}

/// What comes before any step that is not an opening: somewhere to store state, no older contract that could
/// still land, labels.
fn housekeeping(view: &View<'_>, decision: Decision) -> Option<Step> {
    if matches!(decision, Decision::Frozen(_) | Decision::HandsOff) {
        return None;
    }
    if view.input.system.is_none() {
        return view
            .input
            .cluster
            .system_namespaces_served
            .then_some(Step::CreateSystemNamespace);
    }
    if view.needs_fence(decision) {
        let ours = view
            .ours
            .iter()
            .map(|p| (p.name.clone(), p.uid.clone()))
            .collect();
        return Some(Step::Fence { objects: ours });
    }
    labels::change(view, decision).map(Step::Label)
}
