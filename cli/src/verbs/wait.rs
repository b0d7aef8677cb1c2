//! Waiting until the operator has applied a mode, without ever trusting a stale status.

use std::time::Duration;

use anyhow::{Result, bail};
use bulkhead_api::isolation::SystemIsolationStatus;
use bulkhead_api::vocabulary::condition;
use kube::Client;
use tokio::time::{Instant, sleep, timeout};

use super::mode::Goal;
use crate::inventory;
use crate::session::Session;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(500);

/// What a status says about a goal.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Progress {
    /// It is reached; what remains to be said.
    Reached(Option<String>),
    /// Not yet, for this reason.
    NotYet(String),
    /// It cannot be reached until somebody acts.
    Refused(String),
}

/// Waits. A `limit` of zero waits for ever.
pub async fn until_applied(client: &Client, session: &Session, goal: &Goal, limit: Duration) -> Result<()> {
    let start = Instant::now();
    let mut last = String::new();
    loop {
        // One lost request does not end a wait of minutes.
        let status = match look(client, limit.saturating_sub(start.elapsed()), limit.is_zero()).await {
            Ok(status) => Ok(status),
            Err(error) => Err(crate::errors::explain(&error)),
        };
        let progress = match &status {
            Ok(status) => judge(goal, status.as_ref()),
            Err(error) => Progress::NotYet(error.clone()),
        };
        match progress {
            Progress::Reached(remark) => {
                if let Some(remark) = remark {
                    session.warn(&remark);
                }
                return Ok(());
            }
            Progress::Refused(why) => bail!("the operator does not apply the mode: {why}"),
            Progress::NotYet(why) => {
                if why != last {
                    session.note(&why);
                    last = why;
                }
            }
        }
        if !limit.is_zero() && start.elapsed() >= limit {
            bail!(
                "gave up after {limit:?}: {last}; the operator keeps going, see {} status",
                session.program
            );
        }
        sleep(INTERVAL).await;
    }
}

async fn look(client: &Client, left: Duration, for_ever: bool) -> Result<Option<SystemIsolationStatus>> {
    let read = inventory::system_isolation(client);
    let object = if for_ever {
        read.await
    } else {
        timeout(left.max(INTERVAL), read).await?
    };
    let object = inventory::served::<bulkhead_api::SystemIsolation, _>(object)?;
    Ok(object.and_then(|object| object.status))
}

fn judge(goal: &Goal, status: Option<&SystemIsolationStatus>) -> Progress {
    let waiting = |why: &str| Progress::NotYet(format!("waiting: {why}"));
    let Some(status) = status else {
        return waiting("the operator has not reported yet; is it running?");
    };
    if status.observed_generation.unwrap_or_default() < goal.isolation_generation {
        return waiting("the operator has not seen the change yet");
    }
    if let Some(degraded) = inventory::condition(&status.conditions, condition::DEGRADED)
        && degraded.status == "True"
        && is_configuration(&degraded.reason)
    {
        return Progress::Refused(format!("{}: {}", degraded.reason, degraded.message));
    }
    let carrier = status.carrier.as_ref();
    let observed = match goal.carrier {
        None => carrier.is_none(),
        Some((kind, generation)) => {
            carrier.is_some_and(|c| c.kind == kind && c.observed_generation >= generation)
        }
    };
    if !observed || status.applied.as_ref().and_then(|a| a.mode) != goal.mode {
        return waiting("the operator has not applied the change yet");
    }
    match inventory::condition(&status.conditions, condition::PROGRESSING) {
        Some(progressing) if progressing.status == "False" => Progress::Reached(remark(status)),
        Some(progressing) => waiting(&under_way(status, &progressing.message)),
        None => waiting("the operator has not reported progress yet"),
    }
}

/// How far it is, in numbers where there are any: names would scroll by.
fn under_way(status: &SystemIsolationStatus, message: &str) -> String {
    let Some(counts) = &status.counts else {
        return message.to_owned();
    };
    let closed = counts.restricted + counts.partly;
    format!(
        "{closed} closed, {} open, {} preserved, {} blocked of {} namespaces",
        counts.open, counts.preserved, counts.blocked, counts.desired
    )
}

/// Reasons of Degraded that mean that the configuration was not taken.
fn is_configuration(reason: &str) -> bool {
    matches!(
        reason,
        "ConflictingConfiguration" | "InvalidConfiguration" | "ModeRemoved"
    )
}

fn remark(status: &SystemIsolationStatus) -> Option<String> {
    let degraded =
        inventory::condition(&status.conditions, condition::DEGRADED).filter(|c| c.status == "True");
    let blocked = status.counts.as_ref().map_or(0, |c| c.blocked);
    match degraded {
        Some(degraded) => Some(format!(
            "the operator is Degraded: {}: {}",
            degraded.reason, degraded.message
        )),
        None if blocked > 0 => Some(format!("{blocked} namespaces are blocked and stay open")),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_api::isolation::{AppliedConfig, CarrierStatus, Counts};
    use bulkhead_api::switch::Mode;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    const GOAL: Goal = Goal {
        mode: Some(Mode::Restricted),
        carrier: Some(("Network", 7)),
        isolation_generation: 2,
    };

    fn condition(kind: &str, status: &str, reason: &str) -> Condition {
        Condition {
            type_: kind.into(),
            status: status.into(),
            reason: reason.into(),
            message: "told".into(),
            last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
            observed_generation: None,
        }
    }

    fn reached() -> SystemIsolationStatus {
        SystemIsolationStatus {
            observed_generation: Some(2),
            carrier: Some(CarrierStatus {
                kind: "Network".into(),
                observed_generation: 7,
            }),
            applied: Some(AppliedConfig {
                mode: Some(Mode::Restricted),
                isolation: None,
                new_namespaces: None,
            }),
            conditions: vec![condition("Progressing", "False", "AsExpected")],
            ..Default::default()
        }
    }

    fn judged(change: impl FnOnce(&mut SystemIsolationStatus)) -> Progress {
        let mut status = reached();
        change(&mut status);
        judge(&GOAL, Some(&status))
    }

    #[test]
    fn a_current_settled_status_ends_the_wait() {
        assert_eq!(judged(|_| {}), Progress::Reached(None));
    }

    #[test]
    fn a_stale_status_never_ends_the_wait() {
        let waits = |progress| matches!(progress, Progress::NotYet(_));
        assert!(waits(judge(&GOAL, None)));
        assert!(waits(judged(|s| s
            .carrier
            .as_mut()
            .unwrap()
            .observed_generation = 6)));
        assert!(waits(judged(
            |s| s.carrier.as_mut().unwrap().kind = "SystemIsolation".into()
        )));
        assert!(waits(judged(|s| s.observed_generation = Some(1))));
        assert!(waits(judged(|s| s.applied = None)));
        assert!(waits(judged(|s| s.conditions.clear())));
        assert!(waits(judged(|s| s.conditions[0].status = "True".into())));
    }

    #[test]
    fn a_refused_configuration_ends_the_wait_at_once() {
        let conflict = judged(|s| {
            s.conditions
                .push(condition("Degraded", "True", "ConflictingConfiguration"));
        });
        assert!(matches!(conflict, Progress::Refused(_)));
        let failing = judged(|s| s.conditions.push(condition("Degraded", "True", "ApplyFailing")));
        assert!(matches!(failing, Progress::Reached(Some(_))));
    }

    #[test]
    fn blocked_namespaces_are_mentioned() {
        let progress = judged(|s| {
            s.counts = Some(Counts {
                blocked: 2,
                ..Default::default()
            });
        });
        assert_eq!(
            progress,
            Progress::Reached(Some("2 namespaces are blocked and stay open".into()))
        );
    }

    #[test]
    fn removing_the_mode_is_done_when_no_carrier_is_left() {
        let goal = Goal {
            mode: None,
            carrier: None,
            isolation_generation: 2,
        };
        assert!(matches!(judge(&goal, Some(&reached())), Progress::NotYet(_)));
        let mut status = reached();
        (status.carrier, status.applied) = (None, None);
        assert_eq!(judge(&goal, Some(&status)), Progress::Reached(None));
    }
}
