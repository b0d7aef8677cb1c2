//! Services: policies never see them, only the pods and ports behind them.
//!
//! A connection to a Service is judged after its translation, for every backend that may get it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::lower::Unknown;
use crate::policy::Policy;
use crate::ports::Protocol;
use crate::selector::Selector;
use crate::tiers::{self, ClusterPolicy, Tiered};
use crate::verdict::{Traffic, Verdict};
use crate::world::{Endpoint, Pod, PodState, World};

/// Where a Service port leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The same number on every pod.
    Number(u16),
    /// The container port of this name, which each pod gives its own number.
    Name(Arc<str>),
}

/// One port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name; may be absent while it is the only one.
    pub name: Option<Arc<str>>,
    /// The protocol.
    pub protocol: Protocol,
    /// The number that clients dial.
    pub port: u16,
    /// Where it leads.
    pub target: Target,
}

/// How a name leads to backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Through an address of its own, which is translated.
    #[default]
    Translated,
    /// The name stands for the pods' addresses; what is dialled is what they get.
    Headless,
    /// An alias for a name outside the cluster.
    ExternalName,
}

/// A Service, as far as policies are concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its pods; `None` leaves the backends to [`Slice`]s that somebody else writes.
    pub selector: Option<Selector>,
    /// How it is reached.
    pub access: Access,
    /// Its own addresses.
    pub addresses: Vec<IpAddr>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
}

/// Backends of a Service as an EndpointSlice lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Its namespace, which is the Service's.
    pub namespace: Arc<str>,
    /// The name of the Service that it belongs to.
    pub service: Arc<str>,
    /// The addresses of backends that take traffic, with the name of the pod of this namespace that it says has it.
    pub endpoints: Vec<(IpAddr, Option<Arc<str>>)>,
    /// The ports by the name that they have in the Service.
    pub ports: Vec<(Option<Arc<str>>, Protocol, u16)>,
}

/// What somebody dials at a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialled<'a> {
    /// A number of a protocol.
    Number(Protocol, u16),
    /// A port by its name.
    Name(&'a str),
}

/// One place where a connection to a Service may end.
#[derive(Clone, Copy, Debug)]
pub struct Backend<'a> {
    /// The pod, or whoever has the address.
    pub end: Endpoint<'a>,
    /// The protocol.
    pub protocol: Protocol,
    /// The port there.
    pub port: u16,
}

/// Why a Service leads nowhere that could be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// The Service has no such port.
    #[error("the Service has no such port")]
    NoSuchPort,
    /// Nothing stands behind it.
    #[error("the Service has no backend on this port")]
    NoBackend,
    /// It is an alias for a name outside the cluster, whose addresses are not known.
    #[error("the Service is an alias for a name outside the cluster")]
    ExternalName,
}

/// The answer about a Service: all its backends' when they agree.
#[derive(Clone, Debug)]
pub struct ServiceAnswer<'a, 'e> {
    /// The answer.
    pub verdict: Verdict,
    /// Every backend with the answer for it.
    pub backends: Vec<(Backend<'e>, Tiered<'a>)>,
}

impl Service {
    /// Where a connection may end. Slices decide where the Service has no selector; pods decide otherwise.
    ///
    /// # Errors
    /// [`Unresolved`] when there is nothing to judge.
    pub fn backends<'a>(
        &self,
        dialled: Dialled<'_>,
        pods: &'a [Pod],
        slices: &[Slice],
    ) -> Result<Vec<Backend<'a>>, Unresolved> {
        if self.access == Access::ExternalName {
            return Err(Unresolved::ExternalName);
        }
        let port = self.ports.iter().find(|port| match dialled {
            Dialled::Number(protocol, number) => port.protocol == protocol && port.port == number,
            Dialled::Name(name) => port.name.as_deref() == Some(name),
        });
        let found = match (&self.selector, port, dialled) {
            // Nothing translates the number, so it need not even be one of the Service's.
            (Some(selector), _, Dialled::Number(protocol, number)) if self.access == Access::Headless => self
                .pods(selector, pods)
                .map(|pod| Backend::at(pod, protocol, number))
                .collect(),
            (_, None, _) => return Err(Unresolved::NoSuchPort),
            (Some(selector), Some(port), _) => self
                .pods(selector, pods)
                .flat_map(|pod| port.on(pod))
                .collect::<Vec<_>>(),
            (None, Some(port), _) => self.listed(port, pods, slices),
        };
        if found.is_empty() {
            return Err(Unresolved::NoBackend);
        }
        Ok(found)
    }

    fn pods<'a>(&self, selector: &Selector, pods: &'a [Pod]) -> impl Iterator<Item = &'a Pod> {
        pods.iter().filter(move |pod| {
            pod.namespace == self.namespace
                && pod.state != PodState::Finished
                && selector.matches(&pod.labels)
        })
    }

    fn listed<'a>(&self, port: &ServicePort, pods: &'a [Pod], slices: &[Slice]) -> Vec<Backend<'a>> {
        let mut found = Vec::new();
        for slice in slices
            .iter()
            .filter(|slice| slice.service == self.name && slice.namespace == self.namespace)
        {
            let ports = slice
                .ports
                .iter()
                .filter(|(name, protocol, _)| *protocol == port.protocol && *name == port.name);
            for (_, protocol, number) in ports {
                found.extend(slice.endpoints.iter().map(|(address, pod)| Backend {
                    end: slice.end(*address, pod.as_deref(), pods),
                    protocol: *protocol,
                    port: *number,
                }));
            }
        }
        found
    }
}

impl Slice {
    /// The pod that is named, as long as it has not ended, else whoever has the address.
    fn end<'a>(&self, address: IpAddr, pod: Option<&str>, pods: &'a [Pod]) -> Endpoint<'a> {
        let is = |candidate: &&Pod| {
            candidate.namespace == self.namespace
                && Some(&*candidate.name) == pod
                && candidate.state != PodState::Finished
        };
        let named = pod.and_then(|_| pods.iter().find(is));
        named.map_or_else(|| at_address(address, pods), Endpoint::Pod)
    }
}

impl ServicePort {
    fn on<'a>(&self, pod: &'a Pod) -> Vec<Backend<'a>> {
        match &self.target {
            Target::Number(number) => vec![Backend::at(pod, self.protocol, *number)],
            Target::Name(name) => {
                let numbers = pod.port_numbers(self.protocol, name);
                // Of several containers with one port name the Service takes the first.
                let first = numbers.take(1);
                first
                    .map(|number| Backend::at(pod, self.protocol, number))
                    .collect()
            }
        }
    }
}

impl<'a> Backend<'a> {
    fn at(pod: &'a Pod, protocol: Protocol, port: u16) -> Self {
        Self {
            end: Endpoint::Pod(pod),
            protocol,
            port,
        }
    }
}

/// Who has an address: a pod on the pod network, a node that host-network pods tell of, or somebody outside.
/// A finished pod has none, its address may be anybody's.
pub fn at_address(address: IpAddr, pods: &[Pod]) -> Endpoint<'_> {
    let has = |state| {
        pods.iter()
            .find(|pod| pod.state == state && pod.addresses.contains(&address))
    };
    match (has(PodState::Networked), has(PodState::HostNetwork)) {
        (Some(pod), _) => Endpoint::Pod(pod),
        (None, Some(_)) => Endpoint::Host {
            address: Some(address),
        },
        (None, None) => Endpoint::External(address),
    }
}

/// Whether `source` reaches the backends of a Service, each after translation.
pub fn connection<'a, 'e, P>(
    world: &World,
    cluster: &'a [ClusterPolicy],
    policies: P,
    source: &Endpoint<'_>,
    backends: Vec<Backend<'e>>,
) -> ServiceAnswer<'a, 'e>
where
    P: IntoIterator<Item = &'a Policy> + Copy,
{
    let judge = |backend: Backend<'e>| {
        let answer = to_backend(world, cluster, policies, source, &backend);
        (backend, answer)
    };
    let backends: Vec<_> = backends.into_iter().map(judge).collect();
    ServiceAnswer {
        verdict: Verdict::of_all(backends.iter().map(|(_, answer)| answer.verdict)),
        backends,
    }
}

/// Whether `source` reaches one backend of a Service. A pod that is its own backend is undecided unless nothing
/// polices it.
pub fn to_backend<'a, P>(
    world: &World,
    cluster: &'a [ClusterPolicy],
    policies: P,
    source: &Endpoint<'_>,
    backend: &Backend<'_>,
) -> Tiered<'a>
where
    P: IntoIterator<Item = &'a Policy> + Clone,
{
    let traffic = Traffic::Port(backend.protocol, backend.port);
    let mut answer = tiers::connection(world, cluster, policies.clone(), source, &backend.end, traffic);
    if is_hairpin(source, &backend.end) && policed(world, cluster, policies, source) {
        answer.verdict = Verdict::Unknown(Unknown::Hairpin);
    }
    answer
}

fn is_hairpin(source: &Endpoint<'_>, backend: &Endpoint<'_>) -> bool {
    matches!((source, backend), (Endpoint::Pod(a), Endpoint::Pod(b)) if a.is(b))
}

/// True when some policy has a say about a pod.
fn policed<'a>(
    world: &World,
    cluster: &[ClusterPolicy],
    policies: impl IntoIterator<Item = &'a Policy>,
    end: &Endpoint<'_>,
) -> bool {
    let Endpoint::Pod(pod) = end else { return false };
    let isolated = policies.into_iter().any(|policy| {
        crate::policy::Direction::ALL
            .into_iter()
            .any(|direction| crate::verdict::isolates(policy, direction, pod))
    });
    isolated || cluster.iter().any(|policy| policy.applies_to(world, pod))
}
