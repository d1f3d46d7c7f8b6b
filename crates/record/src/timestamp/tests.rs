//! What python-dateutil makes of timestamps, and that the fast path agrees with the slow one.

use jiff::civil::{Date, date};
use proptest::prelude::*;
use serde_json::Value;

use super::{ParsedTime, TimestampError, ctime, iso8601, parse_any, parse_timestamp};

const DEFAULT: Date = date(2003, 9, 25);

/// Cases with the answers of python-dateutil 2.9.0: wall clock and offset, or an error.
const CASES: &str = include_str!("../../tests/data/timestamps.json");

type WallClockAndOffset = (&'static str, Option<i64>);

/// Odd ones, found by comparing random strings with dateutil (there with 2003 as the current year).
const ODD_CASES: &[(&str, Option<WallClockAndOffset>)] = &[
    ("10:00 GMT+3", Some(("2003-09-25T10:00:00", Some(-10800)))),
    ("10:00 EST+5", Some(("2003-09-25T10:00:00", Some(-18000)))),
    ("10:00 EST+0", Some(("2003-09-25T10:00:00", Some(0)))),
    ("10:00 UTC-0330", Some(("2003-09-25T10:00:00", Some(12600)))),
    ("10:00 +0300 (UTC)", Some(("2003-09-25T10:00:00", Some(0)))),
    ("10:00 +0300 (MSK)", Some(("2003-09-25T10:00:00", Some(10800)))),
    ("10:00 +0300 (MOSCOW)", None),
    ("10:00 z", Some(("2003-09-25T10:00:00", Some(0)))),
    ("10:00 Z+3", Some(("2003-09-25T10:00:00", Some(-10800)))),
    ("10:00 utc", None),
    ("10:00 EST", Some(("2003-09-25T10:00:00", None))),
    ("10:00 TOOLONG", None),
    ("10:00 NAN", None),
    ("10:00 +123:45", None),
    ("10:00 +5014100000080482200:43", None),
    ("10:00 +23:59", Some(("2003-09-25T10:00:00", Some(86340)))),
    ("10:00 +2400", None),
    ("10:00 +03:30 EST", None),
    ("10:00 EST -0500", Some(("2003-09-25T10:00:00", Some(-18000)))),
    ("24:00", None),
    ("23:60", None),
    ("10:59:60", None),
    ("10:36.5", Some(("2003-09-25T10:36:30", None))),
    ("10:36:28.5.1", Some(("2003-05-01T10:36:28", None))),
    ("10.5:30", Some(("2003-09-25T10:30:00", None))),
    ("12 am", Some(("2003-09-25T00:00:00", None))),
    ("12 pm", Some(("2003-09-25T12:00:00", None))),
    ("0 pm", Some(("2003-09-25T12:00:00", None))),
    ("13 pm", Some(("2003-09-25T13:00:00", None))),
    ("am 10", None),
    ("10 am pm", Some(("2003-09-25T22:00:00", None))),
    ("5.6 h", Some(("2003-09-25T05:36:00", None))),
    ("5.6 m 7 s", Some(("2003-09-25T00:05:07", None))),
    ("5.999h", Some(("2003-09-25T05:59:00", None))),
    ("10 h 30", Some(("2003-09-25T10:30:00", None))),
    ("10h30m20", Some(("2003-09-25T10:30:20", None))),
    ("10 s 5", Some(("2003-09-25T00:00:10", None))),
    ("1036 Sep 25 2003", Some(("1036-09-25T20:03:00", None))),
    ("Sep 25 2003 1036", Some(("2003-09-25T10:36:00", None))),
    ("Sep 25 2003 10", Some(("2003-09-25T10:00:00", None))),
    ("99", Some(("1999-09-25T00:00:00", None))),
    ("31", None),
    ("32", Some(("2032-09-25T00:00:00", None))),
    ("00", None),
    ("100", Some(("0100-09-25T00:00:00", None))),
    ("101", Some(("0101-09-25T00:00:00", None))),
    ("0", None),
    ("1000", Some(("1000-09-25T00:00:00", None))),
    ("2003 13", None),
    ("13 2003", None),
    ("31 2", None),
    ("2 31", None),
    ("32 2", Some(("2032-02-25T00:00:00", None))),
    ("29 Feb", None),
    ("30 Feb", None),
    ("Feb 29 2004", Some(("2004-02-29T00:00:00", None))),
    ("Feb 29 2003", None),
    ("Sept of 03", Some(("2003-09-25T00:00:00", None))),
    ("Sep of xyz", Some(("2003-09-25T00:00:00", None))),
    ("Sep of", Some(("2003-09-25T00:00:00", None))),
    ("Sep-03", Some(("2003-09-03T00:00:00", None))),
    ("Sep/25/2003", Some(("2003-09-25T00:00:00", None))),
    ("Sep-25-03", Some(("2003-09-25T00:00:00", None))),
    ("25-Sep-03", Some(("2003-09-25T00:00:00", None))),
    ("03-Sep-25", Some(("2025-09-03T00:00:00", None))),
    ("2003-Sep-25", Some(("2003-09-25T00:00:00", None))),
    ("45-12-25", Some(("2045-12-25T00:00:00", None))),
    ("12-45-25", None),
    ("12-25-45", Some(("2045-12-25T00:00:00", None))),
    ("13-12-11", Some(("2011-12-13T00:00:00", None))),
    ("1-2-3-4", None),
    ("2003-2004", None),
    ("Mon", Some(("2003-09-29T00:00:00", None))),
    ("Thu", Some(("2003-09-25T00:00:00", None))),
    ("Fri Sep 26", Some(("2003-09-26T00:00:00", None))),
    ("Monday 2003", Some(("2003-09-29T00:00:00", None))),
    ("Mon Feb 2003", Some(("2003-03-03T00:00:00", None))),
    ("Mon Dec 9999", Some(("9999-12-27T00:00:00", None))),
    ("Thu Dec 30 9999", Some(("9999-12-30T00:00:00", None))),
    ("Fri Dec 9999", Some(("9999-12-31T00:00:00", None))),
    ("20030925T1049", Some(("2003-09-25T10:49:00", None))),
    ("200309251049.5", None),
    ("030925", Some(("2025-03-09T00:00:00", None))),
    ("030925 104941.5", Some(("2025-03-09T10:49:41.5", None))),
    ("103628.25", Some(("2003-09-25T10:36:28.25", None))),
    ("1234.5", None),
    ("12345.78", None),
    ("7654321", None),
    ("10.a", None),
    ("10.a ", None),
    ("1.2.3", Some(("2003-01-02T00:00:00", None))),
    ("10..9", Some(("2003-10-09T00:00:00", None))),
    ("5.", Some(("2003-09-05T00:00:00", None))),
    ("12,5", Some(("2003-09-12T00:00:00", None))),
    ("8,5", Some(("2003-08-05T00:00:00", None))),
    ("10,5.3", None),
    ("1_000", None),
    ("inf", None),
    ("Infinity", None),
    ("nan", None),
    (" ", None),
    ("", None),
    ("T", None),
    ("-", None),
    ("+", None),
    ("\u{e9}", None),
    ("2003-09-25\u{3000}10:00", Some(("2003-09-25T10:00:00", None))),
    ("10:00\u{1f}", Some(("2003-09-25T10:00:00", None))),
    ("20\u{0}03", Some(("2003-09-25T00:00:00", None))),
    ("0031-01-01 10:00", Some(("0031-01-01T10:00:00", None))),
    ("0000-01-01", None),
    ("10000-01-01", None),
    ("53", Some(("1953-09-25T00:00:00", None))),
    ("52", Some(("2052-09-25T00:00:00", None))),
    ("54 Sep", Some(("1954-09-25T00:00:00", None))),
    ("0100 Sep", Some(("0100-09-25T00:00:00", None))),
];

fn spelled(parsed: Result<ParsedTime, TimestampError>) -> Option<(String, Option<i64>)> {
    let parsed = parsed.ok()?;
    let wall_clock = format!("{:.6}", parsed.civil);
    Some((wall_clock, parsed.offset_seconds.map(i64::from)))
}

#[test]
fn every_case_agrees_with_dateutil() {
    let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
    assert!(cases.len() > 300);
    let mut wrong = Vec::new();
    for case in &cases {
        let text = case["in"].as_str().unwrap();
        let expected = case["out"].as_str().map(|out| (out.to_owned(), case["off"].as_i64()));
        let found = spelled(parse_timestamp(text, DEFAULT));
        if found != expected {
            wrong.push(format!("{text:?}: {found:?} instead of {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_short_ways_agree_with_the_long_one() {
    let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
    let mut short = 0;
    for case in &cases {
        let text = case["in"].as_str().unwrap();
        if let Some(parsed) =
            iso8601::parse(text.as_bytes()).or_else(|| ctime::parse(text.as_bytes()))
        {
            assert_eq!(parse_any(text, DEFAULT), Ok(parsed), "{text}");
            short += 1;
        }
    }
    assert!(short > 50, "{short}");
}

#[test]
fn odd_cases_agree_with_dateutil() {
    for &(text, expected) in ODD_CASES {
        let found = parse_timestamp(text, DEFAULT).ok();
        let found =
            found.map(|parsed| (parsed.civil.to_string(), parsed.offset_seconds.map(i64::from)));
        assert_eq!(found, expected.map(|(civil, offset)| (civil.to_owned(), offset)), "{text:?}");
    }
}

#[test]
fn digits_other_than_ascii_are_refused_unlike_in_dateutil() {
    for text in ["\u{662}\u{660}\u{660}\u{663}", "10:30:\u{663}", "\u{ff12}\u{ff10}03-09-25"] {
        assert_eq!(parse_timestamp(text, DEFAULT), Err(TimestampError::UnknownFormat), "{text}");
    }
}

#[test]
fn a_text_longer_than_any_timestamp_is_refused_unread() {
    let longest = format!("2003{}", " ".repeat(252));
    assert!(parse_timestamp(&longest, DEFAULT).is_ok());
    let longer = longest + " ";
    assert_eq!(parse_timestamp(&longer, DEFAULT), Err(TimestampError::TooLong { limit: 256 }));
    let long_fraction = format!("2003-09-25T10:00:00.{}", "0".repeat(1000));
    assert!(parse_timestamp(&long_fraction, DEFAULT).is_err());
}

#[test]
fn two_digits_of_a_year_are_within_fifty_years_of_the_default() {
    let year = |text, default| parse_timestamp(text, default).unwrap().civil.year();
    assert_eq!(year("Sep 25 76", date(2026, 1, 1)), 2076 - 100);
    assert_eq!(year("Sep 25 75", date(2026, 1, 1)), 2075);
    assert_eq!(year("Sep 25 30", date(1981, 1, 1)), 2030);
    assert_eq!(year("Sep 25 31", date(1981, 1, 1)), 1931);
}

#[test]
fn wrong_dates_are_told_from_wrong_formats() {
    assert_eq!(parse_timestamp("2003-02-30", DEFAULT), Err(TimestampError::OutOfRange));
    assert_eq!(parse_timestamp("10:00 +2400", DEFAULT), Err(TimestampError::OutOfRange));
    assert_eq!(parse_timestamp("yesterday", DEFAULT), Err(TimestampError::UnknownFormat));
    assert_eq!(parse_timestamp("", DEFAULT), Err(TimestampError::UnknownFormat));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in any::<String>()) {
        let _ = parse_timestamp(&text, DEFAULT);
    }

    #[test]
    fn nothing_made_of_its_own_words_makes_it_panic(
        words in prop::collection::vec("Sep|Mon|am|of|GMT|z|h|[0-9]{1,14}|[-+:/., ()]|[0-9]{1,3}[.,][0-9]{1,9}", 0..12)
    ) {
        let text = words.concat();
        let parsed = parse_timestamp(&text, DEFAULT);
        let long_way = if text.len() <= 256 { parse_any(&text, DEFAULT) } else { parsed };
        prop_assert_eq!(parsed, long_way);
    }

    #[test]
    fn the_short_ways_never_differ_from_the_long_one(
        text in "(Mon |Thu )?(Mar|Feb) {1,2}[0-3]?[0-9] [0-2][0-9]:[0-6][0-9]:[0-6][0-9] [0-2][0-9]{3}|\
            [0-2]0[0-9]{2}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]([.,][0-9]{0,9})? ?(Z|[-+][0-9]{2}:?[0-9]{2}|[-+][0-9]{2})?"
    ) {
        if let Some(parsed) = iso8601::parse(text.as_bytes()).or_else(|| ctime::parse(text.as_bytes())) {
            prop_assert_eq!(parse_any(&text, DEFAULT), Ok(parsed));
        }
    }
}
