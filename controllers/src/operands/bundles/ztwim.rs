//! SPIRE: operator and operands in one namespace.

use bulkhead_api::operand::{AgentIngress, ComponentState::Present};
use bulkhead_policy::Peer;

use super::{
    Component,
    components::any_of,
    parts::{Opens, Parts, tcp},
};
use crate::operands::facts::Ports;

const NAMESPACE: &str = "zero-trust-workload-identity-manager";
const NAME: &str = "app.kubernetes.io/name";
const SERVER: &str = "spire-server";
const AGENT: &str = "spire-agent";
const OIDC: &str = "spiffe-oidc-discovery-provider";
const KUBELET: u16 = 10250;
const FEDERATION: u16 = 8443;

const RESERVED: [&str; 18] = [
    "deny-all-traffic",
    "deny-all-traffic-operator",
    "allow-operator-api-server-egress",
    "allow-operator-metrics-ingress",
    "allow-spire-server-agent-ingress",
    "allow-spire-server-webhook-ingress",
    "allow-spire-server-metrics-ingress",
    "allow-spire-server-api-egress",
    "allow-spire-server-federation",
    "allow-spire-server-dns-egress",
    "allow-spire-server-datastore-egress",
    "allow-spire-agent-server-egress",
    "allow-spire-agent-metrics-ingress",
    "allow-spire-agent-api-egress",
    "allow-spire-agent-dns-egress",
    "allow-spire-agent-kubelet-egress",
    "allow-oidc-provider-https-ingress",
    "allow-proxy-egress",
];

/// Adds the bundle.
pub fn add(parts: &mut Parts<'_>) {
    let facts = &parts.context.facts.spire;
    parts.warnings.extend(facts.warnings.iter().cloned());
    let options = parts
        .context
        .spec
        .zero_trust_workload_identity_manager
        .clone()
        .unwrap_or_default();
    let namespace = options.namespace.as_deref().unwrap_or(NAMESPACE);
    let operator = parts.component(namespace, "operator", ("name", NAMESPACE), Present);
    let server = parts.component(namespace, SERVER, (NAME, SERVER), Present);
    let agent = parts.component(namespace, AGENT, (NAME, AGENT), Present);
    let oidc = parts.component(namespace, "oidc-discovery-provider", (NAME, OIDC), Present);
    // The CSI driver speaks through sockets alone, so it gets no policy but the deny.
    parts.component(
        namespace,
        "spiffe-csi-driver",
        (NAME, "spiffe-csi-driver"),
        Present,
    );

    operator_policies(parts, &operator);
    let agents = match options.agent_ingress.unwrap_or_default() {
        AgentIngress::Any => Vec::new(),
        AgentIngress::AgentPods => vec![Peer::Pods {
            namespaces: None,
            pods: Some(agent.pods()),
        }],
    };
    parts.allow(
        &server,
        "allow-spire-server-agent-ingress",
        Opens::ingress(tcp(agents, [8081])),
    );
    let webhook = parts.from(&options.webhook_from, [9443]);
    parts.allow(
        &server,
        "allow-spire-server-webhook-ingress",
        Opens::ingress(webhook),
    );
    server_policies(parts, &server);
    agent_policies(parts, &agent);
    let https = tcp(Vec::new(), [8443]);
    parts.allow(&oidc, "allow-oidc-provider-https-ingress", Opens::ingress(https));
    if !facts.proxy.is_empty() {
        let pods = any_of(NAME, &[SERVER, AGENT, OIDC]);
        let proxy = Opens::egress(tcp(Vec::new(), facts.proxy.iter().copied()));
        parts.allow_pods(&server, pods, "allow-proxy-egress", proxy);
    }
    let configurable = [
        ("SpireServer", &server),
        ("SpireAgent", &agent),
        ("OIDCDiscoveryProvider", &oidc),
    ];
    parts.entries(Vec::new(), "", &RESERVED, &configurable);
    parts.deny_all(namespace);
}

fn operator_policies(parts: &mut Parts<'_>, operator: &Component) {
    parts.allow(
        operator,
        "allow-operator-api-server-egress",
        Opens::egress(parts.api()),
    );
    let metrics = &parts.context.facts.spire.operator_metrics;
    let rules = tcp(parts.monitoring(), metrics.iter().copied());
    parts.allow(operator, "allow-operator-metrics-ingress", Opens::ingress(rules));
}

fn server_policies(parts: &mut Parts<'_>, server: &Component) {
    let facts = &parts.context.facts.spire;
    let metrics = tcp(parts.monitoring(), [9402, 8082]);
    parts.allow(
        server,
        "allow-spire-server-metrics-ingress",
        Opens::ingress(metrics),
    );
    parts.allow(
        server,
        "allow-spire-server-api-egress",
        Opens::egress(parts.api()),
    );
    let peers: Ports = facts
        .federation
        .iter()
        .flatten()
        .copied()
        .chain([FEDERATION])
        .collect();
    let federation = Opens::both(tcp(Vec::new(), [FEDERATION]), tcp(Vec::new(), peers));
    parts.allow(server, "allow-spire-server-federation", federation);
    parts.allow(
        server,
        "allow-spire-server-dns-egress",
        Opens::egress(parts.dns()),
    );
    if !facts.datastore.is_empty() {
        let database = tcp(Vec::new(), facts.datastore.iter().copied());
        parts.allow(
            server,
            "allow-spire-server-datastore-egress",
            Opens::egress(database),
        );
    }
}

fn agent_policies(parts: &mut Parts<'_>, agent: &Component) {
    let server = tcp(Vec::new(), [8081]);
    parts.allow(agent, "allow-spire-agent-server-egress", Opens::egress(server));
    let metrics = tcp(parts.monitoring(), [9402]);
    parts.allow(
        agent,
        "allow-spire-agent-metrics-ingress",
        Opens::ingress(metrics),
    );
    parts.allow(agent, "allow-spire-agent-api-egress", Opens::egress(parts.api()));
    parts.allow(agent, "allow-spire-agent-dns-egress", Opens::egress(parts.dns()));
    let kubelet = tcp(Vec::new(), [KUBELET]);
    parts.allow(agent, "allow-spire-agent-kubelet-egress", Opens::egress(kubelet));
}
