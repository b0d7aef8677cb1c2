//! Probers in pods, from the outside: what such a pod looks like, and how it is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

use crate::message::{Outcome, Reply, Request};
use crate::series::Summary;

/// Name of the container.
pub const CONTAINER: &str = "probe";
/// The program inside the image.
pub const PROGRAM: &str = "/bulkhead-probe";
/// Answers are not longer than this: thousands of targets with all that is remembered of them.
const ANSWER_BYTES: u64 = 256 << 20;

/// A pod with a prober in it.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Wish<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub labels: &'a BTreeMap<String, String>,
    pub image: &'a str,
    /// The node it must run on; any without it.
    pub node: Option<&'a str>,
    pub host_network: bool,
    /// Ports that echo, TCP and UDP.
    pub ports: &'a [u16],
    /// Ports that the pod declares: protocol and number.
    pub declared: &'a [(&'static str, u16)],
    pub life: Duration,
}

impl Wish<'_> {
    /// The pod as the API server takes it.
    pub fn manifest(&self) -> Value {
        let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
        let list = ports.join(",");
        let life = self.life.as_secs().to_string();
        let declared: Vec<Value> = self
            .declared
            .iter()
            .map(|(protocol, port)| json!({"protocol": protocol, "containerPort": port}))
            .collect();
        let mut spec = json!({
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "hostNetwork": self.host_network,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{
                "name": CONTAINER,
                "image": self.image,
                "imagePullPolicy": "IfNotPresent",
                "command": [PROGRAM],
                "args": ["agent", "--tcp", &list, "--udp", &list, "--for", life],
                "ports": declared,
                "resources": {"requests": {"cpu": "5m", "memory": "8Mi"}},
                "volumeMounts": [{"name": "socket", "mountPath": "/run/bulkhead-probe"}],
            }],
            "volumes": [{"name": "socket", "emptyDir": {}}],
        });
        if self.host_network {
            spec["containers"][0]["env"] = json!([
                {"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            ]);
            if let Some(args) = spec["containers"][0]["args"].as_array_mut() {
                args.extend(["--udp-address", "$(ADDRESS)"].map(Value::from));
            }
        }
        if let Some(node) = self.node {
            spec["nodeName"] = json!(node);
        }
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": self.labels},
            "spec": spec,
        })
    }
}

/// Asks the prober of a pod, and waits for so long at most.
pub async fn ask(
    pods: &Api<Pod>,
    name: &str,
    requests: &[Request],
    limit: Duration,
) -> anyhow::Result<Vec<Reply>> {
    let talk = converse(pods, name, requests);
    let replies = timeout(limit, talk)
        .await
        .with_context(|| format!("pod {name} did not answer within {limit:?}"))?
        .with_context(|| format!("asking pod {name}"))?;
    for reply in &replies {
        if let Reply::Error(error) = reply {
            bail!("pod {name} refuses: {error}");
        }
    }
    Ok(replies)
}

async fn converse(pods: &Api<Pod>, name: &str, requests: &[Request]) -> anyhow::Result<Vec<Reply>> {
    let parameters = AttachParams::default()
        .container(CONTAINER)
        .stdin(true)
        .stdout(true)
        .stderr(true);
    let mut process = pods.exec(name, [PROGRAM, "ask"], &parameters).await?;
    let mut input = process.stdin().context("no standard input")?;
    let output = process.stdout().context("no standard output")?;
    let mut lines = BufReader::new(output.take(ANSWER_BYTES)).lines();
    let mut replies = Vec::with_capacity(requests.len());
    for request in requests {
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        input.write_all(line.as_bytes()).await?;
        input.flush().await?;
        let Some(answer) = lines.next_line().await? else {
            let mut said = String::new();
            if let Some(errors) = process.stderr() {
                errors.take(4_096).read_to_string(&mut said).await?;
            }
            bail!("it ended early: {}", said.trim());
        };
        replies.push(serde_json::from_str(&answer).with_context(|| format!("not a reply: {answer}"))?);
    }
    process.abort();
    Ok(replies)
}

/// Asks for one probe of each target.
pub async fn once(
    pods: &Api<Pod>,
    name: &str,
    request: Request,
    limit: Duration,
) -> anyhow::Result<BTreeMap<String, Outcome>> {
    match ask(pods, name, &[request], limit).await?.pop() {
        Some(Reply::Once(outcomes)) => Ok(outcomes),
        other => bail!("pod {name} answers {other:?}"),
    }
}

/// Asks for what was counted, and ends the probes where `stop` says so.
pub async fn report(
    pods: &Api<Pod>,
    name: &str,
    stop: bool,
    limit: Duration,
) -> anyhow::Result<BTreeMap<String, Summary>> {
    let request = if stop {
        Request::Stop {}
    } else {
        Request::Report {}
    };
    match ask(pods, name, &[request], limit).await?.pop() {
        Some(Reply::Report(report)) => Ok(report),
        other => bail!("pod {name} answers {other:?}"),
    }
}

/// How far the pod's clock is ahead of ours, and how uncertain that is, both in microseconds: the shortest of
/// several exchanges decides, and the truth lies within half of what that one took.
pub async fn clock_offset(pods: &Api<Pod>, name: &str, limit: Duration) -> anyhow::Result<(i64, u64)> {
    const ROUNDS: usize = 8;
    let parameters = AttachParams::default()
        .container(CONTAINER)
        .stdin(true)
        .stdout(true)
        .stderr(false);
    let measured = async {
        let mut process = pods.exec(name, [PROGRAM, "ask"], &parameters).await?;
        let mut input = process.stdin().context("no standard input")?;
        let output = process.stdout().context("no standard output")?;
        let mut lines = BufReader::new(output).lines();
        let request = serde_json::to_string(&Request::Clock {})? + "\n";
        let mut best: Option<(i64, u64)> = None;
        for _ in 0..ROUNDS {
            let before = crate::clock::now();
            input.write_all(request.as_bytes()).await?;
            input.flush().await?;
            let answer = lines.next_line().await?.context("it ended early")?;
            let after = crate::clock::now();
            let Reply::Clock(theirs) = serde_json::from_str(&answer)? else {
                bail!("not a clock: {answer}");
            };
            let half = (after - before) / 2;
            if best.is_none_or(|(_, uncertain)| half < uncertain) {
                best = Some((theirs.cast_signed() - (before + half).cast_signed(), half));
            }
        }
        process.abort();
        best.context("no exchange")
    };
    let outcome = timeout(limit, measured).await;
    outcome.with_context(|| format!("pod {name} did not tell the time within {limit:?}"))?
}

/// The address of a pod that runs and is ready to answer; nothing while it is not.
pub fn address(pod: &Pod) -> anyhow::Result<Option<std::net::IpAddr>> {
    let Some(status) = &pod.status else {
        return Ok(None);
    };
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    match status.phase.as_deref() {
        Some("Failed" | "Succeeded") => {
            bail!(
                "pod {name} ended: {}",
                status.message.as_deref().unwrap_or("see its log")
            )
        }
        Some("Running") => {}
        _ => {
            let reason = waiting(pod);
            if let Some(reason) = reason.filter(|reason| FATAL.iter().any(|fatal| reason.contains(fatal))) {
                bail!("pod {name} cannot start: {reason}");
            }
            return Ok(None);
        }
    }
    Ok(status.pod_ip.as_deref().map(str::parse).transpose()?)
}

/// Reasons that waiting does not heal.
const FATAL: [&str; 4] = [
    "ErrImage",
    "InvalidImageName",
    "ImagePullBackOff",
    "CreateContainerConfigError",
];

fn waiting(pod: &Pod) -> Option<String> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let waiting = statuses.first()?.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().unwrap_or_default();
    Some(format!(
        "{reason} {}",
        waiting.message.as_deref().unwrap_or_default()
    ))
}
