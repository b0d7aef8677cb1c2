//! Clients for the API server.

use std::future::Future;
use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::timeout::TimeoutLayer;
use tower::timeout::error::Elapsed;

use super::args::ClusterArgs;
use super::metrics::RuntimeMetrics;
use super::middleware::Observe;

/// What this process calls itself towards the API server, in audit logs and flow control.
pub const AGENT: &str = concat!("bulkhead-operator/", env!("CARGO_PKG_VERSION"));

/// Clients of one process. None of them repeats a request by itself, and each gives up on an answer whose
/// headers do not come in time; bodies need [`within`].
#[derive(Clone)]
pub struct Clients {
    /// For everything but the Lease; limit: `--request-timeout`.
    pub main: Client,
    /// For the Lease alone, so that a flood of other requests never delays a renewal.
    pub lease: Client,
}

/// Why no client could be built.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig named on the command line cannot be used.
    #[error("cannot use kubeconfig {path}: {source}")]
    Kubeconfig {
        /// The file, or the default one.
        path: String,
        /// What is wrong with it.
        source: Box<kube::config::KubeconfigError>,
    },
    /// Nothing was named, and neither a kubeconfig nor a service account was found.
    #[error(
        "no cluster to talk to: give --kubeconfig, set KUBECONFIG, or run in a pod with a service account ({0})"
    )]
    Infer(#[source] Box<kube::config::InferConfigError>),
    /// The configuration was found but does not make a client, for example for a broken certificate.
    #[error("cannot build a client for {url}: {source}")]
    Build {
        /// Address of the API server.
        url: String,
        /// What is wrong.
        source: Box<kube::Error>,
    },
}

/// Chooses the TLS implementation of the process. Must precede the first client; repeating it is harmless.
pub fn install_tls() {
    // The only failure is that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Builds the clients. Sends nothing yet. `lease_timeout` limits each request about the Lease.
pub async fn connect(
    args: &ClusterArgs,
    lease_timeout: Duration,
    metrics: &RuntimeMetrics,
) -> Result<Clients, ConnectError> {
    install_tls();
    let config = configuration(args).await?;
    tracing::info!(server = %config.cluster_url, agent = AGENT, "API server chosen");
    Ok(Clients {
        main: build(config.clone(), args.request_timeout, metrics)?,
        lease: build(config, lease_timeout, metrics)?,
    })
}

/// Awaits a request, body included, for at most `limit`; afterwards it fails like a header timeout does.
pub async fn within<T>(limit: Duration, request: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    let late = |_| Err(kube::Error::Service(Elapsed::new().into()));
    tokio::time::timeout(limit, request).await.unwrap_or_else(late)
}

/// Whether no answer came in time, so that the outcome of a write is unknown.
pub fn is_timeout(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Service(source) if source.is::<Elapsed>())
}

async fn configuration(args: &ClusterArgs) -> Result<Config, ConnectError> {
    let options = KubeConfigOptions {
        context: args.context.clone(),
        ..KubeConfigOptions::default()
    };
    let failed = |source| ConnectError::Kubeconfig {
        path: args
            .kubeconfig
            .as_ref()
            .map_or("(default)".to_owned(), |path| path.display().to_string()),
        source: Box::new(source),
    };
    match &args.kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path).map_err(failed)?;
            Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .map_err(failed)
        }
        None if args.context.is_some() => Config::from_kubeconfig(&options).await.map_err(failed),
        None => Config::infer()
            .await
            .map_err(|error| ConnectError::Infer(Box::new(error))),
    }
}

fn build(mut config: Config, limit: Duration, metrics: &RuntimeMetrics) -> Result<Client, ConnectError> {
    config.default_retry = false;
    config.headers.push((USER_AGENT, HeaderValue::from_static(AGENT)));
    let url = config.cluster_url.to_string();
    let builder = ClientBuilder::try_from(config).map_err(|source| ConnectError::Build {
        url,
        source: Box::new(source),
    })?;
    // The last layer runs first, so that timeouts are counted.
    Ok(builder
        .with_layer(&TimeoutLayer::new(limit))
        .with_layer(&Observe::new(metrics.clone()))
        .build())
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
