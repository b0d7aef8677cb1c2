//! The objects of a cluster with their recent versions, and everybody who may open a connection.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::evaluate::{Direction, Other, Subject};
use super::history::{Content, Event, Id, Kind};
use super::labels::Labels;
use super::needs::{OUTSIDE, Party};
use super::objects::{Kept, Namespace, Pod, Policy};
use super::window::{Track, Versions};

/// Namespace whose labels stand for host traffic.
const HOST_NETWORK: &str = "openshift-host-network";

/// Objects by namespace and name.
type Tracks<T> = BTreeMap<Arc<str>, BTreeMap<Arc<str>, Track<T>>>;

/// All objects with their recent versions.
#[derive(Default)]
pub struct World {
    namespaces: BTreeMap<Arc<str>, Track<Namespace>>,
    pods: Tracks<Pod>,
    policies: Tracks<Policy>,
    peers: Vec<Arc<Peer>>,
    stale: bool,
}

/// What an event may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nothing.
    Nothing,
    /// Connections of one namespace.
    Namespace,
    /// Any connection.
    Everything,
}

/// Somebody who may be the other side of a connection.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Peer {
    Pod {
        namespace: Arc<str>,
        pod: Arc<str>,
    },
    /// A pod that does not exist but may at any time.
    Absent {
        namespace: String,
        namespace_labels: Labels,
        labels: Labels,
    },
    Host,
    External(IpAddr),
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pod { namespace, pod } => write!(f, "{namespace}/{pod}"),
            Self::Absent {
                namespace, labels, ..
            } => write!(f, "a pod of {namespace} with {labels:?}"),
            Self::Host => f.write_str("a node"),
            Self::External(ip) => write!(f, "{ip}"),
        }
    }
}

impl World {
    /// Stores an event. With `base`, the object has always been like this.
    pub fn apply(&mut self, event: &Event, base: bool) -> Reach {
        let Event { id, at, .. } = event;
        let reach = match &event.content {
            Content::Namespace(value) => {
                let track = self
                    .namespaces
                    .entry(id.name.clone())
                    .or_insert_with(Track::absent);
                store(track, *at, value, base).then_some(Reach::Everything)
            }
            Content::Pod(value) => {
                let track = place(&mut self.pods, id);
                store(track, *at, value, base).then_some(Reach::Everything)
            }
            Content::Policy(value) => {
                let track = place(&mut self.policies, id);
                store(track, *at, value, base).then_some(Reach::Namespace)
            }
            Content::Setting(_) => None,
        };
        self.stale |= matches!(id.kind, Kind::Namespace | Kind::Pod) && reach.is_some();
        reach.unwrap_or(Reach::Nothing)
    }

    /// Forgets versions that were replaced before `since`.
    pub fn trim(&mut self, since: Duration) {
        self.namespaces.values_mut().for_each(|track| track.trim(since));
        for track in self.pods.values_mut().flat_map(BTreeMap::values_mut) {
            track.trim(since);
        }
        for track in self.policies.values_mut().flat_map(BTreeMap::values_mut) {
            track.trim(since);
        }
        self.namespaces.retain(|_, track| !track.is_empty());
        self.pods
            .values_mut()
            .for_each(|all| all.retain(|_, track| !track.is_empty()));
        self.policies
            .values_mut()
            .for_each(|all| all.retain(|_, track| !track.is_empty()));
    }

    /// Names of the namespaces that exist and are not being deleted.
    pub fn live_namespaces(&self) -> impl Iterator<Item = &Arc<str>> {
        self.namespaces
            .iter()
            .filter(|(_, track)| track.current().is_some_and(|n| !n.terminating))
            .map(|(n, _)| n)
    }

    /// The pods that policies can act on.
    pub fn subjects(&self, namespace: &str) -> impl Iterator<Item = (&Arc<str>, &Pod)> {
        let all = self.pods.get(namespace).into_iter().flatten();
        all.filter_map(|(name, track)| Some((name, track.current()?)))
            .filter(|(_, pod)| !pod.host_network && !pod.gone)
    }

    /// The versions of each policy of a namespace: all recent ones, or only the newest.
    pub fn policies(&self, namespace: &str, recent: bool) -> Versions<'_> {
        let tracks = self
            .policies
            .get(namespace)
            .into_iter()
            .flat_map(BTreeMap::values);
        tracks
            .map(|track| {
                if recent {
                    track.recent().collect()
                } else {
                    vec![track.current()]
                }
            })
            .collect()
    }

    /// The same without the operator's own.
    pub fn foreign_policies(&self, namespace: &str, recent: bool) -> Versions<'_> {
        self.policies(namespace, recent)
            .into_iter()
            .map(|versions| versions.into_iter().map(|v| v.filter(|p| !p.ours)).collect())
            .collect()
    }

    /// Every recent version of the policies of a namespace by name.
    pub fn recent_policies(&self, namespace: &str) -> impl Iterator<Item = (&Arc<str>, &Policy)> {
        let all = self.policies.get(namespace).into_iter().flatten();
        all.flat_map(|(name, track)| track.recent().flatten().map(move |policy| (name, policy)))
    }

    /// Versions of a pod, as the judged side.
    pub fn subject_versions(&self, namespace: &Arc<str>, pod: &str, recent: bool) -> Vec<&Pod> {
        let Some(track) = self.pods.get(namespace).and_then(|all| all.get(pod)) else {
            return Vec::new();
        };
        if recent {
            track.recent().flatten().collect()
        } else {
            track.current().into_iter().collect()
        }
    }

    /// Everybody who may be the other side: one pod for all that look alike, nodes, the outside.
    pub fn peers(&mut self) -> &[Arc<Peer>] {
        if self.stale || self.peers.is_empty() {
            self.peers = self.find_peers();
            self.stale = false;
        }
        &self.peers
    }

    /// The same without a look at what changed since.
    pub fn known_peers(&self) -> &[Arc<Peer>] {
        &self.peers
    }

    /// Whether peers have changed since they were last asked for.
    pub fn peers_are_stale(&self) -> bool {
        self.stale || self.peers.is_empty()
    }

    fn find_peers(&self) -> Vec<Arc<Peer>> {
        let mut seen = std::collections::HashSet::new();
        let mut peers = vec![Arc::new(Peer::Host), Arc::new(Peer::External(OUTSIDE))];
        for (namespace, all) in &self.pods {
            for (name, track) in all {
                let Some(pod) = track.current().filter(|pod| !pod.host_network && !pod.gone) else {
                    continue;
                };
                let ports: Vec<_> = pod.ports.iter().map(|p| (&p.name, p.container_port)).collect();
                if track.len() > 1 || seen.insert((namespace, &pod.labels, ports)) {
                    peers.push(Arc::new(Peer::Pod {
                        namespace: Arc::clone(namespace),
                        pod: Arc::clone(name),
                    }));
                }
            }
        }
        peers
    }

    /// A pod that may exist at any time, with the labels that its namespace has or would have.
    pub fn absent(&self, namespace: String, labels: Labels) -> Peer {
        let stored = self.namespaces.get(&*namespace).and_then(Track::current);
        let namespace_labels = stored.map_or_else(
            || Labels::from([("kubernetes.io/metadata.name".to_owned(), namespace.clone())]),
            |found| found.labels.clone(),
        );
        Peer::Absent {
            namespace,
            namespace_labels,
            labels,
        }
    }

    /// The peer as facts speak of it; `None` once it is gone.
    pub fn party<'a>(&'a self, peer: &'a Peer) -> Option<Party<'a>> {
        Some(match peer {
            Peer::Host => Party::Host,
            Peer::External(ip) => Party::External(*ip),
            Peer::Absent {
                namespace, labels, ..
            } => Party::Pod { namespace, labels },
            Peer::Pod { namespace, pod } => {
                let pod = self.pods.get(namespace)?.get(pod)?.current()?;
                Party::Pod {
                    namespace,
                    labels: &pod.labels,
                }
            }
        })
    }

    /// The peer as policies see it, in each of its versions.
    pub fn sightings<'a>(&'a self, peer: &'a Peer, recent: bool) -> Vec<Other<'a>> {
        let versions = |name: &str| -> Vec<&Namespace> {
            let Some(track) = self.namespaces.get(name) else {
                return Vec::new();
            };
            if recent {
                track.recent().flatten().collect()
            } else {
                track.current().into_iter().collect()
            }
        };
        match peer {
            Peer::External(ip) => vec![Other::External(*ip)],
            Peer::Absent {
                namespace,
                namespace_labels,
                labels,
            } => {
                vec![Other::Pod {
                    namespace,
                    namespace_labels,
                    labels,
                    ports: &[],
                    ip: None,
                }]
            }
            Peer::Host => {
                let known = versions(HOST_NETWORK);
                if known.is_empty() {
                    return vec![Other::Host {
                        namespace_labels: None,
                    }];
                }
                known
                    .into_iter()
                    .map(|n| Other::Host {
                        namespace_labels: Some(&n.labels),
                    })
                    .collect()
            }
            Peer::Pod { namespace, pod } => {
                let namespaces = versions(namespace);
                let pods = self.subject_versions(namespace, pod, recent);
                let one = |n: &'a Namespace, p: &'a Pod| Other::Pod {
                    namespace,
                    namespace_labels: &n.labels,
                    labels: &p.labels,
                    ports: &p.ports,
                    ip: p.ip,
                };
                namespaces
                    .iter()
                    .flat_map(|n| pods.iter().map(move |p| one(n, p)))
                    .collect()
            }
        }
    }
}

/// The judged side in one version.
pub fn subject<'a>(namespace: &'a str, pod: &'a Pod) -> Subject<'a> {
    Subject {
        namespace,
        labels: &pod.labels,
        ports: &pod.ports,
    }
}

/// Both directions.
pub const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

fn place<'a, T: PartialEq>(tracks: &'a mut Tracks<T>, id: &Id) -> &'a mut Track<T> {
    let all = tracks.entry(id.namespace.clone()).or_default();
    all.entry(id.name.clone()).or_insert_with(Track::absent)
}

fn store<T: PartialEq>(track: &mut Track<T>, at: Duration, value: &Kept<T>, base: bool) -> bool {
    if base {
        *track = Track::settled(value.clone());
        return true;
    }
    track.set(at, value.clone())
}
