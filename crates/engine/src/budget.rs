//! What Amazon lets into a shard: 1 MiB and 1,000 records a second (quotas page), as a bucket that
//! holds one second's worth and fills steadily.

use std::sync::Mutex;
use std::time::Duration;

use crate::lock::lock;

/// Bytes of payloads and partition keys a second.
const BYTES_PER_SECOND: f64 = 1024.0 * 1024.0;
/// Records a second.
const RECORDS_PER_SECOND: f64 = 1000.0;

/// What a shard may still take.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<Option<Level>>);

#[derive(Debug, Clone, Copy)]
struct Level {
    bytes: f64,
    records: f64,
    at: Duration,
}

impl Budget {
    /// Takes a record of `bytes` at the monotonic time `now`, if there is room for it. A record
    /// larger than a second's worth goes in when the bucket is full and is paid for later.
    pub(crate) fn take(&self, bytes: usize, now: Duration) -> bool {
        let mut level = lock(&self.0);
        let full = Level { bytes: BYTES_PER_SECOND, records: RECORDS_PER_SECOND, at: now };
        let level = level.get_or_insert(full);
        let passed = now.saturating_sub(level.at).as_secs_f64();
        level.bytes = (level.bytes + passed * BYTES_PER_SECOND).min(BYTES_PER_SECOND);
        level.records = (level.records + passed * RECORDS_PER_SECOND).min(RECORDS_PER_SECOND);
        level.at = level.at.max(now);
        let bytes = bytes as f64;
        if level.records < 1.0 || level.bytes < bytes.min(BYTES_PER_SECOND) {
            return false;
        }
        level.records -= 1.0;
        level.bytes -= bytes;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_a_thousand_records_or_a_mebibyte() {
        let budget = Budget::default();
        let now = Duration::from_secs(5);
        assert_eq!((0..2000).filter(|_| budget.take(10, now)).count(), 1000);
        let later = now + Duration::from_millis(500);
        assert_eq!((0..2000).filter(|_| budget.take(10, later)).count(), 500);
        let rested = later + Duration::from_secs(10);
        assert_eq!((0..20).filter(|_| budget.take(128 * 1024, rested)).count(), 8);
    }

    #[test]
    fn a_record_of_many_seconds_goes_in_and_is_paid_for() {
        let budget = Budget::default();
        let at = Duration::from_secs;
        assert!(budget.take(3 * 1024 * 1024, at(1)));
        assert!(!budget.take(1, at(2)) && !budget.take(1, at(3)));
        assert!(budget.take(1, at(4)));
    }
}
