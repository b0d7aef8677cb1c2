//! Writes the API reference, `docs/api.md`, below the folder named by the first argument (default: here).
//!
//! It says what the definitions say and nothing else: it walks their schemas, so that a field, a bound or a
//! rule can neither be forgotten nor be described differently.

use std::{fmt::Write as _, fs, path::Path};

use bulkhead_api::crds::CrdFile;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

const PATH: &str = "docs/api.md";
const INTRODUCTION: &str = "<!-- Generated from the Rust types by `cargo run -p bulkhead-api --bin apidoc`. Do not edit. -->
# API reference

Every field of every kind, as the API server enforces it. How to use them is told in the [user guide](user-guide.md).
A field that is not marked *required* may be left out. `[]` after a name stands for the items of a list, `{}` for the
values of a map.
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let path = Path::new(&root).join(PATH);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&path, reference(&bulkhead_api::crds::all()))?;
    println!("{PATH}");
    Ok(())
}

fn reference(files: &[CrdFile]) -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push('\n');
    for file in files {
        let kind = &file.crd.spec.names.kind;
        let _ = writeln!(text, "- [{kind}](#{})", kind.to_lowercase());
    }
    for file in files {
        definition(&mut text, file);
    }
    text
}

fn definition(text: &mut String, file: &CrdFile) {
    let spec = &file.crd.spec;
    let _ = writeln!(text, "\n## {}\n", spec.names.kind);
    for version in &spec.versions {
        let schema = version
            .schema
            .as_ref()
            .and_then(|s| s.open_api_v3_schema.as_ref());
        if let Some(description) = schema.and_then(|s| s.description.as_deref()) {
            let _ = writeln!(text, "{}\n", one_line(description));
        }
        let _ = writeln!(text, "| | |\n|---|---|");
        for (name, value) in facts(&file.crd, &version.name) {
            let _ = writeln!(text, "| {name} | {value} |");
        }
        let _ = writeln!(text, "| definition | [{0}](../{0}) |", file.path);
        let Some(schema) = schema else { continue };
        for rule in rules(schema) {
            let _ = writeln!(text, "\nRule: {rule}");
        }
        for (part, schema) in schema.properties.iter().flatten() {
            table(text, part, schema);
        }
    }
}

fn facts(crd: &CustomResourceDefinition, version: &str) -> Vec<(&'static str, String)> {
    let names = &crd.spec.names;
    let code = |values: &Option<Vec<String>>| -> Option<String> {
        let values = values.as_ref()?;
        Some(format!("`{}`", values.join("`, `")))
    };
    let mut facts = vec![
        ("apiVersion", format!("`{}/{version}`", crd.spec.group)),
        ("resource", format!("`{}.{}`", names.plural, crd.spec.group)),
        ("scope", crd.spec.scope.clone()),
    ];
    facts.extend(code(&names.short_names).map(|names| ("short names", names)));
    facts.extend(code(&names.categories).map(|names| ("categories", names)));
    facts
}

/// One part of the object, `spec` or `status`, as a table of all its fields at any depth.
fn table(text: &mut String, part: &str, schema: &JSONSchemaProps) {
    let _ = writeln!(text, "\n### {part}\n\n{}", one_line(description(schema)));
    for rule in rules(schema) {
        let _ = writeln!(text, "\nRule: {rule}");
    }
    let _ = writeln!(text, "\n| Field | Type | Description |\n|---|---|---|");
    rows(text, part, schema);
}

fn rows(text: &mut String, path: &str, schema: &JSONSchemaProps) {
    for (name, field) in schema.properties.iter().flatten() {
        let required = schema.required.iter().flatten().any(|r| r == name);
        let path = format!("{path}.{name}");
        let mut told = vec![one_line(description(field))];
        told.extend(bounds(field));
        told.extend(rules(field).map(|rule| format!("Rule: {rule}")));
        let item = inner(field).map(|(_, schema)| schema);
        told.extend(
            item.into_iter()
                .flat_map(|item| bounds(item).map(|b| format!("Items: {b}"))),
        );
        told.extend(
            item.into_iter()
                .flat_map(rules)
                .map(|rule| format!("Rule for items: {rule}")),
        );
        told.retain(|line| !line.is_empty());
        let required = if required { " *required*" } else { "" };
        let _ = writeln!(
            text,
            "| `{path}`{required} | {} | {} |",
            type_of(field),
            told.join("<br>")
        );
        rows(text, &path, field);
        if let Some((mark, item)) = inner(field) {
            rows(text, &format!("{path}{mark}"), item);
        }
    }
}

/// The schema of the items of a list or the values of a map, and the mark for them.
fn inner(schema: &JSONSchemaProps) -> Option<(&'static str, &JSONSchemaProps)> {
    match (&schema.items, &schema.additional_properties) {
        (Some(JSONSchemaPropsOrArray::Schema(item)), _) => Some(("[]", item)),
        (_, Some(JSONSchemaPropsOrBool::Schema(value))) => Some(("{}", value)),
        _ => None,
    }
}

fn type_of(schema: &JSONSchemaProps) -> String {
    let own = match schema.type_.as_deref() {
        _ if schema.x_kubernetes_int_or_string == Some(true) => "integer or string",
        Some(kind) => kind,
        None => "any",
    };
    match inner(schema) {
        Some(("[]", item)) => format!("list of {}", type_of(item)),
        Some((_, value)) => format!("map of {}", type_of(value)),
        None => own.to_owned(),
    }
}

/// What the API server checks besides the type.
fn bounds(schema: &JSONSchemaProps) -> impl Iterator<Item = String> {
    let values = schema
        .enum_
        .iter()
        .flatten()
        .map(|value| format!("`{}`", value.0));
    let values = values.collect::<Vec<_>>().join(", ");
    let number = |name: &str, value: Option<f64>| value.map(|v| format!("{name} {v}"));
    let count = |name: &str, value: Option<i64>| value.map(|v| format!("{name} {v}"));
    let keys = schema.x_kubernetes_list_map_keys.as_ref();
    [
        (!values.is_empty()).then(|| format!("one of {values}")),
        schema.format.as_ref().map(|f| format!("format {f}")),
        number("minimum", schema.minimum),
        number("maximum", schema.maximum),
        count("minLength", schema.min_length),
        count("maxLength", schema.max_length),
        schema
            .pattern
            .as_ref()
            .map(|p| format!("pattern `{}`", escaped(p))),
        count("minItems", schema.min_items),
        count("maxItems", schema.max_items),
        count("minProperties", schema.min_properties),
        count("maxProperties", schema.max_properties),
        keys.map(|keys| format!("unique by `{}`", keys.join("`, `"))),
        (schema.x_kubernetes_list_type.as_deref() == Some("set")).then(|| "unique".to_owned()),
        (schema.nullable == Some(true)).then(|| "may be null".to_owned()),
        (schema.x_kubernetes_preserve_unknown_fields == Some(true)).then(|| "any content".to_owned()),
    ]
    .into_iter()
    .flatten()
    .reduce(|all, next| format!("{all}; {next}"))
    .into_iter()
}

fn rules(schema: &JSONSchemaProps) -> impl Iterator<Item = String> {
    let rules = schema.x_kubernetes_validations.iter().flatten();
    rules.map(|rule| {
        let message = rule.message.as_deref().unwrap_or_default();
        format!("{} (`{}`)", escaped(message), escaped(&rule.rule))
    })
}

fn description(schema: &JSONSchemaProps) -> &str {
    schema.description.as_deref().unwrap_or_default()
}

fn one_line(text: &str) -> String {
    escaped(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Kept apart from the syntax of tables.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}
