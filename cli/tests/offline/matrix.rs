//! `connectivity` and `coverage`.

use std::collections::BTreeMap;

use crate::run::{bulkhead, rows, with_input};

#[test]
fn workloads_that_are_alike_share_a_line() {
    let run = bulkhead("connectivity -f shop").exits(0);
    let expected = [
        [
            "*",
            "shop/pod/agent-x, tenant/pod/guest, host, outside",
            "all ports",
        ],
        ["host, outside", "shop/pod/agent-x, tenant/pod/guest", "all ports"],
        ["outside 10.9.0.0/16", "shop/deployment/api", "TCP/9443"],
        ["shop/deployment/api", "shop/statefulset/db", "TCP/5432"],
        [
            "shop/deployment/api, shop/statefulset/db, host",
            "shop/deployment/api",
            "TCP/9443 (unknown)",
        ],
        [
            "shop/deployment/web",
            "shop/deployment/api",
            "TCP/8443; TCP/9443 (unknown)",
        ],
    ];
    assert_eq!(rows(&run.out), expected);
}

/// Sources and destinations with their ports, by format.
fn pairs_of_csv(csv: &str) -> BTreeMap<(String, String), String> {
    let mut pairs = BTreeMap::new();
    for line in csv.lines().skip(1).filter(|line| !line.contains('"')) {
        let cells: Vec<&str> = line.split(',').collect();
        pairs.insert((cells[0].to_owned(), cells[1].to_owned()), cells[2].to_owned());
    }
    pairs
}

#[test]
fn every_pair_by_itself_says_the_same_in_csv_and_json() {
    let csv = bulkhead("connectivity -f shop -o csv --from shop --to shop")
        .exits(0)
        .out;
    let pairs = pairs_of_csv(&csv);
    let ports = |from: &str, to: &str| pairs.get(&(from.into(), to.into())).map(String::as_str);
    assert_eq!(
        ports("shop/deployment/web", "shop/deployment/api"),
        Some("TCP/8443")
    );
    assert_eq!(ports("shop/deployment/web", "shop/statefulset/db"), None);
    assert_eq!(
        ports("shop/statefulset/db", "shop/pod/agent-x"),
        Some("all ports")
    );
    let json = bulkhead("connectivity -f shop -o json --from shop --to shop")
        .exits(0)
        .json();
    let listed = json["connections"].as_array().unwrap();
    assert_eq!(listed.len(), csv.lines().count() - 1);
    let web: Vec<_> = listed
        .iter()
        .filter(|c| c["source"] == "shop/deployment/web" && c["destination"] == "shop/deployment/api")
        .collect();
    assert_eq!(web[0]["ports"][0]["port"], 8443);
    assert_eq!(web[0]["unknown"][0]["port"], 9443);
}

#[test]
fn a_question_about_one_pair_and_the_matrix_agree() {
    let csv = bulkhead("connectivity -f shop -o csv").exits(0).out;
    let pairs = pairs_of_csv(&csv);
    let workloads = [
        "shop/deployment/web",
        "shop/deployment/api",
        "shop/statefulset/db",
        "tenant/pod/guest",
    ];
    for from in workloads {
        for to in workloads {
            for port in ["8443", "5432", "1"] {
                let asked = bulkhead(&format!("can-connect {from} {to} -p {port} -f shop"));
                let answer = pairs
                    .get(&(from.to_owned(), to.to_owned()))
                    .map_or("", String::as_str);
                let open = answer == "all ports" || answer == format!("TCP/{port}");
                // A derived pod stands for all replicas, and a pod always reaches itself.
                if from != to {
                    assert_eq!(asked.code == 0, open, "{from} -> {to} {port}: {asked:?}");
                }
            }
        }
    }
}

#[test]
fn graphs_and_documents_are_well_formed() {
    let dot = bulkhead("connectivity -f shop -o dot --from shop --to shop")
        .exits(0)
        .out;
    assert!(dot.starts_with("digraph connectivity {\n") && dot.ends_with("}\n"));
    assert!(dot.contains("[label=\"TCP/5432\"];"), "{dot}");
    let by = bulkhead("connectivity -f shop -o dot --by namespace")
        .exits(0)
        .out;
    assert_eq!(
        by.matches("label=\"tenant\"").count(),
        2,
        "a cluster and its node: {by}"
    );
    let mermaid = bulkhead("connectivity -f shop -o mermaid").exits(0).out;
    assert!(
        mermaid.starts_with("flowchart LR\n") && mermaid.contains("-->|\"TCP/5432\"|"),
        "{mermaid}"
    );
    let markdown = bulkhead("connectivity -f shop -o markdown").exits(0).out;
    assert!(
        markdown.contains("| shop/deployment/api | shop/statefulset/db | TCP/5432 |\n"),
        "{markdown}"
    );
    let html = bulkhead("connectivity -f shop -o html").exits(0).out;
    assert!(
        html.starts_with("<!doctype html>") && !html.contains("/*DATA*/"),
        "{html}"
    );
    assert!(
        !html.contains("src=") && !html.contains("href="),
        "the page needs nothing else"
    );
}

#[test]
fn what_nobody_is_called_is_refused() {
    let run = bulkhead("connectivity -f shop --from nobody").exits(1);
    assert!(
        run.err
            .contains("no namespace and no workload is called 'nobody'"),
        "{run:?}"
    );
}

#[test]
fn coverage_counts_pods_by_direction_and_names_what_is_uncovered() {
    let run = bulkhead("coverage -f shop -o wide").exits(0);
    let rows = rows(&run.out);
    assert_eq!(
        rows[0][..8],
        ["shop", "3", "3/3", "0/3", "0/0", "0/0", "3/0", "0"]
    );
    assert_eq!(rows[0][9], "deployment/api,deployment/web,statefulset/db");
    assert_eq!(
        rows[1],
        [
            "tenant",
            "1",
            "0/1",
            "0/1",
            "0/0",
            "0/0",
            "0/0",
            "1",
            "pod/guest",
            "pod/guest"
        ]
    );
    let csv = bulkhead("coverage -f shop -o csv").exits(0);
    assert!(
        csv.out
            .ends_with("\nshop,3,3,3,0,0,3,0,0,0,0,0,0,3\ntenant,1,0,0,0,0,0,1,0,0,0,0,0,1\n"),
        "{csv:?}"
    );
    bulkhead("coverage shop -f shop --require ingress").exits(0);
    bulkhead("coverage shop -f shop --require ingress --require egress").exits(1);
    bulkhead("coverage -f shop --require ingress").exits(1);
    bulkhead("coverage nowhere -f shop").exits(2);
}

const TIERS: &str = r"
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: no-ssh}
spec:
  priority: 5
  subject: {namespaces: {}}
  ingress:
  - {action: Deny, from: [{namespaces: {}}], ports: [{portNumber: {protocol: TCP, port: 22}}]}
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: shut}
spec:
  tier: Baseline
  priority: 1
  subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: tenant}}}
  ingress:
  - {action: Deny, from: [{namespaces: {}}]}
";

#[test]
fn coverage_counts_each_tier_and_a_tier_covers_only_where_it_shuts_somebody_out() {
    let run = with_input("coverage -f shop -f -", TIERS).exits(0);
    let rows = rows(&run.out);
    assert_eq!(rows[0], ["shop", "3", "3/3", "0/3", "3/0", "0/0", "3/0", "0"]);
    assert_eq!(rows[1], ["tenant", "1", "0/1", "0/1", "1/0", "1/0", "1/0", "0"]);
    assert!(
        run.err.contains("4 pods: 4 covered for ingress, 0 for egress (counting 1 policies of the Admin tier and 1 of the Baseline tier)"),
        "{run:?}"
    );
    with_input("coverage -f shop -f - --require ingress", TIERS).exits(0);
    let ssh = TIERS.split("---").next().unwrap();
    let run = with_input("coverage tenant -f shop -f - --require ingress -o json", ssh).exits(1);
    let tenant = &run.json()[0]["ingress"];
    assert_eq!(
        (&tenant["admin"], &tenant["covered"], &tenant["open"]),
        (&1.into(), &0.into(), &0.into())
    );
}

const DUAL_STACK: &str = r"
apiVersion: v1
kind: Pod
metadata: {name: s, namespace: n, labels: {app: s}}
spec: {containers: [{ports: [{containerPort: 80}]}]}
status: {podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: c, namespace: n, labels: {app: c}}
status: {podIPs: [{ip: 10.1.0.1}, {ip: 'fd01::1'}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: v4, namespace: n}
spec:
  podSelector: {matchLabels: {app: s}}
  policyTypes: [Ingress]
  ingress: [{from: [{ipBlock: {cidr: 10.1.0.0/16}}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: v6, namespace: n}
spec:
  podSelector: {matchLabels: {app: s}}
  policyTypes: [Ingress]
  ingress: [{from: [{ipBlock: {cidr: 'fd01::/16'}}], ports: [{port: 80}]}]
";

#[test]
fn two_rules_for_the_two_families_of_a_pod_are_one_answer() {
    let run = with_input("explain n/c n/s -p 80 -f -", DUAL_STACK).exits(0);
    assert!(
        run.out.starts_with("n/pod/c -> n/pod/s TCP/80: Allowed\n"),
        "{run:?}"
    );
    assert!(run.out.contains("allowed by n/v4 spec.ingress[0]"), "{run:?}");
    assert!(run.out.contains("allowed by n/v6 spec.ingress[0]"), "{run:?}");
    let one = with_input("can-connect n/c n/s -p 81 -f -", DUAL_STACK).exits(1);
    assert!(
        one.out.contains("Unknown") && one.out.contains("only some of the addresses"),
        "{one:?}"
    );
    let all = with_input("connectivity -f - -o csv --from n/pod/c --to n/pod/s", DUAL_STACK).exits(0);
    let cells: Vec<&str> = all.out.lines().nth(1).unwrap().splitn(4, ',').collect();
    assert_eq!(cells[..3], ["n/pod/c", "n/pod/s", "TCP/80"], "{all:?}");
    assert!(
        cells[3].contains("TCP/1-79") && !cells[3].contains("TCP/1-80"),
        "IPv4 alone: {all:?}"
    );
}

const TWO_KINDS_OF_PODS: &str = "
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: s-0, namespace: n, labels: {app: s, ready: a}, ownerReferences: [{kind: StatefulSet, name: s, controller: true}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: s-1, namespace: n, labels: {app: s}, ownerReferences: [{kind: StatefulSet, name: s, controller: true}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: c, namespace: n, labels: {app: c}}
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: p, namespace: n}
  spec:
    podSelector: {matchLabels: {app: s}}
    policyTypes: [Ingress]
    ingress:
    - ports: [{port: 1}]
      from: [{podSelector: {}}, {ipBlock: {cidr: 10.0.0.0/8}}]
    - ports: [{port: 3}]
      from: [{ipBlock: {cidr: 10.0.0.0/8}}]
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: q, namespace: n}
  spec:
    podSelector: {matchLabels: {app: s, ready: a}}
    policyTypes: [Ingress]
    ingress: [{ports: [{port: 2}], from: [{podSelector: {}}]}]
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: r, namespace: n}
  spec:
    podSelector: {matchLabels: {app: c}}
    policyTypes: [Ingress]
    ingress: [{ports: [{port: 4}], from: [{podSelector: {}}, {ipBlock: {cidr: 10.0.0.0/8}}]}]
";

#[test]
fn pods_of_one_workload_that_differ_are_told_and_what_is_sure_is_not_unknown() {
    let run = with_input(
        "connectivity -f - -o csv --from n/pod/c --to n/statefulset/s",
        TWO_KINDS_OF_PODS,
    )
    .exits(0);
    assert_eq!(
        run.out.lines().nth(1),
        Some("n/pod/c,n/statefulset/s,TCP/1,TCP/2,TCP/3"),
        "{run:?}"
    );
    let alone = with_input(
        "connectivity -f - -o csv --from n/pod/c --to n/pod/c",
        TWO_KINDS_OF_PODS,
    )
    .exits(0);
    assert_eq!(
        alone.out.lines().nth(1),
        Some("n/pod/c,n/pod/c,TCP/4,,"),
        "{alone:?}"
    );
}
