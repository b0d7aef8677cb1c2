//! Objects of a cluster.

use anyhow::{Context as _, Result};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use super::object::{KINDS, Kind};
use super::{Object, Source};
use crate::errors::{self, Absent};
use crate::inventory;
use crate::session::Session;

/// Lists that are under way at a time.
const CONCURRENCY: usize = 4;

/// Everything that is looked at, as the cluster holds it now. Kinds that are not served have no objects.
pub async fn objects(client: &Client, session: &Session) -> Result<Vec<Object>> {
    let progress = session.progress("reading the cluster", KINDS.len());
    let lists =
        stream::iter(KINDS.iter().filter(|(.., kind)| *kind != Kind::ReplicaSet)).map(|entry| async {
            let objects = list(client, entry).await;
            progress.step();
            objects
        });
    let lists: Vec<Vec<Object>> = lists.buffered(CONCURRENCY).try_collect().await?;
    Ok(lists.into_iter().flatten().collect())
}

async fn list(
    client: &Client,
    (group, version, plural, kind, _): &(&str, &str, &str, &str, Kind),
) -> Result<Vec<Object>> {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let found = match inventory::list(&api, ListParams::default()).await {
        Ok(found) => found,
        Err(error) if errors::absent(&error) == Some(Absent::Kind) => return Ok(Vec::new()),
        Err(error) => return Err(anyhow::Error::from(error).context(format!("cannot list {plural}"))),
    };
    let mut objects = Vec::with_capacity(found.len());
    for object in found {
        let mut value = serde_json::to_value(object).context("an object cannot be kept")?;
        value["apiVersion"] = Value::String(resource.api_version.clone());
        value["kind"] = Value::String(resource.kind.clone());
        objects.extend(Object::new(value, Source::default()).ok());
    }
    Ok(objects)
}
