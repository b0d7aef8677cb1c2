//! `explain`: which rules decide about a connection, on both sides.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;

use super::can_connect::{Format, QuestionArgs};
use crate::ask::Answer;
use crate::ask::reasons::{Reason, RuleRef};
use crate::session::Session;
use crate::{Outcome, output};

/// Arguments of `explain`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Ends and ports are written as for can-connect.\n\
    A connection is allowed when both sides allow it; a policy never denies by itself: it isolates, and then only \
    what some rule allows is allowed.")]
pub struct ExplainArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub question: QuestionArgs,
}

/// Explains.
pub async fn run(args: &ExplainArgs, session: &Session) -> Result<Outcome> {
    let answers = args.question.answers(session).await?;
    session.print(&match args.question.output {
        Format::Text => answers.iter().map(text).collect::<Vec<_>>().join("\n"),
        Format::Json => output::json(&answers)?,
        Format::Yaml => output::yaml(&answers)?,
    })?;
    Ok(Outcome::Success)
}

fn text(answer: &Answer) -> String {
    let mut text = format!(
        "{} -> {} {}: {}",
        answer.source, answer.destination, answer.port, answer.answer
    );
    let _ = match answer.connections {
        1 => writeln!(text),
        n => writeln!(text, " ({n} connections)"),
    };
    if let Some(together) = &answer.reasons.together {
        let _ = writeln!(text, "  {together}");
    }
    let sides = [
        ("egress", &answer.source, &answer.reasons.egress),
        ("ingress", &answer.destination, &answer.reasons.ingress),
    ];
    for (name, subject, reason) in sides {
        match reason {
            Some(reason) => side(&mut text, name, subject, reason),
            None => {
                let _ = writeln!(text, "  {name}: {subject} is no pod, so no policy applies to it");
            }
        }
    }
    text
}

fn side(text: &mut String, name: &str, subject: &str, reason: &Reason) {
    let _ = writeln!(
        text,
        "  {name} of {subject}: {}, {}",
        reason.answer, reason.because
    );
    rules(text, reason);
    for of in &reason.families {
        let _ = writeln!(
            text,
            "    {}: {}, {}",
            of.family, of.reason.answer, of.reason.because
        );
        rules(text, &of.reason);
    }
}

/// The rules that a reason names.
fn rules(text: &mut String, reason: &Reason) {
    for policy in &reason.isolated_by {
        let place = policy
            .place
            .as_ref()
            .map(|p| format!(" ({p})"))
            .unwrap_or_default();
        let _ = writeln!(text, "    isolated by {}{place}", policy.policy);
    }
    if let Some(rule) = &reason.decided_by {
        let _ = writeln!(text, "    decided by {}", line(rule));
    }
    for rule in &reason.allowed_by {
        let _ = writeln!(text, "    allowed by {}", line(rule));
    }
    for rule in &reason.not_allowed_by {
        let _ = writeln!(text, "    not allowed by {}", line(rule));
    }
}

fn line(rule: &RuleRef) -> String {
    let place = rule.place.as_ref().map(|p| format!(" ({p})")).unwrap_or_default();
    format!("{} {}{place}: {}", rule.policy, rule.rule, rule.says)
}
