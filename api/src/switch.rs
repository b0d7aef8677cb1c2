//! The switch itself: the struct that every carrier of the configuration holds.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How system namespaces are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Every system namespace carries an explicit policy that allows all traffic in both directions.
    Unrestricted,
    /// Only the policies that the owners of the servers declared are in force.
    Restricted,
}

/// Which directions a Restricted namespace isolates.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Isolation {
    /// Incoming connections only.
    #[default]
    Ingress,
    /// Incoming and outgoing connections.
    IngressAndEgress,
}

/// What happens to namespaces of lineage New while the cluster is Unrestricted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NewNamespaces {
    /// They are closed from their first day: nobody depends on them being open.
    #[default]
    Restricted,
    /// They are opened like all others.
    Unrestricted,
}

/// Options that exist only in Restricted mode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1))]
pub struct RestrictedOptions {
    /// isolation says which directions are isolated. Allowed values are "Ingress" and "IngressAndEgress".
    /// When omitted, the platform decides, which may change; today that is Ingress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Isolation")]
    pub isolation: Option<Isolation>,
}

/// Options that exist only in Unrestricted mode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1))]
pub struct UnrestrictedOptions {
    /// newNamespaces says what happens to namespaces that never had users depending on open access.
    /// Allowed values are "Restricted" and "Unrestricted". When omitted, the platform decides, which may
    /// change; today that is Restricted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "NewNamespaces")]
    pub new_namespaces: Option<NewNamespaces>,
}

/// The mode of all system namespaces, a union discriminated by `mode`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.mode == 'Restricted' || !has(self.restricted)")
        .message("restricted is forbidden unless mode is Restricted"),
    validation = Rule::new("self.mode == 'Unrestricted' || !has(self.unrestricted)")
        .message("unrestricted is forbidden unless mode is Unrestricted")
)]
pub struct SystemNamespaces {
    /// mode is required and discriminates the union. Allowed values are "Unrestricted", where every system
    /// namespace carries an explicit policy allowing all traffic, and "Restricted", where only the policies
    /// declared by the owners of the servers are in force.
    pub mode: Mode,
    /// restricted holds options of Restricted mode and is forbidden otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RestrictedOptions")]
    pub restricted: Option<RestrictedOptions>,
    /// unrestricted holds options of Unrestricted mode and is forbidden otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "UnrestrictedOptions")]
    pub unrestricted: Option<UnrestrictedOptions>,
}

/// The switch as every carrier holds it, under `systemNetworkPolicy`.
///
/// A later sibling `apiServerAccess` fits here without reshaping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1))]
pub struct SystemNetworkPolicyConfig {
    /// systemNamespaces decides whether system namespaces are reachable by everybody or only by the
    /// components that need them. When omitted, the platform decides, which may change; today namespaces
    /// that ship their own isolating policies are left alone and all others are open.
    /// This is a Dev Preview feature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SystemNamespaces")]
    pub system_namespaces: Option<SystemNamespaces>,
}

/// Whether the operator acts on an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ManagementState {
    /// The operator acts on it.
    #[default]
    Managed,
    /// The operator writes nothing that depends on it, and says so.
    Unmanaged,
}
