//! The operator of the model: its cache, its clock, its memory. What it decides is the product's.

use std::{collections::BTreeMap, sync::Arc};

use bulkhead_api::isolation::CarrierStatus;

use super::{
    brute::SUBJECT,
    model::{Event, Model},
    shapes::{self, PodModel, SetModel},
};
use crate::{
    decide::{
        Carriers, Platform,
        config::{self, Applied},
    },
    observe::{
        History, Moment, ObservedPolicy,
        world::{NamespaceObject, SystemObject},
    },
    plan::{Cluster, Expected, Input, Writer},
};

/// One leader.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug)]
pub struct Operator {
    pub identity: Arc<str>,
    pub term: u64,
    pub sequence: u32,
    pub settle: Moment,
    pub own_namespace: bool,
    pub others_closed: bool,
    /// How many events of the model it has seen.
    pub seen: usize,
    pub history: History,
    pub first_seen: Moment,
    pub uncertain: bool,
    pub written: BTreeMap<Arc<str>, Moment>,
    remembered: Option<(Applied, CarrierStatus)>,
    policies: BTreeMap<Arc<str>, Arc<ObservedPolicy>>,
    system: Option<Arc<SystemObject>>,
    namespace: Option<NamespaceObject>,
    carriers: Carriers,
    pods: Vec<PodModel>,
    set: SetModel,
    upgrading: bool,
    host_selectable: bool,
    expected: Option<Arc<Expected>>,
}

impl Operator {
    /// A process that has just read everything.
    pub fn start(model: &Model, term: u64, settle: Moment, host_selectable: bool, now: Moment) -> Self {
        let mut operator = Self {
            identity: format!("operator-{term}").into(),
            term,
            sequence: 1,
            settle,
            own_namespace: false,
            others_closed: true,
            seen: model.events.len(),
            history: History::default(),
            first_seen: now,
            uncertain: false,
            written: BTreeMap::new(),
            remembered: None,
            policies: model.list().into_iter().map(|p| (p.name.clone(), p)).collect(),
            system: model.system.clone(),
            namespace: model.namespace.clone(),
            carriers: model.carriers.clone(),
            pods: model.pods.clone(),
            set: model.set.clone(),
            upgrading: model.upgrading,
            host_selectable,
            expected: None,
        };
        let policies: Vec<_> = operator.policies.values().cloned().collect();
        operator.history.observe_all(policies.iter().map(|p| &**p), now);
        operator
    }

    /// Takes in the next events of its watches.
    pub fn deliver(&mut self, model: &Model, count: usize, now: Moment) {
        let until = self.seen.saturating_add(count).min(model.events.len());
        for event in &model.events[self.seen..until] {
            match event.clone() {
                Event::Policy(name, policy) => {
                    self.history.observe(&name, policy.as_deref(), now);
                    match policy {
                        Some(policy) => self.policies.insert(name, policy),
                        None => self.policies.remove(&name),
                    };
                }
                Event::System(system) => self.system = system,
                Event::Carriers(carriers) => self.carriers = carriers,
                Event::Namespace(namespace) => self.namespace = namespace,
                Event::Pods(pods) => self.pods = pods,
                Event::Set(set) => (self.set, self.expected) = (set, None),
                Event::Upgrading(upgrading) => (self.upgrading, self.expected) = (upgrading, None),
            }
        }
        self.seen = until;
        self.history.forget(now, self.settle);
    }

    pub fn platform(&self) -> Platform {
        Platform {
            host_selectable: self.host_selectable,
            upgrading: self.upgrading,
            ..Platform::default()
        }
    }

    fn cluster(&mut self, carriers: &Carriers) -> Cluster {
        let config = config::resolve(carriers, self.remembered.as_ref());
        if let Some(carrier) = &config.carrier {
            self.remembered = Some((config.applied, carrier.clone()));
        }
        let platform = self.platform();
        Cluster {
            contracts_frozen: (!config.stored).then_some("ConfigurationNotStored"),
            config,
            world: platform.world(),
            platform,
            settle: self.settle,
            sequence: self.sequence,
            writer: Writer {
                identity: self.identity.clone(),
                term: self.term,
            },
            own_namespace: if self.own_namespace {
                SUBJECT.into()
            } else {
                "openshift-bulkhead".into()
            },
            frozen: None,
            system_namespaces_served: true,
            used_label_keys: Arc::default(),
            generations: Arc::default(),
        }
    }

    /// What the planner looks at, from the cache.
    pub fn input(&mut self, now: Moment) -> Input {
        let cluster = self.cluster(&self.carriers.clone());
        let platform = self.platform();
        let expected = self
            .expected
            .get_or_insert_with(|| self.set.expected(&platform))
            .clone();
        Input {
            cluster: Arc::new(cluster),
            name: SUBJECT.into(),
            now,
            wall: wall(now),
            object: self.namespace.clone(),
            first_seen: self.first_seen,
            system: self.system.clone(),
            expected,
            policies: self.policies.values().cloned().collect(),
            history: self.history.clone(),
            pods: shapes::members(&self.pods),
            bundled: false,
            uncertain: self.uncertain,
            others_closed: self.others_closed,
            written: self.written.clone(),
        }
    }

    /// Its `SystemIsolation` is the stored one.
    pub fn knows_isolation(&self, stored: &config::IsolationConfig) -> bool {
        let known = self.carriers.isolation.as_ref();
        known.is_some_and(|known| known.resource_version == stored.resource_version)
    }

    /// The configuration and `SystemNamespace` as live reads tell them.
    pub fn refreshed(&mut self, input: &Input, model: &Model, now: Moment) -> Input {
        let mut fresh = input.clone();
        let config = config::resolve(&model.carriers, self.remembered.as_ref());
        fresh.cluster = Arc::new(Cluster {
            config,
            ..(*input.cluster).clone()
        });
        fresh.system = model.system.clone();
        fresh.now = now;
        fresh
    }

    /// Policies as a live read tells them, on top.
    pub fn with_policies(fresh: &mut Input, model: &Model, now: Moment) {
        let live = model.list();
        fresh.now = now;
        fresh.history.observe_all(live.iter().map(|p| &**p), now);
        fresh.policies = live;
    }
}

/// The wall clock of the model.
pub fn wall(now: Moment) -> jiff::Timestamp {
    let start = jiff::Timestamp::from_second(1_700_000_000).unwrap();
    start
        .checked_add(jiff::SignedDuration::try_from(now).unwrap())
        .unwrap()
}
