//! Configuration in several places, nonsense in it, kinds and permissions that come and go.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use bulkhead_e2e::admin::{Carrier, LIMIT};
use bulkhead_e2e::lab::{Lab, Shape};
use bulkhead_e2e::operator::{Operator, Options};
use bulkhead_e2e::suite::Suite;
use bulkhead_e2e::wait::eventually;
use serde_json::{Value, json};

const NS: &str = "openshift-dns-operator";

fn main() -> ExitCode {
    Suite::default()
        .scenario(
            "carriers that disagree or vanish leave the last configuration in force",
            carriers,
        )
        .scenario(
            "nonsense in the schemaless carrier changes nothing and is reported",
            nonsense,
        )
        .scenario("kinds that arrive later are taken up", late_kinds)
        .scenario(
            "a kind that is removed and comes back takes nothing away",
            removed_kinds,
        )
        .scenario(
            "a verb that is taken away is reported and nothing is lost",
            missing_verb,
        )
        .scenario("a control plane that goes away is waited for", lost_control_plane)
        .run()
}

/// Waits until the summary is Degraded for this reason; the message must help.
async fn degraded(lab: &Lab, reason: &str) -> anyhow::Result<()> {
    eventually(&format!("Degraded with reason {reason}"), LIMIT, || async {
        let (status, found, message) = lab.admin.condition("Degraded").await?;
        ensure!(
            status == "True" && found == reason,
            "Degraded is {status}, {found}: {message}"
        );
        ensure!(message.len() > 20, "{message}");
        Ok(())
    })
    .await
}

async fn healthy(lab: &Lab) -> anyhow::Result<()> {
    eventually("Degraded to be False", LIMIT, || async {
        let (status, reason, message) = lab.admin.condition("Degraded").await?;
        ensure!(status == "False", "{reason}: {message}");
        Ok(())
    })
    .await
}

async fn carriers() -> anyhow::Result<()> {
    let lab = Lab::new(&Shape::small("none").with_network_field()).await?;
    let _operator = lab.operator().await?;
    lab.admin
        .switch(Carrier::Network, &json!({"mode": "Restricted"}))
        .await?;
    lab.admin.applied(Some("Restricted"), LIMIT).await?;
    lab.admin.mode("Unrestricted").await?;
    degraded(&lab, "ConflictingConfiguration").await?;
    lab.assert_quiet(Duration::from_secs(4)).await?;
    let state = lab.admin.state(NS).await?;
    ensure!(state.effective.as_deref() == Some("Restricted"), "{state:?}");
    // One carrier gives up: the other rules.
    lab.admin.switch(Carrier::Isolation, &Value::Null).await?;
    healthy(&lab).await?;
    // Both gave up, as by accident: the last configuration stays.
    lab.admin
        .merge_network(&json!({"systemNetworkPolicy": null}))
        .await?;
    degraded(&lab, "ModeRemoved").await?;
    lab.assert_quiet(Duration::from_secs(4)).await?;
    ensure!(lab.admin.state(NS).await?.effective.as_deref() == Some("Restricted"));
    lab.admin.mode("Unrestricted").await?;
    lab.admin.applied(Some("Unrestricted"), LIMIT).await?;
    healthy(&lab).await?;
    lab.assert_clean().map(drop)
}

async fn nonsense() -> anyhow::Result<()> {
    let mut lab = Lab::new(&Shape::small("none").with_network_field()).await?;
    lab.rules.read_overrides = true;
    let options = Options::default().flag("--read-unsupported-overrides");
    let _operator = lab.operator_with(&options).await?;
    lab.admin
        .switch(Carrier::Overrides, &json!({"mode": "Unrestricted"}))
        .await?;
    lab.admin.applied(Some("Unrestricted"), LIMIT).await?;
    for nonsense in [
        json!({"mode": "Closed"}),
        json!({"mode": 7}),
        json!("Restricted"),
        json!([]),
    ] {
        lab.admin.switch(Carrier::Overrides, &Value::Null).await?;
        lab.admin.switch(Carrier::Overrides, &nonsense).await?;
        degraded(&lab, "InvalidConfiguration").await?;
        let state = lab.admin.state(NS).await?;
        ensure!(state.effective.as_deref() == Some("Unrestricted"), "{state:?}");
    }
    lab.admin.switch(Carrier::Overrides, &Value::Null).await?;
    lab.admin
        .switch(Carrier::Overrides, &json!({"mode": "Restricted"}))
        .await?;
    lab.admin.applied(Some("Restricted"), LIMIT).await?;
    lab.assert_clean().map(drop)
}

async fn late_kinds() -> anyhow::Result<()> {
    let lab = Lab::new(&Shape::small("4.20").without_kinds()).await?;
    let mut operator = Operator::start(&lab.cluster, &Options::default())?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    ensure!(
        operator.runs(),
        "it gave up without its kinds: {}",
        operator.log()
    );
    ensure!(lab.policy_writes()? == 0, "it wrote without its kinds");
    lab.cluster.install_kinds(false)?;
    operator.ready().await?;
    lab.admin.mode("Restricted").await?;
    lab.admin.applied(Some("Restricted"), LIMIT).await?;
    lab.assert_clean().map(drop)
}

async fn removed_kinds() -> anyhow::Result<()> {
    let lab = Lab::new(&Shape::small("none")).await?;
    lab.admin.mode("Restricted").await?;
    let mut operator = lab.operator().await?;
    lab.admin.applied(Some("Restricted"), LIMIT).await?;
    for kind in ["systemnetworkpolicies", "systemnamespaces", "systemisolations"] {
        let definition = format!("crd/{kind}.network.operator.openshift.io");
        lab.cluster
            .kubectl(&["delete", &definition, "--wait=true", "--timeout=60s"])?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let policies = lab.admin.policy_names(NS).await?;
        ensure!(
            policies.iter().any(|n| n == "bulkhead-default-deny"),
            "{kind} went and opened: {policies:?}"
        );
        lab.cluster.install_kinds(false)?;
        operator.ready().await?;
    }
    lab.admin.mode("Unrestricted").await?;
    lab.admin.applied(Some("Unrestricted"), LIMIT).await?;
    lab.assert_clean().map(drop)
}

async fn missing_verb() -> anyhow::Result<()> {
    let lab = Lab::new(&Shape::small("none")).await?;
    lab.admin.mode("Unrestricted").await?;
    let _operator = lab.operator().await?;
    lab.admin.applied(Some("Unrestricted"), LIMIT).await?;
    let rules = lab
        .cluster
        .kubectl(&["get", "clusterrole", "bulkhead-operator", "-o", "json"])?;
    let mut role: Value = serde_json::from_str(&rules)?;
    let whole = role.clone();
    for rule in role["rules"].as_array_mut().into_iter().flatten() {
        if rule["resources"] == json!(["networkpolicies"]) {
            rule["verbs"] = json!(["get", "list", "watch", "create", "patch"]);
        }
    }
    lab.replace(&role)?;
    lab.admin.mode("Restricted").await?;
    eventually(
        "failing writes to be reported",
        Duration::from_secs(200),
        || async {
            let (status, reason, message) = lab.admin.condition("Degraded").await?;
            ensure!(
                status == "True" && reason == "WritesFailing",
                "{status} {reason} {message}"
            );
            Ok(())
        },
    )
    .await?;
    let state = lab.admin.state(NS).await?;
    ensure!(state.effective.as_deref() == Some("Unrestricted"), "{state:?}");
    lab.replace(&whole)?;
    lab.admin.applied(Some("Restricted"), LIMIT).await?;
    healthy(&lab).await?;
    lab.assert_clean().map(drop)
}

async fn lost_control_plane() -> anyhow::Result<()> {
    let lab = Lab::new(&Shape::small("none")).await?;
    lab.admin.mode("Unrestricted").await?;
    let mut operator = lab.operator().await?;
    lab.admin.applied(Some("Unrestricted"), LIMIT).await?;
    lab.admin.mode("Restricted").await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    lab.cluster.restart_apiserver(&["--force", "--pause", "4s"])?;
    operator.ready().await?;
    lab.admin.applied(Some("Restricted"), LIMIT).await?;
    lab.cluster.restart_apiserver(&["--force", "--pause", "1s"])?;
    operator.ready().await?;
    lab.admin.mode("Unrestricted").await?;
    lab.admin.applied(Some("Unrestricted"), LIMIT).await?;
    lab.assert_clean().map(drop)
}
