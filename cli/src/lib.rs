//! `kubectl bulkhead`: the switch for system namespaces from the command line.
//!
//! One file per verb under [`verbs`]; everything that two verbs share lives beside it: the connection
//! ([`session`]), the carriers of the switch ([`carrier`]), what is stored ([`inventory`]), writes
//! ([`mod@write`]), the emergency opening ([`open`]) and one printer for every format ([`output`]).

pub mod args;
pub mod ask;
pub mod bundles;
pub mod carrier;
pub mod errors;
pub mod input;
pub mod inventory;
pub mod look;
pub mod matrix;
pub mod open;
pub mod output;
pub mod policies;
pub mod preview;
pub mod rehearsal;
pub mod session;
pub mod verbs;
pub mod write;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::args::Cli;
use crate::session::Session;

/// How a verb ended when it did what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, or nothing to complain about.
    Success,
    /// Done, and what was found needs somebody: exit code 1, like a linter.
    Findings,
    /// There was nothing to do, and the user wants that to be told by exit code 3.
    Unchanged,
}

/// Runs one command line and tells the exit code: 0 for success, 1 for an error, and for `verify` 1 for
/// findings and 2 for everything that kept it from judging.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let program = args::program_name(arguments.first());
    if verbs::complete::is_asked(arguments.first()) {
        let words: Vec<String> = arguments
            .iter()
            .skip(1)
            .map(|a| a.to_string_lossy().into_owned())
            .collect();
        println!("{}", verbs::complete::answer(&words));
        return ExitCode::SUCCESS;
    }
    let command = Cli::command().bin_name(program.clone());
    let parsed = command
        .try_get_matches_from(&arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, &arguments),
    };
    let failure = failure_code(cli.verb.keeps_one_for_findings());
    match execute(cli, program) {
        Ok(Outcome::Success) => ExitCode::SUCCESS,
        Ok(Outcome::Findings) => ExitCode::from(1),
        Ok(Outcome::Unchanged) => ExitCode::from(3),
        Err(error) if errors::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", errors::explain(&error));
            failure
        }
    }
}

fn execute(cli: Cli, program: String) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(verbs::run(cli.verb, &Session::new(cli.globals, program)))
}

fn refuse(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    // Help and version are asked for through the same channel; a closed pipe is nobody's error.
    let _ = error.print();
    if error.exit_code() == 0 {
        return ExitCode::SUCCESS;
    }
    failure_code(
        arguments
            .get(1)
            .is_some_and(|verb| args::JUDGING.iter().any(|judging| verb == *judging)),
    )
}

fn failure_code(judges: bool) -> ExitCode {
    ExitCode::from(if judges { 2 } else { 1 })
}
