//! The watched kinds.

/// The watched kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Kind {
    Namespaces,
    NetworkPolicies,
    Pods,
    Deployments,
    StatefulSets,
    DaemonSets,
    Jobs,
    CronJobs,
    EndpointSlices,
    SystemNamespaces,
    SystemNetworkPolicies,
    SystemIsolations,
    Networks,
    Infrastructures,
    ClusterVersions,
    ClusterOperators,
    CustomResourceDefinitions,
    OperandNetworkPolicies,
    Proxies,
    ZeroTrustWorkloadIdentityManagers,
    SpireServers,
    ClusterFederatedTrustDomains,
    CertManagers,
    IstioCsrs,
    ExternalSecretsConfigs,
    ExternalSecretsManagers,
    ExternalSecrets,
    AdminNetworkPolicies,
    ClusterNetworkPolicies,
}

impl Kind {
    /// Kinds that the switch rests on.
    pub const SWITCH: [Self; 17] = [
        Self::Namespaces,
        Self::NetworkPolicies,
        Self::Pods,
        Self::Deployments,
        Self::StatefulSets,
        Self::DaemonSets,
        Self::Jobs,
        Self::CronJobs,
        Self::EndpointSlices,
        Self::SystemNamespaces,
        Self::SystemNetworkPolicies,
        Self::SystemIsolations,
        Self::Networks,
        Self::Infrastructures,
        Self::ClusterVersions,
        Self::ClusterOperators,
        Self::CustomResourceDefinitions,
    ];

    /// Kinds that operand bundles look at besides: ours, those that tell how an operand runs, and
    /// [`Kind::ADMIN`].
    pub const OPERANDS: [Self; 12] = [
        Self::OperandNetworkPolicies,
        Self::Proxies,
        Self::ZeroTrustWorkloadIdentityManagers,
        Self::SpireServers,
        Self::ClusterFederatedTrustDomains,
        Self::CertManagers,
        Self::IstioCsrs,
        Self::ExternalSecretsConfigs,
        Self::ExternalSecretsManagers,
        Self::ExternalSecrets,
        Self::AdminNetworkPolicies,
        Self::ClusterNetworkPolicies,
    ];

    /// Policies of the cluster's administrator. A warning depends on them, and no write does.
    pub const ADMIN: [Self; 2] = [Self::AdminNetworkPolicies, Self::ClusterNetworkPolicies];

    /// Every watched kind.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        Self::SWITCH.into_iter().chain(Self::OPERANDS)
    }

    /// The plural name in the API.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::NetworkPolicies => "networkpolicies",
            Self::Pods => "pods",
            Self::Deployments => "deployments",
            Self::StatefulSets => "statefulsets",
            Self::DaemonSets => "daemonsets",
            Self::Jobs => "jobs",
            Self::CronJobs => "cronjobs",
            Self::EndpointSlices => "endpointslices",
            Self::SystemNamespaces => "systemnamespaces",
            Self::SystemNetworkPolicies => "systemnetworkpolicies",
            Self::SystemIsolations => "systemisolations",
            Self::Networks => "networks",
            Self::Infrastructures => "infrastructures",
            Self::ClusterVersions => "clusterversions",
            Self::ClusterOperators => "clusteroperators",
            Self::CustomResourceDefinitions => "customresourcedefinitions",
            Self::OperandNetworkPolicies => "operandnetworkpolicies",
            Self::Proxies => "proxies",
            Self::ZeroTrustWorkloadIdentityManagers => "zerotrustworkloadidentitymanagers",
            Self::SpireServers => "spireservers",
            Self::ClusterFederatedTrustDomains => "clusterfederatedtrustdomains",
            Self::CertManagers => "certmanagers",
            Self::IstioCsrs => "istiocsrs",
            Self::ExternalSecretsConfigs => "externalsecretsconfigs",
            Self::ExternalSecretsManagers => "externalsecretsmanagers",
            Self::ExternalSecrets => "externalsecrets",
            Self::AdminNetworkPolicies => "adminnetworkpolicies",
            Self::ClusterNetworkPolicies => "clusternetworkpolicies",
        }
    }

    /// Whether a cluster may do without the kind.
    pub fn optional(self) -> bool {
        matches!(
            self,
            Self::Networks | Self::Infrastructures | Self::ClusterVersions | Self::ClusterOperators
        ) || self.tells_of_operands()
    }

    /// Whether its objects belong to an operand, or say something about how it runs or is reached.
    pub fn tells_of_operands(self) -> bool {
        self != Self::OperandNetworkPolicies && Self::OPERANDS.contains(&self)
    }
}
