//! The short way for `Mar 28 12:03:17 2015`, the C library's layout, with or without the weekday in front.

use jiff::civil::DateTime;

use super::{ParsedTime, digits};

/// Reads `Mon D HH:MM:SS YYYY` with one space or two before a day of one digit. `None` for everything else. The year
/// has to be 1000 or later: smaller ones may be days for dateutil.
#[inline]
pub(super) fn parse(text: &[u8]) -> Option<ParsedTime> {
    let text = match text.split_first_chunk::<4>() {
        Some((weekday, rest)) if is_weekday(weekday) => rest,
        _ => text,
    };
    let (month, rest) = text.split_first_chunk::<4>()?;
    let month = month_number(month)?;
    let (day, rest) = match rest {
        [b' ', b'1'..=b'9', b' ', ..] => (digits::<1>(rest, 1)?, &rest[2..]),
        [b'0'..=b'9', b' ', ..] => (digits::<1>(rest, 0)?, &rest[1..]),
        _ => (digits::<2>(rest, 0)?, &rest[2..]),
    };
    let [b' ', _, _, b':', _, _, b':', _, _, b' ', year @ ..] = rest else {
        return None;
    };
    let year = digits::<4>(year, 0).filter(|&value| value >= 1000 && year.len() == 4)?;
    let civil = DateTime::new(
        year as i16,
        month,
        day as i8,
        digits::<2>(rest, 1)? as i8,
        digits::<2>(rest, 4)? as i8,
        digits::<2>(rest, 7)? as i8,
        0,
    )
    .ok()?;
    Some(ParsedTime { civil, offset_seconds: None })
}

#[inline]
fn is_weekday(text: &[u8; 4]) -> bool {
    matches!(text, b"Mon " | b"Tue " | b"Wed " | b"Thu " | b"Fri " | b"Sat " | b"Sun ")
}

#[inline]
fn month_number(text: &[u8; 4]) -> Option<i8> {
    Some(match text {
        b"Jan " => 1,
        b"Feb " => 2,
        b"Mar " => 3,
        b"Apr " => 4,
        b"May " => 5,
        b"Jun " => 6,
        b"Jul " => 7,
        b"Aug " => 8,
        b"Sep " => 9,
        b"Oct " => 10,
        b"Nov " => 11,
        b"Dec " => 12,
        _ => return None,
    })
}
