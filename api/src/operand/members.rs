//! Options that exist for one operand alone.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::server::Client;

/// Options of the SPIRE bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct ZtwimOptions {
    /// namespace of operator and operands. When omitted, it is zero-trust-workload-identity-manager. The
    /// namespaces default and kube-* are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new("self != 'default' && !self.startsWith('kube-')").message("namespace must not be default or kube-*"))]
    pub namespace: Option<String>,
    /// agentIngress says who may reach the server's agent port. Allowed values are "Any" and "AgentPods",
    /// which fits where agents are not on the host network. When omitted, it is Any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AgentIngress")]
    pub agent_ingress: Option<AgentIngress>,
    /// webhookFrom are the clients of the webhook port. When omitted, everybody: API servers have no address
    /// that can be selected on every platform. 1 to 16 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), with = "Vec<Client>")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub webhook_from: Vec<Client>,
}

/// Who may reach the port for agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AgentIngress {
    /// Everybody.
    #[default]
    Any,
    /// The agents of the same namespace.
    AgentPods,
}

/// Options of the cert-manager bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct CertManagerOptions {
    /// operatorNamespace of the operator. When omitted, it is cert-manager-operator. The namespaces default
    /// and kube-* are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new("self != 'default' && !self.startsWith('kube-')").message("operatorNamespace must not be default or kube-*"))]
    pub operator_namespace: Option<String>,
    /// namespace of controller, webhook and cainjector. When omitted, it is cert-manager. The namespaces
    /// default and kube-* are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new("self != 'default' && !self.startsWith('kube-')").message("namespace must not be default or kube-*"))]
    pub namespace: Option<String>,
    /// controllerEgress says what the controller may reach. Allowed values are "Any", and "Restricted": the
    /// API server, DNS, proxies and the entries of egress. When omitted, it is Any, because issuers may be
    /// anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ControllerEgress")]
    pub controller_egress: Option<ControllerEgress>,
    /// metricsFrom are the clients of all metrics ports. When omitted, everybody. 1 to 16 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), with = "Vec<Client>")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub metrics_from: Vec<Client>,
    /// webhookFrom are the clients of the webhook port. When omitted, everybody: API servers have no address
    /// that can be selected on every platform. 1 to 16 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), with = "Vec<Client>")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub webhook_from: Vec<Client>,
    /// istioCSR holds options of istio-csr.
    #[serde(default, rename = "istioCSR", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "IstioCsrOptions")]
    pub istio_csr: Option<IstioCsrOptions>,
}

/// What the controller of cert-manager may reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ControllerEgress {
    /// Everything.
    #[default]
    Any,
    /// The API server, DNS, proxies and the entries of egress.
    Restricted,
}

/// Options of istio-csr.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct IstioCsrOptions {
    /// namespace of istio-csr. When omitted, it is the namespace of the IstioCSR object and, without one,
    /// istio-system. The namespaces default and kube-* are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new("self != 'default' && !self.startsWith('kube-')").message("namespace must not be default or kube-*"))]
    pub namespace: Option<String>,
    /// grpc says who owns the policy for the gRPC port. When omitted, its users do, and a warning stands until
    /// they have made one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Grpc")]
    pub grpc: Option<Grpc>,
}

/// Who owns the policy for the gRPC port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GrpcPolicy {
    /// Users of istio-csr.
    #[default]
    UserProvided,
    /// The bundle.
    Generated,
}

/// The gRPC port of istio-csr, a union discriminated by `policy`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("self.policy == 'Generated' ? has(self.generated) : !has(self.generated)")
        .message("generated is required when policy is Generated, and forbidden otherwise")
)]
pub struct Grpc {
    /// policy is required and discriminates the union. Allowed values are "UserProvided" and "Generated".
    pub policy: GrpcPolicy,
    /// generated says whom the policy of the bundle admits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "GeneratedGrpc")]
    pub generated: Option<GeneratedGrpc>,
}

/// The generated policy for the gRPC port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GeneratedGrpc {
    /// clients of the gRPC port, required. 1 to 16 entries.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub clients: Vec<Client>,
}

/// Options of the external-secrets bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct ExternalSecretsOptions {
    /// operatorNamespace of the operator. When omitted, it is external-secrets-operator. The namespaces
    /// default and kube-* are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new("self != 'default' && !self.startsWith('kube-')").message("operatorNamespace must not be default or kube-*"))]
    pub operator_namespace: Option<String>,
    /// namespace of the operands. When omitted, it is the one that the operator's own object names and, without
    /// one, external-secrets. The namespaces default and kube-* are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new("self != 'default' && !self.startsWith('kube-')").message("namespace must not be default or kube-*"))]
    pub namespace: Option<String>,
    /// webhookFrom are the clients of the webhook port. When omitted, everybody: API servers have no address
    /// that can be selected on every platform. 1 to 16 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), with = "Vec<Client>")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub webhook_from: Vec<Client>,
    /// entryPrefix is put before the names of user entries, so that they can never meet a policy of somebody
    /// else. When omitted, names are used as they are. 1 to 63 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9][-a-z0-9]*$")
    )]
    pub entry_prefix: Option<String>,
}
