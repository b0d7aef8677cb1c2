//! What verify found.

use serde_json::Value;

use crate::support::{Cluster, Run};

pub fn verify(cluster: &Cluster, arguments: &str) -> (Run, Value) {
    let run = cluster.bulkhead(&format!("verify -o json {arguments}"));
    let value = serde_json::from_str(&run.out).unwrap_or_default();
    (run, value)
}

/// Messages of the cases that failed, with namespace and check.
pub fn failures(value: &Value) -> Vec<String> {
    let cases = value["cases"].as_array().unwrap();
    let failed = cases.iter().filter(|case| case["verdict"] == "Fail");
    failed
        .map(|case| {
            let text = |key: &str| case[key].as_str().unwrap().to_owned();
            format!("{} {} {}", text("namespace"), text("check"), text("message"))
        })
        .collect()
}

#[track_caller]
pub fn finds(cluster: &Cluster, start: &str, part: &str) {
    let (run, value) = verify(cluster, "");
    let found = failures(&value);
    assert!(
        found.iter().any(|f| f.starts_with(start) && f.contains(part)),
        "{start} … {part}: {found:#?}"
    );
    run.exits(1);
}
