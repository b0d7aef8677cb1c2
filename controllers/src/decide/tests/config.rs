//! Carriers of the configuration: precedence, conflict, nonsense, disappearance.

use bulkhead_api::{
    isolation::{
        AppliedConfig, CarrierStatus, Hold, HoldState, ModeRemoval, SystemIsolationSpec,
        SystemIsolationStatus,
    },
    switch::{Isolation, ManagementState, Mode, NewNamespaces},
};
use serde_json::{Value, json};

use crate::decide::config::{Applied, Carriers, IsolationConfig, NetworkConfig, resolve};

fn restricted() -> Value {
    json!({"systemNamespaces": {"mode": "Restricted"}})
}

fn unrestricted() -> Value {
    json!({"systemNamespaces": {"mode": "Unrestricted"}})
}

#[allow(clippy::unnecessary_wraps)]
fn network(switch: Option<Value>, overrides: Option<Value>) -> Option<NetworkConfig> {
    Some(NetworkConfig {
        generation: 7,
        switch,
        overrides,
        ..NetworkConfig::default()
    })
}

#[allow(clippy::unnecessary_wraps)]
fn isolation(switch: Option<Value>) -> Option<IsolationConfig> {
    Some(IsolationConfig {
        uid: "uid".into(),
        generation: 3,
        resource_version: "9".into(),
        spec: Ok(SystemIsolationSpec {
            system_network_policy: switch.map(|s| serde_json::from_value(s).unwrap()),
            ..SystemIsolationSpec::default()
        }),
        status: SystemIsolationStatus::default(),
    })
}

fn stored(mut carriers: Carriers, mode: Mode, kind: &str) -> Carriers {
    let mut config = carriers.isolation.unwrap_or_else(|| isolation(None).unwrap());
    config.status.applied = Some(AppliedConfig {
        mode: Some(mode),
        isolation: None,
        new_namespaces: None,
    });
    config.status.carrier = Some(CarrierStatus {
        kind: kind.into(),
        observed_generation: 1,
    });
    carriers.isolation = Some(config);
    carriers
}

#[test]
fn nothing_ever_set_is_no_error() {
    for carriers in [
        Carriers::default(),
        Carriers {
            network: network(None, None),
            isolation: isolation(None),
            read_overrides: true,
        },
        Carriers {
            network: network(Some(json!({})), Some(json!(null))),
            isolation: isolation(Some(json!({}))),
            read_overrides: true,
        },
    ] {
        let config = resolve(&carriers, None);
        assert_eq!(
            (config.applied, config.carrier, config.problem),
            (Applied::default(), None, None)
        );
        assert!(config.stored);
    }
}

#[test]
fn the_first_carrier_with_a_mode_wins_and_is_named() {
    let rows = [
        (
            network(Some(restricted()), None),
            isolation(None),
            false,
            Some("Network"),
        ),
        (
            network(None, None),
            isolation(Some(restricted())),
            false,
            Some("SystemIsolation"),
        ),
        (
            network(Some(json!({})), None),
            isolation(Some(restricted())),
            false,
            Some("SystemIsolation"),
        ),
        (
            network(None, Some(restricted())),
            isolation(None),
            true,
            Some("NetworkOverrides"),
        ),
        (network(None, Some(restricted())), isolation(None), false, None),
        (
            network(Some(restricted()), None),
            isolation(Some(restricted())),
            false,
            Some("Network"),
        ),
        (
            None,
            isolation(Some(restricted())),
            false,
            Some("SystemIsolation"),
        ),
        (network(Some(restricted()), None), None, false, Some("Network")),
    ];
    for (at, (network, isolation, read_overrides, kind)) in rows.into_iter().enumerate() {
        let carriers = Carriers {
            network,
            isolation,
            read_overrides,
        };
        let config = resolve(&carriers, None);
        assert_eq!(config.carrier.map(|c| c.kind).as_deref(), kind, "row {at}");
        assert_eq!(config.applied.mode, kind.map(|_| Mode::Restricted), "row {at}");
        assert_eq!(config.problem, None, "row {at}");
    }
}

#[test]
fn carriers_that_disagree_leave_the_last_configuration_in_force() {
    let carriers = Carriers {
        network: network(Some(restricted()), None),
        isolation: isolation(Some(unrestricted())),
        read_overrides: false,
    };
    let config = resolve(
        &stored(carriers.clone(), Mode::Unrestricted, "SystemIsolation"),
        None,
    );
    assert_eq!(config.applied.mode, Some(Mode::Unrestricted));
    let problem = config.problem.unwrap();
    assert_eq!(problem.reason, "ConflictingConfiguration");
    for word in [
        "Network",
        "SystemIsolation",
        "Restricted",
        "Unrestricted",
        "remove",
    ] {
        assert!(problem.message.contains(word), "{}", problem.message);
    }
    // Nothing was ever applied: nothing is.
    let config = resolve(&carriers, None);
    assert_eq!(
        (config.applied.mode, config.problem.unwrap().reason),
        (None, "ConflictingConfiguration")
    );
    // Options differ, not the mode.
    let carriers = Carriers {
        network: network(Some(restricted()), None),
        isolation: isolation(Some(
            json!({"systemNamespaces": {"mode": "Restricted", "restricted": {"isolation": "IngressAndEgress"}}}),
        )),
        read_overrides: false,
    };
    assert_eq!(
        resolve(&carriers, None).problem.unwrap().reason,
        "ConflictingConfiguration"
    );
}

#[test]
fn nonsense_in_a_carrier_without_schema_is_refused_with_field_value_and_remedy() {
    let rows = [
        (
            json!({"systemNamespaces": {"mode": "Open"}}),
            ".mode",
            "Open",
            "Unrestricted or Restricted",
        ),
        (
            json!({"systemNamespaces": {"mode": 7}}),
            ".mode",
            "7",
            "Unrestricted or Restricted",
        ),
        (
            json!({"systemNamespaces": {}}),
            ".mode",
            "missing",
            "Unrestricted or Restricted",
        ),
        (
            json!({"systemNamespaces": "Restricted"}),
            ".systemNamespaces",
            "Restricted",
            "must be an object",
        ),
        (
            json!("Restricted"),
            "systemNetworkPolicy",
            "Restricted",
            "must be an object",
        ),
        (
            json!({"systemNamespace": {"mode": "Restricted"}}),
            "systemNamespace",
            "not known",
            "systemNamespaces",
        ),
        (
            json!({"systemNamespaces": {"mode": "Restricted", "isolaton": "Ingress"}}),
            "isolaton",
            "not known",
            "restricted, unrestricted",
        ),
        (
            json!({"systemNamespaces": {"mode": "Restricted", "unrestricted": {"newNamespaces": "Restricted"}}}),
            ".unrestricted",
            "Restricted",
            "remove it",
        ),
        (
            json!({"systemNamespaces": {"mode": "Unrestricted", "restricted": {"isolation": "Ingress"}}}),
            ".restricted",
            "Unrestricted",
            "remove it",
        ),
        (
            json!({"systemNamespaces": {"mode": "Restricted", "restricted": {"isolation": "Both"}}}),
            "systemNetworkPolicy",
            "Both",
            "IngressAndEgress",
        ),
    ];
    for (value, field, said, remedy) in rows {
        for overrides in [false, true] {
            let place = if overrides {
                network(None, Some(value.clone()))
            } else {
                network(Some(value.clone()), None)
            };
            let carriers = Carriers {
                network: place,
                isolation: None,
                read_overrides: true,
            };
            let config = resolve(&stored(carriers, Mode::Restricted, "Network"), None);
            let problem = config.problem.expect("accepted");
            assert_eq!(problem.reason, "InvalidConfiguration");
            for word in [field, said, remedy] {
                assert!(problem.message.contains(word), "{word}: {}", problem.message);
            }
            assert_eq!(
                config.applied.mode,
                Some(Mode::Restricted),
                "the last one does not stay"
            );
        }
    }
}

#[test]
fn an_unreadable_system_isolation_leaves_the_last_configuration_in_force() {
    let mut carriers = stored(Carriers::default(), Mode::Restricted, "SystemIsolation");
    carriers.isolation.as_mut().unwrap().spec = Err("spec: unknown field".into());
    let config = resolve(&carriers, None);
    assert_eq!(config.applied.mode, Some(Mode::Restricted));
    assert!(config.problem.unwrap().message.contains("unknown field"));
}

#[test]
fn a_mode_that_disappears_stays_unless_the_removal_is_meant() {
    let carriers = stored(
        Carriers {
            isolation: isolation(None),
            ..Carriers::default()
        },
        Mode::Restricted,
        "Network",
    );
    let config = resolve(&carriers, None);
    assert_eq!(config.applied.mode, Some(Mode::Restricted));
    let problem = config.problem.unwrap();
    assert_eq!(problem.reason, "ModeRemoved");
    assert!(problem.message.contains("PlatformDecides") && problem.message.contains("Restricted"));
    assert!(!config.removal_meant);

    let mut meant = carriers.clone();
    let spec = meant.isolation.as_mut().unwrap().spec.as_mut().unwrap();
    spec.mode_removal = Some(ModeRemoval::PlatformDecides);
    let config = resolve(&meant, None);
    assert_eq!(
        (config.applied.mode, config.problem, config.removal_meant),
        (None, None, true)
    );
    assert!(!config.stored, "a contract must wait until the removal is stored");

    // The word about removal says nothing while a mode is set.
    let mut both = meant.clone();
    both.network = network(Some(unrestricted()), None);
    let config = resolve(&both, None);
    assert_eq!(
        (config.applied.mode, config.removal_meant),
        (Some(Mode::Unrestricted), false)
    );
}

#[test]
fn a_carrier_that_vanishes_with_its_status_is_remembered() {
    let applied = Applied {
        mode: Some(Mode::Restricted),
        isolation: Isolation::IngressAndEgress,
        new_namespaces: NewNamespaces::Restricted,
    };
    let carrier = CarrierStatus {
        kind: "SystemIsolation".into(),
        observed_generation: 4,
    };
    let config = resolve(&Carriers::default(), Some(&(applied, carrier.clone())));
    assert_eq!((config.applied, config.carrier), (applied, Some(carrier)));
    assert_eq!(config.problem.unwrap().reason, "ModeRemoved");
    assert!(!config.stored);
}

#[test]
fn contracts_wait_until_the_mode_is_stored() {
    let carriers = Carriers {
        isolation: isolation(Some(restricted())),
        ..Carriers::default()
    };
    assert!(!resolve(&carriers, None).stored);
    assert!(
        resolve(
            &stored(carriers.clone(), Mode::Restricted, "SystemIsolation"),
            None
        )
        .stored
    );
    assert!(!resolve(&stored(carriers, Mode::Unrestricted, "SystemIsolation"), None).stored);
}

#[test]
fn options_survive_storing_and_reading() {
    let mut all = Vec::new();
    for isolation in [Isolation::Ingress, Isolation::IngressAndEgress] {
        all.push(Applied {
            mode: Some(Mode::Restricted),
            isolation,
            new_namespaces: NewNamespaces::Restricted,
        });
    }
    for new_namespaces in [NewNamespaces::Restricted, NewNamespaces::Unrestricted] {
        for mode in [None, Some(Mode::Unrestricted)] {
            all.push(Applied {
                mode,
                isolation: Isolation::Ingress,
                new_namespaces,
            });
        }
    }
    for applied in all {
        assert_eq!(Applied::from(&AppliedConfig::from(applied)), applied);
    }
}

#[test]
fn the_hold_and_unmanaged_are_read_whatever_the_mode_says() {
    let mut carriers = Carriers {
        network: network(Some(json!({"systemNamespaces": {"mode": "Nonsense"}})), None),
        isolation: isolation(None),
        read_overrides: false,
    };
    let spec = carriers.isolation.as_mut().unwrap().spec.as_mut().unwrap();
    spec.hold = Some(Hold {
        state: HoldState::Open,
        reason: "test".into(),
    });
    spec.management_state = Some(ManagementState::Unmanaged);
    let config = resolve(&carriers, None);
    assert!(config.hold.is_some() && config.unmanaged && config.problem.is_some());
}

#[test]
fn an_unmanaged_network_counts_only_while_it_is_the_carrier() {
    let unmanaged = |switch| network(switch, None).map(|n| NetworkConfig { unmanaged: true, ..n });
    let carrier = Carriers {
        network: unmanaged(Some(restricted())),
        ..Carriers::default()
    };
    assert!(resolve(&carrier, None).unmanaged);
    let other = Carriers {
        network: unmanaged(None),
        isolation: isolation(Some(restricted())),
        read_overrides: false,
    };
    assert!(!resolve(&other, None).unmanaged);
}
