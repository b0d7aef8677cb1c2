//! Layers around every request to the API server.

use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use kube::client::{Body, DynBody};
use kube::core::Status;
use kube::core::response::StatusDetails;
use tower::{BoxError, Layer, Service};

use super::metrics::{RequestLabels, ResourceLabels, RuntimeMetrics};

type Answer = Response<Box<DynBody>>;

/// Counts requests by verb and outcome, and keeps what a refusal says about when to come back.
///
/// A request rejected by priority and fairness is answered in plain text, with the wait only in a header
/// that kube does not hand on. Here such an answer becomes a `Status` that carries the wait in its details.
#[derive(Clone, Debug)]
pub(super) struct Observe {
    metrics: RuntimeMetrics,
}

impl Observe {
    pub(super) fn new(metrics: RuntimeMetrics) -> Self {
        Self { metrics }
    }
}

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Observed {
            inner,
            metrics: self.metrics.clone(),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Observed<S> {
    inner: S,
    metrics: RuntimeMetrics,
}

impl<S> Service<Request<Body>> for Observed<S>
where
    S: Service<Request<Body>, Response = Answer, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Answer;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Answer, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let verb = request
            .extensions()
            .get::<&'static str>()
            .copied()
            .unwrap_or("other");
        let requests = self.metrics.requests.clone();
        let watched = matches!(verb, "list" | "watch").then(|| plural(request.uri().path()));
        let answered = self.metrics.watch_answered.clone();
        self.inner
            .call(request)
            .map(move |result| {
                requests
                    .get_or_create(&RequestLabels {
                        verb,
                        code: outcome(&result),
                    })
                    .inc();
                if let (Some(resource), Ok(answer)) = (watched, &result)
                    && answer.status().is_success()
                {
                    let now = jiff::Timestamp::now().as_duration().as_secs_f64();
                    answered.get_or_create(&ResourceLabels { resource }).set(now);
                }
                result.map(keep_retry_after)
            })
            .boxed()
    }
}

/// The kind that a list or watch is about: the last part of its path.
fn plural(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

fn outcome(result: &Result<Answer, BoxError>) -> String {
    match result {
        Ok(answer) => answer.status().as_str().to_owned(),
        Err(error) if error.is::<tower::timeout::error::Elapsed>() => "timeout".to_owned(),
        Err(_) => "error".to_owned(),
    }
}

fn keep_retry_after(answer: Answer) -> Answer {
    let refused = matches!(
        answer.status(),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    let Some(wait) = retry_after(&answer).filter(|_| refused && !is_json(&answer)) else {
        return answer;
    };
    let (mut parts, _) = answer.into_parts();
    let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX);
    let reason = parts
        .status
        .canonical_reason()
        .unwrap_or_default()
        .replace(' ', "");
    let status = Status::failure("the API server asks to come back later", &reason)
        .with_code(parts.status.as_u16())
        .with_details(details(seconds));
    let text = serde_json::to_vec(&status).unwrap_or_default();
    parts
        .headers
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    parts.headers.remove(CONTENT_LENGTH);
    let body = Full::new(Bytes::from(text)).map_err(BoxError::from);
    Response::from_parts(parts, Box::new(body))
}

fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds = answer
        .headers()
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

fn is_json(answer: &Answer) -> bool {
    let kind = answer
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/json"))
}

/// Details that say nothing but when to come back.
pub(super) fn details(retry_after_seconds: u32) -> StatusDetails {
    StatusDetails {
        name: String::new(),
        group: String::new(),
        kind: String::new(),
        uid: String::new(),
        causes: Vec::new(),
        retry_after_seconds,
    }
}
