//! Notices when this process itself did not run: on a busy machine a probe then ends late through no fault of the
//! network, and proves nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock;

/// How often the pulse beats.
const BEAT: Duration = Duration::from_millis(20);
/// A gap between two beats that is longer counts as a stall.
const GAP_US: u64 = 200_000;

/// When the pulse beat last, and when the last stall ended; microseconds since the epoch, zero before.
static LAST_BEAT: AtomicU64 = AtomicU64::new(0);
static STALL_END: AtomicU64 = AtomicU64::new(0);

/// Beats for ever. It shares its thread with all probes, so what delays it delays them.
pub async fn pulse() {
    loop {
        beat(clock::now());
        tokio::time::sleep(BEAT).await;
    }
}

fn beat(now: u64) {
    let before = LAST_BEAT.swap(now, Ordering::Relaxed);
    if before != 0 && now.saturating_sub(before) > GAP_US {
        STALL_END.store(now, Ordering::Relaxed);
    }
}

/// Whether this process stood still at any time since then.
pub fn since(then_us: u64, now_us: u64) -> bool {
    let beat = LAST_BEAT.load(Ordering::Relaxed);
    // After a stall a probe may run before the pulse does.
    let overdue = beat != 0 && now_us.saturating_sub(beat) > GAP_US;
    overdue || STALL_END.load(Ordering::Relaxed) >= then_us.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test, because the pulse is one for the process.
    #[test]
    fn a_stall_is_noticed_by_probes_that_were_under_way_and_by_no_others() {
        beat(1_000_000);
        beat(1_020_000);
        assert!(!since(900_000, 1_030_000));
        assert!(since(900_000, 1_300_000), "the pulse is overdue");
        beat(1_500_000);
        assert!(since(1_100_000, 1_510_000), "it ended after this probe began");
        assert!(!since(1_505_000, 1_510_000), "it ended before this probe began");
    }
}
