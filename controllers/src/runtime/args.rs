//! Command line of the operator. Every flag has a twin in the environment: `--settle-time` is
//! `BULKHEAD_SETTLE_TIME`. The command line wins.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, ValueEnum};

use super::election::Timing;
use super::logging::{Format, check_filter};

/// Namespace of the operator where nothing else tells.
pub const DEFAULT_NAMESPACE: &str = "openshift-bulkhead";

const SERVICE_ACCOUNT_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Opens and closes the system namespaces of a cluster in an order that never denies a required connection.
#[derive(Clone, Debug, Parser)]
#[command(name = "bulkhead-operator", version)]
#[allow(missing_docs)]
pub struct Args {
    #[command(flatten, next_help_heading = "Cluster")]
    pub cluster: ClusterArgs,
    #[command(flatten, next_help_heading = "Behaviour")]
    pub behaviour: BehaviourArgs,
    #[command(flatten, next_help_heading = "Leader election")]
    pub election: ElectionArgs,
    #[command(flatten, next_help_heading = "Endpoints and logs")]
    pub output: OutputArgs,
}

/// Which API server, and how patiently.
#[derive(Clone, Debug, clap::Args)]
pub struct ClusterArgs {
    /// Kubeconfig file [default: KUBECONFIG, else the default kubeconfig, else the service account]
    #[arg(long, env = "BULKHEAD_KUBECONFIG", value_name = "PATH")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current context]
    #[arg(long, env = "BULKHEAD_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// How long one request to the API server may take, from 100ms to 5m
    #[arg(long, env = "BULKHEAD_REQUEST_TIMEOUT", value_name = "DURATION", default_value = "10s", value_parser = parse_request_timeout)]
    pub request_timeout: Duration,
    /// How many writes may be under way at once
    #[arg(long, env = "BULKHEAD_MAX_CONCURRENT_WRITES", value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub max_concurrent_writes: u16,
}

/// How policies are decided and changed.
#[derive(Clone, Debug, clap::Args)]
pub struct BehaviourArgs {
    /// How long an object must stay unchanged before a narrowing change relies on it, from 100ms to 1h
    #[arg(long, env = "BULKHEAD_SETTLE_TIME", value_name = "DURATION", default_value = "30s", value_parser = parse_settle_time)]
    pub settle_time: Duration,
    /// Directory with catalog files that replace the built-in catalog
    #[arg(long, env = "BULKHEAD_CATALOG_DIR", value_name = "PATH")]
    pub catalog_dir: Option<PathBuf>,
    /// Also accept the switch from Network.spec.unsupportedConfigOverrides
    #[arg(long, env = "BULKHEAD_READ_UNSUPPORTED_OVERRIDES", value_parser = BoolishValueParser::new())]
    pub read_unsupported_overrides: bool,
    /// Network plugin; it decides whether host traffic can be selected by label
    #[arg(long, env = "BULKHEAD_NETWORK_PLUGIN", value_enum, default_value_t = NetworkPlugin::Auto)]
    pub network_plugin: NetworkPlugin,
    /// Where the control plane runs; it decides how API server clients are selected
    #[arg(long, env = "BULKHEAD_CONTROL_PLANE", value_enum, default_value_t = ControlPlane::Auto)]
    pub control_plane: ControlPlane,
}

/// `--network-plugin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NetworkPlugin {
    /// As the cluster's Network object says.
    Auto,
    /// OVN-Kubernetes: host traffic is selected by the label of `openshift-host-network`.
    #[value(name = "OVNKubernetes")]
    OvnKubernetes,
    /// openshift-sdn: as OVN-Kubernetes.
    #[value(name = "OpenShiftSDN")]
    OpenShiftSdn,
    /// Any other plugin: host traffic cannot be selected by label, such rules fall back to the port alone.
    #[value(name = "other")]
    Other,
}

/// `--control-plane`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ControlPlane {
    /// As the cluster's Infrastructure object says.
    Auto,
    /// The API server runs on the cluster's own hosts.
    InCluster,
    /// The API server runs elsewhere, so its address is unknown.
    External,
}

/// Who acts when several replicas run.
#[derive(Clone, Debug, clap::Args)]
pub struct ElectionArgs {
    /// Namespace of the Lease [default: the service account's, else openshift-bulkhead]
    #[arg(
        long = "leader-election-namespace",
        env = "BULKHEAD_LEADER_ELECTION_NAMESPACE",
        value_name = "NAMESPACE"
    )]
    pub namespace: Option<String>,
    /// Name of the Lease
    #[arg(
        long = "leader-election-name",
        env = "BULKHEAD_LEADER_ELECTION_NAME",
        value_name = "NAME",
        default_value = "bulkhead-operator"
    )]
    pub name: String,
    /// Readable name of this replica; a random suffix is always added [default: POD_NAME, else the host name]
    #[arg(
        long = "leader-election-identity",
        env = "BULKHEAD_LEADER_ELECTION_IDENTITY",
        value_name = "NAME"
    )]
    pub identity: Option<String>,
    /// How long others leave an unrenewed Lease alone (OpenShift advises 137s)
    #[arg(long = "leader-election-lease-duration", env = "BULKHEAD_LEADER_ELECTION_LEASE_DURATION", value_name = "DURATION", default_value = "15s", value_parser = parse_duration)]
    pub lease_duration: Duration,
    /// How long this replica leads without a renewal (OpenShift advises 107s)
    #[arg(long = "leader-election-renew-deadline", env = "BULKHEAD_LEADER_ELECTION_RENEW_DEADLINE", value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub renew_deadline: Duration,
    /// Time between attempts to gain or renew the Lease (OpenShift advises 26s)
    #[arg(long = "leader-election-retry-period", env = "BULKHEAD_LEADER_ELECTION_RETRY_PERIOD", value_name = "DURATION", default_value = "2s", value_parser = parse_duration)]
    pub retry_period: Duration,
}

/// What the process tells about itself.
#[derive(Clone, Debug, clap::Args)]
pub struct OutputArgs {
    /// Address of /livez, /readyz, /metrics and /debug; take the IPv6 wildcard where pods have IPv6 only;
    /// port 0 takes a free one and logs it
    #[arg(
        long,
        env = "BULKHEAD_METRICS_ADDRESS",
        value_name = "ADDRESS:PORT",
        default_value = "0.0.0.0:8080"
    )]
    pub metrics_address: SocketAddr,
    /// Log filter, for example info or info,bulkhead_controllers=debug
    #[arg(long, env = "BULKHEAD_LOG_LEVEL", value_name = "FILTER", default_value = "info", value_parser = parse_filter)]
    pub log_level: String,
    /// Format of log lines on standard error
    #[arg(long, env = "BULKHEAD_LOG_FORMAT", value_enum, default_value_t = Format::Json)]
    pub log_format: Format,
}

impl Args {
    /// Parses the command line and the environment; explains a mistake and exits if there is one.
    pub fn parse_or_exit() -> Self {
        Self::try_from_command_line(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// Parses these arguments and the environment, and checks what clap cannot.
    pub fn try_from_command_line<I>(arguments: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator,
        I::Item: Into<std::ffi::OsString> + Clone,
    {
        let args = Self::try_parse_from(arguments)?;
        let refuse = |message| Self::command().error(ErrorKind::ValueValidation, message);
        args.election.timing().validate().map_err(|error| {
            refuse(format!(
                "{error} (flags --leader-election-lease-duration, -renew-deadline, -retry-period)"
            ))
        })?;
        if let Some(path) = args.behaviour.catalog_dir.as_ref().filter(|path| !path.is_dir()) {
            return Err(refuse(format!(
                "--catalog-dir {} is not a directory",
                path.display()
            )));
        }
        Ok(args)
    }
}

impl ElectionArgs {
    /// The durations of the election.
    pub fn timing(&self) -> Timing {
        Timing {
            lease_duration: self.lease_duration,
            renew_deadline: self.renew_deadline,
            retry_period: self.retry_period,
        }
    }

    /// The Lease's namespace, from the flag, the service account or the default.
    pub fn resolved_namespace(&self) -> String {
        let account = || std::fs::read_to_string(SERVICE_ACCOUNT_NAMESPACE).ok();
        let known = self
            .namespace
            .clone()
            .or_else(account)
            .map(|name| name.trim().to_owned());
        known
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())
    }

    /// A holder identity that no other process has, past ones included: election relies on that. Differs
    /// between calls.
    pub fn unique_identity(&self) -> String {
        let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let known = self
            .identity
            .clone()
            .or_else(|| std::env::var("POD_NAME").ok())
            .or_else(host);
        let name = known
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty());
        // Each RandomState is keyed from the operating system's randomness.
        let random = RandomState::new().build_hasher().finish();
        format!(
            "{}_{random:016x}",
            name.unwrap_or_else(|| "bulkhead-operator".to_owned())
        )
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let help = "expected a duration such as 500ms, 30s, 2m or 1h30m";
    let signed: jiff::SignedDuration = text.trim().parse().map_err(|_| help.to_owned())?;
    Duration::try_from(signed).map_err(|_| "a duration cannot be negative".to_owned())
}

fn parse_within(text: &str, bounds: RangeInclusive<Duration>) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if bounds.contains(&duration) {
        return Ok(duration);
    }
    Err(format!(
        "must be between {:?} and {:?}",
        bounds.start(),
        bounds.end()
    ))
}

fn parse_settle_time(text: &str) -> Result<Duration, String> {
    parse_within(text, Duration::from_millis(100)..=Duration::from_hours(1))
}

fn parse_request_timeout(text: &str) -> Result<Duration, String> {
    parse_within(text, Duration::from_millis(100)..=Duration::from_mins(5))
}

fn parse_filter(text: &str) -> Result<String, String> {
    check_filter(text)
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
