use std::collections::{BTreeMap, BTreeSet};

use crate::{between, documents, prose, root};

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .collect::<String>();
    kept.trim().replace(' ', "-")
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

/// `a/b/../c` as `a/c`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                assert!(parts.pop().is_some(), "{path} leaves the repository");
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let documents: BTreeMap<String, String> = documents().into_iter().collect();
    let mut checked = 0;
    for (path, text) in &documents {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in between(&prose(text), "](", ")").filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').map_or((link, None), |(f, h)| (f, Some(h)));
            let target = if file.is_empty() {
                path.clone()
            } else {
                normal(&format!("{folder}/{file}"))
            };
            assert!(root().join(&target).exists(), "{path}: {link} leads nowhere");
            if let Some(heading) = heading {
                let text = documents
                    .get(&target)
                    .unwrap_or_else(|| panic!("{path}: {link} is no document"));
                assert!(
                    anchors(text).contains(heading),
                    "{path}: {link} has no such heading"
                );
            }
            checked += 1;
        }
    }
    assert!(checked > 80, "only {checked} links were found");
}

#[test]
fn every_document_can_be_reached_from_the_readme() {
    let documents: BTreeMap<String, String> = documents().into_iter().collect();
    let mut reached = BTreeSet::from(["README.md".to_owned()]);
    let mut todo = vec!["README.md".to_owned()];
    while let Some(path) = todo.pop() {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in between(&prose(&documents[&path]), "](", ")").filter(|link| !link.contains("://")) {
            let target = normal(&format!(
                "{folder}/{}",
                link.split('#').next().unwrap_or_default()
            ));
            if documents.contains_key(&target) && reached.insert(target.clone()) {
                todo.push(target);
            }
        }
    }
    let lost: Vec<&String> = documents.keys().filter(|path| !reached.contains(*path)).collect();
    assert!(lost.is_empty(), "no link leads to {lost:?}");
}
