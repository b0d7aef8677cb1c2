use std::collections::BTreeSet;

use bulkhead_api::yaml;
use serde_json::Value;

use crate::{read, root, tables};

fn rules() -> Vec<Value> {
    let rule: Value = yaml::from_str(&read("manifests/alerts/prometheusrule.yaml")).unwrap();
    let groups = rule["spec"]["groups"].as_array().unwrap();
    groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect()
}

#[test]
fn alerts_name_only_metrics_that_the_operator_has() {
    let known = tables::metrics();
    let mut named = BTreeSet::new();
    for rule in rules() {
        let expression = rule["expr"].as_str().unwrap();
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for metric in words.filter(|word| word.starts_with("bulkhead_")) {
            assert!(
                known.contains(metric),
                "{}: {metric} does not exist",
                rule["alert"]
            );
            named.insert(metric.to_owned());
        }
    }
    assert!(named.len() > 5, "only {named:?} are used");
}

#[test]
fn alerts_say_what_openshift_asks_of_them_and_have_a_runbook() {
    for rule in rules() {
        let name = rule["alert"].as_str().unwrap();
        assert!(name.starts_with("Bulkhead"), "{name}");
        let severity = rule["labels"]["severity"].as_str().unwrap_or_default();
        assert!(
            ["critical", "warning", "info"].contains(&severity),
            "{name}: severity {severity}"
        );
        for text in ["summary", "description"] {
            assert!(
                rule["annotations"][text].as_str().is_some_and(|t| !t.is_empty()),
                "{name}: no {text}"
            );
        }
        let runbook = format!("docs/runbooks/{name}.md");
        assert_eq!(rule["annotations"]["runbook_url"], runbook, "{name}");
        let text = read(&runbook);
        for section in ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"] {
            assert!(text.contains(section), "{runbook}: no {section}");
        }
    }
}

#[test]
fn every_runbook_of_an_alert_has_its_alert() {
    let alerts: BTreeSet<String> = rules()
        .iter()
        .map(|rule| rule["alert"].as_str().unwrap().to_owned())
        .collect();
    for entry in std::fs::read_dir(root().join("docs/runbooks")).unwrap() {
        let file = entry.unwrap().file_name().to_string_lossy().into_owned();
        let name = file.trim_end_matches(".md");
        assert!(
            !name.starts_with("Bulkhead") || alerts.contains(name),
            "{file} has no alert"
        );
    }
}
