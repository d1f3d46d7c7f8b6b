//! Any text can be read as a timestamp, or refused; what is read lies in Python's calendar.
#![no_main]

use baikonur_record::parse_timestamp;
use jiff::civil::date;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(parsed) = parse_timestamp(text, date(2003, 9, 25)) {
        assert!((1..=9999).contains(&parsed.civil.year()));
        assert!(parsed.offset_seconds.is_none_or(|offset| offset.abs() < 86_400));
    }
});
