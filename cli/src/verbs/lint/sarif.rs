//! Findings as a SARIF 2.1.0 log, which code scanners show beside the lines.

use bulkhead_policy::lint::{Check, Severity};
use serde_json::{Value, json};

use super::{Found, INVALID};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The log.
pub fn log(found: &[Found]) -> Value {
    let checks = Check::ALL.iter().map(|check| (check.id(), check.severity()));
    let rules: Vec<(&str, Severity)> = std::iter::once((INVALID, Severity::Error))
        .chain(checks)
        .collect();
    let rule = |(id, severity): &(&str, Severity)| {
        json!({
            "id": id,
            "shortDescription": {"text": id.replace('-', " ")},
            "defaultConfiguration": {"level": level(*severity)},
        })
    };
    let results = found.iter().map(|finding| {
        let at = rules.iter().position(|(id, _)| *id == finding.check);
        result(finding, at)
    });
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "kubectl-bulkhead",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(rule).collect::<Vec<_>>(),
            }},
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

fn result(finding: &Found, rule: Option<usize>) -> Value {
    let mut location = json!({});
    // Code scanners take relative paths for paths in the repository; what is no file has no place in it.
    if let Some(file) = finding.file.as_deref().filter(|file| !file.starts_with('<')) {
        location["physicalLocation"] = json!({"artifactLocation": {"uri": file.replace('\\', "/")}});
        if let Some(line) = finding.line {
            location["physicalLocation"]["region"] = json!({"startLine": line});
        }
    }
    if !finding.policy.is_empty() {
        let name = format!("{} {}", finding.policy, finding.field);
        location["logicalLocations"] = json!([{"fullyQualifiedName": name.trim_end()}]);
    }
    let mut result = json!({
        "ruleId": finding.check,
        "ruleIndex": rule,
        "level": level(finding.severity),
        "message": {"text": finding.message},
        "locations": [location],
    });
    if let Some(reason) = &finding.suppressed {
        result["suppressions"] = json!([{"kind": "external", "justification": reason}]);
    }
    result
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}
