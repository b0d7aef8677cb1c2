//! One pod in one direction: is what the binding modes require allowed?

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::Rules;
use super::declared::Declared;
use super::evaluate::Direction;
use super::labels::Labels;
use super::modes::Mode;
use super::needs::{Need, Party};
use super::objects::{Pod, Policy, PortRef, Protocol};
use super::window::{Concerning, Versions};
use super::world::{Peer, World, subject};

/// A connection, seen from the judged pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub struct Connection {
    pub peer: String,
    pub protocol: Protocol,
    pub port: u16,
}

/// A required connection that is not allowed.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Missing {
    pub connection: Connection,
    pub why: Arc<str>,
    /// Egress that Restricted mode leaves to policies of others, and only they isolate.
    pub by_others: bool,
}

/// The judged side.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct Side<'a> {
    pub namespace: &'a Arc<str>,
    pub name: &'a Arc<str>,
    pub pod: &'a Pod,
    pub direction: Direction,
    /// Judge every mix of recent versions, not only the newest.
    pub recent: bool,
}

/// What was found.
#[derive(Default)]
#[allow(missing_docs)]
pub struct Found {
    pub missing: Vec<Missing>,
    pub connections: u64,
    pub mixes: u64,
}

/// Candidate connections: a peer, a port, and why.
type Candidates = Vec<(Arc<Peer>, (Protocol, u16), Arc<str>)>;

/// What a mode requires of a side by name, and the same spelled out as connections with the peers of now.
#[derive(Clone)]
struct Named {
    mode: Mode,
    needs: Arc<Vec<Need>>,
    spelled: Arc<Candidates>,
}

/// Needs that were spelled out before.
#[derive(Default)]
pub struct Cache {
    named: HashMap<(Arc<str>, Arc<str>, Direction), Vec<Named>>,
    needs: HashMap<(Arc<str>, Labels, Direction), Vec<(Arc<Declared>, Arc<Vec<Need>>)>>,
}

impl Cache {
    /// Forgets what was spelled out: the peers have changed.
    pub fn clear(&mut self) {
        self.named.clear();
    }
}

/// Judges one side.
pub fn judge(
    rules: &Rules,
    world: &World,
    cache: &mut Cache,
    side: Side<'_>,
    modes: &[Mode],
    target: &[Mode],
) -> Found {
    let subjects = world.subject_versions(side.namespace, side.name, side.recent);
    let all = world.policies(side.namespace, side.recent);
    let views = concerning(&all, side, &subjects);
    if views.iter().all(Concerning::is_open) {
        return Found::default();
    }
    let foreign_versions = world.foreign_policies(side.namespace, side.recent);
    let foreign = concerning(&foreign_versions, side, &subjects);
    let ours_isolates = views
        .iter()
        .flat_map(Concerning::isolating)
        .any(|policy| policy.ours);
    // What would hold without the operator then holds with it, and no more than that can be required.
    if !ours_isolates && modes.contains(&Mode::Untouched) {
        return Found::default();
    }
    let mut judged = Judged {
        rules,
        world,
        side,
        modes,
        target,
        foreign: &foreign,
        named: Vec::new(),
    };
    judged.named = modes.iter().map(|mode| judged.named(cache, mode)).collect();
    let candidates = judged.candidates(&views);
    let leaves_egress = |mode: &Mode| matches!(mode, Mode::Restricted { egress: false, .. });
    let by_others = side.direction == Direction::Egress && !ours_isolates && modes.iter().any(leaves_egress);
    let mut found = Found {
        mixes: views.iter().map(Concerning::mixes).sum(),
        ..Found::default()
    };
    for (peer, port, why) in candidates {
        let Some(party) = world.party(&peer) else {
            continue;
        };
        if !judged.required(&party, &peer, port) {
            continue;
        }
        found.connections += 1;
        let sightings = world.sightings(&peer, side.recent);
        let allowed = views
            .iter()
            .all(|view| sightings.iter().all(|other| view.guarantees(*other, port)));
        if !allowed {
            let connection = Connection {
                peer: peer.to_string(),
                protocol: port.0,
                port: port.1,
            };
            found.missing.push(Missing {
                connection,
                why,
                by_others,
            });
        }
    }
    found
}

fn concerning<'a>(versions: &Versions<'a>, side: Side<'a>, subjects: &[&'a Pod]) -> Vec<Concerning<'a>> {
    let one = |pod: &&'a Pod| Concerning::new(versions, side.direction, subject(side.namespace, pod));
    subjects.iter().map(one).collect()
}

struct Judged<'a> {
    rules: &'a Rules,
    world: &'a World,
    side: Side<'a>,
    modes: &'a [Mode],
    target: &'a [Mode],
    foreign: &'a [Concerning<'a>],
    /// Of each mode what it requires by name; absent where it requires everything, or is judged otherwise.
    named: Vec<Option<Named>>,
}

impl Judged<'_> {
    fn named(&self, cache: &mut Cache, mode: &Mode) -> Option<Named> {
        let Mode::Restricted { declared, egress } = mode else {
            return None;
        };
        let isolated = *egress || self.foreign.iter().any(|view| !view.is_free());
        if self.side.direction == Direction::Egress && !isolated {
            return None;
        }
        let key = (
            Arc::clone(self.side.namespace),
            Arc::clone(self.side.name),
            self.side.direction,
        );
        let known = cache.named.get(&key).into_iter().flatten();
        if let Some(named) = known.clone().find(|named| named.mode == *mode) {
            return Some(named.clone());
        }
        let needs = self.known_needs(cache, declared);
        let spelled = Arc::new(needs.iter().flat_map(|need| self.spell(need)).collect());
        let named = Named {
            mode: mode.clone(),
            needs,
            spelled,
        };
        cache.named.entry(key).or_default().push(named.clone());
        Some(named)
    }

    fn known_needs(&self, cache: &mut Cache, declared: &Arc<Declared>) -> Arc<Vec<Need>> {
        let labels = self.side.pod.labels.clone();
        let key = (Arc::clone(self.side.namespace), labels, self.side.direction);
        let known = cache.needs.entry(key).or_default();
        if let Some((_, needs)) = known.iter().find(|(other, _)| other == declared) {
            return Arc::clone(needs);
        }
        let needs = Arc::new(self.needs(declared));
        known.push((Arc::clone(declared), Arc::clone(&needs)));
        needs
    }

    fn needs(&self, declared: &Declared) -> Vec<Need> {
        let (namespace, labels) = (&**self.side.namespace, &self.side.pod.labels);
        let (served, dialled) = self.rules.pairs.needs(namespace, labels);
        match self.side.direction {
            Direction::Ingress if declared.covers(labels) => declared.ingress(labels),
            Direction::Ingress => [self.rules.facts.ingress(namespace, labels), served].concat(),
            Direction::Egress => {
                let facts = self.rules.facts.egress(namespace, labels);
                [facts, dialled, declared.egress(labels)].concat()
            }
        }
    }

    fn candidates(&self, views: &[Concerning<'_>]) -> Candidates {
        if self.named.iter().all(Option::is_none) {
            return self.everything(views);
        }
        let mut seen = HashSet::new();
        let all = self.named.iter().flatten().flat_map(|named| named.spelled.iter());
        all.filter(|(peer, port, _)| seen.insert((Arc::as_ptr(peer), *port)))
            .cloned()
            .collect()
    }

    /// The connections that a need stands for. Where no live pod is meant, a pod that may come is.
    fn spell(&self, need: &Need) -> Candidates {
        let own = &**self.side.namespace;
        let meant = |peer: &&Arc<Peer>| {
            self.world
                .party(peer)
                .is_some_and(|party| need.who.includes(own, &party))
        };
        let mut peers: Vec<Arc<Peer>> = self.world.known_peers().iter().filter(meant).cloned().collect();
        if peers.is_empty()
            && let Some((namespace, labels)) = need.who.example(own)
        {
            peers.push(Arc::new(self.world.absent(namespace, labels)));
        }
        let ends = |span: &super::needs::Span| {
            let mut ports = vec![(span.protocol, span.first), (span.protocol, span.last)];
            ports.dedup();
            ports
        };
        let ports: Vec<_> = need.ports.iter().flat_map(ends).collect();
        let one = |peer: Arc<Peer>| {
            ports
                .iter()
                .map(move |port| (Arc::clone(&peer), *port, Arc::clone(&need.why)))
        };
        peers.into_iter().flat_map(one).collect()
    }

    /// Every peer on every port at which verdicts can change.
    fn everything(&self, views: &[Concerning<'_>]) -> Candidates {
        let mut ports = BTreeSet::from([(Protocol::Tcp, 9), (Protocol::Udp, 9), (Protocol::Sctp, 9)]);
        ports.extend(
            self.side
                .pod
                .ports
                .iter()
                .map(|p| (p.protocol.unwrap_or_default(), p.container_port)),
        );
        for policy in views.iter().flat_map(Concerning::isolating) {
            ports.extend(turning_points(policy, self.side.direction));
        }
        let why: Arc<str> = match self.modes {
            modes if modes.contains(&Mode::Untouched) => "it holds without the operator".into(),
            _ => "the namespace is open".into(),
        };
        let peers = self.world.known_peers().iter();
        peers
            .flat_map(|peer| {
                ports
                    .iter()
                    .map(|port| (Arc::clone(peer), *port, Arc::clone(&why)))
            })
            .collect()
    }

    fn required(&self, party: &Party<'_>, peer: &Peer, port: (Protocol, u16)) -> bool {
        self.modes.iter().all(|mode| match mode {
            Mode::Open => true,
            Mode::Untouched => {
                let sightings = self.world.sightings(peer, self.side.recent);
                self.foreign
                    .iter()
                    .all(|view| sightings.iter().all(|other| view.guarantees(*other, port)))
            }
            Mode::Restricted { .. } => self
                .named_of(mode)
                .is_none_or(|named| self.names(named, party, port) || self.still_listens(named, party, port)),
        })
    }

    fn named_of(&self, mode: &Mode) -> Option<&Named> {
        self.named.iter().flatten().find(|named| named.mode == *mode)
    }

    fn names(&self, named: &Named, party: &Party<'_>, port: (Protocol, u16)) -> bool {
        let own = &**self.side.namespace;
        named.needs.iter().any(|need| need.includes(own, party, port))
    }

    /// A port that a live pod declares and that only the old set opens stays required while the set changes:
    /// its pods roll out later.
    fn still_listens(&self, named: &Named, party: &Party<'_>, port: (Protocol, u16)) -> bool {
        let mut declared = self.side.pod.ports.iter();
        let listens = declared.any(|p| (p.protocol.unwrap_or_default(), p.container_port) == port);
        let opened = named
            .needs
            .iter()
            .any(|need| need.ports.iter().any(|span| span.contains(port)));
        let mut old = self
            .named
            .iter()
            .flatten()
            .filter(|other| !self.target.contains(&other.mode));
        self.side.direction == Direction::Ingress
            && self.target.contains(&named.mode)
            && listens
            && !opened
            && old.any(|other| self.names(other, party, port))
    }
}

fn turning_points(policy: &Policy, direction: Direction) -> BTreeSet<(Protocol, u16)> {
    let rules = match direction {
        Direction::Ingress => policy.ingress.iter().flatten(),
        Direction::Egress => policy.egress.iter().flatten(),
    };
    let mut points = BTreeSet::new();
    for port in rules.flat_map(|rule| rule.ports.iter().flatten()) {
        let protocol = port.protocol.unwrap_or_default();
        if let Some(PortRef::Number(first)) = port.port {
            let last = port.end_port.unwrap_or(first);
            let around = [first.saturating_sub(1), first, last, last.saturating_add(1)];
            points.extend(around.into_iter().filter(|p| *p > 0).map(|p| (protocol, p)));
        }
    }
    points
}
