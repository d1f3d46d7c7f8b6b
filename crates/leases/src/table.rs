//! What a worker asks of a lease table and of the tables beside it.

use std::time::Duration;

use async_trait::async_trait;
use baikonur_stream::{ShardId, Timestamp};

use crate::lease::{Lease, WorkerId, Write};

/// A call that failed: nobody knows whether it took effect, and trying again may help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the lease table: {0}")]
pub(crate) struct TableError(pub(crate) String);

/// Who decides which worker gets which lease.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Coordination {
    /// The table is one of KCL 3: a leader assigns leases, and others follow.
    pub(crate) is_version_3: bool,
    /// The leader's lock, unless it was released.
    pub(crate) leader: Option<LeaderLock>,
}

/// A lock that its holder keeps by changing its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaderLock {
    pub(crate) version: String,
    /// Unchanged for this long, it is nobody's any more.
    pub(crate) lease_duration: Duration,
}

/// A lease table.
#[async_trait]
pub(crate) trait LeaseTable: Send + Sync + 'static {
    /// Makes the table if there is none; returns when it can be used.
    async fn make(&self) -> Result<(), TableError>;

    /// All leases, as they are now.
    async fn scan(&self) -> Result<Vec<Lease>, TableError>;

    /// One lease, as it is now.
    async fn get(&self, shard: ShardId) -> Result<Option<Lease>, TableError>;

    /// Writes; false when the condition was not met.
    async fn write(&self, shard: ShardId, write: &Write) -> Result<bool, TableError>;

    /// Shards whose leases bear this owner; it may be out of date.
    async fn owned_by(&self, worker: &WorkerId) -> Result<Vec<ShardId>, TableError>;

    /// Who decides.
    async fn coordination(&self) -> Result<Coordination, TableError>;

    /// Tells a leader, if workers of this table have one, that this worker lives.
    async fn report(&self, worker: &WorkerId, now: Timestamp) -> Result<(), TableError>;
}
