//! Labels of system namespaces. They are for other people's policies and for verification; our own closing
//! never waits for one.

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_api::vocabulary as names;

use super::View;
use crate::decide::Decision;

/// Labels to set and keys to remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelChange {
    /// Uid of the namespace.
    pub uid: String,
    /// Labels to set.
    pub set: BTreeMap<String, String>,
    /// Keys to remove: nobody's stored policy uses them, which is checked again by a live read.
    pub remove: Vec<String>,
    /// All keys that are ours afterwards, for the record in status.
    pub owned: Vec<String>,
}

impl LabelChange {
    /// The same without the removal of these keys.
    #[must_use]
    pub fn keeping(&self, used: &BTreeSet<String>) -> Self {
        let (kept, remove): (Vec<_>, Vec<_>) =
            self.remove.iter().cloned().partition(|key| used.contains(key));
        let owned = sorted(self.owned.iter().cloned().chain(kept));
        Self {
            remove,
            owned,
            ..self.clone()
        }
    }

    /// All keys that are or may be ours while the change is made.
    pub fn on_record(&self) -> Vec<String> {
        sorted(self.owned.iter().chain(&self.remove).cloned())
    }
}

fn sorted(keys: impl Iterator<Item = String>) -> Vec<String> {
    keys.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Every label that the namespace should have.
pub fn wanted(view: &View<'_>) -> BTreeMap<String, String> {
    if !view.is_trusted() {
        return BTreeMap::new();
    }
    let mut labels = view.expected.labels.clone();
    labels.insert(names::LABEL_SYSTEM_NAMESPACE.into(), String::new());
    labels
}

/// What has to change; `None` if nothing has to.
pub fn change(view: &View<'_>, decision: Decision) -> Option<LabelChange> {
    let object = view.input.object.as_ref()?;
    let wanted = if decision == Decision::Release {
        BTreeMap::new()
    } else {
        wanted(view)
    };
    let recorded = view.status().map(|s| s.labels.as_slice()).unwrap_or_default();
    let set: BTreeMap<String, String> = wanted
        .iter()
        .filter(|(key, value)| object.labels.get(key) != Some(value.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    // A released namespace keeps its labels until it is open: policies elsewhere may still rely on them.
    let may_remove = decision != Decision::Release || view.allow_all().is_some() || view.ours.is_empty();
    let remove: Vec<String> = recorded
        .iter()
        .filter(|key| may_remove && !wanted.contains_key(*key) && !in_use(view, key))
        .cloned()
        .collect();
    let left = recorded.iter().filter(|key| !remove.contains(key));
    let owned = sorted(left.chain(set.keys()).cloned());
    let nothing = set.is_empty() && remove.is_empty();
    (!nothing).then(|| LabelChange {
        uid: object.uid.to_string(),
        set,
        remove,
        owned,
    })
}

fn in_use(view: &View<'_>, key: &str) -> bool {
    view.input.cluster.used_label_keys.contains(key)
}
