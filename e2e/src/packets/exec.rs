//! Tries every cell of a table.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bulkhead_policy::Dialect;
use bulkhead_probe::TIMEOUT_MS;
use bulkhead_probe::message::{Outcome, Protocol, Request, Speech, Target};
use bulkhead_probe::pod;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::predict::Prediction;
use super::stage::Stage;
use super::table::{Cell, Table, name};
use super::truth::{Attempt, Expected, Truth, attempts};
use crate::checker::objects;

/// Clients that probe at a time.
const AT_ONCE: usize = 6;
/// How often a connection is tried that disagrees with what is expected of it: a busy machine drops packets.
const TRIES: u32 = 3;
/// How long one client may take for all of its probes.
const LIMIT: Duration = Duration::from_mins(2);

/// Fills the table for the state in which the cluster is now.
pub async fn fill<'a>(
    stage: &'a Stage,
    truth: &Truth<'_>,
    title: &str,
    dialect: &Dialect,
) -> anyhow::Result<Table<'a>> {
    fill_by(stage, |attempt| truth.of(attempt), title, dialect).await
}

/// The same, with expectations from anywhere.
pub async fn fill_by<'a>(
    stage: &'a Stage,
    expect: impl Fn(Attempt<'_>) -> Expected,
    title: &str,
    dialect: &Dialect,
) -> anyhow::Result<Table<'a>> {
    let prediction = Prediction::read(stage.client(), dialect.clone()).await?;
    let all = attempts(&stage.roles);
    let kernel = probe(stage, &all, 1).await?;
    let mut cells = Vec::with_capacity(all.len());
    for attempt in all {
        let missing = || anyhow::anyhow!("no answer about {}", key(attempt));
        cells.push(Cell {
            attempt,
            expected: expect(attempt),
            engine: prediction.of(attempt)?,
            kernel: kernel.get(&key(attempt)).cloned().ok_or_else(missing)?,
        });
    }
    let doubtful: Vec<Attempt<'a>> = cells
        .iter()
        .filter(|c| c.wrong().is_some())
        .map(|c| c.attempt)
        .collect();
    let mut second_looks = 0;
    if !doubtful.is_empty() {
        let again = probe(stage, &doubtful, TRIES).await?;
        for cell in cells.iter_mut().filter(|c| c.wrong().is_some()) {
            if let Some(outcome) = again.get(&key(cell.attempt)) {
                cell.kernel = outcome.clone();
                second_looks += usize::from(cell.wrong().is_none());
            }
        }
    }
    Ok(Table {
        title: title.to_owned(),
        cells,
        second_looks,
    })
}

fn key(attempt: Attempt<'_>) -> String {
    format!(
        "{} {} {}",
        attempt.client.id(),
        attempt.server.id(),
        name(attempt.port)
    )
}

/// Where an attempt goes, if the prober speaks the protocol.
pub fn target(stage: &Stage, attempt: Attempt<'_>) -> anyhow::Result<Target> {
    let protocol = match attempt.port.0 {
        objects::Protocol::Tcp => Protocol::Tcp,
        objects::Protocol::Udp => Protocol::Udp,
        objects::Protocol::Sctp => anyhow::bail!("the prober does not speak SCTP"),
    };
    Ok(Target {
        id: key(attempt),
        address: SocketAddr::new(stage.address(attempt.server)?, attempt.port.1),
        protocol,
        held: false,
        speech: match (attempt.server.member.existing, attempt.port.1) {
            (false, _) => Speech::Echo,
            (true, 5353) => Speech::Dns,
            (true, _) => Speech::Connect,
        },
    })
}

/// Tries each attempt, each client all of its own at once.
pub async fn probe(
    stage: &Stage,
    attempts: &[Attempt<'_>],
    tries: u32,
) -> anyhow::Result<BTreeMap<String, Outcome>> {
    let mut by_client: BTreeMap<String, (&super::cast::Role, Vec<Target>)> = BTreeMap::new();
    for attempt in attempts {
        let entry = by_client.entry(attempt.client.id());
        let (_, targets) = entry.or_insert_with(|| (attempt.client, Vec::new()));
        targets.push(target(stage, *attempt)?);
    }
    let asked = by_client.into_values().map(|(client, targets)| async move {
        let request = Request::Once {
            targets,
            attempts: tries,
            timeout_ms: TIMEOUT_MS,
        };
        let pods = stage.pods(&client.member.namespace);
        pod::once(&pods, &client.pod, request, LIMIT).await
    });
    let answers: Vec<BTreeMap<String, Outcome>> = stream::iter(asked)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(answers.into_iter().flatten().collect())
}
