//! What of one Kinesis record could not be decoded, in bounded memory.
//!
//! A record of a few kB may decompress to MiBs of text that is no JSON, or hold 100,000 messages that are none. Each is
//! rejected on its own as long as together they stay in proportion to the record; above that the record is rejected
//! once, whole and as it came. Its good payloads are delivered all the same, so a replay of such a record repeats them.

use baikonur_record::RejectedPayload;
use baikonur_stream::{Record, RejectedRecord};
use bytes::Bytes;

/// The reasons with which intake rejects (the labels of `baikonur_record::Reason`), unlike those of
/// destinations and mappings.
pub const UNDECODABLE: [&str; 9] = [
    "empty",
    "bad_gzip",
    "too_large",
    "too_many_payloads",
    "bad_aggregate",
    "bad_envelope",
    "not_utf8",
    "not_json",
    "not_an_object",
];

/// Rejected payloads may take this many times the record's bytes, and at least [`BYTES_MIN`].
const GROWTH_MAX: usize = 16;
const BYTES_MIN: usize = 4096;
/// What a rejection takes beside its data.
const OVERHEAD_BYTES: usize = 256;

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
            into.push(self.whole(first));
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
            partition_key: payload.partition_key.unwrap_or_else(|| key_of(record)),
            data: payload.bytes,
        }));
    }

    fn bytes_max(&self) -> usize {
        BYTES_MIN + GROWTH_MAX * self.record.data.len()
    }

    fn whole(&self, first: &RejectedPayload) -> RejectedRecord {
        let record = self.record;
        RejectedRecord {
            sequence_number: record.sequence_number,
            sub_sequence: 0,
            event_index: 0,
            arrival: record.arrival,
            partition_key: key_of(record),
            reason: first.reason.label().to_owned(),
            detail: format!(
                "{}; kept as the record came, because its rejected parts are far larger",
                first.reason
            ),
            data: record.data.clone(),
        }
    }
}

fn key_of(record: &Record) -> Bytes {
    record.partition_key.bytes().clone()
}
