//! Parameters of a mapping, named and ranged as AWS Lambda names them
//! (API reference, `CreateEventSourceMapping`).

use std::time::Duration;

use baikonur_stream::StartingPosition;

/// How a mapping forms batches and what it does with failures.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `BatchSize`: records of a batch, 1 to 10,000. Default 500.
    pub batch_size: usize,
    /// Bytes of a batch: payloads and partition keys. A larger record makes a batch of its own.
    /// Default 6 MiB, Lambda's payload limit.
    pub batch_bytes: usize,
    /// `MaximumBatchingWindowInSeconds`: how long to wait for a full batch, counted from the end of
    /// the shard's previous delivery, 0 to 300 s. Default 0: whatever a read gives is delivered.
    pub batching_window: Duration,
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
            starting_position: Start::TrimHorizon,
            maximum_retry_attempts: None,
            maximum_record_age: None,
            bisect_batch_on_function_error: false,
            retry_initial: Duration::from_millis(500),
            retry_maximum: Duration::from_secs(30),
        }
    }
}

/// Where a mapping starts in shards that it has not read before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record retained.
    TrimHorizon,
    /// With records that arrive after the mapping was first started.
    Latest,
}

impl From<Start> for StartingPosition {
    fn from(start: Start) -> Self {
        match start {
            Start::TrimHorizon => Self::TrimHorizon,
            Start::Latest => Self::Latest,
        }
    }
}
