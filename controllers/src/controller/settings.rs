//! What the controller was told at its start.

use std::{sync::Arc, time::Duration};

use bulkhead_api::Catalog;

/// How the plugin's ability to select host traffic is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Known {
    /// Read it from the cluster.
    #[default]
    FromCluster,
    /// It is so.
    Yes,
    /// It is not so.
    No,
}

/// What the controller was told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long everybody may take to see a change.
    pub settle: Duration,
    /// What is known of system namespaces.
    pub catalog: Arc<Catalog>,
    /// Whether `unsupportedConfigOverrides` is read.
    pub read_overrides: bool,
    /// Identity in leader election.
    pub identity: Arc<str>,
    /// The namespace that the operator runs in.
    pub own_namespace: Arc<str>,
    /// Steps carried out at the same time.
    pub concurrency: usize,
    /// Deadline of one request.
    pub request_limit: Duration,
    /// Whether policies can select host traffic.
    pub host_selectable: Known,
    /// Whether the control plane runs outside the cluster.
    pub external_control_plane: Known,
}
