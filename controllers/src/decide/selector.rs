//! From declared selectors and ports to the engine's.

use bulkhead_api::server::{Operator, PodSelector, Port, Protocol};
use bulkhead_policy as engine;

/// The engine's form of a declared pod selector.
pub fn pods(selector: &PodSelector) -> engine::Selector {
    let labels = selector
        .match_labels
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()));
    let requirements = selector.match_expressions.iter().map(|r| engine::Requirement {
        key: r.key.as_str().into(),
        operator: match r.operator {
            Operator::In => engine::Operator::In,
            Operator::NotIn => engine::Operator::NotIn,
            Operator::Exists => engine::Operator::Exists,
            Operator::DoesNotExist => engine::Operator::DoesNotExist,
        },
        values: r.values.iter().map(|v| v.as_str().into()).collect(),
    });
    engine::Selector::new(labels, requirements)
}

/// The engine's form of a declared port; `None` for numbers that [`super::validate`] refuses.
pub fn port(port: &Port) -> Option<engine::PortRule> {
    let first = u16::try_from(port.port).ok()?;
    let last = u16::try_from(port.end_port.unwrap_or(port.port)).ok()?;
    let protocol = match port.protocol.unwrap_or_default() {
        Protocol::TCP => engine::Protocol::Tcp,
        Protocol::UDP => engine::Protocol::Udp,
        Protocol::SCTP => engine::Protocol::Sctp,
    };
    Some(engine::PortRule {
        protocol,
        port: engine::policy::Port::Range(first, last),
    })
}

/// One numeric port.
pub fn number(protocol: engine::Protocol, number: u16) -> engine::PortRule {
    engine::PortRule::number(protocol, number)
}
