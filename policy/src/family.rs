//! Address families. A connection runs in one of them, so ends with addresses of both are judged once in each.

use std::fmt;
use std::net::IpAddr;

use crate::world::{Endpoint, Node, Pod};

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// True when some of the addresses are of it.
    pub fn is_among(self, addresses: &[IpAddr]) -> bool {
        addresses.iter().any(|address| Self::of(*address) == self)
    }

    /// The family of all these addresses, if they are of one.
    pub fn only_one(addresses: &[IpAddr]) -> Option<Self> {
        let mut among = Self::ALL.into_iter().filter(|family| family.is_among(addresses));
        among.next().filter(|_| among.next().is_none())
    }

    /// A pod as connections of this family see it.
    pub(crate) fn of_pod(self, pod: &Pod) -> Pod {
        let mut pod = pod.clone();
        self.only(&mut pod.addresses);
        pod
    }

    fn only(self, addresses: &mut Vec<IpAddr>) {
        addresses.retain(|address| Self::of(*address) == self);
    }

    /// The families in which two ends have to be judged apart: both, or the one that they share while an end
    /// has both. Empty when the addresses that are known leave nothing to tell apart.
    pub(crate) fn apart(a: &Endpoint<'_>, b: &Endpoint<'_>) -> Vec<Self> {
        let (a, b) = (addresses(a), addresses(b));
        let has_both = |addresses: &[IpAddr]| Self::ALL.iter().all(|family| family.is_among(addresses));
        if !has_both(a) && !has_both(b) {
            return Vec::new();
        }
        // An end whose addresses are not known may use any.
        let may = |family: &Self, addresses: &[IpAddr]| addresses.is_empty() || family.is_among(addresses);
        Self::ALL
            .into_iter()
            .filter(|family| may(family, a) && may(family, b))
            .collect()
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

fn addresses<'a>(end: &'a Endpoint<'_>) -> &'a [IpAddr] {
    match end {
        Endpoint::Pod(pod) => &pod.addresses,
        Endpoint::Node(node) => &node.addresses,
        Endpoint::Host { address } => address.as_slice(),
        Endpoint::External(address) => std::slice::from_ref(address),
        Endpoint::OwnNode | Endpoint::ExternalUnknown => &[],
    }
}

/// An end as connections of one family see it.
pub(crate) enum Seen<'a> {
    /// With fewer addresses than it has.
    Pod(Pod),
    /// With fewer addresses than it has.
    Node(Node),
    /// As it is.
    Same(Endpoint<'a>),
}

impl<'a> Seen<'a> {
    pub fn new(end: &Endpoint<'a>, family: Family) -> Self {
        match *end {
            Endpoint::Pod(pod) => Self::Pod(family.of_pod(pod)),
            Endpoint::Node(node) => {
                let mut node = node.clone();
                family.only(&mut node.addresses);
                Self::Node(node)
            }
            other => Self::Same(other),
        }
    }

    pub fn endpoint(&self) -> Endpoint<'_> {
        match self {
            Self::Pod(pod) => Endpoint::Pod(pod),
            Self::Node(node) => Endpoint::Node(node),
            Self::Same(end) => *end,
        }
    }
}
