//! Opening everything, and what comes after.

use serde_json::{Value, json};

use crate::support::{self, Cluster, eventually};
use crate::{ISOLATION, namespace};

pub fn emergency_without_definitions(cluster: &Cluster) {
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

fn opens_all(policy: &Value) -> bool {
    policy["spec"]
        == json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]})
}

pub fn emergency(cluster: &Cluster) {
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

pub fn emergency_against_squatters(cluster: &Cluster) {
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

pub fn emergency_with_few_rights(cluster: &Cluster) {
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

pub fn release(cluster: &Cluster) {
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
