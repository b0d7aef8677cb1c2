//! Small pieces that several kinds share in their schemas.

use schemars::{Schema, SchemaGenerator, json_schema};

/// A schemaless object, as `unsupportedConfigOverrides` has it: any content, may be null.
pub fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "nullable": true,
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

/// Bounds the values of a label map to what the API server accepts for labels.
pub fn label_values(schema: &mut Schema) {
    schema.insert(
        "additionalProperties".into(),
        serde_json::json!({"type": "string", "maxLength": 63}),
    );
}
