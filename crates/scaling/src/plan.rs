//! Splits and merges from one division of the key space to another: exact, few, and with never many
//! more shards in between than at either end.
//!
//! A boundary that is there and not wanted costs one merge, one that is wanted and not there one
//! split; nothing else is done. So the plan is as short as it can be, and it has fewer steps than
//! both divisions have shards together.

use std::collections::BTreeSet;

use baikonur_stream::{HashKey, HashKeyRange, Reshard, ShardId};

use crate::key_space::{KeySpace, OpenShard};

/// A boundary nearer to a wanted one than this part of the narrowest wanted shard is as good:
/// services round differently, and moving a boundary by a hash key would cost two calls.
const TOLERANCE_DIVISOR: u128 = 1_000_000;

/// Why some shards cannot be cut anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// It is closed, or never was.
    #[error("{0} is no open shard of the stream")]
    NotOpen(ShardId),
    /// Others lie between them.
    #[error("the shards do not lie side by side: {0} is between them")]
    Apart(ShardId),
    /// A split leaves at least two hash keys on either side.
    #[error("the shards are too narrow to be cut into {0}")]
    TooNarrow(u32),
    /// Nothing was named, or no part wanted.
    #[error("name at least one shard and one part")]
    Nothing,
}

/// The division in which `shards`, which lie side by side, are `into` shards of equal width, each
/// rounded down, the last one taking the rest; all others stay.
///
/// # Errors
/// The shards are not there, not side by side, or too narrow.
pub fn part_ranges(
    key_space: &KeySpace,
    shards: &BTreeSet<ShardId>,
    into: u32,
) -> Result<Vec<HashKeyRange>, PartError> {
    let all = key_space.shards();
    let first = all.iter().position(|shard| shards.contains(&shard.id));
    let last = all.iter().rposition(|shard| shards.contains(&shard.id));
    if let Some(id) = shards.iter().find(|id| !all.iter().any(|shard| shard.id == **id)) {
        return Err(PartError::NotOpen(*id));
    }
    let (Some(first), Some(last)) = (first, last) else { return Err(PartError::Nothing) };
    if into == 0 {
        return Err(PartError::Nothing);
    }
    if let Some(between) = all[first..=last].iter().find(|shard| !shards.contains(&shard.id)) {
        return Err(PartError::Apart(between.id));
    }
    let (start, end) = (all[first].range.start.value(), all[last].range.end.value());
    let n = u128::from(into);
    // floor((end − start + 1) / n) without the 129th bit; one part has the rest, which is all.
    let less_one = end - start;
    let width = (less_one / n).saturating_add(u128::from(less_one % n == n - 1));
    if into > 1 && width < 4 {
        return Err(PartError::TooNarrow(into));
    }
    let part = |i: u128| HashKeyRange {
        start: HashKey::new(start + i * width),
        end: HashKey::new(if i == n - 1 { end } else { start + (i + 1) * width - 1 }),
    };
    let before = all[..first].iter().map(|shard| shard.range);
    let after = all[last + 1..].iter().map(|shard| shard.range);
    Ok(before.chain((0..n).map(part)).chain(after).collect())
}

/// The steps from `key_space` to the division `wanted`, which covers the key space.
///
/// Shards that the steps make get the ids that the service gives: counting up from the highest one
/// open (the newest shard of a stream is always open), of a split the lower part first. There are
/// never more shards than the larger division has, and one; never less than the smaller one.
pub fn steps(key_space: &KeySpace, wanted: &[HashKeyRange]) -> Vec<Reshard> {
    let starts = |ranges: &mut dyn Iterator<Item = HashKeyRange>| -> BTreeSet<u128> {
        ranges.map(|range| range.start.value()).filter(|start| *start > 0).collect()
    };
    let present = starts(&mut key_space.shards().iter().map(|shard| shard.range));
    let tolerance = tolerance(key_space, wanted);
    let wanted = adopt(&present, &starts(&mut wanted.iter().copied()), tolerance);
    let mut splits: BTreeSet<u128> = wanted.difference(&present).copied().collect();
    let mut merges: BTreeSet<u128> = present.difference(&wanted).copied().collect();
    let (most, least) = (present.len().max(wanted.len()) + 1, present.len().min(wanted.len()) + 1);
    let mut division = Division::of(key_space);
    let mut steps = Vec::with_capacity(splits.len() + merges.len());
    while let Some(split) = choose(&splits, &merges, division.shards.len(), most, least) {
        let (from, step) = match split {
            true => (&mut splits, Division::split as fn(&mut Division, u128) -> Option<Reshard>),
            false => (&mut merges, Division::merge as fn(&mut Division, u128) -> Option<Reshard>),
        };
        let Some(boundary) = from.pop_first() else { break };
        steps.extend(step(&mut division, boundary));
    }
    steps
}

/// Whether the next step is a split: the lowest boundary comes first, unless there are too many
/// shards for another one, or too few for one less.
fn choose(
    splits: &BTreeSet<u128>,
    merges: &BTreeSet<u128>,
    count: usize,
    most: usize,
    least: usize,
) -> Option<bool> {
    match (splits.first(), merges.first()) {
        (None, None) => None,
        (Some(_), None) => Some(true),
        (None, Some(_)) => Some(false),
        (Some(split), Some(merge)) => Some(count <= least || (count < most && split < merge)),
    }
}

/// By how much a boundary may be off. At least one hash key: a split next to a boundary is refused.
fn tolerance(key_space: &KeySpace, wanted: &[HashKeyRange]) -> u128 {
    let present: BTreeSet<_> =
        key_space.shards().iter().map(|shard| (shard.range.start, shard.range.end)).collect();
    let new = wanted.iter().filter(|range| !present.contains(&(range.start, range.end)));
    let narrowest = new.map(|range| range.end.value() - range.start.value()).min();
    (narrowest.unwrap_or(0) / TOLERANCE_DIVISOR).max(1)
}

/// `wanted`, but with the boundaries of `present` where one is near enough.
fn adopt(present: &BTreeSet<u128>, wanted: &BTreeSet<u128>, tolerance: u128) -> BTreeSet<u128> {
    let near = |wanted: u128| {
        let near = wanted.saturating_sub(tolerance)..=wanted.saturating_add(tolerance);
        present.range(near).min_by_key(|boundary| boundary.abs_diff(wanted)).copied()
    };
    wanted.iter().map(|boundary| near(*boundary).unwrap_or(*boundary)).collect()
}

/// The shards as they are after the steps so far.
struct Division {
    /// By the lowest hash key of each.
    shards: std::collections::BTreeMap<u128, OpenShard>,
    next_id: u32,
}

impl Division {
    fn of(key_space: &KeySpace) -> Self {
        let shards = key_space.shards();
        let next_id = shards.iter().map(|shard| shard.id.index() + 1).max().unwrap_or(0);
        let shards = shards.iter().map(|shard| (shard.range.start.value(), *shard)).collect();
        Self { shards, next_id }
    }

    fn add(&mut self, start: HashKey, end: HashKey) {
        let range = HashKeyRange { start, end };
        self.shards.insert(start.value(), OpenShard { id: ShardId::new(self.next_id), range });
        self.next_id += 1;
    }

    fn split(&mut self, at: u128) -> Option<Reshard> {
        let (start, _) = self.shards.range(..at).next_back()?;
        let OpenShard { id, range } = self.shards.remove(&{ *start })?;
        self.add(range.start, HashKey::new(at - 1));
        self.add(HashKey::new(at), range.end);
        Some(Reshard::Split { shard: id, at: HashKey::new(at) })
    }

    fn merge(&mut self, boundary: u128) -> Option<Reshard> {
        let (start, _) = self.shards.range(..boundary).next_back()?;
        let lower = self.shards.remove(&{ *start })?;
        let upper = self.shards.remove(&boundary)?;
        self.add(lower.range.start, upper.range.end);
        Some(Reshard::Merge { shard: lower.id, adjacent: upper.id })
    }
}

#[cfg(test)]
mod tests;
