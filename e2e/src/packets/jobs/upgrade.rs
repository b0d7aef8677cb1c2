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

/// Upgrade, both at once, rollback, and the acceptance of the rollback, all in a closed cluster.
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

    let upgraded = async {
        // Both run, the older one leading; then it goes and the newer one takes over.
        let new = ground.operator(newer).await?.context("no operator")?;
        tokio::time::sleep(ground.setting.settle).await;
        let mut old = operator.replace(new).context("no operator runs")?;
        old.terminate().await?;
        admitted(ground, true).await?;
        ground.followed(CLOSED).await
    };
    let body = watched(ground, stage, &attempts, &mut sums, 1, upgraded);
    run.case(
        "probes while the operator is upgraded to another catalog and a renamed label",
        body,
    )
    .await;

    let rolled_back = async {
        let old = ground
            .operator(Options::default())
            .await?
            .context("no operator")?;
        let mut new = operator.replace(old).context("no operator runs")?;
        new.kill()?;
        eventually(
            "the older catalog to be reported",
            ground.setting.limit,
            || async {
                let (status, reason, message) = ground.admin.condition("Degraded").await?;
                let state = ground.admin.state(CHANGED).await?;
                ensure!(
                    format!("{reason} {message} {state:?}").contains("acceptedCatalogSequence"),
                    "{status} {reason}: {message}; {state:?}"
                );
                Ok(())
            },
        )
        .await?;
        ensure!(
            admits(ground).await?,
            "the older catalog took something back before the rollback was accepted"
        );
        let accepted = json!({"acceptedCatalogSequence": catalog::sequence()?});
        ground.admin.merge_isolation(&accepted).await?;
        admitted(ground, false).await?;
        ground.followed(CLOSED).await
    };
    let body = watched(ground, stage, &attempts, &mut sums, 2, rolled_back);
    run.case(
        "probes while the operator is rolled back and the rollback is accepted",
        body,
    )
    .await;

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
