//! A bundle from installing to removing.

use std::time::Duration;

use anyhow::ensure;
use bulkhead_e2e::admin::LIMIT;
use bulkhead_e2e::checker::history::{Kind, Writer};
use bulkhead_e2e::lab::Lab;
use bulkhead_e2e::operands::{CERT_MANAGER_PODS, ISTIO_PODS, ZTWIM, ZTWIM_PODS, condition, state, warns};
use bulkhead_e2e::operator::Operator;
use bulkhead_e2e::wait::eventually;
use serde_json::json;

use crate::setting::{BASE, HOME, NS, allows_before_deny, lab};

pub(crate) async fn life_cycle() -> anyhow::Result<()> {
    let lab = lab().await?;
    lab.put_pods(&CERT_MANAGER_PODS).await?;
    lab.put_pods(&ISTIO_PODS).await?;
    lab.put_pods(&ZTWIM_PODS).await?;
    let operator = lab.operator().await?;
    for bundle in ["ztwim", "cert-manager", "external-secrets"] {
        lab.apply_bundle(bundle)?;
    }
    for bundle in ["ztwim", "cert-manager", "external-secrets"] {
        lab.enforced(bundle).await?;
    }
    lab.exactly(NS, &BASE).await?;
    lab.exactly(
        "istio-system",
        &["allow-istio-csr-baseline-traffic", "deny-istio-csr-traffic"],
    )
    .await?;
    for namespace in [
        NS,
        HOME,
        "cert-manager",
        "cert-manager-operator",
        "istio-system",
        ZTWIM,
    ] {
        allows_before_deny(&lab, namespace)?;
    }
    ensure!(
        operator.metric("bulkhead_operand_active", "ztwim")? == 1.0,
        "the metric says otherwise"
    );
    let stored = operator.metric(
        "bulkhead_operand_policies",
        "bundle=\"external-secrets\",state=\"Stored\"",
    )?;
    ensure!(stored == 8.0, "{stored} policies are counted");
    lab.assert_quiet(Duration::from_secs(3)).await?;
    restart(&lab, operator).await?;
    let _operator = lab.operator().await?;

    let grpc = lab
        .bundle_says("cert-manager", "gRPC is closed", |s| warns(s, "GrpcClosed"))
        .await?;
    ensure!(!warns(&grpc, "GrpcServicePort"), "{grpc}");
    let open = |port: u16| {
        json!({"podSelector": {"matchLabels": {"app": "cert-manager-istio-csr"}},
        "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": port}]}]})
    };
    lab.admin.put_policy("istio-system", "mesh", &open(443)).await?;
    lab.bundle_says("cert-manager", "the wrong port is open", |s| {
        warns(s, "GrpcServicePort")
    })
    .await?;
    lab.admin.put_policy("istio-system", "mesh", &open(6443)).await?;
    lab.bundle_says("cert-manager", "gRPC is open", |s| {
        !warns(s, "GrpcServicePort") && !warns(s, "GrpcClosed")
    })
    .await?;

    lab.merge_bundle("external-secrets", &json!({"enforcement": "Audit"}))
        .await?;
    lab.bundle_says("external-secrets", "an audit", |s| {
        condition(s, "Active") == ("False", "Audit")
    })
    .await?;
    lab.exactly(NS, &BASE).await?;
    lab.merge_bundle(
        "external-secrets",
        &json!({"enforcement": null, "denyScope": "Component"}),
    )
    .await?;
    lab.enforced("external-secrets").await?;
    lab.admin.delete_policy("istio-system", "mesh").await?;
    hold(&lab).await?;
    for bundle in ["ztwim", "cert-manager", "external-secrets"] {
        lab.delete_bundle(bundle).await?;
    }
    for namespace in [NS, HOME, "cert-manager", "cert-manager-operator", ZTWIM] {
        lab.exactly(namespace, &[]).await?;
    }
    lab.exactly("istio-system", &[]).await?;
    let report = lab.assert_clean()?;
    ensure!(
        report.counts.forbidden > 20 && report.counts.connections > 500,
        "too little was judged: {report}"
    );
    Ok(())
}

/// An operator that finds everything as it was reported writes nothing.
async fn restart(lab: &Lab, mut operator: Operator) -> anyhow::Result<()> {
    let writes = || -> anyhow::Result<usize> {
        let history = lab.history()?;
        let about = |kind: Kind| matches!(kind, Kind::Policy | Kind::OperandNetworkPolicy);
        Ok(history
            .events
            .iter()
            .filter(|e| e.writer == Writer::Ours && about(e.id.kind))
            .count())
    };
    operator.terminate().await?;
    let before = writes()?;
    let mut again = lab.operator().await?;
    eventually("the new operator to lead", LIMIT, || async {
        ensure!(
            again.metric("bulkhead_operand_active", "ztwim")? == 1.0,
            "it does not yet"
        );
        Ok(())
    })
    .await?;
    lab.assert_quiet(Duration::from_secs(1)).await?;
    ensure!(
        writes()? == before,
        "a restart wrote {} times",
        writes()? - before
    );
    again.terminate().await
}

/// The emergency hold opens what bundles closed, and nothing is lost when it ends.
async fn hold(lab: &Lab) -> anyhow::Result<()> {
    lab.admin
        .merge_isolation(&json!({"hold": {"state": "Open", "reason": "test"}}))
        .await?;
    for bundle in ["ztwim", "cert-manager", "external-secrets"] {
        lab.bundle_says(bundle, "held open", |s| {
            condition(s, "Active") == ("False", "Hold")
        })
        .await?;
    }
    for (namespace, bundle) in [
        (NS, "external-secrets"),
        ("cert-manager", "cert-manager"),
        (ZTWIM, "ztwim"),
    ] {
        let spec = lab
            .admin
            .policies(namespace)
            .get(&format!("bulkhead-allow-all-{bundle}"))
            .await?
            .spec;
        let spec = serde_json::to_value(spec)?;
        ensure!(
            spec["ingress"] == json!([{}]) && spec["egress"] == json!([{}]),
            "{spec}"
        );
    }
    lab.admin.merge_isolation(&json!({"hold": null})).await?;
    for bundle in ["ztwim", "cert-manager", "external-secrets"] {
        lab.enforced(bundle).await?;
    }
    Ok(())
}
