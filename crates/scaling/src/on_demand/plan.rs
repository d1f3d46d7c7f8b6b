//! Which shards of an on-demand stream are split and merged: pure, and the same for the same load.

use std::collections::BTreeSet;

use baikonur_stream::{HashKey, ON_DEMAND_SHARDS_MIN, Reshard};

use crate::key_space::OpenShard;

/// Bytes a second that a shard takes (quotas page: 1 MiB/s).
pub const WRITE_BYTES_PER_SECOND: u64 = 1 << 20;
/// Records a second that a shard takes (quotas page).
pub const WRITE_RECORDS_PER_SECOND: u64 = 1000;
/// For so long two shards must be quiet before they are merged.
pub const QUIET_MINUTES: usize = 15;
/// Splits and merges of one plan; the next one comes soon.
pub const STEPS_MAX: usize = 128;
/// A shard narrower than this part of an even share is not split: what is hot there is few keys, or
/// one, and a split only moves them.
const NARROWEST: u32 = 16;

/// What is put into a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteRate {
    /// Bytes a second.
    pub bytes: u64,
    /// Records a second.
    pub records: u64,
}

impl WriteRate {
    /// Whether it is above `part`/`of` of what a shard takes.
    fn is_above(self, part: u64, of: u64) -> bool {
        self.bytes.saturating_mul(of) > WRITE_BYTES_PER_SECOND * part
            || self.records.saturating_mul(of) > WRITE_RECORDS_PER_SECOND * part
    }

    /// Its share of what a shard takes, in millionths: of bytes or of records, whichever is more.
    fn millionths(self) -> u64 {
        let bytes = self.bytes.saturating_mul(1_000_000) / WRITE_BYTES_PER_SECOND;
        bytes.max(self.records.saturating_mul(1_000_000) / WRITE_RECORDS_PER_SECOND)
    }

    fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            records: self.records.saturating_add(other.records),
        }
    }
}

/// An open shard and what was put into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardLoad {
    /// The shard.
    pub shard: OpenShard,
    /// Over the last minute; none while it has been watched for less.
    pub last_minute: Option<WriteRate>,
    /// Minute by minute, newest first; minutes before it was watched are missing.
    pub minutes: Vec<WriteRate>,
}

/// The steps that the load wants. `loads` are all open shards, lowest hash keys first; `floor` is
/// how many shards there shall be whatever the load. Each step is about shards that are open now,
/// and no shard is in two of them.
pub fn plan(loads: &[ShardLoad], floor: u32) -> Vec<Reshard> {
    let count = u32::try_from(loads.len()).unwrap_or(u32::MAX);
    let mut steps = splits(loads, count, floor);
    let split: BTreeSet<_> = steps
        .iter()
        .map(|step| match step {
            Reshard::Split { shard, .. } | Reshard::Merge { shard, .. } => *shard,
        })
        .collect();
    let mut room = loads.len().saturating_sub(floor.max(ON_DEMAND_SHARDS_MIN) as usize);
    let mut place = 0;
    while let [lower, upper, ..] = &loads[place.min(loads.len())..]
        && steps.len() < STEPS_MAX
        && room > 0
    {
        let (shard, adjacent) = (lower.shard.id, upper.shard.id);
        if !split.contains(&shard) && !split.contains(&adjacent) && are_quiet(lower, upper) {
            steps.push(Reshard::Merge { shard, adjacent });
            room -= 1;
            place += 1;
        }
        place += 1;
    }
    steps
}

/// The hottest first; where they are equal, the lowest first. Then the widest, up to the floor.
fn splits(loads: &[ShardLoad], count: u32, floor: u32) -> Vec<Reshard> {
    let narrowest = u128::MAX / (u128::from(count.max(1)) * u128::from(NARROWEST));
    let width = |load: &ShardLoad| load.shard.range.end.value() - load.shard.range.start.value();
    let is_hot = |load: &&ShardLoad| load.last_minute.is_some_and(|rate| rate.is_above(1, 2));
    let mut hot: Vec<_> =
        loads.iter().filter(is_hot).filter(|load| width(load) >= narrowest).collect();
    let heat = |load: &ShardLoad| load.last_minute.map_or(0, WriteRate::millionths);
    hot.sort_by_key(|load| std::cmp::Reverse(heat(load)));
    let missing = (floor as usize).saturating_sub(loads.len() + hot.len());
    let mut cold: Vec<_> =
        loads.iter().filter(|load| !hot.iter().any(|hot| hot.shard.id == load.shard.id)).collect();
    cold.sort_by_key(|load| std::cmp::Reverse(width(load)));
    let chosen = hot.iter().chain(cold.iter().take(missing)).take(STEPS_MAX);
    chosen.map(|load| Reshard::Split { shard: load.shard.id, at: middle(&load.shard) }).collect()
}

fn middle(shard: &OpenShard) -> HashKey {
    let (start, end) = (shard.range.start.value(), shard.range.end.value());
    HashKey::new(start + (end - start) / 2 + 1)
}

/// Whether both were watched for long enough, and together stayed below a quarter of what one takes
/// in each minute of it.
fn are_quiet(lower: &ShardLoad, upper: &ShardLoad) -> bool {
    let minutes = lower.minutes.iter().zip(&upper.minutes).take(QUIET_MINUTES);
    let mut quiet = 0;
    for (lower, upper) in minutes {
        if lower.plus(*upper).is_above(1, 4) {
            return false;
        }
        quiet += 1;
    }
    let now = lower.last_minute.unwrap_or_default().plus(upper.last_minute.unwrap_or_default());
    quiet == QUIET_MINUTES && !now.is_above(1, 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use baikonur_stream::{HashKeyRange, ShardId};

    const IDLE: WriteRate = WriteRate { bytes: 0, records: 0 };
    const HALF: WriteRate = WriteRate { bytes: WRITE_BYTES_PER_SECOND / 2, records: 500 };

    /// Shards of equal width with this rate now, and for so many minutes before.
    fn loads(rates: &[WriteRate], minutes: usize) -> Vec<ShardLoad> {
        let ranges = HashKeyRange::evenly(rates.len() as u32);
        let load = |((rate, range), id): ((&WriteRate, _), u32)| ShardLoad {
            shard: OpenShard { id: ShardId::new(id), range },
            last_minute: (minutes > 0).then_some(*rate),
            minutes: vec![*rate; minutes],
        };
        rates.iter().zip(ranges).zip(0..).map(load).collect()
    }

    fn split_ids(steps: &[Reshard]) -> Vec<u32> {
        let ids = steps.iter().filter_map(|step| match step {
            Reshard::Split { shard, .. } => Some(shard.index()),
            Reshard::Merge { .. } => None,
        });
        ids.collect()
    }

    #[test]
    fn above_half_is_split_in_the_middle_hottest_first() {
        let more = WriteRate { records: 501, ..IDLE };
        let most = WriteRate { bytes: WRITE_BYTES_PER_SECOND, ..IDLE };
        let steps = plan(&loads(&[more, HALF, most, IDLE], 1), 0);
        assert_eq!(split_ids(&steps), [2, 0]);
        let at = HashKey::new(1 << 125);
        assert_eq!(steps[1], Reshard::Split { shard: ShardId::new(0), at });
    }

    #[test]
    fn a_shard_that_was_not_watched_for_a_minute_is_left_alone() {
        let full = WriteRate { records: 5000, bytes: 5 << 20 };
        assert!(plan(&loads(&[full; 4], 0), 0).is_empty());
    }

    #[test]
    fn double_the_load_is_met_by_double_the_shards() {
        let full = WriteRate { records: 1000, bytes: 1 << 20 };
        let steps = plan(&loads(&[full; 50], 3), 0);
        assert_eq!(split_ids(&steps), (0..50).collect::<Vec<_>>());
        assert!(plan(&loads(&[HALF; 100], 30), 0).is_empty());
        assert_eq!(plan(&loads(&[full; 1000], 1), 0).len(), STEPS_MAX);
    }

    #[test]
    fn a_hot_key_is_not_chased_without_end() {
        let full = WriteRate { records: 3000, bytes: 3 << 20 };
        let mut shards: Vec<OpenShard> =
            loads(&[full; 4], 1).iter().map(|load| load.shard).collect();
        let (key, mut next, mut rounds) = (HashKey::new(12345), 4, 0);
        loop {
            let loads: Vec<_> = shards
                .iter()
                .map(|shard| {
                    let rate = if shard.range.contains(key) { full } else { HALF };
                    ShardLoad { shard: *shard, last_minute: Some(rate), minutes: vec![rate; 15] }
                })
                .collect();
            let steps = plan(&loads, 0);
            let [Reshard::Split { shard, at }] = steps[..] else {
                assert!(steps.is_empty(), "{steps:?}");
                break;
            };
            let place = shards.iter().position(|open| open.id == shard).unwrap();
            let (mut lower, mut upper) = (shards[place], shards[place]);
            (lower.range.end, upper.range.start) = (HashKey::new(at.value() - 1), at);
            (lower.id, upper.id) = (ShardId::new(next), ShardId::new(next + 1));
            shards.splice(place..=place, [lower, upper]);
            (next, rounds) = (next + 2, rounds + 1);
        }
        assert_eq!(rounds, 6);
    }

    #[test]
    fn idle_neighbours_are_merged_after_a_quarter_of_an_hour_down_to_four() {
        assert!(plan(&loads(&[IDLE; 9], QUIET_MINUTES - 1), 0).is_empty());
        let merge = |shard| Reshard::Merge {
            shard: ShardId::new(shard),
            adjacent: ShardId::new(shard + 1),
        };
        assert_eq!(plan(&loads(&[IDLE; 9], QUIET_MINUTES), 0), [0, 2, 4, 6].map(merge));
        assert_eq!(plan(&loads(&[IDLE; 5], QUIET_MINUTES), 0), [merge(0)]);
        assert_eq!(plan(&loads(&[IDLE; 9], QUIET_MINUTES), 8), [merge(0)]);
        for count in [1, 3, 4] {
            assert!(plan(&loads(&vec![IDLE; count], QUIET_MINUTES), 0).is_empty(), "{count}");
        }
    }

    #[test]
    fn one_busy_minute_keeps_two_shards_apart() {
        let eighth = WriteRate { records: 125, ..IDLE };
        let mut quiet = loads(&[eighth; 5], QUIET_MINUTES);
        assert_eq!(plan(&quiet, 0).len(), 1);
        for load in &mut quiet {
            load.minutes[7].records = 126;
        }
        assert!(plan(&quiet, 0).is_empty());
    }

    #[test]
    fn a_floor_is_reached_by_splitting_the_widest() {
        let steps = plan(&loads(&[IDLE; 4], 1), 6);
        assert_eq!(split_ids(&steps), [0, 1]);
        assert_eq!(plan(&loads(&[IDLE; 4], 1), 100).len(), 4);
        assert!(plan(&[], 3).is_empty());
    }
}
