//! Which files are read.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::{Read, documents};

/// Extensions that are read inside directories, as in kubectl.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// The files that the paths name, directories listed in order.
pub fn expand(paths: &[PathBuf], recursive: bool) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            files.push(path.clone());
            continue;
        }
        let meta = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        if meta.is_dir() {
            let before = files.len();
            list(path, recursive, &mut files)?;
            if files.len() == before {
                let hint = if recursive {
                    ""
                } else {
                    "; -R also reads the directories in it"
                };
                bail!("{} holds no .yaml, .yml or .json file{hint}", path.display());
            }
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn list(directory: &Path, recursive: bool, files: &mut Vec<PathBuf>) -> Result<()> {
    let context = || format!("cannot read {}", directory.display());
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(context)? {
        entries.push(entry.with_context(context)?.path());
    }
    entries.sort();
    for path in entries {
        // Links are not followed into directories, which may form circles.
        if path.is_dir() && !path.is_symlink() {
            if recursive {
                list(&path, recursive, files)?;
            }
        } else if is_manifest(&path) {
            files.push(path);
        }
    }
    Ok(())
}

/// Whether the extension is one of those that are read inside directories.
pub fn is_manifest(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| EXTENSIONS.iter().any(|known| e == *known))
}

/// Reads one file; `-` is standard input.
pub fn read(path: &Path) -> Result<Read> {
    Ok(documents::parse(&name(path), &text(path)?))
}

fn name(path: &Path) -> String {
    if path.as_os_str() == "-" {
        "<stdin>".to_owned()
    } else {
        path.display().to_string()
    }
}

/// The text of one file; `-` is standard input.
pub fn text(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin()
            .read_to_end(&mut bytes)
            .context("cannot read standard input")?;
    } else {
        bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    let text = String::from_utf8(bytes).with_context(|| format!("{} is no text", name(path)))?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}
