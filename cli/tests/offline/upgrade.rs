//! `upgrade-check` and `vnid-groups`.

use crate::run::{bulkhead, fixtures, rows, run, with_input};

#[test]
fn every_skew_state_is_judged_and_the_flow_that_breaks_is_named() {
    let run = bulkhead("upgrade-check upgrade/old upgrade/new").exits(1);
    let table = run.out.split("\n\n").next().unwrap();
    let found: Vec<[&str; 4]> = rows(table).iter().map(|r| [r[0], r[1], r[3], r[4]]).collect();
    let (api, web) = ("openshift-own/api", "openshift-own/web");
    let (new, old) = (
        "openshift-monitoring (app.kubernetes.io/name=prometheus)",
        "openshift-monitoring (app=prometheus)",
    );
    let expected = [
        [api, new, "egress", "egress policies old, client new"],
        [api, new, "ingress", "policies old, client new"],
        [api, old, "egress", "egress policies new, client old"],
        [api, old, "ingress", "policies new, client old"],
        [web, "any namespace", "egress", "egress policies new, server old"],
        [web, "any namespace", "egress", "egress policies old, server new"],
        [web, "any namespace", "ingress", "policies new, server old"],
        [web, "any namespace", "ingress", "policies old, server new"],
    ];
    assert_eq!(found, expected, "{run:?}");
    assert!(
        run.out
            .contains("keep admitting openshift-monitoring (app=prometheus) on TCP/8443 in this release"),
        "{run:?}"
    );
    assert!(
        run.out
            .contains("first declare a second server with the other pod selector"),
        "{run:?}"
    );
}

#[test]
fn admitting_first_and_dropping_last_breaks_nothing() {
    let admitting = bulkhead("upgrade-check upgrade/old upgrade/between").exits(0);
    assert!(
        admitting
            .out
            .contains("New flows, which work once the policies have arrived:\n"),
        "{admitting:?}"
    );
    let dropping = bulkhead("upgrade-check upgrade/between upgrade/after").exits(1);
    assert!(
        dropping.out.contains("openshift-monitoring (app=prometheus)"),
        "{dropping:?}"
    );
    let gone = [
        "upgrade-check",
        "upgrade/between",
        "upgrade/after",
        "--gone",
        "openshift-monitoring (app=prometheus)",
    ];
    let run = run(&gone, &fixtures(), "").exits(0);
    let told = "Every order of upgrading servers and clients keeps every flow that works before.\n";
    assert_eq!(run.out, told);
    let same = bulkhead("upgrade-check upgrade/old upgrade/old").exits(0);
    assert_eq!(same.out, told);
}

#[test]
fn a_label_that_policies_select_by_must_not_change_under_them() {
    let run = bulkhead("upgrade-check upgrade/labels-old upgrade/labels-new -o json").exits(1);
    let json = run.json();
    let states: Vec<&str> = json["broken"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| b["state"].as_str().unwrap())
        .collect();
    assert_eq!(
        states,
        ["policies new, labels old", "policies old, labels new"],
        "{json}"
    );
    assert!(
        json["broken"][0]["remedy"]
            .as_str()
            .unwrap()
            .contains("the new label beside the old one"),
        "{json}"
    );
}

#[test]
fn what_workloads_reach_is_judged_by_their_egress_policies_in_every_state() {
    let run = bulkhead("upgrade-check upgrade/egress-old upgrade/egress-new").exits(1);
    let table = run.out.split("\n\n").next().unwrap();
    let found: Vec<[&str; 5]> = rows(table)
        .iter()
        .map(|r| [r[0], r[1], r[2], r[3], r[4]])
        .collect();
    let (agent, relay) = ("openshift-own/agent", "openshift-own/relay");
    let expected = [
        [
            "192.0.2.0/24",
            agent,
            "TCP/443",
            "egress",
            "egress policies new, client old",
        ],
        [
            "192.0.2.0/24",
            agent,
            "TCP/8443",
            "egress",
            "egress policies old, client new",
        ],
        [
            "198.51.100.0/24",
            relay,
            "TCP/25",
            "egress",
            "egress policies new, workload old",
        ],
        [
            "198.51.100.0/24",
            relay,
            "TCP/25",
            "egress",
            "egress policies old, workload new",
        ],
    ];
    assert_eq!(found, expected, "{run:?}");
    for remedy in [
        "openshift-own/agent: keep allowing egress to 192.0.2.0/24 on TCP/443 in this release",
        "openshift-own/relay: first declare egress for a second workload with the other pod selector",
    ] {
        assert!(run.out.contains(remedy), "{remedy}: {run:?}");
    }
}

#[test]
fn a_server_that_goes_breaks_its_clients_while_its_pods_are_still_there() {
    let run = bulkhead("upgrade-check upgrade/old upgrade/egress-old -o json")
        .exits(1)
        .json();
    let found = run["broken"].as_array().unwrap();
    let console = |b: &&serde_json::Value| b["client"] == "openshift-console" && b["side"] == "ingress";
    let lost = found.iter().find(console).unwrap();
    assert_eq!(
        (&lost["state"], &lost["change"]),
        (&"policies new, server old".into(), &"the server is gone".into())
    );
    assert!(
        lost["remedy"]
            .as_str()
            .unwrap()
            .contains("after the last of its pods is gone"),
        "{lost}"
    );
}

#[test]
fn what_is_no_release_is_refused() {
    let run = bulkhead("upgrade-check shop builtin").exits(2);
    assert!(
        run.err.contains("is no catalog and holds no SystemNetworkPolicy"),
        "{run:?}"
    );
    bulkhead("upgrade-check nowhere builtin").exits(2);
}

#[test]
fn namespaces_join_a_group_for_a_declared_reason_and_differences_are_named() {
    let run = bulkhead("vnid-groups --catalog-only --expect vnid/proposal.yaml").exits(1);
    let groups = rows(&run.out);
    let of = |name: &str| groups.iter().find(|r| r[0] == name).map(|r| (r[1], r[2]));
    assert_eq!(
        of("openshift-dns"),
        Some(("default", "its server dns admits every namespace"))
    );
    assert_eq!(
        of("openshift-catalogd"),
        Some(("control-plane", "serves openshift-operator-controller"))
    );
    assert_eq!(of("kube-system"), None);
    let own = |row: &Vec<&str>| row[2].split(", ").any(|why| why == format!("serves {}", row[0]));
    assert!(
        !groups.iter().any(own),
        "nobody needs a group to reach itself: {groups:?}"
    );
    // Every difference from the proposal's lists, with what is declared about it.
    let expected = [
        "openshift-authentication is missing in default: its server oauth-openshift admits every namespace",
        "openshift-console is missing in default: its workload console reaches every namespace",
        "openshift-kube-apiserver-operator is missing in default: servers of 22 other namespaces declare it as their client",
        "openshift-kube-apiserver is superfluous in default: kube-apiserver is on the host network, whose traffic reaches every namespace and is reached from all; no other namespace is a declared client of its servers: helpers",
        "openshift-apiserver-operator is missing in control-plane: is a client of openshift-apiserver",
        "openshift-catalogd is missing in control-plane: serves openshift-operator-controller",
        "openshift-network-diagnostics is missing in control-plane: is a client of openshift-apiserver",
        "openshift-oauth-apiserver is missing in control-plane: serves openshift-authentication-operator",
        "openshift-operator-controller is missing in control-plane: is a client of openshift-catalogd",
        "kube-system is superfluous in control-plane: nothing is declared for it, and no server names it as a client",
        "openshift-ansible-service-broker is superfluous in control-plane: nothing is declared for it, and no server names it as a client",
        "openshift-authentication is superfluous in control-plane: it belongs to default, which reaches every group: its server oauth-openshift admits every namespace",
        "openshift-etcd is superfluous in control-plane: etcd is on the host network, whose traffic reaches every namespace and is reached from all; no other namespace is a declared client of its servers: helpers",
        "openshift-etcd-operator is superfluous in control-plane: of other namespaces only openshift-monitoring may reach its servers, and the default group reaches all",
        "openshift-service-catalog-apiserver is superfluous in control-plane: nothing is declared for it, and no server names it as a client",
        "openshift-service-catalog-controller-manager is superfluous in control-plane: nothing is declared for it, and no server names it as a client",
        "openshift-template-service-broker is superfluous in control-plane: nothing is declared for it, and no server names it as a client",
    ];
    assert_eq!(run.err.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn clients_outside_join_nobody_unless_the_servers_are_for_users() {
    let declare = |exposure: &str| {
        format!(
            "apiVersion: network.operator.openshift.io/v1alpha1\nkind: SystemNetworkPolicy\nmetadata: {{name: own, namespace: openshift-own}}\nspec:\n  catalogEntry: Extend\n  exposure: {exposure}\n  servers: [{{name: images, podSelector: {{}}, rules: [{{ports: [{{port: 80}}], clients: [{{type: Anywhere}}]}}]}}]\n---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: openshift-own}}\n"
        )
    };
    let internal = with_input("vnid-groups -f -", &declare("Internal")).exits(0);
    assert!(!internal.out.contains("openshift-own"), "{internal:?}");
    let users = with_input("vnid-groups -f -", &declare("UserFacing")).exits(0);
    assert!(
        users.out.contains("its server images admits everybody"),
        "{users:?}"
    );
}

#[test]
fn derived_lists_agree_with_themselves() {
    let lists = bulkhead("vnid-groups --catalog-only -o yaml").exits(0).out;
    let file = std::env::temp_dir().join(format!("vnid-{}.yaml", std::process::id()));
    std::fs::write(&file, lists).unwrap();
    bulkhead(&format!("vnid-groups --catalog-only --expect {}", file.display())).exits(0);
    std::fs::write(&file, "defaults: []").unwrap();
    bulkhead(&format!("vnid-groups --catalog-only --expect {}", file.display())).exits(2);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_declaration_that_admits_every_namespace_joins_group_0_without_a_change_of_code() {
    let before = bulkhead("vnid-groups -f openshift").exits(0).out;
    assert!(!before.contains("openshift-own"), "{before}");
    let after = bulkhead("vnid-groups -f upgrade/old -f openshift/cluster.yaml").exits(0);
    let after = rows(&after.out);
    let own = after.iter().find(|r| r[0] == "openshift-own").unwrap();
    assert_eq!(own[1..], ["default", "its server web admits every namespace"]);
}
