//! The switch itself: both ways, half way, both isolations.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use bulkhead_e2e::admin::{Admin, Carrier, LIMIT, closed_besides_own};
use bulkhead_e2e::lab::{Lab, Shape};
use bulkhead_e2e::suite::Suite;
use bulkhead_e2e::wait::eventually;
use serde_json::json;

const ALLOW_ALL: &str = "bulkhead-allow-all";

fn main() -> ExitCode {
    Suite::default()
        .scenario(
            "closing and opening again lose nothing and end in silence",
            there_and_back,
        )
        .scenario(
            "a summary that says it is done never contradicts the namespaces",
            summary,
        )
        .scenario("turning back half way opens again and loses nothing", half_way)
        .scenario(
            "a mode that flips all the time ends where the last word says",
            flapping,
        )
        .scenario(
            "egress is isolated and released without losing what is declared",
            egress,
        )
        .long(
            "every namespace of the facts closes and opens on the 5.0 shape in both isolations",
            full,
        )
        .run()
}

async fn there_and_back() -> anyhow::Result<()> {
    let lab = Lab::new(&Shape::small("none")).await?;
    let operator = lab.operator().await?;
    lab.admin.mode("Unrestricted").await?;
    let open = lab.admin.applied(Some("Unrestricted"), LIMIT).await?;
    ensure!(open.open > 10 && closed_besides_own(&open) == 0, "{open:?}");
    lab.admin.mode("Restricted").await?;
    let closed = lab.admin.applied(Some("Restricted"), LIMIT).await?;
    ensure!(closed.restricted > 8 && closed.blocked == 0, "{closed:?}");
    lab.assert_quiet(Duration::from_secs(6)).await?;
    lab.admin.mode("Unrestricted").await?;
    let open = lab.admin.applied(Some("Unrestricted"), LIMIT).await?;
    ensure!(closed_besides_own(&open) == 0, "{open:?}");
    lab.assert_quiet(Duration::from_secs(6)).await?;
    let page: serde_json::Value = serde_json::from_str(&operator.page("/debug/state")?)?;
    let said = &page["namespaces"]["openshift-dns-operator"];
    ensure!(
        page["leading"] == true && said["effective"] == "Unrestricted",
        "{page:#}"
    );
    let report = lab.assert_clean()?;
    ensure!(
        report.counts.forbidden > 0,
        "nothing was ever settled and Restricted: {report}"
    );
    Ok(())
}

/// What `kubectl wait` on the summary sees at the very moment at which it returns.
async fn summary() -> anyhow::Result<()> {
    let lab = Lab::new(&Shape::small("none")).await?;
    let _operator = lab.operator().await?;
    for mode in ["Unrestricted", "Restricted", "Unrestricted"] {
        lab.admin.mode(mode).await?;
        lab.admin.applied(Some(mode), LIMIT).await?;
    }
    let contradictions = lab.premature_summaries()?;
    ensure!(contradictions.is_empty(), "{contradictions:#?}");
    lab.assert_clean().map(drop)
}

/// Waits until the operator has removed the first allow-all.
async fn first_is_closed(admin: &Admin) -> anyhow::Result<()> {
    eventually("the first allow-all to go", LIMIT, || async {
        let mut closed = 0;
        for namespace in [
            "openshift-dns",
            "openshift-dns-operator",
            "openshift-catalogd",
            "openshift-multus",
        ] {
            closed += usize::from(
                !admin
                    .policy_names(namespace)
                    .await?
                    .iter()
                    .any(|n| n == ALLOW_ALL),
            );
        }
        ensure!(closed > 0, "all of them stand");
        Ok(())
    })
    .await
}

async fn half_way() -> anyhow::Result<()> {
    let lab = Lab::new(&Shape::small("none")).await?;
    let _operator = lab.operator().await?;
    lab.admin.mode("Unrestricted").await?;
    lab.admin.applied(Some("Unrestricted"), LIMIT).await?;
    for _ in 0..2 {
        lab.admin.mode("Restricted").await?;
        first_is_closed(&lab.admin).await?;
        lab.admin.mode("Unrestricted").await?;
        let counts = lab.admin.applied(Some("Unrestricted"), LIMIT).await?;
        ensure!(closed_besides_own(&counts) == 0 && counts.open > 10, "{counts:?}");
    }
    lab.assert_clean().map(drop)
}

async fn flapping() -> anyhow::Result<()> {
    let lab = Lab::new(&Shape::small("4.20")).await?;
    let _operator = lab.operator().await?;
    lab.admin.mode("Unrestricted").await?;
    lab.admin.applied(Some("Unrestricted"), LIMIT).await?;
    for round in 0..24_u64 {
        let mode = if round % 2 == 0 {
            "Restricted"
        } else {
            "Unrestricted"
        };
        lab.admin.mode(mode).await?;
        // Long enough at times to reach the middle of closing, too short at others to begin.
        tokio::time::sleep(Duration::from_millis(100 + 700 * (round % 4))).await;
    }
    let counts = lab.admin.applied(Some("Unrestricted"), LIMIT).await?;
    ensure!(closed_besides_own(&counts) == 0, "{counts:?}");
    lab.assert_quiet(Duration::from_secs(5)).await?;
    lab.assert_clean().map(drop)
}

async fn egress() -> anyhow::Result<()> {
    let lab = Lab::new(&Shape::small("none")).await?;
    let _operator = lab.operator().await?;
    let both = json!({"mode": "Restricted", "restricted": {"isolation": "IngressAndEgress"}});
    let ingress = json!({"mode": "Restricted", "restricted": {"isolation": "Ingress"}});
    lab.admin.mode("Unrestricted").await?;
    lab.admin.applied(Some("Unrestricted"), LIMIT).await?;
    for switch in [&both, &ingress, &both] {
        lab.admin.switch(Carrier::Isolation, switch).await?;
        let counts = lab.admin.applied(Some("Restricted"), LIMIT).await?;
        ensure!(counts.restricted > 8, "{counts:?}");
    }
    let policies = lab.admin.policy_names("openshift-catalogd").await?;
    ensure!(
        policies.iter().any(|n| n == "bulkhead-default-deny-egress"),
        "{policies:?}"
    );
    lab.admin.mode("Unrestricted").await?;
    lab.admin.applied(Some("Unrestricted"), LIMIT).await?;
    lab.assert_clean().map(drop)
}

async fn full() -> anyhow::Result<()> {
    let lab = Lab::new(&Shape::full("5.0")).await?;
    let _operator = lab.operator().await?;
    let limit = Duration::from_mins(3);
    for isolation in ["Ingress", "IngressAndEgress"] {
        let switch = json!({"mode": "Restricted", "restricted": {"isolation": isolation}});
        lab.admin.switch(Carrier::Isolation, &switch).await?;
        let counts = lab.admin.applied(Some("Restricted"), limit).await?;
        println!("  {isolation}: {counts:?}");
        ensure!(counts.restricted + counts.partly > 70, "{counts:?}");
    }
    lab.admin.mode("Unrestricted").await?;
    let counts = lab.admin.applied(Some("Unrestricted"), limit).await?;
    ensure!(closed_besides_own(&counts) == 0, "{counts:?}");
    lab.assert_clean().map(drop)
}
