//! Where the catalog comes from: compiled in, or a folder.

use std::path::Path;

use anyhow::Context;
use bulkhead_api::Catalog;
use include_dir::{Dir, include_dir};

static EMBEDDED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../manifests/catalog");

/// The catalog of this release.
pub fn embedded() -> anyhow::Result<Catalog> {
    let files = EMBEDDED
        .files()
        .filter_map(|file| Some((file.path().to_str()?, file.contents_utf8()?)));
    Catalog::parse(files).context("the embedded catalog")
}

/// A catalog that replaces the embedded one: every `.yaml` file of the folder.
pub fn from_dir(path: &Path) -> anyhow::Result<Catalog> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(|| format!("--catalog-dir {}", path.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "yaml") {
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            files.push((
                path.file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                text,
            ));
        }
    }
    files.sort();
    Catalog::parse(files.iter().map(|(name, text)| (name.as_str(), text.as_str())))
        .with_context(|| format!("--catalog-dir {}", path.display()))
}

/// The catalog from the folder if one is named, else the embedded one.
pub fn load(dir: Option<&Path>) -> anyhow::Result<Catalog> {
    dir.map_or_else(embedded, from_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_catalog_is_the_one_in_the_repository() {
        let stored = from_dir(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/catalog")).unwrap();
        assert_eq!(embedded().unwrap(), stored);
        assert!(stored.entries.len() > 100, "{} entries", stored.entries.len());
    }
}
