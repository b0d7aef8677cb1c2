//! Which mode a namespace is in: the decision table, first matching row wins.

use bulkhead_api::{
    namespace::Lineage,
    switch::{Isolation, Mode, NewNamespaces},
};

use super::config::Configuration;

/// Why a namespace is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenReason {
    /// Row 0: the emergency hold.
    Hold,
    /// Row 6: the mode says so.
    Unrestricted,
    /// Row 4: it should close, but nobody declared a set.
    NoPolicySet,
    /// Row 8: no mode is set and nothing isolates.
    PlatformDefault,
}

/// What a namespace should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Not a system namespace, and nothing of ours is in it.
    Ignore,
    /// Something that the decision depends on is unknown: nothing is written.
    Frozen(&'static str),
    /// An administrator told us to keep off.
    HandsOff,
    /// No mode is set and somebody ships isolating policies: left as it is.
    Preserved,
    /// Open in both directions.
    Open(OpenReason),
    /// Closed to what is declared.
    Closed(Isolation),
    /// The set that a closed namespace had is gone: it stays as it is.
    SetLost,
    /// The mode was taken away on purpose: what the platform ships takes over again.
    HandBack,
    /// No longer a system namespace: opened, then cleaned.
    Release,
}

/// What the table looks at, for one namespace: independent answers, none of which implies another.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Why decisions are frozen, if they are.
    pub frozen: Option<&'static str>,
    /// The configuration in force.
    pub config: &'a Configuration,
    /// It is a system namespace, by name, catalog or adoption.
    pub system: bool,
    /// Policies of ours are in it.
    pub holds_policies: bool,
    /// Policies or labels of ours are on it.
    pub holds_ours: bool,
    /// An allow-all of ours carries the hold.
    pub local_hold: bool,
    /// `managementState: Unmanaged` on its `SystemNamespace`.
    pub unmanaged: bool,
    /// An override that has not expired.
    pub mode_override: Option<Mode>,
    /// Somebody declared a restrictive set.
    pub set_known: bool,
    /// It is closed by our deny, without an allow-all.
    pub closed_by_us: bool,
    /// As declared.
    pub lineage: Lineage,
    /// Policies of others isolate a pod in some direction.
    pub foreign_isolation: bool,
    /// An allow-all of ours stands.
    pub allow_all: bool,
    /// We reported it open: an allow-all that is missing is one that somebody took away.
    pub was_open: bool,
    /// We reported it closed, or on its way back to what others ship.
    pub was_closed_or_theirs: bool,
    /// It has been observed for less than one settle time.
    pub newborn: bool,
    /// An administrator meant the removal of the mode.
    pub removal_meant: bool,
}

/// Applies the table.
pub fn decide(facts: &Facts<'_>) -> Decision {
    // A namespace on its way out is held as well: the hold forbids every contract of ours.
    if (facts.system || facts.holds_policies) && (facts.config.hold.is_some() || facts.local_hold) {
        return Decision::Open(OpenReason::Hold);
    }
    if let Some(reason) = facts.frozen {
        return Decision::Frozen(reason);
    }
    if facts.unmanaged || facts.config.unmanaged {
        return Decision::HandsOff;
    }
    if !facts.system {
        return if facts.holds_ours {
            Decision::Release
        } else {
            Decision::Ignore
        };
    }
    let isolation = facts.config.applied.isolation;
    match facts.mode_override.or(facts.config.applied.mode) {
        Some(Mode::Restricted) => closed(facts, isolation),
        _ if new_stays_closed(facts) => closed(facts, isolation),
        Some(Mode::Unrestricted) => Decision::Open(OpenReason::Unrestricted),
        None if hands_back(facts) => Decision::HandBack,
        None if facts.allow_all || (facts.was_open && !facts.removal_meant) => {
            Decision::Open(OpenReason::PlatformDefault)
        }
        None if facts.newborn => Decision::Frozen("Newborn"),
        None if facts.foreign_isolation && !facts.holds_policies => Decision::Preserved,
        None => Decision::Open(OpenReason::PlatformDefault),
    }
}

/// What others ship takes over again: because an administrator said so, or because what closed this namespace,
/// an override for example, is over.
fn hands_back(facts: &Facts<'_>) -> bool {
    facts.foreign_isolation && facts.holds_policies && (facts.removal_meant || facts.was_closed_or_theirs)
}

/// Row 5. An override is a word about this very namespace, so it beats the rule for new ones.
fn new_stays_closed(facts: &Facts<'_>) -> bool {
    facts.mode_override.is_none()
        && facts.lineage == Lineage::New
        && facts.config.applied.new_namespaces == NewNamespaces::Restricted
}

fn closed(facts: &Facts<'_>, isolation: Isolation) -> Decision {
    match (facts.set_known, facts.closed_by_us) {
        (true, _) => Decision::Closed(isolation),
        (false, true) => Decision::SetLost,
        (false, false) => Decision::Open(OpenReason::NoPolicySet),
    }
}
