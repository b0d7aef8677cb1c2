//! Per-namespace choices: overrides with an end, adoption and release, the emergency hold.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bulkhead_e2e::admin::LIMIT;
use bulkhead_e2e::lab::{Lab, Shape};
use bulkhead_e2e::operator::Operator;
use bulkhead_e2e::suite::Suite;
use bulkhead_e2e::wait::eventually;
use serde_json::{Value, json};

const ALLOW_ALL: &str = "bulkhead-allow-all";
const NS: &str = "openshift-dns-operator";

fn main() -> ExitCode {
    Suite::default()
        .scenario(
            "an override closes or opens one namespace and ends when it expires",
            overrides,
        )
        .scenario(
            "an adopted namespace follows the switch and is handed back clean",
            adoption,
        )
        .scenario("a hold opens everything and is lifted again", hold)
        .scenario("an unmanaged namespace is left alone", unmanaged)
        .run()
}

async fn lab_in(mode: &str) -> anyhow::Result<(Lab, Operator)> {
    let lab = Lab::new(&Shape::small("none")).await?;
    lab.admin.mode(mode).await?;
    let operator = lab.operator().await?;
    lab.admin.applied(Some(mode), LIMIT).await?;
    Ok((lab, operator))
}

/// So many seconds from now, as the API writes it.
fn in_seconds(seconds: i64) -> anyhow::Result<String> {
    let then = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_secs(seconds))?;
    Ok(jiff::Timestamp::from_second(then.as_second())?.to_string())
}

async fn overrides() -> anyhow::Result<()> {
    let (lab, _operator) = lab_in("Unrestricted").await?;
    let closing =
        json!({"override": {"mode": "Restricted", "reason": "a test", "expirationTime": in_seconds(15)?}});
    lab.admin.merge_system(NS, &closing).await?;
    lab.admin.settled(NS, &["Restricted"]).await?;
    ensure!(lab.admin.state("openshift-dns").await?.effective.as_deref() == Some("Unrestricted"));
    lab.admin.settled(NS, &["Unrestricted"]).await?;

    lab.admin.merge_system(NS, &json!({"override": null})).await?;
    let opening =
        json!({"override": {"mode": "Unrestricted", "reason": "a test", "expirationTime": in_seconds(25)?}});
    lab.admin.merge_system(NS, &opening).await?;
    lab.admin.mode("Restricted").await?;
    let counts = lab.admin.applied(Some("Restricted"), LIMIT).await?;
    ensure!(counts.restricted > 8, "{counts:?}");
    lab.admin.settled(NS, &["Restricted"]).await?;
    // An expiry that was seen stays in force for this generation.
    lab.assert_quiet(Duration::from_secs(4)).await?;
    lab.assert_clean().map(drop)
}

async fn adoption() -> anyhow::Result<()> {
    let (lab, _operator) = lab_in("Unrestricted").await?;
    let tenant = "tenant-a";
    lab.admin
        .merge_system(tenant, &json!({"adoption": "Adopted"}))
        .await?;
    lab.admin.settled(tenant, &["Unrestricted"]).await?;
    let anybody = json!([{"ports": [{"port": 8080}], "clients": [{"type": "Namespace", "namespace": {"name": "tenant-b"}}]}]);
    let set =
        json!({"catalogEntry": "Replace", "servers": [{"name": "all", "podSelector": {}, "rules": anybody}]});
    lab.admin.declare(tenant, "mine", &set).await?;
    lab.admin.mode("Restricted").await?;
    lab.admin.applied(Some("Restricted"), LIMIT).await?;
    // The tenant has policies of its own, which admit more than the set.
    let state = lab.admin.settled(tenant, &["PartlyRestricted"]).await?;
    ensure!(state.condition("Isolated") == "False", "{state:?}");
    lab.admin
        .merge_system(tenant, &json!({"adoption": "NotAdopted"}))
        .await?;
    eventually("the tenant to be handed back", LIMIT, || async {
        let left: Vec<String> = lab.admin.policy_names(tenant).await?;
        ensure!(left.iter().all(|name| !name.starts_with("bulkhead-")), "{left:?}");
        let namespace = lab.admin.namespaces().get(tenant).await?;
        let labels = namespace.metadata.labels.unwrap_or_default();
        let ours: Vec<&String> = labels
            .keys()
            .filter(|k| k.starts_with("network.operator.openshift.io/"))
            .collect();
        ensure!(ours.is_empty(), "{ours:?}");
        Ok(())
    })
    .await?;
    lab.assert_quiet(Duration::from_secs(4)).await?;
    lab.assert_clean().map(drop)
}

async fn hold() -> anyhow::Result<()> {
    let (lab, _operator) = lab_in("Restricted").await?;
    lab.admin
        .merge_isolation(&json!({"hold": {"state": "Open", "reason": "an emergency"}}))
        .await?;
    eventually("every namespace to be open", LIMIT, || async {
        let counts = lab.admin.applied(Some("Restricted"), LIMIT).await?;
        ensure!(counts.open == counts.desired, "{counts:?}");
        Ok(())
    })
    .await?;
    lab.assert_quiet(Duration::from_secs(4)).await?;
    lab.admin.merge_isolation(&json!({"hold": null})).await?;
    eventually("every namespace to be closed again", LIMIT, || async {
        let counts = lab.admin.applied(Some("Restricted"), LIMIT).await?;
        ensure!(counts.restricted > 8, "{counts:?}");
        Ok(())
    })
    .await?;
    lab.assert_clean().map(drop)
}

async fn unmanaged() -> anyhow::Result<()> {
    let (lab, _operator) = lab_in("Unrestricted").await?;
    lab.admin
        .merge_system(NS, &json!({"managementState": "Unmanaged"}))
        .await?;
    lab.admin.mode("Restricted").await?;
    let counts = lab.admin.applied(Some("Restricted"), LIMIT).await?;
    ensure!(counts.restricted > 7, "{counts:?}");
    let allow_all = lab.admin.policies(NS).get(ALLOW_ALL).await?;
    lab.admin
        .delete_policy(NS, ALLOW_ALL)
        .await
        .context("the administrator may")?;
    lab.assert_quiet(Duration::from_secs(4)).await?;
    ensure!(
        !lab.admin.policy_names(NS).await?.contains(&ALLOW_ALL.to_owned()),
        "it was restored"
    );
    let spec: Value = serde_json::to_value(allow_all.spec)?;
    lab.admin.put_policy(NS, "by-hand", &spec).await?;
    lab.admin
        .merge_system(NS, &json!({"managementState": null}))
        .await?;
    lab.admin.settled(NS, &["Restricted", "PartlyRestricted"]).await?;
    lab.judge()?;
    Ok(())
}
