//! A cluster with the operands as they really run, and questions about it.

use std::sync::Arc;

use bulkhead_api::{
    Catalog,
    operand::{Operand, OperandNetworkPolicySpec},
};
use bulkhead_policy::{Dialect, Direction, Endpoint, Labels, Pod, Policy, PortSet, Window, World};
use serde_json::{Value, json};

use crate::decide::{Dns, Platform};
use crate::operands::{Bundle, Context, Facts, Objects, Source, bundles, discover, order};

pub const ZTWIM: &str = "zero-trust-workload-identity-manager";
pub const NAME: &str = "app.kubernetes.io/name";

/// Objects, a platform and a spec.
pub struct Case {
    pub objects: Objects,
    pub platform: Platform,
    pub spec: OperandNetworkPolicySpec,
}

/// A case on OpenShift with the operand's own object.
pub fn case(operand: Operand) -> Case {
    let mut case = bare(operand);
    let source = match operand {
        Operand::ZeroTrustWorkloadIdentityManager => Source::Ztwim,
        Operand::CertManager => Source::CertManager,
        Operand::ExternalSecrets => Source::ExternalSecretsConfig,
    };
    case.objects
        .add(source, json!({"metadata": {"name": "cluster"}, "spec": {}}));
    case
}

/// A case on OpenShift without anything of the operand.
pub fn bare(operand: Operand) -> Case {
    Case {
        objects: Objects::default(),
        platform: Platform {
            dns: Dns::OpenShift,
            ..Platform::default()
        },
        spec: OperandNetworkPolicySpec::of(operand),
    }
}

/// A spec in the words of an administrator.
pub fn spec(value: Value) -> OperandNetworkPolicySpec {
    serde_json::from_value(value).unwrap()
}

pub fn pod(namespace: &str, labels: &[(&str, &str)]) -> Pod {
    let name = labels.last().map_or("pod", |(_, value)| value);
    Pod::new(namespace, name, labels.iter().copied().collect::<Labels>())
}

/// A Deployment with one container.
pub fn workload(namespace: &str, labels: Value, container: Value) -> Value {
    json!({"metadata": {"name": "w", "namespace": namespace},
        "spec": {"template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}}})
}

impl Case {
    pub fn with(mut self, source: Source, object: Value) -> Self {
        self.objects.add(source, object);
        self
    }

    /// In place of the operand's own object.
    pub fn config(self, source: Source, spec: Value) -> Self {
        let mut case = bare(self.spec.operand);
        case.spec = self.spec;
        case.with(source, json!({"metadata": {"name": "cluster"}, "spec": spec}))
    }

    pub fn spec(mut self, value: Value) -> Self {
        self.spec = spec(value);
        self
    }

    pub fn running(mut self, pod: Pod) -> Self {
        self.objects.pods.push(pod);
        self
    }

    pub fn facts(&self) -> Facts {
        discover(&self.objects, &self.platform)
    }

    pub fn bundle(&self) -> Bundle {
        let (facts, catalog) = (self.facts(), Catalog::default());
        bundles::build(Context {
            facts: &facts,
            spec: &self.spec,
            catalog: &catalog,
        })
    }

    pub fn table(&self) -> Table {
        Table::new(&self.bundle())
    }
}

/// What a bundle lets through.
pub struct Table {
    pub world: World,
    window: Window,
}

/// A world with both monitoring namespaces, one of them without the proposals' label, and one that only claims
/// to be monitoring.
pub fn world() -> World {
    let mut world = World::new(Dialect::spec());
    world.set_namespace("openshift-monitoring", &Labels::default());
    world.set_namespace("openshift-user-workload-monitoring", &Labels::default());
    world.set_namespace("labelled", &Labels::from([("name", "openshift-monitoring")]));
    world.set_namespace("stranger", &Labels::default());
    world
}

impl Table {
    pub fn new(bundle: &Bundle) -> Self {
        Self::of(bundle.policies().cloned())
    }

    pub fn of(policies: impl IntoIterator<Item = Arc<Policy>>) -> Self {
        Self {
            world: world(),
            window: Window::settled(policies),
        }
    }

    fn ports(&self, pod: &Pod, direction: Direction, peer: &Endpoint<'_>) -> String {
        let sure: PortSet = self.window.guaranteed_ports(&self.world, pod, direction, peer);
        let perhaps = self.window.possible_ports(&self.world, pod, direction, peer);
        assert_eq!(sure, perhaps, "undecided: {direction} of {}", pod.name);
        sure.to_string()
    }

    /// Ports of a pod that a pod of a namespace may reach.
    pub fn ingress(&self, to: &Pod, namespace: &str) -> String {
        self.ingress_from(to, &pod(namespace, &[("app", "client")]))
    }

    /// Ports of a pod that another may reach, as far as ingress decides.
    pub fn ingress_from(&self, to: &Pod, from: &Pod) -> String {
        self.ports(to, Direction::Ingress, &Endpoint::Pod(from))
    }

    /// Ports of a pod that a process on another node may reach.
    pub fn ingress_from_host(&self, to: &Pod) -> String {
        self.ports(to, Direction::Ingress, &Endpoint::Host { address: None })
    }

    /// Ports of an address outside that a pod may reach.
    pub fn out(&self, from: &Pod, address: &str) -> String {
        self.ports(
            from,
            Direction::Egress,
            &Endpoint::External(address.parse().unwrap()),
        )
    }

    /// Ports of another pod that a pod may reach, as far as egress decides.
    pub fn out_to(&self, from: &Pod, to: &Pod) -> String {
        self.ports(from, Direction::Egress, &Endpoint::Pod(to))
    }
}

/// An address that belongs to nobody in the cluster.
pub const OUTSIDE: &str = "203.0.113.9";
pub const NOTHING: &str = "no port";

pub fn dns_pod() -> Pod {
    pod(
        "openshift-dns",
        &[("dns.operator.openshift.io/daemonset-dns", "default")],
    )
}

pub fn policy<'a>(bundle: &'a Bundle, namespace: &str, name: &str) -> Option<&'a Arc<Policy>> {
    bundle
        .policies()
        .find(|p| &*p.namespace == namespace && &*p.name == name)
}

pub fn names(bundle: &Bundle, namespace: &str) -> Vec<String> {
    let here = bundle.policies().filter(|p| &*p.namespace == namespace);
    here.map(|p| p.name.to_string()).collect()
}

pub fn reasons(bundle: &Bundle) -> Vec<&'static str> {
    bundle.warnings.iter().map(|w| w.reason).collect()
}

/// The phases of a bundle alone in a namespace.
pub fn phases(
    world: &World,
    namespace: &str,
    have: &[order::Standing],
    want: &[order::Standing],
) -> Vec<order::Phase> {
    let place = order::Place {
        world,
        namespace,
        operand: Operand::ExternalSecrets,
        others: &[],
        running: &[],
    };
    order::phases(&place, have, want)
}
