//! `completion`: scripts for shells.

use anyhow::Result;
use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::aot;

use crate::Outcome;
use crate::args::Cli;
use crate::session::Session;

/// Arguments of `completion`.
#[derive(Clone, Copy, Debug, Args)]
pub struct CompletionArgs {
    /// The shell that is to complete
    pub shell: Shell,
}

/// Shells that are supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU bash.
    Bash,
    /// Z shell.
    Zsh,
    /// Friendly interactive shell.
    Fish,
    /// kubectl itself: the program kubectl_complete-bulkhead, to be put on the PATH.
    Kubectl,
}

/// What kubectl runs to complete the words after `kubectl bulkhead`.
const KUBECTL: &str = "#!/bin/sh\n# Save as kubectl_complete-bulkhead on the PATH and make it executable.\nexec kubectl-bulkhead complete -- \"$@\"\n";

/// Prints the script. It completes `kubectl-bulkhead`, the name of the binary: kubectl completes its plugins
/// through programs of their own.
pub fn run(args: &CompletionArgs, session: &Session) -> Result<Outcome> {
    let shell = match args.shell {
        Shell::Bash => aot::Shell::Bash,
        Shell::Zsh => aot::Shell::Zsh,
        Shell::Fish => aot::Shell::Fish,
        Shell::Kubectl => {
            session.print(KUBECTL)?;
            return Ok(Outcome::Success);
        }
    };
    let mut script = Vec::new();
    aot::generate(shell, &mut Cli::command(), "kubectl-bulkhead", &mut script);
    session.print(&String::from_utf8(script)?)?;
    Ok(Outcome::Success)
}
