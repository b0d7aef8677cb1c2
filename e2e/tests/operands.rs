//! Operand bundles: they come, follow their operands, conflict with others, and go.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bulkhead_e2e::admin::LIMIT;
use bulkhead_e2e::checker::history::{Content, Kind, Writer};
use bulkhead_e2e::lab::{Lab, Shape};
use bulkhead_e2e::operands::{
    BITWARDEN_POD, CERT_MANAGER_PODS, EXTERNAL_SECRETS_PODS, Fixture, ISTIO_PODS, ZTWIM, ZTWIM_PODS,
    condition, message, state, warns,
};
use bulkhead_e2e::operator::{Operator, Options};
use bulkhead_e2e::suite::Suite;
use bulkhead_e2e::wait::eventually;
use serde_json::{Value, json};

const NS: &str = "external-secrets";
const HOME: &str = "external-secrets-operator";
const KILLED: i32 = 137;
const SETTLE: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_millis(600);

fn main() -> ExitCode {
    Suite::default()
        .scenario("all bundles are installed, edited and removed", life_cycle)
        .scenario(
            "components and entries follow the operand's own object",
            components,
        )
        .scenario("policies that others delete, edit or keep", others)
        .scenario(
            "operands and their kinds arrive and leave while the operator runs",
            late_kinds,
        )
        .scenario(
            "namespaces change, and a bundle is deleted while nobody runs",
            namespaces,
        )
        .scenario(
            "the switch hands a namespace to a bundle and takes it back",
            system_namespace,
        )
        .scenario(
            "a crash at any write of installing and removing loses nothing",
            crashes,
        )
        .scenario("five crashes at random writes lose nothing", || random(5))
        .long("fifty crashes at random writes lose nothing", || random(50))
        .run()
}

/// A cluster with external-secrets in it.
async fn lab() -> anyhow::Result<Lab> {
    let lab = Lab::new(&Shape::of("openshift-dns,openshift-monitoring")).await?;
    lab.put_pods(&EXTERNAL_SECRETS_PODS).await?;
    Ok(lab)
}

/// What a namespace of external-secrets holds besides conditional policies.
const BASE: [&str; 6] = [
    "allow-api-server-egress",
    "allow-api-server-egress-for-cert-controller",
    "allow-api-server-egress-for-webhook",
    "allow-metrics-ingress",
    "allow-to-dns",
    "deny-all-traffic",
];

async fn config(lab: &Lab, spec: Value) -> anyhow::Result<()> {
    lab.put_operand("ExternalSecretsConfig", "", "cluster", &spec)
        .await
}

fn entry(name: &str, component: &str, port: u16) -> Value {
    json!({"name": name, "componentName": component, "egress": [{"ports": [{"port": port}]}]})
}

/// Every allow of a namespace is stored before the deny that goes in after it.
fn allows_before_deny(lab: &Lab, namespace: &str) -> anyhow::Result<()> {
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

async fn life_cycle() -> anyhow::Result<()> {
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

async fn components() -> anyhow::Result<()> {
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

async fn others() -> anyhow::Result<()> {
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

async fn late_kinds() -> anyhow::Result<()> {
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

async fn namespaces() -> anyhow::Result<()> {
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
async fn system_namespace() -> anyhow::Result<()> {
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

fn plain() -> Options {
    Options::default().settle(SETTLE).short_lease()
}

/// One that finishes what another began. Its lease is not short: on a busy machine it would be lost again and
/// again, and every clock with it.
fn healthy() -> Options {
    Options::default().settle(SETTLE)
}

/// Runs an operator that ends at a write until it has ended or the work is done.
async fn crashed<D: AsyncFn() -> anyhow::Result<()>>(
    lab: &Lab,
    fault: &str,
    done: D,
) -> anyhow::Result<bool> {
    let mut operator: Operator = lab.start(&plain().fault(fault))?;
    tokio::select! {
        ended = operator.ended(3 * LIMIT) => {
            let code = ended?;
            ensure!(code == Some(KILLED), "the operator ended with {code:?}:\n{}", operator.log());
            return Ok(true);
        }
        outcome = done() => outcome.with_context(|| format!("with {fault}"))?,
    }
    Ok(operator.stop().await? == Some(KILLED))
}

async fn present(lab: &Lab) -> anyhow::Result<()> {
    lab.enforced("external-secrets").await.map(drop)
}

async fn absent(lab: &Lab) -> anyhow::Result<()> {
    lab.exactly(NS, &[]).await?;
    lab.exactly(HOME, &[]).await
}

/// Every fifth write, so that the default part stays short; where it begins changes with the fault.
async fn crashes() -> anyhow::Result<()> {
    let mut lab = lab().await?;
    lab.rules.window = WINDOW;
    let mut count = 0;
    for (fault, first) in [("kill-before", 2), ("kill-after", 3)] {
        for write in (first..).step_by(5) {
            lab.apply_bundle("external-secrets")?;
            let fell = crashed(&lab, &format!("{fault}:{write}"), async || present(&lab).await).await?;
            let mut second = lab.operator_with(&healthy()).await?;
            present(&lab)
                .await
                .with_context(|| format!("installing after {fault}:{write}"))?;
            second.terminate().await?;
            lab.delete_bundle("external-secrets").await?;
            let fell_again = crashed(&lab, &format!("{fault}:{write}"), async || absent(&lab).await).await?;
            let mut second = lab.operator_with(&healthy()).await?;
            absent(&lab)
                .await
                .with_context(|| format!("removing after {fault}:{write}"))?;
            second.terminate().await?;
            count += usize::from(fell) + usize::from(fell_again);
            if !fell && !fell_again {
                break;
            }
        }
    }
    println!("  {count} crashes");
    ensure!(count >= 8, "only {count} crashes");
    lab.assert_clean().map(drop)
}

async fn random(rounds: u64) -> anyhow::Result<()> {
    let mut lab = lab().await?;
    lab.rules.window = WINDOW;
    lab.operand_kinds("external-secrets").await?;
    let seed = std::env::var("BULKHEAD_SEED").ok().and_then(|s| s.parse().ok());
    let mut seed: u64 = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("  seed {seed}");
    let mut next = |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut crashes = 0;
    for _ in 0..rounds {
        lab.apply_bundle("external-secrets")?;
        let mode = if next(2) == 0 { "Enabled" } else { "Disabled" };
        let entries: Vec<Value> = (0..next(3))
            .map(|n| entry(&format!("entry-{n}"), "CoreController", 8200))
            .collect();
        config(
            &lab,
            json!({"plugins": {"bitwardenSecretManagerProvider": {"mode": mode}},
            "controllerConfig": {"networkPolicies": entries}}),
        )
        .await?;
        let fault = format!(
            "kill-{}:{}",
            if next(2) == 0 { "before" } else { "after" },
            1 + next(14)
        );
        crashes += usize::from(crashed(&lab, &fault, async || present(&lab).await).await?);
        if next(3) == 0 {
            lab.delete_bundle("external-secrets").await?;
            crashes += usize::from(crashed(&lab, &fault, async || absent(&lab).await).await?);
        }
    }
    lab.apply_bundle("external-secrets")?;
    let _operator = lab.operator_with(&healthy()).await?;
    present(&lab).await?;
    println!("  {crashes} crashes");
    ensure!(crashes > 0, "nothing crashed");
    let history = lab.history()?;
    let ours = history
        .events
        .iter()
        .filter(|e| e.writer == Writer::Ours && e.id.kind == Kind::Policy);
    ensure!(ours.count() > 10, "hardly anything was written");
    lab.assert_clean().map(drop)
}
