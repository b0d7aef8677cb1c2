//! Waiting between attempts. The only file that knows the `backoff` crate, which is no longer maintained.

use std::future::Future;
use std::time::{Duration, Instant};

use ::backoff::backoff::Backoff as _;
use ::backoff::{ExponentialBackoff, ExponentialBackoffBuilder};

/// A source of growing, jittered pauses that never ends.
fn exponential(first: Duration, longest: Duration) -> ExponentialBackoff {
    ExponentialBackoffBuilder::new()
        .with_initial_interval(first)
        .with_max_interval(longest)
        .with_multiplier(2.0)
        .with_randomization_factor(0.25)
        // The default of 15 minutes would end the sequence, and kube would end the watch with it.
        .with_max_elapsed_time(None)
        .build()
}

/// Pauses between attempts of a watch or another endless loop: from 0.5 to 30 seconds, each up to a quarter
/// longer or shorter.
///
/// kube resets a watch backoff after every event, and list+watch emits one before each LIST, so its own
/// backoff never grows while LIST fails. This one starts over only after a minute without a failure.
#[derive(Debug)]
pub struct WatchBackoff {
    inner: ExponentialBackoff,
    last_failure: Option<Instant>,
}

/// Time without a failure after which a loop counts as healthy again, counted from the end of the last pause.
const QUIET: Duration = Duration::from_mins(1);

impl Default for WatchBackoff {
    fn default() -> Self {
        Self {
            inner: exponential(Duration::from_millis(500), Duration::from_secs(30)),
            last_failure: None,
        }
    }
}

impl WatchBackoff {
    fn pause_after(&mut self, now: Instant) -> Duration {
        if self
            .last_failure
            .is_some_and(|last| now.saturating_duration_since(last) >= QUIET)
        {
            self.inner.reset();
        }
        let pause = self.inner.next_backoff().unwrap_or(self.inner.max_interval);
        self.last_failure = Some(now + pause);
        pause
    }
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.pause_after(Instant::now()))
    }
}

impl kube::runtime::utils::Backoff for WatchBackoff {
    /// Ignored on purpose, see the type.
    fn reset(&mut self) {}
}

/// What a failure means for the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The same request will fail again.
    Permanent,
    /// Worth another attempt.
    Transient,
    /// Worth another attempt, but the server asked to be left alone for this long.
    After(Duration),
}

/// Judges a client error. Conflicts and refusals are permanent: the caller must look again before it acts.
pub fn verdict(error: &kube::Error) -> Verdict {
    match error {
        kube::Error::Api(status) => {
            let wait = status
                .details
                .as_ref()
                .map_or(0, |details| details.retry_after_seconds);
            match status.code {
                429 | 500 | 502..=504 if wait > 0 => Verdict::After(Duration::from_secs(wait.into())),
                429 | 500 | 502..=504 => Verdict::Transient,
                _ => Verdict::Permanent,
            }
        }
        kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => {
            Verdict::Transient
        }
        _ => Verdict::Permanent,
    }
}

/// Why [`retry`] gave up.
#[derive(Debug, thiserror::Error)]
pub enum RetryError<E> {
    /// Another attempt would be pointless.
    #[error("{0}")]
    Permanent(#[source] E),
    /// The budget is used up, or would be before the next attempt. The last failure, if an attempt ended.
    #[error("gave up after {after:?}{}", last.as_ref().map(|error| format!(": {error}")).unwrap_or_default())]
    Exhausted {
        /// The budget.
        after: Duration,
        /// What the last finished attempt said.
        last: Option<E>,
    },
}

/// Runs `attempt` until it succeeds, fails for good, or `budget` has passed; also cuts off an attempt that
/// hangs. `attempt` must be safe to repeat after its outcome was lost: never use this for contracting writes.
pub async fn retry<T, E, F>(
    budget: Duration,
    judge: impl Fn(&E) -> Verdict,
    mut attempt: impl FnMut() -> F,
) -> Result<T, RetryError<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let deadline = tokio::time::Instant::now() + budget;
    let mut pauses = exponential(Duration::from_millis(100), Duration::from_secs(5));
    let mut last = None;
    loop {
        let error = match tokio::time::timeout_at(deadline, attempt()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error,
            Err(_) => return Err(RetryError::Exhausted { after: budget, last }),
        };
        let pause = pauses.next_backoff().unwrap_or(pauses.max_interval);
        let pause = match judge(&error) {
            Verdict::Permanent => return Err(RetryError::Permanent(error)),
            Verdict::Transient => pause,
            // The jitter keeps many waiting writers from coming back as one.
            Verdict::After(wait) => wait + pause,
        };
        if tokio::time::Instant::now() + pause >= deadline {
            return Err(RetryError::Exhausted {
                after: budget,
                last: Some(error),
            });
        }
        last = Some(error);
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use kube::core::Status;

    use super::*;

    fn status(code: u16, retry_after_seconds: u32) -> kube::Error {
        let details = crate::runtime::middleware::details(retry_after_seconds);
        kube::Error::Api(
            Status::failure("no", "No")
                .with_code(code)
                .with_details(details)
                .boxed(),
        )
    }

    #[test]
    fn watch_pauses_grow_to_thirty_seconds_although_kube_resets_them() {
        let mut backoff = WatchBackoff::default();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            kube::runtime::utils::Backoff::reset(&mut backoff);
            let pause = backoff.pause_after(now);
            pauses.push(pause);
            now += pause + Duration::from_secs(1);
        }
        assert!(pauses[0] <= Duration::from_millis(625), "{pauses:?}");
        assert!(pauses[11] >= Duration::from_millis(22_500), "{pauses:?}");
        assert!(
            pauses.iter().all(|pause| *pause <= Duration::from_millis(37_500)),
            "{pauses:?}"
        );
    }

    #[test]
    fn watch_pauses_start_over_after_a_quiet_minute() {
        let mut backoff = WatchBackoff::default();
        let mut now = Instant::now();
        for _ in 0..8 {
            now += backoff.pause_after(now);
        }
        assert!(backoff.pause_after(now + QUIET) <= Duration::from_millis(625));
    }

    #[test]
    fn conflicts_are_permanent_and_overload_is_not() {
        assert_eq!(verdict(&status(409, 0)), Verdict::Permanent);
        assert_eq!(verdict(&status(403, 0)), Verdict::Permanent);
        assert_eq!(verdict(&status(503, 0)), Verdict::Transient);
        assert_eq!(verdict(&status(429, 7)), Verdict::After(Duration::from_secs(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_that_the_server_asks_for_is_honoured() {
        let (attempts, began) = (Cell::new(0), tokio::time::Instant::now());
        let result = retry(Duration::from_mins(1), verdict, || async {
            attempts.set(attempts.get() + 1);
            if attempts.get() == 1 {
                Err(status(429, 7))
            } else {
                Ok(began.elapsed())
            }
        })
        .await;
        let elapsed = result.expect("second attempt succeeds");
        assert!(elapsed >= Duration::from_secs(7), "asked again after {elapsed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_beyond_the_budget_ends_it_at_once_with_the_reason() {
        let began = tokio::time::Instant::now();
        let result: Result<(), _> =
            retry(Duration::from_secs(5), verdict, || async { Err(status(429, 7)) }).await;
        assert!(
            matches!(result, Err(RetryError::Exhausted { last: Some(_), .. })),
            "{result:?}"
        );
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_attempt_is_cut_off_at_the_deadline() {
        let result: Result<(), _> = retry(Duration::from_secs(5), verdict, || {
            std::future::pending::<kube::Result<()>>()
        })
        .await;
        assert!(
            matches!(result, Err(RetryError::Exhausted { last: None, .. })),
            "{result:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_failure_is_not_repeated() {
        let attempts = Cell::new(0);
        let result: Result<(), _> = retry(Duration::from_secs(5), verdict, || async {
            attempts.set(attempts.get() + 1);
            Err(status(409, 0))
        })
        .await;
        assert!(matches!(result, Err(RetryError::Permanent(_))));
        assert_eq!(attempts.get(), 1);
    }
}
