//! Names that appear in more than one place of the cluster: objects, labels, annotations, conditions.

/// Field manager of every object and condition that the operator writes. Frozen: renaming it would orphan
/// fields on live clusters (facts: cluster-network-operator#2112).
pub const FIELD_MANAGER: &str = "bulkhead";
/// Field manager of what `kubectl bulkhead` writes on behalf of an administrator.
pub const CLI_FIELD_MANAGER: &str = "kubectl-bulkhead";

/// Name of the singletons (`SystemIsolation`, Network operator config).
pub const CLUSTER: &str = "cluster";

/// Name of the ClusterOperator that the payload packaging creates.
pub const CLUSTER_OPERATOR: &str = "system-network-policy";

/// Prefix of the name of every policy that the operator owns.
pub const POLICY_PREFIX: &str = "bulkhead-";
/// The policy that opens a namespace in both directions.
pub const ALLOW_ALL: &str = "bulkhead-allow-all";
/// The policy that opens egress while the egress set is staged or removed.
pub const ALLOW_EGRESS: &str = "bulkhead-allow-egress";
/// The policy that isolates every pod of a namespace for ingress.
pub const DEFAULT_DENY: &str = "bulkhead-default-deny";
/// The policy that isolates every pod of a namespace for egress.
pub const DEFAULT_DENY_EGRESS: &str = "bulkhead-default-deny-egress";

/// Label on every policy of ours; a hint for people and selectors, never a proof of ownership.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`LABEL_MANAGED_BY`].
pub const MANAGED_BY: &str = "bulkhead";
/// Label on a policy of ours: what it is for (`allow-all`, `allow-egress`, `server`, `default-deny`, …).
pub const LABEL_ROLE: &str = "network.operator.openshift.io/policy-role";
/// Label on every policy of an operand bundle: the name of the bundle's object. Objects that carry it and our
/// field manager are the record of what a bundle made.
pub const LABEL_BUNDLE: &str = "network.operator.openshift.io/operand-bundle";
/// Label on every catalogued or adopted system namespace.
pub const LABEL_SYSTEM_NAMESPACE: &str = "network.operator.openshift.io/system-namespace";
/// Set by the API server on every namespace, always equal to its name.
pub const LABEL_METADATA_NAME: &str = "kubernetes.io/metadata.name";

/// Annotation: format of our objects, an integer. A writer that knows a lower one may only expand.
pub const ANNOTATION_FORMAT: &str = "network.operator.openshift.io/format";
/// Format that this code writes.
pub const FORMAT: u32 = 1;
/// Annotation: sequence of the catalog that the object was rendered from.
pub const ANNOTATION_SEQUENCE: &str = "network.operator.openshift.io/catalog-sequence";
/// Annotation: name of the server that the policy belongs to.
pub const ANNOTATION_SERVER: &str = "network.operator.openshift.io/server";
/// Annotation: the epoch that last fenced the object. Changing it moves the resourceVersion, so that no
/// contract that was prepared against the older version can land any more.
pub const ANNOTATION_EPOCH: &str = "network.operator.openshift.io/epoch";
/// Annotation on an allow-all: the emergency hold, for clusters where `SystemIsolation` cannot be written.
pub const ANNOTATION_HOLD: &str = "network.operator.openshift.io/hold";

/// Namespace by which OVN-Kubernetes and openshift-sdn let policies select traffic from nodes.
pub const HOST_NETWORK_NAMESPACE: &str = "openshift-host-network";
/// Namespace of the pod-network client that dials every admission webhook (facts: openshift.md H11).
pub const KAS_OPERATOR_NAMESPACE: &str = "openshift-kube-apiserver-operator";
/// Label of the pods in [`KAS_OPERATOR_NAMESPACE`] that dial webhooks: `app: kube-apiserver-operator`.
pub const KAS_OPERATOR_APP: &str = "kube-apiserver-operator";

/// Whether a namespace name is one of a system namespace by its prefix alone.
pub fn is_system_name(name: &str) -> bool {
    name.starts_with("openshift-")
}

/// Whether a namespace may never be written to, not even labelled.
pub fn is_forbidden_name(name: &str) -> bool {
    name == "default" || name.starts_with("kube-")
}

/// Condition types of `SystemNamespace` status.
pub mod condition {
    /// All labels that catalog or declaration demand are on the namespace.
    pub const LABELED: &str = "Labeled";
    /// The restrictive set is stored and has settled.
    pub const STAGED: &str = "Staged";
    /// A restrictive set is known for this namespace.
    pub const COVERED: &str = "Covered";
    /// Every pod-network pod is isolated in the promised directions.
    pub const ISOLATED: &str = "Isolated";
    /// The pre-flight: closing would deny nothing that is required.
    pub const RESTRICTABLE: &str = "Restrictable";
    /// There are pods or pod templates that no declared server selects.
    pub const UNDECLARED_PODS: &str = "UndeclaredPods";
    /// An allow-all of ours is in force over policies that somebody else ships.
    pub const SHIPPED_POLICY_OVERRIDDEN: &str = "ShippedPolicyOverridden";
    /// Something contradicts: two Replace objects, a squatted name, a newer writer.
    pub const CONFLICT: &str = "Conflict";
    /// A transition is under way; its reason is the STATE column.
    pub const PROGRESSING: &str = "Progressing";
    /// Cluster-level: the operator serves the configuration in force.
    pub const AVAILABLE: &str = "Available";
    /// Cluster-level: something needs an administrator.
    pub const DEGRADED: &str = "Degraded";
    /// Cluster-level: whether a minor upgrade may start.
    pub const UPGRADEABLE: &str = "Upgradeable";
    /// Object-level acceptance of a `SystemNetworkPolicy`.
    pub const ACCEPTED: &str = "Accepted";
    /// The policies of a bundle are in force.
    pub const ACTIVE: &str = "Active";
    /// Prefix of our condition types on the Network operator config.
    pub const NETWORK_PREFIX: &str = "SystemNetworkPolicy";
}
