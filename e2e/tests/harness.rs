//! The harness itself against a real control plane, without the operator.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bulkhead_e2e::checker::history::{Kind, Writer};
use bulkhead_e2e::checker::{Rules, check};
use bulkhead_e2e::cluster::Cluster;
use bulkhead_e2e::suite::Suite;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

fn main() -> ExitCode {
    Suite::default()
        .scenario("every stored revision is recorded with its writer", writers)
        .scenario(
            "the facts hold on a populated cluster that nobody touches",
            untouched,
        )
        .run()
}

async fn writers() -> anyhow::Result<()> {
    let cluster = Cluster::start()?;
    let recorder = cluster.record()?;
    cluster.kubectl(&["create", "namespace", "openshift-x"])?;
    let client = cluster.client().await?;
    let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), "openshift-x");
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "bulkhead-allow-all"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]},
    });
    let ours = PatchParams::apply("bulkhead").force();
    policies
        .patch("bulkhead-allow-all", &ours, &Patch::Apply(&policy))
        .await?;
    let edit = json!({"spec": {"ingress": [{"ports": [{"port": 80}]}]}});
    policies
        .patch(
            "bulkhead-allow-all",
            &PatchParams::default(),
            &Patch::Merge(&edit),
        )
        .await?;
    policies
        .delete("bulkhead-allow-all", &DeleteParams::default())
        .await?;
    let namespaces: Api<Namespace> = Api::all(client);
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    namespaces
        .patch("openshift-x", &PatchParams::default(), &Patch::Merge(&label))
        .await?;

    let history = cluster.history(&recorder)?;
    let of_policy: Vec<(&Writer, bool, bool)> = history
        .events
        .iter()
        .filter(|e| e.id.kind == Kind::Policy)
        .map(|e| (&e.writer, e.owned, e.content.is_gone()))
        .collect();
    let other = Writer::Other("bulkhead-e2e".to_owned());
    ensure!(
        of_policy
            == [
                (&Writer::Ours, true, false),
                (&other, true, false),
                (&other, true, true)
            ],
        "{of_policy:?}"
    );
    let named = history
        .events
        .iter()
        .filter(|e| &*e.id.name == "openshift-x")
        .count();
    ensure!(named >= 2, "{named} revisions of the namespace");
    let ordered = history
        .events
        .windows(2)
        .all(|pair| pair[0].revision < pair[1].revision);
    ensure!(ordered, "revisions out of order");
    Ok(())
}

async fn untouched() -> anyhow::Result<()> {
    let cluster = Cluster::start()?;
    cluster.populate(&["--upstream-policies", "5.0"])?;
    let recorder = cluster.record()?;
    cluster.kubectl(&["label", "namespace", "openshift-dns", "seen=yes"])?;
    let history = cluster.history(&recorder)?;
    let rules = Rules::load(Duration::from_secs(2))?;
    let report = check(&rules, &history);
    println!("  {report}");
    report.assert_clean()?;
    let first = history.base.first().context("nothing was there")?;
    ensure!(first.revision > 0 && report.counts.namespaces > 100, "{report}");
    Ok(())
}
