//! Labels by which pods of operands are told from all others.

use bulkhead_policy::Labels;

/// Values of `name`: operators.
const NAMES: [&str; 2] = ["zero-trust-workload-identity-manager", "cert-manager-operator"];
/// Values of `app`: operators and operands.
const APPS: [&str; 3] = [
    "external-secrets-operator",
    "cert-manager",
    "cert-manager-istio-csr",
];
/// Values of `app` that are anybody's unless the instance is cert-manager.
const APPS_OF_INSTANCE: [&str; 2] = ["webhook", "cainjector"];
/// Values of `app.kubernetes.io/name`.
const APP_NAMES: [&str; 8] = [
    "spire-server",
    "spire-agent",
    "spiffe-oidc-discovery-provider",
    "spiffe-csi-driver",
    "external-secrets",
    "external-secrets-webhook",
    "external-secrets-cert-controller",
    "bitwarden-sdk-server",
];

/// Whether pods with these labels are an operand's, or its operator's.
pub fn is_operand(labels: &Labels) -> bool {
    let is = |key: &str, values: &[&str]| labels.get(key).is_some_and(|value| values.contains(&value));
    is("name", &NAMES)
        || is("app", &APPS)
        || is("app.kubernetes.io/name", &APP_NAMES)
        || (is("app", &APPS_OF_INSTANCE) && is("app.kubernetes.io/instance", &["cert-manager"]))
}
