//! Records on their way into a table: kept as lines are, compressed fast, with the time that was read of each.

use baikonur_record::{LogEvent, SchemaProblem};

use crate::objects::codec::Codec;
use crate::objects::frames::{Framer, Frames};

/// Bytes before each record: its length, its time in microseconds, and what that is worth.
const HEADER_BYTES: usize = 4 + 8 + 1;

const OF_THE_RECORD: u8 = 1;
const EXACT: u8 = 2;

/// The time of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowTime {
    /// Microseconds since the Unix epoch.
    pub(super) micros: i64,
    /// The record gives it; else it is that of arrival.
    pub(super) is_of_record: bool,
    /// There is nothing below the microseconds.
    pub(super) is_exact: bool,
}

impl RowTime {
    fn of(event: &LogEvent) -> Self {
        let nanosecond = event.time.nanosecond();
        let is_of_record = match event.log_type.problem() {
            None => true,
            Some(SchemaProblem::NoTimestamp | SchemaProblem::BadTimestamp) => false,
            // Its name says whether it lacks its time as well.
            Some(SchemaProblem::UnknownType) => {
                let name = event.log_type.name();
                !name.ends_with("/no_timestamp") && !name.ends_with("/bad_timestamp")
            }
        };
        Self {
            micros: event.time.epoch_seconds() * 1_000_000 + i64::from(nanosecond / 1000),
            is_of_record,
            is_exact: nanosecond.is_multiple_of(1000),
        }
    }
}

/// The framer of records: as they are, and held packed.
pub(in super::super) fn framer() -> Framer {
    Framer::new(Codec::None, 0).expect("no codec has blocks")
}

/// Appends a record; gives the bytes of its line.
pub(in super::super) fn push(frames: &mut Frames, event: &LogEvent, framer: &mut Framer) -> usize {
    let line = event.to_one_line();
    let time = RowTime::of(event);
    let length = u32::try_from(line.len()).expect("a record has 32 MiB at most");
    let mut flags = 0;
    if time.is_of_record {
        flags |= OF_THE_RECORD;
    }
    if time.is_exact {
        flags |= EXACT;
    }
    frames.push(&[&length.to_le_bytes(), &time.micros.to_le_bytes(), &[flags], &line], framer);
    line.len()
}

/// The records of an unpacked block.
pub(super) fn rows(mut raw: &[u8]) -> impl Iterator<Item = (RowTime, &[u8])> {
    std::iter::from_fn(move || {
        let (header, rest) = raw.split_first_chunk::<HEADER_BYTES>()?;
        let [l0, l1, l2, l3, time @ .., flags] = *header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let (json, rest) = rest.split_at_checked(length)?;
        raw = rest;
        let time = RowTime {
            micros: i64::from_le_bytes(time),
            is_of_record: flags & OF_THE_RECORD != 0,
            is_exact: flags & EXACT != 0,
        };
        Some((time, json))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::template::tests::event;

    #[test]
    fn records_come_out_with_their_times() {
        let (mut framer, mut frames) = (framer(), Frames::new());
        let lines = [
            (r#"{"log_type":"a","time":"2015-05-17T10:05:03.000001+09:00"}"#, true, true),
            (r#"{"log_type":"a","time":1431857103000000123}"#, true, false),
            (r#"{"log_type":"a","time":"soon"}"#, false, true),
            (r#"{"time":"2015-05-17"}"#, true, true),
            (r#"{"a":1}"#, false, true),
        ];
        for (line, ..) in lines {
            assert_eq!(push(&mut frames, &event(line), &mut framer), line.len());
        }
        let mut raw = Vec::new();
        let blocks = frames.blocks(&mut framer);
        assert_eq!(blocks.len(), 1);
        blocks[0].unpack_into(&mut raw).unwrap();
        let read: Vec<_> = rows(&raw).collect();
        assert_eq!(read.len(), lines.len());
        for ((time, json), (line, is_of_record, is_exact)) in read.iter().zip(lines) {
            assert_eq!(*json, line.as_bytes());
            assert_eq!((time.is_of_record, time.is_exact), (is_of_record, is_exact), "{line}");
        }
        assert_eq!(read[0].0.micros, 1_431_824_703_000_001);
    }
}
