//! Administering: streams made, described, retained and deleted.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Shard, StreamName, Timestamp};

/// How long records are kept, in hours: 24 to 8760 (quotas page, "Data retention period").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RetentionHours(u32);

impl RetentionHours {
    /// The shortest period, also the default.
    pub const MIN: Self = Self(24);
    /// The longest period: 365 days.
    pub const MAX: Self = Self(8760);

    /// The period of `hours`, none outside the range.
    pub fn new(hours: u32) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&hours).then_some(Self(hours))
    }

    /// The period in hours.
    pub const fn hours(self) -> u32 {
        self.0
    }
}

/// Where a stream is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamStatus {
    /// Being made.
    Creating,
    /// In use.
    Active,
    /// In use while its shards change.
    Updating,
    /// Going away.
    Deleting,
}

/// A stream to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateStream {
    /// Its name.
    pub name: StreamName,
    /// How many shards it starts with, at least 1.
    pub shard_count: u32,
    /// How long it keeps records.
    pub retention: RetentionHours,
}

/// A stream as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamDescription {
    /// Its name.
    pub name: StreamName,
    /// Where it is in its life.
    pub status: StreamStatus,
    /// When it was made.
    pub created: Timestamp,
    /// How long it keeps records.
    pub retention: RetentionHours,
    /// Its shards, open and closed, by ascending id.
    pub shards: Vec<Shard>,
}

/// Why a stream could not be administered. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdministerError {
    /// There is no such stream.
    #[error("stream {0} not found")]
    StreamNotFound(StreamName),
    /// There is one already.
    #[error("stream {0} already exists")]
    StreamExists(StreamName),
    /// More shards than the store takes.
    #[error("{requested} shards would exceed the limit of {limit}; {open} are open")]
    ShardLimit {
        /// Shards that the call asked for.
        requested: u32,
        /// Open shards of all streams.
        open: u32,
        /// The most that the store takes.
        limit: u32,
    },
    /// The period is shorter than the present one, which must be decreased by name.
    #[error("{requested} hours is shorter than the present {present} hours")]
    RetentionShorter {
        /// Hours asked for.
        requested: u32,
        /// Hours in force.
        present: u32,
    },
    /// The period is longer than the present one, which must be increased by name.
    #[error("{requested} hours is longer than the present {present} hours")]
    RetentionLonger {
        /// Hours asked for.
        requested: u32,
        /// Hours in force.
        present: u32,
    },
    /// The store cannot take the change now.
    #[error("the store cannot be changed: {0}")]
    Unavailable(String),
}

/// Streams as their owner sees them. A success is durable.
#[async_trait]
pub trait Administer: Send + Sync + 'static {
    /// Makes a stream.
    async fn create_stream(&self, request: CreateStream) -> Result<(), AdministerError>;

    /// Deletes a stream and what it holds.
    async fn delete_stream(&self, name: &StreamName) -> Result<(), AdministerError>;

    /// The names of all streams, sorted.
    async fn list_streams(&self) -> Result<Vec<StreamName>, AdministerError>;

    /// One stream with its shards.
    async fn describe_stream(
        &self,
        name: &StreamName,
    ) -> Result<StreamDescription, AdministerError>;

    /// Keeps records longer. The period in force is a success.
    async fn increase_retention(
        &self,
        name: &StreamName,
        to: RetentionHours,
    ) -> Result<(), AdministerError>;

    /// Keeps records shorter. The period in force is a success.
    async fn decrease_retention(
        &self,
        name: &StreamName,
        to: RetentionHours,
    ) -> Result<(), AdministerError>;
}
