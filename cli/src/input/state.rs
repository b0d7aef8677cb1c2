//! What the policy engine is asked about.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bulkhead_policy::services::{Service, Slice};
use bulkhead_policy::tiers::{self, ClusterPolicy};
use bulkhead_policy::v1::{self, FieldError, Invalid, NetworkPolicySpec};
use bulkhead_policy::well_known::ControlPlane;
use bulkhead_policy::{Dialect, Labels, Pod, Policy, World};

use super::object::Kind;
use super::pods::{self, Placed};
use super::services;
use super::{Fault, Object, Read, Source};

/// A NetworkPolicy as written, as understood, and where.
#[derive(Clone, Debug)]
pub struct Written {
    /// As written.
    pub spec: NetworkPolicySpec,
    /// As understood.
    pub policy: Arc<Policy>,
    /// Where.
    pub source: Source,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// A cluster policy and where it is written.
#[derive(Clone, Debug)]
pub struct WrittenCluster {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: Arc<str>,
    /// Where.
    pub source: Source,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

impl WrittenCluster {
    /// Kind and name: policies of different kinds may have the same name.
    pub fn title(&self) -> String {
        let kind = match self.kind {
            Kind::AdminNetworkPolicy => "AdminNetworkPolicy",
            Kind::BaselineAdminNetworkPolicy => "BaselineAdminNetworkPolicy",
            _ => "ClusterNetworkPolicy",
        };
        format!("{kind} {}", self.name)
    }
}

/// Everything that decides about connections.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Namespaces with their labels, and the dialect.
    pub world: World,
    /// The pods.
    pub pods: Vec<Pod>,
    /// What else is known of each pod, in the same order.
    pub placed: Vec<Placed>,
    /// Services.
    pub services: Vec<Service>,
    /// Written endpoints.
    pub slices: Vec<Slice>,
    /// The policies.
    pub policies: Vec<Written>,
    /// Policies of the cluster's administrator.
    pub cluster_policies: Vec<ClusterPolicy>,
    /// Where those are written, in the same order.
    pub cluster_sources: Vec<WrittenCluster>,
    /// The API server is outside the cluster.
    pub external_control_plane: bool,
    /// What could not be read.
    pub faults: Vec<Fault>,
    /// Namespaces that are used and not given: their labels are an assumption.
    pub assumed: Vec<Arc<str>>,
    skipped: Option<String>,
    remarks: Vec<String>,
    /// Where each pod is, by namespace and name.
    pod_places: HashMap<(Arc<str>, Arc<str>), usize>,
    /// Where each policy is, by namespace and name.
    policy_places: HashMap<(Arc<str>, Arc<str>), usize>,
}

impl State {
    /// Understands what was read.
    pub fn new(read: Read, dialect: Dialect) -> Self {
        let Read {
            objects,
            faults,
            repeated,
        } = read;
        let mut state = Self {
            world: World::new(dialect),
            faults,
            skipped: super::skipped(&objects),
            ..Self::default()
        };
        state.placed = pods::place(&objects, &mut state.faults);
        state.pods = state.placed.iter().map(|p| p.pod.clone()).collect();
        let key = |pod: &Pod| (pod.namespace.clone(), pod.name.clone());
        state.pod_places = state
            .pods
            .iter()
            .enumerate()
            .map(|(at, pod)| (key(pod), at))
            .collect();
        let faults = &mut state.faults;
        (state.services, state.slices) = services::collect(&objects, &mut |object, reason| {
            faults.push(pods::fault(object, "spec", &reason));
        });
        for object in &objects {
            state.take(object);
        }
        state.assume_namespaces();
        if !repeated.is_empty() {
            let names = bulkhead_controllers::plan::list(&repeated);
            state.remark(format!("given more than once, the last one counts: {names}"));
        }
        state
    }

    fn take(&mut self, object: &Object) {
        let taken = match object.kind {
            Kind::Namespace => {
                let labels: Option<BTreeMap<String, String>> =
                    object.part("/metadata/labels").unwrap_or_default();
                let labels: Labels = labels.unwrap_or_default().into_iter().collect();
                self.world.set_namespace(object.name.clone(), &labels);
                Ok(())
            }
            Kind::NetworkPolicy => self.take_policy(object),
            Kind::AdminNetworkPolicy | Kind::BaselineAdminNetworkPolicy | Kind::ClusterNetworkPolicy => {
                self.take_cluster(object)
            }
            _ => Ok(()),
        };
        if let Err((field, reason)) = taken {
            self.faults.push(pods::fault(object, &field, &reason));
        }
    }

    fn take_policy(&mut self, object: &Object) -> Result<(), (String, String)> {
        let spec: NetworkPolicySpec = object.part("/spec").map_err(malformed)?.unwrap_or_default();
        let policy = v1::parse(object.namespace.clone(), object.name.clone(), &spec).map_err(refused)?;
        let annotations = annotations(object);
        self.add(Written {
            spec,
            policy: Arc::new(policy),
            source: object.source.clone(),
            annotations,
        });
        Ok(())
    }

    fn take_cluster(&mut self, object: &Object) -> Result<(), (String, String)> {
        let name = object.name.clone();
        let policy = match object.kind {
            Kind::ClusterNetworkPolicy => {
                let spec = object.part("/spec").map_err(malformed)?.unwrap_or_default();
                tiers::parse_cluster(name, &spec)
            }
            Kind::AdminNetworkPolicy => tiers::parse_admin(
                name,
                &object.part("/spec").map_err(malformed)?.unwrap_or_default(),
            ),
            _ => tiers::parse_baseline(
                name,
                &object.part("/spec").map_err(malformed)?.unwrap_or_default(),
            ),
        };
        self.cluster_policies.push(policy.map_err(refused)?);
        self.cluster_sources.push(WrittenCluster {
            kind: object.kind,
            name: object.name.clone(),
            source: object.source.clone(),
            annotations: annotations(object),
        });
        Ok(())
    }

    fn assume_namespaces(&mut self) {
        let used = self.pods.iter().map(|p| &p.namespace);
        let mut used: Vec<Arc<str>> = used
            .chain(self.policies.iter().map(|p| &p.policy.namespace))
            .cloned()
            .collect();
        used.sort_unstable();
        used.dedup();
        used.retain(|name| !self.world.knows(name));
        for name in &used {
            self.world.set_namespace(name.clone(), &Labels::default());
        }
        self.assumed = used;
    }

    /// The policies for the engine.
    pub fn engine_policies(&self) -> Vec<&Policy> {
        self.policies.iter().map(|p| &*p.policy).collect()
    }

    /// Cluster policies with where they are written.
    pub fn written_cluster(&self) -> impl Iterator<Item = (&ClusterPolicy, &WrittenCluster)> {
        self.cluster_policies.iter().zip(&self.cluster_sources)
    }

    /// What the engine judges by.
    pub fn engine<'s, 'p>(&'s self, policies: &'p [&'s Policy]) -> bulkhead_policy::engine::State<'s, 'p> {
        bulkhead_policy::engine::State {
            world: &self.world,
            policies,
            tiers: &self.cluster_policies,
        }
    }

    /// Where a policy is written.
    pub fn written(&self, policy: &Policy) -> Option<&Written> {
        let key = (policy.namespace.clone(), policy.name.clone());
        self.policies.get(*self.policy_places.get(&key)?)
    }

    /// Adds a policy.
    pub fn add(&mut self, written: Written) {
        let key = (written.policy.namespace.clone(), written.policy.name.clone());
        self.policy_places.entry(key).or_insert(self.policies.len());
        self.policies.push(written);
    }

    /// Keeps only these policies.
    pub fn retain(&mut self, keep: impl FnMut(&Written) -> bool) {
        self.policies.retain(keep);
        self.policy_places.clear();
        for (at, written) in self.policies.iter().enumerate() {
            let key = (written.policy.namespace.clone(), written.policy.name.clone());
            self.policy_places.entry(key).or_insert(at);
        }
    }

    /// The index of a pod.
    pub fn place_of(&self, pod: &Pod) -> Option<usize> {
        let key = (pod.namespace.clone(), pod.name.clone());
        self.pod_places.get(&key).copied()
    }

    /// Where the control plane runs, as far as the endpoints of its Service say.
    pub fn control_plane(&self) -> ControlPlane {
        let addresses = self.api_slices().flat_map(|slice| &slice.endpoints);
        let addresses = addresses.map(|(address, _)| *address).collect();
        if self.external_control_plane {
            ControlPlane::Hosted(addresses)
        } else {
            ControlPlane::OnNodes(addresses)
        }
    }

    /// The endpoints of the API server.
    pub fn api_slices(&self) -> impl Iterator<Item = &Slice> {
        let slices = self.slices.iter();
        slices.filter(|slice| &*slice.namespace == "default" && &*slice.service == "kubernetes")
    }

    /// Adds something that the user should know about how the input was understood.
    pub fn remark(&mut self, text: String) {
        self.remarks.push(text);
    }

    /// What was assumed and passed over, a line each.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.remarks.clone();
        if !self.assumed.is_empty() {
            let what = match self.assumed.len() {
                1 => "1 namespace is".to_owned(),
                n => format!("{n} namespaces are"),
            };
            notes.push(format!(
                "{what} not among the objects, so nothing but the name label is assumed: {}",
                bulkhead_controllers::plan::list(
                    &self.assumed.iter().map(ToString::to_string).collect::<Vec<_>>()
                )
            ));
        }
        notes.extend(self.skipped.clone());
        notes
    }
}

/// Annotations of an object; malformed ones are none.
fn annotations(object: &Object) -> BTreeMap<String, String> {
    let found = object.part("/metadata/annotations");
    found.unwrap_or_default().unwrap_or_default()
}

// By value, as error mappers are called.
#[allow(clippy::needless_pass_by_value)]
fn malformed(error: serde_json::Error) -> (String, String) {
    ("spec".to_owned(), error.to_string())
}

#[allow(clippy::needless_pass_by_value)]
fn refused(invalid: Invalid) -> (String, String) {
    let field = invalid.0.first().map(|FieldError { field, .. }| field.clone());
    (
        field.unwrap_or_else(|| "spec".to_owned()),
        format!("the API server would refuse it: {invalid}"),
    )
}
