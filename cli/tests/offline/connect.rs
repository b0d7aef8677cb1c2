//! `can-connect` and `explain`, and how input is read.

use crate::run::{bulkhead, rows, with_input};

#[test]
fn a_service_is_judged_at_the_ports_of_its_pods() {
    let run = bulkhead("can-connect -n shop web svc/api -f shop").exits(0);
    let rows = rows(&run.out);
    assert_eq!(
        rows[0][..4],
        [
            "shop/deployment/web",
            "shop/deployment/api",
            "TCP/443->8443",
            "Allowed"
        ]
    );
    assert!(
        rows[0][4].ends_with("ingress: shop/api spec.ingress[0] allows it"),
        "{rows:?}"
    );
    let run = bulkhead("can-connect shop/web shop/svc/api --port 8443 -f shop").exits(2);
    assert!(run.err.contains("has no such port; it has TCP/443"), "{run:?}");
}

#[test]
fn denied_connections_exit_with_one_and_name_who_isolates() {
    let run = bulkhead("can-connect tenant/guest ns/shop -p 8443 -f shop").exits(1);
    let answers: Vec<(&str, &str)> = rows(&run.out).iter().map(|r| (r[1], r[3])).collect();
    let expected = [
        ("shop/deployment/api", "Denied"),
        ("shop/deployment/web", "Denied"),
        ("shop/pod/agent-x", "Allowed"),
        ("shop/statefulset/db", "Denied"),
    ];
    assert_eq!(answers, expected);
    assert!(
        run.out
            .contains("isolated by shop/default-deny, shop/db, and no rule allows it"),
        "{run:?}"
    );
}

#[test]
fn addresses_nodes_and_names_are_ends_too() {
    bulkhead("can-connect 10.9.1.1 shop/api -p 9443 -f shop").exits(0);
    bulkhead("can-connect 10.8.1.1 shop/api -p 9443 -f shop").exits(1);
    let pod = bulkhead("can-connect 10.1.0.9 shop/api -p https -f shop").exits(1);
    assert!(
        pod.out.contains("tenant/pod/guest"),
        "an address of a pod is that pod: {pod:?}"
    );
    bulkhead("can-connect shop/db host -p 22 -f shop").exits(0);
    let unknown = bulkhead("can-connect outside shop/api -p 9443 -f shop").exits(1);
    assert!(unknown.out.contains("Unknown"), "{unknown:?}");
    let icmp = bulkhead("can-connect shop/web shop/api -p icmp -f shop").exits(1);
    assert!(
        icmp.out.contains("does not define protocols other than"),
        "{icmp:?}"
    );
    let api = bulkhead("can-connect shop/web apiserver -f shop").exits(0);
    assert!(api.out.contains("TCP/6443"), "{api:?}");
    let nobody = bulkhead("can-connect shop/nobody shop/api -p 1 -f shop").exits(2);
    assert!(
        nobody.err.contains("nothing is known of 'shop/nobody'"),
        "{nobody:?}"
    );
}

#[test]
fn explanations_name_rules_with_file_and_line_and_what_they_lack() {
    let run = bulkhead("explain shop/web shop/db -f shop").exits(0);
    let expected = "\
shop/deployment/web -> shop/statefulset/db TCP/5432: Denied
  egress of shop/deployment/web: Allowed, no policy isolates the pod
  ingress of shop/statefulset/db: Denied, isolated by shop/default-deny, shop/db, and no rule allows it
    isolated by shop/default-deny (shop/policies.yaml:4)
    isolated by shop/db (shop/policies.yaml:27)
    not allowed by shop/db spec.ingress[0] (shop/policies.yaml:31): does not name this peer
";
    assert_eq!(run.out, expected);
    let ports = bulkhead("explain shop/web shop/api -p 80 -f shop").exits(0);
    assert!(
        ports
            .out
            .contains("shop/policies.yaml:15): names this peer on TCP/8443 only"),
        "{ports:?}"
    );
    let json = bulkhead("explain shop/web shop/svc/api -f shop -o json")
        .exits(0)
        .json();
    let rule = &json[0]["reasons"]["ingress"]["allowedBy"][0];
    assert_eq!(
        (&rule["rule"], &rule["place"]),
        (&"spec.ingress[0]".into(), &"shop/policies.yaml:15".into())
    );
}

const ADMIN: &str = r"
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: no-guests}
spec:
  tier: Admin
  priority: 10
  subject: {namespaces: {matchLabels: {team: shop}}}
  ingress:
  - action: Deny
    from: [{namespaces: {matchLabels: {team: other}}}]
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec:
  subject: {namespaces: {}}
  egress:
  - action: Deny
    to: [{networks: [10.9.0.0/16]}]
";

#[test]
fn cluster_policies_decide_before_and_after_network_policies() {
    let run = with_input("explain tenant/guest shop/api -p 8443 -f shop -f -", ADMIN).exits(0);
    assert!(
        run.out
            .contains("decided by ClusterNetworkPolicy no-guests spec.ingress[0] (<stdin>:10): Deny"),
        "{run:?}"
    );
    let pairs = with_input("connectivity -f shop -f - -o csv --from tenant --to shop", ADMIN).exits(0);
    assert_eq!(
        pairs.out.lines().count(),
        2,
        "all that is left is the pod on the host network: {pairs:?}"
    );
    let run = with_input("explain tenant/guest 10.9.0.1 -p 1 -f shop -f -", ADMIN).exits(0);
    assert!(
        run.out
            .contains("decided by BaselineAdminNetworkPolicy default spec.egress[0]"),
        "{run:?}"
    );
}

#[test]
fn malformed_documents_are_told_and_the_rest_is_read_unless_strict() {
    let bad = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: 7}\n---\na: [\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: bad, namespace: shop}\nspec:\n  podSelector: {}\n  ingress:\n  - ports:\n    - port: 70000\n";
    let run = with_input("can-connect shop/web shop/api -p 8443 -f shop -f -", bad).exits(0);
    assert!(
        run.err
            .contains("warning: <stdin>:4: Pod default/x: invalid type"),
        "{run:?}"
    );
    assert!(run.err.contains("warning: <stdin>:7: "), "{run:?}");
    assert!(
        run.err.contains("warning: <stdin>:15: NetworkPolicy shop/bad: the API server would refuse it: spec.ingress[0].ports[0].port"),
        "{run:?}"
    );
    let strict = with_input("can-connect shop/web shop/api -p 8443 -f shop --strict -f -", bad).exits(2);
    assert!(strict.err.starts_with("error: <stdin>:"), "{strict:?}");
}

#[test]
fn what_is_passed_over_and_assumed_is_said() {
    let run = bulkhead("can-connect shop/web shop/api -f shop").exits(0);
    assert!(
        run.err
            .contains("passed over 1 object of another kind: 1 ConfigMap"),
        "{run:?}"
    );
    let run = bulkhead("can-connect shop/web shop/api -f shop/policies.yaml").exits(2);
    assert!(
        run.err.contains("1 namespace is not among the objects"),
        "{run:?}"
    );
    let missing = bulkhead("can-connect a b -f nowhere").exits(2);
    assert!(missing.err.contains("cannot read nowhere"), "{missing:?}");
    let recursive = bulkhead("can-connect shop/web shop/api -f .").exits(2);
    assert!(
        recursive.err.contains("-R also reads the directories in it"),
        "{recursive:?}"
    );
}

#[test]
fn a_numeric_target_port_is_what_policies_see() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\nspec: {selector: {app: db}, ports: [{port: 80, targetPort: 5432}]}\n";
    let run = with_input("can-connect shop/api shop/svc/db -f shop -f -", service).exits(0);
    assert_eq!(rows(&run.out)[0][2], "TCP/80->5432");
}

const HEADLESS: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\nspec: {clusterIP: None, selector: {app: db}, ports: [{port: 80, targetPort: 5432}]}\n";

#[test]
fn a_headless_service_leaves_what_is_dialled_as_it_is() {
    let run = with_input("can-connect shop/api shop/svc/db -p 80 -f shop -f -", HEADLESS).exits(1);
    assert_eq!(rows(&run.out)[0][2..4], ["TCP/80", "Denied"], "{run:?}");
    let run = with_input("can-connect shop/api shop/svc/db -f shop -f -", HEADLESS).exits(0);
    assert_eq!(rows(&run.out)[0][2], "TCP/5432", "{run:?}");
}

const SERVICES: &str = r"
apiVersion: v1
kind: Service
metadata: {name: by-address, namespace: shop}
spec: {clusterIP: 172.30.0.7, selector: {app: db}, ports: [{port: 80, targetPort: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: shop}
spec: {type: ExternalName, externalName: example.com, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: manual, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: portless, namespace: shop}
spec: {clusterIP: None, selector: {app: db}}
";

#[test]
fn services_that_lead_nowhere_and_words_that_mean_none_are_told() {
    let ask = |text: &str| with_input(&format!("can-connect {text} -f shop -f -"), SERVICES);
    let by_address = ask("shop/api 172.30.0.7 -p 80").exits(0);
    assert_eq!(
        rows(&by_address.out)[0][1..3],
        ["shop/statefulset/db", "TCP/80->5432"]
    );
    for (words, wanted) in [
        ("shop/api shop/svc/alias", "stands for a name outside the cluster"),
        (
            "shop/api shop/svc/manual",
            "nothing is behind shop/svc/manual on this port",
        ),
        ("shop/api shop/svc/portless", "shop/svc/portless has no ports"),
        (
            "shop/api shop/svc/by-address -p icmp",
            "forwards nothing but TCP, UDP and SCTP",
        ),
        (
            "shop/svc/by-address shop/api -p 1",
            "is a Service, which opens no connections",
        ),
        ("shop/api host:nowhere -p 1", "'nowhere' is no address"),
        (
            "shop/api shop/db -p 70000",
            "port 70000 is not between 1 and 65535",
        ),
        ("shop/api ns/nowhere -p 1", "nothing is known of 'ns/nowhere'"),
    ] {
        let run = ask(words).exits(2);
        assert!(run.err.contains(wanted), "{words}: {run:?}");
    }
}

#[test]
fn a_pod_that_is_its_own_backend_is_undecided_once_it_is_policed() {
    let run = bulkhead("can-connect shop/api shop/svc/api -f shop").exits(1);
    assert!(
        run.out.contains("Unknown") && run.out.contains("a pod reaches itself through a Service"),
        "{run:?}"
    );
}

#[test]
fn parts_of_every_cluster_are_ends_by_their_names() {
    bulkhead("can-connect kubelet shop/api -p 9443 -f shop").exits(0);
    let slice = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}\nendpoints: [{addresses: [192.0.2.10]}]\nports: [{name: https, port: 7443}]\n";
    let api = with_input("can-connect shop/web apiserver -f shop -f -", slice).exits(0);
    assert_eq!(
        rows(&api.out)[0][1..3],
        ["host:192.0.2.10", "TCP/7443"],
        "{api:?}"
    );
    let hook = with_input("can-connect webhook-caller shop/api -p 9443 -f shop -f -", slice).exits(1);
    assert!(hook.out.contains("host:192.0.2.10"), "{hook:?}");
    let hosted = with_input(
        "can-connect apiserver shop/api -p 9443 -f shop --control-plane external -f -",
        slice,
    )
    .exits(1);
    assert_eq!(
        rows(&hosted.out)[0][0],
        "outside",
        "no tunnel is known: {hosted:?}"
    );
}
