//! What the facts file says that the pods of OpenShift need. The catalog of the product is never read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use serde::{Deserialize, Deserializer};

use super::labels::{Labels, Pattern, Selector};
use super::needs::{Home, Need, Span, Who, all_ports};
use super::objects::Protocol;

/// The facts, as far as connections are concerned.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    namespaces: BTreeMap<String, Vec<Workload>>,
    clients: BTreeMap<String, Client>,
    targets: BTreeMap<String, Target>,
}

#[derive(Deserialize)]
struct File {
    clients: BTreeMap<String, Client>,
    egress_targets: BTreeMap<String, Target>,
    namespaces: Vec<NamespaceEntry>,
}

#[derive(Deserialize)]
struct NamespaceEntry {
    name: String,
    workloads: Vec<Workload>,
}

/// A client of the vocabulary of the facts.
#[derive(Clone, Debug, Deserialize)]
struct Client {
    network: String,
    namespace: Option<String>,
    #[serde(default)]
    pod_labels: BTreeMap<String, String>,
}

/// An egress target of the vocabulary of the facts.
#[derive(Clone, Debug, Deserialize)]
struct Target {
    network: Option<String>,
    namespace: Option<String>,
    #[serde(default)]
    pod_labels: BTreeMap<String, String>,
    #[serde(default)]
    ports: Vec<String>,
}

/// Like pods of one namespace.
#[derive(Clone, Debug, Deserialize)]
struct Workload {
    name: String,
    #[serde(default)]
    host_network: bool,
    #[serde(default, deserialize_with = "patterns")]
    pod_labels: Patterns,
    #[serde(default)]
    ports: Vec<Port>,
    #[serde(default)]
    egress: Vec<String>,
    #[serde(default)]
    note: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Clone, Debug, Deserialize)]
struct Port {
    port: u16,
    protocol: Protocol,
    #[serde(default)]
    clients: Vec<String>,
}

impl OneOrMany {
    fn patterns(&self) -> Vec<Pattern> {
        match self {
            Self::One(value) => vec![Pattern::new(value)],
            Self::Many(values) => values.iter().map(|v| Pattern::new(v)).collect(),
        }
    }
}

/// What pods of a workload look like.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Costume {
    pub labels: Labels,
    pub host_network: bool,
    pub ports: Vec<(Protocol, u16)>,
}

/// Patterns of label values by key.
type Patterns = Vec<(String, Vec<Pattern>)>;

fn patterns<'de, D: Deserializer<'de>>(from: D) -> Result<Patterns, D::Error> {
    let read = BTreeMap::<String, OneOrMany>::deserialize(from)?;
    Ok(read
        .into_iter()
        .map(|(key, value)| (key, value.patterns()))
        .collect())
}

impl Workload {
    /// Workloads without labels cannot be told apart and match nothing.
    fn matches(&self, labels: &Labels) -> bool {
        !self.pod_labels.is_empty() && labelled(&self.pod_labels, labels)
    }

    fn is_exact(&self) -> bool {
        let mut values = self.pod_labels.iter().flat_map(|(_, values)| values);
        values.all(Pattern::is_exact)
    }

    fn who(&self, namespace: &str) -> Who {
        if self.host_network {
            return Who::Host;
        }
        Who::Pods {
            home: Home::Named(vec![namespace.to_owned()]),
            patterns: self.pod_labels.clone(),
            selector: Selector::default(),
        }
    }
}

fn labelled(patterns: &[(String, Vec<Pattern>)], labels: &Labels) -> bool {
    patterns.iter().all(|(key, values)| {
        labels
            .get(key)
            .is_some_and(|v| values.iter().any(|p| p.matches(v)))
    })
}

fn single(labels: &BTreeMap<String, String>) -> Vec<(String, Vec<Pattern>)> {
    let pairs = labels.iter();
    pairs
        .map(|(key, value)| (key.clone(), vec![Pattern::new(value)]))
        .collect()
}

impl Facts {
    /// Reads the facts file.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        Self::read(&text).with_context(|| path.display().to_string())
    }

    /// Reads facts.
    pub fn read(text: &str) -> anyhow::Result<Self> {
        let file: File = bulkhead_api::yaml::from_str(text)?;
        let facts = Self {
            namespaces: file
                .namespaces
                .into_iter()
                .map(|n| (n.name, n.workloads))
                .collect(),
            clients: file.clients,
            targets: file.egress_targets,
        };
        facts.check_words()?;
        Ok(facts)
    }

    /// A word that is not in the vocabulary would silently demand nothing.
    fn check_words(&self) -> anyhow::Result<()> {
        for (namespace, workload) in self.workloads() {
            for word in workload.ports.iter().flat_map(|p| &p.clients) {
                let known = self
                    .clients
                    .contains_key(word.split(':').next().unwrap_or_default());
                anyhow::ensure!(known, "{namespace}/{}: unknown client {word}", workload.name);
            }
            for word in &workload.egress {
                anyhow::ensure!(
                    self.targets.contains_key(word),
                    "{namespace}/{}: unknown target {word}",
                    workload.name
                );
            }
        }
        Ok(())
    }

    fn workloads(&self) -> impl Iterator<Item = (&str, &Workload)> {
        self.namespaces
            .iter()
            .flat_map(|(name, all)| all.iter().map(move |w| (name.as_str(), w)))
    }

    /// Whether the namespace has pods on the pod network that something is known of: a set is known for it.
    pub fn has_servers(&self, namespace: &str) -> bool {
        let all = self.namespaces.get(namespace).into_iter().flatten();
        all.clone().any(|w| !w.host_network && !w.pod_labels.is_empty())
    }

    /// Whether the facts name the namespace.
    pub fn knows(&self, namespace: &str) -> bool {
        self.namespaces.contains_key(namespace)
    }

    /// Whether the facts name a workload that pods with these labels belong to.
    pub fn knows_pod(&self, namespace: &str, labels: &Labels) -> bool {
        self.of(namespace, labels).next().is_some()
    }

    /// Whether users choose ports of these pods that the facts cannot list.
    pub fn listens_on_unknown(&self, namespace: &str, labels: &Labels, port: (Protocol, u16)) -> bool {
        self.of(namespace, labels).any(|workload| {
            let listed = workload.ports.iter().any(|p| (p.protocol, p.port) == port);
            !listed && workload.note.contains("ports are user-defined")
        })
    }

    /// What pods of a workload look like, with an example where the facts leave a label open.
    pub fn costume(&self, namespace: &str, workload: &str) -> Option<Costume> {
        let all = self.namespaces.get(namespace)?;
        let found = all.iter().find(|w| w.name == workload)?;
        let first = |(key, values): &(String, Vec<Pattern>)| Some((key.clone(), values.first()?.example()));
        Some(Costume {
            labels: found.pod_labels.iter().filter_map(first).collect(),
            host_network: found.host_network,
            ports: found.ports.iter().map(|p| (p.protocol, p.port)).collect(),
        })
    }

    /// Workloads that pods with these labels belong to. One that is named exactly is not also one of a pattern.
    fn of(&self, namespace: &str, labels: &Labels) -> impl Iterator<Item = &Workload> {
        let all = self.namespaces.get(namespace).into_iter().flatten();
        let matching = all.filter(move |w| !w.host_network && w.matches(labels));
        let found: Vec<&Workload> = matching.collect();
        let exact = found.iter().any(|w| w.is_exact());
        found.into_iter().filter(move |w| !exact || w.is_exact())
    }

    /// Who must reach pods with these labels.
    pub fn ingress(&self, namespace: &str, labels: &Labels) -> Vec<Need> {
        let workloads = self.of(namespace, labels);
        workloads.flat_map(|w| self.served_by(namespace, w)).collect()
    }

    /// Who may reach pods with these labels beyond those who must: the facts say of some workloads that they dial
    /// servers beside them, not which; and give no labels of others, which only tells that a pod may be one of
    /// them.
    pub fn may_enter(&self, namespace: &str, labels: &Labels) -> Vec<Need> {
        let beside = || self.namespaces.get(namespace).into_iter().flatten();
        let ports = || self.of(namespace, labels).flat_map(|w| &w.ports);
        let dialling = beside().filter(|w| w.egress.iter().any(|word| word == "same-namespace"));
        let mut needs: Vec<Need> = dialling
            .map(|client| Need {
                who: client.who(namespace),
                ports: ports().map(|p| Span::one(p.protocol, p.port)).collect(),
                why: format!("facts: {namespace}/{} dials servers beside it", client.name).into(),
            })
            .collect();
        if !self.knows_pod(namespace, labels) {
            let nameless = beside().filter(|w| !w.host_network && w.pod_labels.is_empty());
            needs.extend(nameless.flat_map(|w| self.served_by(namespace, w)));
        }
        needs
    }

    fn served_by(&self, namespace: &str, workload: &Workload) -> Vec<Need> {
        let mut needs = Vec::new();
        for port in &workload.ports {
            for client in &port.clients {
                let why: Arc<str> = format!(
                    "facts: {namespace}/{} {} serves {client}",
                    workload.name, port.port
                )
                .into();
                let sides = self.client(namespace, client);
                needs.extend(sides.into_iter().map(|who| Need {
                    who,
                    ports: vec![Span::one(port.protocol, port.port)],
                    why: Arc::clone(&why),
                }));
            }
        }
        needs
    }

    /// What pods with these labels must reach: what they name, and servers that name them as a client.
    pub fn egress(&self, namespace: &str, labels: &Labels) -> Vec<Need> {
        let mut needs = Vec::new();
        for workload in self.of(namespace, labels) {
            for word in &workload.egress {
                let why: Arc<str> = format!("facts: {namespace}/{} dials {word}", workload.name).into();
                let sides = self.targets.get(word).map(Target::sides).unwrap_or_default();
                needs.extend(sides.into_iter().map(|(who, ports)| Need {
                    who,
                    ports,
                    why: Arc::clone(&why),
                }));
            }
        }
        needs.extend(self.servers_naming(namespace, labels));
        needs
    }

    fn servers_naming(&self, namespace: &str, labels: &Labels) -> Vec<Need> {
        let me = super::needs::Party::Pod { namespace, labels };
        let names_me = |server: &str, word: &String| {
            let generic = matches!(word.as_str(), "any-pod" | "same-namespace");
            !generic
                && self
                    .client(server, word)
                    .iter()
                    .any(|who| who.includes(server, &me))
        };
        let mut needs = Vec::new();
        for (server, workload) in self.workloads() {
            for port in workload
                .ports
                .iter()
                .filter(|p| p.clients.iter().any(|word| names_me(server, word)))
            {
                needs.push(Need {
                    who: workload.who(server),
                    ports: vec![Span::one(port.protocol, port.port)],
                    why: format!(
                        "facts: {server}/{} {} names this client",
                        workload.name, port.port
                    )
                    .into(),
                });
            }
        }
        needs
    }

    /// What a client word means; nothing for the kubelet, which the own node always lets in.
    fn client(&self, own: &str, word: &str) -> Vec<Who> {
        let (word, suffix) = word.split_once(':').map_or((word, None), |(w, s)| (w, Some(s)));
        let Some(client) = self.clients.get(word) else {
            return Vec::new();
        };
        match (word, client.network.as_str()) {
            ("kubelet", _) => Vec::new(),
            ("same-namespace", _) => self.same_namespace(own, suffix),
            ("any-pod", _) => vec![Who::pods(Home::Any)],
            // The facts leave the router's labels to the workloads of its namespace.
            ("router", _) => vec![self.router(), Who::Host],
            (_, "host") => vec![Who::Host],
            (_, "external") => vec![Who::External],
            _ => vec![Who::Pods {
                home: Home::Named(client.namespace.clone().into_iter().collect()),
                patterns: single(&client.pod_labels),
                selector: Selector::default(),
            }],
        }
    }

    fn router(&self) -> Who {
        let home = "openshift-ingress";
        let mut all = self.namespaces.get(home).into_iter().flatten();
        all.find(|w| w.name.starts_with("router-"))
            .map_or_else(|| Who::pods(Home::Named(vec![home.to_owned()])), |w| w.who(home))
    }

    fn same_namespace(&self, own: &str, workload: Option<&str>) -> Vec<Who> {
        let Some(wanted) = workload else {
            return vec![Who::pods(Home::Own)];
        };
        let mut all = self.namespaces.get(own).into_iter().flatten();
        // The facts write the same name with blanks where it stands for itself and with dashes where it is named.
        let named = |w: &&Workload| w.name.replace(' ', "-").starts_with(wanted);
        let found = all.find(named);
        vec![found.map_or_else(|| Who::pods(Home::Own), |w| w.who(own))]
    }
}

impl Target {
    /// What a target word means and which of its ports are numbers. Words of the vocabulary that stand for
    /// all servers are covered by the servers that name the client.
    fn sides(&self) -> Vec<(Who, Vec<Span>)> {
        let ports = self.spans();
        let homes = |text: &str| match text {
            "same" => Home::Own,
            any if any.starts_with("any") => Home::Any,
            names => Home::Named(names.split('+').map(|n| n.trim().to_owned()).collect()),
        };
        let pods = |home| Who::Pods {
            home,
            patterns: single(&self.pod_labels),
            selector: Selector::default(),
        };
        match (self.network.as_deref(), self.namespace.as_deref()) {
            (Some("pod+host"), _) => Vec::new(),
            (Some("host"), _) => vec![(Who::Host, ports)],
            (Some("all"), _) => vec![(Who::Everyone, all_ports())],
            (Some(_), None) => vec![(Who::External, ports)],
            (_, Some(text)) => vec![(pods(homes(text)), ports)],
            (None, None) => Vec::new(),
        }
    }

    fn spans(&self) -> Vec<Span> {
        let numbered: Vec<Span> = self.ports.iter().filter_map(|text| span(text)).collect();
        if self
            .ports
            .iter()
            .any(|text| matches!(text.as_str(), "any" | "all"))
            && numbered.is_empty()
        {
            return all_ports();
        }
        numbered
    }
}

fn span(text: &str) -> Option<Span> {
    let (protocol, port) = text.split_whitespace().next()?.split_once('/')?;
    let protocol = match protocol {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        _ => return None,
    };
    Some(Span::one(protocol, port.parse().ok()?))
}
