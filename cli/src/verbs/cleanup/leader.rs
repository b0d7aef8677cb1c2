//! Whether an operator is alive, as its Lease tells.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bulkhead_controllers::runtime::args::DEFAULT_NAMESPACE;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::Client;
use kube::api::Api;

/// Name of the Lease, unless the operator was told another one.
const NAME: &str = "bulkhead-operator";
/// A Lease without a duration is watched for this long.
const DEFAULT_DURATION: Duration = Duration::from_secs(15);

/// The Lease at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    holder: Option<String>,
    version: Option<String>,
    duration: Duration,
}

impl Leader {
    /// Reads it.
    pub async fn read(client: &Client) -> Result<Self> {
        let leases: Api<Lease> = Api::namespaced(client.clone(), DEFAULT_NAMESPACE);
        let lease = leases
            .get_opt(NAME)
            .await
            .context("cannot tell whether an operator is alive")?;
        Ok(Self::of(lease))
    }

    fn of(lease: Option<Lease>) -> Self {
        let version = lease.as_ref().and_then(|l| l.metadata.resource_version.clone());
        let spec: LeaseSpec = lease.and_then(|l| l.spec).unwrap_or_default();
        let seconds = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok());
        Self {
            holder: spec.holder_identity.filter(|h| !h.is_empty()),
            version,
            duration: seconds.map_or(DEFAULT_DURATION, Duration::from_secs),
        }
    }

    /// How long it must stay as it is to prove that nobody renews it. Clocks are not compared.
    pub fn observation(&self) -> Duration {
        if self.holder.is_some() {
            self.duration
        } else {
            Duration::ZERO
        }
    }

    /// Fails if the Lease moved since it was read.
    pub async fn require_gone(&self, client: &Client) -> Result<()> {
        self.judge(&Self::read(client).await?)
    }

    fn judge(&self, now: &Self) -> Result<()> {
        if now.version == self.version || now.holder.is_none() {
            return Ok(());
        }
        bail!(
            "an operator is alive ({}): end it first, for example with kubectl -n {DEFAULT_NAMESPACE} scale deployment \
             bulkhead-operator --replicas=0",
            now.holder.as_deref().unwrap_or_default()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, version: &str) -> Leader {
        Leader {
            holder: (!holder.is_empty()).then(|| holder.to_owned()),
            version: Some(version.to_owned()),
            duration: DEFAULT_DURATION,
        }
    }

    #[test]
    fn a_lease_that_moves_belongs_to_a_living_operator() {
        assert!(lease("a", "1").judge(&lease("a", "2")).is_err());
        assert!(lease("", "1").judge(&lease("b", "2")).is_err());
    }

    #[test]
    fn a_lease_that_stands_still_or_was_released_belongs_to_nobody() {
        assert!(lease("a", "1").judge(&lease("a", "1")).is_ok());
        assert!(lease("a", "1").judge(&lease("", "2")).is_ok());
        assert!(Leader::of(None).judge(&Leader::of(None)).is_ok());
        assert_eq!(Leader::of(None).observation(), Duration::ZERO);
        assert_eq!(lease("a", "1").observation(), DEFAULT_DURATION);
    }
}
