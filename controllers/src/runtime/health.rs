//! The HTTP endpoints of the process: `/livez`, `/readyz`, `/metrics`, `/debug/log-level`, `/debug/state`.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::logging::LogControl;
use super::readiness::Readiness;

/// Connections served at once; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 64;
/// How long a client may take to send its request head.
const HEAD_LIMIT: Duration = Duration::from_secs(5);
/// How long one connection may last. Each carries a single request.
const CONNECTION_LIMIT: Duration = Duration::from_secs(30);
/// Longest accepted log filter, in bytes.
const BODY_LIMIT: usize = 4096;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Produces the body of `/debug/state`. Runs on a worker thread: it must not block for long.
pub type StateHook = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

/// What the endpoints show.
#[derive(Clone)]
pub struct Sources {
    /// Behind `/livez` and `/readyz`.
    pub readiness: Readiness,
    /// Behind `/metrics`; complete before the server starts.
    pub registry: Arc<Registry>,
    /// Behind `/debug/log-level`.
    pub log: LogControl,
    /// Behind `/debug/state`.
    pub state: StateHook,
}

/// A bound but not yet serving server.
pub struct HealthServer {
    listener: TcpListener,
    sources: Sources,
}

impl HealthServer {
    /// Takes the address; port 0 takes a free port.
    pub async fn bind(address: SocketAddr, sources: Sources) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on --metrics-address {address}"))?;
        Ok(Self { listener, sources })
    }

    /// The address that was taken.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves until `stop`. A request that makes its handler panic ends its connection and nothing else.
    pub async fn serve(self, stop: CancellationToken) -> anyhow::Result<()> {
        tracing::info!(address = %self.address()?, "endpoints are up");
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "serving a request failed");
                    }
                }
                accepted = self.listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                    Ok((socket, peer)) => {
                        connections.spawn(converse(socket, peer, self.sources.clone()));
                    }
                    Err(error) => {
                        // Typically out of file descriptors: do not spin.
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        }
    }
}

async fn converse(socket: TcpStream, peer: SocketAddr, sources: Sources) {
    let service = service_fn(|request| {
        let sources = &sources;
        async move { Ok::<_, Infallible>(respond(request, peer, sources).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(socket), service);
    match tokio::time::timeout(CONNECTION_LIMIT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%peer, %error, "connection broke"),
        Err(_) => tracing::debug!(%peer, "connection took too long"),
    }
}

type Reply = Response<Full<Bytes>>;

async fn respond(request: Request<Incoming>, peer: SocketAddr, sources: &Sources) -> Reply {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match request.uri().path() {
        "/debug/log-level" if request.method() == Method::PUT => set_level(request, peer, sources).await,
        "/livez" | "/readyz" | "/metrics" | "/debug/log-level" | "/debug/state" if !reads => {
            not_allowed(&request)
        }
        "/livez" => livez(&sources.readiness),
        "/readyz" => readyz(&sources.readiness, wants_json(&request)),
        "/metrics" => metrics(&sources.registry),
        "/debug/log-level" => reply(StatusCode::OK, TEXT, sources.log.filter() + "\n"),
        "/debug/state" if !is_local(peer) => local_only(),
        "/debug/state" => reply(StatusCode::OK, JSON, (sources.state)().to_string()),
        _ => reply(
            StatusCode::NOT_FOUND,
            TEXT,
            "try /livez /readyz /metrics /debug/log-level /debug/state\n",
        ),
    }
}

fn livez(readiness: &Readiness) -> Reply {
    let stalled = readiness.stalled();
    if stalled.is_empty() {
        return reply(StatusCode::OK, TEXT, "ok\n");
    }
    let lines = stalled.iter().fold(String::new(), |mut text, (name, silence)| {
        let _ = writeln!(text, "[-] {name}: silent for {}s", silence.as_secs());
        text
    });
    reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, lines)
}

fn readyz(readiness: &Readiness, json: bool) -> Reply {
    let ready = readiness.is_ready();
    let conditions = readiness.conditions();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    if json {
        let body = serde_json::json!({ "ready": ready, "conditions": conditions });
        return reply(status, JSON, body.to_string());
    }
    let mut text = String::new();
    for condition in &conditions {
        let _ = if condition.ready {
            writeln!(text, "[+] {}", condition.name)
        } else {
            writeln!(text, "[-] {}: {}", condition.name, condition.reason)
        };
    }
    text.push_str(if ready { "ready\n" } else { "not ready\n" });
    reply(status, TEXT, text)
}

fn metrics(registry: &Registry) -> Reply {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => reply(StatusCode::OK, OPEN_METRICS, text),
        Err(error) => reply(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
    }
}

async fn set_level(request: Request<Incoming>, peer: SocketAddr, sources: &Sources) -> Reply {
    if !is_local(peer) {
        return local_only();
    }
    let body = match Limited::new(request.into_body(), BODY_LIMIT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            return reply(
                StatusCode::BAD_REQUEST,
                TEXT,
                format!("cannot read the body: {error}\n"),
            );
        }
    };
    let filter = String::from_utf8_lossy(&body).trim().to_owned();
    match sources.log.set_filter(&filter) {
        Ok(()) => {
            tracing::warn!(filter, "log filter changed");
            reply(StatusCode::OK, TEXT, sources.log.filter() + "\n")
        }
        Err(error) => reply(StatusCode::BAD_REQUEST, TEXT, format!("{error}\n")),
    }
}

fn wants_json(request: &Request<Incoming>) -> bool {
    let accept = request
        .headers()
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains(JSON))
}

/// Also true for `kubectl port-forward`, which arrives over the pod's loopback.
fn is_local(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

fn local_only() -> Reply {
    reply(
        StatusCode::FORBIDDEN,
        TEXT,
        "only from the pod itself; use kubectl port-forward\n",
    )
}

fn not_allowed(request: &Request<Incoming>) -> Reply {
    let allow = if request.uri().path() == "/debug/log-level" {
        "GET, HEAD, PUT"
    } else {
        "GET, HEAD"
    };
    let mut reply = reply(
        StatusCode::METHOD_NOT_ALLOWED,
        TEXT,
        format!("allowed: {allow}\n"),
    );
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    reply
}

fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
