//! What rules need to know about the ends of a cluster, however those are numbered.

use crate::address::AddressSet;
use crate::lower::{Covers, among};
use crate::policy::Direction;
use crate::ports::Protocol;
use crate::region::Region;
use crate::tiers::ClusterPeer;
use crate::world::{Pod, PodState, World};

use super::ends::{EndId, EndSet};

/// The ends that a region covers.
#[derive(Clone, Debug, Default)]
pub(super) struct Covered {
    pub surely: EndSet,
    pub perhaps: EndSet,
}

impl Covered {
    pub fn add(&mut self, covers: Covers, ends: &EndSet) {
        match covers {
            Covers::Yes => self.surely = self.surely.union(ends),
            Covers::Maybe(_) => self.perhaps = self.perhaps.union(ends),
            Covers::No => {}
        }
    }
}

/// A port number with the classes that declare it under one name.
pub(super) type Holders = (u16, EndSet);

/// Numbered ends that can be asked who is meant.
pub(super) trait Resolve {
    fn world(&self) -> &World;
    /// Every end.
    fn everyone(&self) -> EndSet;
    /// A pod of a class; `None` for other ends.
    fn pod(&self, end: EndId) -> Option<&Pod>;
    /// The end that stands for the host network.
    fn host(&self) -> EndId;
    /// All pieces of the address space.
    fn outside(&self) -> EndSet;
    /// The pieces that a set consists of; it was among those that cut.
    fn pieces(&self, set: &AddressSet) -> EndSet;
    /// The classes that `judge` says are covered; it looks at nothing but state and addresses.
    fn by_address(&self, judge: &dyn Fn(&Pod) -> Covers) -> Covered;
    /// Classes on the host network.
    fn host_classes(&self) -> EndSet;
    /// The ends that a region covers.
    fn covered(&mut self, region: &Region, direction: Direction) -> Covered;
    /// The classes with a port of this name, by its number.
    fn holders(&mut self, protocol: Protocol, name: &str) -> Vec<Holders>;
    /// The ends that pods of a namespace can reach at all, which its network limits.
    fn reach(&mut self, namespace: &str) -> Option<EndSet>;

    /// The ends that a peer of a cluster policy covers.
    fn cluster_peer(&mut self, peer: &ClusterPeer, direction: Direction) -> Covered {
        match peer {
            ClusterPeer::Pods { namespaces, pods } => {
                self.covered(&Region::pods(namespaces.clone(), pods.clone()), direction)
            }
            ClusterPeer::Nodes(selector) => {
                let host = self.host();
                let nodes = self.host_classes().union(&EndSet::range(host, host));
                if selector.is_everything() {
                    Covered {
                        surely: nodes,
                        ..Covered::default()
                    }
                } else {
                    Covered {
                        perhaps: nodes,
                        ..Covered::default()
                    }
                }
            }
            ClusterPeer::Networks(set) => {
                let mut covered = self.by_address(&|pod| among(set, &pod.addresses));
                covered.add(Covers::Yes, &self.pieces(set));
                let host = self.host();
                covered.add(among(set, &[]), &EndSet::range(host, host));
                covered
            }
            ClusterPeer::Domains(_) => Covered {
                perhaps: self.outside(),
                ..Covered::default()
            },
        }
    }
}

/// True for a class on the host network.
pub(super) fn on_host(pod: &Pod) -> bool {
    pod.state == PodState::HostNetwork
}
