//! Policies of ours as the operator writes and recognises them.

use bulkhead_api::vocabulary::{ALLOW_ALL, ANNOTATION_HOLD};
use bulkhead_controllers::apply::policies::body;
use bulkhead_controllers::decide::{Role, render};
use bulkhead_controllers::observe::ObservedPolicy;
use bulkhead_policy::{Direction, Policy, Rule};
use serde_json::{Value, json};

/// Value of [`ANNOTATION_HOLD`].
pub const HOLD_OPEN: &str = "Open";
/// Catalog sequence of what is written here: the lowest, so that no operator takes it for the work of a newer
/// one and stops at widening.
pub const SEQUENCE: u32 = 0;

/// The policy that opens a namespace in both directions, carrying the emergency hold if wanted. `uid` names
/// the object that it is to replace.
pub fn allow_all(namespace: &str, name: &str, hold: bool, uid: Option<&ObservedPolicy>) -> Value {
    let target = render::allow_all(namespace, name);
    let mut object = body(namespace, &target, uid.map(|stored| &stored.uid), None, SEQUENCE);
    if hold {
        object["metadata"]["annotations"][ANNOTATION_HOLD] = json!(HOLD_OPEN);
    }
    object
}

/// Whether a policy opens its namespace entirely: it selects every pod, and one rule in each direction admits
/// everything.
pub fn opens_all(policy: &Policy) -> bool {
    let everything = Rule::default();
    let open = |direction| {
        policy
            .rules(direction)
            .is_some_and(|rules| rules.contains(&everything))
    };
    policy.pods.is_everything() && Direction::ALL.into_iter().all(open)
}

/// Whether it is an allow-all of ours, under whatever name.
pub fn is_our_allow_all(policy: &ObservedPolicy) -> bool {
    policy.managed_by_us && policy.role == Some(Role::AllowAll)
}

/// Names to try for an allow-all, best first: others may have taken some.
pub fn allow_all_names() -> impl Iterator<Item = String> {
    std::iter::once(ALLOW_ALL.to_owned()).chain((2..=9).map(|n| format!("{ALLOW_ALL}-{n}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_policy::v1;

    fn stored(namespace: &str, change: impl FnOnce(&mut Value)) -> Policy {
        let mut object = allow_all(namespace, ALLOW_ALL, true, None);
        change(&mut object["spec"]);
        let spec: v1::NetworkPolicySpec = serde_json::from_value(object["spec"].clone()).unwrap();
        v1::parse(namespace, ALLOW_ALL, &spec).unwrap()
    }

    #[test]
    fn a_policy_opens_all_only_for_every_pod_in_both_directions() {
        assert!(opens_all(&stored("x", |_| {})));
        assert!(!opens_all(&stored("x", |spec| spec["egress"] = json!([]))));
        assert!(!opens_all(
            &stored("x", |spec| spec["policyTypes"] = json!(["Ingress"]))
        ));
        assert!(!opens_all(&stored("x", |spec| spec["podSelector"] =
            json!({"matchLabels": {"a": "b"}}))));
        let port = json!([{"ports": [{"port": 80}]}]);
        assert!(!opens_all(&stored("x", |spec| spec["ingress"] = port)));
    }

    #[test]
    fn an_allow_all_carries_the_hold_only_when_wanted() {
        let annotation =
            |hold| allow_all("x", ALLOW_ALL, hold, None)["metadata"]["annotations"][ANNOTATION_HOLD].clone();
        assert_eq!(annotation(true), "Open");
        assert!(annotation(false).is_null());
    }
}
