//! Declarations change while the namespace is closed.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use bulkhead_e2e::admin::LIMIT;
use bulkhead_e2e::lab::{Lab, Shape};
use bulkhead_e2e::operator::Operator;
use bulkhead_e2e::suite::Suite;
use bulkhead_e2e::wait::eventually;
use serde_json::{Value, json};

const NS: &str = "openshift-dns-operator";

fn main() -> ExitCode {
    Suite::default()
        .scenario("clients are added and taken away without a gap", clients)
        .scenario("a port moves while pods roll out late", port_moves)
        .scenario("a selector moves together with its pods", selector_moves)
        .scenario(
            "the last good set stays when declarations conflict or go",
            conflict,
        )
        .run()
}

/// A set of one server.
fn set(selector: &Value, port: u16, clients: &[&str]) -> Value {
    let clients: Vec<Value> = clients
        .iter()
        .map(|name| json!({"type": "Namespace", "namespace": {"name": name}}))
        .collect();
    json!({
        "catalogEntry": "Replace",
        "servers": [{"name": "operator", "podSelector": selector, "rules": [{"ports": [{"port": port}], "clients": clients}]}],
    })
}

fn by_name() -> Value {
    json!({"matchLabels": {"name": "dns-operator"}})
}

async fn closed() -> anyhow::Result<(Lab, Operator)> {
    let lab = Lab::new(&Shape::small("none")).await?;
    lab.admin.mode("Restricted").await?;
    let operator = lab.operator().await?;
    lab.admin.applied(Some("Restricted"), LIMIT).await?;
    Ok((lab, operator))
}

/// The policies of the namespace as text.
async fn stored(lab: &Lab) -> anyhow::Result<String> {
    let mut text = String::new();
    for name in lab.admin.policy_names(NS).await? {
        text += &serde_json::to_string(&lab.admin.policies(NS).get(&name).await?.spec)?;
    }
    Ok(text)
}

/// Waits until the stored policies contain these texts and not those.
async fn narrowed(lab: &Lab, present: &[&str], absent: &[&str]) -> anyhow::Result<()> {
    eventually(&format!("{present:?} without {absent:?}"), LIMIT, || async {
        let text = stored(lab).await?;
        ensure!(present.iter().all(|word| text.contains(word)), "{text}");
        ensure!(!absent.iter().any(|word| text.contains(word)), "{text}");
        Ok(())
    })
    .await?;
    lab.admin.settled(NS, &["Restricted"]).await.map(drop)
}

async fn clients() -> anyhow::Result<()> {
    let (lab, _operator) = closed().await?;
    lab.admin
        .declare(
            NS,
            "mine",
            &set(&by_name(), 9393, &["openshift-monitoring", "tenant-a"]),
        )
        .await?;
    narrowed(&lab, &["openshift-monitoring", "tenant-a"], &[]).await?;
    lab.admin
        .declare(NS, "mine", &set(&by_name(), 9393, &["tenant-b"]))
        .await?;
    narrowed(&lab, &["tenant-b"], &["tenant-a", "openshift-monitoring"]).await?;
    lab.assert_quiet(Duration::from_secs(5)).await?;
    lab.assert_clean().map(drop)
}

/// Makes a pod of the server that listens on a port.
fn pod(name: &str, labels: &Value, port: u16) -> String {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": NS, "labels": labels},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": "c", "ports": [{"containerPort": port}]}]},
    })
    .to_string()
}

async fn port_moves() -> anyhow::Result<()> {
    let (lab, _operator) = closed().await?;
    let labels = json!({"app": "mover"});
    let selector = json!({"matchLabels": labels});
    let clients = ["tenant-a"];
    lab.admin
        .declare(
            NS,
            "mine",
            &json!({"catalogEntry": "Extend", "servers": set(&selector, 7001, &clients)["servers"]}),
        )
        .await?;
    narrowed(&lab, &["7001"], &[]).await?;
    lab.cluster.apply(&pod("old", &labels, 7001))?;
    lab.admin
        .declare(
            NS,
            "mine",
            &json!({"catalogEntry": "Extend", "servers": set(&selector, 7002, &clients)["servers"]}),
        )
        .await?;
    eventually("the new port to be open", LIMIT, || async {
        let text = stored(&lab).await?;
        ensure!(text.contains("7002"), "{text}");
        Ok(())
    })
    .await?;
    lab.cluster.apply(&pod("new", &labels, 7002))?;
    // Some settle times later the old pod is still served.
    tokio::time::sleep(Duration::from_secs(7)).await;
    ensure!(
        stored(&lab).await?.contains("7001"),
        "the old port was closed under a pod that listens on it"
    );
    lab.cluster.kubectl(&["delete", "pod", "old", "-n", NS])?;
    narrowed(&lab, &["7002"], &["7001"]).await?;
    lab.assert_clean().map(drop)
}

async fn selector_moves() -> anyhow::Result<()> {
    let (lab, _operator) = closed().await?;
    let (old, new) = (json!({"app": "mover-old"}), json!({"app": "mover-new"}));
    let extend = |labels: &Value| {
        let selector = json!({"matchLabels": labels});
        json!({"catalogEntry": "Extend", "servers": set(&selector, 7001, &["tenant-a"])["servers"]})
    };
    lab.admin.declare(NS, "mine", &extend(&old)).await?;
    narrowed(&lab, &["mover-old"], &[]).await?;
    lab.cluster.apply(&pod("old", &old, 7001))?;
    lab.admin.declare(NS, "mine", &extend(&new)).await?;
    eventually("the new selector to be served", LIMIT, || async {
        let text = stored(&lab).await?;
        ensure!(text.contains("mover-new"), "{text}");
        Ok(())
    })
    .await?;
    lab.cluster.apply(&pod("new", &new, 7001))?;
    lab.cluster.kubectl(&["delete", "pod", "old", "-n", NS])?;
    narrowed(&lab, &["mover-new"], &["mover-old"]).await?;
    lab.assert_clean().map(drop)
}

async fn conflict() -> anyhow::Result<()> {
    let (lab, _operator) = closed().await?;
    lab.admin
        .declare(
            NS,
            "mine",
            &set(&by_name(), 9393, &["openshift-monitoring", "tenant-a"]),
        )
        .await?;
    narrowed(&lab, &["tenant-a"], &[]).await?;
    lab.admin
        .declare(NS, "second", &set(&by_name(), 9393, &["tenant-b"]))
        .await?;
    eventually("the conflict to be reported", LIMIT, || async {
        let state = lab.admin.state(NS).await?;
        ensure!(state.condition("Conflict") == "True", "{state:?}");
        Ok(())
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let text = stored(&lab).await?;
    ensure!(
        text.contains("tenant-a") && !text.contains("tenant-b"),
        "the last good set did not stay: {text}"
    );
    lab.cluster
        .kubectl(&["delete", "systemnetworkpolicy", "--all", "-n", NS])?;
    // What is left is the catalog's.
    narrowed(&lab, &["openshift-monitoring"], &["tenant-a", "tenant-b"]).await?;
    lab.assert_clean().map(drop)
}
