//! Schema of the catalog: the restrictive set that is known for every OpenShift namespace.
//!
//! The catalog is a folder of YAML files: `catalog.yaml` (a [`CatalogHeader`]) and one file per namespace (a
//! [`CatalogEntry`]). It is compiled into the operator and may be replaced by `--catalog-dir`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    namespace::Lineage,
    server::{AdditionalPolicy, EgressRule, Exposure, Server},
    yaml,
};

/// What the catalog says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CatalogHeader {
    /// Grows with every release whose sets differ. A writer with a lower one may only expand.
    pub sequence: u32,
    /// Newest OpenShift release that the entries are known for, for example `5.0`.
    pub release: String,
    /// Policy groups: named lists of namespaces.
    #[serde(default)]
    pub groups: Vec<Group>,
}

/// A policy group: namespaces that servers name together, and the labels that mark its members for other
/// people's policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Group {
    /// Name that `NamespaceGroup` clients use.
    pub name: String,
    /// Members, by name.
    pub namespaces: Vec<String>,
    /// Labels of every member.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// Whether policies have anything to act on in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Applicability {
    /// There are pods on the pod network.
    PodNetwork,
    /// All pods use the host network: a policy changes nothing for them.
    HostNetworkOnly,
    /// No pods are expected.
    Empty,
}

/// How sure the source of an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Known from documents or reports only.
    Low,
    /// Read in part.
    Medium,
    /// Read from manifests or code.
    High,
}

/// Where an entry was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// Repository, for example `openshift/cluster-dns-operator`.
    pub repo: String,
    /// Path in it.
    pub path: String,
}

/// The set of one namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CatalogEntry {
    /// Name of the namespace.
    pub namespace: String,
    /// Whether anybody may depend on it being open.
    pub lineage: Lineage,
    /// Who its servers are for.
    #[serde(default)]
    pub exposure: Exposure,
    /// Whether policies have anything to act on.
    pub applicability: Applicability,
    /// First OpenShift release with this namespace, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Last OpenShift release with this namespace, where it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Label keys that declarations in this namespace may set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub granted_labels: Vec<String>,
    /// Servers and pods declared to have no clients.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<Server>,
    /// What pods may reach where egress is isolated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<EgressRule>,
    /// What servers and egress cannot say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_policies: Vec<AdditionalPolicy>,
    /// Workloads on the host network, to which no policy applies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_network: Vec<String>,
    /// Where this was read.
    pub sources: Vec<Source>,
    /// How sure the sources are.
    pub confidence: Confidence,
    /// What a reader should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// All that is known of system namespaces.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    /// What the catalog says about itself.
    pub header: CatalogHeader,
    /// Entries by namespace.
    pub entries: BTreeMap<String, CatalogEntry>,
}

/// Why a catalog could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A file is not what the schema says.
    #[error("{file}: {error}")]
    Malformed {
        /// Name of the file.
        file: String,
        /// What is wrong, with line and column.
        error: yaml::YamlError,
    },
    /// `catalog.yaml` is not among the files.
    #[error("catalog.yaml is missing: it states the sequence and the groups")]
    NoHeader,
    /// Two files speak of one namespace.
    #[error("{file}: namespace {namespace} has an entry in another file already")]
    Duplicate {
        /// Name of the second file.
        file: String,
        /// The namespace.
        namespace: String,
    },
    /// An entry speaks of a namespace that is never written to.
    #[error("{file}: namespace {namespace} may never be written to")]
    Forbidden {
        /// Name of the file.
        file: String,
        /// The namespace.
        namespace: String,
    },
}

impl Catalog {
    /// Reads a catalog from (file name, text) pairs.
    pub fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, CatalogError> {
        let mut header = None;
        let mut entries = BTreeMap::new();
        for (file, text) in files {
            let malformed = |error| CatalogError::Malformed {
                file: file.to_owned(),
                error,
            };
            if file.ends_with("catalog.yaml") {
                header = Some(yaml::from_str(text).map_err(malformed)?);
                continue;
            }
            let entry: CatalogEntry = yaml::from_str(text).map_err(malformed)?;
            let (file, namespace) = (file.to_owned(), entry.namespace.clone());
            if crate::vocabulary::is_forbidden_name(&namespace) {
                return Err(CatalogError::Forbidden { file, namespace });
            }
            if entries.insert(namespace.clone(), entry).is_some() {
                return Err(CatalogError::Duplicate { file, namespace });
            }
        }
        Ok(Self {
            header: header.ok_or(CatalogError::NoHeader)?,
            entries,
        })
    }

    /// Names of the namespaces of a policy group; `None` if there is no such group.
    pub fn group(&self, name: &str) -> Option<&[String]> {
        self.header
            .groups
            .iter()
            .find(|g| g.name == name)
            .map(|g| g.namespaces.as_slice())
    }

    /// Labels that policy groups put on a namespace.
    pub fn group_labels(&self, namespace: &str) -> BTreeMap<String, String> {
        self.header
            .groups
            .iter()
            .filter(|g| g.namespaces.iter().any(|n| n == namespace))
            .flat_map(|g| g.labels.clone())
            .collect()
    }
}
