//! What the controller remembers of a namespace between steps. All of it may be lost at any time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    apply::{ApplyError, Outcome, Written},
    observe::{Moment, World, world::NamespaceState},
    report::cluster::Summary,
};

/// How long a write may take to appear in the watch before the watches are believed again. Every step that
/// matters is planned again from live reads, so this only saves work.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long writes may fail before that is reported as Degraded.
const TOLERANCE: Duration = Duration::from_mins(2);

/// Memory of one namespace.
#[derive(Debug, Default)]
pub struct Control {
    /// A step is being carried out.
    pub busy: bool,
    /// A write that may have contracted got no answer.
    pub uncertain: bool,
    /// When each policy was last written by us.
    pub written: BTreeMap<Arc<str>, Moment>,
    /// What was last reported.
    pub summary: Option<Summary>,
    /// The generation whose approaching expiry was announced.
    pub announced: Option<i64>,
    /// When the transition under way began.
    pub moving_since: Option<Moment>,
    awaited: Vec<Written>,
    awaited_system: Option<String>,
    awaited_since: Moment,
    failures: u32,
    races: u32,
    failing_since: Option<Moment>,
    retry_at: Option<Moment>,
}

impl Control {
    /// Why the namespace cannot be planned yet: a step is under way, a failed one is not due, or the watches
    /// have not shown what we wrote. Returns when to look again.
    pub fn not_before(&mut self, state: Option<&NamespaceState>, now: Moment) -> Option<Moment> {
        let system = state.and_then(|s| Some(s.system.as_ref()?.resource_version.as_str()));
        self.not_before_arrival(state, system, now)
    }

    /// The same where what says how far things are is not a `SystemNamespace`: `record` is the version of that
    /// object that was seen last.
    pub fn not_before_arrival(
        &mut self,
        state: Option<&NamespaceState>,
        record: Option<&str>,
        now: Moment,
    ) -> Option<Moment> {
        if self.busy {
            return Some(now + PATIENCE);
        }
        if let Some(at) = self.retry_at.filter(|at| *at > now) {
            return Some(at);
        }
        let patience_ends = self.awaited_since + PATIENCE;
        if patience_ends > now && !self.has_arrived(state, record) {
            return Some(patience_ends);
        }
        self.awaited.clear();
        self.awaited_system = None;
        None
    }

    fn has_arrived(&self, state: Option<&NamespaceState>, record: Option<&str>) -> bool {
        let policy = |written: &Written| {
            let stored = state.and_then(|s| s.policies.get(&written.name));
            match (&written.resource_version, stored) {
                (Some(version), Some(stored)) => number(&stored.resource_version) >= number(version),
                (Some(_), None) => false,
                (None, stored) => stored.is_none(),
            }
        };
        let system = self
            .awaited_system
            .as_ref()
            .is_none_or(|version| record.is_some_and(|record| number(record) >= number(version)));
        system && self.awaited.iter().all(policy)
    }

    /// Takes in what came of a step. Returns when to look again if it failed.
    pub fn finish(&mut self, outcome: &Outcome, now: Moment) -> Option<Moment> {
        self.busy = false;
        for written in &outcome.policies {
            self.written.insert(written.name.clone(), now);
        }
        self.awaited.clone_from(&outcome.policies);
        self.awaited_system.clone_from(&outcome.system_version);
        self.awaited_since = now;
        self.uncertain |= outcome.uncertain;
        match &outcome.error {
            None => {
                (self.failures, self.races, self.failing_since, self.retry_at) = (0, 0, None, None);
                None
            }
            Some(error) => Some(self.failed(error, now)),
        }
    }

    fn failed(&mut self, error: &ApplyError, now: Moment) -> Moment {
        let pause = if error.is_race() {
            // Watches catch up within milliseconds; what is still refused after that is not worth a hurry.
            self.races = (self.races + 1).min(4);
            Duration::from_millis(25) * 2u32.pow(self.races)
        } else {
            self.failing_since.get_or_insert(now);
            self.failures = (self.failures + 1).min(7);
            Duration::from_millis(250) * 2u32.pow(self.failures)
        };
        let at = now + error.retry_after().unwrap_or(pause);
        self.retry_at = Some(at);
        at
    }

    /// Writes have been failing for longer than is tolerated.
    pub fn is_failing(&self, now: Moment) -> bool {
        self.failing_since.is_some_and(|since| since + TOLERANCE <= now)
    }

    /// Leadership began: nothing that another leader did is known here.
    pub fn restart(&mut self) {
        let (summary, busy) = (self.summary, self.busy);
        *self = Self {
            busy,
            summary,
            ..Self::default()
        };
    }
}

fn number(version: &str) -> u64 {
    version.parse().unwrap_or_default()
}

/// Whether a namespace can be of any interest to the planner; a cheap answer for the many that are not.
pub fn is_interesting(name: &str, state: &NamespaceState, catalogued: bool) -> bool {
    catalogued
        || bulkhead_api::vocabulary::is_system_name(name)
        || state.system.is_some()
        || state
            .policies
            .values()
            .any(|p| p.managed_by_us && !p.is_of_bundle())
}

/// Starts every settle clock anew.
pub fn restart_clocks(world: &mut World, now: Moment) {
    for state in world.namespaces.values_mut() {
        state.history.restart(now);
        state.first_seen = now;
    }
}
