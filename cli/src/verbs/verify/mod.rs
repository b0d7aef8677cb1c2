//! `verify`: the assertion of a release job, judged by evaluating the stored policies.

mod exceptions;
mod judge;
mod report;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

use self::exceptions::Exceptions;
use self::report::Report;
use crate::args::NamespacesArgs;
use crate::look::{Look, LookArgs};
use crate::session::Session;
use crate::{Outcome, output};

/// Arguments of `verify`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Reads the live cluster and evaluates its policies; names of objects prove nothing.\n\
    Judged is the NetworkPolicy tier: admin policies above it are not.\n\
    Exit codes: 0 everything holds, 1 findings, 2 it could not be judged."
)]
pub struct VerifyArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub only: NamespacesArgs,
    /// File with namespaces that may be without a restrictive set, each with a reason and an expiry
    #[arg(long, value_name = "FILE")]
    pub exceptions: Option<PathBuf>,
    /// Format on standard output
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,
    /// Also write a JUnit file, for example $ARTIFACT_DIR/junit_bulkhead.xml
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub look: LookArgs,
}

/// Formats of `verify`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Findings and notes as a table.
    #[default]
    Text,
    /// Every case as JUnit XML.
    Junit,
    /// Every case as JSON.
    Json,
}

/// Judges and reports.
pub async fn run(args: &VerifyArgs, session: &Session) -> Result<Outcome> {
    let now = jiff::Timestamp::now();
    let exceptions = args
        .exceptions
        .as_deref()
        .map(Exceptions::read)
        .transpose()?
        .unwrap_or_default();
    let client = session.client().await?;
    let mut look = Look::take(&client, &args.look, session).await?;
    judge::require_definitions(&look)?;
    let asked = args.only.asked(&session.globals);
    let mut cases = Vec::new();
    let mut judged = Vec::new();
    for name in look.names() {
        let Some(input) = look.input(&name) else { continue };
        let found = judge::namespace(&input, &exceptions, now);
        if !found.is_empty() && (asked.is_empty() || asked.iter().any(|a| **a == *name)) {
            judged.push(name);
            cases.extend(found);
        }
    }
    let missing: Vec<&str> = asked
        .iter()
        .map(String::as_str)
        .filter(|a| !judged.iter().any(|j| **j == **a))
        .collect();
    if !missing.is_empty() {
        bail!("no system namespace is named {}", missing.join(", "));
    }
    if judged.is_empty() {
        bail!(
            "there are no system namespaces, so nothing was verified; adopt one with {} adopt",
            session.program
        );
    }
    cases.push(judge::configuration(&look));
    let report = Report {
        cases,
        namespaces: judged.len(),
    };
    if let Some(path) = &args.junit {
        std::fs::write(path, report.junit()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    match args.output {
        Format::Text => session.print(&report.text(session.colored()))?,
        Format::Junit => session.print(&report.junit())?,
        Format::Json => session.print(&output::json(&report.value())?)?,
    }
    if asked.is_empty() {
        for unused in exceptions.unused(&judged) {
            session.warn(&format!("the exception for {unused} is not needed: remove it"));
        }
    }
    session.note(&report.summary());
    Ok(if report.failures() == 0 {
        Outcome::Success
    } else {
        Outcome::Findings
    })
}
