//! What must hold for every single write, whoever planned it.

use bulkhead_api::vocabulary as names;

use super::model::{Model, Stored};
use crate::{
    decide::Target,
    plan::{PolicyWrite, Step},
};

/// A write must hit nothing, or an object of ours.
pub fn assert_ours(model: &Model, write: &PolicyWrite) {
    let stored = model.policies.get(write.name());
    match (write, stored) {
        (PolicyWrite::Create(_), _) | (_, None) => {}
        (_, Some(stored)) => assert!(
            stored.ours() || recorded(model, stored),
            "a write aims at somebody else's {}",
            write.name()
        ),
    }
}

/// A uid that we recorded makes an object ours, whoever its managers are.
fn recorded(model: &Model, stored: &Stored) -> bool {
    let system = model.system.as_ref();
    system.is_some_and(|s| s.status.policies.iter().any(|p| p.uid == stored.uid.to_string()))
}

/// A step that may take something away carries uid and version of objects that the plan has seen.
pub fn assert_preconditions(step: &Step, seen: &[std::sync::Arc<crate::observe::ObservedPolicy>]) {
    let writes = match step {
        Step::Contract { writes, .. } | Step::Stage(writes) => writes.as_slice(),
        Step::Open(write) => std::slice::from_ref(write),
        _ => &[],
    };
    for write in writes {
        let (uid, version) = match write {
            PolicyWrite::Create(target) => {
                assert_shape(target);
                continue;
            }
            PolicyWrite::Apply {
                uid,
                resource_version,
                ..
            }
            | PolicyWrite::Delete {
                uid,
                resource_version,
                ..
            } => (uid, resource_version),
        };
        let known = seen
            .iter()
            .any(|p| p.name == *write.name() && p.uid == *uid && p.resource_version == *version);
        assert!(known, "{write:?} does not carry what the plan was made from");
    }
}

/// Ours stay within their names, and what opens a namespace opens all of it.
fn assert_shape(target: &Target) {
    assert!(target.policy.name.starts_with(names::POLICY_PREFIX), "{target:?}");
}

/// With isolation Ingress nothing of ours lists Egress, openers apart.
pub fn assert_no_egress(model: &Model) {
    for (name, stored) in &model.policies {
        let opener = stored.object["metadata"]["labels"][names::LABEL_ROLE]
            .as_str()
            .is_some_and(|r| r.starts_with("allow-"));
        let types = stored.spec().policy_types.unwrap_or_default();
        let egress = types.iter().any(|t| t == "Egress");
        assert!(
            !stored.ours() || opener || !egress,
            "{name} isolates egress although only ingress is to be isolated"
        );
    }
}
