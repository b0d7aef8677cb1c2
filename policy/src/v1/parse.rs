//! From the API's shape to a [`Policy`]: defaults and validation as in the API server.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::policy::{Direction, Peer, Policy, Port, PortRule, Rule};
use crate::ports::Protocol;
use crate::selector::{Operator, Requirement, Selector};

use super::schema::{
    IntOrString, IpBlock, LabelSelector, LabelSelectorRequirement, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct FieldError {
    /// The field's path, starting at `spec`.
    pub field: String,
    /// The value and what is expected.
    pub problem: String,
}

/// Everything that is wrong with a policy. The API server would refuse it, so it has no meaning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Invalid(pub Vec<FieldError>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if at == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// Reads a spec as the API server would store it.
///
/// # Errors
/// [`Invalid`] lists every field that the API server would refuse.
pub fn parse(
    namespace: impl Into<Arc<str>>,
    name: impl Into<Arc<str>>,
    spec: &NetworkPolicySpec,
) -> Result<Policy, Invalid> {
    let mut errors = Errors::default();
    let pods = spec
        .pod_selector
        .as_ref()
        .map(|s| selector(s, "spec.podSelector", &mut errors))
        .unwrap_or_default();
    let (isolates_ingress, isolates_egress) = policy_types(spec, &mut errors);
    let ingress = spec
        .ingress
        .iter()
        .flatten()
        .map(|rule| (rule.from.as_deref(), rule.ports.as_deref()));
    let ingress = rules(Direction::Ingress, ingress, &mut errors);
    let egress = spec
        .egress
        .iter()
        .flatten()
        .map(|rule| (rule.to.as_deref(), rule.ports.as_deref()));
    let egress = rules(Direction::Egress, egress, &mut errors);
    errors.none()?;
    Ok(Policy {
        namespace: namespace.into(),
        name: name.into(),
        pods,
        ingress: isolates_ingress.then_some(ingress),
        egress: isolates_egress.then_some(egress),
    })
}

/// Reads the rules of a spec for one direction, whatever its `policyTypes` say.
///
/// # Errors
/// As [`parse`].
pub fn parse_rules(direction: Direction, spec: &NetworkPolicySpec) -> Result<Vec<Rule>, Invalid> {
    let both = NetworkPolicySpec {
        policy_types: Some(vec![direction.as_str().to_owned()]),
        ..spec.clone()
    };
    let policy = parse("", "", &both)?;
    Ok(policy.ingress.or(policy.egress).unwrap_or_default())
}

/// Faults while they are collected.
#[derive(Default)]
pub(crate) struct Errors(Vec<FieldError>);

impl Errors {
    pub(crate) fn add(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.0.push(FieldError {
            field: field.into(),
            problem: problem.into(),
        });
    }

    pub(crate) fn none(self) -> Result<(), Invalid> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Invalid(self.0))
        }
    }
}

fn policy_types(spec: &NetworkPolicySpec, errors: &mut Errors) -> (bool, bool) {
    let Some(types) = spec.policy_types.as_deref().filter(|types| !types.is_empty()) else {
        return (true, spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()));
    };
    if types.len() > 2 {
        errors.add(
            "spec.policyTypes",
            format!("{} entries, at most 2 are allowed", types.len()),
        );
    }
    for (at, name) in types.iter().enumerate() {
        if !Direction::ALL.iter().any(|direction| direction.as_str() == name) {
            errors.add(
                format!("spec.policyTypes[{at}]"),
                format!("{name:?} is not Ingress or Egress"),
            );
        }
    }
    let lists = |direction: Direction| types.iter().any(|name| name == direction.as_str());
    (lists(Direction::Ingress), lists(Direction::Egress))
}

type RawRule<'a> = (Option<&'a [NetworkPolicyPeer]>, Option<&'a [NetworkPolicyPort]>);

fn rules<'a>(direction: Direction, raw: impl Iterator<Item = RawRule<'a>>, errors: &mut Errors) -> Vec<Rule> {
    let (list, peers_name) = match direction {
        Direction::Ingress => ("ingress", "from"),
        Direction::Egress => ("egress", "to"),
    };
    let mut all = Vec::new();
    for (at, (peers, ports)) in raw.enumerate() {
        let path = format!("spec.{list}[{at}]");
        let peers = peers.unwrap_or_default().iter().enumerate();
        let peers = peers
            .filter_map(|(i, raw)| peer(raw, &format!("{path}.{peers_name}[{i}]"), errors))
            .collect();
        let ports = ports.unwrap_or_default().iter().enumerate();
        let ports = ports
            .filter_map(|(i, raw)| port(raw, &format!("{path}.ports[{i}]"), errors))
            .collect();
        all.push(Rule { peers, ports });
    }
    all.shrink_to_fit();
    all
}

fn peer(raw: &NetworkPolicyPeer, path: &str, errors: &mut Errors) -> Option<Peer> {
    let mut read = |raw: &Option<LabelSelector>, name: &str| {
        raw.as_ref()
            .map(|raw| selector(raw, &format!("{path}.{name}"), errors))
    };
    let namespaces = read(&raw.namespace_selector, "namespaceSelector");
    let pods = read(&raw.pod_selector, "podSelector");
    let selects = namespaces.is_some() || pods.is_some();
    match &raw.ip_block {
        Some(_) if selects => {
            errors.add(
                path,
                "ipBlock excludes podSelector and namespaceSelector: make two peers of it",
            );
            None
        }
        Some(block) => ip_block(block, &format!("{path}.ipBlock"), errors),
        None if selects => Some(Peer::Pods { namespaces, pods }),
        None => {
            errors.add(
                path,
                "one of podSelector, namespaceSelector and ipBlock is required",
            );
            None
        }
    }
}

fn ip_block(raw: &IpBlock, path: &str, errors: &mut Errors) -> Option<Peer> {
    let cidr = network(&raw.cidr, &format!("{path}.cidr"), errors);
    let mut except = Vec::new();
    for (at, text) in raw.except.iter().flatten().enumerate() {
        let path = format!("{path}.except[{at}]");
        let Some(hole) = network(text, &path, errors) else {
            continue;
        };
        if cidr.is_some_and(|cidr| cidr == hole || !cidr.contains(&hole)) {
            errors.add(path, format!("{text:?} is not strictly inside {:?}", raw.cidr));
        }
        except.push(hole);
    }
    Some(Peer::IpBlock { cidr: cidr?, except })
}

pub(crate) fn network(text: &str, path: &str, errors: &mut Errors) -> Option<IpNet> {
    let parsed = text.parse::<IpNet>().ok().map(|net| net.trunc());
    if parsed.is_none() {
        let hint = match text.parse::<IpAddr>() {
            Ok(address) if address.is_ipv4() => format!("; write {text}/32 for one address"),
            Ok(_) => format!("; write {text}/128 for one address"),
            Err(_) => String::new(),
        };
        errors.add(path, format!("{text:?} is not a network in CIDR notation{hint}"));
    }
    parsed
}

fn port(raw: &NetworkPolicyPort, path: &str, errors: &mut Errors) -> Option<PortRule> {
    let protocol = match raw.protocol.as_deref() {
        None => Some(Protocol::Tcp),
        Some(name) => Protocol::parse(name).or_else(|| {
            errors.add(
                format!("{path}.protocol"),
                format!("{name:?} is not TCP, UDP or SCTP"),
            );
            None
        }),
    };
    let port = match (&raw.port, raw.end_port) {
        (None, None) => Some(Port::Any),
        (None, Some(_)) => {
            errors.add(format!("{path}.endPort"), "needs a numeric port to start from");
            None
        }
        (Some(IntOrString::Int(first)), end) => port_range(*first, end, path, errors),
        (Some(IntOrString::String(name)), end) => {
            if end.is_some() {
                errors.add(
                    format!("{path}.endPort"),
                    format!("cannot follow the named port {name:?}"),
                );
            }
            port_name(name, path, errors)
        }
    };
    Some(PortRule {
        protocol: protocol?,
        port: port?,
    })
}

fn port_range(first: i64, end: Option<i64>, path: &str, errors: &mut Errors) -> Option<Port> {
    let mut number = |value: i64, field: &str| {
        let number = u16::try_from(value).ok().filter(|&number| number > 0);
        if number.is_none() {
            errors.add(
                format!("{path}.{field}"),
                format!("{value} is not between 1 and 65535"),
            );
        }
        number
    };
    let start = number(first, "port");
    let last = end.map_or(start, |end| number(end, "endPort"));
    let (start, last) = (start?, last?);
    if last < start {
        errors.add(format!("{path}.endPort"), format!("{last} is below port {start}"));
        return None;
    }
    Some(Port::Range(start, last))
}

/// The service-name syntax of RFC 6335 as the API server checks it.
fn port_name(name: &str, path: &str, errors: &mut Errors) -> Option<Port> {
    let letters = name.bytes().any(|b| b.is_ascii_lowercase());
    let alphabet = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let hyphens = name.starts_with('-') || name.ends_with('-') || name.contains("--");
    if letters && alphabet && !hyphens && name.len() <= 15 {
        return Some(Port::Named(name.into()));
    }
    let problem = match name.parse::<u16>() {
        Ok(_) => format!("{name:?} is text; write the number without quotes"),
        Err(_) => {
            format!("{name:?} is not a port name: at most 15 of a-z, 0-9 and single inner -, one a letter")
        }
    };
    errors.add(format!("{path}.port"), problem);
    None
}

pub(crate) fn selector(raw: &LabelSelector, path: &str, errors: &mut Errors) -> Selector {
    for (key, value) in raw.match_labels.iter().flatten() {
        let path = format!("{path}.matchLabels");
        label_key(key, &path, errors);
        label_value(value, &path, errors);
    }
    let mut requirements = Vec::new();
    for (at, raw) in raw.match_expressions.iter().flatten().enumerate() {
        requirements.extend(requirement(
            raw,
            &format!("{path}.matchExpressions[{at}]"),
            errors,
        ));
    }
    let labels = raw
        .match_labels
        .iter()
        .flatten()
        .map(|(key, value)| (&**key, &**value));
    Selector::new(labels, requirements)
}

fn requirement(raw: &LabelSelectorRequirement, path: &str, errors: &mut Errors) -> Option<Requirement> {
    label_key(&raw.key, &format!("{path}.key"), errors);
    let values = raw.values.as_deref().unwrap_or_default();
    let (operator, lists_values) = match raw.operator.as_str() {
        "In" => (Operator::In, true),
        "NotIn" => (Operator::NotIn, true),
        "Exists" => (Operator::Exists, false),
        "DoesNotExist" => (Operator::DoesNotExist, false),
        other => {
            let problem = format!("{other:?} is not In, NotIn, Exists or DoesNotExist");
            errors.add(format!("{path}.operator"), problem);
            return None;
        }
    };
    if lists_values == values.is_empty() {
        let problem = if lists_values {
            "at least one value is required"
        } else {
            "must be empty"
        };
        errors.add(
            format!("{path}.values"),
            format!("{problem} with operator {}", raw.operator),
        );
    }
    for (at, value) in values.iter().enumerate() {
        label_value(value, &format!("{path}.values[{at}]"), errors);
    }
    let values = values.iter().map(|value| value.as_str().into()).collect();
    Some(Requirement {
        key: raw.key.as_str().into(),
        operator,
        values,
    })
}

fn label_key(key: &str, path: &str, errors: &mut Errors) {
    let (prefix, name) = key
        .rsplit_once('/')
        .map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let prefix_ok = prefix.is_none_or(is_dns_subdomain);
    if !prefix_ok || name.is_empty() || !is_label_word(name) {
        errors.add(
            path,
            format!("{key:?} is not a label key: an optional DNS prefix and /, then {LABEL_WORD}"),
        );
    }
}

fn label_value(value: &str, path: &str, errors: &mut Errors) {
    if !is_label_word(value) {
        errors.add(
            path,
            format!("{value:?} is not a label value: empty or {LABEL_WORD}"),
        );
    }
}

const LABEL_WORD: &str = "at most 63 of A-Z, a-z, 0-9, -, _ and ., alphanumeric at both ends";

/// Empty words are legal as values only.
fn is_label_word(word: &str) -> bool {
    let inner = word
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    word.len() <= 63 && inner && !word.starts_with(['-', '_', '.']) && !word.ends_with(['-', '_', '.'])
}

fn is_dns_subdomain(prefix: &str) -> bool {
    let part_ok = |part: &str| {
        let inner = part
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        !part.is_empty() && inner && !part.starts_with('-') && !part.ends_with('-')
    };
    prefix.len() <= 253 && prefix.split('.').all(part_ok)
}
