//! Leases of the modules that share their streams with other processes.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use baikonur_kinesis::Connection;
use baikonur_leases::{DynamoDb, SharedLeases};
use baikonur_stream::{Clock, ConsumerName};
use tracing::info;
use uuid::Uuid;

use crate::config::{KinesisConfig, LeasesConfig};

/// Where the lease tables are, and who this worker is.
pub(super) struct LeaseTables {
    config: LeasesConfig,
    connection: Connection,
    /// Of this run of this process.
    worker: String,
    clock: Arc<dyn Clock>,
}

impl LeaseTables {
    /// Finds region and credentials, those of `[kinesis]` where `[leases]` says nothing else. Tables are not contacted.
    pub(super) async fn open(
        config: LeasesConfig,
        kinesis: &KinesisConfig,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let region = config.region.clone().or_else(|| kinesis.region.clone());
        let (profile, endpoint) = (kinesis.profile.clone(), config.endpoint_url.clone());
        let connection = Connection::to_service(region, profile, endpoint, None).await?;
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "baikonur".to_owned());
        let worker = format!("{host}:{}", Uuid::new_v4());
        Ok(Self { config, connection, worker, clock: Arc::clone(clock) })
    }

    /// Joins the workers of a module: who has which shard, and where its checkpoints are.
    pub(super) fn join(&self, module: &ConsumerName) -> Arc<SharedLeases> {
        let settings = self.config.settings(module, &self.worker);
        let endpoint = self.config.endpoint_url.as_deref();
        let table = DynamoDb::new(self.connection.sdk_config(), endpoint, &settings.table_name);
        info!(%module, table = %settings.table_name, worker = %settings.worker_identifier, "shards are shared by leases");
        let seed = RandomState::new().hash_one(&settings.worker_identifier);
        Arc::new(SharedLeases::start(table, Arc::clone(&self.clock), settings, seed))
    }
}
