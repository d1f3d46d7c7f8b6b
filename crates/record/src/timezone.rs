//! The zone in which stamps without an offset are read.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use thiserror::Error;

use crate::EventTime;

/// A time zone by its IANA name, from the database built into the binary. UTC by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timezone {
    /// `None` is UTC: nearly every installation, and worth a shorter way.
    zone: Option<TimeZone>,
}

/// A name that the IANA database does not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{name}` is not a time zone of the IANA database (examples: UTC, Asia/Tokyo)")]
pub struct UnknownTimezone {
    /// The name given.
    pub name: String,
}

impl Default for Timezone {
    fn default() -> Self {
        Self::UTC
    }
}

impl Timezone {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self { zone: None };

    /// Looks up an IANA name such as `Asia/Tokyo`. As in the C library's `TZ`, an empty name is UTC, and a colon may
    /// stand in front (AWS Lambda sets `:UTC`).
    ///
    /// # Errors
    /// The name, when the database does not have it.
    pub fn parse(name: &str) -> Result<Self, UnknownTimezone> {
        let trimmed = name.trim();
        let trimmed = trimmed.strip_prefix(':').unwrap_or(trimmed);
        if trimmed.is_empty() || trimmed.eq_ignore_ascii_case("UTC") {
            return Ok(Self::UTC);
        }
        match TimeZoneDatabase::bundled().get(trimmed) {
            Ok(zone) => Ok(Self { zone: Some(zone) }),
            Err(_) => Err(UnknownTimezone { name: name.to_owned() }),
        }
    }

    /// The zone's IANA name.
    pub fn name(&self) -> &str {
        self.zone.as_ref().and_then(TimeZone::iana_name).unwrap_or("UTC")
    }

    /// A wall clock of this zone. One that comes twice is the earlier; one that a change of the clock leaves out is
    /// read with the offset before the change: both as Python does (`fold=0`).
    #[inline]
    pub(crate) fn wall_clock(&self, civil: DateTime) -> EventTime {
        let Some(zone) = &self.zone else {
            return EventTime::new(civil, 0);
        };
        let offset = match zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. } => before,
        };
        EventTime::new(civil, offset.seconds())
    }

    /// An instant as the wall clock of this zone shows it; `None` outside of the years 1 to 9999.
    pub(crate) fn instant(&self, epoch_nanos: i128) -> Option<EventTime> {
        let instant = Timestamp::from_nanosecond(epoch_nanos).ok()?;
        let offset = match &self.zone {
            Some(zone) => zone.to_offset(instant),
            None => jiff::tz::Offset::UTC,
        };
        let civil = offset.to_datetime(instant);
        let in_calendar = (1..=9999).contains(&civil.year());
        in_calendar.then(|| EventTime::new(civil, offset.seconds()))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::DateTime;

    use super::Timezone;

    #[test]
    fn names_of_the_iana_database_are_known() {
        for (name, known_as) in [
            ("Asia/Tokyo", "Asia/Tokyo"),
            ("", "UTC"),
            ("utc", "UTC"),
            (":UTC", "UTC"),
            ("Etc/UTC", "Etc/UTC"),
        ] {
            assert_eq!(Timezone::parse(name).unwrap().name(), known_as);
        }
        assert_eq!(Timezone::parse("Asia/Tokio").unwrap_err().name, "Asia/Tokio");
    }

    #[test]
    fn a_wall_clock_has_the_offset_of_its_day() {
        let zone = Timezone::parse("Europe/Berlin").unwrap();
        let offset = |month, day, hour| {
            zone.wall_clock(DateTime::constant(2021, month, day, hour, 30, 0, 0)).offset_seconds()
        };
        assert_eq!(offset(1, 1, 0), 3600);
        assert_eq!(offset(7, 1, 0), 7200);
        assert_eq!(offset(3, 28, 2), 3600, "left out: 02:30 does not exist");
        assert_eq!(offset(10, 31, 2), 7200, "twice: the earlier");
    }

    #[test]
    fn an_instant_is_shown_in_the_zone() {
        let tokyo = Timezone::parse("Asia/Tokyo").unwrap();
        let time = tokyo.instant(1_431_824_703_000_120_000).unwrap();
        assert_eq!(time.rfc3339(), "2015-05-17T10:05:03.000120+09:00");
        assert!(Timezone::UTC.instant(i128::MAX).is_none());
        assert!(Timezone::UTC.instant(-62_135_596_800_000_000_001).is_none());
        assert!(Timezone::UTC.instant(-62_135_596_800_000_000_000).is_some());
    }
}
