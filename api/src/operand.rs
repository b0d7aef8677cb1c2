//! `OperandNetworkPolicy`: the policies of an operator that is not part of the platform, and of what it runs.
//!
//! Sources of names and defaults: the three operator proposals, facts: operands.md sections 1 and 5.

use std::net::IpAddr;

use k8s_openapi::api::networking::v1::NetworkPolicyEgressRule;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::switch::ManagementState;

mod members;
mod status;

pub use members::{
    AgentIngress, CertManagerOptions, ControllerEgress, ExternalSecretsOptions, GeneratedGrpc, Grpc,
    GrpcPolicy, IstioCsrOptions, ZtwimOptions,
};
pub use status::{
    ComponentState, OperandComponent, OperandIntent, OperandNetworkPolicyStatus, OperandPolicy,
    OperandWarning, PolicyState,
};

/// Which operator the object is about, and how its policies are made.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "network.operator.openshift.io",
    version = "v1alpha1",
    kind = "OperandNetworkPolicy",
    plural = "operandnetworkpolicies",
    shortname = "operandnetpol",
    category = "bulkhead",
    status = "OperandNetworkPolicyStatus",
    derive = "PartialEq",
    doc = "OperandNetworkPolicy keeps the network policies of an operator and its operands. There is one object per operator: ztwim, cert-manager and external-secrets. Dev Preview: not for production.",
    validation = Rule::new("self.metadata.name == (self.spec.operand == 'ZeroTrustWorkloadIdentityManager' ? 'ztwim' : (self.spec.operand == 'CertManager' ? 'cert-manager' : 'external-secrets'))")
        .message("metadata.name is bound to operand: ztwim, cert-manager or external-secrets"),
    printcolumn(name = "OPERAND", type_ = "string", json_path = ".spec.operand"),
    printcolumn(name = "ENFORCEMENT", type_ = "string", json_path = ".spec.enforcement"),
    printcolumn(name = "ACTIVE", type_ = "string", json_path = ".status.conditions[?(@.type=='Active')].status"),
    printcolumn(name = "REASON", type_ = "string", json_path = ".status.conditions[?(@.type=='Active')].reason"),
    printcolumn(name = "CONFLICT", type_ = "string", json_path = ".status.conditions[?(@.type=='Conflict')].status"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.operand == 'ZeroTrustWorkloadIdentityManager' || !has(self.zeroTrustWorkloadIdentityManager)")
        .message("zeroTrustWorkloadIdentityManager is forbidden unless operand is ZeroTrustWorkloadIdentityManager"),
    validation = Rule::new("self.operand == 'CertManager' || !has(self.certManager)")
        .message("certManager is forbidden unless operand is CertManager"),
    validation = Rule::new("self.operand == 'ExternalSecrets' || !has(self.externalSecrets)")
        .message("externalSecrets is forbidden unless operand is ExternalSecrets")
)]
pub struct OperandNetworkPolicySpec {
    /// operand is required, immutable and discriminates the union. Allowed values are
    /// "ZeroTrustWorkloadIdentityManager", "CertManager" and "ExternalSecrets".
    #[x_kube(validation = Rule::new("self == oldSelf").message("operand is immutable"))]
    pub operand: Operand,
    /// enforcement says whether policies are written. Allowed values are "Enforce" and "Audit", where nothing
    /// is written and the status says what would be. When omitted, it is Enforce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Enforcement")]
    pub enforcement: Option<Enforcement>,
    /// managementState says whether the operator acts. Allowed values are "Managed" and "Unmanaged". When
    /// omitted, it is Managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ManagementState")]
    pub management_state: Option<ManagementState>,
    /// denyScope says which pods the deny selects. Allowed values are "Namespace", every pod of the namespace,
    /// and "Component", the pods of known components. When omitted, it is Namespace; in namespaces that others
    /// share it is always Component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DenyScope")]
    pub deny_scope: Option<DenyScope>,
    /// monitoringNamespaces may scrape metrics where the proposals restrict that to monitoring. When omitted,
    /// they are openshift-monitoring and openshift-user-workload-monitoring. 1 to 8 names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 8),
        inner(
            length(min = 1, max = 63),
            regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub monitoring_namespaces: Vec<String>,
    /// dns says where pods resolve names. When omitted, the platform decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DnsOptions")]
    pub dns: Option<DnsOptions>,
    /// egress are further connections that components may open, each kept as a policy of that name. Entries
    /// only add. At most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), with = "Vec<EgressEntry>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub egress: Vec<EgressEntry>,
    /// zeroTrustWorkloadIdentityManager holds options that exist for this operand alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ZtwimOptions")]
    pub zero_trust_workload_identity_manager: Option<ZtwimOptions>,
    /// certManager holds options that exist for this operand alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CertManagerOptions")]
    pub cert_manager: Option<CertManagerOptions>,
    /// externalSecrets holds options that exist for this operand alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ExternalSecretsOptions")]
    pub external_secrets: Option<ExternalSecretsOptions>,
}

impl OperandNetworkPolicySpec {
    /// A spec that leaves everything to defaults.
    pub fn of(operand: Operand) -> Self {
        Self {
            operand,
            enforcement: None,
            management_state: None,
            deny_scope: None,
            monitoring_namespaces: Vec::new(),
            dns: None,
            egress: Vec::new(),
            zero_trust_workload_identity_manager: None,
            cert_manager: None,
            external_secrets: None,
        }
    }
}

/// The operators whose policies are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Operand {
    /// SPIRE, by the zero trust workload identity manager.
    ZeroTrustWorkloadIdentityManager,
    /// cert-manager with istio-csr.
    CertManager,
    /// external-secrets.
    ExternalSecrets,
}

impl Operand {
    /// Every operand.
    pub const ALL: [Self; 3] = [
        Self::ZeroTrustWorkloadIdentityManager,
        Self::CertManager,
        Self::ExternalSecrets,
    ];

    /// The operand whose only object has this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operand| operand.object_name() == name)
    }

    /// Name of the only object about this operand.
    pub const fn object_name(self) -> &'static str {
        match self {
            Self::ZeroTrustWorkloadIdentityManager => "ztwim",
            Self::CertManager => "cert-manager",
            Self::ExternalSecrets => "external-secrets",
        }
    }
}

/// Whether policies are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Enforcement {
    /// They are written.
    #[default]
    Enforce,
    /// Nothing is written; the status says what would be.
    Audit,
}

/// Which pods a deny selects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DenyScope {
    /// Every pod of the namespace.
    #[default]
    Namespace,
    /// The pods of known components.
    Component,
}

/// Who answers DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DnsProfile {
    /// Pods of openshift-dns on port 5353.
    OpenShift,
    /// Pods of kube-system with k8s-app=kube-dns on port 53.
    Kubernetes,
}

/// Where pods resolve names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct DnsOptions {
    /// profile says which pods answer DNS. Allowed values are "OpenShift" and "Kubernetes". When omitted, the
    /// platform decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DnsProfile")]
    pub profile: Option<DnsProfile>,
    /// additionalPorts are further ports of those pods, 1 to 65535 each. At most 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), with = "Vec<i32>", inner(range(min = 1, max = 65535)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub additional_ports: Vec<u16>,
    /// addresses are resolvers that are no pods, for example 169.254.20.10 of a node-local cache. They are
    /// reached on port 53. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), with = "Vec<String>", inner(length(min = 2, max = 45)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.all(a, isIP(a))").message("addresses must be IP addresses without prefix length")
    )]
    pub addresses: Vec<IpAddr>,
}

/// Components that may be given further egress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ComponentName {
    /// spire-server.
    SpireServer,
    /// spire-agent.
    SpireAgent,
    /// The OIDC discovery provider of SPIRE.
    OIDCDiscoveryProvider,
    /// The controller of cert-manager or, as an alias, that of external-secrets.
    CoreController,
    /// The controller of external-secrets.
    ExternalSecretsCoreController,
    /// The Bitwarden server of external-secrets.
    BitwardenSDKServer,
}

/// Connections that a component may open beyond those of the bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EgressEntry {
    /// name of the policy that is made for the entry, a DNS subdomain of at most 253 characters that no policy
    /// of the bundle has.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
    /// componentName names the component. Allowed values are "SpireServer", "SpireAgent" and
    /// "OIDCDiscoveryProvider" for ZeroTrustWorkloadIdentityManager, "CoreController" for CertManager,
    /// "ExternalSecretsCoreController" (or "CoreController") and "BitwardenSDKServer" for ExternalSecrets.
    pub component_name: ComponentName,
    /// egress are the rules, as in networking.k8s.io/v1. At most 32.
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub egress: Vec<NetworkPolicyEgressRule>,
}

#[cfg(test)]
mod tests;
