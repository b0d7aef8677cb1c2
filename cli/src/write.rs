//! Writes on behalf of an administrator: patch or create, dry runs, and how they are told.

use anyhow::Result;
use bulkhead_api::vocabulary::CLI_FIELD_MANAGER;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use kube::{Client, Resource};
use serde_json::Value;

use crate::Outcome;
use crate::args::{DryRun, UnchangedArgs, WriteArgs};
use crate::errors::{self, Absent};
use crate::output;
use crate::session::Session;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It was absent.
    Created,
    /// It was changed.
    Patched,
    /// It was as wanted.
    Unchanged,
    /// It is gone.
    Deleted,
}

impl Done {
    fn text(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Patched => "patched",
            Self::Unchanged => "patched (no change)",
            Self::Deleted => "deleted",
        }
    }
}

/// An object as it is after a write, and what happened to it.
#[derive(Clone, Debug)]
pub struct Written {
    /// The object; in a client dry run as it would be.
    pub object: DynamicObject,
    /// What happened.
    pub done: Done,
}

impl Written {
    /// The generation that the write led to, 0 where nothing is stored.
    pub fn generation(&self) -> i64 {
        self.object.metadata.generation.unwrap_or_default()
    }
}

/// Suffix of a line about a write.
pub fn dry_run_note(dry_run: DryRun) -> &'static str {
    match dry_run {
        DryRun::None => "",
        DryRun::Client => " (dry run)",
        DryRun::Server => " (server dry run)",
    }
}

/// The line that tells of a write: `kind.group/name patched`.
pub fn line(written: &Written, dry_run: DryRun) -> String {
    let name = written.object.metadata.name.as_deref().unwrap_or_default();
    let object = output::object_name(written.object.types.as_ref(), name);
    format!("{object} {}{}", written.done.text(), dry_run_note(dry_run))
}

/// Tells of writes in the format that was asked for.
pub fn tell(session: &Session, written: &[Written], args: &WriteArgs) -> Result<()> {
    if let Some(format) = &args.output {
        let objects: Vec<DynamicObject> = written.iter().map(|w| w.object.clone()).collect();
        return session.print(&output::objects(&objects, format, false)?);
    }
    let lines: Vec<String> = written.iter().map(|w| line(w, args.dry_run)).collect();
    session.print(&lines.join("\n"))
}

/// How a verb ends after these writes.
pub fn outcome(written: &[Written], args: UnchangedArgs) -> Outcome {
    let unchanged = written.iter().all(|w| w.done == Done::Unchanged);
    if args.error_unchanged && unchanged {
        Outcome::Unchanged
    } else {
        Outcome::Success
    }
}

/// Merges `patch` into a cluster-scoped object; creates the object where it is absent. A merge patch, unlike
/// an apply, leaves fields alone that an earlier command of ours set.
pub async fn upsert<K>(
    client: &Client,
    name: &str,
    patch: &Value,
    dry_run: DryRun,
) -> Result<Written, kube::Error>
where
    K: Resource<DynamicType = ()>,
{
    let resource = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let before = match api.get(name).await {
        Ok(object) => Some(object),
        Err(error) if errors::absent(&error) == Some(Absent::Object) => None,
        Err(error) => return Err(error),
    };
    if dry_run == DryRun::Client {
        return Ok(computed(name, &resource, before, patch));
    }
    let server_side = dry_run == DryRun::Server;
    if let Some(before) = before {
        return merge(&api, name, &before, patch, server_side).await;
    }
    let params = PostParams {
        dry_run: server_side,
        field_manager: Some(CLI_FIELD_MANAGER.to_owned()),
    };
    match api.create(&params, &fresh(name, &resource, patch)).await {
        Ok(object) => Ok(Written {
            object,
            done: Done::Created,
        }),
        // Somebody was faster: then it is there to be patched.
        Err(error) if errors::is_already_exists(&error) => {
            merge(&api, name, &api.get(name).await?, patch, server_side).await
        }
        Err(error) => Err(error),
    }
}

async fn merge(
    api: &Api<DynamicObject>,
    name: &str,
    before: &DynamicObject,
    patch: &Value,
    dry_run: bool,
) -> Result<Written, kube::Error> {
    let params = PatchParams {
        dry_run,
        field_manager: Some(CLI_FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
    .validation_strict();
    let object = api.patch(name, &params, &Patch::Merge(patch)).await?;
    let changed = before.data.get("spec") != object.data.get("spec");
    let done = if changed { Done::Patched } else { Done::Unchanged };
    Ok(Written { object, done })
}

fn computed(name: &str, resource: &ApiResource, before: Option<DynamicObject>, patch: &Value) -> Written {
    let Some(mut object) = before else {
        let object = fresh(name, resource, patch);
        return Written {
            object,
            done: Done::Created,
        };
    };
    let old = object.data.clone();
    merge_values(&mut object.data, patch);
    let done = if old == object.data {
        Done::Unchanged
    } else {
        Done::Patched
    };
    Written { object, done }
}

fn fresh(name: &str, resource: &ApiResource, patch: &Value) -> DynamicObject {
    let mut data = Value::Object(serde_json::Map::new());
    merge_values(&mut data, patch);
    DynamicObject::new(name, resource).data(data)
}

/// A JSON merge patch (RFC 7386).
fn merge_values(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge_values(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_merge_keeps_other_fields_and_null_removes() {
        let mut target = json!({"spec": {"a": 1, "b": {"c": 2, "d": 3}}});
        merge_values(
            &mut target,
            &json!({"spec": {"b": {"c": null, "e": 4}, "x": {"y": null}}}),
        );
        assert_eq!(target, json!({"spec": {"a": 1, "b": {"d": 3, "e": 4}, "x": {}}}));
    }

    #[test]
    fn a_computed_write_tells_whether_anything_changes() {
        let resource = ApiResource::erase::<bulkhead_api::SystemIsolation>(&());
        let before = fresh("cluster", &resource, &json!({"spec": {"a": 1}}));
        let same = computed(
            "cluster",
            &resource,
            Some(before.clone()),
            &json!({"spec": {"a": 1}}),
        );
        assert_eq!(same.done, Done::Unchanged);
        let other = computed("cluster", &resource, Some(before), &json!({"spec": {"a": null}}));
        assert_eq!(
            line(&other, DryRun::Client),
            "systemisolation.network.operator.openshift.io/cluster patched (dry run)"
        );
        assert_eq!(
            computed("cluster", &resource, None, &json!({})).done,
            Done::Created
        );
    }
}
