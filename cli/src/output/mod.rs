//! One printer for every format.

pub mod jsonpath;
pub mod table;
pub mod xml;

use anyhow::Result;
use kube::core::{DynamicObject, TypeMeta};
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::ObjectFormat;

/// `kind.group/name`, as kubectl prints objects.
pub fn object_name(types: Option<&TypeMeta>, name: &str) -> String {
    let Some(types) = types else {
        return name.to_owned();
    };
    let kind = types.kind.to_lowercase();
    match types.api_version.split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{name}"),
        None => format!("{kind}/{name}"),
    }
}

/// One value as JSON.
pub fn json<T: Serialize>(value: &T) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// One value as YAML.
pub fn yaml<T: Serialize>(value: &T) -> Result<String> {
    Ok(bulkhead_api::yaml::to_string(value)?)
}

/// Objects in a format: one alone as itself, several as a List. Managed fields are noise to a reader.
pub fn objects(objects: &[DynamicObject], format: &ObjectFormat, as_list: bool) -> Result<String> {
    if *format == ObjectFormat::Name {
        let lines = objects.iter().map(|object| {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            object_name(object.types.as_ref(), name) + "\n"
        });
        return Ok(lines.collect());
    }
    let mut items = Vec::with_capacity(objects.len());
    for object in objects {
        let mut object = object.clone();
        object.metadata.managed_fields = None;
        items.push(serde_json::to_value(object)?);
    }
    let value = match (as_list, <[Value; 1]>::try_from(items)) {
        (false, Ok([item])) => item,
        (true, Ok([item])) => list(&[item]),
        (_, Err(items)) => list(&items),
    };
    match format {
        ObjectFormat::Json => json(&value),
        ObjectFormat::JsonPath(template) => filled(template, &value),
        _ => yaml(&value),
    }
}

/// A template filled from a value.
pub fn filled(template: &str, value: &Value) -> Result<String> {
    jsonpath::fill(template, value).map_err(|problem| anyhow::anyhow!("jsonpath: {problem}"))
}

fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items, "metadata": {"resourceVersion": ""}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::{ApiResource, GroupVersionKind};

    fn object(name: &str) -> DynamicObject {
        let kind = GroupVersionKind::gvk("network.operator.openshift.io", "v1alpha1", "SystemNamespace");
        DynamicObject::new(name, &ApiResource::from_gvk(&kind)).data(json!({"spec": {"adoption": "Adopted"}}))
    }

    #[test]
    fn names_read_as_in_kubectl() {
        let text = objects(&[object("a"), object("b")], &ObjectFormat::Name, true).unwrap();
        assert_eq!(
            text,
            "systemnamespace.network.operator.openshift.io/a\nsystemnamespace.network.operator.openshift.io/b\n"
        );
        let core = TypeMeta {
            api_version: "v1".into(),
            kind: "Namespace".into(),
        };
        assert_eq!(object_name(Some(&core), "x"), "namespace/x");
    }

    #[test]
    fn one_object_asked_for_by_name_is_not_wrapped() {
        let one = objects(&[object("a")], &ObjectFormat::Json, false).unwrap();
        assert!(one.contains("\"kind\": \"SystemNamespace\"") & !one.contains("\"List\""));
        let all = objects(&[object("a")], &ObjectFormat::Yaml, true).unwrap();
        assert!(all.contains("kind: List") & all.contains("adoption: Adopted"));
        let none = objects(&[], &ObjectFormat::Json, true).unwrap();
        assert!(none.contains("\"items\": []"));
    }
}
