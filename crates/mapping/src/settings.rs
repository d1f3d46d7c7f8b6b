//! Parameters of a mapping, named and ranged as AWS Lambda names them
//! (API reference, `CreateEventSourceMapping`).

use std::time::Duration;

use baikonur_stream::{Lane, StartingPosition, Timestamp};

/// How a mapping forms batches and what it does with failures.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `BatchSize`: records of a batch, 1 to 10,000. Default 500.
    pub batch_size: usize,
    /// Bytes of a batch: payloads and partition keys. A larger record makes a batch of its own.
    /// Default 6 MiB, Lambda's payload limit; what Lambda counts against it is the serialised event,
    /// with payloads in base64, which is never made here.
    pub batch_bytes: usize,
    /// `MaximumBatchingWindowInSeconds`: how long to wait for a full batch, counted from the end of
    /// the shard's previous delivery, 0 to 300 s. Default 0: whatever a read gives is delivered.
    pub batching_window: Duration,
    /// `ParallelizationFactor`: lanes of a shard, 1 to 10, that are delivered side by side; records
    /// of one partition key are in one lane. Size and window of a batch, its retries and the age of
    /// its records are those of the lane. Default 1.
    pub parallelization_factor: u32,
    /// Bytes that the mapping may hold between reading and acknowledgement, over all shards and
    /// lanes: payloads and partition keys. With less room batches are handed over before they are
    /// full. Default 64 MiB.
    pub in_flight_bytes: usize,
    /// `StartingPosition` of shards that have no checkpoint. Default TRIM_HORIZON.
    pub starting_position: Start,
    /// `MaximumRetryAttempts`: how often a failing batch is tried again before it goes to the failed
    /// store; none means until it succeeds or expires. Attempts that failed because the destination
    /// was down or throttled do not count. Default none.
    pub maximum_retry_attempts: Option<u32>,
    /// `MaximumRecordAgeInSeconds`: older records go to the failed store without being tried
    /// (again). Default none.
    pub maximum_record_age: Option<Duration>,
    /// `BisectBatchOnFunctionError`: cut a failing batch in two before its retries are used up.
    /// Default false.
    pub bisect_batch_on_function_error: bool,
    /// Longest pause before the first retry; the actual one is random below it, and the bound
    /// doubles with each further one. Default 500 ms.
    pub retry_initial: Duration,
    /// The bound on the pause stops growing here. Default 30 s.
    pub retry_maximum: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch_size: 500,
            batch_bytes: 6 * 1024 * 1024,
            batching_window: Duration::ZERO,
            parallelization_factor: 1,
            in_flight_bytes: 64 * 1024 * 1024,
            starting_position: Start::TrimHorizon,
            maximum_retry_attempts: None,
            maximum_record_age: None,
            bisect_batch_on_function_error: false,
            retry_initial: Duration::from_millis(500),
            retry_maximum: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// How far lanes may be ahead of the slowest one, in records of the shard: ten batches each, but
    /// no more than 100,000 and no less than one batch each. After a crash no more than that many
    /// records of a shard come again.
    pub(crate) fn look_ahead(&self) -> usize {
        let lanes = self.parallelization_factor.clamp(1, Lane::MAX) as usize;
        let round = lanes * self.batch_size;
        (10 * round).min(100_000).max(round)
    }
}

/// Where a mapping starts in shards that it has not read before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record retained.
    TrimHorizon,
    /// With records that arrive after the mapping was first started.
    Latest,
    /// With records that arrived at this moment or later.
    AtTimestamp(Timestamp),
}

impl From<Start> for StartingPosition {
    fn from(start: Start) -> Self {
        match start {
            Start::TrimHorizon => Self::TrimHorizon,
            Start::Latest => Self::Latest,
            Start::AtTimestamp(moment) => Self::AtTimestamp(moment),
        }
    }
}
