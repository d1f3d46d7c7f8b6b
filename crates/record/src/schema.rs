//! The Common Schema: which fields of a record say its type, its id and its time.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::field_path::Candidates;
use crate::log_type::TimeProblem;
use crate::scan::{self, Fault, Root};
use crate::timestamp;
use crate::{
    EventTime, FieldPath, LogEvent, LogId, LogType, Origin, Payload, Reason, RejectedPayload,
    Timezone,
};

/// Where the three fields stand in a record, and what a record without them is called.
#[derive(Debug, Clone)]
pub struct Schema {
    /// `LOG_TYPE_FIELD`: text, or a number taken as its text. `log_type` by default.
    pub log_type_field: FieldPath,
    /// `LOG_ID_FIELD`: text, or a number taken as its text. `log_id` by default.
    pub log_id_field: FieldPath,
    /// `LOG_TIMESTAMP_FIELD`: text that python-dateutil would understand, or a number: epoch seconds, or by magnitude
    /// milliseconds, microseconds, nanoseconds. `time` by default.
    pub log_timestamp_field: FieldPath,
    /// `LOG_TYPE_UNKNOWN_PREFIX`: stands before the names of records that lack a field. `unknown` by default.
    pub log_type_unknown_prefix: String,
    /// Zone of stamps without an offset; the arrival time is shown in it, too. UTC by default.
    pub timezone: Timezone,
}

impl Default for Schema {
    fn default() -> Self {
        let field = |name| FieldPath::parse(name).expect("a plain name is a path");
        Self {
            log_type_field: field("log_type"),
            log_id_field: field("log_id"),
            log_timestamp_field: field("time"),
            log_type_unknown_prefix: "unknown".to_owned(),
            timezone: Timezone::UTC,
        }
    }
}

impl Schema {
    /// Validates a payload and finds its three fields.
    ///
    /// What is missing is filled in and shows in the log type: an absent id is derived from the origin, an absent or
    /// bad time is that of arrival.
    ///
    /// # Errors
    /// The payload, when it is not UTF-8, not JSON, or not an object.
    pub fn event(
        &self,
        payload: Payload,
        origin: &Origin<'_>,
    ) -> Result<LogEvent, RejectedPayload> {
        let fields = match self.fields(&payload.bytes) {
            Ok(fields) => fields,
            Err(reason) => return Err(payload.reject(reason)),
        };
        let text = &payload.bytes;
        let declared = fields.log_type.and_then(|span| scalar_text(text, span));
        let log_id = match fields.log_id.and_then(|span| scalar_text(text, span)) {
            Some(id) if !id.is_empty() => LogId::own(id),
            _ => LogId::derive(origin, payload.sub_sequence, payload.event_index),
        };
        let (time, problem) = match fields.time {
            None => (None, Some(TimeProblem::Missing)),
            Some(span) => match self.time(&text[span], origin.arrival_millis) {
                Some(time) => (Some(time), None),
                None => (None, Some(TimeProblem::Bad)),
            },
        };
        let time = time.unwrap_or_else(|| self.arrival(origin.arrival_millis));
        let json = if fields.root.span.len() == text.len() {
            payload.bytes
        } else {
            text.slice(fields.root.span)
        };
        Ok(LogEvent {
            json,
            one_line: fields.root.one_line,
            log_type: LogType::new(declared, problem, &self.log_type_unknown_prefix),
            log_id,
            time,
            partition_key: payload.partition_key,
            sub_sequence: payload.sub_sequence,
            event_index: payload.event_index,
        })
    }

    /// Validates a payload and finds its log type only; its time is not looked at and is no part of the answer.
    ///
    /// # Errors
    /// As [`event`](Self::event).
    pub fn log_type(&self, payload: &Payload) -> Result<LogType, RejectedPayload> {
        let text = &payload.bytes;
        let mut found = Candidates::default();
        let root = object(text, |key, value| self.log_type_field.offer(&mut found, key, value));
        if let Err(reason) = root {
            return Err(payload.clone().reject(reason));
        }
        let span = self.log_type_field.resolve(text, found);
        let declared = span.and_then(|span| scalar_text(text, span));
        Ok(LogType::new(declared, None, &self.log_type_unknown_prefix))
    }

    #[inline]
    fn fields(&self, text: &[u8]) -> Result<Fields, Reason> {
        let mut log_type = Candidates::default();
        let mut log_id = Candidates::default();
        let mut time = Candidates::default();
        let root = object(text, |key, value| {
            self.log_type_field.offer(&mut log_type, key, value);
            self.log_id_field.offer(&mut log_id, key, value);
            self.log_timestamp_field.offer(&mut time, key, value);
        })?;
        Ok(Fields {
            root,
            log_type: self.log_type_field.resolve(text, log_type),
            log_id: self.log_id_field.resolve(text, log_id),
            time: self.log_timestamp_field.resolve(text, time),
        })
    }

    /// Reads the JSON value of a time; what it leaves out is that of its arrival. None for what is no time.
    #[inline]
    pub fn time(&self, value: &[u8], arrival_millis: i64) -> Option<EventTime> {
        match value.first() {
            Some(b'"') => {
                let stamp = scan::unescape(&value[1..value.len() - 1]);
                let parsed =
                    timestamp::parse_with(&stamp, || self.arrival(arrival_millis).date()).ok()?;
                Some(match parsed.offset_seconds {
                    Some(offset) => EventTime::new(parsed.civil, offset),
                    None => self.timezone.wall_clock(parsed.civil),
                })
            }
            Some(b'-' | b'0'..=b'9') => self.timezone.instant(timestamp::epoch_nanos(value)?),
            _ => None,
        }
    }

    fn arrival(&self, arrival_millis: i64) -> EventTime {
        let arrival = self.timezone.instant(i128::from(arrival_millis) * 1_000_000);
        arrival.unwrap_or(EventTime::EPOCH)
    }
}

struct Fields {
    root: Root,
    log_type: Option<Range<usize>>,
    log_id: Option<Range<usize>>,
    time: Option<Range<usize>>,
}

/// Validates a text whose root has to be an object, and shows its members.
#[inline]
fn object<F>(text: &[u8], mut member: F) -> Result<Root, Reason>
where
    F: FnMut(scan::Key<'_>, &Range<usize>),
{
    if let Err(error) = simdutf8::compat::from_utf8(text) {
        return Err(Reason::NotUtf8 { at: error.valid_up_to() });
    }
    let root = scan::root(text, |cursor, key| {
        let value = cursor.value()?;
        member(key, &value);
        Ok(())
    });
    match root {
        Ok(root) if text[root.span.start] == b'{' => Ok(root),
        Ok(_) => Err(Reason::NotAnObject),
        Err(Fault { at, what }) => Err(Reason::NotJson { at, what }),
    }
}

/// The text of a JSON string, or a number as it is written; `None` for everything else.
#[inline]
fn scalar_text(text: &Bytes, span: Range<usize>) -> Option<Bytes> {
    match text[span.start] {
        b'"' => {
            let content = span.start + 1..span.end - 1;
            Some(match scan::unescape(&text[content.clone()]) {
                Cow::Borrowed(_) => text.slice(content),
                Cow::Owned(unescaped) => unescaped.into(),
            })
        }
        b'-' | b'0'..=b'9' => Some(text.slice(span)),
        _ => None,
    }
}
