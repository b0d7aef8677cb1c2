//! The decision table, row by row, and which row beats which.

use bulkhead_api::{
    isolation::{Hold, HoldState},
    namespace::Lineage,
    switch::{Isolation, Mode, NewNamespaces},
};

use crate::decide::{
    Configuration, Decision, OpenReason,
    config::Applied,
    mode::{Facts, decide},
};

const CLOSED: Decision = Decision::Closed(Isolation::Ingress);
const DEFAULT: Decision = Decision::Open(OpenReason::PlatformDefault);
const UNRESTRICTED: Decision = Decision::Open(OpenReason::Unrestricted);
const HELD: Decision = Decision::Open(OpenReason::Hold);

fn config(mode: Option<Mode>) -> Configuration {
    Configuration {
        applied: Applied {
            mode,
            ..Applied::default()
        },
        ..Configuration::default()
    }
}

/// A legacy system namespace with a set, nobody else's policies and nothing of ours.
fn facts(config: &Configuration) -> Facts<'_> {
    Facts {
        frozen: None,
        config,
        system: true,
        holds_policies: false,
        holds_ours: false,
        local_hold: false,
        unmanaged: false,
        mode_override: None,
        set_known: true,
        closed_by_us: false,
        lineage: Lineage::Legacy,
        foreign_isolation: false,
        allow_all: false,
        was_open: false,
        was_closed_or_theirs: false,
        newborn: false,
        removal_meant: false,
    }
}

/// Decides after `change` was made to the plain facts under a mode.
fn with(mode: Option<Mode>, change: impl FnOnce(&mut Facts<'_>)) -> Decision {
    let config = config(mode);
    let mut facts = facts(&config);
    change(&mut facts);
    decide(&facts)
}

const MODES: [Option<Mode>; 3] = [None, Some(Mode::Restricted), Some(Mode::Unrestricted)];

#[test]
fn each_row_of_the_table_gives_its_mode() {
    type Row = (&'static str, Option<Mode>, fn(&mut Facts<'_>), Decision);
    let rows: [Row; 19] = [
        (
            "0 local hold",
            Some(Mode::Restricted),
            |f| f.local_hold = true,
            HELD,
        ),
        (
            "1 unmanaged",
            Some(Mode::Restricted),
            |f| f.unmanaged = true,
            Decision::HandsOff,
        ),
        (
            "2 override closes",
            None,
            |f| f.mode_override = Some(Mode::Restricted),
            CLOSED,
        ),
        (
            "2 override opens",
            Some(Mode::Restricted),
            |f| f.mode_override = Some(Mode::Unrestricted),
            UNRESTRICTED,
        ),
        ("3 restricted", Some(Mode::Restricted), |_| {}, CLOSED),
        (
            "4 no set",
            Some(Mode::Restricted),
            |f| f.set_known = false,
            Decision::Open(OpenReason::NoPolicySet),
        ),
        (
            "4 override without a set",
            None,
            |f| (f.mode_override, f.set_known) = (Some(Mode::Restricted), false),
            Decision::Open(OpenReason::NoPolicySet),
        ),
        (
            "set lost",
            Some(Mode::Restricted),
            |f| (f.set_known, f.closed_by_us) = (false, true),
            Decision::SetLost,
        ),
        (
            "5 new, unrestricted",
            Some(Mode::Unrestricted),
            |f| f.lineage = Lineage::New,
            CLOSED,
        ),
        ("5 new, omitted", None, |f| f.lineage = Lineage::New, CLOSED),
        (
            "5 new without a set",
            None,
            |f| (f.lineage, f.set_known) = (Lineage::New, false),
            Decision::Open(OpenReason::NoPolicySet),
        ),
        ("6 unrestricted", Some(Mode::Unrestricted), |_| {}, UNRESTRICTED),
        (
            "6 over everything shipped",
            Some(Mode::Unrestricted),
            |f| f.foreign_isolation = true,
            UNRESTRICTED,
        ),
        (
            "7 preserved",
            None,
            |f| f.foreign_isolation = true,
            Decision::Preserved,
        ),
        (
            "7 not before one settle time",
            None,
            |f| (f.foreign_isolation, f.newborn) = (true, true),
            Decision::Frozen("Newborn"),
        ),
        ("8 omitted", None, |_| {}, DEFAULT),
        (
            "8 a standing allow-all stays",
            None,
            |f| (f.foreign_isolation, f.allow_all, f.holds_policies) = (true, true, true),
            DEFAULT,
        ),
        (
            "no system namespace",
            None,
            |f| f.system = false,
            Decision::Ignore,
        ),
        (
            "released",
            Some(Mode::Restricted),
            |f| (f.system, f.holds_ours) = (false, true),
            Decision::Release,
        ),
    ];
    for (name, mode, change, expected) in rows {
        assert_eq!(with(mode, change), expected, "{name}");
    }
}

#[test]
fn the_hold_beats_everything_below_it() {
    for mode in MODES {
        let mut config = config(mode);
        config.hold = Some(Hold {
            state: HoldState::Open,
            reason: "test".into(),
        });
        config.unmanaged = true;
        let mut facts = facts(&config);
        facts.frozen = Some("Unsynced");
        facts.unmanaged = true;
        facts.mode_override = Some(Mode::Restricted);
        facts.lineage = Lineage::New;
        assert_eq!(decide(&facts), HELD);
        // Also where the namespace is on its way out and the set still stands.
        (facts.system, facts.holds_policies, facts.holds_ours) = (false, true, true);
        assert_eq!(decide(&facts), HELD);
        (facts.holds_policies, facts.holds_ours) = (false, false);
        assert_ne!(decide(&facts), HELD, "opened a namespace that is not ours");
    }
}

#[test]
fn what_is_unknown_freezes_and_unmanaged_keeps_off_in_every_mode() {
    for mode in MODES {
        let frozen = with(mode, |f| (f.frozen, f.unmanaged) = (Some("Unsynced"), true));
        assert_eq!(frozen, Decision::Frozen("Unsynced"));
        let unmanaged = |f: &mut Facts<'_>| (f.unmanaged, f.mode_override) = (true, Some(Mode::Restricted));
        assert_eq!(with(mode, unmanaged), Decision::HandsOff);
        let mut config = config(mode);
        config.unmanaged = true;
        assert_eq!(decide(&facts(&config)), Decision::HandsOff);
    }
}

#[test]
fn an_override_beats_lineage_and_cluster_mode() {
    for mode in MODES {
        for lineage in [Lineage::New, Lineage::Legacy] {
            let chosen = |wanted| with(mode, |f| (f.mode_override, f.lineage) = (Some(wanted), lineage));
            assert_eq!(chosen(Mode::Unrestricted), UNRESTRICTED);
            assert_eq!(chosen(Mode::Restricted), CLOSED);
        }
    }
}

#[test]
fn new_namespaces_open_only_where_the_switch_says_so() {
    let mut config = config(Some(Mode::Unrestricted));
    config.applied.new_namespaces = NewNamespaces::Unrestricted;
    let mut facts = facts(&config);
    facts.lineage = Lineage::New;
    assert_eq!(decide(&facts), UNRESTRICTED);
}

#[test]
fn the_isolation_of_the_switch_is_that_of_every_closed_namespace() {
    let mut config = config(Some(Mode::Restricted));
    config.applied.isolation = Isolation::IngressAndEgress;
    assert_eq!(
        decide(&facts(&config)),
        Decision::Closed(Isolation::IngressAndEgress)
    );
}

#[test]
fn shipped_policies_take_over_again_only_when_that_is_meant() {
    let ours = |f: &mut Facts<'_>| {
        (f.foreign_isolation, f.allow_all, f.holds_policies) = (true, true, true);
    };
    assert_eq!(with(None, ours), DEFAULT);
    let meant = |f: &mut Facts<'_>| {
        ours(f);
        f.removal_meant = true;
    };
    assert_eq!(with(None, meant), Decision::HandBack);
    let was_closed = |f: &mut Facts<'_>| {
        ours(f);
        f.was_closed_or_theirs = true;
    };
    assert_eq!(with(None, was_closed), Decision::HandBack);
    let nobody_ships = |f: &mut Facts<'_>| {
        meant(f);
        f.foreign_isolation = false;
    };
    assert_eq!(with(None, nobody_ships), DEFAULT);
}

#[test]
fn an_allow_all_that_somebody_took_away_is_missed_where_we_reported_open() {
    let gone = |f: &mut Facts<'_>| (f.foreign_isolation, f.was_open) = (true, true);
    assert_eq!(with(None, gone), DEFAULT);
    let meant = |f: &mut Facts<'_>| {
        gone(f);
        f.removal_meant = true;
    };
    assert_eq!(with(None, meant), Decision::Preserved);
}
