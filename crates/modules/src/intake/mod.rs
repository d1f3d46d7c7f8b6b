//! Intake: what a module takes from a batch. Decoding, the whitelist, filters, changed fields and rejection are here and
//! nowhere else.
//!
//! Memory is bounded whatever the records grow into: a batch is taken in [`parts`](Intake::parts)
//! of a few MiB of decoded events, a record at a time (`record::Limits` bounds what a record grows
//! into), and what a record's rejected payloads may take is in proportion to the record itself
//! (see `rejections`).

mod change;
mod choice;
mod criteria;
mod rejections;
mod resumed;
mod rule;
mod settings;
mod take;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_fields;

use baikonur_record::{LogEvent, Payload};
use baikonur_stream::{PartitionKey, RejectedRecord, SequenceNumber, Timestamp};
use bytes::Bytes;

pub use change::Original;
pub(crate) use criteria::deserialize as filter_criteria;
pub use rejections::UNDECODABLE;
pub(crate) use rule::{Rule, Rules};
pub use settings::{IntakeSettings, IntakeSettingsError};
pub use take::{Intake, Parts};

/// What came out of consecutive records, in their order.
#[derive(Debug)]
pub struct Taken<E = TakenEvent> {
    /// What the whitelist admits and a filter takes.
    pub events: Vec<E>,
    /// What could not be decoded.
    pub rejected: Vec<RejectedRecord>,
    /// How many events the whitelist and the filters left out.
    pub filtered: u64,
}

impl<E> Default for Taken<E> {
    fn default() -> Self {
        Self { events: Vec::new(), rejected: Vec::new(), filtered: 0 }
    }
}

/// A log event and the record that it was in.
#[derive(Debug, Clone)]
pub struct TakenEvent {
    /// The Kinesis record.
    pub sequence_number: SequenceNumber,
    /// When the stream took it.
    pub arrival: Timestamp,
    /// Its partition key: of the aggregated record, if it has one of its own.
    pub partition_key: Bytes,
    /// The event, changed as the module's `fields` say.
    pub event: LogEvent,
    /// How it came, where that is something else.
    pub original: Option<Original>,
}

impl TakenEvent {
    /// This event, as it came, as a record that its destination refuses for good; `reason` is a
    /// word of `[a-z0-9_]`.
    pub fn rejected(&self, reason: &str, detail: String) -> RejectedRecord {
        RejectedRecord {
            sequence_number: self.sequence_number,
            sub_sequence: self.event.sub_sequence,
            event_index: self.event.event_index,
            arrival: self.arrival,
            partition_key: self.partition_key.clone(),
            reason: reason.to_owned(),
            detail,
            data: self.original.as_ref().map_or_else(|| self.event.json.clone(), Original::bytes),
        }
    }
}

/// A payload that the whitelist admits and a filter takes, and the record that it was in. Its id and its time
/// were not looked for.
#[derive(Debug, Clone)]
pub struct TakenPayload {
    /// The Kinesis record.
    pub sequence_number: SequenceNumber,
    /// When the stream took it.
    pub arrival: Timestamp,
    /// The partition key of the Kinesis record; the payload may have one of its own.
    pub record_key: PartitionKey,
    /// The payload, its bytes as they came out of decoding, changed as the module's `fields` say.
    pub payload: Payload,
    /// How it came, where that is something else.
    pub original: Option<Original>,
}

impl TakenPayload {
    /// This payload, as it came, as a record that its destination refuses for good; `reason` is a
    /// word of `[a-z0-9_]`.
    pub fn rejected(self, reason: &str, detail: String) -> RejectedRecord {
        RejectedRecord {
            sequence_number: self.sequence_number,
            sub_sequence: self.payload.sub_sequence,
            event_index: self.payload.event_index,
            arrival: self.arrival,
            partition_key: self.payload.partition_key.unwrap_or(self.record_key.bytes().clone()),
            reason: reason.to_owned(),
            detail,
            data: self.original.map_or(self.payload.bytes, |original| original.bytes()),
        }
    }
}
