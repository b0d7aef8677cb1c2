//! The operator ends at every write, at random writes, and its deletions arrive when others lead.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bulkhead_api::namespace::EffectiveMode;
use bulkhead_e2e::admin::LIMIT;
use bulkhead_e2e::checker::history::Kind;
use bulkhead_e2e::lab::{Lab, Shape};
use bulkhead_e2e::operator::{Operator, Options};
use bulkhead_e2e::suite::Suite;
use bulkhead_e2e::wait::eventually;
use serde_json::{Value, json};

const NS: &str = "openshift-dns-operator";
const SETTLE: Duration = Duration::from_secs(1);
/// Shorter than the settle time, as the usual window is.
const WINDOW: Duration = Duration::from_millis(600);
/// How late the watches of a blind leader are.
const LATE: Duration = Duration::from_secs(4);
/// Exit code of an operator that a fault has ended.
const KILLED: i32 = 137;

fn main() -> ExitCode {
    Suite::default()
        .scenario(
            "a crash at any write of closing and opening loses nothing",
            switching,
        )
        .scenario("a crash at any write of a set change loses nothing", set_change)
        .scenario("a crash at any write of a repair loses nothing", repair)
        .scenario("twenty crashes at random writes lose nothing", || random(20))
        .long("two hundred crashes at random writes lose nothing", || {
            random(200)
        })
        .scenario(
            "deletions that arrive after a takeover and a change of mind hit nothing",
            late_deletions,
        )
        .scenario(
            "a leader whose watches stand still closes nothing that lost its set",
            late_watches,
        )
        .scenario(
            "a leader whose watches stand still closes nothing whose declarations changed",
            late_declarations,
        )
        .run()
}

fn plain() -> Options {
    Options::default().settle(SETTLE).short_lease()
}

async fn lab() -> anyhow::Result<Lab> {
    // The operator's own namespace is a third one.
    let shape = Shape::of("openshift-dns-operator,openshift-config");
    let mut lab = Lab::new(&shape).await?;
    lab.rules.window = WINDOW;
    Ok(lab)
}

/// Makes a change again and again, with an operator that ends at its first, second, third … write and another
/// one that finishes, until an operator reaches the end. Gives the number of crashes.
async fn at_every_write<C, D>(lab: &Lab, rounds: usize, change: C, done: D) -> anyhow::Result<usize>
where
    C: AsyncFn(usize) -> anyhow::Result<()>,
    D: AsyncFn(usize) -> anyhow::Result<()>,
{
    let mut crashes = 0;
    for fault in ["kill-before", "kill-after"] {
        for write in 1.. {
            let mut survived = 0;
            for round in 0..rounds {
                change(round).await?;
                if crashed(lab, &format!("{fault}:{write}"), async || done(round).await).await? {
                    crashes += 1;
                    let mut healthy = lab.operator_with(&plain()).await?;
                    done(round)
                        .await
                        .with_context(|| format!("after {fault}:{write}"))?;
                    healthy.terminate().await?;
                } else {
                    survived += 1;
                }
            }
            if survived == rounds {
                break;
            }
        }
    }
    Ok(crashes)
}

/// Runs an operator that ends at a write, until it has ended or the work is done.
async fn crashed<D: AsyncFn() -> anyhow::Result<()>>(
    lab: &Lab,
    fault: &str,
    done: D,
) -> anyhow::Result<bool> {
    let mut operator = lab.start(&plain().fault(fault))?;
    tokio::select! {
        ended = operator.ended(3 * LIMIT) => {
            let code = ended?;
            ensure!(code == Some(KILLED), "the operator ended with {code:?}:\n{}", operator.log());
            return Ok(true);
        }
        outcome = done() => outcome.with_context(|| format!("with {fault}"))?,
    }
    // Its last word about itself may be the write at which it ends; and where there was nothing to do, it may not
    // even have come to handling signals.
    let code = operator.stop().await?;
    ensure!(
        matches!(code, None | Some(0 | KILLED)),
        "the operator ended with {code:?}:\n{}",
        operator.log()
    );
    Ok(code == Some(KILLED))
}

async fn switching() -> anyhow::Result<()> {
    let lab = lab().await?;
    settle_in(&lab, "Unrestricted").await?;
    const MODES: [&str; 2] = ["Restricted", "Unrestricted"];
    let crashes = at_every_write(
        &lab,
        2,
        async |round| lab.admin.mode(MODES[round]).await,
        async |round| lab.admin.applied(Some(MODES[round]), LIMIT).await.map(drop),
    )
    .await?;
    println!("  {crashes} crashes");
    ensure!(crashes > 30, "only {crashes} crashes");
    lab.assert_clean().map(drop)
}

/// Brings the cluster to a mode and leaves no operator behind.
async fn settle_in(lab: &Lab, mode: &str) -> anyhow::Result<()> {
    lab.admin.mode(mode).await?;
    let mut operator = lab.operator_with(&plain()).await?;
    lab.admin.applied(Some(mode), LIMIT).await?;
    operator.terminate().await
}

/// A set of one server.
fn set(clients: &[&str]) -> Value {
    let clients: Vec<Value> = clients
        .iter()
        .map(|name| json!({"type": "Namespace", "namespace": {"name": name}}))
        .collect();
    json!({
        "catalogEntry": "Replace",
        "servers": [{
            "name": "operator",
            "podSelector": {"matchLabels": {"name": "dns-operator"}},
            "rules": [{"ports": [{"port": 9393}], "clients": clients}],
        }],
    })
}

async fn set_change() -> anyhow::Result<()> {
    let lab = lab().await?;
    settle_in(&lab, "Restricted").await?;
    const CLIENTS: [(&str, &str); 2] = [
        ("openshift-bulkhead", "openshift-config"),
        ("openshift-config", "openshift-bulkhead"),
    ];
    // Every change is the opposite of the one before.
    let turn = std::cell::Cell::new(0);
    let crashes = at_every_write(
        &lab,
        1,
        async |_| {
            turn.set(1 - turn.get());
            let clients = ["openshift-monitoring", CLIENTS[turn.get()].0];
            lab.admin.declare(NS, "mine", &set(&clients)).await
        },
        async |_| {
            let (present, absent) = CLIENTS[turn.get()];
            eventually("the set to be narrowed", LIMIT, || async {
                let mut text = String::new();
                for name in lab.admin.policy_names(NS).await? {
                    text += &serde_json::to_string(&lab.admin.policies(NS).get(&name).await?.spec)?;
                }
                let quoted = |name: &str| format!("\"{name}\"");
                ensure!(
                    text.contains(&quoted(present)) && !text.contains(&quoted(absent)),
                    "{text}"
                );
                Ok(())
            })
            .await?;
            lab.admin.settled(NS, &["Restricted"]).await.map(drop)
        },
    )
    .await?;
    println!("  {crashes} crashes");
    ensure!(crashes > 10, "only {crashes} crashes");
    lab.assert_clean().map(drop)
}

async fn repair() -> anyhow::Result<()> {
    let lab = lab().await?;
    settle_in(&lab, "Restricted").await?;
    let whole = lab.admin.policy_names(NS).await?;
    let crashes = at_every_write(
        &lab,
        1,
        async |_| {
            lab.cluster
                .kubectl(&["delete", "networkpolicy", "--all", "-n", NS])
                .map(drop)
        },
        async |_| {
            eventually("the set to be back", LIMIT, || async {
                let now = lab.admin.policy_names(NS).await?;
                ensure!(now == whole, "{now:?} instead of {whole:?}");
                Ok(())
            })
            .await?;
            lab.admin.settled(NS, &["Restricted"]).await.map(drop)
        },
    )
    .await?;
    println!("  {crashes} crashes");
    ensure!(crashes >= 4, "only {crashes} crashes");
    lab.assert_clean().map(drop)
}

/// Crashes count when the operator had written something of the transition and something was left to write.
async fn random(wanted: usize) -> anyhow::Result<()> {
    let lab = lab().await?;
    settle_in(&lab, "Unrestricted").await?;
    let seed = std::env::var("BULKHEAD_SEED").ok().and_then(|s| s.parse().ok());
    let seed = seed.unwrap_or(0x5eed_0001);
    println!("  seed {seed} (BULKHEAD_SEED sets another)");
    let mut dice = fastrand::Rng::with_seed(seed);
    let modes = ["Unrestricted", "Restricted"];
    let (mut counted, mut mode) = (0, 0);
    while counted < wanted {
        if dice.u8(..3) > 0 {
            mode = 1 - mode;
            lab.admin.mode(modes[mode]).await?;
        }
        let fault = format!(
            "kill-{}:{}",
            if dice.bool() { "before" } else { "after" },
            dice.u8(1..14)
        );
        let first = lab.admin.version().await?;
        let target = modes[mode];
        let done = async || lab.admin.applied(Some(target), LIMIT).await.map(drop);
        if !crashed(&lab, &fault, done).await? {
            continue;
        }
        let wrote = lab.policy_writes_since(first)? > 0;
        let left = lab.admin.applied(Some(target), Duration::ZERO).await.is_err();
        counted += usize::from(wrote && left);
    }
    let mut healthy = lab.operator_with(&plain()).await?;
    lab.admin.applied(Some(modes[mode]), LIMIT).await?;
    lab.assert_quiet(Duration::from_secs(4)).await?;
    healthy.terminate().await?;
    println!("  {counted} crashes between a transition's first and last write");
    lab.assert_clean().map(drop)
}

/// The leader's deletions are held up on their way, it is suspended, another replica takes over, and the
/// administrator changes his mind; then the deletions arrive.
async fn late_deletions() -> anyhow::Result<()> {
    let lab = lab().await?;
    settle_in(&lab, "Unrestricted").await?;
    let mut arrived = 0;
    for _ in 0..2 {
        let slow = lab.operator_with(&plain().fault("late-delete:4000")).await?;
        lab.admin.mode("Restricted").await?;
        announced(&lab).await?;
        slow.freeze()?;
        let mut other = lab.operator_with(&plain()).await?;
        lab.admin.mode("Unrestricted").await?;
        lab.admin.applied(Some("Unrestricted"), LIMIT).await?;
        slow.thaw()?;
        eventually("the late deletions to arrive", LIMIT, || async {
            let log = slow.log();
            ensure!(log.contains("a deletion arrived late"), "none arrived");
            Ok(())
        })
        .await?;
        tokio::time::sleep(2 * SETTLE).await;
        arrived += late(&slow);
        lab.admin.applied(Some("Unrestricted"), LIMIT).await?;
        other.terminate().await?;
    }
    println!("  {arrived} deletions arrived late, all refused");
    lab.assert_clean().map(drop)
}

/// How many deletions arrived late; each must have been refused.
fn late(operator: &Operator) -> usize {
    let log = operator.log();
    let lines: Vec<&str> = log
        .lines()
        .filter(|l| l.contains("a deletion arrived late"))
        .collect();
    assert!(
        lines.iter().all(|line| line.contains("refused=true")),
        "a late deletion was carried out: {lines:?}"
    );
    lines.len()
}

/// Waits until a contract is announced, which is when a deletion is on its way.
async fn announced(lab: &Lab) -> anyhow::Result<()> {
    eventually("a contract to be announced", LIMIT, || async {
        let all = lab.admin.system().list(&kube::api::ListParams::default()).await?;
        let intents = all
            .items
            .iter()
            .filter(|n| n.status.as_ref().is_some_and(|s| s.intent.is_some()));
        ensure!(intents.count() > 0, "no intent is stored");
        Ok(())
    })
    .await?;
    // The quorum read that follows the intent takes some round trips.
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(())
}

/// A leader that learns everything late and has begun to close.
async fn closing_blindly(lab: &Lab) -> anyhow::Result<Operator> {
    let fault = format!("late-watch:{}", LATE.as_millis());
    let blind = lab.operator_with(&plain().fault(&fault)).await?;
    // Between two of its writes it may wait for what it learns late.
    lab.calm(LATE + 2 * SETTLE).await?;
    lab.admin.mode("Restricted").await?;
    eventually("the operator to want it closed", LIMIT, || async {
        let status = lab.admin.system().get(NS).await?.status.unwrap_or_default();
        ensure!(
            status.desired_mode == Some(EffectiveMode::Restricted),
            "{status:?}"
        );
        Ok(())
    })
    .await?;
    // It goes on when it has learned of that write of its own; what happens before is news to it only later.
    tokio::time::sleep(LATE / 2).await;
    Ok(blind)
}

/// A contract is announced while the last change is still news to come. Otherwise the scenario proves nothing.
async fn announces_before_it_learns(lab: &Lab) -> anyhow::Result<()> {
    let announced = eventually("a contract to be announced", LATE, || async {
        let status = lab.admin.system().get(NS).await?.status.unwrap_or_default();
        ensure!(status.intent.is_some(), "no intent is stored");
        Ok(())
    });
    announced.await.context("the leader was not blind when it closed")
}

/// The leader learns late that somebody deleted part of the set: when it closes, only a live read can tell.
async fn late_watches() -> anyhow::Result<()> {
    let lab = lab().await?;
    settle_in(&lab, "Unrestricted").await?;
    let set: Vec<String> = lab.admin.policy_names(NS).await?;
    let server = set.iter().find(|name| name.starts_with("bulkhead-dns-operator"));
    let server = server.context("no policy of the server is staged")?;
    let _blind = closing_blindly(&lab).await?;
    lab.admin.delete_policy(NS, server).await?;
    announces_before_it_learns(&lab).await?;
    lab.admin.applied(Some("Restricted"), 2 * LIMIT).await?;
    lab.assert_clean().map(drop)
}

/// The leader learns late that a client was declared, after it has begun to close.
async fn late_declarations() -> anyhow::Result<()> {
    // A namespace with pods, which nobody forbids to be a client: without them nothing would be missed.
    const CLIENT: &str = "tenant-b";
    let lab = lab().await?;
    settle_in(&lab, "Unrestricted").await?;
    let _blind = closing_blindly(&lab).await?;
    let clients = ["openshift-monitoring", CLIENT];
    lab.admin.declare(NS, "mine", &set(&clients)).await?;
    announces_before_it_learns(&lab).await?;
    lab.admin.applied(Some("Restricted"), 2 * LIMIT).await?;
    // While a namespace is on its way, the checker asks for what old and new declarations have in common.
    let history = lab.history()?;
    let of_ours = |name: &str, gone: bool| {
        history.events.iter().position(|e| {
            let concerned = e.id.kind == Kind::Policy && *e.id.namespace == *NS;
            concerned && e.id.name.starts_with(name) && e.content.is_gone() == gone
        })
    };
    let (served, closed) = (
        of_ours("bulkhead-operator-", false),
        of_ours("bulkhead-allow-all", true),
    );
    ensure!(
        served.is_some() && closed.is_some() && served < closed,
        "closed by event {closed:?}, and the new client was served by event {served:?}"
    );
    lab.assert_clean().map(drop)
}
