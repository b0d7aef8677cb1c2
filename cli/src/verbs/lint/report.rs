//! Findings as text, JSON and JUnit.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bulkhead_policy::lint::Severity;
use serde_json::{Value, json};

use super::{Found, word};
use crate::input::State;
use crate::input::state::WrittenCluster;
use crate::output::xml::escape;

/// `file:line: severity: message`, as compilers write it.
pub fn text(found: &[Found], colored: bool) -> String {
    let mut out = String::new();
    for finding in found {
        let (before, after) = match finding.severity {
            _ if !colored => ("", ""),
            Severity::Error => ("\x1b[31m", "\x1b[0m"),
            Severity::Warning => ("\x1b[33m", "\x1b[0m"),
            Severity::Info => ("", ""),
        };
        let _ = write!(
            out,
            "{}: {before}{}{after}: ",
            place(finding),
            word(finding.severity)
        );
        if !finding.field.is_empty() {
            let _ = write!(out, "{} {}: ", finding.policy, finding.field);
        }
        let _ = write!(out, "{} [{}]", finding.message, finding.check);
        let _ = match &finding.suppressed {
            Some(reason) => writeln!(out, " (accepted: {reason})"),
            None => writeln!(out),
        };
    }
    out
}

fn place(finding: &Found) -> String {
    match (&finding.file, finding.line) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        (Some(file), None) => file.clone(),
        (None, _) => "<cluster>".to_owned(),
    }
}

/// One line.
pub fn summary(state: &State, found: &[Found]) -> String {
    let count = |severity| {
        found
            .iter()
            .filter(|f| f.suppressed.is_none() && f.severity == severity)
            .count()
    };
    format!(
        "{} policies: {} errors, {} warnings, {} infos, {} accepted",
        state.policies.len() + state.cluster_policies.len(),
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Info),
        found.iter().filter(|f| f.suppressed.is_some()).count()
    )
}

/// For programs.
pub fn json(found: &[Found]) -> Value {
    let one = |f: &Found| {
        json!({
            "check": f.check,
            "severity": word(f.severity),
            "policy": f.policy,
            "field": f.field,
            "message": f.message,
            "file": f.file,
            "line": f.line,
            "suppressed": f.suppressed,
        })
    };
    found.iter().map(one).collect()
}

/// One case for each policy, and one for what cannot be read.
pub fn junit(state: &State, found: &[Found]) -> String {
    let mut cases: BTreeMap<String, Vec<&Found>> = BTreeMap::new();
    let policies = state.policies.iter();
    let policies = policies.map(|w| format!("{}/{}", w.policy.namespace, w.policy.name));
    for name in policies.chain(state.cluster_sources.iter().map(WrittenCluster::title)) {
        cases.entry(name).or_default();
    }
    cases.entry("input can be read".to_owned()).or_default();
    for finding in found {
        let name = if finding.policy.is_empty() {
            "input can be read"
        } else {
            &finding.policy
        };
        cases.entry(name.to_owned()).or_default().push(finding);
    }
    let failing = |found: &Vec<&Found>| {
        found
            .iter()
            .any(|f| f.suppressed.is_none() && f.severity > Severity::Info)
    };
    let failures = cases.values().filter(|found| failing(found)).count();
    let mut suite = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        suite,
        "<testsuite name=\"bulkhead-lint\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\">",
        cases.len()
    );
    for (name, found) in &cases {
        let _ = writeln!(
            suite,
            "  <testcase classname=\"bulkhead-lint\" name=\"{}\">",
            escape(name)
        );
        let lines: Vec<String> = found
            .iter()
            .map(|f| text(&[(*f).clone()], false).trim_end().to_owned())
            .collect();
        let _ = match (failing(found), lines.is_empty()) {
            (_, true) => Ok(()),
            (true, false) => writeln!(suite, "    <failure message=\"{}\"/>", escape(&lines.join("\n"))),
            (false, false) => writeln!(
                suite,
                "    <system-out>{}</system-out>",
                escape(&lines.join("\n"))
            ),
        };
        suite.push_str("  </testcase>\n");
    }
    suite.push_str("</testsuite>\n");
    suite
}
