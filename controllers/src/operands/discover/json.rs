//! Reading objects whose fields may be absent, null or of another type.

use serde_json::Value;

/// The field at a JSON pointer, unless it is absent or null.
pub fn at<'a>(object: &'a Value, pointer: &str) -> Option<&'a Value> {
    object.pointer(pointer).filter(|value| !value.is_null())
}

/// The text at a JSON pointer, unless it is empty.
pub fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    at(object, pointer)?
        .as_str()
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

/// The list at a JSON pointer.
pub fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    at(object, pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The number of a port at a JSON pointer.
pub fn port(object: &Value, pointer: &str) -> Option<u16> {
    let number = u16::try_from(at(object, pointer)?.as_u64()?).ok()?;
    (number > 0).then_some(number)
}

/// Whether the text at a JSON pointer is this one, whatever its case: enums and string booleans.
pub fn is(object: &Value, pointer: &str, wanted: &str) -> bool {
    text(object, pointer).is_some_and(|text| text.eq_ignore_ascii_case(wanted))
}

/// The object's name.
pub fn name(object: &Value) -> &str {
    text(object, "/metadata/name").unwrap_or_default()
}

/// The object's namespace.
pub fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace").unwrap_or_default()
}
