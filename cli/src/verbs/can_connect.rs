//! `can-connect`: whether one end may open a connection to another.

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::ask::{self, Answer};
use crate::input::ends::{self, PortName, Role};
use crate::input::{self, InputArgs};
use crate::output::table::{Cell, Style, Table};
use crate::session::Session;
use crate::{Outcome, output};

/// Which connection is meant, where it is looked up, and how the answers are shown.
#[derive(Clone, Debug, Args)]
pub struct QuestionArgs {
    /// Who opens the connection
    #[arg(value_name = "SOURCE")]
    pub source: String,
    /// Who is to answer
    #[arg(value_name = "DESTINATION")]
    pub destination: String,
    /// Port: 443, 53/UDP, a port name, or icmp [default: every port that the destination declares]
    #[arg(long, short = 'p', value_name = "PORT")]
    pub port: Option<PortName>,
    /// Format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub input: InputArgs,
}

impl QuestionArgs {
    /// The answers, one for each pair of workloads, port and reasons.
    pub async fn answers(&self, session: &Session) -> Result<Vec<Answer>> {
        let state = input::state(&self.input, session).await?;
        let namespace = session.globals.in_namespace.as_deref().unwrap_or("default");
        let source = ends::find(&self.source, Role::Source, &state, namespace)?;
        let destination = ends::find(&self.destination, Role::Destination, &state, namespace)?;
        let questions = ask::questions(&source, &destination, self.port.as_ref(), &state)?;
        Ok(ask::answers(&state, &questions))
    }
}

/// Arguments of `can-connect`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "An end is [NAMESPACE/]KIND/NAME or NAMESPACE/NAME for a pod, a workload or a Service, ns/NAME for every \
    pod of a namespace, host or host:ADDRESS for a process on another node, kubelet for the own node, apiserver (as a source: \
    its calls of webhooks), webhook-caller, aggregated-api-caller, outside, or an address; that of a Service is the Service.\n\
    A connection to a Service is judged at the ports of the pods behind it, as policies see it.\n\
    Exit codes: 0 every connection is allowed, 1 one is denied or unknown, 2 failure."
)]
pub struct CanConnectArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub question: QuestionArgs,
}

/// Formats of single answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Asks.
pub async fn run(args: &CanConnectArgs, session: &Session) -> Result<Outcome> {
    let answers = args.question.answers(session).await?;
    session.print(&match args.question.output {
        Format::Text => table(&answers, session.colored()),
        Format::Json => output::json(&answers)?,
        Format::Yaml => output::yaml(&answers)?,
    })?;
    Ok(outcome(&answers))
}

/// Success when everything is allowed.
pub fn outcome(answers: &[Answer]) -> Outcome {
    if answers.iter().all(|a| a.answer == "Allowed") {
        Outcome::Success
    } else {
        Outcome::Findings
    }
}

fn table(answers: &[Answer], colored: bool) -> String {
    let mut table = Table::new(&["SOURCE", "DESTINATION", "PORT", "ANSWER", "BECAUSE"], colored);
    for answer in answers {
        table.row(vec![
            answer.source.as_str().into(),
            answer.destination.as_str().into(),
            answer.port.as_str().into(),
            Cell::styled(answer.answer, style(answer.answer)),
            answer.reasons.in_short().into(),
        ]);
    }
    table.render()
}

/// The colour of an answer.
pub fn style(answer: &str) -> Style {
    match answer {
        "Allowed" => Style::Good,
        "Denied" => Style::Bad,
        _ => Style::Attention,
    }
}
