//! Frames of `application/vnd.amazon.eventstream`, as SubscribeToShard sends them.
//!
//! Checksums are not verified: this is a load generator, and the real clients of the end-to-end tests
//! verify them.

use std::io;

/// One frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// `:event-type`, or `:exception-type` of a failure.
    pub(crate) kind: &'a [u8],
    /// Whether `:message-type` is `event`.
    pub(crate) is_event: bool,
    pub(crate) payload: &'a [u8],
    /// Bytes that the frame takes.
    pub(crate) length: usize,
}

/// Total length, length of the headers, checksum of the two.
const PRELUDE_BYTES: usize = 12;
/// Checksum of it all.
const CHECKSUM_BYTES: usize = 4;
/// Type of a header's value: a string.
const STRING: u8 = 7;
/// Longest payload and longest headers that botocore reads.
const PAYLOAD_BYTES_MAX: usize = 24 * 1024 * 1024;
const HEADERS_BYTES_MAX: usize = 128 * 1024;

/// The first frame of `bytes`, when it is all there.
pub(crate) fn first_frame(bytes: &[u8]) -> io::Result<Option<Frame<'_>>> {
    let (Some(length), Some(headers)) = (number(bytes, 0), number(bytes, 4)) else {
        return Ok(None);
    };
    if headers > HEADERS_BYTES_MAX || headers + PRELUDE_BYTES + CHECKSUM_BYTES > length {
        return Err(foreign());
    }
    if length - headers - PRELUDE_BYTES - CHECKSUM_BYTES > PAYLOAD_BYTES_MAX {
        let message = format!("a frame of {length} bytes; real clients read 24 MiB at most");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    if bytes.len() < length {
        return Ok(None);
    }
    let payload = &bytes[PRELUDE_BYTES + headers..length - CHECKSUM_BYTES];
    let mut frame = Frame { kind: b"", is_event: false, payload, length };
    let mut rest = &bytes[PRELUDE_BYTES..PRELUDE_BYTES + headers];
    while !rest.is_empty() {
        let (name, value, after) = header(rest).ok_or_else(foreign)?;
        match name {
            b":message-type" => frame.is_event = value == b"event",
            b":event-type" | b":exception-type" => frame.kind = value,
            _ => {}
        }
        rest = after;
    }
    Ok(Some(frame))
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(four)).ok()
}

/// Name and value of the first header, and what follows.
fn header(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (&name_length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(name_length))?;
    let (&kind, rest) = rest.split_first()?;
    let (length, rest) = rest.split_at_checked(2)?;
    let length = usize::from(u16::from_be_bytes(length.try_into().ok()?));
    let (value, rest) = rest.split_at_checked(length)?;
    (kind == STRING).then_some((name, value, rest))
}

fn foreign() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no frame of an event stream")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
        let mut head = Vec::new();
        for (name, value) in headers {
            head.push(name.len() as u8);
            head.extend_from_slice(name.as_bytes());
            head.push(STRING);
            head.extend_from_slice(&(value.len() as u16).to_be_bytes());
            head.extend_from_slice(value.as_bytes());
        }
        let length = PRELUDE_BYTES + head.len() + payload.len() + CHECKSUM_BYTES;
        let mut frame = (length as u32).to_be_bytes().to_vec();
        frame.extend_from_slice(&(head.len() as u32).to_be_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(&head);
        frame.extend_from_slice(payload);
        frame.extend_from_slice(&[0; 4]);
        frame
    }

    #[test]
    fn frames_are_found_one_after_the_other() {
        let mut bytes = framed(&[(":message-type", "event"), (":event-type", "a")], b"{}");
        let first = bytes.len();
        bytes.extend(framed(&[(":exception-type", "b"), (":message-type", "exception")], b"[1]"));
        let frame = first_frame(&bytes).unwrap().unwrap();
        let expected = Frame { kind: b"a", is_event: true, payload: b"{}", length: first };
        assert_eq!(frame, expected);
        let frame = first_frame(&bytes[first..]).unwrap().unwrap();
        assert_eq!((frame.kind, frame.is_event, frame.payload), (&b"b"[..], false, &b"[1]"[..]));
    }

    #[test]
    fn a_frame_that_is_not_all_there_is_waited_for() {
        let bytes = framed(&[(":event-type", "a")], b"{}");
        for length in 0..bytes.len() {
            assert_eq!(first_frame(&bytes[..length]).unwrap(), None);
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        assert!(first_frame(&[0, 0, 0, 16, 0, 0, 0, 9, 0, 0, 0, 0]).is_err());
        assert!(first_frame(&[255; 12]).is_err());
        let mut bytes = framed(&[(":event-type", "a")], b"{}");
        bytes[PRELUDE_BYTES] = 200;
        assert!(first_frame(&bytes).is_err());
    }
}
