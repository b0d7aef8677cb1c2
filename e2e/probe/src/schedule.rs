//! Probing again and again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::clock;
use crate::dial::{self, Patience};
use crate::message::{Group, Target};
use crate::series::{Series, Summary};

/// Fresh probes of one target that may be under way at a time.
const IN_FLIGHT: usize = 128;

/// When and how long.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Beat {
    pub patience: Patience,
    pub until: Instant,
}

/// Targets that are being probed.
#[derive(Default)]
pub struct Schedule {
    series: BTreeMap<String, Arc<Mutex<Series>>>,
    tasks: JoinSet<()>,
}

impl Schedule {
    /// Begins.
    pub fn start(groups: Vec<Group>, beat: Beat) -> Self {
        let mut schedule = Self::default();
        for group in groups {
            let every = Duration::from_millis(group.interval_ms);
            for target in group.targets {
                let series = Arc::new(Mutex::new(Series::default()));
                schedule.series.insert(target.id.clone(), Arc::clone(&series));
                if target.held {
                    schedule.tasks.spawn(hold(target, every, beat, series));
                } else {
                    schedule.tasks.spawn(repeat(target, every, beat, series));
                }
            }
        }
        schedule
    }

    /// How many targets there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is nothing to probe.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// What is known by now.
    pub fn report(&self) -> BTreeMap<String, Summary> {
        let each = self.series.iter();
        each.map(|(id, series)| (id.clone(), locked(series).summary()))
            .collect()
    }

    /// Sends no more and waits for what is under way, for so long.
    pub async fn stop(&mut self, limit: Duration) -> BTreeMap<String, Summary> {
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
        let deadline = Instant::now() + limit;
        while self.series.values().any(|s| locked(s).under_way() > 0) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.report()
    }
}

/// A panic while the lock was held leaves counts that are as good as before.
fn locked(series: &Mutex<Series>) -> MutexGuard<'_, Series> {
    series.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A fresh probe at each beat, whatever became of the ones before.
async fn repeat(target: Target, every: Duration, beat: Beat, series: Arc<Mutex<Series>>) {
    let places = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut beats = interval(every);
    // Late beats are left out rather than made up for in a burst.
    beats.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while Instant::now() < beat.until {
        beats.tick().await;
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            locked(&series).skipped();
            continue;
        };
        let number = locked(&series).sent(clock::now());
        let (series, target) = (Arc::clone(&series), target.clone());
        // Ends by its timeout; it outlives this task so that what was sent is also counted.
        tokio::spawn(async move {
            let result = dial::fresh(&target, beat.patience).await;
            locked(&series).done(number, result);
            drop(place);
        });
    }
}

/// An exchange on one connection at each beat; a new connection only when the old one broke.
async fn hold(target: Target, every: Duration, beat: Beat, series: Arc<Mutex<Series>>) {
    let mut stream: Option<TcpStream> = None;
    let mut beats = interval(every);
    beats.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while Instant::now() < beat.until {
        beats.tick().await;
        let at = clock::now();
        let result = dial::held(&mut stream, target.address, beat.patience).await;
        // Counted in one go: an exchange that is cut off by the end of the schedule has no result.
        let mut series = locked(&series);
        let number = series.sent(at);
        series.done(number, result);
    }
}
