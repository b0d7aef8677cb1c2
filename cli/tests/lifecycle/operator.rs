//! A populated cluster and a real operator.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use crate::support::{self, Cluster};

/// Namespaces of the facts that stand for the others: a server for everybody, one for few, one on host network.
const NAMESPACES: &str = "openshift-dns,openshift-monitoring,openshift-etcd,openshift-service-ca";

pub fn populate(cluster: &Cluster) {
    cluster.kubectl(&format!("apply -f {}", support::folder("manifests/crds")));
    cluster.kubectl("wait --for=condition=Established crd --all --timeout=60s");
    let populated = support::script("populate")
        .arg("--kubeconfig")
        .arg(cluster.kubeconfig())
        .args([
            "--upstream-policies",
            "none",
            "--awkward=false",
            "--namespaces",
            NAMESPACES,
        ])
        .output()
        .unwrap();
    assert!(populated.status.success(), "{populated:?}");
    // Where the Lease of the operator lives; declared, so that it does not stay open.
    cluster.kubectl("create namespace openshift-bulkhead");
    cluster.kubectl(&format!(
        "apply -f {}",
        support::folder("manifests/base/systemnetworkpolicy.yaml")
    ));
}

static BINARY: OnceLock<PathBuf> = OnceLock::new();

/// Builds the operator, once.
fn build_operator() -> PathBuf {
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "-p",
            "bulkhead-controllers",
            "--bin",
            "bulkhead-operator",
        ])
        .status()
        .unwrap();
    assert!(built.success(), "the operator does not build");
    Path::new(env!("CARGO_BIN_EXE_kubectl-bulkhead")).with_file_name("bulkhead-operator")
}

/// A running operator; ends as a pod would when dropped.
pub struct Operator(Child);

impl Operator {
    pub fn start(cluster: &Cluster) -> Self {
        let binary = BINARY.get_or_init(build_operator);
        let log = std::fs::File::create(cluster.kubeconfig().with_file_name("operator.log")).unwrap();
        let child = Command::new(binary)
            .env("KUBECONFIG", cluster.kubeconfig())
            .args(["--settle-time", "500ms", "--metrics-address", "127.0.0.1:0"])
            .args([
                "--leader-election-lease-duration",
                "3s",
                "--leader-election-renew-deadline",
                "2s",
            ])
            .args(["--leader-election-retry-period", "500ms"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }

    pub fn end(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        self.0.wait().unwrap();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
