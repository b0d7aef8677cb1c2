//! `order`: what a sequence of writes breaks on its way, and an order that breaks nothing.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use bulkhead_policy::effect::{Analysis, Break, Step, analyse, safe_order};
use bulkhead_policy::v1;
use clap::Args;
use serde_json::{Value, json};

use crate::args::{ReportArgs, ReportFormat};
use crate::input::object::Kind;
use crate::input::{self, InputArgs, State, files};
use crate::output::table::Table;
use crate::session::Session;
use crate::{Outcome, output};

/// Arguments of `order`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The state before is what -f names, or the cluster. Each --writer is a list of files and directories, \
    separated by commas, whose NetworkPolicies it writes in the order in which they stand there; delete=PATH deletes \
    them instead. Several writers may interleave in every way.\n\
    Broken is what is allowed before the first and after the last write and denied in between.\n\
    order -f now/ --writer new/                           kubectl apply -f new/\n\
    order -f now/ --writer deny.yaml --writer allow.yaml  two operators that know nothing of each other\n\
    Exit codes: 0 nothing breaks, 1 something does, 2 failure."
)]
pub struct OrderArgs {
    /// What one writer writes, in order; may be repeated
    #[arg(long = "writer", value_name = "[delete=]PATH,…", required = true)]
    pub writers: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub report: ReportArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub input: InputArgs,
}

/// Analyses.
pub async fn run(args: &OrderArgs, session: &Session) -> Result<Outcome> {
    let state = input::state(&args.input, session).await?;
    let writers = args
        .writers
        .iter()
        .map(|w| steps(w, args.input.from.depth.recursive, session))
        .collect::<Result<Vec<_>>>()?;
    let start: Vec<_> = state.policies.iter().map(|w| w.policy.clone()).collect();
    let all: Vec<Step> = writers.iter().flatten().cloned().collect();
    let found = analyse(&state.world, &state.pods, &start, &writers);
    let safe = safe_order(&state.world, &state.pods, &start, &all);
    let report = Report {
        state: &state,
        writers: &writers,
        all: &all,
        found: &found,
        safe: safe.as_deref(),
    };
    session.print(&match args.report.output {
        ReportFormat::Text => report.text(),
        ReportFormat::Json => output::json(&report.json())?,
    })?;
    if !found.exhaustive {
        session.warn("there are too many ways to interleave: not all of them were looked at");
    }
    Ok(if found.breaks.is_empty() && found.exhaustive {
        Outcome::Success
    } else {
        Outcome::Findings
    })
}

/// The writes of one writer.
fn steps(writer: &str, recursive: bool, session: &Session) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for part in writer.split(',') {
        let (deletes, path) = part
            .strip_prefix("delete=")
            .map_or((false, part), |path| (true, path));
        for path in files::expand(&[PathBuf::from(path)], recursive)? {
            let read = files::read(&path)?;
            if let Some(fault) = read.faults.first() {
                bail!("{fault}");
            }
            for mut object in read.objects.into_iter().filter(|o| o.kind == Kind::NetworkPolicy) {
                object.default_namespace(session.globals.in_namespace.as_deref().unwrap_or("default"));
                let (namespace, name) = (object.namespace.clone(), object.name.clone());
                if deletes {
                    steps.push(Step {
                        namespace,
                        name,
                        version: None,
                    });
                    continue;
                }
                let spec = object.part("/spec")?.unwrap_or_default();
                let policy =
                    v1::parse(namespace, name, &spec).map_err(|e| anyhow::anyhow!("{object}: {e}"))?;
                steps.push(Step::put(Arc::new(policy)));
            }
        }
    }
    if steps.is_empty() {
        bail!("--writer {writer} writes no NetworkPolicy");
    }
    Ok(steps)
}

struct Report<'r> {
    state: &'r State,
    writers: &'r [Vec<Step>],
    all: &'r [Step],
    found: &'r Analysis,
    safe: Option<&'r [usize]>,
}

impl Report<'_> {
    fn text(&self) -> String {
        let mut out = String::new();
        match self.found.worst() {
            None => out.push_str("Nothing breaks, however the writes interleave.\n"),
            Some((done, breaks)) => {
                let _ = writeln!(out, "Worst point: {}.", self.point(&done));
                let mut table = Table::new(&["WORKLOAD", "PODS", "DIRECTION", "DENIED"], false);
                for (workload, pods, direction, flows) in breaks.iter().flat_map(|b| self.lines(b)) {
                    table.row(vec![
                        workload.into(),
                        pods.to_string().into(),
                        direction.into(),
                        flows.into(),
                    ]);
                }
                out.push_str(&table.render());
            }
        }
        match self.safe {
            Some(_) if self.found.breaks.is_empty() => {}
            Some(order) => {
                out.push_str("\nAn order that breaks nothing, if each write has reached every node before the next:\n");
                for (at, step) in order.iter().enumerate() {
                    let _ = writeln!(out, "  {}. {}", at + 1, step_text(&self.all[*step]));
                }
            }
            None => out.push_str(
                "\nNo order of these writes keeps everything: write a policy that allows everything first, and delete it \
                 last.\n",
            ),
        }
        out
    }

    fn point(&self, done: &[usize]) -> String {
        let of = |(at, (done, steps)): (usize, (&usize, &Vec<Step>))| {
            let who = if self.writers.len() == 1 {
                String::new()
            } else {
                format!("writer {}: ", at + 1)
            };
            match done.checked_sub(1).and_then(|last| steps.get(last)) {
                None => format!("{who}before its first write"),
                Some(last) => format!("{who}after write {done} of {} ({})", steps.len(), step_text(last)),
            }
        };
        done.iter()
            .zip(self.writers)
            .enumerate()
            .map(of)
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn lines(&self, broken: &Break) -> Vec<(String, usize, &'static str, String)> {
        let placed = &self.state.placed[broken.pod];
        let workload = format!("{}/{}", placed.pod.namespace, placed.workload);
        let line = |flows: &bulkhead_policy::Flows| {
            (
                workload.clone(),
                broken.pods,
                broken.direction.as_str(),
                flows.to_string(),
            )
        };
        broken.flows.iter().map(line).collect()
    }

    fn json(&self) -> Value {
        let line = |(workload, pods, direction, flows): (String, usize, &str, String)| json!({"workload": workload, "pods": pods, "direction": direction, "denied": flows});
        let at = |b: &Break| json!({"done": b.done, "lost": self.lines(b).into_iter().map(line).collect::<Vec<_>>()});
        let worst = self.found.worst().map(|(done, breaks)| {
            let lost: Vec<Value> = breaks.iter().flat_map(|b| self.lines(b)).map(line).collect();
            json!({"done": done, "at": self.point(&done), "lost": lost})
        });
        json!({
            "writers": self.writers.iter().map(|w| w.iter().map(step_text).collect::<Vec<_>>()).collect::<Vec<_>>(),
            "exhaustive": self.found.exhaustive,
            "worst": worst,
            "breaks": self.found.breaks.iter().map(at).collect::<Vec<_>>(),
            "safeOrder": self.safe.map(|order| order.iter().map(|at| step_text(&self.all[*at])).collect::<Vec<_>>()),
        })
    }
}

fn step_text(step: &Step) -> String {
    let verb = if step.version.is_some() { "write" } else { "delete" };
    format!("{verb} {}/{}", step.namespace, step.name)
}
