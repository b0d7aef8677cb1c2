//! One clock for all timestamps of the process: it starts at the system's time and never goes back.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

static START: OnceLock<(Instant, u64)> = OnceLock::new();

/// Microseconds since the epoch.
pub fn now() -> u64 {
    let (began, at) = START.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        (Instant::now(), micros(since))
    });
    at.saturating_add(micros(began.elapsed()))
}

/// A duration in microseconds.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
