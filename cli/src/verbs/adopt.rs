//! `adopt`: makes a namespace a system namespace, or hands it back.

use anyhow::{Result, bail};
use bulkhead_api::SystemNamespace;
use bulkhead_api::namespace::Adoption;
use bulkhead_api::vocabulary::is_forbidden_name;
use clap::Args;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;
use serde_json::json;

use super::one_namespace;
use crate::args::{UnchangedArgs, WriteArgs};
use crate::session::Session;
use crate::{Outcome, inventory, write};

/// Arguments of `adopt`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "A released namespace is opened first; then policies and labels of Bulkhead are removed from it."
)]
pub struct AdoptArgs {
    /// The namespace
    pub namespace: Option<String>,
    /// Hand it back: it is no system namespace any more, whatever its name
    #[arg(long)]
    pub release: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub write: WriteArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub unchanged: UnchangedArgs,
}

/// Sets `spec.adoption`.
pub async fn run(args: &AdoptArgs, session: &Session) -> Result<Outcome> {
    let name = one_namespace(args.namespace.as_ref(), session)?;
    refuse_forbidden(name)?;
    let client = session.client().await?;
    let adoption = if args.release {
        Adoption::NotAdopted
    } else {
        Adoption::Adopted
    };
    let patch = json!({"spec": {"adoption": adoption}});
    let written = write::upsert::<SystemNamespace>(&client, name, &patch, args.write.dry_run).await;
    let written = inventory::served::<SystemNamespace, _>(written)?;
    let written = [written];
    write::tell(session, &written, &args.write)?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    if matches!(namespaces.get_metadata_opt(name).await, Ok(None)) {
        session.warn(&format!(
            "namespace {name} does not exist yet; the choice takes effect when it is created"
        ));
    }
    Ok(write::outcome(&written, args.unchanged))
}

/// Refuses namespaces that are never written to.
pub fn refuse_forbidden(name: &str) -> Result<()> {
    if is_forbidden_name(name) {
        bail!("{name} can never be a system namespace: default and kube-* are left alone, not even labelled");
    }
    Ok(())
}
