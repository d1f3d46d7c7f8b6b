//! What was put into each shard: counters over time into rates by the minute.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use baikonur_stream::{ShardId, ShardUsage};

use super::plan::{QUIET_MINUTES, ShardLoad, WriteRate};
use crate::key_space::KeySpace;

/// Ticks of a minute: the driver looks every ten seconds.
const TICKS_PER_MINUTE: u64 = 6;

/// Counters at a moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    bytes: u64,
    records: u64,
}

impl Sample {
    /// The rate since `earlier`; none if no time went by, or the counters began anew.
    fn since(&self, earlier: &Self) -> Option<WriteRate> {
        let millis = u64::try_from((self.at.checked_sub(earlier.at)?).as_millis()).ok()?;
        let rate = |now: u64, then: u64| {
            let difference = u128::from(now.checked_sub(then)?);
            let rate = (difference * 1000).checked_div(u128::from(millis))?;
            u64::try_from(rate).ok()
        };
        Some(WriteRate {
            bytes: rate(self.bytes, earlier.bytes)?,
            records: rate(self.records, earlier.records)?,
        })
    }
}

#[derive(Debug, Default)]
struct ShardHistory {
    /// Of the last minute, newest last.
    recent: VecDeque<Sample>,
    /// One a minute, at the same ticks for all shards, newest last.
    minutes: VecDeque<Sample>,
}

/// The history of a stream's open shards.
#[derive(Debug, Default)]
pub(super) struct History {
    tick: u64,
    shards: BTreeMap<ShardId, ShardHistory>,
}

impl History {
    /// Notes what the counters say; shards that are not among them are forgotten.
    pub(super) fn note(&mut self, at: Duration, usage: &[ShardUsage]) {
        let is_minute = self.tick.is_multiple_of(TICKS_PER_MINUTE);
        self.tick += 1;
        let mut before = std::mem::take(&mut self.shards);
        for usage in usage {
            let mut shard = before.remove(&usage.shard).unwrap_or_default();
            let sample = Sample { at, bytes: usage.bytes_in, records: usage.records_in };
            keep(&mut shard.recent, sample, TICKS_PER_MINUTE as usize + 1);
            if is_minute {
                keep(&mut shard.minutes, sample, QUIET_MINUTES + 1);
            }
            self.shards.insert(usage.shard, shard);
        }
    }

    /// The open shards with their loads.
    pub(super) fn loads(&self, key_space: &KeySpace) -> Vec<ShardLoad> {
        let load = |shard: &crate::key_space::OpenShard| {
            let (mut last_minute, mut minutes) = (None, Vec::new());
            if let Some(history) = self.shards.get(&shard.id) {
                if let (Some(first), Some(last)) = (history.recent.front(), history.recent.back())
                    && history.recent.len() > TICKS_PER_MINUTE as usize
                {
                    last_minute = last.since(first);
                }
                let newest_first = || history.minutes.iter().rev();
                let pairs = newest_first().zip(newest_first().skip(1));
                minutes = pairs.map_while(|(now, then)| now.since(then)).collect();
            }
            ShardLoad { shard: *shard, last_minute, minutes }
        };
        key_space.shards().iter().map(load).collect()
    }
}

fn keep(samples: &mut VecDeque<Sample>, sample: Sample, count: usize) {
    samples.push_back(sample);
    if samples.len() > count {
        samples.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpenShard;
    use baikonur_stream::HashKeyRange;

    fn usage(shard: u32, records: u64) -> ShardUsage {
        let shard = ShardId::new(shard);
        ShardUsage {
            shard,
            records_in: records,
            bytes_in: records * 10,
            records_out: 0,
            bytes_out: 0,
        }
    }

    fn one_shard() -> KeySpace {
        KeySpace::new(vec![OpenShard { id: ShardId::new(0), range: HashKeyRange::evenly(1)[0] }])
            .unwrap()
    }

    #[test]
    fn a_rate_is_known_after_a_minute_and_minutes_count_up_to_fifteen() {
        let (mut history, space) = (History::default(), one_shard());
        let mut load = |tick: u64| {
            history.note(Duration::from_secs(10 * tick), &[usage(0, 100 * tick)]);
            history.loads(&space).remove(0)
        };
        let rate = WriteRate { bytes: 100, records: 10 };
        for tick in 0..200 {
            let ShardLoad { last_minute, minutes, .. } = load(tick);
            assert_eq!(last_minute, (tick >= 6).then_some(rate), "{tick}");
            assert_eq!(minutes, vec![rate; (tick as usize / 6).min(15)], "{tick}");
        }
    }

    #[test]
    fn counters_that_begin_anew_and_shards_that_come_are_not_known() {
        let (mut history, space) = (History::default(), one_shard());
        for tick in 0..7 {
            history.note(Duration::from_secs(10 * tick), &[usage(0, 1000)]);
        }
        assert_eq!(history.loads(&space)[0].last_minute, Some(WriteRate::default()));
        history.note(Duration::from_secs(70), &[usage(0, 3)]);
        assert_eq!(history.loads(&space)[0].last_minute, None);
        history.note(Duration::from_secs(80), &[usage(1, 0)]);
        assert!(history.loads(&space)[0].minutes.is_empty());
    }
}
