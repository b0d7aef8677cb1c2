//! A history: every stored revision of the objects that matter, each with its writer.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::objects::{self, Kept, Managed, Meta, Namespace, OURS, Pod, Policy};

/// Kinds of objects that a history holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Kind {
    Namespace,
    Pod,
    Policy,
    SystemNamespace,
    SystemIsolation,
    SystemNetworkPolicy,
    Network,
    OperandNetworkPolicy,
    IstioCsr,
    /// Definition of a custom resource.
    Definition,
}

/// Identity of an object; the namespace is empty for cluster-scoped kinds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub struct Id {
    pub kind: Kind,
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.namespace {
            "" => write!(f, "{:?} {}", self.kind, self.name),
            namespace => write!(f, "{:?} {namespace}/{}", self.kind, self.name),
        }
    }
}

/// Content of an object, absent when it was deleted.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Content {
    Namespace(Kept<Namespace>),
    Pod(Kept<Pod>),
    Policy(Kept<Policy>),
    /// Custom resources, as stored.
    Setting(Kept<Value>),
}

impl Content {
    /// Whether this is a deletion.
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Namespace(x) => x.is_none(),
            Self::Pod(x) => x.is_none(),
            Self::Policy(x) => x.is_none(),
            Self::Setting(x) => x.is_none(),
        }
    }
}

/// Who made a write.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Writer {
    /// The operator, or its command line on its behalf.
    Ours,
    /// Somebody else, by field manager or user agent.
    Other(String),
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours => f.write_str("bulkhead"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// One stored revision of one object.
#[derive(Clone, Debug)]
pub struct Event {
    /// Revision of the store.
    pub revision: u64,
    /// When it was stored, since the recording began.
    pub at: Duration,
    /// The same on the wall clock, for expiry times.
    pub wall: SystemTime,
    /// The object.
    pub id: Id,
    /// What it is from now on.
    pub content: Content,
    /// Who wrote it.
    pub writer: Writer,
    /// Label keys or spec that the operator owns in this version.
    pub owned: bool,
    /// The same in the version before; absent when this write created the object.
    pub owned_before: Option<bool>,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            revision,
            at,
            id,
            writer,
            ..
        } = self;
        write!(f, "{revision} {:.3} {writer}: {id} ", at.as_secs_f64())?;
        match &self.content {
            content if content.is_gone() => f.write_str("deleted"),
            Content::Setting(Some(value)) => write!(f, "spec {} status {}", value["spec"], value["status"]),
            Content::Policy(Some(policy)) => write!(f, "{policy:?}"),
            _ => f.write_str("written"),
        }
    }
}

/// A recording: what was there at the beginning, and what happened since.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// State at the beginning; long settled.
    pub base: Vec<Event>,
    /// What happened, in order of revision.
    pub events: Vec<Event>,
}

/// A key of the store with its value, as recorded.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Stored {
    pub revision: u64,
    pub at: Duration,
    pub wall: SystemTime,
    pub key: String,
    pub value: Option<Value>,
}

/// Tells who deleted an object; managedFields cannot.
pub trait Deletions {
    /// The writer of the deletion of this object at this time, if known.
    fn writer(&self, id: &Id, wall: SystemTime) -> Option<Writer>;
}

/// Nothing is known: an object counts as deleted by its owner.
impl Deletions for () {
    fn writer(&self, _: &Id, _: SystemTime) -> Option<Writer> {
        None
    }
}

#[derive(Default)]
struct Previous {
    generation: i64,
    managed: Vec<Managed>,
    uid: String,
    owned: bool,
}

/// Turns stored keys into events.
#[derive(Default)]
pub struct Decoder {
    previous: HashMap<Id, Previous>,
}

impl Decoder {
    /// Reads one stored key; `None` for keys that do not matter.
    pub fn event(&mut self, stored: Stored, deletions: &dyn Deletions) -> Result<Option<Event>, String> {
        let Some(id) = id_of(&stored.key) else {
            return Ok(None);
        };
        let Stored {
            revision,
            at,
            wall,
            value,
            ..
        } = stored;
        let Some(value) = value else {
            let before = self.previous.remove(&id).unwrap_or_default();
            let owner = if before.owned {
                Writer::Ours
            } else {
                Writer::Other("unknown".to_owned())
            };
            let writer = deletions.writer(&id, wall).unwrap_or(owner);
            let content = gone(id.kind);
            return Ok(Some(Event {
                revision,
                at,
                wall,
                id,
                content,
                writer,
                owned: before.owned,
                owned_before: Some(before.owned),
            }));
        };
        let meta = objects::meta(&value);
        let existed = self
            .previous
            .get(&id)
            .is_some_and(|before| before.uid == meta.uid);
        let before = self.previous.entry(id.clone()).or_default();
        if !existed {
            *before = Previous::default();
        }
        let owned_before = existed.then_some(before.owned);
        // A write to a custom resource that leaves its generation alone went to its status.
        let status_only = existed && before.generation == meta.generation && is_setting(id.kind);
        let of_kind = |all: &[Managed]| -> Vec<Managed> {
            let meant =
                |entry: &&Managed| !is_setting(id.kind) || (entry.subresource == "status") == status_only;
            all.iter().filter(meant).cloned().collect()
        };
        let writer = writer_of(&of_kind(&before.managed), &of_kind(&meta.managed_fields));
        let content = content(&id, value, &meta, before.owned).map_err(|e| format!("{id}: {e}"))?;
        let owned = before.owned || owns(&id, &content, &meta);
        *before = Previous {
            generation: meta.generation,
            managed: meta.managed_fields,
            uid: meta.uid,
            owned,
        };
        Ok(Some(Event {
            revision,
            at,
            wall,
            id,
            content,
            writer,
            owned,
            owned_before,
        }))
    }
}

/// Identity of a key of the store, where it is of a kind that matters.
pub fn id_of(key: &str) -> Option<Id> {
    let rest = key.strip_prefix("/registry/")?;
    let (kind, rest) = [
        ("namespaces/", Kind::Namespace),
        ("pods/", Kind::Pod),
        ("networkpolicies/", Kind::Policy),
        (
            "network.operator.openshift.io/systemnamespaces/",
            Kind::SystemNamespace,
        ),
        (
            "network.operator.openshift.io/systemisolations/",
            Kind::SystemIsolation,
        ),
        (
            "network.operator.openshift.io/systemnetworkpolicies/",
            Kind::SystemNetworkPolicy,
        ),
        ("operator.openshift.io/networks/", Kind::Network),
        (
            "network.operator.openshift.io/operandnetworkpolicies/",
            Kind::OperandNetworkPolicy,
        ),
        ("operator.openshift.io/istiocsrs/", Kind::IstioCsr),
        (
            "apiextensions.k8s.io/customresourcedefinitions/",
            Kind::Definition,
        ),
    ]
    .into_iter()
    .find_map(|(prefix, kind)| Some((kind, rest.strip_prefix(prefix)?)))?;
    let (namespace, name) = rest.split_once('/').unwrap_or(("", rest));
    Some(Id {
        kind,
        namespace: namespace.into(),
        name: name.into(),
    })
}

fn is_setting(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Namespace | Kind::Pod | Kind::Policy | Kind::Definition
    )
}

fn gone(kind: Kind) -> Content {
    match kind {
        Kind::Namespace => Content::Namespace(None),
        Kind::Pod => Content::Pod(None),
        Kind::Policy => Content::Policy(None),
        _ => Content::Setting(None),
    }
}

fn content(id: &Id, value: Value, meta: &Meta, was_ours: bool) -> Result<Content, String> {
    Ok(match id.kind {
        Kind::Namespace => Content::Namespace(Some(Arc::new(objects::namespace(meta)))),
        Kind::Pod => Content::Pod(Some(Arc::new(objects::pod(&value, meta)))),
        Kind::Policy => {
            let mut policy = objects::policy(&value, meta)?;
            // Whoever edits a policy of ours does not make it his own.
            policy.ours |= was_ours;
            Content::Policy(Some(Arc::new(policy)))
        }
        _ => Content::Setting(Some(Arc::new(value))),
    })
}

fn owns(id: &Id, content: &Content, meta: &Meta) -> bool {
    match (id.kind, content) {
        (_, Content::Policy(Some(policy))) => policy.ours,
        (Kind::Namespace, _) => meta.managed_fields.iter().any(|entry| entry.manager == OURS),
        _ => false,
    }
}

/// The manager whose entry this write changed. Applying over somebody else's fields shrinks his entry but
/// leaves its time alone, so a new or younger entry wins over a merely different one.
fn writer_of(before: &[Managed], after: &[Managed]) -> Writer {
    let same = |a: &Managed, b: &Managed| {
        a.manager == b.manager && a.operation == b.operation && a.subresource == b.subresource
    };
    let rank = |entry: &Managed| match before.iter().find(|old| same(old, entry)) {
        None => 3,
        Some(old) if old.time != entry.time => 3,
        Some(old) if old.fields != entry.fields && size(&old.fields) <= size(&entry.fields) => 2,
        Some(old) if old.fields != entry.fields => 1,
        Some(_) => 0,
    };
    let winner = after
        .iter()
        .max_by(|a, b| (rank(a), &a.time).cmp(&(rank(b), &b.time)));
    match winner {
        Some(entry) if entry.manager == OURS => Writer::Ours,
        Some(entry) => Writer::Other(entry.manager.clone()),
        None => Writer::Other("unknown".to_owned()),
    }
}

fn size(fields: &Value) -> usize {
    fields
        .as_object()
        .map_or(0, |map| map.len() + map.values().map(size).sum::<usize>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(manager: &str, second: u32, fields: Value) -> Managed {
        Managed {
            manager: manager.to_owned(),
            operation: "Apply".to_owned(),
            time: Some(format!("2026-01-01T00:00:{second:02}Z")),
            fields,
            ..Managed::default()
        }
    }

    #[test]
    fn the_writer_is_the_manager_with_the_younger_entry_even_when_another_entry_shrank() {
        let before = [entry("bulkhead", 1, json!({"f:spec": {"f:ingress": {}}}))];
        let after = [
            entry("bulkhead", 1, json!({"f:spec": {}})),
            entry("kubectl", 2, json!({"f:spec": {"f:ingress": {}}})),
        ];
        assert_eq!(writer_of(&before, &after), Writer::Other("kubectl".to_owned()));
        assert_eq!(writer_of(&[], &before), Writer::Ours);
    }

    #[test]
    fn keys_of_other_kinds_do_not_matter() {
        assert!(id_of("/registry/leases/a/b").is_none());
        let id = id_of("/registry/networkpolicies/openshift-dns/bulkhead-allow-all").unwrap();
        assert_eq!(
            (id.kind, &*id.namespace, &*id.name),
            (Kind::Policy, "openshift-dns", "bulkhead-allow-all")
        );
        assert_eq!(id_of("/registry/namespaces/a").unwrap().kind, Kind::Namespace);
    }
}
