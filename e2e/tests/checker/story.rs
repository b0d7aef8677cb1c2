//! Planted histories, told as writes at times.

use std::time::{Duration, SystemTime};

use bulkhead_e2e::checker::history::{Decoder, History, Stored};
use serde_json::{Value, json};

/// A history in the making.
#[derive(Default)]
pub struct Story {
    base: Vec<Stored>,
    events: Vec<Stored>,
    revision: u64,
    now: Duration,
}

impl Story {
    /// A cluster with one server of the facts, its clients, a tenant, and no policies.
    pub fn dns_operator() -> Self {
        let mut story = Self::default();
        for namespace in [
            "openshift-dns-operator",
            "openshift-monitoring",
            "tenant",
            "openshift-host-network",
        ] {
            story.namespace(namespace);
        }
        story.pod(
            "openshift-dns-operator",
            "dns-operator-1",
            &json!({"name": "dns-operator"}),
            9393,
        );
        story.pod("openshift-monitoring", "prometheus-k8s-0", &prometheus(), 9091);
        story.pod("tenant", "app-1", &json!({"app": "app"}), 8080);
        story
    }

    /// Everything so far has been there for long.
    pub fn begins(&mut self) -> &mut Self {
        self.base.append(&mut self.events);
        self
    }

    /// Time passes.
    pub fn after(&mut self, milliseconds: u64) -> &mut Self {
        self.now += Duration::from_millis(milliseconds);
        self
    }

    fn put(&mut self, key: String, value: Option<Value>) -> &mut Self {
        self.revision += 1;
        let wall = SystemTime::UNIX_EPOCH + Duration::from_hours(500000) + self.now;
        self.events.push(Stored {
            revision: self.revision,
            at: self.now,
            wall,
            key,
            value,
        });
        self
    }

    fn object(&mut self, key: String, manager: &str, mut value: Value) -> &mut Self {
        let fields = json!({"f:spec": {"f:all": {}}});
        // One entry per write: the store never shows the same time twice in these stories.
        let time = format!("{:08}", self.revision);
        value["metadata"]["managedFields"] =
            json!([{"manager": manager, "operation": "Apply", "time": time, "fieldsV1": fields}]);
        if value["metadata"]["uid"].is_null() {
            value["metadata"]["uid"] = json!(format!("uid of {key}"));
        }
        self.put(key, Some(value))
    }

    pub fn namespace(&mut self, name: &str) -> &mut Self {
        let labels = json!({"kubernetes.io/metadata.name": name});
        self.object(
            format!("/registry/namespaces/{name}"),
            "kubectl",
            json!({"metadata": {"name": name, "labels": labels}}),
        )
    }

    pub fn pod(&mut self, namespace: &str, name: &str, labels: &Value, port: u16) -> &mut Self {
        let value = json!({
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"containers": [{"ports": [{"containerPort": port}]}]},
            "status": {"phase": "Running", "podIP": "10.128.0.9"},
        });
        self.object(format!("/registry/pods/{namespace}/{name}"), "kubelet", value)
    }

    pub fn policy(&mut self, manager: &str, namespace: &str, name: &str, spec: Value) -> &mut Self {
        let value = json!({"metadata": {"name": name, "namespace": namespace}, "spec": spec});
        self.object(
            format!("/registry/networkpolicies/{namespace}/{name}"),
            manager,
            value,
        )
    }

    pub fn delete_policy(&mut self, namespace: &str, name: &str) -> &mut Self {
        self.put(format!("/registry/networkpolicies/{namespace}/{name}"), None)
    }

    /// Sets the mode in SystemIsolation.
    pub fn mode(&mut self, mode: &str) -> &mut Self {
        let spec = json!({"systemNetworkPolicy": {"systemNamespaces": {"mode": mode}}});
        self.isolation(spec)
    }

    pub fn isolation(&mut self, spec: Value) -> &mut Self {
        let key = "/registry/network.operator.openshift.io/systemisolations/cluster".to_owned();
        self.object(
            key,
            "kubectl",
            json!({"metadata": {"name": "cluster"}, "spec": spec}),
        )
    }

    /// The operator says what a namespace is now.
    pub fn says(&mut self, namespace: &str, effective: &str, progressing: bool) -> &mut Self {
        let judged = !progressing && effective.ends_with("Restricted");
        let progressing = if progressing { "True" } else { "False" };
        let mut status = json!({"effectiveMode": effective, "conditions": [{"type": "Progressing", "status": progressing}]});
        if judged {
            status["policiesResourceVersion"] = "1".into();
        }
        let key = format!("/registry/network.operator.openshift.io/systemnamespaces/{namespace}");
        self.object(
            key,
            "bulkhead",
            json!({"metadata": {"name": namespace}, "spec": {}, "status": status}),
        )
    }

    /// The operator announces a contract.
    pub fn intends(&mut self, namespace: &str, effective: &str) -> &mut Self {
        let intent = json!({"epoch": 1, "action": "Close", "holder": "a", "term": 1});
        let conditions = json!([{"type": "Progressing", "status": "True"}]);
        let status = json!({"effectiveMode": effective, "conditions": conditions, "intent": intent});
        let key = format!("/registry/network.operator.openshift.io/systemnamespaces/{namespace}");
        self.object(
            key,
            "bulkhead",
            json!({"metadata": {"name": namespace}, "spec": {}, "status": status}),
        )
    }

    pub fn declares(&mut self, namespace: &str, name: &str, spec: Value) -> &mut Self {
        let key = format!("/registry/network.operator.openshift.io/systemnetworkpolicies/{namespace}/{name}");
        self.object(
            key,
            "kubectl",
            json!({"metadata": {"name": name, "namespace": namespace}, "spec": spec}),
        )
    }

    pub fn history(&self) -> History {
        let mut decoder = Decoder::default();
        let mut read = |all: &[Stored]| {
            all.iter()
                .map(|stored| decoder.event(stored.clone(), &()).unwrap().unwrap())
                .collect()
        };
        History {
            base: read(&self.base),
            events: read(&self.events),
        }
    }
}

pub fn prometheus() -> Value {
    json!({"app.kubernetes.io/name": "prometheus", "app.kubernetes.io/instance": "k8s"})
}

/// The policy that opens everything.
pub fn allow_all() -> Value {
    json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]})
}

/// The policy that isolates every pod for ingress.
pub fn deny() -> Value {
    json!({"podSelector": {}, "policyTypes": ["Ingress"]})
}

/// What the facts say of the dns-operator: prometheus may scrape 9393.
pub fn server() -> Value {
    json!({
        "podSelector": {"matchLabels": {"name": "dns-operator"}},
        "policyTypes": ["Ingress"],
        "ingress": [{
            "from": [{
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openshift-monitoring"}},
                "podSelector": {"matchLabels": prometheus()},
            }],
            "ports": [{"protocol": "TCP", "port": 9393}],
        }],
    })
}
