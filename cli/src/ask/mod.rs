//! Questions about single connections: what is asked, and the engine's answer with its reasons.

pub mod reasons;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, bail};
use bulkhead_policy::services::{self, Access, Backend, Dialled, Service, ServicePort, Target, Unresolved};
use bulkhead_policy::{Policy, Protocol, Traffic, Verdict, tiers};
use serde::Serialize;

use self::reasons::Reasons;
use crate::input::State;
use crate::input::ends::{End, Place, PortName};

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who opens it.
    pub source: End,
    /// Who answers, after any Service.
    pub destination: End,
    /// What it carries, as the pod sees it.
    pub traffic: Traffic,
    /// The port of the Service that was dialled.
    pub dialled: Option<u16>,
}

impl Question {
    /// The port as it is shown.
    pub fn port(&self) -> String {
        match (self.traffic, self.dialled) {
            (Traffic::Other, _) => "other".to_owned(),
            (Traffic::Port(protocol, port), Some(dialled)) if dialled != port => {
                format!("{protocol}/{dialled}->{port}")
            }
            (Traffic::Port(protocol, port), _) => format!("{protocol}/{port}"),
        }
    }
}

/// Every connection that a user's question means: each source with each destination on each port.
pub fn questions(
    source: &Place,
    destination: &Place,
    port: Option<&PortName>,
    state: &State,
) -> Result<Vec<Question>> {
    let targets = targets(destination, port, state)?;
    let each = source.ends.iter().flat_map(|from| {
        targets.iter().map(|(to, traffic, dialled)| Question {
            source: *from,
            destination: *to,
            traffic: *traffic,
            dialled: *dialled,
        })
    });
    Ok(each.collect())
}

type Aim = (End, Traffic, Option<u16>);

fn targets(place: &Place, port: Option<&PortName>, state: &State) -> Result<Vec<Aim>> {
    if let Some(service) = place.service {
        return of_service(service, place, port, state);
    }
    let mut all = Vec::new();
    for end in &place.ends {
        match (port, end) {
            (Some(PortName::Other), _) => all.push((*end, Traffic::Other, None)),
            (Some(PortName::Number(protocol, number)), _) => {
                all.push((
                    *end,
                    Traffic::Port(protocol.unwrap_or(Protocol::Tcp), *number),
                    None,
                ));
            }
            (Some(PortName::Name(protocol, name)), End::Pod(at)) => {
                let pod = &state.pods[*at];
                let ports = pod.ports.iter().filter(|p| *p.name == **name);
                let ports = ports.filter(|p| protocol.is_none_or(|wanted| wanted == p.protocol));
                all.extend(ports.map(|p| (*end, Traffic::Port(p.protocol, p.port), None)));
            }
            (Some(PortName::Name(..)), _) => bail!("{} has no port names: give a number", place.text),
            (None, End::Pod(at)) => {
                let ports = state.placed[*at].ports.iter();
                all.extend(ports.map(|(protocol, port)| (*end, Traffic::Port(*protocol, *port), None)));
            }
            (None, _) => {
                let ports = place.ports.iter();
                all.extend(ports.map(|port| (*end, Traffic::Port(Protocol::Tcp, *port), None)));
            }
        }
    }
    if all.is_empty() {
        match port {
            Some(PortName::Name(_, name)) => bail!("no container of {} calls a port {name}", place.text),
            _ => bail!("{} declares no port: say which one with --port", place.text),
        }
    }
    Ok(all)
}

/// What dialling a Service means: where the engine says that a connection may end.
fn of_service(at: usize, place: &Place, port: Option<&PortName>, state: &State) -> Result<Vec<Aim>> {
    let service = &state.services[at];
    let mut all = Vec::new();
    let mut why = Unresolved::NoSuchPort;
    for (dialled, shown) in dialled(service, place, port)? {
        match service.backends(dialled, &state.pods, &state.slices) {
            Ok(backends) => all.extend(backends.iter().filter_map(|backend| {
                let traffic = Traffic::Port(backend.protocol, backend.port);
                Some((End::of(&backend.end, state)?, traffic, Some(shown)))
            })),
            Err(other) if why == Unresolved::NoSuchPort => why = other,
            Err(_) => {}
        }
    }
    if all.is_empty() {
        let ports = service.ports.iter().map(|p| format!("{}/{}", p.protocol, p.port));
        match why {
            Unresolved::NoSuchPort if service.ports.is_empty() => bail!("{} has no ports", place.text),
            Unresolved::NoSuchPort => {
                let ports: Vec<String> = ports.collect();
                bail!("{} has no such port; it has {}", place.text, ports.join(", "))
            }
            Unresolved::NoBackend => bail!("nothing is behind {} on this port", place.text),
            Unresolved::ExternalName => bail!(
                "{} stands for a name outside the cluster, whose addresses are not known: ask about an address",
                place.text
            ),
        }
    }
    Ok(all)
}

/// What is dialled at a Service, and the number that is shown for it.
fn dialled<'p>(
    service: &'p Service,
    place: &Place,
    port: Option<&'p PortName>,
) -> Result<Vec<(Dialled<'p>, u16)>> {
    let number = |protocol, number| (Dialled::Number(protocol, number), number);
    let of = |wanted: &dyn Fn(&&ServicePort) -> bool| -> Vec<(Dialled<'p>, u16)> {
        let ports = service.ports.iter().filter(wanted);
        ports
            .map(|p| match (&p.name, &p.target) {
                // Whoever looks the ports of a headless Service up is told those of the pods.
                (Some(name), _) if service.access == Access::Headless => (Dialled::Name(name), p.port),
                (None, Target::Number(target)) if service.access == Access::Headless => {
                    number(p.protocol, *target)
                }
                _ => number(p.protocol, p.port),
            })
            .collect()
    };
    Ok(match port {
        None => of(&|_| true),
        Some(PortName::Number(Some(protocol), wanted)) => vec![number(*protocol, *wanted)],
        Some(PortName::Number(None, wanted)) => {
            let has = |protocol: &Protocol| {
                let mut ports = service.ports.iter();
                ports.any(|p| p.protocol == *protocol && p.port == *wanted)
            };
            let found: Vec<Protocol> = Protocol::ALL.into_iter().filter(has).collect();
            let found = if found.is_empty() {
                vec![Protocol::Tcp]
            } else {
                found
            };
            found
                .into_iter()
                .map(|protocol| number(protocol, *wanted))
                .collect()
        }
        Some(PortName::Name(protocol, name)) => {
            let named = |p: &&ServicePort| {
                p.name.as_deref() == Some(&**name) && protocol.is_none_or(|wanted| wanted == p.protocol)
            };
            let found = service.ports.iter().filter(named);
            found.map(|p| (Dialled::Name(name), p.port)).collect()
        }
        Some(PortName::Other) => bail!(
            "{} is a Service, which forwards nothing but TCP, UDP and SCTP: ask about the pods behind it",
            place.text
        ),
    })
}

/// The engine with what it needs, so that many questions cost little each.
pub struct Judge<'s> {
    state: &'s State,
    policies: BTreeMap<&'s str, Vec<&'s Policy>>,
}

impl<'s> Judge<'s> {
    /// Prepares to answer.
    pub fn new(state: &'s State) -> Self {
        let mut policies: BTreeMap<&str, Vec<&Policy>> = BTreeMap::new();
        for written in &state.policies {
            policies
                .entry(&*written.policy.namespace)
                .or_default()
                .push(&*written.policy);
        }
        Self { state, policies }
    }

    /// Answers, through all tiers.
    pub fn answer(&self, question: &Question) -> tiers::Tiered<'s> {
        let namespaces: Vec<&Arc<str>> = [question.source, question.destination]
            .into_iter()
            .filter_map(|end| match end {
                End::Pod(at) => Some(&self.state.pods[at].namespace),
                _ => None,
            })
            .collect();
        let mut policies: Vec<&'s Policy> = Vec::new();
        for (at, namespace) in namespaces.iter().enumerate() {
            if at == 0 || namespaces[0] != *namespace {
                policies.extend(self.policies.get(&***namespace).into_iter().flatten());
            }
        }
        let (world, tiers) = (&self.state.world, &self.state.cluster_policies);
        let source = question.source.endpoint(self.state);
        let destination = question.destination.endpoint(self.state);
        let (Traffic::Port(protocol, port), Some(_)) = (question.traffic, question.dialled) else {
            return tiers::connection(world, tiers, policies, &source, &destination, question.traffic);
        };
        let backend = Backend {
            end: destination,
            protocol,
            port,
        };
        services::to_backend(world, tiers, policies, &source, &backend)
    }
}

/// The answer to one question, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Who asks for the connection.
    pub source: String,
    /// Who is asked.
    pub destination: String,
    /// On which port.
    pub port: String,
    /// `Allowed`, `Denied` or `Unknown`.
    pub answer: &'static str,
    /// Connections of this kind: pods of one workload with pods of another.
    pub connections: usize,
    /// Why.
    pub reasons: Reasons,
}

/// Answers all questions. Connections between the same workloads on the same port with the same reasons are
/// one answer.
pub fn answers(state: &State, questions: &[Question]) -> Vec<Answer> {
    let judge = Judge::new(state);
    let mut all: Vec<Answer> = Vec::new();
    let mut known: BTreeMap<(String, String, String), Vec<usize>> = BTreeMap::new();
    for question in questions {
        let tiered = judge.answer(question);
        let reasons = Reasons::of(state, question, &tiered);
        let key = (
            question.source.name(state),
            question.destination.name(state),
            question.port(),
        );
        let same = known.entry(key.clone()).or_default();
        if let Some(at) = same.iter().find(|at| all[**at].reasons == reasons) {
            all[*at].connections += 1;
            continue;
        }
        same.push(all.len());
        all.push(Answer {
            source: key.0,
            destination: key.1,
            port: key.2,
            answer: word(tiered.verdict),
            connections: 1,
            reasons,
        });
    }
    all
}

/// A verdict as it is shown.
pub fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allowed => "Allowed",
        Verdict::Denied => "Denied",
        Verdict::Unknown(_) => "Unknown",
    }
}
