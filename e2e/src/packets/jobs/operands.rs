//! Real operands, and stand-ins for those that cannot be built, before, under and after their bundles.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};
use bulkhead_api::OperandNetworkPolicy;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use tokio::sync::watch;

use super::transitions::{Sums, watched};
use super::{Run, set_cast};
use crate::operands::{ZTWIM, condition};
use crate::packets::bundles::BundleTruth;
use crate::packets::cast::{self, MARK};
use crate::packets::exec::fill_by;
use crate::packets::ground::Ground;
use crate::packets::stage::Stage;
use crate::packets::truth::{Attempt, Expect, attempts};
use crate::packets::works::Works;
use crate::wait::eventually;

/// Namespaces of real operands.
const REAL: [&str; 2] = ["cert-manager", "external-secrets"];
/// Namespaces in which bundles keep policies.
const BUNDLED: [&str; 6] = [
    REAL[0],
    REAL[1],
    "cert-manager-operator",
    "external-secrets-operator",
    "istio-system",
    ZTWIM,
];
/// The ready objects.
const BUNDLES: [(&str, &str); 3] = [
    (
        "cert-manager",
        include_str!("../../../../manifests/operands/cert-manager.yaml"),
    ),
    (
        "external-secrets",
        include_str!("../../../../manifests/operands/external-secrets.yaml"),
    ),
    ("ztwim", include_str!("../../../../manifests/operands/ztwim.yaml")),
];
/// Fewer calls of webhooks than this during a transition prove nothing.
const LEAST_CALLS: u64 = 20;

/// Waits for the real operands and puts the stand-ins beside them.
pub async fn set_stage(ground: &Ground) -> anyhow::Result<Stage> {
    for namespace in REAL {
        let what = format!("the operands in {namespace} to run (hack/packets operands installs them)");
        eventually(&what, ground.setting.limit, || available(ground, namespace)).await?;
    }
    let stage = set_cast(ground, &cast::operands(&ground.rules.facts)?).await?;
    let real = |namespace: &str| REAL.contains(&namespace);
    let played = stage
        .roles
        .iter()
        .find(|r| real(&r.member.namespace) && !r.member.existing);
    if let Some(played) = played {
        let id = played.id();
        stage.clear().await?;
        bail!("{id} is no real operand: it must run on the first node");
    }
    let (real, others): (Vec<_>, Vec<_>) = stage.roles.iter().partition(|r| real(&r.member.namespace));
    let stand_ins = others
        .iter()
        .filter(|r| BUNDLED.contains(&r.member.namespace.as_str()));
    println!(
        "{} pods of real operands; {} pods stand in for SPIRE, istio-csr and operators; {} others",
        real.len(),
        stand_ins.clone().count(),
        others.len() - stand_ins.count()
    );
    Ok(stage)
}

async fn available(ground: &Ground, namespace: &str) -> anyhow::Result<()> {
    let api = Api::<Deployment>::namespaced(ground.client().clone(), namespace);
    let all = api.list(&ListParams::default()).await?.items;
    ensure!(all.len() == 3, "there are {} Deployments", all.len());
    for deployment in all {
        let ready = deployment
            .status
            .and_then(|s| s.available_replicas)
            .unwrap_or_default();
        ensure!(
            ready > 0,
            "{} is not available",
            deployment.metadata.name.unwrap_or_default()
        );
    }
    Ok(())
}

/// The job.
pub async fn run(run: &mut Run, ground: &Ground, stage: &Stage) -> anyhow::Result<()> {
    let works = Works::open(ground.client()).await?;
    works.answered(ground.setting.limit).await?;
    let first = containers(ground).await?;
    let mut sums = Sums::default();
    run.case("operands work before any bundle", works.round("before"))
        .await;
    run.case("truth table: before any bundle", judge(ground, stage, false))
        .await;
    let enter = enter(ground);
    let body = transition(ground, stage, &works, &mut sums, "entering", enter);
    run.case("operands work while their bundles go in", body).await;
    run.case("operands work under their bundles", works.round("under"))
        .await;
    run.case("truth table: under the bundles", judge(ground, stage, true))
        .await;
    let leave = leave(ground);
    let body = transition(ground, stage, &works, &mut sums, "leaving", leave);
    run.case("operands work while their bundles go", body).await;
    run.case("operands work after their bundles", works.round("after"))
        .await;
    run.case("truth table: after the bundles", judge(ground, stage, false))
        .await;
    run.case(
        "no container of an operand was restarted",
        restarts(ground, &first),
    )
    .await;
    println!("{sums}");
    works.close().await
}

/// Fills the table and fails on every disagreement.
async fn judge(ground: &Ground, stage: &Stage, in_force: bool) -> anyhow::Result<String> {
    let truth = BundleTruth::new(&ground.rules.operands, in_force);
    let title = if in_force {
        "under bundles"
    } else {
        "without bundles"
    };
    tokio::time::sleep(ground.setting.settle).await;
    let table = fill_by(stage, |attempt| truth.of(attempt), title, &ground.setting.dialect).await?;
    let count = |expect| table.cells.iter().filter(|c| c.expected.expect == expect).count();
    ensure!(
        count(Expect::Must) > 200,
        "next to nothing was required: {}",
        table.summary()
    );
    if in_force {
        ensure!(
            count(Expect::MustNot) > 200,
            "next to nothing was forbidden: {}",
            table.summary()
        );
    }
    let kept_out = table
        .cells
        .iter()
        .filter(|c| !c.kernel.open() && REAL.contains(&c.attempt.server.member.namespace.as_str()));
    let told = format!(
        "{}\n{} connections to ports of real operands were closed",
        table.summary(),
        kept_out.count()
    );
    let wrong = table.disagreements();
    if !wrong.is_empty() {
        bail!("{told}\n{wrong}");
    }
    Ok(told)
}

/// Everything at once while bundles come or go: probes of what is required with and without them, calls of webhooks,
/// and rounds of work.
async fn transition(
    ground: &Ground,
    stage: &Stage,
    works: &Works,
    sums: &mut Sums,
    name: &str,
    change: impl Future<Output = anyhow::Result<String>>,
) -> anyhow::Result<String> {
    let required = required(ground, stage);
    let mut told = String::new();
    let body = async {
        let (stop, stopped) = watch::channel(false);
        let changing = async {
            let outcome = change.await;
            tokio::time::sleep(ground.setting.settle).await;
            stop.send(true).context("nobody calls")?;
            outcome
        };
        let rounds = rounds(works, name, stopped.clone());
        let (changed, calls, rounds) = tokio::join!(changing, works.call(stopped), rounds);
        told = format!(
            "{}\n{}\n{}",
            changed?,
            calls?.assert_answered(LEAST_CALLS)?,
            rounds?
        );
        Ok(())
    };
    let probes = watched(ground, stage, &required, sums, 1, body).await?;
    Ok(format!("{told}\n{probes}"))
}

/// Round after round until told to stop; the first one is always made.
async fn rounds(works: &Works, name: &str, stopped: watch::Receiver<bool>) -> anyhow::Result<String> {
    let mut told = Vec::new();
    while told.is_empty() || !*stopped.borrow() {
        told.push(works.round(&format!("{name}-{}", told.len() + 1)).await?);
    }
    Ok(told.join("\n"))
}

/// One flow to each port from each node, required with and without bundles. Clients whose egress a bundle isolates
/// come first, because both sides of theirs can fail.
fn required<'a>(ground: &Ground, stage: &'a Stage) -> Vec<Attempt<'a>> {
    let truth = BundleTruth::new(&ground.rules.operands, true);
    let bundled = |role: &cast::Role| BUNDLED.contains(&role.member.namespace.as_str());
    let mut seen = BTreeSet::new();
    let mut chosen = attempts(&stage.roles);
    chosen.sort_by_key(|a| !bundled(a.client));
    chosen.retain(|attempt| {
        let Attempt { client, server, port } = *attempt;
        (bundled(client) || bundled(server))
            && !(client.member.host_network && client.node == server.node)
            && truth.of(*attempt).expect == Expect::Must
            && seen.insert((server.id(), port, client.node))
    });
    chosen
}

/// Applies the ready objects and waits until each is enforced. The cluster's DNS is that of OpenShift, which a
/// cluster that is none does not tell.
async fn enter(ground: &Ground) -> anyhow::Result<String> {
    let api = Api::<OperandNetworkPolicy>::all(ground.client().clone());
    let params = PatchParams::apply("bulkhead-e2e").force();
    for (name, text) in BUNDLES {
        let mut bundle: serde_json::Value = bulkhead_api::yaml::from_str(text)?;
        bundle["spec"]["dns"] = json!({"profile": "OpenShift"});
        api.patch(name, &params, &Patch::Apply(&bundle)).await?;
    }
    for (name, _) in BUNDLES {
        eventually(
            &format!("bundle {name} to be enforced"),
            ground.setting.limit,
            || async {
                let bundle = serde_json::to_value(api.get(name).await?)?;
                ensure!(
                    bundle["status"]["observedGeneration"] == bundle["metadata"]["generation"]
                        && condition(&bundle["status"], "Active") == ("True", "Enforced"),
                    "status is {}",
                    bundle["status"]
                );
                Ok(())
            },
        )
        .await?;
    }
    let mut stored = 0;
    for namespace in BUNDLED {
        stored += ground.admin.policy_names(namespace).await?.len();
    }
    Ok(format!(
        "3 bundles say that they are enforced, with {stored} policies"
    ))
}

/// Deletes the bundles and waits until nothing is left of them.
async fn leave(ground: &Ground) -> anyhow::Result<String> {
    let api = Api::<OperandNetworkPolicy>::all(ground.client().clone());
    for (name, _) in BUNDLES {
        api.delete(name, &DeleteParams::default()).await?;
    }
    for namespace in BUNDLED {
        eventually(
            &format!("{namespace} to have no policy"),
            ground.setting.limit,
            || async {
                let left = ground.admin.policy_names(namespace).await?;
                ensure!(left.is_empty(), "it has {left:?}");
                Ok(())
            },
        )
        .await?;
    }
    Ok("no policy is left".to_owned())
}

/// Restarts of each container of real operands, by pod and uid.
async fn containers(ground: &Ground) -> anyhow::Result<BTreeMap<String, i32>> {
    let mut found = BTreeMap::new();
    for namespace in REAL {
        let api = Api::<Pod>::namespaced(ground.client().clone(), namespace);
        for pod in api
            .list(&ListParams::default().labels(&format!("!{MARK}")))
            .await?
        {
            let (name, uid) = (
                pod.metadata.name.unwrap_or_default(),
                pod.metadata.uid.unwrap_or_default(),
            );
            let statuses = pod.status.and_then(|s| s.container_statuses).unwrap_or_default();
            for status in statuses {
                found.insert(format!("{namespace}/{name} {uid}"), status.restart_count);
            }
        }
    }
    Ok(found)
}

async fn restarts(ground: &Ground, first: &BTreeMap<String, i32>) -> anyhow::Result<String> {
    let now = containers(ground).await?;
    ensure!(
        now.keys().eq(first.keys()) && now.len() == 6,
        "other pods than at the beginning: {now:?}, before {first:?}"
    );
    let told: Vec<String> = now
        .iter()
        .map(|(pod, count)| {
            let name = pod.split(' ').next().unwrap_or_default();
            format!("{name}: {count} restarts")
        })
        .collect();
    ensure!(now.values().all(|count| *count == 0), "{}", told.join("\n"));
    Ok(told.join("\n"))
}
