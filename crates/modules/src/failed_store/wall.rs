//! Moments as texts: keys, lines and messages show UTC.

use baikonur_stream::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

/// To the millisecond, which is all that a stream knows.
const RFC3339: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// A moment as a clock on the wall in UTC shows it, by a pattern of `strftime`.
pub(super) fn utc(moment: Timestamp, pattern: &str) -> String {
    calendar(moment).strftime(pattern).to_string()
}

/// `2026-11-25T09:00:00.123Z`.
pub(crate) fn rfc3339(moment: Timestamp) -> String {
    RFC3339.timestamp_to_string(&calendar(moment))
}

/// Reads what [`rfc3339`] writes; none for anything else.
pub(super) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let millis = text.parse::<jiff::Timestamp>().ok()?.as_millisecond();
    let moment = Timestamp::from_millis(u64::try_from(millis).ok()?);
    (rfc3339(moment) == text).then_some(moment)
}

/// Years have four digits: what is later is shown as the last moment of them.
fn calendar(moment: Timestamp) -> jiff::Timestamp {
    let millis = i64::try_from(moment.millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_shown_in_utc() {
        for (seconds, shown) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (951_868_800, "2000-03-01T00:00:00.007Z"),
            (1_431_857_103, "2015-05-17T10:05:03.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
            (253_402_207_199, "9999-12-30T21:59:59.007Z"),
        ] {
            let moment = Timestamp::from_millis(seconds * 1000 + 7);
            assert_eq!(rfc3339(moment), shown);
            assert_eq!(parse_rfc3339(shown), Some(moment));
        }
    }

    #[test]
    fn every_day_is_read_as_it_is_shown() {
        for day in 0..150_000 {
            let moment = Timestamp::from_millis(day * 86_400_000 + 86_399_999);
            assert_eq!(parse_rfc3339(&rfc3339(moment)), Some(moment));
        }
    }

    #[test]
    fn other_texts_are_no_moments() {
        for text in [
            "",
            "2020-09-13",
            "2020-09-13T12:26:40.123",
            "2020-13-13T12:26:40.123Z",
            "2020-09-00T12:26:40.123Z",
            "2020-09-13T24:00:00.000Z",
            "1969-12-31T23:59:59.999Z",
            "2020-09-13T12:26:4\u{e9}.12Z",
            "+020-09-13T12:26:40.123Z",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }
}
