//! The address space cut where any rule cuts it: inside one piece no rule can tell two addresses apart.

use std::net::IpAddr;

use crate::address::AddressSet;
use crate::family::Family;
use crate::interval::IntervalSet;
use crate::policy::{Direction, Peer, Policy};
use crate::tiers::{ClusterPeer, ClusterPolicy};

/// Sorted starts of the pieces: first IPv4, then IPv6.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces {
    v4: Vec<u32>,
    v6: Vec<u128>,
    /// Some set covers one of the families otherwise than the other.
    apart: bool,
}

impl Pieces {
    pub fn of<'a>(
        policies: impl IntoIterator<Item = &'a Policy>,
        tiers: impl IntoIterator<Item = &'a ClusterPolicy>,
    ) -> Self {
        let (mut v4, mut v6) = (vec![0], vec![0]);
        let mut apart = false;
        let mut cut = |set: &AddressSet| {
            apart |= !set.is_all() && !set.is_empty();
            for &(first, last) in set.v4().ranges() {
                v4.extend([Some(first), last.checked_add(1)].into_iter().flatten());
            }
            for &(first, last) in set.v6().ranges() {
                v6.extend([Some(first), last.checked_add(1)].into_iter().flatten());
            }
        };
        for policy in policies {
            let rules = Direction::ALL
                .into_iter()
                .filter_map(|direction| policy.rules(direction));
            for peer in rules.flatten().flat_map(|rule| &rule.peers) {
                if let Peer::IpBlock { cidr, except } = peer {
                    cut(&AddressSet::network(cidr));
                    for hole in except {
                        cut(&AddressSet::network(hole));
                    }
                }
            }
        }
        for policy in tiers {
            let rules = Direction::ALL
                .into_iter()
                .flat_map(|direction| policy.rules(direction));
            for peer in rules.flat_map(|rule| &rule.peers) {
                if let ClusterPeer::Networks(set) = peer {
                    cut(set);
                }
            }
        }
        v4.sort_unstable();
        v4.dedup();
        v6.sort_unstable();
        v6.dedup();
        Self { v4, v6, apart }
    }

    /// True when a policy may say one thing about the IPv4 address of a pod and another about the IPv6 one.
    pub fn tell_families_apart(&self) -> bool {
        self.apart
    }

    /// The family of the addresses of a piece.
    pub fn family(&self, piece: u32) -> Family {
        if (piece as usize) < self.v4.len() {
            Family::V4
        } else {
            Family::V6
        }
    }

    pub fn len(&self) -> u32 {
        u32::try_from(self.v4.len() + self.v6.len()).unwrap_or(u32::MAX)
    }

    /// The piece that holds an address.
    pub fn of_address(&self, address: IpAddr) -> u32 {
        let at = match address {
            IpAddr::V4(v4) => self.v4.partition_point(|&start| start <= v4.to_bits()) - 1,
            IpAddr::V6(v6) => self.v4.len() + self.v6.partition_point(|&start| start <= v6.to_bits()) - 1,
        };
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    /// The pieces that a set consists of; it was among those that cut.
    pub fn of_set(&self, set: &AddressSet) -> IntervalSet<u32> {
        let v4 = set
            .v4()
            .ranges()
            .iter()
            .map(|&(a, b)| (IpAddr::V4(a.into()), IpAddr::V4(b.into())));
        let v6 = set
            .v6()
            .ranges()
            .iter()
            .map(|&(a, b)| (IpAddr::V6(a.into()), IpAddr::V6(b.into())));
        let pieces = v4
            .chain(v6)
            .map(|(a, b)| IntervalSet::range(self.of_address(a), self.of_address(b)));
        pieces.fold(IntervalSet::default(), |all, piece| all.union(&piece))
    }

    /// The addresses of a piece.
    pub fn addresses(&self, piece: u32) -> AddressSet {
        let at = piece as usize;
        match at.checked_sub(self.v4.len()) {
            None => AddressSet::between(
                IpAddr::V4(self.v4[at].into()),
                IpAddr::V4(self.v4.get(at + 1).map_or(u32::MAX, |next| next - 1).into()),
            ),
            Some(at) => AddressSet::between(
                IpAddr::V6(self.v6[at].into()),
                IpAddr::V6(self.v6.get(at + 1).map_or(u128::MAX, |next| next - 1).into()),
            ),
        }
    }
}
