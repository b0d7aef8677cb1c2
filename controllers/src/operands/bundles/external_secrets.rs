//! external-secrets: the operator, and operands that come and go.

use std::sync::Arc;

use bulkhead_api::operand::ComponentState::Present;
use bulkhead_policy::{Direction, Labels, Peer, Pod, Policy};

use super::{
    Component,
    components::any_of,
    is_on,
    parts::{Opens, Parts, tcp},
};
use crate::operands::{Warning, entries::Entry, reach};

const OPERATOR_NAMESPACE: &str = "external-secrets-operator";
const NAMESPACE: &str = "external-secrets";
const NAME: &str = "app.kubernetes.io/name";
const CONTROLLER: &str = "external-secrets";
const WEBHOOK: &str = "external-secrets-webhook";
const CERT_CONTROLLER: &str = "external-secrets-cert-controller";
const BITWARDEN: &str = "bitwarden-sdk-server";
/// What the proposal calls the Bitwarden server's pods.
const BITWARDEN_PROPOSED: &str = "external-secrets-bitwarden-server";
const METRICS: u16 = 8080;
const BITWARDEN_API: u16 = 9998;

const RESERVED: [&str; 11] = [
    "deny-all-traffic",
    "deny-all-traffic-operator",
    "allow-operator-traffic",
    "allow-api-server-egress",
    "allow-api-server-egress-for-webhook",
    "allow-api-server-egress-for-cert-controller",
    "allow-api-server-egress-for-bitwarden-sever",
    "allow-to-dns",
    "allow-metrics-ingress",
    "allow-controller-bitwarden-egress",
    "allow-proxy-egress",
];

/// Adds the bundle.
pub fn add(parts: &mut Parts<'_>) {
    let facts = &parts.context.facts.external_secrets;
    parts.warnings.extend(facts.warnings.iter().cloned());
    let options = parts.context.spec.external_secrets.clone().unwrap_or_default();
    let home = options
        .operator_namespace
        .as_deref()
        .unwrap_or(OPERATOR_NAMESPACE);
    let operator = parts.component(home, "operator", ("app", OPERATOR_NAMESPACE), Present);
    // The proposal lists peers and ports as two rules, which would open each to everybody.
    let metrics = tcp(parts.monitoring(), [8443, 8080]);
    parts.allow(
        &operator,
        "allow-operator-traffic",
        Opens::both(metrics, parts.api()),
    );

    let found = facts.namespace.as_deref().unwrap_or(NAMESPACE);
    let namespace = options.namespace.as_deref().unwrap_or(found);
    let controller = parts.component(namespace, "controller", (NAME, CONTROLLER), Present);
    let webhook = parts.component(namespace, "webhook", (NAME, WEBHOOK), Present);
    let cert_controller = parts.component(
        namespace,
        "cert-controller",
        (NAME, CERT_CONTROLLER),
        facts.cert_controller,
    );
    let bitwarden = parts.component(namespace, BITWARDEN, (NAME, BITWARDEN), facts.bitwarden);

    parts.allow(&controller, "allow-api-server-egress", Opens::egress(parts.api()));
    let admission = Opens::both(parts.from(&options.webhook_from, [10250]), parts.api());
    parts.allow(&webhook, "allow-api-server-egress-for-webhook", admission);
    if is_on(cert_controller.state) {
        let api = Opens::egress(parts.api());
        parts.allow(
            &cert_controller,
            "allow-api-server-egress-for-cert-controller",
            api,
        );
    }
    if is_on(bitwarden.state) {
        add_bitwarden(parts, &bitwarden, &controller);
    }
    shared(parts, &controller);
    let prefix = options.entry_prefix.as_deref().unwrap_or_default();
    let configurable = [
        ("ExternalSecretsCoreController", &controller),
        ("BitwardenSDKServer", &bitwarden),
    ];
    let accepted = parts.entries(facts.entries.clone(), prefix, &RESERVED, &configurable);
    warn_about_entries(parts, &accepted, &bitwarden);
    parts.deny_all(home);
    parts.deny_all(namespace);
}

/// The name is misspelt in the proposal and is kept.
fn add_bitwarden(parts: &mut Parts<'_>, bitwarden: &Component, controller: &Component) {
    let pods = any_of(NAME, &[BITWARDEN, BITWARDEN_PROPOSED]);
    let peer = |pods| Peer::Pods {
        namespaces: None,
        pods: Some(pods),
    };
    let from_controller = tcp(vec![peer(controller.pods())], [BITWARDEN_API]);
    let opens = Opens::both(from_controller, parts.api());
    parts.allow_pods(
        bitwarden,
        pods.clone(),
        "allow-api-server-egress-for-bitwarden-sever",
        opens,
    );
    let to_bitwarden = Opens::egress(tcp(vec![peer(pods)], [BITWARDEN_API]));
    parts.allow(controller, "allow-controller-bitwarden-egress", to_bitwarden);
}

/// What several components have in common.
fn shared(parts: &mut Parts<'_>, controller: &Component) {
    let callers = any_of(NAME, &[CONTROLLER, BITWARDEN]);
    parts.allow_pods(
        controller,
        callers.clone(),
        "allow-to-dns",
        Opens::egress(parts.dns()),
    );
    let scraped = any_of(NAME, &[CONTROLLER, WEBHOOK, CERT_CONTROLLER]);
    let metrics = Opens::ingress(tcp(parts.monitoring(), [METRICS]));
    parts.allow_pods(controller, scraped, "allow-metrics-ingress", metrics);
    let proxy = &parts.context.facts.external_secrets.proxy;
    if !proxy.is_empty() {
        let proxy = Opens::egress(tcp(Vec::new(), proxy.iter().copied()));
        parts.allow_pods(controller, callers, "allow-proxy-egress", proxy);
    }
}

fn warn_about_entries(parts: &mut Parts<'_>, entries: &[Entry], bitwarden: &Component) {
    let of = |component: &'static str| entries.iter().filter(move |e| e.component == component);
    if of("ExternalSecretsCoreController").all(|e| e.rules.is_empty()) {
        parts.warnings.push(Warning::new(
            "NoProviderEgress",
            "the controller has no provider egress: it reaches the API server and DNS alone, and stores report \
             timeouts; add an entry to networkPolicies of ExternalSecretsConfig cluster",
        ));
    }
    let on = is_on(bitwarden.state);
    for entry in of("BitwardenSDKServer").filter(|_| !on) {
        parts.warnings.push(Warning::new(
            "NetworkPolicyMisconfiguration",
            format!(
                "entry {} is for the Bitwarden server, which is not enabled; enable it or remove the entry",
                entry.name
            ),
        ));
    }
    let opens_https = |entry: &Entry| reaches(parts, bitwarden, entry, 443);
    if on && !of("BitwardenSDKServer").any(opens_https) {
        parts.warnings.push(Warning::new(
            "NoBitwardenEgress",
            "the Bitwarden server may not reach Bitwarden; add an entry for BitwardenSDKServer with TCP 443 to \
             networkPolicies of ExternalSecretsConfig cluster",
        ));
    }
}

fn reaches(parts: &Parts<'_>, component: &Component, entry: &Entry, port: u16) -> bool {
    let labels = Labels::from([(component.key, component.value)]);
    let pod = Pod::new(component.namespace.clone(), component.name, labels);
    let policy = Policy {
        namespace: component.namespace.clone(),
        name: entry.name.as_str().into(),
        pods: component.pods(),
        ingress: None,
        egress: Some(entry.rules.clone()),
    };
    let world = parts.context.facts.platform.world();
    reach::opens(&world, &Arc::new(policy), Direction::Egress, &pod, port)
}
