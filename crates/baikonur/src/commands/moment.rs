//! A moment as people write it on a command line, and read it.

use std::time::Duration;

use baikonur_record::{EventTime, parse_timestamp};
use baikonur_stream::Timestamp;

/// How long ago (`30m`, `2h`, `7d`), or any time that the modules understand in a record; without a zone that is UTC,
/// without a date it is today.
///
/// # Errors
/// It is neither.
pub(super) fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Some(ago) = duration(text) {
        return Ok(now.minus(ago));
    }
    let wrong = || {
        format!(
            "{text:?} is no time such as 2026-11-24T09:00:00Z, and not how long ago, such as 30m, 2h or 7d"
        )
    };
    let millis = i64::try_from(now.millis()).unwrap_or(i64::MAX);
    let today = jiff::Timestamp::from_millisecond(millis).map_err(|_| wrong())?;
    let today = jiff::tz::Offset::UTC.to_datetime(today).date();
    let parsed = parse_timestamp(text, today).map_err(|_| wrong())?;
    let time = EventTime::new(parsed.civil, parsed.offset_seconds.unwrap_or(0));
    // Nothing arrived before 1970.
    Ok(Timestamp::from_millis(u64::try_from(time.epoch_millis()).unwrap_or(0)))
}

fn duration(text: &str) -> Option<Duration> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let number: u64 = text[..text.len() - 1].parse().ok()?;
    number.checked_mul(unit).map(Duration::from_secs)
}

/// A moment to the second, as ISO 8601 writes it.
pub(super) fn written(moment: Timestamp) -> String {
    let millis = i64::try_from(moment.millis()).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.0}")
}
