//! Fills up what a timestamp leaves out, and checks that there is such a date, time and offset.

use jiff::civil::{Date, DateTime, Time};
use jiff::{Span, civil};

use super::parse::Fields;
use super::{ParsedTime, TimestampError};

/// Makes a point in time of what was written.
pub(super) fn resolve(fields: &Fields, default: Date) -> Result<ParsedTime, TimestampError> {
    let civil = wall_clock(fields, default).ok_or(TimestampError::OutOfRange)?;
    let offset_seconds = if fields.zone_is_utc { Some(0) } else { fields.offset_seconds };
    let offset_seconds = match offset_seconds {
        Some(offset) if offset.abs() >= 86_400 => return Err(TimestampError::OutOfRange),
        offset => offset.map(|offset| offset as i32),
    };
    Ok(ParsedTime { civil, offset_seconds })
}

fn wall_clock(fields: &Fields, default: Date) -> Option<DateTime> {
    let written = &fields.date;
    let year = match written.year {
        Some(year) if fields.has_century => year,
        Some(year) => four_digit_year(year, default.year()),
        None => default.year().into(),
    };
    let month = written.month.unwrap_or(default.month().into());
    if !(1..=9999).contains(&year) {
        return None;
    }
    let last_day = days_in_month(year, month)?;
    let day = written.day.unwrap_or(last_day.min(default.day().into()));
    let mut date = Date::new(year as i16, month as i8, i8::try_from(day).ok()?).ok()?;
    if let (Some(weekday), None) = (fields.weekday, written.day) {
        let days = (weekday - date.weekday().to_monday_zero_offset()).rem_euclid(7);
        date = date.checked_add(Span::new().days(days)).ok()?;
    }
    Some(date.to_datetime(time_of_day(fields)?))
}

fn time_of_day(fields: &Fields) -> Option<Time> {
    let part = |value: Option<i64>| i8::try_from(value.unwrap_or(0)).ok();
    let nanos = i32::try_from(fields.micro.unwrap_or(0) * 1000).ok()?;
    let second = part(fields.second)?;
    // Python has no leap seconds; jiff's constructor has no either, but its parsers do.
    civil::Time::new(part(fields.hour)?, part(fields.minute)?, second, nanos).ok()
}

/// A year below 100 is one within 50 years of the pivot.
pub(super) fn four_digit_year(year: i64, pivot_year: i16) -> i64 {
    let pivot = i64::from(pivot_year);
    if year >= 100 {
        return year;
    }
    let year = year + pivot / 100 * 100;
    if year >= pivot + 50 {
        year - 100
    } else if year < pivot - 50 {
        year + 100
    } else {
        year
    }
}

/// `None` when there is no such month.
pub(super) fn days_in_month(year: i64, month: i64) -> Option<i64> {
    let first = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, 1).ok()?;
    Some(first.days_in_month().into())
}
