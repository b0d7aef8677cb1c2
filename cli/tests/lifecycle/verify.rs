//! What verify says of a cluster, before and under an operator.

use serde_json::{Value, json};

use crate::judged::{failures, finds, verify};
use crate::operator::{Operator, populate};
use crate::support::{self, Cluster, eventually};

pub fn before_any_operator(cluster: &Cluster) {
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

pub fn restricted(cluster: &Cluster) {
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
pub fn planted_holes(cluster: &Cluster) {
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

pub fn extra_allow(cluster: &Cluster) {
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

pub fn exceptions(cluster: &Cluster) {
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

pub fn formats(cluster: &Cluster) {
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

pub fn unrestricted(cluster: &Cluster) {
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
