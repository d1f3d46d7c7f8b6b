//! From payloads to puts: a payload's bytes become a record as they are, under the key that they
//! came with or one made of their fields, alone or together with others of the same key.

use std::collections::HashSet;

use baikonur_stream::{HashKey, PartitionKey, PutEntry, SequenceNumber};

use super::aggregate;
use super::key_template::KeyTemplate;
use super::put_before::PutBefore;
use crate::intake::TakenPayload;

/// Records of a put at most: those of the largest batch that is not compressed, so that it is one put and waits for one
/// fsync. What a call of Amazon's may have is the matter of whoever makes it.
const PUT_RECORDS_MAX: usize = 10_000;
/// Bytes of a put, payloads and keys.
const PUT_BYTES_MAX: usize = 8 << 20;

/// An event by its source record and its place there: in an aggregate, and in an envelope.
pub(super) type Origin = (SequenceNumber, u64, u32);

/// How events become records of one target.
#[derive(Debug, Clone, Default)]
pub(super) struct Encoding {
    pub(super) partition_key: Option<KeyTemplate>,
    /// Bytes of an aggregate; none where there are to be none.
    pub(super) aggregation: Option<usize>,
}

/// What of a target's records is in it already.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Before this delivery began.
    pub(super) before: PutBefore,
    /// Everything up to here, since then.
    pub(super) up_to: Option<SequenceNumber>,
    /// Some of what comes behind.
    pub(super) ahead: HashSet<Origin>,
}

/// All that consecutive source records become, put at once.
#[derive(Debug, Default)]
pub(super) struct Put {
    pub(super) entries: Vec<PutEntry>,
    /// Where each event is from.
    pub(super) origins: Vec<Origin>,
    /// For each entry the places of its events; none where each event is an entry.
    pub(super) packed: Option<Vec<Vec<usize>>>,
    bytes: usize,
}

/// Cuts events, which come in the order of their source records, into puts. A source record is never
/// divided, so that "everything up to this one is put" can be remembered with each put; one that
/// became more than a put may be goes as one all the same.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    put: Put,
    /// Where the entries of the last source record begin, and their bytes.
    start: usize,
    bytes: usize,
}

impl Done {
    /// Whether the target has it.
    fn includes(&self, taken: &TakenPayload) -> bool {
        let source = taken.sequence_number;
        self.up_to.is_some_and(|up_to| source <= up_to)
            || self.before.includes(&taken.record_key, source)
            || !self.ahead.is_empty() && self.ahead.contains(&origin(taken))
    }
}

impl Cutter {
    /// Takes an event, unless the target has it; gives what is full now.
    pub(super) fn push(
        &mut self,
        taken: &TakenPayload,
        encoding: &Encoding,
        done: &Done,
    ) -> Option<Put> {
        if done.includes(taken) {
            return None;
        }
        let source = taken.sequence_number;
        if self.put.origins.last().is_none_or(|(last, ..)| *last != source) {
            (self.start, self.bytes) = (self.put.entries.len(), 0);
        }
        let entry = entry(taken, encoding.partition_key.as_ref());
        let size = entry.data.len() + entry.partition_key.bytes().len();
        self.put.origins.push(origin(taken));
        self.put.entries.push(entry);
        self.put.bytes += size;
        self.bytes += size;
        let full = self.put.entries.len() > PUT_RECORDS_MAX || self.put.bytes > PUT_BYTES_MAX;
        if !full || self.start == 0 {
            return None;
        }
        let next = self.put.split_off(self.start, self.bytes);
        self.start = 0;
        Some(std::mem::replace(&mut self.put, next).encoded(encoding))
    }

    /// What is not full.
    pub(super) fn rest(&mut self, encoding: &Encoding) -> Option<Put> {
        let put = std::mem::take(self).put;
        (!put.entries.is_empty()).then(|| put.encoded(encoding))
    }
}

impl Put {
    /// Takes the entries from `at` on, which have `bytes`, into a put of their own.
    fn split_off(&mut self, at: usize, bytes: usize) -> Self {
        self.bytes -= bytes;
        let (entries, origins) = (self.entries.split_off(at), self.origins.split_off(at));
        Self { entries, origins, packed: None, bytes }
    }

    fn encoded(self, encoding: &Encoding) -> Self {
        let Some(bytes_max) = encoding.aggregation else { return self };
        let (entries, packed) = aggregate::pack(self.entries, bytes_max).into_iter().unzip();
        Self { entries, packed: Some(packed), ..self }
    }

    /// The first source record.
    pub(super) fn first(&self) -> SequenceNumber {
        self.origins[0].0
    }

    /// The last source record.
    pub(super) fn last(&self) -> SequenceNumber {
        self.origins[self.origins.len() - 1].0
    }
}

pub(super) fn origin(taken: &TakenPayload) -> Origin {
    (taken.sequence_number, taken.payload.sub_sequence, taken.payload.event_index)
}

fn entry(taken: &TakenPayload, template: Option<&KeyTemplate>) -> PutEntry {
    let TakenPayload { record_key, payload, .. } = taken;
    let data = payload.bytes.clone();
    if let Some(partition_key) = template.and_then(|template| template.key(&data)) {
        // The new key decides where the record goes.
        return PutEntry { partition_key, explicit_hash_key: None, data };
    }
    // Nobody before us checked a key inside an aggregate.
    let own_key = payload.partition_key.clone().and_then(|key| PartitionKey::new(key).ok());
    PutEntry {
        partition_key: own_key.unwrap_or_else(|| record_key.clone()),
        explicit_hash_key: payload.explicit_hash_key.map(HashKey::new),
        data,
    }
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

    fn puts(payloads: impl IntoIterator<Item = TakenPayload>, done: &Done) -> Vec<Put> {
        let (mut cutter, encoding) = (Cutter::default(), Encoding::default());
        let mut puts = Vec::new();
        puts.extend(payloads.into_iter().filter_map(|one| cutter.push(&one, &encoding, done)));
        puts.extend(cutter.rest(&encoding));
        assert!(cutter.rest(&encoding).is_none());
        puts
    }

    /// `(source, payloads)` in, `(first, last, entries)` of each put out.
    fn cut(sources: &[(u64, usize)], bytes: usize) -> Vec<(u64, u64, usize)> {
        let payloads = sources.iter().flat_map(|&(source, payloads)| {
            std::iter::repeat_with(move || taken(source, bytes)).take(payloads)
        });
        puts(payloads, &Done::default())
            .iter()
            .map(|put| {
                assert_eq!(put.entries.len(), put.origins.len());
                assert_eq!(put.bytes, put.entries.len() * (bytes + "outer".len()));
                (put.first().counter(), put.last().counter(), put.entries.len())
            })
            .collect()
    }

    #[test]
    fn puts_end_between_source_records() {
        let plain: Vec<_> = (1..=20_001).map(|source| (source, 1)).collect();
        let expected = [(1, 10_000, 10_000), (10_001, 20_000, 10_000), (20_001, 20_001, 1)];
        assert_eq!(cut(&plain, 1), expected);
        let expected = [(1, 1, 6000), (2, 3, 10_000)];
        assert_eq!(cut(&[(1, 6000), (2, 6000), (3, 4000)], 1), expected);
        let expected = [(1, 1, 9999), (2, 2, 12_000), (3, 3, 1)];
        assert_eq!(cut(&[(1, 9999), (2, 12_000), (3, 1)], 1), expected);
        assert_eq!(cut(&[], 1), []);
    }

    #[test]
    fn puts_are_bounded_in_bytes() {
        let megabytes: Vec<_> = (1..=9).map(|source| (source, 1)).collect();
        assert_eq!(cut(&megabytes, 1 << 20), [(1, 7, 7), (8, 9, 2)]);
        assert_eq!(cut(&[(1, 9), (2, 1)], 1 << 20), [(1, 1, 9), (2, 2, 1)]);
    }

    #[test]
    fn what_the_target_has_is_left_out() {
        let done = Done {
            before: PutBefore::from_positions(vec![(Lane::WHOLE, number(2))]),
            up_to: Some(number(4)),
            ahead: HashSet::from([(number(6), 0, 0), (number(7), 1, 0)]),
        };
        let left = puts((1..=7).map(|counter| taken(counter, 1)), &done);
        let sources: Vec<_> = left[0].origins.iter().map(|(source, ..)| source.counter()).collect();
        assert_eq!(sources, [5, 7]);
    }

    #[test]
    fn keys_inside_an_aggregate_are_kept_unless_no_stream_takes_them() {
        for (inner, kept) in [("inner", "inner"), ("", "outer"), (&*"x".repeat(257), "outer")] {
            let mut taken = taken(1, 1);
            taken.payload.partition_key = Some(Bytes::copy_from_slice(inner.as_bytes()));
            taken.payload.explicit_hash_key = Some(7);
            let entry = entry(&taken, None);
            assert_eq!(entry.partition_key.as_str(), kept);
            assert_eq!(entry.explicit_hash_key, Some(HashKey::new(7)));
        }
    }

    #[test]
    fn a_key_made_of_fields_decides_alone_and_what_has_none_keeps_its_own() {
        let template = KeyTemplate::parse("{host}").unwrap();
        let mut taken = taken(1, 1);
        taken.payload.explicit_hash_key = Some(7);
        taken.payload.bytes = Bytes::from_static(br#"{"host":"web-1"}"#);
        let made = entry(&taken, Some(&template));
        assert_eq!((made.partition_key.as_str(), made.explicit_hash_key), ("web-1", None));
        taken.payload.bytes = Bytes::from_static(br#"{"host":null}"#);
        let kept = entry(&taken, Some(&template));
        assert_eq!(kept.partition_key.as_str(), "outer");
        assert_eq!(kept.explicit_hash_key, Some(HashKey::new(7)));
    }
}
