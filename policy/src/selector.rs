//! Label selectors in a canonical form that supports exact set algebra.
//!
//! A selector is a conjunction, so for each label key it permits a set of states: the key may be absent or
//! not, and its value is one of a list or anything but a list. Such per-key sets are closed under
//! intersection and complement, which makes containment of selectors decidable exactly over *all possible*
//! label sets, not only over those that exist today.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::labels::{Labels, NAMESPACE_NAME_LABEL};

/// The operators of a label selector requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// The key is present with one of the values.
    In,
    /// The key is absent or has none of the values.
    NotIn,
    /// The key is present.
    Exists,
    /// The key is absent.
    DoesNotExist,
}

/// One requirement of a selector, as the API writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// The label key.
    pub key: Box<str>,
    /// What is asked of the key.
    pub operator: Operator,
    /// The values for `In` and `NotIn`; empty for the other operators.
    pub values: Vec<Box<str>>,
}

/// The states that one label key may be in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct States {
    absent: bool,
    values: Values,
}

/// A set of label values; the lists are sorted and free of duplicates.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Values {
    Only(Arc<[Arc<str>]>),
    AllBut(Arc<[Arc<str>]>),
}

/// A conjunction of requirements on labels. Two selectors are equal exactly when they match the same label
/// sets, however they were written. Cloning shares the storage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selector {
    /// Sorted by key, no term permits everything; one empty term stands for "matches nothing".
    terms: Arc<[(Arc<str>, States)]>,
}

/// A key that the canonical never-matching selector requires to be present and absent at once.
const NOTHING_KEY: &str = "nothing";

impl Values {
    fn contains(&self, value: &str) -> bool {
        let found = |list: &[Arc<str>]| list.binary_search_by(|v| (**v).cmp(value)).is_ok();
        match self {
            Self::Only(list) => found(list),
            Self::AllBut(list) => !found(list),
        }
    }

    fn complement(&self) -> Self {
        match self {
            Self::Only(list) => Self::AllBut(list.clone()),
            Self::AllBut(list) => Self::Only(list.clone()),
        }
    }

    fn intersect(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Only(list), keep) | (keep, Self::Only(list)) => {
                Self::Only(list.iter().filter(|v| keep.contains(v)).cloned().collect())
            }
            (Self::AllBut(a), Self::AllBut(b)) => {
                Self::AllBut(sorted(a.iter().chain(b.iter()).cloned().collect()))
            }
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Only(list) if list.is_empty())
    }

    fn intersects(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Only(list), set) | (set, Self::Only(list)) => list.iter().any(|value| set.contains(value)),
            (Self::AllBut(_), Self::AllBut(_)) => true,
        }
    }
}

impl States {
    fn of(requirement: &Requirement) -> Self {
        let list = || {
            sorted(
                requirement
                    .values
                    .iter()
                    .map(|value| Arc::from(&**value))
                    .collect(),
            )
        };
        match requirement.operator {
            Operator::In => Self {
                absent: false,
                values: Values::Only(list()),
            },
            Operator::NotIn => Self {
                absent: true,
                values: Values::AllBut(list()),
            },
            Operator::Exists => Self {
                absent: false,
                values: Values::AllBut(Arc::default()),
            },
            Operator::DoesNotExist => Self {
                absent: true,
                values: Values::Only(Arc::default()),
            },
        }
    }

    fn contains(&self, value: Option<&str>) -> bool {
        value.map_or(self.absent, |value| self.values.contains(value))
    }

    fn complement(&self) -> Self {
        Self {
            absent: !self.absent,
            values: self.values.complement(),
        }
    }

    fn intersect(&self, other: &Self) -> Self {
        Self {
            absent: self.absent && other.absent,
            values: self.values.intersect(&other.values),
        }
    }

    fn is_empty(&self) -> bool {
        !self.absent && self.values.is_empty()
    }

    fn intersects(&self, other: &Self) -> bool {
        (self.absent && other.absent) || self.values.intersects(&other.values)
    }

    fn is_everything(&self) -> bool {
        self.absent && matches!(&self.values, Values::AllBut(list) if list.is_empty())
    }

    /// Namespaces always carry the name label, so whether absence is permitted there means nothing: one
    /// spelling for each set of names.
    fn always_present(self) -> Self {
        Self {
            absent: matches!(self.values, Values::AllBut(_)),
            values: self.values,
        }
    }
}

fn sorted(mut values: Vec<Arc<str>>) -> Arc<[Arc<str>]> {
    values.sort();
    values.dedup();
    values.into()
}

impl Selector {
    /// The selector that matches every label set; the API writes it `{}`.
    pub fn everything() -> Self {
        Self::default()
    }

    /// A selector that matches no label set at all.
    pub fn nothing() -> Self {
        let never = States {
            absent: false,
            values: Values::Only(Arc::default()),
        };
        Self {
            terms: [(Arc::from(NOTHING_KEY), never)].into(),
        }
    }

    /// The conjunction of `matchLabels` pairs and requirements.
    pub fn new<'a>(
        match_labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        requirements: impl IntoIterator<Item = Requirement>,
    ) -> Self {
        let equals = |(key, value): (&str, &str)| Requirement {
            key: key.into(),
            operator: Operator::In,
            values: vec![value.into()],
        };
        let all = match_labels.into_iter().map(equals).chain(requirements);
        Self::canonical(
            all.map(|requirement| (Arc::from(&*requirement.key), States::of(&requirement)))
                .collect(),
        )
    }

    /// The namespace with this name, by the label that nobody can change.
    pub fn namespace_name(name: &str) -> Self {
        Self::from([(NAMESPACE_NAME_LABEL, name)])
    }

    /// True when the label set satisfies every requirement.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.terms
            .iter()
            .all(|(key, states)| states.contains(labels.get(key)))
    }

    /// True when every label set matches.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// True when no label set can match.
    pub fn is_nothing(&self) -> bool {
        self.terms.first().is_some_and(|(_, states)| states.is_empty())
    }

    /// The selector that matches exactly what both match.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        if self == other || other.is_everything() {
            return self.clone();
        }
        Self::canonical(self.terms.iter().chain(other.terms.iter()).cloned().collect())
    }

    /// What one or two of the selectors match at once. A pod that several match falls under each of these pairs.
    pub fn overlaps<'a>(selectors: impl IntoIterator<Item = &'a Self>) -> BTreeSet<Self> {
        let distinct: BTreeSet<&Self> = selectors.into_iter().collect();
        let all: Vec<&Self> = distinct.into_iter().collect();
        let with_later = |(at, one): (usize, &&'a Self)| {
            let one = *one;
            all[at..]
                .iter()
                .map(move |other| one.intersect(other))
                .collect::<Vec<_>>()
        };
        let both = all.iter().enumerate().flat_map(with_later);
        both.filter(|selector| !selector.is_nothing()).collect()
    }

    /// True when every label set that `self` matches is matched by `other`: exact over all label sets.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.is_nothing() || other.is_everything() || self.intersect(other) == *self
    }

    /// True when some label set matches both.
    pub fn intersects(&self, other: &Self) -> bool {
        let excluded = |(key, states): &(Arc<str>, States)| {
            let theirs = other
                .terms
                .binary_search_by(|(k, _)| k.cmp(key))
                .map(|at| &other.terms[at].1);
            theirs.is_ok_and(|theirs| !states.intersects(theirs))
        };
        !self.is_nothing() && !other.is_nothing() && !self.terms.iter().any(excluded)
    }

    /// Disjoint selectors that together match what `self` matches and `other` does not.
    pub(crate) fn subtract(&self, other: &Self) -> Vec<Self> {
        let mut inside = self.clone();
        let mut pieces = Vec::new();
        for (key, states) in other.terms.iter() {
            let outside = inside.restricted(key, &states.complement());
            if !outside.is_nothing() {
                pieces.push(outside);
            }
            inside = inside.restricted(key, states);
        }
        pieces
    }

    /// The same selector for use on namespaces: the name label is known to be present there.
    #[must_use]
    pub fn on_namespaces(&self) -> Self {
        if !self.terms.iter().any(|(key, _)| &**key == NAMESPACE_NAME_LABEL) {
            return self.clone();
        }
        let known = |(key, states): &(Arc<str>, States)| {
            let states = states.clone();
            let states = if &**key == NAMESPACE_NAME_LABEL {
                states.always_present()
            } else {
                states
            };
            (key.clone(), states)
        };
        Self::canonical(self.terms.iter().map(known).collect())
    }

    /// The requirements in canonical order; pairs of one key and one value are `In` with one value.
    pub fn requirements(&self) -> Vec<Requirement> {
        self.terms
            .iter()
            .flat_map(|(key, states)| requirements_of(key, states))
            .collect()
    }

    /// The label keys that this selector looks at.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().map(|(key, _)| &**key)
    }

    /// The values that make `key` match when it must have one of a list; `None` when the key is free, may be
    /// absent, or is restricted in another way. This is what an inverted index can look up.
    pub fn required_values(&self, key: &str) -> Option<&[Arc<str>]> {
        let (_, states) = self.terms.iter().find(|(k, _)| &**k == key)?;
        match (&states.values, states.absent) {
            (Values::Only(list), false) => Some(list),
            _ => None,
        }
    }

    fn restricted(&self, key: &Arc<str>, states: &States) -> Self {
        let term = (key.clone(), states.clone());
        Self::canonical(self.terms.iter().cloned().chain([term]).collect())
    }

    fn canonical(mut terms: Vec<(Arc<str>, States)>) -> Self {
        terms.sort_by(|a, b| a.0.cmp(&b.0));
        let mut merged: Vec<(Arc<str>, States)> = Vec::with_capacity(terms.len());
        for (key, states) in terms {
            match merged.last_mut() {
                Some((last, have)) if *last == key => *have = have.intersect(&states),
                _ => merged.push((key, states)),
            }
        }
        if merged.iter().any(|(_, states)| states.is_empty()) {
            return Self::nothing();
        }
        merged.retain(|(_, states)| !states.is_everything());
        Self { terms: merged.into() }
    }
}

/// Requirements that say the same as `states`. "Absent or one of a list" has no spelling in the API and cannot
/// arise from requirements, only inside subtractions, whose pieces never leave the crate.
fn requirements_of(key: &str, states: &States) -> Vec<Requirement> {
    let one = |operator, values: &[Arc<str>]| Requirement {
        key: key.into(),
        operator,
        values: values.iter().map(|value| Box::from(&**value)).collect(),
    };
    match (&states.values, states.absent) {
        (Values::Only(list), false) if list.is_empty() => {
            vec![one(Operator::Exists, &[]), one(Operator::DoesNotExist, &[])]
        }
        (Values::Only(list), false) => vec![one(Operator::In, list)],
        (Values::Only(_), true) => vec![one(Operator::DoesNotExist, &[])],
        (Values::AllBut(list), true) => vec![one(Operator::NotIn, list)],
        (Values::AllBut(list), false) if list.is_empty() => vec![one(Operator::Exists, &[])],
        (Values::AllBut(list), false) => vec![one(Operator::Exists, &[]), one(Operator::NotIn, list)],
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Selector {
    fn from(match_labels: [(&str, &str); N]) -> Self {
        Self::new(match_labels, [])
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_everything() {
            return f.write_str("any");
        }
        if self.is_nothing() {
            return f.write_str("nothing");
        }
        for (at, (key, states)) in self.terms.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "," })?;
            match (&states.values, states.absent) {
                (Values::Only(list), false) if list.len() == 1 => write!(f, "{key}={}", list[0])?,
                (Values::Only(list), false) => write!(f, "{key} in ({})", list.join(","))?,
                (Values::Only(list), true) if list.is_empty() => write!(f, "!{key}")?,
                (Values::Only(list), true) => write!(f, "{key} absent or in ({})", list.join(","))?,
                (Values::AllBut(list), true) => write!(f, "{key} notin ({})", list.join(","))?,
                (Values::AllBut(list), false) if list.is_empty() => f.write_str(key)?,
                (Values::AllBut(list), false) => write!(f, "{key},{key} notin ({})", list.join(","))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "selector_tests.rs"]
mod tests;
