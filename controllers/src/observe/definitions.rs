//! When to ask again for a kind that the API server does not serve.
//!
//! Kinds come and go with their definitions, which are watched anyway. So nobody has to ask for an absent kind
//! again and again: it is worth it for a while after any definition changed, and not before.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

use crate::runtime::backoff::WatchBackoff;

/// How long after a change of a definition its kind may take to be served.
const ARRIVAL: Duration = Duration::from_mins(1);

/// What the watch of the definitions last said; shared by all watches.
#[derive(Clone, Debug)]
pub struct Definitions(watch::Sender<Seen>);

#[derive(Clone, Copy, Debug)]
enum Seen {
    /// Definitions cannot be watched: nothing tells when a kind arrives.
    Nothing,
    /// A definition changed at this time.
    ChangeAt(Instant),
}

impl Default for Definitions {
    fn default() -> Self {
        Self(watch::Sender::new(Seen::Nothing))
    }
}

impl Definitions {
    /// A definition appeared, changed or went.
    pub fn changed(&self) {
        self.0.send_replace(Seen::ChangeAt(Instant::now()));
    }

    /// Definitions cannot be watched any more, or not yet.
    pub fn unknown(&self) {
        self.0.send_replace(Seen::Nothing);
    }

    /// Waits until it is worth asking again for a kind that was not served.
    pub async fn worth_asking(&self, pauses: &mut WatchBackoff) {
        let mut seen = self.0.subscribe();
        let before = *seen.borrow_and_update();
        tokio::time::sleep(pauses.next().unwrap_or_default()).await;
        loop {
            match *seen.borrow_and_update() {
                Seen::Nothing => return,
                Seen::ChangeAt(at) if at.elapsed() < ARRIVAL => {
                    if !matches!(before, Seen::ChangeAt(known) if known == at) {
                        *pauses = WatchBackoff::default();
                    }
                    return;
                }
                Seen::ChangeAt(_) => {}
            }
            if seen.changed().await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked_within(definitions: &Definitions, time: Duration) -> bool {
        let mut pauses = WatchBackoff::default();
        tokio::time::timeout(time, definitions.worth_asking(&mut pauses))
            .await
            .is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_asks_again_until_a_definition_changes() {
        let definitions = Definitions::default();
        definitions.changed();
        tokio::time::advance(ARRIVAL).await;
        assert!(!asked_within(&definitions, Duration::from_hours(1)).await);
        definitions.changed();
        assert!(asked_within(&definitions, Duration::from_secs(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_wakes_who_waits() {
        let definitions = Definitions::default();
        definitions.changed();
        tokio::time::advance(ARRIVAL).await;
        let waiting = definitions.clone();
        let waits = tokio::spawn(async move { asked_within(&waiting, Duration::from_hours(1)).await });
        tokio::time::sleep(Duration::from_mins(5)).await;
        assert!(!waits.is_finished());
        definitions.changed();
        assert!(waits.await.expect("no panic"));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_watch_of_definitions_it_is_asked_again_and_again() {
        let definitions = Definitions::default();
        assert!(asked_within(&definitions, Duration::from_secs(1)).await);
        definitions.changed();
        tokio::time::advance(ARRIVAL).await;
        definitions.unknown();
        assert!(asked_within(&definitions, Duration::from_secs(1)).await);
    }
}
