//! Single pods and addresses that stand for all that a declaration names.

use bulkhead_api::server::{Client, ClientType, Operator, PodSelector, ServerRule};
use bulkhead_controllers::decide::selector;
use bulkhead_policy::{
    Endpoint, Labels, Operator as EngineOperator, Pod, PortSet, Protocol, Selector, World,
    policy::Port as PolicyPort,
};

use super::release::{BYSTANDER, Release};

/// One client that stands for all of its kind.
pub enum Sample {
    /// A pod.
    Pod(Box<Pod>),
    /// The host network.
    Host,
    /// Somebody outside.
    Outside(Option<std::net::IpAddr>),
}

impl Sample {
    /// A pod of a namespace.
    pub fn pod(namespace: &str, labels: Labels) -> Self {
        Self::Pod(Box::new(Pod::new(namespace, "client", labels)))
    }

    /// Its namespace, if it is a pod.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Pod(pod) => Some(&pod.namespace),
            Self::Host | Self::Outside(_) => None,
        }
    }

    /// As the engine names it.
    pub fn endpoint(&self) -> Endpoint<'_> {
        match self {
            Self::Pod(pod) => Endpoint::Pod(pod),
            Self::Host => Endpoint::Host { address: None },
            Self::Outside(Some(address)) => Endpoint::External(*address),
            Self::Outside(None) => Endpoint::ExternalUnknown,
        }
    }

    /// The world of a policy's release, with the namespace of this end labelled by another.
    pub fn world(&self, policies: &Release, labelled: &Release) -> World {
        let mut world = (*policies.platform.world()).clone();
        if let Self::Pod(pod) = self {
            let labels = labelled.labels.get(&pod.namespace).cloned();
            world.set_namespace(pod.namespace.clone(), &labels.unwrap_or_default());
        }
        world
    }
}

/// Every kind of end that a client stands for, with its name.
pub fn clients(client: &Client, own: &str, release: &Release) -> Vec<(String, Sample)> {
    let named = |namespace: &str, pods: Option<&PodSelector>| {
        let labels = pods.map(labels).unwrap_or_default();
        (name(namespace, &labels), Sample::pod(namespace, labels))
    };
    match client.r#type {
        ClientType::Namespace => client
            .namespace
            .iter()
            .map(|n| named(&n.name, n.pod_selector.as_ref()))
            .collect(),
        ClientType::NamespaceGroup => {
            let group = client.namespace_group.as_ref();
            let members = group.and_then(|g| release.catalog.group(&g.name));
            members
                .into_iter()
                .flatten()
                .map(|name| named(name, None))
                .collect()
        }
        ClientType::SameNamespace => vec![named(
            own,
            client.same_namespace.as_ref().map(|s| &s.pod_selector),
        )],
        ClientType::HostNetwork => vec![("host network".to_owned(), Sample::Host)],
        ClientType::APIServer => vec![("API server".to_owned(), Sample::Host)],
        ClientType::AnyNamespace => {
            let anybody = Sample::pod(BYSTANDER, Labels::default());
            vec![("any namespace".to_owned(), anybody)]
        }
        ClientType::Anywhere => vec![("anybody".to_owned(), Sample::Outside(None))],
        ClientType::CIDR => {
            let cidr = client.cidr.as_ref();
            let network = cidr.and_then(|c| Some((c, c.cidr.parse::<ipnet::IpNet>().ok()?)));
            network
                .map(|(c, net)| (c.cidr.clone(), Sample::Outside(Some(net.network()))))
                .into_iter()
                .collect()
        }
    }
}

/// How pods of a namespace are called.
pub fn name(namespace: &str, labels: &Labels) -> String {
    if labels.is_empty() {
        namespace.to_owned()
    } else {
        format!("{namespace} ({labels})")
    }
}

/// The least labels that a selector matches.
pub fn labels(selector: &PodSelector) -> Labels {
    let mut labels = selector.match_labels.clone();
    for requirement in &selector.match_expressions {
        match requirement.operator {
            Operator::In => {
                let value = requirement.values.first().cloned().unwrap_or_default();
                labels.entry(requirement.key.clone()).or_insert(value);
            }
            Operator::Exists => {
                labels.entry(requirement.key.clone()).or_default();
            }
            Operator::NotIn | Operator::DoesNotExist => {}
        }
    }
    labels.into_iter().collect()
}

/// The same for a selector of the engine.
pub fn least(selector: &Selector) -> Labels {
    let requirements = selector.requirements();
    let wanted = requirements
        .iter()
        .filter(|r| matches!(r.operator, EngineOperator::In | EngineOperator::Exists));
    wanted
        .map(|r| (&*r.key, r.values.first().map_or("", |v| v)))
        .collect()
}

/// The ports of a rule.
pub fn ports(rule: &ServerRule) -> PortSet {
    if rule.ports.is_empty() {
        return Protocol::ALL
            .into_iter()
            .fold(PortSet::none(), |all, p| all.union(&PortSet::all_of(p)));
    }
    let ranges = rule
        .ports
        .iter()
        .filter_map(selector::port)
        .filter_map(|port| match port.port {
            PolicyPort::Range(first, last) => Some(PortSet::range(port.protocol, first, last)),
            _ => None,
        });
    ranges.fold(PortSet::none(), |all, range| all.union(&range))
}
