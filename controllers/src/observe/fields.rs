//! Metadata of slim types: what is kept of it, and how it is read without building the rest.
//!
//! A full Pod costs 40 to 70 KiB of memory, most of it managed fields; read this way it costs about 2
//! (facts: kube5.md 1).

use std::{collections::BTreeMap, fmt};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, Time};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

/// Annotations that anything here looks at.
const KEPT: [&str; 5] = [
    bulkhead_api::vocabulary::ANNOTATION_FORMAT,
    bulkhead_api::vocabulary::ANNOTATION_SEQUENCE,
    bulkhead_api::vocabulary::ANNOTATION_SERVER,
    bulkhead_api::vocabulary::ANNOTATION_EPOCH,
    bulkhead_api::vocabulary::ANNOTATION_HOLD,
];

/// Environment variables that bundles look at.
const KEPT_ENV: [&str; 8] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "METRICS_BIND_ADDRESS",
    "METRICS_SECURE",
];

/// Command line flags that bundles look at.
const KEPT_FLAGS: [&str; 3] = ["serving-address", "metrics-bind-address", "metrics-secure"];

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SlimMeta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    deletion_timestamp: Option<Time>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Annotations,
    managed_fields: Vec<Manager>,
}

/// A manager that owns something of the spec; the field tree itself is passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manager {
    #[serde(default, rename = "manager")]
    name: Option<String>,
    #[serde(default)]
    subresource: Option<String>,
    #[serde(default)]
    fields_v1: Fields,
}

#[derive(Deserialize, Default)]
struct Fields {
    #[serde(rename = "f:spec", default)]
    spec: Option<IgnoredAny>,
}

#[derive(Default)]
struct Annotations(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Kept;
        impl<'de> Visitor<'de> for Kept {
            type Value = Annotations;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of annotations")
            }

            fn visit_unit<E>(self) -> Result<Annotations, E> {
                Ok(Annotations::default())
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Annotations, M::Error> {
                let mut kept = Annotations::default();
                while let Some(key) = map.next_key::<String>()? {
                    if KEPT.contains(&key.as_str()) {
                        kept.0.insert(key, map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(kept)
            }
        }
        deserializer.deserialize_any(Kept)
    }
}

/// Reads `metadata`, keeping names, labels, our annotations, and the managers of the spec.
pub fn slim<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let meta = SlimMeta::deserialize(deserializer)?;
    let managers: Vec<ManagedFieldsEntry> = meta
        .managed_fields
        .into_iter()
        .filter(|m| m.fields_v1.spec.is_some() && m.subresource.as_deref().unwrap_or_default().is_empty())
        .map(|m| ManagedFieldsEntry {
            manager: m.name,
            ..ManagedFieldsEntry::default()
        })
        .collect();
    Ok(ObjectMeta {
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        resource_version: meta.resource_version,
        generation: meta.generation,
        deletion_timestamp: meta.deletion_timestamp,
        labels: meta.labels,
        annotations: (!meta.annotations.0.is_empty()).then_some(meta.annotations.0),
        managed_fields: (!managers.is_empty()).then_some(managers),
        ..ObjectMeta::default()
    })
}

/// Reads the environment of a container, keeping the literal values of a few variables.
pub fn env<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    #[derive(Deserialize)]
    struct Variable {
        name: String,
        value: Option<String>,
    }
    let all = Option::<Vec<Variable>>::deserialize(deserializer)?.unwrap_or_default();
    let kept = |variable: Variable| {
        let kept = KEPT_ENV.contains(&variable.name.as_str());
        Some((variable.name, variable.value?)).filter(|_| kept)
    };
    Ok(all.into_iter().filter_map(kept).collect())
}

/// Reads a command line, keeping a few flags and the word after each, which may be its value.
pub fn flags<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let all = Option::<Vec<String>>::deserialize(deserializer)?.unwrap_or_default();
    let is_kept = |word: &String| {
        let flag = word.trim_start_matches('-');
        word.starts_with('-') && KEPT_FLAGS.iter().any(|kept| flag.starts_with(kept))
    };
    let after_kept = |at: usize| at > 0 && is_kept(&all[at - 1]);
    let kept = (0..all.len()).filter(|at| is_kept(&all[*at]) || after_kept(*at));
    Ok(kept.map(|at| all[at].clone()).collect())
}
