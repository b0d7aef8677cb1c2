//! The states between two releases, judged by the engine: for each flow that a release declares, with the policies
//! of either release, on both sides, and with pods and labels of either.

use std::collections::BTreeSet;
use std::sync::Arc;

use bulkhead_api::server::{Server, ServerRule};
use bulkhead_controllers::decide::{Role, Target};
use bulkhead_policy::{
    Channel, Direction, Endpoint, Flows, NAMESPACE_NAME_LABEL, Peer, Pod, PortSet, Window, World,
};
use serde::Serialize;

use super::mix::{Both, Denied, Mix, Which, Words, judge};
use super::release::Release;
use super::sample::{self, Sample};

/// A flow that some state needs and denies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Broken {
    /// `NAMESPACE/SERVER`, or what a workload reaches.
    pub server: String,
    /// The client.
    pub client: String,
    /// The side whose policies deny it.
    pub side: &'static str,
    /// The ports that are denied.
    pub ports: String,
    /// Which state denies it.
    pub state: String,
    /// What changed.
    pub change: String,
    /// The change in two phases that avoids it.
    pub remedy: String,
    /// Nothing takes the place of an older flow, so nothing that worked breaks: the flow begins to work when the
    /// policies have arrived.
    pub new: bool,
}

impl Broken {
    /// The client without its labels.
    fn client_namespace(&self) -> &str {
        self.client.split(" (").next().unwrap_or_default()
    }
}

const AT_SERVER: Words = Words {
    policies: "policies",
    second: "server",
};
const AT_CLIENT: Words = Words {
    policies: "egress policies",
    second: "server",
};
const OF_WORKLOAD: Words = Words {
    policies: "egress policies",
    second: "workload",
};

/// Every flow that breaks in some order. Flows of one release are needed as long as clients of it are there.
pub fn broken(old: &Release, new: &Release) -> Vec<Broken> {
    let both = Both { old, new };
    let changed = changed(both);
    let mut found: Vec<Broken> = Vec::new();
    for client in Which::BOTH {
        let mut judged = Vec::new();
        for (namespace, set) in &both.of(client).sets {
            let judging = Judging {
                both,
                client,
                namespace,
                changed: &changed,
            };
            for server in &set.servers {
                for rule in &server.rules {
                    judging.server(server, rule, &mut judged);
                }
            }
            judging.workloads(&mut judged);
            judging.additional(Direction::Ingress, &mut judged);
            judging.additional(Direction::Egress, &mut judged);
        }
        if client == Which::New {
            for broken in &mut judged {
                let replaces = |other: &Broken| {
                    (&other.server, other.side) == (&broken.server, broken.side)
                        && other.client_namespace() == broken.client_namespace()
                };
                broken.new = !found.iter().any(replaces);
            }
        }
        found.extend(judged);
    }
    // A mix that denies flows of both releases is told once, and as breaking if it breaks one.
    found.sort();
    found.dedup_by(|a, b| {
        (&a.server, &a.client, a.side, &a.ports, &a.state)
            == (&b.server, &b.client, b.side, &b.ports, &b.state)
    });
    found
}

/// Namespaces in which both releases mean different policies, by direction. What is the same in both breaks nothing.
fn changed<'r>(both: Both<'r>) -> BTreeSet<(Direction, &'r str)> {
    let mut changed = BTreeSet::new();
    for direction in Direction::ALL {
        let targets = |release: &'r Release, namespace: &str| {
            release.policies(direction, namespace).map(|r| &r.targets)
        };
        let names = both.old.namespaces().chain(both.new.namespaces());
        let differ = names.filter(|name| targets(both.old, name) != targets(both.new, name));
        changed.extend(differ.map(|name| (direction, name)));
    }
    changed
}

/// Flows of one release around one namespace.
struct Judging<'r> {
    changed: &'r BTreeSet<(Direction, &'r str)>,
    both: Both<'r>,
    /// The release that needs them.
    client: Which,
    namespace: &'r Arc<str>,
}

impl Judging<'_> {
    fn own(&self) -> &Release {
        self.both.of(self.client)
    }

    /// The clients of a server: at its policies, and at their own.
    fn server(&self, server: &Server, rule: &ServerRule, found: &mut Vec<Broken>) {
        let needed = sample::ports(rule);
        let selector = |release: &Release| {
            let found = release.server(self.namespace, &server.name);
            found.map(|server| server.pod_selector.clone())
        };
        let moves = selector(self.both.old) != selector(self.both.new);
        let changes = |direction, namespace: &str| moves || self.changed.contains(&(direction, namespace));
        for client in &rule.clients {
            for (name, end) in sample::clients(client, self.namespace, self.own()) {
                let at_server = changes(Direction::Ingress, self.namespace).then(|| {
                    judge(self.client, AT_SERVER, |mix| {
                        self.at_server(server, &end, mix, &needed)
                    })
                });
                let at_client = end
                    .namespace()
                    .filter(|own| changes(Direction::Egress, own))
                    .map(|_| {
                        judge(self.client, AT_CLIENT, |mix| {
                            self.at_client(server, &end, mix, &needed)
                        })
                    });
                let (at_server, at_client) = (at_server.unwrap_or_default(), at_client.unwrap_or_default());
                let sides = [("ingress", at_server), ("egress", at_client)];
                for (side, denied) in sides
                    .into_iter()
                    .flat_map(|(s, all)| all.into_iter().map(move |d| (s, d)))
                {
                    found.push(Broken {
                        server: format!("{}/{}", self.namespace, server.name),
                        client: name.clone(),
                        side,
                        ports: denied.ports.to_string(),
                        change: self.change(server),
                        remedy: self.remedy(server, &name, &denied),
                        state: denied.state,
                        new: false,
                    });
                }
            }
        }
    }

    /// The server's pods as a release makes them; `None` where it has no such server.
    fn pods_of(&self, server: &Server, which: Which) -> Option<Pod> {
        let like = self.both.of(which).server(self.namespace, &server.name)?;
        let labels = sample::labels(&like.pod_selector);
        Some(Pod::new(self.namespace.clone(), server.name.as_str(), labels))
    }

    fn at_server(&self, server: &Server, end: &Sample, mix: Mix, needed: &PortSet) -> PortSet {
        let policies = self.both.of(mix.policies);
        // Where a release restricts nothing, or has no such pods, there is nothing to be denied.
        let rendered = policies.policies(Direction::Ingress, self.namespace);
        let (Some(rendered), Some(pod)) = (rendered, self.pods_of(server, mix.second)) else {
            return PortSet::none();
        };
        let world = end.world(policies, self.own());
        let peer = end.endpoint();
        denied(
            &rendered.window,
            &world,
            (&pod, Direction::Ingress, &peer),
            needed,
        )
    }

    fn at_client(&self, server: &Server, end: &Sample, mix: Mix, needed: &PortSet) -> PortSet {
        let Sample::Pod(client) = end else {
            return PortSet::none();
        };
        let policies = self.both.of(mix.policies);
        let rendered = policies.policies(Direction::Egress, &client.namespace);
        let (Some(rendered), Some(pod)) = (rendered, self.pods_of(server, mix.second)) else {
            return PortSet::none();
        };
        let world = end.world(policies, self.own());
        let peer = Endpoint::Pod(&pod);
        denied(
            &rendered.window,
            &world,
            (client, Direction::Egress, &peer),
            needed,
        )
    }

    /// What workloads declare to reach.
    fn workloads(&self, found: &mut Vec<Broken>) {
        let rendered = self.own().policies(Direction::Egress, self.namespace);
        let changes = self.changed.contains(&(Direction::Egress, &**self.namespace));
        let Some(rendered) = rendered.filter(|_| changes) else {
            return;
        };
        let declared = self.own().sets.get(self.namespace);
        let is_workload = |target: &&Target| {
            let mut workloads = declared.iter().flat_map(|set| &set.egress);
            target.role == Role::Egress && workloads.any(|workload| *workload.name == *target.server)
        };
        for target in rendered.targets.iter().filter(is_workload) {
            let rules = target.policy.egress.as_deref().unwrap_or_default();
            for rule in rules {
                let required = std::slice::from_ref(rule);
                let missing = |mix: Mix| self.missing(target, required, mix);
                let all = judge(self.client, OF_WORKLOAD, |mix| {
                    missing(mix)
                        .iter()
                        .fold(PortSet::none(), |all, f| all.union(&ports_of(f)))
                });
                found.extend(
                    all.into_iter()
                        .map(|denied| self.of_workload(target, rule, denied)),
                );
            }
        }
    }

    /// What a workload is not allowed to reach of what it needs.
    fn missing(&self, target: &Target, required: &[bulkhead_policy::Rule], mix: Mix) -> Vec<Flows> {
        let policies = self.both.of(mix.policies);
        let labels = self.labels_of_workload(target, mix.second);
        let rendered = policies.policies(Direction::Egress, self.namespace);
        let (Some(rendered), Some(labels)) = (rendered, labels) else {
            return Vec::new();
        };
        let pod = Pod::new(self.namespace.clone(), &*target.server, labels);
        let world = policies.platform.world();
        rendered.window.missing(&world, &pod, Direction::Egress, required)
    }

    fn labels_of_workload(&self, target: &Target, which: Which) -> Option<bulkhead_policy::Labels> {
        let set = self.both.of(which).sets.get(self.namespace)?;
        let workload = set
            .egress
            .iter()
            .find(|workload| *workload.name == *target.server)?;
        Some(sample::labels(&workload.pod_selector))
    }

    fn of_workload(&self, target: &Target, rule: &bulkhead_policy::Rule, denied: Denied) -> Broken {
        let client = format!("{}/{}", self.namespace, target.server);
        let server = destination(rule);
        let ports = denied.ports.to_string();
        let (change, remedy) = if denied.agree_together {
            let remedy = format!(
                "{client}: first declare egress for a second workload with the other pod selector and the same rules, and \
                 ship it; change the labels of the pods in the release after that, and drop the old declaration last"
            );
            ("its pod selector changes", remedy)
        } else if self.client == Which::Old {
            let remedy = format!(
                "{client}: keep allowing egress to {server} on {ports} in this release; drop it in the release after the \
                 last pod that uses it is gone"
            );
            ("its egress changes", remedy)
        } else {
            let remedy = format!(
                "{client}: first ship egress to {server} on {ports} beside what is allowed now; let the pods begin to use \
                 it in the release after that"
            );
            ("its egress changes", remedy)
        };
        Broken {
            server,
            client,
            side: "egress",
            ports,
            state: denied.state,
            change: change.to_owned(),
            remedy,
            new: false,
        }
    }

    /// Raw policies select namespaces by whatever labels they like, so that a label may change under them.
    fn additional(&self, direction: Direction, found: &mut Vec<Broken>) {
        let rendered = self.own().policies(direction, self.namespace);
        let changes = self.changed.contains(&(direction, &**self.namespace));
        let relabelled = self.both.old.labels != self.both.new.labels;
        let Some(rendered) = rendered.filter(|_| changes || relabelled) else {
            return;
        };
        for target in rendered.targets.iter().filter(|t| t.role == Role::Additional) {
            let rules = target.policy.rules(direction).unwrap_or_default().iter();
            for peer in rules.flat_map(|rule| &rule.peers) {
                let Peer::Pods {
                    namespaces: Some(selected),
                    pods,
                } = peer
                else {
                    continue;
                };
                for (other, labels) in &self.own().labels {
                    if selected.matches(&labels.with(NAMESPACE_NAME_LABEL, other)) {
                        let end = Sample::pod(other, pods.as_ref().map(sample::least).unwrap_or_default());
                        self.by_label((target, direction), other, &end, found);
                    }
                }
            }
        }
    }

    fn by_label(
        &self,
        (target, direction): (&Target, Direction),
        other: &Arc<str>,
        end: &Sample,
        found: &mut Vec<Broken>,
    ) {
        let pod = Pod::new(self.namespace.clone(), "pod", sample::least(&target.policy.pods));
        let alone = Window::settled([target.policy.clone()]);
        let open =
            |window: &Window, world: &World| window.guaranteed_ports(world, &pod, direction, &end.endpoint());
        let needed = open(&alone, &end.world(self.own(), self.own()));
        let words = Words {
            policies: if direction == Direction::Ingress {
                "policies"
            } else {
                "egress policies"
            },
            second: "labels",
        };
        let all = judge(self.client, words, |mix| {
            let policies = self.both.of(mix.policies);
            let rendered = policies.policies(direction, self.namespace);
            rendered.map_or_else(PortSet::none, |rendered| {
                needed.subtract(&open(
                    &rendered.window,
                    &end.world(policies, self.both.of(mix.second)),
                ))
            })
        });
        let own = format!("{}/{}", self.namespace, target.server);
        let (server, client) = match direction {
            Direction::Ingress => (own.clone(), other.to_string()),
            Direction::Egress => (other.to_string(), own.clone()),
        };
        found.extend(all.into_iter().map(|denied| Broken {
            remedy: if denied.agree_together {
                format!(
                    "{own}: first give {other} the new label beside the old one and let the policy accept both; drop the old \
                     label in the release after the last policy that selects by it is gone"
                )
            } else {
                format!(
                    "{own}: keep what the policy allows {other} on {} in this release; drop it in the release after the last \
                     pod that uses it is gone",
                    denied.ports
                )
            },
            server: server.clone(),
            client: client.clone(),
            side: direction_word(direction),
            ports: denied.ports.to_string(),
            state: denied.state,
            change: "labels, or the policy that selects by them, change".to_owned(),
            new: false,
        }));
    }

    /// What the two releases say differently about a server.
    fn change(&self, server: &Server) -> String {
        let of = |release: &Release| release.server(self.namespace, &server.name).cloned();
        match (of(self.both.old), of(self.both.new)) {
            (None, _) => "the server is new",
            (_, None) => "the server is gone",
            (Some(a), Some(b)) if a.pod_selector != b.pod_selector => "its pod selector changes",
            (Some(a), Some(b)) if a.rules != b.rules => "its rules change",
            _ => "labels or groups change",
        }
        .to_owned()
    }

    fn remedy(&self, server: &Server, client: &str, denied: &Denied) -> String {
        let gone = self.both.new.server(self.namespace, &server.name).is_none();
        let fresh = self.both.old.server(self.namespace, &server.name).is_none();
        let server = format!("{}/{}", self.namespace, server.name);
        let ports = &denied.ports;
        if gone {
            return format!(
                "{server}: keep declaring it in this release; drop it in the release after the last of its pods is gone"
            );
        }
        if fresh {
            return format!(
                "{server}: ship the declaration before the pods, or let clients wait until its policies have arrived"
            );
        }
        if denied.agree_together {
            return format!(
                "{server}: first declare a second server with the other pod selector and the same rules, and ship it; change \
                 the labels of the pods in the release after that, and drop the old declaration last"
            );
        }
        if self.client == Which::New {
            format!(
                "{server}: first ship a declaration that admits {client} on {ports} beside what it admits now; let the \
                 client begin to use it in the release after that"
            )
        } else {
            format!(
                "{server}: keep admitting {client} on {ports} in this release; drop it in the release after the last client \
                 that uses it is gone"
            )
        }
    }
}

fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}

/// What of the needed ports some policies do not let through.
fn denied(
    window: &Window,
    world: &World,
    (pod, direction, peer): (&Pod, Direction, &Endpoint<'_>),
    needed: &PortSet,
) -> PortSet {
    needed.subtract(&window.guaranteed_ports(world, pod, direction, peer))
}

/// The ports of a set of connections; names of ports stand for all of their protocol.
fn ports_of(flows: &Flows) -> PortSet {
    match &flows.channel {
        Channel::Ports(ports) => ports.clone(),
        Channel::Named(protocol, _) => PortSet::all_of(*protocol),
        Channel::OtherProtocols => PortSet::none(),
    }
}

/// What a rule names, in words.
fn destination(rule: &bulkhead_policy::Rule) -> String {
    let name = |peer: &Peer| match peer {
        Peer::Pods { namespaces, pods } => {
            let pods = pods.as_ref().filter(|p| !p.is_everything());
            let pods = pods.map(|p| format!(" ({p})")).unwrap_or_default();
            let named = namespaces
                .as_ref()
                .and_then(|n| n.required_values(NAMESPACE_NAME_LABEL));
            match (namespaces, named) {
                (None, _) => format!("the own namespace{pods}"),
                (Some(_), Some([name])) => format!("{name}{pods}"),
                (Some(any), _) if any.is_everything() => format!("any namespace{pods}"),
                (Some(some), _) => format!("namespaces with {some}{pods}"),
            }
        }
        Peer::IpBlock { cidr, .. } => cidr.to_string(),
    };
    if rule.peers.is_empty() {
        "anywhere".to_owned()
    } else {
        rule.peers.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}
