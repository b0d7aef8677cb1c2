//! Probes of everything that is required while the switch moves.

use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::Run;
use crate::operator::{Operator, Options};
use crate::packets::flows::{Flows, Tally, required};
use crate::packets::ground::{Ground, Running};
use crate::packets::jobs::Skip;
use crate::packets::stage::Stage;
use crate::packets::truth::{Attempt, Mode};
use crate::wait::eventually;

const CLOSED: Mode = Mode::Restricted { egress: false };
const CLOSED_BOTH: Mode = Mode::Restricted { egress: true };
/// Fewer probes than this prove nothing.
const LEAST: u64 = 1_000;

/// Sums over a run.
#[derive(Default)]
#[allow(missing_docs)]
pub struct Sums {
    pub transitions: u64,
    pub probes: u64,
    pub held: u64,
    pub lost: u64,
}

impl Sums {
    fn add(&mut self, transitions: u64, tally: &Tally) {
        self.transitions += transitions;
        self.probes += tally.probes;
        self.held += tally.held;
        self.lost += tally.lost;
    }
}

impl std::fmt::Display for Sums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} transitions under {} fresh probes and {} on held connections: {} lost",
            self.transitions, self.probes, self.held, self.lost
        )
    }
}

/// A transition under probes: gives what was counted, and fails if anything was lost.
pub async fn watched(
    ground: &Ground,
    stage: &Stage,
    attempts: &[Attempt<'_>],
    sums: &mut Sums,
    transitions: u64,
    body: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<String> {
    let before = ground.denied()?;
    let flows = Flows::start(stage, attempts, ground.setting.pace).await?;
    let outcome = body.await;
    // What the last write did has to show before probing ends.
    tokio::time::sleep(ground.setting.settle).await;
    let mut tally = flows.stop().await?;
    tally.denied = before
        .zip(ground.denied()?)
        .map(|(before, after)| after.saturating_sub(before));
    sums.add(transitions, &tally);
    outcome.with_context(|| tally.to_string())?;
    tally.assert_lossless(LEAST)?;
    let mut told = vec![format!("{transitions} transitions: {tally}")];
    told.extend(tally.losses);
    Ok(told.join("\n"))
}

/// Namespaces that close early and whose allow-all shows when.
pub const EARLY: [&str; 4] = [
    "openshift-dns-operator",
    "openshift-console-operator",
    "openshift-marketplace",
    "openshift-network-diagnostics",
];

/// All transitions. `rounds` is how often each is repeated.
pub async fn run(
    run: &mut Run,
    ground: &Ground,
    stage: &Stage,
    operator: &mut Option<Operator>,
    rounds: u64,
) -> anyhow::Result<()> {
    let attempts = required(&ground.rules, &stage.roles, ground.fallback());
    let mut sums = Sums::default();
    ground.switch(Mode::Unrestricted).await?;

    let there_and_back = async {
        for _ in 0..rounds {
            ground.switch(CLOSED).await?;
            ground.switch(Mode::Unrestricted).await?;
        }
        Ok(())
    };
    let body = watched(ground, stage, &attempts, &mut sums, 2 * rounds, there_and_back);
    run.case("probes while the switch is turned and turned back", body)
        .await;

    let half_way = async {
        for _ in 0..rounds {
            ground.order(CLOSED).await?;
            ground.first_is_closed(&EARLY).await?;
            ground.switch(Mode::Unrestricted).await?;
        }
        Ok(())
    };
    let body = watched(ground, stage, &attempts, &mut sums, 2 * rounds, half_way);
    run.case("probes while the switch is turned back half way", body)
        .await;

    let egress = async {
        for mode in [CLOSED_BOTH, CLOSED, CLOSED_BOTH, Mode::Unrestricted] {
            ground.switch(mode).await?;
        }
        Ok(())
    };
    let body = watched(ground, stage, &attempts, &mut sums, 4, egress);
    run.case("probes while egress is isolated and released", body)
        .await;

    let killed = async {
        for _ in 0..rounds {
            leader_killed(ground, operator).await?;
        }
        Ok(())
    };
    let body = watched(ground, stage, &attempts, &mut sums, 2 * rounds, killed);
    run.case("probes while the leader is killed half way", body).await;
    println!("{sums}");
    Ok(())
}

/// Closes with two replicas, ends the one that leads in the middle, and opens again with the other.
async fn leader_killed(ground: &Ground, operator: &mut Option<Operator>) -> anyhow::Result<()> {
    if ground.setting.running == Running::Installed {
        return Err(
            Skip("the operator is installed; only one that the tests started is killed".to_owned()).into(),
        );
    }
    let standby = ground
        .operator(Options::default())
        .await?
        .context("no operator")?;
    let mut leader = operator.replace(standby).context("no operator runs")?;
    eventually("the first operator to lead", Duration::from_secs(20), || async {
        ensure!(leads(&leader)?, "it does not");
        Ok(())
    })
    .await?;
    ground.order(CLOSED).await?;
    ground.first_is_closed(&EARLY).await?;
    leader.kill()?;
    ground.followed(CLOSED).await?;
    ground.switch(Mode::Unrestricted).await.map(drop)
}

fn leads(operator: &Operator) -> anyhow::Result<bool> {
    let page: serde_json::Value = serde_json::from_str(&operator.page("/debug/state")?)?;
    Ok(page["leading"] == true)
}
