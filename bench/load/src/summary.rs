//! Figures of a run.

use std::time::Duration;

use serde_json::{Value, json};

/// What one connection, or all, measured.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) calls: u64,
    pub(crate) records: u64,
    /// Of bodies, as they travelled.
    pub(crate) bytes: u64,
    /// How long calls took, in microseconds.
    pub(crate) latencies_us: Vec<u32>,
}

impl Measured {
    pub(crate) fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.records += other.records;
        self.bytes += other.bytes;
        self.latencies_us.extend(other.latencies_us);
    }

    pub(crate) fn took(&mut self, latency: Duration) {
        self.latencies_us.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
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

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
