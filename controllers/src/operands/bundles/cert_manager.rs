//! cert-manager: operator, operands and istio-csr, each in its namespace.

use bulkhead_api::{
    operand::{CertManagerOptions, ComponentState::Present, ControllerEgress, GrpcPolicy, IstioCsrOptions},
    server::Client,
};
use bulkhead_policy::Rule;

use super::parts::{Opens, Parts, tcp};
use crate::operands::facts::IstioCsr;

const OPERATOR_NAMESPACE: &str = "cert-manager-operator";
const NAMESPACE: &str = "cert-manager";
const METRICS: u16 = 9402;

const RESERVED: [&str; 9] = [
    "deny-all-traffic",
    "deny-all-traffic-operator",
    "allow-operator-traffic",
    "allow-cert-manager-controller-traffic",
    "allow-cert-manager-webhook-traffic",
    "allow-cert-manager-cainjector-traffic",
    "deny-istio-csr-traffic",
    "allow-istio-csr-baseline-traffic",
    "allow-istio-csr-grpc-service",
];

/// Adds the bundle.
pub fn add(parts: &mut Parts<'_>) {
    let facts = &parts.context.facts.cert_manager;
    parts.warnings.extend(facts.warnings.iter().cloned());
    let options = parts.context.spec.cert_manager.clone().unwrap_or_default();
    let home = options
        .operator_namespace
        .as_deref()
        .unwrap_or(OPERATOR_NAMESPACE);
    let operator = parts.component(home, "operator", ("name", OPERATOR_NAMESPACE), Present);
    let metrics = parts.from(&options.metrics_from, [8443]);
    parts.allow(
        &operator,
        "allow-operator-traffic",
        Opens::both(metrics, parts.api()),
    );

    let namespace = options.namespace.as_deref().unwrap_or(NAMESPACE);
    operands(parts, namespace, &options);
    if let Some(istio_csr) = &facts.istio_csr {
        let wanted = options.istio_csr.clone().unwrap_or_default();
        add_istio_csr(parts, istio_csr, &wanted, &options.metrics_from);
    }
    parts.deny_all(home);
    parts.deny_all(namespace);
}

fn operands(parts: &mut Parts<'_>, namespace: &str, options: &CertManagerOptions) {
    let controller = parts.component(namespace, "controller", ("app", "cert-manager"), Present);
    let webhook = parts.component(namespace, "webhook", ("app", "webhook"), Present);
    let cainjector = parts.component(namespace, "cainjector", ("app", "cainjector"), Present);
    let metrics = parts.from(&options.metrics_from, [METRICS]);
    let out = controller_egress(parts, options.controller_egress.unwrap_or_default());
    let opens = Opens::both(metrics.clone(), out);
    parts.allow(&controller, "allow-cert-manager-controller-traffic", opens);
    let mut into_webhook = parts.from(&options.webhook_from, [10250]);
    into_webhook.extend(metrics.clone());
    let opens = Opens::both(into_webhook, parts.api());
    parts.allow(&webhook, "allow-cert-manager-webhook-traffic", opens);
    let opens = Opens::both(metrics, parts.api());
    parts.allow(&cainjector, "allow-cert-manager-cainjector-traffic", opens);
    parts.entries(Vec::new(), "", &RESERVED, &[("CoreController", &controller)]);
}

fn controller_egress(parts: &Parts<'_>, wanted: ControllerEgress) -> Vec<Rule> {
    match wanted {
        ControllerEgress::Any => vec![Rule::default()],
        ControllerEgress::Restricted => {
            let proxy = parts.context.facts.cert_manager.proxy.iter().copied();
            [parts.api(), parts.dns(), tcp(Vec::new(), proxy)].concat()
        }
    }
}

/// istio-csr may share its namespace with a whole mesh, so its deny never selects anything else.
fn add_istio_csr(parts: &mut Parts<'_>, found: &IstioCsr, wanted: &IstioCsrOptions, metrics_from: &[Client]) {
    let namespace = wanted.namespace.as_deref().unwrap_or(&found.namespace);
    let istio_csr = parts.component(namespace, "istio-csr", ("app", "cert-manager-istio-csr"), Present);
    let metrics = parts.from(metrics_from, [METRICS]);
    let baseline = Opens::both(metrics, parts.api());
    parts.allow(&istio_csr, "allow-istio-csr-baseline-traffic", baseline);
    let grpc = wanted.grpc.as_ref().filter(|g| g.policy == GrpcPolicy::Generated);
    if let Some(generated) = grpc.and_then(|g| g.generated.as_ref()) {
        let clients = parts.from(&generated.clients, [found.grpc_port]);
        parts.allow(
            &istio_csr,
            "allow-istio-csr-grpc-service",
            Opens::ingress(clients),
        );
    }
    parts.deny(namespace, "deny-istio-csr-traffic", istio_csr.pods());
}
