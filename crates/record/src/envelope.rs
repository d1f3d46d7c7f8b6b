//! CloudWatch Logs subscription envelopes: one JSON document around many log events.
//!
//! Shape: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html>.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;

use crate::scan::{self, Cursor, Fault};

static MESSAGE_TYPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""messageType""#));

/// What a document is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Not an envelope, or no JSON at all.
    NoEnvelope,
    /// `CONTROL_MESSAGE`: CloudWatch Logs checks whether the stream can be reached.
    Control,
    /// `DATA_MESSAGE`: what it says of all its events, and the events.
    Events(Head, Vec<Event>),
}

/// What an envelope says of all its log events: where the values stand in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Head {
    owner: Option<Range<usize>>,
    log_group: Option<Range<usize>>,
    log_stream: Option<Range<usize>>,
}

/// One element of `logEvents`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    span: Range<usize>,
    message: Option<Range<usize>>,
}

/// Looks whether `document` is an envelope. The key `messageType` has to be written without escapes, as CloudWatch
/// Logs writes it: then nearly all other records are told apart without reading them as JSON.
///
/// No more than one event above `events_max` is listed.
#[inline]
pub(crate) fn open(document: &[u8], events_max: usize) -> Content {
    if MESSAGE_TYPE.find(document).is_none() {
        return Content::NoEnvelope;
    }
    read(document, events_max)
}

fn read(document: &[u8], events_max: usize) -> Content {
    if simdutf8::basic::from_utf8(document).is_err() {
        return Content::NoEnvelope;
    }
    let mut message_type = None;
    let mut log_events = None;
    let mut head = Head::default();
    let root = scan::root(document, |cursor, key| {
        if key.is(b"logEvents") && cursor.peek() == Some(b'[') {
            log_events = Some(events(cursor, events_max)?);
            return Ok(());
        }
        let value = cursor.value()?;
        if key.is(b"messageType") {
            message_type = Some(value);
        } else if key.is(b"logEvents") {
            log_events = None;
        } else if key.is(b"owner") {
            head.owner = Some(value);
        } else if key.is(b"logGroup") {
            head.log_group = Some(value);
        } else if key.is(b"logStream") {
            head.log_stream = Some(value);
        }
        Ok(())
    });
    let message_type = message_type.map(|span| &document[span]);
    match (root, message_type, log_events) {
        (Ok(_), Some(br#""DATA_MESSAGE""#), Some(events)) => Content::Events(head, events),
        (Ok(_), Some(br#""CONTROL_MESSAGE""#), _) => Content::Control,
        _ => Content::NoEnvelope,
    }
}

fn events(cursor: &mut Cursor<'_>, events_max: usize) -> Result<Vec<Event>, Fault> {
    let mut events = Vec::new();
    cursor.array(|cursor| {
        let start = cursor.position();
        let mut message = None;
        if cursor.peek() == Some(b'{') {
            cursor.object(|cursor, key| {
                let value = cursor.value()?;
                if key.is(b"message") {
                    message = Some(value);
                }
                Ok(())
            })?;
        } else {
            cursor.value()?;
        }
        let span = start..cursor.position();
        if events.len() <= events_max {
            events.push(Event { span, message });
        }
        Ok(())
    })?;
    Ok(events)
}

/// The message of an event, unescaped; shared with the document when it has no escapes.
///
/// # Errors
/// The event's own bytes, and what is wrong with it.
pub(crate) fn message(document: &Bytes, event: &Event) -> Result<Bytes, (Bytes, &'static str)> {
    let whole = || document.slice(event.span.clone());
    let Some(span) = event.message.clone() else {
        return Err((whole(), "a log event without a message"));
    };
    if document[span.start] != b'"' {
        return Err((whole(), "a log event whose message is no text"));
    }
    let content = span.start + 1..span.end - 1;
    if content.is_empty() {
        return Err((whole(), "a log event with an empty message"));
    }
    Ok(match scan::unescape(&document[content.clone()]) {
        Cow::Borrowed(_) => document.slice(content),
        Cow::Owned(unescaped) => unescaped.into(),
    })
}

/// A log event in its envelope, while it is visited.
#[derive(Debug, Clone, Copy)]
pub struct InEnvelope<'d> {
    document: &'d Bytes,
    head: &'d Head,
    event: &'d Event,
}

impl<'d> InEnvelope<'d> {
    pub(crate) fn new(document: &'d Bytes, head: &'d Head, event: &'d Event) -> Self {
        Self { document, head, event }
    }

    /// The same, to keep: it shares the envelope's bytes.
    pub fn to_owned(self) -> EnvelopeEvent {
        EnvelopeEvent {
            document: self.document.clone(),
            head: self.head.clone(),
            event: self.event.span.clone(),
        }
    }
}

/// A log event and the envelope that it came in.
#[derive(Debug, Clone)]
pub struct EnvelopeEvent {
    document: Bytes,
    head: Head,
    event: Range<usize>,
}

impl EnvelopeEvent {
    /// What the envelope says of the event, under the names that CloudWatch Logs gives them: `owner`, `logGroup`,
    /// `logStream`, and the event's own `id` and `timestamp` (milliseconds since 1970). Each is JSON as it is written in
    /// the envelope; none where it is missing, or of another kind than CloudWatch Logs writes.
    pub fn metadata(&self) -> [(&'static str, Option<&[u8]>); 5] {
        let (mut id, mut timestamp) = (None, None);
        // An event that is no object has neither; the whole is known to be valid.
        let _ = Cursor::within(&self.document, self.event.clone()).object(|cursor, key| {
            let value = cursor.value()?;
            if key.is(b"id") {
                id = Some(value);
            } else if key.is(b"timestamp") {
                timestamp = Some(value);
            }
            Ok(())
        });
        let value = |span: Option<Range<usize>>| span.map(|span| &self.document[span]);
        let text = |span| value(span).filter(|value| value.starts_with(b"\""));
        let number = |span| value(span).filter(|value| matches!(value[0], b'-' | b'0'..=b'9'));
        let Head { owner, log_group, log_stream } = self.head.clone();
        [
            ("owner", text(owner)),
            ("logGroup", text(log_group)),
            ("logStream", text(log_stream)),
            ("id", text(id)),
            ("timestamp", number(timestamp)),
        ]
    }

    /// An envelope with this event alone: decoded, it gives the event again.
    pub fn alone(&self) -> Bytes {
        let mut envelope = br#"{"messageType":"DATA_MESSAGE""#.to_vec();
        for (name, value) in &self.metadata()[..3] {
            if let Some(value) = value {
                envelope.extend_from_slice(b",\"");
                envelope.extend_from_slice(name.as_bytes());
                envelope.extend_from_slice(b"\":");
                envelope.extend_from_slice(value);
            }
        }
        envelope.extend_from_slice(br#","logEvents":["#);
        envelope.extend_from_slice(&self.document[self.event.clone()]);
        envelope.extend_from_slice(b"]}");
        envelope.into()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Content, InEnvelope, message, open};

    fn messages(document: &str) -> Vec<Result<String, (String, &'static str)>> {
        let document = Bytes::copy_from_slice(document.as_bytes());
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        match open(&document, 100) {
            Content::Events(_, events) => events
                .iter()
                .map(|event| {
                    message(&document, event).map(text).map_err(|(event, what)| (text(event), what))
                })
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_messages_of_an_envelope_are_its_payloads() {
        let document = r#"{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"G","logStream":"S","subscriptionFilters":["F"],
            "logEvents":[{"id":"1","timestamp":1510109208016,"message":"plain"},{"id":"2","timestamp":1,"message":"{\"a\":\"\u00e9\"}"}]}"#;
        assert_eq!(messages(document), [Ok("plain".to_owned()), Ok("{\"a\":\"é\"}".to_owned())]);
    }

    #[test]
    fn the_order_of_members_does_not_matter_and_the_last_of_equal_ones_wins() {
        let document = r#"{"logEvents":[{"message":"old"}],"logEvents":[{"message":"a","message":"b"}],"messageType":"X","messageType":"DATA_MESSAGE"}"#;
        assert_eq!(messages(document), [Ok("b".to_owned())]);
    }

    #[test]
    fn control_messages_are_told_apart() {
        let document = br#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logEvents":[{"id":"","timestamp":1438485463442,"message":"CWL CONTROL MESSAGE"}]}"#;
        assert_eq!(open(document, 100), Content::Control);
    }

    #[test]
    fn anything_else_is_an_ordinary_record() {
        for document in [
            r#"{"messageType":"OTHER","logEvents":[]}"#,
            r#"{"messageType":"DATA_MESSAGE"}"#,
            r#"{"messageType":"DATA_MESSAGE","logEvents":{}}"#,
            r#"{"messageType":"DATA_MESSAGE","logEvents":[],"logEvents":1}"#,
            r#"{"messageType":["DATA_MESSAGE"],"logEvents":[]}"#,
            r#"{"a":{"messageType":"DATA_MESSAGE","logEvents":[]}}"#,
            r#"{"messageType":"DATA_MESSAGE","logEvents":[]"#,
            r#"["messageType"]"#,
            "messageType",
            "",
        ] {
            assert_eq!(open(document.as_bytes(), 100), Content::NoEnvelope, "{document}");
        }
        assert_eq!(
            open(b"{\"messageType\":\"CONTROL_MESSAGE\",\"a\":\"\xff\"}", 100),
            Content::NoEnvelope
        );
    }

    #[test]
    fn an_event_without_a_message_keeps_its_own_bytes() {
        let document = r#"{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1"},{"message":2},{"message":""},3,{"message":"good"}]}"#;
        let found = messages(document);
        let bad: Vec<&str> = found
            .iter()
            .filter_map(|event| event.as_ref().err())
            .map(|(event, _)| event.as_str())
            .collect();
        assert_eq!(bad, [r#"{"id":"1"}"#, r#"{"message":2}"#, r#"{"message":""}"#, "3"]);
        assert_eq!(found[4], Ok("good".to_owned()));
    }

    #[test]
    fn a_message_without_escapes_is_shared_with_its_envelope() {
        let document = Bytes::from_static(
            br#"{"messageType":"DATA_MESSAGE","logEvents":[{"message":"shared"}]}"#,
        );
        let Content::Events(_, events) = open(&document, 100) else { panic!() };
        let message = message(&document, &events[0]).unwrap();
        assert!(document.as_ptr_range().contains(&message.as_ptr()));
    }

    #[test]
    fn an_event_knows_what_its_envelope_says_of_it() {
        let document = Bytes::from_static(
            br#"{"messageType":"DATA_MESSAGE","owner":"123","logGroup":"/g","subscriptionFilters":[],"logEvents":[
            {"id":"1","timestamp":5,"message":"a"},{"id":{},"timestamp":"x","message":"b \"c\""}],"logStream":"s\u0041"}"#,
        );
        let told = |document: &Bytes, place: usize| {
            let Content::Events(head, events) = open(document, 100) else { panic!() };
            let event = InEnvelope::new(document, &head, &events[place]).to_owned();
            let metadata: Vec<_> = event
                .metadata()
                .into_iter()
                .map(|(name, value)| {
                    format!("{name}={}", String::from_utf8_lossy(value.unwrap_or(b"-")))
                })
                .collect();
            (metadata.join(" "), message(document, &events[place]).unwrap(), event.alone())
        };
        let (first, _, _) = told(&document, 0);
        assert_eq!(first, r#"owner="123" logGroup="/g" logStream="s\u0041" id="1" timestamp=5"#);
        let (second, text, alone) = told(&document, 1);
        assert_eq!(second, r#"owner="123" logGroup="/g" logStream="s\u0041" id=- timestamp=-"#);
        let (again, same_text, _) = told(&alone, 0);
        assert_eq!((again, same_text), (second, text), "alone it is the same event");
    }

    #[test]
    fn no_more_events_are_listed_than_one_above_the_limit() {
        let document =
            format!(r#"{{"messageType":"DATA_MESSAGE","logEvents":[{}0]}}"#, "0,".repeat(50));
        let Content::Events(_, events) = open(document.as_bytes(), 10) else { panic!() };
        assert_eq!(events.len(), 11);
    }
}
