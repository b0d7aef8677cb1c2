//! Sets of IP addresses, both families apart.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::interval::IntervalSet;

/// A set of IPv4 and IPv6 addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressSet {
    v4: IntervalSet<u32>,
    v6: IntervalSet<u128>,
}

impl AddressSet {
    /// Every address of both families.
    pub fn all() -> Self {
        Self {
            v4: IntervalSet::all(),
            v6: IntervalSet::all(),
        }
    }

    /// The addresses of a network.
    pub fn network(net: &IpNet) -> Self {
        match net {
            IpNet::V4(net) => {
                let range = IntervalSet::range(net.network().to_bits(), net.broadcast().to_bits());
                Self {
                    v4: range,
                    v6: IntervalSet::default(),
                }
            }
            IpNet::V6(net) => {
                let range = IntervalSet::range(net.network().to_bits(), net.broadcast().to_bits());
                Self {
                    v4: IntervalSet::default(),
                    v6: range,
                }
            }
        }
    }

    /// The addresses from `first` to `last`, both included; empty when their families differ.
    pub fn between(first: IpAddr, last: IpAddr) -> Self {
        let mut set = Self::default();
        match (first, last) {
            (IpAddr::V4(a), IpAddr::V4(b)) => set.v4 = IntervalSet::range(a.to_bits(), b.to_bits()),
            (IpAddr::V6(a), IpAddr::V6(b)) => set.v6 = IntervalSet::range(a.to_bits(), b.to_bits()),
            _ => {}
        }
        set
    }

    /// What an `ipBlock` covers: the network without its exceptions.
    pub fn block(cidr: &IpNet, except: &[IpNet]) -> Self {
        except.iter().fold(Self::network(cidr), |set, hole| {
            set.subtract(&Self::network(hole))
        })
    }

    /// True when the address is in.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.contains(address.to_bits()),
            IpAddr::V6(address) => self.v6.contains(address.to_bits()),
        }
    }

    /// True without any address.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// True with every address of both families.
    pub fn is_all(&self) -> bool {
        self.v4.is_all() && self.v6.is_all()
    }

    /// Addresses of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self {
            v4: self.v4.union(&other.v4),
            v6: self.v6.union(&other.v6),
        }
    }

    /// True when an address is in both sets.
    pub fn intersects(&self, other: &Self) -> bool {
        self.v4.intersects(&other.v4) || self.v6.intersects(&other.v6)
    }

    /// Addresses of both sets.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        Self {
            v4: self.v4.intersect(&other.v4),
            v6: self.v6.intersect(&other.v6),
        }
    }

    /// Addresses of this set that are not in the other.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        Self {
            v4: self.v4.subtract(&other.v4),
            v6: self.v6.subtract(&other.v6),
        }
    }

    /// IPv4 ranges, ascending.
    pub fn v4(&self) -> &IntervalSet<u32> {
        &self.v4
    }

    /// IPv6 ranges, ascending.
    pub fn v6(&self) -> &IntervalSet<u128> {
        &self.v6
    }
}

impl fmt::Display for AddressSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("any address");
        }
        let v4 = self
            .v4
            .ranges()
            .iter()
            .map(|&(a, b)| (IpAddr::V4(a.into()), IpAddr::V4(b.into())));
        let v6 = self
            .v6
            .ranges()
            .iter()
            .map(|&(a, b)| (IpAddr::V6(a.into()), IpAddr::V6(b.into())));
        for (at, (first, last)) in v4.chain(v6).enumerate() {
            f.write_str(if at == 0 { "" } else { "," })?;
            match spelled_as_network(first, last) {
                Some(net) => write!(f, "{net}")?,
                None => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

fn spelled_as_network(first: IpAddr, last: IpAddr) -> Option<IpNet> {
    let longest = if first.is_ipv4() { 32 } else { 128 };
    (0..=longest)
        .filter_map(|length| IpNet::new(first, length).ok())
        .find(|net| net.network() == first && net.broadcast() == last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn a_block_of_one_family_holds_no_address_of_the_other() {
        let v4 = AddressSet::network(&net("0.0.0.0/0"));
        assert!(v4.contains("255.255.255.255".parse().unwrap()));
        assert!(!v4.contains("::1".parse().unwrap()));
        assert!(v4.union(&AddressSet::network(&net("::/0"))).is_all());
    }

    #[test]
    fn exceptions_are_cut_out() {
        let block = AddressSet::block(
            &net("10.0.0.0/8"),
            &[net("10.1.0.0/16"), net("10.255.255.255/32")],
        );
        assert!(block.contains("10.0.255.255".parse().unwrap()));
        assert!(!block.contains("10.1.0.0".parse().unwrap()));
        assert!(!block.contains("10.255.255.255".parse().unwrap()));
        assert_eq!(block.to_string(), "10.0.0.0/16,10.2.0.0-10.255.255.254");
    }
}
