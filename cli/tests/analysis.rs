//! The analysing verbs against a real API server.

// This file has its own runner, so it does not count as a test for these lints.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::ExitCode;

use serde_json::Value;
use support::{Cluster, Run, eventually};

fn main() -> ExitCode {
    support::run(&[
        ("questions are answered from what the cluster stores", questions),
        (
            "the matrix and the coverage of a cluster agree with single answers",
            matrix,
        ),
        ("files replace objects of the cluster under the same name", mixed),
        (
            "a cluster and a directory, and two contexts, are states that differ",
            difference,
        ),
        ("findings of lint name objects of the cluster", lint),
        (
            "a plan and a difference of modes are made without an operator and write nothing",
            switch,
        ),
        ("groups are compared with the NetNamespaces of the cluster", vnid),
        (
            "status fills jsonpath templates and names objects, and unchanged writes are told",
            habits,
        ),
        (
            "a kind that may not be listed is an error that names it",
            forbidden,
        ),
    ])
}

fn fixture(path: &str) -> String {
    support::folder(&format!("cli/tests/fixtures/{path}"))
}

fn rows(run: &Run) -> Vec<Vec<&str>> {
    let cells = |line| {
        str::split(line, "   ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .collect()
    };
    run.out.lines().skip(1).map(cells).collect()
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.out).expect("JSON")
}

/// The objects of a resource with their versions.
fn versions(cluster: &Cluster, resource: &str) -> String {
    let columns = "custom-columns=NS:.metadata.namespace,N:.metadata.name,V:.metadata.resourceVersion";
    cluster.kubectl(&format!("get {resource} -A -o {columns}"))
}

fn questions(cluster: &Cluster) {
    cluster.kubectl(&format!("apply -f {}", support::folder("manifests/crds")));
    cluster.kubectl("wait --for=condition=Established crd --all --timeout=60s");
    cluster.kubectl("create ns shop");
    cluster.kubectl("create ns tenant");
    cluster.kubectl("label ns tenant team=other");
    cluster.apply(PODS);
    cluster.kubectl(&format!("apply -f {}", fixture("shop/policies.yaml")));
    let allowed = cluster.bulkhead("can-connect -n shop web svc/api").exits(0);
    assert_eq!(
        rows(&allowed)[0][..4],
        ["shop/pod/web", "shop/pod/api", "TCP/443->8443", "Allowed"]
    );
    cluster
        .bulkhead("can-connect tenant/guest shop/api -p 8443")
        .exits(1);
    let explained = cluster.bulkhead("explain shop/web shop/db -p 5432").exits(0);
    assert!(explained.out.contains("isolated by shop/db\n"), "{explained:?}");
    assert!(
        explained
            .out
            .contains("not allowed by shop/db spec.ingress[0]: does not name this peer"),
        "{explained:?}"
    );
    // An API server on loopback publishes no endpoints of its own.
    cluster.apply(KUBERNETES);
    let api = cluster.bulkhead("can-connect shop/web apiserver").exits(0);
    assert_eq!(rows(&api)[0][1..3], ["host:192.0.2.10", "TCP/6444"]);
    cluster.bulkhead("can-connect shop/nobody shop/api -p 1").exits(2);
}

/// Pods only: nothing runs them, and without a Deployment there is one of each.
const PODS: &str = "
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: web, namespace: shop, labels: {app: web}}
  spec: {containers: [{name: c, image: i, ports: [{containerPort: 8080}]}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: api, namespace: shop, labels: {app: api}}
  spec: {containers: [{name: c, image: i, ports: [{containerPort: 8443, name: https}]}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: db, namespace: shop, labels: {app: db}}
  spec: {containers: [{name: c, image: i, ports: [{containerPort: 5432}]}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: guest, namespace: tenant, labels: {app: guest}}
  spec: {containers: [{name: c, image: i}]}
- apiVersion: v1
  kind: Service
  metadata: {name: api, namespace: shop}
  spec: {selector: {app: api}, ports: [{port: 443, targetPort: https}]}
";

const KUBERNETES: &str = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.10]}]
ports: [{name: https, port: 6444, protocol: TCP}]
";

fn matrix(cluster: &Cluster) {
    let run = cluster
        .bulkhead("connectivity -o csv --from shop --to shop")
        .exits(0);
    assert!(
        run.out.contains("shop/pod/web,shop/pod/api,TCP/8443,,"),
        "{run:?}"
    );
    assert!(run.out.contains("shop/pod/api,shop/pod/db,TCP/5432,,"), "{run:?}");
    assert!(!run.out.contains("shop/pod/web,shop/pod/db"), "{run:?}");
    let coverage = json(&cluster.bulkhead("coverage shop tenant -o json").exits(0));
    assert_eq!(
        (
            &coverage[0]["ingress"]["covered"],
            &coverage[0]["egress"]["covered"]
        ),
        (&3.into(), &0.into())
    );
    assert_eq!(coverage[1]["ingress"]["covered"], 0);
}

fn mixed(cluster: &Cluster) {
    let files = fixture("shop-next/policies.yaml");
    let question = "can-connect shop/web shop/api -p 8443";
    cluster.bulkhead(question).exits(0);
    cluster
        .bulkhead(&format!("{question} -f {files} --with-cluster"))
        .exits(1);
    let alone = cluster.bulkhead(&format!("{question} -f {files}")).exits(2);
    assert!(
        alone.err.contains("nothing is known of 'shop/web'"),
        "without the cluster there are no pods: {alone:?}"
    );
}

fn difference(cluster: &Cluster) {
    let same = cluster.bulkhead("diff cluster cluster").exits(0);
    assert!(same.out.is_empty(), "{same:?}");
    let context = cluster.kubectl("config current-context");
    cluster
        .bulkhead(&format!("diff cluster context:{}", context.trim()))
        .exits(0);
    cluster.bulkhead("diff cluster context:nowhere").exits(2);
    let run = cluster
        .bulkhead(&format!("diff cluster {}", fixture("shop")))
        .exits(1);
    assert!(run.err.contains("workloads only after:"), "{run:?}");
}

fn lint(cluster: &Cluster) {
    cluster.kubectl("create ns lint");
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: named, namespace: lint, annotations: {network.operator.openshift.io/lint-ignore: selects-nothing=pods come later}}\nspec:\n  podSelector: {matchLabels: {a: b}}\n  policyTypes: [Ingress]\n  ingress: [{ports: [{port: http}]}]\n";
    cluster.apply(policy);
    let run = cluster
        .bulkhead("lint --check named-port --check selects-nothing")
        .exits(1);
    assert!(
        run.out
            .contains("<cluster>: warning: lint/named spec.ingress[0].ports[0].port"),
        "{run:?}"
    );
    assert!(run.out.contains("(accepted: pods come later)"), "{run:?}");
    cluster.kubectl("delete ns lint --wait=false");
}

fn switch(cluster: &Cluster) {
    cluster.kubectl("create ns openshift-own");
    cluster.apply("apiVersion: v1\nkind: Pod\nmetadata: {name: own, namespace: openshift-own, labels: {app: own}}\nspec: {containers: [{name: c, image: i, ports: [{containerPort: 8443}]}]}\n");
    cluster.kubectl(&format!("apply -f {}", fixture("openshift/own.yaml")));
    let before = versions(cluster, "netpol,ns,systemnamespaces");
    let plan = cluster.bulkhead("plan Restricted openshift-own").exits(0);
    let what: Vec<&str> = rows(&plan)
        .iter()
        .map(|r| r[4].split("; ").next().unwrap())
        .collect();
    assert_eq!(
        what.first(),
        Some(&"create NetworkPolicy bulkhead-allow-all"),
        "{plan:?}"
    );
    let contract = rows(&plan).into_iter().find(|r| r[3] == "Contract").unwrap();
    assert!(
        contract[4].starts_with("delete NetworkPolicy bulkhead-allow-all; loses own Ingress"),
        "{plan:?}"
    );
    let difference = json(&cluster.bulkhead("diff --mode Restricted -o json").exits(1));
    let lost = difference["changes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["source"] == "tenant/pod/guest" && c["destination"] == "openshift-own/pod/own");
    assert_eq!(lost.unwrap()["lost"], "all ports");
    assert_eq!(
        versions(cluster, "netpol,ns,systemnamespaces"),
        before,
        "nothing was written"
    );
}

const NET_NAMESPACES: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: netnamespaces.network.openshift.io}
spec:
  group: network.openshift.io
  names: {kind: NetNamespace, listKind: NetNamespaceList, plural: netnamespaces, singular: netnamespace}
  scope: Cluster
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

fn vnid(cluster: &Cluster) {
    let none = cluster
        .bulkhead("vnid-groups --catalog-only --expect cluster")
        .exits(2);
    assert!(none.err.contains("the cluster has no NetNamespaces"), "{none:?}");
    cluster.apply(NET_NAMESPACES);
    cluster.kubectl("wait --for=condition=Established crd/netnamespaces.network.openshift.io --timeout=60s");
    let item = |name: &str, id: u32| {
        format!(
            "apiVersion: network.openshift.io/v1\nkind: NetNamespace\nmetadata: {{name: {name}}}\nnetname: {name}\nnetid: {id}\n---\n"
        )
    };
    cluster.apply(&(item("openshift-dns", 0) + &item("openshift-etcd", 1) + &item("tenant", 17)));
    let run = cluster
        .bulkhead("vnid-groups --catalog-only --expect cluster")
        .exits(1);
    assert!(
        run.err.contains("openshift-etcd is superfluous in control-plane"),
        "{run:?}"
    );
    assert!(
        run.err.contains("openshift-monitoring is missing in default"),
        "{run:?}"
    );
    assert!(
        !run.err.contains("openshift-dns ") && !run.err.contains("tenant"),
        "{run:?}"
    );
    cluster.kubectl("delete crd netnamespaces.network.openshift.io");
}

fn habits(cluster: &Cluster) {
    cluster.bulkhead("adopt shop").exits(0);
    let again = cluster.bulkhead("adopt shop --error-unchanged").exits(3);
    assert!(again.out.contains("(no change)"), "{again:?}");
    cluster.bulkhead("adopt shop").exits(0);
    cluster.bulkhead("mode Unrestricted --error-unchanged").exits(0);
    cluster.bulkhead("mode Unrestricted --error-unchanged").exits(3);
    cluster
        .bulkhead("adopt tenant --release --error-unchanged")
        .exits(0);
    let template = [
        "status",
        "shop",
        "-o",
        "jsonpath={.metadata.name} {.spec.adoption}{\"\\n\"}",
    ];
    let run: Run = cluster.command(&template).output().unwrap().into();
    assert_eq!(run.exits(0).out, "shop Adopted\n");
    let range = [
        "status",
        "-o",
        "jsonpath={range .items[*]}{.kind}/{.metadata.name} {end}",
    ];
    let run: Run = cluster.command(&range).output().unwrap().into();
    assert_eq!(
        run.exits(0).out.trim(),
        "SystemIsolation/cluster SystemNamespace/shop SystemNamespace/tenant"
    );
    let names = cluster.bulkhead("status shop -o name").exits(0);
    assert_eq!(names.out, "systemnamespace.network.operator.openshift.io/shop\n");
    let bad = cluster.bulkhead("status -o jsonpath={.a").exits(1);
    assert!(bad.err.contains("a brace is not closed"), "{bad:?}");
    let mode = cluster.bulkhead("mode -o jsonpath={.mode}").exits(0);
    assert_eq!(mode.out, "Unrestricted\n");
}

fn forbidden(cluster: &Cluster) {
    cluster.kubectl("create clusterrole few --verb=list,get --resource=namespaces,pods");
    cluster.kubectl("create clusterrolebinding few --clusterrole=few --user=jane");
    eventually("the rights of jane arrive", || {
        let run = cluster.bulkhead("coverage --as jane");
        run.code == 2 && run.err.contains("cannot list ") && run.err.contains("jane")
    });
}
