//! Operand bundles: which namespaces they may write to (S5), and that what an operand needs is never denied at any
//! stored revision, nor in a mix of recent ones, while what it must not do is denied once its bundle says that it
//! is enforced.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use super::evaluate::Direction;
use super::history::{Content, Event, History, Kind};
use super::labels::Labels;
use super::objects::{Pod, Protocol};
use super::report::{Breach, Level, Loss, Report};
use super::window::Concerning;
use super::world::{Peer, World, subject};

/// Value of the label `app` of istio-csr's pods.
const ISTIO_CSR: &str = "cert-manager-istio-csr";
/// Names of the bundles with the fields that name namespaces, and what these are by default.
const NAMESPACES: [(&str, &str, &str, &str); 5] = [
    (
        "ztwim",
        "zeroTrustWorkloadIdentityManager",
        "namespace",
        "zero-trust-workload-identity-manager",
    ),
    (
        "cert-manager",
        "certManager",
        "operatorNamespace",
        "cert-manager-operator",
    ),
    ("cert-manager", "certManager", "namespace", "cert-manager"),
    (
        "external-secrets",
        "externalSecrets",
        "operatorNamespace",
        "external-secrets-operator",
    ),
    (
        "external-secrets",
        "externalSecrets",
        "namespace",
        "external-secrets",
    ),
];

/// The bundles as stored, and every namespace that one of them ever named.
#[derive(Default)]
pub struct Bundles {
    objects: BTreeMap<Arc<str>, Arc<Value>>,
    named: BTreeSet<Arc<str>>,
    /// Namespaces in which istio-csr runs or ran.
    csr: BTreeSet<Arc<str>>,
}

impl Bundles {
    /// Takes in an event.
    pub fn apply(&mut self, event: &Event) {
        match (event.id.kind, &event.content) {
            (Kind::OperandNetworkPolicy, Content::Setting(value)) => {
                let name = event.id.name.clone();
                match value {
                    Some(value) => drop(self.objects.insert(name.clone(), value.clone())),
                    None => drop(self.objects.remove(&name)),
                }
                self.note(&name);
            }
            (Kind::IstioCsr, _) => drop(self.csr.insert(event.id.namespace.clone())),
            (Kind::Pod, Content::Pod(Some(pod))) if pod.labels.get("app").is_some_and(|a| a == ISTIO_CSR) => {
                self.csr.insert(event.id.namespace.clone());
            }
            _ => {}
        }
    }

    fn note(&mut self, bundle: &str) {
        let Some(object) = self.objects.get(bundle) else {
            return;
        };
        for (_, member, field, default) in NAMESPACES.iter().filter(|n| n.0 == bundle) {
            let chosen = object["spec"][member][field].as_str().unwrap_or(default);
            self.named.insert(chosen.into());
        }
        if let Some(csr) = object["spec"]["certManager"]["istioCSR"]["namespace"].as_str() {
            self.named.insert(csr.into());
        }
    }

    /// Whether a bundle names the namespace, or did: what it made there has to go.
    pub fn named(&self, namespace: &str) -> bool {
        self.named.contains(namespace)
            || (self.csr.contains(namespace) && self.named.contains("cert-manager-operator"))
    }

    /// Whether a bundle that writes policies names the namespace now.
    pub fn take(&self, namespace: &str) -> bool {
        let writes = |object: &Value| object["spec"]["enforcement"] != "Audit";
        let mut all = self.objects.iter();
        all.any(|(bundle, object)| writes(object) && self.has(bundle, namespace))
    }

    /// Whether a bundle names the namespace now.
    fn has(&self, bundle: &str, namespace: &str) -> bool {
        let Some(object) = self.objects.get(bundle) else {
            return false;
        };
        let mut own = NAMESPACES.iter().filter(|n| n.0 == bundle);
        let chosen =
            |n: &(&str, &str, &str, &str)| object["spec"][n.1][n.2].as_str().unwrap_or(n.3) == namespace;
        own.any(chosen) || (bundle == "cert-manager" && self.csr.contains(namespace))
    }

    /// Whether the bundle says that its policies are in force, for its current generation.
    fn enforced(&self, bundle: &str) -> bool {
        let Some(object) = self.objects.get(bundle) else {
            return false;
        };
        let current = object["status"]["observedGeneration"] == object["metadata"]["generation"];
        let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        current && conditions.any(|c| c["type"] == "Active" && c["status"] == "True")
    }
}

/// What pods of an operand must and must not be able to do.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)]
pub struct Table {
    pub bundle: String,
    pub namespace: String,
    pub pods: Labels,
    #[serde(default)]
    pub required: Vec<Line>,
    #[serde(default)]
    pub forbidden: Vec<Line>,
}

/// Connections with one peer.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)]
pub struct Line {
    pub ingress: Option<Who>,
    pub egress: Option<Who>,
    pub ports: Vec<PortText>,
}

/// A peer.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Who {
    Word(String),
    Pod {
        namespace: String,
        #[serde(default)]
        labels: Labels,
    },
}

/// A port, for example `8080` or `UDP/53`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum PortText {
    Number(u16),
    Text(String),
}

impl Table {
    /// Whether a pod is meant.
    pub fn selects(&self, namespace: &str, labels: &Labels) -> bool {
        self.namespace == namespace
            && self
                .pods
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
    }
}

impl PortText {
    /// Protocol and number.
    pub fn port(&self) -> anyhow::Result<(Protocol, u16)> {
        Ok(match self {
            Self::Number(number) => (Protocol::Tcp, *number),
            Self::Text(text) => {
                let number = text.strip_prefix("UDP/").context("only UDP/ is known")?;
                (Protocol::Udp, number.parse()?)
            }
        })
    }
}

/// Reads the tables of a file.
pub fn load(path: &Path) -> anyhow::Result<Vec<Table>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    read(&text)
}

/// Reads the tables.
pub fn read(text: &str) -> anyhow::Result<Vec<Table>> {
    let tables: Vec<Table> = bulkhead_api::yaml::from_str(text)?;
    for line in tables.iter().flat_map(|t| t.required.iter().chain(&t.forbidden)) {
        for port in &line.ports {
            port.port()?;
        }
        anyhow::ensure!(
            line.ingress.is_some() != line.egress.is_some(),
            "one direction for each line: {line:?}"
        );
    }
    Ok(tables)
}

/// A judged connection: table, line, port, pod.
type Judged = (usize, usize, usize, Arc<str>);

/// Walks a history and judges bundles.
pub struct Judge<'a> {
    tables: &'a [Table],
    window: Duration,
    world: World,
    bundles: Bundles,
    /// Required connections that are denied, with their loss.
    broken: BTreeMap<Judged, usize>,
}

impl<'a> Judge<'a> {
    /// Starts from the base of the history.
    pub fn new(tables: &'a [Table], window: Duration, history: &History) -> Self {
        let mut judge = Self {
            tables,
            window,
            world: World::default(),
            bundles: Bundles::default(),
            broken: BTreeMap::new(),
        };
        for event in &history.base {
            judge.world.apply(event, true);
            judge.bundles.apply(event);
        }
        judge
    }

    /// Judges one event.
    pub fn step(&mut self, event: &Event, report: &mut Report) {
        self.world.trim(event.at.saturating_sub(self.window));
        self.world.apply(event, false);
        self.bundles.apply(event);
        if matches!(event.id.kind, Kind::Policy | Kind::Pod | Kind::Namespace) {
            self.require(event, report);
        }
        if event.id.kind == Kind::OperandNetworkPolicy {
            self.forbid(event, report);
        }
    }

    fn require(&mut self, event: &Event, report: &mut Report) {
        let tables = self.tables;
        let touched = |t: &Table| *t.namespace == *event.id.namespace || event.id.kind == Kind::Namespace;
        for (at, table) in tables.iter().enumerate().filter(|(_, t)| touched(t)) {
            for (pod, spec) in self.pods(table) {
                for (line_at, line) in table.required.iter().enumerate() {
                    for (port_at, port) in line.ports.iter().enumerate() {
                        let (mixed, stored) = self.verdicts(table, &spec, line, port);
                        report.counts.connections += 1;
                        let id = (at, line_at, port_at, pod.clone());
                        let known = self.broken.get(&id).copied();
                        match known {
                            None if !mixed => {
                                let level = if stored { Level::Mixed } else { Level::Stored };
                                self.broken.insert(id, report.losses.len());
                                report.losses.push(loss(event, table, &pod, line, port, level));
                            }
                            Some(loss) if mixed => {
                                report.losses[loss].regained = Some((event.revision, event.at));
                                self.broken.remove(&id);
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
    }

    /// The bundle has just said something: if it says that it is enforced, nothing forbidden is possible.
    fn forbid(&self, event: &Event, report: &mut Report) {
        let tables = self.tables;
        if !self.bundles.enforced(&event.id.name) {
            return;
        }
        let chosen = |t: &&Table| *t.bundle == *event.id.name && self.bundles.has(&t.bundle, &t.namespace);
        for table in tables.iter().filter(chosen) {
            for (pod, spec) in self.pods(table) {
                for line in &table.forbidden {
                    for port in &line.ports {
                        report.counts.forbidden += 1;
                        if self.verdicts(table, &spec, line, port).1 {
                            report.breaches.push(Breach {
                                invariant: "S2",
                                revision: event.revision,
                                what: format!(
                                    "bundle {} says that it is enforced, and {}/{pod} still may {line:?} {port:?}",
                                    table.bundle, table.namespace
                                ),
                            });
                        }
                    }
                }
            }
        }
    }

    fn pods(&self, table: &Table) -> Vec<(Arc<str>, Pod)> {
        let all = self
            .world
            .subjects(&table.namespace)
            .filter(|(_, pod)| table.selects(&table.namespace, &pod.labels));
        all.map(|(name, pod)| (name.clone(), pod.clone())).collect()
    }

    /// Whether the connection is allowed in every mix of recent versions, and at the stored revision.
    fn verdicts(&self, table: &Table, pod: &Pod, line: &Line, port: &PortText) -> (bool, bool) {
        let (direction, who) = match (&line.ingress, &line.egress) {
            (Some(who), _) => (Direction::Ingress, who),
            (None, Some(who)) => (Direction::Egress, who),
            (None, None) => return (true, true),
        };
        let Ok(port) = port.port() else {
            return (false, false);
        };
        let peer = self.peer(who);
        let verdict = |recent: bool| {
            let policies = self.world.policies(&table.namespace, recent);
            let side = Concerning::new(&policies, direction, subject(&table.namespace, pod));
            self.world
                .sightings(&peer, recent)
                .into_iter()
                .all(|other| side.guarantees(other, port))
        };
        (verdict(true), verdict(false))
    }

    fn peer(&self, who: &Who) -> Peer {
        match who {
            Who::Word(word) if word == "node" => Peer::Host,
            Who::Word(word) if word == "outside" => Peer::External(super::needs::OUTSIDE),
            Who::Word(_) => self.world.absent("strangers".to_owned(), Labels::default()),
            Who::Pod { namespace, labels } => self.world.absent(namespace.clone(), labels.clone()),
        }
    }
}

fn loss(event: &Event, table: &Table, pod: &Arc<str>, line: &Line, port: &PortText, level: Level) -> Loss {
    Loss {
        revision: event.revision,
        at: event.at,
        level,
        write: format!(
            "{} {}",
            event.id,
            if event.content.is_gone() {
                "deleted"
            } else {
                "written"
            }
        ),
        writer: event.writer.clone(),
        namespace: table.namespace.as_str().into(),
        pod: pod.clone(),
        direction: if line.ingress.is_some() {
            Direction::Ingress
        } else {
            Direction::Egress
        },
        example: format!("{line:?} {port:?} of bundle {}", table.bundle),
        connections: 1,
        regained: None,
    }
}

/// Judges a whole history.
pub fn check(tables: &[Table], window: Duration, history: &History, report: &mut Report) {
    let mut judge = Judge::new(tables, window, history);
    for event in &history.events {
        judge.step(event, report);
    }
}
