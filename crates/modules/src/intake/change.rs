//! What a module's `fields` make of payloads and events, in bounded memory, and what is kept of how they came.
//!
//! Whatever is rejected is kept as it came, so that it can be replayed: what a redaction hides is in the failed store.

use baikonur_record::{
    EnvelopeEvent, InEnvelope, Limits, LogEvent, Origin, Payload, Reason, RejectedPayload,
};
use bytes::Bytes;

use crate::fields::{Fields, Place, Seen, TooLarge};

/// What the `fields` may make of one Kinesis record, as a multiple of what it may be decompressed to.
const GROWTH_MAX: usize = 2;

/// How an event came, where it was changed.
#[derive(Debug, Clone)]
pub struct Original(Kept);

#[derive(Debug, Clone)]
enum Kept {
    Bytes(Bytes),
    /// A log event: without its envelope it would not be the same when it comes again.
    LogEvent(Box<EnvelopeEvent>),
}

impl Original {
    /// The bytes that give the event when they are decoded again. Of a log event that is an envelope with it alone.
    pub fn bytes(&self) -> Bytes {
        match &self.0 {
            Kept::Bytes(bytes) => bytes.clone(),
            Kept::LogEvent(event) => event.alone(),
        }
    }
}

/// The bytes that may be made of one record.
pub(super) struct Room {
    limit: usize,
    used: usize,
}

impl Room {
    pub(super) fn of_a_record(limits: &Limits) -> Self {
        Self { limit: GROWTH_MAX.saturating_mul(limits.decompressed_bytes), used: 0 }
    }

    /// What was made so far.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Calls `make` with what is left.
    fn make(
        &mut self,
        make: impl FnOnce(usize) -> Result<Option<Vec<u8>>, TooLarge>,
    ) -> Result<Option<Bytes>, Reason> {
        match make(self.limit.saturating_sub(self.used)) {
            Ok(made) => Ok(made.map(|mut made| {
                // Its buffer is as large as the event was; what is left of it may be little.
                if made.len() < made.capacity() / 2 {
                    made.shrink_to_fit();
                }
                self.used += made.len();
                made.into()
            })),
            Err(TooLarge) => Err(Reason::TooLargeWithFields { limit: self.limit }),
        }
    }
}

/// A payload with what is wrapped up in it as fields, and how it came if that is something else.
///
/// # Errors
/// The payload as it came, when it would become too large.
pub(super) fn read(
    fields: &Fields,
    mut payload: Payload,
    within: Option<InEnvelope<'_>>,
    room: &mut Room,
) -> Result<(Payload, Option<Original>), RejectedPayload> {
    let (reads, wants_envelope) = fields.reads();
    if !reads {
        return Ok((payload, None));
    }
    let event = within.filter(|_| wants_envelope).map(InEnvelope::to_owned);
    match room.make(|max| fields.read(&payload.bytes, event.as_ref(), max)) {
        Ok(None) => Ok((payload, None)),
        Ok(Some(read)) => {
            let kept = match event {
                Some(event) => Kept::LogEvent(Box::new(event)),
                None => Kept::Bytes(payload.bytes),
            };
            payload.bytes = read;
            Ok((payload, Some(Original(kept))))
        }
        Err(reason) => Err(rejected(&payload, None, reason)),
    }
}

/// Changes what is written of an event.
///
/// # Errors
/// The event as it came, when it would become too large.
pub(super) fn event(
    fields: &Fields,
    event: &mut LogEvent,
    original: &mut Option<Original>,
    origin: &Origin<'_>,
    place: &Place<'_>,
    seen: Seen,
    room: &mut Room,
) -> Result<(), RejectedPayload> {
    match room.make(|max| fields.change(&event.json, place, seen, max)) {
        Ok(None) => {}
        Ok(Some(changed)) => {
            let came = std::mem::replace(&mut event.json, changed);
            original.get_or_insert(Original(Kept::Bytes(came)));
            event.one_line = true;
        }
        Err(reason) => {
            return Err(RejectedPayload {
                bytes: original.as_ref().map_or_else(|| event.json.clone(), Original::bytes),
                partition_key: event.partition_key.clone(),
                sub_sequence: event.sub_sequence,
                event_index: event.event_index,
                reason,
            });
        }
    }
    if fields.hides_in_names() {
        hide_in_names(fields, event, origin);
    }
    Ok(())
}

/// Object keys, document ids, index names and tags are made of log type and id: what is to be hidden wherever it stands is
/// hidden there, too. Two ids could become one, so that an id gives way to the one that is derived from the origin.
fn hide_in_names(fields: &Fields, event: &mut LogEvent, origin: &Origin<'_>) {
    if !event.log_id.is_derived() && fields.hidden_in_name(event.log_id.as_str()).is_some() {
        event.forget_own_id(origin);
    }
    if let Some(hidden) = event.log_type.declared().and_then(|name| fields.hidden_in_name(name)) {
        event.log_type = event.log_type.redeclared(hidden);
    }
}

/// As [`event`], of a payload.
///
/// # Errors
/// The payload as it came, when it would become too large.
pub(super) fn payload(
    fields: &Fields,
    payload: &mut Payload,
    original: &mut Option<Original>,
    place: &Place<'_>,
    seen: Seen,
    room: &mut Room,
) -> Result<(), RejectedPayload> {
    match room.make(|max| fields.change(&payload.bytes, place, seen, max)) {
        Ok(None) => Ok(()),
        Ok(Some(changed)) => {
            let came = std::mem::replace(&mut payload.bytes, changed);
            original.get_or_insert(Original(Kept::Bytes(came)));
            Ok(())
        }
        Err(reason) => Err(rejected(payload, original.as_ref(), reason)),
    }
}

/// What the schema has rejected of what was read, as it came.
pub(super) fn as_it_came(
    rejected: RejectedPayload,
    original: Option<&Original>,
) -> RejectedPayload {
    match original {
        Some(original) => RejectedPayload { bytes: original.bytes(), ..rejected },
        None => rejected,
    }
}

fn rejected(payload: &Payload, original: Option<&Original>, reason: Reason) -> RejectedPayload {
    RejectedPayload {
        bytes: original.map_or_else(|| payload.bytes.clone(), Original::bytes),
        partition_key: payload.partition_key.clone(),
        sub_sequence: payload.sub_sequence,
        event_index: payload.event_index,
        reason,
    }
}
