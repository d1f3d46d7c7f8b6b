//! A moment as people write it on a command line.

use baikonur_record::{EventTime, parse_timestamp};
use baikonur_stream::{Clock, SystemClock, Timestamp};

/// Any time that the modules understand in a record; without a zone it is UTC, without a date it is today.
///
/// # Errors
/// It is none.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("{text:?} is no time");
    let now = i64::try_from(SystemClock::new().now().millis()).unwrap_or(i64::MAX);
    let today = jiff::Timestamp::from_millisecond(now).map_err(|_| wrong())?;
    let today = jiff::tz::Offset::UTC.to_datetime(today).date();
    let parsed = parse_timestamp(text, today).map_err(|_| wrong())?;
    let time = EventTime::new(parsed.civil, parsed.offset_seconds.unwrap_or(0));
    let millis = u64::try_from(time.epoch_millis());
    millis.map(Timestamp::from_millis).map_err(|_| format!("{text:?} is before 1970"))
}
