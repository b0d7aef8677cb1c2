//! The command line: what all verbs share, and the list of verbs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::verbs::{
    adopt::AdoptArgs, can_connect::CanConnectArgs, cleanup::CleanupArgs, complete::CompleteArgs,
    completion::CompletionArgs, connectivity::ConnectivityArgs, coverage::CoverageArgs, diff::DiffArgs,
    explain::ExplainArgs, lint::LintArgs, man::ManArgs, measure_settle::MeasureSettleArgs, mode::ModeArgs,
    operands::OperandsArgs, order::OrderArgs, override_::OverrideArgs, plan::PlanArgs,
    prepare_downgrade::PrepareDowngradeArgs, render::RenderArgs, status::StatusArgs,
    unrestrict::UnrestrictArgs, upgrade_check::UpgradeCheckArgs, verify::VerifyArgs,
    vnid_groups::VnidGroupsArgs,
};

/// Decides whether system namespaces are reachable by everybody or only by the components that need them.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-bulkhead",
    version,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    /// Options of every verb.
    #[command(flatten, next_help_heading = "Options of every verb")]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options of every verb, named as kubectl names them.
#[derive(Clone, Debug, Default, Args)]
pub struct Globals {
    /// Kubeconfig file [default: $KUBECONFIG, ~/.kube/config, or the service account of the pod]
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Namespace, where the verb concerns one; the same as naming it as an argument
    #[arg(short = 'n', long = "namespace", global = true, value_name = "NAME")]
    pub in_namespace: Option<String>,
    /// User to impersonate
    #[arg(long = "as", global = true, value_name = "USER")]
    pub impersonate: Option<String>,
    /// Group to impersonate; may be repeated
    #[arg(
        long = "as-group",
        global = true,
        value_name = "GROUP",
        requires = "impersonate"
    )]
    pub impersonate_groups: Vec<String>,
    /// How long one request may take, such as 500ms, 30s or 2m; 0 waits for ever
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub request_timeout: Duration,
    /// Colour of states in tables; NO_COLOR in the environment means never
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    pub color: Color,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Whether a mutation is carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// It is.
    #[default]
    None,
    /// It is only computed here; the API server is read, never written to.
    Client,
    /// The API server validates it and stores nothing.
    Server,
}

/// `--dry-run` and `-o` of a verb that writes.
#[derive(Clone, Debug, Default, Args)]
pub struct WriteArgs {
    /// Show what would be done: "client" computes it here, "server" also has the API server validate it
    #[arg(
        long,
        value_name = "WHERE",
        value_enum,
        default_value_t,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "client"
    )]
    pub dry_run: DryRun,
    /// Print the written objects in another format
    #[arg(short, long, value_name = "json|yaml|name|jsonpath=TEMPLATE")]
    pub output: Option<ObjectFormat>,
}

/// `--error-unchanged` of a verb whose write may change nothing.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct UnchangedArgs {
    /// Exit with code 3 when everything is as wanted already
    #[arg(long)]
    pub error_unchanged: bool,
}

/// The namespaces that a verb is narrowed to.
#[derive(Clone, Debug, Default, Args)]
pub struct NamespacesArgs {
    /// Only these namespaces
    pub namespaces: Vec<String>,
}

impl NamespacesArgs {
    /// Those that are named as arguments, then that of `--namespace`; none means all.
    pub fn asked(&self, globals: &Globals) -> Vec<String> {
        let mut asked = self.namespaces.clone();
        asked.extend(globals.in_namespace.clone());
        asked
    }
}

/// `--recursive` of a verb that reads directories.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct RecursiveArgs {
    /// Also read the directories inside directories
    #[arg(short = 'R', long)]
    pub recursive: bool,
}

/// `--settle-time` of a verb that waits as the operator does.
#[derive(Clone, Copy, Debug, Args)]
pub struct SettleArgs {
    /// How long everybody may take to see a change; as the operator's flag
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub settle_time: Duration,
}

/// `-o` of a verb that reports to people or to programs, and in no other form.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct ReportArgs {
    /// Format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: ReportFormat,
}

/// Formats of reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    #[default]
    Text,
    /// JSON.
    Json,
}

/// Formats for objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectFormat {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// Resource and name only.
    Name,
    /// A template filled from the JSON form.
    JsonPath(String),
}

impl std::str::FromStr for ObjectFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("jsonpath=")) {
            ("json", _) => Ok(Self::Json),
            ("yaml", _) => Ok(Self::Yaml),
            ("name", _) => Ok(Self::Name),
            (_, Some(template)) => Ok(Self::JsonPath(template.to_owned())),
            _ => Err(format!("'{text}' is none of json, yaml, name, jsonpath=TEMPLATE")),
        }
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
#[command(rename_all = "kebab-case")]
pub enum Verb {
    /// Show or set the mode of all system namespaces
    Mode(ModeArgs),
    /// Show the state of system namespaces
    Status(StatusArgs),
    /// Show the policies of operators that are not part of the platform
    Operands(OperandsArgs),
    /// Make a namespace a system namespace, or hand it back
    Adopt(AdoptArgs),
    /// Give one namespace its own mode for a while
    Override(OverrideArgs),
    /// Emergency: open every system namespace now, with or without a running operator
    Unrestrict(UnrestrictArgs),
    /// Open everything and prove it before the operator is downgraded or removed
    PrepareDowngrade(PrepareDowngradeArgs),
    /// Remove every trace of Bulkhead from system namespaces, after the operator is gone
    Cleanup(CleanupArgs),
    /// Print plain manifests for kubectl alone
    Render(RenderArgs),
    /// Judge, by evaluating policies, whether what is promised holds
    Verify(VerifyArgs),
    /// Tell whether one end may open a connection to another
    CanConnect(CanConnectArgs),
    /// Show who reaches whom: all pairs of workloads
    Connectivity(ConnectivityArgs),
    /// Show which connections two states differ in, or what a mode would change
    Diff(DiffArgs),
    /// Count the pods that policies isolate, by namespace and direction
    Coverage(CoverageArgs),
    /// Find what a sequence of writes breaks on its way, and an order that breaks nothing
    Order(OrderArgs),
    /// Find mistakes in policies
    Lint(LintArgs),
    /// Show the ordered steps of a mode switch, with the effect of each
    Plan(PlanArgs),
    /// Check that a new catalog or new declarations break nothing while only some have them
    UpgradeCheck(UpgradeCheckArgs),
    /// Derive the groups of openshift-sdn's Multitenant mode from declared clients
    VnidGroups(VnidGroupsArgs),
    /// Name the rules that decide about a connection, on both sides
    Explain(ExplainArgs),
    /// Measure how long the network plugin takes to enforce a policy
    MeasureSettle(MeasureSettleArgs),
    /// Print a completion script
    Completion(CompletionArgs),
    /// Complete a command line, as kubectl asks for it
    #[command(hide = true)]
    Complete(CompleteArgs),
    /// Write manual pages
    #[command(hide = true)]
    Man(ManArgs),
    /// Print the version
    Version,
}

impl Verb {
    /// Whether exit code 1 is kept for findings, so that failures need another one.
    pub fn keeps_one_for_findings(&self) -> bool {
        matches!(
            self,
            Self::Verify(_)
                | Self::CanConnect(_)
                | Self::Coverage(_)
                | Self::Diff(_)
                | Self::Lint(_)
                | Self::Order(_)
                | Self::UpgradeCheck(_)
                | Self::VnidGroups(_)
        )
    }
}

/// The verbs of [`Verb::keeps_one_for_findings`] by name, for command lines that cannot be read.
pub const JUDGING: [&str; 8] = [
    "verify",
    "can-connect",
    "coverage",
    "diff",
    "lint",
    "order",
    "upgrade-check",
    "vnid-groups",
];

/// What the program is called in usage texts: kubectl and oc call `kubectl-bulkhead` when the user types
/// `kubectl bulkhead`.
pub fn program_name(argv0: Option<&OsString>) -> String {
    let file = argv0
        .map(Path::new)
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    match file.split_once('-') {
        Some((host @ ("kubectl" | "oc"), name)) => format!("{host} {name}"),
        _ if file.is_empty() => "kubectl bulkhead".to_owned(),
        _ => file,
    }
}

/// Reads `500ms`, `30s`, `2m`, `1h30m`, `2d`; a day is 24 hours. `0` alone is accepted as kubectl does.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no duration: write for example 500ms, 30s, 2m, 1h30m or 2d");
    if text.trim() == "0" {
        return Ok(Duration::ZERO);
    }
    let span: jiff::Span = text.trim().parse().map_err(|_| wrong())?;
    let signed = span
        .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .map_err(|_| wrong())?;
    Duration::try_from(signed).map_err(|_| "a duration cannot be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(argv0: &str) -> String {
        program_name(Some(&OsString::from(argv0)))
    }

    #[test]
    fn usage_names_the_program_that_the_user_typed() {
        assert_eq!(name("/usr/local/bin/kubectl-bulkhead"), "kubectl bulkhead");
        assert_eq!(name("oc-bulkhead"), "oc bulkhead");
        assert_eq!(name("bulkhead"), "bulkhead");
        assert_eq!(program_name(None), "kubectl bulkhead");
    }

    #[test]
    fn durations_read_as_in_kubectl_and_with_days() {
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2d"), Ok(Duration::from_hours(48)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        assert!(parse_duration("-5s").is_err());
        assert!(parse_duration("soon").is_err_and(|error| error.contains("'soon'")));
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_dry_run_without_a_place_is_computed_here() {
        let parse = |args: &[&str]| match Cli::try_parse_from(args).map(|cli| cli.verb) {
            Ok(Verb::Adopt(adopt)) => adopt.write.dry_run,
            other => panic!("{other:?}"),
        };
        assert_eq!(parse(&["x", "adopt", "a", "--dry-run"]), DryRun::Client);
        assert_eq!(parse(&["x", "adopt", "a", "--dry-run=server"]), DryRun::Server);
        assert_eq!(parse(&["x", "adopt", "a"]), DryRun::None);
    }
}
