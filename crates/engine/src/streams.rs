//! Streams in use: what routing, waiting readers and metrics need at hand.
//!
//! A stream is replaced, never mutated, so that whoever holds one sees it whole. What readers wait
//! on passes from one to the next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use baikonur_stream::{
    HashKey, PutEntry, RecordDistribution, Shard, ShardId, ShardUsage, StreamName,
};
use tokio::sync::watch;

use crate::budget::Budget;
use crate::catalog::{Catalog, StoredStream};
use crate::frame::ShardKey;

/// The streams in use, by name.
pub(crate) type Streams = BTreeMap<StreamName, Arc<Stream>>;

/// A stream in use.
pub(crate) struct Stream {
    pub(crate) name: StreamName,
    pub(crate) stored: Arc<StoredStream>,
    /// Open shards by the start of their range: the start and the place in `stored.shards`.
    routes: Vec<(HashKey, u32)>,
    /// By place in `stored.shards`.
    lanes: Vec<Arc<Lane>>,
    /// Records placed by the stream itself so far.
    spread: AtomicU64,
}

/// What is going on in a shard; goes on when its stream is replaced.
pub(crate) struct Lane {
    tip: watch::Sender<LaneTip>,
    flow: Flow,
    pub(crate) budget: Budget,
}

/// What readers of a shard wait on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LaneTip {
    /// The counter of the newest record that may be read.
    pub(crate) newest: u64,
    /// No record comes behind it.
    pub(crate) closed: bool,
}

/// Records and bytes of one shard since the store was opened. They are gone with their shard, which a
/// registry of metrics would keep for good.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    records_in: Counted,
    bytes_in: Counted,
    records_out: Counted,
    bytes_out: Counted,
    trimmed: Counted,
}

#[derive(Debug, Default)]
struct Counted(AtomicU64);

impl Counted {
    fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What went through a shard since the store was opened, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardCounters {
    /// The stream.
    pub stream: StreamName,
    /// The shard, and its records and bytes.
    pub usage: ShardUsage,
    /// Records that expired before a reader that had a position came to them.
    pub trimmed: u64,
}

impl Flow {
    /// Counts what was put.
    pub(crate) fn came_in(&self, records: u64, bytes: u64) {
        self.records_in.add(records);
        self.bytes_in.add(bytes);
    }

    /// Counts what was read.
    pub(crate) fn went_out(&self, records: u64, bytes: u64) {
        self.records_out.add(records);
        self.bytes_out.add(bytes);
    }

    /// Counts what expired before a reader came to it.
    pub(crate) fn was_trimmed(&self, records: u64) {
        self.trimmed.add(records);
    }
}

impl Stream {
    fn new(name: &StreamName, stored: &Arc<StoredStream>, before: Option<&Self>) -> Self {
        let mut routes: Vec<_> = stored
            .shards
            .iter()
            .zip(0..)
            .filter(|(shard, _)| shard.ending_sequence_number.is_none())
            .map(|(shard, place)| (shard.hash_key_range.start, place))
            .collect();
        routes.sort_unstable();
        let lane = |shard: &Shard| {
            let kept = before.and_then(|before| Some(&before.lanes[before.shard(shard.id)?.0]));
            kept.map_or_else(|| Arc::new(Lane::new()), Arc::clone)
        };
        let lanes = stored.shards.iter().map(lane).collect();
        let stored = Arc::clone(stored);
        Self { name: name.clone(), stored, routes, lanes, spread: AtomicU64::new(0) }
    }

    /// Wakes who waits at the end of a closed shard.
    fn announce_ends(&self) {
        for (shard, lane) in self.stored.shards.iter().zip(&self.lanes) {
            if shard.ending_sequence_number.is_some() {
                lane.tip.send_if_modified(|tip| !std::mem::replace(&mut tip.closed, true));
            }
        }
    }

    /// The place in `stored.shards` of the open shard that owns a hash key.
    pub(crate) fn route(&self, key: HashKey) -> usize {
        // Open shards cover the key space without a gap, so there is one at or below any key.
        let after = self.routes.partition_point(|(start, _)| *start <= key);
        self.routes[after.saturating_sub(1)].1 as usize
    }

    /// Where an entry goes: by its key, or anywhere if the stream places records itself.
    pub(crate) fn hash_key(&self, entry: &PutEntry) -> HashKey {
        match self.stored.properties.distribution {
            RecordDistribution::UserPartitionKey => entry.hash_key(),
            RecordDistribution::Auto => {
                // Multiples of the golden ratio fill the key space ever more evenly.
                const GOLDEN: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
                let count = self.spread.fetch_add(1, Ordering::Relaxed);
                HashKey::new(u128::from(count).wrapping_mul(GOLDEN))
            }
        }
    }

    /// A shard and its place in `stored.shards`.
    pub(crate) fn shard(&self, id: ShardId) -> Option<(usize, &Shard)> {
        let place = self.stored.shards.binary_search_by_key(&id, |shard| shard.id).ok()?;
        Some((place, &self.stored.shards[place]))
    }

    /// The shards that go on where one ended.
    pub(crate) fn children(&self, of: ShardId) -> impl Iterator<Item = &Shard> {
        let is_child =
            move |shard: &&Shard| shard.parent == Some(of) || shard.adjacent_parent == Some(of);
        self.stored.shards.iter().filter(is_child)
    }

    /// How the log calls the shard at a place.
    pub(crate) fn key(&self, place: usize) -> ShardKey {
        let shard = self.stored.shards[place].id.index();
        ShardKey { incarnation: self.stored.incarnation, shard }
    }

    /// What is going on in the shard at a place.
    pub(crate) fn lane(&self, place: usize) -> &Lane {
        &self.lanes[place]
    }

    /// Records and bytes of the shard at a place.
    pub(crate) fn flow(&self, place: usize) -> &Flow {
        &self.lanes[place].flow
    }

    fn usage_at(&self, place: usize) -> ShardUsage {
        let flow = &self.lanes[place].flow;
        ShardUsage {
            shard: self.stored.shards[place].id,
            records_in: flow.records_in.value(),
            bytes_in: flow.bytes_in.value(),
            records_out: flow.records_out.value(),
            bytes_out: flow.bytes_out.value(),
        }
    }

    /// Records and bytes of the open shards, for those who scale.
    pub(crate) fn usage(&self) -> Vec<ShardUsage> {
        self.routes.iter().map(|(_, place)| self.usage_at(*place as usize)).collect()
    }

    /// The counters of all shards, open and closed.
    pub(crate) fn counters(&self) -> impl Iterator<Item = ShardCounters> {
        (0..self.lanes.len()).map(move |place| ShardCounters {
            stream: self.name.clone(),
            usage: self.usage_at(place),
            trimmed: self.lanes[place].flow.trimmed.value(),
        })
    }
}

impl Lane {
    fn new() -> Self {
        let tip = watch::Sender::new(LaneTip::default());
        Self { tip, flow: Flow::default(), budget: Budget::default() }
    }

    /// Tells waiting readers that records up to `counter` may be read.
    pub(crate) fn announce(&self, counter: u64) {
        self.tip.send_if_modified(|tip| {
            let moved = counter > tip.newest;
            tip.newest = counter.max(tip.newest);
            moved
        });
    }

    /// How far readers may read.
    pub(crate) fn tip(&self) -> LaneTip {
        *self.tip.borrow()
    }

    /// What a reader waits on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<LaneTip> {
        self.tip.subscribe()
    }
}

/// The streams of a catalog, taking over from `before` what goes on.
pub(crate) fn in_use(catalog: &Catalog, before: &Streams) -> Streams {
    let stream = |(name, stored): (&StreamName, &Arc<StoredStream>)| {
        let same = |b: &&Arc<Stream>| b.stored.incarnation == stored.incarnation;
        let before = before.get(name).filter(same);
        let stream = match before {
            Some(before) if Arc::ptr_eq(&before.stored, stored) => Arc::clone(before),
            _ => Arc::new(Stream::new(name, stored, before.map(|before| &**before))),
        };
        (name.clone(), stream)
    };
    catalog.streams.iter().map(stream).collect()
}

/// Tells waiting readers of shards that were closed between `before` and `now`; to be called once
/// readers find what is in use `now`: who is woken earlier looks at an open shard, and finds nothing.
pub(crate) fn announce_ends(before: &Streams, now: &Streams) {
    for (name, stream) in now {
        if !before.get(name).is_some_and(|before| Arc::ptr_eq(before, stream)) {
            stream.announce_ends();
        }
    }
}
