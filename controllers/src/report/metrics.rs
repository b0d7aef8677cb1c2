//! Metrics of the domain. Labels are bounded: namespaces are system namespaces only, pods never appear.

use std::sync::atomic::AtomicU64;

use bulkhead_api::operand::PolicyState;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Labels of `bulkhead_namespaces`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ModeState {
    /// Effective mode.
    pub mode: String,
    /// State.
    pub state: String,
}

/// Labels of counters of policy changes.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct PolicyChange {
    /// The namespace.
    pub namespace: String,
    /// create, apply or delete.
    pub operation: &'static str,
    /// `self` or `external`.
    pub actor: &'static str,
}

/// One namespace and a direction.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct NamespaceDirection {
    /// The namespace.
    pub namespace: String,
    /// Ingress or Egress.
    pub direction: &'static str,
}

/// A bundle.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Bundle {
    /// Name of its object.
    pub bundle: &'static str,
}

/// Policies of a bundle.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OperandPolicies {
    /// Name of its object.
    pub bundle: &'static str,
    /// State of the policies.
    pub state: &'static str,
}

impl OperandPolicies {
    /// Every state.
    pub const STATES: [(PolicyState, &'static str); 5] = [
        (PolicyState::Audited, "Audited"),
        (PolicyState::Pending, "Pending"),
        (PolicyState::Stored, "Stored"),
        (PolicyState::ProvidedBy, "ProvidedBy"),
        (PolicyState::Conflict, "Conflict"),
    ];
}

/// Warnings of a bundle.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OperandReason {
    /// Name of its object.
    pub bundle: &'static str,
    /// Reason of the warnings.
    pub reason: &'static str,
}

impl OperandReason {
    /// Every reason that a warning may have.
    pub const ALL: [&'static str; 16] = [
        "ForbiddenNamespace",
        "GrpcClosed",
        "GrpcServicePort",
        "IgnoredField",
        "InvalidEntry",
        "LeftOver",
        "MalformedBundleEndpoint",
        "MalformedProxy",
        "NetworkPolicyMisconfiguration",
        "NoBitwardenEgress",
        "NoEffect",
        "NoProviderEgress",
        "PortOnly",
        "SeveralIstioCSR",
        "SharedName",
        "UncoveredPods",
    ];
}

/// A reason.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Reason {
    /// The reason.
    pub reason: &'static str,
}

/// All domain metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// System namespaces by effective mode and state.
    pub namespaces: Family<ModeState, Gauge>,
    /// Policies of ours that stand.
    pub managed_policies: Gauge,
    /// Policies changed, by us and by others.
    pub policy_changes: Family<PolicyChange, Counter>,
    /// Share of the pod-network pods of a namespace that policies isolate.
    pub coverage: Family<NamespaceDirection, Gauge<f64, AtomicU64>>,
    /// Seconds from the start of a transition to its acknowledgement.
    pub transition_seconds: Histogram,
    /// Namespaces that should close and cannot.
    pub blocked: Gauge,
    /// Repairs of drift.
    pub drift_repairs: Counter,
    /// Bundles whose policies are in force.
    pub operand_active: Family<Bundle, Gauge>,
    /// Policies of bundles by state.
    pub operand_policies: Family<OperandPolicies, Gauge>,
    /// Warnings of bundles by reason.
    pub operand_warnings: Family<OperandReason, Gauge>,
    /// Steps that failed.
    pub apply_failures: Family<Reason, Counter>,
}

impl Metrics {
    /// Registers everything.
    pub fn register(registry: &mut Registry) -> Self {
        let bounds = [1.0, 5.0, 15.0, 30.0, 60.0, 90.0, 120.0, 300.0, 600.0, 1800.0];
        let all = Self {
            namespaces: Family::default(),
            managed_policies: Gauge::default(),
            policy_changes: Family::default(),
            coverage: Family::default(),
            transition_seconds: Histogram::new(bounds),
            blocked: Gauge::default(),
            drift_repairs: Counter::default(),
            operand_active: Family::default(),
            operand_policies: Family::default(),
            operand_warnings: Family::default(),
            apply_failures: Family::default(),
        };
        let registry = registry.sub_registry_with_prefix("bulkhead");
        registry.register(
            "namespaces",
            "System namespaces by effective mode and state",
            all.namespaces.clone(),
        );
        registry.register(
            "managed_policies",
            "Policies of ours that stand",
            all.managed_policies.clone(),
        );
        registry.register(
            "policy_changes",
            "Policies changed, by actor",
            all.policy_changes.clone(),
        );
        registry.register(
            "coverage_pods_ratio",
            "Share of pod-network pods that policies isolate",
            all.coverage.clone(),
        );
        registry.register(
            "transition_duration_seconds",
            "From the start of a transition to its acknowledgement",
            all.transition_seconds.clone(),
        );
        registry.register(
            "blocked_namespaces",
            "Namespaces that should close and cannot",
            all.blocked.clone(),
        );
        registry.register(
            "drift_repairs",
            "Repairs of policies that others changed",
            all.drift_repairs.clone(),
        );
        registry.register(
            "operand_active",
            "Whether the policies of a bundle are in force",
            all.operand_active.clone(),
        );
        registry.register(
            "operand_policies",
            "Policies of a bundle by state",
            all.operand_policies.clone(),
        );
        registry.register(
            "operand_warnings",
            "Warnings of a bundle by reason",
            all.operand_warnings.clone(),
        );
        registry.register("apply_failures", "Steps that failed", all.apply_failures.clone());
        all
    }
}
