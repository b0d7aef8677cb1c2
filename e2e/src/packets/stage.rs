//! Puts the cast into a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bulkhead_probe::pod::{self, Wish};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::cast::{MARK, Role};
use crate::wait::eventually;

/// How long all pods together may take to run.
const START: Duration = Duration::from_mins(5);
/// How long a namespace of a test before may take to go.
const GONE: Duration = Duration::from_mins(2);
/// How long the prober of a pod lives; tests that take longer are wrong.
const LIFE: Duration = Duration::from_hours(2);
/// Requests under way at a time.
const AT_ONCE: usize = 8;

/// A cast whose pods run.
pub struct Stage {
    client: Client,
    /// The pods.
    pub roles: Vec<Role>,
    addresses: BTreeMap<String, IpAddr>,
    made: Vec<String>,
}

/// Nodes that pods can run on, by name.
pub async fn nodes(client: &Client) -> anyhow::Result<Vec<String>> {
    let all = Api::<Node>::all(client.clone())
        .list(&ListParams::default())
        .await?;
    let ready = |node: &Node| {
        let conditions = node.status.as_ref().and_then(|s| s.conditions.as_ref());
        let ready =
            conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"));
        let closed = node.spec.as_ref().is_some_and(|s| s.unschedulable == Some(true));
        ready && !closed
    };
    let mut names: Vec<String> = all
        .into_iter()
        .filter(ready)
        .filter_map(|n| n.metadata.name)
        .collect();
    names.sort();
    Ok(names)
}

impl Stage {
    /// Makes namespaces and pods and waits until every pod runs.
    ///
    /// Pods that wear the labels of real components become part of their Services. So nothing is done where those
    /// components may be: on OpenShift, and in a namespace that somebody else made.
    pub async fn set(
        client: &Client,
        roles: Vec<Role>,
        image: &str,
        nodes: &[String],
    ) -> anyhow::Result<Self> {
        refuse_openshift(client).await?;
        let mut stage = Self {
            client: client.clone(),
            roles,
            addresses: BTreeMap::new(),
            made: Vec::new(),
        };
        stage.find_existing(nodes).await?;
        stage.make_namespaces().await?;
        let made = stage.make_pods(image, nodes).await;
        if made.is_err() {
            stage.clear().await?;
        }
        made?;
        Ok(stage)
    }

    /// Finds the pods that the cluster has of its own; what it does not have is played by stand-ins.
    async fn find_existing(&mut self, nodes: &[String]) -> anyhow::Result<()> {
        let mut roles = std::mem::take(&mut self.roles);
        for role in roles.iter_mut().filter(|role| role.member.existing) {
            let pods = self
                .pods(&role.member.namespace)
                .list(&ListParams::default())
                .await?;
            let node = nodes.get(role.node - 1).map(String::as_str);
            let ours = |pod: &Pod| pod.metadata.labels.as_ref().is_some_and(|l| l.contains_key(MARK));
            let plays = |pod: &Pod| wears(pod, &role.member.labels) && on(pod) == node && !ours(pod);
            let Some(found) = pods.into_iter().find(plays) else {
                role.member.existing = false;
                continue;
            };
            role.pod = found.metadata.name.clone().unwrap_or_default();
            let address = pod::address(&found)?.with_context(|| format!("{} does not run", role.id()))?;
            self.addresses.insert(role.id(), address);
        }
        self.roles = roles;
        Ok(())
    }

    /// Roles whose pods the tests make.
    fn own(&self) -> impl Iterator<Item = &Role> {
        self.roles.iter().filter(|role| !role.member.existing)
    }

    async fn make_namespaces(&mut self) -> anyhow::Result<()> {
        let api = Api::<Namespace>::all(self.client.clone());
        let names: BTreeSet<&str> = self.roles.iter().map(|r| r.member.namespace.as_str()).collect();
        for name in names {
            let known = eventually(
                &format!("{name}, which is being deleted, to be gone"),
                GONE,
                || async {
                    let known = api.get_opt(name).await?;
                    let going = known
                        .as_ref()
                        .is_some_and(|n| n.metadata.deletion_timestamp.is_some());
                    ensure!(!going, "it is still there");
                    Ok(known)
                },
            )
            .await?;
            let ours = |n: &Namespace| n.metadata.labels.as_ref().is_some_and(|l| l.contains_key(MARK));
            let shared = !name.starts_with("openshift-") || SHARED.contains(&name);
            match known {
                Some(namespace) if ours(&namespace) => {}
                Some(_) if shared => {}
                Some(_) => bail!(
                    "namespace {name} exists and was not made by this test: its components would be joined by \
                     stand-ins; use a cluster without them"
                ),
                None => {
                    let object = json!({"metadata": {"name": name, "labels": {
                        MARK: "", "pod-security.kubernetes.io/enforce": "privileged",
                    }}});
                    api.create(&PostParams::default(), &serde_json::from_value(object)?)
                        .await?;
                    self.made.push(name.to_owned());
                }
            }
        }
        Ok(())
    }

    async fn make_pods(&mut self, image: &str, nodes: &[String]) -> anyhow::Result<()> {
        stream::iter(self.own().map(|role| self.make(role, image, nodes)))
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        let running = eventually("all pods to run", START, || async {
            let found = self.running().await?;
            let missing: Vec<String> = self
                .own()
                .map(Role::id)
                .filter(|id| !found.contains_key(id))
                .collect();
            ensure!(
                missing.is_empty(),
                "{} do not: {}",
                missing.len(),
                missing.join(", ")
            );
            Ok(found)
        });
        let running = running.await?;
        self.addresses.extend(running);
        Ok(())
    }

    async fn make(&self, role: &Role, image: &str, nodes: &[String]) -> anyhow::Result<()> {
        let member = &role.member;
        let node = nodes.get(role.node - 1).context("there are not enough nodes")?;
        let mut labels = member.labels.clone();
        labels.insert(MARK.to_owned(), member.name.clone());
        let declared: Vec<(&str, u16)> = member.ports.iter().map(|(p, n)| (word(*p), *n)).collect();
        let wish = Wish {
            namespace: &member.namespace,
            name: &role.pod,
            labels: &labels,
            image,
            node: Some(node),
            host_network: member.host_network,
            ports: &member.listens(),
            declared: &declared,
            life: LIFE,
        };
        let api = self.pods(&member.namespace);
        let params = PatchParams::apply("bulkhead-e2e").force();
        eventually(
            "the namespace to have its service account",
            Duration::from_secs(30),
            || async {
                Ok(api
                    .patch(&role.pod, &params, &Patch::Apply(&wish.manifest()))
                    .await
                    .map(drop)?)
            },
        )
        .await
        .with_context(|| role.id())
    }

    async fn running(&self) -> anyhow::Result<BTreeMap<String, IpAddr>> {
        let all = Api::<Pod>::all(self.client.clone());
        let ours = all.list(&ListParams::default().labels(MARK)).await?;
        let mut found = BTreeMap::new();
        for each in ours {
            let id = format!(
                "{}/{}",
                each.metadata.namespace.as_deref().unwrap_or_default(),
                each.metadata.name.as_deref().unwrap_or_default()
            );
            if let Some(address) = pod::address(&each)? {
                found.insert(id, address);
            }
        }
        Ok(found)
    }

    /// Pods of a namespace.
    pub fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where a pod is reached.
    pub fn address(&self, role: &Role) -> anyhow::Result<IpAddr> {
        self.addresses
            .get(&role.id())
            .copied()
            .with_context(|| format!("no address of {}", role.id()))
    }

    /// The role with this id.
    pub fn role(&self, id: &str) -> anyhow::Result<&Role> {
        self.roles
            .iter()
            .find(|r| r.id() == id)
            .with_context(|| format!("nobody plays {id}"))
    }

    /// Removes what was made: the pods, and the namespaces that did not exist before.
    pub async fn clear(&self) -> anyhow::Result<()> {
        let now = DeleteParams::default().grace_period(0);
        for role in self.own() {
            match self.pods(&role.member.namespace).delete(&role.pod, &now).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                other => drop(other?),
            }
        }
        let api = Api::<Namespace>::all(self.client.clone());
        for name in &self.made {
            match api.delete(name, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
                other => drop(other?),
            }
        }
        Ok(())
    }
}

fn wears(pod: &Pod, labels: &BTreeMap<String, String>) -> bool {
    let worn = pod.metadata.labels.as_ref();
    labels
        .iter()
        .all(|(key, value)| worn.and_then(|w| w.get(key)) == Some(value))
}

fn on(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// System namespaces that a cluster for tests may have of its own: its DNS serves the members too.
const SHARED: [&str; 1] = ["openshift-dns"];

fn word(protocol: crate::checker::objects::Protocol) -> &'static str {
    match protocol {
        crate::checker::objects::Protocol::Tcp => "TCP",
        crate::checker::objects::Protocol::Udp => "UDP",
        crate::checker::objects::Protocol::Sctp => "SCTP",
    }
}

async fn refuse_openshift(client: &Client) -> anyhow::Result<()> {
    let groups = client.list_api_groups().await?;
    let openshift = groups
        .groups
        .iter()
        .any(|group| group.name == "route.openshift.io");
    ensure!(
        !openshift,
        "this is OpenShift: pods that wear the labels of its components would join their Services; run the stand-ins \
         on another cluster with the same network plugin, and here the restricted job, which only reads"
    );
    Ok(())
}
