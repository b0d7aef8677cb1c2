//! The gRPC port of istio-csr, which its users have to open.

use std::sync::Arc;

use bulkhead_policy::{
    Direction, Labels, Pod, Policy, Protocol, World,
    tiers::{Action, ClusterPolicy, ClusterPorts, Tier},
};

use super::{Warning, facts::IstioCsr, reach};

/// What policies of others say about the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grpc {
    /// Somebody may connect.
    Open,
    /// Only the port of the Service is open, which no policy ever sees.
    ServicePortOnly,
    /// Nobody opened it.
    Closed,
    /// Policies of the administrator decide, and they cannot be read.
    Unknown,
}

/// What policies of the administrator, which come before all others, say about the port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AdminPolicies {
    /// Nothing.
    #[default]
    Silent,
    /// They let somebody in.
    Allow,
    /// They could not be read.
    Unreadable,
}

/// The pod to ask about when none runs.
pub fn example(found: &IstioCsr) -> Pod {
    let labels = Labels::from([
        ("app", "cert-manager-istio-csr"),
        ("app.kubernetes.io/name", "cert-manager-istio-csr"),
        ("app.kubernetes.io/instance", "cert-manager-istio-csr"),
    ]);
    Pod::new(found.namespace.clone(), "cert-manager-istio-csr", labels)
}

/// Judges policies that are not ours.
pub fn judge(
    world: &World,
    others: &[Arc<Policy>],
    admin: AdminPolicies,
    pod: &Pod,
    found: &IstioCsr,
) -> Grpc {
    let open = |port| {
        others
            .iter()
            .any(|p| reach::opens(world, p, Direction::Ingress, pod, port))
    };
    match admin {
        _ if open(found.grpc_port) => Grpc::Open,
        AdminPolicies::Allow => Grpc::Open,
        AdminPolicies::Unreadable => Grpc::Unknown,
        AdminPolicies::Silent if open(found.service_port) => Grpc::ServicePortOnly,
        AdminPolicies::Silent => Grpc::Closed,
    }
}

/// What policies of the administrator say about a TCP port of a pod. `None` stands for one that is stored and not
/// understood. Only the Admin tier comes before our deny.
pub fn administrator(
    world: &World,
    stored: impl IntoIterator<Item = Option<ClusterPolicy>>,
    pod: &Pod,
    port: u16,
) -> AdminPolicies {
    let mut said = AdminPolicies::Silent;
    for policy in stored {
        match policy {
            Some(policy) if accepts(world, &policy, pod, port) => return AdminPolicies::Allow,
            Some(_) => {}
            None => said = AdminPolicies::Unreadable,
        }
    }
    said
}

fn accepts(world: &World, policy: &ClusterPolicy, pod: &Pod, port: u16) -> bool {
    let on_port = |ports: &ClusterPorts| {
        let named = |name: &Arc<str>| {
            let mut all = pod.ports.iter();
            all.any(|p| p.name == *name && p.protocol == Protocol::Tcp && p.port == port)
        };
        ports.numbers.contains(Protocol::Tcp, port) || ports.names.iter().any(named)
    };
    let mut rules = policy.rules(Direction::Ingress).iter();
    policy.tier == Tier::Admin
        && policy.applies_to(world, pod)
        && rules.any(|r| r.action == Action::Accept && r.ports.as_ref().is_none_or(on_port))
}

/// The warning for a state; the same text every time, so that a change of text is a transition.
pub fn warning(state: Grpc, found: &IstioCsr) -> Option<Warning> {
    let IstioCsr {
        namespace,
        grpc_port,
        service_port,
    } = found;
    match state {
        Grpc::Open | Grpc::Unknown => None,
        Grpc::Closed => Some(Warning::new(
            "GrpcClosed",
            format!(
                "no policy lets anybody reach istio-csr in {namespace}; add a NetworkPolicy for TCP {grpc_port} of \
                 app=cert-manager-istio-csr, or set certManager.istioCSR.grpc.policy to Generated"
            ),
        )),
        Grpc::ServicePortOnly => Some(Warning::new(
            "GrpcServicePort",
            format!(
                "service port opened, container port is {grpc_port}: a policy in {namespace} allows TCP \
                 {service_port}, which istio-csr does not listen on; change it to {grpc_port}"
            ),
        )),
    }
}
