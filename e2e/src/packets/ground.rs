//! The cluster under test, and the operators that may be started for it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bulkhead_policy::Dialect;
use kube::Client;
use tempfile::TempDir;

use super::flows::Pace;
use super::truth::{Mode, Modes};
use crate::admin::{Admin, Carrier};
use crate::checker::Rules;
use crate::cluster;
use crate::operator::{Operator, Options};
use crate::wait::eventually;

/// Name of the policy that opens a namespace.
const ALLOW_ALL: &str = "bulkhead-allow-all";

/// Where the operator runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Running {
    /// It is installed in the cluster and left alone.
    Installed,
    /// The tests start it as a process, with this kubeconfig of its own where there is one.
    Outside(Option<PathBuf>),
}

/// How the tests are run.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Setting {
    pub kubeconfig: PathBuf,
    pub image: String,
    pub dialect: Dialect,
    pub running: Running,
    pub settle: Duration,
    /// Folder of a devcluster, whose parts can be ended.
    pub devcluster: Option<PathBuf>,
    pub pace: Pace,
    /// How long the operator may take for anything.
    pub limit: Duration,
}

/// The cluster under test.
pub struct Ground {
    /// How the tests are run.
    pub setting: Setting,
    /// The administrator.
    pub admin: Admin,
    /// What to judge by.
    pub rules: Rules,
    folder: TempDir,
}

impl Ground {
    /// Connects.
    pub async fn new(setting: Setting) -> anyhow::Result<Self> {
        let client = cluster::client(&setting.kubeconfig).await?;
        client
            .apiserver_version()
            .await
            .with_context(|| format!("the cluster of {} does not answer", setting.kubeconfig.display()))?;
        Ok(Self {
            admin: Admin::new(client),
            rules: Rules::built_in()?,
            folder: tempfile::Builder::new().prefix("bulkhead-packets-").tempdir()?,
            setting,
        })
    }

    /// A client of the administrator.
    pub fn client(&self) -> &Client {
        &self.admin.client
    }

    /// Whether rules for the host network fall back to their ports here.
    pub fn fallback(&self) -> bool {
        self.setting.dialect.host_namespace.is_none()
    }

    /// A folder for files of the run.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts an operator, unless one is installed.
    pub async fn operator(&self, options: Options) -> anyhow::Result<Option<Operator>> {
        let Running::Outside(account) = &self.setting.running else {
            return Ok(None);
        };
        let mut options = options.patient().settle(self.setting.settle);
        if let Some(account) = account {
            options = options.kubeconfig(account);
        }
        let mut operator = Operator::start_at(self.folder.path(), &self.setting.kubeconfig, &options)?;
        operator.ready().await?;
        Ok(Some(operator))
    }

    /// Turns the switch and waits until every namespace has followed.
    pub async fn switch(&self, mode: Mode) -> anyhow::Result<Modes> {
        self.order(mode).await?;
        self.followed(mode).await?;
        Ok(Modes::all(mode))
    }

    /// Turns the switch and does not wait.
    pub async fn order(&self, mode: Mode) -> anyhow::Result<()> {
        let switch = match mode {
            Mode::Unrestricted => serde_json::json!({"mode": "Unrestricted"}),
            Mode::Restricted { egress } => {
                let isolation = if egress { "IngressAndEgress" } else { "Ingress" };
                serde_json::json!({"mode": "Restricted", "restricted": {"isolation": isolation}})
            }
        };
        self.admin.switch(Carrier::Isolation, &switch).await
    }

    /// Waits until every namespace has followed.
    pub async fn followed(&self, mode: Mode) -> anyhow::Result<()> {
        let name = match mode {
            Mode::Unrestricted => "Unrestricted",
            Mode::Restricted { .. } => "Restricted",
        };
        let counts = self.admin.applied(Some(name), self.setting.limit).await?;
        ensure!(
            counts.blocked == 0,
            "{} namespaces are blocked: {}",
            counts.blocked,
            self.blocked().await?
        );
        Ok(())
    }

    /// Namespaces that do not follow, and why.
    async fn blocked(&self) -> anyhow::Result<String> {
        let all = self
            .admin
            .system()
            .list(&kube::api::ListParams::default())
            .await?;
        let mut told = Vec::new();
        for namespace in all {
            let name = namespace.metadata.name.unwrap_or_default();
            let conditions = namespace.status.map(|s| s.conditions).unwrap_or_default();
            for condition in conditions
                .iter()
                .filter(|c| c.type_ == "Restrictable" && c.status == "False")
            {
                told.push(format!("{name}: {}: {}", condition.reason, condition.message));
            }
        }
        Ok(told.join("; "))
    }

    /// Waits until the operator has taken the first allow-all away from one of these namespaces.
    pub async fn first_is_closed(&self, namespaces: &[&str]) -> anyhow::Result<()> {
        eventually("the first allow-all to go", self.setting.limit, || async {
            for namespace in namespaces {
                let names = self.admin.policy_names(namespace).await?;
                if !names.iter().any(|name| name == ALLOW_ALL) {
                    return Ok(());
                }
            }
            anyhow::bail!("all of them stand")
        })
        .await
    }

    /// Ends a part of a node and lets it start again.
    pub fn restart_part(&self, node: &str, part: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let all = [&["--node", node, "--part", part], arguments].concat();
        self.devcluster("restart-node-part", &all).map(drop)
    }

    /// Ends the API server and lets it start again.
    pub fn restart_apiserver(&self, arguments: &[&str]) -> anyhow::Result<()> {
        self.devcluster("restart-apiserver", arguments).map(drop)
    }

    /// How many packets the kernel has denied because of a policy; nothing where only the plugin's own tools know.
    pub fn denied(&self) -> anyhow::Result<Option<u64>> {
        if self.setting.devcluster.is_none() {
            return Ok(None);
        }
        let printed = self.devcluster("denied", &[])?;
        Ok(Some(printed.trim().parse().context("reading what was denied")?))
    }

    fn devcluster(&self, script: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let folder = self
            .setting
            .devcluster
            .as_ref()
            .context("this cluster is no devcluster")?;
        let program = cluster::repository().join("hack/devcluster").join(script);
        let output = Command::new(&program)
            .arg("--dir")
            .arg(folder)
            .args(arguments)
            .output()?;
        ensure!(
            output.status.success(),
            "{script} {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }
}
