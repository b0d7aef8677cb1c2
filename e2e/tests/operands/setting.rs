//! What the scenarios share.

use anyhow::ensure;
use bulkhead_e2e::checker::history::{Content, Kind};
use bulkhead_e2e::lab::{Lab, Shape};
use bulkhead_e2e::operands::EXTERNAL_SECRETS_PODS;
use serde_json::{Value, json};

pub(crate) const NS: &str = "external-secrets";
pub(crate) const HOME: &str = "external-secrets-operator";

/// A cluster with external-secrets in it.
pub(crate) async fn lab() -> anyhow::Result<Lab> {
    let lab = Lab::new(&Shape::of("openshift-dns,openshift-monitoring")).await?;
    lab.put_pods(&EXTERNAL_SECRETS_PODS).await?;
    Ok(lab)
}

/// What a namespace of external-secrets holds besides conditional policies.
pub(crate) const BASE: [&str; 6] = [
    "allow-api-server-egress",
    "allow-api-server-egress-for-cert-controller",
    "allow-api-server-egress-for-webhook",
    "allow-metrics-ingress",
    "allow-to-dns",
    "deny-all-traffic",
];

pub(crate) async fn config(lab: &Lab, spec: Value) -> anyhow::Result<()> {
    lab.put_operand("ExternalSecretsConfig", "", "cluster", &spec)
        .await
}

pub(crate) fn entry(name: &str, component: &str, port: u16) -> Value {
    json!({"name": name, "componentName": component, "egress": [{"ports": [{"port": port}]}]})
}

/// Every allow of a namespace is stored before the deny that goes in after it.
pub(crate) fn allows_before_deny(lab: &Lab, namespace: &str) -> anyhow::Result<()> {
    let history = lab.history()?;
    let mut stored: Vec<&str> = Vec::new();
    for event in history
        .events
        .iter()
        .filter(|e| e.id.kind == Kind::Policy && *e.id.namespace == *namespace)
    {
        let name = &*event.id.name;
        match &event.content {
            Content::Policy(Some(_)) if name.starts_with("deny-") => {
                ensure!(
                    stored.iter().any(|n| n.starts_with("allow-")),
                    "{name} came before any allow"
                );
                return Ok(());
            }
            _ => stored.push(name),
        }
    }
    anyhow::bail!("no deny was stored in {namespace}")
}
