//! The catalog: which streams there are. One JSON file, replaced whole at each change.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use baikonur_stream::{
    HashKeyRange, RetentionHours, SequenceNumber, Shard, ShardId, StreamName, Timestamp,
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::disk::Disk;
use crate::frame::ShardKey;

const FILE: &str = "catalog.json";

/// What is stored.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Catalog {
    /// The highest incarnation ever given: the next stream gets a higher one.
    last_incarnation: u64,
    streams: BTreeMap<StreamName, StoredStream>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoredStream {
    incarnation: u64,
    retention: RetentionHours,
    shards: Vec<Shard>,
}

/// A stream in use. Its retention is read anew at each change: streams are replaced, not mutated.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: StreamName,
    /// The second of its creation, moved up where that was taken: unique over the store's life.
    pub(crate) incarnation: u64,
    pub(crate) retention: RetentionHours,
    pub(crate) shards: Vec<Shard>,
    /// Open shards by the start of their range, for routing.
    routes: Vec<(HashKeyRange, ShardId)>,
    /// Per shard, by place in `shards`: the counter of the next record, for waiting readers.
    tips: Arc<BTreeMap<ShardId, watch::Sender<u64>>>,
}

impl Stream {
    fn new(name: StreamName, stored: &StoredStream, before: Option<&Self>) -> Self {
        let mut routes: Vec<_> = stored
            .shards
            .iter()
            .filter(|shard| shard.ending_sequence_number.is_none())
            .map(|shard| (shard.hash_key_range, shard.id))
            .collect();
        routes.sort_by_key(|(range, _)| range.start);
        let tips = match before {
            Some(before) => Arc::clone(&before.tips),
            None => {
                let tip = |shard: &Shard| (shard.id, watch::Sender::new(0));
                Arc::new(stored.shards.iter().map(tip).collect())
            }
        };
        Self {
            name,
            incarnation: stored.incarnation,
            retention: stored.retention,
            shards: stored.shards.clone(),
            routes,
            tips,
        }
    }

    /// The open shard that owns a hash key.
    pub(crate) fn route(&self, key: baikonur_stream::HashKey) -> ShardId {
        let after = self.routes.partition_point(|(range, _)| range.start <= key);
        // Open shards cover the key space without a gap, so there is one at or below any key.
        self.routes[after.saturating_sub(1)].1
    }

    pub(crate) fn shard(&self, id: ShardId) -> Option<&Shard> {
        self.shards.binary_search_by_key(&id, |shard| shard.id).ok().map(|at| &self.shards[at])
    }

    pub(crate) fn key(&self, shard: ShardId) -> ShardKey {
        ShardKey { incarnation: self.incarnation, shard: shard.index() }
    }

    pub(crate) fn tip(&self, shard: ShardId) -> Option<&watch::Sender<u64>> {
        self.tips.get(&shard)
    }

    pub(crate) fn created(&self) -> Timestamp {
        Timestamp::from_seconds(self.incarnation)
    }

    /// Records that arrived before this moment are expired.
    pub(crate) fn trim_horizon(&self, now: Timestamp) -> Timestamp {
        let hours = u64::from(self.retention.hours());
        now.minus(std::time::Duration::from_secs(hours * 3600))
    }
}

/// The streams in use, by name.
pub(crate) type Streams = BTreeMap<StreamName, Arc<Stream>>;

impl Catalog {
    /// Reads the catalog; an empty one in a new store.
    pub(crate) fn load(disk: &dyn Disk) -> io::Result<Self> {
        let file = match disk.open(FILE, false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut bytes = vec![0; file.length()? as usize];
        file.read_at(&mut bytes, 0)?;
        serde_json::from_slice(&bytes).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{FILE} is damaged: {error}"))
        })
    }

    /// Stores the catalog; durable on return.
    pub(crate) fn store(&self, disk: &dyn Disk) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        disk.replace(FILE, &bytes)
    }

    /// The streams as they are used, taking over from `before` what readers wait on.
    pub(crate) fn streams(&self, before: &Streams) -> Streams {
        let stream = |(name, stored): (&StreamName, &StoredStream)| {
            let before = before.get(name).filter(|b| b.incarnation == stored.incarnation);
            let stream = Stream::new(name.clone(), stored, before.map(|before| &**before));
            (name.clone(), Arc::new(stream))
        };
        self.streams.iter().map(stream).collect()
    }

    /// Adds a stream of `count` shards, created at `now`.
    pub(crate) fn create(
        &mut self,
        name: StreamName,
        count: u32,
        retention: RetentionHours,
        now: Timestamp,
    ) {
        let incarnation = now.seconds().max(self.last_incarnation + 1);
        self.last_incarnation = incarnation;
        let shards = HashKeyRange::evenly(count)
            .into_iter()
            .zip(0..)
            .map(|(hash_key_range, index)| Shard {
                id: ShardId::new(index),
                parent: None,
                adjacent_parent: None,
                hash_key_range,
                starting_sequence_number: SequenceNumber::new(incarnation, index, 0, incarnation),
                ending_sequence_number: None,
            })
            .collect();
        self.streams.insert(name, StoredStream { incarnation, retention, shards });
    }

    /// Removes a stream.
    pub(crate) fn delete(&mut self, name: &StreamName) {
        self.streams.remove(name);
    }

    /// Changes how long a stream keeps records.
    pub(crate) fn retain(&mut self, name: &StreamName, retention: RetentionHours) {
        if let Some(stream) = self.streams.get_mut(name) {
            stream.retention = retention;
        }
    }

    /// Open shards of all streams.
    pub(crate) fn open_shards(&self) -> u32 {
        let open = |s: &&Shard| s.ending_sequence_number.is_none();
        self.streams.values().map(|s| s.shards.iter().filter(open).count() as u32).sum()
    }
}
