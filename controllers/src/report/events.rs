//! Events on transitions: one when a namespace changes what it is, is blocked, or is released.

use bulkhead_api::{
    namespace::{EffectiveMode, SystemNamespaceStatus},
    vocabulary::condition,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// What to tell about a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// It needs attention.
    pub warning: bool,
    /// CamelCase reason.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// What a change of status is worth telling.
pub fn notes(old: &SystemNamespaceStatus, new: &SystemNamespaceStatus) -> Vec<Note> {
    let mut notes = Vec::new();
    if let Some(mode) = new
        .effective_mode
        .filter(|mode| old.effective_mode != Some(*mode))
    {
        let reason = match mode {
            EffectiveMode::Unrestricted => "Opened",
            EffectiveMode::Restricted => "Closed",
            EffectiveMode::PartlyRestricted => "PartlyClosed",
            EffectiveMode::Preserved => "Preserved",
        };
        notes.push(Note {
            warning: false,
            reason,
            message: format!("effective mode is {mode:?}"),
        });
    }
    for (kind, reason) in [
        (condition::CONFLICT, "Conflict"),
        (condition::SHIPPED_POLICY_OVERRIDDEN, "ShippedPolicyOverridden"),
    ] {
        if let Some(found) = became_true(kind, old, new) {
            notes.push(Note {
                warning: true,
                reason,
                message: found.message.clone(),
            });
        }
    }
    let blocked = |status: &SystemNamespaceStatus| {
        find(condition::PROGRESSING, status).is_some_and(|c| c.reason == "Blocked")
    };
    if blocked(new) && !blocked(old) {
        let message = find(condition::RESTRICTABLE, new)
            .map(|c| c.message.clone())
            .unwrap_or_default();
        notes.push(Note {
            warning: true,
            reason: "Blocked",
            message,
        });
    }
    notes
}

fn find<'a>(kind: &str, status: &'a SystemNamespaceStatus) -> Option<&'a Condition> {
    status.conditions.iter().find(|c| c.type_ == kind)
}

fn became_true<'a>(
    kind: &str,
    old: &SystemNamespaceStatus,
    new: &'a SystemNamespaceStatus,
) -> Option<&'a Condition> {
    let was = find(kind, old).is_some_and(|c| c.status == "True");
    find(kind, new).filter(|c| c.status == "True" && !was)
}
