//! How long probes took: a histogram with eight buckets an octave.

use serde::{Deserialize, Serialize};

/// Buckets an octave, as a power of two.
const FINE: u32 = 3;
/// Durations beyond the last bucket (over an hour) count in it.
const BUCKETS: usize = 256;

/// Counts by duration.
#[derive(Clone, Debug)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max_us: u64,
}

/// Quantiles, in microseconds; each is the upper end of its bucket, at most an eighth above the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Quantiles {
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: vec![0; BUCKETS],
            count: 0,
            max_us: 0,
        }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn add(&mut self, us: u64) {
        if let Some(bucket) = self.buckets.get_mut(bucket(us)) {
            *bucket += 1;
        }
        self.count += 1;
        self.max_us = self.max_us.max(us);
    }

    /// The quantiles.
    pub fn quantiles(&self) -> Quantiles {
        Quantiles {
            p50_us: self.quantile(50),
            p99_us: self.quantile(99),
            max_us: self.max_us,
        }
    }

    fn quantile(&self, percent: u64) -> u64 {
        let wanted = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper(index).min(self.max_us);
            }
        }
        self.max_us
    }
}

/// Values below eight have a bucket each; above, the three bits after the leading one choose.
fn bucket(us: u64) -> usize {
    let octave = us.max(1).ilog2();
    let index = if octave < FINE {
        us
    } else {
        let within = (us >> (octave - FINE)) & ((1 << FINE) - 1);
        u64::from(octave - FINE + 1) * (1 << FINE) + within
    };
    usize::try_from(index).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

fn upper(index: usize) -> u64 {
    let (octave, within) = (index >> FINE, (index & ((1 << FINE) - 1)) as u64);
    match octave.checked_sub(1) {
        None => within,
        Some(shift) => ((within + 1 + (1 << FINE)) << shift) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_ends_where_the_next_begins() {
        for us in [
            0,
            1,
            7,
            8,
            9,
            15,
            16,
            17,
            100,
            999,
            1_000,
            65_535,
            900_000,
            3_600_000_000,
        ] {
            let index = bucket(us);
            assert!(us <= upper(index), "{us} is above its bucket");
            assert!(index == 0 || us > upper(index - 1), "{us} belongs below");
        }
    }

    #[test]
    fn quantiles_are_at_most_an_eighth_too_high() {
        let mut histogram = Histogram::default();
        (1..=1_000).for_each(|us| histogram.add(us * 10));
        let said = histogram.quantiles();
        assert!((5_000..=5_625).contains(&said.p50_us), "{said:?}");
        assert!((9_900..=10_000).contains(&said.p99_us), "{said:?}");
        assert_eq!(said.max_us, 10_000);
    }

    #[test]
    fn nothing_counted_is_all_zero() {
        assert_eq!(Histogram::default().quantiles(), Quantiles::default());
    }
}
