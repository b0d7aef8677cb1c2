//! From a [`Policy`] back to the API's shape.

use ipnet::IpNet;

use crate::policy::{Direction, Peer, Policy, Port, PortRule, Rule};
use crate::selector::{Operator, Requirement, Selector};

use super::schema::{
    IntOrString, IpBlock, LabelSelector, LabelSelectorRequirement, NetworkPolicyEgressRule,
    NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};

impl From<&Policy> for NetworkPolicySpec {
    /// Always lists `policyTypes`; a direction that allows nothing is null.
    fn from(policy: &Policy) -> Self {
        let types = Direction::ALL
            .into_iter()
            .filter(|direction| policy.rules(*direction).is_some());
        let ingress = |rule: &Rule| NetworkPolicyIngressRule {
            from: peers(rule),
            ports: ports(rule),
        };
        let egress = |rule: &Rule| NetworkPolicyEgressRule {
            to: peers(rule),
            ports: ports(rule),
        };
        Self {
            pod_selector: Some((&policy.pods).into()),
            policy_types: Some(types.map(|direction| direction.as_str().to_owned()).collect()),
            ingress: unless_empty(policy.ingress.iter().flatten().map(ingress).collect()),
            egress: unless_empty(policy.egress.iter().flatten().map(egress).collect()),
        }
    }
}

impl From<&Selector> for LabelSelector {
    /// Single values go to `matchLabels`, everything else to `matchExpressions`, both in order of keys.
    fn from(selector: &Selector) -> Self {
        let (equals, rest): (Vec<Requirement>, Vec<Requirement>) = selector
            .requirements()
            .into_iter()
            .partition(|r| r.operator == Operator::In && r.values.len() == 1);
        let pair = |r: Requirement| {
            r.values
                .into_iter()
                .next()
                .map(|value| (r.key.into(), value.into()))
        };
        let labels: std::collections::BTreeMap<String, String> =
            equals.into_iter().filter_map(pair).collect();
        Self {
            match_labels: (!labels.is_empty()).then_some(labels),
            match_expressions: unless_empty(rest.into_iter().map(expression).collect()),
        }
    }
}

fn expression(requirement: Requirement) -> LabelSelectorRequirement {
    let operator = match requirement.operator {
        Operator::In => "In",
        Operator::NotIn => "NotIn",
        Operator::Exists => "Exists",
        Operator::DoesNotExist => "DoesNotExist",
    };
    LabelSelectorRequirement {
        key: requirement.key.into(),
        operator: operator.to_owned(),
        values: unless_empty(requirement.values.into_iter().map(Into::into).collect()),
    }
}

fn peers(rule: &Rule) -> Option<Vec<NetworkPolicyPeer>> {
    unless_empty(rule.peers.iter().map(peer).collect())
}

fn peer(peer: &Peer) -> NetworkPolicyPeer {
    match peer {
        Peer::Pods { namespaces, pods } => NetworkPolicyPeer {
            pod_selector: pods.as_ref().map(Into::into),
            namespace_selector: namespaces.as_ref().map(Into::into),
            ip_block: None,
        },
        Peer::IpBlock { cidr, except } => {
            let except = unless_empty(except.iter().map(IpNet::to_string).collect());
            let block = IpBlock {
                cidr: cidr.to_string(),
                except,
            };
            NetworkPolicyPeer {
                ip_block: Some(block),
                ..NetworkPolicyPeer::default()
            }
        }
    }
}

fn ports(rule: &Rule) -> Option<Vec<NetworkPolicyPort>> {
    unless_empty(rule.ports.iter().map(port).collect())
}

fn port(rule: &PortRule) -> NetworkPolicyPort {
    let (port, end_port) = match &rule.port {
        Port::Any => (None, None),
        Port::Range(first, last) => (
            Some(IntOrString::Int((*first).into())),
            (first != last).then_some(i64::from(*last)),
        ),
        Port::Named(name) => (Some(IntOrString::String(name.to_string())), None),
    };
    NetworkPolicyPort {
        protocol: Some(rule.protocol.as_str().to_owned()),
        port,
        end_port,
    }
}

fn unless_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}
