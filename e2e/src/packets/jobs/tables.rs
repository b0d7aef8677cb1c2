//! Truth tables: every mode, isolation and override, cell by cell.

use anyhow::{bail, ensure};
use serde_json::json;

use super::Run;
use crate::packets::exec::fill;
use crate::packets::ground::Ground;
use crate::packets::stage::Stage;
use crate::packets::truth::{Expect, Mode, Modes, Truth};

const CLOSED: Mode = Mode::Restricted { egress: false };
const CLOSED_BOTH: Mode = Mode::Restricted { egress: true };
/// Opened by an override while the cluster is closed, and closed while it is open.
const OVERRIDDEN: &str = "openshift-console";

/// The tables of both modes.
pub async fn quick(run: &mut Run, ground: &Ground, stage: &Stage) -> anyhow::Result<()> {
    for (title, mode) in [
        ("Unrestricted", Mode::Unrestricted),
        ("Restricted", CLOSED),
        ("open again", Mode::Unrestricted),
    ] {
        let body = async {
            let modes = ground.switch(mode).await?;
            judge(ground, stage, &modes, title).await
        };
        run.case(&format!("truth table: {title}"), body).await;
    }
    Ok(())
}

/// All tables.
pub async fn run(run: &mut Run, ground: &Ground, stage: &Stage) -> anyhow::Result<()> {
    let cluster = [
        ("Unrestricted", Mode::Unrestricted),
        ("Restricted", CLOSED),
        ("Restricted with IngressAndEgress", CLOSED_BOTH),
        ("Restricted again, egress released", CLOSED),
    ];
    for (title, mode) in cluster {
        let body = async {
            let modes = ground.switch(mode).await?;
            judge(ground, stage, &modes, title).await
        };
        run.case(&format!("truth table: {title}"), body).await;
    }
    run.case(
        "truth table: an override opens one namespace of a closed cluster",
        async { overridden(ground, stage, CLOSED, Mode::Unrestricted).await },
    )
    .await;
    run.case(
        "truth table: an override closes one namespace of an open cluster",
        async { overridden(ground, stage, Mode::Unrestricted, CLOSED).await },
    )
    .await;
    ground.switch(Mode::Unrestricted).await.map(drop)
}

/// Fills a table and fails on every disagreement.
pub async fn judge(ground: &Ground, stage: &Stage, modes: &Modes, title: &str) -> anyhow::Result<String> {
    let truth = Truth {
        rules: &ground.rules,
        modes,
        fallback: ground.fallback(),
    };
    // Opening is acknowledged when it is stored; the plugin needs its time to follow.
    tokio::time::sleep(ground.setting.settle).await;
    let table = fill(stage, &truth, title, &ground.setting.dialect).await?;
    let count = |expect| table.cells.iter().filter(|c| c.expected.expect == expect).count();
    ensure!(
        count(Expect::Must) > 50,
        "next to nothing was required: {}",
        table.summary()
    );
    if modes.cluster != Mode::Unrestricted {
        ensure!(
            count(Expect::MustNot) > 200,
            "next to nothing was forbidden: {}",
            table.summary()
        );
    }
    let mut told = table.summary();
    if ground.fallback() && modes.cluster != Mode::Unrestricted {
        told += "\n";
        told += &fallbacks(ground, &table).await?;
    }
    let wrong = table.disagreements();
    if !wrong.is_empty() {
        bail!("{told}\n{wrong}");
    }
    Ok(told)
}

/// Where a rule for the host network fell back to its port, status has to say so.
async fn fallbacks(ground: &Ground, table: &crate::packets::table::Table<'_>) -> anyhow::Result<String> {
    let wide = table
        .cells
        .iter()
        .filter(|c| c.expected.expect == Expect::Fallback && c.kernel.open());
    let mut namespaces: Vec<&str> = wide.map(|c| c.attempt.server.member.namespace.as_str()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    for namespace in &namespaces {
        let state = ground.admin.state(namespace).await?;
        ensure!(
            state.effective.as_deref() == Some("PartlyRestricted"),
            "{namespace} admits everybody on the ports of its host-network clients and says {state:?}"
        );
    }
    Ok(format!(
        "this plugin cannot select the host network: {} namespaces admit everybody on such ports and say \
         PartlyRestricted: {}",
        namespaces.len(),
        namespaces.join(", ")
    ))
}

async fn overridden(ground: &Ground, stage: &Stage, cluster: Mode, own: Mode) -> anyhow::Result<String> {
    let word = |mode| match mode {
        Mode::Unrestricted => "Unrestricted",
        Mode::Restricted { .. } => "Restricted",
    };
    ground.switch(cluster).await?;
    let spec = json!({"override": {"mode": word(own), "reason": "a truth table"}});
    ground.admin.merge_system(OVERRIDDEN, &spec).await?;
    let wanted: &[&str] = match own {
        Mode::Unrestricted => &["Unrestricted"],
        Mode::Restricted { .. } => &["Restricted", "PartlyRestricted"],
    };
    let table = async {
        ground.admin.settled(OVERRIDDEN, wanted).await?;
        let mut modes = Modes::all(cluster);
        modes.overrides.insert(OVERRIDDEN.to_owned(), own);
        let title = format!("{} with {OVERRIDDEN} {}", word(cluster), word(own));
        judge(ground, stage, &modes, &title).await
    };
    let outcome = table.await;
    ground
        .admin
        .merge_system(OVERRIDDEN, &json!({"override": null}))
        .await?;
    outcome
}
