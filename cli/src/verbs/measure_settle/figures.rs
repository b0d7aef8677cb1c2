//! From what probers saw to figures. Pure.

use bulkhead_probe::series::Summary;
use serde::Serialize;

/// What enforcement of one write took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// So many microseconds after the write, at most one interval of the prober too many.
    After(u64),
    /// Not yet: the last probes still show the state before.
    NotYet,
}

/// When everything sent was stopped, counted from `written_us` on the prober's clock: the last probe that got through,
/// and one interval more, because enforcement may have begun right after it.
pub fn closed(summary: &Summary, written_us: u64, interval_us: u64, steady: u64) -> Seen {
    let Some(last) = summary.runs.last().filter(|run| !run.open && run.count >= steady) else {
        return Seen::NotYet;
    };
    // Failures before the write have nothing to do with it.
    if last.last_us <= written_us {
        return Seen::NotYet;
    }
    let open = summary.runs.iter().rev().find(|run| run.open);
    Seen::After(open.map_or(0, |run| (run.last_us + interval_us).saturating_sub(written_us)))
}

/// When probes got through again: the first one that did, after all that did not.
pub fn opened(summary: &Summary, written_us: u64, steady: u64) -> Seen {
    match summary.runs.last() {
        Some(run) if run.open && run.count >= steady && run.last_us > written_us => {
            Seen::After(run.first_us.saturating_sub(written_us))
        }
        _ => Seen::NotYet,
    }
}

/// A distribution, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Distribution {
    pub samples: usize,
    pub min: f64,
    pub median: f64,
    pub p90: f64,
    pub max: f64,
}

impl Distribution {
    /// Of durations in microseconds; nothing of none.
    pub fn of(mut samples: Vec<u64>) -> Option<Self> {
        samples.sort_unstable();
        let at = |percent: usize| {
            let rank = (samples.len() * percent).div_ceil(100).max(1) - 1;
            samples.get(rank).copied().map(millis)
        };
        Some(Self {
            samples: samples.len(),
            min: at(0)?,
            median: at(50)?,
            p90: at(90)?,
            max: at(100)?,
        })
    }
}

fn millis(us: u64) -> f64 {
    std::time::Duration::from_micros(us).as_secs_f64() * 1_000.0
}

/// What a settle time must have over the slowest enforcement that was seen: samples are few, a busy day is not among
/// them, and a settle time that is too long costs nothing but patience.
const HEADROOM: f64 = 3.0;

/// The settle time that follows, in whole seconds.
pub fn advised_seconds(slowest_ms: f64) -> f64 {
    (slowest_ms * HEADROOM / 1_000.0).ceil().max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_probe::series::Run;

    fn seen(runs: &[(bool, u64, u64, u64)]) -> Summary {
        Summary {
            runs: runs
                .iter()
                .map(|&(open, first_us, last_us, count)| Run {
                    open,
                    first_us,
                    last_us,
                    count,
                })
                .collect(),
            ..Summary::default()
        }
    }

    #[test]
    fn closing_ends_with_the_last_probe_that_got_through() {
        let summary = seen(&[(true, 0, 5_000, 50), (false, 5_100, 9_000, 40)]);
        assert_eq!(closed(&summary, 4_000, 100, 10), Seen::After(1_100));
        assert_eq!(
            closed(&summary, 9_500, 100, 10),
            Seen::NotYet,
            "closed by something before"
        );
        assert_eq!(
            closed(&summary, 4_000, 100, 60),
            Seen::NotYet,
            "not for long enough"
        );
        assert_eq!(
            closed(&seen(&[(true, 0, 5_000, 50)]), 4_000, 100, 10),
            Seen::NotYet
        );
        assert_eq!(closed(&seen(&[]), 0, 100, 1), Seen::NotYet);
    }

    #[test]
    fn a_plugin_that_opens_again_for_a_moment_has_not_closed_before() {
        let flapping = seen(&[
            (true, 0, 5_000, 50),
            (false, 5_100, 6_000, 9),
            (true, 6_100, 6_100, 1),
            (false, 6_200, 9_000, 28),
        ]);
        assert_eq!(closed(&flapping, 4_000, 100, 10), Seen::After(2_200));
        assert_eq!(
            opened(
                &seen(&[(false, 0, 5_000, 50), (true, 5_100, 9_000, 39)]),
                4_000,
                10
            ),
            Seen::After(1_100)
        );
    }

    #[test]
    fn a_distribution_tells_its_ends() {
        let figures = Distribution::of((1..=10).map(|n| n * 1_000).collect()).unwrap_or_default();
        assert_eq!(
            (figures.min, figures.median, figures.p90, figures.max),
            (1.0, 5.0, 9.0, 10.0)
        );
        assert!(Distribution::of(Vec::new()).is_none());
    }

    #[test]
    fn advice_leaves_room() {
        assert!((advised_seconds(20.0) - 1.0).abs() < f64::EPSILON);
        assert!((advised_seconds(4_100.0) - 13.0).abs() < f64::EPSILON);
    }
}
