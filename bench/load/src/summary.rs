//! Figures of a run.

use std::time::Duration;

use serde_json::{Value, json};

/// What one connection, or all, measured.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// Calls that were answered with 200.
    pub(crate) calls: u64,
    pub(crate) records: u64,
    /// Of bodies, as they travelled.
    pub(crate) bytes: u64,
    /// How long calls took, in microseconds.
    latencies_us: Vec<u32>,
    /// Calls that were answered with anything else, or not at all.
    failed_calls: u64,
    first_failure: Option<String>,
    /// Calls that were given up because the run was over long ago.
    pub(crate) unfinished: u64,
}

impl Measured {
    pub(crate) fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.records += other.records;
        self.bytes += other.bytes;
        self.latencies_us.extend(other.latencies_us);
        self.failed_calls += other.failed_calls;
        self.first_failure = self.first_failure.take().or(other.first_failure);
        self.unfinished += other.unfinished;
    }

    pub(crate) fn took(&mut self, latency: Duration) {
        self.latencies_us.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    pub(crate) fn failed(&mut self, why: String) {
        self.failed_calls += 1;
        self.first_failure.get_or_insert(why);
    }

    /// The figures per second of `elapsed`.
    pub(crate) fn summary(mut self, elapsed: Duration) -> Value {
        let seconds = elapsed.as_secs_f64();
        json!({
            "seconds": rounded(seconds),
            "calls": self.calls,
            "records": self.records,
            "records_per_second": (self.records as f64 / seconds).round(),
            "megabytes_per_second": rounded(self.bytes as f64 / seconds / 1e6),
            "latency_ms": percentiles(&mut self.latencies_us),
            "failed_calls": self.failed_calls,
            "first_failure": self.first_failure,
            "unfinished_calls": self.unfinished,
        })
    }
}

/// Percentiles in milliseconds.
pub(crate) fn percentiles(latencies_us: &mut [u32]) -> Value {
    latencies_us.sort_unstable();
    let at = |part: f64| {
        let last = latencies_us.len().saturating_sub(1);
        let value = latencies_us.get((last as f64 * part).round() as usize).copied();
        rounded(f64::from(value.unwrap_or(0)) / 1000.0)
    };
    json!({ "p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "max": at(1.0) })
}

pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
