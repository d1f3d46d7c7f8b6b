//! From payloads to puts: a payload's bytes become a record as they are, under the key that they
//! came with.

use baikonur_stream::{HashKey, PartitionKey, PutEntry, RejectedRecord, SequenceNumber};

use super::put_before::PutBefore;
use crate::intake::TakenPayload;

/// Records of a put (API reference, `PutRecords`).
const PUT_RECORDS_MAX: usize = 500;
/// Bytes of a put, payloads and keys; the service takes twice as much since 2025.
const PUT_BYTES_MAX: usize = 5 << 20;
/// Bytes of a record (`MaxRecordSizeInKiB`, its default).
const RECORD_BYTES_MAX: usize = 1 << 20;

/// The reason of events that no stream takes: decompression can make them larger than a record.
pub const TOO_LARGE_FOR_STREAM: &str = "too_large_for_stream";
/// The reason of events that the target stream refused for what they are.
pub const REFUSED_BY_STREAM: &str = "refused_by_stream";

/// All that consecutive source records become, put at once.
#[derive(Debug, Default)]
pub(super) struct Put {
    pub(super) entries: Vec<PutEntry>,
    /// For each entry the source record.
    pub(super) sources: Vec<SequenceNumber>,
    /// For each entry its place in the source record: in an aggregate, and in an envelope.
    pub(super) places: Vec<(u64, u32)>,
    bytes: usize,
}

/// Cuts `payloads`, which are in the order of their source records, into puts of the sizes that
/// Kinesis takes. A source record is never divided, so that "everything up to this one is put" can
/// be remembered with each put; one that became more than a put may be goes as one all the same.
///
/// Source records that were put before are left out; only what no stream takes is looked for in them.
pub(super) fn puts(
    payloads: Vec<TakenPayload>,
    put_before: &PutBefore,
    rejected: &mut Vec<RejectedRecord>,
) -> Vec<Put> {
    let mut puts = Vec::new();
    let mut put = Put::default();
    // Where the entries of the last source record begin, and their bytes.
    let (mut start, mut bytes) = (0, 0);
    for payload in payloads {
        if payload.payload.bytes.len() > RECORD_BYTES_MAX {
            rejected.push(too_large(payload));
            continue;
        }
        if put_before.includes(&payload.record_key, payload.sequence_number) {
            continue;
        }
        if put.sources.last() != Some(&payload.sequence_number) {
            (start, bytes) = (put.entries.len(), 0);
        }
        let source = payload.sequence_number;
        put.places.push((payload.payload.sub_sequence, payload.payload.event_index));
        let entry = entry(payload);
        let size = entry.data.len() + entry.partition_key.bytes().len();
        put.entries.push(entry);
        put.sources.push(source);
        put.bytes += size;
        bytes += size;
        let full = put.entries.len() > PUT_RECORDS_MAX || put.bytes > PUT_BYTES_MAX;
        if full && start > 0 {
            let next = put.split_off(start, bytes);
            puts.push(std::mem::replace(&mut put, next));
            start = 0;
        }
    }
    if !put.entries.is_empty() {
        puts.push(put);
    }
    puts
}

impl Put {
    /// Takes the entries from `at` on, which have `bytes`, into a put of their own.
    fn split_off(&mut self, at: usize, bytes: usize) -> Self {
        self.bytes -= bytes;
        let (entries, sources) = (self.entries.split_off(at), self.sources.split_off(at));
        Self { entries, sources, places: self.places.split_off(at), bytes }
    }

    /// The first source record.
    pub(super) fn first(&self) -> SequenceNumber {
        self.sources[0]
    }

    /// The last source record.
    pub(super) fn last(&self) -> SequenceNumber {
        self.sources[self.sources.len() - 1]
    }
}

fn entry(taken: TakenPayload) -> PutEntry {
    let TakenPayload { record_key, payload, .. } = taken;
    PutEntry {
        // Nobody before us checked a key inside an aggregate.
        partition_key: payload
            .partition_key
            .and_then(|key| PartitionKey::new(key).ok())
            .unwrap_or(record_key),
        explicit_hash_key: payload.explicit_hash_key.map(HashKey::new),
        data: payload.bytes,
    }
}

fn too_large(taken: TakenPayload) -> RejectedRecord {
    let bytes = taken.payload.bytes.len();
    let detail =
        format!("the event has {bytes} bytes, a stream's record at most {RECORD_BYTES_MAX}");
    taken.rejected(TOO_LARGE_FOR_STREAM, detail)
}

#[cfg(test)]
mod tests {
    use baikonur_record::Payload;
    use baikonur_stream::{Lane, Timestamp};
    use bytes::Bytes;

    use super::*;

    fn taken(counter: u64, bytes: usize) -> TakenPayload {
        TakenPayload {
            sequence_number: number(counter),
            arrival: Timestamp::from_seconds(1_700_000_000),
            record_key: PartitionKey::new(Bytes::from_static(b"outer")).unwrap(),
            payload: Payload {
                bytes: vec![b' '; bytes].into(),
                partition_key: None,
                explicit_hash_key: None,
                sub_sequence: 0,
                event_index: 0,
            },
            original: None,
        }
    }

    fn number(counter: u64) -> SequenceNumber {
        SequenceNumber::new(1_700_000_000, 0, counter, 1_700_000_000)
    }

    /// `(source, payloads)` in, `(first, last, entries)` of each put out.
    fn cut(sources: &[(u64, usize)], bytes: usize) -> Vec<(u64, u64, usize)> {
        let payloads = sources.iter().flat_map(|&(source, payloads)| {
            std::iter::repeat_with(move || taken(source, bytes)).take(payloads)
        });
        let puts = puts(payloads.collect(), &PutBefore::default(), &mut Vec::new());
        puts.iter()
            .map(|put| {
                assert_eq!(put.entries.len(), put.sources.len());
                assert_eq!(put.bytes, put.entries.len() * (bytes + "outer".len()));
                (put.first().counter(), put.last().counter(), put.entries.len())
            })
            .collect()
    }

    #[test]
    fn puts_end_between_source_records() {
        let plain: Vec<_> = (1..=1001).map(|source| (source, 1)).collect();
        assert_eq!(cut(&plain, 1), [(1, 500, 500), (501, 1000, 500), (1001, 1001, 1)]);
        assert_eq!(cut(&[(1, 300), (2, 300), (3, 200)], 1), [(1, 1, 300), (2, 3, 500)]);
        assert_eq!(cut(&[(1, 499), (2, 700), (3, 1)], 1), [(1, 1, 499), (2, 2, 700), (3, 3, 1)]);
        assert_eq!(cut(&[], 1), []);
    }

    #[test]
    fn puts_are_bounded_in_bytes() {
        let megabytes: Vec<_> = (1..=9).map(|source| (source, 1)).collect();
        assert_eq!(cut(&megabytes, 1 << 20), [(1, 4, 4), (5, 8, 4), (9, 9, 1)]);
        assert_eq!(cut(&[(1, 9), (2, 1)], 1 << 20), [(1, 1, 9), (2, 2, 1)]);
    }

    #[test]
    fn what_no_stream_takes_is_rejected() {
        let mut rejected = Vec::new();
        let payloads =
            vec![taken(1, 1), taken(2, RECORD_BYTES_MAX + 1), taken(3, RECORD_BYTES_MAX)];
        let put_before = PutBefore::from_positions(vec![(Lane::WHOLE, number(2))]);
        let puts = puts(payloads, &put_before, &mut rejected);
        assert_eq!(puts.len(), 1);
        assert_eq!(puts[0].sources, [number(3)]);
        assert_eq!(rejected.len(), 1, "also when it was seen before");
        assert_eq!(
            (rejected[0].sequence_number, &*rejected[0].reason),
            (number(2), TOO_LARGE_FOR_STREAM)
        );
    }

    #[test]
    fn keys_inside_an_aggregate_are_kept_unless_no_stream_takes_them() {
        for (inner, kept) in [("inner", "inner"), ("", "outer"), (&*"x".repeat(257), "outer")] {
            let mut taken = taken(1, 1);
            taken.payload.partition_key = Some(Bytes::copy_from_slice(inner.as_bytes()));
            taken.payload.explicit_hash_key = Some(7);
            let entry = entry(taken);
            assert_eq!(entry.partition_key.as_str(), kept);
            assert_eq!(entry.explicit_hash_key, Some(HashKey::new(7)));
        }
    }
}
