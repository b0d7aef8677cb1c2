//! The audit log tells who deleted what; managedFields cannot.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use serde::Deserialize;

use crate::checker::history::{Deletions, Id, Kind, Writer};

/// Difference that is tolerated between the clock of a request and the arrival of its revision.
const SLACK: Duration = Duration::from_secs(2);

/// Successful deletions by resource and namespace.
#[derive(Default)]
pub struct AuditLog {
    deletions: HashMap<(String, String), Vec<Deletion>>,
}

struct Deletion {
    /// Absent for the deletion of a collection.
    name: Option<String>,
    agent: String,
    received: SystemTime,
    done: SystemTime,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(default)]
    verb: String,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: Status,
    request_received_timestamp: jiff::Timestamp,
    stage_timestamp: jiff::Timestamp,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ObjectRef {
    resource: String,
    namespace: String,
    name: Option<String>,
    subresource: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
}

impl AuditLog {
    /// Reads the log that the API server writes before it answers.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let mut log = Self::default();
        for line in text.lines().filter(|line| line.contains("\"verb\":\"delete")) {
            // The last line may still be in writing.
            if let Ok(line) = serde_json::from_str::<Line>(line) {
                log.add(line);
            }
        }
        Ok(log)
    }

    fn add(&mut self, line: Line) {
        let deletes = matches!(line.verb.as_str(), "delete" | "deletecollection");
        let succeeded = (200..300).contains(&line.response_status.code);
        if !deletes || !succeeded || !line.object_ref.subresource.is_empty() {
            return;
        }
        let deletion = Deletion {
            name: line.object_ref.name,
            agent: line.user_agent,
            received: line.request_received_timestamp.into(),
            done: line.stage_timestamp.into(),
        };
        let place = (line.object_ref.resource, line.object_ref.namespace);
        self.deletions.entry(place).or_default().push(deletion);
    }
}

impl Deletions for AuditLog {
    fn writer(&self, id: &Id, wall: SystemTime) -> Option<Writer> {
        let resource = match id.kind {
            Kind::Policy => "networkpolicies",
            Kind::Pod => "pods",
            Kind::Namespace => "namespaces",
            _ => return None,
        };
        let all = self
            .deletions
            .get(&(resource.to_owned(), id.namespace.to_string()))?;
        let meant = all
            .iter()
            .filter(|d| d.name.as_deref().is_none_or(|name| name == &*id.name));
        let fits = meant.filter(|d| d.received <= wall + SLACK && d.done + SLACK >= wall);
        let distance = |d: &&Deletion| {
            let apart = |a: SystemTime, b: SystemTime| a.duration_since(b).or_else(|_| b.duration_since(a));
            apart(wall, d.done).unwrap_or_default()
        };
        let closest = fits.min_by_key(distance)?;
        let agent = closest.agent.split(['/', ' ']).next().unwrap_or_default();
        Some(match agent {
            "bulkhead-operator" | "kubectl-bulkhead" => Writer::Ours,
            other => Writer::Other(other.to_owned()),
        })
    }
}
