//! What is refused when a policy is read.

use bulkhead_policy::v1::parse;

use crate::common::scene::{complaint, read, yaml};

#[test]
fn trap_39_legal_label_values_are_accepted_and_others_named() {
    read("{podSelector: {matchLabels: {A_b.c: '', example.com/K_1: X_y.Z-9}}}").unwrap();
    for (labels, problem) in [
        ("{k: -a}", "\"-a\" is not a label value"),
        ("{k: 'a b'}", "\"a b\" is not a label value"),
        ("{'': a}", "\"\" is not a label key"),
        ("{UPPER.example/k: a}", "\"UPPER.example/k\" is not a label key"),
    ] {
        let text = complaint(&format!("{{podSelector: {{matchLabels: {labels}}}}}"));
        assert!(text.contains(problem), "{text}");
    }
}

#[test]
fn every_fault_of_a_spec_is_listed_with_its_field() {
    let spec = yaml(
        "{podSelector: {matchExpressions: [{key: k, operator: in, values: [a]}, {key: k, operator: In}, \
         {key: k, operator: Exists, values: [a]}]}, policyTypes: [ingress], ingress: [{from: [{}, \
         {podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}, {ipBlock: {cidr: nonsense}}]}]}",
    );
    let fields: Vec<String> = parse("home", "test", &spec)
        .unwrap_err()
        .0
        .into_iter()
        .map(|error| error.field)
        .collect();
    assert_eq!(
        fields,
        [
            "spec.podSelector.matchExpressions[0].operator",
            "spec.podSelector.matchExpressions[1].values",
            "spec.podSelector.matchExpressions[2].values",
            "spec.policyTypes[0]",
            "spec.ingress[0].from[0]",
            "spec.ingress[0].from[1]",
            "spec.ingress[0].from[2].ipBlock.cidr",
        ]
    );
}
