//! What a pod needs: who must get through to which ports. Selectors are evaluated here only to tell which
//! live pods are meant.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::labels::{Labels, Pattern, Selector};
use super::objects::Protocol;

/// An address outside the cluster that stands for all of them.
pub const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

/// Consecutive ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct Span {
    pub protocol: Protocol,
    pub first: u16,
    pub last: u16,
}

impl Span {
    /// A single port.
    pub fn one(protocol: Protocol, port: u16) -> Self {
        Self {
            protocol,
            first: port,
            last: port,
        }
    }

    /// Whether the port is among these.
    pub fn contains(self, (protocol, port): (Protocol, u16)) -> bool {
        self.protocol == protocol && (self.first..=self.last).contains(&port)
    }
}

/// Namespaces that clients live in.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Home {
    Any,
    Own,
    Named(Vec<String>),
}

/// The other side of a connection, as facts and declarations describe it.
#[derive(Clone, Debug, PartialEq)]
pub enum Who {
    /// Everybody, outside included.
    Everyone,
    /// Some pods.
    Pods {
        /// Where they live.
        home: Home,
        /// Patterns of label values; one of each key must match.
        patterns: Vec<(String, Vec<Pattern>)>,
        /// A selector.
        selector: Selector,
    },
    /// Processes on nodes.
    Host,
    /// Outside the cluster.
    External,
    /// Outside the cluster, in this range.
    Range(ipnet::IpNet),
}

impl Who {
    /// All pods of these namespaces.
    pub fn pods(home: Home) -> Self {
        Self::Pods {
            home,
            patterns: Vec::new(),
            selector: Selector::default(),
        }
    }

    /// Whether the party is meant, for a pod of the namespace `own`.
    pub fn includes(&self, own: &str, party: &Party<'_>) -> bool {
        match (self, party) {
            (Self::Everyone, _) | (Self::Host, Party::Host) | (Self::External, Party::External(_)) => true,
            (Self::Range(range), Party::External(ip)) => range.contains(ip),
            (
                Self::Pods {
                    home,
                    patterns,
                    selector,
                },
                Party::Pod { namespace, labels },
            ) => {
                home.includes(own, namespace)
                    && selector.matches(labels)
                    && patterns.iter().all(|(key, values)| {
                        labels
                            .get(key)
                            .is_some_and(|value| values.iter().any(|p| p.matches(value)))
                    })
            }
            _ => false,
        }
    }

    /// The same for every pod of the namespaces in question: what a declaration by whole namespaces admits.
    pub fn widened(&self) -> Self {
        match self {
            Self::Pods { home, .. } => Self::pods(home.clone()),
            other => other.clone(),
        }
    }

    /// Where one pod stands for what is meant even if there is none now: its namespace and labels.
    pub fn example(&self, own: &str) -> Option<(String, Labels)> {
        let Self::Pods {
            home,
            patterns,
            selector,
        } = self
        else {
            return None;
        };
        if !selector.match_expressions.is_empty() {
            return None;
        }
        let namespace = match home {
            Home::Any => return None,
            Home::Own => own.to_owned(),
            Home::Named(names) => names.first()?.clone(),
        };
        let from_patterns = patterns
            .iter()
            .filter_map(|(key, values)| Some((key.clone(), values.first()?.example())));
        Some((
            namespace,
            from_patterns.chain(selector.match_labels.clone()).collect(),
        ))
    }
}

impl Home {
    fn includes(&self, own: &str, namespace: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Own => own == namespace,
            Self::Named(names) => names.iter().any(|n| n == namespace),
        }
    }
}

/// A concrete other side.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Party<'a> {
    Pod { namespace: &'a str, labels: &'a Labels },
    Host,
    External(IpAddr),
}

/// Connections that are needed.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Need {
    pub who: Who,
    pub ports: Vec<Span>,
    /// Where this comes from.
    pub why: Arc<str>,
}

impl Need {
    /// Whether the connection is among these.
    pub fn includes(&self, own: &str, party: &Party<'_>, port: (Protocol, u16)) -> bool {
        self.ports.iter().any(|span| span.contains(port)) && self.who.includes(own, party)
    }
}

/// Every port.
pub fn all_ports() -> Vec<Span> {
    [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
        .map(|protocol| Span {
            protocol,
            first: 1,
            last: u16::MAX,
        })
        .to_vec()
}
