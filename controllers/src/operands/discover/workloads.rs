//! Deployments, StatefulSets, DaemonSets and pods as far as discovery looks into them.

use serde_json::Value;

use super::{Objects, Source, json};

/// A workload with a pod template.
#[derive(Clone, Copy)]
pub struct Workload<'a>(&'a Value);

/// The label by which proposals and operators tell most components apart.
pub const NAME: &str = "app.kubernetes.io/name";

impl<'a> Workload<'a> {
    /// Its namespace.
    pub fn namespace(self) -> &'a str {
        json::namespace(self.0)
    }

    /// A label of its pods.
    fn label(self, key: &str) -> Option<&'a str> {
        let labels = json::at(self.0, "/spec/template/metadata/labels")?;
        labels.get(key)?.as_str()
    }

    fn containers(self) -> &'a [Value] {
        json::list(self.0, "/spec/template/spec/containers")
    }

    /// The literal value of an environment variable of any container.
    pub fn env(self, name: &str) -> Option<&'a str> {
        let all = self.containers().iter().flat_map(|c| json::list(c, "/env"));
        let mut named = all.filter(|e| e.get("name").and_then(Value::as_str) == Some(name));
        named.find_map(|e| e.get("value")?.as_str())
    }

    /// The value of a command line flag of any container, in the form `--flag=value` or `--flag value`.
    pub fn flag(self, name: &str) -> Option<&'a str> {
        let words: Vec<&str> = self
            .containers()
            .iter()
            .flat_map(|c| json::list(c, "/command").iter().chain(json::list(c, "/args")))
            .filter_map(Value::as_str)
            .collect();
        let joined = words
            .iter()
            .find_map(|w| w.trim_start_matches('-').strip_prefix(name)?.strip_prefix('='));
        joined.or_else(|| {
            let at = words
                .iter()
                .position(|w| w.starts_with('-') && w.trim_start_matches('-') == name)?;
            words.get(at + 1).copied()
        })
    }

    /// Container ports in the order of the template, with their names.
    pub fn ports(self) -> impl Iterator<Item = (Option<&'a str>, u16)> {
        let all = self.containers().iter().flat_map(|c| json::list(c, "/ports"));
        all.filter_map(|p| Some((json::text(p, "/name"), json::port(p, "/containerPort")?)))
    }
}

/// The workload whose pods carry a label.
pub fn with_label<'a>(objects: &'a Objects, key: &str, value: &str) -> Option<Workload<'a>> {
    let mut all = objects.of(Source::Workload).iter().map(Workload);
    all.find(|w| w.label(key) == Some(value))
}

/// The namespace of a workload or pod that carries a label; workloads first.
pub fn namespace_of<'a>(objects: &'a Objects, key: &str, value: &str) -> Option<&'a str> {
    let pod = || objects.pods.iter().find(|p| p.labels.get(key) == Some(value));
    with_label(objects, key, value)
        .map(Workload::namespace)
        .or_else(|| pod().map(|p| &*p.namespace))
}

/// Whether a workload or a pod carries a label.
pub fn exists(objects: &Objects, key: &str, value: &str) -> bool {
    namespace_of(objects, key, value).is_some()
}

/// The port at the end of an address such as `:8080` or `0.0.0.0:8080`; 0 means switched off.
pub fn port_of_address(address: &str) -> Option<u16> {
    let number = address.rsplit(':').next()?;
    number.parse().ok().filter(|n| *n > 0)
}
