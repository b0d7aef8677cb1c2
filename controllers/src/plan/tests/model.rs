//! A model of the API server, as far as the operator uses it: objects with uid and resourceVersion,
//! preconditions, field managers, an event log for watches.

use std::{collections::BTreeMap, sync::Arc};

use bulkhead_api::{
    isolation::{SystemIsolationSpec, SystemIsolationStatus},
    namespace::{SystemNamespaceSpec, SystemNamespaceStatus},
    vocabulary as names,
};
use bulkhead_policy::Labels;
use k8s_openapi::api::networking::v1::NetworkPolicySpec;
use serde_json::{Value, json};

use super::{
    brute::SUBJECT,
    shapes::{PodModel, SetModel},
};
use crate::{
    decide::config::{Carriers, IsolationConfig},
    observe::{
        ObservedPolicy, kinds,
        world::{NamespaceObject, SystemObject},
    },
    plan::LabelChange,
};

/// A stored policy.
#[derive(Clone, Debug)]
pub struct Stored {
    pub uid: u64,
    pub version: u64,
    pub object: Value,
}

impl Stored {
    pub fn ours(&self) -> bool {
        self.object["metadata"]["managedFields"]
            .as_array()
            .is_some_and(|all| all.iter().any(|m| m["manager"] == names::FIELD_MANAGER))
    }

    pub fn spec(&self) -> NetworkPolicySpec {
        serde_json::from_value(self.object["spec"].clone()).unwrap()
    }

    pub fn observed(&self) -> Arc<ObservedPolicy> {
        let mut object = self.object.clone();
        object["metadata"]["uid"] = json!(self.uid.to_string());
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let parsed: kinds::NetworkPolicy = serde_json::from_value(object).unwrap();
        Arc::new(ObservedPolicy::new(parsed).unwrap())
    }
}

/// What watches deliver.
#[derive(Clone, Debug)]
pub enum Event {
    Policy(Arc<str>, Option<Arc<ObservedPolicy>>),
    System(Option<Arc<SystemObject>>),
    Carriers(Carriers),
    Namespace(Option<NamespaceObject>),
    Pods(Vec<PodModel>),
    Set(SetModel),
    Upgrading(bool),
}

/// Why a write was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Conflict,
    Missing,
}

/// The cluster, as stored.
#[derive(Clone, Debug)]
pub struct Model {
    next: u64,
    pub policies: BTreeMap<Arc<str>, Stored>,
    pub namespace: Option<NamespaceObject>,
    pub system: Option<Arc<SystemObject>>,
    pub carriers: Carriers,
    pub pods: Vec<PodModel>,
    pub set: SetModel,
    pub upgrading: bool,
    pub events: Vec<Event>,
    /// Writes of anything, the operator's and others'.
    pub writes: u64,
}

impl Model {
    pub fn new(set: SetModel, pods: Vec<PodModel>) -> Self {
        let isolation = IsolationConfig {
            uid: "isolation".into(),
            generation: 1,
            resource_version: "1".into(),
            spec: Ok(SystemIsolationSpec::default()),
            status: SystemIsolationStatus::default(),
        };
        Self {
            next: 10,
            policies: BTreeMap::new(),
            namespace: Some(NamespaceObject {
                uid: "namespace".into(),
                labels: Labels::default(),
                terminating: false,
            }),
            system: None,
            carriers: Carriers {
                isolation: Some(isolation),
                ..Carriers::default()
            },
            pods,
            set,
            upgrading: false,
            events: Vec::new(),
            writes: 0,
        }
    }

    fn bump(&mut self) -> u64 {
        self.next += 1;
        self.writes += 1;
        self.next
    }

    fn tell_policy(&mut self, name: &Arc<str>) {
        let observed = self.policies.get(name).map(Stored::observed);
        self.events.push(Event::Policy(name.clone(), observed));
    }

    /// POST by a field manager.
    pub fn create(&mut self, body: &Value, manager: &str) -> Result<u64, Refused> {
        let name: Arc<str> = body["metadata"]["name"].as_str().unwrap().into();
        if self.policies.contains_key(&name) {
            return Err(Refused::Conflict);
        }
        let version = self.bump();
        let mut object = body.clone();
        object["metadata"]["managedFields"] = json!([owner(manager)]);
        let stored = Stored {
            uid: version,
            version,
            object,
        };
        self.policies.insert(name.clone(), stored);
        self.tell_policy(&name);
        Ok(version)
    }

    /// Forced server-side apply. A uid in the body makes it fail for any other object, absence included; a
    /// resourceVersion makes it fail after any change.
    pub fn apply(&mut self, body: &Value, manager: &str) -> Result<u64, Refused> {
        let name: Arc<str> = body["metadata"]["name"].as_str().unwrap().into();
        let stored = self.policies.get(&name).ok_or(Refused::Missing)?.clone();
        let wants = |field: &str, is: u64| {
            body["metadata"]
                .get(field)
                .is_none_or(|v| *v == json!(is.to_string()))
        };
        if !wants("uid", stored.uid) || !wants("resourceVersion", stored.version) {
            return Err(Refused::Conflict);
        }
        let mut object = stored.object.clone();
        for field in ["labels", "annotations"] {
            for (key, value) in body["metadata"][field].as_object().into_iter().flatten() {
                object["metadata"][field][key] = value.clone();
            }
        }
        object["spec"] = body["spec"].clone();
        let managers = object["metadata"]["managedFields"].as_array_mut().unwrap();
        managers.retain(|m| m["manager"] != manager);
        managers.push(owner(manager));
        if object == stored.object {
            return Ok(stored.version);
        }
        let version = self.bump();
        self.policies.insert(
            name.clone(),
            Stored {
                version,
                object,
                ..stored
            },
        );
        self.tell_policy(&name);
        Ok(version)
    }

    /// DELETE with preconditions.
    pub fn delete(&mut self, name: &str, uid: Option<&str>, version: Option<&str>) -> Result<(), Refused> {
        let stored = self.policies.get(name).ok_or(Refused::Missing)?;
        let is = |wanted: Option<&str>, is: u64| wanted.is_none_or(|w| w == is.to_string());
        if !is(uid, stored.uid) || !is(version, stored.version) {
            return Err(Refused::Conflict);
        }
        self.bump();
        let name: Arc<str> = name.into();
        self.policies.remove(&name);
        self.tell_policy(&name);
        Ok(())
    }

    /// A change of an annotation, which moves the version.
    pub fn annotate(&mut self, name: &str, uid: &str, key: &str, value: &str) -> Result<(), Refused> {
        let stored = self.policies.get(name).ok_or(Refused::Missing)?;
        if stored.uid.to_string() != uid {
            return Err(Refused::Conflict);
        }
        let version = self.bump();
        let stored = self.policies.get_mut(name).unwrap();
        stored.version = version;
        stored.object["metadata"]["annotations"][key] = json!(value);
        self.tell_policy(&name.into());
        Ok(())
    }

    /// Creates the `SystemNamespace` if there is none.
    pub fn create_system(&mut self) -> Result<u64, Refused> {
        if self.system.is_some() {
            return Err(Refused::Conflict);
        }
        let version = self.bump();
        self.put_system(SystemObject {
            uid: version.to_string(),
            resource_version: version.to_string(),
            generation: 1,
            spec: Ok(SystemNamespaceSpec::default()),
            status: SystemNamespaceStatus::default(),
        });
        Ok(version)
    }

    fn put_system(&mut self, system: SystemObject) {
        self.system = Some(Arc::new(system));
        self.events.push(Event::System(self.system.clone()));
    }

    /// Changes the status if the version is still the one that was seen.
    pub fn patch_status(
        &mut self,
        version: &str,
        change: impl FnOnce(&mut SystemNamespaceStatus),
    ) -> Result<u64, Refused> {
        let mut system = (**self.system.as_ref().ok_or(Refused::Missing)?).clone();
        if system.resource_version != version {
            return Err(Refused::Conflict);
        }
        let before = system.status.clone();
        change(&mut system.status);
        if system.status == before {
            return Ok(version.parse().unwrap());
        }
        let version = self.bump();
        system.resource_version = version.to_string();
        self.put_system(system);
        Ok(version)
    }

    /// An administrator's change of a `SystemNamespace`, created if need be.
    pub fn edit_system(&mut self, change: impl FnOnce(&mut SystemNamespaceSpec)) {
        if self.system.is_none() {
            self.create_system().unwrap();
        }
        let mut system = (**self.system.as_ref().unwrap()).clone();
        change(system.spec.as_mut().unwrap());
        system.generation += 1;
        system.resource_version = self.bump().to_string();
        self.put_system(system);
    }

    /// An administrator's change of `SystemIsolation`.
    pub fn edit_isolation(&mut self, change: impl FnOnce(&mut SystemIsolationSpec)) {
        let version = self.bump();
        let isolation = self.carriers.isolation.as_mut().unwrap();
        change(isolation.spec.as_mut().unwrap());
        isolation.generation += 1;
        isolation.resource_version = version.to_string();
        self.events.push(Event::Carriers(self.carriers.clone()));
    }

    /// The operator's summary.
    pub fn report(&mut self, status: SystemIsolationStatus) {
        let version = self.bump();
        let isolation = self.carriers.isolation.as_mut().unwrap();
        isolation.status = status;
        isolation.resource_version = version.to_string();
        self.events.push(Event::Carriers(self.carriers.clone()));
    }

    pub fn label(&mut self, change: &LabelChange) {
        self.bump();
        let namespace = self.namespace.as_mut().unwrap();
        let mut labels: BTreeMap<String, String> = namespace
            .labels
            .iter()
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        labels.extend(change.set.clone());
        labels.retain(|key, _| !change.remove.contains(key));
        namespace.labels = labels.into_iter().collect();
        self.events.push(Event::Namespace(self.namespace.clone()));
    }

    pub fn set_pods(&mut self, pods: Vec<PodModel>) {
        self.pods.clone_from(&pods);
        self.events.push(Event::Pods(pods));
    }

    pub fn set_set(&mut self, set: SetModel) {
        self.set = set.clone();
        self.events.push(Event::Set(set));
    }

    pub fn set_upgrading(&mut self, upgrading: bool) {
        self.upgrading = upgrading;
        self.events.push(Event::Upgrading(upgrading));
    }

    /// The policies as a list reads them.
    pub fn list(&self) -> Vec<Arc<ObservedPolicy>> {
        self.policies.values().map(Stored::observed).collect()
    }
}

fn owner(manager: &str) -> Value {
    json!({"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": {}}})
}

/// A policy of somebody else.
pub fn foreign(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": SUBJECT, "labels": {}, "annotations": {}},
        "spec": spec,
    })
}
