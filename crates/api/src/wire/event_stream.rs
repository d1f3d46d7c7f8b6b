//! Messages of `application/vnd.amazon.eventstream`, in which SubscribeToShard answers.
//!
//! A message is: its length (4 bytes), the length of its headers (4), CRC-32 of these eight (4), the
//! headers, the payload, CRC-32 of everything before (4). A header is the length of its name (1), the
//! name, its type (1; 7 is text), the length of its value (2), the value. Numbers are big-endian.
//! Payloads are JSON, whatever a client speaks otherwise.

use bytes::Bytes;

use crate::wire::content_type::{AMAZON_JSON, PLAIN_JSON};
use crate::wire::error::{ApiError, ErrorCode};
use crate::wire::json::JsonEncoder;
use crate::wire::output::{Encoder, Members, Structure};

const MESSAGE_TYPE: &str = ":message-type";
const EVENT_TYPE: &str = ":event-type";
const EXCEPTION_TYPE: &str = ":exception-type";
const CONTENT_TYPE: &str = ":content-type";
/// The type of a header whose value is a text.
const TEXT: u8 = 7;
const PRELUDE_BYTES: usize = 12;
const CRC_BYTES: usize = 4;

/// A message. `write` appends the payload to what is there.
///
/// # Panics
/// If the name of a header has more than 255 bytes, a value more than 65,535, or the message more
/// than four GiB.
pub(crate) fn message(headers: &[(&str, &str)], write: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Bytes {
    let header = |(name, value): &(&str, &str)| 4 + name.len() + value.len();
    let headers_length: usize = headers.iter().map(header).sum();
    let mut message = Vec::with_capacity(PRELUDE_BYTES + headers_length + 256 + CRC_BYTES);
    // The prelude is filled in when the payload is there.
    message.extend_from_slice(&[0; PRELUDE_BYTES]);
    for (name, value) in headers {
        message.push(u8::try_from(name.len()).expect("a short name"));
        message.extend_from_slice(name.as_bytes());
        message.push(TEXT);
        let length = u16::try_from(value.len()).expect("a short value");
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(value.as_bytes());
    }
    let mut message = write(message);
    let length = u32::try_from(message.len() + CRC_BYTES).expect("a message below four GiB");
    message[..4].copy_from_slice(&length.to_be_bytes());
    message[4..8].copy_from_slice(&(headers_length as u32).to_be_bytes());
    let prelude_crc = crc32fast::hash(&message[..8]);
    message[8..12].copy_from_slice(&prelude_crc.to_be_bytes());
    let crc = crc32fast::hash(&message);
    message.extend_from_slice(&crc.to_be_bytes());
    message.into()
}

fn json(payload: &impl Structure) -> impl FnOnce(Vec<u8>) -> Vec<u8> {
    |mut message| {
        message.reserve(payload.capacity::<JsonEncoder>() + CRC_BYTES);
        let mut to = JsonEncoder::behind(message);
        to.structure(payload);
        to.into_bytes()
    }
}

/// The first message of every stream: botocore refuses one that starts otherwise.
pub(crate) fn initial_response() -> Bytes {
    let headers =
        [(MESSAGE_TYPE, "event"), (EVENT_TYPE, "initial-response"), (CONTENT_TYPE, AMAZON_JSON)];
    message(&headers, |mut message| {
        message.extend_from_slice(b"{}");
        message
    })
}

/// An event, `SubscribeToShardEvent` that is.
pub(crate) fn event(name: &str, payload: &impl Structure) -> Bytes {
    let headers = [(MESSAGE_TYPE, "event"), (EVENT_TYPE, name), (CONTENT_TYPE, PLAIN_JSON)];
    message(&headers, json(payload))
}

/// A failure of a stream that had begun; it is the last message.
pub(crate) fn exception(error: &ApiError) -> Bytes {
    let name = match error.code {
        // Streams know exceptions by the names of the model.
        ErrorCode::InternalFailure => "InternalFailureException",
        code => code.name(),
    };
    let headers = [(MESSAGE_TYPE, "exception"), (EXCEPTION_TYPE, name), (CONTENT_TYPE, PLAIN_JSON)];
    message(&headers, json(&Message(error)))
}

/// The payload of an exception; its type is among the headers.
struct Message<'a>(&'a ApiError);

impl Structure for Message<'_> {
    fn write_members<E: Encoder>(&self, members: &mut Members<'_, E>) {
        members.member("message", &self.0.message);
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::output::output;

    output! {
        struct Event {
            records: Vec<u32> = "Records",
            number: Option<&'static str> = "ContinuationSequenceNumber",
            behind: u64 = "MillisBehindLatest",
        }
    }

    fn hex(message: &[u8]) -> String {
        message.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        })
    }

    /// Bytes that botocore's `EventStreamBuffer` took apart into just these headers and payloads.
    #[test]
    fn messages_are_those_that_botocore_reads() {
        assert_eq!(
            hex(&initial_response()),
            "0000007200000060ab820d9e0d3a6d6573736167652d747970650700056576656e740b3a6576656e742d7479\
             7065070010696e697469616c2d726573706f6e73650d3a636f6e74656e742d7479706507001a6170706c6963\
             6174696f6e2f782d616d7a2d6a736f6e2d312e317b7de16e66e4"
        );
        let payload = Event { records: vec![], number: Some("1"), behind: 0 };
        assert_eq!(
            hex(&event("SubscribeToShardEvent", &payload)),
            "000000b10000005bb43c76b10d3a6d6573736167652d747970650700056576656e740b3a6576656e742d7479\
             7065070015537562736372696265546f53686172644576656e740d3a636f6e74656e742d7479706507001061\
             70706c69636174696f6e2f6a736f6e7b225265636f726473223a5b5d2c22436f6e74696e756174696f6e5365\
             7175656e63654e756d626572223a2231222c224d696c6c6973426568696e644c6174657374223a307d50787a\
             05"
        );
        let error = ApiError::new(ErrorCode::InternalFailure, "a \"b\"");
        assert_eq!(
            hex(&exception(&error)),
            "0000008b0000006607c59a870d3a6d6573736167652d74797065070009657863657074696f6e0f3a65786365\
             7074696f6e2d74797065070018496e7465726e616c4661696c757265457863657074696f6e0d3a636f6e7465\
             6e742d747970650700106170706c69636174696f6e2f6a736f6e7b226d657373616765223a2261205c22625c\
             22227d661dbc14"
        );
    }

    #[test]
    fn exceptions_carry_the_names_of_the_model() {
        let error = ApiError::new(ErrorCode::ResourceInUse, "x");
        let (headers, payload) = decoded(&exception(&error)).unwrap();
        assert_eq!(headers[1].1, "ResourceInUseException");
        assert_eq!(payload, br#"{"message":"x"}"#);
    }

    type Decoded = (Vec<(String, String)>, Vec<u8>);

    fn crc_fits(message: &[u8]) -> Option<&[u8]> {
        let (before, crc) = message.split_last_chunk()?;
        (crc32fast::hash(before) == u32::from_be_bytes(*crc)).then_some(before)
    }

    /// Headers and payload of a message that is whole.
    fn decoded(message: &[u8]) -> Option<Decoded> {
        let before = crc_fits(message)?;
        crc_fits(before.get(..PRELUDE_BYTES)?)?;
        let number = |at: usize| -> Option<usize> {
            Some(u32::from_be_bytes(before.get(at..at + 4)?.try_into().ok()?) as usize)
        };
        if number(0)? != message.len() {
            return None;
        }
        let (mut rest, payload) = before[PRELUDE_BYTES..].split_at_checked(number(4)?)?;
        let mut headers = Vec::new();
        let mut text = |length: usize| -> Option<String> {
            let (text, after) = rest.split_at_checked(length)?;
            rest = after;
            String::from_utf8(text.to_vec()).ok()
        };
        while let Some(length) = text(1).filter(|length| !length.is_empty()) {
            let name = text(length.as_bytes()[0].into())?;
            assert_eq!(text(1)?.as_bytes(), [TEXT]);
            let length = text(2)?;
            let length = u16::from_be_bytes(length.as_bytes().try_into().ok()?);
            headers.push((name, text(length.into())?));
        }
        Some((headers, payload.to_vec()))
    }

    proptest! {
        /// Lengths below 128 are texts of one byte each, which keeps the decoder short.
        #[test]
        fn every_message_is_read_back_and_none_that_is_damaged(
            headers in prop::collection::vec(("[a-z:-]{1,30}", "\\PC{0,30}"), 0..5),
            payload in prop::collection::vec(any::<u8>(), 0..300),
            at: prop::sample::Index, flip in 1u8..,
        ) {
            let borrowed: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let message = message(&borrowed, |mut message| {
                message.extend_from_slice(&payload);
                message
            });
            prop_assert_eq!(decoded(&message), Some((headers, payload)));
            let mut damaged = message.to_vec();
            damaged[at.index(message.len())] ^= flip;
            prop_assert_eq!(decoded(&damaged), None);
        }
    }
}
