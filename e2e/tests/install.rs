//! Installing changes no connectivity, whatever the cluster looks like and whatever mode is set beforehand.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use bulkhead_e2e::admin::{Carrier, LIMIT, closed_besides_own};
use bulkhead_e2e::lab::{Lab, Shape};
use bulkhead_e2e::suite::Suite;
use serde_json::json;

/// No mode, and both modes.
const MODES: [Option<&str>; 3] = [None, Some("Unrestricted"), Some("Restricted")];

fn main() -> ExitCode {
    let mut suite = Suite::default();
    for mode in MODES {
        let named = mode.unwrap_or("no mode");
        for line in ["4.20", "5.0"] {
            let name = format!("installing with {named} on a small {line} shape loses nothing");
            suite = suite.scenario(&name, move || install(Shape::small(line), mode, LIMIT));
        }
        for line in ["none", "4.20", "5.0"] {
            let name =
                format!("installing with {named} on every namespace, policies of {line}, loses nothing");
            let limit = Duration::from_mins(3);
            suite = suite.long(&name, move || install(Shape::full(line), mode, limit));
        }
        let name = format!("installing with {named} on a plain cluster touches nothing");
        suite = suite.long(&name, move || plain(mode));
    }
    suite
        .scenario(
            "installing with Restricted on an empty cluster finds nothing to do",
            empty,
        )
        .scenario(
            "installing with Restricted on a plain cluster touches nothing",
            || plain(Some("Restricted")),
        )
        .run()
}

async fn install(shape: Shape, mode: Option<&'static str>, limit: Duration) -> anyhow::Result<()> {
    let lab = Lab::new(&shape).await?;
    if let Some(mode) = mode {
        lab.admin.mode(mode).await?;
    }
    let _operator = lab.operator().await?;
    let counts = lab.admin.applied(mode, limit).await?;
    println!("  {counts:?}");
    let shipped = shape.populate.iter().any(|word| word == "5.0" || word == "4.20");
    match mode {
        None => {
            ensure!(
                closed_besides_own(&counts) == 0,
                "closed without being asked: {counts:?}"
            );
            ensure!((counts.preserved > 0) == shipped, "{counts:?}");
            preserved_are_untouched(&lab).await?;
        }
        Some("Unrestricted") => {
            // The operator's own is closed, and the full shape has one that is being deleted.
            let terminating = i32::from(!shape.populate.iter().any(|word| word == "--awkward=false"));
            ensure!(closed_besides_own(&counts) == 0, "{counts:?}");
            ensure!(counts.open == counts.desired - 1 - terminating, "{counts:?}");
        }
        Some(_) => ensure!(counts.restricted + counts.partly > 0, "{counts:?}"),
    }
    lab.assert_quiet(Duration::from_secs(5)).await?;
    lab.assert_clean().map(drop)
}

/// The operator writes no policy where it says that it left the namespace as it was.
async fn preserved_are_untouched(lab: &Lab) -> anyhow::Result<()> {
    for namespace in [
        "openshift-apiserver",
        "openshift-catalogd",
        "openshift-dns-operator",
    ] {
        let Ok(state) = lab.admin.state(namespace).await else {
            continue;
        };
        let policies = lab.admin.policy_names(namespace).await?;
        let ours = policies
            .iter()
            .filter(|name| name.starts_with("bulkhead-"))
            .count();
        let preserved = state.effective.as_deref() == Some("Preserved");
        ensure!(
            preserved == (ours == 0),
            "{namespace} is {:?} and holds {policies:?}",
            state.effective
        );
    }
    Ok(())
}

async fn empty() -> anyhow::Result<()> {
    let lab = Lab::new(&Shape::empty()).await?;
    lab.admin.mode("Restricted").await?;
    let _operator = lab.operator().await?;
    let counts = lab.admin.applied(Some("Restricted"), LIMIT).await?;
    // The operator's own namespace is the only one.
    ensure!(counts.desired <= 1, "{counts:?}");
    lab.assert_quiet(Duration::from_secs(5)).await?;
    lab.assert_clean().map(drop)
}

async fn plain(mode: Option<&'static str>) -> anyhow::Result<()> {
    let lab = Lab::new(&Shape::plain()).await?;
    if let Some(mode) = mode {
        lab.admin.switch(Carrier::Network, &json!({"mode": mode})).await?;
    }
    let _operator = lab.operator().await?;
    let counts = lab.admin.applied(mode, LIMIT).await?;
    ensure!(counts.desired <= 1, "{counts:?}");
    lab.assert_quiet(Duration::from_secs(5)).await?;
    lab.assert_clean().map(drop)
}
