//! The catalog: which streams there are. One JSON file, replaced whole at each change.
//!
//! ```text
//! {"crc32c": of the bytes of "catalog", "catalog": {
//!    "last_created": second, never decreasing,
//!    "streams": {name: {incarnation, hidden_before, properties, shards, next_shard, consumers}},
//!    "commitments": {owner: what it has agreed to}}}
//! ```
//! A store without a catalog is refused, not taken for an empty one: every segment in it would belong
//! to no stream, and retention would delete it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use baikonur_stream::{
    BillingCommitment, CreateStream, HashKeyRange, RegisteredConsumers, RetentionHours,
    SequenceNumber, Shard, ShardId, StreamName, StreamOwner, StreamProperties, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::disk::{self, Disk};

mod format_1;

pub(crate) const FILE: &str = "catalog.json";

/// What is stored. Streams are shared with whoever uses them, and replaced, not mutated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Catalog {
    /// The highest second in which a stream was made, or a shard of a stream that was deleted: the
    /// next stream gets a higher one, so that no sequence number of a stream is one of a later
    /// stream of its name.
    last_created: u64,
    pub(crate) streams: BTreeMap<StreamName, Arc<StoredStream>>,
    #[serde(default)]
    pub(crate) commitments: BTreeMap<StreamOwner, BillingCommitment>,
}

/// One stream as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredStream {
    /// The second of its creation, moved up where that was taken: unique over the store's life.
    pub(crate) incarnation: u64,
    /// Records that arrived before are gone, whatever the retention says now: what had expired
    /// before the period was made longer stays gone.
    pub(crate) hidden_before: Timestamp,
    pub(crate) properties: Arc<StreamProperties>,
    /// Open and closed, by ascending id.
    pub(crate) shards: Arc<[Shard]>,
    /// The index of the next shard that is made.
    pub(crate) next_shard: u32,
    pub(crate) consumers: Arc<RegisteredConsumers>,
}

#[derive(Serialize)]
struct FileOut<'a> {
    crc32c: u32,
    catalog: &'a RawValue,
}

#[derive(Deserialize)]
struct FileIn<'a> {
    crc32c: u32,
    #[serde(borrow)]
    catalog: &'a RawValue,
}

impl Catalog {
    /// Reads the catalog; none if there is no such file.
    pub(crate) fn load(disk: &dyn Disk) -> io::Result<Option<Self>> {
        let Some(bytes) = disk::read_small(disk, FILE)? else { return Ok(None) };
        let damaged = |what: String| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{FILE} is damaged: {what}"))
        };
        let file: FileIn<'_> =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let text = file.catalog.get();
        let catalog = match crc32c::crc32c(text.as_bytes()) == file.crc32c {
            true => serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?,
            false => format_1::read(text, file.crc32c)
                .ok_or_else(|| damaged("its checksum does not fit".to_owned()))?,
        };
        Ok(Some(catalog))
    }

    /// Stores the catalog; durable on return.
    pub(crate) fn store(&self, disk: &dyn Disk) -> io::Result<()> {
        let catalog = serde_json::value::to_raw_value(self)?;
        let crc32c = crc32c::crc32c(catalog.get().as_bytes());
        let file = FileOut { crc32c, catalog: &catalog };
        disk.replace(FILE, &serde_json::to_vec(&file)?)
    }

    /// The highest second in which a stream was made.
    pub(crate) fn last_created(&self) -> u64 {
        self.last_created
    }

    /// Adds a stream, created at `now`.
    pub(crate) fn create(&mut self, request: CreateStream, now: Timestamp) {
        let CreateStream { name, shard_count, properties } = request;
        let incarnation = now.seconds().max(self.last_created + 1);
        self.last_created = incarnation;
        let shard = |(hash_key_range, index): (HashKeyRange, u32)| {
            new_shard(index, hash_key_range, incarnation, [None, None])
        };
        let shards = HashKeyRange::evenly(shard_count).into_iter().zip(0..).map(shard).collect();
        let stream = StoredStream {
            incarnation,
            hidden_before: Timestamp::default(),
            properties: properties.into(),
            shards,
            next_shard: shard_count,
            consumers: Arc::default(),
        };
        self.streams.insert(name, Arc::new(stream));
    }

    /// Takes a stream out.
    pub(crate) fn delete(&mut self, name: &StreamName) {
        let Some(stream) = self.streams.remove(name) else { return };
        let created = |shard: &Shard| shard.starting_sequence_number.created_seconds();
        let last = stream.shards.iter().map(created).max().unwrap_or_default();
        self.last_created = self.last_created.max(last);
    }

    /// The catalog without closed shards of which every record has expired; none if there are none.
    pub(crate) fn trimmed(&self, now: Timestamp) -> Option<Self> {
        let mut trimmed = None;
        for (name, stream) in &self.streams {
            let horizon = stream.horizon(now);
            let expired = |shard: &Shard| {
                let end = shard.ending_sequence_number.map(SequenceNumber::time_seconds);
                // Closed in the course of that second.
                end.is_some_and(|second| Timestamp::from_seconds(second + 1) <= horizon)
            };
            if !stream.shards.iter().any(expired) {
                continue;
            }
            let shards = stream.shards.iter().filter(|shard| !expired(shard)).cloned().collect();
            let kept = StoredStream { shards, ..StoredStream::clone(stream) };
            let trimmed = trimmed.get_or_insert_with(|| self.clone());
            trimmed.streams.insert(name.clone(), Arc::new(kept));
        }
        trimmed
    }

    /// Open shards of all streams.
    pub(crate) fn open_shards(&self) -> u32 {
        self.streams.values().map(|stream| stream.open_shards() as u32).sum()
    }
}

/// A shard made in the second `created`.
pub(crate) fn new_shard(
    index: u32,
    hash_key_range: HashKeyRange,
    created: u64,
    [parent, adjacent_parent]: [Option<ShardId>; 2],
) -> Shard {
    Shard {
        id: ShardId::new(index),
        parent,
        adjacent_parent,
        hash_key_range,
        starting_sequence_number: SequenceNumber::new(created, index, 0, created),
        ending_sequence_number: None,
    }
}

impl StoredStream {
    /// The arrival of the oldest record that may be read at `now`.
    pub(crate) fn horizon(&self, now: Timestamp) -> Timestamp {
        let hours = u64::from(self.properties.retention.hours());
        now.minus(Duration::from_secs(hours * 3600)).max(self.hidden_before)
    }

    /// Changes how long records are kept.
    pub(crate) fn retain(&mut self, to: RetentionHours, now: Timestamp) {
        if self.properties.retention != to {
            self.hidden_before = self.horizon(now);
            Arc::make_mut(&mut self.properties).retention = to;
        }
    }

    /// How many shards take records.
    pub(crate) fn open_shards(&self) -> usize {
        self.shards.iter().filter(|shard| shard.ending_sequence_number.is_none()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(catalog: &mut Catalog, now: Timestamp) -> StreamName {
        let name = StreamName::new("router").unwrap();
        let properties = StreamProperties::default();
        catalog.create(CreateStream { name: name.clone(), shard_count: 1, properties }, now);
        name
    }

    #[test]
    fn a_stream_made_again_within_a_second_or_behind_a_clock_that_stepped_back_is_another_one() {
        let mut catalog = Catalog::default();
        let mut create = |seconds| {
            let name = create(&mut catalog, Timestamp::from_seconds(seconds));
            catalog.streams.remove(&name).unwrap().incarnation
        };
        assert_eq!(
            [create(1000), create(1000), create(990), create(2000)],
            [1000, 1001, 1002, 2000]
        );
    }

    #[test]
    fn a_stream_made_again_is_younger_than_the_last_shard_of_the_one_before() {
        let mut catalog = Catalog::default();
        let name = create(&mut catalog, Timestamp::from_seconds(1000));
        let mut stream = StoredStream::clone(&catalog.streams[&name]);
        let mut shards = stream.shards.to_vec();
        shards.push(new_shard(1, shards[0].hash_key_range, 1001, [Some(shards[0].id), None]));
        stream.shards = shards.into();
        catalog.streams.insert(name.clone(), Arc::new(stream));
        catalog.delete(&name);
        create(&mut catalog, Timestamp::from_seconds(1001));
        assert_eq!(catalog.streams[&name].incarnation, 1002);
    }

    #[test]
    fn what_had_expired_stays_gone_when_retention_is_raised() {
        let mut catalog = Catalog::default();
        let hours = |n: u64| Timestamp::from_seconds(n * 3600);
        let name = create(&mut catalog, hours(0));
        let mut stream = StoredStream::clone(&catalog.streams[&name]);
        stream.retain(RetentionHours::MAX, hours(100));
        assert_eq!(stream.horizon(hours(101)), hours(76));
    }

    #[test]
    fn a_closed_shard_is_listed_until_its_last_record_can_have_expired() {
        let mut catalog = Catalog::default();
        let name = create(&mut catalog, Timestamp::from_seconds(1000));
        let mut stream = StoredStream::clone(&catalog.streams[&name]);
        let mut shards = stream.shards.to_vec();
        let end = SequenceNumber::new(1000, 0, SequenceNumber::COUNTER_MAX, 2000);
        shards[0].ending_sequence_number = Some(end);
        shards.push(new_shard(1, shards[0].hash_key_range, 2001, [Some(shards[0].id), None]));
        stream.shards = shards.into();
        catalog.streams.insert(name.clone(), Arc::new(stream));
        let day = 24 * 3600;
        assert_eq!(catalog.trimmed(Timestamp::from_millis((2001 + day) * 1000 - 1)), None);
        let trimmed = catalog.trimmed(Timestamp::from_seconds(2001 + day)).unwrap();
        let ids: Vec<u32> = trimmed.streams[&name].shards.iter().map(|s| s.id.index()).collect();
        assert_eq!(ids, [1]);
    }
}
