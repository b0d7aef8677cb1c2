//! The one place that gives a rule its meaning: which ends it names and on which ports.
//!
//! Concrete verdicts, symbolic effects and the whole-cluster engine all build on [`Lowered`], so they cannot
//! disagree about a trap.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use crate::address::AddressSet;
use crate::dialect::{EndPort, HostSource, NamedPorts};
use crate::policy::{Direction, Peer, Policy, Port, PortRule, Rule};
use crate::ports::{PortSet, Protocol};
use crate::region::Region;
use crate::selector::Selector;
use crate::world::{Endpoint, Pod, PodState, World};

/// A rule with every default filled in and the dialect applied.
#[derive(Clone, Debug)]
pub(crate) struct Lowered {
    /// The other ends.
    pub regions: Vec<Region>,
    /// The ports known as numbers.
    pub numbers: PortSet,
    /// The ports that depend on the destination pod.
    pub names: Vec<(Protocol, Arc<str>)>,
    /// The rule has no `ports`, so it does not look at the protocol at all.
    pub any_protocol: bool,
}

/// Why a question cannot be decided from policies alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unknown {
    /// An address block decides, and the address of one end is not known.
    #[error("an address block decides and the address is not known")]
    AddressNotKnown,
    /// An end has several addresses and the block covers only some of them.
    #[error("an address block covers only some of the addresses")]
    SomeAddressesOnly,
    /// Traffic from outside may arrive with a node's address.
    #[error("the source may have been translated to a node's address")]
    SourceTranslated,
    /// `NetworkPolicy` leaves ICMP and other protocols undefined for isolated pods.
    #[error("the API does not define protocols other than TCP, UDP and SCTP for isolated pods")]
    ProtocolOutsideApi,
    /// Cluster policies of one priority disagree, and the API leaves open which is looked at first.
    #[error("policies of equal priority disagree")]
    EqualPriorities,
    /// A rule selects nodes by labels that are not known.
    #[error("a rule selects nodes by labels that are not known")]
    NodeLabels,
    /// A rule names domains, whose addresses are not known.
    #[error("a rule names domains whose addresses are not known")]
    DomainNames,
    /// The policies deny it now, and the API leaves open what becomes of connections that are open already.
    #[error("the API does not define what becomes of a connection that was open before")]
    EstablishedConnection,
    /// Several ends stand behind one name, and the answers for them differ.
    #[error("the answers for the ends behind one name differ")]
    EndsDiffer,
    /// A pod reaches itself through a Service, with a source that network plugins translate in different ways.
    #[error("a pod reaches itself through a Service, and network plugins differ there")]
    Hairpin,
}

/// Whether a region covers an end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Covers {
    No,
    Maybe(Unknown),
    Yes,
}

/// The ports that rules open towards one end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Opened {
    pub surely: PortSet,
    pub perhaps: PortSet,
    pub why: Option<Unknown>,
}

impl Opened {
    pub fn add(&mut self, covers: Covers, ports: &PortSet) {
        match covers {
            Covers::No => {}
            Covers::Yes => self.surely = self.surely.union(ports),
            Covers::Maybe(why) => {
                self.perhaps = self.perhaps.union(ports);
                self.why = self.why.or(Some(why));
            }
        }
    }

    pub fn union(&mut self, other: &Self) {
        self.surely = self.surely.union(&other.surely);
        self.perhaps = self.perhaps.union(&other.perhaps);
        self.why = self.why.or(other.why);
    }
}

impl Lowered {
    /// `own` selects the namespace of the policy that the rule is from.
    pub fn new(world: &World, own: &Selector, direction: Direction, rule: &Rule) -> Self {
        let mut numbers = if rule.ports.is_empty() {
            PortSet::all()
        } else {
            PortSet::none()
        };
        let mut names = Vec::new();
        for port in &rule.ports {
            lower_port(world, port, &mut numbers, &mut names);
        }
        let regions = lower_peers(world, own, direction, rule, !names.is_empty());
        Self {
            regions,
            numbers,
            names,
            any_protocol: rule.ports.is_empty(),
        }
    }

    /// All rules of a policy for a direction; `None` when it does not isolate.
    pub fn all(world: &World, policy: &Policy, direction: Direction) -> Option<Vec<Self>> {
        let own = Selector::namespace_name(&policy.namespace);
        let lower = |rule| Self::new(world, &own, direction, rule);
        policy
            .rules(direction)
            .map(|rules| rules.iter().map(lower).collect())
    }

    /// The ports that this rule opens between `pod`, which it applies to, and `peer`.
    pub fn opened(&self, world: &World, direction: Direction, pod: &Pod, peer: &Endpoint<'_>) -> Opened {
        let mut opened = Opened::default();
        for region in &self.regions {
            let covers = covers(world, region, direction, peer);
            if covers != Covers::No {
                opened.add(covers, &self.ports(destination(direction, pod, region, peer)));
            }
        }
        opened
    }

    /// The numeric ports, with names resolved on the destination pod; without one a name means nothing.
    pub fn ports(&self, destination: Option<&Pod>) -> Cow<'_, PortSet> {
        let Some(pod) = destination.filter(|_| !self.names.is_empty()) else {
            return Cow::Borrowed(&self.numbers);
        };
        let resolved = self.names.iter().flat_map(|(protocol, name)| {
            pod.port_numbers(*protocol, name)
                .map(|port| PortSet::single(*protocol, port))
        });
        Cow::Owned(resolved.fold(self.numbers.clone(), |all, port| all.union(&port)))
    }
}

/// The pod on which named ports resolve: the selected one for ingress, a peer chosen as a pod for egress. A
/// destination that is only known by its address has no port names.
fn destination<'a>(
    direction: Direction,
    pod: &'a Pod,
    region: &Region,
    peer: &Endpoint<'a>,
) -> Option<&'a Pod> {
    match (direction, region, peer) {
        (Direction::Ingress, ..) => Some(pod),
        (Direction::Egress, Region::Pods { .. } | Region::HostPods { .. }, Endpoint::Pod(peer)) => Some(peer),
        (Direction::Egress, ..) => None,
    }
}

fn lower_port(world: &World, rule: &PortRule, numbers: &mut PortSet, names: &mut Vec<(Protocol, Arc<str>)>) {
    let opened = match &rule.port {
        Port::Any => PortSet::all_of(rule.protocol),
        Port::Range(first, last) => {
            let last = if world.dialect.end_port == EndPort::Enforced {
                *last
            } else {
                *first
            };
            PortSet::range(rule.protocol, *first, last)
        }
        Port::Named(_) if world.dialect.named_ports == NamedPorts::WholeProtocol => {
            PortSet::all_of(rule.protocol)
        }
        Port::Named(name) => return names.push((rule.protocol, name.clone())),
    };
    *numbers = numbers.union(&opened);
}

fn lower_peers(world: &World, own: &Selector, direction: Direction, rule: &Rule, named: bool) -> Vec<Region> {
    let peers = &rule.peers;
    if peers.is_empty() {
        return Region::anyone();
    }
    let mut regions = Vec::with_capacity(peers.len());
    let mut blocks = AddressSet::default();
    for peer in peers {
        match peer {
            Peer::Pods { namespaces, pods } => {
                lower_pods(
                    world,
                    own,
                    direction,
                    (namespaces.as_ref(), pods.as_ref()),
                    &mut regions,
                );
            }
            Peer::IpBlock { cidr, except } => blocks = blocks.union(&AddressSet::block(cidr, except)),
        }
    }
    // A destination that is chosen by its address has no port names, so the pods behind it stay unnamed.
    if blocks.is_all() && !(named && direction == Direction::Egress) {
        everybody_with_an_address(world, &mut regions);
    }
    if !blocks.is_empty() {
        regions.push(Region::Addresses(blocks));
    }
    regions
}

fn lower_pods(
    world: &World,
    own: &Selector,
    direction: Direction,
    (namespaces, pods): (Option<&Selector>, Option<&Selector>),
    regions: &mut Vec<Region>,
) {
    let dialect = &world.dialect;
    let selected = namespaces.map_or_else(|| own.clone(), Selector::on_namespaces);
    let any_or = |pods: Option<&Selector>| pods.cloned().unwrap_or_default();
    let host = dialect
        .host_namespace
        .as_ref()
        .filter(|_| direction == Direction::Ingress);
    let host_selected = host.is_some_and(|host| selected.matches(&world.namespace_labels(host)));
    if host_selected && namespaces.is_some() && pods.is_none() {
        regions.push(Region::Host);
    }
    if direction == Direction::Egress && dialect.egress_selects_host_pods && pods.is_some() {
        regions.push(Region::HostPods {
            namespaces: selected.clone(),
            pods: any_or(pods),
        });
    }
    regions.push(Region::Pods {
        namespaces: selected,
        pods: any_or(pods),
    });
}

fn everybody_with_an_address(world: &World, regions: &mut Vec<Region>) {
    if world.dialect.ip_block_matches_hosts {
        regions.push(Region::Host);
    }
    if world.dialect.ip_block_matches_pods {
        regions.push(Region::pods(Selector::everything(), Selector::everything()));
    }
}

/// Whether a region covers an end; questions about finished pods end before this.
pub(crate) fn covers(world: &World, region: &Region, direction: Direction, end: &Endpoint<'_>) -> Covers {
    let yes = |covered| if covered { Covers::Yes } else { Covers::No };
    let selects = |namespaces: &Selector, pods: &Selector, pod: &Pod| {
        pods.matches(&pod.labels) && namespaces.matches(&world.namespace_labels(&pod.namespace))
    };
    match (region, end) {
        (Region::Pods { namespaces, pods }, Endpoint::Pod(pod)) => {
            yes(pod.state == PodState::Networked && selects(namespaces, pods, pod))
        }
        (Region::HostPods { namespaces, pods }, Endpoint::Pod(pod)) => {
            yes(pod.state == PodState::HostNetwork && selects(namespaces, pods, pod))
        }
        (Region::Pods { .. } | Region::HostPods { .. }, _) | (Region::Host, Endpoint::External(_)) => {
            Covers::No
        }
        (Region::Host, Endpoint::Pod(pod)) => yes(pod.state == PodState::HostNetwork),
        (Region::Host, Endpoint::Host { .. } | Endpoint::Node(_) | Endpoint::OwnNode) => Covers::Yes,
        (Region::Host, Endpoint::ExternalUnknown) => Covers::Maybe(Unknown::SourceTranslated),
        (Region::Addresses(set), _) => covers_address(world, set, direction, end),
    }
}

fn covers_address(world: &World, set: &AddressSet, direction: Direction, end: &Endpoint<'_>) -> Covers {
    let dialect = &world.dialect;
    let as_node = |addresses: &[IpAddr]| {
        let hidden = direction == Direction::Ingress && dialect.host_source == HostSource::Unpredictable;
        if dialect.ip_block_matches_hosts {
            among(set, if hidden { &[] } else { addresses })
        } else {
            Covers::No
        }
    };
    match end {
        Endpoint::Pod(pod) if pod.state == PodState::HostNetwork => as_node(&pod.addresses),
        Endpoint::Pod(_) if !dialect.ip_block_matches_pods => Covers::No,
        Endpoint::Pod(pod) => among(set, &pod.addresses),
        Endpoint::Host { address } => as_node(address.as_slice()),
        Endpoint::Node(node) => as_node(&node.addresses),
        Endpoint::OwnNode => as_node(&[]),
        Endpoint::External(address) => among(set, &[*address]),
        Endpoint::ExternalUnknown => among(set, &[]),
    }
}

/// Whether a set holds all, some or none of the addresses of one end.
pub(crate) fn among(set: &AddressSet, addresses: &[IpAddr]) -> Covers {
    let inside = addresses.iter().filter(|address| set.contains(**address)).count();
    match inside {
        _ if set.is_all() => Covers::Yes,
        _ if set.is_empty() => Covers::No,
        _ if addresses.is_empty() => Covers::Maybe(Unknown::AddressNotKnown),
        0 => Covers::No,
        all if all == addresses.len() => Covers::Yes,
        _ => Covers::Maybe(Unknown::SomeAddressesOnly),
    }
}
