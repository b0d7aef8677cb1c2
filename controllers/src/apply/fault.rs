//! Faults that tests put at exact points: the process ends before or after the n-th write, deletions reach the
//! API server late, or what the watches say reaches the controller late.
//!
//! Built only with the feature `faults`, and inert unless `BULKHEAD_FAULT` is `kill-before:N`, `kill-after:N`,
//! `late-delete:MILLISECONDS` or `late-watch:MILLISECONDS`.

#[cfg(feature = "faults")]
mod armed {
    use std::{
        future::Future,
        sync::{
            LazyLock,
            atomic::{AtomicU64, Ordering},
        },
        time::Duration,
    };

    use tokio::sync::mpsc;

    #[derive(Clone, Copy, PartialEq)]
    enum Fault {
        KillBefore(u64),
        KillAfter(u64),
        LateDelete(Duration),
        LateWatch(Duration),
    }

    static WRITES: AtomicU64 = AtomicU64::new(0);
    static FAULT: LazyLock<Option<Fault>> = LazyLock::new(|| {
        let text = std::env::var("BULKHEAD_FAULT").ok()?;
        let (what, number) = text.split_once(':')?;
        let number = number.parse().ok()?;
        match what {
            "kill-before" => Some(Fault::KillBefore(number)),
            "kill-after" => Some(Fault::KillAfter(number)),
            "late-delete" => Some(Fault::LateDelete(Duration::from_millis(number))),
            "late-watch" => Some(Fault::LateWatch(Duration::from_millis(number))),
            _ => None,
        }
    });

    /// Counts a write that is about to be sent.
    pub fn before() {
        let count = WRITES.fetch_add(1, Ordering::SeqCst) + 1;
        end_if(*FAULT == Some(Fault::KillBefore(count)));
    }

    /// A write was answered.
    pub fn after() {
        let count = WRITES.load(Ordering::SeqCst);
        end_if(matches!(*FAULT, Some(Fault::KillAfter(at)) if at <= count));
    }

    /// A deletion that may be held up on its way. It arrives even when nobody waits for the answer any more.
    pub async fn late<T: Send + 'static>(
        request: impl Future<Output = kube::Result<T>> + Send + 'static,
    ) -> kube::Result<T> {
        let Some(Fault::LateDelete(delay)) = *FAULT else {
            return request.await;
        };
        let held_up = tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let answer = request.await;
            tracing::info!(refused = answer.is_err(), "a deletion arrived late");
            answer
        });
        held_up
            .await
            .map_err(|error| kube::Error::Service(error.into()))?
    }

    /// What the watches say, as the controller gets it.
    pub fn inbox<T: Send + 'static>(mut changes: mpsc::Receiver<T>) -> mpsc::Receiver<T> {
        let Some(Fault::LateWatch(delay)) = *FAULT else {
            return changes;
        };
        let (late, inbox) = mpsc::channel(1);
        let (queue, mut queued) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(change) = changes.recv().await {
                let _ = queue.send((tokio::time::Instant::now() + delay, change));
            }
        });
        tokio::spawn(async move {
            while let Some((due, change)) = queued.recv().await {
                tokio::time::sleep_until(due).await;
                let _ = late.send(change).await;
            }
        });
        inbox
    }

    fn end_if(now: bool) {
        if now {
            // No destructor may run: this stands for a kill.
            std::process::exit(137);
        }
    }
}

#[cfg(feature = "faults")]
pub use armed::{after, before, inbox, late};

/// Counts a write that is about to be sent.
#[cfg(not(feature = "faults"))]
pub fn before() {}

/// A write was answered.
#[cfg(not(feature = "faults"))]
pub fn after() {}

/// A deletion that is sent at once.
#[cfg(not(feature = "faults"))]
pub async fn late<T>(request: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    request.await
}

/// What the watches say, at once.
#[cfg(not(feature = "faults"))]
pub fn inbox<T>(changes: tokio::sync::mpsc::Receiver<T>) -> tokio::sync::mpsc::Receiver<T> {
    changes
}
