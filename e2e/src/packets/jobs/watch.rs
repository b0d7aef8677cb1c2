//! Live traffic as it changes, for people.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Skip;
use crate::checker::objects::Protocol;
use crate::packets::exec::probe;
use crate::packets::ground::Ground;
use crate::packets::stage::Stage;
use crate::packets::table::name;
use crate::packets::truth::Attempt;

/// What is shown: client, server, port, and what it stands for.
const SHOWN: [(&str, &str, u16, &str); 8] = [
    (
        "openshift-monitoring/prometheus-k8s-2",
        "openshift-dns-operator/dns-operator-1",
        9393,
        "scrape",
    ),
    (
        "tenant-a/shop-2",
        "openshift-dns-operator/dns-operator-1",
        9393,
        "a tenant reads metrics",
    ),
    (
        "openshift-console/console-2",
        "openshift-network-console/networking-console-plugin-1",
        9443,
        "console plugin",
    ),
    (
        "tenant-a/shop-2",
        "openshift-network-console/networking-console-plugin-1",
        9443,
        "a tenant calls the plugin",
    ),
    (
        "openshift-operator-lifecycle-manager/catalog-operator-2",
        "openshift-marketplace/catalog-pods-1",
        50_051,
        "catalog",
    ),
    (
        "tenant-b/scanner-2",
        "openshift-marketplace/catalog-pods-1",
        50_051,
        "a tenant reads the catalog",
    ),
    (
        "tenant-a/shop-2",
        "openshift-image-registry/image-registry-1",
        5000,
        "a tenant pulls an image",
    ),
    (
        "tenant-a/shop-2",
        "tenant-b/scanner-1",
        8080,
        "tenants among themselves",
    ),
];

/// Prints each of a few connections whenever it opens or closes, for so long.
pub async fn run(ground: &Ground, stage: &Stage, length: Duration) -> anyhow::Result<String> {
    let mut attempts = Vec::new();
    for (client, server, port, _) in SHOWN {
        let role = |id: &str| {
            // On one node everybody stands on the first.
            let first = id
                .strip_suffix("-2")
                .map_or_else(|| id.to_owned(), |id| format!("{id}-1"));
            stage
                .role(id)
                .or_else(|_| stage.role(&first))
                .map_err(|_| Skip(format!("nobody plays {id}")))
        };
        attempts.push(Attempt {
            client: role(client)?,
            server: role(server)?,
            port: (Protocol::Tcp, port),
        });
    }
    let began = Instant::now();
    let mut before: BTreeMap<usize, bool> = BTreeMap::new();
    let mut changes = 0;
    while began.elapsed() < length {
        let outcomes = probe(stage, &attempts, 1).await?;
        for (index, attempt) in attempts.iter().enumerate() {
            let key = format!(
                "{} {} {}",
                attempt.client.id(),
                attempt.server.id(),
                name(attempt.port)
            );
            let Some(open) = outcomes.get(&key).map(bulkhead_probe::message::Outcome::open) else {
                continue;
            };
            if before.insert(index, open) != Some(open) {
                changes += 1;
                println!(
                    "  {:>6.1} s  {:<6}  {:<27} {} -> {}:{}",
                    began.elapsed().as_secs_f64(),
                    if open { "OPEN" } else { "closed" },
                    SHOWN.get(index).map_or("", |(_, _, _, what)| what),
                    attempt.client.id(),
                    attempt.server.id(),
                    attempt.port.1
                );
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let mode = ground
        .admin
        .isolation()
        .get("cluster")
        .await
        .ok()
        .and_then(|o| o.status?.applied?.mode);
    Ok(format!(
        "{changes} changes were shown; the mode in force is {mode:?}"
    ))
}
