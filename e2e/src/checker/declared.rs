//! What stored SystemNetworkPolicy objects declare, as needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use bulkhead_api::server::{
    CatalogEntryUse, Client, ClientType, Destination, DestinationType, PodSelector, Port,
    SystemNetworkPolicySpec,
};
use serde::Deserialize as _;
use serde_json::Value;

use super::labels::{Labels, Selector};
use super::needs::{Home, Need, Span, Who, all_ports};
use super::objects::Protocol;

/// The declarations of one namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declared {
    replacing: usize,
    /// Whether any pod or client is declared.
    pub any: bool,
    /// Declared to be New.
    pub is_new: bool,
    servers: Vec<(Selector, Vec<Need>)>,
    egress: Vec<(Selector, Vec<Need>)>,
}

impl Declared {
    /// Reads the stored objects of one namespace, by name. Objects that are not what the schema says
    /// declare nothing.
    pub fn read<'a>(namespace: &str, objects: impl Iterator<Item = (&'a Arc<str>, &'a Value)>) -> Self {
        let mut all = Self::default();
        for (name, object) in objects {
            if let Ok(spec) = SystemNetworkPolicySpec::deserialize(&object["spec"]) {
                all.add(namespace, name, &spec);
            }
        }
        all
    }

    fn add(&mut self, namespace: &str, object: &str, spec: &SystemNetworkPolicySpec) {
        self.any = true;
        self.replacing += usize::from(spec.catalog_entry == CatalogEntryUse::Replace);
        self.is_new |= spec.lineage == Some(bulkhead_api::namespace::Lineage::New);
        for server in &spec.servers {
            let why: Arc<str> = format!("declared: {namespace}/{object} server {}", server.name).into();
            let needs = server.rules.iter().flat_map(|rule| {
                let why = Arc::clone(&why);
                rule.clients
                    .iter()
                    .flat_map(client)
                    .map(move |who| need(who, &rule.ports, &why))
            });
            self.servers
                .push((selector(&server.pod_selector), needs.collect()));
        }
        for workload in &spec.egress {
            let why: Arc<str> = format!("declared: {namespace}/{object} egress {}", workload.name).into();
            let needs = workload.rules.iter().flat_map(|rule| {
                let why = Arc::clone(&why);
                rule.destinations
                    .iter()
                    .filter_map(move |to| destination(to, &rule.ports, &why))
            });
            self.egress
                .push((selector(&workload.pod_selector), needs.collect()));
        }
    }

    /// Whether two of them contradict each other: the last ones that did not stay in force then.
    pub fn conflicts(&self) -> bool {
        self.replacing > 1
    }

    /// Whether the pods are meant by a declared server, or the facts are set aside altogether.
    pub fn covers(&self, labels: &Labels) -> bool {
        self.replacing > 0 || self.servers.iter().any(|(selector, _)| selector.matches(labels))
    }

    /// Declared clients of the pods.
    pub fn ingress(&self, labels: &Labels) -> Vec<Need> {
        matching(&self.servers, labels)
    }

    /// Declared destinations of the pods.
    pub fn egress(&self, labels: &Labels) -> Vec<Need> {
        matching(&self.egress, labels)
    }
}

fn matching(all: &[(Selector, Vec<Need>)], labels: &Labels) -> Vec<Need> {
    let meant = all.iter().filter(|(selector, _)| selector.matches(labels));
    meant.flat_map(|(_, needs)| needs.iter().cloned()).collect()
}

fn need(who: Who, ports: &[Port], why: &Arc<str>) -> Need {
    Need {
        who,
        ports: spans(ports),
        why: Arc::clone(why),
    }
}

fn spans(ports: &[Port]) -> Vec<Span> {
    if ports.is_empty() {
        return all_ports();
    }
    let number = |n: i32| u16::try_from(n).unwrap_or(u16::MAX);
    ports
        .iter()
        .map(|port| Span {
            protocol: match port.protocol.unwrap_or_default() {
                bulkhead_api::server::Protocol::TCP => Protocol::Tcp,
                bulkhead_api::server::Protocol::UDP => Protocol::Udp,
                bulkhead_api::server::Protocol::SCTP => Protocol::Sctp,
            },
            first: number(port.port),
            last: number(port.end_port.unwrap_or(port.port)),
        })
        .collect()
}

fn client(client: &Client) -> Vec<Who> {
    let pods = |home, selected: Option<&PodSelector>| Who::Pods {
        home,
        patterns: Vec::new(),
        selector: selected.map(selector).unwrap_or_default(),
    };
    match client.r#type {
        ClientType::Namespace => client
            .namespace
            .iter()
            .map(|peer| pods(Home::Named(vec![peer.name.clone()]), peer.pod_selector.as_ref()))
            .collect(),
        ClientType::SameNamespace => {
            vec![pods(
                Home::Own,
                client.same_namespace.as_ref().map(|peer| &peer.pod_selector),
            )]
        }
        ClientType::HostNetwork => vec![Who::Host],
        ClientType::APIServer => vec![Who::Host, kas_operator()],
        ClientType::AnyNamespace => vec![Who::pods(Home::Any)],
        ClientType::Anywhere => vec![Who::Everyone],
        ClientType::CIDR => client
            .cidr
            .iter()
            .filter_map(|peer| peer.cidr.parse().ok())
            .map(Who::Range)
            .collect(),
        // Groups are known to the catalog alone, which this checker never reads.
        ClientType::NamespaceGroup => Vec::new(),
    }
}

fn kas_operator() -> Who {
    Who::Pods {
        home: Home::Named(vec!["openshift-kube-apiserver-operator".to_owned()]),
        patterns: Vec::new(),
        selector: Selector {
            match_labels: BTreeMap::from([("app".to_owned(), "kube-apiserver-operator".to_owned())]),
            ..Selector::default()
        },
    }
}

fn destination(to: &Destination, ports: &[Port], why: &Arc<str>) -> Option<Need> {
    let who = match to.r#type {
        DestinationType::Namespace => {
            let peer = to.namespace.as_ref()?;
            Who::Pods {
                home: Home::Named(vec![peer.name.clone()]),
                patterns: Vec::new(),
                selector: peer.pod_selector.as_ref().map(selector).unwrap_or_default(),
            }
        }
        DestinationType::SameNamespace => Who::pods(Home::Own),
        DestinationType::AnyNamespace => Who::pods(Home::Any),
        DestinationType::HostNetwork => Who::Host,
        DestinationType::Anywhere => Who::Everyone,
        DestinationType::CIDR => Who::Range(to.cidr.as_ref()?.cidr.parse().ok()?),
        // Their ports are the platform's; pairs and facts speak of them.
        DestinationType::DNS | DestinationType::APIServer | DestinationType::NamespaceGroup => return None,
    };
    Some(need(who, ports, why))
}

fn selector(from: &PodSelector) -> Selector {
    Selector {
        match_labels: from.match_labels.clone(),
        match_expressions: from
            .match_expressions
            .iter()
            .map(|requirement| super::labels::Requirement {
                key: requirement.key.clone(),
                operator: format!("{:?}", requirement.operator),
                values: requirement.values.clone(),
            })
            .collect(),
    }
}
