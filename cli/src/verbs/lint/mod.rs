//! `lint`: mistakes in policies, with the line to look at.

mod budget;
mod report;
mod sarif;
mod suppress;

use std::path::PathBuf;

use anyhow::Result;
use bulkhead_policy::lint::{self, Check, Severity, Subject, Surroundings};
use clap::{Args, ValueEnum};

use self::budget::Budget;
use self::suppress::Suppressions;
use crate::input::{self, InputArgs, State, services};
use crate::session::Session;
use crate::{Outcome, output};

/// Arguments of `lint`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "A finding is suppressed, with its reason, by an annotation of the policy:\n  \
    network.operator.openshift.io/lint-ignore: \"named-port=the port is the same everywhere\"\n\
    (several are separated by semicolons), or by a file:\n  \
    suppressions:\n  - {check: named-port, namespace: shop, policy: web, reason: …, expires: 2027-01-31}\n\
    --fail-on warning fails for warnings and errors; error=0,warning=10 allows ten warnings; none never fails.\n\
    Exit codes: 0 within the budget, 1 beyond it, 2 failure."
)]
pub struct LintArgs {
    /// Which findings fail, and how many of each severity are allowed
    #[arg(long, value_name = "SEVERITY[=N],…", default_value = "warning")]
    pub fail_on: Budget,
    /// File with findings that are known and accepted, each with a reason
    #[arg(long, value_name = "FILE")]
    pub suppressions: Option<PathBuf>,
    /// Only these checks; may be repeated
    #[arg(long, value_name = "CHECK")]
    pub check: Vec<String>,
    /// Format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub input: InputArgs,
}

/// Formats of `lint`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line for each finding, as compilers write them.
    #[default]
    Text,
    /// JSON.
    Json,
    /// JUnit XML, one case for each policy.
    Junit,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

/// The check that stands for what cannot be read at all.
pub const INVALID: &str = "invalid";

/// One finding with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The check's id.
    pub check: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// `NAMESPACE/NAME` of the policy, or kind and name of a cluster policy; empty for what cannot be read.
    pub policy: String,
    /// The field.
    pub field: String,
    /// What is wrong and what to write instead.
    pub message: String,
    /// The file.
    pub file: Option<String>,
    /// The line.
    pub line: Option<usize>,
    /// Why it is accepted.
    pub suppressed: Option<String>,
}

/// Looks for mistakes.
pub async fn run(args: &LintArgs, session: &Session) -> Result<Outcome> {
    let suppressions = args
        .suppressions
        .as_deref()
        .map(Suppressions::read)
        .transpose()?
        .unwrap_or_default();
    for wanted in &args.check {
        if wanted != INVALID && !Check::ALL.iter().any(|check| check.id() == wanted) {
            let known: Vec<&str> = Check::ALL.iter().map(|check| check.id()).collect();
            anyhow::bail!(
                "there is no check '{wanted}'; there are {INVALID}, {}",
                known.join(", ")
            );
        }
    }
    let read = input::read(&args.input.from, session).await?;
    let state = input::quietly(read, &args.input.reading, session)?;
    for note in state.notes() {
        session.note(&note);
    }
    let mut found = findings(&state);
    found.retain(|f| args.check.is_empty() || args.check.iter().any(|c| c == f.check));
    let complaints = suppressions.apply(&state, &mut found, jiff::Timestamp::now());
    for complaint in &complaints {
        session.warn(complaint);
    }
    session.print(&match args.output {
        Format::Text => report::text(&found, session.colored()),
        Format::Json => output::json(&report::json(&found))?,
        Format::Junit => report::junit(&state, &found),
        Format::Sarif => output::json(&sarif::log(&found))?,
    })?;
    session.note(&report::summary(&state, &found));
    let counted = |severity| {
        found
            .iter()
            .filter(|f| f.suppressed.is_none() && f.severity == severity)
            .count()
    };
    Ok(if args.fail_on.holds(counted) {
        Outcome::Success
    } else {
        Outcome::Findings
    })
}

fn findings(state: &State) -> Vec<Found> {
    let services: Vec<lint::ServicePort> = state
        .services
        .iter()
        .flat_map(|s| services::lint_ports(s, &state.pods))
        .collect();
    let around = Surroundings {
        world: &state.world,
        pods: &state.pods,
        services: &services,
    };
    let subjects: Vec<Subject<'_>> = state
        .policies
        .iter()
        .map(|w| Subject {
            spec: &w.spec,
            policy: &w.policy,
        })
        .collect();
    let place = |finding: lint::Finding| {
        let is = |w: &&input::state::Written| {
            w.policy.namespace == finding.namespace && w.policy.name == finding.name
        };
        let source = state.policies.iter().find(is).map(|w| &w.source);
        Found {
            check: finding.check.id(),
            severity: finding.check.severity(),
            policy: format!("{}/{}", finding.namespace, finding.name),
            file: source.and_then(|s| s.file.as_deref().map(str::to_owned)),
            line: source.and_then(|s| s.line_of(&finding.field)),
            field: finding.field,
            message: finding.message,
            suppressed: None,
        }
    };
    let of_tiers = state.written_cluster().flat_map(|(policy, written)| {
        let found = lint::lint_tier(around, &state.cluster_policies, policy).into_iter();
        found.map(|finding| Found {
            check: finding.check.id(),
            severity: finding.check.severity(),
            policy: written.title(),
            file: written.source.file.as_deref().map(str::to_owned),
            line: written.source.line_of(&finding.field),
            field: finding.field,
            message: finding.message,
            suppressed: None,
        })
    });
    let unreadable = state.faults.iter().map(|fault| Found {
        check: INVALID,
        severity: Severity::Error,
        policy: String::new(),
        field: String::new(),
        message: fault.reason.clone(),
        file: Some(fault.file.clone()),
        line: fault.line,
        suppressed: None,
    });
    let mut all: Vec<Found> = unreadable
        .chain(lint::lint(around, &subjects).into_iter().map(place))
        .chain(of_tiers)
        .collect();
    all.sort_by(|a, b| (&a.file, a.line, &a.policy, a.check).cmp(&(&b.file, b.line, &b.policy, b.check)));
    all
}

/// A severity as it is shown.
pub fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}
