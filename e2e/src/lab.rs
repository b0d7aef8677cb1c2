//! A cluster under observation: the ground of most scenarios.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use serde_json::Value;

use crate::admin::{Admin, LIMIT};
use crate::checker::history::{Content, Event, History, Kind, Writer};
use crate::checker::report::Report;
use crate::checker::{Rules, check};
use crate::cluster::Cluster;
use crate::etcd::Recorder;
use crate::operator::{Operator, Options, SETTLE, WINDOW};
use crate::wait::eventually;

/// What the cluster looks like before the operator arrives.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Arguments of populate.
    pub populate: Vec<String>,
    /// Whether the Network kind has the field of the switch.
    pub network_field: bool,
    /// Whether our kinds are there.
    pub kinds: bool,
}

/// Namespaces of the small shape: a server with one client, webhooks, DNS, routers, shared namespaces, a
/// host-network one and one without pods.
pub const SMALL: &str = "openshift-dns,openshift-dns-operator,openshift-monitoring,openshift-ingress,\
openshift-console,openshift-apiserver,openshift-kube-apiserver-operator,openshift-catalogd,openshift-multus,\
openshift-host-network,openshift-kube-apiserver,openshift-config";

impl Shape {
    /// A dozen namespaces with the policies that OpenShift ships in a line, or none.
    pub fn small(line: &str) -> Self {
        let words = [
            "--namespaces",
            SMALL,
            "--upstream-policies",
            line,
            "--pods-per-workload",
            "1",
            "--awkward=false",
        ];
        Self {
            populate: words.map(str::to_owned).to_vec(),
            network_field: false,
            kinds: true,
        }
    }

    /// These namespaces alone.
    pub fn of(namespaces: &str) -> Self {
        let mut shape = Self::small("none");
        shape.populate[1] = namespaces.to_owned();
        shape
    }

    /// Every namespace of the facts.
    pub fn full(line: &str) -> Self {
        let words = ["--upstream-policies", line, "--pods-per-workload", "1"];
        Self {
            populate: words.map(str::to_owned).to_vec(),
            network_field: false,
            kinds: true,
        }
    }

    /// No system namespaces at all.
    pub fn plain() -> Self {
        let words = ["--platform", "kubernetes"];
        Self {
            populate: words.map(str::to_owned).to_vec(),
            network_field: true,
            kinds: true,
        }
    }

    /// Nothing but what the API server makes by itself.
    pub fn empty() -> Self {
        Self {
            populate: Vec::new(),
            network_field: false,
            kinds: true,
        }
    }

    /// The same with the field in the Network kind.
    #[must_use]
    pub fn with_network_field(mut self) -> Self {
        self.network_field = true;
        self.populate.extend(["--network-crd", "none"].map(str::to_owned));
        self
    }

    /// The same without our kinds.
    #[must_use]
    pub fn without_kinds(mut self) -> Self {
        self.kinds = false;
        self
    }
}

/// A cluster, a recording of all that is stored in it, and an administrator.
pub struct Lab {
    /// The control plane.
    pub cluster: Cluster,
    /// The administrator.
    pub admin: Admin,
    /// What to judge by.
    pub rules: Rules,
    recorder: Recorder,
    /// Kubeconfig of the operator's service account, where manifests/base is installed.
    account: Option<PathBuf>,
}

impl Lab {
    /// Makes a cluster and begins to record.
    pub async fn new(shape: &Shape) -> anyhow::Result<Self> {
        let cluster = Cluster::start()?;
        if shape.network_field {
            let field = crate::cluster::repository().join("manifests/overlays/kubernetes/networks.yaml");
            cluster.kubectl(&["apply", "--server-side", "-f", &field.to_string_lossy()])?;
        }
        if !shape.populate.is_empty() {
            let words: Vec<&str> = shape.populate.iter().map(String::as_str).collect();
            cluster.populate(&words)?;
        }
        if shape.kinds {
            cluster.install_kinds(shape.network_field)?;
            cluster.kinds_are_served().await?;
        }
        let admin = Admin::new(cluster.client().await?);
        let recorder = cluster.record()?;
        let mut lab = Self {
            cluster,
            admin,
            rules: Rules::load(WINDOW)?,
            recorder,
            account: None,
        };
        if shape.kinds {
            lab.account = Some(lab.service_account()?);
        } else {
            lab.make_lease_namespace()?;
        }
        Ok(lab)
    }

    /// The namespace in which the operator keeps its Lease.
    fn make_lease_namespace(&self) -> anyhow::Result<()> {
        let manifest = "apiVersion: v1\nkind: Namespace\nmetadata: {name: openshift-bulkhead}\n";
        self.cluster.apply(manifest)
    }

    /// Starts an operator as most scenarios want it.
    pub async fn operator(&self) -> anyhow::Result<Operator> {
        self.operator_with(&Options::default()).await
    }

    /// Starts an operator, as its service account where manifests/base is installed.
    pub async fn operator_with(&self, options: &Options) -> anyhow::Result<Operator> {
        let mut operator = self.start(options)?;
        operator.ready().await?;
        Ok(operator)
    }

    /// Starts an operator and does not wait for it.
    pub fn start(&self, options: &Options) -> anyhow::Result<Operator> {
        match &self.account {
            Some(account) if !options.has_identity() => {
                Operator::start(&self.cluster, &options.clone().kubeconfig(account))
            }
            _ => Operator::start(&self.cluster, options),
        }
    }

    /// Everything that was stored since the beginning.
    pub fn history(&self) -> anyhow::Result<History> {
        self.cluster.history(&self.recorder)
    }

    /// Judges everything that was stored since the beginning and prints the counts.
    pub fn judge(&self) -> anyhow::Result<Report> {
        let history = self.history()?;
        let started = std::time::Instant::now();
        let report = check(&self.rules, &history);
        println!("  {report} (judged in {:.1} s)", started.elapsed().as_secs_f64());
        for loss in report.foreign().take(3) {
            println!("    by somebody else: {loss}");
        }
        Ok(report)
    }

    /// Judges, and fails on any violation and if there was next to nothing to judge.
    pub fn assert_clean(&self) -> anyhow::Result<Report> {
        let report = self.judge()?;
        report.assert_clean()?;
        ensure!(report.counts.revisions > 0, "nothing was judged: {report}");
        Ok(report)
    }

    /// Waits until the operator has written nothing for a while.
    pub async fn calm(&self, patience: Duration) -> anyhow::Result<()> {
        let last_of_ours = || -> anyhow::Result<u64> {
            let history = self.history()?;
            let ours = history.events.iter().rfind(|e| e.writer == Writer::Ours);
            Ok(ours.map_or(0, |e| e.revision))
        };
        eventually("an operator that writes no more", LIMIT, || async {
            let before = last_of_ours()?;
            tokio::time::sleep(patience).await;
            let after = last_of_ours()?;
            ensure!(before == after, "it wrote revision {after}");
            Ok(())
        })
        .await
    }

    /// Waits until the operator has done what it has to do, then for a while in which it has no reason to
    /// write, and fails if it does.
    pub async fn assert_quiet(&self, duration: Duration) -> anyhow::Result<()> {
        self.calm(SETTLE + Duration::from_secs(1)).await?;
        let last = self.history()?.events.last().map_or(0, |e| e.revision);
        tokio::time::sleep(duration).await;
        let history = self.history()?;
        let written: Vec<String> = history
            .events
            .iter()
            .filter(|e| e.revision > last && e.writer == Writer::Ours)
            .map(|e| describe(&history, e))
            .collect();
        ensure!(
            written.is_empty(),
            "the operator wrote without a reason: {written:?}"
        );
        Ok(())
    }

    /// Stored summaries that say "done" while the namespaces, as stored at that revision, say otherwise.
    pub fn premature_summaries(&self) -> anyhow::Result<Vec<String>> {
        let history = self.history()?;
        let mut modes: BTreeMap<&str, &str> = BTreeMap::new();
        let mut wrong = Vec::new();
        for event in history.base.iter().chain(&history.events) {
            let Content::Setting(value) = &event.content else {
                continue;
            };
            let status = value.as_ref().map(|v| &v["status"]);
            match (event.id.kind, status) {
                (Kind::SystemNamespace, status) => {
                    let mode = status
                        .and_then(|s| s["effectiveMode"].as_str())
                        .unwrap_or_default();
                    modes.insert(&event.id.name, mode);
                }
                (Kind::SystemIsolation, Some(status)) => {
                    let mut conditions = status["conditions"].as_array().into_iter().flatten();
                    let done = conditions.any(|c| c["type"] == "Progressing" && c["status"] == "False");
                    let said = status["counts"]["open"].as_u64();
                    let open = modes.values().filter(|m| **m == "Unrestricted").count() as u64;
                    if done && said.is_some_and(|said| said != open) {
                        wrong.push(format!(
                            "revision {}: says {said:?} open, {open} are",
                            event.revision
                        ));
                    }
                }
                _ => {}
            }
        }
        Ok(wrong)
    }

    /// How many policies the operator has written.
    pub fn policy_writes(&self) -> anyhow::Result<usize> {
        self.policy_writes_since(0)
    }

    /// How many policies the operator has written after a revision.
    pub fn policy_writes_since(&self, revision: u64) -> anyhow::Result<usize> {
        let history = self.history()?;
        let ours = history
            .events
            .iter()
            .filter(|e| e.revision > revision && e.writer == Writer::Ours && e.id.kind == Kind::Policy);
        Ok(ours.count())
    }

    /// Installs manifests/base and gives a kubeconfig of the operator's service account, which has exactly the
    /// permissions of those manifests.
    fn service_account(&self) -> anyhow::Result<PathBuf> {
        let base = crate::cluster::repository().join("manifests/base");
        let base = base.to_string_lossy();
        self.cluster
            .kubectl(&["apply", "--server-side", "--force-conflicts", "-k", &base])?;
        let namespace = ["-n", "openshift-bulkhead"];
        let create = ["create", "token", "bulkhead-operator", "--duration=4h"];
        let token = self.cluster.kubectl(&[&create[..], &namespace[..]].concat())?;
        let view = self.cluster.kubectl(&["config", "view", "--raw", "-o", "json"])?;
        let mut config: Value = serde_json::from_str(&view)?;
        config["users"][0]["user"] = serde_json::json!({"token": token.trim()});
        let file = self.folder().join("service-account.kubeconfig");
        std::fs::write(&file, config.to_string())?;
        Ok(file)
    }

    /// Replaces an object.
    pub fn replace(&self, object: &Value) -> anyhow::Result<()> {
        let file = self.folder().join("replace.json");
        let mut object = object.clone();
        for read_only in ["resourceVersion", "uid", "creationTimestamp", "managedFields"] {
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.remove(read_only);
            }
        }
        std::fs::write(&file, object.to_string())?;
        self.cluster
            .kubectl(&["replace", "-f", &file.to_string_lossy()])
            .map(drop)
    }

    /// A folder for files of the scenario.
    pub fn folder(&self) -> PathBuf {
        self.cluster.dir().to_owned()
    }
}

/// A write, and for settings what it changed.
fn describe(history: &History, event: &Event) -> String {
    let status = |e: &Event| match &e.content {
        Content::Setting(Some(value)) => value["status"].clone(),
        _ => Value::Null,
    };
    let before = history
        .events
        .iter()
        .rfind(|e| e.id == event.id && e.revision < event.revision);
    let mut changes = Vec::new();
    compare(
        "",
        &before.map(status).unwrap_or_default(),
        &status(event),
        &mut changes,
    );
    format!(
        "revision {} at {:.1} s: {}: {}",
        event.revision,
        event.at.as_secs_f64(),
        event.id,
        changes.join(", ")
    )
}

/// The leaves in which two values differ.
fn compare(path: &str, old: &Value, new: &Value, changes: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                compare(&format!("{path}.{key}"), &old[key], &new[key], changes);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}[{index}]"), a, b, changes);
            }
        }
        (a, b) if a != b => changes.push(format!("{path} {a} -> {b}")),
        _ => {}
    }
}

impl Drop for Lab {
    /// Leaves the history beside the logs where those are kept.
    fn drop(&mut self) {
        if crate::cluster::keeps()
            && let Err(error) = self.history()
        {
            eprintln!("{error:#}");
        }
    }
}
