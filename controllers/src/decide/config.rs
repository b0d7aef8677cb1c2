//! Which configuration is in force: three carriers, their precedence, and what happens when they fail.

use bulkhead_api::{
    isolation::{
        AppliedConfig, CarrierStatus, Hold, ModeRemoval, SystemIsolationSpec, SystemIsolationStatus,
    },
    switch::{Isolation, ManagementState, Mode, NewNamespaces, SystemNamespaces, SystemNetworkPolicyConfig},
};
use serde_json::Value;

/// The Network operator config, read tolerantly.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkConfig {
    /// Its generation.
    pub generation: i64,
    /// `spec.managementState` is `Unmanaged`.
    pub unmanaged: bool,
    /// `spec.systemNetworkPolicy` as it stands.
    pub switch: Option<Value>,
    /// `spec.unsupportedConfigOverrides.systemNetworkPolicy` as it stands.
    pub overrides: Option<Value>,
    /// `spec.defaultNetwork.type`.
    pub plugin: Option<String>,
    /// Conditions of our types, as they stand.
    pub conditions: Vec<Value>,
}

/// `SystemIsolation`, read strictly where it could be.
#[derive(Clone, Debug, PartialEq)]
pub struct IsolationConfig {
    /// Its uid.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Its spec; an error text if it is not what the schema says.
    pub spec: Result<SystemIsolationSpec, String>,
    /// The status that we stored last.
    pub status: SystemIsolationStatus,
}

/// All carriers as they stand, `None` where the object does not exist.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Carriers {
    /// The Network operator config.
    pub network: Option<NetworkConfig>,
    /// `SystemIsolation`.
    pub isolation: Option<IsolationConfig>,
    /// Whether `unsupportedConfigOverrides` is read.
    pub read_overrides: bool,
}

/// Why the configuration in force is not what the carriers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// CamelCase reason for a condition.
    pub reason: &'static str,
    /// Field, value and remedy.
    pub message: String,
}

/// The configuration in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configuration {
    /// Mode and options.
    pub applied: Applied,
    /// Where it was read from; `None` where nothing was ever set.
    pub carrier: Option<CarrierStatus>,
    /// Why the last applied configuration stays in force, if it does.
    pub problem: Option<Problem>,
    /// The emergency hold.
    pub hold: Option<Hold>,
    /// Nothing is written.
    pub unmanaged: bool,
    /// A rollback to this catalog sequence is accepted.
    pub accepted_sequence: Option<i64>,
    /// An administrator meant the removal of the mode: the platform decides.
    pub removal_meant: bool,
    /// The mode in force is stored in `SystemIsolation` status, as a contract requires.
    pub stored: bool,
}

/// Mode and options with the platform's defaults filled in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Applied {
    /// `None`: the platform decides.
    pub mode: Option<Mode>,
    /// Directions that Restricted isolates.
    pub isolation: Isolation,
    /// What happens to namespaces of lineage New while Unrestricted.
    pub new_namespaces: NewNamespaces,
}

impl From<&AppliedConfig> for Applied {
    fn from(stored: &AppliedConfig) -> Self {
        Self {
            mode: stored.mode,
            isolation: stored.isolation.unwrap_or_default(),
            new_namespaces: stored.new_namespaces.unwrap_or_default(),
        }
    }
}

impl From<Applied> for AppliedConfig {
    fn from(applied: Applied) -> Self {
        let restricted = applied.mode == Some(Mode::Restricted);
        Self {
            mode: applied.mode,
            isolation: restricted.then_some(applied.isolation),
            new_namespaces: (!restricted).then_some(applied.new_namespaces),
        }
    }
}

impl From<&SystemNamespaces> for Applied {
    fn from(switch: &SystemNamespaces) -> Self {
        Self {
            mode: Some(switch.mode),
            isolation: switch
                .restricted
                .as_ref()
                .and_then(|r| r.isolation)
                .unwrap_or_default(),
            new_namespaces: switch
                .unrestricted
                .as_ref()
                .and_then(|u| u.new_namespaces)
                .unwrap_or_default(),
        }
    }
}

/// A carrier that sets a mode.
struct Reading {
    carrier: CarrierStatus,
    applied: Applied,
}

/// Decides which configuration is in force.
///
/// The first carrier with a mode wins. Carriers that disagree, invalid values and a mode that disappeared
/// leave the last applied configuration (from `SystemIsolation` status, else `remembered`) in force.
pub fn resolve(carriers: &Carriers, remembered: Option<&(Applied, CarrierStatus)>) -> Configuration {
    let isolation = carriers.isolation.as_ref();
    let spec = isolation.and_then(|i| i.spec.as_ref().ok());
    let stored = isolation.and_then(|i| {
        Some((
            Applied::from(i.status.applied.as_ref()?),
            i.status.carrier.clone()?,
        ))
    });
    let last = stored.as_ref().or(remembered);
    let removal_is_meant = spec.and_then(|s| s.mode_removal) == Some(ModeRemoval::PlatformDecides);
    let (in_force, problem) = match read_all(carriers) {
        Err(problem) => (last.cloned(), Some(problem)),
        Ok(readings) => choose(readings, last, removal_is_meant),
    };
    let (applied, carrier) = match in_force {
        Some((applied, carrier)) => (applied, Some(carrier)),
        None => (Applied::default(), None),
    };
    let unmanaged = carriers
        .network
        .as_ref()
        .is_some_and(|n| n.unmanaged && on(carrier.as_ref(), "Network"))
        || spec.is_some_and(|s| s.management_state == Some(ManagementState::Unmanaged));
    Configuration {
        removal_meant: removal_is_meant && applied.mode.is_none(),
        stored: stored.as_ref().map(|(a, _)| *a).unwrap_or_default() == applied,
        applied,
        carrier,
        problem,
        hold: spec.and_then(|s| s.hold.clone()),
        unmanaged,
        accepted_sequence: spec.and_then(|s| s.accepted_catalog_sequence),
    }
}

fn on(carrier: Option<&CarrierStatus>, kind: &str) -> bool {
    carrier.is_none_or(|c| c.kind.starts_with(kind))
}

fn choose(
    readings: Vec<Reading>,
    last: Option<&(Applied, CarrierStatus)>,
    removal_is_meant: bool,
) -> (Option<(Applied, CarrierStatus)>, Option<Problem>) {
    let mut readings = readings.into_iter();
    let Some(first) = readings.next() else {
        return match last {
            Some((applied, carrier)) if applied.mode.is_some() && !removal_is_meant => (
                Some((*applied, carrier.clone())),
                Some(mode_removed(*applied, carrier)),
            ),
            _ => (None, None),
        };
    };
    match readings.find(|other| other.applied != first.applied) {
        Some(other) => (last.cloned(), Some(conflict(&first, &other))),
        None => (Some((first.applied, first.carrier)), None),
    }
}

fn mode_removed(applied: Applied, carrier: &CarrierStatus) -> Problem {
    Problem {
        reason: "ModeRemoved",
        message: format!(
            "no carrier sets a mode any more; {} from {} stays in force; set a mode, or set modeRemoval: \
             PlatformDecides on SystemIsolation cluster if the removal is meant (kubectl bulkhead mode --unset \
             does)",
            mode_text(applied),
            carrier.kind
        ),
    }
}

fn conflict(first: &Reading, other: &Reading) -> Problem {
    Problem {
        reason: "ConflictingConfiguration",
        message: format!(
            "{} says {} and {} says {}; remove systemNetworkPolicy from one of them",
            first.carrier.kind,
            mode_text(first.applied),
            other.carrier.kind,
            mode_text(other.applied)
        ),
    }
}

/// The mode in a few words.
pub fn mode_text(applied: Applied) -> String {
    match (applied.mode, applied.isolation, applied.new_namespaces) {
        (None, ..) => "no mode".into(),
        (Some(Mode::Restricted), Isolation::Ingress, _) => "Restricted".into(),
        (Some(Mode::Restricted), Isolation::IngressAndEgress, _) => "Restricted with IngressAndEgress".into(),
        (Some(Mode::Unrestricted), _, NewNamespaces::Restricted) => "Unrestricted".into(),
        (Some(Mode::Unrestricted), _, NewNamespaces::Unrestricted) => {
            "Unrestricted with new namespaces Unrestricted".into()
        }
    }
}

fn read_all(carriers: &Carriers) -> Result<Vec<Reading>, Problem> {
    let mut readings = Vec::new();
    let mut read = |kind: &str, field: &str, generation: i64, value: &Value| -> Result<(), Problem> {
        if let Some(applied) = read_switch(kind, field, value)? {
            let carrier = CarrierStatus {
                kind: kind.into(),
                observed_generation: generation,
            };
            readings.push(Reading { carrier, applied });
        }
        Ok(())
    };
    if let Some(network) = &carriers.network
        && let Some(value) = &network.switch
    {
        read("Network", "spec.systemNetworkPolicy", network.generation, value)?;
    }
    if let Some(isolation) = &carriers.isolation {
        let spec = isolation.spec.as_ref().map_err(|error| Problem {
            reason: "InvalidConfiguration",
            message: format!("SystemIsolation cluster cannot be read: {error}"),
        })?;
        if let Some(switch) = &spec.system_network_policy {
            let value = serde_json::to_value(switch).unwrap_or_default();
            read(
                "SystemIsolation",
                "spec.systemNetworkPolicy",
                isolation.generation,
                &value,
            )?;
        }
    }
    if carriers.read_overrides
        && let Some(network) = &carriers.network
        && let Some(value) = &network.overrides
    {
        let field = "spec.unsupportedConfigOverrides.systemNetworkPolicy";
        read("NetworkOverrides", field, network.generation, value)?;
    }
    Ok(readings)
}

/// Reads the switch from a carrier without trusting that a schema was enforced.
fn read_switch(kind: &str, field: &str, value: &Value) -> Result<Option<Applied>, Problem> {
    let invalid = |what: String| Problem {
        reason: "InvalidConfiguration",
        message: format!("{kind} {field}{what}"),
    };
    only_known(value, &["systemNamespaces"]).map_err(&invalid)?;
    let Some(namespaces) = value.get("systemNamespaces").filter(|v| !v.is_null()) else {
        return Ok(None);
    };
    only_known(namespaces, &["mode", "restricted", "unrestricted"])
        .map_err(|w| invalid(format!(".systemNamespaces{w}")))?;
    let mode = namespaces.get("mode");
    if !mode.is_some_and(|m| m == "Unrestricted" || m == "Restricted") {
        return Err(invalid(format!(
            ".systemNamespaces.mode is {}; set it to Unrestricted or Restricted",
            mode.map_or_else(|| "missing".into(), Value::to_string)
        )));
    }
    let config: SystemNetworkPolicyConfig =
        serde_json::from_value(value.clone()).map_err(|e| invalid(format!(": {e}")))?;
    let Some(switch) = config.system_namespaces else {
        return Ok(None);
    };
    let (member, set) = match switch.mode {
        Mode::Restricted => ("unrestricted", switch.unrestricted.is_some()),
        Mode::Unrestricted => ("restricted", switch.restricted.is_some()),
    };
    if set {
        return Err(invalid(format!(
            ".systemNamespaces.{member} is forbidden when mode is {:?}; remove it",
            switch.mode
        )));
    }
    Ok(Some(Applied::from(&switch)))
}

fn only_known(value: &Value, known: &[&str]) -> Result<(), String> {
    let Value::Object(fields) = value else {
        return if value.is_null() {
            Ok(())
        } else {
            Err(format!(" is {value}; it must be an object"))
        };
    };
    match fields.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!(".{key} is not known; known fields: {}", known.join(", "))),
        None => Ok(()),
    }
}
