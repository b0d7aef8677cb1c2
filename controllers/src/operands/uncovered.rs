//! Pods that a deny would isolate although nobody thought of them.

use bulkhead_policy::{Pod, PodState};

use super::{Bundle, Role, Warning};

/// Reason of the warning that names them.
pub const REASON: &str = "UncoveredPods";

/// The pods that a deny selects and that belong to no component: they would be cut off. Components that need
/// nothing are no surprise.
pub fn pods<'a>(bundle: &Bundle, pods: &'a [Pod]) -> Vec<&'a Pod> {
    let denied = |pod: &Pod| {
        let mut denies = bundle.policies.iter().filter(|p| p.role == Role::Deny);
        denies.any(|d| d.policy.namespace == pod.namespace && d.policy.pods.matches(&pod.labels))
    };
    let known = |pod: &Pod| {
        bundle
            .components
            .iter()
            .any(|c| c.namespace == pod.namespace && c.pods().matches(&pod.labels))
            || bundle.policies.iter().any(|p| {
                p.role == Role::Allow
                    && p.policy.namespace == pod.namespace
                    && p.policy.pods.matches(&pod.labels)
            })
    };
    pods.iter()
        .filter(|pod| pod.state == PodState::Networked && denied(pod) && !known(pod))
        .collect()
}

/// The warning that names them; `None` when there are none.
pub fn warning(bundle: &Bundle, all: &[Pod]) -> Option<Warning> {
    const MOST: usize = 10;
    let found = pods(bundle, all);
    let names: Vec<String> = found
        .iter()
        .take(MOST)
        .map(|p| format!("{}/{}", p.namespace, p.name))
        .collect();
    let more = found.len().saturating_sub(MOST);
    let rest = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    (!found.is_empty()).then(|| {
        Warning::new(
            REASON,
            format!(
                "uncovered pods: {}{rest}; give them policies of their own, move them, or set denyScope to Component",
                names.join(", ")
            ),
        )
    })
}
