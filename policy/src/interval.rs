//! Sorted disjoint inclusive ranges: the one set type behind ports and addresses.

use std::fmt;

use smallvec::{SmallVec, smallvec};

/// A bounded ordered domain whose members have successors.
pub trait Point: Copy + Ord + fmt::Debug {
    /// The smallest member.
    const MIN: Self;
    /// The largest member.
    const MAX: Self;
    /// The next member; only called below `MAX`.
    #[must_use]
    fn up(self) -> Self;
    /// The previous member; only called above `MIN`.
    #[must_use]
    fn down(self) -> Self;
}

macro_rules! point {
    ($($type:ty, $min:expr);*) => {$(
        impl Point for $type {
            const MIN: Self = $min;
            const MAX: Self = <$type>::MAX;
            fn up(self) -> Self { self + 1 }
            fn down(self) -> Self { self - 1 }
        }
    )*};
}

// Port 0 does not exist for policies; addresses start at zero.
point!(u16, 1; u32, 0; u128, 0);

/// Most sets are one range, which needs no memory of its own.
type Ranges<T> = SmallVec<[(T, T); 1]>;

/// A set of points as sorted, disjoint, non-adjacent inclusive ranges; equal sets are equal values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IntervalSet<T>(Ranges<T>);

impl<T> Default for IntervalSet<T> {
    fn default() -> Self {
        Self(Ranges::new())
    }
}

impl<T: Point> IntervalSet<T> {
    /// Every point of the domain.
    pub fn all() -> Self {
        Self(smallvec![(T::MIN, T::MAX)])
    }

    /// The points from `first` to `last`, both included; empty when `last < first`.
    pub fn range(first: T, last: T) -> Self {
        let (first, last) = (first.max(T::MIN), last.min(T::MAX));
        Self(if first <= last {
            smallvec![(first, last)]
        } else {
            Ranges::new()
        })
    }

    /// The ranges in ascending order.
    pub fn ranges(&self) -> &[(T, T)] {
        &self.0
    }

    /// True without any point.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True when every point of the domain is in.
    pub fn is_all(&self) -> bool {
        self.0[..] == [(T::MIN, T::MAX)]
    }

    /// True when the point is in.
    pub fn contains(&self, point: T) -> bool {
        let at = self.0.partition_point(|range| range.1 < point);
        self.0.get(at).is_some_and(|range| range.0 <= point)
    }

    /// Adds a point.
    pub fn insert(&mut self, point: T) {
        let at = self.0.partition_point(|range| range.1 < point);
        if self.0.get(at).is_some_and(|range| range.0 <= point) {
            return;
        }
        let after = at > 0 && self.0[at - 1].1.up() == point;
        let before = point < T::MAX && self.0.get(at).is_some_and(|range| range.0 == point.up());
        match (after, before) {
            (true, true) => self.0[at - 1].1 = self.0.remove(at).1,
            (true, false) => self.0[at - 1].1 = point,
            (false, true) => self.0[at].0 = point,
            (false, false) => self.0.insert(at, (point, point)),
        }
    }

    /// Adds a point that is not below any other.
    pub fn append(&mut self, point: T) {
        match self.0.last_mut() {
            Some(open) if point <= open.1 => {}
            Some(open) if open.1.up() == point => open.1 = point,
            _ => self.0.push((point, point)),
        }
    }

    /// Gives back room for growth.
    pub fn shrink_to_fit(&mut self) {
        self.0.shrink_to_fit();
    }

    /// Takes a point out.
    pub fn remove(&mut self, point: T) {
        let at = self.0.partition_point(|range| range.1 < point);
        let Some(&(first, last)) = self.0.get(at).filter(|range| range.0 <= point) else {
            return;
        };
        match (first == point, last == point) {
            (true, true) => drop(self.0.remove(at)),
            (true, false) => self.0[at].0 = point.up(),
            (false, true) => self.0[at].1 = point.down(),
            (false, false) => {
                self.0[at].1 = point.down();
                self.0.insert(at + 1, (point.up(), last));
            }
        }
    }

    /// Points of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all: Ranges<T> = self.0.iter().chain(&other.0).copied().collect();
        all.sort_unstable();
        let mut merged: Ranges<T> = Ranges::with_capacity(all.len());
        for (first, last) in all {
            match merged.last_mut() {
                Some(open) if open.1 == T::MAX || first <= open.1.up() => open.1 = open.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    /// Points of both sets.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let (mut i, mut j) = (0, 0);
        let mut common = Ranges::new();
        while let (Some(a), Some(b)) = (self.0.get(i), other.0.get(j)) {
            let (first, last) = (a.0.max(b.0), a.1.min(b.1));
            if first <= last {
                common.push((first, last));
            }
            if a.1 < b.1 { i += 1 } else { j += 1 }
        }
        Self(common)
    }

    /// Points that are not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut gaps = Ranges::with_capacity(self.0.len() + 1);
        let mut next = Some(T::MIN);
        for &(first, last) in &self.0 {
            if let Some(start) = next.filter(|&start| start < first) {
                gaps.push((start, first.down()));
            }
            next = (last < T::MAX).then(|| last.up());
        }
        gaps.extend(next.map(|start| (start, T::MAX)));
        Self(gaps)
    }

    /// Points of this set that are not in the other.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        self.intersect(&other.complement())
    }

    /// True when a point is in both sets: fast when one of them has few ranges.
    pub fn intersects(&self, other: &Self) -> bool {
        let (few, many) = if self.0.len() <= other.0.len() {
            (&self.0, &other.0)
        } else {
            (&other.0, &self.0)
        };
        few.iter().any(|range| {
            let at = many.partition_point(|other| other.1 < range.0);
            many.get(at).is_some_and(|other| other.0 <= range.1)
        })
    }

    /// The set of sorted points, in which duplicates are allowed.
    pub fn from_sorted(points: impl IntoIterator<Item = T>) -> Self {
        let mut set = Self::default();
        points.into_iter().for_each(|point| set.append(point));
        set.shrink_to_fit();
        set
    }

    /// The set of ascending disjoint ranges, which may touch.
    pub fn from_ranges(ranges: impl IntoIterator<Item = (T, T)>) -> Self {
        let mut merged: Ranges<T> = Ranges::new();
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(open) if open.1 < T::MAX && open.1.up() >= first => open.1 = open.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        merged.shrink_to_fit();
        Self(merged)
    }

    /// True when every point of `other` is in this set.
    pub fn is_superset(&self, other: &Self) -> bool {
        other.0.iter().all(|range| {
            let at = self.0.partition_point(|mine| mine.1 < range.0);
            self.0
                .get(at)
                .is_some_and(|mine| mine.0 <= range.0 && range.1 <= mine.1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    type Ports = IntervalSet<u16>;

    fn explicit(set: &Ports) -> BTreeSet<u16> {
        (0..=30)
            .chain(65_500..=u16::MAX)
            .filter(|&p| set.contains(p))
            .collect()
    }

    fn ports() -> impl Strategy<Value = Ports> {
        let edge = prop_oneof![1u16..20, 65_520u16..=u16::MAX];
        prop::collection::vec((edge.clone(), edge), 0..4).prop_map(|ranges| {
            ranges.iter().fold(Ports::default(), |set, &(a, b)| {
                set.union(&Ports::range(a.min(b), a.max(b)))
            })
        })
    }

    #[test]
    fn port_zero_is_in_no_set() {
        assert!(!Ports::all().contains(0));
        assert!(Ports::default().complement().is_all());
        assert!(Ports::range(0, 0).is_empty());
        assert_eq!(Ports::range(1, 5).union(&Ports::range(6, 9)), Ports::range(1, 9));
    }

    proptest! {
        #[test]
        fn interval_algebra_agrees_with_explicit_sets(a in ports(), b in ports()) {
            let (x, y) = (explicit(&a), explicit(&b));
            prop_assert_eq!(explicit(&a.union(&b)), x.union(&y).copied().collect());
            prop_assert_eq!(explicit(&a.intersect(&b)), x.intersection(&y).copied().collect());
            prop_assert_eq!(explicit(&a.subtract(&b)), x.difference(&y).copied().collect());
            prop_assert_eq!(a.is_superset(&b), x.is_superset(&y));
            prop_assert_eq!(a.intersects(&b), !x.is_disjoint(&y));
            prop_assert_eq!(Ports::from_sorted(a.ranges().iter().flat_map(|r| r.0..=r.1)), a.clone());
            prop_assert_eq!(a.complement().complement(), a.clone());
            for point in [1, 2, 7, 19, 65_519, 65_535] {
                let mut changed = a.clone();
                changed.insert(point);
                prop_assert_eq!(&changed, &a.union(&Ports::range(point, point)));
                changed.remove(point);
                prop_assert_eq!(&changed, &a.subtract(&Ports::range(point, point)));
            }
        }
    }
}
