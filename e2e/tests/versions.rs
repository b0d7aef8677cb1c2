//! Two operators whose catalogs have different sequences, and removal by plain kubectl.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bulkhead_e2e::admin::LIMIT;
use bulkhead_e2e::catalog::{self, Edit};
use bulkhead_e2e::cluster::repository;
use bulkhead_e2e::lab::{Lab, Shape};
use bulkhead_e2e::operator::Options;
use bulkhead_e2e::suite::Suite;
use bulkhead_e2e::wait::eventually;
use serde_json::json;

const NS: &str = "openshift-dns-operator";
/// A client that only the newer catalog knows.
const NEWER: &str = "openshift-config";

fn main() -> ExitCode {
    Suite::default()
        .scenario(
            "an older catalog takes nothing back before the rollback is accepted",
            rollback,
        )
        .scenario(
            "removing the operator while Restricted changes no traffic",
            removal,
        )
        .run()
}

/// Whether a policy of ours admits the client that only the newer catalog knows.
async fn admits_newer(lab: &Lab) -> anyhow::Result<bool> {
    let mut text = String::new();
    for name in lab.admin.policy_names(NS).await? {
        text += &serde_json::to_string(&lab.admin.policies(NS).get(&name).await?.spec)?;
    }
    Ok(text.contains(&format!("\"{NEWER}\"")))
}

async fn rollback() -> anyhow::Result<()> {
    let lab = Lab::new(&Shape::small("none")).await?;
    let catalog = catalog::newer(
        lab.folder().join("catalog"),
        vec![Edit::one_more_client(NS, NEWER)],
    )?;
    let newer = Options::default()
        .flag("--catalog-dir")
        .flag(&catalog.to_string_lossy());
    lab.admin.mode("Restricted").await?;
    let mut old = lab.operator().await?;
    lab.admin.applied(Some("Restricted"), LIMIT).await?;
    ensure!(!admits_newer(&lab).await?);

    // Both run; then the newer one leads.
    let mut new = lab.operator_with(&newer).await?;
    lab.assert_quiet(Duration::from_secs(3)).await?;
    old.terminate().await?;
    eventually("the newer client to be admitted", LIMIT, || async {
        ensure!(admits_newer(&lab).await?, "it is not");
        Ok(())
    })
    .await?;
    lab.admin.settled(NS, &["Restricted"]).await?;

    // Back: the older one leads, crashes included, and only opens.
    new.kill()?;
    let mut old = lab.operator().await?;
    eventually("the older catalog to be reported", LIMIT, || async {
        let (status, reason, message) = lab.admin.condition("Degraded").await?;
        let state = lab.admin.state(NS).await?;
        ensure!(
            format!("{reason} {message} {state:?}").contains("acceptedCatalogSequence"),
            "{status} {reason}: {message}; {state:?}"
        );
        Ok(())
    })
    .await?;
    lab.assert_quiet(Duration::from_secs(3)).await?;
    ensure!(admits_newer(&lab).await?, "the older catalog took something back");
    lab.admin.mode("Unrestricted").await?;
    lab.admin.settled(NS, &["Unrestricted"]).await?;
    lab.admin.mode("Restricted").await?;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let state = lab.admin.state(NS).await?;
    ensure!(
        state.effective.as_deref() == Some("Unrestricted"),
        "it closed: {state:?}"
    );

    lab.admin
        .merge_isolation(&json!({"acceptedCatalogSequence": catalog::sequence()?}))
        .await?;
    lab.admin.settled(NS, &["Restricted"]).await?;
    ensure!(
        !admits_newer(&lab).await?,
        "the rollback was accepted and not made"
    );
    lab.admin.applied(Some("Restricted"), LIMIT).await?;
    old.terminate().await?;
    lab.assert_clean().map(drop)
}

async fn removal() -> anyhow::Result<()> {
    let lab = Lab::new(&Shape::small("none")).await?;
    lab.admin.mode("Restricted").await?;
    let operator = lab.operator().await?;
    lab.admin.applied(Some("Restricted"), LIMIT).await?;
    let before = stored(&lab)?;
    ensure!(before.contains("bulkhead-default-deny"), "{before}");
    let base = repository().join("manifests/base");
    lab.cluster.kubectl(&[
        "delete",
        "-k",
        &base.to_string_lossy(),
        "--ignore-not-found",
        "--timeout=60s",
    ])?;
    // The operator outlives its manifests for a while, as a pod that is shut down does.
    tokio::time::sleep(Duration::from_secs(6)).await;
    drop(operator);
    let after = stored(&lab)?;
    ensure!(after == before, "policies changed:\n{before}\n{after}");
    let gone = lab.cluster.kubectl(&["get", "namespace", "openshift-bulkhead"]);
    gone.err().context("the operator's namespace is still there")?;
    lab.assert_clean().map(drop)
}

/// Every policy outside the operator's own namespace, with its uid.
fn stored(lab: &Lab) -> anyhow::Result<String> {
    let columns = "custom-columns=NS:.metadata.namespace,NAME:.metadata.name,UID:.metadata.uid";
    let all = lab
        .cluster
        .kubectl(&["get", "networkpolicies", "-A", "--no-headers", "-o", columns])?;
    let kept = all
        .lines()
        .filter(|line| !line.starts_with("openshift-bulkhead "));
    Ok(kept.collect::<Vec<_>>().join("\n"))
}
