//! Parts of every cluster that talk with pods without being pods: where their connections come from and go.

use std::net::IpAddr;

use crate::selector::Selector;
use crate::world::{Endpoint, Pod, PodState};

/// Where the control plane runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlPlane {
    /// On the host network of nodes of this cluster, with these addresses as far as they are known.
    OnNodes(Vec<IpAddr>),
    /// Elsewhere: pods see it as something outside, and its calls into the cluster arrive through a tunnel.
    Hosted(Vec<IpAddr>),
}

/// A part of the cluster that policies cannot select.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WellKnown {
    /// The API server, as a destination of pods.
    ApiServer,
    /// The API server as it calls admission and conversion webhooks.
    WebhookCaller,
    /// The API server as it calls aggregated API servers.
    AggregatedApiCaller,
    /// The kubelet, which probes the pods of its node; nothing can deny it that.
    Kubelet,
    /// The kubelet of another node, or any other process there.
    OtherNode,
}

/// The label of the agents that end the tunnel of a hosted control plane, by convention.
const TUNNEL_AGENT: (&str, &str) = ("k8s-app", "konnectivity-agent");

impl WellKnown {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::ApiServer,
        Self::WebhookCaller,
        Self::AggregatedApiCaller,
        Self::Kubelet,
        Self::OtherNode,
    ];

    /// The name by which people may ask for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApiServer => "apiserver",
            Self::WebhookCaller => "webhook-caller",
            Self::AggregatedApiCaller => "aggregated-api-caller",
            Self::Kubelet => "kubelet",
            Self::OtherNode => "host",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// The ends that it may be. Several are alternatives: an answer holds if it is the same for all.
    pub fn ends<'a>(self, control_plane: &ControlPlane, pods: &'a [Pod]) -> Vec<Endpoint<'a>> {
        match (self, control_plane) {
            (Self::Kubelet, _) => vec![Endpoint::OwnNode],
            (Self::OtherNode, _) => vec![Endpoint::Host { address: None }],
            (_, ControlPlane::OnNodes(addresses)) if addresses.is_empty() => {
                vec![Endpoint::Host { address: None }]
            }
            (_, ControlPlane::OnNodes(addresses)) => {
                let host = |address: &IpAddr| Endpoint::Host {
                    address: Some(*address),
                };
                addresses.iter().map(host).collect()
            }
            (Self::ApiServer, ControlPlane::Hosted(addresses)) if !addresses.is_empty() => addresses
                .iter()
                .map(|address| Endpoint::External(*address))
                .collect(),
            (Self::ApiServer, ControlPlane::Hosted(_)) => vec![Endpoint::ExternalUnknown],
            (_, ControlPlane::Hosted(_)) => tunnel_ends(pods),
        }
    }
}

/// What pods see of calls through the tunnel: the agents that end it, or somebody unknown.
fn tunnel_ends(pods: &[Pod]) -> Vec<Endpoint<'_>> {
    let agent = Selector::from([TUNNEL_AGENT]);
    let agents: Vec<Endpoint<'_>> = pods
        .iter()
        .filter(|pod| pod.state != PodState::Finished && agent.matches(&pod.labels))
        .map(Endpoint::Pod)
        .collect();
    if agents.is_empty() {
        vec![Endpoint::ExternalUnknown]
    } else {
        agents
    }
}
