//! Policies that somebody else deletes, edits or keeps.

use anyhow::ensure;
use bulkhead_e2e::admin::LIMIT;
use bulkhead_e2e::operands::{condition, message, state};
use bulkhead_e2e::wait::eventually;
use serde_json::{Value, json};

use crate::setting::{HOME, NS, lab};

pub(crate) async fn others() -> anyhow::Result<()> {
    let lab = lab().await?;
    let deny = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
    let everything =
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]});
    let _operator = lab.operator().await?;
    lab.apply_bundle("external-secrets")?;
    lab.enforced("external-secrets").await?;

    // Drift: deleted, narrowed, widened.
    let restored = async |name: &str, field: &str, value: Value| -> anyhow::Result<()> {
        eventually(&format!("{name} to be whole again"), LIMIT, || async {
            let spec = serde_json::to_value(lab.admin.policies(NS).get(name).await?.spec)?;
            ensure!(spec[field] == value, "{spec}");
            Ok(())
        })
        .await
    };
    let api = json!([{"ports": [{"port": 6443, "protocol": "TCP"}]}]);
    lab.admin.delete_policy(NS, "allow-api-server-egress").await?;
    restored("allow-api-server-egress", "egress", api.clone()).await?;
    lab.admin
        .put_policy(NS, "allow-api-server-egress", &json!({"podSelector": {"matchLabels": {"app.kubernetes.io/name": "external-secrets"}}, "policyTypes": ["Egress"], "egress": []}))
        .await?;
    restored("allow-api-server-egress", "egress", api.clone()).await?;
    lab.admin.put_policy(NS, "deny-all-traffic", &everything).await?;
    restored("deny-all-traffic", "ingress", Value::Null).await?;
    lab.enforced("external-secrets").await?;
    lab.delete_bundle("external-secrets").await?;
    lab.exactly(NS, &[]).await?;
    lab.exactly(HOME, &[]).await?;

    // Somebody keeps the deny already, and exactly as the bundle would.
    lab.admin.put_policy(NS, "deny-all-traffic", &deny).await?;
    lab.apply_bundle("external-secrets")?;
    let status = lab.enforced("external-secrets").await?;
    ensure!(state(&status, NS, "deny-all-traffic") == "ProvidedBy", "{status}");
    ensure!(condition(&status, "Conflict").0 == "False", "{status}");
    // Then it opens everything: named, and left alone.
    lab.admin.put_policy(NS, "deny-all-traffic", &everything).await?;
    let status = lab
        .bundle_says("external-secrets", "a conflict", |s| {
            condition(s, "Conflict").0 == "True"
        })
        .await?;
    let text = message(&status, "Conflict");
    ensure!(
        text.contains("somebody-else") && text.contains("also allows"),
        "{text}"
    );
    let theirs = serde_json::to_value(lab.admin.policies(NS).get("deny-all-traffic").await?.spec)?;
    ensure!(
        theirs["ingress"] == json!([{}]),
        "their object was changed: {theirs}"
    );
    // It goes: the bundle puts its own there.
    lab.admin.delete_policy(NS, "deny-all-traffic").await?;
    let status = lab.enforced("external-secrets").await?;
    ensure!(state(&status, NS, "deny-all-traffic") == "Stored", "{status}");
    lab.delete_bundle("external-secrets").await?;
    lab.exactly(NS, &[]).await?;

    // Somebody squats on an allow and opens nothing: nothing is isolated.
    lab.admin
        .put_policy(
            NS,
            "allow-api-server-egress",
            &json!({"podSelector": {"matchLabels": {"nobody": "x"}}, "policyTypes": ["Egress"]}),
        )
        .await?;
    lab.apply_bundle("external-secrets")?;
    let status = lab
        .bundle_says("external-secrets", "held", |s| {
            condition(s, "Active") == ("False", "Held")
        })
        .await?;
    ensure!(
        message(&status, "Conflict").contains("does not allow"),
        "{status}"
    );
    lab.exactly(NS, &["allow-api-server-egress"]).await?;
    lab.admin.delete_policy(NS, "allow-api-server-egress").await?;
    lab.enforced("external-secrets").await?;
    let report = lab.assert_clean()?;
    ensure!(report.foreign().next().is_some(), "nobody took anything away");
    for loss in report.foreign() {
        ensure!(loss.regained.is_some(), "never repaired: {loss}");
    }
    Ok(())
}
