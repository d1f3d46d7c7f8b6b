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
    /// `DATA_MESSAGE`.
    Events(Vec<Event>),
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
        }
        Ok(())
    });
    let message_type = message_type.map(|span| &document[span]);
    match (root, message_type, log_events) {
        (Ok(_), Some(br#""DATA_MESSAGE""#), Some(events)) => Content::Events(events),
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Content, message, open};

    fn messages(document: &str) -> Vec<Result<String, (String, &'static str)>> {
        let document = Bytes::copy_from_slice(document.as_bytes());
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        match open(&document, 100) {
            Content::Events(events) => events
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
        let Content::Events(events) = open(&document, 100) else { panic!() };
        let message = message(&document, &events[0]).unwrap();
        assert!(document.as_ptr_range().contains(&message.as_ptr()));
    }

    #[test]
    fn no_more_events_are_listed_than_one_above_the_limit() {
        let document =
            format!(r#"{{"messageType":"DATA_MESSAGE","logEvents":[{}0]}}"#, "0,".repeat(50));
        let Content::Events(events) = open(document.as_bytes(), 10) else { panic!() };
        assert_eq!(events.len(), 11);
    }
}
