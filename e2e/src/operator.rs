//! The operator as a process.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::{Cluster, repository};
use crate::wait::eventually;

/// Time between a write and the next that relies on it, in every test that does not say otherwise.
pub const SETTLE: Duration = Duration::from_secs(2);
/// How old a version the checker holds possible. Shorter than [`SETTLE`], because the store's stream may
/// deliver two events closer together than they were stored.
pub const WINDOW: Duration = Duration::from_millis(1400);

/// How long an operator may take to watch everything.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// How an operator is started.
#[derive(Clone, Debug)]
pub struct Options {
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    kubeconfig: Option<PathBuf>,
    settle: Duration,
    election: [&'static str; 3],
    faults: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            kubeconfig: None,
            settle: SETTLE,
            election: ["3s", "2s", "500ms"],
            faults: false,
        }
    }
}

impl Options {
    /// Adds a flag.
    #[must_use]
    pub fn flag(mut self, flag: &str) -> Self {
        self.arguments.push(flag.to_owned());
        self
    }

    /// Runs with another identity than the administrator's.
    #[must_use]
    pub fn kubeconfig(mut self, path: &Path) -> Self {
        self.kubeconfig = Some(path.to_owned());
        self
    }

    /// Another settle time than the usual one.
    #[must_use]
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// A Lease that is free soon after a crash.
    #[must_use]
    pub fn short_lease(mut self) -> Self {
        self.election = ["1s", "700ms", "200ms"];
        self
    }

    /// The times of leader election that an operator has by default, for machines that are too busy for short ones.
    #[must_use]
    pub fn patient(mut self) -> Self {
        self.election = ["15s", "10s", "2s"];
        self
    }

    /// Whether it runs as the administrator for want of another identity.
    pub(crate) fn has_identity(&self) -> bool {
        self.kubeconfig.is_some()
    }

    /// Ends itself at a write (`kill-before:N`, `kill-after:N`), deletes late (`late-delete:MILLISECONDS`) or
    /// learns late (`late-watch:MILLISECONDS`). Needs the build with faults.
    #[must_use]
    pub fn fault(mut self, fault: &str) -> Self {
        self.environment
            .insert("BULKHEAD_FAULT".to_owned(), fault.to_owned());
        self.faults = true;
        self
    }
}

/// A running operator; dropping it kills it.
pub struct Operator {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Operator {
    /// Starts an operator and does not wait.
    pub fn start(cluster: &Cluster, options: &Options) -> anyhow::Result<Self> {
        Self::start_at(cluster.dir(), &cluster.kubeconfig(), options)
    }

    /// Starts an operator for the cluster of a kubeconfig, with its log in a folder, and does not wait.
    pub fn start_at(folder: &Path, kubeconfig: &Path, options: &Options) -> anyhow::Result<Self> {
        let program = program(options.faults)?;
        // Asked for and given back at once; the operator takes it next.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = folder.join(format!("operator-{}.log", address.port()));
        let file = File::create(&log)?;
        let kubeconfig = options.kubeconfig.as_deref().unwrap_or(kubeconfig);
        let child = Command::new(&program)
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(["--settle-time", &format!("{}ms", options.settle.as_millis())])
            .args(["--metrics-address", &address.to_string()])
            .args(["--leader-election-lease-duration", options.election[0]])
            .args(["--leader-election-renew-deadline", options.election[1]])
            .args(["--leader-election-retry-period", options.election[2]])
            .args([
                "--log-format",
                "text",
                "--log-level",
                "info,bulkhead_controllers=debug",
            ])
            .args(&options.arguments)
            .env("RUST_BACKTRACE", "0")
            .envs(&options.environment)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("running {}", program.display()))?;
        Ok(Self { child, address, log })
    }

    /// Starts an operator and waits until it watches everything.
    pub async fn spawn(cluster: &Cluster, options: &Options) -> anyhow::Result<Self> {
        let mut operator = Self::start(cluster, options)?;
        operator.ready().await?;
        Ok(operator)
    }

    /// Waits for readiness.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let url = self.url("/readyz");
        let log = self.log.clone();
        let child = &mut self.child;
        let mut probe = || {
            if let Some(status) = child.try_wait()? {
                bail!("the operator ended with {status}");
            }
            get(&url).map(drop)
        };
        let outcome = eventually("the operator to be ready", READY_LIMIT, || {
            std::future::ready(probe())
        })
        .await;
        outcome.with_context(|| format!("end of its log:\n{}", tail(&log)))
    }

    /// The answer of one of its pages.
    pub fn page(&self, path: &str) -> anyhow::Result<String> {
        get(&self.url(path))
    }

    /// The sum of a metric over all of its labels that contain `filter`.
    pub fn metric(&self, name: &str, filter: &str) -> anyhow::Result<f64> {
        let page = self.page("/metrics")?;
        let lines = page.lines().filter(|l| l.starts_with(name) && l.contains(filter));
        Ok(lines
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything that it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end and waits until it has; gives its exit code.
    pub async fn stop(&mut self) -> anyhow::Result<Option<i32>> {
        self.signal(Signal::TERM)?;
        self.ended(Duration::from_secs(30)).await
    }

    /// Asks it to end and waits until it has, cleanly.
    pub async fn terminate(&mut self) -> anyhow::Result<()> {
        let status = self.stop().await?;
        ensure!(
            status == Some(0),
            "the operator ended with {status:?}:\n{}",
            tail(&self.log)
        );
        Ok(())
    }

    /// Waits until it ends by itself; gives its exit code.
    pub async fn ended(&mut self, limit: Duration) -> anyhow::Result<Option<i32>> {
        let child = &mut self.child;
        let mut probe = || child.try_wait()?.map(|status| status.code()).context("it runs");
        eventually("the operator to end", limit, || std::future::ready(probe())).await
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Stops it where it is, as a suspended machine would.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id())?;
        kill_process(Pid::from_raw(pid).context("no process")?, signal)?;
        Ok(())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if self.runs()
            && let Err(error) = self.kill()
        {
            eprintln!("{error:#}");
        }
    }
}

fn get(url: &str) -> anyhow::Result<String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(5)))
        .http_status_as_error(false)
        .build()
        .into();
    let mut answer = agent.get(url).call()?;
    let (status, text) = (answer.status(), answer.body_mut().read_to_string()?);
    ensure!(status.is_success(), "{url}: {status}: {text}");
    Ok(text)
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// The operator's binary, built once per run of a test file.
fn program(faults: bool) -> anyhow::Result<PathBuf> {
    static PLAIN: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    static FAULTY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let (cell, name) = if faults {
        (&FAULTY, "bulkhead-operator-faults")
    } else {
        (&PLAIN, "bulkhead-operator")
    };
    let built = cell.get_or_init(|| build(name, faults).map_err(|e| format!("{e:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

/// Builds in the folder of all builds and keeps a copy: another build with other features must not replace
/// what a running test uses.
fn build(name: &str, faults: bool) -> anyhow::Result<PathBuf> {
    if let Some(given) = std::env::var_os("BULKHEAD_E2E_OPERATOR").filter(|_| !faults) {
        return Ok(given.into());
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(repository())
        .args(["build", "-q", "--workspace", "--bin", "bulkhead-operator"]);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    if faults {
        cargo.args(["--features", "bulkhead-controllers/faults"]);
    }
    let output = cargo.output().context("running cargo")?;
    ensure!(
        output.status.success(),
        "building the operator: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let messages = String::from_utf8_lossy(&output.stdout);
    let built = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "bulkhead-operator")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo names no binary")?;
    let folder = built.parent().context("the binary has no folder")?.join("e2e");
    std::fs::create_dir_all(&folder)?;
    let fresh = folder.join(format!("{name}.{}", std::process::id()));
    std::fs::copy(&built, &fresh)?;
    let kept = folder.join(name);
    std::fs::rename(&fresh, &kept)?;
    Ok(kept)
}
