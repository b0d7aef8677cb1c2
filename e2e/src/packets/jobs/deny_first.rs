//! The same probes under a plain script that writes the deny before the allow: they must notice.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::checker::objects::Protocol;
use crate::packets::flows::{Flows, Pace};
use crate::packets::ground::Ground;
use crate::packets::stage::Stage;
use crate::packets::truth::Attempt;

const NAMESPACE: &str = "openshift-network-diagnostics";
const POLICIES: [&str; 2] = ["script-default-deny", "script-allow-check-source"];
/// How long two writes of the script lie apart.
const GAP: Duration = Duration::from_secs(2);

/// Runs the script in a namespace that no operator looks after, and fails unless its gap was seen.
pub async fn run(ground: &Ground, stage: &Stage) -> anyhow::Result<String> {
    let standing = ground.admin.policy_names(NAMESPACE).await?;
    ensure!(
        standing.is_empty(),
        "{NAMESPACE} holds policies already, which would keep the script from doing harm: {standing:?}"
    );
    let server = stage.role(&format!("{NAMESPACE}/network-check-target-1"))?;
    let clients = stage
        .roles
        .iter()
        .filter(|r| r.member.name == "network-check-source");
    let attempts: Vec<Attempt<'_>> = clients
        .map(|client| Attempt {
            client,
            server,
            port: (Protocol::Tcp, 8080),
        })
        .collect();
    let pace = Pace {
        first_line: attempts.len(),
        ..ground.setting.pace
    };
    let flows = Flows::start(stage, &attempts, pace).await?;
    let script = script(ground).await;
    let tally = flows.stop().await?;
    for policy in POLICIES {
        let removed = ground.admin.delete_policy(NAMESPACE, policy).await;
        // A script that failed half way has not written both.
        if script.is_ok() {
            removed?;
        }
    }
    script.context("the script failed")?;
    ensure!(
        tally.lost > 0,
        "the deny stood alone for {GAP:?} and no probe noticed, so that nothing these probes say is worth anything: \
         {tally}"
    );
    Ok(format!("noticed: {tally}\n{}", tally.losses.join("\n")))
}

async fn script(ground: &Ground) -> anyhow::Result<()> {
    tokio::time::sleep(GAP).await;
    let [deny, allow] = POLICIES;
    let nothing = json!({"podSelector": {}, "policyTypes": ["Ingress"]});
    ground.admin.put_policy(NAMESPACE, deny, &nothing).await?;
    tokio::time::sleep(GAP).await;
    let from = json!([{"podSelector": {"matchLabels": {"app": "network-check-source"}}}]);
    let rule = json!([{"ports": [{"protocol": "TCP", "port": 8080}], "from": from}]);
    let spec = json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": rule});
    ground.admin.put_policy(NAMESPACE, allow, &spec).await?;
    tokio::time::sleep(GAP).await;
    Ok(())
}
