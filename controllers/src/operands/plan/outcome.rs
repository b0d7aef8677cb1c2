//! What is planned for a bundle.

use std::sync::Arc;

use bulkhead_policy::Policy;

use crate::{
    observe::Moment,
    operands::{Warning, foreign::Foreign},
    plan::PolicyWrite,
};

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
