//! The namespace in which is measured: one server, clients on its node and on another, and policies.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bulkhead_probe::pod::{self, Wish};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// Port of the server.
pub const PORT: u16 = 8080;
/// Name of the server.
const SERVER: &str = "server";
/// Requests under way at a time while idle policies are made.
const AT_ONCE: usize = 16;
/// How long the probers live if nobody takes them away.
const LIFE: Duration = Duration::from_hours(1);

/// Where it is measured.
pub struct Ground {
    client: Client,
    /// The namespace.
    pub namespace: String,
    /// Pods that probe, by name, with how far away they are.
    pub clients: BTreeMap<&'static str, &'static str>,
    /// Where the server is reached.
    pub server: Option<IpAddr>,
}

/// Nodes that are ready and take pods, by name.
pub async fn nodes(client: &Client) -> Result<Vec<String>> {
    let all = Api::<Node>::all(client.clone())
        .list(&ListParams::default())
        .await?;
    let takes = |node: &Node| {
        let conditions = node.status.iter().flat_map(|s| s.conditions.iter().flatten());
        let ready = conditions
            .clone()
            .any(|c| c.type_ == "Ready" && c.status == "True");
        ready && node.spec.as_ref().and_then(|s| s.unschedulable) != Some(true)
    };
    let mut names: Vec<String> = all
        .into_iter()
        .filter(takes)
        .filter_map(|n| n.metadata.name)
        .collect();
    names.sort();
    if names.is_empty() {
        bail!("no node of this cluster is ready, so nothing can be measured");
    }
    Ok(names)
}

impl Ground {
    /// Makes the namespace. Its name is new, so that nothing else is touched.
    pub async fn make(client: &Client) -> Result<Self> {
        let object = json!({"metadata": {
            "generateName": "bulkhead-measure-settle-",
            "labels": {"pod-security.kubernetes.io/enforce": "privileged"},
        }});
        let api = Api::<Namespace>::all(client.clone());
        let made = api
            .create(&PostParams::default(), &serde_json::from_value(object)?)
            .await?;
        Ok(Self {
            client: client.clone(),
            namespace: made.metadata.name.context("the namespace has no name")?,
            clients: BTreeMap::new(),
            server: None,
        })
    }

    /// Takes everything away again.
    pub async fn remove(&self) -> Result<()> {
        let api = Api::<Namespace>::all(self.client.clone());
        match api.delete(&self.namespace, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(drop).with_context(|| {
                format!(
                    "cannot remove the namespace: kubectl delete namespace {}",
                    self.namespace
                )
            }),
        }
    }

    /// Pods of the namespace.
    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn policies(&self) -> Api<NetworkPolicy> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Starts server and clients and waits until they run.
    pub async fn start(&mut self, image: &str, nodes: &[String], limit: Duration) -> Result<()> {
        let home = nodes.first().context("no node")?;
        let mut wanted = vec![(SERVER, home), ("near", home)];
        self.clients.insert("near", "same node");
        if let Some(other) = nodes.get(1) {
            wanted.push(("far", other));
            self.clients.insert("far", "another node");
        }
        let deadline = Instant::now() + limit;
        for (name, node) in &wanted {
            self.create(name, node, image, deadline).await?;
        }
        for (name, _) in wanted {
            let address = self.running(name, deadline).await?;
            if name == SERVER {
                self.server = Some(address);
            }
        }
        Ok(())
    }

    /// A new namespace gets its service account a moment after it was made; pods are refused before.
    async fn create(&self, name: &str, node: &str, image: &str, deadline: Instant) -> Result<()> {
        let labels = BTreeMap::from([("app".to_owned(), name.to_owned())]);
        let wish = Wish {
            namespace: &self.namespace,
            name,
            labels: &labels,
            image,
            node: Some(node),
            host_network: false,
            ports: if name == SERVER { &[PORT][..] } else { &[] },
            declared: &[],
            life: LIFE,
        };
        let object: Pod = serde_json::from_value(wish.manifest())?;
        loop {
            match self.pods().create(&PostParams::default(), &object).await {
                Err(kube::Error::Api(status)) if status.code == 403 && Instant::now() < deadline => {
                    sleep(Duration::from_millis(200)).await;
                }
                other => return other.map(drop).with_context(|| format!("making pod {name}")),
            }
        }
    }

    async fn running(&self, name: &str, deadline: Instant) -> Result<IpAddr> {
        loop {
            let pod = self.pods().get(name).await?;
            if let Some(address) = pod::address(&pod)? {
                return Ok(address);
            }
            if Instant::now() >= deadline {
                bail!(
                    "pod {name} does not run in time: is the image right, and may {} run pods? kubectl -n {} describe \
                     pod {name} tells while this waits longer (--start-timeout)",
                    pod.spec.and_then(|s| s.node_name).unwrap_or_default(),
                    self.namespace
                );
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Makes so many policies that concern no pod: what a plugin has to look after besides.
    pub async fn idle_policies(&self, count: usize) -> Result<()> {
        let api = self.policies();
        let params = PostParams::default();
        let made = (0..count).map(|number| {
            let (api, params) = (&api, &params);
            async move {
                let spec = json!({
                    "podSelector": {"matchLabels": {"app": format!("nobody-{number}")}},
                    "policyTypes": ["Ingress"],
                    "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": format!("nobody-{}", number + 1)}}}],
                                 "ports": [{"protocol": "TCP", "port": PORT}]}],
                });
                let object = policy(&format!("idle-{number}"), &spec)?;
                api.create(params, &object).await.map(drop).map_err(anyhow::Error::from)
            }
        });
        stream::iter(made)
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await
            .map(drop)
    }

    /// Denies everything to the server.
    pub async fn deny(&self) -> Result<()> {
        let spec = json!({"podSelector": {"matchLabels": {"app": SERVER}}, "policyTypes": ["Ingress"]});
        self.write("deny", &spec).await
    }

    /// Allows everything to the server again.
    pub async fn allow(&self) -> Result<()> {
        let spec = json!({
            "podSelector": {"matchLabels": {"app": SERVER}}, "policyTypes": ["Ingress"], "ingress": [{}],
        });
        self.write("allow", &spec).await
    }

    /// Takes the policy that allows away, so that the one that denies is alone.
    pub async fn withdraw(&self) -> Result<()> {
        self.policies().delete("allow", &DeleteParams::default()).await?;
        Ok(())
    }

    async fn write(&self, name: &str, spec: &Value) -> Result<()> {
        self.policies()
            .create(&PostParams::default(), &policy(name, spec)?)
            .await?;
        Ok(())
    }
}

fn policy(name: &str, spec: &Value) -> Result<NetworkPolicy> {
    Ok(serde_json::from_value(
        json!({"metadata": {"name": name}, "spec": spec}),
    )?)
}
