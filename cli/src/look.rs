//! One look at the cluster through the operator's own eyes: the same watches, the same decisions, the same
//! policy engine, without a single write.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use bulkhead_api::Catalog;
use bulkhead_api::server::Exposure;
use bulkhead_api::switch::{Isolation, Mode};
use bulkhead_api::vocabulary::{FIELD_MANAGER, LABEL_MANAGED_BY, LABEL_ROLE};
use bulkhead_controllers::controller::bundles::{self, Decided};
use bulkhead_controllers::controller::snapshot::{self, Declarations};
use bulkhead_controllers::controller::{Known, Settings};
use bulkhead_controllers::decide::RestrictiveSet;
use bulkhead_controllers::observe::definitions::Definitions;
use bulkhead_controllers::observe::world::{Change, Kind};
use bulkhead_controllers::observe::{World, watch};
use bulkhead_controllers::plan::{Cluster, Expected, Input};
use bulkhead_controllers::runtime::args::{ControlPlane, DEFAULT_NAMESPACE, NetworkPlugin};
use bulkhead_policy::Labels;
use clap::Args;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::input::Object;
use crate::session::Session;

/// Reports that may wait to be taken in.
const QUEUE: usize = 4096;
/// A moment at which everything that was listed counts as seen by everybody.
const NOW: Duration = Duration::from_secs(1);

/// What the operator was told at its start and a look has to be told alike.
#[derive(Clone, Debug, Args)]
pub struct LookArgs {
    /// Directory with catalog files that replace the built-in catalog; as the operator's flag
    #[arg(long, value_name = "PATH")]
    pub catalog_dir: Option<PathBuf>,
    /// Network plugin; as the operator's flag
    #[arg(long, value_enum, default_value_t = NetworkPlugin::Auto)]
    pub network_plugin: NetworkPlugin,
    /// Where the control plane runs; as the operator's flag
    #[arg(long, value_enum, default_value_t = ControlPlane::Auto)]
    pub control_plane: ControlPlane,
    /// Also read the switch from Network.spec.unsupportedConfigOverrides; as the operator's flag
    #[arg(long)]
    pub read_unsupported_overrides: bool,
}

impl LookArgs {
    fn settings(&self, catalog: Catalog) -> Settings {
        Settings {
            // What was just listed is judged as it stands.
            settle: Duration::ZERO,
            catalog: Arc::new(catalog),
            read_overrides: self.read_unsupported_overrides,
            identity: "kubectl-bulkhead".into(),
            own_namespace: DEFAULT_NAMESPACE.into(),
            concurrency: 1,
            request_limit: Duration::from_secs(30),
            host_selectable: match self.network_plugin {
                NetworkPlugin::Auto => Known::FromCluster,
                NetworkPlugin::OvnKubernetes | NetworkPlugin::OpenShiftSdn => Known::Yes,
                NetworkPlugin::Other => Known::No,
            },
            external_control_plane: match self.control_plane {
                ControlPlane::Auto => Known::FromCluster,
                ControlPlane::External => Known::Yes,
                ControlPlane::InCluster => Known::No,
            },
        }
    }
}

/// What a look saw.
pub struct Look {
    /// Everything that was listed.
    pub world: World,
    /// What all namespaces have in common.
    pub cluster: Arc<Cluster>,
    settings: Settings,
    declarations: Declarations,
    declared_in_files: BTreeSet<Arc<str>>,
}

impl Look {
    /// Looks at objects that were read from wherever, as if the API server had listed them.
    pub fn of(objects: &[Object], args: &LookArgs) -> Result<Self> {
        let catalog = bulkhead_controllers::catalog::load(args.catalog_dir.as_deref())?;
        let settings = args.settings(catalog);
        let mut world = World::default();
        world.carriers.read_overrides = settings.read_overrides;
        let mut declared_in_files = BTreeSet::new();
        for (at, object) in objects.iter().enumerate() {
            let Some(kind) = listed_kind(object) else { continue };
            // What is malformed is told where the objects are understood; a plan does without it.
            if let Ok(Some((key, item))) = watch::kept(kind, as_stored(object, at)) {
                if kind == Kind::SystemNetworkPolicies && object.source.file.is_some() {
                    declared_in_files.insert(key.0.clone());
                }
                world.apply(kind, Change::Put(key, item), Duration::ZERO);
            }
        }
        for kind in Kind::SWITCH {
            world.apply(kind, Change::Synced, Duration::ZERO);
        }
        let mut look = Self::over(world, settings);
        look.declared_in_files = declared_in_files;
        Ok(look)
    }

    /// Namespaces with declarations that were read from files.
    pub fn declared_in_files(&self) -> impl Iterator<Item = &Arc<str>> {
        self.declared_in_files.iter()
    }

    fn over(world: World, settings: Settings) -> Self {
        let mut look = Self {
            cluster: Arc::new(snapshot::cluster(&world, &settings, 0, None, Arc::default())),
            declarations: Declarations::default(),
            declared_in_files: BTreeSet::new(),
            settings,
            world,
        };
        look.refresh();
        look
    }

    /// Looks: lists every kind that the switch rests on, once.
    pub async fn take(client: &Client, args: &LookArgs, session: &Session) -> Result<Self> {
        Self::take_kinds(client, args, session, Kind::SWITCH.into_iter()).await
    }

    /// The same with what bundles rest on besides.
    pub async fn take_with_operands(client: &Client, args: &LookArgs, session: &Session) -> Result<Self> {
        Self::take_kinds(client, args, session, Kind::all()).await
    }

    async fn take_kinds(
        client: &Client,
        args: &LookArgs,
        session: &Session,
        kinds: impl Iterator<Item = Kind> + Clone,
    ) -> Result<Self> {
        let catalog = bulkhead_controllers::catalog::load(args.catalog_dir.as_deref())?;
        let settings = args.settings(catalog);
        let limit = session.globals.request_timeout;
        let observed = observe(client, settings.read_overrides, kinds);
        let world = if limit.is_zero() {
            observed.await?
        } else {
            // Lists come in pages, each within the limit of one request.
            let patience = limit.saturating_mul(10);
            tokio::time::timeout(patience, observed).await.map_err(|_| {
                anyhow!("the cluster could not be listed within {patience:?}; raise --request-timeout")
            })??
        };
        Ok(Self::over(world, settings))
    }

    /// Computes anew what all namespaces have in common.
    fn refresh(&mut self) {
        let keys = snapshot::used_label_keys(&self.world);
        let mut cluster = snapshot::cluster(&self.world, &self.settings, 0, None, Arc::new(keys));
        // Nothing is contracted from here, so it does not matter what a contract would lack.
        cluster.contracts_frozen = None;
        self.cluster = Arc::new(cluster);
    }

    /// The catalog in use.
    pub fn catalog(&self) -> &Catalog {
        &self.settings.catalog
    }

    /// Supposes another mode, `None` for no mode.
    pub fn suppose(&mut self, mode: Option<Mode>, isolation: Option<Isolation>) {
        let mut cluster = (*self.cluster).clone();
        let config = &mut cluster.config;
        if let Some(isolation) = isolation {
            config.applied.isolation = isolation;
        }
        config.applied.mode = mode;
        config.removal_meant = mode.is_none();
        config.problem = None;
        self.cluster = Arc::new(cluster);
    }

    /// What is declared by catalog and declarations, composed: every namespace with a known set.
    pub fn sets(&mut self) -> Vec<(Arc<str>, RestrictiveSet)> {
        let catalogued = self
            .settings
            .catalog
            .entries
            .keys()
            .map(|name| name.as_str().into());
        let declared = self
            .world
            .namespaces
            .iter()
            .filter(|(_, state)| !state.declarations.is_empty());
        let names: BTreeSet<Arc<str>> = catalogued.chain(declared.map(|(name, _)| name.clone())).collect();
        let mut sets = Vec::with_capacity(names.len());
        for name in names {
            let composed = self.declarations.composition(&name, &self.world, &self.settings);
            sets.extend(composed.set.clone().map(|set| (name, set)));
        }
        sets
    }

    /// Who the servers of each namespace are for: UserFacing as soon as catalog or a declaration says so.
    pub fn exposures(&self) -> BTreeMap<Arc<str>, Exposure> {
        let catalogued = self.settings.catalog.entries.iter();
        let catalogued = catalogued.map(|(name, entry)| (Arc::from(name.as_str()), entry.exposure));
        let declared = self.world.namespaces.iter().flat_map(|(name, state)| {
            let specs = state.declarations.values().filter_map(|d| d.spec.as_ref().ok());
            specs.filter_map(|spec| Some((name.clone(), spec.exposure?)))
        });
        let mut all: BTreeMap<Arc<str>, Exposure> = catalogued.collect();
        for (name, exposure) in declared {
            let known = all.entry(name).or_insert(exposure);
            if exposure == Exposure::UserFacing {
                *known = exposure;
            }
        }
        all
    }

    /// Labels that catalog and declarations put on namespaces.
    pub fn labels(&mut self) -> BTreeMap<Arc<str>, Labels> {
        let catalogued = self
            .settings
            .catalog
            .entries
            .keys()
            .map(|name| name.as_str().into());
        let names: BTreeSet<Arc<str>> = catalogued.chain(self.world.namespaces.keys().cloned()).collect();
        let mut all = BTreeMap::new();
        for name in names {
            let mut labels = self.settings.catalog.group_labels(&name);
            let composed = self.declarations.composition(&name, &self.world, &self.settings);
            labels.extend(composed.labels.clone());
            all.insert(name, labels.into_iter().collect());
        }
        all
    }

    /// How long everybody may take to see a change, for plans that are played to their end.
    pub fn settle(&mut self, time: Duration) {
        let mut cluster = (*self.cluster).clone();
        cluster.settle = time;
        self.cluster = Arc::new(cluster);
    }

    /// What bundles are made from, and what they are.
    pub fn bundles(&self) -> Decided {
        bundles::decide(&self.world, &self.cluster, &self.settings)
    }

    /// A look at manifests of any watched kind, those of operands included. Others are passed over.
    pub fn of_manifests(manifests: &[Value], args: &LookArgs) -> Result<Self> {
        let settings = args.settings(bulkhead_controllers::catalog::load(args.catalog_dir.as_deref())?);
        let mut world = World::default();
        for (at, manifest) in manifests.iter().enumerate() {
            let Some(kind) = watched_kind(manifest) else {
                continue;
            };
            let name = manifest["metadata"]["name"].as_str().unwrap_or_default();
            let kept = watch::kept(kind, with_identity(manifest.clone(), at));
            let kept = kept.with_context(|| format!("{} {name} cannot be read", manifest["kind"]))?;
            if let Some((key, item)) = kept {
                world.apply(kind, Change::Put(key, item), Duration::ZERO);
            }
        }
        for kind in Kind::all() {
            world.apply(kind, Change::Synced, Duration::ZERO);
        }
        Ok(Self::over(world, settings))
    }

    /// Every namespace that exists or that something of ours is stored for, by name.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.world.namespaces.keys().cloned().collect()
    }

    /// What is declared for a namespace, rendered; `None` where there is no such namespace.
    pub fn expected(&mut self, name: &Arc<str>) -> Option<Arc<Expected>> {
        self.world
            .namespaces
            .get(name)
            .filter(|state| state.object.is_some())?;
        let (world, settings) = (&self.world, &self.settings);
        Some(
            self.declarations
                .expected(name, world, settings, &self.cluster.platform),
        )
    }

    /// What a plan for a namespace looks at.
    pub fn input(&mut self, name: &Arc<str>) -> Option<Input> {
        let expected = self
            .declarations
            .expected(name, &self.world, &self.settings, &self.cluster.platform);
        let state = self.world.namespaces.get(name)?;
        Some(Input {
            cluster: self.cluster.clone(),
            name: name.clone(),
            now: NOW,
            wall: jiff::Timestamp::now(),
            object: state.object.clone(),
            first_seen: state.first_seen,
            system: state.system.clone(),
            expected,
            policies: state.policies.values().cloned().collect(),
            history: state.history.clone(),
            pods: Arc::new(snapshot::members(name, state)),
            bundled: state.policies.values().any(|p| p.is_of_bundle()),
            uncertain: false,
            others_closed: true,
            written: BTreeMap::new(),
        })
    }
}

/// The watched kind of an object; `None` where the operator does not look at it.
fn listed_kind(object: &Object) -> Option<Kind> {
    use crate::input::object::Kind as Read;
    Some(match object.kind {
        Read::Namespace => Kind::Namespaces,
        Read::Pod => Kind::Pods,
        Read::Deployment => Kind::Deployments,
        Read::StatefulSet => Kind::StatefulSets,
        Read::DaemonSet => Kind::DaemonSets,
        Read::Job => Kind::Jobs,
        Read::CronJob => Kind::CronJobs,
        Read::NetworkPolicy => Kind::NetworkPolicies,
        Read::EndpointSlice => {
            let of = &object.value["metadata"]["labels"]["kubernetes.io/service-name"];
            return (&*object.namespace == "default" && of == "kubernetes").then_some(Kind::EndpointSlices);
        }
        Read::SystemNetworkPolicy => Kind::SystemNetworkPolicies,
        Read::SystemNamespace => Kind::SystemNamespaces,
        Read::SystemIsolation => Kind::SystemIsolations,
        Read::Network => Kind::Networks,
        Read::Infrastructure => Kind::Infrastructures,
        Read::ClusterVersion => Kind::ClusterVersions,
        _ => return None,
    })
}

/// The watched kind of a manifest.
fn watched_kind(manifest: &Value) -> Option<Kind> {
    let (version, kind) = (manifest["apiVersion"].as_str()?, manifest["kind"].as_str()?);
    let built_in = match (version, kind) {
        ("v1", "Namespace") => Some(Kind::Namespaces),
        ("v1", "Pod") => Some(Kind::Pods),
        ("apps/v1", "Deployment") => Some(Kind::Deployments),
        ("apps/v1", "StatefulSet") => Some(Kind::StatefulSets),
        ("apps/v1", "DaemonSet") => Some(Kind::DaemonSets),
        ("networking.k8s.io/v1", "NetworkPolicy") => Some(Kind::NetworkPolicies),
        ("discovery.k8s.io/v1", "EndpointSlice") => Some(Kind::EndpointSlices),
        _ => None,
    };
    let custom = || {
        Kind::all().find(|known| {
            let resource = watch::resource(*known);
            resource.kind == kind && resource.api_version == version
        })
    };
    built_in.or_else(custom)
}

/// What every stored object has and a manifest may lack.
fn with_identity(mut manifest: Value, at: usize) -> Value {
    let meta = &mut manifest["metadata"];
    for (key, text) in [
        ("uid", format!("file-{at}")),
        ("resourceVersion", (at + 1).to_string()),
    ] {
        if meta[key].is_null() {
            meta[key] = text.into();
        }
    }
    manifest
}

/// An object of a file with what the API server would have added. Exports mostly lack the field managers by
/// which our policies are told from others; then their labels are all there is to go by.
fn as_stored(object: &Object, at: usize) -> Value {
    let mut value = object.value.clone();
    if object.source.file.is_none() {
        return value;
    }
    value = with_identity(value, at);
    let meta = &mut value["metadata"];
    let ours = meta["labels"][LABEL_MANAGED_BY] == FIELD_MANAGER && meta["labels"][LABEL_ROLE].is_string();
    if ours && meta["managedFields"].is_null() {
        meta["managedFields"] = json!([{"manager": FIELD_MANAGER, "fieldsV1": {"f:spec": {}}}]);
    }
    value
}

/// Runs every watch until its first list is complete.
async fn observe(
    client: &Client,
    read_overrides: bool,
    kinds: impl Iterator<Item = Kind> + Clone,
) -> Result<World> {
    let (changes, mut inbox) = mpsc::channel(QUEUE);
    let channel = watch::Channel {
        changes,
        definitions: Definitions::default(),
        // Whoever looks once may have no right to watch.
        streaming: false,
    };
    let mut watches = JoinSet::new();
    for kind in kinds.clone() {
        watches.spawn(watch::run(client.clone(), kind, channel.clone()));
    }
    drop(channel);
    let mut world = World::default();
    world.carriers.read_overrides = read_overrides;
    let mut pending: BTreeSet<Kind> = kinds.collect();
    while !pending.is_empty() {
        let (kind, change) = inbox.recv().await.context("a watch ended")?;
        // What follows the first list belongs to the next look.
        if !pending.contains(&kind) {
            continue;
        }
        match &change {
            Change::Failing(error) => bail!("cannot list {}: {error}", kind.plural()),
            Change::Synced | Change::Unserved => {
                pending.remove(&kind);
            }
            _ => {}
        }
        world.apply(kind, change, Duration::ZERO);
    }
    Ok(world)
}
