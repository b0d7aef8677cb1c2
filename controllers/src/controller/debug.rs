//! What the process thinks, for `/debug/state`: kept as it is and turned into text only when somebody asks.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::Controller;
use crate::{
    observe::world::{Kind, Sync},
    report::cluster::Summary,
};

/// The last state that was kept; shared with the endpoints.
#[derive(Clone, Debug, Default)]
pub struct StatePage(Arc<Mutex<Snapshot>>);

#[derive(Clone, Debug, Default)]
struct Snapshot {
    leading: bool,
    mode: String,
    frozen: Option<String>,
    watches: Vec<(Kind, Sync)>,
    pending: usize,
    steps_in_flight: usize,
    namespaces: Vec<(Arc<str>, Option<Summary>, bool)>,
}

impl StatePage {
    fn keep(&self, snapshot: Snapshot) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    /// The page.
    pub fn show(&self) -> Value {
        let snapshot = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let watches = snapshot.watches.iter();
        let watches: serde_json::Map<String, Value> = watches
            .map(|(kind, sync)| (kind.plural().to_owned(), json!(format!("{sync:?}"))))
            .collect();
        let namespaces = snapshot.namespaces.iter();
        let namespaces: serde_json::Map<String, Value> = namespaces
            .map(|(name, summary, busy)| (name.to_string(), row(summary.as_ref(), *busy)))
            .collect();
        json!({
            "leading": snapshot.leading,
            "mode": snapshot.mode,
            "frozen": snapshot.frozen,
            "watches": watches,
            "pending": snapshot.pending,
            "stepsInFlight": snapshot.steps_in_flight,
            "namespaces": namespaces,
        })
    }
}

fn row(summary: Option<&Summary>, busy: bool) -> Value {
    let Some(summary) = summary else {
        return json!({"busy": busy});
    };
    json!({
        "decision": format!("{:?}", summary.decision),
        "state": summary.state.as_str(),
        "effective": summary.effective.map(|mode| format!("{mode:?}")),
        "failing": summary.failing,
        "busy": busy,
    })
}

impl Controller {
    /// Keeps the state of this moment for whoever asks.
    pub(super) fn show_state(&self) {
        let controls = self.controls.iter();
        let mut namespaces: Vec<_> = controls.map(|(n, c)| (n.clone(), c.summary, c.busy)).collect();
        namespaces.sort_by(|a, b| a.0.cmp(&b.0));
        self.page.keep(Snapshot {
            leading: self.claim.is_some(),
            mode: crate::decide::config::mode_text(self.cluster.config.applied),
            frozen: self.frozen_text(),
            watches: Kind::all()
                .map(|kind| (kind, self.world.sync(kind).clone()))
                .collect(),
            pending: self.dirty.len(),
            steps_in_flight: self.steps_in_flight,
            namespaces,
        });
    }
}
