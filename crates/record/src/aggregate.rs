//! KPL aggregates: many user records in one Kinesis record.
//!
//! Layout (aggregation-format.md of the Kinesis Producer Library): 4 bytes of magic, a protobuf message
//! `AggregatedRecord`, the 16 bytes of its MD5. What counts as an aggregate is what KCL 3.5 takes for one.

use bytes::Bytes;
use md5::{Digest, Md5};

use crate::Payload;
use crate::protobuf::{Field, Malformed, fields};

const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
const CHECKSUM_BYTES: usize = 16;

/// What a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its user records were visited.
    Aggregate,
    /// Nothing was visited.
    Plain,
}

/// A user record that points outside of the key tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadIndex {
    pub(crate) sub_sequence: u64,
    pub(crate) table: &'static str,
}

/// Visits the user records of `data` until `visit` returns false. Of the records with a bad index only the first is
/// reported, since all of them are kept by keeping the aggregate.
///
/// At most one more than `records_max` is visited, and no table holds more: foreign bytes must not choose how much
/// memory the tables take (a key of no bytes takes two on the wire).
#[inline]
pub(crate) fn user_records<F>(data: &Bytes, records_max: usize, visit: F) -> Outcome
where
    F: FnMut(Result<Payload, BadIndex>) -> bool,
{
    if !data.starts_with(&MAGIC) {
        return Outcome::Plain;
    }
    match verified_body(data).map(|body| Tables::read(&body, records_max)) {
        Some(Ok(tables)) => {
            tables.visit(visit);
            Outcome::Aggregate
        }
        Some(Err(Malformed)) | None => Outcome::Plain,
    }
}

/// The protobuf message, when it is not empty and its checksum is right.
fn verified_body(data: &Bytes) -> Option<Bytes> {
    let (body, checksum) = data.get(MAGIC.len()..)?.split_last_chunk::<CHECKSUM_BYTES>()?;
    let matches = !body.is_empty() && Md5::digest(body).as_slice() == checksum;
    matches.then(|| data.slice_ref(body))
}

/// `AggregatedRecord`. Read whole before anything is visited: a malformed end makes the blob a plain record.
#[derive(Default)]
struct Tables {
    partition_keys: Vec<Bytes>,
    explicit_hash_keys: Vec<Bytes>,
    records: Vec<UserRecord>,
}

/// `Record`.
struct UserRecord {
    partition_key_index: u64,
    explicit_hash_key_index: Option<u64>,
    data: Bytes,
}

impl Tables {
    fn read(body: &Bytes, records_max: usize) -> Result<Self, Malformed> {
        let mut tables = Self::default();
        fields(body, |field| {
            match field {
                Field::Bytes(1, key) => push_up_to(&mut tables.partition_keys, key, records_max),
                Field::Bytes(2, key) => {
                    push_up_to(&mut tables.explicit_hash_keys, key, records_max)
                }
                Field::Bytes(3, record) => {
                    let record = UserRecord::read(&record)?;
                    push_up_to(&mut tables.records, record, records_max.saturating_add(1));
                }
                Field::Bytes(..) | Field::Varint(..) | Field::Other => {}
            }
            Ok(())
        })?;
        Ok(tables)
    }

    fn visit<F>(self, mut visit: F)
    where
        F: FnMut(Result<Payload, BadIndex>) -> bool,
    {
        let mut bad_index_reported = false;
        for (sub_sequence, record) in (0..).zip(&self.records) {
            let payload = self.payload(sub_sequence, record);
            if payload.is_err() && std::mem::replace(&mut bad_index_reported, true) {
                continue;
            }
            if !visit(payload) {
                return;
            }
        }
    }

    fn payload(&self, sub_sequence: u64, record: &UserRecord) -> Result<Payload, BadIndex> {
        let bad_index = |table| BadIndex { sub_sequence, table };
        let partition_key = entry(&self.partition_keys, record.partition_key_index);
        let partition_key = partition_key.ok_or(bad_index("partition key"))?;
        let explicit_hash_key = match record.explicit_hash_key_index {
            Some(index) => {
                Some(entry(&self.explicit_hash_keys, index).ok_or(bad_index("explicit hash key"))?)
            }
            None => None,
        };
        Ok(Payload {
            bytes: record.data.clone(),
            partition_key: Some(partition_key.clone()),
            explicit_hash_key: explicit_hash_key
                .and_then(|key| std::str::from_utf8(key).ok()?.parse().ok()),
            sub_sequence,
            event_index: 0,
        })
    }
}

fn push_up_to<T>(table: &mut Vec<T>, entry: T, length_max: usize) {
    if table.len() < length_max {
        table.push(entry);
    }
}

fn entry(table: &[Bytes], index: u64) -> Option<&Bytes> {
    table.get(usize::try_from(index).ok()?)
}

impl UserRecord {
    fn read(message: &Bytes) -> Result<Self, Malformed> {
        let mut partition_key_index = None;
        let mut explicit_hash_key_index = None;
        let mut data = None;
        fields(message, |field| {
            match field {
                Field::Varint(1, index) => partition_key_index = Some(index),
                Field::Varint(2, index) => explicit_hash_key_index = Some(index),
                Field::Bytes(3, bytes) => data = Some(bytes),
                Field::Bytes(4, tag) => check_tag(&tag)?,
                Field::Bytes(..) | Field::Varint(..) | Field::Other => {}
            }
            Ok(())
        })?;
        Ok(Self {
            partition_key_index: partition_key_index.ok_or(Malformed)?,
            explicit_hash_key_index,
            data: data.ok_or(Malformed)?,
        })
    }
}

/// `Tag`: not used by anyone, but a tag without its key makes the message malformed for KCL.
fn check_tag(message: &Bytes) -> Result<(), Malformed> {
    let mut has_key = false;
    fields(message, |field| {
        has_key |= matches!(field, Field::Bytes(1, _));
        Ok(())
    })?;
    if has_key { Ok(()) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{BadIndex, Outcome, user_records};
    use crate::Payload;

    const V1: &str = "f3899ac20a02706b1a0908001a0568656c6c6f1a0908001a05776f726c644747b0d63591c416fdae617529bdda27";
    const V2: &str =
        "f3899ac20a01610a01621201301a07080010001a01781a0408011a003ec16751b4cb6c581c463888e7c95940";

    fn bytes(hex: &str) -> Bytes {
        let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }

    fn open(data: &Bytes) -> Option<Vec<Result<Payload, BadIndex>>> {
        let mut records = Vec::new();
        let outcome = user_records(data, 100, |record| {
            records.push(record);
            true
        });
        (outcome == Outcome::Aggregate).then_some(records)
    }

    fn record(data: &'static str, key: &'static str, sub_sequence: u64) -> Payload {
        Payload { partition_key: Some(key.into()), sub_sequence, ..Payload::plain(data.into()) }
    }

    fn sealed(body: &[u8]) -> Bytes {
        use md5::{Digest, Md5};
        [super::MAGIC.as_slice(), body, &Md5::digest(body)].concat().into()
    }

    #[test]
    fn v1_two_records_share_a_key_and_the_bytes_of_the_blob() {
        let data = bytes(V1);
        let records = open(&data).unwrap();
        assert_eq!(records, [Ok(record("hello", "pk", 0)), Ok(record("world", "pk", 1))]);
        let hello = records[0].as_ref().unwrap();
        assert_eq!(hello.bytes.as_ptr(), data[14..].as_ptr(), "not copied");
    }

    #[test]
    fn v2_explicit_hash_keys_are_optional_and_data_may_be_empty() {
        let first = Payload { explicit_hash_key: Some(0), ..record("x", "a", 0) };
        assert_eq!(open(&bytes(V2)).unwrap(), [Ok(first), Ok(record("", "b", 1))]);
    }

    #[test]
    fn v3_a_checksum_of_nothing_is_a_plain_record() {
        assert_eq!(open(&bytes("f3899ac2d41d8cd98f00b204e9800998ecf8427e")), None);
    }

    #[test]
    fn v4_a_wrong_checksum_makes_a_plain_record() {
        let mut wrong = bytes(V1).to_vec();
        *wrong.last_mut().unwrap() ^= 0xf;
        assert_eq!(open(&wrong.into()), None);
    }

    #[test]
    fn v5_and_v6_no_user_record_is_dropped_for_the_range_of_its_shard() {
        assert_eq!(open(&bytes(V2)).unwrap().len(), 2);
        assert_eq!(open(&bytes(V1)).unwrap().len(), 2);
    }

    #[test]
    fn v7_short_blobs_are_plain_records() {
        for hex in ["", "f3", "f3899a", "f3899ac2", "f3899ac20a02706b"] {
            assert_eq!(open(&bytes(hex)), None, "{hex}");
        }
    }

    #[test]
    fn a_malformed_body_makes_a_plain_record_even_with_a_right_checksum() {
        for body in [
            b"\x0a\x05pk".as_slice(),
            b"\x0a\x02pk\x1a\x03\x1a\x01x",
            b"\x0a\x02pk\x1a\x02\x08\x00",
            b"\x0a\x02pk\x1a\x09\x08\x00\x1a\x01x\x22\x02\x12\x00",
        ] {
            assert_eq!(open(&sealed(body)), None, "{body:x?}");
        }
    }

    #[test]
    fn unknown_fields_and_tags_are_passed() {
        let body = b"\x0a\x02pk\x1a\x0b\x08\x00\x1a\x01x\x22\x02\x0a\x00\x28\x07\x32\x01z";
        assert_eq!(open(&sealed(body)).unwrap(), [Ok(record("x", "pk", 0))]);
    }

    #[test]
    fn an_aggregate_of_no_records_gives_nothing() {
        assert_eq!(open(&sealed(b"\x0a\x02pk")).unwrap(), []);
    }

    #[test]
    fn records_that_point_outside_of_a_table_are_reported_once_and_cost_no_other() {
        let body = b"\x0a\x02pk\x1a\x05\x08\x00\x1a\x01a\x1a\x05\x08\x01\x1a\x01b\x1a\x07\x08\x00\x10\x00\x1a\x01c\x1a\x05\x08\x00\x1a\x01d";
        let bad = BadIndex { sub_sequence: 1, table: "partition key" };
        assert_eq!(
            open(&sealed(body)).unwrap(),
            [Ok(record("a", "pk", 0)), Err(bad), Ok(record("d", "pk", 3))]
        );
    }

    #[test]
    fn tables_stop_growing_above_the_limit() {
        let body = b"\x1a\x04\x08\x00\x1a\x00".repeat(50);
        let body = [b"\x0a\x00".as_slice(), &body].concat();
        let mut seen = 0;
        user_records(&sealed(&body), 10, |record| {
            seen += usize::from(record.is_ok());
            true
        });
        assert_eq!(seen, 11);
    }
}
