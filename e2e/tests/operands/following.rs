//! Bundles follow what they are for: its own objects, and kinds that come and go.

use std::time::Duration;

use anyhow::ensure;
use bulkhead_e2e::admin::LIMIT;
use bulkhead_e2e::lab::{Lab, Shape};
use bulkhead_e2e::operands::{BITWARDEN_POD, ZTWIM, ZTWIM_PODS, condition, warns};
use bulkhead_e2e::wait::eventually;
use serde_json::json;

use crate::setting::{BASE, NS, config, entry, lab};

pub(crate) async fn components() -> anyhow::Result<()> {
    let lab = lab().await?;
    lab.operand_kinds("external-secrets").await?;
    let secret = "hunter2-in-a-proxy";
    let bitwarden = |mode: &str| json!({"bitwardenSecretManagerProvider": {"mode": mode}});
    config(
        &lab,
        json!({"controllerConfig": {"networkPolicies": [entry("to-vault", "CoreController", 8200)]}}),
    )
    .await?;
    let operator = lab.operator().await?;
    lab.apply_bundle("external-secrets")?;
    let status = lab.enforced("external-secrets").await?;
    lab.exactly(NS, &[&BASE[..], &["to-vault"]].concat()).await?;
    ensure!(!warns(&status, "NoProviderEgress"), "{status}");
    let canonical = status["policies"].as_array().into_iter().flatten();
    ensure!(
        canonical
            .into_iter()
            .any(|p| p["name"] == "to-vault" && p["component"] == "ExternalSecretsCoreController"),
        "the canonical name is missing: {status}"
    );

    // Bitwarden comes, the cert-controller goes, an entry is renamed, another one has a reserved name.
    lab.put_pods(&[BITWARDEN_POD]).await?;
    let entries = [
        entry("to-vault-2", "ExternalSecretsCoreController", 8200),
        entry("deny-all-traffic", "CoreController", 1),
    ];
    config(&lab, json!({
        "plugins": bitwarden("Enabled"),
        "controllerConfig": {"networkPolicies": entries, "certProvider": {"certManager": {"mode": "Enabled"}}},
        "appConfig": {"proxy": {"httpsProxy": format!("http://user:{secret}@proxy:3128")}},
    }))
    .await?;
    let after = [
        "allow-api-server-egress",
        "allow-api-server-egress-for-bitwarden-sever",
        "allow-api-server-egress-for-webhook",
        "allow-controller-bitwarden-egress",
        "allow-metrics-ingress",
        "allow-proxy-egress",
        "allow-to-dns",
        "deny-all-traffic",
        "to-vault-2",
    ];
    lab.exactly(NS, &after).await?;
    let status = lab.enforced("external-secrets").await?;
    for warning in ["LeftOver", "InvalidEntry", "NoBitwardenEgress"] {
        ensure!(warns(&status, warning), "{warning} is missing: {status}");
    }
    // Back again: the Bitwarden server keeps running and is isolated.
    config(&lab, json!({"plugins": bitwarden("Disabled")})).await?;
    lab.exactly(NS, &BASE).await?;
    let status = lab
        .bundle_says("external-secrets", "a left-over", |s| warns(s, "LeftOver"))
        .await?;
    ensure!(warns(&status, "NoProviderEgress"), "{status}");
    lab.enforced("external-secrets").await?;
    lab.assert_quiet(Duration::from_secs(2)).await?;
    let log = operator.log();
    ensure!(!log.contains(secret), "a password was logged");
    let status = serde_json::to_value(lab.bundles().get("external-secrets").await?)?.to_string();
    ensure!(!status.contains(secret), "a password is in the status");
    lab.assert_clean().map(drop)
}

pub(crate) async fn late_kinds() -> anyhow::Result<()> {
    let lab = Lab::new(&Shape::of("openshift-dns,openshift-monitoring")).await?;
    for namespace in [ZTWIM, "cert-manager", "cert-manager-operator", "istio-system"] {
        lab.cluster.apply(&format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n"
        ))?;
    }
    let operator = lab.operator().await?;
    for bundle in ["ztwim", "cert-manager"] {
        lab.apply_bundle(bundle)?;
        lab.bundle_says(bundle, "inactive", |s| {
            condition(s, "Active") == ("False", "OperandNotFound")
        })
        .await?;
    }
    lab.exactly(ZTWIM, &[]).await?;
    lab.operand_kinds("ztwim").await?;
    lab.operand_kinds("cert-manager").await?;
    lab.put_operand(
        "ZeroTrustWorkloadIdentityManager",
        "",
        "cluster",
        &json!({"trustDomain": "example.org"}),
    )
    .await?;
    lab.put_pods(&ZTWIM_PODS).await?;
    lab.enforced("ztwim").await?;
    let password = "s3cr3t-of-the-database";
    lab.put_operand("SpireServer", "", "cluster", &json!({
        "datastore": {"databaseType": "postgres", "connectionString": format!("postgresql://spire:{password}@db:6432/spire")},
        "federation": {"federatesWith": [{"bundleEndpointUrl": "https://other.example.org:9999"}]},
    }))
    .await?;
    let egress = async |name: &str, port: u16| -> anyhow::Result<()> {
        eventually(&format!("{name} to open {port}"), LIMIT, || async {
            let spec = serde_json::to_value(lab.admin.policies(ZTWIM).get(name).await?.spec)?;
            ensure!(spec["egress"].to_string().contains(&format!(":{port}")), "{spec}");
            Ok(())
        })
        .await
    };
    egress("allow-spire-server-datastore-egress", 6432).await?;
    egress("allow-spire-server-federation", 9999).await?;
    lab.put_operand(
        "ClusterFederatedTrustDomain",
        "",
        "third",
        &json!({"bundleEndpointURL": "https://third:7777"}),
    )
    .await?;
    egress("allow-spire-server-federation", 7777).await?;
    lab.put_operand("CertManager", "", "cluster", &json!({})).await?;
    lab.put_operand(
        "IstioCSR",
        "istio-system",
        "default",
        &json!({"istioCSRConfig": {"server": {"port": 443}}}),
    )
    .await?;
    lab.enforced("cert-manager").await?;
    lab.exactly(
        "istio-system",
        &["allow-istio-csr-baseline-traffic", "deny-istio-csr-traffic"],
    )
    .await?;
    lab.delete_operand("IstioCSR", "istio-system", "default").await?;
    lab.exactly("istio-system", &[]).await?;
    lab.delete_operand("CertManager", "", "cluster").await?;
    lab.bundle_says("cert-manager", "inactive again", |s| {
        condition(s, "Active") == ("False", "OperandNotFound")
    })
    .await?;
    lab.exactly("cert-manager", &[]).await?;
    // The kinds go, and their objects with them; while pods run, they are found.
    lab.delete_pods(&ZTWIM_PODS).await?;
    lab.remove_operand_kinds("ztwim").await?;
    lab.bundle_says("ztwim", "inactive again", |s| {
        condition(s, "Active") == ("False", "OperandNotFound")
    })
    .await?;
    lab.exactly(ZTWIM, &[]).await?;
    ensure!(!operator.log().contains(password), "a password was logged");
    lab.assert_quiet(Duration::from_secs(2)).await?;
    lab.assert_clean().map(drop)
}
