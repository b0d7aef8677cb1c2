//! Named conditions behind `/readyz` and heartbeats behind `/livez`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

/// Whether one named condition holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// What must hold, for example `watch networkpolicies`.
    pub name: String,
    /// Whether it holds.
    pub ready: bool,
    /// Why not; empty when it does.
    pub reason: String,
}

#[derive(Debug, Default)]
struct Inner {
    conditions: BTreeMap<String, Result<(), String>>,
    heartbeats: BTreeMap<String, Pulse>,
    draining: bool,
}

#[derive(Clone, Copy, Debug)]
struct Pulse {
    last: Instant,
    limit: Duration,
}

/// The health of the process. Ready when every registered condition is, and the process is not ending.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    inner: Arc<Mutex<Inner>>,
}

impl Readiness {
    /// Adds a condition, not ready until its handle says so. The same name again yields the same condition.
    pub fn register(&self, name: impl Into<String>) -> ReadyHandle {
        let name = name.into();
        self.lock()
            .conditions
            .entry(name.clone())
            .or_insert_with(|| Err("not started yet".to_owned()));
        ReadyHandle {
            name,
            readiness: self.clone(),
        }
    }

    /// Adds a heartbeat: `/livez` fails when it was silent for longer than `limit`. For loops that turn on
    /// their own; one that may rightly wait for ever must not have one.
    pub fn heartbeat(&self, name: impl Into<String>, limit: Duration) -> Heartbeat {
        let name = name.into();
        self.lock().heartbeats.insert(
            name.clone(),
            Pulse {
                last: Instant::now(),
                limit,
            },
        );
        Heartbeat {
            name,
            readiness: self.clone(),
        }
    }

    /// Not ready from now on, whatever the conditions say.
    pub fn drain(&self) {
        self.lock().draining = true;
    }

    /// Whether everything is ready.
    pub fn is_ready(&self) -> bool {
        let inner = self.lock();
        !inner.draining && !inner.conditions.is_empty() && inner.conditions.values().all(Result::is_ok)
    }

    /// Every condition in order of name; while draining, that as well.
    pub fn conditions(&self) -> Vec<Condition> {
        let inner = self.lock();
        let draining = inner.draining.then(|| Condition {
            name: "process".to_owned(),
            ready: false,
            reason: "shutting down".to_owned(),
        });
        let registered = inner.conditions.iter().map(|(name, state)| Condition {
            name: name.clone(),
            ready: state.is_ok(),
            reason: state.as_ref().err().cloned().unwrap_or_default(),
        });
        draining.into_iter().chain(registered).collect()
    }

    /// The heartbeats that were silent for too long, with the time since the last beat.
    pub fn stalled(&self) -> Vec<(String, Duration)> {
        let late = |(name, pulse): (&String, &Pulse)| {
            let silence = pulse.last.elapsed();
            (silence > pulse.limit).then(|| (name.clone(), silence))
        };
        self.lock().heartbeats.iter().filter_map(late).collect()
    }

    /// Each critical section is one assignment, so a poisoned lock still guards consistent data.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sets one condition.
#[derive(Clone, Debug)]
pub struct ReadyHandle {
    name: String,
    readiness: Readiness,
}

impl ReadyHandle {
    /// The condition holds.
    pub fn set_ready(&self) {
        self.set(Ok(()));
    }

    /// The condition does not hold; `reason` is for people.
    pub fn set_not_ready(&self, reason: impl Into<String>) {
        self.set(Err(reason.into()));
    }

    fn set(&self, state: Result<(), String>) {
        self.readiness.lock().conditions.insert(self.name.clone(), state);
    }
}

/// Says that a loop still turns. Dropping it ends the expectation.
#[derive(Debug)]
pub struct Heartbeat {
    name: String,
    readiness: Readiness,
}

impl Heartbeat {
    /// Still alive.
    pub fn beat(&self) {
        if let Some(pulse) = self.readiness.lock().heartbeats.get_mut(&self.name) {
            pulse.last = Instant::now();
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.readiness.lock().heartbeats.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_when_every_condition_is_and_not_while_draining() {
        let readiness = Readiness::default();
        assert!(!readiness.is_ready(), "nothing registered proves nothing");
        let (pods, lease) = (readiness.register("watch pods"), readiness.register("lease"));
        pods.set_ready();
        assert!(!readiness.is_ready());
        lease.set_ready();
        assert!(readiness.is_ready());
        lease.set_not_ready("forbidden");
        assert!(!readiness.is_ready());
        assert_eq!(readiness.conditions()[0].reason, "forbidden");
        lease.set_ready();
        readiness.drain();
        assert!(!readiness.is_ready());
        assert_eq!(readiness.conditions()[0].reason, "shutting down");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_heartbeat_is_named_until_it_beats_or_ends() {
        let readiness = Readiness::default();
        let heart = readiness.heartbeat("election", Duration::from_secs(5));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(
            readiness.stalled(),
            vec![("election".to_owned(), Duration::from_secs(6))]
        );
        heart.beat();
        assert!(readiness.stalled().is_empty());
        tokio::time::advance(Duration::from_secs(6)).await;
        drop(heart);
        assert!(readiness.stalled().is_empty());
    }
}
