//! Leader election against the API server: carries out what [`Election`] decides and reports how it went.

use std::future::Future;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::client::within;
use super::election::{Action, Election, Record, Timing, VACANT, Vacancy, Write};
use super::leadership::{Leadership, Problem, Standing, now};
use super::metrics::RuntimeMetrics;
use super::readiness::{Heartbeat, Readiness, ReadyHandle};

const FIELD_MANAGER: &str = "bulkhead-operator";

/// Name of the readiness condition and of the heartbeat.
const CONDITION: &str = "leader election";

/// How long giving the Lease back may take before it is left to expire.
const RELEASE_LIMIT: Duration = Duration::from_secs(4);

/// Where the Lease is and who wants it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Unique among all processes, see [`super::args::ElectionArgs::unique_identity`].
    pub identity: String,
    /// Durations, already validated.
    pub timing: Timing,
}

/// The task that takes part in the election.
pub struct Elector {
    api: Api<Lease>,
    candidate: Candidate,
    election: Election,
    /// The Lease as last seen, so that replacing it keeps what others put there.
    stored: Option<Lease>,
    /// Whether the last look found no Lease.
    missing: bool,
    problem: Option<Problem>,
    standing: watch::Sender<Standing>,
    ready: ReadyHandle,
    heart: Heartbeat,
    metrics: RuntimeMetrics,
}

impl Elector {
    /// Prepares the election. Nothing is sent before [`Elector::run`].
    pub fn new(
        client: Client,
        candidate: Candidate,
        readiness: &Readiness,
        metrics: RuntimeMetrics,
    ) -> (Self, Leadership) {
        let (standing, leadership) = Leadership::channel();
        let elector = Self {
            api: Api::namespaced(client, &candidate.namespace),
            election: Election::new(candidate.identity.clone(), candidate.timing, now()),
            stored: None,
            missing: false,
            problem: None,
            standing,
            ready: readiness.register(CONDITION),
            heart: readiness.heartbeat(CONDITION, candidate.timing.lease_duration * 2),
            candidate,
            metrics,
        };
        (elector, leadership)
    }

    /// Takes part until `stop`, then withdraws every claim and gives the Lease back. Losing the Lease does
    /// not end this: the process becomes a standby and tries again.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        tracing::info!(
            lease = %self.lease_name(), identity = %self.candidate.identity, timing = ?self.candidate.timing,
            "taking part in leader election"
        );
        while !stop.is_cancelled() {
            self.heart.beat();
            match self.election.decide(now()) {
                Action::Wait(until) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(until.into()) => {}
                        () = stop.cancelled() => {}
                    }
                }
                Action::StepDown(loss) => {
                    self.election.step_down();
                    tracing::warn!(lease = %self.lease_name(), reason = %loss, "no longer leading");
                }
                Action::Read => self.read().await,
                Action::Create(vacancy) => self.create(vacancy).await,
                // Never cancelled half way: its outcome matters for giving the Lease back.
                Action::Write(write) => self.write(&write).await,
            }
            self.publish();
        }
        if tokio::time::timeout(RELEASE_LIMIT, self.release()).await.is_err() {
            tracing::warn!(lease = %self.lease_name(), "the Lease could not be given back in time; it will expire");
        }
        Ok(())
    }

    async fn read(&mut self) {
        let started = now();
        match self.attempt(self.api.get_opt(&self.candidate.name)).await {
            Ok(found) => self.saw(started, found),
            Err(error) => self.failed("get", started, &error),
        }
    }

    fn saw(&mut self, started: Instant, found: Option<Lease>) {
        let before = self.election.holder().map(ToOwned::to_owned);
        self.election.on_read(started, now(), found.as_ref().map(record));
        if found.is_none() && !self.missing {
            tracing::warn!(
                lease = %self.lease_name(), wait = ?self.candidate.timing.lease_duration,
                "there is no Lease; perhaps it was deleted under a leader, so it is created but left alone for a while"
            );
        }
        self.missing = found.is_none();
        self.stored = found;
        let holder = self.election.holder();
        if holder != before.as_deref() {
            tracing::info!(lease = %self.lease_name(), holder, "the Lease has another holder");
        }
        // A refusal to write stays true however often reading works.
        if !self
            .problem
            .as_ref()
            .is_some_and(|problem| is_refusal(problem.reason))
        {
            self.problem = None;
        }
    }

    async fn write(&mut self, write: &Write) {
        let started = now();
        match self.replace(self.claiming(write)).await {
            Ok(stored) => {
                let version = record(&stored).version;
                self.stored = Some(stored);
                self.election.on_written(started, now(), write, version);
                self.problem = None;
                if write.acquires {
                    tracing::info!(lease = %self.lease_name(), term = write.term, "leading");
                }
            }
            Err(error) if is_changed(&error) => self.election.on_conflict(now()),
            Err(error) => self.failed("update", started, &error),
        }
    }

    async fn create(&mut self, vacancy: Vacancy) {
        let started = now();
        let lease = self.vacant(vacancy);
        match self.attempt(self.api.create(&params(), &lease)).await {
            Ok(stored) => {
                let version = record(&stored).version;
                self.election.on_created(started, now(), vacancy, version);
                self.stored = Some(stored);
                self.problem = None;
            }
            Err(error) if is_conflict(&error) => self.election.on_conflict(now()),
            Err(error) => self.failed("create", started, &error),
        }
    }

    /// Withdraws all claims, then stores an empty holder, so that a standby need not wait. Reads again where
    /// the outcome of an earlier write was unknown.
    async fn release(&mut self) {
        while self.election.release() {
            self.publish();
            let started = now();
            match self.replace(self.released()).await {
                Ok(_) => {
                    tracing::info!(lease = %self.lease_name(), "gave the Lease back");
                    return;
                }
                Err(error) if is_changed(&error) => self.read().await,
                Err(error) => {
                    self.failed("update", started, &error);
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
        self.publish();
    }

    /// Fails unless the resourceVersion in `lease` still is the stored one.
    async fn replace(&self, lease: Lease) -> kube::Result<Lease> {
        self.attempt(self.api.replace(&self.candidate.name, &params(), &lease))
            .await
    }

    /// One request, cut off early enough to step down in time.
    async fn attempt<T>(&self, request: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
        let left = self
            .election
            .tenure()
            .map(|tenure| tenure.valid_until.saturating_duration_since(now()));
        let limit = self.candidate.timing.attempt_timeout();
        within(left.map_or(limit, |left| left.min(limit)), request).await
    }

    fn claiming(&self, write: &Write) -> Lease {
        let mut lease = self.stored.clone().unwrap_or_default();
        lease.metadata.resource_version = Some(write.base.clone());
        // An informative field: expiry is never judged by it.
        let time = Some(MicroTime(Timestamp::now()));
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        spec.holder_identity = Some(self.candidate.identity.clone());
        spec.lease_duration_seconds = Some(self.candidate.timing.stored_seconds());
        spec.renew_time.clone_from(&time);
        if write.acquires {
            spec.acquire_time = time;
            spec.lease_transitions = Some(stored_count(write.term));
        }
        lease
    }

    fn released(&self) -> Lease {
        let mut lease = self.stored.clone().unwrap_or_default();
        if let Some(spec) = lease.spec.as_mut() {
            spec.holder_identity = None;
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        lease
    }

    fn vacant(&self, vacancy: Vacancy) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some(self.candidate.name.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(VACANT.to_owned()),
                lease_duration_seconds: Some(self.candidate.timing.stored_seconds()),
                lease_transitions: Some(stored_count(vacancy.transitions)),
                renew_time: Some(MicroTime(Timestamp::now())),
                ..LeaseSpec::default()
            }),
        }
    }

    fn failed(&mut self, verb: &str, started: Instant, error: &kube::Error) {
        self.election.on_error(started);
        let problem = problem(verb, &self.candidate, error);
        if self.problem.as_ref() != Some(&problem) {
            tracing::warn!(lease = %self.lease_name(), %problem, "leader election is impaired");
            self.problem = Some(problem);
        }
    }

    /// Tells everybody where the election stands, if that changed.
    fn publish(&self) {
        let next = Standing {
            tenure: self.election.tenure(),
            holder: self.election.holder().map(ToOwned::to_owned),
            problem: self.problem.clone(),
        };
        match &next.problem {
            Some(problem) => self.ready.set_not_ready(problem.to_string()),
            None if self.stored.is_some() => self.ready.set_ready(),
            None => self.ready.set_not_ready("the Lease has not been read yet"),
        }
        let led = self.standing.borrow().tenure.map(|tenure| tenure.term);
        let leads = next.tenure.map(|tenure| tenure.term);
        if led != leads {
            self.metrics.lease_transitions.inc();
            self.metrics.leader.set(i64::from(leads.is_some()));
        }
        self.standing.send_if_modified(|current| {
            let changed = *current != next;
            *current = next;
            changed
        });
    }

    fn lease_name(&self) -> String {
        format!("{}/{}", self.candidate.namespace, self.candidate.name)
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec
        .lease_duration_seconds
        .and_then(|seconds| u64::try_from(seconds).ok());
    Record {
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        holder: spec.holder_identity.unwrap_or_default(),
        lease_duration: Duration::from_secs(seconds.unwrap_or_default()),
        transitions: spec
            .lease_transitions
            .and_then(|count| u64::try_from(count).ok())
            .unwrap_or_default(),
    }
}

fn params() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

fn stored_count(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Also true for a creation that came too late.
fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// Whether a replacement was refused because the Lease changed or went away.
fn is_changed(error: &kube::Error) -> bool {
    is_conflict(error) || matches!(error, kube::Error::Api(status) if status.code == 404)
}

const FORBIDDEN: &str = "LeaseForbidden";
const REJECTED: &str = "LeaseRejected";

fn is_refusal(reason: &str) -> bool {
    reason == FORBIDDEN || reason == REJECTED
}

fn problem(verb: &str, candidate: &Candidate, error: &kube::Error) -> Problem {
    let Candidate { namespace, name, .. } = candidate;
    let lease = format!("leases.coordination.k8s.io {name:?} in namespace {namespace:?}");
    let (reason, message) = match error {
        kube::Error::Api(status) => match status.code {
            401 => (
                "LeaseUnauthorized",
                format!("the API server does not accept this account: {}", status.message),
            ),
            403 => (
                FORBIDDEN,
                format!(
                    "not allowed to {verb} {lease}; grant get, create and update: {}",
                    status.message
                ),
            ),
            404 => (
                "LeaseNamespaceMissing",
                format!("cannot {verb} {lease}; create the namespace: {}", status.message),
            ),
            400 | 422 => (REJECTED, format!("cannot {verb} {lease}: {}", status.message)),
            code => (
                "LeaseUnavailable",
                format!("cannot {verb} {lease}: {code} {}", status.message),
            ),
        },
        other => ("LeaseUnreachable", format!("cannot {verb} {lease}: {other}")),
    };
    Problem { reason, message }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
