//! Which mode a namespace is in or on its way to, derived from the stored settings as the design says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::declared::Declared;
use super::facts::Facts;
use super::history::{Content, Event, Kind};

/// What a namespace requires.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// Everything.
    Open,
    /// What facts and declarations name; egress too when it is isolated.
    Restricted {
        /// Declarations in force.
        declared: Arc<Declared>,
        /// Egress is isolated.
        egress: bool,
    },
    /// What would hold without the operator.
    Untouched,
}

/// How close to an expiry both modes are thought possible.
const EXPIRY_DOUBT: Duration = Duration::from_secs(3);

#[derive(Clone, Debug, PartialEq)]
struct Config {
    restricted: Option<bool>,
    egress: bool,
    new_is_open: bool,
}

const PLATFORM: Config = Config {
    restricted: None,
    egress: false,
    new_is_open: false,
};

/// Every stored setting, and the configuration that was last unambiguous.
#[derive(Default)]
pub struct Settings {
    network: Option<Arc<Value>>,
    isolation: Option<Arc<Value>>,
    system: BTreeMap<Arc<str>, Arc<Value>>,
    declarations: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Arc<Value>>>,
    /// What was declared last without a contradiction, by namespace.
    agreed: BTreeMap<Arc<str>, Arc<Declared>>,
    unserved: Vec<&'static str>,
    applied: Option<Config>,
    read_overrides: bool,
}

impl Settings {
    /// With `read_overrides`, the schemaless third carrier counts.
    pub fn new(read_overrides: bool) -> Self {
        Self {
            read_overrides,
            ..Self::default()
        }
    }

    /// Stores a setting; the answer says whether anything can have changed.
    pub fn apply(&mut self, event: &Event) -> bool {
        let Content::Setting(value) = &event.content else {
            return false;
        };
        if event.id.kind == Kind::Definition {
            return self.definition(&event.id.name, value.as_deref());
        }
        // What vanishes with its kind was not given up by anybody.
        if value.is_none()
            && self
                .unserved
                .iter()
                .any(|plural| *plural == plural_of(event.id.kind))
        {
            return false;
        }
        match event.id.kind {
            Kind::Network if &*event.id.name == "cluster" => self.network.clone_from(value),
            Kind::SystemIsolation if &*event.id.name == "cluster" => self.isolation.clone_from(value),
            Kind::SystemNamespace => put(&mut self.system, &event.id.name, value),
            Kind::SystemNetworkPolicy => {
                put(
                    self.declarations.entry(event.id.namespace.clone()).or_default(),
                    &event.id.name,
                    value,
                );
                let declared = self.stored_declarations(&event.id.namespace);
                if !declared.conflicts() {
                    self.agreed.insert(event.id.namespace.clone(), Arc::new(declared));
                }
            }
            _ => return false,
        }
        if let [only] = self.configs().as_slice() {
            self.applied = Some(only.clone());
        }
        true
    }

    fn definition(&mut self, name: &str, value: Option<&Value>) -> bool {
        let Some(plural) = PLURALS.into_iter().find(|p| name.split('.').next() == Some(*p)) else {
            return false;
        };
        let served = value.is_some_and(|v| v["metadata"]["deletionTimestamp"].is_null());
        self.unserved.retain(|p| *p != plural);
        if !served {
            self.unserved.push(plural);
        }
        false
    }

    /// The configurations that may be in force.
    fn configs(&self) -> Vec<Config> {
        let switch = |object: &Option<Arc<Value>>, path: &str| {
            let found = object
                .as_ref()
                .and_then(|o| o.pointer(path))
                .filter(|v| !v["mode"].is_null());
            found.map(config)
        };
        let mut set = vec![
            switch(&self.network, "/spec/systemNetworkPolicy/systemNamespaces"),
            switch(&self.isolation, "/spec/systemNetworkPolicy/systemNamespaces"),
        ];
        if self.read_overrides {
            let path = "/spec/unsupportedConfigOverrides/systemNetworkPolicy/systemNamespaces";
            set.push(switch(&self.network, path));
        }
        let mut set: Vec<Config> = set
            .into_iter()
            .flatten()
            .collect::<Option<Vec<_>>>()
            .unwrap_or_default();
        set.dedup();
        match (set.as_slice(), &self.applied) {
            ([_], _) => set,
            // Nothing is set, or what is set is in conflict or invalid.
            ([], None) => vec![PLATFORM],
            ([], Some(_)) if self.removal_is_meant() => vec![PLATFORM],
            (_, Some(applied)) => vec![applied.clone()],
            (_, None) => set,
        }
    }

    fn removal_is_meant(&self) -> bool {
        let isolation = self.isolation.as_ref();
        isolation.is_some_and(|o| o["spec"]["modeRemoval"] == "PlatformDecides")
    }

    /// Whether the namespace is one that the operator may write to.
    pub fn is_system(&self, namespace: &str) -> bool {
        let adoption = self
            .system
            .get(namespace)
            .and_then(|o| o["spec"]["adoption"].as_str());
        match adoption {
            Some("Adopted") => true,
            Some("NotAdopted") => false,
            _ => namespace.starts_with("openshift-"),
        }
    }

    fn stored_declarations(&self, namespace: &str) -> Declared {
        let objects = self.declarations.get(namespace).into_iter().flatten();
        Declared::read(namespace, objects.map(|(name, object)| (name, &**object)))
    }

    /// The declarations of a namespace that are in force.
    fn declared(&self, namespace: &str) -> Arc<Declared> {
        self.agreed.get(namespace).cloned().unwrap_or_default()
    }

    /// The modes that the settings ask of a namespace; several where the design leaves it to the operator,
    /// none where it must leave things as they are.
    pub fn target(&self, namespace: &str, facts: &Facts, wall: SystemTime, last: &[Mode]) -> Vec<Mode> {
        if !self.is_system(namespace) {
            return vec![Mode::Untouched];
        }
        let spec = |object: Option<&Arc<Value>>| object.map(|o| o["spec"].clone()).unwrap_or_default();
        let (isolation, network) = (spec(self.isolation.as_ref()), spec(self.network.as_ref()));
        if isolation["hold"].is_object() {
            return vec![Mode::Open];
        }
        let own = spec(self.system.get(namespace));
        if [&isolation, &network, &own]
            .iter()
            .any(|s| s["managementState"] == "Unmanaged")
        {
            return last.to_vec();
        }
        let declared = self.declared(namespace);
        let overrides = overrides(&own["override"], wall);
        let mut modes = Vec::new();
        for config in self.configs() {
            for replaced in &overrides {
                for mode in self.row(namespace, &config, *replaced, &declared, facts, last) {
                    if !modes.contains(&mode) {
                        modes.push(mode);
                    }
                }
            }
        }
        modes
    }

    fn row(
        &self,
        namespace: &str,
        config: &Config,
        replaced: Option<bool>,
        declared: &Arc<Declared>,
        facts: &Facts,
        last: &[Mode],
    ) -> Vec<Mode> {
        let restricted = || self.restricted(namespace, config.egress, declared, facts, last);
        match replaced.or(config.restricted) {
            Some(true) => restricted(),
            _ if replaced.is_none() && declared.is_new && !config.new_is_open => restricted(),
            Some(false) => vec![Mode::Open],
            None => vec![Mode::Untouched, Mode::Open],
        }
    }

    fn restricted(
        &self,
        namespace: &str,
        egress: bool,
        declared: &Arc<Declared>,
        facts: &Facts,
        last: &[Mode],
    ) -> Vec<Mode> {
        let restricted = Mode::Restricted {
            declared: Arc::clone(declared),
            egress,
        };
        let lost = last
            .iter()
            .find(|mode| matches!(mode, Mode::Restricted { declared, .. } if declared.any));
        if declared.any || facts.has_servers(namespace) {
            return vec![restricted];
        }
        match lost {
            Some(kept) => vec![kept.clone()],
            // There is nothing to isolate; whether that counts as a set is the catalog's choice.
            None if facts.knows(namespace) => vec![restricted, Mode::Open],
            None => vec![Mode::Open],
        }
    }

    /// What status says of a namespace.
    pub fn status(&self, namespace: &str) -> Status {
        self.system
            .get(namespace)
            .map(|object| Status::read(object))
            .unwrap_or_default()
    }

    /// Names of all namespaces that have settings of their own.
    pub fn named(&self) -> impl Iterator<Item = &Arc<str>> {
        self.system.keys()
    }

    /// The stored SystemNamespace.
    pub fn system_namespace(&self, namespace: &str) -> Option<&Value> {
        self.system.get(namespace).map(|o| &**o)
    }
}

const PLURALS: [&str; 4] = [
    "systemnamespaces",
    "systemisolations",
    "systemnetworkpolicies",
    "networks",
];

fn plural_of(kind: Kind) -> &'static str {
    match kind {
        Kind::SystemNamespace => "systemnamespaces",
        Kind::SystemIsolation => "systemisolations",
        Kind::SystemNetworkPolicy => "systemnetworkpolicies",
        Kind::Network => "networks",
        _ => "",
    }
}

fn put(map: &mut BTreeMap<Arc<str>, Arc<Value>>, name: &Arc<str>, value: &Option<Arc<Value>>) {
    match value {
        Some(value) => map.insert(Arc::clone(name), Arc::clone(value)),
        None => map.remove(name),
    };
}

fn config(switch: &Value) -> Option<Config> {
    let restricted = match switch["mode"].as_str()? {
        "Restricted" => true,
        "Unrestricted" => false,
        _ => return None,
    };
    Some(Config {
        restricted: Some(restricted),
        egress: switch["restricted"]["isolation"] == "IngressAndEgress",
        new_is_open: switch["unrestricted"]["newNamespaces"] == "Unrestricted",
    })
}

/// The modes by which the override may replace the cluster's; `None` stands for no replacement.
fn overrides(object: &Value, wall: SystemTime) -> Vec<Option<bool>> {
    let Some(mode) = object["mode"].as_str() else {
        return vec![None];
    };
    let replaced = Some(mode == "Restricted");
    let expiry = object["expirationTime"]
        .as_str()
        .and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let Some(expiry) = expiry.map(SystemTime::from) else {
        return vec![replaced];
    };
    if wall + EXPIRY_DOUBT < expiry {
        vec![replaced]
    } else if wall > expiry + EXPIRY_DOUBT {
        vec![None]
    } else {
        vec![replaced, None]
    }
}

/// What the operator says of a namespace.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Status {
    pub effective: Option<String>,
    pub progressing: bool,
    pub intent: bool,
    pub current: bool,
    /// It says which versions of the policies it was judged from.
    pub judged: bool,
}

impl Status {
    fn read(object: &Value) -> Self {
        let status = &object["status"];
        let mut conditions = status["conditions"].as_array().into_iter().flatten();
        let observed = &status["observedGeneration"];
        Self {
            effective: status["effectiveMode"].as_str().map(str::to_owned),
            progressing: conditions.any(|c| c["type"] == "Progressing" && c["status"] == "True"),
            intent: status["intent"].is_object(),
            current: observed.is_null() || *observed == object["metadata"]["generation"],
            judged: status["policiesResourceVersion"].is_string(),
        }
    }

    /// Whether this says that the namespace is closed, settled and exact: as of versions that it names.
    pub fn claims_exactness(&self, mode: &Mode) -> bool {
        self.judged && self.acknowledges(mode)
    }

    /// Whether this acknowledges the mode.
    pub fn acknowledges(&self, mode: &Mode) -> bool {
        let matches = match (self.effective.as_deref(), mode) {
            (Some("Unrestricted"), Mode::Open) | (Some("Preserved"), Mode::Untouched) => true,
            (Some("Restricted" | "PartlyRestricted"), Mode::Restricted { .. }) => true,
            _ => false,
        };
        matches && !self.progressing && !self.intent && self.current
    }
}

/// The modes of one namespace that bind now: the acknowledged one and all that were asked for since. Only
/// what all of them require is required.
#[derive(Clone, Debug)]
pub struct Play {
    target: Vec<Mode>,
    binding: VecDeque<(Duration, Vec<Mode>)>,
    seen_progress: bool,
}

impl Default for Play {
    fn default() -> Self {
        Self {
            target: vec![Mode::Untouched],
            binding: VecDeque::from([(Duration::ZERO, vec![Mode::Untouched])]),
            seen_progress: false,
        }
    }
}

impl Play {
    /// What was last asked for.
    pub fn target(&self) -> &[Mode] {
        &self.target
    }

    /// Takes a new target and status into account; the answer says whether another set of modes binds now.
    pub fn update(&mut self, at: Duration, target: Vec<Mode>, status: &Status, is_released: bool) -> bool {
        let mut binding = self.now().to_vec();
        if target != self.target {
            binding.extend(target.iter().filter(|mode| !self.now().contains(mode)).cloned());
            self.target = target;
            self.seen_progress = false;
        }
        self.seen_progress |= status.progressing;
        let acknowledged = self.target.iter().find(|mode| status.acknowledges(mode));
        let other_of_kind = |mode: &Mode| {
            let same_kind = |other: &&Mode| std::mem::discriminant(*other) == std::mem::discriminant(mode);
            binding
                .iter()
                .filter(|other| *other != mode)
                .any(|other| same_kind(&other))
        };
        match acknowledged {
            // Status names no set and no direction: a change among those counts as acknowledged once
            // progress on it was seen to begin and to end.
            Some(mode) if self.seen_progress || !other_of_kind(mode) => binding = vec![mode.clone()],
            None if is_released && self.target == [Mode::Untouched] => binding.clone_from(&self.target),
            _ => {}
        }
        let changed = binding != self.now();
        if changed {
            self.binding.push_back((at, binding));
        }
        changed
    }

    /// The modes that bind now.
    pub fn now(&self) -> &[Mode] {
        self.binding.back().map_or(&[], |(_, modes)| modes)
    }

    /// The modes that bound at some time since `since`.
    pub fn recent(&mut self, since: Duration) -> Vec<Mode> {
        while self
            .binding
            .get(1)
            .is_some_and(|(replaced, _)| *replaced <= since)
        {
            self.binding.pop_front();
        }
        let mut all: Vec<Mode> = Vec::new();
        for mode in self.binding.iter().flat_map(|(_, modes)| modes) {
            if !all.contains(mode) {
                all.push(mode.clone());
            }
        }
        all
    }
}
