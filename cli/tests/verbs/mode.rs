//! Setting the mode, and where it goes.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{self, Cluster, eventually};
use crate::{ISOLATION, NETWORK, namespace};

pub fn without_definitions(cluster: &Cluster) {
    for verb in ["status", "mode", "mode Restricted", "adopt team-a"] {
        let run = cluster.bulkhead(verb).exits(1);
        assert!(
            run.err.starts_with("error: ") && run.err.contains("kubectl apply -k"),
            "{run:?}"
        );
        assert!(run.out.is_empty(), "only results go to standard output: {run:?}");
    }
}

pub fn mode_on_unmodified_openshift(cluster: &Cluster) {
    cluster.kubectl(&format!("apply -f {}", support::folder("manifests/crds")));
    cluster.apply(support::PLAIN_NETWORK);
    cluster.kubectl("wait --for=condition=Established crd --all --timeout=60s");
    let run = cluster.bulkhead("mode").exits(0);
    assert!(
        run.out.contains("<unset>") && run.out.contains(ISOLATION),
        "{run:?}"
    );
    let run = cluster
        .bulkhead("mode restricted --isolation ingressandegress")
        .exits(0);
    assert_eq!(run.out, format!("{ISOLATION} created\n"));
    let stored = cluster.get("systemisolation cluster");
    assert_eq!(
        stored["spec"]["systemNetworkPolicy"]["systemNamespaces"],
        json!({"mode": "Restricted", "restricted": {"isolation": "IngressAndEgress"}})
    );
    assert_eq!(
        stored["metadata"]["managedFields"][0]["manager"],
        "kubectl-bulkhead"
    );
    let again = cluster.bulkhead("mode Restricted").exits(0);
    assert_eq!(
        again.out,
        format!("{ISOLATION} patched (no change)\n"),
        "isolation stays as it was set"
    );
    cluster.bulkhead("mode Unrestricted").exits(0);
    let stored = cluster.get("systemisolation cluster");
    assert_eq!(
        stored["spec"]["systemNetworkPolicy"]["systemNamespaces"],
        json!({"mode": "Unrestricted"})
    );
    let run = cluster.bulkhead("mode Unrestricted --isolation Ingress").exits(1);
    assert!(run.err.contains("--isolation belongs to Restricted"), "{run:?}");
}

pub fn mode_on_network(cluster: &Cluster) {
    cluster.kubectl(&format!(
        "apply -f {}",
        support::folder("manifests/overlays/kubernetes/networks.yaml")
    ));
    eventually("the API server serves the new field", || {
        cluster
            .bulkhead("mode Restricted --dry-run=server -o name")
            .out
            .contains(NETWORK)
    });
    let run = cluster.bulkhead("mode Restricted").exits(0);
    assert_eq!(run.out, format!("{NETWORK} created\n{ISOLATION} patched\n"));
    let network = cluster.get("networks.operator.openshift.io cluster");
    assert_eq!(
        network["spec"]["systemNetworkPolicy"]["systemNamespaces"]["mode"],
        "Restricted"
    );
    assert!(cluster.get("systemisolation cluster")["spec"]["systemNetworkPolicy"].is_null());
    let shown: Value = serde_json::from_str(&cluster.bulkhead("mode -o json").exits(0).out).unwrap();
    assert_eq!(
        (shown["mode"].as_str(), shown["carrier"].as_str()),
        (Some("Restricted"), Some(NETWORK))
    );
    let conflicting = r#"{"spec":{"systemNetworkPolicy":{"systemNamespaces":{"mode":"Unrestricted"}}}}"#;
    cluster
        .try_kubectl(&[
            "patch",
            "systemisolation",
            "cluster",
            "--type=merge",
            "-p",
            conflicting,
        ])
        .exits(0);
    assert!(cluster.bulkhead("mode").exits(0).err.contains("disagree"));
    cluster.bulkhead("mode Restricted").exits(0);
    assert!(
        cluster.bulkhead("mode").exits(0).err.is_empty(),
        "setting the mode again ends the conflict"
    );
}

pub fn unset(cluster: &Cluster) {
    let run = cluster.bulkhead("mode --unset").exits(0);
    assert_eq!(
        run.out,
        format!("{ISOLATION} patched\n{NETWORK} patched\n"),
        "announced first"
    );
    assert_eq!(
        cluster.get("systemisolation cluster")["spec"],
        json!({"modeRemoval": "PlatformDecides"})
    );
    assert!(cluster.get("networks.operator.openshift.io cluster")["spec"]["systemNetworkPolicy"].is_null());
    cluster.bulkhead("mode Restricted").exits(0);
    assert!(
        cluster.get("systemisolation cluster")["spec"]["modeRemoval"].is_null(),
        "meant once, not for ever"
    );
}

pub fn dry_runs(cluster: &Cluster) {
    cluster.apply(&(namespace("openshift-a") + &namespace("openshift-b")));
    cluster.bulkhead("adopt openshift-a").exits(0);
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": message,
               "lastTransitionTime": "2026-11-21T00:00:00Z"})
    };
    cluster.set_status(
        "systemnamespace openshift-a",
        &json!({"effectiveMode": "Unrestricted", "epoch": 1, "foreignPolicies": 0, "conditions": [
            condition("Covered", "True", "SetKnown", ""),
            condition("Restrictable", "False", "UndeclaredPods", "pod stray is no declared server"),
        ]}),
    );
    let before = (
        cluster.get("networks.operator.openshift.io cluster"),
        cluster.get("systemisolation cluster"),
    );
    for place in ["--dry-run", "--dry-run=client", "--dry-run=server"] {
        for verb in [
            "mode Unrestricted",
            "mode --unset",
            "mode Restricted --isolation IngressAndEgress",
        ] {
            cluster.bulkhead(&format!("{verb} {place}")).exits(0);
        }
        cluster.bulkhead(&format!("unrestrict {place}")).exits(0);
        cluster.bulkhead(&format!("adopt openshift-b {place}")).exits(0);
        cluster
            .bulkhead(&format!(
                "override openshift-a --mode Restricted --reason x {place}"
            ))
            .exits(0);
    }
    let after = (
        cluster.get("networks.operator.openshift.io cluster"),
        cluster.get("systemisolation cluster"),
    );
    assert_eq!(before, after);
    assert!(!cluster.exists("netpol -A") && !cluster.exists("systemnamespace openshift-b"));
    let preview = cluster.bulkhead("mode Restricted --dry-run").exits(0);
    let row = |name: &str| -> String {
        let line = preview
            .out
            .lines()
            .find(|l| l.starts_with(name))
            .unwrap_or_default();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(
        row("openshift-a").contains("Blocked UndeclaredPods: pod stray"),
        "{preview:?}"
    );
    let judged_here = row("openshift-b");
    assert!(
        judged_here.contains("StaysOpen NoPolicySet"),
        "not reported on: {preview:?}"
    );
    assert!(preview.err.contains("1 blocked"), "{preview:?}");
    let run = cluster.bulkhead("mode --dry-run").exits(1);
    assert!(run.err.contains("name a mode"), "{run:?}");
}

pub fn waiting(cluster: &Cluster) {
    let generation = |what: &str| cluster.get(what)["metadata"]["generation"].as_i64().unwrap();
    let network = generation("networks.operator.openshift.io cluster");
    let own = generation("systemisolation cluster");
    let report = |observed: i64, progressing: &str| {
        cluster.set_status(
            "systemisolation cluster",
            &json!({
                "observedGeneration": own,
                "carrier": {"kind": "Network", "observedGeneration": observed},
                "applied": {"mode": "Restricted"},
                "conditions": [{"type": "Progressing", "status": progressing, "reason": "AsExpected",
                    "message": "3 of 4 namespaces", "lastTransitionTime": "2026-11-21T00:00:00Z"}],
            }),
        );
    };
    report(network - 1, "False");
    let run = cluster.bulkhead("mode Restricted --wait --timeout 2s").exits(1);
    assert!(run.err.contains("has not applied the change yet"), "{run:?}");
    report(network, "True");
    let run = cluster.bulkhead("mode --wait --timeout 2s").exits(1);
    assert!(run.err.contains("waiting: 3 of 4 namespaces"), "{run:?}");
    let mut child = cluster
        .command(&["mode", "Restricted", "--wait"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    report(network, "False");
    eventually("the wait ends", || child.try_wait().unwrap().is_some());
    assert!(child.wait().unwrap().success());
}
