//! Cases as text, JSON and JUnit.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::judge::{Case, Verdict};
use crate::output::table::{Cell, Style, Table};
use crate::output::xml::escape;

/// Everything that was judged.
pub struct Report {
    /// The cases.
    pub cases: Vec<Case>,
    /// How many namespaces were judged.
    pub namespaces: usize,
}

impl Report {
    fn count(&self, verdict: Verdict) -> usize {
        self.cases.iter().filter(|c| c.verdict == verdict).count()
    }

    /// How many cases failed.
    pub fn failures(&self) -> usize {
        self.count(Verdict::Fail)
    }

    /// One line.
    pub fn summary(&self) -> String {
        format!(
            "{} namespaces judged: {} cases hold, {} fail, {} excepted, {} skipped",
            self.namespaces,
            self.count(Verdict::Pass),
            self.failures(),
            self.count(Verdict::Excepted),
            self.count(Verdict::Skipped)
        )
    }

    /// What somebody should read: everything but plain passes.
    pub fn text(&self, colored: bool) -> String {
        let mut table = Table::new(&["NAMESPACE", "CHECK", "RESULT", "DETAIL"], colored);
        let mut rows = 0;
        let mut row = |case: &Case, result: &str, style, detail: &str| {
            let namespace = if case.namespace.is_empty() {
                "<cluster>"
            } else {
                &case.namespace
            };
            table.row(vec![
                namespace.into(),
                case.check.to_string().into(),
                Cell::styled(result, style),
                detail.into(),
            ]);
            rows += 1;
        };
        for case in &self.cases {
            match case.verdict {
                Verdict::Fail => row(case, "Fail", Style::Bad, &case.message),
                Verdict::Excepted => row(case, "Excepted", Style::Attention, &case.message),
                Verdict::Skipped => row(case, "Skipped", Style::Attention, &case.message),
                Verdict::Pass => {}
            }
            for note in &case.notes {
                row(case, "Note", Style::Plain, note);
            }
        }
        if rows == 0 { String::new() } else { table.render() }
    }

    /// For programs.
    pub fn value(&self) -> Value {
        json!({
            "namespaces": self.namespaces,
            "passed": self.count(Verdict::Pass),
            "failed": self.failures(),
            "excepted": self.count(Verdict::Excepted),
            "skipped": self.count(Verdict::Skipped),
            "cases": self.cases,
        })
    }

    /// For release jobs. Test names are stable: no generated names, no times.
    pub fn junit(&self) -> String {
        let mut suite = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let skipped = self.count(Verdict::Skipped) + self.count(Verdict::Excepted);
        let _ = writeln!(
            suite,
            "<testsuite name=\"bulkhead-verify\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{skipped}\">",
            self.cases.len(),
            self.failures()
        );
        let mut sorted: BTreeMap<String, &Case> = BTreeMap::new();
        for case in &self.cases {
            sorted.insert(test_name(case), case);
        }
        for (name, case) in sorted {
            let _ = writeln!(
                suite,
                "  <testcase classname=\"bulkhead-verify\" name=\"{}\">",
                escape(&name)
            );
            let message = escape(&case.message);
            let _ = match case.verdict {
                Verdict::Fail => writeln!(suite, "    <failure message=\"{message}\"/>"),
                Verdict::Excepted | Verdict::Skipped => {
                    writeln!(suite, "    <skipped message=\"{message}\"/>")
                }
                Verdict::Pass => Ok(()),
            };
            if !case.notes.is_empty() {
                let _ = writeln!(
                    suite,
                    "    <system-out>{}</system-out>",
                    escape(&case.notes.join("\n"))
                );
            }
            suite.push_str("  </testcase>\n");
        }
        suite.push_str("</testsuite>\n");
        suite
    }
}

fn test_name(case: &Case) -> String {
    if case.namespace.is_empty() {
        return format!("[sig-network] system namespaces are {}", case.check);
    }
    format!("[sig-network] ns/{} is {}", case.namespace, case.check)
}

#[cfg(test)]
mod tests {
    use super::super::judge::Check;
    use super::*;

    fn case(verdict: Verdict, notes: &[&str]) -> Case {
        Case {
            namespace: "openshift-dns".into(),
            check: Check::Covered,
            verdict,
            message: if verdict == Verdict::Pass {
                String::new()
            } else {
                "a < \"b\"\u{1}".into()
            },
            notes: notes.iter().map(|n| (*n).to_owned()).collect(),
        }
    }

    #[test]
    fn junit_is_well_formed_and_counts() {
        let report = Report {
            cases: vec![case(Verdict::Fail, &["n & m"])],
            namespaces: 1,
        };
        let text = report.junit();
        assert!(text.contains("tests=\"1\" failures=\"1\""), "{text}");
        assert!(
            text.contains("name=\"[sig-network] ns/openshift-dns is covered\""),
            "{text}"
        );
        assert!(
            text.contains("message=\"a &lt; &quot;b&quot;\u{fffd}\""),
            "{text}"
        );
        assert!(text.contains("<system-out>n &amp; m</system-out>"), "{text}");
    }

    #[test]
    fn text_shows_what_somebody_should_read_and_nothing_else() {
        let report = Report {
            cases: vec![case(Verdict::Pass, &[])],
            namespaces: 1,
        };
        assert_eq!(report.text(false), "");
        let report = Report {
            cases: vec![case(Verdict::Pass, &["seen"])],
            namespaces: 1,
        };
        assert!(
            report
                .text(false)
                .contains("openshift-dns   covered   Note     seen")
        );
        assert_eq!(report.failures(), 0, "a note passes");
        assert_eq!(
            report.summary(),
            "1 namespaces judged: 1 cases hold, 0 fail, 0 excepted, 0 skipped"
        );
    }

    #[test]
    fn an_exception_is_no_failure_and_shows() {
        let report = Report {
            cases: vec![case(Verdict::Excepted, &[])],
            namespaces: 1,
        };
        assert_eq!(report.failures(), 0);
        assert!(report.text(false).contains("Excepted"));
        assert!(report.junit().contains("skipped=\"1\""));
    }
}
