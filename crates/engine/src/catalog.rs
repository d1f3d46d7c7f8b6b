//! The catalog: which streams there are. One JSON file, replaced whole at each change.
//!
//! ```text
//! {"crc32c": of the catalog's JSON as written here, "catalog": {
//!    "last_incarnation": second, never decreasing,
//!    "streams": {name: {incarnation, retention, hidden_before, shards}}}}
//! ```
//! A store without a catalog is refused, not taken for an empty one: every segment in it would belong
//! to no stream, and retention would delete it.

use std::collections::BTreeMap;
use std::io;

use baikonur_stream::{
    HashKeyRange, RetentionHours, SequenceNumber, Shard, ShardId, StreamName, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::disk::{self, Disk};

pub(crate) const FILE: &str = "catalog.json";

/// What is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Catalog {
    /// The highest incarnation ever given: the next stream gets a higher one.
    last_incarnation: u64,
    pub(crate) streams: BTreeMap<StreamName, StoredStream>,
}

/// One stream as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredStream {
    /// The second of its creation, moved up where that was taken: unique over the store's life.
    pub(crate) incarnation: u64,
    pub(crate) retention: RetentionHours,
    /// Records that arrived before are gone, whatever the retention says now: what had expired
    /// before the period was made longer stays gone.
    pub(crate) hidden_before: Timestamp,
    pub(crate) shards: Vec<Shard>,
}

#[derive(Serialize)]
struct FileOut<'a> {
    crc32c: u32,
    catalog: &'a Catalog,
}

#[derive(Deserialize)]
struct FileIn {
    crc32c: u32,
    catalog: Catalog,
}

impl Catalog {
    /// Reads the catalog; none if there is no such file.
    pub(crate) fn load(disk: &dyn Disk) -> io::Result<Option<Self>> {
        let Some(bytes) = disk::read_small(disk, FILE)? else { return Ok(None) };
        let damaged = |what: String| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{FILE} is damaged: {what}"))
        };
        let file: FileIn =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if file.catalog.checksum()? != file.crc32c {
            return Err(damaged("its checksum does not fit".to_owned()));
        }
        Ok(Some(file.catalog))
    }

    /// Stores the catalog; durable on return.
    pub(crate) fn store(&self, disk: &dyn Disk) -> io::Result<()> {
        let file = FileOut { crc32c: self.checksum()?, catalog: self };
        disk.replace(FILE, &serde_json::to_vec_pretty(&file)?)
    }

    /// The highest incarnation ever given.
    pub(crate) fn last_incarnation(&self) -> u64 {
        self.last_incarnation
    }

    fn checksum(&self) -> io::Result<u32> {
        Ok(crc32c::crc32c(&serde_json::to_vec(self)?))
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
        let hidden_before = Timestamp::default();
        self.streams.insert(name, StoredStream { incarnation, retention, hidden_before, shards });
    }

    /// Changes how long a stream keeps records.
    pub(crate) fn retain(&mut self, name: &StreamName, to: RetentionHours, now: Timestamp) {
        if let Some(stream) = self.streams.get_mut(name).filter(|s| s.retention != to) {
            stream.hidden_before = stream.horizon(now);
            stream.retention = to;
        }
    }

    /// Open shards of all streams.
    pub(crate) fn open_shards(&self) -> u32 {
        let open = |s: &&Shard| s.ending_sequence_number.is_none();
        self.streams.values().map(|s| s.shards.iter().filter(open).count() as u32).sum()
    }
}

impl StoredStream {
    /// The arrival of the oldest record that may be read at `now`.
    pub(crate) fn horizon(&self, now: Timestamp) -> Timestamp {
        let period = std::time::Duration::from_secs(u64::from(self.retention.hours()) * 3600);
        now.minus(period).max(self.hidden_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_made_again_within_a_second_or_behind_a_clock_that_stepped_back_is_another_one() {
        let mut catalog = Catalog::default();
        let name = StreamName::new("router").unwrap();
        let mut create = |seconds| {
            let now = Timestamp::from_seconds(seconds);
            catalog.create(name.clone(), 1, RetentionHours::MIN, now);
            catalog.streams.remove(&name).unwrap().incarnation
        };
        assert_eq!(
            [create(1000), create(1000), create(990), create(2000)],
            [1000, 1001, 1002, 2000]
        );
    }

    #[test]
    fn what_had_expired_stays_gone_when_retention_is_raised() {
        let mut catalog = Catalog::default();
        let name = StreamName::new("router").unwrap();
        let hours = |n: u64| Timestamp::from_seconds(n * 3600);
        catalog.create(name.clone(), 1, RetentionHours::MIN, hours(0));
        catalog.retain(&name, RetentionHours::MAX, hours(100));
        assert_eq!(catalog.streams[&name].horizon(hours(101)), hours(76));
    }
}
