//! Moments as texts: keys, lines and messages show UTC.

use baikonur_stream::Timestamp;

/// A moment as a clock on the wall in UTC shows it.
pub(crate) struct Wall {
    pub(super) year: u64,
    pub(super) month: u64,
    pub(super) day: u64,
    pub(super) hour: u64,
    pub(super) minute: u64,
    pub(super) second: u64,
    pub(super) millisecond: u64,
}

impl Wall {
    pub(crate) fn of(moment: Timestamp) -> Self {
        let (days, second) = (moment.seconds() / 86_400, moment.seconds() % 86_400);
        let (year, month, day) = date(days);
        Self {
            year,
            month,
            day,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
            millisecond: moment.millis() % 1000,
        }
    }

    /// `2026-11-25T09:00:00.123Z`.
    pub(crate) fn rfc3339(&self) -> String {
        let Self { year, month, day, hour, minute, second, millisecond } = self;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
    }
}

/// Year, month and day, `days` days after 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    // Counted in years that begin in March, so that the leap day comes last, from 0000-03-01 on.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Reads what [`Wall::rfc3339`] writes; none for anything else.
pub(super) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.')];
    let bytes = text.as_bytes();
    let legal = bytes.len() == 24
        && bytes[23] == b'Z'
        && separators.iter().all(|(place, byte)| bytes[*place] == *byte);
    if !legal {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = bytes.get(from..to)?;
        let all = digits.iter().all(u8::is_ascii_digit);
        all.then(|| digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(Timestamp::from_millis(seconds * 1000 + number(20, 23)?))
}

/// The opposite of [`date`], for years from 1970 on.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month_from_march) =
        if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
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
            (253_402_300_799, "9999-12-31T23:59:59.007Z"),
        ] {
            let moment = Timestamp::from_millis(seconds * 1000 + 7);
            assert_eq!(Wall::of(moment).rfc3339(), shown);
            assert_eq!(parse_rfc3339(shown), Some(moment));
        }
    }

    #[test]
    fn every_day_is_read_as_it_is_shown() {
        for day in 0..150_000 {
            let moment = Timestamp::from_millis(day * 86_400_000 + 86_399_999);
            assert_eq!(parse_rfc3339(&Wall::of(moment).rfc3339()), Some(moment));
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
