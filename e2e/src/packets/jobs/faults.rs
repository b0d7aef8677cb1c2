//! Transitions while something breaks: the plugin's agent, a kubelet, the API server; pods that come at any moment
//! and pods that never get ready.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bulkhead_probe::TIMEOUT_MS;
use bulkhead_probe::message::{Protocol, Request, Speech, Target};
use bulkhead_probe::pod::{self, Wish};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};

use super::transitions::{EARLY, Sums, watched};
use super::{Run, Skip};
use crate::packets::cast::{MARK, Role};
use crate::packets::flows::required;
use crate::packets::ground::Ground;
use crate::packets::jobs::tables;
use crate::packets::stage::{self, Stage};
use crate::packets::truth::{Attempt, Mode, Modes};
use crate::wait::eventually;

const CLOSED: Mode = Mode::Restricted { egress: false };
/// Where pods come and go during a transition.
const BUSY: &str = "openshift-dns-operator";
const BUSY_PORT: u16 = 9393;
/// How many pods come during one transition, and how far apart.
const LATE: usize = 12;
const LATE_GAP: Duration = Duration::from_millis(400);

/// Everything that may break.
pub async fn run(run: &mut Run, ground: &Ground, stage: &Stage) -> anyhow::Result<()> {
    let attempts = required(&ground.rules, &stage.roles, ground.fallback());
    let nodes = stage::nodes(ground.client()).await?;
    let mut sums = Sums::default();
    for (title, fault) in [
        ("the plugin's agent is restarted", Fault::Part("agent")),
        ("a kubelet is restarted", Fault::Part("kubelet")),
        ("the API server crashes", Fault::ApiServer),
    ] {
        let body = broken(ground, stage, &attempts, &mut sums, &nodes, fault);
        run.case(&format!("probes while {title} in the middle of closing"), body)
            .await;
    }
    let body = pods_come(ground, stage, &attempts, &mut sums, &nodes);
    run.case(
        "pods that come between any two writes are served at once and protected",
        body,
    )
    .await;
    run.case(
        "pods that never get ready hold nothing up",
        never_ready(ground, &nodes),
    )
    .await;
    println!("{sums}");
    Ok(())
}

#[derive(Clone, Copy)]
enum Fault {
    /// A part of each node.
    Part(&'static str),
    /// kube-apiserver.
    ApiServer,
}

async fn broken(
    ground: &Ground,
    stage: &Stage,
    attempts: &[Attempt<'_>],
    sums: &mut Sums,
    nodes: &[String],
    fault: Fault,
) -> anyhow::Result<String> {
    if ground.setting.devcluster.is_none() {
        return Err(Skip(
            "only parts of a devcluster are ended; name its folder with --devcluster".to_owned(),
        )
        .into());
    }
    ground.switch(Mode::Unrestricted).await?;
    let transition = async {
        ground.order(CLOSED).await?;
        ground.first_is_closed(&EARLY).await?;
        match fault {
            Fault::Part(part) => {
                for node in nodes {
                    ground.restart_part(node, part, &["--force"])?;
                }
            }
            Fault::ApiServer => ground.restart_apiserver(&["--force", "--pause", "3s"])?,
        }
        ground.followed(CLOSED).await?;
        ground.switch(Mode::Unrestricted).await.map(drop)
    };
    let told = watched(ground, stage, attempts, sums, 2, transition).await?;
    ground.switch(CLOSED).await?;
    let table = tables::judge(ground, stage, &Modes::all(CLOSED), "after the fault").await?;
    ground.switch(Mode::Unrestricted).await?;
    Ok(format!("{told}\n{table}"))
}

/// A pod every few hundred milliseconds while the namespace closes; each must serve its client as soon as it runs.
async fn pods_come(
    ground: &Ground,
    stage: &Stage,
    attempts: &[Attempt<'_>],
    sums: &mut Sums,
    nodes: &[String],
) -> anyhow::Result<String> {
    ground.switch(Mode::Unrestricted).await?;
    let mut late = BTreeMap::new();
    let transition = async {
        ground.order(CLOSED).await?;
        for number in 0..LATE {
            let name = format!("late-{number}");
            let node = nodes.get(number % nodes.len()).context("no node")?;
            create(ground, stage, &name, node, &ground.setting.image).await?;
            late.insert(name, node.clone());
            tokio::time::sleep(LATE_GAP).await;
        }
        for name in late.keys() {
            served(stage, name).await?;
        }
        ground.followed(CLOSED).await
    };
    let told = watched(ground, stage, attempts, sums, 1, transition).await;
    let checked = async {
        let told = told?;
        let stranger = stage.role("tenant-a/shop-1")?;
        for name in late.keys() {
            let open = reach(stage, stranger, name).await?;
            ensure!(
                !open,
                "a tenant reaches {name}, which came while its namespace closed"
            );
        }
        Ok(format!(
            "{told}\n{} pods came meanwhile: served and protected",
            late.len()
        ))
    };
    let outcome = checked.await;
    for name in late.keys() {
        remove(stage, name).await?;
    }
    ground.switch(Mode::Unrestricted).await?;
    outcome
}

/// Waits for the pod to run, and from then on allows no probe of its declared client to fail.
async fn served(stage: &Stage, name: &str) -> anyhow::Result<()> {
    let api = stage.pods(BUSY);
    eventually(&format!("{name} to run"), Duration::from_mins(2), || async {
        pod::address(&api.get(name).await?)?.context("it does not run yet")
    })
    .await?;
    let client = stage.role("openshift-monitoring/prometheus-k8s-1")?;
    // A dataplane programs a new pod shortly after the kubelet calls it running, open or closed.
    eventually(
        &format!("{name} to be served first"),
        Duration::from_secs(10),
        || async {
            ensure!(reach(stage, client, name).await?, "not yet");
            Ok(())
        },
    )
    .await?;
    for _ in 0..5 {
        ensure!(
            reach(stage, client, name).await?,
            "{name} was served and then was not"
        );
    }
    Ok(())
}

async fn reach(stage: &Stage, client: &Role, name: &str) -> anyhow::Result<bool> {
    let address = pod::address(&stage.pods(BUSY).get(name).await?)?.context("it has no address")?;
    let request = Request::Once {
        targets: vec![Target {
            id: name.to_owned(),
            address: (address, BUSY_PORT).into(),
            protocol: Protocol::Tcp,
            held: false,
            speech: Speech::Echo,
        }],
        attempts: 1,
        timeout_ms: TIMEOUT_MS,
    };
    let pods = stage.pods(&client.member.namespace);
    let outcomes = pod::once(&pods, &client.pod, request, Duration::from_secs(30)).await?;
    Ok(outcomes.get(name).context("no answer")?.open())
}

async fn create(ground: &Ground, stage: &Stage, name: &str, node: &str, image: &str) -> anyhow::Result<()> {
    let mut labels = stage
        .role(&format!("{BUSY}/dns-operator-1"))?
        .member
        .labels
        .clone();
    labels.insert(MARK.to_owned(), "late".to_owned());
    let wish = Wish {
        namespace: BUSY,
        name,
        labels: &labels,
        image,
        node: Some(node),
        host_network: false,
        ports: &[BUSY_PORT],
        declared: &[("TCP", BUSY_PORT)],
        life: Duration::from_mins(30),
    };
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
        kube::Api::namespaced(ground.client().clone(), BUSY);
    let params = PatchParams::apply("bulkhead-e2e").force();
    pods.patch(name, &params, &Patch::Apply(&wish.manifest())).await?;
    Ok(())
}

async fn remove(stage: &Stage, name: &str) -> anyhow::Result<()> {
    let now = DeleteParams::default().grace_period(0);
    stage.pods(BUSY).delete(name, &now).await?;
    Ok(())
}

/// A declared pod whose image does not exist, in a namespace that closes and opens all the same.
async fn never_ready(ground: &Ground, nodes: &[String]) -> anyhow::Result<String> {
    const NAME: &str = "never-ready";
    const NOWHERE: &str = "devcluster.local/no-such-image:1";
    ground.switch(Mode::Unrestricted).await?;
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
        kube::Api::namespaced(ground.client().clone(), BUSY);
    let others = pods.list(&ListParams::default().labels(MARK)).await?;
    let model = others.items.first().context("nobody plays here")?;
    let labels: BTreeMap<String, String> = model.metadata.labels.clone().unwrap_or_default();
    let wish = Wish {
        namespace: BUSY,
        name: NAME,
        labels: &labels.into_iter().filter(|(key, _)| key != MARK).collect(),
        image: NOWHERE,
        node: nodes.first().map(String::as_str),
        host_network: false,
        ports: &[BUSY_PORT],
        declared: &[("TCP", BUSY_PORT)],
        life: Duration::from_mins(30),
    };
    let params = PatchParams::apply("bulkhead-e2e").force();
    pods.patch(NAME, &params, &Patch::Apply(&wish.manifest())).await?;
    let outcome = async {
        ground.switch(CLOSED).await?;
        let phase = pods.get(NAME).await?.status.and_then(|s| s.phase);
        ensure!(
            phase.as_deref() == Some("Pending"),
            "it was meant to wait for ever, it is {phase:?}"
        );
        ground.switch(Mode::Unrestricted).await.map(drop)
    }
    .await;
    pods.delete(NAME, &DeleteParams::default().grace_period(0))
        .await?;
    outcome.map(|()| "closed and opened beside a pod that never starts".to_owned())
}
