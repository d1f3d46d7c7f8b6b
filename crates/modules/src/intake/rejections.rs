//! What of one Kinesis record could not be decoded, or is refused by a destination, in bounded memory.
//!
//! A record of a few kB may decompress to MiBs of text that is no JSON, or hold 100,000 messages that are none. Each is
//! rejected on its own as long as together they stay in proportion to the record; above that the record is rejected
//! once, whole and as it came. Its good payloads are delivered all the same, so a replay of such a record repeats them.

use baikonur_record::RejectedPayload;
use baikonur_stream::{Batch, Record, RejectedRecord};
use bytes::Bytes;

/// The reasons with which intake rejects (the labels of `baikonur_record::Reason`), unlike those of
/// destinations and mappings.
pub const UNDECODABLE: [&str; 10] = [
    "empty",
    "bad_gzip",
    "too_large",
    "too_many_payloads",
    "bad_aggregate",
    "bad_envelope",
    "not_utf8",
    "not_json",
    "not_an_object",
    "too_large_with_fields",
];

/// Rejected payloads may take this many times the record's bytes, and at least [`BYTES_MIN`].
const GROWTH_MAX: usize = 16;
const BYTES_MIN: usize = 4096;
/// What a rejection takes beside its data and its detail.
const OVERHEAD_BYTES: usize = 256;

fn bytes_max(record: &Record) -> usize {
    BYTES_MIN + GROWTH_MAX * record.data.len()
}

/// Puts what a destination refused of `batch` into the order of the records, in proportion to them: where it grew far
/// beyond its record, the record is kept once, as it came.
pub(super) fn in_proportion(
    batch: &Batch,
    mut refused: Vec<RejectedRecord>,
) -> Vec<RejectedRecord> {
    refused.sort_by_key(|one| (one.sequence_number, one.sub_sequence, one.event_index));
    let mut kept = Vec::new();
    for of_record in refused.chunk_by(|one, next| one.sequence_number == next.sequence_number) {
        let number = of_record[0].sequence_number;
        let place = batch.records.binary_search_by_key(&number, |record| record.sequence_number);
        let bytes: usize =
            of_record.iter().map(|one| one.data.len() + one.detail.len() + OVERHEAD_BYTES).sum();
        match place.map(|place| &batch.records[place]) {
            Ok(record) if bytes > bytes_max(record) => {
                let RejectedRecord { reason, detail, .. } = &of_record[0];
                kept.push(whole(record, reason, detail));
            }
            _ => kept.extend(
                of_record
                    .iter()
                    .cloned()
                    .map(|one| RejectedRecord { data: alone(&one.data), ..one }),
            ),
        }
    }
    kept
}

/// A copy that keeps nothing else in memory: a rejection waits longer than the buffer that its bytes are a part of.
fn alone(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn whole(record: &Record, reason: &str, detail: &str) -> RejectedRecord {
    RejectedRecord {
        sequence_number: record.sequence_number,
        sub_sequence: 0,
        event_index: 0,
        arrival: record.arrival,
        partition_key: key_of(record),
        reason: reason.to_owned(),
        detail: format!(
            "{detail}; kept as the record came, because its rejected parts are far larger"
        ),
        data: alone(&record.data),
    }
}

/// The rejected payloads of a record.
pub(super) struct Rejections<'b> {
    record: &'b Record,
    payloads: Vec<RejectedPayload>,
    bytes: usize,
}

impl<'b> Rejections<'b> {
    pub(super) fn of(record: &'b Record) -> Self {
        Self { record, payloads: Vec::new(), bytes: 0 }
    }

    pub(super) fn push(&mut self, payload: RejectedPayload) {
        self.bytes += payload.bytes.len() + OVERHEAD_BYTES;
        self.payloads.push(payload);
        if self.bytes > self.bytes_max() {
            // Only the first is needed any more, for its reason.
            self.payloads.truncate(1);
        }
    }

    /// Appends what is to be kept of the record.
    pub(super) fn finish(self, into: &mut Vec<RejectedRecord>) {
        if self.bytes > self.bytes_max()
            && let Some(first) = self.payloads.first()
        {
            into.push(whole(self.record, first.reason.label(), &first.reason.to_string()));
            return;
        }
        let record = self.record;
        into.extend(self.payloads.into_iter().map(|payload| RejectedRecord {
            sequence_number: record.sequence_number,
            sub_sequence: payload.sub_sequence,
            event_index: payload.event_index,
            arrival: record.arrival,
            reason: payload.reason.label().to_owned(),
            detail: payload.reason.to_string(),
            partition_key: payload.partition_key.map_or_else(|| key_of(record), |key| alone(&key)),
            data: alone(&payload.bytes),
        }));
    }

    fn bytes_max(&self) -> usize {
        bytes_max(self.record)
    }
}

fn key_of(record: &Record) -> Bytes {
    alone(record.partition_key.bytes())
}
