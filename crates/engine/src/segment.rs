//! A segment: one file of the log, where its blocks are, and the footer of a sealed one.
//!
//! ```text
//! segment  group · group · … and, once sealed:
//!          places frame per shard · footer frame · trailer
//! group    (block | note)* · commit; the first group of a segment is snapshot · commit
//! place    first counter u64 · offset u64 · arrival ms u64 · length u32 · count u32
//! trailer  offset of the footer frame u64 · magic u32 · crc32c u32 of the 12 bytes before
//! ```
//! Recovery reads trailer and footer frame only; a shard's places are read when a reader comes by.

use std::collections::BTreeMap;
use std::io;

use baikonur_stream::{SequenceNumber, Timestamp};
use bytes::Bytes;

use crate::disk::{DiskFile, LOG_FOLDER};
use crate::frame::{self, BlockHead, Fields, Frames, HEADER, Kind, ShardKey, write_key};

/// Where a block is and what it holds: the unit of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockPlace {
    pub(crate) first_counter: u64,
    pub(crate) offset: u64,
    pub(crate) arrival: Timestamp,
    /// Of the whole frame, in bytes; 0 for records known to be lost.
    pub(crate) length: u32,
    pub(crate) count: u32,
}

impl BlockPlace {
    pub(crate) fn last_counter(&self) -> u64 {
        self.first_counter.saturating_add(u64::from(self.count)).saturating_sub(1)
    }

    /// Records that should be there and are not: `count` from `first_counter` on.
    pub(crate) fn hole(first_counter: u64, count: u64, offset: u64, arrival: Timestamp) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Self { first_counter, offset, arrival, length: 0, count }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.first_counter.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.arrival.millis().to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            first_counter: fields.u64()?,
            offset: fields.u64()?,
            arrival: fields.timestamp()?,
            length: fields.u32()?,
            count: fields.u32().filter(|count| *count > 0)?,
        })
    }
}

/// The blocks of a segment, by shard, in the shard's order.
pub(crate) type Blocks = BTreeMap<ShardKey, Vec<BlockPlace>>;

/// What is known of a shard's blocks in a sealed segment without reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) first_counter: u64,
    pub(crate) last_counter: u64,
    pub(crate) first_arrival: Timestamp,
    pub(crate) last_arrival: Timestamp,
    /// Offset of the frame that lists the places. It stands behind all groups.
    pub(crate) offset: u64,
    /// Of that frame; 0 if there is none.
    length: u32,
}

impl Summary {
    /// Of places that are in no footer, in a segment whose groups end at `end`.
    pub(crate) fn of(places: &[BlockPlace], end: u64) -> Option<Self> {
        let (first, last) = (places.first()?, places.last()?);
        Some(Self {
            first_counter: first.first_counter,
            last_counter: last.last_counter(),
            first_arrival: first.arrival,
            last_arrival: last.arrival,
            offset: end,
            length: 0,
        })
    }
}

impl Summary {
    /// Whether the same is known of the same blocks, wherever the list of them is.
    pub(crate) fn tells_the_same_as(&self, other: &Self) -> bool {
        let (offset, length) = (other.offset, other.length);
        Self { offset, length, ..*self } == *other
    }
}

/// Summaries of one segment by shard.
pub(crate) type Summaries = BTreeMap<ShardKey, Summary>;

const TRAILER: usize = 16;
const TRAILER_MAGIC: [u8; 4] = *b"BKT1";

/// Far from where numbers end.
const NUMBER_MAX: u64 = u64::MAX / 2;

/// The file name of a segment.
pub(crate) fn name(number: u64) -> String {
    format!("{LOG_FOLDER}/{number:020}.segment")
}

/// The number in a segment's file name (without folder).
pub(crate) fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".segment")?;
    let legal = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|number| legal && (1..=NUMBER_MAX).contains(number))
}

/// Builds the footer of a segment whose groups end at `end`: its bytes and the summaries in it.
pub(crate) fn encode_footer<'a>(
    segment: u64,
    end: u64,
    blocks: impl IntoIterator<Item = (ShardKey, &'a [BlockPlace])>,
) -> (Vec<u8>, Summaries) {
    let mut frames = Frames::new(segment, end, Vec::new());
    let mut summaries = Summaries::new();
    for (key, places) in blocks {
        let Some(summary) = Summary::of(places, end) else { continue };
        let (offset, length) = frames.add(Kind::Places, |body| {
            write_key(body, key);
            body.extend_from_slice(&(places.len() as u32).to_le_bytes());
            places.iter().for_each(|place| place.write(body));
        });
        summaries.insert(key, Summary { offset, length, ..summary });
    }
    let (footer, _) = frames.add(Kind::Footer, |body| {
        body.extend_from_slice(&(summaries.len() as u32).to_le_bytes());
        for (key, summary) in &summaries {
            write_key(body, *key);
            body.extend_from_slice(&summary.first_counter.to_le_bytes());
            body.extend_from_slice(&summary.last_counter.to_le_bytes());
            body.extend_from_slice(&summary.first_arrival.millis().to_le_bytes());
            body.extend_from_slice(&summary.last_arrival.millis().to_le_bytes());
            body.extend_from_slice(&summary.offset.to_le_bytes());
            body.extend_from_slice(&summary.length.to_le_bytes());
        }
    });
    let at = frames.bytes.len();
    frames.bytes.extend_from_slice(&footer.to_le_bytes());
    frames.bytes.extend_from_slice(&TRAILER_MAGIC);
    let crc = crc32c::crc32c(&frames.bytes[at..]);
    frames.bytes.extend_from_slice(&crc.to_le_bytes());
    (frames.bytes, summaries)
}

/// The summaries in a segment's footer. None if it has none that can be trusted.
pub(crate) fn read_footer(
    file: &dyn DiskFile,
    segment: u64,
    length: u64,
) -> io::Result<Option<Summaries>> {
    let Some(at) = length.checked_sub(TRAILER as u64) else { return Ok(None) };
    let mut trailer = [0; TRAILER];
    file.read_at(&mut trailer, at)?;
    let mut fields = Fields(&trailer);
    let (offset, magic, crc) = (fields.u64(), fields.bytes(4), fields.u32());
    let sound =
        magic == Some(&TRAILER_MAGIC) && crc == Some(crc32c::crc32c(&trailer[..TRAILER - 4]));
    let Some(offset) = offset.filter(|offset| sound && *offset <= at) else { return Ok(None) };
    let mut footer = vec![0; (at - offset) as usize];
    file.read_at(&mut footer, offset)?;
    Ok(match frame::decode(&footer, segment, offset) {
        // Lists stand in front of the footer: what says otherwise would have readers take in anything.
        Some((Kind::Footer, body, _)) => summaries(body).filter(|summaries| {
            let end = |summary: &Summary| summary.offset.checked_add(summary.length.into());
            summaries.values().all(|summary| end(summary).is_some_and(|end| end <= offset))
        }),
        _ => None,
    })
}

fn summaries(body: &[u8]) -> Option<Summaries> {
    let mut fields = Fields(body);
    let count = fields.u32()?;
    let mut summaries = Summaries::new();
    for _ in 0..count {
        let key = fields.key()?;
        let summary = Summary {
            first_counter: fields.u64()?,
            last_counter: fields.u64()?,
            first_arrival: fields.timestamp()?,
            last_arrival: fields.timestamp()?,
            offset: fields.u64()?,
            length: fields.u32()?,
        };
        let counters = summary.first_counter..=summary.last_counter;
        if counters.is_empty() || summary.last_counter >= SequenceNumber::COUNTER_MAX {
            return None;
        }
        summaries.insert(key, summary);
    }
    Some(summaries)
}

/// The places of a shard's blocks as the footer of a sealed segment lists them. None if the list is
/// missing or damaged.
pub(crate) fn read_places(
    file: &dyn DiskFile,
    segment: u64,
    key: ShardKey,
    summary: &Summary,
) -> io::Result<Option<Vec<BlockPlace>>> {
    let mut buffer = vec![0; summary.length as usize];
    file.read_at(&mut buffer, summary.offset)?;
    Ok(match frame::decode(&buffer, segment, summary.offset) {
        Some((Kind::Places, body, _)) => places(body, key).filter(|places| {
            let end = |place: &BlockPlace| place.offset.checked_add(place.length.into());
            let possible = |place: &BlockPlace| {
                place.last_counter() < SequenceNumber::COUNTER_MAX
                    && end(place).is_some_and(|end| end <= summary.offset)
            };
            places.iter().all(possible)
        }),
        _ => None,
    })
}

fn places(body: &[u8], key: ShardKey) -> Option<Vec<BlockPlace>> {
    let mut fields = Fields(body);
    if fields.key()? != key {
        return None;
    }
    let count = fields.u32()?;
    (0..count).map(|_| BlockPlace::read(&mut fields)).collect()
}

/// The first `length` bytes of a segment.
pub(crate) fn read_from_start(file: &dyn DiskFile, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length as usize];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// The body of the block at `place` in `bytes`, which stand at `offset` of the segment. None if it
/// is not what was written.
pub(crate) fn block_body(
    bytes: &Bytes,
    segment: u64,
    offset: u64,
    place: &BlockPlace,
) -> Option<Bytes> {
    let at = usize::try_from(place.offset.checked_sub(offset)?).ok()?;
    let end = at.checked_add(place.length as usize)?;
    let frame = bytes.get(at..end)?;
    let (kind, body, length) = frame::decode(frame, segment, place.offset)?;
    let head = BlockHead::read(body)?;
    let fits = kind == Kind::Block
        && length == frame.len()
        && head.first_counter == place.first_counter
        && head.count == place.count;
    fits.then(|| bytes.slice(at + HEADER..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_sort_as_their_numbers_do_and_others_are_left_alone() {
        assert_eq!(name(7), "log/00000000000000000007.segment");
        assert_eq!(number("00000000000000000007.segment"), Some(7));
        let (zero, last) = ("00000000000000000000.segment", "18446744073709551615.segment");
        for other in ["7.segment", "0000000000000000000x.segment", "LOCK", ".segment", zero, last] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
