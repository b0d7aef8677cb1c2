//! Sets of (end, port): for each end the ports.

use std::collections::HashMap;

use crate::ports::PortSet;

use super::ends::EndSet;

/// For each end a set of ports, grouped by those sets. No end is in two groups and no set is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Area(Vec<(PortSet, EndSet)>);

impl Area {
    pub fn of(ends: EndSet, ports: PortSet) -> Self {
        if ends.is_empty() || ports.is_empty() {
            return Self::default();
        }
        Self(vec![(ports, ends)])
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn pieces(&self) -> impl Iterator<Item = (&EndSet, &PortSet)> {
        self.0.iter().map(|(ports, ends)| (ends, ports))
    }

    pub fn union(&self, other: &Self) -> Self {
        self.merge(other, PortSet::union)
    }

    pub fn intersect(&self, other: &Self) -> Self {
        self.merge(other, PortSet::intersect)
    }

    pub fn subtract(&self, other: &Self) -> Self {
        self.merge(other, PortSet::subtract)
    }

    /// `merged` makes one port set of both areas' sets at an end, and nothing of nothing.
    fn merge(&self, other: &Self, merged: impl Fn(&PortSet, &PortSet) -> PortSet) -> Self {
        let mut found: HashMap<PortSet, EndSet> = HashMap::new();
        let mut add = |ports: PortSet, ends: EndSet| {
            if !ports.is_empty() && !ends.is_empty() {
                let all = found.entry(ports).or_default();
                *all = all.union(&ends);
            }
        };
        let none = PortSet::none();
        for (mine, ends) in &self.0 {
            let mut alone = ends.clone();
            for (theirs, others) in &other.0 {
                add(merged(mine, theirs), ends.intersect(others));
                alone = alone.subtract(others);
            }
            add(merged(mine, &none), alone);
        }
        for (theirs, others) in &other.0 {
            let alone = self
                .0
                .iter()
                .fold(others.clone(), |rest, (_, ends)| rest.subtract(ends));
            add(merged(&none, theirs), alone);
        }
        let mut pieces: Vec<(PortSet, EndSet)> = found.into_iter().collect();
        pieces.sort_unstable();
        Self(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Protocol;
    use proptest::prelude::*;

    fn area() -> impl Strategy<Value = Area> {
        let piece = (0u32..6, 0u32..6, 1u16..6, 1u16..6).prop_map(|(a, b, p, q)| {
            let ports = PortSet::range(Protocol::Tcp, p.min(q), p.max(q));
            Area::of(EndSet::range(a.min(b), a.max(b)), ports)
        });
        prop::collection::vec(piece, 0..4)
            .prop_map(|pieces| pieces.iter().fold(Area::default(), |all, piece| all.union(piece)))
    }

    fn holds(area: &Area, end: u32, port: u16) -> bool {
        area.pieces()
            .any(|(ends, ports)| ends.contains(end) && ports.contains(Protocol::Tcp, port))
    }

    proptest! {
        #[test]
        fn areas_behave_as_sets_of_ends_and_ports(a in area(), b in area()) {
            let (either, both, only) = (a.union(&b), a.intersect(&b), a.subtract(&b));
            for (end, port) in (0..6).flat_map(|end| (1..6).map(move |port| (end, port))) {
                let (mine, theirs) = (holds(&a, end, port), holds(&b, end, port));
                prop_assert_eq!(holds(&either, end, port), mine || theirs);
                prop_assert_eq!(holds(&both, end, port), mine && theirs);
                prop_assert_eq!(holds(&only, end, port), mine && !theirs);
            }
        }
    }
}
