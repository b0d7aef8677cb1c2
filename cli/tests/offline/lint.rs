//! `lint`.

use crate::run::{bulkhead, with_input};

#[test]
fn findings_read_as_compilers_write_them() {
    let run = bulkhead("lint -f lint -f shop/workloads.yaml").exits(1);
    let found: Vec<(&str, &str)> = run
        .out
        .lines()
        .map(|line| {
            (
                line.split(": ").next().unwrap_or_default(),
                line.split(['[', ']']).rev().nth(1).unwrap_or_default(),
            )
        })
        .collect();
    let expected = [
        ("lint/policies.yaml:9", "mutable-name-label"),
        ("lint/policies.yaml:9", "peer-matches-nothing"),
        ("lint/policies.yaml:11", "named-port"),
        ("lint/policies.yaml:24", "dns-without-tcp"),
        ("lint/policies.yaml:32", "invalid"),
    ];
    assert_eq!(found, expected, "{run:?}");
    assert!(run.out.contains("(accepted: the resolver is local)"), "{run:?}");
    assert!(
        run.err
            .contains("accepts api-port without a reason, which does not count"),
        "{run:?}"
    );
    assert!(
        run.err
            .ends_with("2 policies: 1 errors, 2 warnings, 1 infos, 1 accepted\n"),
        "{run:?}"
    );
}

#[test]
fn a_budget_decides_what_fails() {
    for (budget, code) in [
        ("none", 0),
        ("error", 1),
        ("error=1", 0),
        ("error=1,warning=2", 0),
        ("error=1,warning=1", 1),
        ("info", 1),
    ] {
        bulkhead(&format!("lint -f lint --fail-on {budget}")).exits(code);
    }
    bulkhead("lint -f lint --fail-on fatal").exits(2);
    bulkhead("lint -f lint --check named-port").exits(1);
    bulkhead("lint -f lint --check api-port").exits(0);
    let unknown = bulkhead("lint -f lint --check nonsense").exits(2);
    assert!(
        unknown.err.contains("there is no check 'nonsense'"),
        "{unknown:?}"
    );
}

#[test]
fn a_file_of_suppressions_needs_reasons_and_tells_what_is_not_needed() {
    let run = bulkhead("lint -f lint --suppressions lint/suppressions.txt --check named-port").exits(0);
    assert!(
        run.out.contains("(accepted: the port is the same everywhere)"),
        "{run:?}"
    );
    assert!(
        run.err.contains("suppressions[1] of ipv4-only is not needed"),
        "{run:?}"
    );
    let file = std::env::temp_dir().join(format!("suppressions-{}.yaml", std::process::id()));
    for (text, told) in [
        ("suppressions: [{check: named-port, reason: ' '}]", "needs one"),
        ("suppressions: [{check: named-port}]", "missing field"),
    ] {
        std::fs::write(&file, text).unwrap();
        let run = bulkhead(&format!("lint -f lint --suppressions {}", file.display())).exits(2);
        assert!(run.err.contains(told), "{run:?}");
    }
    std::fs::write(
        &file,
        "suppressions: [{check: named-port, reason: x, expires: 2020-01-01}]",
    )
    .unwrap();
    let run = bulkhead(&format!(
        "lint -f lint --check named-port --suppressions {}",
        file.display()
    ))
    .exits(1);
    assert!(run.err.contains("has expired"), "{run:?}");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn machines_get_json_junit_and_sarif() {
    let json = bulkhead("lint -f lint -o json").exits(1).json();
    let named = json
        .as_array()
        .unwrap()
        .iter()
        .find(|f| f["check"] == "named-port")
        .unwrap();
    assert_eq!(
        (&named["line"], &named["severity"]),
        (&11.into(), &"warning".into())
    );
    let junit = bulkhead("lint -f lint -o junit").exits(1).out;
    assert!(
        junit.contains("<testsuite name=\"bulkhead-lint\" tests=\"3\" failures=\"2\""),
        "{junit}"
    );
    assert!(
        junit.contains("<testcase classname=\"bulkhead-lint\" name=\"shop/web\">\n    <failure"),
        "{junit}"
    );
    let sarif = bulkhead("lint -f lint -o sarif").exits(1).json();
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    for result in run["results"].as_array().unwrap() {
        let rule =
            &run["tool"]["driver"]["rules"][usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "lint/policies.yaml");
        assert!(place["region"]["startLine"].as_u64().is_some(), "{result}");
    }
    let accepted = run["results"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["ruleId"] == "dns-without-tcp")
        .unwrap();
    assert_eq!(
        accepted["suppressions"][0]["justification"],
        "the resolver is local"
    );
}

#[test]
fn a_service_port_in_a_policy_is_found_through_the_service() {
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: api, namespace: shop}\nspec:\n  podSelector: {matchLabels: {app: api}}\n  policyTypes: [Ingress]\n  ingress:\n  - ports: [{port: 443}]\n";
    let run = with_input("lint -f shop/workloads.yaml -f - --check service-port", policy).exits(1);
    assert!(
        run.out.starts_with(
            "<stdin>:8: error: shop/api spec.ingress[0].ports: TCP 443 is the port of Service shop/api"
        ),
        "{run:?}"
    );
}

const TIERS: &str = r#"
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata:
  name: same
  annotations: {network.operator.openshift.io/lint-ignore: "selects-nothing=the namespace comes next week"}
spec:
  priority: 5
  subject: {namespaces: {matchLabels: {a: b}}}
  ingress:
  - {action: Deny, from: [{namespaces: {}}]}
  - {action: Allow, from: [{namespaces: {}}]}
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: same}
spec:
  tier: Baseline
  priority: 1
  subject: {namespaces: {}}
  egress:
  - action: Deny
    to:
    - namespaces: {}
    - pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: nobody}}}
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec:
  subject: {namespaces: {}}
  ingress: [{action: Perhaps, from: [{namespaces: {}}]}]
"#;

#[test]
fn cluster_policies_are_checked_too_and_told_apart_by_kind() {
    let run = with_input("lint -f shop -f - -o json", TIERS).exits(1).json();
    let found: Vec<_> = run
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["file"] == "<stdin>")
        .map(|f| {
            (
                f["line"].as_u64().unwrap(),
                f["check"].as_str().unwrap(),
                f["policy"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        (9, "selects-nothing", "AdminNetworkPolicy same"),
        (12, "shadowed-rule", "AdminNetworkPolicy same"),
        (25, "peer-matches-nothing", "ClusterNetworkPolicy same"),
        (32, "invalid", ""),
    ];
    assert_eq!(found, expected);
    let accepted = run
        .as_array()
        .unwrap()
        .iter()
        .find(|f| f["check"] == "selects-nothing")
        .unwrap();
    assert_eq!(accepted["suppressed"], "the namespace comes next week");
    let junit = with_input("lint -f shop -f - -o junit", TIERS).exits(1);
    assert!(
        junit.out.contains("name=\"AdminNetworkPolicy same\""),
        "{junit:?}"
    );
    let sarif = with_input("lint -f - --check shadowed-rule -o sarif", TIERS)
        .exits(1)
        .json();
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["logicalLocations"][0];
    assert_eq!(
        place["fullyQualifiedName"],
        "AdminNetworkPolicy same spec.ingress[1]"
    );
}
