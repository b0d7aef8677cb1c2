//! `measure-settle`: how long this cluster's network plugin takes to enforce a policy.

mod figures;
mod ground;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bulkhead_probe::message::{Group, Protocol, Reply, Request, Speech, Target};
use bulkhead_probe::{TIMEOUT_MS, clock, pod};
use clap::Args;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use self::figures::{Distribution, Seen};
use self::ground::{Ground, PORT};
use crate::args::{ReportArgs, ReportFormat, parse_duration};
use crate::session::Session;
use crate::{Outcome, output};

/// Time between two probes.
const INTERVAL_MS: u64 = 10;
/// So many equal results in a row count as a state: half a second.
const STEADY: u64 = 50;
/// How often probers are asked.
const LOOK: Duration = Duration::from_millis(250);
/// How long asking one prober may take.
const ASK: Duration = Duration::from_secs(20);

/// Arguments of `measure-settle`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Makes a namespace of its own with one server, a client on the same node and one on another, \
    writes policies that close and open the server, and measures with a fresh connection every 10 ms when each write \
    shows. The namespace is removed at the end, also after an error or an interrupt. No other namespace is touched.\n\
    The settle time of the operator (--settle-time) must be longer than the slowest enforcement that ever happens; \
    three times the slowest that was seen is advised. Measure on a busy day, and with as many policies as the \
    cluster has."
)]
pub struct MeasureSettleArgs {
    /// Image that holds /bulkhead-probe
    #[arg(long, value_name = "IMAGE")]
    pub image: String,
    /// How often closing and opening are measured
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub samples: u16,
    /// Policies that exist besides, in the same namespace, and concern no pod
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=10000))]
    pub policies: u16,
    /// How long the pods may take to start
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = parse_duration)]
    pub start_timeout: Duration,
    /// How long one write may take to show before it counts as never
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = parse_duration)]
    pub limit: Duration,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub report: ReportArgs,
}

/// What was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    nodes: usize,
    other_policies: u16,
    /// Milliseconds from the write to the last probe that still got through.
    closing: BTreeMap<&'static str, Distribution>,
    /// Milliseconds from the write to the first probe that got through.
    opening: BTreeMap<&'static str, Distribution>,
    /// How exact the clocks of the pods are known, in milliseconds.
    uncertainty: f64,
    slowest: f64,
    advised_settle_seconds: f64,
}

/// Measures, and cleans up whatever happens.
pub async fn run(args: &MeasureSettleArgs, session: &Session) -> Result<Outcome> {
    let client = session.client().await?;
    let nodes = ground::nodes(&client).await?;
    let mut ground = Ground::make(&client).await?;
    session.note(&format!("measuring in namespace {}", ground.namespace));
    let measured = tokio::select! {
        measured = measure(&mut ground, &nodes, args, session) => measured,
        interrupted = interrupt() => Err(interrupted),
    };
    let removed = ground.remove().await;
    let figures = match (measured, removed) {
        (Ok(figures), Ok(())) => figures,
        (Err(error), Ok(())) | (Ok(_), Err(error)) => return Err(error),
        (Err(error), Err(left)) => bail!("{error:#}; and {left:#}"),
    };
    session.print(&match args.report.output {
        ReportFormat::Json => output::json(&figures)?,
        ReportFormat::Text => text(&figures),
    })?;
    Ok(Outcome::Success)
}

/// Ends when somebody wants this program to end.
async fn interrupt() -> anyhow::Error {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminated = match signal(SignalKind::terminate()) {
        Ok(stream) => stream,
        Err(error) => return anyhow::Error::from(error).context("waiting for signals"),
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {},
        _ = terminated.recv() => {},
    }
    anyhow::anyhow!("interrupted; what was made is removed")
}

async fn measure(
    ground: &mut Ground,
    nodes: &[String],
    args: &MeasureSettleArgs,
    session: &Session,
) -> Result<Figures> {
    ground.start(&args.image, nodes, args.start_timeout).await?;
    ground.idle_policies(usize::from(args.policies)).await?;
    let mut clocks = BTreeMap::new();
    for &name in ground.clients.keys() {
        clocks.insert(name, pod::clock_offset(&ground.pods(), name, ASK).await?);
        begin(ground, name).await?;
    }
    let uncertain = clocks
        .values()
        .map(|(_, uncertain)| *uncertain)
        .max()
        .unwrap_or_default();
    let meter = Meter {
        ground,
        clocks: &clocks,
        limit: args.limit,
    };
    let (mut closing, mut opening) = (BTreeMap::new(), BTreeMap::new());
    let progress = session.progress("samples", usize::from(args.samples));
    // The first write isolates the pod, later ones take the allow away: both close it.
    meter.settled_open().await?;
    for sample in 0..args.samples {
        let closed = if sample == 0 {
            meter.closes(ground.deny()).await
        } else {
            meter.closes(ground.withdraw()).await
        };
        collect(&mut closing, closed?);
        collect(&mut opening, meter.opens(ground.allow()).await?);
        progress.step();
    }
    let distributions = |all: BTreeMap<&'static str, Vec<u64>>| -> BTreeMap<&'static str, Distribution> {
        all.into_iter()
            .filter_map(|(name, samples)| {
                Some((ground.clients.get(name).copied()?, Distribution::of(samples)?))
            })
            .collect()
    };
    let (closing, opening) = (distributions(closing), distributions(opening));
    let slowest = closing
        .values()
        .chain(opening.values())
        .map(|d| d.max)
        .fold(0.0, f64::max);
    Ok(Figures {
        nodes: nodes.len().min(2),
        other_policies: args.policies,
        closing,
        opening,
        uncertainty: Duration::from_micros(uncertain).as_secs_f64() * 1_000.0,
        slowest,
        advised_settle_seconds: figures::advised_seconds(slowest),
    })
}

fn collect(all: &mut BTreeMap<&'static str, Vec<u64>>, sample: BTreeMap<&'static str, u64>) {
    for (name, took) in sample {
        all.entry(name).or_default().push(took);
    }
}

/// Starts the prober of a client.
async fn begin(ground: &Ground, name: &str) -> Result<()> {
    let address = ground.server.context("the server has no address")?;
    let request = Request::Start {
        groups: vec![Group {
            targets: vec![Target {
                id: name.to_owned(),
                address: (address, PORT).into(),
                protocol: Protocol::Tcp,
                held: false,
                speech: Speech::Echo,
            }],
            interval_ms: INTERVAL_MS,
        }],
        timeout_ms: TIMEOUT_MS,
        answer_ms: None,
        max_seconds: 3_600,
    };
    match pod::ask(&ground.pods(), name, &[request], ASK).await?.pop() {
        Some(Reply::Started(_)) => Ok(()),
        other => bail!("pod {name} answers {other:?}"),
    }
}

/// Times writes.
struct Meter<'a> {
    ground: &'a Ground,
    clocks: &'a BTreeMap<&'static str, (i64, u64)>,
    limit: Duration,
}

impl Meter<'_> {
    /// Waits until every client gets through.
    async fn settled_open(&self) -> Result<()> {
        self.until("open", 0, |summary, written| {
            figures::opened(summary, written, STEADY)
        })
        .await
        .map(drop)
    }

    async fn closes(&self, write: impl Future<Output = Result<()>>) -> Result<BTreeMap<&'static str, u64>> {
        let at = clock::now();
        write.await?;
        self.until("close", at, |summary, written| {
            figures::closed(summary, written, INTERVAL_MS * 1_000, STEADY)
        })
        .await
    }

    async fn opens(&self, write: impl Future<Output = Result<()>>) -> Result<BTreeMap<&'static str, u64>> {
        let at = clock::now();
        write.await?;
        self.until("open", at, |summary, written| {
            figures::opened(summary, written, STEADY)
        })
        .await
    }

    /// Asks every client until each has seen it; how long each took, in microseconds.
    async fn until(
        &self,
        what: &str,
        written_us: u64,
        seen: impl Fn(&bulkhead_probe::series::Summary, u64) -> Seen,
    ) -> Result<BTreeMap<&'static str, u64>> {
        let deadline = Instant::now() + self.limit;
        let mut all = BTreeMap::new();
        loop {
            for (&name, (offset, _)) in self
                .clocks
                .iter()
                .filter(|(name, _)| !all.contains_key(*name))
                .collect::<Vec<_>>()
            {
                let report = pod::report(&self.ground.pods(), name, false, ASK).await?;
                let summary = report
                    .get(name)
                    .with_context(|| format!("pod {name} probes nothing"))?;
                if let Seen::After(took) = seen(summary, written_us.saturating_add_signed(*offset)) {
                    all.insert(name, took);
                }
            }
            if all.len() == self.clocks.len() {
                return Ok(all);
            }
            if Instant::now() >= deadline {
                bail!(
                    "the server did not {what} within {:?}: does this cluster's network plugin enforce \
                     NetworkPolicies at all? --limit waits longer",
                    self.limit
                );
            }
            sleep(LOOK).await;
        }
    }
}

fn text(figures: &Figures) -> String {
    let mut text = String::from("WRITE    CLIENT        SAMPLES   MIN MS   MEDIAN      P90      MAX\n");
    for (name, all) in [("closes", &figures.closing), ("opens", &figures.opening)] {
        for (client, d) in all {
            let _ = writeln!(
                text,
                "{name:<8} {client:<13} {:>7} {:>8.0} {:>8.0} {:>8.0} {:>8.0}",
                d.samples, d.min, d.median, d.p90, d.max
            );
        }
    }
    let _ = writeln!(
        text,
        "with {} other policies; clocks known to {:.1} ms, probes every {INTERVAL_MS} ms",
        figures.other_policies, figures.uncertainty
    );
    let _ = writeln!(
        text,
        "the slowest took {:.0} ms: a settle time of {:.0} s leaves threefold room (the operator's default is 30 s)",
        figures.slowest, figures.advised_settle_seconds
    );
    if figures.nodes < 2 {
        let _ = writeln!(
            text,
            "there is one node only: how long other nodes take is not known"
        );
    }
    text
}
