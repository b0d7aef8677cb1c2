//! NetworkPolicy v1 as values: defaulted, validated, compact.

use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

use crate::ports::Protocol;
use crate::selector::Selector;

/// The side of a connection that a policy looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Connections that arrive at the selected pods.
    Ingress,
    /// Connections that the selected pods open.
    Egress,
}

impl Direction {
    /// Both directions.
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    /// The API name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One entry of `from` or `to`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    /// Pods by the labels of their namespace and their own.
    Pods {
        /// `None`: the policy's own namespace.
        namespaces: Option<Selector>,
        /// `None`: every pod there. On some network plugins absent and `{}` differ for host traffic.
        pods: Option<Selector>,
    },
    /// Addresses.
    IpBlock {
        /// The network.
        cidr: IpNet,
        /// Networks strictly inside it that are left out.
        except: Vec<IpNet>,
    },
}

/// The port of a [`PortRule`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Port {
    /// Every port of the protocol.
    Any,
    /// The inclusive range of numbers; both ends are equal without `endPort`.
    Range(u16, u16),
    /// A container port's name, resolved on the destination pod.
    Named(Arc<str>),
}

/// One entry of `ports`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRule {
    /// The protocol.
    pub protocol: Protocol,
    /// The port or ports.
    pub port: Port,
}

impl PortRule {
    /// One port by number.
    pub fn number(protocol: Protocol, port: u16) -> Self {
        Self {
            protocol,
            port: Port::Range(port, port),
        }
    }
}

/// One ingress or egress rule: any of the peers on any of the ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rule {
    /// Empty: anyone, inside or outside the cluster.
    pub peers: Vec<Peer>,
    /// Empty: all traffic, whatever the protocol.
    pub ports: Vec<PortRule>,
}

/// One policy object of one namespace, after the API server's defaulting.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// The namespace whose pods it selects.
    pub namespace: Arc<str>,
    /// The object's name.
    pub name: Arc<str>,
    /// Which pods of the namespace.
    pub pods: Selector,
    /// `None`: ingress is not in `policyTypes`, so this policy does not isolate it. Empty: nothing allowed.
    pub ingress: Option<Vec<Rule>>,
    /// The same for egress.
    pub egress: Option<Vec<Rule>>,
}

impl Policy {
    /// The rules for a direction; `None` when this policy does not isolate it.
    pub fn rules(&self, direction: Direction) -> Option<&[Rule]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }
}
