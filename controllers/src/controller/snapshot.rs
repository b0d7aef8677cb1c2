//! From the observed world to what plans look at.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use bulkhead_api::{Catalog, vocabulary as names};

use super::settings::{Known, Settings};
use crate::{
    apply::namespace_keys,
    decide::{
        Dns, Platform,
        config::{self, Applied},
        platform::DEFAULT_API_PORT,
        render::{self, ServedBy},
        set::{self, Composition, Declared},
    },
    observe::{
        World,
        world::{Kind, NamespaceState, Sync},
    },
    plan::{Cluster, Expected, Generations, Member, Writer},
};

/// Plugins whose policies can select host traffic through a namespace (facts: openshift.md H1, H7).
const HOST_SELECTING: [&str; 2] = ["OVNKubernetes", "OpenShiftSDN"];

/// What all namespaces of a pass have in common.
pub fn cluster(
    world: &World,
    settings: &Settings,
    term: u64,
    remembered: Option<&(Applied, bulkhead_api::isolation::CarrierStatus)>,
    used_label_keys: Arc<BTreeSet<Arc<str>>>,
) -> Cluster {
    let config = config::resolve(&world.carriers, remembered);
    let platform = platform(world, settings);
    let frozen = frozen(world);
    let contracts_frozen = frozen.or_else(|| contracts_frozen(world, config.stored));
    Cluster {
        config,
        world: platform.world(),
        platform,
        settle: settings.settle,
        sequence: settings.catalog.header.sequence,
        writer: Writer {
            identity: settings.identity.clone(),
            term,
        },
        own_namespace: settings.own_namespace.clone(),
        frozen,
        contracts_frozen,
        system_namespaces_served: *world.sync(Kind::SystemNamespaces) == Sync::Synced,
        used_label_keys,
        generations: Arc::new(generations(world)),
    }
}

fn generations(world: &World) -> Generations {
    let of = |(namespace, state): (&Arc<str>, &NamespaceState)| {
        let known = state.declarations.iter();
        let known = known.map(|(name, d)| {
            (
                (namespace.clone(), name.clone()),
                (d.uid.as_str().into(), d.generation),
            )
        });
        known.collect::<Vec<_>>()
    };
    world.namespaces.iter().flat_map(of).collect()
}

fn platform(world: &World, settings: &Settings) -> Platform {
    let plugin = world.carriers.network.as_ref().and_then(|n| n.plugin.as_deref());
    let host_selectable = match settings.host_selectable {
        Known::FromCluster => plugin.is_some_and(|p| HOST_SELECTING.contains(&p)),
        known => known == Known::Yes,
    };
    let external_control_plane = match settings.external_control_plane {
        Known::FromCluster => world.external_control_plane,
        known => known == Known::Yes,
    };
    let mut api_ports: Vec<u16> = world.api_ports.values().flatten().copied().collect();
    api_ports.sort_unstable();
    api_ports.dedup();
    if api_ports.is_empty() {
        api_ports.push(DEFAULT_API_PORT);
    }
    let openshift_dns = world
        .namespaces
        .get("openshift-dns")
        .is_some_and(|n| n.object.is_some());
    let host = world
        .namespaces
        .get(names::HOST_NETWORK_NAMESPACE)
        .and_then(|n| n.object.as_ref());
    Platform {
        host_selectable,
        external_control_plane,
        api_ports,
        dns: if openshift_dns {
            Dns::OpenShift
        } else {
            Dns::Kubernetes
        },
        upgrading: world.release.progressing,
        host_namespace_labels: host.map(|o| o.labels.clone()).unwrap_or_default(),
    }
}

/// Decisions rest on these; while one is unknown or on its way out, nothing is decided.
fn frozen(world: &World) -> Option<&'static str> {
    if !world.removing.is_empty() {
        return Some("DefinitionBeingRemoved");
    }
    let decisive = [
        (Kind::Namespaces, "NamespacesUnknown"),
        (Kind::NetworkPolicies, "NetworkPoliciesUnknown"),
        (Kind::SystemNamespaces, "SystemNamespacesUnknown"),
        (Kind::SystemNetworkPolicies, "SystemNetworkPoliciesUnknown"),
        (Kind::SystemIsolations, "SystemIsolationsUnknown"),
        (Kind::Networks, "NetworksUnknown"),
    ];
    decisive
        .into_iter()
        .find(|(kind, _)| !world.is_known(*kind))
        .map(|(_, reason)| reason)
}

/// Contracts rest on everything.
fn contracts_frozen(world: &World, config_stored: bool) -> Option<&'static str> {
    if !config_stored {
        return Some("ConfigurationNotStored");
    }
    let unknown = |kind: &Kind| !world.is_known(*kind);
    Kind::SWITCH.into_iter().find(unknown).map(|kind| match kind {
        Kind::Pods => "PodsUnknown",
        Kind::EndpointSlices => "EndpointSlicesUnknown",
        Kind::Infrastructures | Kind::ClusterVersions | Kind::ClusterOperators => "PlatformUnknown",
        Kind::CustomResourceDefinitions => "DefinitionsUnknown",
        _ => "WorkloadsUnknown",
    })
}

/// Keys of namespace labels that any observed policy selects by.
pub fn used_label_keys(world: &World) -> BTreeSet<Arc<str>> {
    let policies = world.namespaces.values().flat_map(|n| n.policies.values());
    policies
        .flat_map(|p| namespace_keys(&p.policy))
        .map(Into::into)
        .collect()
}

/// What is declared everywhere, composed and rendered on demand.
#[derive(Debug, Default)]
pub struct Declarations {
    compositions: HashMap<Arc<str>, Composition>,
    /// Servers by the namespace that they declare as a client; `None`: any.
    served: HashMap<Option<Arc<str>>, Vec<ServedBy>>,
    expected: HashMap<Arc<str>, Arc<Expected>>,
    indexed: bool,
}

impl Declarations {
    /// Something that everything depends on has changed.
    pub fn invalidate(&mut self) {
        self.expected.clear();
    }

    /// What is declared in one namespace has changed; others may be its clients.
    pub fn invalidate_namespace(&mut self, name: &str) {
        self.compositions.remove(name);
        self.indexed = false;
        self.expected.clear();
    }

    /// The verdicts on the declarations of one namespace.
    pub fn composition(&mut self, name: &Arc<str>, world: &World, settings: &Settings) -> &Composition {
        if !self.compositions.contains_key(name) {
            let composed = compose(name, world, settings);
            self.compositions.insert(name.clone(), composed);
        }
        &self.compositions[name]
    }

    /// What is expected of one namespace.
    pub fn expected(
        &mut self,
        name: &Arc<str>,
        world: &World,
        settings: &Settings,
        platform: &Platform,
    ) -> Arc<Expected> {
        if let Some(known) = self.expected.get(name) {
            return known.clone();
        }
        self.index(world, settings);
        let mut named = self.served.get(&Some(name.clone())).cloned().unwrap_or_default();
        named.sort();
        named.dedup();
        let mut served = named.clone();
        served.extend(self.served.get(&None).into_iter().flatten().cloned());
        served.sort();
        served.dedup();
        let composition = self.composition(name, world, settings);
        let expected = Arc::new(expect(
            name,
            composition,
            &served,
            &named,
            platform,
            &settings.catalog,
        ));
        self.expected.insert(name.clone(), expected.clone());
        expected
    }

    /// Servers by client. The catalog counts whether or not its namespaces exist, so that what is rendered
    /// does not change when one arrives.
    fn index(&mut self, world: &World, settings: &Settings) {
        if self.indexed {
            return;
        }
        self.served.clear();
        let declared = world
            .namespaces
            .iter()
            .filter(|(_, n)| !n.declarations.is_empty())
            .map(|(name, _)| name.clone());
        let catalogued = settings.catalog.entries.keys().map(|name| name.as_str().into());
        let names: BTreeSet<Arc<str>> = declared.chain(catalogued).collect();
        for name in names {
            let set = self
                .composition(&name, world, settings)
                .set
                .clone()
                .unwrap_or_default();
            for (client, server) in render::served_by(&name, &set, &settings.catalog) {
                self.served.entry(client).or_default().push(server);
            }
        }
        self.indexed = true;
    }
}

fn compose(name: &Arc<str>, world: &World, settings: &Settings) -> Composition {
    let entry = settings.catalog.entries.get(&**name);
    let grants = world
        .carriers
        .isolation
        .as_ref()
        .and_then(|i| i.spec.as_ref().ok());
    let granted = |key: &str| {
        entry.is_some_and(|e| e.granted_labels.iter().any(|k| k == key))
            || grants.is_some_and(|s| {
                s.label_grants
                    .iter()
                    .any(|g| g.namespace == **name && g.keys.iter().any(|k| k == key))
            })
    };
    let declared: Vec<Declared> = world
        .namespaces
        .get(name)
        .into_iter()
        .flat_map(declared)
        .collect();
    set::compose(entry, &declared, &settings.catalog, granted)
}

fn declared(state: &NamespaceState) -> Vec<Declared> {
    let one = |(name, d): (&Arc<str>, &crate::observe::world::Declaration)| Declared {
        name: name.clone(),
        generation: d.generation,
        spec: d.spec.clone(),
        last_good: d.last_good.clone(),
    };
    state.declarations.iter().map(one).collect()
}

fn expect(
    name: &Arc<str>,
    composition: &Composition,
    served: &[ServedBy],
    named: &[ServedBy],
    platform: &Platform,
    catalog: &Catalog,
) -> Expected {
    let set = composition.set.as_ref();
    let mut labels: BTreeMap<String, String> = catalog.group_labels(name);
    labels.extend(composition.labels.clone());
    let rejected = composition.verdicts.iter().filter_map(|(object, _, verdict)| {
        verdict
            .as_ref()
            .err()
            .map(|rejection| format!("SystemNetworkPolicy {object}: {rejection}"))
    });
    Expected {
        catalogued: catalog.entries.contains_key(&**name),
        lineage: composition.lineage,
        ingress: set.map(|s| render::ingress(name, s, platform, catalog)),
        egress: set.map(|s| render::egress(name, s, served, platform, catalog)),
        egress_needs: set.map(|s| render::egress(name, s, named, platform, catalog)),
        labels,
        incomplete: composition.incomplete,
        rejected: rejected.collect(),
    }
}

/// Pods of a namespace, one of each look, and what its workloads will make.
pub fn members(name: &Arc<str>, state: &NamespaceState) -> Vec<Member> {
    let mut example: HashMap<*const crate::observe::world::PodShape, &Arc<str>> = HashMap::new();
    for (pod, shape) in &state.pods {
        let known = example.entry(Arc::as_ptr(shape)).or_insert(pod);
        if pod < *known {
            *known = pod;
        }
    }
    let pods = state
        .shapes()
        .filter_map(|shape| Some((example.get(&Arc::as_ptr(shape))?.to_string(), shape)));
    let templates = state.templates.iter().map(|((kind, workload), shape)| {
        (
            format!("{}/{workload}", kind.plural().trim_end_matches('s')),
            shape,
        )
    });
    let mut members: Vec<Member> = pods
        .chain(templates)
        .map(|(example, shape)| Member::new(name, &example, shape))
        .collect();
    members.sort_by(|a, b| a.pod.name.cmp(&b.pod.name));
    members
}
