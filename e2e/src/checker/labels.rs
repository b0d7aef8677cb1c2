//! Labels and selectors, written straight from the API text.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// A label selector as the API stores it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Selector {
    /// Labels that must be present with these values.
    pub match_labels: Labels,
    /// Requirements that must all hold.
    pub match_expressions: Vec<Requirement>,
}

/// One requirement of a selector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Requirement {
    /// Key of the label.
    pub key: String,
    /// In, NotIn, Exists or DoesNotExist.
    pub operator: String,
    /// Values to compare with.
    pub values: Vec<String>,
}

impl Selector {
    /// Whether the labels fulfil every requirement; an empty selector matches everything.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.match_labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
            && self
                .match_expressions
                .iter()
                .all(|requirement| requirement.holds(labels))
    }
}

impl Requirement {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match self.operator.as_str() {
            "In" => value.is_some_and(|v| self.values.contains(v)),
            "NotIn" => value.is_none_or(|v| !self.values.contains(v)),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            // The API server stores no other operator.
            _ => false,
        }
    }
}

/// A label value of the facts, where `*` and `<…>` stand for any text that is not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<String>,
}

impl Pattern {
    /// Whether it stands for one text only.
    pub fn is_exact(&self) -> bool {
        self.parts.len() == 1
    }

    /// Reads the notation of the facts.
    pub fn new(text: &str) -> Self {
        let mut parts = vec![String::new()];
        let mut in_name = false;
        for character in text.chars() {
            match character {
                '<' => {
                    in_name = true;
                    parts.push(String::new());
                }
                '>' => in_name = false,
                '*' => parts.push(String::new()),
                other if !in_name => {
                    if let Some(last) = parts.last_mut() {
                        last.push(other);
                    }
                }
                _ => {}
            }
        }
        Self { parts }
    }

    /// Whether the value is one that the pattern stands for.
    pub fn matches(&self, value: &str) -> bool {
        let Some((first, others)) = self.parts.split_first() else {
            return value.is_empty();
        };
        let Some(rest) = value.strip_prefix(first.as_str()) else {
            return false;
        };
        wild(rest, others)
    }

    /// One value that the pattern stands for.
    pub fn example(&self) -> String {
        self.parts.join("example")
    }
}

/// Each part follows at least one character of any kind; the last one ends the value.
fn wild(rest: &str, parts: &[String]) -> bool {
    let Some((part, others)) = parts.split_first() else {
        return rest.is_empty();
    };
    rest.char_indices()
        .skip(1)
        .map(|(at, _)| at)
        .chain((!rest.is_empty()).then_some(rest.len()))
        .any(|at| {
            rest[at..]
                .strip_prefix(part.as_str())
                .is_some_and(|rest| wild(rest, others))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_what_a_placeholder_stands_for() {
        let driver = Pattern::new("<driver>-csi-driver-operator");
        assert!(driver.matches("aws-ebs-csi-driver-operator"));
        assert!(!driver.matches("-csi-driver-operator"));
        assert!(!driver.matches("aws-ebs-csi-driver-node"));
        assert!(Pattern::new("*").matches("x") && !Pattern::new("*").matches(""));
        assert!(Pattern::new("console").matches("console") && !Pattern::new("console").matches("console2"));
    }

    #[test]
    fn a_selector_follows_the_api_text_for_absent_labels() {
        let labels = Labels::from([("a".to_owned(), "1".to_owned())]);
        let single = |operator: &str, values: &[&str], key: &str| Selector {
            match_expressions: vec![Requirement {
                key: key.to_owned(),
                operator: operator.to_owned(),
                values: values.iter().map(|&v| v.to_owned()).collect(),
            }],
            ..Selector::default()
        };
        assert!(single("NotIn", &["1"], "b").matches(&labels));
        assert!(!single("NotIn", &["1"], "a").matches(&labels));
        assert!(single("DoesNotExist", &[], "b").matches(&labels));
        assert!(Selector::default().matches(&Labels::new()));
    }
}
