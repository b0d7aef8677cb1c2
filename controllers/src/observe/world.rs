//! Everything that was observed, indexed by namespace. Fed by watches alone, never by our own writes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{
    History, Moment, ObservedPolicy,
    operands::{self, OperandWorld},
};
pub use super::{
    kind::Kind,
    objects::{Change, Declaration, Item, Key, NamespaceObject, PodShape, Release, SystemObject},
};
use crate::decide::{
    Carriers,
    config::{IsolationConfig, NetworkConfig},
};

/// How far a watch has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// Nothing complete was read yet.
    #[default]
    Pending,
    /// A complete list was read, and changes follow.
    Synced,
    /// The API server does not serve the kind.
    Unserved,
    /// Reading fails; what was read before may be stale.
    Failing(String),
}

/// What has to be looked at again after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dirty {
    /// Nothing.
    Nothing,
    /// One namespace.
    Namespace(Arc<str>),
    /// What is declared in one namespace, and all that depends on it.
    Declarations(Arc<str>),
    /// Only what is said about the cluster.
    Summary,
    /// Only operand bundles.
    Operands,
    /// Everything.
    All,
}

/// What was observed in one namespace.
#[derive(Clone, Debug, Default)]
pub struct NamespaceState {
    /// The namespace itself.
    pub object: Option<NamespaceObject>,
    /// When it was first read.
    pub first_seen: Moment,
    /// Its policies by name.
    pub policies: BTreeMap<Arc<str>, Arc<ObservedPolicy>>,
    /// Their versions over time.
    pub history: History,
    /// Looks of its pods by pod name.
    pub pods: HashMap<Arc<str>, Arc<PodShape>>,
    /// Distinct looks of its pods, with how many pods have each.
    shapes: HashMap<Arc<PodShape>, u32>,
    /// Looks of its pod templates by kind and name.
    pub templates: BTreeMap<(Kind, Arc<str>), Arc<PodShape>>,
    /// Its `SystemNamespace`.
    pub system: Option<Arc<SystemObject>>,
    /// Its declarations by name.
    pub declarations: BTreeMap<Arc<str>, Declaration>,
}

impl NamespaceState {
    /// Distinct looks of its pods.
    pub fn shapes(&self) -> impl Iterator<Item = &Arc<PodShape>> {
        self.shapes.keys()
    }

    /// Nothing at all is known of it.
    fn is_empty(&self) -> bool {
        self.object.is_none()
            && self.policies.is_empty()
            && self.pods.is_empty()
            && self.templates.is_empty()
            && self.system.is_none()
            && self.declarations.is_empty()
    }

    fn put_pod(&mut self, name: &Arc<str>, shape: PodShape) -> bool {
        if self.pods.get(name).is_some_and(|known| **known == shape) {
            return false;
        }
        self.remove_pod(name);
        let shared = self
            .shapes
            .get_key_value(&shape)
            .map_or_else(|| Arc::new(shape), |(known, _)| known.clone());
        *self.shapes.entry(shared.clone()).or_default() += 1;
        self.pods.insert(name.clone(), shared);
        true
    }

    fn remove_pod(&mut self, name: &str) -> bool {
        let Some(shape) = self.pods.remove(name) else {
            return false;
        };
        if let Some(count) = self.shapes.get_mut(&shape) {
            *count -= 1;
            if *count == 0 {
                self.shapes.remove(&shape);
            }
        }
        true
    }
}

/// Everything that was observed.
#[derive(Debug, Default)]
pub struct World {
    /// By name; entries without anything in them are dropped.
    pub namespaces: BTreeMap<Arc<str>, NamespaceState>,
    /// The carriers of the configuration.
    pub carriers: Carriers,
    /// Ports of the API server by EndpointSlice.
    pub api_ports: BTreeMap<Arc<str>, Vec<u16>>,
    /// The control plane runs outside the cluster.
    pub external_control_plane: bool,
    /// The release that is installed or being rolled out.
    pub release: Release,
    /// Conditions of our ClusterOperator; `None` where there is none.
    pub cluster_operator: Option<Vec<serde_json::Value>>,
    /// Our definitions that are being removed.
    pub removing: HashSet<Arc<str>>,
    /// What is known of operands and of the bundles for them.
    pub operands: OperandWorld,
    /// How far each watch has come.
    sync: BTreeMap<Kind, Sync>,
    /// Keys seen since a list began, per kind.
    relisting: HashMap<Kind, HashSet<Key>>,
    /// Keys known per cluster-scoped or small kind, for noticing what a list no longer contains.
    known: HashMap<Kind, HashSet<Key>>,
}

impl World {
    /// How far the watch of a kind has come.
    pub fn sync(&self, kind: Kind) -> &Sync {
        const PENDING: &Sync = &Sync::Pending;
        self.sync.get(&kind).unwrap_or(PENDING)
    }

    /// The kind's state is known: synced, or optional and not served.
    pub fn is_known(&self, kind: Kind) -> bool {
        match self.sync(kind) {
            Sync::Synced => true,
            Sync::Unserved => kind.optional(),
            Sync::Pending | Sync::Failing(_) => false,
        }
    }

    /// Takes in what a watch reports.
    pub fn apply(&mut self, kind: Kind, change: Change, now: Moment) -> Dirty {
        match change {
            Change::Restarted => {
                self.relisting.insert(kind, HashSet::new());
                Dirty::Nothing
            }
            Change::Put(key, item) => {
                if let Some(seen) = self.relisting.get_mut(&kind) {
                    seen.insert(key.clone());
                }
                self.known.entry(kind).or_default().insert(key.clone());
                self.put(&key, kind, item, now)
            }
            Change::Gone(key) => {
                self.known.entry(kind).or_default().remove(&key);
                self.remove(&key, kind, now)
            }
            Change::Synced => self.synced(kind, now),
            Change::Unserved => {
                // An optional kind that nobody serves has no objects. Ours may be on the way out, which
                // freezes decisions and must not look like deletions.
                if kind.optional() {
                    self.forget_all(kind, now);
                }
                self.set_sync(kind, Sync::Unserved)
            }
            Change::Failing(error) => self.set_sync(kind, Sync::Failing(error)),
        }
    }

    fn set_sync(&mut self, kind: Kind, sync: Sync) -> Dirty {
        let before = self.sync.insert(kind, sync.clone());
        match before == Some(sync) {
            true => Dirty::Nothing,
            false if Kind::OPERANDS.contains(&kind) => Dirty::Operands,
            false => Dirty::All,
        }
    }

    fn synced(&mut self, kind: Kind, now: Moment) -> Dirty {
        if let Some(seen) = self.relisting.remove(&kind) {
            let known = self.known.entry(kind).or_default();
            let gone: Vec<Key> = known.difference(&seen).cloned().collect();
            for key in gone {
                self.known.entry(kind).or_default().remove(&key);
                self.remove(&key, kind, now);
            }
        }
        self.sync.insert(kind, Sync::Synced);
        if Kind::OPERANDS.contains(&kind) {
            Dirty::Operands
        } else {
            Dirty::All
        }
    }

    fn forget_all(&mut self, kind: Kind, now: Moment) {
        for key in self.known.remove(&kind).unwrap_or_default() {
            self.remove(&key, kind, now);
        }
    }

    fn namespace(&mut self, name: &Arc<str>, now: Moment) -> &mut NamespaceState {
        self.namespaces
            .entry(name.clone())
            .or_insert_with(|| NamespaceState {
                first_seen: now,
                ..NamespaceState::default()
            })
    }

    fn put(&mut self, key: &Key, kind: Kind, item: Item, now: Moment) -> Dirty {
        let (namespace, name) = key;
        match item {
            Item::Namespace(object) => {
                let state = self.namespace(name, now);
                let reborn = state.object.as_ref().is_some_and(|o| o.uid != object.uid);
                if state.object.is_none() || reborn {
                    state.first_seen = now;
                }
                let changed = state.object.as_ref() != Some(&object);
                state.object = Some(object);
                match (changed, &**name) {
                    (true, bulkhead_api::vocabulary::HOST_NETWORK_NAMESPACE) => Dirty::All,
                    (true, _) => Dirty::Namespace(name.clone()),
                    (false, _) => Dirty::Nothing,
                }
            }
            Item::Policy(policy) => {
                self.operands.note_standing(key, Some(&policy));
                let state = self.namespace(namespace, now);
                state.history.observe(name, Some(&policy), now);
                state.policies.insert(name.clone(), policy);
                Dirty::Namespace(namespace.clone())
            }
            Item::Pod(shape) => {
                self.operands.note_pod(key, Some(&shape));
                let changed = self.namespace(namespace, now).put_pod(name, shape);
                if changed {
                    Dirty::Namespace(namespace.clone())
                } else {
                    Dirty::Nothing
                }
            }
            Item::OperandTemplate(shape, operand) => {
                self.operands.put_object(kind, key, Some(operand));
                self.put_template(key, kind, shape, now)
            }
            Item::OperandPolicy(operand, object) => {
                self.operands.put_policy(operand, *object);
                Dirty::Operands
            }
            Item::OperandSource(object) => {
                self.operands.put_object(kind, key, Some(object));
                Dirty::Operands
            }
            Item::Template(shape) => {
                self.operands.put_object(kind, key, None);
                self.put_template(key, kind, shape, now)
            }
            Item::System(object) => {
                self.namespace(name, now).system = Some(object);
                Dirty::Namespace(name.clone())
            }
            Item::Declaration(declaration) => self.put_declaration(namespace, name, *declaration, now),
            cluster => self.put_cluster(name, cluster),
        }
    }

    fn put_template(&mut self, key: &Key, kind: Kind, shape: Option<PodShape>, now: Moment) -> Dirty {
        let (namespace, name) = key;
        let templates = &mut self.namespace(namespace, now).templates;
        let key = (kind, name.clone());
        let before = match shape.map(Arc::new) {
            Some(shape) if templates.get(&key) == Some(&shape) => return Dirty::Nothing,
            Some(shape) => templates.insert(key, shape),
            None if !templates.contains_key(&key) => return Dirty::Nothing,
            None => templates.remove(&key),
        };
        drop(before);
        Dirty::Namespace(namespace.clone())
    }

    fn put_declaration(
        &mut self,
        namespace: &Arc<str>,
        name: &Arc<str>,
        new: Declaration,
        now: Moment,
    ) -> Dirty {
        let declarations = &mut self.namespace(namespace, now).declarations;
        let old = declarations.remove(name).filter(|old| old.uid == new.uid);
        // A new generation counts even if it means the same: contracts compare generations.
        let changed = old
            .as_ref()
            .is_none_or(|old| (old.generation, &old.spec) != (new.generation, &new.spec));
        let last_good = old.and_then(|old| old.last_good);
        declarations.insert(name.clone(), Declaration { last_good, ..new });
        if changed {
            Dirty::Declarations(namespace.clone())
        } else {
            Dirty::Namespace(namespace.clone())
        }
    }

    fn put_cluster(&mut self, name: &Arc<str>, item: Item) -> Dirty {
        match item {
            Item::Ports(ports) => {
                let before = self.api_ports.insert(name.clone(), ports);
                if before.as_ref() == self.api_ports.get(name) {
                    Dirty::Nothing
                } else {
                    Dirty::All
                }
            }
            Item::Isolation(config) => self.put_isolation(*config),
            Item::Network(config) => self.put_network(*config),
            Item::Infrastructure(external) => replace(&mut self.external_control_plane, external),
            Item::ClusterVersion(release) => replace(&mut self.release, release),
            Item::ClusterOperator(conditions) => replace(&mut self.cluster_operator, Some(conditions)),
            Item::Definition(removing) if operands::is_definition(name) => {
                self.operands.set_removing(removing);
                Dirty::Operands
            }
            Item::Definition(true) => {
                self.removing.insert(name.clone());
                Dirty::All
            }
            Item::Definition(false) => {
                if self.removing.remove(name) {
                    Dirty::All
                } else {
                    Dirty::Nothing
                }
            }
            _ => Dirty::Nothing,
        }
    }

    /// Our own summary must not make every namespace be planned again.
    fn put_isolation(&mut self, new: IsolationConfig) -> Dirty {
        let matters =
            |c: &IsolationConfig| (c.spec.clone(), c.status.applied.clone(), c.status.carrier.clone());
        let old = self.carriers.isolation.replace(new);
        let same = old.as_ref().map(matters) == self.carriers.isolation.as_ref().map(matters);
        if same { Dirty::Summary } else { Dirty::All }
    }

    fn put_network(&mut self, new: NetworkConfig) -> Dirty {
        let without_conditions = |c: &NetworkConfig| NetworkConfig {
            conditions: Vec::new(),
            ..c.clone()
        };
        let old = self.carriers.network.replace(new);
        let same =
            old.as_ref().map(without_conditions) == self.carriers.network.as_ref().map(without_conditions);
        if same { Dirty::Summary } else { Dirty::All }
    }

    fn remove(&mut self, key: &Key, kind: Kind, now: Moment) -> Dirty {
        let (namespace, name) = key;
        let owner = match kind {
            Kind::Namespaces | Kind::SystemNamespaces => name,
            Kind::EndpointSlices => {
                self.api_ports.remove(name);
                return Dirty::All;
            }
            _ if Kind::OPERANDS.contains(&kind) => {
                self.operands.remove(kind, key);
                return Dirty::Operands;
            }
            Kind::SystemIsolations => return replace(&mut self.carriers.isolation, None),
            Kind::Networks => return replace(&mut self.carriers.network, None),
            Kind::Infrastructures => return replace(&mut self.external_control_plane, false),
            Kind::ClusterVersions => return replace(&mut self.release, Release::default()),
            Kind::ClusterOperators => return replace(&mut self.cluster_operator, None),
            Kind::CustomResourceDefinitions if operands::is_definition(name) => {
                self.operands.set_removing(false);
                return Dirty::Operands;
            }
            Kind::CustomResourceDefinitions => {
                self.removing.remove(name);
                return Dirty::All;
            }
            _ => namespace,
        };
        let Some(state) = self.namespaces.get_mut(owner) else {
            return Dirty::Nothing;
        };
        let mut dirty = Dirty::Namespace(owner.clone());
        match kind {
            Kind::Namespaces => state.object = None,
            Kind::SystemNamespaces => state.system = None,
            Kind::NetworkPolicies => {
                self.operands.note_standing(key, None);
                state.history.observe(name, None, now);
                state.policies.remove(name);
            }
            Kind::Pods => {
                self.operands.note_pod(key, None);
                state.remove_pod(name);
            }
            Kind::SystemNetworkPolicies => {
                state.declarations.remove(name);
                dirty = Dirty::Declarations(owner.clone());
            }
            workload => {
                self.operands.remove(workload, key);
                state.templates.remove(&(workload, name.clone()));
            }
        }
        if state.is_empty() {
            self.namespaces.remove(owner);
        }
        dirty
    }
}

fn replace<T: PartialEq>(place: &mut T, value: T) -> Dirty {
    if *place == value {
        return Dirty::Nothing;
    }
    *place = value;
    Dirty::All
}
