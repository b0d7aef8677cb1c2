//! Namespaces change, also between the switch and a bundle.

use std::time::Duration;

use anyhow::ensure;
use bulkhead_e2e::admin::LIMIT;
use bulkhead_e2e::lab::{Lab, Shape};
use bulkhead_e2e::operands::{EXTERNAL_SECRETS_PODS, Fixture, condition};
use serde_json::json;

use crate::setting::{HOME, NS, lab};

pub(crate) async fn namespaces() -> anyhow::Result<()> {
    let lab = lab().await?;
    lab.cluster
        .apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: elsewhere}\n")?;
    let mut operator = lab.operator().await?;
    lab.apply_bundle("external-secrets")?;
    lab.enforced("external-secrets").await?;
    let elsewhere = json!({"externalSecrets": {"operatorNamespace": "elsewhere"}});
    lab.merge_bundle("external-secrets", &elsewhere).await?;
    lab.exactly(HOME, &[]).await?;
    lab.exactly("elsewhere", &["allow-operator-traffic", "deny-all-traffic"])
        .await?;
    lab.enforced("external-secrets").await?;
    // One that does not exist is waited for.
    lab.merge_bundle(
        "external-secrets",
        &json!({"externalSecrets": {"operatorNamespace": "to-come"}}),
    )
    .await?;
    lab.exactly("elsewhere", &[]).await?;
    lab.bundle_says("external-secrets", "a missing namespace", |s| {
        condition(s, "Active").1 == "NamespaceMissing"
    })
    .await?;
    lab.cluster
        .apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: to-come}\n")?;
    lab.enforced("external-secrets").await?;
    // Nobody runs: the namespace changes once more, and the bundle is deleted.
    operator.terminate().await?;
    lab.merge_bundle("external-secrets", &elsewhere).await?;
    lab.delete_bundle("external-secrets").await?;
    let mut operator = lab.operator().await?;
    for namespace in [NS, HOME, "elsewhere", "to-come"] {
        lab.exactly(namespace, &[]).await?;
    }
    // The definition goes: nothing is decided any more.
    lab.apply_bundle("external-secrets")?;
    lab.enforced("external-secrets").await?;
    let before = lab.admin.policy_names(NS).await?;
    lab.cluster.kubectl(&[
        "delete",
        "crd",
        "operandnetworkpolicies.network.operator.openshift.io",
    ])?;
    lab.assert_quiet(Duration::from_secs(3)).await?;
    ensure!(
        before == lab.admin.policy_names(NS).await?,
        "policies were touched"
    );
    operator.terminate().await?;
    lab.assert_clean().map(drop)
}

/// The operator of external-secrets lives in a system namespace, next to somebody of whom the bundle knows nothing.
pub(crate) async fn system_namespace() -> anyhow::Result<()> {
    const SYSTEM: &str = "openshift-secrets-operator";
    // Others may live there too, so the names say whose they are.
    const BUNDLED: [&str; 2] = [
        "allow-operator-traffic-external-secrets",
        "deny-all-traffic-external-secrets",
    ];
    const PODS: [Fixture; 2] = [
        (
            SYSTEM,
            "operator",
            &[("app", "external-secrets-operator")],
            &[8443],
        ),
        (SYSTEM, "stranger", &[("app", "stranger")], &[8080]),
    ];
    let shape = Shape::of("openshift-dns,openshift-monitoring,openshift-host-network");
    let lab = Lab::new(&shape).await?;
    lab.put_pods(&EXTERNAL_SECRETS_PODS[1..]).await?;
    lab.put_pods(&PODS).await?;
    let _operator = lab.operator().await?;
    lab.admin.mode("Unrestricted").await?;
    lab.admin.applied(Some("Unrestricted"), LIMIT).await?;
    let open = lab.admin.policy_names(SYSTEM).await?;
    ensure!(open == ["bulkhead-allow-all"], "{open:?}");
    lab.apply_bundle("external-secrets")?;
    lab.merge_bundle(
        "external-secrets",
        &json!({"externalSecrets": {"operatorNamespace": SYSTEM}}),
    )
    .await?;
    lab.enforced("external-secrets").await?;
    lab.exactly(SYSTEM, &BUNDLED).await?;
    let deny = lab.admin.policies(SYSTEM).get(BUNDLED[1]).await?;
    let selected = serde_json::to_value(deny.spec)?["podSelector"].to_string();
    ensure!(
        selected.contains("external-secrets-operator"),
        "the deny of a system namespace selects more than known components: {selected}"
    );
    // The switch has no say in it any more, and still moves the others.
    lab.admin.mode("Restricted").await?;
    lab.admin.applied(Some("Restricted"), LIMIT).await?;
    lab.exactly(SYSTEM, &BUNDLED).await?;
    lab.delete_bundle("external-secrets").await?;
    // Nobody declared a set for it, so it is open.
    lab.exactly(SYSTEM, &["bulkhead-allow-all"]).await?;
    lab.assert_quiet(Duration::from_secs(2)).await?;
    lab.assert_clean().map(drop)
}
