//! What a monitor measures: bytes and records through a stream, minute by minute.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use baikonur_stream::{StreamName, Timestamp};
use serde::Deserialize;

/// Milliseconds of a minute.
pub(crate) const MINUTE: u64 = 60_000;

/// What is done with records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// PutRecord and PutRecords.
    Put,
    /// GetRecords. What goes through SubscribeToShard is not counted by Amazon's metric.
    Get,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Put => "PUT",
            Self::Get => "GET",
        })
    }
}

/// Sums over a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Volume {
    /// Bytes.
    pub bytes: u64,
    /// Records.
    pub records: u64,
}

/// Sums by the minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// Of which time they tell. A minute of it that has no sum had no records.
    pub known: Range<Timestamp>,
    /// By the beginning of the minute.
    pub minutes: BTreeMap<Timestamp, Volume>,
}

/// That there are no figures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the metrics cannot be had: {0}")]
pub struct MetricsError(pub String);

/// Where figures come from.
#[async_trait]
pub trait Metrics: Send + Sync + 'static {
    /// The sums of the last `minutes` full minutes at least, as far as they are known.
    async fn measure(
        &self,
        stream: &StreamName,
        operation: Operation,
        minutes: u32,
    ) -> Result<Measured, MetricsError>;
}

/// The beginning of the minute that `time` is in.
pub(crate) fn minute_of(time: Timestamp) -> Timestamp {
    Timestamp::from_millis(time.millis() / MINUTE * MINUTE)
}

/// The first minute that begins at `time` or after it.
pub(crate) fn minute_from(time: Timestamp) -> Timestamp {
    Timestamp::from_millis(time.millis().div_ceil(MINUTE) * MINUTE)
}
