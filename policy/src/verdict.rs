//! Verdicts about one connection, with the rules that decide.

use crate::dialect::{Dialect, Established, OwnNode};
use crate::family::{Family, Seen};
use crate::lower::{Lowered, Opened, Unknown};
use crate::policy::{Direction, Policy};
use crate::ports::{PortSet, Protocol};
use crate::world::{Endpoint, Pod, PodState, World};

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Traffic {
    /// A transport connection to this port of the destination, after any service translation.
    Port(Protocol, u16),
    /// ICMP or anything else that policies cannot name.
    Other,
}

/// The answer about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The policies allow it.
    Allowed,
    /// The policies deny it, or an end does not exist any more.
    Denied,
    /// It cannot be decided from what is known.
    Unknown(Unknown),
}

impl Verdict {
    /// The verdict when both must agree.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Denied, _) | (_, Self::Denied) => Self::Denied,
            (unknown @ Self::Unknown(_), _) | (_, unknown @ Self::Unknown(_)) => unknown,
            _ => Self::Allowed,
        }
    }

    /// The verdict about a name behind which several ends stand: theirs when all agree. Without any end
    /// nothing answers, which counts as denied.
    pub fn of_all(verdicts: impl IntoIterator<Item = Self>) -> Self {
        let mut verdicts = verdicts.into_iter();
        let first = verdicts.next().unwrap_or(Self::Denied);
        if verdicts.all(|verdict| verdict == first) {
            first
        } else {
            Self::Unknown(Unknown::EndsDiffer)
        }
    }

    /// The verdict about ends that have addresses of both families, each judged apart: the client may use either,
    /// so both must agree.
    #[must_use]
    pub(crate) fn of_families(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (unknown @ Self::Unknown(_), _) | (_, unknown @ Self::Unknown(_)) => unknown,
            _ => Self::Unknown(Unknown::SomeAddressesOnly),
        }
    }

    /// What becomes of a connection that was open already when policies came to say this about new ones.
    #[must_use]
    pub fn for_established(self, dialect: &Dialect) -> Self {
        match (self, dialect.established) {
            (Self::Allowed, _) | (_, Established::Kept) => Self::Allowed,
            (verdict, Established::Judged) => verdict,
            (_, Established::Undefined) => Self::Unknown(Unknown::EstablishedConnection),
        }
    }
}

/// One side's verdict and its reasons.
#[derive(Clone, Debug)]
pub struct Decision<'a> {
    /// The answer.
    pub verdict: Verdict,
    /// The policies that isolate the pod; none means that everything is allowed.
    pub isolated_by: Vec<&'a Policy>,
    /// The rules that allow the connection, by policy and index.
    pub allowed_by: Vec<(&'a Policy, usize)>,
}

impl Decision<'_> {
    fn plain(verdict: Verdict) -> Self {
        Self {
            verdict,
            isolated_by: Vec::new(),
            allowed_by: Vec::new(),
        }
    }

    /// Takes in what is decided about the same ends in another address family. Rules of both are named.
    pub(crate) fn with_family(mut self, other: Self) -> Self {
        let known = |all: &[(&Policy, usize)], (policy, at): (&Policy, usize)| {
            all.iter().any(|(p, i)| std::ptr::eq(*p, policy) && *i == at)
        };
        self.verdict = self.verdict.of_families(other.verdict);
        for rule in other.allowed_by {
            if !known(&self.allowed_by, rule) {
                self.allowed_by.push(rule);
            }
        }
        self
    }
}

/// Both sides of a connection; a side without a policed pod has no decision.
#[derive(Clone, Debug)]
pub struct Connection<'a> {
    /// Allowed only when both sides allow.
    pub verdict: Verdict,
    /// The source's side.
    pub egress: Option<Decision<'a>>,
    /// The destination's side.
    pub ingress: Option<Decision<'a>>,
}

/// True when a policy applies to a pod in a direction.
pub fn isolates(policy: &Policy, direction: Direction, pod: &Pod) -> bool {
    policy.rules(direction).is_some()
        && pod.state == PodState::Networked
        && policy.namespace == pod.namespace
        && policy.pods.matches(&pod.labels)
}

/// Whether `pod` may exchange `traffic` with `peer`, as far as policies for `direction` decide it.
///
/// Pods on the host network are not policed, a pod always reaches itself and its own node, pods of different
/// primary networks never reach each other, and a finished pod reaches and is reached by nobody. Ends with
/// addresses of both families are judged in each. The caller may pass policies of any namespaces.
pub fn allowed<'a, P>(
    world: &World,
    policies: P,
    direction: Direction,
    pod: &Pod,
    peer: &Endpoint<'_>,
    traffic: Traffic,
) -> Decision<'a>
where
    P: IntoIterator<Item = &'a Policy> + Clone,
{
    let own = Endpoint::Pod(pod);
    let in_family = |family: Family| {
        let peer = Seen::new(peer, family);
        allowed_in_one(world, policies.clone(), direction, pod, &peer.endpoint(), traffic)
    };
    let each = Family::apart(&own, peer).into_iter().map(in_family);
    each.reduce(Decision::with_family)
        .unwrap_or_else(|| allowed_in_one(world, policies, direction, pod, peer, traffic))
}

/// The same for ends whose addresses are of one family.
pub(crate) fn allowed_in_one<'a>(
    world: &World,
    policies: impl IntoIterator<Item = &'a Policy>,
    direction: Direction,
    pod: &Pod,
    peer: &Endpoint<'_>,
    traffic: Traffic,
) -> Decision<'a> {
    if let Some(verdict) = without_policies(world, pod, direction, peer) {
        return Decision::plain(verdict);
    }
    let mut decision = Decision::plain(Verdict::Allowed);
    let mut unknown = None;
    for policy in policies
        .into_iter()
        .filter(|policy| isolates(policy, direction, pod))
    {
        decision.isolated_by.push(policy);
        let rules = Lowered::all(world, policy, direction).unwrap_or_default();
        for (at, rule) in rules.iter().enumerate() {
            match rule_verdict(&rule.opened(world, direction, pod, peer), traffic) {
                Verdict::Allowed => decision.allowed_by.push((policy, at)),
                Verdict::Unknown(why) => unknown = unknown.or(Some(why)),
                Verdict::Denied => {}
            }
        }
    }
    decision.verdict = match (
        &decision.isolated_by[..],
        &decision.allowed_by[..],
        traffic,
        unknown,
    ) {
        ([], ..) | (_, [_, ..], ..) => Verdict::Allowed,
        (_, _, Traffic::Other, _) => Verdict::Unknown(Unknown::ProtocolOutsideApi),
        (_, _, _, Some(why)) => Verdict::Unknown(why),
        _ => Verdict::Denied,
    };
    decision
}

/// Whether `source` may send `traffic` to `destination`: both sides together, and in each address family apart.
pub fn connection<'a, P>(
    world: &World,
    policies: P,
    source: &Endpoint<'_>,
    destination: &Endpoint<'_>,
    traffic: Traffic,
) -> Connection<'a>
where
    P: IntoIterator<Item = &'a Policy> + Clone,
{
    let in_family = |family: Family| {
        let (source, destination) = (Seen::new(source, family), Seen::new(destination, family));
        let (source, destination) = (source.endpoint(), destination.endpoint());
        connection_in_one(world, policies.clone(), &source, &destination, traffic)
    };
    let each = Family::apart(source, destination).into_iter().map(in_family);
    match each.reduce(Connection::with_family) {
        Some(both) => both,
        None => connection_in_one(world, policies, source, destination, traffic),
    }
}

fn connection_in_one<'a, P>(
    world: &World,
    policies: P,
    source: &Endpoint<'_>,
    destination: &Endpoint<'_>,
    traffic: Traffic,
) -> Connection<'a>
where
    P: IntoIterator<Item = &'a Policy> + Clone,
{
    let side = |policies: P, direction, end: &Endpoint<'_>, peer| match end {
        Endpoint::Pod(pod) => Some(allowed_in_one(world, policies, direction, pod, peer, traffic)),
        _ => None,
    };
    let egress = side(policies.clone(), Direction::Egress, source, destination);
    let ingress = side(policies, Direction::Ingress, destination, source);
    let verdict = |decision: &Option<Decision<'_>>| decision.as_ref().map_or(Verdict::Allowed, |d| d.verdict);
    Connection {
        verdict: verdict(&egress).and(verdict(&ingress)),
        egress,
        ingress,
    }
}

impl Connection<'_> {
    fn with_family(self, other: Self) -> Self {
        let both = |a: Option<_>, b| a.zip(b).map(|(a, b)| Decision::with_family(a, b));
        Self {
            verdict: self.verdict.of_families(other.verdict),
            egress: both(self.egress, other.egress),
            ingress: both(self.ingress, other.ingress),
        }
    }
}

/// What holds whatever the policies say; `None` when they decide.
pub(crate) fn without_policies(
    world: &World,
    pod: &Pod,
    direction: Direction,
    peer: &Endpoint<'_>,
) -> Option<Verdict> {
    let finished = |pod: &Pod| pod.state == PodState::Finished;
    let apart = |peer: &Pod| {
        peer.state == PodState::Networked
            && world.has_networks()
            && world.network(&peer.namespace) != world.network(&pod.namespace)
    };
    // The node may always reach its pods: kubelet's probes rest on that.
    let free = || direction == Direction::Ingress || world.dialect.own_node == OwnNode::Free;
    match peer {
        _ if finished(pod) => Some(Verdict::Denied),
        Endpoint::Pod(peer) if finished(peer) => Some(Verdict::Denied),
        _ if pod.state == PodState::HostNetwork => Some(Verdict::Allowed),
        _ if on_own_node(pod, peer) && free() => Some(Verdict::Allowed),
        Endpoint::Pod(peer) if peer.is(pod) => Some(Verdict::Allowed),
        Endpoint::Pod(peer) if apart(peer) => Some(Verdict::Denied),
        _ => None,
    }
}

/// True when the peer is the node that the pod runs on, as far as that is known.
fn on_own_node(pod: &Pod, peer: &Endpoint<'_>) -> bool {
    match peer {
        Endpoint::OwnNode => true,
        Endpoint::Node(node) => pod.node.as_ref() == Some(&node.name),
        Endpoint::Pod(peer) => {
            peer.state == PodState::HostNetwork && peer.node.is_some() && peer.node == pod.node
        }
        _ => false,
    }
}

/// The ports that a policy opens between a pod that it isolates and a peer.
pub(crate) fn opened(
    world: &World,
    policy: &Policy,
    direction: Direction,
    pod: &Pod,
    peer: &Endpoint<'_>,
) -> Opened {
    let mut all = Opened::default();
    for rule in Lowered::all(world, policy, direction).unwrap_or_default() {
        all.union(&rule.opened(world, direction, pod, peer));
    }
    all
}

/// What one rule says. Whether a rule lets other protocols through is undefined, so it never says yes there.
fn rule_verdict(opened: &Opened, traffic: Traffic) -> Verdict {
    let in_set =
        |ports: &PortSet| matches!(traffic, Traffic::Port(protocol, port) if ports.contains(protocol, port));
    match opened.why {
        _ if in_set(&opened.surely) => Verdict::Allowed,
        Some(why) if in_set(&opened.perhaps) => Verdict::Unknown(why),
        _ => Verdict::Denied,
    }
}
