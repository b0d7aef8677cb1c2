//! From the API's shapes to a [`ClusterPolicy`].

use std::sync::Arc;

use crate::address::AddressSet;
use crate::policy::Direction;
use crate::ports::{PortSet, Protocol};
use crate::selector::Selector;
use crate::v1::{Errors, Invalid, network, selector};

use super::schema::{
    AdminPort, AdminSpec, ClusterProtocol, ClusterSpec, Destination, NumberOrRange, RawRule, Selection,
};
use super::{Action, ClusterPeer, ClusterPolicy, ClusterPorts, ClusterRule, Tier};

/// The order of the only baseline policy that v1alpha1 has; alone in its tier, its number means nothing.
const ONLY: u16 = 0;

/// Reads a ClusterNetworkPolicy v1alpha2.
///
/// # Errors
/// [`Invalid`] lists every field that the API server would refuse.
pub fn parse_cluster(name: impl Into<Arc<str>>, spec: &ClusterSpec) -> Result<ClusterPolicy, Invalid> {
    let mut errors = Errors::default();
    let tier = match spec.tier.as_str() {
        "Admin" => Tier::Admin,
        "Baseline" => Tier::Baseline,
        other => {
            errors.add("spec.tier", format!("{other:?} is not Admin or Baseline"));
            Tier::Admin
        }
    };
    let priority = priority(spec.priority, &mut errors);
    let mut reader = Reader {
        accept: "Accept",
        pass: true,
        errors,
    };
    let (ingress, egress) = (spec.ingress.as_deref(), spec.egress.as_deref());
    reader.policy(name.into(), (tier, priority), &spec.subject, (ingress, egress))
}

/// Reads an AdminNetworkPolicy v1alpha1.
///
/// # Errors
/// As [`parse_cluster`].
pub fn parse_admin(name: impl Into<Arc<str>>, spec: &AdminSpec) -> Result<ClusterPolicy, Invalid> {
    let mut errors = Errors::default();
    if spec.priority.is_none() {
        errors.add("spec.priority", "is required");
    }
    let priority = priority(spec.priority.unwrap_or_default(), &mut errors);
    let mut reader = Reader {
        accept: "Allow",
        pass: true,
        errors,
    };
    let (ingress, egress) = (spec.ingress.as_deref(), spec.egress.as_deref());
    reader.policy(
        name.into(),
        (Tier::Admin, priority),
        &spec.subject,
        (ingress, egress),
    )
}

/// Reads a BaselineAdminNetworkPolicy v1alpha1.
///
/// # Errors
/// As [`parse_cluster`].
pub fn parse_baseline(name: impl Into<Arc<str>>, spec: &AdminSpec) -> Result<ClusterPolicy, Invalid> {
    let mut reader = Reader {
        accept: "Allow",
        pass: false,
        errors: Errors::default(),
    };
    let (ingress, egress) = (spec.ingress.as_deref(), spec.egress.as_deref());
    reader.policy(
        name.into(),
        (Tier::Baseline, ONLY),
        &spec.subject,
        (ingress, egress),
    )
}

fn priority(number: i64, errors: &mut Errors) -> u16 {
    let valid = u16::try_from(number).ok().filter(|number| *number <= 1000);
    valid.unwrap_or_else(|| {
        errors.add("spec.priority", format!("{number} is not between 0 and 1000"));
        ONLY
    })
}

/// What one version and kind spells in its own way, and the faults found so far.
struct Reader {
    accept: &'static str,
    pass: bool,
    errors: Errors,
}

impl Reader {
    fn policy(
        &mut self,
        name: Arc<str>,
        (tier, priority): (Tier, u16),
        subject: &Selection,
        (ingress, egress): (Option<&[RawRule]>, Option<&[RawRule]>),
    ) -> Result<ClusterPolicy, Invalid> {
        let (namespaces, pods) = match self.peer(subject, "spec.subject") {
            Some(ClusterPeer::Pods { namespaces, pods }) => (namespaces, pods),
            Some(_) => {
                self.errors.add("spec.subject", "must be namespaces or pods");
                (Selector::nothing(), Selector::nothing())
            }
            None => (Selector::nothing(), Selector::nothing()),
        };
        let ingress = self.rules(ingress.unwrap_or_default(), Direction::Ingress);
        let egress = self.rules(egress.unwrap_or_default(), Direction::Egress);
        std::mem::take(&mut self.errors).none()?;
        Ok(ClusterPolicy {
            name,
            tier,
            priority,
            namespaces,
            pods,
            ingress,
            egress,
        })
    }

    fn rules(&mut self, raw: &[RawRule], direction: Direction) -> Vec<ClusterRule> {
        let list = if direction == Direction::Ingress {
            "ingress"
        } else {
            "egress"
        };
        let rules = raw.iter().enumerate();
        rules
            .filter_map(|(at, raw)| self.rule(raw, direction, &format!("spec.{list}[{at}]")))
            .collect()
    }

    fn rule(&mut self, raw: &RawRule, direction: Direction, path: &str) -> Option<ClusterRule> {
        let action = match raw.action.as_str() {
            name if name == self.accept => Some(Action::Accept),
            "Deny" => Some(Action::Deny),
            "Pass" if self.pass => Some(Action::Pass),
            other => {
                let pass = if self.pass { ", Deny or Pass" } else { " or Deny" };
                self.errors.add(
                    format!("{path}.action"),
                    format!("{other:?} is not {}{pass}", self.accept),
                );
                None
            }
        };
        let (peers, field) = match direction {
            Direction::Ingress => (&raw.from, "from"),
            Direction::Egress => (&raw.to, "to"),
        };
        let peers = peers.as_deref().unwrap_or_default();
        if peers.is_empty() {
            self.errors
                .add(format!("{path}.{field}"), "needs at least one peer");
        }
        let peers = peers.iter().enumerate();
        let peers = peers
            .filter_map(|(at, raw)| self.peer(raw, &format!("{path}.{field}[{at}]")))
            .collect();
        let ports = self.ports(raw, path);
        Some(ClusterRule {
            action: action?,
            peers,
            ports,
        })
    }

    fn peer(&mut self, raw: &Selection, path: &str) -> Option<ClusterPeer> {
        let mut found = Vec::new();
        if let Some(raw) = &raw.namespaces {
            let namespaces = selector(raw, &format!("{path}.namespaces"), &mut self.errors).on_namespaces();
            found.push(ClusterPeer::Pods {
                namespaces,
                pods: Selector::everything(),
            });
        }
        if let Some(raw) = &raw.pods {
            let path = format!("{path}.pods");
            let namespaces = selector(
                &raw.namespace_selector,
                &format!("{path}.namespaceSelector"),
                &mut self.errors,
            );
            let pods = selector(
                &raw.pod_selector,
                &format!("{path}.podSelector"),
                &mut self.errors,
            );
            found.push(ClusterPeer::Pods {
                namespaces: namespaces.on_namespaces(),
                pods,
            });
        }
        if let Some(raw) = &raw.nodes {
            found.push(ClusterPeer::Nodes(selector(
                raw,
                &format!("{path}.nodes"),
                &mut self.errors,
            )));
        }
        if let Some(raw) = &raw.networks {
            let mut networks = AddressSet::default();
            for (at, text) in raw.iter().enumerate() {
                let net = network(text, &format!("{path}.networks[{at}]"), &mut self.errors);
                networks = net.map_or(networks.clone(), |net| networks.union(&AddressSet::network(&net)));
            }
            found.push(ClusterPeer::Networks(networks));
        }
        if let Some(names) = &raw.domain_names {
            found.push(ClusterPeer::Domains(
                names.iter().map(|name| name.as_str().into()).collect(),
            ));
        }
        if found.len() != 1 {
            self.errors.add(
                path,
                format!("{} kinds of selection, exactly one is allowed", found.len()),
            );
        }
        found.pop()
    }

    fn ports(&mut self, raw: &RawRule, path: &str) -> Option<ClusterPorts> {
        let mut ports = ClusterPorts::default();
        for (at, port) in raw.ports.iter().flatten().enumerate() {
            self.admin_port(port, &format!("{path}.ports[{at}]"), &mut ports);
        }
        for (at, protocol) in raw.protocols.iter().flatten().enumerate() {
            self.cluster_protocol(protocol, &format!("{path}.protocols[{at}]"), &mut ports);
        }
        (raw.ports.is_some() || raw.protocols.is_some()).then_some(ports)
    }

    fn admin_port(&mut self, raw: &AdminPort, path: &str, ports: &mut ClusterPorts) {
        match (&raw.port_number, &raw.named_port, &raw.port_range) {
            (Some(one), None, None) => {
                self.add_range(
                    one.protocol.as_deref(),
                    (one.port, one.port),
                    &format!("{path}.portNumber"),
                    ports,
                );
            }
            (None, Some(name), None) => ports.names.push(name.as_str().into()),
            (None, None, Some(range)) => {
                let path = format!("{path}.portRange");
                self.add_range(range.protocol.as_deref(), (range.start, range.end), &path, ports);
            }
            _ => self.errors.add(
                path,
                "exactly one of portNumber, namedPort and portRange is required",
            ),
        }
    }

    fn cluster_protocol(&mut self, raw: &ClusterProtocol, path: &str, ports: &mut ClusterPorts) {
        let transports = [("TCP", &raw.tcp), ("UDP", &raw.udp), ("SCTP", &raw.sctp)];
        let given = transports.iter().filter(|(_, d)| d.is_some()).count()
            + usize::from(raw.destination_named_port.is_some());
        if given != 1 {
            self.errors.add(
                path,
                "exactly one of tcp, udp, sctp and destinationNamedPort is required",
            );
        }
        ports
            .names
            .extend(raw.destination_named_port.as_deref().map(Into::into));
        for (protocol, destination) in transports {
            let Some(Destination { destination_port }) = destination else {
                continue;
            };
            let range = match destination_port {
                None => (1, i64::from(u16::MAX)),
                Some(NumberOrRange {
                    number: Some(number),
                    range: None,
                }) => (*number, *number),
                Some(NumberOrRange {
                    number: None,
                    range: Some(range),
                }) => (range.start, range.end),
                Some(_) => {
                    self.errors
                        .add(path, "destinationPort needs exactly one of number and range");
                    continue;
                }
            };
            self.add_range(Some(protocol), range, path, ports);
        }
    }

    fn add_range(
        &mut self,
        protocol: Option<&str>,
        (first, last): (i64, i64),
        path: &str,
        ports: &mut ClusterPorts,
    ) {
        let name = protocol.unwrap_or("TCP");
        let number = |port: i64| u16::try_from(port).ok().filter(|port| *port > 0);
        match (Protocol::parse(name), number(first), number(last)) {
            (Some(protocol), Some(first), Some(last)) if first <= last => {
                ports.numbers = ports.numbers.union(&PortSet::range(protocol, first, last));
            }
            _ => self
                .errors
                .add(path, format!("{name} {first} to {last} is not a range of ports")),
        }
    }
}
