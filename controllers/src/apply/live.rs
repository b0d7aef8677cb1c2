//! Live reads of what all namespaces have in common, shared by all who ask at the same time.

use std::{future::Future, sync::Arc, time::Instant};

use tokio::sync::Mutex;

use super::{ApplyError, reads::Reads};
use crate::{
    decide::Carriers,
    observe::{
        watch::{isolation_config, network_config},
        world::Kind,
    },
    plan::Generations,
};

/// A live read that serves everybody who asked before it began, so that a thousand namespaces that move at once
/// cost a handful of reads, each as fresh as one of its own.
struct Shared<T>(Mutex<Option<(Instant, Arc<T>)>>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Shared<T> {
    /// What was read at some moment after this call.
    async fn read(&self, read: impl Future<Output = Result<T, ApplyError>>) -> Result<Arc<T>, ApplyError> {
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        if let Some((began, known)) = &*last
            && *began > asked
        {
            return Ok(known.clone());
        }
        let began = Instant::now();
        let fresh = Arc::new(read.await?);
        *last = Some((began, fresh.clone()));
        Ok(fresh)
    }
}

/// The configuration and the declarations as they stand.
pub struct Live {
    reads: Reads,
    read_overrides: bool,
    carriers: Shared<Carriers>,
    generations: Shared<Generations>,
}

impl Live {
    /// Nothing was read yet.
    pub fn new(reads: Reads, read_overrides: bool) -> Self {
        Self {
            reads,
            read_overrides,
            carriers: Shared::default(),
            generations: Shared::default(),
        }
    }

    /// The carriers of the configuration.
    pub async fn carriers(&self) -> Result<Arc<Carriers>, ApplyError> {
        let cluster = bulkhead_api::vocabulary::CLUSTER;
        let read = async {
            let network = self.reads.object(Kind::Networks, cluster);
            let isolation = self.reads.object(Kind::SystemIsolations, cluster);
            let (network, isolation) = futures::future::try_join(network, isolation).await?;
            Ok(Carriers {
                network: network.as_ref().and_then(network_config),
                isolation: isolation.and_then(isolation_config),
                read_overrides: self.read_overrides,
            })
        };
        self.carriers.read(read).await
    }

    /// Which declarations there are.
    pub async fn generations(&self) -> Result<Arc<Generations>, ApplyError> {
        self.generations.read(self.reads.generations()).await
    }
}
