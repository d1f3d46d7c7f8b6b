//! Streams in use: what routing, waiting readers and metrics need at hand.
//!
//! A stream is replaced, never mutated, so that whoever holds one sees it whole. What readers wait
//! on passes from one to the next.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use baikonur_stream::{HashKey, Shard, ShardId, StreamName};
use metrics::Counter;
use tokio::sync::watch;

use crate::catalog::{Catalog, StoredStream};
use crate::frame::ShardKey;

/// The streams in use, by name.
pub(crate) type Streams = BTreeMap<StreamName, Arc<Stream>>;

/// A stream in use.
pub(crate) struct Stream {
    pub(crate) stored: StoredStream,
    /// Open shards by the start of their range: the start and the place in `stored.shards`.
    routes: Vec<(HashKey, u32)>,
    /// Per shard, by place in `stored.shards`: the counter of the newest record that may be read.
    newest: Arc<[watch::Sender<u64>]>,
    /// Registered when a shard is first used: most of thousands never may be.
    flows: Arc<[OnceLock<Flow>]>,
    name: StreamName,
}

/// Records and bytes of one shard.
pub(crate) struct Flow {
    records_in: Counter,
    bytes_in: Counter,
    records_out: Counter,
    bytes_out: Counter,
    trimmed: Counter,
}

impl Flow {
    fn new(stream: &StreamName, shard: ShardId) -> Self {
        let register = |name: &'static str| metrics::counter!(name, "stream" => stream.to_string(), "shard" => shard.to_string());
        Self {
            records_in: register("baikonur_stream_records_in_total"),
            bytes_in: register("baikonur_stream_bytes_in_total"),
            records_out: register("baikonur_stream_records_out_total"),
            bytes_out: register("baikonur_stream_bytes_out_total"),
            trimmed: register("baikonur_stream_trimmed_records_total"),
        }
    }

    /// Counts what was put.
    pub(crate) fn came_in(&self, records: u64, bytes: u64) {
        self.records_in.increment(records);
        self.bytes_in.increment(bytes);
    }

    /// Counts what was read.
    pub(crate) fn went_out(&self, records: u64, bytes: u64) {
        self.records_out.increment(records);
        self.bytes_out.increment(bytes);
    }

    /// Counts what expired before a reader came to it.
    pub(crate) fn was_trimmed(&self, records: u64) {
        self.trimmed.increment(records);
    }
}

impl Stream {
    fn new(name: &StreamName, stored: &StoredStream, before: Option<&Self>) -> Self {
        let mut routes: Vec<_> = stored
            .shards
            .iter()
            .zip(0..)
            .filter(|(shard, _)| shard.ending_sequence_number.is_none())
            .map(|(shard, place)| (shard.hash_key_range.start, place))
            .collect();
        routes.sort_unstable();
        let (newest, flows) = match before {
            Some(before) => (Arc::clone(&before.newest), Arc::clone(&before.flows)),
            None => {
                let newest = stored.shards.iter().map(|_| watch::Sender::new(0)).collect();
                (newest, stored.shards.iter().map(|_| OnceLock::new()).collect())
            }
        };
        Self { stored: stored.clone(), routes, newest, flows, name: name.clone() }
    }

    /// The place in `stored.shards` of the open shard that owns a hash key.
    pub(crate) fn route(&self, key: HashKey) -> usize {
        // Open shards cover the key space without a gap, so there is one at or below any key.
        let after = self.routes.partition_point(|(start, _)| *start <= key);
        self.routes[after.saturating_sub(1)].1 as usize
    }

    /// A shard and its place in `stored.shards`.
    pub(crate) fn shard(&self, id: ShardId) -> Option<(usize, &Shard)> {
        let place = self.stored.shards.binary_search_by_key(&id, |shard| shard.id).ok()?;
        Some((place, &self.stored.shards[place]))
    }

    /// How the log calls the shard at a place.
    pub(crate) fn key(&self, place: usize) -> ShardKey {
        let shard = self.stored.shards[place].id.index();
        ShardKey { incarnation: self.stored.incarnation, shard }
    }

    /// Records and bytes of the shard at a place.
    pub(crate) fn flow(&self, place: usize) -> &Flow {
        self.flows[place].get_or_init(|| Flow::new(&self.name, self.stored.shards[place].id))
    }

    /// Tells waiting readers that records up to `counter` may be read.
    pub(crate) fn announce(&self, place: usize, counter: u64) {
        self.newest[place].send_if_modified(|newest| {
            let moved = counter > *newest;
            *newest = counter.max(*newest);
            moved
        });
    }

    /// The counter of the newest record of the shard at `place` that may be read.
    pub(crate) fn newest(&self, place: usize) -> u64 {
        *self.newest[place].borrow()
    }

    /// What a reader of the shard at `place` waits on.
    pub(crate) fn subscribe(&self, place: usize) -> watch::Receiver<u64> {
        self.newest[place].subscribe()
    }
}

/// The streams of a catalog, taking over from `before` what goes on.
pub(crate) fn in_use(catalog: &Catalog, before: &Streams) -> Streams {
    let stream = |(name, stored): (&StreamName, &StoredStream)| {
        let same = |b: &&Arc<Stream>| b.stored.incarnation == stored.incarnation;
        let before = before.get(name).filter(same);
        (name.clone(), Arc::new(Stream::new(name, stored, before.map(|before| &**before))))
    };
    catalog.streams.iter().map(stream).collect()
}
