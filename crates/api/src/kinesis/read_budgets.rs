//! What Amazon lets out of a shard by GetRecords: 5 calls and 2 MiB a second (quotas page), where the
//! server is told to limit it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use baikonur_stream::ShardAddress;

/// Calls that a second admits.
const CALLS_PER_SECOND: f64 = 5.0;
/// Bytes that a second admits. A call may take more, and is paid for by those after it.
const BYTES_PER_SECOND: f64 = 2.0 * 1024.0 * 1024.0;
/// Shards whose state is kept; a shard that rested for a second is forgotten first.
const SHARDS_KEPT: usize = 20_000;

/// What may be read of each shard; nothing is kept where there is no limit.
#[derive(Debug)]
pub(crate) struct ReadBudgets(Option<Mutex<HashMap<ShardAddress, Level>>>);

#[derive(Debug, Clone, Copy)]
struct Level {
    calls: f64,
    bytes: f64,
    at: Duration,
}

impl Level {
    fn full(at: Duration) -> Self {
        Self { calls: CALLS_PER_SECOND, bytes: BYTES_PER_SECOND, at }
    }

    fn at(self, now: Duration) -> Self {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        Self {
            calls: (self.calls + passed * CALLS_PER_SECOND).min(CALLS_PER_SECOND),
            bytes: (self.bytes + passed * BYTES_PER_SECOND).min(BYTES_PER_SECOND),
            at: now.max(self.at),
        }
    }
}

impl ReadBudgets {
    /// Budgets, limited or not.
    pub(crate) fn new(limited: bool) -> Self {
        Self(limited.then(Mutex::default))
    }

    /// Whether there is a limit.
    pub(crate) fn is_limited(&self) -> bool {
        self.0.is_some()
    }

    /// Takes one call on a shard at the monotonic time `now`; false if it comes too early.
    pub(crate) fn take_call(&self, shard: &ShardAddress, now: Duration) -> bool {
        self.with(shard, now, |level| {
            let admitted = level.calls >= 1.0 && level.bytes > 0.0;
            if admitted {
                level.calls -= 1.0;
            }
            admitted
        })
    }

    /// Takes the bytes that a call returned.
    pub(crate) fn take_bytes(&self, shard: &ShardAddress, bytes: usize, now: Duration) {
        self.with(shard, now, |level| {
            level.bytes -= bytes as f64;
            true
        });
    }

    fn with(
        &self,
        shard: &ShardAddress,
        now: Duration,
        change: impl FnOnce(&mut Level) -> bool,
    ) -> bool {
        let Some(levels) = &self.0 else { return true };
        let mut levels = levels.lock().unwrap_or_else(PoisonError::into_inner);
        if levels.len() >= SHARDS_KEPT {
            levels.retain(|_, level| now.saturating_sub(level.at) < Duration::from_secs(1));
        }
        let level = levels.entry(shard.clone()).or_insert_with(|| Level::full(now));
        *level = level.at(now);
        change(level)
    }
}

#[cfg(test)]
mod tests {
    use baikonur_stream::{ShardId, StreamName};

    use super::*;

    fn shard(index: u32) -> ShardAddress {
        ShardAddress { stream: StreamName::new("s").unwrap(), shard: ShardId::new(index) }
    }

    #[test]
    fn five_calls_a_second_for_each_shard() {
        let budgets = ReadBudgets::new(true);
        let at = |millis| Duration::from_millis(millis);
        let calls = |index, millis| {
            (0..10).filter(|_| budgets.take_call(&shard(index), at(millis))).count()
        };
        assert_eq!([calls(0, 0), calls(1, 0), calls(0, 400), calls(0, 5000)], [5, 5, 2, 5]);
        assert!((0..100).all(|_| ReadBudgets::new(false).take_call(&shard(0), at(0))));
    }

    #[test]
    fn ten_mebibytes_are_paid_for_in_five_seconds() {
        let budgets = ReadBudgets::new(true);
        let at = |millis| Duration::from_millis(millis);
        assert!(budgets.take_call(&shard(0), at(0)));
        budgets.take_bytes(&shard(0), 10 * 1024 * 1024, at(0));
        assert!(!budgets.take_call(&shard(0), at(3900)));
        assert!(budgets.take_call(&shard(0), at(4100)));
    }
}
