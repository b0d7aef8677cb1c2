//! The way out: downgrade and clean-up.

use crate::operator::Operator;
use crate::support::{self, Cluster, eventually};

pub fn refused_cleanup(cluster: &Cluster) {
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

pub fn downgrade(cluster: &Cluster) {
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

pub fn cleanup(cluster: &Cluster) {
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
