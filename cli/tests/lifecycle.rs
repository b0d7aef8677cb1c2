//! The verbs that judge and remove, against a real API server, a populated cluster and a real operator.

// This file has its own runner, so it does not count as a test for these lints.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};
use support::{Cluster, Run, eventually};

fn main() -> ExitCode {
    support::run(&[
        (
            "without an operator nothing is verified and the preview judges by itself",
            before_any_operator,
        ),
        (
            "a restricted cluster verifies, and a declared set renders as the operator stores it",
            restricted,
        ),
        ("verify finds each planted hole by evaluation", planted_holes),
        (
            "an extra allow of an administrator passes with a note",
            extra_allow,
        ),
        (
            "an unlisted namespace without a set fails unless an exception holds",
            exceptions,
        ),
        ("findings come as text, JSON and JUnit", formats),
        (
            "cleanup is refused without the hold, against a living operator and where it would cut",
            refused_cleanup,
        ),
        (
            "a downgrade is prepared only when every pod is proven open",
            downgrade,
        ),
        (
            "cleanup removes denies first, allow-alls last, and leaves nothing",
            cleanup,
        ),
        (
            "an unrestricted cluster verifies, and a missing allow-all is found",
            unrestricted,
        ),
    ])
}

/// Namespaces of the facts that stand for the others: a server for everybody, one for few, one on host network.
const NAMESPACES: &str = "openshift-dns,openshift-monitoring,openshift-etcd,openshift-service-ca";

fn populate(cluster: &Cluster) {
    cluster.kubectl(&format!("apply -f {}", support::folder("manifests/crds")));
    cluster.kubectl("wait --for=condition=Established crd --all --timeout=60s");
    let populated = support::script("populate")
        .arg("--kubeconfig")
        .arg(cluster.kubeconfig())
        .args([
            "--upstream-policies",
            "none",
            "--awkward=false",
            "--namespaces",
            NAMESPACES,
        ])
        .output()
        .unwrap();
    assert!(populated.status.success(), "{populated:?}");
    // Where the Lease of the operator lives; declared, so that it does not stay open.
    cluster.kubectl("create namespace openshift-bulkhead");
    cluster.kubectl(&format!(
        "apply -f {}",
        support::folder("manifests/base/systemnetworkpolicy.yaml")
    ));
}

static BINARY: OnceLock<PathBuf> = OnceLock::new();

/// Builds the operator, once.
fn build_operator() -> PathBuf {
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "-p",
            "bulkhead-controllers",
            "--bin",
            "bulkhead-operator",
        ])
        .status()
        .unwrap();
    assert!(built.success(), "the operator does not build");
    Path::new(env!("CARGO_BIN_EXE_kubectl-bulkhead")).with_file_name("bulkhead-operator")
}

/// A running operator; ends as a pod would when dropped.
struct Operator(Child);

impl Operator {
    fn start(cluster: &Cluster) -> Self {
        let binary = BINARY.get_or_init(build_operator);
        let log = std::fs::File::create(cluster.kubeconfig().with_file_name("operator.log")).unwrap();
        let child = Command::new(binary)
            .env("KUBECONFIG", cluster.kubeconfig())
            .args(["--settle-time", "500ms", "--metrics-address", "127.0.0.1:0"])
            .args([
                "--leader-election-lease-duration",
                "3s",
                "--leader-election-renew-deadline",
                "2s",
            ])
            .args(["--leader-election-retry-period", "500ms"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }

    fn end(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        self.0.wait().unwrap();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn verify(cluster: &Cluster, arguments: &str) -> (Run, Value) {
    let run = cluster.bulkhead(&format!("verify -o json {arguments}"));
    let value = serde_json::from_str(&run.out).unwrap_or_default();
    (run, value)
}

/// Messages of the cases that failed, with namespace and check.
fn failures(value: &Value) -> Vec<String> {
    let cases = value["cases"].as_array().unwrap();
    let failed = cases.iter().filter(|case| case["verdict"] == "Fail");
    failed
        .map(|case| {
            let text = |key: &str| case[key].as_str().unwrap().to_owned();
            format!("{} {} {}", text("namespace"), text("check"), text("message"))
        })
        .collect()
}

#[track_caller]
fn finds(cluster: &Cluster, start: &str, part: &str) {
    let (run, value) = verify(cluster, "");
    let found = failures(&value);
    assert!(
        found.iter().any(|f| f.starts_with(start) && f.contains(part)),
        "{start} … {part}: {found:#?}"
    );
    run.exits(1);
}

fn before_any_operator(cluster: &Cluster) {
    let run = cluster.bulkhead("verify").exits(2);
    assert!(run.err.contains("not installed here"), "{run:?}");
    populate(cluster);
    finds(cluster, "openshift-dns reported", "the operator has not met it");
    let preview = cluster.bulkhead("mode Restricted --dry-run").exits(0);
    let effect = |name: &str| {
        let line = preview
            .out
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line.split_whitespace().nth(2).unwrap_or_default().to_owned()
    };
    assert_eq!(
        (effect("openshift-dns "), effect("openshift-bulkhead ")),
        ("Closes".into(), "Closes".into()),
        "{preview:?}"
    );
    cluster.kubectl("run stray --image=none -n openshift-service-ca --labels app=stray");
    let preview = cluster.bulkhead("mode Restricted --dry-run").exits(0);
    let line = preview
        .out
        .lines()
        .find(|line| line.starts_with("openshift-service-ca"))
        .unwrap();
    assert!(line.contains("Blocked") && line.contains("stray"), "{line}");
    cluster.kubectl("delete pod stray -n openshift-service-ca --grace-period=0 --force");
}

fn restricted(cluster: &Cluster) {
    let mut operator = Operator::start(cluster);
    cluster.bulkhead("mode Restricted --wait --timeout 120s").exits(0);
    let (run, value) = verify(cluster, "");
    assert_eq!(failures(&value), Vec::<String>::new());
    assert!(value["namespaces"].as_u64().unwrap() >= 5, "{value}");
    run.exits(0);
    cluster.bulkhead("verify openshift-dns").exits(0);
    cluster.kubectl(&format!(
        "apply -f {}",
        support::folder("manifests/base/verify-rbac.yaml")
    ));
    let account = "system:serviceaccount:openshift-bulkhead:bulkhead-verify";
    eventually("the rights are in force", || {
        cluster.bulkhead(&format!("verify --as {account}")).code != 2
    });
    cluster.bulkhead(&format!("verify --as {account}")).exits(0);
    let rendered: Value =
        serde_json::from_str(&cluster.bulkhead("render openshift-dns -o json").exits(0).out).unwrap();
    let stored = cluster.get("netpol -n openshift-dns");
    let spec = |list: &Value, name: &Value| {
        let items = list["items"].as_array().unwrap();
        let item = items
            .iter()
            .find(|i| i["metadata"]["name"] == *name)
            .unwrap_or_else(|| panic!("{name}"));
        let mut spec = item["spec"].clone();
        // The API server stores no empty lists.
        spec.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        spec
    };
    let names: Vec<Value> = rendered["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["metadata"]["name"].clone())
        .collect();
    assert!(names.len() >= 2);
    for name in &names {
        assert_eq!(spec(&rendered, name), spec(&stored, name));
    }
    operator.end();
}

/// Plants a change while no operator runs, expects a finding, and takes the change back.
fn planted_holes(cluster: &Cluster) {
    let deny = cluster.kubectl("get netpol bulkhead-default-deny -n openshift-dns -o yaml");
    cluster.kubectl("delete netpol bulkhead-default-deny -n openshift-dns");
    let (run, value) = verify(cluster, "openshift-dns");
    assert_eq!(
        failures(&value),
        Vec::<String>::new(),
        "its only pods are isolated by their server's policy: {run:?}"
    );
    cluster.kubectl("run stray --image=none -n openshift-dns --labels app=stray");
    finds(
        cluster,
        "openshift-dns covered",
        "stray is not isolated for Ingress",
    );
    cluster.kubectl("delete pod stray -n openshift-dns --grace-period=0 --force");
    cluster.apply_as("bulkhead", &without_identity(&deny));

    let names = cluster.kubectl("get netpol -n openshift-dns -o name");
    let server = names
        .lines()
        .find(|n| n.contains("bulkhead-dns-"))
        .unwrap()
        .to_owned();
    let before = cluster.kubectl(&format!("get {server} -n openshift-dns -o yaml"));
    let wide = r#"[{"op": "replace", "path": "/spec/ingress", "value": [{}]}]"#;
    cluster
        .try_kubectl(&["patch", &server, "-n", "openshift-dns", "--type=json", "-p", wide])
        .exits(0);
    finds(cluster, "openshift-dns covered", "more than declared");
    cluster.kubectl(&format!("delete {server} -n openshift-dns"));
    finds(cluster, "openshift-dns covered", "is declared and denied");
    cluster.apply_as("bulkhead", &without_identity(&before));

    cluster.kubectl("label ns openshift-dns network.operator.openshift.io/system-namespace-");
    finds(
        cluster,
        "openshift-dns labelled",
        "network.operator.openshift.io/system-namespace",
    );
    cluster.kubectl("label ns openshift-dns network.operator.openshift.io/system-namespace=");
    let allow_all = cluster.bulkhead("render allow-all openshift-dns").exits(0).out;
    cluster.apply_as("bulkhead", &allow_all);
    let (run, _) = verify(cluster, "openshift-dns");
    assert!(
        run.exits(0).out.contains("emergency hold"),
        "it carries the hold, so open is what is promised"
    );
    let hold = "network.operator.openshift.io/hold-";
    cluster.kubectl(&format!(
        "annotate netpol bulkhead-allow-all -n openshift-dns {hold}"
    ));
    finds(cluster, "openshift-dns covered", "bulkhead-allow-all opens it");
    cluster.kubectl("delete netpol bulkhead-allow-all -n openshift-dns");
}

/// A stored object as it can be created again under the operator's field manager.
fn without_identity(yaml: &str) -> String {
    let dropped = [
        "  uid:",
        "  resourceVersion:",
        "  creationTimestamp:",
        "  generation:",
    ];
    yaml.lines()
        .filter(|line| !dropped.iter().any(|d| line.starts_with(d)))
        .collect::<Vec<_>>()
        .join("\n")
}

fn extra_allow(cluster: &Cluster) {
    let mut operator = Operator::start(cluster);
    eventually("the operator has repaired what was planted", || {
        cluster.bulkhead("verify").code == 0
    });
    operator.end();
    cluster.apply(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: my-probe, namespace: openshift-dns}\n\
         spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 9999}]}]}\n",
    );
    let (run, value) = verify(cluster, "openshift-dns");
    assert_eq!(failures(&value), Vec::<String>::new());
    assert!(
        run.out.contains("my-probe allows") && run.out.contains("TCP/9999"),
        "{run:?}"
    );
    run.exits(0);
    cluster.kubectl("delete netpol my-probe -n openshift-dns");
}

fn exceptions(cluster: &Cluster) {
    cluster.kubectl("create ns openshift-surprise");
    finds(cluster, "openshift-surprise set-known", "unlisted");
    let path = cluster.kubeconfig().with_file_name("exceptions.yaml");
    let with = |expires: &str| {
        let entry =
            |name: &str| format!("- {{namespace: {name}, reason: set in review, expires: {expires}}}\n");
        std::fs::write(
            &path,
            format!(
                "exceptions:\n{}{}",
                entry("openshift-surprise"),
                entry("openshift-gone")
            ),
        )
        .unwrap();
        verify(cluster, &format!("--exceptions {}", path.display()))
    };
    let set_known = |value: &Value| {
        let cases = value["cases"].as_array().unwrap();
        let case = cases
            .iter()
            .find(|c| c["namespace"] == "openshift-surprise" && c["check"] == "set-known");
        case.unwrap()["verdict"].clone()
    };
    let (run, value) = with("2999-12-31");
    assert_eq!(set_known(&value), "Excepted");
    assert!(
        run.err.contains("the exception for openshift-gone is not needed"),
        "{run:?}"
    );
    assert_eq!(set_known(&with("2020-01-01").1), "Fail", "it has expired");
    std::fs::write(
        &path,
        "exceptions: [{namespace: openshift-surprise, expires: 2999-12-31}]",
    )
    .unwrap();
    let run = cluster
        .bulkhead(&format!("verify --exceptions {}", path.display()))
        .exits(2);
    assert!(run.err.contains("reason"), "{run:?}");
    cluster.bulkhead("verify --exceptions nowhere.yaml").exits(2);
    cluster.bulkhead("verify --nonsense").exits(2);
    cluster.bulkhead("verify no-such-namespace").exits(2);
}

fn formats(cluster: &Cluster) {
    let path = cluster.kubeconfig().with_file_name("junit_bulkhead.xml");
    let run = cluster
        .bulkhead(&format!("verify --junit {}", path.display()))
        .exits(1);
    assert!(
        run.out
            .lines()
            .any(|l| l.starts_with("openshift-surprise") && l.contains("Fail")),
        "{run:?}"
    );
    assert!(run.err.contains("cases hold"), "{run:?}");
    let file = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        file,
        cluster.bulkhead("verify -o junit").exits(1).out,
        "stable from run to run"
    );
    assert!(
        file.contains("name=\"[sig-network] ns/openshift-surprise is set-known\""),
        "{file}"
    );
    cluster.kubectl("delete ns openshift-surprise");
    cluster.kubectl("delete systemnamespace openshift-surprise --ignore-not-found");
}

fn refused_cleanup(cluster: &Cluster) {
    let run = cluster.bulkhead("cleanup --settle-time 500ms").exits(1);
    assert!(run.err.contains("hold is not set"), "{run:?}");
    let dry = cluster.bulkhead("cleanup --dry-run").exits(0);
    assert!(
        dry.out
            .contains("bulkhead-default-deny deleted in namespace openshift-dns (dry run)"),
        "{dry:?}"
    );
    assert!(cluster.exists("netpol bulkhead-default-deny -n openshift-dns"));
    let mut operator = Operator::start(cluster);
    cluster.bulkhead("unrestrict").exits(0);
    eventually("the operator leads", || {
        cluster.exists("lease bulkhead-operator -n openshift-bulkhead")
    });
    let run = cluster.bulkhead("cleanup --settle-time 500ms").exits(1);
    assert!(run.err.contains("an operator is alive"), "{run:?}");
    operator.end();
    cluster.apply(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: shipped, namespace: openshift-dns}\n\
         spec: {podSelector: {}, policyTypes: [Ingress]}\n",
    );
    let run = cluster.bulkhead("cleanup --settle-time 500ms").exits(1);
    assert!(
        run.out
            .lines()
            .any(|l| l.starts_with("openshift-dns ") && l.contains("Denies")),
        "{run:?}"
    );
    assert!(run.err.contains("--accept-denials"), "{run:?}");
    cluster.kubectl("delete netpol shipped -n openshift-dns");
    cluster.bulkhead("unrestrict --release").exits(0);
}

/// Somebody else's guard that refuses new policies in one namespace.
const REFUSAL: &str = r"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: refusal}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [networking.k8s.io], apiVersions: [v1], operations: [CREATE], resources: [networkpolicies]}
  validations:
  - {expression: object.metadata.namespace != 'openshift-service-ca', message: refused by a test}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: refusal}
spec: {policyName: refusal, validationActions: [Deny]}
";

fn downgrade(cluster: &Cluster) {
    cluster.kubectl("delete netpol --all -n openshift-service-ca");
    cluster.apply(REFUSAL);
    eventually("new policies are refused in one namespace", || {
        cluster
            .bulkhead("unrestrict --dry-run=server")
            .err
            .contains("openshift-service-ca is NOT opened")
    });
    let run = cluster.bulkhead("prepare-downgrade").exits(1);
    assert!(run.err.contains("not opened: openshift-service-ca"), "{run:?}");
    cluster.kubectl("delete validatingadmissionpolicybinding,validatingadmissionpolicy refusal");
    eventually("new policies are accepted", || {
        cluster.bulkhead("unrestrict --dry-run=server").code == 0
    });
    cluster
        .bulkhead("override openshift-monitoring --mode Restricted --reason test")
        .exits(0);
    bundle(cluster);
    let run = cluster.bulkhead("prepare-downgrade").exits(0);
    assert!(run.err.contains("Verified: "), "{run:?}");
    let shield = "netpol bulkhead-allow-all-external-secrets -n external-secrets";
    assert!(
        cluster.exists(shield),
        "the bundle's namespace is not open: {run:?}"
    );
    for name in ["openshift-dns", "openshift-monitoring", "openshift-bulkhead"] {
        assert!(
            cluster.exists(&format!("netpol bulkhead-allow-all -n {name}")),
            "{name}"
        );
    }
    assert_eq!(
        cluster.get("systemisolation cluster")["spec"]["hold"]["state"],
        "Open"
    );
}

/// What an operator would have made of a bundle: a namespace that its policies close.
fn bundle(cluster: &Cluster) {
    cluster.apply(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: external-secrets}\n---\n\
         apiVersion: v1\nkind: Namespace\nmetadata: {name: external-secrets-operator}\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata: {name: controller, namespace: external-secrets, labels: \
         {app.kubernetes.io/name: external-secrets}}\n\
         spec: {automountServiceAccountToken: false, containers: [{name: c, image: none}]}\n",
    );
    let rendered = cluster.bulkhead("render operand external-secrets").exits(0);
    cluster.apply_as("bulkhead", &rendered.out);
    let shown = cluster.bulkhead("operands").exits(0);
    assert!(
        shown
            .err
            .contains("external-secrets was deleted; its policies still stand in 2 namespaces"),
        "{shown:?}"
    );
    cluster.apply(
        &std::fs::read_to_string(support::folder("manifests/operands/external-secrets.yaml")).unwrap(),
    );
    let shown = cluster.bulkhead("operands external-secrets -o wide").exits(0);
    assert!(
        shown.out.contains("NoStatus") && !shown.err.contains("deleted"),
        "{shown:?}"
    );
    cluster.kubectl("delete operandnetworkpolicy external-secrets");
}

fn cleanup(cluster: &Cluster) {
    let run = cluster.bulkhead("cleanup --settle-time 500ms").exits(0);
    let at = |part: &str| {
        run.out
            .lines()
            .position(|l| l.contains(part))
            .unwrap_or_else(|| panic!("{part}: {run:#?}"))
    };
    let lines: Vec<&str> = run.out.lines().collect();
    let last = |part: &str| lines.iter().rposition(|l| l.contains(part)).unwrap();
    let deny = at("bulkhead-default-deny deleted in namespace openshift-dns");
    assert!(deny < at("/bulkhead-dns-"), "what denies goes before what allows");
    let first_opener = at("bulkhead-allow-all deleted");
    let sets = |line: &&str| line.contains("networkpolicy") && !line.contains("bulkhead-allow-");
    assert!(
        run.out.lines().skip(first_opener).find(sets).is_none(),
        "{run:#?}"
    );
    assert!(
        last("bulkhead-allow-all deleted") < at("systemnamespace."),
        "{run:#?}"
    );
    let left = cluster.kubectl("get netpol,systemnamespaces -A -o name");
    assert!(!left.contains("bulkhead"), "{left}");
    assert_eq!(cluster.kubectl("get netpol -n external-secrets -o name"), "");
    assert!(
        at("deny-all-traffic deleted in namespace external-secrets") < at("/allow-to-dns deleted"),
        "the deny of a bundle goes first: {run:#?}"
    );
    assert_eq!(
        cluster.kubectl("get ns -l network.operator.openshift.io/system-namespace -o name"),
        ""
    );
    let again = cluster.bulkhead("cleanup --settle-time 500ms").exits(0);
    assert!(again.err.contains("Nothing of Bulkhead is left"), "{again:?}");
}

fn unrestricted(cluster: &Cluster) {
    cluster.bulkhead("unrestrict --release").exits(0);
    let mut operator = Operator::start(cluster);
    cluster
        .bulkhead("mode Unrestricted --wait --timeout 120s")
        .exits(0);
    let (run, value) = verify(cluster, "");
    assert_eq!(failures(&value), Vec::<String>::new());
    run.exits(0);
    operator.end();
    cluster.kubectl("delete netpol bulkhead-allow-all -n openshift-dns");
    cluster.apply(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: shipped, namespace: openshift-dns}\n\
         spec: {podSelector: {}, policyTypes: [Ingress]}\n",
    );
    finds(cluster, "openshift-dns covered", "is not reachable by everybody");
    cluster.bulkhead("mode Unrestricted --isolation Ingress").exits(1);
    assert_eq!(
        json!(null),
        cluster.get("systemisolation cluster")["spec"]["hold"]
    );
}
