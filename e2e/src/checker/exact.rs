//! S2: a namespace that says it is Restricted and settled admits what facts and declarations name, and
//! nothing else; hand-written forbidden pairs are denied.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Rules;
use super::evaluate::Direction;
use super::modes::{Mode, Settings};
use super::needs::{Home, Need, Party, Who};
use super::objects::{Pod, Protocol};
use super::pairs::Expectation;
use super::window::{Concerning, Versions};
use super::world::{World, subject};

/// Where the API server dials webhooks from besides its own hosts.
const KAS_OPERATOR: &str = "openshift-kube-apiserver-operator";

/// What was found in one namespace.
#[derive(Default)]
#[allow(missing_docs)]
pub struct Found {
    pub probes: u64,
    pub wrong: Vec<String>,
}

/// Judges the newest versions. What somebody else's policy admits is left out of account where status says
/// PartlyRestricted: it is then named there.
pub fn judge(
    rules: &Rules,
    world: &World,
    settings: &Settings,
    namespace: &Arc<str>,
    modes: &[Mode],
) -> Found {
    let [Mode::Restricted { declared, .. }] = modes else {
        return Found::default();
    };
    let partly = settings.status(namespace).effective.as_deref() == Some("PartlyRestricted");
    let policies = if partly {
        ours(world, namespace)
    } else {
        world.policies(namespace, false)
    };
    let mut found = Found::default();
    for (name, pod) in world.subjects(namespace) {
        let labels = &pod.labels;
        let mut needs = declared.ingress(labels);
        if !declared.covers(labels) {
            needs.extend(rules.facts.ingress(namespace, labels));
            needs.extend(rules.facts.may_enter(namespace, labels));
            needs.extend(rules.pairs.needs(namespace, labels).0);
        }
        let needs: Vec<Need> = needs.iter().map(widened).collect();
        let judged = Judged {
            world,
            namespace,
            name,
            pod,
            policies: &policies,
        };
        judged.exactness(rules, &needs, &mut found);
        judged.forbidden(rules, &declared.ingress(labels), &mut found);
    }
    found
}

/// Declarations name whole namespaces where the facts name single pods; that is as exact as the design asks.
fn widened(need: &Need) -> Need {
    let who = match &need.who {
        Who::Pods { .. } => need.who.widened(),
        // What is open to the outside is open to all: routers and their like.
        Who::External => Who::Everyone,
        other => other.clone(),
    };
    Need { who, ..need.clone() }
}

fn ours<'a>(world: &'a World, namespace: &str) -> Versions<'a> {
    let without_foreign = |versions: Vec<Option<&'a super::objects::Policy>>| {
        versions.into_iter().map(|v| v.filter(|p| p.ours)).collect()
    };
    world
        .policies(namespace, false)
        .into_iter()
        .map(without_foreign)
        .collect()
}

struct Judged<'a> {
    world: &'a World,
    namespace: &'a Arc<str>,
    name: &'a Arc<str>,
    pod: &'a Pod,
    policies: &'a Versions<'a>,
}

impl Judged<'_> {
    fn view(&self) -> Concerning<'_> {
        Concerning::new(
            self.policies,
            Direction::Ingress,
            subject(self.namespace, self.pod),
        )
    }

    fn exactness(&self, rules: &Rules, needs: &[Need], found: &mut Found) {
        let view = self.view();
        let mut ports = BTreeSet::from([(Protocol::Tcp, 9), (Protocol::Udp, 9), (Protocol::Sctp, 9)]);
        let declared = self.pod.ports.iter();
        ports.extend(declared.map(|p| (p.protocol.unwrap_or_default(), p.container_port)));
        let labels = &self.pod.labels;
        ports.retain(|port| !rules.facts.listens_on_unknown(self.namespace, labels, *port));
        for peer in self.world.known_peers() {
            let Some(party) = self.world.party(peer) else {
                continue;
            };
            for port in &ports {
                found.probes += 1;
                let admitted = self
                    .world
                    .sightings(peer, false)
                    .iter()
                    .any(|other| view.guarantees(*other, *port));
                if admitted && !self.declared(needs, &party, *port) {
                    let Self { namespace, name, .. } = self;
                    found.wrong.push(format!(
                        "{namespace}/{name} admits {peer} on {:?}/{} though nobody declares it",
                        port.0, port.1
                    ));
                }
            }
        }
    }

    fn declared(&self, needs: &[Need], party: &Party<'_>, port: (Protocol, u16)) -> bool {
        let webhook_dialler = Who::pods(Home::Named(vec![KAS_OPERATOR.to_owned()]));
        // A pod reaches itself whatever its policies say, and other pods that look alike are not told apart.
        needs.iter().any(|need| {
            let via_api_server = need.who == Who::Host && webhook_dialler.includes(self.namespace, party);
            need.includes(self.namespace, party, port)
                || (via_api_server && need.ports.iter().any(|span| span.contains(port)))
        })
    }

    /// The pairs speak of the platform as it ships; what somebody declares beyond it is his word against theirs.
    fn forbidden(&self, rules: &Rules, added: &[Need], found: &mut Found) {
        let view = self.view();
        for pair in rules
            .pairs
            .ending_at(self.namespace, &self.pod.labels, Expectation::Forbidden)
        {
            let who = pair.from.who();
            let includes = |peer: &&Arc<super::world::Peer>| {
                self.world
                    .party(peer)
                    .is_some_and(|party| who.includes(self.namespace, &party))
            };
            let mut peers: Vec<_> = self
                .world
                .known_peers()
                .iter()
                .filter(includes)
                .cloned()
                .collect();
            if let Some((namespace, labels)) = who.example(self.namespace).filter(|_| peers.is_empty()) {
                peers.push(Arc::new(self.world.absent(namespace, labels)));
            }
            for peer in peers {
                found.probes += 1;
                let port = (pair.protocol, pair.port);
                let party = self.world.party(&peer);
                if party.is_some_and(|party| self.declared(added, &party, port)) {
                    continue;
                }
                let admitted = self
                    .world
                    .sightings(&peer, false)
                    .iter()
                    .any(|other| view.guarantees(*other, port));
                if admitted {
                    let Self { namespace, name, .. } = self;
                    let fact = &pair.fact;
                    found.wrong.push(format!(
                        "{namespace}/{name} admits {peer} on {}, which is forbidden: {fact}",
                        pair.port
                    ));
                }
            }
        }
    }
}
