//! The ends that a user names: pods, workloads, Services, namespaces, nodes, the API server, addresses.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Result, bail};
use bulkhead_policy::services::at_address;
use bulkhead_policy::well_known::WellKnown;
use bulkhead_policy::{Endpoint, PodState, Protocol};

use super::State;

/// One end of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A pod by its index.
    Pod(usize),
    /// A node, perhaps with its address.
    Host(Option<IpAddr>),
    /// The node that the other end runs on.
    OwnNode,
    /// An address outside the cluster.
    Outside(IpAddr),
    /// Outside the cluster, with an address that nobody knows.
    Somewhere,
}

impl End {
    /// As the engine names it.
    pub fn endpoint(self, state: &State) -> Endpoint<'_> {
        match self {
            Self::Pod(at) => Endpoint::Pod(&state.pods[at]),
            Self::Host(address) => Endpoint::Host { address },
            Self::OwnNode => Endpoint::OwnNode,
            Self::Outside(address) => Endpoint::External(address),
            Self::Somewhere => Endpoint::ExternalUnknown,
        }
    }

    /// An endpoint of the engine; `None` for a pod that is not among the objects.
    pub fn of(endpoint: &Endpoint<'_>, state: &State) -> Option<Self> {
        Some(match endpoint {
            Endpoint::Pod(pod) => Self::Pod(state.place_of(pod)?),
            Endpoint::Host { address } => Self::Host(*address),
            Endpoint::Node(node) => Self::Host(node.addresses.first().copied()),
            Endpoint::OwnNode => Self::OwnNode,
            Endpoint::External(address) => Self::Outside(*address),
            Endpoint::ExternalUnknown => Self::Somewhere,
        })
    }

    /// How it is called in answers: pods by what makes them.
    pub fn name(self, state: &State) -> String {
        match self {
            Self::Pod(at) => format!("{}/{}", state.pods[at].namespace, state.placed[at].workload),
            Self::Host(None) => "host".to_owned(),
            Self::Host(Some(address)) => format!("host:{address}"),
            Self::OwnNode => "kubelet".to_owned(),
            Self::Outside(address) => address.to_string(),
            Self::Somewhere => "outside".to_owned(),
        }
    }
}

/// What a word of the user stands for.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The word.
    pub text: String,
    /// The ends.
    pub ends: Vec<End>,
    /// The Service, by its index, that the word names instead of ends.
    pub service: Option<usize>,
    /// Ports that are meant where the user names none.
    pub ports: Vec<u16>,
}

/// Which end of a connection a word names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Who opens it.
    Source,
    /// Who answers.
    Destination,
}

const FORMS: &str = "name a pod, workload or Service ([NAMESPACE/]KIND/NAME or NAMESPACE/NAME), a namespace \
                     (ns/NAME), host, host:ADDRESS, kubelet, apiserver, webhook-caller, aggregated-api-caller, \
                     outside, or an address";

/// Finds what a word stands for.
pub fn find(text: &str, role: Role, state: &State, namespace: &str) -> Result<Place> {
    let mut place = Place {
        text: text.to_owned(),
        ..Place::default()
    };
    let parts: Vec<&str> = text.split('/').collect();
    if let Some(address) = text.strip_prefix("host:") {
        let Ok(address) = address.parse() else {
            bail!("'{address}' is no address")
        };
        place.ends = vec![End::Host(Some(address))];
        return Ok(place);
    }
    if let Some(ends) = well_known(text, role, state, &mut place.ports) {
        place.ends = ends;
        return Ok(place);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        // What is dialled at the address of a Service is translated.
        place.service = state.services.iter().position(|s| s.addresses.contains(&address));
        if place.service.is_none() {
            place.ends = End::of(&at_address(address, &state.pods), state)
                .into_iter()
                .collect();
        }
        return Ok(place);
    }
    let found = match *parts.as_slice() {
        [name] => named(namespace, name, state),
        ["ns" | "namespace" | "namespaces", name] => {
            Found::pods(pods(state, |at| *state.pods[at].namespace == *name))
        }
        [kind, name] if kind_name(kind).is_some() => of_kind(namespace, kind, name, state),
        [namespace, name] => named(namespace, name, state),
        [namespace, kind, name] if kind_name(kind).is_some() => of_kind(namespace, kind, name, state),
        _ => bail!("'{text}' names no end of a connection: {FORMS}"),
    };
    match found {
        Found::Pods(ends) if ends.is_empty() => bail!("nothing is known of '{text}': {FORMS}"),
        Found::Pods(ends) => place.ends = ends,
        Found::Service(at) if role == Role::Source => bail!(
            "{} is a Service, which opens no connections: name the pods or the workload behind it",
            state.services[at].name
        ),
        Found::Service(at) => place.service = Some(at),
    }
    Ok(place)
}

enum Found {
    Pods(Vec<End>),
    Service(usize),
}

impl Found {
    fn pods(ends: Vec<End>) -> Self {
        Self::Pods(ends)
    }
}

/// The ends of a part of the cluster that is known by a name of its own, with the ports that it answers on.
fn well_known(text: &str, role: Role, state: &State, ports: &mut Vec<u16>) -> Option<Vec<End>> {
    let known = match (text, role) {
        ("outside", _) => return Some(vec![End::Somewhere]),
        ("node", _) => WellKnown::OtherNode,
        // As a client it is seen where its calls arrive, which for a hosted one is the end of a tunnel.
        ("apiserver", Role::Source) => WellKnown::WebhookCaller,
        _ => WellKnown::named(text)?,
    };
    if known == WellKnown::ApiServer {
        ports.extend(
            state
                .api_slices()
                .flat_map(|slice| &slice.ports)
                .map(|(.., port)| *port),
        );
        if ports.is_empty() {
            ports.push(bulkhead_controllers::decide::platform::DEFAULT_API_PORT);
        }
    }
    let ends = known.ends(&state.control_plane(), &state.pods);
    Some(ends.iter().filter_map(|end| End::of(end, state)).collect())
}

fn pods(state: &State, wanted: impl Fn(usize) -> bool) -> Vec<End> {
    let running = |at: &usize| state.pods[*at].state != PodState::Finished;
    (0..state.pods.len())
        .filter(running)
        .filter(|at| wanted(*at))
        .map(End::Pod)
        .collect()
}

/// The full name of a kind or of its short form.
fn kind_name(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "pod" | "pods" | "po" => "pod",
        "deployment" | "deployments" | "deploy" => "deployment",
        "statefulset" | "statefulsets" | "sts" => "statefulset",
        "daemonset" | "daemonsets" | "ds" => "daemonset",
        "replicaset" | "replicasets" | "rs" => "replicaset",
        "replicationcontroller" | "replicationcontrollers" | "rc" => "replicationcontroller",
        "deploymentconfig" | "deploymentconfigs" | "dc" => "deploymentconfig",
        "job" | "jobs" => "job",
        "cronjob" | "cronjobs" | "cj" => "cronjob",
        "service" | "services" | "svc" => "service",
        _ => return None,
    })
}

fn of_kind(namespace: &str, kind: &str, name: &str, state: &State) -> Found {
    let here = |at: usize| *state.pods[at].namespace == *namespace;
    match kind_name(kind) {
        Some("service") => service(namespace, name, state).map_or(Found::Pods(Vec::new()), Found::Service),
        Some("pod") => Found::Pods(pods(state, |at| {
            here(at) && *state.pods[at].name == *name && !state.placed[at].derived
        })),
        Some(kind) => {
            let workload: Arc<str> = format!("{kind}/{name}").into();
            Found::Pods(pods(state, |at| {
                here(at) && state.placed[at].workload == workload
            }))
        }
        None => Found::Pods(Vec::new()),
    }
}

/// A pod, else what makes pods, else a Service of this name.
fn named(namespace: &str, name: &str, state: &State) -> Found {
    if let Found::Pods(ends) = of_kind(namespace, "pod", name, state)
        && !ends.is_empty()
    {
        return Found::Pods(ends);
    }
    let suffix = format!("/{name}");
    let made = pods(state, |at| {
        *state.pods[at].namespace == *namespace && state.placed[at].workload.ends_with(&suffix)
    });
    match service(namespace, name, state) {
        Some(service) if made.is_empty() => Found::Service(service),
        _ => Found::Pods(made),
    }
}

fn service(namespace: &str, name: &str, state: &State) -> Option<usize> {
    state
        .services
        .iter()
        .position(|s| *s.namespace == *namespace && *s.name == *name)
}

/// A port as the user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortName {
    /// By number.
    Number(Option<Protocol>, u16),
    /// By the name that the destination gives it.
    Name(Option<Protocol>, String),
    /// ICMP or another protocol without ports.
    Other,
}

impl std::str::FromStr for PortName {
    type Err = String;

    /// Reads `80`, `80/UDP`, `UDP/80`, `http`, `http/TCP` and `icmp`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("icmp") {
            return Ok(Self::Other);
        }
        let known = |word: &str| Protocol::parse(&word.to_uppercase());
        let (protocol, port) = match text.split_once('/') {
            None => (None, text),
            Some((a, b)) => match (known(a), known(b)) {
                (Some(protocol), None) => (Some(protocol), b),
                (None, Some(protocol)) => (Some(protocol), a),
                _ => return Err(format!("'{text}' is no port: write 443, 53/UDP or a port name")),
            },
        };
        let digits = port.trim_start_matches(['-', '+']);
        match port.parse::<u16>() {
            Ok(number @ 1..) => Ok(Self::Number(protocol, number)),
            _ if port.is_empty() => Err("a port is missing".to_owned()),
            _ if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Err(format!("port {port} is not between 1 and 65535"))
            }
            _ => Ok(Self::Name(protocol, port.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_read_in_both_orders_and_by_name() {
        assert_eq!("443".parse(), Ok(PortName::Number(None, 443)));
        assert_eq!("53/udp".parse(), Ok(PortName::Number(Some(Protocol::Udp), 53)));
        assert_eq!("UDP/53".parse(), Ok(PortName::Number(Some(Protocol::Udp), 53)));
        assert_eq!("metrics".parse(), Ok(PortName::Name(None, "metrics".into())));
        assert_eq!("ICMP".parse(), Ok(PortName::Other));
        for bad in ["0", "70000", "99999999999999999999", "-1", "", "a/b", "80/"] {
            assert!(bad.parse::<PortName>().is_err(), "{bad}");
        }
    }
}
