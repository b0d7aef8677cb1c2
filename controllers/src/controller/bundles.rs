//! From the observed world to what bundles are made from, and what they are.

use std::{collections::BTreeMap, sync::Arc};

use bulkhead_api::operand::Operand;
use bulkhead_policy::{
    Pod,
    tiers::{self, ClusterPolicy},
};

use super::{Settings, snapshot};
use crate::{
    observe::{
        World,
        world::{Kind, NamespaceState, Sync},
    },
    operands::{
        Bundle, Facts, Objects, bundles, discover, grpc,
        plan::{Place, Sources},
    },
    plan::Cluster,
};

/// What bundles are made from, and what they are.
pub struct Decided {
    /// What they are made from.
    pub sources: Arc<Sources>,
    /// What was found out.
    pub facts: Facts,
    /// Those whose object can be read.
    pub bundles: BTreeMap<Operand, Arc<Bundle>>,
    /// Policies that two of them want, with the second one.
    pub collisions: Vec<(Operand, Arc<bulkhead_policy::Policy>)>,
}

/// Decides every bundle.
pub fn decide(world: &World, cluster: &Cluster, settings: &Settings) -> Decided {
    let sources = Arc::new(Sources {
        objects: objects(world, &settings.own_namespace),
        platform: cluster.platform.clone(),
        catalog: settings.catalog.clone(),
    });
    let facts = discover(&sources.objects, &sources.platform);
    let mut all = Vec::new();
    for object in world.operands.policies.values() {
        let Ok(spec) = &object.spec else { continue };
        all.push(bundles::build(bundles::Context {
            facts: &facts,
            spec,
            catalog: &settings.catalog,
        }));
    }
    let collisions = bundles::collisions(&all);
    for bundle in &mut all {
        warn_about_grpc(world, &cluster.world, &facts, bundle);
    }
    Decided {
        sources,
        facts,
        bundles: all
            .into_iter()
            .map(|bundle| (bundle.operand, Arc::new(bundle)))
            .collect(),
        collisions,
    }
}

/// A namespace as it stands.
pub fn place(name: &Arc<str>, state: Option<&NamespaceState>) -> Place {
    let Some(state) = state else {
        return Place::default();
    };
    let pods: Vec<Pod> = snapshot::members(name, state)
        .into_iter()
        .filter(|member| !member.terminating)
        .map(|member| member.pod)
        .collect();
    Place {
        writable: state.object.as_ref().is_some_and(|o| !o.terminating),
        policies: state.policies.values().cloned().collect(),
        history: state.history.clone(),
        pods: Arc::new(pods),
    }
}

/// What discovery looks into.
pub fn objects(world: &World, own_namespace: &Arc<str>) -> Objects {
    let mut objects = Objects::default();
    objects.own_namespace = Some(own_namespace.clone());
    for ((kind, _), object) in &world.operands.objects {
        if let Some(source) = discover::source_of(*kind) {
            objects.add(source, object.value().clone());
        }
    }
    for (namespace, name) in &world.operands.pods {
        let shape = world.namespaces.get(namespace).and_then(|n| n.pods.get(name));
        if let Some(shape) = shape.filter(|shape| !shape.terminating) {
            let mut pod = Pod::new(namespace.clone(), &**name, shape.labels.clone());
            pod.state = shape.state;
            objects.pods.push(pod);
        }
    }
    objects
}

/// Whether something that bundles rest on was not read yet, and has not failed either.
pub fn is_pending(world: &World) -> bool {
    needed()
        .chain(Kind::ADMIN)
        .any(|kind| *world.sync(kind) == Sync::Pending)
}

/// What bundles rest on.
fn needed() -> impl Iterator<Item = Kind> {
    let shared = [
        Kind::Namespaces,
        Kind::NetworkPolicies,
        Kind::Pods,
        Kind::Deployments,
        Kind::StatefulSets,
        Kind::DaemonSets,
        Kind::EndpointSlices,
        Kind::Networks,
        Kind::Infrastructures,
    ];
    let of_operands = Kind::OPERANDS
        .into_iter()
        .filter(|kind| !Kind::ADMIN.contains(kind));
    shared.into_iter().chain(of_operands)
}

/// Bundles rest on all of these; while one is unknown, nothing is decided.
pub fn frozen(world: &World) -> Option<String> {
    if world.operands.removing {
        return Some(
            "the definition of OperandNetworkPolicy is being removed; install it again to go on".into(),
        );
    }
    let unknown = needed().find(|kind| !world.is_known(*kind))?;
    Some(match world.sync(unknown) {
        Sync::Failing(error) => format!("{} cannot be read: {error}", unknown.plural()),
        Sync::Unserved => format!("{} is not served: install its definition", unknown.plural()),
        _ => format!("{} has not been read yet", unknown.plural()),
    })
}

/// Whether users of istio-csr may reach it is up to policies of others.
fn warn_about_grpc(world: &World, engine: &bulkhead_policy::World, facts: &Facts, bundle: &mut Bundle) {
    let Some(found) = facts.cert_manager.istio_csr.as_ref().filter(|_| bundle.active) else {
        return;
    };
    let of_csr = |name: &str| bundle.policies().any(|p| &*p.name == name);
    if bundle.operand != Operand::CertManager || of_csr("allow-istio-csr-grpc-service") {
        return;
    }
    let state = world.namespaces.get(&found.namespace);
    let others: Vec<_> = state
        .into_iter()
        .flat_map(|s| s.policies.values())
        .filter(|p| !p.is_of_bundle())
        .map(|p| p.policy.clone())
        .collect();
    let example = grpc::example(found);
    let running = state.and_then(|s| {
        s.shapes()
            .find(|shape| shape.labels.get("app") == example.labels.get("app"))
    });
    let pod = running.map_or(example.clone(), |shape| {
        Pod::new(
            found.namespace.clone(),
            example.name.clone(),
            shape.labels.clone(),
        )
    });
    let admin = if Kind::ADMIN.into_iter().all(|kind| world.is_known(kind)) {
        grpc::administrator(engine, of_administrator(world), &pod, found.grpc_port)
    } else {
        grpc::AdminPolicies::Unreadable
    };
    let judged = grpc::judge(engine, &others, admin, &pod, found);
    bundle.warnings.extend(grpc::warning(judged, found));
}

/// Policies of the administrator; `None` for one that is not understood.
fn of_administrator(world: &World) -> impl Iterator<Item = Option<ClusterPolicy>> {
    let stored = world.operands.objects.iter();
    stored.filter_map(|((kind, (_, name)), object)| {
        let spec = object.value()["spec"].clone();
        let name = name.clone();
        match kind {
            Kind::AdminNetworkPolicies => {
                let spec: Option<tiers::AdminSpec> = serde_json::from_value(spec).ok();
                Some(spec.and_then(|spec| tiers::parse_admin(name, &spec).ok()))
            }
            Kind::ClusterNetworkPolicies => {
                let spec: Option<tiers::ClusterSpec> = serde_json::from_value(spec).ok();
                Some(spec.and_then(|spec| tiers::parse_cluster(name, &spec).ok()))
            }
            _ => None,
        }
    })
}
