//! From one Kinesis data blob to its payloads: de-aggregation, decompression, CloudWatch unwrapping, in this order.

use bytes::Bytes;

use crate::envelope::InEnvelope;
use crate::{Reason, RejectedPayload, aggregate, envelope, gzip};

/// What one Kinesis record may grow into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that may come out of decompression, per Kinesis record, all its user records together. 32 MiB by default:
    /// three times the largest record that Kinesis takes, and a bound on what a gzip bomb costs.
    pub decompressed_bytes: usize,
    /// Payloads per Kinesis record. 100,000 by default.
    pub payloads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { decompressed_bytes: 32 << 20, payloads: 100_000 }
    }
}

/// One user record after KPL de-aggregation, decompression and CloudWatch unwrapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Shared with the input wherever nothing had to be decompressed or unescaped.
    pub bytes: Bytes,
    /// Partition key of the inner KPL user record; `None` means that of the Kinesis record.
    pub partition_key: Option<Bytes>,
    /// Explicit hash key of the inner KPL user record; `None` also when it is no decimal 128-bit number.
    pub explicit_hash_key: Option<u128>,
    /// KPL sub-sequence number, 0 for a plain record.
    pub sub_sequence: u64,
    /// Index of the log event in a CloudWatch envelope, 0 otherwise.
    pub event_index: u32,
}

impl Payload {
    pub(crate) fn plain(bytes: Bytes) -> Self {
        Self {
            bytes,
            partition_key: None,
            explicit_hash_key: None,
            sub_sequence: 0,
            event_index: 0,
        }
    }

    pub(crate) fn reject(self, reason: Reason) -> RejectedPayload {
        RejectedPayload {
            bytes: self.bytes,
            partition_key: self.partition_key,
            sub_sequence: self.sub_sequence,
            event_index: self.event_index,
            reason,
        }
    }
}

/// The payloads of one Kinesis data blob, in order. A CloudWatch Logs control message has none.
///
/// See [`for_each_payload`], which spares the list.
pub fn payloads(data: &Bytes, limits: &Limits) -> Vec<Result<Payload, RejectedPayload>> {
    let mut all = Vec::new();
    for_each_payload(data, limits, |payload| all.push(payload));
    all
}

/// Hands the payloads of one Kinesis data blob to `visit`, in order, each the smallest part that could be told apart.
///
/// - A KPL aggregate gives its user records. As in KCL, a blob with a wrong checksum or a broken body is a plain record;
///   other than there, a user record that points outside of the key tables costs no other one: the aggregate itself is
///   rejected once, beside its good user records.
/// - A user record that starts with `1F 8B` is decompressed, once: gzip within gzip stays as it is.
/// - A CloudWatch Logs subscription envelope (`messageType` is `DATA_MESSAGE`, `logEvents` an array) gives the messages
///   of its log events, a `CONTROL_MESSAGE` none.
///
/// Nothing is lost: what cannot be decoded comes as a rejection with its bytes as they were.
///
/// Gives the bytes that came out of decompression, also where it failed: what the record cost.
pub fn for_each_payload<F>(data: &Bytes, limits: &Limits, mut visit: F) -> usize
where
    F: FnMut(Result<Payload, RejectedPayload>),
{
    for_each_payload_within(data, limits, |payload, _| visit(payload))
}

/// As [`for_each_payload`]; `visit` also gets the CloudWatch Logs envelope that a payload was a log event of.
pub fn for_each_payload_within<F>(data: &Bytes, limits: &Limits, visit: F) -> usize
where
    F: FnMut(Result<Payload, RejectedPayload>, Option<InEnvelope<'_>>),
{
    let mut intake = Intake {
        limits,
        payloads_left: limits.payloads,
        decompressed_left: limits.decompressed_bytes,
        inflated: 0,
        visit,
    };
    let whole = match aggregate::user_records(data, limits.payloads, |record| {
        intake.aggregated(data, record)
    }) {
        aggregate::Outcome::Aggregate => return intake.inflated,
        aggregate::Outcome::Plain => Payload::plain(data.clone()),
    };
    // A plain record can exceed the count as well: as an envelope of many log events.
    intake.user_record(whole);
    intake.inflated
}

/// Failed decompression may cost this many times [`Limits::decompressed_bytes`] per Kinesis record.
const WORK_MAX: usize = 4;

struct Intake<'l, F> {
    limits: &'l Limits,
    payloads_left: usize,
    decompressed_left: usize,
    /// Bytes that came out of decompression, those of failures too.
    inflated: usize,
    visit: F,
}

impl<F> Intake<'_, F>
where
    F: FnMut(Result<Payload, RejectedPayload>, Option<InEnvelope<'_>>),
{
    /// Takes one user record of an aggregate; false when no more are wanted.
    fn aggregated(&mut self, data: &Bytes, record: Result<Payload, aggregate::BadIndex>) -> bool {
        match record {
            Ok(record) => {
                // The place counts as well: a record that gives no payload, such as a control message, still has one,
                // and beyond the limit the tables of the aggregate are not whole.
                let place = usize::try_from(record.sub_sequence).unwrap_or(usize::MAX);
                if self.payloads_left == 0 || place >= self.limits.payloads {
                    let sub_sequence = record.sub_sequence;
                    self.reject_rest(Payload { sub_sequence, ..Payload::plain(data.clone()) });
                    return false;
                }
                self.user_record(record);
            }
            Err(aggregate::BadIndex { sub_sequence, table }) => {
                let whole = Payload { sub_sequence, ..Payload::plain(data.clone()) };
                (self.visit)(Err(whole.reject(Reason::BadAggregate { sub_sequence, table })), None);
            }
        }
        true
    }

    fn user_record(&mut self, record: Payload) {
        if !record.bytes.starts_with(&gzip::MAGIC) {
            return self.document(None, record);
        }
        // A bomb costs no other user record its place, but many bombs must not cost for ever.
        let work_left = (WORK_MAX * self.limits.decompressed_bytes).saturating_sub(self.inflated);
        let (inflated, result) =
            gzip::decompress(&record.bytes, self.decompressed_left.min(work_left));
        self.inflated += inflated;
        match result {
            Ok(decompressed) => {
                self.decompressed_left -= decompressed.len();
                self.document(Some(decompressed), record);
            }
            Err(gzip::Failure::TooLarge) => {
                let limit = self.limits.decompressed_bytes;
                (self.visit)(Err(record.reject(Reason::TooLarge { limit })), None);
            }
            Err(gzip::Failure::Broken(what)) => {
                (self.visit)(Err(record.reject(Reason::BadGzip { what })), None);
            }
        }
    }

    /// Takes a user record and, if it was compressed, what came out of it.
    fn document(&mut self, decompressed: Option<Bytes>, record: Payload) {
        let document = decompressed.as_ref().unwrap_or(&record.bytes);
        if document.is_empty() {
            self.payloads_left = self.payloads_left.saturating_sub(1);
            return (self.visit)(Err(record.reject(Reason::Empty)), None);
        }
        match envelope::open(document, self.payloads_left) {
            envelope::Content::NoEnvelope => {
                self.payloads_left = self.payloads_left.saturating_sub(1);
                let payload = match decompressed {
                    Some(bytes) => Payload { bytes, ..record },
                    None => record,
                };
                (self.visit)(Ok(payload), None);
            }
            envelope::Content::Control => {}
            envelope::Content::Events(head, events) => {
                let document = document.clone();
                self.events(&document, &head, &events, record);
            }
        }
    }

    fn events(
        &mut self,
        document: &Bytes,
        head: &envelope::Head,
        events: &[envelope::Event],
        record: Payload,
    ) {
        for (event_index, event) in (0..).zip(events) {
            if self.payloads_left == 0 {
                return self.reject_rest(Payload { event_index, ..record });
            }
            self.payloads_left -= 1;
            let of_event = |bytes| Payload { bytes, event_index, ..record.clone() };
            let payload = match envelope::message(document, event) {
                Ok(message) => Ok(of_event(message)),
                Err((event, what)) => Err(of_event(event).reject(Reason::BadEnvelope { what })),
            };
            (self.visit)(payload, Some(InEnvelope::new(document, head, event)));
        }
    }

    fn reject_rest(&mut self, whole: Payload) {
        let limit = self.limits.payloads;
        (self.visit)(Err(whole.reject(Reason::TooManyPayloads { limit })), None);
    }
}
