//! The jobs of a release: everything in Restricted, an upgrade and a downgrade, and what every cluster must show.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, bail, ensure};

use super::transitions::{Sums, watched};
use super::{Run, tables, upgrade};
use crate::operator::Operator;
use crate::packets::flows::required;
use crate::packets::ground::Ground;
use crate::packets::stage::Stage;
use crate::packets::truth::{Mode, Modes};

const CLOSED: Mode = Mode::Restricted { egress: false };
const CLOSED_BOTH: Mode = Mode::Restricted { egress: true };

/// The plugin for kubectl, whose verbs the jobs use as an administrator would.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// The program.
    pub program: PathBuf,
    /// The cluster.
    pub kubeconfig: PathBuf,
}

impl Plugin {
    fn run(&self, words: &[&str]) -> anyhow::Result<Output> {
        Command::new(&self.program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(words)
            .output()
            .with_context(|| format!("running {}", self.program.display()))
    }
}

/// What every cluster must show: each namespace labelled and covered, by the verb that judges it.
pub async fn default_suite(run: &mut Run, plugin: &Plugin, report: Option<&Path>) {
    let body = async {
        let output = plugin.run(&["verify", "--output", "junit"])?;
        let text = String::from_utf8_lossy(&output.stdout);
        if let Some(path) = report {
            std::fs::write(path, text.as_bytes()).with_context(|| format!("writing {}", path.display()))?;
        }
        let (tests, failures) = (attribute(&text, "tests")?, attribute(&text, "failures")?);
        let told = format!("{tests} assertions, {failures} failed");
        match output.status.code() {
            Some(0) => {
                ensure!(tests > 0, "verify asserted nothing");
                Ok(told)
            }
            Some(1) => bail!("{told}\n{}", failed_lines(&text)),
            _ => bail!(
                "verify could not judge: {}",
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    };
    run.case("every namespace is labelled and covered", body).await;
}

/// The sum of an attribute over the suites of a JUnit report.
fn attribute(xml: &str, name: &str) -> anyhow::Result<usize> {
    let suites: Vec<&str> = xml
        .lines()
        .filter(|line| line.trim_start().starts_with("<testsuite "))
        .collect();
    ensure!(!suites.is_empty(), "verify printed no test suite");
    let mut sum = 0;
    for suite in suites {
        let after = suite.split_once(&format!(" {name}=\"")).map(|(_, rest)| rest);
        let value = after
            .and_then(|rest| rest.split_once('"'))
            .map(|(value, _)| value);
        sum += value
            .with_context(|| format!("a suite has no {name}"))?
            .parse::<usize>()?;
    }
    Ok(sum)
}

fn failed_lines(xml: &str) -> String {
    let failures = xml.lines().filter(|line| line.contains("<failure"));
    failures.take(20).map(str::trim).collect::<Vec<_>>().join("\n")
}

/// Everything in Restricted, with and without isolated egress.
pub async fn restricted(
    run: &mut Run,
    ground: &Ground,
    stage: &Stage,
    plugin: &Plugin,
) -> anyhow::Result<()> {
    for (title, mode) in [
        ("Restricted", CLOSED),
        ("Restricted with IngressAndEgress", CLOSED_BOTH),
    ] {
        let body = async {
            let modes: Modes = ground.switch(mode).await?;
            tables::judge(ground, stage, &modes, title).await
        };
        run.case(&format!("traffic in {title}"), body).await;
        default_suite(run, plugin, None).await;
    }
    Ok(())
}

/// From the previous catalog to the next and back in Restricted, and down through prepare-downgrade.
pub async fn upgrades(
    run: &mut Run,
    ground: &Ground,
    stage: &Stage,
    operator: &mut Option<Operator>,
    plugin: &Plugin,
) -> anyhow::Result<()> {
    upgrade::run(run, ground, stage, operator).await?;
    let attempts = required(&ground.rules, &stage.roles, ground.fallback());
    let mut sums = Sums::default();
    ground.switch(CLOSED).await?;
    let downgrade = async {
        let output = plugin.run(&["prepare-downgrade"])?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "prepare-downgrade: {}\n{said}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    };
    let body = watched(ground, stage, &attempts, &mut sums, 1, downgrade);
    run.case("probes while prepare-downgrade opens everything", body)
        .await;
    let modes = Modes::all(Mode::Unrestricted);
    let open = tables::judge(ground, stage, &modes, "after prepare-downgrade");
    run.case("everything is open after prepare-downgrade", open).await;
    ground
        .admin
        .merge_isolation(&serde_json::json!({"hold": null}))
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_a_report_are_read() {
        let xml = "<testsuites>\n  <testsuite name=\"a\" tests=\"3\" failures=\"1\">\n  <testsuite name=\"b\" tests=\"2\" failures=\"0\">\n";
        assert_eq!(attribute(xml, "tests").unwrap(), 5);
        assert_eq!(attribute(xml, "failures").unwrap(), 1);
        assert!(attribute("", "tests").is_err() && attribute(xml, "nothing").is_err());
    }
}
