//! The results of one target in the order in which its probes were sent.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::latency::{Histogram, Quantiles};
use crate::message::Failure;

/// How many changes between success and failure are remembered; more are only counted.
const MAX_RUNS: usize = 4_096;
/// What took longer is counted as slow: a repeated segment rather than a scheduler's whim.
const SLOW_US: u64 = 150_000;

/// Consecutive probes with the same result, by the times at which they were sent (microseconds since the epoch).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Run {
    pub open: bool,
    pub first_us: u64,
    pub last_us: u64,
    pub count: u64,
}

/// What is known of a target.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Probes whose result is known.
    pub sent: u64,
    /// Probes that failed, by reason.
    pub failed: BTreeMap<Failure, u64>,
    /// Probes that got through and took suspiciously long.
    pub slow: u64,
    /// Probes that were due and not sent, because too many were under way.
    pub skipped: u64,
    /// How long the ones took that got through.
    pub latency: Quantiles,
    /// Every change between success and failure, oldest first.
    pub runs: Vec<Run>,
    /// Changes that were not remembered any more.
    pub forgotten: u64,
}

impl Summary {
    /// How many probes failed for a reason of the network. What this end could not even send proves nothing.
    pub fn losses(&self) -> u64 {
        let network = self.failed.iter().filter(|(why, _)| **why != Failure::Local);
        network.map(|(_, count)| count).sum()
    }
}

/// A probe under way or done, waiting for older ones.
#[derive(Clone, Copy, Debug)]
struct Slot {
    sent_us: u64,
    result: Option<Result<u64, Failure>>,
}

/// Collects results in the order of sending: a probe that fails takes longer than one that gets through, so that
/// results arrive in another order.
#[derive(Debug, Default)]
pub struct Series {
    summary: Summary,
    latency: Histogram,
    waiting: VecDeque<Slot>,
    /// Number of the first one that waits.
    first: u64,
}

impl Series {
    /// A probe was sent; gives its number.
    pub fn sent(&mut self, at_us: u64) -> u64 {
        self.waiting.push_back(Slot {
            sent_us: at_us,
            result: None,
        });
        self.first + self.waiting.len() as u64 - 1
    }

    /// A probe was due and could not be sent.
    pub fn skipped(&mut self) {
        self.summary.skipped += 1;
    }

    /// A probe ended: how long it took, or why it failed.
    pub fn done(&mut self, number: u64, result: Result<u64, Failure>) {
        let index = number
            .checked_sub(self.first)
            .and_then(|i| usize::try_from(i).ok());
        if let Some(slot) = index.and_then(|index| self.waiting.get_mut(index)) {
            slot.result = Some(result);
        }
        while let Some(&Slot {
            sent_us,
            result: Some(result),
        }) = self.waiting.front()
        {
            self.waiting.pop_front();
            self.first += 1;
            self.count(sent_us, result);
        }
    }

    fn count(&mut self, sent_us: u64, result: Result<u64, Failure>) {
        self.summary.sent += 1;
        match result {
            Ok(took_us) => {
                self.latency.add(took_us);
                self.summary.slow += u64::from(took_us > SLOW_US);
            }
            Err(why) => *self.summary.failed.entry(why).or_default() += 1,
        }
        let open = result.is_ok();
        let full = self.summary.runs.len() >= MAX_RUNS;
        match self.summary.runs.last_mut() {
            Some(run) if run.open == open && self.summary.forgotten == 0 => {
                run.last_us = sent_us;
                run.count += 1;
            }
            _ if !full => self.summary.runs.push(Run {
                open,
                first_us: sent_us,
                last_us: sent_us,
                count: 1,
            }),
            _ => self.summary.forgotten += 1,
        }
    }

    /// Probes under way.
    pub fn under_way(&self) -> usize {
        self.waiting.len()
    }

    /// What is known by now.
    pub fn summary(&self) -> Summary {
        Summary {
            latency: self.latency.quantiles(),
            ..self.summary.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_count_in_the_order_of_sending() {
        let mut series = Series::default();
        let numbers: Vec<u64> = (0..4).map(|i| series.sent(i * 10)).collect();
        series.done(numbers[1], Err(Failure::Timeout));
        series.done(numbers[3], Ok(7));
        assert_eq!(series.summary().sent, 0, "the first one is still under way");
        series.done(numbers[0], Ok(5));
        series.done(numbers[2], Err(Failure::Timeout));
        let summary = series.summary();
        let said: Vec<_> = summary
            .runs
            .iter()
            .map(|r| (r.open, r.first_us, r.count))
            .collect();
        assert_eq!(said, [(true, 0, 1), (false, 10, 2), (true, 30, 1)]);
        assert_eq!((summary.sent, summary.losses(), series.under_way()), (4, 2, 0));
    }

    #[test]
    fn what_could_not_be_sent_is_no_loss() {
        let mut series = Series::default();
        let number = series.sent(0);
        series.done(number, Err(Failure::Local));
        assert_eq!(series.summary().losses(), 0);
        assert_eq!(series.summary().failed[&Failure::Local], 1);
    }

    #[test]
    fn memory_is_bounded() {
        let mut series = Series::default();
        for at in 0..10_000 {
            let number = series.sent(at);
            series.done(number, if at % 2 == 0 { Ok(1) } else { Err(Failure::Timeout) });
        }
        let summary = series.summary();
        assert_eq!(summary.runs.len(), MAX_RUNS);
        assert_eq!(summary.forgotten, 10_000 - MAX_RUNS as u64);
        assert_eq!(summary.losses(), 5_000, "nothing is lost from the counts");
    }
}
