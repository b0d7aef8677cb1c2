//! From text to objects: several documents, YAML or JSON, lists taken apart. What cannot be read is told with
//! its line, and the rest is read.

use std::fmt;
use std::sync::Arc;

use bulkhead_api::yaml;
use serde_json::Value;

use super::{Object, Read, Source};

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, or what stands for it.
    pub file: String,
    /// The line, from 1, where known.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.reason),
            None => write!(f, "{}: {}", self.file, self.reason),
        }
    }
}

/// Reads the text of a file.
pub fn parse(file: &str, text: &str) -> Read {
    let mut read = Read::default();
    let name: Arc<str> = file.into();
    for (first_line, document) in split(text) {
        let fault = |line, reason| Fault {
            file: file.to_owned(),
            line,
            reason,
        };
        let value = match yaml::from_str::<Value>(&document) {
            Ok(Value::Null) => continue,
            Ok(value) => value,
            Err(error) => {
                let line = error.line().map_or(first_line, |line| first_line + line - 1);
                read.faults.push(fault(Some(line), error.reason().to_owned()));
                continue;
            }
        };
        let source = Source {
            file: Some(name.clone()),
            first_line,
            text: document.into(),
            inside: String::new(),
        };
        take(value, source, &mut read);
    }
    read
}

/// Documents with the line, from 1, at which each begins.
fn split(text: &str) -> Vec<(usize, String)> {
    let mut documents = vec![(1, String::new())];
    for (at, line) in text.lines().enumerate() {
        let rest = line.strip_prefix("---");
        let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])) else {
            if let Some((_, document)) = documents.last_mut() {
                document.push_str(line);
                document.push('\n');
            }
            continue;
        };
        // What follows the marker on its line belongs to the document.
        let content = rest.trim_start().trim_end().to_owned();
        let keep = !content.is_empty() && !content.starts_with('#');
        documents.push((
            if keep { at + 1 } else { at + 2 },
            if keep { content + "\n" } else { String::new() },
        ));
    }
    documents.retain(|(_, document)| document.lines().any(|line| !is_blank(line)));
    documents
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#') || line == "..."
}

fn take(value: Value, source: Source, read: &mut Read) {
    let kind = value["kind"].as_str().unwrap_or_default().to_owned();
    let version = value["apiVersion"].clone();
    if let (Some(item_kind), Value::Object(mut map)) = (kind.strip_suffix("List"), value.clone())
        && let Some(Value::Array(items)) = map.remove("items")
    {
        for (at, mut item) in items.into_iter().enumerate() {
            // Items of typed lists leave out what the list says.
            if let Value::Object(item) = &mut item
                && !item_kind.is_empty()
            {
                item.entry("kind").or_insert_with(|| item_kind.into());
                item.entry("apiVersion").or_insert_with(|| version.clone());
            }
            let place = format!("items[{at}]");
            let inside = if source.inside.is_empty() {
                place
            } else {
                format!("{}.{place}", source.inside)
            };
            take(
                item,
                Source {
                    inside,
                    ..source.clone()
                },
                read,
            );
        }
        return;
    }
    let items = source.line_of("items");
    let line = source.line_of("");
    let file = source.file.as_deref().unwrap_or_default().to_owned();
    if kind == "List" {
        let reason = "a List whose items are no list".to_owned();
        return read.faults.push(Fault {
            file,
            line: items,
            reason,
        });
    }
    match Object::new(value, source) {
        Ok(object) => read.objects.push(object),
        Err(reason) => read.faults.push(Fault { file, line, reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::object::Kind;
    use super::*;

    #[test]
    fn documents_and_lists_are_taken_apart_and_know_their_lines() {
        let text = "# head\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n--- # two\napiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: p}\n- metadata:\n    name: q\n  spec:\n    hostNetwork: true\n";
        let read = parse("x.yaml", text);
        assert!(read.faults.is_empty(), "{:?}", read.faults);
        let seen: Vec<(Kind, &str)> = read.objects.iter().map(|o| (o.kind, &*o.name)).collect();
        assert_eq!(seen, [(Kind::Namespace, "a"), (Kind::Pod, "p"), (Kind::Pod, "q")]);
        assert_eq!(
            read.objects[0].source.place_of("metadata.name").as_deref(),
            Some("x.yaml:5")
        );
        assert_eq!(
            read.objects[2].source.place_of("spec.hostNetwork").as_deref(),
            Some("x.yaml:14")
        );
        assert_eq!(read.objects[1].source.place_of("").as_deref(), Some("x.yaml:10"));
    }

    #[test]
    fn json_and_windows_line_ends_read_alike() {
        let json = "{\"apiVersion\": \"v1\",\n \"kind\": \"List\", \"items\": [\n  {\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"p\"}}]}";
        let read = parse("x.json", json);
        assert_eq!(
            read.objects[0].source.place_of("metadata").as_deref(),
            Some("x.json:3")
        );
        let crlf = parse(
            "y.yaml",
            "apiVersion: v1\r\nkind: Pod\r\nmetadata: {name: p}\r\n---\r\nkind: Pod\r\n",
        );
        assert_eq!((crlf.objects.len(), crlf.faults.len()), (1, 1));
    }

    #[test]
    fn a_malformed_document_is_told_with_its_line_and_the_rest_is_read() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n---\na: b\n  c: d\n---\nkind: Pod\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: q}\n";
        let read = parse("x.yaml", text);
        assert_eq!(read.objects.len(), 2);
        let lines: Vec<Option<usize>> = read.faults.iter().map(|f| f.line).collect();
        assert_eq!(lines, [Some(6), Some(8)]);
        assert!(
            read.faults[0].to_string().starts_with("x.yaml:6: mapping values"),
            "{}",
            read.faults[0]
        );
        assert!(read.faults[1].reason.contains("apiVersion and kind are required"));
    }
}
