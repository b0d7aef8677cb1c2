//! Waiting with a deadline; nothing here sleeps for luck.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::bail;

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(25);

/// Waits until the probe answers `Ok`. Its last error explains a failure.
pub async fn eventually<T, F>(what: &str, limit: Duration, mut probe: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let deadline = Instant::now() + limit;
    loop {
        match probe().await {
            Ok(value) => return Ok(value),
            Err(reason) if Instant::now() > deadline => {
                bail!("waited {limit:?} in vain for {what}: {reason:#}");
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}
