//! Summary of all system namespaces.

use bulkhead_api::{
    conditions::{Said, stored},
    isolation::{AppliedConfig, Counts, SystemIsolationStatus},
    namespace::EffectiveMode,
    switch::Mode,
    vocabulary::condition,
};
use serde_json::{Value, json};

use crate::{
    decide::{Configuration, Decision, config::IsolationConfig},
    plan::{Plan, State, list},
};

/// What the summary needs to know of one namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What it should be.
    pub decision: Decision,
    /// How far it is.
    pub state: State,
    /// What it is.
    pub effective: Option<EffectiveMode>,
    /// Closing is asked for and blocked.
    pub blocked: bool,
    /// It was closed before it became blocked.
    pub worked_before: bool,
    /// Writes have been failing for too long.
    pub failing: bool,
}

impl Summary {
    /// Reads the plan. As long as what was reached is not recorded, the namespace is not there yet.
    pub fn new(plan: &Plan, effective: Option<EffectiveMode>, recorded: bool, failing: bool) -> Self {
        let closed = matches!(
            effective,
            Some(EffectiveMode::Restricted | EffectiveMode::PartlyRestricted)
        );
        Self {
            decision: plan.decision,
            state: match (plan.state, plan.decision) {
                (State::AsExpected, Decision::Open(_)) if !recorded => State::Opening,
                (State::AsExpected, _) if !recorded => State::Updating,
                (state, _) => state,
            },
            effective,
            blocked: plan.state == State::Blocked,
            worked_before: closed,
            failing,
        }
    }

    /// It follows the switch.
    pub fn counts(&self) -> bool {
        !matches!(self.decision, Decision::Ignore | Decision::Release)
    }
}

/// How far the whole cluster is.
#[derive(Clone, Debug, Default)]
pub struct Overview<'a> {
    /// Every namespace by name.
    pub namespaces: Vec<(&'a str, Summary)>,
    /// The configuration in force.
    pub config: Configuration,
    /// Why decisions or contracts are frozen.
    pub frozen: Option<String>,
    /// Sequence of our catalog.
    pub sequence: u32,
    /// Namespaces that have changed and were not looked at yet.
    pub pending: usize,
    /// The target release is one that the catalog does not know.
    pub unknown_release: bool,
}

impl Overview<'_> {
    fn names(&self, select: impl Fn(&Summary) -> bool) -> Vec<String> {
        self.namespaces
            .iter()
            .filter(|(_, s)| select(s))
            .map(|(n, _)| (*n).to_owned())
            .collect()
    }

    /// How many namespaces are in which state.
    pub fn counts(&self) -> Counts {
        let count = |select: &dyn Fn(&Summary) -> bool| {
            i32::try_from(
                self.namespaces
                    .iter()
                    .filter(|(_, s)| s.counts() && select(s))
                    .count(),
            )
            .unwrap_or(i32::MAX)
        };
        Counts {
            desired: count(&|_| true),
            restricted: count(&|s| s.effective == Some(EffectiveMode::Restricted)),
            partly: count(&|s| s.effective == Some(EffectiveMode::PartlyRestricted)),
            open: count(&|s| s.effective == Some(EffectiveMode::Unrestricted)),
            preserved: count(&|s| s.effective == Some(EffectiveMode::Preserved)),
            blocked: count(&|s| s.blocked),
        }
    }

    /// The four conditions of the cluster.
    pub fn conditions(&self) -> Vec<Said> {
        vec![
            self.available(),
            self.progressing(),
            self.degraded(),
            self.upgradeable(),
        ]
    }

    fn available(&self) -> Said {
        let reason = match (&self.config.hold, self.config.carrier.is_some()) {
            (Some(_), _) => "Hold",
            (None, true) => "AsExpected",
            (None, false) => "NotConfigured",
        };
        let message = match &self.config.hold {
            Some(hold) => format!("every system namespace is held open: {}", hold.reason),
            None => format!(
                "in force: {}",
                crate::decide::config::mode_text(self.config.applied)
            ),
        };
        Said::new(condition::AVAILABLE, true, reason, message)
    }

    fn progressing(&self) -> Said {
        let moving = self.names(|s| s.counts() && s.state.is_transition());
        if !self.config.stored {
            return Said::new(
                condition::PROGRESSING,
                true,
                "StoringConfiguration",
                "a new configuration is being stored",
            );
        }
        if moving.is_empty() && self.pending > 0 {
            let message = format!("{} namespaces are to be looked at", self.pending);
            return Said::new(condition::PROGRESSING, true, "Pending", message);
        }
        let frozen = self.names(|s| s.counts() && s.state == State::Frozen);
        if moving.is_empty() && !frozen.is_empty() {
            // Not done: nobody knows yet what these should be, or they may not follow.
            let message = format!("waiting to be decided: {}", list(&frozen));
            return Said::new(condition::PROGRESSING, true, "Frozen", message);
        }
        if moving.is_empty() {
            return Said::new(condition::PROGRESSING, false, "AsExpected", "");
        }
        let direction = match (self.config.hold.is_some(), self.config.applied.mode) {
            (false, Some(Mode::Restricted)) => "Closing",
            _ => "Opening",
        };
        Said::new(
            condition::PROGRESSING,
            true,
            direction,
            format!("under way: {}", list(&moving)),
        )
    }

    fn degraded(&self) -> Said {
        if let Some(problem) = &self.config.problem {
            return Said::new(condition::DEGRADED, true, problem.reason, problem.message.clone());
        }
        if let Some(frozen) = &self.frozen {
            return Said::new(condition::DEGRADED, true, "Frozen", frozen.clone());
        }
        if self.config.unmanaged {
            return Said::new(
                condition::DEGRADED,
                false,
                "Unmanaged",
                "managementState is Unmanaged: nothing is written",
            );
        }
        let failing = self.names(|s| s.failing);
        if !failing.is_empty() {
            return Said::new(condition::DEGRADED, true, "WritesFailing", list(&failing));
        }
        let blocked = self.names(|s| s.blocked && s.worked_before);
        if !blocked.is_empty() {
            return Said::new(
                condition::DEGRADED,
                true,
                "Blocked",
                format!("closed before and blocked now: {}", list(&blocked)),
            );
        }
        let waiting = self.names(|s| s.blocked);
        let message = if waiting.is_empty() {
            String::new()
        } else {
            format!("stay open until unblocked: {}", list(&waiting))
        };
        Said::new(condition::DEGRADED, false, "AsExpected", message)
    }

    fn upgradeable(&self) -> Said {
        let moving = self.names(|s| s.counts() && s.state.is_transition());
        if !moving.is_empty() {
            return Said::new(
                condition::UPGRADEABLE,
                false,
                "Transition",
                format!("wait for {}", list(&moving)),
            );
        }
        if self.unknown_release {
            let message = "the catalog does not know the release that is being installed";
            return Said::new(condition::UPGRADEABLE, false, "NoCatalog", message);
        }
        Said::new(condition::UPGRADEABLE, true, "AsExpected", "")
    }
}

/// The status of `SystemIsolation` that should be stored.
pub fn isolation_status(
    overview: &Overview<'_>,
    seen: &IsolationConfig,
    wall: jiff::Timestamp,
) -> SystemIsolationStatus {
    let config = &overview.config;
    // Nothing that was never set is recorded as applied.
    let applied = config
        .carrier
        .as_ref()
        .map(|_| AppliedConfig::from(config.applied));
    SystemIsolationStatus {
        observed_generation: Some(seen.generation),
        carrier: config.carrier.clone(),
        applied,
        counts: Some(overview.counts()),
        catalog_sequence: Some(i64::from(overview.sequence)),
        conditions: stored(
            &overview.conditions(),
            &seen.status.conditions,
            seen.generation,
            wall,
        ),
    }
}

/// The conditions on the Network operator config that should be stored; transition times come from those that
/// stand.
pub fn network_conditions(overview: &Overview<'_>, standing: &[Value], wall: jiff::Timestamp) -> Vec<Value> {
    operator_conditions(condition::NETWORK_PREFIX, overview, standing, wall)
}

/// The conditions of our ClusterOperator that should be stored.
pub fn cluster_operator(overview: &Overview<'_>, standing: &[Value], wall: jiff::Timestamp) -> Vec<Value> {
    operator_conditions("", overview, standing, wall)
}

fn operator_conditions(
    prefix: &str,
    overview: &Overview<'_>,
    standing: &[Value],
    wall: jiff::Timestamp,
) -> Vec<Value> {
    let whole = jiff::Timestamp::from_second(wall.as_second())
        .unwrap_or(wall)
        .to_string();
    let one = |said: Said| {
        let kind = format!("{prefix}{}", said.kind);
        let status = if said.status { "True" } else { "False" };
        let before = standing
            .iter()
            .find(|c| c["type"] == *kind && c["status"] == *status);
        let since = before
            .and_then(|c| c["lastTransitionTime"].as_str())
            .unwrap_or(&whole);
        json!({
            "type": kind,
            "status": status,
            "reason": said.reason,
            "message": said.message,
            "lastTransitionTime": since,
        })
    };
    overview.conditions().into_iter().map(one).collect()
}
