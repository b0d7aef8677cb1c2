//! The schema as the API server would get it.

use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::*;

fn schema() -> Value {
    let crd = serde_json::to_value(OperandNetworkPolicy::crd()).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

fn rules(node: &Value) -> Vec<&str> {
    let rules = node["x-kubernetes-validations"].as_array();
    rules
        .into_iter()
        .flatten()
        .filter_map(|r| r["rule"].as_str())
        .collect()
}

/// Every property below a node with its path.
fn properties(path: &str, node: &Value, found: &mut Vec<(String, Value)>) {
    for (name, property) in node["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        found.push((path.clone(), property.clone()));
        properties(&path, property, found);
        properties(&path, &property["items"], found);
    }
}

fn ours(schema: &Value, part: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    properties(part, &schema["properties"][part], &mut found);
    // The schema of foreign types is not ours to judge.
    found.retain(|(path, _)| !path.contains(".egress.egress") && !path.contains(".conditions."));
    found
}

#[test]
fn names_are_bound_to_operands_and_the_operand_is_immutable() {
    let schema = schema();
    let root = rules(&schema);
    for operand in Operand::ALL {
        assert!(
            root.iter()
                .any(|r| r.contains(&format!("'{}'", operand.object_name()))),
            "{root:?}"
        );
    }
    assert_eq!(
        rules(&schema["properties"]["spec"]["properties"]["operand"]),
        ["self == oldSelf"]
    );
}

#[test]
fn each_member_is_forbidden_unless_the_discriminator_names_it() {
    let schema = schema();
    let spec = &schema["properties"]["spec"];
    for operand in Operand::ALL {
        let name = serde_json::to_value(operand).unwrap();
        let name = name.as_str().unwrap();
        let member = format!("{}{}", name[..1].to_lowercase(), &name[1..]);
        assert!(spec["properties"][&member].is_object(), "no member {member}");
        let rule = format!("self.operand == '{name}' || !has(self.{member})");
        assert!(rules(spec).contains(&rule.as_str()), "{:?}", rules(spec));
    }
    assert_eq!(spec["required"], json!(["operand"]));
}

#[test]
fn no_namespace_that_is_never_written_to_can_be_named() {
    let found = ours(&schema(), "spec");
    let namespaces: Vec<_> = found
        .iter()
        .filter(|(path, _)| path.to_lowercase().ends_with("namespace") && !path.contains("rom."))
        .filter(|(path, _)| !path.contains("clients"))
        .collect();
    assert_eq!(namespaces.len(), 6, "{namespaces:?}");
    for (path, node) in namespaces {
        let rule = rules(node).concat();
        assert!(rule.contains("'default'") && rule.contains("'kube-'"), "{path}");
    }
}

#[test]
fn the_schema_is_structural_and_every_string_and_list_is_bounded() {
    for part in ["spec", "status"] {
        for (path, node) in ours(&schema(), part) {
            assert!(node["type"].is_string(), "{path} has no type: {node}");
            match node["type"].as_str() {
                Some("array") => assert!(node["maxItems"].is_u64(), "{path} is unbounded"),
                Some("string") => assert!(
                    node["maxLength"].is_u64() || node["enum"].is_array(),
                    "{path} is unbounded"
                ),
                Some("boolean") => panic!("{path} is a boolean; use an enum"),
                _ => {}
            }
        }
    }
}

#[test]
fn the_text_of_every_field_starts_with_its_name() {
    for part in ["spec", "status"] {
        for (path, node) in ours(&schema(), part) {
            let name = path.rsplit('.').next().unwrap();
            let text = node["description"].as_str().unwrap_or_default();
            assert!(
                text.starts_with(&format!("{name} "))
                    || text.starts_with(&format!("{name}:"))
                    || text.starts_with(&format!("{name},")),
                "{path}: {text:?}"
            );
        }
    }
}

#[test]
fn a_spec_of_defaults_is_the_discriminator_alone() {
    for operand in Operand::ALL {
        let spec = serde_json::to_value(OperandNetworkPolicySpec::of(operand)).unwrap();
        assert_eq!(spec, json!({"operand": operand}));
    }
}
