//! Single namespaces: adoption, overrides, status.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::Cluster;
use crate::{ISOLATION, namespace};

pub fn adoption(cluster: &Cluster) {
    cluster.apply(&namespace("team-a"));
    let run = cluster.bulkhead("adopt team-a").exits(0);
    assert_eq!(
        run.out,
        "systemnamespace.network.operator.openshift.io/team-a created\n"
    );
    assert_eq!(run.err, "");
    assert_eq!(
        cluster.get("systemnamespace team-a")["spec"],
        json!({"adoption": "Adopted"})
    );
    let named = cluster.bulkhead("adopt -n team-a --release -o name").exits(0);
    assert_eq!(
        named.out,
        "systemnamespace.network.operator.openshift.io/team-a\n"
    );
    assert_eq!(
        cluster.get("systemnamespace team-a")["spec"],
        json!({"adoption": "NotAdopted"})
    );
    cluster.bulkhead("adopt team-a").exits(0);
    for forbidden in ["default", "kube-system"] {
        let run = cluster.bulkhead(&format!("adopt {forbidden}")).exits(1);
        assert!(run.err.contains("never be a system namespace"), "{run:?}");
    }
    cluster.bulkhead("adopt").exits(1);
    cluster.bulkhead("adopt a -n b").exits(1);
}

pub fn overrides(cluster: &Cluster) {
    cluster
        .bulkhead("override team-a --mode Restricted --for 2h --reason trial")
        .exits(0);
    let spec = cluster.get("systemnamespace team-a")["spec"].clone();
    assert_eq!(spec["adoption"], "Adopted", "other choices stay");
    assert_eq!(
        (&spec["override"]["mode"], &spec["override"]["reason"]),
        (&json!("Restricted"), &json!("trial"))
    );
    assert!(spec["override"]["expirationTime"].is_string());
    let run = cluster
        .bulkhead("override team-a --mode Unrestricted --reason longer")
        .exits(0);
    assert!(run.err.contains("no end"), "{run:?}");
    assert!(cluster.get("systemnamespace team-a")["spec"]["override"]["expirationTime"].is_null());
    cluster.bulkhead("override team-a --clear").exits(0);
    assert!(cluster.get("systemnamespace team-a")["spec"]["override"].is_null());
    cluster.bulkhead("override team-a --mode Restricted").exits(1);
    cluster
        .bulkhead("override team-a --clear --mode Restricted --reason x")
        .exits(1);
    cluster
        .bulkhead("override kube-system --mode Restricted --reason x")
        .exits(1);
}

pub fn status(cluster: &Cluster) {
    let run = cluster.bulkhead("status").exits(0);
    assert!(run.out.starts_with("NAME          DESIRED"), "{run:?}");
    assert!(!run.out.contains('\x1b'), "no colours into a pipe");
    assert!(
        cluster
            .bulkhead("status --color always")
            .out
            .contains("\x1b[31mUndeclaredPods\x1b[0m")
    );
    assert!(
        run.err.contains("kubectl -n openshift-bulkhead get pods"),
        "team-a is unreported: {run:?}"
    );
    let wide = cluster.bulkhead("status openshift-a -o wide").exits(0);
    assert!(
        wide.out.contains("pod stray is no declared server") && !wide.out.contains("team-a"),
        "{wide:?}"
    );
    let names = cluster.bulkhead("status -o name").exits(0).out;
    assert_eq!(names.lines().next(), Some(ISOLATION));
    let one: Value = serde_json::from_str(&cluster.bulkhead("status team-a -o json").exits(0).out).unwrap();
    assert_eq!(one["kind"], "SystemNamespace");
    assert!(one["metadata"]["managedFields"].is_null());
    let all = cluster.bulkhead("status -o yaml").exits(0).out;
    assert!(
        all.contains("kind: List") && all.contains("kind: SystemIsolation"),
        "{all}"
    );
    assert!(cluster.bulkhead("status nope").exits(1).err.contains("nope"));
}

pub fn watched_status(cluster: &Cluster) {
    let mut child = cluster
        .command(&["status", "-w"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut until = |part: &str| {
        lines
            .by_ref()
            .map(Result::unwrap)
            .find(|line| line.contains(part))
    };
    assert!(until("team-a").is_some());
    cluster.set_status(
        "systemnamespace team-a",
        &json!({"effectiveMode": "Preserved", "epoch": 1, "foreignPolicies": 2}),
    );
    let row = until("Preserved").unwrap();
    assert!(row.starts_with("team-a "), "{row}");
    child.kill().unwrap();
    child.wait().unwrap();
}
