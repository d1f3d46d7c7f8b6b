//! The time of a log event: a wall clock and the UTC offset it was written in.

use std::fmt::Write;

use jiff::civil::{Date, DateTime};

const SECONDS_PER_DAY: i64 = 86_400;
const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// A wall clock and its offset: those the stamp carries, or those of the schema's time zone when it carries no offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTime {
    civil: DateTime,
    offset_seconds: i32,
}

impl EventTime {
    /// A wall clock at an offset, in seconds east of UTC (less than a day either way).
    pub fn new(civil: DateTime, offset_seconds: i32) -> Self {
        Self { civil, offset_seconds }
    }

    pub(crate) const EPOCH: Self =
        Self { civil: DateTime::constant(1970, 1, 1, 0, 0, 0, 0), offset_seconds: 0 };

    pub(crate) fn date(&self) -> Date {
        self.civil.date()
    }

    /// Year of the wall clock.
    pub fn year(&self) -> i16 {
        self.civil.year()
    }

    /// Month of the wall clock, 1 to 12.
    pub fn month(&self) -> u8 {
        self.civil.month().unsigned_abs()
    }

    /// Day of the month of the wall clock, 1 to 31.
    pub fn day(&self) -> u8 {
        self.civil.day().unsigned_abs()
    }

    /// Hour of the wall clock, 0 to 23.
    pub fn hour(&self) -> u8 {
        self.civil.hour().unsigned_abs()
    }

    /// Minute of the wall clock, 0 to 59.
    pub fn minute(&self) -> u8 {
        self.civil.minute().unsigned_abs()
    }

    /// Second of the wall clock, 0 to 59.
    pub fn second(&self) -> u8 {
        self.civil.second().unsigned_abs()
    }

    /// Nanosecond of the second, 0 to 999,999,999.
    pub fn nanosecond(&self) -> u32 {
        self.civil.subsec_nanosecond().unsigned_abs()
    }

    /// Offset of the wall clock, in seconds east of UTC.
    pub fn offset_seconds(&self) -> i32 {
        self.offset_seconds
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub fn epoch_seconds(&self) -> i64 {
        let second_of_day = i64::from(self.hour()) * 3600
            + i64::from(self.minute()) * 60
            + i64::from(self.second());
        let days = days_since_epoch(
            i64::from(self.year()),
            i64::from(self.month()),
            i64::from(self.day()),
        );
        days * SECONDS_PER_DAY + second_of_day - i64::from(self.offset_seconds)
    }

    /// Milliseconds since the Unix epoch, rounded down.
    pub fn epoch_millis(&self) -> i64 {
        self.epoch_seconds() * 1000 + i64::from(self.nanosecond() / 1_000_000)
    }

    /// Nanoseconds since the Unix epoch.
    pub fn epoch_nanos(&self) -> i128 {
        i128::from(self.epoch_seconds()) * NANOS_PER_SECOND + i128::from(self.nanosecond())
    }

    /// `2015-05-17T10:05:03.000120+00:00` in its own offset; without a fraction when the microseconds are zero, and
    /// with nine digits when there are nanoseconds. An offset with seconds is cut to minutes (RFC 3339 has no more).
    pub fn rfc3339(&self) -> String {
        let mut text = String::with_capacity(35);
        let (year, month, day) = (self.year(), self.month(), self.day());
        let (hour, minute, second) = (self.hour(), self.minute(), self.second());
        let mut write = |part: std::fmt::Arguments<'_>| {
            text.write_fmt(part).expect("a String takes all that is written")
        };
        write(format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"));
        match self.nanosecond() {
            0 => {}
            nanos if nanos % 1000 == 0 => write(format_args!(".{:06}", nanos / 1000)),
            nanos => write(format_args!(".{nanos:09}")),
        }
        let sign = if self.offset_seconds < 0 { '-' } else { '+' };
        let minutes = self.offset_seconds.unsigned_abs() / 60;
        write(format_args!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
        text
    }

    /// `20150517`, in its own offset.
    pub fn date_compact(&self) -> String {
        format!("{:04}{:02}{:02}", self.year(), self.month(), self.day())
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar. Done here, since an instant of jiff ends a day
/// before the last wall clock that a stamp may carry.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March put the leap day last.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let leap_days =
        shifted_year.div_euclid(4) - shifted_year.div_euclid(100) + shifted_year.div_euclid(400);
    shifted_year * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use jiff::civil::{DateTime, date};

    use super::{EventTime, days_since_epoch};

    #[test]
    fn days_agree_with_jiff_over_all_years() {
        let epoch = date(1970, 1, 1);
        let mut day = date(1, 1, 1);
        while day < date(9999, 12, 1) {
            let expected = i64::from(epoch.until(day).unwrap().get_days());
            assert_eq!(
                days_since_epoch(day.year().into(), day.month().into(), day.day().into()),
                expected,
                "{day}"
            );
            day = day.saturating_add(jiff::Span::new().days(13));
        }
    }

    #[test]
    fn the_epoch_takes_the_offset_off() {
        let time = EventTime::new(DateTime::constant(2015, 5, 17, 10, 5, 3, 120_000), 9 * 3600);
        assert_eq!(time.epoch_seconds(), 1_431_824_703);
        assert_eq!(time.epoch_millis(), 1_431_824_703_000);
        assert_eq!(time.epoch_nanos(), 1_431_824_703_000_120_000);
        assert_eq!(time.rfc3339(), "2015-05-17T10:05:03.000120+09:00");
        assert_eq!(time.date_compact(), "20150517");
    }

    #[test]
    fn times_before_the_epoch_round_down() {
        let time = EventTime::new(DateTime::constant(1969, 12, 31, 23, 59, 59, 500_000_000), 0);
        assert_eq!((time.epoch_seconds(), time.epoch_millis()), (-1, -500));
        assert_eq!(time.rfc3339(), "1969-12-31T23:59:59.500000+00:00");
    }

    #[test]
    fn the_ends_of_the_calendar_can_be_written() {
        let first = EventTime::new(DateTime::constant(1, 1, 1, 0, 0, 0, 0), 86_340);
        assert_eq!(first.rfc3339(), "0001-01-01T00:00:00+23:59");
        let last = EventTime::new(DateTime::constant(9999, 12, 31, 23, 59, 59, 1), -12_600);
        assert_eq!(last.rfc3339(), "9999-12-31T23:59:59.000000001-03:30");
        assert_eq!(last.epoch_seconds(), 253_402_300_799 + 12_600);
    }
}
