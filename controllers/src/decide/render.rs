//! From a restrictive set to the policies that should stand in its namespace.

use std::{collections::BTreeMap, sync::Arc};

use bulkhead_api::{
    Catalog,
    server::{Client, ClientType, Destination, DestinationType, PodSelector, Server},
    vocabulary as names,
};
use bulkhead_policy::{Direction, Peer, Policy, PortRule, Protocol, Rule, Selector, v1};
use sha2::{Digest, Sha256};

use super::{
    platform::{Dns, Platform},
    selector,
    set::RestrictiveSet,
    validate,
};

/// What a policy of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Opens a namespace in both directions.
    AllowAll,
    /// Opens egress.
    AllowEgress,
    /// Isolates and serves the pods of one server.
    Server,
    /// A raw spec that somebody declared.
    Additional,
    /// Isolates the pods of one workload for egress and says what they may reach.
    Egress,
    /// Isolates every pod for ingress.
    DefaultDeny,
    /// Isolates every pod for egress.
    DefaultDenyEgress,
    /// Opens something for a component of an operand bundle.
    OperandAllow,
    /// Isolates pods of an operand bundle.
    OperandDeny,
}

impl Role {
    /// Value of the role label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowAll => "allow-all",
            Self::AllowEgress => "allow-egress",
            Self::Server => "server",
            Self::Additional => "additional",
            Self::Egress => "egress",
            Self::DefaultDeny => "default-deny",
            Self::DefaultDenyEgress => "default-deny-egress",
            Self::OperandAllow => "operand-allow",
            Self::OperandDeny => "operand-deny",
        }
    }

    /// The role with this label value.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [
            Self::AllowAll,
            Self::AllowEgress,
            Self::Server,
            Self::Additional,
            Self::Egress,
            Self::DefaultDeny,
            Self::DefaultDenyEgress,
            Self::OperandAllow,
            Self::OperandDeny,
        ];
        all.into_iter().find(|role| role.as_str() == text)
    }

    /// Opens every pod of the namespace.
    pub const fn opens(self) -> bool {
        matches!(self, Self::AllowAll | Self::AllowEgress)
    }
}

/// A policy that should stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// What it is for.
    pub role: Role,
    /// Name of the server or workload; empty for the others.
    pub server: Arc<str>,
    /// Name, selector and rules.
    pub policy: Arc<Policy>,
}

/// The policies of one namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rendered {
    /// Servers, additional policies, then the deny: the order in which they are written.
    pub targets: Vec<Target>,
    /// A rule for host traffic fell back to its ports alone, so it admits everybody.
    pub port_only: bool,
}

/// A server elsewhere that declares a namespace as its client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServedBy {
    /// Pods of the client namespace that it names.
    pub client_pods: Selector,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its pods.
    pub pods: Selector,
    /// Its ports; empty: every port.
    pub ports: Vec<PortRule>,
}

/// The allow-all of a namespace.
pub fn allow_all(namespace: &str, name: &str) -> Target {
    let open = Some(vec![Rule::default()]);
    plain(
        Role::AllowAll,
        namespace,
        name,
        Selector::everything(),
        open.clone(),
        open,
    )
}

/// The policy that opens egress alone.
pub fn allow_egress(namespace: &str, name: &str) -> Target {
    let open = Some(vec![Rule::default()]);
    plain(
        Role::AllowEgress,
        namespace,
        name,
        Selector::everything(),
        None,
        open,
    )
}

/// The restrictive policies for ingress.
pub fn ingress(namespace: &str, set: &RestrictiveSet, platform: &Platform, catalog: &Catalog) -> Rendered {
    let mut rendered = Rendered::default();
    let mut servers: BTreeMap<(String, Selector), Vec<Rule>> = BTreeMap::new();
    for server in &set.servers {
        let (rules, port_only) = server_rules(server, platform, catalog);
        rendered.port_only |= port_only;
        servers
            .entry((server.name.clone(), selector::pods(&server.pod_selector)))
            .or_default()
            .extend(rules);
    }
    for ((server, pods), rules) in servers {
        let name = identity("", &server, &pods, "Ingress");
        let policy = Policy {
            namespace: namespace.into(),
            name: name.into(),
            pods,
            ingress: Some(without_repeats(rules)),
            egress: None,
        };
        rendered.targets.push(Target {
            role: Role::Server,
            server: server.into(),
            policy: Arc::new(policy),
        });
    }
    rendered
        .targets
        .extend(additional(namespace, set, Direction::Ingress));
    rendered.targets.push(deny(namespace, Direction::Ingress));
    rendered
}

/// The restrictive policies for egress. `served_by` are the servers elsewhere that declare this namespace as a
/// client: what they allow in, the client is allowed out.
pub fn egress(
    namespace: &str,
    set: &RestrictiveSet,
    served_by: &[ServedBy],
    platform: &Platform,
    catalog: &Catalog,
) -> Rendered {
    let mut workloads: BTreeMap<(String, Selector), Vec<Rule>> = BTreeMap::new();
    for workload in &set.egress {
        let rules = workload.rules.iter().flat_map(|rule| {
            let ports: Vec<PortRule> = rule.ports.iter().filter_map(selector::port).collect();
            let each = move |d: &Destination| destination(d, &ports, platform, catalog);
            rule.destinations.iter().flat_map(each).collect::<Vec<_>>()
        });
        let key = (workload.name.clone(), selector::pods(&workload.pod_selector));
        workloads.entry(key).or_default().extend(rules);
    }
    for served in served_by {
        let peer = Peer::Pods {
            namespaces: Some(Selector::namespace_name(&served.namespace)),
            pods: (!served.pods.is_everything()).then(|| served.pods.clone()),
        };
        let key = ("clients".to_owned(), served.client_pods.clone());
        let rule = Rule {
            peers: vec![peer],
            ports: served.ports.clone(),
        };
        workloads.entry(key).or_default().push(rule);
    }
    let mut rendered = Rendered::default();
    for ((workload, pods), rules) in workloads {
        let name = identity("egress-", &workload, &pods, "Egress");
        let policy = Policy {
            namespace: namespace.into(),
            name: name.into(),
            pods,
            ingress: None,
            egress: Some(without_repeats(rules)),
        };
        rendered.targets.push(Target {
            role: Role::Egress,
            server: workload.into(),
            policy: Arc::new(policy),
        });
    }
    rendered
        .targets
        .extend(additional(namespace, set, Direction::Egress));
    rendered.targets.push(deny(namespace, Direction::Egress));
    rendered
}

/// What the servers of a namespace declare about others: pairs of client namespace (`None`: any) and server.
pub fn served_by(
    namespace: &str,
    set: &RestrictiveSet,
    catalog: &Catalog,
) -> Vec<(Option<Arc<str>>, ServedBy)> {
    let mut all = Vec::new();
    for server in &set.servers {
        let pods = selector::pods(&server.pod_selector);
        for rule in &server.rules {
            let ports: Vec<PortRule> = rule.ports.iter().filter_map(selector::port).collect();
            for (client, client_pods) in rule
                .clients
                .iter()
                .flat_map(|c| client_namespaces(c, namespace, catalog))
            {
                let served = ServedBy {
                    client_pods,
                    namespace: namespace.into(),
                    pods: pods.clone(),
                    ports: ports.clone(),
                };
                all.push((client, served));
            }
        }
    }
    all
}

fn client_namespaces(client: &Client, own: &str, catalog: &Catalog) -> Vec<(Option<Arc<str>>, Selector)> {
    let pods = |s: Option<&PodSelector>| s.map_or_else(Selector::everything, selector::pods);
    match client.r#type {
        ClientType::Namespace => client
            .namespace
            .iter()
            .map(|n| (Some(n.name.as_str().into()), pods(n.pod_selector.as_ref())))
            .collect(),
        ClientType::NamespaceGroup => {
            let group = client
                .namespace_group
                .as_ref()
                .and_then(|g| catalog.group(&g.name));
            group
                .into_iter()
                .flatten()
                .map(|n| (Some(n.as_str().into()), Selector::everything()))
                .collect()
        }
        ClientType::SameNamespace => {
            vec![(
                Some(own.into()),
                pods(client.same_namespace.as_ref().map(|n| &n.pod_selector)),
            )]
        }
        ClientType::APIServer => vec![(
            Some(names::KAS_OPERATOR_NAMESPACE.into()),
            Selector::from([("app", names::KAS_OPERATOR_APP)]),
        )],
        ClientType::AnyNamespace | ClientType::Anywhere => vec![(None, Selector::everything())],
        // Host-network pods are never isolated, and an address range says nothing about who has it.
        ClientType::HostNetwork | ClientType::CIDR => Vec::new(),
    }
}

fn server_rules(server: &Server, platform: &Platform, catalog: &Catalog) -> (Vec<Rule>, bool) {
    let mut port_only = false;
    let mut rules = Vec::new();
    for rule in &server.rules {
        // A group without members admits nobody; an empty list would admit everybody.
        let Some(admission) = admission(&rule.clients, platform, catalog) else {
            continue;
        };
        port_only |= admission.port_only;
        rules.push(Rule {
            peers: admission.peers,
            ports: rule.ports.iter().filter_map(selector::port).collect(),
        });
    }
    (rules, port_only)
}

/// Whom the clients of one rule stand for together.
pub(crate) struct Admission {
    /// Empty: everybody.
    pub(crate) peers: Vec<Peer>,
    /// Everybody only because a client cannot be selected here.
    pub(crate) port_only: bool,
}

/// Whom clients stand for; `None` when that is nobody.
pub(crate) fn admission(clients: &[Client], platform: &Platform, catalog: &Catalog) -> Option<Admission> {
    let mut peers = Vec::new();
    let (mut anyone, mut port_only) = (false, false);
    for client in clients {
        match client_peers(client, platform, catalog) {
            Admitted::Peers(found) => peers.extend(found),
            Admitted::Anyone => anyone = true,
            Admitted::AnyoneByFallback => (anyone, port_only) = (true, true),
        }
    }
    if anyone {
        peers.clear();
    } else if peers.is_empty() {
        return None;
    }
    peers.sort();
    peers.dedup();
    Some(Admission { peers, port_only })
}

/// Whom a client of a declaration stands for.
enum Admitted {
    Peers(Vec<Peer>),
    Anyone,
    /// The plugin cannot select the client, so its ports are open to everybody.
    AnyoneByFallback,
}

fn client_peers(client: &Client, platform: &Platform, catalog: &Catalog) -> Admitted {
    let host = Peer::Pods {
        namespaces: Some(Selector::namespace_name(names::HOST_NETWORK_NAMESPACE)),
        pods: None,
    };
    match client.r#type {
        ClientType::Namespace => Admitted::Peers(
            client
                .namespace
                .iter()
                .map(|n| namespace_peer(&n.name, n.pod_selector.as_ref()))
                .collect(),
        ),
        ClientType::NamespaceGroup => {
            let group = client
                .namespace_group
                .as_ref()
                .and_then(|g| catalog.group(&g.name));
            Admitted::Peers(
                group
                    .into_iter()
                    .flatten()
                    .map(|n| namespace_peer(n, None))
                    .collect(),
            )
        }
        ClientType::SameNamespace => {
            let pods = client
                .same_namespace
                .as_ref()
                .map(|n| selector::pods(&n.pod_selector));
            Admitted::Peers(vec![Peer::Pods {
                namespaces: None,
                pods: Some(pods.unwrap_or_default()),
            }])
        }
        ClientType::HostNetwork if platform.host_selectable => Admitted::Peers(vec![host]),
        ClientType::APIServer if platform.host_selectable && !platform.external_control_plane => {
            let kas = Peer::Pods {
                namespaces: Some(Selector::namespace_name(names::KAS_OPERATOR_NAMESPACE)),
                pods: Some(Selector::from([("app", names::KAS_OPERATOR_APP)])),
            };
            Admitted::Peers(vec![host, kas])
        }
        ClientType::HostNetwork | ClientType::APIServer => Admitted::AnyoneByFallback,
        // The empty pod selector keeps host traffic out, which is no pod of any namespace (openshift.md H2, H4).
        ClientType::AnyNamespace => Admitted::Peers(vec![Peer::Pods {
            namespaces: Some(Selector::everything()),
            pods: Some(Selector::everything()),
        }]),
        ClientType::Anywhere => Admitted::Anyone,
        ClientType::CIDR => Admitted::Peers(
            client
                .cidr
                .iter()
                .filter_map(|c| block(&c.cidr, &c.except))
                .collect(),
        ),
    }
}

fn namespace_peer(name: &str, pods: Option<&PodSelector>) -> Peer {
    Peer::Pods {
        namespaces: Some(Selector::namespace_name(name)),
        pods: pods.map(selector::pods),
    }
}

fn block(cidr: &str, except: &[String]) -> Option<Peer> {
    let except = except.iter().filter_map(|e| e.parse().ok()).collect();
    Some(Peer::IpBlock {
        cidr: cidr.parse().ok()?,
        except,
    })
}

fn destination(
    destination: &Destination,
    ports: &[PortRule],
    platform: &Platform,
    catalog: &Catalog,
) -> Vec<Rule> {
    let or = |default: Vec<PortRule>| if ports.is_empty() { default } else { ports.to_vec() };
    let rule = |peers: Vec<Peer>| Rule {
        peers,
        ports: ports.to_vec(),
    };
    match destination.r#type {
        DestinationType::DNS => {
            let (peer, number) = dns(platform.dns);
            let default = [Protocol::Tcp, Protocol::Udp]
                .map(|p| selector::number(p, number))
                .to_vec();
            vec![Rule {
                peers: vec![peer],
                ports: or(default),
            }]
        }
        DestinationType::APIServer => {
            let default = platform
                .api_ports
                .iter()
                .map(|p| selector::number(Protocol::Tcp, *p))
                .collect();
            vec![Rule {
                peers: Vec::new(),
                ports: or(default),
            }]
        }
        DestinationType::Namespace => destination
            .namespace
            .iter()
            .map(|n| rule(vec![namespace_peer(&n.name, n.pod_selector.as_ref())]))
            .collect(),
        DestinationType::NamespaceGroup => {
            let group = destination
                .namespace_group
                .as_ref()
                .and_then(|g| catalog.group(&g.name))
                .unwrap_or_default();
            let peers: Vec<Peer> = group.iter().map(|n| namespace_peer(n, None)).collect();
            if peers.is_empty() {
                Vec::new()
            } else {
                vec![rule(peers)]
            }
        }
        DestinationType::SameNamespace => {
            vec![rule(vec![Peer::Pods {
                namespaces: None,
                pods: Some(Selector::everything()),
            }])]
        }
        DestinationType::AnyNamespace => {
            vec![rule(vec![Peer::Pods {
                namespaces: Some(Selector::everything()),
                pods: None,
            }])]
        }
        // Node addresses cannot be named portably, so host destinations are selected by port alone.
        DestinationType::HostNetwork | DestinationType::Anywhere => vec![rule(Vec::new())],
        DestinationType::CIDR => destination
            .cidr
            .iter()
            .filter_map(|c| block(&c.cidr, &c.except))
            .map(|b| rule(vec![b]))
            .collect(),
    }
}

/// The pods that answer DNS, and their port.
pub(crate) fn dns(dns: Dns) -> (Peer, u16) {
    let (namespace, pods, port) = match dns {
        Dns::OpenShift => (
            "openshift-dns",
            [("dns.operator.openshift.io/daemonset-dns", "default")],
            5353,
        ),
        Dns::Kubernetes => ("kube-system", [("k8s-app", "kube-dns")], 53),
    };
    let peer = Peer::Pods {
        namespaces: Some(Selector::namespace_name(namespace)),
        pods: Some(Selector::from(pods)),
    };
    (peer, port)
}

fn additional<'a>(
    namespace: &'a str,
    set: &'a RestrictiveSet,
    direction: Direction,
) -> impl Iterator<Item = Target> + 'a {
    set.additional.iter().filter_map(move |declared| {
        // Validation refused what cannot be read.
        let mut policy = validate::raw_policy(namespace, "", &declared.spec).ok()?;
        // Egress policies are separate objects: with isolation Ingress nothing of ours may list it.
        match direction {
            Direction::Ingress => policy.egress = None,
            Direction::Egress => policy.ingress = None,
        }
        policy.rules(direction)?;
        let prefix = if direction == Direction::Egress {
            "egress-"
        } else {
            ""
        };
        let name = identity(prefix, &declared.name, &policy.pods, direction.as_str());
        policy.name = name.into();
        Some(Target {
            role: if direction == Direction::Egress {
                Role::Egress
            } else {
                Role::Additional
            },
            server: declared.name.as_str().into(),
            policy: Arc::new(policy),
        })
    })
}

fn deny(namespace: &str, direction: Direction) -> Target {
    let nothing = Some(Vec::new());
    match direction {
        Direction::Ingress => plain(
            Role::DefaultDeny,
            namespace,
            names::DEFAULT_DENY,
            Selector::everything(),
            nothing,
            None,
        ),
        Direction::Egress => plain(
            Role::DefaultDenyEgress,
            namespace,
            names::DEFAULT_DENY_EGRESS,
            Selector::everything(),
            None,
            nothing,
        ),
    }
}

fn plain(
    role: Role,
    namespace: &str,
    name: &str,
    pods: Selector,
    ingress: Option<Vec<Rule>>,
    egress: Option<Vec<Rule>>,
) -> Target {
    let policy = Policy {
        namespace: namespace.into(),
        name: name.into(),
        pods,
        ingress,
        egress,
    };
    Target {
        role,
        server: "".into(),
        policy: Arc::new(policy),
    }
}

/// A policy is identified by server, pod selector and policy types, which are hashed into its name and never
/// changed in place; a server that changes its selector gets a new policy beside the old one.
fn identity(prefix: &str, server: &str, pods: &Selector, types: &str) -> String {
    let spec = v1::LabelSelector::from(pods);
    let text = format!(
        "{server}\n{}\n{types}",
        serde_json::to_string(&spec).unwrap_or_default()
    );
    let hash = Sha256::digest(text.as_bytes());
    let short = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    format!("{}{prefix}{server}-{short:08x}", names::POLICY_PREFIX)
}

fn without_repeats(rules: Vec<Rule>) -> Vec<Rule> {
    let mut kept: Vec<Rule> = Vec::with_capacity(rules.len());
    for rule in rules {
        if !kept.contains(&rule) {
            kept.push(rule);
        }
    }
    kept
}
