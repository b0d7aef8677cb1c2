//! The controller: one task that owns everything observed, plans namespace by namespace, and hands steps to a
//! bounded number of workers. Only the leader carries out steps; a standby keeps its world warm.

pub mod bundles;
mod control;
mod debug;
mod namespaces;
mod operands;
mod settings;
pub mod snapshot;
mod summary;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use bulkhead_api::isolation::CarrierStatus;
use kube::Client;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub use debug::StatePage;
pub use settings::{Known, Settings};

use self::{control::Control, snapshot::Declarations};
use crate::{
    apply::{ClusterWriter, Executor, OperandExecutor, Outcome},
    decide::config::Applied,
    observe::{
        Dirty, Moment, World,
        world::{Change, Kind},
    },
    plan::Cluster,
    report::metrics::Metrics,
    runtime::{
        leadership::{Claim, Leadership},
        readiness::ReadyHandle,
    },
};

/// How long changes are collected before the cluster-wide summary is written.
const REPORT_PAUSE: Duration = Duration::from_millis(300);
/// How often slow facts are looked at again: label keys in use, versions nobody can see any more.
const TICK: Duration = Duration::from_secs(15);
/// How often a claim that ran out is looked at: it may be renewed in the same term, which nobody tells.
const RENEWAL: Duration = Duration::from_millis(100);
/// Changes taken in before planning continues.
const BATCH: usize = 512;

/// What a worker reports back.
enum Done {
    Step {
        name: Arc<str>,
        kind: &'static str,
        outcome: Outcome,
    },
    Status {
        name: Arc<str>,
        outcome: Outcome,
    },
    Report(Result<(), crate::apply::ApplyError>),
    Operand {
        operand: bulkhead_api::operand::Operand,
        outcome: Outcome,
    },
}

/// The controller.
pub struct Controller {
    settings: Settings,
    world: World,
    declarations: Declarations,
    cluster: Arc<Cluster>,
    remembered: Option<(Applied, CarrierStatus)>,
    controls: HashMap<Arc<str>, Control>,
    dirty: BTreeSet<Arc<str>>,
    wakes: BTreeSet<(Moment, Arc<str>)>,
    operands: operands::Operands,
    executor: Arc<Executor>,
    writer: ClusterWriter,
    claim: Option<Claim>,
    workers: JoinSet<Done>,
    steps_in_flight: usize,
    reporting: bool,
    report_at: Option<Moment>,
    report_failures: u32,
    epoch: Instant,
    metrics: Metrics,
    recorder: kube::runtime::events::Recorder,
    ready: BTreeMap<Kind, ReadyHandle>,
    page: StatePage,
}

impl Controller {
    /// A controller that has seen nothing yet. `ready` has a handle per watched kind.
    pub fn new(
        client: Client,
        settings: Settings,
        metrics: Metrics,
        ready: BTreeMap<Kind, ReadyHandle>,
    ) -> Self {
        let epoch = Instant::now();
        let mut world = World::default();
        world.carriers.read_overrides = settings.read_overrides;
        let cluster = Arc::new(snapshot::cluster(&world, &settings, 0, None, Arc::default()));
        let executor = Executor::new(
            client.clone(),
            settings.request_limit,
            settings.catalog.header.sequence,
            settings.read_overrides,
            epoch,
        );
        let (sequence, limit) = (settings.catalog.header.sequence, settings.request_limit);
        let bundles = OperandExecutor::new(client.clone(), limit, sequence, epoch);
        let reporter = kube::runtime::events::Reporter {
            controller: "bulkhead-operator".into(),
            instance: Some(settings.identity.to_string()),
        };
        Self {
            writer: ClusterWriter {
                client: client.clone(),
                limit: settings.request_limit,
            },
            recorder: kube::runtime::events::Recorder::new(client, reporter),
            executor: Arc::new(executor),
            settings,
            world,
            declarations: Declarations::default(),
            cluster,
            remembered: None,
            controls: HashMap::new(),
            dirty: BTreeSet::new(),
            wakes: BTreeSet::new(),
            operands: operands::Operands::new(bundles),
            claim: None,
            workers: JoinSet::new(),
            steps_in_flight: 0,
            reporting: false,
            report_at: None,
            report_failures: 0,
            epoch,
            metrics,
            ready,
            page: StatePage::default(),
        }
    }

    /// What `/debug/state` shows.
    pub fn state_page(&self) -> StatePage {
        self.page.clone()
    }

    /// Runs until told to stop, then lets steps under way come to their end.
    pub async fn run(
        mut self,
        mut changes: mpsc::Receiver<(Kind, Change)>,
        mut leadership: Leadership,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut tick = tokio::time::interval(TICK);
        let mut batch = Vec::with_capacity(BATCH);
        let mut watching = true;
        loop {
            let next = self.next_wake();
            tokio::select! {
                () = stop.cancelled() => break,
                count = changes.recv_many(&mut batch, BATCH), if watching => {
                    // At shutdown the watches end first; if one ends by itself, that is its supervisor's affair.
                    watching = count > 0;
                    self.take_in(&mut batch);
                }
                claim = leadership.changed() => self.lead(claim),
                Some(done) = self.workers.join_next() => self.finished(done?),
                () = sleep_until(self.epoch, next) => {}
                _ = tick.tick() => self.tick(),
            }
            self.work();
        }
        while let Some(done) = self.workers.join_next().await {
            self.finished(done?);
        }
        Ok(())
    }

    fn now(&self) -> Moment {
        self.epoch.elapsed()
    }

    /// When to look again although nothing changed. A standby has nothing to do by itself.
    fn next_wake(&self) -> Option<Moment> {
        if !self.claim.as_ref()?.is_valid() {
            return Some(self.now() + RENEWAL);
        }
        let namespace = self.wakes.first().map(|(at, _)| *at);
        let report = self.report_at.filter(|_| !self.reporting);
        [namespace, report, self.operands.next_wake()]
            .into_iter()
            .flatten()
            .min()
    }

    fn take_in(&mut self, batch: &mut Vec<(Kind, Change)>) {
        let now = self.now();
        let (mut everything, mut summary) = (false, false);
        for (kind, change) in batch.drain(..) {
            self.count_external(kind, &change);
            let progress = matches!(change, Change::Synced | Change::Unserved | Change::Failing(_));
            match self.world.apply(kind, change, now) {
                Dirty::Nothing => {}
                Dirty::Namespace(name) => {
                    self.operands.touched(&name);
                    self.dirty.insert(name);
                }
                Dirty::Operands => self.operands.touch(),
                Dirty::Declarations(name) => {
                    self.declarations.invalidate_namespace(&name);
                    everything = true;
                }
                Dirty::Summary => summary = true,
                Dirty::All => everything = true,
            }
            if progress {
                self.show_readiness(kind);
            }
        }
        if everything {
            self.rebuild();
        } else if summary {
            self.report_soon();
        }
    }

    fn show_readiness(&self, kind: Kind) {
        let Some(handle) = self.ready.get(&kind) else {
            return;
        };
        if self.world.is_known(kind) {
            handle.set_ready();
        } else {
            handle.set_not_ready(format!("{:?}", self.world.sync(kind)));
        }
    }

    /// Everything that namespaces have in common is computed anew, and every namespace is looked at.
    fn rebuild(&mut self) {
        let term = self.claim.as_ref().map_or(0, |claim| claim.term);
        let keys = self.cluster.used_label_keys.clone();
        let cluster = snapshot::cluster(&self.world, &self.settings, term, self.remembered.as_ref(), keys);
        if let Some(carrier) = &cluster.config.carrier {
            self.remembered = Some((cluster.config.applied, carrier.clone()));
        }
        if cluster.platform != self.cluster.platform {
            self.declarations.invalidate();
        }
        if self.cluster.config != cluster.config {
            tracing::info!(
                mode = crate::decide::config::mode_text(cluster.config.applied),
                carrier = cluster.config.carrier.as_ref().map(|c| c.kind.as_str()),
                problem = cluster.config.problem.as_ref().map(|p| p.reason),
                hold = cluster.config.hold.is_some(),
                "configuration"
            );
            self.report_at = Some(self.now());
        }
        self.cluster = Arc::new(cluster);
        self.dirty.extend(self.world.namespaces.keys().cloned());
        self.operands.touch();
        self.report_soon();
    }

    fn report_soon(&mut self) {
        let at = self.now() + REPORT_PAUSE;
        self.report_at = Some(self.report_at.map_or(at, |known| known.min(at)));
    }

    fn lead(&mut self, claim: Option<Claim>) {
        let now = self.now();
        if let Some(claim) = &claim {
            tracing::info!(term = claim.term, "leading");
            control::restart_clocks(&mut self.world, now);
            self.controls.values_mut().for_each(Control::restart);
            self.operands.restart();
        } else {
            tracing::info!("not leading");
            self.clear_metrics();
        }
        self.claim = claim;
        self.rebuild();
    }

    fn tick(&mut self) {
        let now = self.now();
        self.show_state();
        for state in self.world.namespaces.values_mut() {
            state.history.forget(now, self.settings.settle);
        }
        if self.claim.is_none() {
            return;
        }
        let keys = snapshot::used_label_keys(&self.world);
        if keys != *self.cluster.used_label_keys {
            let mut cluster = (*self.cluster).clone();
            cluster.used_label_keys = Arc::new(keys);
            self.cluster = Arc::new(cluster);
            self.dirty.extend(self.world.namespaces.keys().cloned());
        }
    }

    /// Plans what is due and hands out steps while there is room.
    fn work(&mut self) {
        let now = self.now();
        while let Some((at, name)) = self.wakes.first().cloned() {
            if at > now {
                break;
            }
            self.wakes.pop_first();
            self.dirty.insert(name);
        }
        // One that ran out may still be renewed in the same term, which is not told as a change: it is kept, and what
        // is due stays due until it is renewed or withdrawn.
        let Some(claim) = self.claim.clone().filter(Claim::is_valid) else {
            return;
        };
        self.work_on_operands(&claim, now);
        // Its own namespace first: an operator that cannot be reached cannot be asked to open the rest.
        let own = self.settings.own_namespace.clone();
        if self.dirty.remove(&own) {
            self.consider(&own, &claim, now);
        }
        while self.steps_in_flight < self.settings.concurrency
            && let Some(name) = self.dirty.pop_first()
        {
            self.consider(&name, &claim, now);
        }
        if self.report_at.is_some_and(|at| at <= now) && !self.reporting {
            self.report_at = None;
            self.report();
        }
    }

    fn finished(&mut self, done: Done) {
        let now = self.now();
        match done {
            Done::Step { name, kind, outcome } => {
                self.steps_in_flight -= 1;
                self.count_own(&name, &outcome);
                self.close_step(&name, kind, &outcome, now);
            }
            Done::Status { name, outcome } => {
                self.steps_in_flight -= 1;
                self.close_step(&name, "status", &outcome, now);
            }
            Done::Operand { operand, outcome } => self.finished_operand(operand, &outcome, now),
            Done::Report(result) => {
                self.reporting = false;
                match result {
                    Ok(()) => self.report_failures = 0,
                    Err(error) => {
                        self.report_failures = (self.report_failures + 1).min(7);
                        let pause = Duration::from_millis(250) * 2u32.pow(self.report_failures);
                        tracing::warn!(%error, "the summary could not be written");
                        self.report_at = Some(now + pause);
                    }
                }
            }
        }
    }
}

async fn sleep_until(epoch: Instant, at: Option<Moment>) {
    match at {
        Some(at) => tokio::time::sleep_until((epoch + at).into()).await,
        None => std::future::pending().await,
    }
}
