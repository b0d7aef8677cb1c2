use bulkhead_api::{SystemIsolation, SystemNamespace, SystemNetworkPolicy, SystemNetworkPolicyConfig, yaml};
use serde_json::Value;

use crate::{between, documents};

/// Reads a document as the kind it says it is.
fn check(value: &Value) -> Result<bool, serde_json::Error> {
    let value = value.clone();
    match value["kind"].as_str() {
        Some("SystemNetworkPolicy") => serde_json::from_value::<SystemNetworkPolicy>(value).map(|_| true),
        Some("SystemNamespace") => serde_json::from_value::<SystemNamespace>(value).map(|_| true),
        Some("SystemIsolation") => serde_json::from_value::<SystemIsolation>(value).map(|_| true),
        _ => match value.get("systemNetworkPolicy") {
            Some(switch) => serde_json::from_value::<SystemNetworkPolicyConfig>(switch.clone()).map(|_| true),
            None => Ok(false),
        },
    }
}

#[test]
fn every_example_in_yaml_can_be_read_as_its_kind() {
    let mut ours = 0;
    for (path, text) in documents() {
        for block in between(&text, "```yaml\n", "```") {
            let found = yaml::documents(block).unwrap_or_else(|error| panic!("{path}: {error}\n{block}"));
            for value in &found {
                let known = check(value).unwrap_or_else(|error| panic!("{path}: {error}\n{block}"));
                ours += usize::from(known);
            }
        }
    }
    assert!(ours >= 4, "only {ours} examples of our kinds were found");
}
