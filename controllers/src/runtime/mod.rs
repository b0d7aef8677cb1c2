//! What any operator process needs around its controllers: flags, clients, leader election, supervised
//! tasks, health and metrics endpoints, logs whose level changes while running, and an orderly end.
//!
//! Nothing in here knows about network policies. This is how the pieces meet:
//!
//! ```no_run
//! use std::{sync::Arc, time::Duration};
//! use bulkhead_controllers::runtime::{
//!     args::Args, client, health::{HealthServer, Sources}, lease::{Candidate, Elector}, logging,
//!     metrics::RuntimeMetrics, readiness::Readiness, supervise::{Stage, Supervisor, signals},
//! };
//!
//! # async fn operator() -> anyhow::Result<()> {
//! let args = Args::parse_or_exit();
//! let log = logging::init(&args.output.log_level, args.output.log_format)?;
//! let mut registry = prometheus_client::registry::Registry::default();
//! let metrics = RuntimeMetrics::register(&mut registry);
//! let timing = args.election.timing();
//! let clients = client::connect(&args.cluster, timing.attempt_timeout(), &metrics).await?;
//!
//! let readiness = Readiness::default();
//! let mut supervisor = Supervisor::new(readiness.clone(), Duration::from_secs(20));
//! let candidate = Candidate {
//!     namespace: args.election.resolved_namespace(),
//!     name: args.election.name.clone(),
//!     identity: args.election.unique_identity(),
//!     timing,
//! };
//! let (elector, leadership) = Elector::new(clients.lease, candidate, &readiness, metrics);
//! supervisor.spawn(Stage::Leadership, "leader election", |stop| elector.run(stop));
//!
//! // Register further metrics and readiness conditions, and spawn watches and writers with `leadership`.
//!
//! let state = Arc::new(|| serde_json::json!({}));
//! let sources = Sources { readiness, registry: Arc::new(registry), log, state };
//! let server = HealthServer::bind(args.output.metrics_address, sources).await?;
//! supervisor.spawn(Stage::Endpoints, "endpoints", |stop| server.serve(stop));
//! supervisor.run(signals()?).await?;
//! # let _ = leadership; Ok(())
//! # }
//! ```

pub mod args;
pub mod backoff;
pub mod client;
pub mod election;
pub mod health;
pub mod leadership;
pub mod lease;
pub mod logging;
pub mod metrics;
mod middleware;
pub mod readiness;
pub mod supervise;
