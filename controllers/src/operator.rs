//! The operator process: watches, the controller, and what any process needs around them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::mpsc;

use crate::{
    apply::fault,
    catalog,
    controller::{Controller, Known, Settings},
    observe::{definitions::Definitions, watch, world::Kind},
    report::metrics::Metrics,
    runtime::{
        args::{Args, ControlPlane, NetworkPlugin},
        client,
        health::{HealthServer, Sources},
        lease::{Candidate, Elector},
        logging,
        metrics::RuntimeMetrics,
        readiness::Readiness,
        supervise::{Stage, Supervisor, signals},
    },
};

/// How long steps under way may take to end after the process was told to.
const DRAIN: Duration = Duration::from_secs(20);
/// Changes that may wait for the controller; watches pause beyond that.
const QUEUE: usize = 4096;

/// Runs until a signal, or until a task fails.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let log = logging::init(&args.output.log_level, args.output.log_format)?;
    let catalog = catalog::load(args.behaviour.catalog_dir.as_deref())?;
    let mut registry = prometheus_client::registry::Registry::default();
    let runtime_metrics = RuntimeMetrics::register(&mut registry);
    let metrics = Metrics::register(&mut registry);
    let timing = args.election.timing();
    let clients = client::connect(&args.cluster, timing.attempt_timeout(), &runtime_metrics).await?;

    let readiness = Readiness::default();
    let mut supervisor = Supervisor::new(readiness.clone(), DRAIN);
    let candidate = Candidate {
        namespace: args.election.resolved_namespace(),
        name: args.election.name.clone(),
        identity: args.election.unique_identity(),
        timing,
    };
    let settings = settings(&args, catalog, &candidate);
    let (elector, leadership) = Elector::new(clients.lease, candidate, &readiness, runtime_metrics);
    supervisor.spawn(Stage::Leadership, "leader election", |stop| elector.run(stop));

    let (changes, inbox) = mpsc::channel(QUEUE);
    let inbox = fault::inbox(inbox);
    let channel = watch::Channel {
        changes,
        definitions: Definitions::default(),
        streaming: true,
    };
    let mut ready = BTreeMap::new();
    for kind in Kind::all() {
        // Bundles say by themselves what they cannot read; the switch does not wait for them.
        if Kind::SWITCH.contains(&kind) {
            ready.insert(kind, readiness.register(format!("watch {}", kind.plural())));
        }
        let (client, channel) = (clients.main.clone(), channel.clone());
        supervisor.spawn(
            Stage::Intake,
            format!("watch {}", kind.plural()),
            move |stop| async move {
                tokio::select! {
                    () = watch::run(client, kind, channel) => Ok(()),
                    () = stop.cancelled() => Ok(()),
                }
            },
        );
    }
    drop(channel);
    let controller = Controller::new(clients.main, settings, metrics, ready);
    let page = controller.state_page();
    supervisor.spawn(Stage::Work, "controller", |stop| {
        controller.run(inbox, leadership, stop)
    });

    let sources = Sources {
        readiness,
        registry: Arc::new(registry),
        log,
        state: Arc::new(move || page.show()),
    };
    let server = HealthServer::bind(args.output.metrics_address, sources).await?;
    supervisor.spawn(Stage::Endpoints, "endpoints", |stop| server.serve(stop));
    supervisor.run(signals()?).await?;
    Ok(())
}

fn settings(args: &Args, catalog: bulkhead_api::Catalog, candidate: &Candidate) -> Settings {
    Settings {
        settle: args.behaviour.settle_time,
        catalog: Arc::new(catalog),
        read_overrides: args.behaviour.read_unsupported_overrides,
        identity: candidate.identity.as_str().into(),
        own_namespace: candidate.namespace.as_str().into(),
        concurrency: args.cluster.max_concurrent_writes.into(),
        request_limit: args.cluster.request_timeout,
        host_selectable: match args.behaviour.network_plugin {
            NetworkPlugin::Auto => Known::FromCluster,
            NetworkPlugin::OvnKubernetes | NetworkPlugin::OpenShiftSdn => Known::Yes,
            NetworkPlugin::Other => Known::No,
        },
        external_control_plane: match args.behaviour.control_plane {
            ControlPlane::Auto => Known::FromCluster,
            ControlPlane::External => Known::Yes,
            ControlPlane::InCluster => Known::No,
        },
    }
}
