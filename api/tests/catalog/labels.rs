//! Labels and the label selectors of the schema, evaluated straight from their meaning in Kubernetes.

use std::collections::BTreeMap;

use bulkhead_api::server::{Operator, PodSelector, Requirement};

pub type Labels = BTreeMap<String, String>;

pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

pub fn matches(selector: &PodSelector, labels: &Labels) -> bool {
    let equal = selector
        .match_labels
        .iter()
        .all(|(k, v)| labels.get(k) == Some(v));
    equal && selector.match_expressions.iter().all(|r| holds(r, labels))
}

fn holds(requirement: &Requirement, labels: &Labels) -> bool {
    let value = labels.get(&requirement.key);
    match requirement.operator {
        Operator::In => value.is_some_and(|v| requirement.values.contains(v)),
        Operator::NotIn => value.is_none_or(|v| !requirement.values.contains(v)),
        Operator::Exists => value.is_some(),
        Operator::DoesNotExist => value.is_none(),
    }
}

#[test]
fn selectors_mean_what_kubernetes_says() {
    let one = |key: &str, operator, values: &[&str]| PodSelector {
        match_labels: Labels::new(),
        match_expressions: vec![Requirement {
            key: key.into(),
            operator,
            values: values.iter().map(|v| (*v).to_owned()).collect(),
        }],
    };
    let pod = labels(&[("app", "router")]);
    assert!(matches(&PodSelector::default(), &pod));
    assert!(matches(&one("app", Operator::In, &["router"]), &pod));
    assert!(!matches(&one("tier", Operator::In, &["router"]), &pod));
    assert!(matches(&one("tier", Operator::NotIn, &["front"]), &pod));
    assert!(!matches(&one("app", Operator::NotIn, &["router"]), &pod));
    assert!(!matches(&one("app", Operator::DoesNotExist, &[]), &pod));
}
