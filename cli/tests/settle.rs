//! `measure-settle` where nothing can be measured: it says why, and leaves nothing behind. What it measures is tested
//! on real nodes by hack/packets.

// This file has its own runner, so it does not count as a test for these lints.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::{Command, ExitCode, Stdio};

use support::{Cluster, eventually};

const NODE: &str = r#"{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "on-paper"}}"#;
const READY: &str = r#"{"status": {"conditions": [{"type": "Ready", "status": "True",
    "lastHeartbeatTime": null, "lastTransitionTime": null, "reason": "KubeletReady", "message": ""}]}}"#;

fn main() -> ExitCode {
    support::run(&[
        (
            "a cluster without nodes is told so before anything is made",
            no_nodes,
        ),
        (
            "pods that never run end in an error and an empty cluster",
            never_runs,
        ),
        ("an interrupt leaves nothing behind", interrupt),
    ])
}

fn ours(cluster: &Cluster) -> Vec<String> {
    let names = cluster.kubectl("get namespaces -o name");
    let ours = names
        .lines()
        .filter(|name| name.contains("bulkhead-measure-settle"));
    ours.map(str::to_owned).collect()
}

fn no_nodes(cluster: &Cluster) {
    let run = cluster.bulkhead("measure-settle --image x").exits(1);
    assert!(run.err.contains("no node of this cluster is ready"), "{run:?}");
    assert!(ours(cluster).is_empty());
}

fn paper_node(cluster: &Cluster) {
    cluster.apply(NODE);
    cluster
        .try_kubectl(&[
            "patch",
            "node",
            "on-paper",
            "--subresource=status",
            "--type=merge",
            "-p",
            READY,
        ])
        .exits(0);
}

fn never_runs(cluster: &Cluster) {
    paper_node(cluster);
    let run = cluster
        .bulkhead("measure-settle --image registry.invalid/x:1 --start-timeout 2s")
        .exits(1);
    assert!(
        run.err.contains("does not run in time") && run.err.contains("describe pod"),
        "{run:?}"
    );
    eventually("the namespace is gone", || ours(cluster).is_empty());
}

fn interrupt(cluster: &Cluster) {
    paper_node(cluster);
    let mut command = cluster.command(&[
        "measure-settle",
        "--image",
        "registry.invalid/x:1",
        "--start-timeout",
        "10m",
    ]);
    let child = command
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    eventually("its pods are there", || {
        ours(cluster)
            .first()
            .and_then(|name| name.strip_prefix("namespace/"))
            .is_some_and(|name| {
                cluster
                    .kubectl(&format!("get pods -n {name} -o name"))
                    .lines()
                    .count()
                    == 2
            })
    });
    let signal = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .expect("kill runs");
    assert!(signal.success());
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("interrupted"), "{said}");
    eventually("the namespace is gone", || ours(cluster).is_empty());
}
