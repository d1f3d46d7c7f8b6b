//! The date at the end of an index name, by a format such as `YYYYMMDD`.

use jiff::civil::Date;

/// Where year, month and day stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DateFormat {
    /// `YYYY`, `MM`, `DD` and what stands between them.
    text: String,
    year: usize,
    month: usize,
    /// None for one index a month.
    day: Option<usize>,
}

impl DateFormat {
    /// Reads `YYYYMMDD`, `YYYY.MM.DD`, `YYYY-MM` and the like; `%Y`, `%m` and `%d` mean the same.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(given: &str) -> Result<Self, &'static str> {
        let text = given.replace("%Y", "YYYY").replace("%m", "MM").replace("%d", "DD");
        let rest = text.replacen("YYYY", "", 1).replacen("MM", "", 1).replacen("DD", "", 1);
        if !rest.bytes().all(|byte| matches!(byte, b'.' | b'-' | b'_')) {
            return Err("may have YYYY, MM, DD once each, and '.', '-' or '_' between them");
        }
        let (year, month) = (text.find("YYYY"), text.find("MM"));
        let year = year.ok_or("has no YYYY")?;
        let month =
            month.ok_or("has no MM: indices of a whole year are too much to lose at once")?;
        let day = text.find("DD");
        Ok(Self { text, year, month, day })
    }

    /// The date that ends `name`, behind a `-`, `_` or `.`; the last of its days for an index of a month. None when
    /// there is no such date.
    pub(super) fn date_of(&self, name: &str) -> Option<Date> {
        let start = name.len().checked_sub(self.text.len())?;
        let (before, date) = (name.get(..start)?, name.get(start..)?);
        if !before.ends_with(['-', '_', '.']) {
            return None;
        }
        let is_of_format = self.text.bytes().zip(date.bytes()).all(|(format, byte)| match format {
            b'Y' | b'M' | b'D' => byte.is_ascii_digit(),
            separator => byte == separator,
        });
        if !is_of_format {
            return None;
        }
        let number = |at: usize, length: usize| date.get(at..at + length)?.parse::<i16>().ok();
        let (year, month) = (number(self.year, 4)?, i8::try_from(number(self.month, 2)?).ok()?);
        match self.day {
            Some(day) => Date::new(year, month, i8::try_from(number(day, 2)?).ok()?).ok(),
            None => Some(Date::new(year, month, 1).ok()?.last_of_month()),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn dates_are_found_at_the_end_of_names() {
        for (format, name, expected) in [
            ("YYYYMMDD", "logs-auth-20250131", Some(date(2025, 1, 31))),
            ("%Y%m%d", "logs-auth-20240229", Some(date(2024, 2, 29))),
            ("YYYY.MM.DD", "logs-2025.01.31", Some(date(2025, 1, 31))),
            ("DD-MM-YYYY", "logs_31-01-2025", Some(date(2025, 1, 31))),
            ("YYYY.MM", "logs-2024.02", Some(date(2024, 2, 29))),
            // No such day.
            ("YYYYMMDD", "logs-auth-20250231", None),
            ("YYYYMMDD", "logs-auth-20250000", None),
            ("YYYYMMDD", "logs-auth-00000101", Some(date(0, 1, 1))),
            // Part of a longer number, behind something else, not at the end, too short.
            ("YYYYMMDD", "logs-auth-120250131", None),
            ("YYYYMMDD", "logs-authx20250131", None),
            ("YYYYMMDD", "logs-auth-20250131-reload", None),
            ("YYYYMMDD", "20250131", None),
            ("YYYYMMDD", "logs", None),
            ("YYYYMMDD", "", None),
            ("YYYYMMDD", "logs-日本語", None),
            ("YYYYMMDD", "logs-auth-2025013１", None),
            ("YYYY.MM.DD", "logs-20250131", None),
        ] {
            assert_eq!(DateFormat::parse(format).unwrap().date_of(name), expected, "{name}");
        }
    }

    #[test]
    fn formats_without_a_month_or_with_anything_else_are_refused() {
        for format in ["", "YYYY", "MMDD", "YYYYMMDDHH", "YYYY/MM/DD", "YYYYMMDDDD", "date", "%s"] {
            assert!(DateFormat::parse(format).is_err(), "{format}");
        }
    }
}
