//! What the rest of the process may know about leader election.

use std::fmt;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::election::Tenure;

/// Something that keeps this process from taking part in the election. It stays until a request succeeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// CamelCase, fit for a condition: `LeaseForbidden`, `LeaseNamespaceMissing`, `LeaseUnreachable`, ….
    pub reason: &'static str,
    /// What failed and what to do about it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

/// The election as seen from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Set while this process leads.
    pub tenure: Option<Tenure>,
    /// Identity of the last known holder, this process included.
    pub holder: Option<String>,
    /// Why the election does not work at present.
    pub problem: Option<Problem>,
}

/// Handle on the election. Cheap to clone; each clone follows changes on its own.
#[derive(Clone, Debug)]
pub struct Leadership {
    standing: watch::Receiver<Standing>,
    seen: Option<u64>,
}

impl Leadership {
    /// The handle, initially not leading, and the end that publishes to it.
    pub fn channel() -> (watch::Sender<Standing>, Self) {
        let (sender, standing) = watch::channel(Standing::default());
        (sender, Self { standing, seen: None })
    }

    /// The right to make contracting writes, while this process leads.
    pub fn claim(&self) -> Option<Claim> {
        let term = self.standing.borrow().tenure?.term;
        let claim = Claim {
            term,
            standing: self.standing.clone(),
        };
        claim.is_valid().then_some(claim)
    }

    /// Waits until leadership began, ended, or passed to a later term since the last call on this handle
    /// (the first call compares with "not leading"), and returns the claim if this process now leads.
    /// Renewals do not count: a claim that has run out by the time it is looked at may become valid again. Never
    /// returns once the election has ended for good.
    pub async fn changed(&mut self) -> Option<Claim> {
        let seen = self.seen;
        let term = |standing: &Standing| standing.tenure.map(|tenure| tenure.term);
        let next = self.standing.wait_for(|standing| term(standing) != seen).await;
        // The guard must not live across an await.
        let next = next.map(|standing| term(&standing));
        match next {
            Ok(term) => {
                self.seen = term;
                let standing = self.standing.clone();
                term.map(|term| Claim { term, standing })
            }
            Err(_) => std::future::pending().await,
        }
    }

    /// The last known holder, for status and logs.
    pub fn holder(&self) -> Option<String> {
        self.standing.borrow().holder.clone()
    }

    /// Why the election does not work at present, if it does not.
    pub fn problem(&self) -> Option<Problem> {
        self.standing.borrow().problem.clone()
    }

    /// Everything at once, for example to follow problems with [`watch::Receiver::changed`].
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }
}

/// Proof of leadership in one term. Check [`Claim::is_valid`] right before every contracting write.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Which acquisition this belongs to.
    pub term: u64,
    standing: watch::Receiver<Standing>,
}

impl Claim {
    /// Whether this process still leads, in the same term, at this moment of the monotonic clock. It needs
    /// no task to run: a process that was stopped for too long finds its claim invalid.
    pub fn is_valid(&self) -> bool {
        !self.remaining().is_zero()
    }

    /// How long the claim lasts if it is not renewed; zero when it is invalid. A contracting request should
    /// not be waited for any longer: afterwards somebody else may lead.
    pub fn remaining(&self) -> Duration {
        let tenure = self
            .standing
            .borrow()
            .tenure
            .filter(|tenure| tenure.term == self.term);
        tenure.map_or(Duration::ZERO, |tenure| {
            tenure.valid_until.saturating_duration_since(now())
        })
    }
}

/// The clock of the election. Tokio's, so that tests may pause it; otherwise `CLOCK_MONOTONIC`, which stands
/// still while the whole machine is suspended. A claim may outlive such a sleep, so contracting writes carry
/// preconditions as well.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leading(term: u64, for_: Duration) -> Standing {
        Standing {
            tenure: Some(Tenure {
                term,
                valid_until: now() + for_,
            }),
            ..Standing::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_ends_by_the_clock_alone() {
        let (sender, leadership) = Leadership::channel();
        assert!(leadership.claim().is_none());
        sender.send_replace(leading(1, Duration::from_secs(10)));
        let claim = leadership.claim().expect("leads");
        tokio::time::advance(Duration::from_millis(9_999)).await;
        assert!(claim.is_valid());
        assert_eq!(claim.remaining(), Duration::from_millis(1));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!claim.is_valid());
        assert!(leadership.claim().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_of_an_earlier_term_stays_invalid_when_leadership_returns() {
        let (sender, leadership) = Leadership::channel();
        sender.send_replace(leading(1, Duration::from_secs(10)));
        let claim = leadership.claim().expect("leads");
        sender.send_replace(Standing::default());
        assert!(!claim.is_valid());
        sender.send_replace(leading(2, Duration::from_secs(10)));
        assert!(!claim.is_valid());
        assert_eq!(leadership.claim().map(|claim| claim.term), Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_ran_out_before_it_was_told_lives_again_when_it_is_renewed() {
        let (sender, mut leadership) = Leadership::channel();
        sender.send_replace(leading(1, Duration::ZERO));
        let claim = leadership.changed().await.expect("the term has begun");
        assert!(!claim.is_valid());
        sender.send_replace(leading(1, Duration::from_secs(10)));
        assert!(claim.is_valid());
    }

    #[tokio::test(start_paused = true)]
    async fn only_transitions_count_as_changes() {
        let (sender, mut leadership) = Leadership::channel();
        sender.send_replace(leading(1, Duration::from_secs(10)));
        assert_eq!(leadership.changed().await.map(|claim| claim.term), Some(1));
        sender.send_replace(leading(1, Duration::from_secs(20)));
        let pending = tokio::time::timeout(Duration::from_secs(1), leadership.changed()).await;
        assert!(pending.is_err(), "a renewal was reported as a change");
        sender.send_replace(Standing::default());
        assert!(leadership.changed().await.is_none());
    }
}
