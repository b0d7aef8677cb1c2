//! The switch against a bare parallel client that makes the same writes to the same API server in the same run.
//!
//! Run by `hack/bench`, which starts the control plane. Prints figures and ratios; judges nothing.
//! `BULKHEAD_BENCH_PART=switch` leaves out the full size, `BULKHEAD_BENCH_PART=size` all but that.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cluster;
mod process;

use std::{
    fmt::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use self::{
    cluster::{Cluster, PARALLEL},
    process::{LEASE, Launcher, Operator},
};

const SETTLE: Duration = Duration::from_secs(1);
/// Namespaces in the cluster while new ones are timed, the system namespaces among them.
const RESIDENT: usize = 5000;
/// The full size: pods and policies of others per system namespace. With 1,000 namespaces, 20,000 pods and,
/// the operator's own two each included, 10,000 policies.
const PODS: usize = 20;
const SHIPPED: usize = 8;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let Ok(kubeconfig) = std::env::var("BULKHEAD_BENCH_KUBECONFIG") else {
        println!("skipped: BULKHEAD_BENCH_KUBECONFIG is not set; run hack/bench");
        return;
    };
    bulkhead_controllers::runtime::client::install_tls();
    let count = std::env::var("BULKHEAD_BENCH_NAMESPACES").ok();
    let count = count.and_then(|n| n.parse().ok()).unwrap_or(1000);
    let config = Kubeconfig::read_from(&kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await;
    let catalog = std::env::temp_dir().join(format!("bulkhead-bench-{}", std::process::id()));
    write_catalog(&catalog, count);
    let cluster = Cluster {
        client: Client::try_from(config.unwrap()).unwrap(),
    };
    let launcher = Launcher {
        kubeconfig: kubeconfig.into(),
        catalog: catalog.clone(),
    };
    println!("{count} namespaces, {PARALLEL} requests in flight, settle time {SETTLE:?}");
    match std::env::var("BULKHEAD_BENCH_PART").as_deref() {
        Ok("switch") => switching(&cluster, &launcher, count).await,
        Ok("size") => {
            cluster.make_namespaces("openshift-bench", count).await;
            full_size(&cluster, &launcher, count).await;
        }
        _ => {
            switching(&cluster, &launcher, count).await;
            full_size(&cluster, &launcher, count).await;
        }
    }
    std::fs::remove_dir_all(catalog).unwrap();
}

/// Both ways, new namespaces, silence.
async fn switching(cluster: &Cluster, launcher: &Launcher, count: usize) {
    cluster.make_namespaces("openshift-bench", count).await;
    cluster.make_namespaces("bare", count).await;
    let operator = launcher.start();
    cluster.switch("Unrestricted", count).await;
    let bare = cluster.bare(count).await;
    println!("bare client: open {:.2?}, close {:.2?}", bare.open, bare.close);
    let close = cluster.switch("Restricted", count).await.saturating_sub(SETTLE);
    println!(
        "close: {close:.2?} without the settle time, ratio {:.2}",
        ratio(close, bare.close)
    );
    let open = cluster.switch("Unrestricted", count).await;
    println!("open: {open:.2?}, ratio {:.2}", ratio(open, bare.open));
    cluster
        .make_namespaces("tenant", RESIDENT.saturating_sub(2 * count))
        .await;
    births(cluster).await;
    idle(&operator).await;
    failover(cluster, launcher, operator).await;
}

async fn births(cluster: &Cluster) {
    let mut times = Vec::new();
    for i in 0..200 {
        times.push(cluster.birth(&format!("openshift-new-{i}")).await);
    }
    times.sort();
    println!(
        "new namespace to allow-all, {RESIDENT} resident: p50 {:.1?}, p99 {:.1?}",
        times[100], times[197]
    );
}

async fn idle(operator: &Operator) {
    // Whatever the new namespaces still need.
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (writes, lists) = (operator.writes(), operator.requests(&["list"]));
    tokio::time::sleep(Duration::from_secs(30)).await;
    let (writes, lists) = (operator.writes() - writes, operator.requests(&["list"]) - lists);
    println!("idle for 30 s: {writes} writes (the Lease excepted), {lists} lists");
}

/// The leader is killed while a warm standby waits, and a namespace needs opening.
async fn failover(cluster: &Cluster, launcher: &Launcher, leader: Operator) {
    assert!(leader.leads(), "the only operator does not lead");
    let standby = launcher.start();
    drop(leader);
    let waited = cluster.birth("openshift-after-failover").await;
    println!("leader killed to the first opening: {waited:.1?}, with a Lease of {LEASE}");
    drop(standby);
}

/// Memory and restart with as many pods and policies as a large cluster has.
async fn full_size(cluster: &Cluster, launcher: &Launcher, count: usize) {
    cluster.make_policies("openshift-bench", count, SHIPPED).await;
    cluster.make_pods("openshift-bench", count, PODS).await;
    let policies = count * (SHIPPED + 2);
    println!(
        "full size: {count} system namespaces, about {policies} policies, {} pods",
        count * PODS
    );
    let operator = launcher.start();
    cluster.switch("Restricted", count).await;
    println!("resident memory after closing: {:.1} MiB", operator.resident());
    drop(operator);

    let listing = cluster.list().await;
    let began = Instant::now();
    let operator = launcher.start();
    println!(
        "restart to ready: {:.2?}; a bare client lists the same in {listing:.2?}",
        began.elapsed()
    );
    while !operator.leads() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let before = operator.writes();
    tokio::time::sleep(Duration::from_secs(20)).await;
    println!("writes in 20 s after the restart: {}", operator.writes() - before);
    println!("resident memory after a restart: {:.1} MiB", operator.resident());
}

fn write_catalog(folder: &Path, count: usize) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("catalog.yaml"), "sequence: 1\nrelease: \"5.0\"\n").unwrap();
    for i in 0..count {
        let mut text = String::new();
        write!(
            text,
            "namespace: openshift-bench-{i}\nlineage: Legacy\napplicability: PodNetwork\nservers:\n- name: web\n  \
             podSelector: {{matchLabels: {{app: web}}}}\n  rules:\n  - ports: [{{port: 8443}}]\n    clients: \
             [{{type: Namespace, namespace: {{name: openshift-monitoring}}}}]\nsources: [{{repo: bench, path: \
             bench}}]\nconfidence: high\n"
        )
        .unwrap();
        std::fs::write(folder.join(format!("{i}.yaml")), text).unwrap();
    }
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}
