//! Versions of an object over time, and what holds in every mix of recent versions.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::evaluate::{self, Direction, Other, Subject};
use super::objects::{Kept, Policy, Protocol};

/// The versions of one object, oldest first. Absence is a version.
#[derive(Clone, Debug)]
pub struct Track<T> {
    versions: VecDeque<(Duration, Kept<T>)>,
}

impl<T: PartialEq> Track<T> {
    /// An object that did not exist until now.
    pub fn absent() -> Self {
        Self {
            versions: VecDeque::from([(Duration::ZERO, None)]),
        }
    }

    /// An object that has always been like this.
    pub fn settled(value: Kept<T>) -> Self {
        Self {
            versions: VecDeque::from([(Duration::ZERO, value)]),
        }
    }

    /// Stores a version; one that differs in nothing that matters is the same version.
    pub fn set(&mut self, at: Duration, value: Kept<T>) -> bool {
        if self.current() == value.as_deref() {
            return false;
        }
        self.versions.push_back((at, value));
        true
    }

    /// The newest version.
    pub fn current(&self) -> Option<&T> {
        self.versions.back().and_then(|(_, value)| value.as_deref())
    }

    /// Forgets versions that were replaced before `since`.
    pub fn trim(&mut self, since: Duration) {
        while self
            .versions
            .get(1)
            .is_some_and(|(replaced, _)| *replaced <= since)
        {
            self.versions.pop_front();
        }
    }

    /// The versions that were in force at some time since the last trim.
    pub fn recent(&self) -> impl Iterator<Item = Option<&T>> {
        self.versions.iter().map(|(_, value)| value.as_deref())
    }

    /// How many versions are recent.
    pub fn len(&self) -> usize {
        self.versions.len()
    }

    /// Whether the object does not exist and did not recently.
    pub fn is_empty(&self) -> bool {
        self.versions.len() == 1 && self.current().is_none()
    }

    /// The newest version, to keep.
    pub fn kept(&self) -> Kept<T> {
        self.versions
            .back()
            .and_then(|(_, value)| value.as_ref().map(Arc::clone))
    }
}

/// The recent versions of each policy of a namespace.
pub type Versions<'a> = Vec<Vec<Option<&'a Policy>>>;

/// What of the versions concerns one pod in one direction: versions that do not select it are as good as
/// absent ones.
pub struct Concerning<'a> {
    direction: Direction,
    subject: Subject<'a>,
    objects: Vec<Vec<Option<&'a Policy>>>,
}

impl<'a> Concerning<'a> {
    /// Keeps the objects of which a version selects the pod.
    pub fn new(versions: &Versions<'a>, direction: Direction, subject: Subject<'a>) -> Self {
        let concerns = |policy: &&Policy| evaluate::isolates(policy, direction, subject);
        let objects = versions
            .iter()
            .map(|object| {
                object
                    .iter()
                    .map(|v| v.filter(|p| concerns(p)))
                    .collect::<Vec<_>>()
            })
            .filter(|object| object.iter().any(Option::is_some))
            .collect();
        Self {
            direction,
            subject,
            objects,
        }
    }

    /// No version of any object isolates the pod.
    pub fn is_free(&self) -> bool {
        self.objects.is_empty()
    }

    /// Some object opens everything in all its versions.
    pub fn is_open(&self) -> bool {
        let opens =
            |version: &Option<&Policy>| version.is_some_and(|p| evaluate::opens_all(p, self.direction));
        self.is_free() || self.objects.iter().any(|object| object.iter().all(opens))
    }

    /// Whether every mix of versions allows the connection. Some mix denies it unless one object allows it in
    /// all its versions, or no version at all isolates the pod without allowing it: else take of each object
    /// a version that does not allow it, and of one the version that isolates.
    pub fn guarantees(&self, other: Other<'_>, port: (Protocol, u16)) -> bool {
        let allows = |p: &Policy| evaluate::allows(p, self.direction, self.subject, other, port);
        let always = |object: &Vec<Option<&Policy>>| object.iter().all(|v| v.is_some_and(allows));
        self.objects.iter().any(always) || self.objects.iter().flatten().flatten().all(|p| allows(p))
    }

    /// How many mixes of versions there are.
    pub fn mixes(&self) -> u64 {
        self.objects
            .iter()
            .fold(1, |all, object| all.saturating_mul(object.len() as u64))
    }

    /// The policies that isolate the pod in some version.
    pub fn isolating(&self) -> impl Iterator<Item = &'a Policy> {
        self.objects.iter().flatten().flatten().copied()
    }
}
