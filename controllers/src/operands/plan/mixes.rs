//! When the newest versions tell about every mix of versions that may still be seen.

use bulkhead_policy::{Direction, Policy, Write, effect::Window};

/// Comparing the newest versions is enough to know that no mix loses anything.
pub(super) fn in_every_mix(window: &Window, change: &Write) -> bool {
    only_adds(window, change)
        || only_releases(window, change)
        || is_shielded(window, change.object)
        || others_settled(window, change.object)
}

/// The object is new: whatever any version of the others allows is allowed as before.
fn only_adds(window: &Window, change: &Write) -> bool {
    let is_new = |at: usize| window.objects()[at].iter().all(Option::is_none);
    change.object.is_none_or(is_new) && change.version.is_some()
}

/// The object goes and never opened anything.
fn only_releases(window: &Window, change: &Write) -> bool {
    let rules = |p: &Policy| {
        Direction::ALL
            .into_iter()
            .any(|d| p.rules(d).is_some_and(|r| !r.is_empty()))
    };
    let opens_nothing = |at: usize| window.objects()[at].iter().flatten().all(|p| !rules(p));
    change.version.is_none() && change.object.is_some_and(opens_nothing)
}

/// Another object opens everything in all of its versions.
fn is_shielded(window: &Window, object: Option<usize>) -> bool {
    let mut others = window
        .objects()
        .iter()
        .enumerate()
        .filter(|(at, _)| Some(*at) != object);
    others.any(|(_, versions)| {
        versions
            .iter()
            .all(|v| v.as_deref().is_some_and(opens_everything))
    })
}

/// Every other object is seen by everybody as it is.
fn others_settled(window: &Window, object: Option<usize>) -> bool {
    let mut others = window
        .objects()
        .iter()
        .enumerate()
        .filter(|(at, _)| Some(*at) != object);
    others.all(|(_, versions)| versions.len() == 1)
}

/// What it isolates it opens.
pub(super) fn opens_everything(policy: &Policy) -> bool {
    policy.pods.is_everything()
        && Direction::ALL.into_iter().all(|direction| {
            let rules = policy.rules(direction);
            rules.is_some_and(|rules| rules.contains(&bulkhead_policy::Rule::default()))
        })
}
