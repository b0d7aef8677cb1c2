//! Two teams rename a label: the owner of the namespaces that carry it, and the owner of a policy that selects
//! by it.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bulkhead_e2e::admin::LIMIT;
use bulkhead_e2e::lab::{Lab, Shape};
use bulkhead_e2e::operator::Operator;
use bulkhead_e2e::suite::Suite;
use bulkhead_e2e::wait::eventually;
use serde_json::{Value, json};

/// Carries the label.
const NS: &str = "openshift-dns-operator";
/// Holds the policy that selects by it.
const CONSUMER: &str = "tenant-a";
const OLD: &str = "team.example.com/role";
const NEW: &str = "team.example.com/function";

fn main() -> ExitCode {
    Suite::default()
        .scenario(
            "a label that its owner renames first is kept while a policy uses it",
            owner_first,
        )
        .scenario(
            "a label that its user leaves first goes with its owner's rename",
            user_first,
        )
        .scenario(
            "a label that was not granted is refused and nothing is lost",
            not_granted,
        )
        .run()
}

async fn lab() -> anyhow::Result<(Lab, Operator)> {
    let lab = Lab::new(&Shape::small("none")).await?;
    lab.admin
        .merge_isolation(&json!({"labelGrants": [{"namespace": NS, "keys": [OLD, NEW]}]}))
        .await?;
    lab.admin.mode("Unrestricted").await?;
    let operator = lab.operator().await?;
    lab.admin.applied(Some("Unrestricted"), LIMIT).await?;
    Ok((lab, operator))
}

/// The owner declares this label, and nothing else.
async fn declare(lab: &Lab, key: &str) -> anyhow::Result<()> {
    let spec = json!({"catalogEntry": "Extend", "namespaceLabels": {key: "dns"}});
    lab.admin.declare(NS, "labels", &spec).await
}

/// The user selects namespaces by these labels.
async fn select(lab: &Lab, keys: &[&str]) -> anyhow::Result<()> {
    let peers: Vec<Value> = keys
        .iter()
        .map(|key| json!({"namespaceSelector": {"matchLabels": {*key: "dns"}}}))
        .collect();
    let spec = json!({"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"], "ingress": [{"from": peers}]});
    lab.admin.put_policy(CONSUMER, "from-dns", &spec).await
}

/// Waits until the namespace carries exactly these of the two labels.
async fn carries(lab: &Lab, keys: &[&str]) -> anyhow::Result<()> {
    eventually(&format!("the labels to be {keys:?}"), LIMIT, || async {
        let namespace = lab.admin.namespaces().get(NS).await?;
        let labels = namespace.metadata.labels.context("no labels")?;
        let found: Vec<&str> = [OLD, NEW]
            .into_iter()
            .filter(|key| labels.contains_key(*key))
            .collect();
        ensure!(found == keys, "they are {found:?}");
        Ok(())
    })
    .await
}

async fn owner_first() -> anyhow::Result<()> {
    let (lab, _operator) = lab().await?;
    declare(&lab, OLD).await?;
    carries(&lab, &[OLD]).await?;
    select(&lab, &[OLD]).await?;
    declare(&lab, NEW).await?;
    carries(&lab, &[OLD, NEW]).await?;
    lab.assert_quiet(Duration::from_secs(4)).await?;
    carries(&lab, &[OLD, NEW]).await?;
    select(&lab, &[NEW]).await?;
    carries(&lab, &[NEW]).await?;
    lab.assert_clean().map(drop)
}

async fn user_first() -> anyhow::Result<()> {
    let (lab, _operator) = lab().await?;
    declare(&lab, OLD).await?;
    carries(&lab, &[OLD]).await?;
    select(&lab, &[OLD]).await?;
    select(&lab, &[OLD, NEW]).await?;
    lab.assert_quiet(Duration::from_secs(3)).await?;
    declare(&lab, NEW).await?;
    carries(&lab, &[OLD, NEW]).await?;
    lab.admin.delete_policy(CONSUMER, "from-dns").await?;
    carries(&lab, &[NEW]).await?;
    lab.assert_clean().map(drop)
}

async fn not_granted() -> anyhow::Result<()> {
    let (lab, _operator) = lab().await?;
    declare(&lab, OLD).await?;
    carries(&lab, &[OLD]).await?;
    select(&lab, &[OLD]).await?;
    declare(&lab, "team.example.com/stolen").await?;
    eventually("the declaration to be refused", LIMIT, || async {
        let status = lab
            .admin
            .declarations(NS)
            .get("labels")
            .await?
            .status
            .context("no status")?;
        let accepted = status
            .conditions
            .iter()
            .find(|c| c.type_ == "Accepted")
            .context("no verdict")?;
        ensure!(
            accepted.reason == "LabelNotGranted" && accepted.message.contains("team.example.com/stolen"),
            "{}: {}",
            accepted.reason,
            accepted.message
        );
        Ok(())
    })
    .await?;
    lab.assert_quiet(Duration::from_secs(3)).await?;
    carries(&lab, &[OLD]).await?;
    lab.assert_clean().map(drop)
}
