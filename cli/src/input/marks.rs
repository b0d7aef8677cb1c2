//! The line of a field in a YAML or JSON text.

use saphyr_parser::{Event, Parser};

/// A node of a document with the line at which it begins.
#[derive(Debug, Default)]
struct Node {
    line: usize,
    children: Vec<(String, Node)>,
}

/// The line, from 1, of the field at `path`, such as `spec.ingress[0].from`; where it does not exist, of the
/// nearest field around it. `None` where the text cannot be read.
pub fn line_of(text: &str, path: &str) -> Option<usize> {
    let mut parser = Parser::new_from_str(text);
    let root = loop {
        match parser.next_event()?.ok()? {
            (Event::StreamStart | Event::DocumentStart(_), _) => {}
            (event, span) => break node(&mut parser, &event, span.start.line())?,
        }
    };
    let mut found = &root;
    for step in steps(path) {
        let Some((_, next)) = found.children.iter().find(|(key, _)| *key == step) else {
            break;
        };
        found = next;
    }
    Some(found.line)
}

/// Reads one node, whose first event was taken already. The line of a field of a mapping is that of its key.
fn node<'t, T: saphyr_parser::Input>(
    parser: &mut Parser<'t, T>,
    first: &Event<'t>,
    line: usize,
) -> Option<Node> {
    let mut node = Node {
        line,
        children: Vec::new(),
    };
    match first {
        Event::MappingStart(..) => loop {
            let (event, span) = parser.next_event()?.ok()?;
            let key = match &event {
                Event::MappingEnd => return Some(node),
                Event::Scalar(text, ..) => text.to_string(),
                _ => String::new(),
            };
            if key.is_empty() {
                self::node(parser, &event, span.start.line())?;
            }
            let (event, _) = parser.next_event()?.ok()?;
            node.children
                .push((key, self::node(parser, &event, span.start.line())?));
        },
        Event::SequenceStart(..) => loop {
            let (event, span) = parser.next_event()?.ok()?;
            if event == Event::SequenceEnd {
                return Some(node);
            }
            let key = node.children.len().to_string();
            node.children
                .push((key, self::node(parser, &event, span.start.line())?));
        },
        _ => Some(node),
    }
}

/// Keys and indexes of a path. Keys in brackets, such as `matchLabels[a.b/c]`, hold dots.
fn steps(path: &str) -> Vec<String> {
    let mut steps = Vec::new();
    let mut step = String::new();
    let mut bracket = false;
    for c in path.chars() {
        match c {
            '[' | ']' => bracket = c == '[',
            '.' if !bracket => {}
            _ => {
                step.push(c);
                continue;
            }
        }
        if !step.is_empty() {
            steps.push(std::mem::take(&mut step));
        }
    }
    if !step.is_empty() {
        steps.push(step);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_and_missing_ones_fall_back_to_what_is_around_them() {
        let text =
            "spec:\n  ingress:\n  - from: [{podSelector: {}}]\n  - ports:\n    - port: 1\n    - port: 2\n";
        assert_eq!(line_of(text, "spec"), Some(1));
        assert_eq!(line_of(text, "spec.ingress[1]"), Some(4));
        assert_eq!(line_of(text, "spec.ingress[1].ports[1].port"), Some(6));
        assert_eq!(line_of(text, "spec.ingress[1].ports[9]"), Some(4));
        assert_eq!(line_of(text, "spec.ingress[0].from[0].podSelector"), Some(3));
        assert_eq!(line_of("a: [", "a"), None);
    }
}
