//! What all bundles are made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use bulkhead_api::{
    operand::{ComponentState, DenyScope, DnsProfile},
    server::Client,
};
use bulkhead_policy::{IpNet, NAMESPACE_NAME_LABEL, Peer, Policy, PortRule, Protocol, Rule, Selector};
use serde_json::Value;

use super::{BundlePolicy, Component, Context, Role, Tenancy, components, entries, namespaces};
use crate::{
    decide::{Dns, render},
    operands::Warning,
};

/// The proposals' peer: any namespace may give itself this label, so it never stands alone.
const MONITORING_LABEL: (&str, &str) = ("name", "openshift-monitoring");
/// Who scrapes unless the spec says otherwise.
const MONITORING: [&str; 2] = ["openshift-monitoring", "openshift-user-workload-monitoring"];
/// The name of the deny in all proposals.
const DENY: &str = "deny-all-traffic";

/// A bundle in the making.
pub struct Parts<'a> {
    pub context: Context<'a>,
    policies: Vec<BundlePolicy>,
    components: Vec<Component>,
    pub warnings: Vec<Warning>,
}

/// What the policy of a component opens; `None` where it does not isolate.
#[derive(Default)]
pub struct Opens {
    pub ingress: Option<Vec<Rule>>,
    pub egress: Option<Vec<Rule>>,
}

impl Opens {
    pub fn ingress(rules: Vec<Rule>) -> Self {
        Self {
            ingress: Some(rules),
            egress: None,
        }
    }

    pub fn egress(rules: Vec<Rule>) -> Self {
        Self {
            ingress: None,
            egress: Some(rules),
        }
    }

    pub fn both(ingress: Vec<Rule>, egress: Vec<Rule>) -> Self {
        Self {
            ingress: Some(ingress),
            egress: Some(egress),
        }
    }
}

/// One rule for TCP ports; no peers means everybody. Without ports there is nothing to open, and an empty list
/// would open everything.
pub fn tcp(peers: Vec<Peer>, ports: impl IntoIterator<Item = u16>) -> Vec<Rule> {
    let ports: Vec<PortRule> = ports
        .into_iter()
        .map(|p| PortRule::number(Protocol::Tcp, p))
        .collect();
    if ports.is_empty() {
        Vec::new()
    } else {
        vec![Rule { peers, ports }]
    }
}

impl<'a> Parts<'a> {
    pub fn new(context: Context<'a>) -> Self {
        Self {
            context,
            policies: Vec::new(),
            components: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Declares a component.
    pub fn component(
        &mut self,
        namespace: &str,
        name: &'static str,
        (key, value): (&'static str, &'static str),
        state: ComponentState,
    ) -> Component {
        let component = Component {
            name,
            namespace: namespace.into(),
            key,
            value,
            state,
        };
        self.components.push(component.clone());
        component
    }

    /// Adds the policy of a component.
    pub fn allow(&mut self, component: &Component, name: &str, opens: Opens) {
        self.allow_pods(component, component.pods(), name, opens);
    }

    /// Adds the policy of a component for pods that are not exactly its own.
    pub fn allow_pods(&mut self, component: &Component, pods: Selector, name: &str, opens: Opens) {
        self.push(
            Role::Allow,
            Some(component.name),
            &component.namespace,
            name,
            pods,
            opens,
        );
    }

    /// Adds a policy that isolates pods and opens nothing.
    pub fn deny(&mut self, namespace: &str, name: &str, pods: Selector) {
        self.push(
            Role::Deny,
            None,
            namespace,
            name,
            pods,
            Opens::both(Vec::new(), Vec::new()),
        );
    }

    /// Adds the deny of a namespace: for every pod, or for the known components, whose labels may need an
    /// object for each key.
    pub fn deny_all(&mut self, namespace: &str) {
        if self
            .policies
            .iter()
            .any(|p| p.role == Role::Deny && &*p.policy.namespace == namespace)
        {
            return;
        }
        let context = self.context;
        if namespaces::deny_scope(namespace, context.spec.deny_scope, context.facts) == DenyScope::Namespace {
            self.deny(namespace, DENY, Selector::everything());
            return;
        }
        let mut by_key: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for component in self.components.iter().filter(|c| &*c.namespace == namespace) {
            by_key.entry(component.key).or_default().push(component.value);
        }
        // Operands are more than one, the operator is alone.
        let mut groups: Vec<(&str, Vec<&str>)> = by_key.into_iter().collect();
        groups.sort_by_key(|(_, values)| std::cmp::Reverse(values.len()));
        for (at, (key, values)) in groups.into_iter().enumerate() {
            let name = if at == 0 {
                DENY.to_owned()
            } else {
                format!("{DENY}-operator")
            };
            self.deny(namespace, &name, components::any_of(key, &values));
        }
    }

    /// The API server, on every port that it may have. It has no address that can be selected everywhere.
    pub fn api(&self) -> Vec<Rule> {
        tcp(Vec::new(), self.context.facts.platform.api_ports.iter().copied())
    }

    /// Whoever answers DNS.
    pub fn dns(&self) -> Vec<Rule> {
        let wanted = self.context.spec.dns.clone().unwrap_or_default();
        let profile = match wanted.profile {
            Some(DnsProfile::OpenShift) => Dns::OpenShift,
            Some(DnsProfile::Kubernetes) => Dns::Kubernetes,
            None => self.context.facts.platform.dns,
        };
        let (peer, port) = render::dns(profile);
        let on = |ports: &[u16]| -> Vec<PortRule> {
            let each = |port: &u16| [Protocol::Tcp, Protocol::Udp].map(|p| PortRule::number(p, *port));
            ports.iter().flat_map(each).collect()
        };
        let ports: Vec<u16> = [port].into_iter().chain(wanted.additional_ports).collect();
        let mut rules = vec![Rule {
            peers: vec![peer],
            ports: on(&ports),
        }];
        let block = |address| Peer::IpBlock {
            cidr: IpNet::from(address),
            except: Vec::new(),
        };
        let addresses: Vec<Peer> = wanted.addresses.into_iter().map(block).collect();
        if !addresses.is_empty() {
            rules.push(Rule {
                peers: addresses,
                ports: on(&[53]),
            });
        }
        rules
    }

    /// Who scrapes: by the immutable name, and by default also by the proposals' label.
    pub fn monitoring(&self) -> Vec<Peer> {
        let peer = |selector: Selector| Peer::Pods {
            namespaces: Some(selector),
            pods: None,
        };
        let own = &self.context.spec.monitoring_namespaces;
        if !own.is_empty() {
            let named = |name: &String| peer(Selector::from([(NAMESPACE_NAME_LABEL, name.as_str())]));
            return own.iter().map(named).collect();
        }
        let named = MONITORING.map(|name| peer(Selector::namespace_name(name)));
        named
            .into_iter()
            .chain([peer(Selector::from([MONITORING_LABEL]))])
            .collect()
    }

    /// Clients that the spec names, on TCP ports; everybody when it names none.
    pub fn from(&mut self, clients: &[Client], ports: impl IntoIterator<Item = u16>) -> Vec<Rule> {
        if clients.is_empty() {
            return tcp(Vec::new(), ports);
        }
        let Context { facts, catalog, .. } = self.context;
        let Some(admission) = render::admission(clients, &facts.platform, catalog) else {
            return Vec::new();
        };
        if admission.port_only {
            self.warnings.push(Warning::new(
                "PortOnly",
                "the network plugin cannot select host traffic, so ports for HostNetwork or APIServer clients \
                 are open to everybody; name other clients to close them",
            ));
        }
        tcp(admission.peers, ports)
    }

    /// Adds user entries, each as a policy of its own name.
    pub fn entries(
        &mut self,
        raw: Vec<Value>,
        prefix: &str,
        reserved: &[&str],
        components: &[(&'static str, &Component)],
    ) -> Vec<entries::Entry> {
        let spec = self.context.spec;
        let raw: Vec<Value> = raw.into_iter().chain(entries::raw(&spec.egress)).collect();
        let accepted = entries::accept(spec.operand, &raw, prefix, reserved, &mut self.warnings);
        for entry in &accepted {
            let component = components.iter().find(|(name, _)| *name == entry.component);
            if let Some((canonical, component)) = component {
                let opens = Opens::egress(entry.rules.clone());
                self.push(
                    Role::Allow,
                    Some(*canonical),
                    &component.namespace,
                    &entry.name,
                    component.pods(),
                    opens,
                );
            }
        }
        accepted
    }

    fn push(
        &mut self,
        role: Role,
        component: Option<&'static str>,
        namespace: &str,
        name: &str,
        pods: Selector,
        opens: Opens,
    ) {
        let Context { facts, spec, .. } = self.context;
        if namespaces::tenancy(namespace, facts) == Tenancy::Forbidden {
            let message =
                format!("nothing is ever written to namespace {namespace}; install the operand elsewhere");
            self.warnings.push(Warning::new("ForbiddenNamespace", message));
            return;
        }
        let policy = Policy {
            namespace: namespace.into(),
            name: namespaces::policy_name(namespace, name, spec.operand, facts).into(),
            pods,
            ingress: opens.ingress,
            egress: opens.egress,
        };
        self.policies.push(BundlePolicy {
            role,
            component,
            policy: Arc::new(policy),
        });
    }

    /// The parts, allows before denies.
    pub fn finish(mut self) -> (Vec<BundlePolicy>, Vec<Component>, Vec<Warning>) {
        self.policies.sort_by_key(|p| p.role);
        self.warnings.sort();
        self.warnings.dedup();
        (self.policies, self.components, self.warnings)
    }
}
