//! The operator ends at a write.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bulkhead_e2e::admin::LIMIT;
use bulkhead_e2e::checker::history::{Kind, Writer};
use bulkhead_e2e::lab::Lab;
use bulkhead_e2e::operator::{Operator, Options};
use serde_json::{Value, json};

use crate::setting::{HOME, NS, config, entry, lab};

const KILLED: i32 = 137;
const SETTLE: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_millis(600);

fn plain() -> Options {
    Options::default().settle(SETTLE).short_lease()
}

/// One that finishes what another began. Its lease is not short: on a busy machine it would be lost again and
/// again, and every clock with it.
fn healthy() -> Options {
    Options::default().settle(SETTLE)
}

/// Runs an operator that ends at a write until it has ended or the work is done.
async fn crashed<D: AsyncFn() -> anyhow::Result<()>>(
    lab: &Lab,
    fault: &str,
    done: D,
) -> anyhow::Result<bool> {
    let mut operator: Operator = lab.start(&plain().fault(fault))?;
    tokio::select! {
        ended = operator.ended(3 * LIMIT) => {
            let code = ended?;
            ensure!(code == Some(KILLED), "the operator ended with {code:?}:\n{}", operator.log());
            return Ok(true);
        }
        outcome = done() => outcome.with_context(|| format!("with {fault}"))?,
    }
    Ok(operator.stop().await? == Some(KILLED))
}

async fn present(lab: &Lab) -> anyhow::Result<()> {
    lab.enforced("external-secrets").await.map(drop)
}

async fn absent(lab: &Lab) -> anyhow::Result<()> {
    lab.exactly(NS, &[]).await?;
    lab.exactly(HOME, &[]).await
}

/// Every fifth write, so that the default part stays short; where it begins changes with the fault.
pub(crate) async fn crashes() -> anyhow::Result<()> {
    let mut lab = lab().await?;
    lab.rules.window = WINDOW;
    let mut count = 0;
    for (fault, first) in [("kill-before", 2), ("kill-after", 3)] {
        for write in (first..).step_by(5) {
            lab.apply_bundle("external-secrets")?;
            let fell = crashed(&lab, &format!("{fault}:{write}"), async || present(&lab).await).await?;
            let mut second = lab.operator_with(&healthy()).await?;
            present(&lab)
                .await
                .with_context(|| format!("installing after {fault}:{write}"))?;
            second.terminate().await?;
            lab.delete_bundle("external-secrets").await?;
            let fell_again = crashed(&lab, &format!("{fault}:{write}"), async || absent(&lab).await).await?;
            let mut second = lab.operator_with(&healthy()).await?;
            absent(&lab)
                .await
                .with_context(|| format!("removing after {fault}:{write}"))?;
            second.terminate().await?;
            count += usize::from(fell) + usize::from(fell_again);
            if !fell && !fell_again {
                break;
            }
        }
    }
    println!("  {count} crashes");
    ensure!(count >= 8, "only {count} crashes");
    lab.assert_clean().map(drop)
}

pub(crate) async fn random(rounds: u64) -> anyhow::Result<()> {
    let mut lab = lab().await?;
    lab.rules.window = WINDOW;
    lab.operand_kinds("external-secrets").await?;
    let seed = std::env::var("BULKHEAD_SEED").ok().and_then(|s| s.parse().ok());
    let mut seed: u64 = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("  seed {seed}");
    let mut next = |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut crashes = 0;
    for _ in 0..rounds {
        lab.apply_bundle("external-secrets")?;
        let mode = if next(2) == 0 { "Enabled" } else { "Disabled" };
        let entries: Vec<Value> = (0..next(3))
            .map(|n| entry(&format!("entry-{n}"), "CoreController", 8200))
            .collect();
        config(
            &lab,
            json!({"plugins": {"bitwardenSecretManagerProvider": {"mode": mode}},
            "controllerConfig": {"networkPolicies": entries}}),
        )
        .await?;
        let fault = format!(
            "kill-{}:{}",
            if next(2) == 0 { "before" } else { "after" },
            1 + next(14)
        );
        crashes += usize::from(crashed(&lab, &fault, async || present(&lab).await).await?);
        if next(3) == 0 {
            lab.delete_bundle("external-secrets").await?;
            crashes += usize::from(crashed(&lab, &fault, async || absent(&lab).await).await?);
        }
    }
    lab.apply_bundle("external-secrets")?;
    let _operator = lab.operator_with(&healthy()).await?;
    present(&lab).await?;
    println!("  {crashes} crashes");
    ensure!(crashes > 0, "nothing crashed");
    let history = lab.history()?;
    let ours = history
        .events
        .iter()
        .filter(|e| e.writer == Writer::Ours && e.id.kind == Kind::Policy);
    ensure!(ours.count() > 10, "hardly anything was written");
    lab.assert_clean().map(drop)
}
