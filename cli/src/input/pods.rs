//! Pods, and what workloads will make where no pod of theirs was given.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use bulkhead_policy::{Labels, NamedPort, Pod, PodState, Protocol};
use serde::Deserialize;

use super::object::Kind;
use super::{Fault, Object};

/// A pod with what the engine does not need of it.
#[derive(Clone, Debug)]
pub struct Placed {
    /// As policies see it.
    pub pod: Pod,
    /// What makes it, as `deployment/web`; `pod/NAME` for one that nothing makes.
    pub workload: Arc<str>,
    /// Every port that its containers declare.
    pub ports: Vec<(Protocol, u16)>,
    /// It stands for what a workload will make.
    pub derived: bool,
    /// It is being deleted.
    pub terminating: bool,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Meta {
    labels: Option<BTreeMap<String, String>>,
    owner_references: Vec<Owner>,
    deletion_timestamp: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Owner {
    kind: String,
    name: String,
    controller: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    host_network: bool,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Container {
    ports: Option<Vec<Port>>,
    restart_policy: Option<String>,
}

#[derive(Deserialize)]
struct Port {
    #[serde(rename = "containerPort")]
    number: u16,
    #[serde(default)]
    protocol: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<Address>>,
}

#[derive(Deserialize)]
struct Address {
    ip: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Template {
    metadata: Option<Meta>,
    spec: Option<Spec>,
}

impl Spec {
    /// Ports of everything that keeps running; init containers that end serve nobody.
    fn ports(&self) -> impl Iterator<Item = &Port> {
        let sidecars = self
            .init_containers
            .iter()
            .filter(|c| c.restart_policy.as_deref() == Some("Always"));
        self.containers
            .iter()
            .chain(sidecars)
            .flat_map(|c| c.ports.iter().flatten())
    }

    fn place(&self, mut pod: Pod, workload: Arc<str>, derived: bool) -> Placed {
        let protocol = |port: &Port| Protocol::parse(port.protocol.as_deref().unwrap_or("TCP"));
        let named = self.ports().filter_map(|port| {
            Some(NamedPort {
                name: port.name.as_deref()?.into(),
                protocol: protocol(port)?,
                port: port.number,
            })
        });
        pod.ports = named.collect();
        pod.ports.sort();
        if self.host_network && pod.state == PodState::Networked {
            pod.state = PodState::HostNetwork;
        }
        let mut ports: Vec<(Protocol, u16)> = self
            .ports()
            .filter_map(|port| Some((protocol(port)?, port.number)))
            .collect();
        ports.sort_unstable();
        ports.dedup();
        Placed {
            pod,
            workload,
            ports,
            derived,
            terminating: false,
        }
    }
}

/// A workload with its template.
struct Workload<'o> {
    object: &'o Object,
    name: Arc<str>,
    labels: Labels,
    spec: Spec,
    /// No pod will come of it any more, or it is part of another workload.
    silent: bool,
}

/// All pods, sorted by namespace, workload and name. Workloads without a pod get one from their template.
pub fn place(objects: &[Object], faults: &mut Vec<Fault>) -> Vec<Placed> {
    let workloads: Vec<Workload<'_>> = objects
        .iter()
        .filter(|o| o.kind.is_workload())
        .filter_map(|o| workload(o, faults))
        .collect();
    let jobs = jobs_of_cron_jobs(objects);
    let mut here: BTreeMap<&str, Vec<&Workload<'_>>> = BTreeMap::new();
    for workload in &workloads {
        here.entry(&workload.object.namespace).or_default().push(workload);
    }
    let around = |o: &Object| here.get(&*o.namespace).map_or(&[][..], Vec::as_slice);
    let mut placed: Vec<Placed> = objects
        .iter()
        .filter(|o| o.kind == Kind::Pod)
        .filter_map(|o| pod(o, around(o), &jobs, faults))
        .collect();
    let made: BTreeSet<(Arc<str>, Arc<str>)> = placed
        .iter()
        .map(|p| (p.pod.namespace.clone(), p.workload.clone()))
        .collect();
    let missing = workloads
        .iter()
        .filter(|w| !w.silent && !made.contains(&(w.object.namespace.clone(), w.name.clone())));
    placed.extend(missing.map(|w| {
        let pod = Pod::new(
            w.object.namespace.clone(),
            w.object.name.clone(),
            w.labels.clone(),
        );
        w.spec.place(pod, w.name.clone(), true)
    }));
    placed.sort_by(|a, b| {
        let key = |p: &Placed| (p.pod.namespace.clone(), p.workload.clone(), p.pod.name.clone());
        key(a).cmp(&key(b))
    });
    placed
}

pub(super) fn fault(object: &Object, field: &str, error: &impl ToString) -> Fault {
    Fault {
        file: object
            .source
            .file
            .as_deref()
            .map_or_else(|| "<cluster>".to_owned(), str::to_owned),
        line: object.source.line_of(field),
        reason: format!("{object}: {}", error.to_string()),
    }
}

fn labels(meta: &Meta) -> Labels {
    meta.labels
        .iter()
        .flatten()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect()
}

fn workload<'o>(object: &'o Object, faults: &mut Vec<Fault>) -> Option<Workload<'o>> {
    let pointer = match object.kind {
        Kind::CronJob => "/spec/jobTemplate/spec/template",
        _ => "/spec/template",
    };
    let template: Template = match object.part(pointer) {
        Ok(template) => template?,
        Err(error) => {
            faults.push(fault(object, "spec.template", &error));
            return None;
        }
    };
    let meta: Meta = object.part("/metadata").ok().flatten().unwrap_or_default();
    let owned = meta.owner_references.iter().any(|o| o.controller == Some(true));
    let done = object
        .value
        .pointer("/status/conditions")
        .and_then(|c| c.as_array())
        .is_some_and(|all| {
            all.iter()
                .any(|c| (c["type"] == "Complete" || c["type"] == "Failed") && c["status"] == "True")
        });
    Some(Workload {
        object,
        name: format!("{}/{}", object.kind_name().to_lowercase(), object.name).into(),
        labels: template.metadata.as_ref().map(labels).unwrap_or_default(),
        spec: template.spec.unwrap_or_default(),
        silent: owned || (object.kind == Kind::Job && done),
    })
}

type Jobs = BTreeMap<(Arc<str>, Arc<str>), String>;

/// The cron job behind each job that has one.
fn jobs_of_cron_jobs(objects: &[Object]) -> Jobs {
    let jobs = objects.iter().filter(|o| o.kind == Kind::Job);
    jobs.filter_map(|job| {
        let meta: Meta = job.part("/metadata").ok()??;
        let owner = meta.owner_references.into_iter().find(|o| o.kind == "CronJob")?;
        Some(((job.namespace.clone(), job.name.clone()), owner.name))
    })
    .collect()
}

/// `workloads` are those of its namespace.
fn pod(object: &Object, workloads: &[&Workload<'_>], jobs: &Jobs, faults: &mut Vec<Fault>) -> Option<Placed> {
    let read = || -> Result<(Meta, Spec, Status), serde_json::Error> {
        Ok((
            object.part("/metadata")?.unwrap_or_default(),
            object.part("/spec")?.unwrap_or_default(),
            object.part("/status")?.unwrap_or_default(),
        ))
    };
    let (meta, spec, status) = match read() {
        Ok(parts) => parts,
        Err(error) => {
            faults.push(fault(object, "spec", &error));
            return None;
        }
    };
    let mut pod = Pod::new(object.namespace.clone(), object.name.clone(), labels(&meta));
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        pod.state = PodState::Finished;
    }
    let all = status.pod_ips.iter().flatten().map(|a| &a.ip);
    let one = status
        .pod_ip
        .iter()
        .filter(|_| status.pod_ips.as_ref().is_none_or(Vec::is_empty));
    for ip in all.chain(one) {
        match ip.parse::<IpAddr>() {
            Ok(address) => pod.addresses.push(address),
            Err(_) => faults.push(fault(object, "status", &format!("{ip:?} is no address"))),
        }
    }
    let made_by = owner(object, &meta, jobs).unwrap_or_else(|| likeness(&pod, workloads));
    let mut placed = spec.place(pod, made_by, false);
    placed.terminating = meta.deletion_timestamp.is_some();
    Some(placed)
}

/// What controls a pod, through the sets and jobs in between.
fn owner(object: &Object, meta: &Meta, jobs: &Jobs) -> Option<Arc<str>> {
    let owner = meta
        .owner_references
        .iter()
        .find(|o| o.controller == Some(true))?;
    let label = |key: &str| meta.labels.as_ref().and_then(|l| l.get(key));
    let named = |kind: &str, name: &str| Some(Arc::from(format!("{}/{name}", kind.to_lowercase())));
    match owner.kind.as_str() {
        "ReplicaSet" => {
            let hash = label("pod-template-hash")?;
            match owner.name.strip_suffix(&format!("-{hash}")) {
                Some(deployment) => named("Deployment", deployment),
                None => named("ReplicaSet", &owner.name),
            }
        }
        "ReplicationController" => match label("openshift.io/deployment-config.name") {
            Some(config) => named("DeploymentConfig", config),
            None => named("ReplicationController", &owner.name),
        },
        "Job" => match jobs.get(&(object.namespace.clone(), owner.name.as_str().into())) {
            Some(cron_job) => named("CronJob", cron_job),
            None => named("Job", &owner.name),
        },
        // Static pods belong to their node, which is no workload.
        "Node" => None,
        kind => named(kind, &owner.name),
    }
}

/// The workload whose template has labels that the pod carries all; else the pod itself.
fn likeness(pod: &Pod, workloads: &[&Workload<'_>]) -> Arc<str> {
    let fits = |w: &&&Workload<'_>| {
        !w.silent
            && !w.labels.is_empty()
            && w.labels
                .iter()
                .all(|(key, value)| pod.labels.get(key) == Some(value))
    };
    // Of several the most particular.
    let best = workloads.iter().filter(fits).max_by_key(|w| w.labels.len());
    best.map_or_else(|| format!("pod/{}", pod.name).into(), |w| w.name.clone())
}

#[cfg(test)]
mod tests {
    use super::super::documents;
    use super::*;

    fn places(text: &str) -> Vec<(String, String, bool)> {
        let mut read = documents::parse("x", text);
        read.objects
            .iter_mut()
            .for_each(|o| o.default_namespace("default"));
        let mut faults = Vec::new();
        let placed = place(&read.objects, &mut faults);
        assert!(
            read.faults.is_empty() && faults.is_empty(),
            "{:?} {faults:?}",
            read.faults
        );
        placed
            .iter()
            .map(|p| (p.pod.name.to_string(), p.workload.to_string(), p.derived))
            .collect()
    }

    const DEPLOYMENT: &str = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{ports: [{containerPort: 80, name: http}]}]}}}\n";

    #[test]
    fn a_workload_without_pods_gets_one_and_with_pods_none() {
        assert_eq!(
            places(DEPLOYMENT),
            [("web".into(), "deployment/web".into(), true)]
        );
        let pod = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: web-1, labels: {app: web, pod-template-hash: x}}\n";
        let both = places(&format!("{DEPLOYMENT}{pod}"));
        assert_eq!(both, [("web-1".into(), "deployment/web".into(), false)]);
    }

    #[test]
    fn owners_are_followed_to_what_somebody_wrote() {
        let owned = |name: &str, kind: &str, owner: &str, labels: &str| {
            format!(
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{{labels}}}, ownerReferences: [{{kind: {kind}, name: {owner}, controller: true}}]}}\n"
            )
        };
        let text = owned("a", "ReplicaSet", "web-5c7", "pod-template-hash: 5c7")
            + &owned("b", "StatefulSet", "db", "")
            + &owned("c", "Job", "nightly-1", "")
            + &owned("d", "Node", "n1", "")
            + "---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: nightly-1, ownerReferences: [{kind: CronJob, name: nightly, controller: true}]}\n";
        let made: Vec<String> = places(&text)
            .into_iter()
            .map(|(_, workload, _)| workload)
            .collect();
        assert_eq!(
            made,
            ["cronjob/nightly", "deployment/web", "pod/d", "statefulset/db"]
        );
    }
}
