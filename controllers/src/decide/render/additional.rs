//! Raw specs that somebody declared.

use std::sync::Arc;

use bulkhead_policy::Direction;

use super::{Role, Target, identity::identity};
use crate::decide::{RestrictiveSet, validate};

pub(super) fn additional<'a>(
    namespace: &'a str,
    set: &'a RestrictiveSet,
    direction: Direction,
) -> impl Iterator<Item = Target> + 'a {
    set.additional.iter().filter_map(move |declared| {
        // Validation refused what cannot be read.
        let mut policy = validate::raw_policy(namespace, "", &declared.spec).ok()?;
        // Egress policies are separate objects: with isolation Ingress nothing of ours may list it.
        match direction {
            Direction::Ingress => policy.egress = None,
            Direction::Egress => policy.ingress = None,
        }
        policy.rules(direction)?;
        let prefix = if direction == Direction::Egress {
            "egress-"
        } else {
            ""
        };
        let name = identity(prefix, &declared.name, &policy.pods, direction.as_str());
        policy.name = name.into();
        Some(Target {
            role: if direction == Direction::Egress {
                Role::Egress
            } else {
                Role::Additional
            },
            server: declared.name.as_str().into(),
            policy: Arc::new(policy),
        })
    })
}
