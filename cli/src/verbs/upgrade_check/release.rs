//! One release: what it declares, and the policies that its declarations mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use bulkhead_api::Catalog;
use bulkhead_api::server::Server;
use bulkhead_controllers::decide::render::{self, ServedBy};
use bulkhead_controllers::decide::{Platform, RestrictiveSet, Target};
use bulkhead_policy::{Direction, Labels, Window};

/// A namespace that no declaration can name, for whatever namespace there may be: names have no dots.
pub const BYSTANDER: &str = "any.namespace";

/// What one release declares, and means.
pub struct Release {
    /// Servers by namespace.
    pub sets: BTreeMap<Arc<str>, RestrictiveSet>,
    /// Labels that namespaces get.
    pub labels: BTreeMap<Arc<str>, Labels>,
    /// The catalog, for its groups.
    pub catalog: Catalog,
    /// What the cluster is like.
    pub platform: Platform,
    ingress: BTreeMap<Arc<str>, Rendered>,
    egress: BTreeMap<Arc<str>, Rendered>,
}

/// The policies of one namespace and direction, and all of them together.
pub struct Rendered {
    /// One by one.
    pub targets: Vec<Target>,
    /// Together.
    pub window: Window,
}

impl Rendered {
    fn new(targets: Vec<Target>) -> Self {
        let window = Window::settled(targets.iter().map(|target| target.policy.clone()));
        Self { targets, window }
    }
}

impl Release {
    /// Renders everything.
    pub fn new(
        sets: BTreeMap<Arc<str>, RestrictiveSet>,
        labels: BTreeMap<Arc<str>, Labels>,
        catalog: Catalog,
        platform: Platform,
    ) -> Self {
        let mut served: BTreeMap<Option<Arc<str>>, Vec<ServedBy>> = BTreeMap::new();
        for (namespace, set) in &sets {
            for (client, server) in render::served_by(namespace, set, &catalog) {
                served.entry(client).or_default().push(server);
            }
        }
        let mut release = Self {
            ingress: BTreeMap::new(),
            egress: BTreeMap::new(),
            sets,
            labels,
            catalog,
            platform,
        };
        let anyone = served.get(&None).cloned().unwrap_or_default();
        for (namespace, set) in &release.sets {
            let ingress = render::ingress(namespace, set, &release.platform, &release.catalog);
            release
                .ingress
                .insert(namespace.clone(), Rendered::new(ingress.targets));
            let mut servers = served.get(&Some(namespace.clone())).cloned().unwrap_or_default();
            servers.extend(anyone.iter().cloned());
            let egress = release.egress_of(namespace, set, &servers);
            release.egress.insert(namespace.clone(), egress);
        }
        let bystander = release.egress_of(BYSTANDER, &RestrictiveSet::default(), &anyone);
        release.egress.insert(BYSTANDER.into(), bystander);
        release
    }

    fn egress_of(&self, namespace: &str, set: &RestrictiveSet, served: &[ServedBy]) -> Rendered {
        let rendered = render::egress(namespace, set, served, &self.platform, &self.catalog);
        Rendered::new(rendered.targets)
    }

    /// The policies of a namespace in a direction; `None` where this release isolates nothing there.
    pub fn policies(&self, direction: Direction, namespace: &str) -> Option<&Rendered> {
        match direction {
            Direction::Ingress => self.ingress.get(namespace),
            Direction::Egress => self.egress.get(namespace),
        }
    }

    /// Namespaces with policies, and the one that stands for any other.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.egress.keys().map(|name| &**name)
    }

    /// A server by namespace and name.
    pub fn server(&self, namespace: &str, name: &str) -> Option<&Server> {
        let set = self.sets.get(namespace)?;
        set.servers.iter().find(|server| server.name == name)
    }
}
