//! The manifests as kubectl renders them, and installed on a real API server.

// This file has its own runner, so it does not count as a test for these lints.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::process::ExitCode;

use bulkhead_api::network::Network;
use bulkhead_api::yaml;
use kube::CustomResourceExt as _;
use serde_json::Value;
use support::{Cluster, eventually};

fn main() -> ExitCode {
    support::run(&[
        ("every overlay renders", every_overlay_renders),
        (
            "only the plain Kubernetes overlay defines a kind of OpenShift's",
            no_foreign_definitions,
        ),
        (
            "rights name what they need: no wildcards, secrets, exec or roles",
            least_privilege,
        ),
        (
            "nobody gets rights to write our kinds by aggregation",
            aggregation,
        ),
        ("pods meet the restricted pod security standard", pod_security),
        (
            "the patch for the Network kind says what the type says",
            network_patch,
        ),
        (
            "definitions and overlay install on any cluster in two steps",
            install,
        ),
        (
            "the patch adds the switch to a Network kind without it",
            patched_network,
        ),
    ])
}

const OVERLAYS: [&str; 5] = [
    "base",
    "base/verify",
    "overlays/kubernetes",
    "overlays/openshift",
    "overlays/payload",
];

fn render(cluster: &Cluster, overlay: &str) -> Vec<Value> {
    let folder = support::folder(&format!("manifests/{overlay}"));
    yaml::documents(&cluster.kubectl(&format!("kustomize {folder}"))).unwrap()
}

fn of_kind<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn every_overlay_renders(cluster: &Cluster) {
    for overlay in OVERLAYS {
        let objects = render(cluster, overlay);
        assert!(!objects.is_empty(), "{overlay}");
        let ours = |o: &Value| {
            matches!(
                o["metadata"]["namespace"].as_str(),
                None | Some("openshift-bulkhead")
            )
        };
        assert!(
            objects.iter().all(ours),
            "{overlay} writes into a namespace that is not ours"
        );
    }
    let payload = render(cluster, "overlays/payload");
    let profile = "include.release.openshift.io/self-managed-high-availability";
    let without: Vec<&Value> = payload
        .iter()
        .filter(|o| o["metadata"]["annotations"][profile] != "true")
        .collect();
    assert!(
        without.is_empty(),
        "a manifest without a profile is skipped silently: {without:?}"
    );
    assert_eq!(of_kind(&payload, "ClusterOperator").count(), 1);
}

fn no_foreign_definitions(cluster: &Cluster) {
    for overlay in OVERLAYS {
        let objects = render(cluster, overlay);
        let groups: BTreeSet<&str> = of_kind(&objects, "CustomResourceDefinition")
            .filter_map(|d| d["spec"]["group"].as_str())
            .collect();
        let foreign: Vec<&&str> = groups.iter().filter(|g| **g != bulkhead_api::GROUP).collect();
        let expected: &[&&str] = if overlay == "overlays/kubernetes" {
            &[&"operator.openshift.io"]
        } else {
            &[]
        };
        assert_eq!(foreign, expected, "{overlay}");
    }
}

fn least_privilege(cluster: &Cluster) {
    let objects = render(cluster, "overlays/openshift");
    let rules: Vec<&Value> = of_kind(&objects, "ClusterRole")
        .chain(of_kind(&objects, "Role"))
        .flat_map(|role| role["rules"].as_array().unwrap())
        .collect();
    assert!(rules.len() > 10);
    for rule in rules {
        let all = [&rule["apiGroups"], &rule["resources"], &rule["verbs"]]
            .map(texts)
            .concat();
        assert!(!all.iter().any(|word| word.contains('*')), "{rule}");
        let refused = [
            "secrets",
            "configmaps",
            "pods/exec",
            "roles",
            "clusterroles",
            "escalate",
            "bind",
            "impersonate",
        ];
        assert!(!all.iter().any(|word| refused.contains(word)), "{rule}");
        let writes = ["create", "update", "patch", "delete", "deletecollection"];
        if texts(&rule["apiGroups"]).contains(&bulkhead_api::GROUP) {
            let specs = texts(&rule["resources"]).iter().any(|r| !r.contains('/'));
            let changes = texts(&rule["verbs"]).iter().any(|v| writes[1..].contains(v));
            assert!(
                !(specs && changes),
                "the operator never writes a specification: {rule}"
            );
        }
    }
    let verify = of_kind(&objects, "ClusterRole")
        .find(|r| r["metadata"]["name"] == "bulkhead-verify")
        .unwrap();
    for rule in verify["rules"].as_array().unwrap() {
        assert!(
            texts(&rule["verbs"])
                .iter()
                .all(|verb| ["get", "list"].contains(verb)),
            "{rule}"
        );
    }
}

fn aggregation(cluster: &Cluster) {
    let objects = render(cluster, "base");
    let mut aggregated = 0;
    for role in of_kind(&objects, "ClusterRole") {
        let Some(labels) = role["metadata"]["labels"].as_object() else {
            continue;
        };
        if !labels.keys().any(|key| key.contains("/aggregate-to-")) {
            continue;
        }
        aggregated += 1;
        assert!(
            !labels
                .keys()
                .any(|key| key.ends_with("-to-admin") || key.ends_with("-to-edit")),
            "{role}"
        );
        for rule in role["rules"].as_array().unwrap() {
            assert_eq!(texts(&rule["verbs"]), ["get", "list", "watch"], "{role}");
        }
    }
    assert_eq!(aggregated, 2);
}

fn pod_security(cluster: &Cluster) {
    let mut pods = 0;
    for overlay in OVERLAYS {
        let objects = render(cluster, overlay);
        for owner in of_kind(&objects, "Deployment").chain(of_kind(&objects, "Job")) {
            let spec = &owner["spec"]["template"]["spec"];
            assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
            assert_eq!(
                spec["securityContext"]["seccompProfile"]["type"],
                "RuntimeDefault"
            );
            for container in spec["containers"].as_array().unwrap() {
                let context = &container["securityContext"];
                assert_eq!(context["allowPrivilegeEscalation"], false);
                assert_eq!(context["readOnlyRootFilesystem"], true);
                assert_eq!(texts(&context["capabilities"]["drop"]), ["ALL"]);
                assert!(container["resources"]["requests"]["memory"].is_string());
                pods += 1;
            }
        }
    }
    assert_eq!(pods, OVERLAYS.len());
}

fn network_patch(_: &Cluster) {
    let file = support::folder("manifests/overlays/openshift/network-crd-patch.yaml");
    let patch: Value = yaml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let definition = serde_json::to_value(Network::crd()).unwrap();
    let pointer = patch[0]["path"].as_str().unwrap();
    assert_eq!(
        Some(&patch[0]["value"]),
        definition.pointer(pointer),
        "the type has changed: make the patch anew"
    );
}

fn install(cluster: &Cluster) {
    cluster.kubectl(&format!("apply -k {}", support::folder("manifests/crds")));
    cluster.kubectl("wait --for=condition=Established crd --all --timeout=60s");
    cluster.kubectl(&format!(
        "apply -k {}",
        support::folder("manifests/overlays/kubernetes")
    ));
    assert!(cluster.exists("systemnetworkpolicy bulkhead -n openshift-bulkhead"));
    cluster.kubectl(&format!("apply -k {}", support::folder("manifests/base/verify")));
    let warned = cluster
        .try_kubectl(&["apply", "-k", &support::folder("manifests/overlays/kubernetes")])
        .exits(0);
    assert_eq!(
        warned.err, "",
        "the second time, and without warnings of the pod security standard"
    );
}

fn patched_network(cluster: &Cluster) {
    cluster.kubectl("delete crd networks.operator.openshift.io");
    cluster.apply(support::PLAIN_NETWORK);
    cluster.kubectl("wait --for=condition=Established crd networks.operator.openshift.io --timeout=60s");
    assert!(cluster.bulkhead("mode").exits(0).out.contains("systemisolation"));
    let file = support::folder("manifests/overlays/openshift/network-crd-patch.yaml");
    let patch = [
        "patch",
        "crd",
        "networks.operator.openshift.io",
        "--type=json",
        "--patch-file",
        &file,
    ];
    cluster.try_kubectl(&patch).exits(0);
    eventually("the API server serves the new field", || {
        let run = cluster.bulkhead("mode Restricted --dry-run=server -o yaml");
        run.code == 0 && run.out.contains("mode: Restricted") && run.out.contains("kind: Network")
    });
}
