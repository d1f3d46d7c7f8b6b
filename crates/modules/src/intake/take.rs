//! From a batch to the events that its module chooses.

use baikonur_record::{Limits, Origin, Payload, RejectedPayload, Schema, for_each_payload};
use baikonur_stream::{Batch, ConsumerName, Record, RejectedRecord, SequenceNumber, ShardAddress};
use metrics::{Counter, counter};

use super::choice::{Choice, Whence};
use super::rejections::{self, Rejections};
use super::resumed::{Done, Resumed, sub_sequence};
use super::{IntakeSettings, IntakeSettingsError, Taken, TakenEvent, TakenPayload};

/// Decoded bytes after which a part ends; a record is not divided, so a part may have one record's
/// [`Limits`] more.
const PART_BYTES: usize = 4 << 20;
/// What an event takes beside its bytes.
const EVENT_BYTES: usize = 400;

/// Events that room is made for at once.
const EVENTS_RESERVED_MAX: usize = 1000;

/// Decoding and choosing, as one module is set up to do it.
pub struct Intake {
    schema: Schema,
    choice: Choice,
    limits: Limits,
    consumer: ConsumerName,
    filtered: Counter,
    resumed: Resumed,
}

impl Intake {
    /// The intake of the module named `consumer`.
    ///
    /// # Errors
    /// A setting that means nothing.
    pub fn new(
        settings: &IntakeSettings,
        consumer: &ConsumerName,
    ) -> Result<Self, IntakeSettingsError> {
        Ok(Self {
            schema: settings.schema()?,
            choice: Choice::new(settings),
            limits: Limits::default(),
            consumer: consumer.clone(),
            filtered: counter!("baikonur_filtered_events_total", "module" => consumer.to_string()),
            resumed: Resumed::default(),
        })
    }

    /// The module's name.
    pub fn consumer(&self) -> &ConsumerName {
        &self.consumer
    }

    /// Where the fields of the Common Schema stand.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The user records of the record `number` up to `sub_sequence` are left out from now on.
    pub fn resume_within(&self, shard: &ShardAddress, number: SequenceNumber, sub_sequence: u64) {
        self.resumed.set(shard, Done { number, sub_sequence });
    }

    /// The events of `batch`, a few MiB at a time: at least one part, each of whole records.
    pub fn parts<'b>(&'b self, batch: &'b Batch) -> Parts<'b, TakenEvent> {
        Parts::new(self, batch, Self::take_record)
    }

    /// All events of `batch` at once. Compressed records make this large: prefer [`parts`](Self::parts).
    pub fn take(&self, batch: &Batch) -> Taken {
        self.parts(batch).fold(Taken::default(), |mut all, part| {
            all.events.extend(part.events);
            all.rejected.extend(part.rejected);
            all.filtered += part.filtered;
            all
        })
    }

    /// The payloads of `batch`, chosen as events are but without looking at their time: for those who only pass them on.
    pub fn payload_parts<'b>(&'b self, batch: &'b Batch) -> Parts<'b, TakenPayload> {
        Parts::new(self, batch, Self::take_record_payloads)
    }

    fn take_record(&self, source: &Source<'_>, record: &Record, taken: &mut Taken) -> usize {
        let origin = Origin {
            stream: source.shard.stream.as_str(),
            shard: &source.shard_id,
            sequence_number: &record.sequence_number,
            arrival_millis: i64::try_from(record.arrival.millis()).unwrap_or(i64::MAX),
        };
        let whence = Whence { record, shard_id: &source.shard_id };
        self.decode(whence, source.done, taken, |payload| {
            let event = self.schema.event(payload, &origin)?;
            let own_key = event.partition_key.as_deref();
            Ok(self.choice.takes(whence, &event.log_type, own_key, &event.json).then(|| {
                TakenEvent {
                    sequence_number: record.sequence_number,
                    arrival: record.arrival,
                    partition_key: event
                        .partition_key
                        .as_ref()
                        .unwrap_or(record.partition_key.bytes())
                        .clone(),
                    event,
                }
            }))
        })
    }

    fn take_record_payloads(
        &self,
        source: &Source<'_>,
        record: &Record,
        taken: &mut Taken<TakenPayload>,
    ) -> usize {
        let whence = Whence { record, shard_id: &source.shard_id };
        self.decode(whence, source.done, taken, |payload| {
            let log_type = self.schema.log_type(&payload)?;
            let own_key = payload.partition_key.as_deref();
            Ok(self.choice.takes(whence, &log_type, own_key, &payload.bytes).then(|| {
                TakenPayload {
                    sequence_number: record.sequence_number,
                    arrival: record.arrival,
                    record_key: record.partition_key.clone(),
                    payload,
                }
            }))
        })
    }

    /// Takes one record; gives the bytes that it was decoded to.
    fn decode<E>(
        &self,
        whence: Whence<'_>,
        done: Option<Done>,
        taken: &mut Taken<E>,
        take: impl Fn(Payload) -> Result<Option<E>, RejectedPayload>,
    ) -> usize {
        let record = whence.record;
        let mut rejections = Rejections::of(record);
        let (mut bytes, mut filtered) = (0, 0);
        let done = done.filter(|done| done.number == record.sequence_number);
        let inflated = for_each_payload(&record.data, &self.limits, |payload| {
            if done.is_some_and(|done| sub_sequence(&payload) <= done.sub_sequence) {
                return;
            }
            bytes += EVENT_BYTES + payload.as_ref().map_or(0, |payload| payload.bytes.len());
            match payload.and_then(&take) {
                Ok(Some(event)) => taken.events.push(event),
                Ok(None) => filtered += 1,
                Err(rejected) if !self.choice.wants(whence, &rejected) => filtered += 1,
                Err(rejected) => rejections.push(rejected),
            }
        });
        let rejected_before = taken.rejected.len();
        rejections.finish(&mut taken.rejected);
        for rejected in &taken.rejected[rejected_before..] {
            self.count_rejected(&rejected.reason);
        }
        if filtered > 0 {
            taken.filtered += filtered;
            self.filtered.increment(filtered);
        }
        bytes + inflated
    }

    /// What a destination refused of a part of `batch`, in the order of its records and in proportion to them. Gives
    /// them to the mapping in place of what came in.
    pub fn in_proportion(
        &self,
        batch: &Batch,
        refused: Vec<RejectedRecord>,
    ) -> Vec<RejectedRecord> {
        for record in &refused {
            self.count_rejected(&record.reason);
        }
        rejections::in_proportion(batch, refused)
    }

    /// Counts an event that cannot be delivered. Counted again when its batch is tried again.
    fn count_rejected(&self, reason: &str) {
        counter!("baikonur_rejected_events_total", "module" => self.consumer.to_string(), "reason" => reason.to_owned())
            .increment(1);
    }
}

/// Where a batch is from.
#[derive(Debug)]
struct Source<'b> {
    shard: &'b ShardAddress,
    shard_id: String,
    /// What another worker has done of one record.
    done: Option<Done>,
}

/// A batch, taken part by part.
pub struct Parts<'b, E> {
    intake: &'b Intake,
    source: Source<'b>,
    records: std::slice::Iter<'b, Record>,
    take: fn(&Intake, &Source<'_>, &Record, &mut Taken<E>) -> usize,
}

impl<'b, E> Parts<'b, E> {
    fn new(
        intake: &'b Intake,
        batch: &'b Batch,
        take: fn(&Intake, &Source<'_>, &Record, &mut Taken<E>) -> usize,
    ) -> Self {
        let source = Source {
            shard: &batch.shard,
            shard_id: batch.shard.shard.to_string(),
            done: intake.resumed.of(&batch.shard),
        };
        Self { intake, source, records: batch.records.iter(), take }
    }
}

impl<E> Iterator for Parts<'_, E> {
    type Item = Taken<E>;

    fn next(&mut self) -> Option<Taken<E>> {
        let first = self.records.next()?;
        let mut taken = Taken::default();
        // One event a record, where nothing is aggregated.
        taken.events.reserve((1 + self.records.len()).min(EVENTS_RESERVED_MAX));
        let mut bytes = (self.take)(self.intake, &self.source, first, &mut taken);
        while bytes < PART_BYTES
            && let Some(record) = self.records.next()
        {
            bytes += (self.take)(self.intake, &self.source, record, &mut taken);
        }
        Some(taken)
    }
}
