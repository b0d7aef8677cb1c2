//! Everything that the plan of one bundle rests on.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bulkhead_api::{
    Catalog,
    operand::{Operand, OperandIntent, OperandNetworkPolicySpec},
};
use bulkhead_policy::{Pod, Policy, World};

use crate::{
    decide::Platform,
    observe::{History, Moment, ObservedPolicy, operands::OperandObject},
    operands::{
        Bundle, Context, Objects, bundles, discover,
        order::{self, Standing},
    },
    plan::Writer,
};

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
    pub(super) fn wanted(&self) -> Option<Vec<Standing>> {
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
