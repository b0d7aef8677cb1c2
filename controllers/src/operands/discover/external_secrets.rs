//! What can be found out about external-secrets.

use bulkhead_api::operand::ComponentState;
use serde_json::Value;

use super::{
    Objects, Source, json, proxy,
    workloads::{self, NAME},
};
use crate::operands::facts::{ExternalSecrets, Ports, Warning};

const OPERATOR: &str = "external-secrets-operator";
const CERT_CONTROLLER: &str = "external-secrets-cert-controller";
const BITWARDEN: &str = "bitwarden-sdk-server";
/// The webhook's certificate when cert-manager makes it.
const WEBHOOK_SECRET: &str = "external-secrets-webhook-cm";

/// The operator's own object, in either of its kinds.
#[derive(Clone, Copy)]
enum Config<'a> {
    /// ExternalSecretsConfig.
    Current(&'a Value),
    /// ExternalSecrets of release 0.1 and of the proposal.
    Old(&'a Value),
}

/// The facts about external-secrets.
pub fn facts(objects: &Objects) -> ExternalSecrets {
    let config = objects
        .singleton(Source::ExternalSecretsConfig)
        .map(Config::Current)
        .or_else(|| objects.singleton(Source::ExternalSecrets).map(Config::Old));
    let mut warnings = Vec::new();
    let cert_controller = cert_controller(objects, config);
    if cert_controller == ComponentState::LeftOver {
        warnings.push(Warning::new(
            "LeftOver",
            format!(
                "cert-manager makes the webhook's certificates, yet {CERT_CONTROLLER} still runs and is isolated; \
                 delete its Deployment"
            ),
        ));
    }
    let bitwarden = bitwarden(objects, config);
    if bitwarden == ComponentState::LeftOver {
        warnings.push(Warning::new(
            "LeftOver",
            format!(
                "Bitwarden is disabled, yet {BITWARDEN} still runs and is isolated; delete its Deployment"
            ),
        ));
    }
    ExternalSecrets {
        present: config.is_some()
            || workloads::exists(objects, NAME, "external-secrets")
            || workloads::exists(objects, "app", OPERATOR),
        namespace: config.and_then(namespace).map(Into::into),
        cert_controller,
        bitwarden,
        entries: config.map(entries).unwrap_or_default(),
        proxy: proxy_ports(objects, config, &mut warnings),
        warnings,
    }
}

/// Only release 0.1 let its namespace be chosen.
fn namespace(config: Config<'_>) -> Option<&str> {
    let (Config::Current(object) | Config::Old(object)) = config;
    json::text(object, "/spec/controllerConfig/namespace")
}

fn entries(config: Config<'_>) -> Vec<Value> {
    match config {
        Config::Current(object) => json::list(object, "/spec/controllerConfig/networkPolicies").to_vec(),
        Config::Old(object) => json::list(object, "/spec/networkPolicies").to_vec(),
    }
}

/// It is there unless cert-manager makes the certificates. Without an object to ask, what runs decides.
fn cert_controller(objects: &Objects, config: Option<Config<'_>>) -> ComponentState {
    let by_cert_manager = config.map(|config| match config {
        Config::Current(o) => json::is(
            o,
            "/spec/controllerConfig/certProvider/certManager/mode",
            "Enabled",
        ),
        Config::Old(o) => json::is(
            o,
            "/spec/externalSecretsConfig/webhookConfig/certManagerConfig/enabled",
            "true",
        ),
    });
    let secret = || {
        objects
            .of(Source::SecretName)
            .iter()
            .any(|s| json::name(s) == WEBHOOK_SECRET)
    };
    let runs = workloads::exists(objects, NAME, CERT_CONTROLLER);
    match by_cert_manager {
        Some(by_cert_manager) => switched(!by_cert_manager, runs),
        None if runs && secret() => ComponentState::LeftOver,
        None => present_if(runs),
    }
}

/// Switching it off does not stop it: the operator only stops looking after it.
fn bitwarden(objects: &Objects, config: Option<Config<'_>>) -> ComponentState {
    let enabled = config.map(|config| match config {
        Config::Current(o) => json::is(o, "/spec/plugins/bitwardenSecretManagerProvider/mode", "Enabled"),
        Config::Old(o) => json::is(
            o,
            "/spec/externalSecretsConfig/bitwardenSecretManagerProvider/enabled",
            "true",
        ),
    });
    let runs = workloads::exists(objects, NAME, BITWARDEN);
    enabled.map_or(present_if(runs), |enabled| switched(enabled, runs))
}

fn switched(on: bool, runs: bool) -> ComponentState {
    match (on, runs) {
        (true, _) => ComponentState::Present,
        (false, true) => ComponentState::LeftOver,
        (false, false) => ComponentState::Absent,
    }
}

fn present_if(runs: bool) -> ComponentState {
    switched(runs, runs)
}

fn proxy_ports(objects: &Objects, config: Option<Config<'_>>, warnings: &mut Vec<Warning>) -> Ports {
    let own = config.and_then(|(Config::Current(o) | Config::Old(o))| json::at(o, "/spec/appConfig/proxy"));
    let manager = objects.singleton(Source::ExternalSecretsManager);
    let global = manager.and_then(|m| json::at(m, "/spec/globalConfig/proxy"));
    // It stands beside the URLs and may be set where there are none.
    let places = [own, global];
    let provisioning = places
        .iter()
        .flatten()
        .find_map(|p| json::text(p, "/networkPolicyProvisioning"));
    if provisioning.is_some_and(|p| p != "Managed") {
        return Ports::new();
    }
    let workloads = [
        workloads::with_label(objects, "app", OPERATOR),
        workloads::with_label(objects, NAME, "external-secrets"),
    ];
    proxy::ports(&places, &workloads, objects, warnings)
}
