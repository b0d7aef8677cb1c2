//! Named histories: one for each way in which a planner of this kind cuts traffic or gets stuck.

mod closing;
mod crashes;
mod opening;
mod others;
mod sets;

use bulkhead_api::{
    namespace::EffectiveMode,
    switch::{Isolation, Mode},
};
use serde_json::{Value, json};

use super::{
    brute::{CLIENTS, SUBJECT},
    run::{Act, Event, Run, switch},
    shapes::{PodModel, SetModel, entry, server},
};

fn clients(port: u16) -> Value {
    json!([{"ports": [{"port": port}],
            "clients": [{"type": "Namespace", "namespace": {"name": CLIENTS}}, {"type": "HostNetwork"}]}])
}

fn web() -> Value {
    server("web", &json!({"matchLabels": {"app": "a"}}), &clients(8443))
}

fn db() -> Value {
    let rules = json!([{"ports": [{"port": 443}], "clients": [{"type": "SameNamespace"}]}]);
    server("db", &json!({"matchLabels": {"tier": "x"}}), &rules)
}

fn set_of(servers: &[Value]) -> SetModel {
    let egress = json!([{"name": "all", "podSelector": {}, "rules": [
        {"destinations": [{"type": "DNS"}, {"type": "APIServer"}]}
    ]}]);
    SetModel {
        entry: Some(entry(SUBJECT, &json!(servers), &egress, "Legacy")),
        ..SetModel::default()
    }
}

fn simple() -> SetModel {
    set_of(&[web(), db()])
}

fn pods() -> Vec<PodModel> {
    vec![PodModel::new(0, 8443), PodModel::new(1, 443)]
}

fn restricted(isolation: Isolation) -> Act {
    let mut restricted = switch(Some(Mode::Restricted));
    restricted.isolation = isolation;
    Act::Mode(restricted)
}

fn unrestricted() -> Act {
    Act::Mode(switch(Some(Mode::Unrestricted)))
}

fn removed() -> Act {
    let mut removed = switch(None);
    removed.removal_meant = true;
    Act::Mode(removed)
}

fn deny_all() -> Value {
    json!({"podSelector": {}, "policyTypes": ["Ingress"]})
}

/// Opened, staged and at rest.
fn open() -> Run {
    let mut run = Run::new(simple(), pods(), true);
    run.act(&unrestricted());
    run.assert_reached();
    run
}

/// Closed and at rest.
fn closed(isolation: Isolation) -> Run {
    let mut run = open();
    run.act(&restricted(isolation));
    run.assert_reached();
    run
}

fn work(run: &mut Run, ticks: usize) {
    run.play(&Event::Work(ticks));
}

fn names_of_ours(run: &Run) -> Vec<String> {
    let ours = run.model.policies.iter().filter(|(_, p)| p.ours());
    ours.map(|(name, _)| name.to_string()).collect()
}

fn has(run: &Run, name: &str) -> bool {
    run.model.policies.contains_key(name)
}

fn effective(run: &Run) -> Option<EffectiveMode> {
    run.model.system.as_ref()?.status.effective_mode
}
