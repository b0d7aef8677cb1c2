//! Who leads, as a pure state machine: [`Election`] is told what was read and written and when, and says
//! what to do next. It never reads a clock and never talks to anybody.
//!
//! Why two valid claims cannot exist at the same moment:
//! - A claim lasts `renew_deadline` from the *start* of the write that renewed it.
//! - Somebody else takes over only after seeing the same resourceVersion for `lease_duration`, counted on
//!   its own monotonic clock from the *end* of the read that first showed it, and only by a write that
//!   fails unless that resourceVersion is still the stored one.
//! - `lease_duration` > `renew_deadline`; their ratio is the clock drift that is survived.
//! - A missing Lease may have been deleted under a live leader, and absence has no version to watch. So it
//!   is created for [`VACANT`], a holder that does not exist, and then waited out like any other. Manifests
//!   ship a Lease without a holder, which is free at once.
//! - The holder identity is unique per process, so "held by me" always means "written by this process".

use std::time::{Duration, Instant};

/// Durations of the protocol. OpenShift asks for 137/107/26 seconds, the Kubernetes default is 15/10/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long others leave an unchanged Lease alone.
    pub lease_duration: Duration,
    /// How long a claim lasts after the start of its last successful renewal.
    pub renew_deadline: Duration,
    /// Time between renewals of a leader and between looks of a standby.
    pub retry_period: Duration,
}

/// Holder of a Lease that was created because there was none.
pub const VACANT: &str = "vacant";

/// Longest time that a single request about the Lease may take.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(10);

impl Timing {
    /// Refuses durations under which the protocol is unsafe or pointless.
    pub fn validate(&self) -> Result<(), TimingError> {
        if self.lease_duration < Duration::from_secs(1) {
            return Err(TimingError::LeaseTooShort(self.lease_duration));
        }
        if self.retry_period.is_zero() {
            return Err(TimingError::RetryZero);
        }
        if self.lease_duration <= self.renew_deadline {
            return Err(TimingError::LeaseNotAboveRenew(
                self.lease_duration,
                self.renew_deadline,
            ));
        }
        if self.renew_deadline <= self.retry_period * 6 / 5 {
            return Err(TimingError::RenewNotAboveRetry(
                self.renew_deadline,
                self.retry_period,
            ));
        }
        Ok(())
    }

    /// Time limit of one request: a third of the renew deadline, so that a hanging request leaves room for
    /// others, and at most ten seconds.
    pub fn attempt_timeout(&self) -> Duration {
        (self.renew_deadline / 3).min(LONGEST_ATTEMPT)
    }

    /// `leaseDurationSeconds` as stored: whole seconds, rounded up, so that nobody waits less than promised.
    pub fn stored_seconds(&self) -> i32 {
        let whole = self.lease_duration.as_secs() + u64::from(self.lease_duration.subsec_nanos() > 0);
        i32::try_from(whole).unwrap_or(i32::MAX)
    }
}

/// Why a [`Timing`] was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// The Lease object counts whole seconds.
    #[error("lease duration {0:?} is too short: it must be at least 1s")]
    LeaseTooShort(Duration),
    /// A zero period would ask without pause.
    #[error("retry period must be longer than 0s")]
    RetryZero,
    /// The old leader must stop before a new one may begin.
    #[error("lease duration {0:?} must be longer than renew deadline {1:?}")]
    LeaseNotAboveRenew(Duration, Duration),
    /// A leader needs at least one chance to renew.
    #[error("renew deadline {0:?} must be longer than 1.2 times the retry period {1:?}")]
    RenewNotAboveRetry(Duration, Duration),
}

/// The fields of a stored Lease that matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// `metadata.resourceVersion`.
    pub version: String,
    /// `spec.holderIdentity`; empty means that the Lease is free.
    pub holder: String,
    /// `spec.leaseDurationSeconds` as the holder wrote it.
    pub lease_duration: Duration,
    /// `spec.leaseTransitions`.
    pub transitions: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Sight {
    Unread,
    Absent,
    Present(Record),
}

/// An acquired leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// Grows with every acquisition, within this process and, while the Lease object lives, across processes.
    pub term: u64,
    /// The tenure is over at this moment unless it is renewed.
    pub valid_until: Instant,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read the Lease.
    Read,
    /// Create the Lease for [`VACANT`].
    Create(Vacancy),
    /// Take or renew the Lease.
    Write(Write),
    /// Stop leading now: call [`Election::step_down`].
    StepDown(Loss),
    /// Nothing to do before this moment.
    Wait(Instant),
}

/// A Lease to create. It gives nobody a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vacancy {
    /// Last known term, so that terms keep growing when the Lease is deleted.
    pub transitions: u64,
}

/// A write that must fail unless the stored Lease still is at `base`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// resourceVersion to replace.
    pub base: String,
    /// Term that a success confirms.
    pub term: u64,
    /// Whether this starts a new term.
    pub acquires: bool,
}

/// Why leadership ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// No renewal succeeded in time.
    #[error("the Lease could not be renewed in time")]
    Expired,
    /// Somebody else is the holder.
    #[error("the Lease is held by {0:?}")]
    Taken(String),
    /// The Lease object was deleted.
    #[error("the Lease was deleted")]
    Deleted,
}

/// One candidate's view of the election.
#[derive(Clone, Debug)]
pub struct Election {
    identity: String,
    timing: Timing,
    sight: Sight,
    /// When the current sight was first seen.
    since: Instant,
    /// Set when a write failed in a way that leaves its outcome open.
    stale: bool,
    tenure: Option<Tenure>,
    last_term: u64,
    next_read: Instant,
    renew_at: Instant,
}

impl Election {
    /// A candidate that knows nothing yet. `identity` must be unique among all processes, past ones included.
    pub fn new(identity: String, timing: Timing, now: Instant) -> Self {
        Self {
            identity,
            timing,
            sight: Sight::Unread,
            since: now,
            stale: false,
            tenure: None,
            last_term: 0,
            next_read: now,
            renew_at: now,
        }
    }

    /// The name under which this candidate holds the Lease.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The durations in force.
    pub fn timing(&self) -> &Timing {
        &self.timing
    }

    /// The current tenure. It may be over already: compare `valid_until`.
    pub fn tenure(&self) -> Option<Tenure> {
        self.tenure
    }

    /// The holder that was last seen, if there is one.
    pub fn holder(&self) -> Option<&str> {
        match &self.sight {
            Sight::Present(record) if !record.holder.is_empty() => Some(&record.holder),
            _ => None,
        }
    }

    /// What to do at `now`.
    pub fn decide(&self, now: Instant) -> Action {
        if let Some(loss) = self.loss(now) {
            return Action::StepDown(loss);
        }
        if self.stale {
            return self.read_when_due(now);
        }
        match &self.sight {
            Sight::Unread => self.read_when_due(now),
            Sight::Absent => Action::Create(Vacancy {
                transitions: self.last_term,
            }),
            Sight::Present(_) if self.tenure.is_some() && now < self.renew_at => self.wait(self.renew_at),
            Sight::Present(record) if record.holder.is_empty() || record.holder == self.identity => {
                self.write_over(record)
            }
            Sight::Present(record) => {
                let expires = self.since + record.lease_duration.max(self.timing.lease_duration);
                if now >= expires {
                    self.write_over(record)
                } else if now >= self.next_read {
                    Action::Read
                } else {
                    self.wait(self.next_read.min(expires))
                }
            }
        }
    }

    /// A read ended at `now`. The end counts, not the start: what it shows was written before.
    pub fn on_read(&mut self, started: Instant, now: Instant, found: Option<Record>) {
        let sight = found.map_or(Sight::Absent, Sight::Present);
        if !self.is_same(&sight) {
            self.since = now;
        }
        self.sight = sight;
        self.stale = false;
        self.next_read = started + self.timing.retry_period;
    }

    /// The Lease was created and is stored as `version`.
    pub fn on_created(&mut self, started: Instant, now: Instant, created: Vacancy, version: String) {
        let record = Record {
            version,
            holder: VACANT.to_owned(),
            lease_duration: self.timing.lease_duration,
            transitions: created.transitions,
        };
        self.on_read(started, now, Some(record));
    }

    /// `write`, begun at `started`, succeeded and is stored as `version`.
    pub fn on_written(&mut self, started: Instant, now: Instant, write: &Write, version: String) {
        self.sight = Sight::Present(Record {
            version,
            holder: self.identity.clone(),
            lease_duration: self.timing.lease_duration,
            transitions: write.term,
        });
        self.since = now;
        self.stale = false;
        self.last_term = write.term;
        self.renew_at = started + self.timing.retry_period;
        self.tenure = Some(Tenure {
            term: write.term,
            valid_until: started + self.timing.renew_deadline,
        });
    }

    /// A write was refused because the Lease is no longer what it was, or no longer there.
    pub fn on_conflict(&mut self, now: Instant) {
        self.stale = true;
        self.next_read = now;
    }

    /// A read or write, begun at `started`, failed; a write may have been stored all the same.
    pub fn on_error(&mut self, started: Instant) {
        self.stale = true;
        self.next_read = started + self.timing.retry_period;
    }

    /// Ends the tenure. The candidate stays in the race.
    pub fn step_down(&mut self) {
        self.tenure = None;
    }

    /// Ends the tenure for good and says whether to store an empty holder, because this process still is
    /// the holder as far as it knows. Claims must have been withdrawn before that write is sent.
    pub fn release(&mut self) -> bool {
        self.step_down();
        self.holder() == Some(&self.identity)
    }

    fn loss(&self, now: Instant) -> Option<Loss> {
        let tenure = self.tenure?;
        if now >= tenure.valid_until {
            return Some(Loss::Expired);
        }
        match &self.sight {
            Sight::Absent => Some(Loss::Deleted),
            Sight::Present(record) if record.holder != self.identity => {
                Some(Loss::Taken(record.holder.clone()))
            }
            _ => None,
        }
    }

    /// Waits end early when the tenure does, so that stepping down is never late.
    fn wait(&self, until: Instant) -> Action {
        Action::Wait(self.tenure.map_or(until, |tenure| until.min(tenure.valid_until)))
    }

    fn read_when_due(&self, now: Instant) -> Action {
        if now < self.next_read {
            self.wait(self.next_read)
        } else {
            Action::Read
        }
    }

    fn write_over(&self, record: &Record) -> Action {
        let base = record.version.clone();
        Action::Write(match self.tenure {
            Some(tenure) => Write {
                base,
                term: tenure.term,
                acquires: false,
            },
            None => Write {
                base,
                term: record.transitions.max(self.last_term) + 1,
                acquires: true,
            },
        })
    }

    fn is_same(&self, sight: &Sight) -> bool {
        match (&self.sight, sight) {
            (Sight::Absent, Sight::Absent) => true,
            (Sight::Present(old), Sight::Present(new)) => old.version == new.version,
            _ => false,
        }
    }
}

#[cfg(test)]
#[path = "election_tests.rs"]
mod tests;
