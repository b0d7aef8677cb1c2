//! `override`: gives one namespace its own mode for a while.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bulkhead_api::SystemNamespace;
use bulkhead_api::switch::Mode;
use clap::Args;
use jiff::{SignedDuration, Timestamp, Unit};
use serde_json::{Value, json};

use super::{adopt::refuse_forbidden, mode::ModeName, one_namespace};
use crate::args::{UnchangedArgs, WriteArgs, parse_duration};
use crate::session::Session;
use crate::{Outcome, inventory, write};

/// Arguments of `override`.
#[derive(Clone, Debug, Args)]
pub struct OverrideArgs {
    /// The namespace
    pub namespace: Option<String>,
    /// The mode that replaces the cluster's
    #[arg(long, value_enum, ignore_case = true, required_unless_present = "clear")]
    pub mode: Option<ModeName>,
    /// How long it lasts, such as 30m, 2h or 1d; without it, until it is cleared
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub lasting: Option<Duration>,
    /// Why: shown in status and events
    #[arg(long, value_name = "TEXT", required_unless_present = "clear")]
    pub reason: Option<String>,
    /// Remove the override
    #[arg(long, conflicts_with_all = ["mode", "lasting", "reason"])]
    pub clear: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub write: WriteArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub unchanged: UnchangedArgs,
}

/// Sets or removes `spec.override`.
pub async fn run(args: &OverrideArgs, session: &Session) -> Result<Outcome> {
    let name = one_namespace(args.namespace.as_ref(), session)?;
    refuse_forbidden(name)?;
    let value = wanted(args, Timestamp::now())?;
    let client = session.client().await?;
    let patch = json!({"spec": {"override": value}});
    let written = write::upsert::<SystemNamespace>(&client, name, &patch, args.write.dry_run).await;
    let written = inventory::served::<SystemNamespace, _>(written)?;
    let written = [written];
    write::tell(session, &written, &args.write)?;
    match (args.clear, args.mode.map(Mode::from), &value["expirationTime"]) {
        (false, Some(Mode::Unrestricted), Value::String(end)) => session.note(&format!(
            "From {end} on, {name} follows the cluster again; if that closes it, an event says so an hour ahead."
        )),
        (false, _, Value::Null) => session.note(&format!(
            "This override has no end: remove it with {} override {name} --clear",
            session.program
        )),
        _ => {}
    }
    Ok(write::outcome(&written, args.unchanged))
}

/// The override as a merge patch; null removes what an earlier one set.
fn wanted(args: &OverrideArgs, now: Timestamp) -> Result<Value> {
    if args.clear {
        return Ok(Value::Null);
    }
    let (Some(mode), Some(reason)) = (args.mode, args.reason.as_deref().map(str::trim)) else {
        bail!("--mode and --reason are required");
    };
    if reason.is_empty() || reason.chars().count() > 1024 {
        bail!("--reason takes 1 to 1024 characters");
    }
    let end = args.lasting.map(|lasting| end_of(now, lasting)).transpose()?;
    Ok(json!({"mode": Mode::from(mode), "reason": reason, "expirationTime": end}))
}

fn end_of(now: Timestamp, lasting: Duration) -> Result<String> {
    if lasting < Duration::from_secs(1) {
        bail!("--for takes at least one second");
    }
    let lasting = SignedDuration::try_from(lasting).context("--for is too long")?;
    let end = now.checked_add(lasting).context("--for is too long")?;
    // The API keeps whole seconds.
    Ok(end.round(Unit::Second)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(lasting: Option<Duration>, reason: &str) -> OverrideArgs {
        OverrideArgs {
            namespace: None,
            mode: Some(ModeName::Restricted),
            lasting,
            reason: Some(reason.into()),
            clear: false,
            write: WriteArgs::default(),
            unchanged: UnchangedArgs::default(),
        }
    }

    #[test]
    fn an_override_ends_when_it_says() {
        let now: Timestamp = "2026-11-21T10:00:00.4Z".parse().unwrap();
        let value = wanted(&args(Some(Duration::from_hours(2)), " trial "), now).unwrap();
        assert_eq!(
            value,
            json!({"mode": "Restricted", "reason": "trial", "expirationTime": "2026-11-21T12:00:00Z"})
        );
    }

    #[test]
    fn an_override_without_an_end_removes_the_end_of_an_earlier_one() {
        let value = wanted(&args(None, "trial"), Timestamp::UNIX_EPOCH).unwrap();
        assert!(value.as_object().unwrap().contains_key("expirationTime"));
        assert!(value["expirationTime"].is_null());
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(wanted(&args(None, "  "), Timestamp::UNIX_EPOCH).is_err());
        assert!(wanted(&args(Some(Duration::ZERO), "x"), Timestamp::UNIX_EPOCH).is_err());
        assert!(wanted(&args(Some(Duration::MAX), "x"), Timestamp::UNIX_EPOCH).is_err());
    }
}
