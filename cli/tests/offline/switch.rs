//! What a mode would change and how: `diff --mode`, `can-connect --mode`, `plan`.

use crate::run::{bulkhead, rows};

#[test]
fn declarations_in_files_are_judged_as_if_closed_and_modes_are_supposed() {
    let question = "can-connect tenant/guest openshift-own/own -f openshift";
    let declared = bulkhead(question).exits(1);
    assert!(
        declared.err.contains("judged as if closed: 2 policies rendered"),
        "{declared:?}"
    );
    bulkhead(&format!("{question} --mode Unrestricted")).exits(0);
    bulkhead(&format!("{question} --mode Restricted")).exits(1);
    let dns = bulkhead("can-connect tenant/guest openshift-dns/dns-default -f openshift --mode Restricted")
        .exits(1);
    let answers: Vec<(&str, &str)> = rows(&dns.out).iter().map(|r| (r[2], r[3])).collect();
    assert_eq!(
        answers,
        [
            ("TCP/5353", "Allowed"),
            ("TCP/9154", "Denied"),
            ("UDP/5353", "Allowed")
        ]
        .to_vec()
    );
}

#[test]
fn a_difference_of_modes_tells_what_the_switch_takes_away_before_anybody_flips_it() {
    let run = bulkhead("diff -f openshift --mode Restricted -o json").exits(1);
    let json = run.json();
    let lost = |from: &str, to: &str| {
        let changes = json["changes"].as_array().unwrap();
        changes
            .iter()
            .find(|c| c["source"] == from && c["destination"] == to)
            .map(|c| c["lost"].as_str().unwrap_or_default().to_owned())
    };
    let own = "openshift-own/deployment/own";
    let dns = "openshift-dns/daemonset/dns-default";
    assert_eq!(lost("tenant/pod/guest", own).as_deref(), Some("all ports"));
    assert_eq!(
        lost(dns, own).as_deref(),
        Some("TCP/1-8442,TCP/8444-65535,UDP,SCTP")
    );
    let expected = "TCP/1-5352,TCP/5354-65535,UDP/1-5352,UDP/5354-65535,SCTP";
    assert_eq!(lost("tenant/pod/guest", dns).as_deref(), Some(expected));
    assert_eq!(
        lost("tenant/pod/guest", "openshift-monitoring/pod/prometheus-k8s-0"),
        None,
        "it stays open"
    );
    assert!(
        run.err
            .contains("1 namespace would stay open: openshift-monitoring"),
        "{run:?}"
    );
    let opening = bulkhead("diff -f openshift --mode Unrestricted").exits(0);
    assert!(opening.out.is_empty(), "{opening:?}");
}

#[test]
fn a_plan_stages_under_an_allow_all_settles_and_contracts_last() {
    let run = bulkhead("plan Restricted openshift-own -f openshift --settle-time 30s").exits(0);
    let steps: Vec<(String, String, String)> = rows(&run.out)
        .iter()
        .map(|r| {
            (
                r[2].to_owned(),
                r[3].to_owned(),
                r[4].split("; ").next().unwrap().to_owned(),
            )
        })
        .collect();
    let step = |after: &str, effect: &str, what: &str| (after.to_owned(), effect.to_owned(), what.to_owned());
    let expected = [
        step("0s", "Neutral", "create NetworkPolicy bulkhead-allow-all"),
        step("0s", "<none>", "create SystemNamespace openshift-own"),
        step(
            "0s",
            "<none>",
            "wait 30s until everybody has seen the last change",
        ),
        step("30s", "Neutral", "create NetworkPolicy bulkhead-own-e3e537e6"),
        step("30s", "Neutral", "create NetworkPolicy bulkhead-default-deny"),
        step(
            "30s",
            "<none>",
            "wait 30s until everybody has seen the last change",
        ),
        step("60s", "<none>", "store the intent to close"),
        step("60s", "Contract", "delete NetworkPolicy bulkhead-allow-all"),
        step(
            "60s",
            "<none>",
            "wait 30s until everybody has seen the last change",
        ),
    ];
    assert_eq!(steps, expected);
}

#[test]
fn a_plan_says_what_blocks_and_that_open_namespaces_stay_open() {
    let run = bulkhead("plan Restricted -f openshift -o json").exits(0);
    let json = run.json();
    let of = |name: &str| {
        json.as_array()
            .unwrap()
            .iter()
            .find(|t| t["namespace"] == name)
            .unwrap()
            .clone()
    };
    let blocked = of("openshift-monitoring");
    assert!(
        blocked["blocked"]
            .as_str()
            .unwrap()
            .starts_with("UndeclaredPods: "),
        "{blocked}"
    );
    let effects = |t: &serde_json::Value| {
        let steps = t["steps"].as_array().unwrap();
        steps.iter().filter(|s| s["effect"] == "Contract").count()
    };
    assert_eq!((effects(&blocked), effects(&of("openshift-own"))), (0, 1));
    let unlisted = of("openshift-unlisted");
    assert!(
        unlisted["blocked"].is_null() && effects(&unlisted) == 0,
        "{unlisted}"
    );
    let open = bulkhead("plan Unrestricted -f openshift -o json").exits(0).json();
    assert!(
        open.as_array().unwrap().iter().all(|t| effects(t) == 0),
        "opening takes nothing away"
    );
    bulkhead("plan Restricted tenant -f openshift").exits(1);
    bulkhead("plan -f openshift").exits(1);
}
