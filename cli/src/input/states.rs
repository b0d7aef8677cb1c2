//! States by name, for verbs that compare two: a path, the cluster, another context, a revision of git.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{FromArgs, Read, cluster, documents, files, object};
use crate::session::Session;

/// Reads what a word names: `cluster`, `context:NAME`, `git:REVISION[:PATH]`, or a path.
pub async fn read(word: &str, args: &FromArgs, session: &Session) -> Result<Read> {
    let mut read = if word == "cluster" {
        of_cluster(session).await?
    } else if let Some(context) = word.strip_prefix("context:") {
        of_cluster(&session.in_context(context)).await?
    } else if let Some(revision) = word.strip_prefix("git:") {
        of_revision(revision)?
    } else {
        of_path(word, args.depth.recursive)?
    };
    let namespace = session.globals.in_namespace.as_deref().unwrap_or("default");
    for object in &mut read.objects {
        object.default_namespace(namespace);
    }
    read.objects = object::last_of_each(read.objects, &mut read.repeated);
    if args.strict
        && let Some(fault) = read.faults.first()
    {
        bail!("{fault}");
    }
    Ok(read)
}

async fn of_cluster(session: &Session) -> Result<Read> {
    let client = session.client().await?;
    Ok(Read {
        objects: cluster::objects(&client, session).await?,
        ..Read::default()
    })
}

fn of_path(path: &str, recursive: bool) -> Result<Read> {
    let mut read = Read::default();
    for path in files::expand(&[PathBuf::from(path)], recursive)? {
        let found = files::read(&path)?;
        read.objects.extend(found.objects);
        read.faults.extend(found.faults);
    }
    Ok(read)
}

/// The manifests of a revision, whole folders always: what lies in git is laid out by those who keep it there.
fn of_revision(word: &str) -> Result<Read> {
    let (revision, path) = word.split_once(':').unwrap_or((word, "."));
    if revision.is_empty() || revision.starts_with('-') {
        bail!("'{revision}' names no revision of git");
    }
    let listed = git(&["ls-tree", "-r", "-z", "--name-only", revision, "--", path])?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let mut read = Read::default();
    for file in listed
        .split('\0')
        .filter(|file| files::is_manifest(file.as_ref()))
    {
        let name = format!("{revision}:{file}");
        let text = git(&["show", &format!("{revision}:./{file}")])?;
        let text = String::from_utf8(text).with_context(|| format!("{name} is no text"))?;
        let found = documents::parse(&name, &text);
        read.objects.extend(found.objects);
        read.faults.extend(found.faults);
    }
    if read.objects.is_empty() && read.faults.is_empty() {
        bail!("{revision} holds no .yaml, .yml or .json file in {path}");
    }
    Ok(read)
}

fn git(arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new("git")
        .args(arguments)
        .output()
        .context("cannot run git")?;
    if !output.status.success() {
        bail!(
            "git {}: {}",
            arguments[0],
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(output.stdout)
}
