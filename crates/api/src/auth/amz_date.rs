//! Moments as signatures have them, `20260101T000000Z`, and as a `Date` header may have them.

use baikonur_stream::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;

/// A moment in the basic format of ISO 8601, to the second and in UTC: the only one that
/// signatures know. None for anything else, and before 1970.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let bytes: &[u8; 16] = text.as_bytes().try_into().ok()?;
    if bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_i16, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + i16::from(digit - b'0'))
        })
    };
    let two = |at: usize| number(&bytes[at..at + 2]).and_then(|number| i8::try_from(number).ok());
    let year = number(&bytes[..4])?;
    let moment = DateTime::new(year, two(4)?, two(6)?, two(9)?, two(11)?, two(13)?, 0).ok()?;
    let seconds = TimeZone::UTC.to_timestamp(moment).ok()?.as_second();
    Some(Timestamp::from_seconds(u64::try_from(seconds).ok()?))
}

/// A moment of a `Date` header: as above, or as HTTP writes it (RFC 9110, section 5.6.7).
pub(crate) fn parse_http(text: &str) -> Option<Timestamp> {
    parse(text).or_else(|| {
        let moment = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        Some(Timestamp::from_seconds(u64::try_from(moment.as_second()).ok()?))
    })
}

/// A moment as signatures write it.
pub(crate) fn format(moment: Timestamp) -> String {
    let moment = i64::try_from(moment.seconds())
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .unwrap_or(jiff::Timestamp::MAX);
    moment.strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_they_are_written() {
        let moment = Timestamp::from_seconds(1_767_225_599);
        assert_eq!(format(moment), "20251231T235959Z");
        assert_eq!(parse("20251231T235959Z"), Some(moment));
        assert_eq!(parse_http("20251231T235959Z"), Some(moment));
        for text in ["Wed, 31 Dec 2025 23:59:59 GMT", "Wed, 31 Dec 2025 23:59:59 -0000"] {
            assert_eq!(parse_http(text), Some(moment), "{text}");
        }
        assert!(!format(Timestamp::from_millis(u64::MAX)).is_empty());
    }

    #[test]
    fn other_formats_are_no_moments() {
        for text in [
            "",
            "20251231",
            "20251231T235959",
            "20251231T235959z",
            "20251231 235959Z",
            "20251331T235959Z",
            "20251231T235960Z",
            "2025-12-31T23:59:59Z",
            "+0251231T235959Z",
            "19691231T235959Z",
            "é0251231T23595Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
            assert_eq!(parse_http(text), None, "{text}");
        }
    }
}
