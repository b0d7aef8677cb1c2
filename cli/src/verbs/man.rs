//! `man`: manual pages, for those who package the program.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, CommandFactory as _};

use crate::Outcome;
use crate::args::Cli;
use crate::session::Session;

/// Arguments of `man`.
#[derive(Clone, Debug, Args)]
pub struct ManArgs {
    /// The directory that gets one page for the program and one for each verb
    pub directory: PathBuf,
}

/// Writes the pages.
pub fn run(args: &ManArgs, session: &Session) -> Result<Outcome> {
    let directory = &args.directory;
    let context = || format!("cannot write to {}", directory.display());
    std::fs::create_dir_all(directory).with_context(context)?;
    clap_mangen::generate_to(Cli::command().name("kubectl-bulkhead"), directory).with_context(context)?;
    session.note(&format!("manual pages written to {}", directory.display()));
    Ok(Outcome::Success)
}
