//! Others interfere: they delete, edit, squat, deny first, and make namespaces come and go.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bulkhead_e2e::admin::LIMIT;
use bulkhead_e2e::checker::report::{Level, Report};
use bulkhead_e2e::lab::{Lab, Shape};
use bulkhead_e2e::suite::Suite;
use bulkhead_e2e::wait::eventually;
use serde_json::{Value, json};

const ALLOW_ALL: &str = "bulkhead-allow-all";
const NS: &str = "openshift-dns-operator";

fn main() -> ExitCode {
    Suite::default()
        .scenario(
            "an allow-all that is deleted or edited is whole again at once",
            allow_all_is_restored,
        )
        .scenario("a squatted name is left alone and another one is taken", squatted)
        .scenario(
            "a whole set that is deleted while Restricted comes back without a loss",
            set_comes_back,
        )
        .scenario(
            "a deny that somebody stores before any allow is overruled",
            deny_first,
        )
        .scenario(
            "namespaces that come and go during a transition disturb nobody",
            coming_and_going,
        )
        .run()
}

fn deny() -> Value {
    json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
}

async fn open_lab(line: &str) -> anyhow::Result<(Lab, bulkhead_e2e::operator::Operator)> {
    let lab = Lab::new(&Shape::small(line)).await?;
    lab.admin.mode("Unrestricted").await?;
    let operator = lab.operator().await?;
    lab.admin.applied(Some("Unrestricted"), LIMIT).await?;
    Ok((lab, operator))
}

/// Waits for a policy that opens everything.
async fn opened(lab: &Lab, namespace: &str, name: &str) -> anyhow::Result<()> {
    eventually(
        &format!("{namespace}/{name} to open everything"),
        LIMIT,
        || async {
            let policy = lab.admin.policies(namespace).get(name).await?;
            let spec = serde_json::to_value(policy.spec)?;
            ensure!(
                spec["ingress"] == json!([{}]) && spec["egress"] == json!([{}]),
                "{spec}"
            );
            ensure!(spec["podSelector"] == json!({}), "{spec}");
            Ok(())
        },
    )
    .await
}

/// Losses by others must have been there, or nothing was tested, and must be over.
fn all_regained(report: &Report) -> anyhow::Result<()> {
    let mut stored = report
        .foreign()
        .filter(|loss| loss.level == Level::Stored)
        .peekable();
    stored.peek().context("nobody else took anything away")?;
    for loss in stored {
        ensure!(loss.regained.is_some(), "never repaired: {loss}");
    }
    Ok(())
}

async fn allow_all_is_restored() -> anyhow::Result<()> {
    let (lab, _operator) = open_lab("5.0").await?;
    for _ in 0..3 {
        lab.admin.delete_policy(NS, ALLOW_ALL).await?;
        opened(&lab, NS, ALLOW_ALL).await?;
        lab.admin.put_policy(NS, ALLOW_ALL, &deny()).await?;
        opened(&lab, NS, ALLOW_ALL).await?;
    }
    lab.admin.settled(NS, &["Unrestricted"]).await?;
    all_regained(&lab.assert_clean()?)
}

async fn squatted() -> anyhow::Result<()> {
    let lab = Lab::new(&Shape::small("none")).await?;
    lab.admin.put_policy(NS, ALLOW_ALL, &deny()).await?;
    lab.admin.mode("Unrestricted").await?;
    let _operator = lab.operator().await?;
    lab.admin.settled(NS, &["Unrestricted"]).await?;
    let names = lab.admin.policy_names(NS).await?;
    let other = names.iter().find(|n| n.starts_with(ALLOW_ALL) && *n != ALLOW_ALL);
    opened(&lab, NS, other.context("no other name was taken")?).await?;
    let theirs = lab.admin.policies(NS).get(ALLOW_ALL).await?;
    let spec = serde_json::to_value(theirs.spec)?;
    ensure!(
        spec["ingress"].is_null(),
        "the squatter's object was changed: {spec}"
    );
    lab.admin.mode("Restricted").await?;
    lab.admin.applied(Some("Restricted"), LIMIT).await?;
    ensure!(
        lab.admin.policy_names(NS).await?.iter().any(|n| n == ALLOW_ALL),
        "the squatter's object is gone"
    );
    lab.assert_clean().map(drop)
}

async fn set_comes_back() -> anyhow::Result<()> {
    let lab = Lab::new(&Shape::small("none")).await?;
    lab.admin.mode("Restricted").await?;
    let _operator = lab.operator().await?;
    lab.admin.applied(Some("Restricted"), LIMIT).await?;
    let before = lab.admin.policy_names(NS).await?;
    for namespace in [NS, "openshift-dns", "openshift-catalogd"] {
        lab.cluster
            .kubectl(&["delete", "networkpolicy", "--all", "-n", namespace])?;
    }
    eventually("the set to be back", LIMIT, || async {
        let now = lab.admin.policy_names(NS).await?;
        ensure!(now == before, "{now:?} instead of {before:?}");
        Ok(())
    })
    .await?;
    lab.admin.applied(Some("Restricted"), LIMIT).await?;
    lab.assert_quiet(Duration::from_secs(5)).await?;
    lab.assert_clean().map(drop)
}

/// What broke upgrades upstream: another actor stores a deny, the allow comes later (openshift.md R1 to R3).
async fn deny_first() -> anyhow::Result<()> {
    let (lab, operator) = open_lab("none").await?;
    let server = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "controller", "namespace": "openshift-late", "labels": {"app": "late"}},
        "spec": {"containers": [{"name": "c", "image": "c", "ports": [{"containerPort": 8443}]}]},
    });
    // The other actor is faster than anybody could react.
    operator.freeze()?;
    lab.cluster.kubectl(&["create", "namespace", "openshift-late"])?;
    lab.cluster.apply(&server.to_string())?;
    lab.admin
        .put_policy("openshift-late", "default-deny", &deny())
        .await?;
    operator.thaw()?;
    opened(&lab, "openshift-late", ALLOW_ALL).await?;
    // The other actor insists, in a namespace that has long been open, and nothing is lost any more.
    lab.admin.put_policy(NS, "default-deny", &deny()).await?;
    let state = lab.admin.settled("openshift-late", &["Unrestricted"]).await?;
    ensure!(state.condition("ShippedPolicyOverridden") == "True", "{state:?}");
    let metrics = operator.page("/metrics")?;
    ensure!(
        metrics.contains("openshift-late"),
        "no metric speaks of the new namespace"
    );
    let report = lab.assert_clean()?;
    ensure!(
        report
            .foreign()
            .all(|loss| loss.level == Level::Mixed || loss.regained.is_some()),
        "{report}"
    );
    Ok(())
}

async fn coming_and_going() -> anyhow::Result<()> {
    let (lab, _operator) = open_lab("none").await?;
    lab.admin.mode("Restricted").await?;
    for round in 0..4 {
        let name = format!("openshift-passing-{round}");
        lab.cluster.kubectl(&["create", "namespace", &name])?;
        opened(&lab, &name, ALLOW_ALL).await?;
        lab.cluster
            .kubectl(&["delete", "namespace", &name, "--wait=false"])?;
    }
    let counts = lab.admin.applied(Some("Restricted"), LIMIT).await?;
    ensure!(counts.restricted > 8, "{counts:?}");
    eventually("the passing namespaces to be gone", LIMIT, || async {
        let left = lab.cluster.kubectl(&["get", "namespaces", "-o", "name"])?;
        ensure!(!left.contains("passing"), "{left}");
        Ok(())
    })
    .await?;
    eventually("the summary to forget them", LIMIT, || async {
        let now = lab.admin.applied(Some("Restricted"), LIMIT).await?;
        ensure!(now.desired == 13, "{now:?}");
        Ok(())
    })
    .await?;
    lab.assert_quiet(Duration::from_secs(5)).await?;
    lab.assert_clean().map(drop)
}
