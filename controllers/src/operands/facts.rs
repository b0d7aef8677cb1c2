//! What was found out about the cluster and the operands, as an immutable snapshot.
//!
//! Nothing in here is secret: connection strings and proxy URLs are reduced to their ports.

use std::collections::BTreeSet;
use std::sync::Arc;

use bulkhead_api::operand::ComponentState;
use bulkhead_policy::Pod;
use serde_json::Value;

use crate::decide::Platform;

/// TCP ports.
pub type Ports = BTreeSet<u16>;

/// Everything that bundles depend on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// What the cluster is like. Its API ports always contain 6443.
    pub platform: Platform,
    /// The namespace that this operator runs in; never isolated as a whole.
    pub own_namespace: Option<Arc<str>>,
    /// Pods of all namespaces that bundles may write to.
    pub pods: Vec<Pod>,
    /// SPIRE.
    pub spire: Spire,
    /// cert-manager and istio-csr.
    pub cert_manager: CertManager,
    /// external-secrets.
    pub external_secrets: ExternalSecrets,
}

/// Something that needs attention but stops nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Warning {
    /// One CamelCase word.
    pub reason: &'static str,
    /// What was found and what to do.
    pub message: String,
}

/// The most that a warning may say (the limit of the status).
const LONGEST: usize = 1000;

impl Warning {
    /// The message as it is stored.
    pub fn text(&self) -> String {
        self.message.chars().take(LONGEST).collect()
    }

    /// A warning.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

/// What was found about SPIRE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spire {
    /// The operator or an operand is there.
    pub present: bool,
    /// Ports on which the operator may serve metrics.
    pub operator_metrics: Ports,
    /// Ports of federated bundle endpoints and of the ACME directory; `None` without federation.
    pub federation: Option<Ports>,
    /// Ports of an external database; empty with the built-in one.
    pub datastore: Ports,
    /// Ports of proxies.
    pub proxy: Ports,
    /// What was odd.
    pub warnings: Vec<Warning>,
}

/// What was found about cert-manager.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CertManager {
    /// The operator or an operand is there.
    pub present: bool,
    /// istio-csr, if it is there.
    pub istio_csr: Option<IstioCsr>,
    /// Ports of proxies.
    pub proxy: Ports,
    /// What was odd.
    pub warnings: Vec<Warning>,
}

/// What was found about istio-csr.
#[derive(Clone, Debug, PartialEq)]
pub struct IstioCsr {
    /// The namespace of its pods.
    pub namespace: Arc<str>,
    /// The port of the container.
    pub grpc_port: u16,
    /// The port of the Service, which no policy sees.
    pub service_port: u16,
}

/// What was found about external-secrets.
#[derive(Clone, Debug, PartialEq)]
pub struct ExternalSecrets {
    /// The operator or an operand is there.
    pub present: bool,
    /// The namespace that the operator's own object names.
    pub namespace: Option<Arc<str>>,
    /// The component that makes the webhook's certificates.
    pub cert_controller: ComponentState,
    /// The Bitwarden server.
    pub bitwarden: ComponentState,
    /// User entries as they were written.
    pub entries: Vec<Value>,
    /// Ports of proxies.
    pub proxy: Ports,
    /// What was odd.
    pub warnings: Vec<Warning>,
}

impl Default for ExternalSecrets {
    fn default() -> Self {
        Self {
            present: false,
            namespace: None,
            cert_controller: ComponentState::Absent,
            bitwarden: ComponentState::Absent,
            entries: Vec::new(),
            proxy: Ports::new(),
            warnings: Vec::new(),
        }
    }
}
