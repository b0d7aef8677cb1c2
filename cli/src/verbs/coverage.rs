//! `coverage`: how many pods of each namespace policies isolate, by direction.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::Result;
use bulkhead_policy::Cluster;
use bulkhead_policy::engine::Cover;
use bulkhead_policy::tiers::Tier;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::args::NamespacesArgs;
use crate::input::{self, InputArgs, State};
use crate::output::table::{Cell, Style, Table};
use crate::session::Session;
use crate::{Outcome, output};

/// Arguments of `coverage`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "INGRESS and EGRESS count the pods that a NetworkPolicy isolates, ADMIN and BASELINE those that cluster \
    policies of that tier deny something (incoming/outgoing). A policy that allows everything counts too: OPEN counts the \
    pods that everybody may reach on every port all the same, through all tiers, and CLOSED those that shut somebody out on \
    every port (incoming/outgoing).\n\
    A pod is covered when a NetworkPolicy isolates it, or cluster policies shut somebody out on every port.\n\
    Pods on the host network do not count: no policy applies to them.\n\
    Exit codes: 0, 1 when --require is not met, 2 failure."
)]
pub struct CoverageArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub only: NamespacesArgs,
    /// Fail unless every pod is covered in this direction; may be repeated
    #[arg(long, value_enum, ignore_case = true, value_name = "DIRECTION")]
    pub require: Vec<DirectionName>,
    /// Format; wide also names the workloads that are not covered
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub input: InputArgs,
}

/// Directions on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DirectionName {
    /// Incoming connections
    Ingress,
    /// Outgoing connections
    Egress,
}

/// Formats of `coverage`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table.
    #[default]
    Text,
    /// A table with the names of what is not covered.
    Wide,
    /// JSON.
    Json,
    /// Comma-separated values.
    Csv,
}

/// One namespace.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    namespace: Arc<str>,
    pods: usize,
    ingress: Side,
    egress: Side,
}

/// One direction.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Side {
    /// Covered by whatever tier.
    covered: usize,
    /// Isolated by a NetworkPolicy.
    isolated: usize,
    /// Denied something by the Admin tier.
    admin: usize,
    /// Denied something by the Baseline tier.
    baseline: usize,
    /// Shutting somebody out on every port.
    closed: usize,
    /// Open to everybody on every port.
    open: usize,
    /// Workloads with a pod that is not covered.
    uncovered: Vec<Arc<str>>,
}

impl Side {
    fn add(&mut self, cover: Cover, workload: &Arc<str>) {
        self.isolated += usize::from(cover.isolated);
        self.admin += usize::from(cover.admin);
        self.baseline += usize::from(cover.baseline);
        self.closed += usize::from(cover.closed);
        self.open += usize::from(cover.open);
        if cover.is_covered() {
            self.covered += 1;
        } else if self.uncovered.last() != Some(workload) {
            self.uncovered.push(workload.clone());
        }
    }
}

/// Counts.
pub async fn run(args: &CoverageArgs, session: &Session) -> Result<Outcome> {
    let state = input::state(&args.input, session).await?;
    let asked = args.only.asked(&session.globals);
    let rows: Vec<Row> = rows(&state)
        .into_iter()
        .filter(|r| asked.is_empty() || asked.iter().any(|a| **a == *r.namespace))
        .collect();
    if let Some(missing) = asked.iter().find(|a| !rows.iter().any(|r| *r.namespace == ***a)) {
        anyhow::bail!("no pod is known of in namespace {missing}");
    }
    session.print(&match args.output {
        Format::Text => table(&rows, false, session.colored()),
        Format::Wide => table(&rows, true, session.colored()),
        Format::Json => output::json(&rows)?,
        Format::Csv => csv(&rows),
    })?;
    let count = |of: fn(&Row) -> usize| rows.iter().map(of).sum::<usize>();
    let (pods, ingress, egress) = (
        count(|r| r.pods),
        count(|r| r.ingress.covered),
        count(|r| r.egress.covered),
    );
    session.note(&summary(&state, (pods, ingress, egress)));
    let met = args.require.iter().all(|direction| match direction {
        DirectionName::Ingress => ingress == pods,
        DirectionName::Egress => egress == pods,
    });
    Ok(if met { Outcome::Success } else { Outcome::Findings })
}

fn summary(state: &State, (pods, ingress, egress): (usize, usize, usize)) -> String {
    let tier = |tier| state.cluster_policies.iter().filter(|p| p.tier == tier).count();
    let (admin, baseline) = (tier(Tier::Admin), tier(Tier::Baseline));
    let tiers = if admin + baseline == 0 {
        String::new()
    } else {
        format!(" (counting {admin} policies of the Admin tier and {baseline} of the Baseline tier)")
    };
    format!("{pods} pods: {ingress} covered for ingress, {egress} for egress{tiers}")
}

fn rows(state: &State) -> Vec<Row> {
    let policies = state.engine_policies();
    let covers = Cluster::of(&state.pods, state.engine(&policies)).covers();
    let mut rows: BTreeMap<Arc<str>, Row> = BTreeMap::new();
    for (placed, cover) in state.placed.iter().zip(covers) {
        let row = rows
            .entry(placed.pod.namespace.clone())
            .or_insert_with_key(|name| Row {
                namespace: name.clone(),
                pods: 0,
                ingress: Side::default(),
                egress: Side::default(),
            });
        if let Some([ingress, egress]) = cover {
            row.pods += 1;
            row.ingress.add(ingress, &placed.workload);
            row.egress.add(egress, &placed.workload);
        }
    }
    rows.into_values().collect()
}

fn table(rows: &[Row], wide: bool, colored: bool) -> String {
    let mut headers = vec![
        "NAMESPACE",
        "PODS",
        "INGRESS",
        "EGRESS",
        "ADMIN",
        "BASELINE",
        "CLOSED",
        "OPEN",
    ];
    if wide {
        headers.extend(["UNCOVERED-INGRESS", "UNCOVERED-EGRESS"]);
    }
    let mut table = Table::new(&headers, colored);
    for row in rows {
        let part = |side: &Side| {
            let style = if side.covered == row.pods {
                Style::Good
            } else {
                Style::Attention
            };
            Cell::styled(format!("{}/{}", side.isolated, row.pods), style)
        };
        let both = |of: fn(&Side) -> usize| format!("{}/{}", of(&row.ingress), of(&row.egress)).into();
        let mut cells = vec![
            row.namespace.to_string().into(),
            row.pods.to_string().into(),
            part(&row.ingress),
            part(&row.egress),
            both(|side| side.admin),
            both(|side| side.baseline),
            both(|side| side.closed),
            row.ingress.open.to_string().into(),
        ];
        if wide {
            cells.push(row.ingress.uncovered.join(",").into());
            cells.push(row.egress.uncovered.join(",").into());
        }
        table.row(cells);
    }
    table.render()
}

fn csv(rows: &[Row]) -> String {
    let sides = ["ingress", "egress"];
    let columns = ["Covered", "Isolated", "Admin", "Baseline", "Closed", "Open"];
    let columns = sides
        .iter()
        .flat_map(|side| columns.map(|column| format!(",{side}{column}")));
    let mut out = format!("namespace,pods{}\n", columns.collect::<String>());
    for row in rows {
        let _ = write!(out, "{},{}", row.namespace, row.pods);
        for side in [&row.ingress, &row.egress] {
            let counts = [
                side.covered,
                side.isolated,
                side.admin,
                side.baseline,
                side.closed,
                side.open,
            ];
            for count in counts {
                let _ = write!(out, ",{count}");
            }
        }
        out.push('\n');
    }
    out
}
