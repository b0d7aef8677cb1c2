//! Metrics of the process itself. What the operator does to namespaces is counted elsewhere.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

/// Labels of `bulkhead_api_requests_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// `get`, `list`, `watch`, `create`, `patch`, `patch_status`, …; `other` where the client names none.
    pub verb: &'static str,
    /// HTTP status code, or `timeout` or `error` where there was no answer.
    pub code: String,
}

/// Labels of `bulkhead_task_restarts_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TaskLabels {
    /// Name of the task.
    pub task: String,
}

/// Labels of `bulkhead_watch_last_answer_timestamp_seconds`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResourceLabels {
    /// Plural name of the kind.
    pub resource: String,
}

/// Handles on the metrics of the process. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct RuntimeMetrics {
    /// Requests to the API server by verb and outcome; a watch counts once, when it is accepted.
    pub requests: Family<RequestLabels, Counter>,
    /// When the API server last accepted a list or watch of a kind, in seconds since the epoch. A healthy watch
    /// is renewed every five minutes or so, however quiet its kind is.
    pub watch_answered: Family<ResourceLabels, Gauge<f64, AtomicU64>>,
    /// 1 while this process leads.
    pub leader: Gauge,
    /// How often this process became the leader or ceased to be.
    pub lease_transitions: Counter,
    /// How often a task that may fail was started again.
    pub task_restarts: Family<TaskLabels, Counter>,
}

impl RuntimeMetrics {
    /// Registers everything under the prefix `bulkhead_`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("bulkhead");
        registry.register(
            "api_requests",
            "Requests to the Kubernetes API by verb and status code",
            metrics.requests.clone(),
        );
        registry.register(
            "watch_last_answer_timestamp_seconds",
            "When the API server last accepted a list or watch of a kind",
            metrics.watch_answered.clone(),
        );
        registry.register(
            "leader",
            "Whether this process is the leader (1) or a standby (0)",
            metrics.leader.clone(),
        );
        registry.register(
            "lease_transitions",
            "How often this process gained or lost leadership",
            metrics.lease_transitions.clone(),
        );
        registry.register(
            "task_restarts",
            "Restarts of tasks that failed",
            metrics.task_restarts.clone(),
        );
        metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_carries_the_prefix_and_counters_end_in_total() {
        let mut registry = Registry::default();
        let metrics = RuntimeMetrics::register(&mut registry);
        metrics
            .requests
            .get_or_create(&RequestLabels {
                verb: "get",
                code: "200".to_owned(),
            })
            .inc();
        metrics
            .task_restarts
            .get_or_create(&TaskLabels {
                task: "watch pods".to_owned(),
            })
            .inc();
        metrics.leader.set(1);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
        for line in [
            r#"bulkhead_api_requests_total{verb="get",code="200"} 1"#,
            r#"bulkhead_task_restarts_total{task="watch pods"} 1"#,
            "bulkhead_leader 1",
            "bulkhead_lease_transitions_total 0",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is missing in\n{text}"
            );
        }
    }
}
