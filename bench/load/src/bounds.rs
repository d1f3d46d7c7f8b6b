//! When a run ends: by time, by what was put, and in any case.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use baikonur_stream::{Clock, SystemClock};

use crate::Arguments;

/// How long after the end of a run answers are waited for.
const GRACE: Duration = Duration::from_secs(5);

/// The bounds of one run, the same for all its connections.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    pub(crate) clock: SystemClock,
    pub(crate) started: Duration,
    /// From here on nothing is started.
    pub(crate) end: Duration,
    /// From here on nothing is waited for.
    pub(crate) deadline: Duration,
    records_left: Arc<AtomicI64>,
}

impl Bounds {
    /// The run begins now.
    pub(crate) fn new(arguments: &Arguments, clock: SystemClock) -> Self {
        let started = clock.monotonic();
        let end = started + arguments.duration();
        let records = arguments.megabytes * 1_000_000 / arguments.record_bytes.max(1) as u64;
        let records_left = Arc::new(AtomicI64::new(i64::try_from(records).unwrap_or(i64::MAX)));
        Self { clock, started, end, deadline: end + GRACE, records_left }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.monotonic() - self.started
    }

    pub(crate) fn over(&self) -> bool {
        self.clock.monotonic() >= self.end
    }

    /// Takes records out of what may still be put; false when there are none left.
    pub(crate) fn take(&self, records: usize) -> bool {
        let records = i64::try_from(records).unwrap_or(i64::MAX);
        self.records_left.fetch_sub(records, Ordering::Relaxed) > 0
    }

    /// What comes of it, or nothing when that takes longer than anything is waited for.
    pub(crate) async fn within<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        let left = self.deadline.saturating_sub(self.clock.monotonic());
        tokio::time::timeout(left, what).await.ok()
    }
}
