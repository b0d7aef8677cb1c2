//! Sets of connections as seen from one pod in one direction, closed under intersection and difference.

use std::fmt;
use std::sync::Arc;

use crate::lower::Lowered;
use crate::policy::Direction;
use crate::ports::{PortSet, Protocol};
use crate::region::Region;
use crate::world::Pod;

/// On what a set of connections runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    /// Ports by number.
    Ports(PortSet),
    /// Whatever port the destination pod declares under this name.
    Named(Protocol, Arc<str>),
    /// Protocols other than TCP, UDP and SCTP, which only rules without `ports` can mean.
    OtherProtocols,
}

/// All connections with a region on a channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flows {
    /// The other ends.
    pub peers: Region,
    /// The ports.
    pub channel: Channel,
}

/// More pieces than this are not cut further: what is left counts as not covered, which errs on the safe side.
const MOST_PIECES: usize = 4096;

impl Flows {
    fn new(peers: Region, channel: Channel) -> Self {
        Self { peers, channel }
    }

    fn intersect(&self, other: &Self) -> Option<Self> {
        let channel = match (&self.channel, &other.channel) {
            (Channel::Ports(a), Channel::Ports(b)) => Channel::Ports(a.intersect(b)),
            (Channel::Ports(ports), name @ Channel::Named(protocol, _))
            | (name @ Channel::Named(protocol, _), Channel::Ports(ports)) => {
                ports.of(*protocol).is_all().then(|| name.clone())?
            }
            (a, b) => (a == b).then(|| a.clone())?,
        };
        if matches!(&channel, Channel::Ports(ports) if ports.is_empty()) {
            return None;
        }
        Some(Self::new(self.peers.intersect(&other.peers)?, channel))
    }

    /// True when a connection may be in both; cheap to ask before cutting.
    fn meets(&self, other: &Self) -> bool {
        let channels = match (&self.channel, &other.channel) {
            (Channel::Ports(a), Channel::Ports(b)) => a.intersects(b),
            (Channel::Named(protocol, _), Channel::Ports(ports)) => ports.of(*protocol).is_all(),
            (a, b) => a == b,
        };
        channels && self.peers.intersects(&other.peers)
    }

    /// What is left of flows that meet `other`.
    fn subtract(self, other: &Self, rest: &mut Vec<Self>) {
        if let (Channel::Ports(mine), Channel::Ports(theirs)) = (&self.channel, &other.channel) {
            let ports = mine.subtract(theirs);
            if let (Some(shared), false) = (self.peers.intersect(&other.peers), ports.is_empty()) {
                rest.push(Self::new(shared, Channel::Ports(ports)));
            }
        }
        let others = self.peers.subtract(&other.peers).into_iter();
        rest.extend(others.map(|peers| Self::new(peers, self.channel.clone())));
    }
}

/// Every connection there can be.
pub(crate) fn everything() -> Vec<Flows> {
    let open = |peers: Region| {
        [Channel::Ports(PortSet::all()), Channel::OtherProtocols]
            .map(|channel| Flows::new(peers.clone(), channel))
    };
    Region::anyone().into_iter().flat_map(open).collect()
}

/// What rules allow to or from `pod`. Ingress names resolve on it; egress names stay names.
pub(crate) fn allowed_by(rules: &[Lowered], direction: Direction, pod: &Pod) -> Vec<Flows> {
    rules
        .iter()
        .flat_map(|rule| rule_flows(rule, direction, pod))
        .collect()
}

fn rule_flows<'a>(rule: &'a Lowered, direction: Direction, pod: &Pod) -> impl Iterator<Item = Flows> + 'a {
    let ingress = direction == Direction::Ingress;
    let numbers = rule.ports(ingress.then_some(pod)).into_owned();
    let names = rule.names.iter().filter(move |_| !ingress);
    let mut channels: Vec<Channel> = names
        .map(|(protocol, name)| Channel::Named(*protocol, name.clone()))
        .collect();
    if !numbers.is_empty() {
        channels.push(Channel::Ports(numbers));
    }
    if rule.any_protocol {
        channels.push(Channel::OtherProtocols);
    }
    rule.regions
        .iter()
        .filter(|region| !region.is_empty())
        .flat_map(move |region| {
            let named_here = matches!(region, Region::Pods { .. } | Region::HostPods { .. });
            let fits = move |channel: &&Channel| named_here || !matches!(channel, Channel::Named(..));
            let flows = |channel: &Channel| Flows::new(region.clone(), channel.clone());
            channels.iter().filter(fits).map(flows).collect::<Vec<_>>()
        })
}

/// Connections in both sets; `None` when there would be too many pieces.
pub(crate) fn intersect(left: &[Flows], right: &[Flows]) -> Option<Vec<Flows>> {
    let mut common: Vec<Flows> = Vec::new();
    for flows in left {
        common.extend(right.iter().filter_map(|other| flows.intersect(other)));
        if common.len() > MOST_PIECES {
            return None;
        }
    }
    common.sort_unstable();
    common.dedup();
    Some(common)
}

/// Connections in `wanted` that none of `covers` holds. An empty answer is a proof over everything that could
/// exist; a non-empty one may, beyond a bound on its size, be larger than the true difference.
pub(crate) fn subtract<'a>(wanted: Vec<Flows>, covers: impl IntoIterator<Item = &'a Flows>) -> Vec<Flows> {
    let mut rest = wanted;
    for cover in covers {
        if rest.is_empty() || rest.len() > MOST_PIECES {
            break;
        }
        if !rest.iter().any(|flows| flows.meets(cover)) {
            continue;
        }
        let mut cut = Vec::with_capacity(rest.len() + 4);
        for flows in rest {
            if flows.meets(cover) {
                flows.subtract(cover, &mut cut);
            } else {
                cut.push(flows);
            }
        }
        rest = cut;
    }
    rest.sort_unstable();
    rest.dedup();
    rest
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ports(ports) => write!(f, "{ports}"),
            Self::Named(protocol, name) => write!(f, "{protocol}/{name}"),
            Self::OtherProtocols => f.write_str("protocols other than TCP, UDP and SCTP"),
        }
    }
}

impl fmt::Display for Flows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.peers, self.channel)
    }
}
