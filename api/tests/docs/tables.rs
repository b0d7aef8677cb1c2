use std::collections::BTreeSet;

use crate::{between, first_cells, read};

const METRICS: [&str; 2] = [
    "controllers/src/report/metrics.rs",
    "controllers/src/runtime/metrics.rs",
];
/// Where reasons of conditions and events come from.
const REASONS: [&str; 13] = [
    "controllers/src/controller/snapshot.rs",
    "controllers/src/controller/summary.rs",
    "controllers/src/decide/config.rs",
    "controllers/src/decide/mode.rs",
    "controllers/src/decide/set.rs",
    "controllers/src/decide/validate.rs",
    "controllers/src/plan/mod.rs",
    "controllers/src/plan/preflight.rs",
    "controllers/src/plan/view.rs",
    "controllers/src/report/cluster.rs",
    "controllers/src/report/events.rs",
    "controllers/src/report/namespace.rs",
    "controllers/src/report/operand.rs",
];
/// CamelCase texts in those files that nobody is told as a reason.
const NO_REASONS: [&str; 6] = [
    "False",
    "OVNKubernetes",
    "OpenShiftSDN",
    "Reconcile",
    "True",
    "Unknown",
];

/// The metrics that the operator registers, as Prometheus names them.
pub fn metrics() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in METRICS {
        let text = read(path);
        for call in between(&text, "registry.register(", ");") {
            let name = between(call, "\"", "\"").next().unwrap();
            let field = call
                .split(".clone()")
                .next()
                .and_then(|head| head.rsplit('.').next())
                .unwrap();
            let field = format!("pub {field}: ");
            let declared = between(&text, &field, "\n").next();
            let declared = declared.unwrap_or_else(|| panic!("{path}: nothing starts with {field}"));
            let suffix = if declared.contains("Counter") {
                "_total"
            } else {
                ""
            };
            names.insert(format!("bulkhead_{name}{suffix}"));
        }
    }
    assert!(names.len() > 8, "only {names:?} were found");
    names
}

#[test]
fn every_metric_is_told_and_every_told_metric_exists() {
    let told: BTreeSet<String> = first_cells(&read("docs/reference/metrics.md"))
        .into_iter()
        .filter(|c| c.starts_with("bulkhead_"))
        .collect();
    assert_eq!(told, metrics());
}

#[test]
fn every_flag_is_told_with_its_default_and_every_told_flag_exists() {
    let source = read("controllers/src/runtime/args.rs");
    let document = read("docs/reference/flags.md");
    let told: BTreeSet<String> = first_cells(&document)
        .into_iter()
        .filter_map(|cell| Some(cell.strip_prefix("--")?.split(' ').next()?.to_owned()))
        .collect();
    let flags = between(&source, "env = \"BULKHEAD_", "\"").map(|name| name.to_lowercase().replace('_', "-"));
    assert_eq!(told, flags.collect());
    for attribute in between(&source, "#[arg(", "\n    pub ") {
        let flag = between(attribute, "env = \"BULKHEAD_", "\"")
            .next()
            .unwrap()
            .to_lowercase()
            .replace('_', "-");
        let row = document
            .lines()
            .find(|line| line.starts_with(&format!("| `--{flag} ")));
        for default in between(attribute, "default_value = \"", "\"") {
            assert!(
                row.is_some_and(|row| row.contains(&format!("| `{default}` |"))),
                "--{flag} defaults to {default}"
            );
        }
    }
}

#[test]
fn every_reason_is_told() {
    let document = read("docs/reference/status.md");
    let mut found = 0;
    for path in REASONS {
        let text = read(path);
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let camel = |text: &&str| {
            text.starts_with(|c: char| c.is_ascii_uppercase())
                && text.chars().all(|c| c.is_ascii_alphanumeric())
                && text.contains(|c: char| c.is_ascii_lowercase())
        };
        for reason in code
            .split('"')
            .skip(1)
            .step_by(2)
            .filter(camel)
            .filter(|r| !NO_REASONS.contains(r))
        {
            assert!(
                document.contains(&format!("`{reason}`")),
                "{path}: {reason} is missing in docs/reference/status.md"
            );
            found += 1;
        }
    }
    assert!(found > 40, "only {found} reasons were found");
}

#[test]
fn every_told_reason_exists() {
    let sources: String = REASONS.iter().map(|path| read(path)).collect();
    let vocabulary =
        read("api/src/vocabulary.rs") + &read("api/src/namespace.rs") + &read("api/src/isolation.rs");
    let vocabulary = vocabulary + &read("api/src/operand/status.rs");
    let document = read("docs/reference/status.md");
    let camel = |text: &&str| {
        text.starts_with(|c: char| c.is_ascii_uppercase()) && text.chars().all(char::is_alphanumeric)
    };
    for name in between(&document, "`", "`").filter(camel) {
        let name = name
            .strip_prefix("SystemNetworkPolicy")
            .filter(|rest| !rest.is_empty())
            .unwrap_or(name);
        let known = sources.contains(&format!("\"{name}\"")) || vocabulary.contains(name);
        assert!(
            known,
            "docs/reference/status.md tells of {name}, which nothing says"
        );
    }
}
