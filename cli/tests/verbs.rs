//! Whole verbs against a real API server.

// This file has its own runner, so it does not count as a test for these lints.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{ExitCode, Stdio};

use serde_json::{Value, json};
use support::{Cluster, eventually};

const ISOLATION: &str = "systemisolation.network.operator.openshift.io/cluster";
const NETWORK: &str = "network.operator.openshift.io/cluster";

fn main() -> ExitCode {
    support::run(&[
        (
            "without definitions everybody is told what to install",
            without_definitions,
        ),
        (
            "without definitions an emergency opens all and each policy carries the hold",
            emergency_without_definitions,
        ),
        ("an unreachable cluster is an error that says so", unreachable),
        (
            "where Network has no such field the mode goes to SystemIsolation",
            mode_on_unmodified_openshift,
        ),
        (
            "where Network has the field the mode goes there and is left in no other place",
            mode_on_network,
        ),
        ("a removed mode is announced as meant", unset),
        ("dry runs store nothing and preview every namespace", dry_runs),
        (
            "waiting ends with a current status and never with a stale one",
            waiting,
        ),
        (
            "a namespace is adopted and handed back, but never a forbidden one",
            adoption,
        ),
        (
            "an override has a mode, an end and a reason, and is cleared",
            overrides,
        ),
        (
            "status prints tables, objects and the next sensible command",
            status,
        ),
        ("a watched status prints what changes", watched_status),
        (
            "an emergency opens every system namespace and touches no other",
            emergency,
        ),
        (
            "an emergency evades a squatted name and restores an edited policy of ours",
            emergency_against_squatters,
        ),
        (
            "an emergency without the right to store the hold puts it on each policy",
            emergency_with_few_rights,
        ),
        (
            "the end of an emergency removes every hold and no policy",
            release,
        ),
        (
            "completion scripts, version and usage need no cluster",
            without_cluster,
        ),
    ])
}

fn namespace(name: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n---\n")
}

fn without_definitions(cluster: &Cluster) {
    for verb in ["status", "mode", "mode Restricted", "adopt team-a"] {
        let run = cluster.bulkhead(verb).exits(1);
        assert!(
            run.err.starts_with("error: ") && run.err.contains("kubectl apply -k"),
            "{run:?}"
        );
        assert!(run.out.is_empty(), "only results go to standard output: {run:?}");
    }
}

fn emergency_without_definitions(cluster: &Cluster) {
    cluster.apply(&(namespace("openshift-early") + &namespace("team-early")));
    let run = cluster.bulkhead("unrestrict").exits(0);
    assert!(
        run.out
            .contains("bulkhead-allow-all created in namespace openshift-early"),
        "{run:?}"
    );
    let policy = cluster.get("netpol bulkhead-allow-all -n openshift-early");
    assert_eq!(
        policy["metadata"]["annotations"]["network.operator.openshift.io/hold"],
        "Open"
    );
    assert!(!cluster.exists("netpol bulkhead-allow-all -n team-early"));
    let again = cluster.bulkhead("unrestrict").exits(0);
    assert!(again.out.contains("unchanged"), "{again:?}");
    let released = cluster.bulkhead("unrestrict --release").exits(0);
    assert!(
        released
            .out
            .contains("openshift-early/bulkhead-allow-all: hold removed"),
        "{released:?}"
    );
    let policy = cluster.get("netpol bulkhead-allow-all -n openshift-early");
    assert!(policy["metadata"]["annotations"]["network.operator.openshift.io/hold"].is_null());
    assert!(opens_all(&policy), "releasing never closes by itself");
    cluster.kubectl("delete ns openshift-early team-early");
}

fn unreachable(cluster: &Cluster) {
    let text = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
    let (before, after) = text.split_once("server: https://127.0.0.1:").unwrap();
    let rest = after.split_once('\n').unwrap().1;
    let path = cluster.kubeconfig().with_file_name("dead-kubeconfig");
    std::fs::write(&path, format!("{before}server: https://127.0.0.1:1\n{rest}")).unwrap();
    let run = cluster
        .bulkhead(&format!("status --kubeconfig {}", path.display()))
        .exits(1);
    assert!(run.err.contains("cannot reach the API server"), "{run:?}");
    let run = cluster.bulkhead("status --context nowhere").exits(1);
    assert!(run.err.contains("nowhere"), "{run:?}");
}

fn mode_on_unmodified_openshift(cluster: &Cluster) {
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

fn mode_on_network(cluster: &Cluster) {
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

fn unset(cluster: &Cluster) {
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

fn dry_runs(cluster: &Cluster) {
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

fn waiting(cluster: &Cluster) {
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

fn adoption(cluster: &Cluster) {
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

fn overrides(cluster: &Cluster) {
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

fn status(cluster: &Cluster) {
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

fn watched_status(cluster: &Cluster) {
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

fn opens_all(policy: &Value) -> bool {
    policy["spec"]
        == json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]})
}

fn emergency(cluster: &Cluster) {
    cluster.apply(&(namespace("openshift-off") + &namespace("tenant")));
    cluster.bulkhead("adopt openshift-off --release").exits(0);
    let run = cluster
        .command(&["unrestrict", "--reason", "everything is down"])
        .output()
        .unwrap();
    let run = support::Run::from(run).exits(0);
    assert_eq!(
        run.out.lines().next(),
        Some(&*format!("{ISOLATION} patched")),
        "the hold comes first: {run:?}"
    );
    let hold = cluster.get("systemisolation cluster")["spec"]["hold"].clone();
    assert_eq!(hold, json!({"state": "Open", "reason": "everything is down"}));
    for name in ["openshift-a", "openshift-b", "team-a"] {
        let policy = cluster.get(&format!("netpol bulkhead-allow-all -n {name}"));
        assert!(opens_all(&policy), "{policy}");
        let meta = &policy["metadata"];
        assert_eq!(meta["managedFields"][0]["manager"], "bulkhead");
        assert_eq!(
            meta["labels"]["network.operator.openshift.io/policy-role"],
            "allow-all"
        );
        assert_eq!(meta["labels"]["app.kubernetes.io/managed-by"], "bulkhead");
        assert!(meta["annotations"]["network.operator.openshift.io/hold"].is_null());
    }
    for name in ["openshift-off", "tenant", "kube-system", "default"] {
        assert!(
            !cluster.exists(&format!("netpol -n {name}")),
            "{name} is no system namespace"
        );
    }
    assert!(
        cluster
            .bulkhead("mode")
            .exits(0)
            .err
            .contains("everything is down")
    );
    assert!(
        cluster
            .bulkhead("mode Restricted --dry-run")
            .exits(0)
            .err
            .contains("stay open")
    );
}

fn emergency_against_squatters(cluster: &Cluster) {
    cluster.kubectl("delete netpol --all -n openshift-a");
    cluster.apply(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: bulkhead-allow-all, namespace: openshift-a, \
         labels: {app.kubernetes.io/managed-by: bulkhead}}\nspec: {podSelector: {}, policyTypes: [Ingress]}\n",
    );
    let edit = r#"[{"op": "replace", "path": "/spec/podSelector", "value": {"matchLabels": {"a": "b"}}}]"#;
    cluster
        .try_kubectl(&[
            "patch",
            "netpol",
            "bulkhead-allow-all",
            "-n",
            "openshift-b",
            "--type=json",
            "-p",
            edit,
        ])
        .exits(0);
    let run = cluster.bulkhead("unrestrict").exits(0);
    assert!(
        run.out
            .contains("bulkhead-allow-all-2 created in namespace openshift-a"),
        "{run:?}"
    );
    assert!(
        run.out
            .contains("bulkhead-allow-all restored in namespace openshift-b"),
        "{run:?}"
    );
    assert!(opens_all(
        &cluster.get("netpol bulkhead-allow-all-2 -n openshift-a")
    ));
    assert!(opens_all(
        &cluster.get("netpol bulkhead-allow-all -n openshift-b")
    ));
    let squatter = cluster.get("netpol bulkhead-allow-all -n openshift-a");
    assert_eq!(
        squatter["spec"]["policyTypes"],
        json!(["Ingress"]),
        "somebody else's policy is never touched"
    );
    let again = cluster.bulkhead("unrestrict").exits(0);
    assert!(
        again
            .out
            .contains("bulkhead-allow-all-2 unchanged in namespace openshift-a"),
        "{again:?}"
    );
}

fn emergency_with_few_rights(cluster: &Cluster) {
    cluster.apply(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: opener}\nrules:\n\
         - {apiGroups: [''], resources: [namespaces], verbs: [list]}\n\
         - {apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [get, create, patch]}\n\
         - {apiGroups: [network.operator.openshift.io], resources: [systemnamespaces], verbs: [list]}\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: opener}\n\
         roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: opener}\n\
         subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: mallory}]\n",
    );
    eventually("the rights are in force", || {
        cluster
            .try_kubectl(&[
                "auth", "can-i", "create", "netpol", "--as", "mallory", "-n", "team-a",
            ])
            .code
            == 0
    });
    let run = cluster.bulkhead("unrestrict --as mallory").exits(0);
    assert!(
        run.err.contains("hold cannot be stored") && run.err.contains("mallory"),
        "{run:?}"
    );
    assert!(
        run.out
            .contains("bulkhead-allow-all restored in namespace team-a"),
        "{run:?}"
    );
    let policy = cluster.get("netpol bulkhead-allow-all -n team-a");
    assert_eq!(
        policy["metadata"]["annotations"]["network.operator.openshift.io/hold"],
        "Open"
    );
    let run = cluster.bulkhead("mode Restricted --as mallory").exits(1);
    assert!(
        run.err.contains("mallory") && run.err.contains("customresourcedefinitions"),
        "{run:?}"
    );
}

fn release(cluster: &Cluster) {
    let policies = || cluster.kubectl("get netpol -A -o name").lines().count();
    let before = policies();
    let run = cluster.bulkhead("unrestrict --release").exits(0);
    assert!(
        run.out.contains("team-a/bulkhead-allow-all: hold removed"),
        "{run:?}"
    );
    assert!(
        run.out.trim_end().ends_with(&format!("{ISOLATION} patched")),
        "the central hold goes last: {run:?}"
    );
    assert!(cluster.get("systemisolation cluster")["spec"]["hold"].is_null());
    let policy = cluster.get("netpol bulkhead-allow-all -n team-a");
    assert!(
        policy["metadata"]["annotations"]["network.operator.openshift.io/hold"].is_null()
            && opens_all(&policy)
    );
    assert_eq!(policies(), before);
    assert!(
        cluster
            .bulkhead("unrestrict --release")
            .exits(0)
            .err
            .contains("No hold is set")
    );
}

fn without_cluster(cluster: &Cluster) {
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            cluster
                .bulkhead(&format!("completion {shell}"))
                .exits(0)
                .out
                .contains("unrestrict")
        );
    }
    assert!(
        cluster
            .bulkhead("version")
            .exits(0)
            .out
            .starts_with("kubectl bulkhead 0.")
    );
    assert!(
        cluster
            .bulkhead("--help")
            .exits(0)
            .out
            .contains("Usage: kubectl bulkhead")
    );
    cluster.bulkhead("nonsense").exits(1);
}
