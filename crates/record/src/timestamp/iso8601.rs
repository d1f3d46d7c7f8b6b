//! The short way for `2015-05-17T10:05:03.000+00:00` and its next of kin.

use jiff::civil::DateTime;

use super::{ParsedTime, digits};

/// Reads `YYYY-MM-DD`, `T` or a space, `HH:MM:SS`, then optionally a fraction after `.` or `,`, a space, and `Z`,
/// `±HH:MM`, `±HHMM` or `±HH`. `None` for everything else, be it wrong or only unusual.
#[inline]
pub(super) fn parse(text: &[u8]) -> Option<ParsedTime> {
    let fixed = text.first_chunk::<19>()?;
    if !matches!(
        fixed,
        [_, _, _, _, b'-', _, _, b'-', _, _, b'T' | b' ', _, _, b':', _, _, b':', _, _]
    ) {
        return None;
    }
    let (nanos, zone) = match &text[19..] {
        [b'.' | b',', fraction @ ..] => nanos(fraction)?,
        rest => (0, rest),
    };
    // Year 0 is left to the long way, which refuses it.
    let year = digits::<4>(fixed, 0).filter(|&year| year > 0)?;
    let civil = DateTime::new(
        year as i16,
        digits::<2>(fixed, 5)? as i8,
        digits::<2>(fixed, 8)? as i8,
        digits::<2>(fixed, 11)? as i8,
        digits::<2>(fixed, 14)? as i8,
        digits::<2>(fixed, 17)? as i8,
        nanos,
    )
    .ok()?;
    let offset_seconds = offset(zone)?;
    Some(ParsedTime { civil, offset_seconds })
}

/// Cuts a fraction to microseconds, as dateutil does; gives what follows it, too.
#[inline]
fn nanos(text: &[u8]) -> Option<(i32, &[u8])> {
    let length = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (fraction, rest) = text.split_at(length);
    if fraction.is_empty() {
        return None;
    }
    let mut micros = 0;
    for place in 0..6 {
        let digit = fraction.get(place).map_or(0, |digit| digit - b'0');
        micros = micros * 10 + i32::from(digit);
    }
    Some((micros * 1000, rest))
}

/// `Some(None)` for no offset at all.
#[inline]
fn offset(zone: &[u8]) -> Option<Option<i32>> {
    let zone = zone.strip_prefix(b" ").unwrap_or(zone);
    let (hours, minutes) = match zone {
        [] => return Some(None),
        b"Z" => return Some(Some(0)),
        [_, _, _] => (digits::<2>(zone, 1)?, 0),
        [_, _, _, _, _] => (digits::<2>(zone, 1)?, digits::<2>(zone, 3)?),
        [_, _, _, b':', _, _] => (digits::<2>(zone, 1)?, digits::<2>(zone, 4)?),
        _ => return None,
    };
    let seconds = hours * 3600 + minutes * 60;
    match zone[0] {
        _ if seconds >= 86_400 => None,
        b'+' => Some(Some(seconds)),
        b'-' => Some(Some(-seconds)),
        _ => None,
    }
}
