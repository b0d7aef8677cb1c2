//! One file per verb.

pub mod adopt;
pub mod can_connect;
pub mod cleanup;
pub mod complete;
pub mod completion;
pub mod connectivity;
pub mod coverage;
pub mod diff;
pub mod explain;
pub mod lint;
pub mod man;
pub mod measure_settle;
pub mod mode;
pub mod operands;
pub mod order;
pub mod override_;
pub mod plan;
pub mod prepare_downgrade;
pub mod render;
pub mod status;
pub mod unrestrict;
pub mod upgrade_check;
pub mod verify;
pub mod vnid_groups;
mod wait;

use anyhow::{Result, bail};

use crate::Outcome;
use crate::args::Verb;
use crate::session::Session;

/// Runs a verb.
pub async fn run(verb: Verb, session: &Session) -> Result<Outcome> {
    match verb {
        Verb::Mode(args) => mode::run(&args, session).await,
        Verb::Status(args) => status::run(&args, session).await,
        Verb::Adopt(args) => adopt::run(&args, session).await,
        Verb::Override(args) => override_::run(&args, session).await,
        Verb::Unrestrict(args) => unrestrict::run(&args, session).await,
        Verb::PrepareDowngrade(args) => prepare_downgrade::run(&args, session).await,
        Verb::Cleanup(args) => cleanup::run(&args, session).await,
        Verb::Render(args) => render::run(&args, session).await,
        Verb::Verify(args) => verify::run(&args, session).await,
        Verb::CanConnect(args) => can_connect::run(&args, session).await,
        Verb::Connectivity(args) => connectivity::run(&args, session).await,
        Verb::Coverage(args) => coverage::run(&args, session).await,
        Verb::Diff(args) => diff::run(&args, session).await,
        Verb::Lint(args) => lint::run(&args, session).await,
        Verb::Operands(args) => operands::run(&args, session).await,
        Verb::Order(args) => order::run(&args, session).await,
        Verb::Plan(args) => plan::run(&args, session).await,
        Verb::MeasureSettle(args) => measure_settle::run(&args, session).await,
        Verb::VnidGroups(args) => vnid_groups::run(&args, session).await,
        Verb::UpgradeCheck(args) => upgrade_check::run(&args, session),
        Verb::Explain(args) => explain::run(&args, session).await,
        Verb::Complete(args) => complete::run(&args, session),
        Verb::Man(args) => man::run(&args, session),
        Verb::Completion(args) => completion::run(&args, session),
        Verb::Version => {
            session.print(&format!("{} {}", session.program, env!("CARGO_PKG_VERSION")))?;
            Ok(Outcome::Success)
        }
    }
}

/// The one namespace that a verb is about, from its argument or from `--namespace`.
fn one_namespace<'a>(argument: Option<&'a String>, session: &'a Session) -> Result<&'a str> {
    match (argument, &session.globals.in_namespace) {
        (Some(name), None) | (None, Some(name)) => Ok(name),
        (Some(name), Some(flag)) if name == flag => Ok(name),
        (Some(name), Some(flag)) => bail!("two namespaces are named: {name} and --namespace {flag}"),
        (None, None) => bail!("name a namespace, for example openshift-dns"),
    }
}
