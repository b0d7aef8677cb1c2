//! Transport protocols and sets of ports.

use std::fmt;

use crate::interval::IntervalSet;

/// The transport protocols that NetworkPolicy can speak about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP, the default of the API.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Every protocol, in the order of [`PortSet`]'s storage.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// The protocol by its API name; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.as_str() == text)
    }

    /// The API name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of (protocol, port) pairs, ports from 1 to 65535.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortSet([IntervalSet<u16>; 3]);

impl PortSet {
    /// No port.
    pub fn none() -> Self {
        Self::default()
    }

    /// Every port of every protocol.
    pub fn all() -> Self {
        Self(std::array::from_fn(|_| IntervalSet::all()))
    }

    /// Every port of one protocol.
    pub fn all_of(protocol: Protocol) -> Self {
        Self::range(protocol, 1, u16::MAX)
    }

    /// One port.
    pub fn single(protocol: Protocol, port: u16) -> Self {
        Self::range(protocol, port, port)
    }

    /// The ports from `first` to `last`, both included.
    pub fn range(protocol: Protocol, first: u16, last: u16) -> Self {
        let mut set = Self::none();
        set.0[protocol as usize] = IntervalSet::range(first, last);
        set
    }

    /// The ports of one protocol.
    pub fn of(&self, protocol: Protocol) -> &IntervalSet<u16> {
        &self.0[protocol as usize]
    }

    /// True when the port is in the set.
    pub fn contains(&self, protocol: Protocol, port: u16) -> bool {
        self.of(protocol).contains(port)
    }

    /// True without any port.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(IntervalSet::is_empty)
    }

    /// True with every port of every protocol.
    pub fn is_all(&self) -> bool {
        self.0.iter().all(IntervalSet::is_all)
    }

    /// Ports of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.zip(other, IntervalSet::union)
    }

    /// Ports of both sets.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        self.zip(other, IntervalSet::intersect)
    }

    /// Ports of this set that are not in the other.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        self.zip(other, IntervalSet::subtract)
    }

    /// True when a port is in both sets.
    pub fn intersects(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .any(|(mine, theirs)| mine.intersects(theirs))
    }

    /// True when every port of `other` is in this set.
    pub fn is_superset(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .all(|(mine, theirs)| mine.is_superset(theirs))
    }

    /// Ranges in the order TCP, UDP, SCTP, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = (Protocol, u16, u16)> + '_ {
        Protocol::ALL.into_iter().flat_map(|protocol| {
            self.of(protocol)
                .ranges()
                .iter()
                .map(move |&(first, last)| (protocol, first, last))
        })
    }

    fn zip(
        &self,
        other: &Self,
        merge: impl Fn(&IntervalSet<u16>, &IntervalSet<u16>) -> IntervalSet<u16>,
    ) -> Self {
        Self(std::array::from_fn(|at| merge(&self.0[at], &other.0[at])))
    }
}

impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("all ports");
        }
        if self.is_empty() {
            return f.write_str("no port");
        }
        for (at, (protocol, first, last)) in self.ranges().enumerate() {
            f.write_str(if at == 0 { "" } else { "," })?;
            match (first, last) {
                (1, u16::MAX) => write!(f, "{protocol}")?,
                _ if first == last => write!(f, "{protocol}/{first}")?,
                _ => write!(f, "{protocol}/{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_do_not_mix() {
        let web = PortSet::single(Protocol::Tcp, 80);
        assert!(web.contains(Protocol::Tcp, 80));
        assert!(!web.contains(Protocol::Udp, 80));
        assert!(PortSet::all().is_superset(&web));
        assert!(!PortSet::all_of(Protocol::Udp).is_superset(&web));
        assert!(
            PortSet::all()
                .subtract(&PortSet::all_of(Protocol::Tcp))
                .of(Protocol::Tcp)
                .is_empty()
        );
    }

    #[test]
    fn sets_print_as_protocol_and_ranges() {
        let set = PortSet::range(Protocol::Tcp, 80, 81).union(&PortSet::single(Protocol::Udp, 53));
        assert_eq!(set.to_string(), "TCP/80-81,UDP/53");
        assert_eq!(PortSet::all_of(Protocol::Sctp).to_string(), "SCTP");
        assert_eq!(PortSet::all().to_string(), "all ports");
    }
}
