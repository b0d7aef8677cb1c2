//! Copies of the repository's catalog that a later release could ship.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::cluster::repository;

/// The file that holds the sequence, and what concerns no single namespace.
pub const INDEX: &str = "catalog.yaml";

/// The first occurrence of a text in one file of the catalog becomes another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    file: String,
    old: String,
    new: String,
}

impl Edit {
    /// `old` becomes `new` in this file.
    pub fn new(file: &str, old: &str, new: &str) -> Self {
        Self {
            file: file.to_owned(),
            old: old.to_owned(),
            new: new.to_owned(),
        }
    }

    /// The first rule of this namespace admits one more client.
    pub fn one_more_client(namespace: &str, client: &str) -> Self {
        let clients = "    clients:\n";
        Self::new(
            &format!("{namespace}.yaml"),
            clients,
            &format!("{clients}    - {{type: Namespace, namespace: {{name: {client}}}}}\n"),
        )
    }

    fn apply(&self, text: &str) -> anyhow::Result<String> {
        ensure!(
            text.contains(&self.old),
            "{} does not contain {:?}",
            self.file,
            self.old
        );
        Ok(text.replacen(&self.old, &self.new, 1))
    }
}

/// The sequence of the repository's catalog.
pub fn sequence() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(folder().join(INDEX))?;
    let line = text.lines().find_map(|line| line.strip_prefix("sequence: "));
    Ok(line.context("the catalog has no sequence")?.parse()?)
}

/// A copy of the repository's catalog in this folder, edited, and with the next sequence.
pub fn newer(copy: PathBuf, mut edits: Vec<Edit>) -> anyhow::Result<PathBuf> {
    let old = sequence()?;
    let line = |number: u64| format!("\nsequence: {number}\n");
    edits.push(Edit::new(INDEX, &line(old), &line(old + 1)));
    std::fs::create_dir_all(&copy)?;
    for file in std::fs::read_dir(folder())? {
        let file = file?;
        std::fs::copy(file.path(), copy.join(file.file_name()))?;
    }
    for edit in edits {
        edited(&copy.join(&edit.file), &edit)?;
    }
    Ok(copy)
}

fn edited(path: &Path, edit: &Edit) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| edit.file.clone())?;
    Ok(std::fs::write(path, edit.apply(&text)?)?)
}

fn folder() -> PathBuf {
    repository().join("manifests/catalog")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(folder: &Path) -> Vec<(String, String)> {
        let files = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let text = |f: std::fs::DirEntry| std::fs::read_to_string(f.path()).unwrap();
        let mut all: Vec<_> = files
            .map(|f| (f.file_name().to_string_lossy().into_owned(), text(f)))
            .collect();
        all.sort();
        all
    }

    #[test]
    fn a_newer_catalog_differs_in_its_sequence_and_its_edits_alone() {
        let dir = tempfile::tempdir().unwrap();
        let edit = Edit::one_more_client("openshift-dns-operator", "openshift-config");
        let copy = newer(dir.path().join("newer"), vec![edit]).unwrap();
        let (before, after) = (texts(&folder()), texts(&copy));
        assert_eq!(before.len(), after.len());
        let changed: Vec<&str> = before
            .iter()
            .zip(&after)
            .filter(|(b, a)| b != a)
            .map(|(b, _)| b.0.as_str())
            .collect();
        assert_eq!(changed, [INDEX, "openshift-dns-operator.yaml"]);
    }

    #[test]
    fn an_edit_that_fits_nothing_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let edit = Edit::new(INDEX, "no such line", "");
        assert!(newer(dir.path().join("newer"), vec![edit]).is_err());
    }
}
