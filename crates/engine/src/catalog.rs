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

use baikonur_stream::{
    BillingCommitment, CreateStream, HashKeyRange, RegisteredConsumers, RetentionHours,
    SequenceNumber, Shard, ShardId, StreamName, StreamOwner, StreamProperties, Timestamp,
};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::disk::{self, Disk};
use crate::quotas::RecentCalls;

mod format_1;

pub(crate) const FILE: &str = "catalog.json";

/// A change must not make the file larger than this: well below what an opening reads.
pub(crate) const BYTES_MAX: usize = 128 * 1024 * 1024;
const _: () = assert!(BYTES_MAX as u64 <= disk::SMALL_BYTES_MAX / 2);

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
    /// Bytes of the file that this one was read from or stored as, or the one before it.
    #[serde(skip)]
    stored_bytes: usize,
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
    /// Empty where operations are not limited.
    #[serde(default, skip_serializing_if = "RecentCalls::is_empty")]
    pub(crate) recent_calls: RecentCalls,
}

/// How streams are written, so that a change writes anew the one that it changes, and not thousands.
#[derive(Debug, Default)]
pub(crate) struct StreamTexts(BTreeMap<StreamName, (Arc<StoredStream>, Box<RawValue>)>);

impl StreamTexts {
    /// Takes over streams as they are now.
    fn follow(&mut self, streams: &BTreeMap<StreamName, Arc<StoredStream>>) -> io::Result<()> {
        self.0.retain(|name, _| streams.contains_key(name));
        for (name, stream) in streams {
            // Streams are replaced, not mutated: the same one is written the same.
            if !self.0.get(name).is_some_and(|(written, _)| Arc::ptr_eq(written, stream)) {
                let text = serde_json::value::to_raw_value(&**stream)?;
                self.0.insert(name.clone(), (Arc::clone(stream), text));
            }
        }
        Ok(())
    }
}

impl Serialize for StreamTexts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, (_, text))| (name, text)))
    }
}

/// A [`Catalog`] whose streams are written already.
#[derive(Serialize)]
struct CatalogOut<'a> {
    last_created: u64,
    streams: &'a StreamTexts,
    commitments: &'a BTreeMap<StreamOwner, BillingCommitment>,
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
        let mut catalog: Self = match crc32c::crc32c(text.as_bytes()) == file.crc32c {
            true => serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?,
            false => format_1::read(text, file.crc32c)
                .ok_or_else(|| damaged("its checksum does not fit".to_owned()))?,
        };
        catalog.stored_bytes = bytes.len();
        Ok(Some(catalog))
    }

    /// Stores the catalog; durable on return. One that has outgrown [`BYTES_MAX`] is refused like one
    /// that has no space on the disk, unless it is smaller than the one before it. `texts` are those
    /// of an earlier call, or new.
    pub(crate) fn store(&mut self, disk: &dyn Disk, texts: &mut StreamTexts) -> io::Result<()> {
        self.store_within(disk, texts, BYTES_MAX)
    }

    fn store_within(
        &mut self,
        disk: &dyn Disk,
        texts: &mut StreamTexts,
        bytes_max: usize,
    ) -> io::Result<()> {
        texts.follow(&self.streams)?;
        let (last_created, commitments) = (self.last_created, &self.commitments);
        let catalog = CatalogOut { last_created, streams: texts, commitments };
        let catalog = serde_json::value::to_raw_value(&catalog)?;
        let crc32c = crc32c::crc32c(catalog.get().as_bytes());
        let bytes = serde_json::to_vec(&FileOut { crc32c, catalog: &catalog })?;
        if bytes.len() > bytes_max.max(self.stored_bytes) {
            let what = format!(
                "{FILE} would have {} bytes, and {bytes_max} is the most: delete streams, consumers, \
                 tags or policies, or let closed shards expire",
                bytes.len()
            );
            return Err(io::Error::new(io::ErrorKind::StorageFull, what));
        }
        disk.replace(FILE, &bytes)?;
        self.stored_bytes = bytes.len();
        Ok(())
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
            recent_calls: RecentCalls::default(),
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
        now.minus(self.properties.retention.duration()).max(self.hidden_before)
    }

    /// Changes how long records are kept. `now` is what the clock says, as readers have it: by the
    /// arrival of records, which a clock that jumped may have left ahead, it would hide what is fresh.
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

    impl Catalog {
        /// The same, taken for what the file on the disk holds.
        fn sized(self, disk: &crate::SimulatedDisk) -> Self {
            Self { stored_bytes: disk.files()[FILE].len(), ..self }
        }

        fn store_in(&mut self, disk: &crate::SimulatedDisk, bytes_max: usize) -> io::Result<()> {
            self.store_within(disk, &mut StreamTexts::default(), bytes_max)
        }
    }

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
    fn a_catalog_that_has_outgrown_what_is_read_is_refused_until_it_shrinks() {
        let disk = crate::SimulatedDisk::default();
        let mut catalog = Catalog::default();
        create(&mut catalog, Timestamp::from_seconds(1000));
        catalog.store_in(&disk, 2000).unwrap();
        let stored = disk.files()[FILE].len();
        assert_eq!(catalog.stored_bytes, stored);
        let with_policy = |catalog: &Catalog, bytes: usize| {
            let mut larger = catalog.clone();
            let stream = larger.streams.values_mut().next().unwrap();
            let properties = &mut Arc::make_mut(stream).properties;
            Arc::make_mut(properties).policy = Some("x".repeat(bytes));
            larger
        };
        let refused = with_policy(&catalog, 2000).store_in(&disk, 2000).unwrap_err();
        assert!(disk::is_full(&refused) && refused.to_string().contains("is the most"));
        assert_eq!(disk.files()[FILE].len(), stored, "nothing was written");
        // One of another version may be larger, and gets rid of what it has.
        let mut outgrown = Catalog { stored_bytes: 9000, ..with_policy(&catalog, 4000) };
        outgrown.store_in(&disk, 2000).unwrap();
        assert!(with_policy(&outgrown, 4001).store_in(&disk, 2000).is_err());
        with_policy(&outgrown, 10).store_in(&disk, 2000).unwrap();
        assert_eq!(Catalog::load(&disk).unwrap().unwrap(), with_policy(&catalog, 10).sized(&disk));
    }

    #[test]
    fn what_is_written_does_not_depend_on_what_was_written_before() {
        let (disk, mut texts) = (crate::SimulatedDisk::default(), StreamTexts::default());
        let mut catalog = Catalog::default();
        let name = |n: u64| StreamName::new(&format!("s-{n}")).unwrap();
        for n in 0..40u64 {
            let properties = StreamProperties::default();
            let request = CreateStream { name: name(n % 7), shard_count: 2, properties };
            match n % 5 {
                3 => catalog.delete(&name(n % 4)),
                4 => {
                    let stream = catalog.streams.values_mut().next().unwrap();
                    Arc::make_mut(stream).retain(RetentionHours::MAX, Timestamp::from_seconds(n));
                }
                _ => catalog.create(request, Timestamp::from_seconds(1000 + n)),
            }
            catalog.store(&disk, &mut texts).unwrap();
            let with_history = disk.files()[FILE].clone();
            assert_eq!(Catalog::load(&disk).unwrap().as_ref(), Some(&catalog), "{n}");
            catalog.store(&disk, &mut StreamTexts::default()).unwrap();
            assert_eq!(disk.files()[FILE], with_history, "{n}");
        }
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
