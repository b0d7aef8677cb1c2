//! Two versions of the operator whose catalogs differ, under probes.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::Run;
use super::transitions::{Sums, watched};
use crate::catalog::{self, Edit};
use crate::operator::{Operator, Options};
use crate::packets::flows::required;
use crate::packets::ground::{Ground, Running};
use crate::packets::jobs::Skip;
use crate::packets::stage::Stage;
use crate::packets::truth::Mode;
use crate::wait::eventually;

const CLOSED: Mode = Mode::Restricted { egress: false };
/// Where the newer catalog knows one more client.
const CHANGED: &str = "openshift-dns-operator";
/// The client that only the newer catalog knows.
const NEWER: &str = "openshift-marketplace";
/// A group whose label the newer catalog calls otherwise.
const OLD_LABEL: &str = "network.openshift.io/policy-group: console";
const NEW_LABEL: &str = "renamed.network.openshift.io/policy-group: console";

/// A copy of the catalog of the repository with a higher sequence, one more client, and a renamed label.
fn newer_catalog(folder: &Path) -> anyhow::Result<PathBuf> {
    let edits = vec![
        Edit::one_more_client(CHANGED, NEWER),
        Edit::new(catalog::INDEX, OLD_LABEL, NEW_LABEL),
    ];
    catalog::newer(folder.join("newer-catalog"), edits)
}

/// An order of the steps of an upgrade and of the rollback after it.
#[derive(Clone, Copy)]
struct Order {
    /// How it is called.
    title: &'static str,
    /// Both versions run for a while, as in a rolling update; otherwise one ends before the other begins.
    overlap: bool,
    /// The one that leads is killed instead of asked to end.
    crash: bool,
    /// The rollback is accepted before the older version is back.
    accept_first: bool,
}

const ORDERS: [Order; 3] = [
    Order {
        title: "both versions run, the older one ends",
        overlap: true,
        crash: false,
        accept_first: false,
    },
    Order {
        title: "the older version ends before the newer one begins",
        overlap: false,
        crash: false,
        accept_first: true,
    },
    Order {
        title: "both versions run, the leading one crashes",
        overlap: true,
        crash: true,
        accept_first: false,
    },
];

/// An operator whose version is changed.
struct Rollout<'a> {
    ground: &'a Ground,
    operator: &'a mut Option<Operator>,
    order: Order,
}

impl Rollout<'_> {
    /// Puts an operator in the place of the one that runs.
    async fn replace(&mut self, options: Options) -> anyhow::Result<()> {
        let start = async || self.ground.operator(options).await?.context("no operator");
        let mut old = self.operator.take().context("no operator runs")?;
        if self.order.overlap {
            *self.operator = Some(start().await?);
            tokio::time::sleep(self.ground.setting.settle).await;
            self.end(&mut old).await
        } else {
            self.end(&mut old).await?;
            *self.operator = Some(start().await?);
            Ok(())
        }
    }

    async fn end(&self, old: &mut Operator) -> anyhow::Result<()> {
        if self.order.crash {
            old.kill()
        } else {
            old.terminate().await
        }
    }

    async fn upgrade(&mut self, newer: Options) -> anyhow::Result<()> {
        self.accept(None).await?;
        self.replace(newer).await?;
        admitted(self.ground, true).await?;
        self.ground.followed(CLOSED).await
    }

    /// Nothing is taken back before somebody accepts that an older catalog rules again.
    async fn roll_back(&mut self) -> anyhow::Result<()> {
        if self.order.accept_first {
            self.accept(Some(catalog::sequence()?)).await?;
        }
        self.replace(Options::default()).await?;
        if !self.order.accept_first {
            self.reported().await?;
            ensure!(
                admits(self.ground).await?,
                "the older catalog took something back before the rollback was accepted"
            );
            self.accept(Some(catalog::sequence()?)).await?;
        }
        admitted(self.ground, false).await?;
        self.ground.followed(CLOSED).await
    }

    async fn accept(&self, sequence: Option<u64>) -> anyhow::Result<()> {
        let accepted = json!({"acceptedCatalogSequence": sequence});
        self.ground.admin.merge_isolation(&accepted).await
    }

    async fn reported(&self) -> anyhow::Result<()> {
        let limit = self.ground.setting.limit;
        eventually("the older catalog to be reported", limit, || async {
            let (status, reason, message) = self.ground.admin.condition("Degraded").await?;
            let state = self.ground.admin.state(CHANGED).await?;
            ensure!(
                format!("{reason} {message} {state:?}").contains("acceptedCatalogSequence"),
                "{status} {reason}: {message}; {state:?}"
            );
            Ok(())
        })
        .await
    }
}

/// Upgrades and rollbacks in every order, all in a closed cluster; then it opens.
pub async fn run(
    run: &mut Run,
    ground: &Ground,
    stage: &Stage,
    operator: &mut Option<Operator>,
) -> anyhow::Result<()> {
    let attempts = required(&ground.rules, &stage.roles, ground.fallback());
    let mut sums = Sums::default();
    if ground.setting.running == Running::Installed {
        let reason = "the operator is installed; its image is changed by whoever installed it";
        run.case("probes while the operator is upgraded", async {
            Err(Skip(reason.to_owned()).into())
        })
        .await;
        return Ok(());
    }
    ground.switch(CLOSED).await?;
    let catalog = newer_catalog(ground.folder())?;
    let newer = Options::default()
        .flag("--catalog-dir")
        .flag(&catalog.to_string_lossy());
    for order in ORDERS {
        let mut rollout = Rollout {
            ground,
            operator,
            order,
        };
        let upgraded = rollout.upgrade(newer.clone());
        let body = watched(ground, stage, &attempts, &mut sums, 1, upgraded);
        let title = format!("probes while catalog and a label change: {}", order.title);
        run.case(&title, body).await;
        let body = watched(ground, stage, &attempts, &mut sums, 2, rollout.roll_back());
        run.case(&format!("probes during the rollback: {}", order.title), body)
            .await;
    }
    let opened = async { ground.switch(Mode::Unrestricted).await.map(drop) };
    let body = watched(ground, stage, &attempts, &mut sums, 1, opened);
    run.case("probes while everything opens after it", body).await;
    println!("{sums}");
    Ok(())
}

/// Whether a policy of ours admits the client that only the newer catalog knows.
async fn admits(ground: &Ground) -> anyhow::Result<bool> {
    let mut text = String::new();
    for name in ground.admin.policy_names(CHANGED).await? {
        text += &serde_json::to_string(&ground.admin.policies(CHANGED).get(&name).await?.spec)?;
    }
    Ok(text.contains(&format!("\"{NEWER}\"")))
}

async fn admitted(ground: &Ground, wanted: bool) -> anyhow::Result<()> {
    let what = if wanted {
        "the newer client to be admitted"
    } else {
        "the newer client to be taken back"
    };
    eventually(what, ground.setting.limit, || async {
        ensure!(admits(ground).await? == wanted, "it is not so");
        Ok(())
    })
    .await
}
