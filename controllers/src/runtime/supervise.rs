//! Every task of the process, watched. None may end unnoticed: a process whose writer died but whose
//! readiness still shines is worse than one that restarts.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use anyhow::anyhow;
use futures::{Stream, StreamExt as _, stream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backoff::WatchBackoff;
use super::metrics::{RuntimeMetrics, TaskLabels};
use super::readiness::Readiness;

/// When a task is told to stop. Stages end one after the other, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Brings in new work: watches, timers.
    Intake,
    /// Does the work: deciding and writing. Finishes what it began.
    Work,
    /// Holds the Lease; it is given back only after a clean end of all work.
    Leadership,
    /// Answers probes to the end.
    Endpoints,
}

const STAGES: [Stage; 4] = [Stage::Intake, Stage::Work, Stage::Leadership, Stage::Endpoints];

/// How long the stages after the work get each.
const SHORT_LIMIT: Duration = Duration::from_secs(5);

/// Why the process ends with an error.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A task that should run for ever returned.
    #[error("task {0:?} ended")]
    Ended(String),
    /// A task reported an error.
    #[error("task {name:?} failed: {source:#}")]
    Failed {
        /// Which task.
        name: String,
        /// What it said.
        source: anyhow::Error,
    },
    /// A task panicked or was killed.
    #[error("task {name:?} died: {reason}")]
    Died {
        /// Which task.
        name: String,
        /// The panic message.
        reason: String,
    },
    /// Tasks did not finish in time after they were told to stop.
    #[error("tasks still running {after:?} after they were told to stop: {}", names.join(", "))]
    Stuck {
        /// The time they had.
        after: Duration,
        /// Which tasks.
        names: Vec<String>,
    },
    /// A second signal asked for an end without delay.
    #[error("ended at once by a second signal ({0})")]
    Impatient(&'static str),
}

/// Owns all tasks. Dropping it aborts them.
pub struct Supervisor {
    tasks: JoinSet<anyhow::Result<()>>,
    running: HashMap<Id, (Stage, String)>,
    stops: [CancellationToken; STAGES.len()],
    readiness: Readiness,
    drain_limit: Duration,
}

impl Supervisor {
    /// `drain_limit` is the time that intake and work have together to finish; keep it well below the pod's
    /// termination grace period.
    pub fn new(readiness: Readiness, drain_limit: Duration) -> Self {
        Self {
            tasks: JoinSet::new(),
            running: HashMap::new(),
            stops: Default::default(),
            readiness,
            drain_limit,
        }
    }

    /// Starts a task. It must run until the token that it gets is cancelled, and then return soon.
    pub fn spawn<F>(
        &mut self,
        stage: Stage,
        name: impl Into<String>,
        task: impl FnOnce(CancellationToken) -> F,
    ) where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let handle = self.tasks.spawn(task(self.stop_of(stage)));
        self.running.insert(handle.id(), (stage, name.into()));
    }

    /// The token that ends a stage, for helpers that are no tasks of their own.
    pub fn stop_of(&self, stage: Stage) -> CancellationToken {
        self.stops[stage as usize].clone()
    }

    /// Runs until a signal comes or a task ends, then stops everything in order. The first failure counts.
    ///
    /// The Lease is given back only if all work ended well. Otherwise a request may still be on its way, so
    /// the Lease is left to expire, which outlasts it.
    pub async fn run(mut self, signals: impl Stream<Item = &'static str> + Unpin) -> Result<(), Failure> {
        let mut signals = signals.fuse();
        let mut failure = tokio::select! {
            Some(name) = signals.next() => {
                tracing::info!(signal = name, "shutting down");
                None
            }
            Some(failure) = self.next_failure() => Some(failure),
        };
        if let Some(failure) = &failure {
            tracing::error!(%failure, "shutting down");
        }
        self.readiness.drain();
        tokio::select! {
            biased;
            Some(name) = signals.next() => return Err(Failure::Impatient(name)),
            () = self.stop_all(&mut failure) => {}
        }
        failure.map_or(Ok(()), Err)
    }

    async fn stop_all(&mut self, failure: &mut Option<Failure>) {
        let work_ends = Instant::now() + self.drain_limit;
        for stage in STAGES {
            let (deadline, limit) = match stage {
                Stage::Intake | Stage::Work => (work_ends, self.drain_limit),
                Stage::Leadership | Stage::Endpoints => (Instant::now() + SHORT_LIMIT, SHORT_LIMIT),
            };
            if stage == Stage::Leadership && failure.is_some() {
                tracing::warn!("not giving the Lease back after a failure; it will expire");
                return;
            }
            self.stop_of(stage).cancel();
            let ended = tokio::time::timeout_at(deadline, self.drained(stage, failure)).await;
            if ended.is_err() {
                let stuck = Failure::Stuck {
                    after: limit,
                    names: self.names(stage),
                };
                tracing::error!(failure = %stuck, "shutdown is incomplete");
                failure.get_or_insert(stuck);
            }
        }
    }

    async fn drained(&mut self, stage: Stage, failure: &mut Option<Failure>) {
        while self.running.values().any(|(of, _)| *of == stage) {
            if let Some(found) = self.next_end().await.flatten() {
                tracing::error!(failure = %found, "a task failed while shutting down");
                failure.get_or_insert(found);
            }
        }
    }

    /// The next task to end in a way that it should not; never, if there is none.
    async fn next_failure(&mut self) -> Option<Failure> {
        loop {
            match self.next_end().await {
                Some(Some(failure)) => return Some(failure),
                Some(None) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// The next end of a task, with the failure if it is one; `None` without tasks.
    async fn next_end(&mut self) -> Option<Option<Failure>> {
        let ended = self.tasks.join_next_with_id().await?;
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let (stage, name) = self
            .running
            .remove(&id)
            .unwrap_or((Stage::Work, "unnamed".to_owned()));
        Some(match ended {
            Ok((_, Ok(()))) if self.stops[stage as usize].is_cancelled() => None,
            Ok((_, Ok(()))) => Some(Failure::Ended(name)),
            Ok((_, Err(source))) => Some(Failure::Failed { name, source }),
            Err(error) => Some(Failure::Died {
                name,
                reason: reason_of(error),
            }),
        })
    }

    fn names(&self, stage: Stage) -> Vec<String> {
        let of_stage = self.running.values().filter(|(of, _)| *of == stage);
        let mut names: Vec<_> = of_stage.map(|(_, name)| name.clone()).collect();
        names.sort();
        names
    }
}

fn reason_of(error: JoinError) -> String {
    let text = error.to_string();
    let Ok(panic) = error.try_into_panic() else {
        return text;
    };
    let message = panic.downcast_ref::<&str>().map(ToString::to_string);
    message
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .map_or(text, |message| format!("panicked: {message}"))
}

/// SIGTERM and SIGINT as they come.
pub fn signals() -> std::io::Result<impl Stream<Item = &'static str> + Unpin> {
    let named = |source: Signal, name: &'static str| {
        stream::unfold(source, move |mut source| async move {
            source.recv().await.map(|()| (name, source))
        })
        .boxed()
    };
    let (term, int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(stream::select(named(term, "SIGTERM"), named(int, "SIGINT")))
}

/// Runs a task that may fail, again and again with growing pauses, until `stop`. Returning without an error
/// before that is an error: such tasks are endless.
pub async fn restarting<F>(
    name: &str,
    metrics: &RuntimeMetrics,
    stop: CancellationToken,
    mut task: impl FnMut() -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    for pause in WatchBackoff::default() {
        let ended = tokio::select! {
            ended = task() => ended,
            () = stop.cancelled() => return Ok(()),
        };
        match ended {
            Ok(()) if stop.is_cancelled() => return Ok(()),
            Ok(()) => return Err(anyhow!("{name} returned although it was not told to stop")),
            Err(error) => {
                tracing::warn!(
                    task = name,
                    error = format!("{error:#}"),
                    ?pause,
                    "starting the task again"
                );
                metrics
                    .task_restarts
                    .get_or_create(&TaskLabels {
                        task: name.to_owned(),
                    })
                    .inc();
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "supervise_tests.rs"]
mod tests;
