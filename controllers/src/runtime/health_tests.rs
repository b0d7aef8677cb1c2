use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::runtime::logging::{Format, subscriber};
use crate::runtime::metrics::RuntimeMetrics;
use crate::runtime::readiness::ReadyHandle;

/// A running server, with what a test turns.
struct Running {
    address: SocketAddr,
    condition: ReadyHandle,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
    /// The filter can be changed only while its subscriber lives.
    _subscriber: Box<dyn std::any::Any>,
}

async fn start() -> Running {
    let readiness = Readiness::default();
    let condition = readiness.register("watch networkpolicies");
    let mut registry = Registry::default();
    RuntimeMetrics::register(&mut registry).leader.set(1);
    let (subscriber, log) = subscriber("info", Format::Text, std::io::sink).unwrap();
    let state: StateHook = Arc::new(|| serde_json::json!({ "namespaces": 3 }));
    let sources = Sources {
        readiness,
        registry: Arc::new(registry),
        log,
        state,
    };
    let server = HealthServer::bind("127.0.0.1:0".parse().unwrap(), sources)
        .await
        .unwrap();
    let (address, stop) = (server.address().unwrap(), CancellationToken::new());
    let task = tokio::spawn(server.serve(stop.clone()));
    Running {
        address,
        condition,
        stop,
        task,
        _subscriber: Box::new(subscriber),
    }
}

impl Running {
    /// Status, head and body of one exchange over a real socket.
    async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .expect("a status");
        (status, head.to_lowercase(), body.to_owned())
    }

    async fn get(&self, path: &str) -> (u16, String, String) {
        self.ask("GET", path, "", "").await
    }
}

#[tokio::test]
async fn readyz_names_what_is_missing_until_nothing_is() {
    let server = start().await;
    server
        .condition
        .set_not_ready("forbidden: cannot list networkpolicies");
    let (status, _, body) = server.get("/readyz").await;
    assert_eq!(status, 503);
    assert!(
        body.contains("[-] watch networkpolicies: forbidden: cannot list networkpolicies"),
        "{body}"
    );
    server.condition.set_ready();
    let (status, head, body) = server
        .ask("GET", "/readyz", "Accept: application/json\r\n", "")
        .await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/json"), "{head}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["ready"], true);
    assert_eq!(body["conditions"][0]["name"], "watch networkpolicies");
}

#[tokio::test]
async fn metrics_are_in_the_open_metrics_format() {
    let server = start().await;
    let (status, head, body) = server.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(head.contains("application/openmetrics-text"), "{head}");
    assert!(
        body.contains("bulkhead_leader 1\n") && body.ends_with("# EOF\n"),
        "{body}"
    );
}

#[tokio::test]
async fn the_log_level_is_read_and_changed_and_a_bad_one_is_refused() {
    let server = start().await;
    assert_eq!(server.get("/debug/log-level").await.2, "info\n");
    let (status, _, body) = server.ask("PUT", "/debug/log-level", "", "chatty").await;
    assert_eq!(status, 400, "{body}");
    assert_eq!(server.ask("PUT", "/debug/log-level", "", "debug\n").await.0, 200);
    assert_eq!(server.get("/debug/log-level").await.2, "debug\n");
    let long = "x".repeat(BODY_LIMIT + 1);
    assert_eq!(server.ask("PUT", "/debug/log-level", "", &long).await.0, 400);
}

#[tokio::test]
async fn state_comes_from_the_hook() {
    let server = start().await;
    assert_eq!(server.get("/debug/state").await.2, r#"{"namespaces":3}"#);
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_politely() {
    let server = start().await;
    assert_eq!(server.get("/").await.0, 404);
    let (status, head, _) = server.ask("POST", "/metrics", "", "").await;
    assert_eq!(status, 405);
    assert!(head.contains("allow: get, head"), "{head}");
}

#[test]
fn only_loopback_peers_are_local() {
    for (peer, local) in [
        ("127.0.0.1:1", true),
        ("[::1]:1", true),
        ("[::ffff:127.0.0.1]:1", true),
        ("10.0.0.7:1", false),
        ("[::ffff:10.0.0.7]:1", false),
    ] {
        assert_eq!(is_local(peer.parse().unwrap()), local, "{peer}");
    }
}

#[tokio::test]
async fn idle_connections_do_not_keep_others_out_or_the_server_from_stopping() {
    let server = start().await;
    let mut idle = Vec::new();
    for _ in 0..MAX_CONNECTIONS / 2 {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    assert_eq!(server.get("/livez").await.0, 200);
    server.stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), server.task)
        .await
        .expect("stops")
        .unwrap()
        .unwrap();
    drop(idle);
}
