//! A throw-away control plane, one per value.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use tempfile::TempDir;

use crate::audit::AuditLog;
use crate::checker::history::History;
use crate::etcd::Recorder;
use crate::wait::eventually;

/// Set to keep the folder of each cluster, logs included, after a run.
const KEEP: &str = "BULKHEAD_E2E_KEEP";

/// Root of the repository.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Whether folders are kept after a run.
pub fn keeps() -> bool {
    std::env::var_os(KEEP).is_some()
}

/// A running control plane; dropping it ends its processes.
pub struct Cluster {
    dir: Option<TempDir>,
    path: PathBuf,
    etcd: String,
}

impl Cluster {
    /// Builds the control plane if needed and starts it.
    pub fn start() -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("bulkhead-e2e-").tempdir()?;
        let path = dir.path().to_owned();
        let mut cluster = Self {
            dir: Some(dir),
            path,
            etcd: String::new(),
        };
        let folder = cluster.path.to_string_lossy().into_owned();
        devcluster("up", &["--dir", &folder, "--audit"])?;
        let environment = std::fs::read_to_string(cluster.path.join("etcd.env"))?;
        let endpoint = environment
            .lines()
            .find_map(|line| line.strip_prefix("ETCD_ENDPOINT="));
        cluster.etcd = endpoint.context("etcd.env names no endpoint")?.to_owned();
        Ok(cluster)
    }

    /// The folder of the cluster.
    pub fn dir(&self) -> &Path {
        &self.path
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.path.join("kubeconfig")
    }

    /// Fills the cluster; see `hack/devcluster/populate --help`.
    pub fn populate(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let kubeconfig = self.kubeconfig().to_string_lossy().into_owned();
        let all = [&["--kubeconfig", &kubeconfig], arguments].concat();
        devcluster("populate", &all).map(drop)
    }

    /// Runs kubectl as the administrator and gives its output.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let kubeconfig = format!("--kubeconfig={}", self.kubeconfig().display());
        let all = [&[kubeconfig.as_str()], arguments].concat();
        let output = devcluster("kubectl", &all)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Applies text as the administrator.
    pub fn apply(&self, manifest: &str) -> anyhow::Result<()> {
        let file = self.path.join("apply.yaml");
        std::fs::write(&file, manifest)?;
        self.kubectl(&[
            "apply",
            "--server-side",
            "--force-conflicts",
            "-f",
            &file.to_string_lossy(),
        ])
        .map(drop)
    }

    /// Installs our kinds; with `network`, also the Network kind that has the field of the switch.
    pub fn install_kinds(&self, network: bool) -> anyhow::Result<()> {
        let manifests = repository().join("manifests");
        let mut folders = vec![manifests.join("crds")];
        if network {
            folders.push(manifests.join("overlays/kubernetes/networks.yaml"));
        }
        for folder in folders {
            self.kubectl(&[
                "apply",
                "--server-side",
                "--force-conflicts",
                "-f",
                &folder.to_string_lossy(),
            ])?;
        }
        self.kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd",
            "--all",
            "--timeout=30s",
        ])
        .map(drop)
    }

    /// Waits until the kinds of ours can be watched: the server sets their storage up a second time shortly
    /// after it calls them established.
    pub async fn kinds_are_served(&self) -> anyhow::Result<()> {
        let client = self.client().await?;
        let path = "/apis/network.operator.openshift.io/v1alpha1";
        let mut answered = 0;
        eventually("our kinds to be served", Duration::from_secs(30), || {
            let client = client.clone();
            let attempt = answered;
            answered += 1;
            async move {
                for plural in ["systemnamespaces", "systemisolations", "systemnetworkpolicies"] {
                    let watch = format!("{path}/{plural}?watch=true&timeoutSeconds=1&resourceVersion=0");
                    let request = http::Request::get(watch).body(Vec::new())?;
                    client.request_text(request).await?;
                }
                ensure!(attempt > 0, "looked at only once");
                Ok(())
            }
        })
        .await
    }

    /// Ends kube-apiserver and starts it again; see `hack/devcluster/restart-apiserver --help`.
    pub fn restart_apiserver(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let folder = self.path.to_string_lossy().into_owned();
        devcluster("restart-apiserver", &[&["--dir", &folder], arguments].concat()).map(drop)
    }

    /// A client of the administrator whose writes are told from the operator's by their user agent.
    pub async fn client(&self) -> anyhow::Result<kube::Client> {
        client(&self.kubeconfig()).await
    }

    /// Records every stored revision from now on.
    pub fn record(&self) -> anyhow::Result<Recorder> {
        Recorder::start(&self.etcd)
    }

    /// What a recorder has seen, with the writers that the audit log names.
    pub fn history(&self, recorder: &Recorder) -> anyhow::Result<History> {
        let history = recorder.history(&AuditLog::read(&self.path.join("audit.log"))?)?;
        if keeps() {
            let lines: Vec<String> = history.events.iter().map(ToString::to_string).collect();
            std::fs::write(self.path.join("history.txt"), lines.join("\n"))?;
        }
        Ok(history)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let folder = self.path.to_string_lossy().into_owned();
        if let Err(error) = devcluster("down", &["--dir", &folder]) {
            eprintln!("{error:#}");
        }
        if keeps()
            && let Some(dir) = self.dir.take()
        {
            eprintln!("kept {}", dir.keep().display());
        }
    }
}

/// A client for a kubeconfig file.
pub async fn client(kubeconfig: &Path) -> anyhow::Result<kube::Client> {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let file = Kubeconfig::read_from(kubeconfig)?;
    let mut config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    config.headers.push((
        http::header::USER_AGENT,
        http::HeaderValue::from_static("bulkhead-e2e"),
    ));
    config.default_retry = false;
    Ok(kube::Client::try_from(config)?)
}

fn devcluster(script: &str, arguments: &[&str]) -> anyhow::Result<Output> {
    let program = repository().join("hack/devcluster").join(script);
    let output = Command::new(&program)
        .args(arguments)
        .output()
        .with_context(|| format!("running {}", program.display()))?;
    ensure!(
        output.status.success(),
        "hack/devcluster/{script} {}: {}\n{}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output)
}
