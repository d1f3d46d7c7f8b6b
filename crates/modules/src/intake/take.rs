//! From a batch to the events that its module chooses.

use baikonur_record::{
    InEnvelope, Limits, LogEvent, LogType, Origin, Payload, RejectedPayload, Schema,
    for_each_payload_within,
};
use baikonur_stream::{Batch, ConsumerName, Record, RejectedRecord, SequenceNumber, ShardAddress};
use metrics::{Counter, counter};

use super::change::{self, Room};
use super::choice::{Choice, Whence};
use super::rejections::{self, Rejections};
use super::resumed::{Done, Resumed, sub_sequence};
use super::{IntakeSettings, IntakeSettingsError, Taken, TakenEvent, TakenPayload};
use crate::fields::{Fields, Place, Seen};

/// Decoded bytes after which a part ends; a record is not divided, so a part may have one record's
/// [`Limits`] more.
const PART_BYTES: usize = 4 << 20;
/// What an event takes beside its bytes.
const EVENT_BYTES: usize = 400;

/// Events that room is made for at once.
const EVENTS_RESERVED_MAX: usize = 1000;

/// What `{host}` stands for where nobody says it.
const UNKNOWN_HOST: &str = "localhost";

/// Decoding and choosing, as one module is set up to do it.
pub struct Intake {
    schema: Schema,
    /// None when events stay as they came.
    fields: Option<Fields>,
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
        Self::on_host(UNKNOWN_HOST, settings, consumer)
    }

    /// As [`new`](Self::new), on a host of this name: fields that are added may show it.
    ///
    /// # Errors
    /// A setting that means nothing.
    pub fn on_host(
        host: &str,
        settings: &IntakeSettings,
        consumer: &ConsumerName,
    ) -> Result<Self, IntakeSettingsError> {
        Ok(Self {
            schema: settings.schema()?,
            fields: Fields::new(&settings.fields, host),
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
        self.decode(whence, source.done, taken, |payload, within, room| {
            let Some(fields) = &self.fields else {
                let event = self.schema.event(payload, &origin)?;
                return Ok(self.chosen(whence, event));
            };
            let (payload, mut original) = change::read(fields, payload, within, room)?;
            let mut seen = Seen::default();
            let event =
                self.schema.event_seeing(payload, &origin, |key| fields.see(key, &mut seen));
            let event =
                event.map_err(|rejected| change::as_it_came(rejected, original.as_ref()))?;
            let Some(mut taken) = self.chosen(whence, event) else { return Ok(None) };
            let place = source.place(record);
            change::event(fields, &mut taken.event, &mut original, &origin, &place, seen, room)?;
            Ok(Some(TakenEvent { original, ..taken }))
        })
    }

    /// The event of a record, if the module takes it.
    #[inline]
    fn chosen(&self, whence: Whence<'_>, event: LogEvent) -> Option<TakenEvent> {
        let own_key = event.partition_key.as_deref();
        if !self.choice.takes(whence, &event.log_type, own_key, &event.json) {
            return None;
        }
        let record = whence.record;
        Some(TakenEvent {
            sequence_number: record.sequence_number,
            arrival: record.arrival,
            partition_key: event
                .partition_key
                .as_ref()
                .unwrap_or(record.partition_key.bytes())
                .clone(),
            event,
            original: None,
        })
    }

    fn take_record_payloads(
        &self,
        source: &Source<'_>,
        record: &Record,
        taken: &mut Taken<TakenPayload>,
    ) -> usize {
        let whence = Whence { record, shard_id: &source.shard_id };
        let chosen = |log_type: &LogType, payload: &Payload| {
            self.choice.takes(whence, log_type, payload.partition_key.as_deref(), &payload.bytes)
        };
        let taken_payload = |payload, original| TakenPayload {
            sequence_number: record.sequence_number,
            arrival: record.arrival,
            record_key: record.partition_key.clone(),
            payload,
            original,
        };
        self.decode(whence, source.done, taken, |payload, within, room| {
            let Some(fields) = &self.fields else {
                let log_type = self.schema.log_type(&payload)?;
                return Ok(chosen(&log_type, &payload).then(|| taken_payload(payload, None)));
            };
            let (mut payload, mut original) = change::read(fields, payload, within, room)?;
            let mut seen = Seen::default();
            let log_type = self.schema.log_type_seeing(&payload, |key| fields.see(key, &mut seen));
            let log_type =
                log_type.map_err(|rejected| change::as_it_came(rejected, original.as_ref()))?;
            if !chosen(&log_type, &payload) {
                return Ok(None);
            }
            let place = source.place(record);
            change::payload(fields, &mut payload, &mut original, &place, seen, room)?;
            Ok(Some(taken_payload(payload, original)))
        })
    }

    /// Takes one record; gives the bytes that it was decoded to.
    fn decode<E>(
        &self,
        whence: Whence<'_>,
        done: Option<Done>,
        taken: &mut Taken<E>,
        take: impl Fn(Payload, Option<InEnvelope<'_>>, &mut Room) -> Result<Option<E>, RejectedPayload>,
    ) -> usize {
        let record = whence.record;
        let mut rejections = Rejections::of(record);
        let (mut bytes, mut filtered) = (0, 0);
        let mut room = Room::of_a_record(&self.limits);
        let done = done.filter(|done| done.number == record.sequence_number);
        let inflated = for_each_payload_within(&record.data, &self.limits, |payload, within| {
            if done.is_some_and(|done| sub_sequence(&payload) <= done.sub_sequence) {
                return;
            }
            bytes += EVENT_BYTES + payload.as_ref().map_or(0, |payload| payload.bytes.len());
            match payload.and_then(|payload| take(payload, within, &mut room)) {
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
        bytes + inflated + room.used()
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

impl<'s> Source<'s> {
    /// What fields may show of a record.
    fn place(&'s self, record: &Record) -> Place<'s> {
        Place {
            stream: self.shard.stream.as_str(),
            shard: &self.shard_id,
            sequence_number: record.sequence_number,
            arrival: record.arrival,
        }
    }
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
