use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use tokio::net::TcpListener;

use super::super::backoff::{Verdict, verdict};
use super::super::metrics::RequestLabels;
use super::*;

/// A server that gives this answer to everything, or none at all; the client that talks to it.
async fn client(answer: Option<fn() -> Response<Full<Bytes>>>, metrics: &RuntimeMetrics) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let serve = service_fn(move |request: http::Request<Incoming>| async move {
                assert_eq!(request.headers()[USER_AGENT], AGENT);
                match answer {
                    Some(answer) => Ok::<_, std::convert::Infallible>(answer()),
                    None => std::future::pending().await,
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), serve));
        }
    });
    let url = format!("http://{address}").parse().unwrap();
    build(Config::new(url), Duration::from_millis(200), metrics).unwrap()
}

async fn get(client: Client) -> kube::Error {
    let namespaces: Api<Namespace> = Api::all(client);
    namespaces
        .get("openshift-dns")
        .await
        .expect_err("no server here grants anything")
}

fn count(metrics: &RuntimeMetrics, code: &str) -> u64 {
    let labels = RequestLabels {
        verb: "get",
        code: code.to_owned(),
    };
    metrics.requests.get_or_create(&labels).get()
}

#[tokio::test]
async fn a_plain_text_refusal_keeps_the_wait_that_it_asks_for_and_is_sent_once() {
    let metrics = RuntimeMetrics::default();
    let refuse = || {
        let mut answer = Response::new(Full::from("Too many requests, please try again later.\n"));
        *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        answer
            .headers_mut()
            .insert("retry-after", HeaderValue::from_static("7"));
        answer.headers_mut().insert(
            "content-type",
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        answer
    };
    let error = get(client(Some(refuse), &metrics).await).await;
    assert_eq!(verdict(&error), Verdict::After(Duration::from_secs(7)), "{error}");
    assert_eq!(count(&metrics, "429"), 1);
}

#[tokio::test]
async fn a_silent_server_times_out_and_is_counted() {
    let metrics = RuntimeMetrics::default();
    let error = get(client(None, &metrics).await).await;
    assert!(is_timeout(&error), "{error}");
    assert_eq!(verdict(&error), Verdict::Transient);
    assert_eq!(count(&metrics, "timeout"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_cut_off_too() {
    let error = within(Duration::from_secs(3), std::future::pending::<kube::Result<()>>())
        .await
        .unwrap_err();
    assert!(is_timeout(&error), "{error}");
}

#[tokio::test]
async fn a_missing_kubeconfig_is_named() {
    let args = ClusterArgs {
        kubeconfig: Some("/does/not/exist".into()),
        context: None,
        request_timeout: Duration::from_secs(1),
        max_concurrent_writes: 1,
    };
    let error = connect(&args, Duration::from_secs(1), &RuntimeMetrics::default())
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("/does/not/exist"), "{error}");
}
