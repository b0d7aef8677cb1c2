//! What the cluster is like, as far as rendering depends on it.

use std::sync::Arc;

use bulkhead_api::vocabulary::HOST_NETWORK_NAMESPACE;
use bulkhead_policy::{Dialect, Labels, World};

/// Which pods answer DNS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dns {
    /// Pods of `openshift-dns` on port 5353.
    OpenShift,
    /// Pods `k8s-app=kube-dns` of `kube-system` on port 53.
    #[default]
    Kubernetes,
}

/// What the cluster is like.
#[derive(Clone, Debug, PartialEq)]
pub struct Platform {
    /// Host traffic can be selected through [`HOST_NETWORK_NAMESPACE`]: OVN-Kubernetes and openshift-sdn only.
    pub host_selectable: bool,
    /// The API server runs outside the cluster and calls webhooks from any address.
    pub external_control_plane: bool,
    /// Ports of the API server behind the `kubernetes` Service; never empty.
    pub api_ports: Vec<u16>,
    /// Who answers DNS.
    pub dns: Dns,
    /// A release is being rolled out.
    pub upgrading: bool,
    /// Labels of the host network namespace.
    pub host_namespace_labels: Labels,
}

/// The port of the API server where the EndpointSlice says nothing.
pub const DEFAULT_API_PORT: u16 = 6443;

impl Default for Platform {
    fn default() -> Self {
        Self {
            host_selectable: false,
            external_control_plane: false,
            api_ports: vec![DEFAULT_API_PORT],
            dns: Dns::default(),
            upgrading: false,
            host_namespace_labels: Labels::default(),
        }
    }
}

impl Platform {
    /// The world that policies are judged in: how the plugin reads them, and the namespace that stands for
    /// nodes. Other namespaces are judged by what could exist, so they need not be known.
    pub fn world(&self) -> Arc<World> {
        let dialect = if self.host_selectable {
            Dialect::ovn_kubernetes()
        } else {
            Dialect::spec()
        };
        let mut world = World::new(dialect);
        world.set_namespace(HOST_NETWORK_NAMESPACE, &self.host_namespace_labels);
        Arc::new(world)
    }
}
