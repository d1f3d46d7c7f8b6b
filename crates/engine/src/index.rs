//! Where a shard's blocks are: in full for the segment being written, by summary for sealed ones.
//!
//! Memory: 40 bytes per block of the active segment, 64 bytes per shard in each sealed segment;
//! nothing per record. Both grow with settings (segment size, retention over segment size), not with
//! how readers behave. Only durable blocks get in, so whatever is found here may be read.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use baikonur_stream::{ReadLimits, Timestamp};

use crate::disk::DiskFile;
use crate::frame::ShardKey;
use crate::segment::{BlockPlace, Summaries, Summary};

/// Everything durable.
pub(crate) struct Index {
    shards: HashMap<ShardKey, ShardIndex>,
    sealed: BTreeMap<u64, SealedSegment>,
    sealed_bytes: u64,
    active: Active,
}

/// The segment being written.
pub(crate) struct Active {
    pub(crate) number: u64,
    pub(crate) file: Arc<dyn DiskFile>,
}

/// What is known of one shard.
#[derive(Debug, Default)]
struct ShardIndex {
    /// By ascending segment, and so by ascending counters and arrivals.
    sealed: Vec<(u64, Summary)>,
    active: Vec<BlockPlace>,
}

#[derive(Debug)]
struct SealedSegment {
    bytes: u64,
    /// The newest arrival of each stream in it, by incarnation.
    newest: BTreeMap<u64, Timestamp>,
}

/// Where the next blocks of a shard are.
pub(crate) enum Located {
    /// In the segment being written.
    Active { number: u64, file: Arc<dyn DiskFile>, places: Vec<BlockPlace> },
    /// Somewhere in a sealed segment.
    Sealed { number: u64, summary: Summary },
}

/// The newest record of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Newest {
    pub(crate) counter: u64,
    pub(crate) arrival: Timestamp,
}

/// The first places that a reader from `counter` on wants: as many as `limits` may need.
pub(crate) fn wanted(
    places: &[BlockPlace],
    counter: u64,
    horizon: Timestamp,
    limits: ReadLimits,
) -> &[BlockPlace] {
    // Counters and arrivals rise together, so what is wanted is a suffix.
    let before = |place: &BlockPlace| place.last_counter() < counter || place.arrival < horizon;
    let places = &places[places.partition_point(before)..];
    let (mut records, mut bytes) = (0usize, 0usize);
    let enough = places.iter().position(|place| {
        records = records.saturating_add(place.count as usize);
        bytes = bytes.saturating_add(place.length as usize);
        records >= limits.records || bytes >= limits.bytes
    });
    &places[..enough.map_or(places.len(), |last| last + 1)]
}

impl Index {
    /// An index of sealed segments, and of nothing yet in the active one.
    pub(crate) fn new(active: Active) -> Self {
        Self { shards: HashMap::new(), sealed: BTreeMap::new(), sealed_bytes: 0, active }
    }

    /// Adds a sealed segment above all others.
    pub(crate) fn add_sealed(&mut self, number: u64, bytes: u64, summaries: &Summaries) {
        let mut newest: BTreeMap<u64, Timestamp> = BTreeMap::new();
        for (key, summary) in summaries {
            let arrival = newest.entry(key.incarnation).or_default();
            *arrival = summary.last_arrival.max(*arrival);
            self.shards.entry(*key).or_default().sealed.push((number, *summary));
        }
        self.sealed_bytes += bytes;
        self.sealed.insert(number, SealedSegment { bytes, newest });
    }

    /// Adds a block that became durable in the active segment.
    pub(crate) fn publish(&mut self, key: ShardKey, place: BlockPlace) {
        self.shards.entry(key).or_default().active.push(place);
    }

    /// The active segment was sealed as `summaries` say, and `next` takes its place.
    pub(crate) fn seal(&mut self, bytes: u64, summaries: &Summaries, next: Active) {
        self.shards.values_mut().for_each(|shard| shard.active = Vec::new());
        let number = std::mem::replace(&mut self.active, next).number;
        self.add_sealed(number, bytes, summaries);
    }

    /// The blocks of the active segment, by shard.
    pub(crate) fn active_blocks(&self) -> Vec<(ShardKey, &[BlockPlace])> {
        let blocks = self.shards.iter().filter(|(_, shard)| !shard.active.is_empty());
        let mut blocks: Vec<_> =
            blocks.map(|(key, shard)| (*key, shard.active.as_slice())).collect();
        blocks.sort_unstable_by_key(|(key, _)| *key);
        blocks
    }

    /// Where the first records are that have `counter` or more and arrived at `horizon` or later.
    pub(crate) fn locate(
        &self,
        key: ShardKey,
        counter: u64,
        horizon: Timestamp,
        limits: ReadLimits,
    ) -> Option<Located> {
        let shard = self.shards.get(&key)?;
        let before = |(_, summary): &(u64, Summary)| {
            summary.last_counter < counter || summary.last_arrival < horizon
        };
        if let Some((number, summary)) = shard.sealed.get(shard.sealed.partition_point(before)) {
            return Some(Located::Sealed { number: *number, summary: *summary });
        }
        let places = wanted(&shard.active, counter, horizon, limits);
        let (number, file) = (self.active.number, Arc::clone(&self.active.file));
        (!places.is_empty()).then(|| Located::Active { number, file, places: places.to_vec() })
    }

    /// Whether the next records of a reader are in a sealed segment.
    pub(crate) fn is_cold(&self, key: ShardKey, counter: u64, horizon: Timestamp) -> bool {
        let newest = self.shards.get(&key).and_then(|shard| shard.sealed.last());
        newest.is_some_and(|(_, summary)| {
            summary.last_counter >= counter && summary.last_arrival >= horizon
        })
    }

    /// The newest record of a shard that is still stored.
    pub(crate) fn newest(&self, key: ShardKey) -> Option<Newest> {
        let shard = self.shards.get(&key)?;
        let active = shard.active.last().map(|p| (p.last_counter(), p.arrival));
        let sealed = || shard.sealed.last().map(|(_, s)| (s.last_counter, s.last_arrival));
        active.or_else(sealed).map(|(counter, arrival)| Newest { counter, arrival })
    }

    /// The newest record of each shard.
    pub(crate) fn newest_of_all(&self) -> impl Iterator<Item = (ShardKey, Newest)> {
        self.shards.keys().filter_map(|key| Some((*key, self.newest(*key)?)))
    }

    /// Hides shards that are gone, with their stream or after all of their records.
    pub(crate) fn retain_shards(&mut self, exists: impl Fn(ShardKey) -> bool) {
        self.shards.retain(|key, _| exists(*key));
    }

    /// Sealed segments in which every record is expired or of a stream without a horizon.
    pub(crate) fn expired(&self, horizons: &BTreeMap<u64, Timestamp>) -> Vec<u64> {
        let expired = |(incarnation, newest): (&u64, &Timestamp)| {
            horizons.get(incarnation).is_none_or(|horizon| newest < horizon)
        };
        let segments = self.sealed.iter().filter(|(_, s)| s.newest.iter().all(expired));
        segments.map(|(number, _)| *number).collect()
    }

    /// Takes a segment out.
    pub(crate) fn remove(&mut self, number: u64) {
        let Some(removed) = self.sealed.remove(&number) else { return };
        self.sealed_bytes -= removed.bytes;
        for shard in self.shards.values_mut() {
            shard.sealed.retain(|(segment, _)| *segment != number);
        }
    }

    /// Whether a segment is still part of the log.
    pub(crate) fn holds(&self, number: u64) -> bool {
        number == self.active.number || self.sealed.contains_key(&number)
    }

    /// Bytes of all sealed segments.
    pub(crate) fn sealed_bytes(&self) -> u64 {
        self.sealed_bytes
    }

    /// Segments, the active one among them.
    pub(crate) fn segments(&self) -> usize {
        self.sealed.len() + 1
    }
}
