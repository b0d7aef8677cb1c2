//! A real, throw-away control plane for the tests of one file, and a runner that ends it afterwards.

// Not every file needs all of it.
#![allow(dead_code)]

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// OpenShift's kind without the field, which keeps unknown fields.
pub const PLAIN_NETWORK: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: networks.operator.openshift.io}
spec:
  group: operator.openshift.io
  names: {kind: Network, listKind: NetworkList, plural: networks, singular: network}
  scope: Cluster
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            x-kubernetes-preserve-unknown-fields: true
            properties: {managementState: {type: string}}
";

/// A test: its name is a sentence.
pub type Test = (&'static str, fn(&Cluster));

/// A running control plane with an empty cluster.
pub struct Cluster {
    dir: PathBuf,
}

/// What a command left behind.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Run {
    /// Fails unless the exit code is this one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Path of a folder or file of the repository.
pub fn folder(path: &str) -> String {
    repository().join(path).display().to_string()
}

/// A script of the development cluster.
pub fn script(name: &str) -> Command {
    Command::new(repository().join("hack/devcluster").join(name))
}

impl Cluster {
    /// Starts it; fails where it cannot be built or started.
    fn start() -> Self {
        let dir = std::env::temp_dir().join(format!("kubectl-bulkhead-{}", std::process::id()));
        let up = script("up")
            .arg("--dir")
            .arg(&dir)
            .status()
            .expect("hack/devcluster/up cannot be run");
        assert!(up.success(), "the development cluster does not start: {up}");
        Self { dir }
    }

    /// Path of the administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// The program under test, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-bulkhead"));
        command
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            .stdin(Stdio::null());
        command
    }

    /// Runs the program under test; arguments are separated by blanks.
    pub fn bulkhead(&self, arguments: &str) -> Run {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        self.command(&arguments)
            .output()
            .expect("kubectl-bulkhead cannot be run")
            .into()
    }

    /// Runs kubectl.
    pub fn try_kubectl(&self, arguments: &[&str]) -> Run {
        let mut command = script("kubectl");
        command
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            .stdin(Stdio::null());
        command.output().expect("kubectl cannot be run").into()
    }

    /// Runs kubectl, which must succeed; arguments are separated by blanks.
    #[track_caller]
    pub fn kubectl(&self, arguments: &str) -> String {
        self.try_kubectl(&arguments.split_whitespace().collect::<Vec<_>>())
            .exits(0)
            .out
    }

    /// Applies a manifest as an administrator does.
    #[track_caller]
    pub fn apply(&self, manifest: &str) {
        self.feed(&["apply", "-f", "-"], manifest);
    }

    /// Applies a manifest in somebody's name.
    #[track_caller]
    pub fn apply_as(&self, manager: &str, manifest: &str) {
        let manager = format!("--field-manager={manager}");
        self.feed(
            &["apply", "--server-side", "--force-conflicts", &manager, "-f", "-"],
            manifest,
        );
    }

    #[track_caller]
    fn feed(&self, arguments: &[&str], text: &str) {
        let mut command = script("kubectl");
        command.args(arguments).env("KUBECONFIG", self.kubeconfig());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("kubectl cannot be run");
        child
            .stdin
            .take()
            .expect("stdin")
            .write_all(text.as_bytes())
            .expect("kubectl reads");
        assert!(child.wait().expect("kubectl ends").success(), "{text}");
    }

    /// An object as JSON.
    #[track_caller]
    pub fn get(&self, what: &str) -> Value {
        let text = self.kubectl(&format!("get {what} -o json --show-managed-fields"));
        serde_json::from_str(&text).expect("kubectl prints JSON")
    }

    /// Whether an object exists.
    pub fn exists(&self, what: &str) -> bool {
        !self
            .kubectl(&format!("get {what} --ignore-not-found -o name"))
            .trim()
            .is_empty()
    }

    /// Merges into the status of an object, as the operator would.
    #[track_caller]
    pub fn set_status(&self, what: &str, status: &Value) {
        let patch = serde_json::json!({"status": status}).to_string();
        let (kind, name) = what.split_once(' ').expect("kind and name");
        let arguments = [
            "patch",
            kind,
            name,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ];
        self.try_kubectl(&arguments).exits(0);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let down = script("down").arg("--dir").arg(&self.dir).status();
        if !matches!(down, Ok(status) if status.success()) {
            eprintln!(
                "the development cluster in {} did not end: {down:?}",
                self.dir.display()
            );
            return;
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Looks again until something holds; fails after a generous deadline.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "does not happen: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Runs the tests in order against one cluster. An argument selects tests by a part of their name.
pub fn run(tests: &[Test]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|a| a == "--list") {
        for (name, _) in tests {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let filter = arguments
        .iter()
        .find(|a| !a.starts_with('-'))
        .cloned()
        .unwrap_or_default();
    let chosen: Vec<&Test> = tests.iter().filter(|(name, _)| name.contains(&filter)).collect();
    println!(
        "\nrunning {} of {} tests against a real API server",
        chosen.len(),
        tests.len()
    );
    if chosen.is_empty() {
        return ExitCode::SUCCESS;
    }
    let cluster = Cluster::start();
    let mut failed = Vec::new();
    for (name, test) in &chosen {
        let start = Instant::now();
        let passed = catch_unwind(AssertUnwindSafe(|| test(&cluster))).is_ok();
        let result = if passed { "ok" } else { "FAILED" };
        println!("test {name} ... {result} ({:.1?})", start.elapsed());
        if !passed {
            failed.push(*name);
        }
    }
    println!(
        "\ntest result: {} passed; {} failed {failed:?}\n",
        chosen.len() - failed.len(),
        failed.len()
    );
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
