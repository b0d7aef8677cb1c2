//! What the benchmark itself asks of the API server.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use k8s_openapi::api::{
    core::v1::{Namespace, Pod},
    networking::v1::NetworkPolicy,
};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};

/// Requests in flight, of the bare client and of the operator alike.
pub const PARALLEL: usize = 32;

/// A client that thinks nothing.
#[derive(Clone)]
pub struct Cluster {
    /// The client.
    pub client: Client,
}

impl Cluster {
    fn dynamic(&self, kind: &str, plural: &str) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &resource(kind, plural))
    }

    fn systems(&self) -> Api<DynamicObject> {
        self.dynamic("SystemNamespace", "systemnamespaces")
    }

    fn policies(&self, namespace: &str) -> Api<NetworkPolicy> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Makes `prefix-0` to `prefix-(count - 1)`.
    pub async fn make_namespaces(&self, prefix: &str, count: usize) {
        let api = Api::<Namespace>::all(self.client.clone());
        each(count, |i| {
            let (api, name) = (api.clone(), format!("{prefix}-{i}"));
            async move {
                let object = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
                api.create(&PostParams::default(), &object).await.unwrap();
            }
        })
        .await;
    }

    /// Pods of the one server that the catalog declares, spread over the namespaces.
    pub async fn make_pods(&self, prefix: &str, namespaces: usize, each_of: usize) {
        each(namespaces * each_of, |i| {
            let api = Api::<Pod>::namespaced(self.client.clone(), &format!("{prefix}-{}", i / each_of));
            let object = json!({
                "metadata": {"name": format!("web-{}", i % each_of), "labels": {
                    "app": "web", "pod-template-hash": "6f9c7d8b5", "app.kubernetes.io/part-of": "bench",
                }},
                "spec": {"automountServiceAccountToken": false, "containers": [{
                    "name": "web", "image": "web", "ports": [{"containerPort": 8443, "name": "https"}],
                }]},
            });
            async move {
                let object = serde_json::from_value(object).unwrap();
                api.create(&PostParams::default(), &object).await.unwrap();
            }
        })
        .await;
    }

    /// Policies of others, as a platform ships them: they isolate nothing that the set does not.
    pub async fn make_policies(&self, prefix: &str, namespaces: usize, each_of: usize) {
        each(namespaces * each_of, |i| {
            let api = self.policies(&format!("{prefix}-{}", i / each_of));
            let object = json!({
                "metadata": {"name": format!("shipped-{}", i % each_of)},
                "spec": {
                    "podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"],
                    "ingress": [{"ports": [{"port": 8443, "protocol": "TCP"}]}],
                },
            });
            async move {
                let object = serde_json::from_value(object).unwrap();
                api.create(&PostParams::default(), &object).await.unwrap();
            }
        })
        .await;
    }

    /// Turns the switch.
    pub async fn set_mode(&self, mode: &str) {
        let api = self.dynamic("SystemIsolation", "systemisolations");
        let body = json!({
            "apiVersion": "network.operator.openshift.io/v1alpha1", "kind": "SystemIsolation",
            "metadata": {"name": "cluster"},
            "spec": {"systemNetworkPolicy": {"systemNamespaces": {"mode": mode}}},
        });
        let params = PatchParams::apply("bench").force();
        api.patch("cluster", &params, &Patch::Apply(body)).await.unwrap();
    }

    /// Until at least `count` namespaces are acknowledged in the mode.
    pub async fn until_settled(&self, mode: &str, count: usize) {
        let api = self.dynamic("SystemIsolation", "systemisolations");
        let deadline = Instant::now() + Duration::from_mins(20);
        loop {
            let status = api.get("cluster").await.unwrap().data["status"].clone();
            if is_settled(&status, mode, count) {
                return;
            }
            assert!(Instant::now() < deadline, "never settled: {status}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// From the order until `count` namespaces are acknowledged.
    pub async fn switch(&self, mode: &str, count: usize) -> Duration {
        let began = Instant::now();
        self.set_mode(mode).await;
        self.until_settled(mode, count).await;
        began.elapsed()
    }

    /// The writes that closing and opening need, made for namespaces that nobody manages.
    pub async fn bare(&self, count: usize) -> Bare {
        let systems = self.systems();
        each(count, |i| {
            let systems = systems.clone();
            async move {
                let kind = resource("SystemNamespace", "systemnamespaces");
                let mut object = DynamicObject::new(&format!("bare-{i}"), &kind);
                object.data = json!({"spec": {}});
                systems.create(&PostParams::default(), &object).await.unwrap();
            }
        })
        .await;
        let began = Instant::now();
        each(count, |i| {
            let (systems, policies) = (systems.clone(), self.policies(&format!("bare-{i}")));
            async move {
                let spec = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]});
                let object = serde_json::from_value(json!({"metadata": {"name": "open"}, "spec": spec})).unwrap();
                policies.create(&PostParams::default(), &object).await.unwrap();
                status(&systems, i, 1).await;
            }
        })
        .await;
        let open = began.elapsed();
        let began = Instant::now();
        each(count, |i| {
            let (systems, policies) = (systems.clone(), self.policies(&format!("bare-{i}")));
            async move {
                status(&systems, i, 2).await;
                policies.delete("open", &DeleteParams::default()).await.unwrap();
                status(&systems, i, 3).await;
            }
        })
        .await;
        Bare {
            close: began.elapsed(),
            open,
        }
    }

    /// Lists what an operator has to look at.
    pub async fn list(&self) -> Duration {
        let began = Instant::now();
        let all = ListParams::default();
        Api::<NetworkPolicy>::all(self.client.clone())
            .list(&all)
            .await
            .unwrap();
        Api::<Namespace>::all(self.client.clone())
            .list(&all)
            .await
            .unwrap();
        Api::<Pod>::all(self.client.clone()).list(&all).await.unwrap();
        self.systems().list(&all).await.unwrap();
        began.elapsed()
    }

    /// From the creation of a namespace until its allow-all is stored.
    pub async fn birth(&self, name: &str) -> Duration {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let object = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        let began = Instant::now();
        namespaces.create(&PostParams::default(), &object).await.unwrap();
        self.until_open(name, began).await
    }

    /// Until the namespace has its allow-all; gives the time since `began`.
    pub async fn until_open(&self, name: &str, began: Instant) -> Duration {
        let policies = self.policies(name);
        while policies.get_opt("bulkhead-allow-all").await.unwrap().is_none() {
            assert!(
                began.elapsed() < Duration::from_mins(1),
                "{name} was never opened"
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        began.elapsed()
    }
}

/// What the bare client needed.
pub struct Bare {
    /// For the writes of closing.
    pub close: Duration,
    /// For those of opening.
    pub open: Duration,
}

fn resource(kind: &str, plural: &str) -> ApiResource {
    let gvk = GroupVersionKind::gvk("network.operator.openshift.io", "v1alpha1", kind);
    ApiResource::from_gvk_with_plural(&gvk, plural)
}

fn is_settled(status: &Value, mode: &str, count: usize) -> bool {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    let done = conditions.any(|c| c["type"] == "Progressing" && c["status"] == "False");
    let number = |name: &str| status["counts"][name].as_u64().unwrap_or_default();
    let counted = if mode == "Restricted" {
        number("restricted") + number("partly")
    } else {
        number("open")
    };
    status["applied"]["mode"] == mode && done && counted >= count as u64
}

async fn status(systems: &Api<DynamicObject>, i: usize, epoch: i64) {
    let body = json!({"status": {"epoch": epoch}});
    systems
        .patch_status(&format!("bare-{i}"), &PatchParams::default(), &Patch::Merge(body))
        .await
        .unwrap();
}

/// Runs `one` for each number below `count`, as many at once as the operator may have in flight.
async fn each<F: Future<Output = ()>>(count: usize, one: impl Fn(usize) -> F) {
    stream::iter(0..count)
        .map(one)
        .buffer_unordered(PARALLEL)
        .collect::<Vec<()>>()
        .await;
}
