//! Mistakes that policies are valid in spite of.

mod meaning;
mod suppress;
mod tiers;
mod written;

use std::fmt;
use std::sync::Arc;

use crate::policy::Policy;
use crate::ports::Protocol;
use crate::selector::Selector;
use crate::v1::NetworkPolicySpec;
use crate::world::{Pod, World};

pub use suppress::{BadSuppression, Suppression, suppress};
pub use tiers::{lint_tier, lint_tiers};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Probably not what was meant, or not portable.
    Warning,
    /// Does not do what it seems to say.
    Error,
}

/// The checks. Their ids are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Check {
    /// `podSelector` is missing or null, which older API servers refuse.
    MissingPodSelector,
    /// `policyTypes` is missing, so that the meaning hangs on which rules are there.
    MissingPolicyTypes,
    /// Rules for a direction that `policyTypes` does not list.
    UnusedRules,
    /// Two list items where one was probably meant.
    SeparateItems,
    /// `ports: [{}]` opens every TCP port, and no other protocol.
    EmptyPort,
    /// A named port, which some network plugins open as a whole protocol and others drop.
    NamedPort,
    /// Namespaces selected by a label that anybody may change.
    MutableNameLabel,
    /// Host traffic selected together with a pod selector, which excludes it.
    HostWithPodSelector,
    /// Every IPv4 address is open, and no IPv6 one.
    Ipv4Only,
    /// DNS over UDP alone.
    DnsWithoutTcp,
    /// DNS pods on a port that they do not listen on.
    DnsPort,
    /// Egress pinned to the API server's default port.
    ApiPort,
    /// The port of a Service instead of the port of its pods.
    ServicePort,
    /// The policy selects no pod.
    SelectsNothing,
    /// A peer selects no pod.
    PeerMatchesNothing,
    /// Other rules allow everything that a rule allows.
    RedundantRule,
    /// An address block holds addresses of pods, which network plugins read in different ways.
    BlockOfPods,
    /// Another rule opens what an exception leaves out.
    ExceptReopened,
    /// Rules that are looked at before match everything that a rule of a cluster policy matches.
    ShadowedRule,
    /// Cluster policies of one priority do different things with the same connections.
    EqualPriority,
}

impl Check {
    /// Every check.
    pub const ALL: [Self; 20] = [
        Self::MissingPodSelector,
        Self::MissingPolicyTypes,
        Self::UnusedRules,
        Self::SeparateItems,
        Self::EmptyPort,
        Self::NamedPort,
        Self::MutableNameLabel,
        Self::HostWithPodSelector,
        Self::Ipv4Only,
        Self::DnsWithoutTcp,
        Self::DnsPort,
        Self::ApiPort,
        Self::ServicePort,
        Self::SelectsNothing,
        Self::PeerMatchesNothing,
        Self::RedundantRule,
        Self::BlockOfPods,
        Self::ExceptReopened,
        Self::ShadowedRule,
        Self::EqualPriority,
    ];

    /// The id by which findings are reported and suppressed.
    pub const fn id(self) -> &'static str {
        match self {
            Self::MissingPodSelector => "missing-pod-selector",
            Self::MissingPolicyTypes => "missing-policy-types",
            Self::UnusedRules => "unused-rules",
            Self::SeparateItems => "separate-items",
            Self::EmptyPort => "empty-port",
            Self::NamedPort => "named-port",
            Self::MutableNameLabel => "mutable-name-label",
            Self::HostWithPodSelector => "host-with-pod-selector",
            Self::Ipv4Only => "ipv4-only",
            Self::DnsWithoutTcp => "dns-without-tcp",
            Self::DnsPort => "dns-port",
            Self::ApiPort => "api-port",
            Self::ServicePort => "service-port",
            Self::SelectsNothing => "selects-nothing",
            Self::PeerMatchesNothing => "peer-matches-nothing",
            Self::RedundantRule => "redundant-rule",
            Self::BlockOfPods => "block-of-pods",
            Self::ExceptReopened => "except-reopened",
            Self::ShadowedRule => "shadowed-rule",
            Self::EqualPriority => "equal-priority",
        }
    }

    /// The check with this id.
    pub fn by_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|check| check.id() == id)
    }

    /// How bad it is.
    pub const fn severity(self) -> Severity {
        match self {
            Self::UnusedRules
            | Self::HostWithPodSelector
            | Self::DnsPort
            | Self::ServicePort
            | Self::EqualPriority => Severity::Error,
            Self::EmptyPort
            | Self::MissingPodSelector
            | Self::SelectsNothing
            | Self::PeerMatchesNothing
            | Self::BlockOfPods => Severity::Info,
            _ => Severity::Warning,
        }
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The check that found it.
    pub check: Check,
    /// The policy's namespace.
    pub namespace: Arc<str>,
    /// The policy's name.
    pub name: Arc<str>,
    /// The field's path, starting at `spec`.
    pub field: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}{} {}: {} [{}]",
            self.namespace,
            if self.namespace.is_empty() { "" } else { "/" },
            self.name,
            self.field,
            self.message,
            self.check.id()
        )
    }
}

/// One port of a Service with the pods behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// The Service's namespace.
    pub namespace: Arc<str>,
    /// The Service's name.
    pub name: Arc<str>,
    /// Its pods.
    pub pods: Selector,
    /// The protocol.
    pub protocol: Protocol,
    /// The port that clients dial.
    pub port: u16,
    /// The port of the pods, which is what policies see.
    pub target: u16,
}

/// A policy as it was written and as it was understood.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// As written.
    pub spec: &'a NetworkPolicySpec,
    /// As understood.
    pub policy: &'a Policy,
}

/// What policies are checked against. Without pods, checks that need them stay silent.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Namespaces and dialect.
    pub world: &'a World,
    /// The pods of all namespaces.
    pub pods: &'a [Pod],
    /// The Services of all namespaces.
    pub services: &'a [ServicePort],
}

/// Runs every check on every policy. Findings come in the order of policies, then of checks.
pub fn lint(surroundings: Surroundings<'_>, subjects: &[Subject<'_>]) -> Vec<Finding> {
    let mut all = Vec::new();
    for subject in subjects {
        let mut report = Report {
            policy: subject.policy,
            findings: Vec::new(),
        };
        written::check(subject, &mut report);
        meaning::check(surroundings, subject.policy, subjects, &mut report);
        report.findings.sort_by_key(|finding| finding.check);
        all.append(&mut report.findings);
    }
    all
}

/// Findings about one policy while they are collected.
struct Report<'a> {
    policy: &'a Policy,
    findings: Vec<Finding>,
}

impl Report<'_> {
    fn add(&mut self, check: Check, field: impl Into<String>, message: impl Into<String>) {
        self.findings.push(Finding {
            check,
            namespace: self.policy.namespace.clone(),
            name: self.policy.name.clone(),
            field: field.into(),
            message: message.into(),
        });
    }
}
