//! Many records in one, as the Kinesis Producer Library aggregates them: a put costs by the 25 KB of a record, so small
//! records cost many times less together.
//!
//! Only records of one partition key (and explicit hash key) come together. So an aggregate is in the shard that each of
//! its user records would be in, also after the target was resharded: the Kinesis Client Library drops an aggregate
//! with a user record that belongs elsewhere. What comes out is a function of the records alone.
//!
//! Layout (aggregation-format.md of the KPL): 4 bytes of magic, a protobuf message `AggregatedRecord` (1: table of
//! partition keys, 2: table of explicit hash keys, 3: records; of each 1: index of its key, 2: of its hash key, 3: data),
//! and the MD5 of the message.

use std::collections::HashMap;

use baikonur_stream::{HashKey, PartitionKey, PutEntry};
use bytes::Bytes;
use md5::{Digest, Md5};

const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
const CHECKSUM_BYTES: usize = 16;
/// User records of an aggregate; a reader must hold a table of them.
const RECORDS_MAX: usize = 10_000;

/// An entry of a put and the places of the records in it, in the list of all.
pub(super) type Packed = (PutEntry, Vec<usize>);

/// What decides where a record goes.
type Key = (PartitionKey, Option<HashKey>);

/// Packs `records` into aggregates of at most `bytes_max`, the keys with them. Records of a key stay in their order; a
/// record that is alone, has no key or is too large to be aggregated stays as it is.
pub(super) fn pack(records: Vec<PutEntry>, bytes_max: usize) -> Vec<Packed> {
    let (mut packed, mut open): (Vec<Packed>, Vec<Aggregate>) = (Vec::new(), Vec::new());
    let mut by_key: HashMap<Key, usize> = HashMap::new();
    for (place, record) in records.into_iter().enumerate() {
        if record.partition_key.is_absent() {
            packed.push((record, vec![place]));
            continue;
        }
        let key = (record.partition_key.clone(), record.explicit_hash_key);
        let at = *by_key.entry(key).or_insert_with_key(|key| {
            open.push(Aggregate::empty(key.clone()));
            open.len() - 1
        });
        let aggregate = &mut open[at];
        if !aggregate.has_room(&record.data, bytes_max) {
            packed.extend(aggregate.close());
        }
        aggregate.push(place, record.data);
    }
    packed.extend(open.iter_mut().filter_map(Aggregate::close));
    packed
}

/// An aggregate that is being filled.
struct Aggregate {
    key: Key,
    records: Vec<Bytes>,
    places: Vec<usize>,
    /// Of the message so far.
    bytes: usize,
}

impl Aggregate {
    fn empty(key: Key) -> Self {
        let bytes = tables(&key).len();
        Self { key, records: Vec::new(), places: Vec::new(), bytes }
    }

    fn has_room(&self, data: &Bytes, bytes_max: usize) -> bool {
        let bytes = self.bytes + record_bytes(data.len(), self.key.1.is_some());
        let whole = MAGIC.len() + bytes + CHECKSUM_BYTES + self.key.0.bytes().len();
        whole <= bytes_max && self.records.len() < RECORDS_MAX
    }

    fn push(&mut self, place: usize, data: Bytes) {
        self.bytes += record_bytes(data.len(), self.key.1.is_some());
        self.records.push(data);
        self.places.push(place);
    }

    /// What was pushed since it was closed last, if anything was.
    fn close(&mut self) -> Option<Packed> {
        let records = std::mem::take(&mut self.records);
        let places = std::mem::take(&mut self.places);
        let bytes = std::mem::replace(&mut self.bytes, tables(&self.key).len());
        let data = match &*records {
            [] => return None,
            [alone] => alone.clone(),
            records => self.encode(records, bytes),
        };
        let (partition_key, explicit_hash_key) = self.key.clone();
        Some((PutEntry { partition_key, explicit_hash_key, data }, places))
    }

    fn encode(&self, records: &[Bytes], bytes: usize) -> Bytes {
        let mut blob = Vec::with_capacity(MAGIC.len() + bytes + CHECKSUM_BYTES);
        blob.extend(MAGIC);
        blob.extend(tables(&self.key));
        let has_hash_key = self.key.1.is_some();
        for data in records {
            blob.push(field(3, BYTES));
            varint(&mut blob, inner_bytes(data.len(), has_hash_key));
            blob.extend([field(1, VARINT), 0]);
            if has_hash_key {
                blob.extend([field(2, VARINT), 0]);
            }
            put_bytes(&mut blob, 3, data);
        }
        let checksum = Md5::digest(&blob[MAGIC.len()..]);
        blob.extend_from_slice(&checksum);
        blob.into()
    }
}

const VARINT: u8 = 0;
const BYTES: u8 = 2;

/// A protobuf tag; all of ours are one byte.
const fn field(number: u8, kind: u8) -> u8 {
    number << 3 | kind
}

/// The tables of keys, one in each.
fn tables((partition_key, hash_key): &Key) -> Vec<u8> {
    let mut tables = Vec::new();
    put_bytes(&mut tables, 1, partition_key.bytes());
    if let Some(hash_key) = hash_key {
        put_bytes(&mut tables, 2, hash_key.to_string().as_bytes());
    }
    tables
}

fn put_bytes(to: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    to.push(field(number, BYTES));
    varint(to, bytes.len());
    to.extend_from_slice(bytes);
}

fn varint(to: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn varint_bytes(value: usize) -> usize {
    (usize::BITS - value.leading_zeros()).div_ceil(7).max(1) as usize
}

/// Bytes of a `Record` message.
fn inner_bytes(data: usize, has_hash_key: bool) -> usize {
    2 + if has_hash_key { 2 } else { 0 } + 1 + varint_bytes(data) + data
}

/// Bytes that a record adds to the message.
fn record_bytes(data: usize, has_hash_key: bool) -> usize {
    let inner = inner_bytes(data, has_hash_key);
    1 + varint_bytes(inner) + inner
}

#[cfg(test)]
mod tests {
    use baikonur_record::{Limits, payloads};
    use proptest::prelude::*;

    use super::*;

    fn record(key: &str, hash_key: Option<u128>, data: &[u8]) -> PutEntry {
        PutEntry {
            partition_key: PartitionKey::new(Bytes::copy_from_slice(key.as_bytes())).unwrap(),
            explicit_hash_key: hash_key.map(HashKey::new),
            data: Bytes::copy_from_slice(data),
        }
    }

    /// The user records of an entry, as they are read.
    fn open(entry: &PutEntry) -> Vec<PutEntry> {
        let opened = payloads(&entry.data, &Limits::default()).into_iter().map(|payload| {
            let payload = payload.unwrap();
            let key = payload.partition_key.unwrap_or(entry.partition_key.bytes().clone());
            let is_aggregated = entry.data.starts_with(&MAGIC);
            PutEntry {
                partition_key: PartitionKey::new(key).unwrap(),
                explicit_hash_key: match is_aggregated {
                    true => payload.explicit_hash_key.map(HashKey::new),
                    false => entry.explicit_hash_key,
                },
                data: payload.bytes,
            }
        });
        opened.collect()
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let packed = pack(vec![record("pk", None, b"hello"), record("pk", None, b"world")], 51_200);
        let [(entry, places)] = &*packed else { panic!("{packed:?}") };
        let hex: String = entry.data.iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = "f3899ac20a02706b1a0908001a0568656c6c6f1a0908001a05776f726c644747b0d63591c416fdae617529bdda27";
        assert_eq!((&*hex, &**places), (expected, &[0, 1][..]));
        assert_eq!(entry.partition_key.as_str(), "pk");
    }

    #[test]
    fn only_records_that_go_to_the_same_place_come_together() {
        let packed = pack(
            vec![
                record("a", None, b"{\"n\":1}"),
                record("b", None, b"{\"n\":2}"),
                record("a", Some(7), b"{\"n\":3}"),
                record("a", None, b"{\"n\":4}"),
                record("a", Some(7), b"{\"n\":5}"),
                PutEntry { partition_key: PartitionKey::ABSENT, ..record("x", None, b"{}") },
            ],
            51_200,
        );
        let places: Vec<_> = packed.iter().map(|(_, places)| places.clone()).collect();
        assert_eq!(places, [vec![5], vec![0, 3], vec![1], vec![2, 4]]);
        assert_eq!(packed[2].0, record("b", None, b"{\"n\":2}"), "alone it stays as it is");
        assert_eq!(packed[3].0.explicit_hash_key, Some(HashKey::new(7)));
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out_in_order_and_within_bounds(
            records in prop::collection::vec((0..4u8, 0..3u8, 0..400usize), 0..200),
            bytes_max in 64..2000usize,
        ) {
            let records: Vec<_> = records
                .into_iter()
                .enumerate()
                .map(|(n, (key, hash_key, bytes))| {
                    let hash_key = (hash_key > 0).then(|| u128::from(hash_key) << 100);
                    let data = format!("{{\"n\":{n},\"x\":\"{}\"}}", "x".repeat(bytes));
                    record(&format!("key-{key}"), hash_key, data.as_bytes())
                })
                .collect();
            let packed = pack(records.clone(), bytes_max);
            prop_assert_eq!(&packed, &pack(records.clone(), bytes_max));
            let mut places: Vec<_> = packed.iter().flat_map(|(_, places)| places.clone()).collect();
            let mut newest = HashMap::new();
            for (entry, places) in &packed {
                let whole = entry.data.len() + entry.partition_key.bytes().len();
                prop_assert!(whole <= bytes_max || places.len() == 1);
                let opened = open(entry);
                prop_assert_eq!(opened.len(), places.len());
                for (user, place) in opened.iter().zip(places) {
                    prop_assert_eq!(user, &records[*place]);
                    let key = (&records[*place].partition_key, records[*place].explicit_hash_key);
                    let before = newest.insert(key, *place);
                    prop_assert!(before.is_none_or(|before| before < *place));
                }
            }
            places.sort_unstable();
            prop_assert_eq!(places, (0..records.len()).collect::<Vec<_>>());
        }
    }
}
