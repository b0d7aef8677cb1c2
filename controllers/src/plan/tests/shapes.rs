//! What clusters can look like: sets, pods, foreign policies. Requirements are read from the declarations
//! themselves, never from what was rendered of them.

use std::sync::Arc;

use bulkhead_api::{
    Catalog, CatalogEntry,
    server::{EgressRule, Server},
};
use bulkhead_policy::{Labels, PodState, Protocol};
use serde_json::{Value, json};

use super::brute::{CLIENTS, End, LabelMap, Mask, SUBJECT, Side, Universe, in_network, labels, selects};
use crate::{
    decide::{
        Platform,
        render::{self, ServedBy},
        set::{self, Declared},
    },
    observe::world::PodShape,
    plan::{Expected, Member},
};

/// Label sets that pods of the subject namespace may have; the last one is declared by nobody.
pub fn pod_labels() -> Vec<LabelMap> {
    vec![
        labels(&[("app", "a")]),
        labels(&[("app", "b"), ("tier", "x")]),
        labels(&[("app", "a"), ("tier", "x")]),
        labels(&[("tier", "y")]),
        labels(&[("app", "stray")]),
    ]
}

/// A pod of the subject namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodModel {
    /// Which of [`pod_labels`].
    pub look: usize,
    /// TCP ports that it declares.
    pub ports: Vec<u16>,
    pub terminating: bool,
}

impl PodModel {
    pub fn new(look: usize, port: u16) -> Self {
        Self {
            look,
            ports: vec![port],
            terminating: false,
        }
    }
}

/// Pods as the planner sees them.
pub fn members(pods: &[PodModel]) -> Arc<Vec<Member>> {
    let namespace: Arc<str> = SUBJECT.into();
    let member = |(at, pod): (usize, &PodModel)| {
        let shape = PodShape {
            labels: pod_labels()[pod.look]
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect::<Labels>(),
            ports: pod.ports.iter().map(|p| (Protocol::Tcp, *p)).collect(),
            state: PodState::Networked,
            terminating: pod.terminating,
        };
        Member::new(&namespace, &format!("pod-{at}"), &shape)
    };
    Arc::new(pods.iter().enumerate().map(member).collect())
}

/// What is declared for the subject namespace.
#[derive(Clone, Debug, Default)]
pub struct SetModel {
    /// The catalog entry; `None`: not catalogued.
    pub entry: Option<CatalogEntry>,
    /// Servers of [`CLIENTS`] that name the subject namespace as their client.
    pub served_by: Option<CatalogEntry>,
    /// A declaration that cannot be read stands beside it.
    pub unreadable: bool,
}

/// A catalog entry from parts.
pub fn entry(namespace: &str, servers: &Value, egress: &Value, lineage: &str) -> CatalogEntry {
    serde_json::from_value(json!({
        "namespace": namespace, "lineage": lineage, "applicability": "PodNetwork",
        "servers": servers, "egress": egress, "sources": [], "confidence": "high",
    }))
    .unwrap()
}

/// One server.
pub fn server(name: &str, selector: &Value, rules: &Value) -> Value {
    json!({"name": name, "podSelector": selector, "rules": rules})
}

/// The policy groups of the model's catalog.
pub fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    catalog.header.sequence = 1;
    catalog.header.groups = vec![
        serde_json::from_value(
            json!({"name": "friends", "namespaces": [CLIENTS, "tenant"], "labels": {"example.com/friend": ""}}),
        )
        .unwrap(),
    ];
    catalog
}

impl SetModel {
    /// Whether the catalog knows the namespace.
    pub fn declares(&self) -> bool {
        self.entry
            .as_ref()
            .is_some_and(|e| !e.servers.is_empty() || !e.additional_policies.is_empty())
    }

    /// The declaration composed and rendered, as the controller does it.
    pub fn expected(&self, platform: &Platform) -> Arc<Expected> {
        let catalog = catalog();
        let broken = Declared {
            name: "broken".into(),
            generation: 1,
            spec: Err("spec: nonsense".into()),
            last_good: None,
        };
        let declared: &[Declared] = if self.unreadable {
            std::slice::from_ref(&broken)
        } else {
            &[]
        };
        let composed = set::compose(self.entry.as_ref(), declared, &catalog, |_| false);
        let set = composed.set.as_ref();
        let (mut served, mut named): (Vec<ServedBy>, Vec<ServedBy>) = (Vec::new(), Vec::new());
        let mut take = |namespace: &str, set: &set::RestrictiveSet| {
            for (client, by) in render::served_by(namespace, set, &catalog) {
                if client.as_deref() == Some(SUBJECT) {
                    named.push(by.clone());
                }
                if client.is_none_or(|c| &*c == SUBJECT) {
                    served.push(by);
                }
            }
        };
        if let Some(set) = set {
            take(SUBJECT, set);
        }
        if let Some(other) = &self.served_by {
            let composed = set::compose(Some(other), &[], &catalog, |_| false);
            take(CLIENTS, &composed.set.unwrap_or_default());
        }
        for list in [&mut served, &mut named] {
            list.sort();
            list.dedup();
        }
        Arc::new(Expected {
            catalogued: self.entry.is_some(),
            lineage: composed.lineage,
            ingress: set.map(|s| render::ingress(SUBJECT, s, platform, &catalog)),
            egress: set.map(|s| render::egress(SUBJECT, s, &served, platform, &catalog)),
            egress_needs: set.map(|s| render::egress(SUBJECT, s, &named, platform, &catalog)),
            labels: catalog.group_labels(SUBJECT),
            incomplete: composed.incomplete,
            rejected: Vec::new(),
        })
    }

    /// What the declaration lets a pod do, read from its text.
    pub fn declared(&self, universe: &Universe, pod: &LabelMap, side: Side) -> Mask {
        let Some(entry) = &self.entry else { return 0 };
        match side {
            Side::Ingress => {
                let servers = entry.servers.iter().filter(|s| matches(&s.pod_selector, pod));
                servers.fold(0, |mask, s| mask | clients(universe, s))
            }
            Side::Egress => {
                let own = entry.egress.iter().filter(|e| matches(&e.pod_selector, pod));
                let own = own.fold(0, |mask, e| mask | destinations(universe, e));
                let theirs = self.served_by.iter().flat_map(|e| &e.servers);
                let theirs = theirs.fold(0, |mask, s| mask | served(universe, CLIENTS, s, pod));
                let neighbours = entry.servers.iter();
                let neighbours = neighbours.fold(0, |mask, s| mask | served(universe, SUBJECT, s, pod));
                own | theirs | neighbours
            }
        }
    }
}

fn matches(selector: &bulkhead_api::server::PodSelector, pod: &LabelMap) -> bool {
    let selector = serde_json::from_value(serde_json::to_value(selector).unwrap()).unwrap();
    selects(&selector, pod)
}

fn port_fits(ports: &[bulkhead_api::server::Port], (protocol, port): (&str, i32)) -> bool {
    ports.is_empty()
        || ports.iter().any(|p| {
            format!("{:?}", p.protocol.unwrap_or_default()) == protocol
                && (p.port..=p.end_port.unwrap_or(p.port)).contains(&port)
        })
}

fn is_client(client: &bulkhead_api::server::Client, end: &End) -> bool {
    use bulkhead_api::server::ClientType::{
        APIServer, AnyNamespace, Anywhere, CIDR, HostNetwork, Namespace, NamespaceGroup, SameNamespace,
    };
    let (namespace, pod) = match end {
        End::Pod { namespace, labels } => (Some(*namespace), Some(labels)),
        _ => (None, None),
    };
    match client.r#type {
        Namespace => {
            let named = client.namespace.as_ref().unwrap();
            let selected = |s: &bulkhead_api::server::PodSelector| pod.is_some_and(|p| matches(s, p));
            namespace == Some(&named.name) && named.pod_selector.as_ref().is_none_or(selected)
        }
        NamespaceGroup => namespace.is_some_and(|n| n == CLIENTS || n == "tenant"),
        SameNamespace => namespace == Some(SUBJECT),
        HostNetwork => matches!(end, End::Host),
        APIServer => matches!(end, End::Host) || namespace == Some("openshift-kube-apiserver-operator"),
        AnyNamespace => namespace.is_some(),
        Anywhere => true,
        CIDR => matches!(end, End::Outside(a) if in_network(&client.cidr.as_ref().unwrap().cidr, *a)),
    }
}

fn clients(universe: &Universe, server: &Server) -> Mask {
    server.rules.iter().fold(0, |mask, rule| {
        mask | universe
            .mask(|end, port| port_fits(&rule.ports, port) && rule.clients.iter().any(|c| is_client(c, end)))
    })
}

/// What a pod of the subject namespace may reach because a server declares it as a client.
fn served(universe: &Universe, home: &str, server: &Server, pod: &LabelMap) -> Mask {
    let me = End::Pod {
        namespace: SUBJECT,
        labels: pod.clone(),
    };
    server.rules.iter().fold(0, |mask, rule| {
        if !rule.clients.iter().any(|c| is_client(c, &me)) {
            return mask;
        }
        let at_home = |end: &End| match end {
            End::Pod { namespace, labels } => *namespace == home && matches(&server.pod_selector, labels),
            _ => false,
        };
        mask | universe.mask(|end, port| port_fits(&rule.ports, port) && at_home(end))
    })
}

fn destinations(universe: &Universe, workload: &EgressRule) -> Mask {
    use bulkhead_api::server::DestinationType::{
        APIServer, AnyNamespace, Anywhere, CIDR, DNS, HostNetwork, Namespace, NamespaceGroup, SameNamespace,
    };
    let mut mask = 0;
    for rule in &workload.rules {
        for to in &rule.destinations {
            mask |= universe.mask(|end, port| {
                let namespace = match end {
                    End::Pod { namespace, .. } => Some(*namespace),
                    _ => None,
                };
                match to.r#type {
                    DNS => namespace == Some("kube-system") && port.1 == 53,
                    APIServer => matches!(end, End::Host) && port == ("TCP", 6443),
                    Namespace => {
                        namespace == Some(&to.namespace.as_ref().unwrap().name)
                            && port_fits(&rule.ports, port)
                    }
                    NamespaceGroup => {
                        namespace.is_some_and(|n| n == CLIENTS || n == "tenant")
                            && port_fits(&rule.ports, port)
                    }
                    SameNamespace => namespace == Some(SUBJECT) && port_fits(&rule.ports, port),
                    AnyNamespace => namespace.is_some() && port_fits(&rule.ports, port),
                    HostNetwork => matches!(end, End::Host) && port_fits(&rule.ports, port),
                    Anywhere => port_fits(&rule.ports, port),
                    CIDR => {
                        matches!(end, End::Outside(a) if in_network(&to.cidr.as_ref().unwrap().cidr, *a))
                            && port_fits(&rule.ports, port)
                    }
                }
            });
        }
    }
    mask
}
