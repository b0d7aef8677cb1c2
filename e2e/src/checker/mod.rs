//! The independent checker.
//!
//! It reads what etcd stored, revision by revision, and judges with an evaluator of its own, against required
//! pairs that come from the facts file and from hand-written pairs, whether the operator ever denied what is
//! required (S1, also under every mix of recent versions), admitted what is forbidden (S2), or wrote where it
//! must not (S5). It shares no code with the policy engine, the planner or the catalog.

pub mod declared;
pub mod evaluate;
pub mod exact;
pub mod facts;
pub mod history;
pub mod judge;
pub mod labels;
pub mod modes;
pub mod needs;
pub mod objects;
pub mod operands;
pub mod ownership;
pub mod pairs;
pub mod report;
mod side;
pub mod window;
pub mod world;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use facts::Facts;
use history::History;
use judge::Judge;
use pairs::Pairs;
use report::Report;

/// What to judge by.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Rules {
    pub facts: Arc<Facts>,
    pub pairs: Arc<Pairs>,
    pub operands: Arc<Vec<operands::Table>>,
    /// How old a version may be that somebody still acts on.
    pub window: Duration,
    /// Whether the operator reads the schemaless carrier.
    pub read_overrides: bool,
}

impl Rules {
    /// Facts and pairs as they were when this was built, for programs that run where no repository is.
    pub fn built_in() -> anyhow::Result<Self> {
        Ok(Self {
            facts: Arc::new(Facts::read(include_str!(
                "../../facts/openshift-namespaces.yaml"
            ))?),
            pairs: Arc::new(Pairs(bulkhead_api::yaml::from_str(include_str!(
                "../../pairs.yaml"
            ))?)),
            operands: Arc::new(operands::read(include_str!("../../operands.yaml"))?),
            window: Duration::ZERO,
            read_overrides: false,
        })
    }

    /// Reads facts and pairs of the repository.
    pub fn load(window: Duration) -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        Ok(Self {
            facts: Arc::new(Facts::load(&folder.join("facts/openshift-namespaces.yaml"))?),
            pairs: Arc::new(Pairs::load(&folder.join("pairs.yaml"))?),
            operands: Arc::new(operands::load(&folder.join("operands.yaml"))?),
            window,
            read_overrides: false,
        })
    }
}

/// Judges a whole history.
pub fn check(rules: &Rules, history: &History) -> Report {
    let mut judge = Judge::new(rules, history);
    for event in &history.events {
        judge.step(event);
    }
    judge.finish(history.events.last().map_or(Duration::ZERO, |e| e.at));
    operands::check(&rules.operands, rules.window, history, &mut judge.report);
    judge.report
}
