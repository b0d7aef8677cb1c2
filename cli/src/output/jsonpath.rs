//! Templates as kubectl's `-o jsonpath=` takes them: text with expressions in braces.

use jsonpath_rust::JsonPath as _;
use serde_json::Value;

/// Fills a template.
///
/// Understood are paths (`{.items[*].metadata.name}`), text in quotes (`{"\n"}`), and `{range PATH}…{end}`.
pub fn fill(template: &str, value: &Value) -> Result<String, String> {
    let parts = parse(template)?;
    let mut out = String::new();
    write(&parts, value, value, &mut out)?;
    Ok(out)
}

/// A piece of a template.
#[derive(Debug, PartialEq)]
enum Part {
    Text(String),
    /// A path in the notation of RFC 9535.
    Path(String),
    Range(String, Vec<Part>),
}

fn write(parts: &[Part], root: &Value, current: &Value, out: &mut String) -> Result<(), String> {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Path(path) => {
                let found = query(path, root, current)?;
                out.push_str(&found.iter().map(|v| text(v)).collect::<Vec<_>>().join(" "));
            }
            Part::Range(path, inner) => {
                for item in query(path, root, current)? {
                    write(inner, root, item, out)?;
                }
            }
        }
    }
    Ok(())
}

fn query<'v>(path: &str, root: &'v Value, current: &'v Value) -> Result<Vec<&'v Value>, String> {
    let (value, path) = match path.strip_prefix('@') {
        Some(rest) => (current, format!("${rest}")),
        None => (root, path.to_owned()),
    };
    value
        .query(&path)
        .map_err(|error| format!("'{path}' is no path: {error}"))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn parse(template: &str) -> Result<Vec<Part>, String> {
    let mut stack: Vec<(String, Vec<Part>)> = Vec::new();
    let mut parts: Vec<Part> = Vec::new();
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        if start > 0 {
            parts.push(Part::Text(rest[..start].to_owned()));
        }
        let end = closing(&rest[start + 1..]).ok_or("a brace is not closed")?;
        let inner = rest[start + 1..=start + end].trim();
        rest = &rest[start + end + 2..];
        if let Some(path) = inner.strip_prefix("range ") {
            stack.push((
                translated(path.trim(), !stack.is_empty())?,
                std::mem::take(&mut parts),
            ));
        } else if inner == "end" {
            let (path, outer) = stack.pop().ok_or("{end} without {range}")?;
            let body = std::mem::replace(&mut parts, outer);
            parts.push(Part::Range(path, body));
        } else if let Some(text) = quoted(inner) {
            parts.push(Part::Text(text));
        } else {
            parts.push(Part::Path(translated(inner, !stack.is_empty())?));
        }
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    if stack.is_empty() {
        Ok(parts)
    } else {
        Err("{range} without {end}".to_owned())
    }
}

/// Where the brace is closed, outside quotes.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            _ if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if c == '}' => return Some(at),
            _ => {}
        }
    }
    None
}

fn quoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::new();
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        match (c, c == '\\') {
            (_, true) => match characters.next()? {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                other => out.push(other),
            },
            (c, false) => out.push(c),
        }
    }
    Some(out)
}

/// From kubectl's notation to that of RFC 9535: every name in brackets, which also holds dots and dashes.
fn translated(path: &str, inside: bool) -> Result<String, String> {
    let (mut out, mut rest) = match path.chars().next() {
        Some('$') => ("$".to_owned(), &path[1..]),
        Some('@') => ("@".to_owned(), &path[1..]),
        Some('.' | '[') if inside => ("@".to_owned(), path),
        Some('.' | '[') => ("$".to_owned(), path),
        _ => {
            return Err(format!(
                "'{path}' is no path: it begins with a dot, for example {{.metadata.name}}"
            ));
        }
    };
    while let Some(c) = rest.chars().next() {
        match c {
            '.' if rest.starts_with("..") => {
                out.push_str("..");
                rest = &rest[1..];
                let (name, after) = name(&rest[1..]);
                if name == "*" || name.is_empty() {
                    out.push('*');
                } else {
                    out.push_str(&in_brackets(&name));
                }
                rest = after;
            }
            '.' => {
                let (name, after) = name(&rest[1..]);
                match name.as_str() {
                    "" => {}
                    "*" => out.push_str("[*]"),
                    name => out.push_str(&in_brackets(name)),
                }
                rest = after;
            }
            '[' => {
                let end = rest
                    .find(']')
                    .ok_or_else(|| format!("'{path}': a bracket is not closed"))?;
                out.push_str(&subscript(&rest[1..end]));
                rest = &rest[end + 1..];
            }
            _ => return Err(format!("'{path}' is no path: '{c}' was not expected")),
        }
    }
    Ok(out)
}

/// A name up to the next dot or bracket; a backslash keeps what follows.
fn name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => name.extend(characters.next().map(|(_, c)| c)),
            '.' | '[' => return (name, &text[at..]),
            _ => name.push(c),
        }
    }
    (name, "")
}

fn in_brackets(name: &str) -> String {
    format!("['{}']", name.replace('\'', "\\'"))
}

/// An index, a name, or a filter such as `?(@.type=="Ready")`.
fn subscript(inner: &str) -> String {
    let Some(filter) = inner.strip_prefix('?') else {
        return format!("[{inner}]");
    };
    format!("[?{filter}]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value() -> Value {
        json!({"items": [
            {"metadata": {"name": "a", "labels": {"app.kubernetes.io/name": "x"}}, "status": {"conditions": [
                {"type": "Covered", "status": "True"}, {"type": "Staged", "status": "False"}]}, "n": 1},
            {"metadata": {"name": "b"}, "n": [2]},
        ]})
    }

    fn filled(template: &str) -> String {
        fill(template, &value()).unwrap()
    }

    #[test]
    fn paths_read_as_in_kubectl() {
        assert_eq!(filled("{.items[*].metadata.name}"), "a b");
        assert_eq!(filled("{.items[0].n} {.items[1].n}"), "1 [2]");
        assert_eq!(
            filled(r"{.items[0].metadata.labels.app\.kubernetes\.io/name}"),
            "x"
        );
        assert_eq!(filled("{.items[-1:].metadata['name']}"), "b");
        assert_eq!(
            filled(r#"{.items[0].status.conditions[?(@.type=="Covered")].status}"#),
            "True"
        );
        assert_eq!(filled("{.nothing}"), "");
        assert_eq!(filled("{..name}"), "a b");
    }

    #[test]
    fn ranges_repeat_what_is_between() {
        let template = r#"{range .items[*]}{.metadata.name}{"\t"}{.n}{"\n"}{end}done"#;
        assert_eq!(filled(template), "a\t1\nb\t[2]\ndone");
    }

    #[test]
    fn what_is_no_template_is_told() {
        for bad in ["{.a", "{range .items[*]}x", "{end}", "{items}", "{.a[}"] {
            assert!(fill(bad, &value()).is_err(), "{bad}");
        }
    }
}
