//! Findings that are known and accepted, each with a reason.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use bulkhead_api::yaml;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::Found;
use crate::input::State;

/// The annotation of a policy that accepts findings about it.
const ANNOTATION: &str = "network.operator.openshift.io/lint-ignore";

/// The file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suppressions {
    suppressions: Vec<Suppression>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Suppression {
    /// The check.
    check: String,
    /// Where; absent: everywhere.
    #[serde(default)]
    namespace: Option<String>,
    /// The policy; absent: every one.
    #[serde(default)]
    policy: Option<String>,
    /// Why.
    reason: String,
    /// The last day (UTC) on which it holds.
    #[serde(default)]
    expires: Option<Date>,
}

impl Suppression {
    fn fits(&self, found: &Found) -> bool {
        // Cluster policies are in no namespace: their kind comes before the name.
        let in_namespace = found.policy.split_once('/');
        let (namespace, name) =
            in_namespace.unwrap_or(("", found.policy.split_once(' ').unwrap_or_default().1));
        self.check == found.check
            && self.namespace.as_ref().is_none_or(|n| n == namespace)
            && self.policy.as_ref().is_none_or(|p| p == name)
    }

    fn holds(&self, now: Timestamp) -> bool {
        self.expires
            .is_none_or(|last| now.to_zoned(TimeZone::UTC).date() <= last)
    }
}

impl Suppressions {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read suppressions from {}", path.display()))?;
        let read: Self =
            yaml::from_str(&text).with_context(|| format!("suppressions in {}", path.display()))?;
        for (at, suppression) in read.suppressions.iter().enumerate() {
            if suppression.reason.trim().is_empty() {
                bail!(
                    "{}: suppressions[{at}].reason: {} needs one",
                    path.display(),
                    suppression.check
                );
            }
        }
        Ok(read)
    }

    /// Marks what is accepted, and returns what is wrong with the suppressions themselves.
    pub fn apply(&self, state: &State, found: &mut [Found], now: Timestamp) -> Vec<String> {
        let mut complaints = of_annotations(state, found);
        for (at, suppression) in self.suppressions.iter().enumerate() {
            let mut used = false;
            for finding in found.iter_mut().filter(|f| suppression.fits(f)) {
                used = true;
                if suppression.holds(now) {
                    finding.suppressed = Some(suppression.reason.clone());
                }
            }
            match (used, suppression.holds(now)) {
                (false, _) => complaints.push(format!(
                    "suppressions[{at}] of {} is not needed",
                    suppression.check
                )),
                (true, false) => {
                    complaints.push(format!("suppressions[{at}] of {} has expired", suppression.check));
                }
                (true, true) => {}
            }
        }
        complaints
    }
}

fn of_annotations(state: &State, found: &mut [Found]) -> Vec<String> {
    let mut complaints = Vec::new();
    let namespaced = state.policies.iter();
    let namespaced = namespaced.map(|w| {
        (
            format!("{}/{}", w.policy.namespace, w.policy.name),
            &w.annotations,
        )
    });
    let of_tiers = state.cluster_sources.iter().map(|w| (w.title(), &w.annotations));
    for (policy, annotations) in namespaced.chain(of_tiers) {
        let Some(text) = annotations.get(ANNOTATION) else {
            continue;
        };
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (check, reason) = part.split_once('=').unwrap_or((part, ""));
            if reason.trim().is_empty() {
                complaints.push(format!(
                    "{policy}: {ANNOTATION} accepts {check} without a reason, which does not count"
                ));
                continue;
            }
            let mut used = false;
            for finding in found
                .iter_mut()
                .filter(|f| f.policy == policy && f.check == check)
            {
                finding.suppressed = Some(reason.trim().to_owned());
                used = true;
            }
            if !used {
                complaints.push(format!(
                    "{policy}: {ANNOTATION} accepts {check}, which is not found"
                ));
            }
        }
    }
    complaints
}
