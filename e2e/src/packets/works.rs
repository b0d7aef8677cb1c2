//! Whether real operands do their work: certificates are issued, secrets are synchronised, and what is wrong is
//! refused by their webhooks, which the API server calls.

use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Client;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::wait::eventually;

/// Where the work is done.
const NAMESPACE: &str = "operands-at-work";
const KEY: &str = "password";
const CERT_MANAGER: &str = "cert-manager.io";
const EXTERNAL_SECRETS: &str = "external-secrets.io";
/// How long one piece of work may take.
const LIMIT: Duration = Duration::from_mins(1);
/// A call that takes longer than this may have lost a packet, which the kernel repeats after a second.
const SLOW: Duration = Duration::from_millis(900);
/// Between two calls.
const PACE: Duration = Duration::from_millis(100);

/// A place with work for operands.
pub struct Works {
    client: Client,
}

/// Calls of webhooks while something happened.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Calls {
    pub answered: u64,
    pub slow: u64,
    pub longest: Duration,
    pub failed: Vec<String>,
}

impl Works {
    /// Makes the namespace.
    pub async fn open(client: &Client) -> anyhow::Result<Self> {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}}))?;
        Api::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await?;
        Ok(Self {
            client: client.clone(),
        })
    }

    /// Removes the namespace and all that was made in it.
    pub async fn close(&self) -> anyhow::Result<()> {
        let api = Api::<Namespace>::all(self.client.clone());
        api.delete(NAMESPACE, &DeleteParams::default()).await?;
        Ok(())
    }

    /// One round of everything, under a name of its own; says how long each piece took.
    pub async fn round(&self, name: &str) -> anyhow::Result<String> {
        let (issued, synchronised) = tokio::try_join!(self.issue(name), self.synchronise(name))
            .with_context(|| format!("round {name}"))?;
        self.refuse(name).await?;
        Ok(format!(
            "{name}: certificate after {:.1} s, secret and its change after {:.1} s, two bad objects refused",
            issued.as_secs_f64(),
            synchronised.as_secs_f64()
        ))
    }

    /// A self-signed issuer and a certificate of it become ready.
    async fn issue(&self, name: &str) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.create("Issuer", name, &json!({"selfSigned": {}})).await?;
        self.ready("Issuer", name).await?;
        let spec = json!({
            "secretName": format!("{name}-tls"), "dnsNames": [format!("{name}.example.com")],
            "issuerRef": {"name": name, "kind": "Issuer"},
        });
        self.create("Certificate", name, &spec).await?;
        self.ready("Certificate", name).await?;
        let secret = self.secrets().get(&format!("{name}-tls")).await?;
        let data = secret.data.unwrap_or_default();
        ensure!(
            data.get("tls.crt")
                .is_some_and(|c| c.0.starts_with(b"-----BEGIN CERTIFICATE")),
            "the certificate is ready, and its secret holds {:?}",
            data.keys()
        );
        Ok(began.elapsed())
    }

    /// A value of a store arrives in a secret, and so does the next one.
    async fn synchronise(&self, name: &str) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.create("SecretStore", name, &store("first")).await?;
        self.ready("SecretStore", name).await?;
        let spec = json!({
            "refreshInterval": "1s",
            "secretStoreRef": {"name": name, "kind": "SecretStore"},
            "target": {"name": format!("{name}-synced")},
            "data": [{"secretKey": KEY, "remoteRef": {"key": KEY}}],
        });
        self.create("ExternalSecret", name, &spec).await?;
        self.holds(name, "first").await?;
        let patch = json!({"spec": store("second")});
        self.api("SecretStore")?
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
        self.holds(name, "second").await?;
        Ok(began.elapsed())
    }

    async fn holds(&self, name: &str, value: &str) -> anyhow::Result<()> {
        let secret = format!("{name}-synced");
        eventually(&format!("{secret} to hold the {value} value"), LIMIT, || async {
            let data = self.secrets().get(&secret).await?.data.unwrap_or_default();
            let held = data.get(KEY).map(|v| String::from_utf8_lossy(&v.0).into_owned());
            ensure!(held.as_deref() == Some(value), "it holds {held:?}");
            Ok(())
        })
        .await
    }

    /// Webhooks refuse what the definitions alone would take.
    async fn refuse(&self, name: &str) -> anyhow::Result<()> {
        let nameless = json!({"provider": {"fake": {"data": [{"key": "", "value": "x"}]}}});
        for (kind, spec, webhook) in [
            ("Issuer", json!({}), "webhook.cert-manager.io"),
            (
                "SecretStore",
                nameless,
                "validate.secretstore.external-secrets.io",
            ),
        ] {
            match self.create(kind, &format!("{name}-bad"), &spec).await {
                Ok(()) => bail!("a bad {kind} was taken"),
                Err(error) => {
                    let text = format!("{error:#}");
                    ensure!(
                        text.contains(webhook) && text.contains("denied"),
                        "a bad {kind} was not refused by its webhook: {text}"
                    );
                }
            }
        }
        Ok(())
    }

    /// Waits until both webhooks answer: they run before the API server has their certificates.
    pub async fn answered(&self, limit: Duration) -> anyhow::Result<()> {
        eventually("both webhooks to answer", limit, || async {
            for (kind, spec) in trials() {
                self.trial(kind, &spec).await?;
            }
            Ok(())
        })
        .await
    }

    /// Has the API server call both webhooks again and again, on trial, until told to stop.
    pub async fn call(&self, mut stop: watch::Receiver<bool>) -> anyhow::Result<Calls> {
        let mut calls = Calls::default();
        while !*stop.borrow() {
            for (kind, spec) in trials() {
                let began = Instant::now();
                match self.trial(kind, &spec).await {
                    Ok(()) => calls.answered += 1,
                    Err(error) => calls.failed.push(error.to_string()),
                }
                calls.longest = calls.longest.max(began.elapsed());
                calls.slow += u64::from(began.elapsed() > SLOW);
            }
            // Ends at once when it is told to.
            drop(timeout(PACE, stop.changed()).await);
        }
        Ok(calls)
    }

    /// An object is created on trial.
    async fn trial(&self, kind: &str, spec: &Value) -> anyhow::Result<()> {
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let (api, object) = (self.api(kind)?, object(kind, "trial", spec)?);
        timeout(LIMIT, api.create(&params, &object))
            .await
            .with_context(|| format!("{kind} was not answered within {LIMIT:?}"))?
            .map_err(|error| anyhow!("{kind}: {}", brief(&error)))?;
        Ok(())
    }

    async fn create(&self, kind: &str, name: &str, spec: &Value) -> anyhow::Result<()> {
        let object = object(kind, name, spec)?;
        timeout(LIMIT, self.api(kind)?.create(&PostParams::default(), &object))
            .await
            .with_context(|| format!("{kind} {name} was not answered within {LIMIT:?}"))?
            .map_err(|error| anyhow!("{kind} {name}: {}", brief(&error)))?;
        Ok(())
    }

    async fn ready(&self, kind: &str, name: &str) -> anyhow::Result<()> {
        let api = self.api(kind)?;
        eventually(&format!("{kind} {name} to be ready"), LIMIT, || async {
            let status = api.get(name).await?.data["status"].clone();
            ensure!(
                crate::operands::condition(&status, "Ready").0 == "True",
                "status is {status}"
            );
            Ok(())
        })
        .await
    }

    fn api(&self, kind: &str) -> anyhow::Result<Api<DynamicObject>> {
        Ok(Api::namespaced_with(
            self.client.clone(),
            NAMESPACE,
            &resource(kind)?,
        ))
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }
}

impl Calls {
    /// Fails if a call did, or if next to none was made.
    pub fn assert_answered(&self, minimum: u64) -> anyhow::Result<String> {
        ensure!(
            self.failed.is_empty(),
            "{} calls of webhooks failed, the first ones: {}",
            self.failed.len(),
            self.failed
                .iter()
                .take(3)
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join("; ")
        );
        ensure!(self.answered >= minimum, "only {} calls were made", self.answered);
        Ok(format!(
            "{} calls of webhooks answered, {} of them slow, the longest after {:.0} ms",
            self.answered,
            self.slow,
            self.longest.as_secs_f64() * 1_000.0
        ))
    }
}

/// Objects whose kinds have webhooks.
fn trials() -> [(&'static str, Value); 2] {
    [("Issuer", json!({"selfSigned": {}})), ("SecretStore", store("x"))]
}

/// An error without the answer that it repeats.
fn brief(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// A store of the fake provider.
fn store(value: &str) -> Value {
    json!({"provider": {"fake": {"data": [{"key": KEY, "value": value}]}}})
}

fn group(kind: &str) -> anyhow::Result<&'static str> {
    match kind {
        "Issuer" | "Certificate" => Ok(CERT_MANAGER),
        "SecretStore" | "ExternalSecret" => Ok(EXTERNAL_SECRETS),
        other => bail!("{other} is no kind of an operand"),
    }
}

fn resource(kind: &str) -> anyhow::Result<ApiResource> {
    Ok(ApiResource::from_gvk(&GroupVersionKind::gvk(
        group(kind)?,
        "v1",
        kind,
    )))
}

fn object(kind: &str, name: &str, spec: &Value) -> anyhow::Result<DynamicObject> {
    Ok(serde_json::from_value(json!({
        "apiVersion": format!("{}/v1", group(kind)?), "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec,
    }))?)
}
