//! JSON 1.1: reading requests with serde, writing answers by hand.

mod plain;

use baikonur_stream::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::wire::error::{ApiError, ErrorCode};
use crate::wire::output::Encoder;

/// Reads a request: a JSON object.
pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::bare(ErrorCode::Serialization));
    }
    // What is wrong with a body, and what it is called, is the other reader's to say.
    if let Ok(request) = plain::parse(body) {
        return Ok(request);
    }
    serde_json::from_slice(body).map_err(|error| {
        if !error.is_data() {
            return ApiError::bare(ErrorCode::Serialization);
        }
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        ApiError::new(ErrorCode::Serialization, text.strip_suffix(&place).unwrap_or(&text))
    })
}

/// Whether the body is JSON at all.
pub(crate) fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// Writes JSON without blanks.
#[derive(Debug)]
pub(crate) struct JsonEncoder(Vec<u8>);

impl JsonEncoder {
    /// Goes on behind what is there already.
    pub(crate) fn behind(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Encoder for JsonEncoder {
    fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn blob_length(bytes: usize) -> usize {
        bytes.div_ceil(3) * 4 + 2
    }

    #[inline]
    fn start_structure(&mut self) {
        self.0.push(b'{');
    }

    #[inline]
    fn name(&mut self, name: &'static str, first: bool) {
        self.0.extend_from_slice(if first { b"\"" } else { b",\"" });
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    #[inline]
    fn end_structure(&mut self) {
        self.0.push(b'}');
    }

    #[inline]
    fn start_list(&mut self, _length: usize) {
        self.0.push(b'[');
    }

    #[inline]
    fn separate(&mut self) {
        self.0.push(b',');
    }

    #[inline]
    fn end_list(&mut self) {
        self.0.push(b']');
    }

    #[inline]
    fn text(&mut self, text: &str) {
        write_string(&mut self.0, text);
    }

    #[inline]
    fn plain_text(&mut self, text: &str) {
        self.0.push(b'"');
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
    }

    #[inline]
    fn blob(&mut self, bytes: &[u8]) {
        self.0.push(b'"');
        base64_simd::STANDARD.encode_append(bytes, &mut self.0);
        self.0.push(b'"');
    }

    #[inline]
    fn integer(&mut self, number: u64) {
        self.0.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    #[inline]
    fn boolean(&mut self, value: bool) {
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// Seconds with three decimals.
    #[inline]
    fn timestamp(&mut self, moment: Timestamp) {
        let millis = moment.millis();
        self.integer(millis / 1000);
        let digit = |unit| b'0' + (millis / unit % 10) as u8;
        self.0.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
    }

    #[inline]
    fn whole_seconds(&mut self, moment: Timestamp) {
        self.integer(moment.seconds());
    }
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut clean_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[clean_from..at]);
        write_escape(out, byte);
        clean_from = at + 1;
    }
    out.extend_from_slice(&text.as_bytes()[clean_from..]);
    out.push(b'"');
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_body_that_is_no_object_is_refused_without_a_message() {
        for body in ["", "[]", "null", "{", "{}x", "\u{0}", "{\"a\":\"\u{1}\"}"] {
            let error = parse::<serde_json::Map<String, serde_json::Value>>(body.as_bytes());
            assert_eq!(error.unwrap_err(), ApiError::bare(ErrorCode::Serialization), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn strings_read_back_as_they_were(text in "\\PC*|[\\x00-\\x7f]*") {
            let mut out = Vec::new();
            write_string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
