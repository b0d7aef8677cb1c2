//! The ends that a rule can name, as sets over everything that could exist.

use std::fmt;

use crate::address::AddressSet;
use crate::labels::NAMESPACE_NAME_LABEL;
use crate::selector::Selector;

/// A set of possible other ends of connections: not only those that exist today.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Region {
    /// Pods on the pod network whose namespace and own labels match.
    Pods {
        /// Over namespace labels.
        namespaces: Selector,
        /// Over pod labels.
        pods: Selector,
    },
    /// Pods on the host network by their labels: a part of [`Region::Host`].
    HostPods {
        /// Over namespace labels.
        namespaces: Selector,
        /// Over pod labels.
        pods: Selector,
    },
    /// The host network of other nodes.
    Host,
    /// Whoever has one of these addresses.
    Addresses(AddressSet),
}

impl Region {
    /// Pods on the pod network.
    pub fn pods(namespaces: Selector, pods: Selector) -> Self {
        Self::Pods { namespaces, pods }
    }

    /// Everything that can be an end.
    pub fn anyone() -> Vec<Self> {
        let any = Self::pods(Selector::everything(), Selector::everything());
        vec![any, Self::Host, Self::Addresses(AddressSet::all())]
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Pods { namespaces, pods } | Self::HostPods { namespaces, pods } => {
                namespaces.is_nothing() || pods.is_nothing()
            }
            Self::Host => false,
            Self::Addresses(set) => set.is_empty(),
        }
    }

    /// True when there is a common part.
    pub(crate) fn intersects(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Pods {
                    namespaces: a,
                    pods: p,
                },
                Self::Pods {
                    namespaces: b,
                    pods: q,
                },
            )
            | (
                Self::HostPods {
                    namespaces: a,
                    pods: p,
                },
                Self::HostPods {
                    namespaces: b,
                    pods: q,
                },
            ) => a.intersects(b) && p.intersects(q),
            (Self::HostPods { .. } | Self::Host, Self::Host) | (Self::Host, Self::HostPods { .. }) => true,
            (Self::Addresses(a), Self::Addresses(b)) => a.intersects(b),
            _ => false,
        }
    }

    /// The common part; `None` when there is none.
    pub(crate) fn intersect(&self, other: &Self) -> Option<Self> {
        let common = match (self, other) {
            (
                Self::Pods {
                    namespaces: a,
                    pods: p,
                },
                Self::Pods {
                    namespaces: b,
                    pods: q,
                },
            ) => Self::Pods {
                namespaces: a.intersect(b),
                pods: p.intersect(q),
            },
            (
                Self::HostPods {
                    namespaces: a,
                    pods: p,
                },
                Self::HostPods {
                    namespaces: b,
                    pods: q,
                },
            ) => Self::HostPods {
                namespaces: a.intersect(b),
                pods: p.intersect(q),
            },
            (part @ Self::HostPods { .. }, Self::Host) | (Self::Host, part @ Self::HostPods { .. }) => {
                part.clone()
            }
            (Self::Host, Self::Host) => Self::Host,
            (Self::Addresses(a), Self::Addresses(b)) => Self::Addresses(a.intersect(b)),
            _ => return None,
        };
        (!common.is_empty()).then_some(common)
    }

    /// Disjoint regions that hold what is in `self` and not in `other`.
    pub(crate) fn subtract(&self, other: &Self) -> Vec<Self> {
        match (self, other) {
            (
                Self::Pods {
                    namespaces: a,
                    pods: p,
                },
                Self::Pods {
                    namespaces: b,
                    pods: q,
                },
            ) => {
                let pieces = subtract_selected((a, p), (b, q));
                pieces
                    .into_iter()
                    .map(|(namespaces, pods)| Self::Pods { namespaces, pods })
                    .collect()
            }
            (
                Self::HostPods {
                    namespaces: a,
                    pods: p,
                },
                Self::HostPods {
                    namespaces: b,
                    pods: q,
                },
            ) => {
                let pieces = subtract_selected((a, p), (b, q));
                pieces
                    .into_iter()
                    .map(|(namespaces, pods)| Self::HostPods { namespaces, pods })
                    .collect()
            }
            (Self::HostPods { .. } | Self::Host, Self::Host) => Vec::new(),
            (Self::Addresses(a), Self::Addresses(b)) => {
                let rest = Self::Addresses(a.subtract(b));
                if rest.is_empty() { Vec::new() } else { vec![rest] }
            }
            _ => vec![self.clone()],
        }
    }
}

type Selected<'a> = (&'a Selector, &'a Selector);

fn subtract_selected((a, p): Selected<'_>, (b, q): Selected<'_>) -> Vec<(Selector, Selector)> {
    let other_namespace = a.subtract(b).into_iter().map(|piece| (piece, p.clone()));
    let shared = a.intersect(b);
    let other_pod = p.subtract(q).into_iter().map(|piece| (shared.clone(), piece));
    let pieces = other_namespace.chain(other_pod);
    pieces
        .filter(|(namespaces, pods)| !namespaces.is_nothing() && !pods.is_nothing())
        .collect()
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let selected = |f: &mut fmt::Formatter<'_>, kind: &str, namespaces: &Selector, pods: &Selector| {
            if pods.is_everything() {
                write!(f, "every {kind}")?;
            } else {
                write!(f, "{kind}s with {pods}")?;
            }
            match namespaces.required_values(NAMESPACE_NAME_LABEL) {
                _ if namespaces.is_everything() => write!(f, " in any namespace"),
                Some([name]) if namespaces.keys().count() == 1 => write!(f, " in namespace {name}"),
                _ => write!(f, " in namespaces with {namespaces}"),
            }
        };
        match self {
            Self::Pods { namespaces, pods } => selected(f, "pod", namespaces, pods),
            Self::HostPods { namespaces, pods } => selected(f, "host-network pod", namespaces, pods),
            Self::Host => f.write_str("the host network"),
            Self::Addresses(set) => write!(f, "{set}"),
        }
    }
}
