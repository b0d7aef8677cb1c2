//! Results as JUnit XML, the form that every CI reads.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

/// What became of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not, and why.
    Failed(String),
    /// It could not run, and why.
    Skipped(String),
}

/// One test.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Case {
    pub name: String,
    pub outcome: Outcome,
    pub took: Duration,
    /// What was measured.
    pub output: String,
}

/// The tests of a run.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Suite {
    pub name: String,
    pub cases: Vec<Case>,
}

impl Suite {
    /// How many passed, failed and were skipped.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |wanted: fn(&Outcome) -> bool| self.cases.iter().filter(|c| wanted(&c.outcome)).count();
        (
            count(|o| matches!(o, Outcome::Passed)),
            count(|o| matches!(o, Outcome::Failed(_))),
            count(|o| matches!(o, Outcome::Skipped(_))),
        )
    }

    /// The report.
    pub fn xml(&self) -> String {
        let (_, failed, skipped) = self.counts();
        let took: f64 = self.cases.iter().map(|c| c.took.as_secs_f64()).sum();
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let name = escape(&self.name);
        let _ = writeln!(
            xml,
            "<testsuite name=\"{name}\" tests=\"{}\" failures=\"{failed}\" skipped=\"{skipped}\" time=\"{took:.3}\">",
            self.cases.len()
        );
        for case in &self.cases {
            let _ = writeln!(
                xml,
                "  <testcase classname=\"{name}\" name=\"{}\" time=\"{:.3}\">",
                escape(&case.name),
                case.took.as_secs_f64()
            );
            match &case.outcome {
                Outcome::Passed => {}
                Outcome::Failed(why) => {
                    let first = why.lines().next().unwrap_or_default();
                    let (first, whole) = (escape(first), escape(why));
                    let _ = writeln!(xml, "    <failure message=\"{first}\">{whole}</failure>");
                }
                Outcome::Skipped(why) => {
                    let _ = writeln!(xml, "    <skipped message=\"{}\"/>", escape(why));
                }
            }
            if !case.output.is_empty() {
                let _ = writeln!(xml, "    <system-out>{}</system-out>", escape(&case.output));
            }
            xml.push_str("  </testcase>\n");
        }
        xml.push_str("</testsuite>\n");
        xml
    }

    /// Writes the report.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        std::fs::write(path, self.xml()).with_context(|| format!("writing {}", path.display()))
    }
}

/// Text in XML 1.0: markup and line ends escaped, and characters replaced that it cannot hold.
fn escape(text: &str) -> String {
    let held = text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}");
    quick_xml::escape::escape(held).replace('\n', "&#10;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_and_escapes() {
        let case = |name: &str, outcome| Case {
            name: name.to_owned(),
            outcome,
            took: Duration::from_millis(1_500),
            output: String::new(),
        };
        let suite = Suite {
            name: "packets".to_owned(),
            cases: vec![
                case("a", Outcome::Passed),
                case("b", Outcome::Failed("1 < 2 & \"3\"\nmore".to_owned())),
                case("c", Outcome::Skipped("no node".to_owned())),
            ],
        };
        let xml = suite.xml();
        assert_eq!(suite.counts(), (1, 1, 1));
        assert!(
            xml.contains("tests=\"3\" failures=\"1\" skipped=\"1\" time=\"4.500\""),
            "{xml}"
        );
        assert!(xml.contains("message=\"1 &lt; 2 &amp; &quot;3&quot;\""), "{xml}");
        assert!(xml.contains("<skipped message=\"no node\"/>"), "{xml}");
    }
}
