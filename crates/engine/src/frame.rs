//! Frames: how things stand in a segment. Each carries its length and a checksum.
//!
//! ```text
//! header   magic u32 · kind u8 · 0 0 0 · body length u32 ·
//!          crc32c u32 of segment number u64, offset u64, kind, zeros, body length and body
//! block    incarnation u64 · shard u32 · first counter u64 · arrival ms u64 · count u32 ·
//!          count × (key length u16 · data length u32 · key · data)
//! note     key length u16 · value length u32, or 2^32−1 for a removal · key · value
//! snapshot durability u8 · jump u64 ·
//!          count u32 · count × (incarnation u64 · shard u32 · next counter u64 · last arrival ms u64) ·
//!          count u32 · count × note
//! commit   group number u64 · offset u64 of the group's first frame · clean u8
//! places   incarnation u64 · shard u32 · count u32 · count × place
//! footer   count u32 · count × (incarnation u64 · shard u32 · first counter u64 · last counter u64 ·
//!          first arrival ms u64 · last arrival ms u64 · offset u64 and length u32 of its places)
//! ```
//! All numbers are little-endian. The checksum covers the frame's place, so that a frame copied into
//! a payload (logs of a log router are full of surprises) is not taken for one when a reader looks
//! for the next whole frame behind damage.

use baikonur_stream::{PartitionKey, Record, SequenceNumber, Timestamp};
use bytes::Bytes;

pub(crate) const MAGIC: [u8; 4] = *b"BKF1";
pub(crate) const HEADER: usize = 16;

/// Which stream and shard a block belongs to. The incarnation is the second in which the stream
/// was created, unique in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ShardKey {
    pub(crate) incarnation: u64,
    pub(crate) shard: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Block = 1,
    Note = 2,
    Snapshot = 3,
    Commit = 4,
    Places = 5,
    Footer = 6,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        let kinds =
            [Self::Block, Self::Note, Self::Snapshot, Self::Commit, Self::Places, Self::Footer];
        kinds.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Frames on their way to a place in a segment.
pub(crate) struct Frames {
    pub(crate) segment: u64,
    /// Where the first byte will stand.
    pub(crate) start: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Frames {
    /// Frames that will stand at `start` of a segment, in a buffer that may be used again.
    pub(crate) fn new(segment: u64, start: u64, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self { segment, start, bytes: buffer }
    }

    /// Where the next frame will stand.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Adds a frame whose body `write` appends; gives its offset and whole length.
    pub(crate) fn add(&mut self, kind: Kind, write: impl FnOnce(&mut Vec<u8>)) -> (u64, u32) {
        let (at, offset) = (self.bytes.len(), self.end());
        let out = &mut self.bytes;
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[kind as u8, 0, 0, 0]);
        out.extend_from_slice(&[0; 8]);
        write(out);
        let length = out.len() - at;
        out[at + 8..at + 12].copy_from_slice(&((length - HEADER) as u32).to_le_bytes());
        let crc = checksum(self.segment, offset, &out[at + 4..at + 12], &out[at + HEADER..]);
        out[at + 12..at + 16].copy_from_slice(&crc.to_le_bytes());
        (offset, length as u32)
    }
}

fn checksum(segment: u64, offset: u64, head: &[u8], body: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&segment.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &offset.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, head);
    crc32c::crc32c_append(crc, body)
}

/// The frame's kind and whole length, if these bytes begin with what can be a header.
pub(crate) fn header(bytes: &[u8]) -> Option<(Kind, usize)> {
    let mut fields = Fields(bytes.get(..HEADER)?);
    if fields.bytes(4)? != MAGIC {
        return None;
    }
    let kind = match fields.bytes(4)? {
        [kind, 0, 0, 0] => Kind::of(*kind)?,
        _ => return None,
    };
    Some((kind, HEADER.checked_add(fields.u32()? as usize)?))
}

/// The frame at the start of `bytes`, which stand at `offset` of a segment: its kind, its body and
/// its whole length. None if it is not all there or not what was written.
pub(crate) fn decode(bytes: &[u8], segment: u64, offset: u64) -> Option<(Kind, &[u8], usize)> {
    let (kind, length) = header(bytes)?;
    let body = bytes.get(HEADER..length)?;
    let crc = u32::from_le_bytes(bytes[12..16].try_into().ok()?);
    (checksum(segment, offset, &bytes[4..12], body) == crc).then_some((kind, body, length))
}

/// Takes little-endian fields off the front; none when too few bytes are left.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.bytes(2)?.try_into().ok().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.bytes(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.bytes(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    pub(crate) fn key(&mut self) -> Option<ShardKey> {
        Some(ShardKey { incarnation: self.u64()?, shard: self.u32()? })
    }

    pub(crate) fn timestamp(&mut self) -> Option<Timestamp> {
        self.u64().map(Timestamp::from_millis)
    }
}

pub(crate) fn write_key(out: &mut Vec<u8>, key: ShardKey) {
    out.extend_from_slice(&key.incarnation.to_le_bytes());
    out.extend_from_slice(&key.shard.to_le_bytes());
}

/// The head of a block's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockHead {
    pub(crate) key: ShardKey,
    pub(crate) first_counter: u64,
    pub(crate) arrival: Timestamp,
    pub(crate) count: u32,
}

impl BlockHead {
    pub(crate) const LENGTH: usize = 32;
    /// What a record takes beside key and data.
    pub(crate) const RECORD: usize = 6;

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write_key(out, self.key);
        out.extend_from_slice(&self.first_counter.to_le_bytes());
        out.extend_from_slice(&self.arrival.millis().to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
    }

    /// Whether a writer may have made it.
    pub(crate) fn is_possible(&self) -> bool {
        let behind = self.first_counter.checked_add(self.count.into());
        self.count > 0 && behind.is_some_and(|behind| behind <= SequenceNumber::COUNTER_MAX)
    }

    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let mut fields = Fields(body);
        Some(Self {
            key: fields.key()?,
            first_counter: fields.u64()?,
            arrival: fields.timestamp()?,
            count: fields.u32()?,
        })
    }
}

/// Appends one record of a block.
pub(crate) fn write_record(out: &mut Vec<u8>, key: &PartitionKey, data: &[u8]) {
    // A key has at most 256 characters of at most 4 bytes; the engine bounds payloads.
    let mut lengths = [0; BlockHead::RECORD];
    lengths[..2].copy_from_slice(&(key.bytes().len() as u16).to_le_bytes());
    lengths[2..].copy_from_slice(&(data.len() as u32).to_le_bytes());
    out.extend_from_slice(&lengths);
    out.extend_from_slice(key.bytes());
    out.extend_from_slice(data);
}

/// The records of a block's body one by one, sharing its bytes.
pub(crate) struct Records {
    body: Bytes,
    head: BlockHead,
    /// When the shard was created, for the sequence numbers.
    created_seconds: u64,
    next: u32,
    at: usize,
}

impl Records {
    /// None if the bytes are no block's body.
    pub(crate) fn new(body: Bytes, created_seconds: u64) -> Option<Self> {
        let head = BlockHead::read(&body)?;
        Some(Self { body, head, created_seconds, next: 0, at: BlockHead::LENGTH })
    }

    /// The next record's counter and bytes of key and data, without taking it.
    pub(crate) fn peek(&self) -> Option<(u64, usize)> {
        if self.next == self.head.count {
            return None;
        }
        let (key, data) = self.lengths()?;
        Some((self.head.first_counter.checked_add(self.next.into())?, key.checked_add(data)?))
    }

    /// Whether all records of the block were taken or skipped.
    pub(crate) fn is_done(&self) -> bool {
        self.next == self.head.count
    }

    fn lengths(&self) -> Option<(usize, usize)> {
        let mut fields = Fields(self.body.get(self.at..)?);
        Some((fields.u16()?.into(), fields.u32()? as usize))
    }

    /// Goes over the next record.
    pub(crate) fn skip(&mut self) -> Option<()> {
        let (_, bytes) = self.peek()?;
        self.at = self.at.checked_add(BlockHead::RECORD + bytes)?;
        self.next += 1;
        Some(())
    }

    /// The next record. None at the end, and where the body is not what a writer makes.
    pub(crate) fn take(&mut self) -> Option<Record> {
        let (counter, bytes) = self.peek()?;
        let (key_length, _) = self.lengths()?;
        let key_at = self.at + BlockHead::RECORD;
        let (data_at, end) = (key_at + key_length, key_at + bytes);
        if end > self.body.len() {
            return None;
        }
        let (arrival, shard) = (self.head.arrival, self.head.key.shard);
        let record = Record {
            sequence_number: SequenceNumber::new(
                self.created_seconds,
                shard,
                counter,
                arrival.seconds(),
            ),
            arrival,
            partition_key: match self.body.slice(key_at..data_at) {
                none if none.is_empty() => PartitionKey::ABSENT,
                key => PartitionKey::new(key).ok()?,
            },
            data: self.body.slice(data_at..end),
        };
        self.at = end;
        self.next += 1;
        Some(record)
    }
}

/// Appends a note; no value removes it.
pub(crate) fn write_note(out: &mut Vec<u8>, key: &str, value: Option<&[u8]>) {
    out.extend_from_slice(&(key.len() as u16).to_le_bytes());
    let length = value.map_or(u32::MAX, |value| value.len() as u32);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(value.unwrap_or_default());
}

/// Takes a note off the front: its key and its value.
pub(crate) fn read_note(fields: &mut Fields<'_>) -> Option<(String, Option<Bytes>)> {
    let (key, value) = (fields.u16()? as usize, fields.u32()?);
    let key = std::str::from_utf8(fields.bytes(key)?).ok()?.to_owned();
    if value == u32::MAX {
        return Some((key, None));
    }
    Some((key, Some(Bytes::copy_from_slice(fields.bytes(value as usize)?))))
}

/// The end of a commit group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) group: u64,
    /// Offset of the group's first frame.
    pub(crate) start: u64,
    /// Everything up to here is durable, and the writer has gone.
    pub(crate) clean: bool,
}

impl Commit {
    pub(crate) const LENGTH: usize = 17;

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.group.to_le_bytes());
        out.extend_from_slice(&self.start.to_le_bytes());
        out.push(self.clean.into());
    }

    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let mut fields = Fields(body);
        // Far from where numbers end.
        let group = fields.u64().filter(|group| *group <= u64::MAX / 2)?;
        Some(Self { group, start: fields.u64()?, clean: fields.u8()? != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_with_any_bit_flipped_or_byte_missing_is_not_a_frame() {
        let mut frames = Frames::new(3, 4096, Vec::new());
        frames.add(Kind::Note, |body| write_note(body, "key", Some(b"value")));
        let out = frames.bytes;
        assert!(decode(&out, 3, 4096).is_some());
        for bit in 0..out.len() * 8 {
            let mut broken = out.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&broken, 3, 4096).is_none(), "bit {bit}");
        }
        for length in 0..out.len() {
            assert!(decode(&out[..length], 3, 4096).is_none(), "{length} bytes");
        }
    }

    #[test]
    fn a_frame_at_another_place_is_not_a_frame() {
        let mut frames = Frames::new(3, 4096, Vec::new());
        frames.add(Kind::Note, |body| write_note(body, "key", None));
        assert!(decode(&frames.bytes, 3, 4097).is_none());
        assert!(decode(&frames.bytes, 4, 4096).is_none());
    }

    #[test]
    fn records_come_back_as_they_were_written_and_share_the_block() {
        let head = BlockHead {
            key: ShardKey { incarnation: 1_600_000_000, shard: 3 },
            first_counter: 7,
            arrival: Timestamp::from_millis(1_600_000_005_123),
            count: 2,
        };
        let mut body = Vec::new();
        head.write(&mut body);
        assert_eq!(body.len(), BlockHead::LENGTH);
        let key = PartitionKey::new(Bytes::from_static("schlüssel".as_bytes())).unwrap();
        write_record(&mut body, &key, b"one");
        write_record(&mut body, &key, b"");
        let mut records = Records::new(Bytes::from(body), 1_600_000_000).unwrap();
        assert_eq!(records.take().unwrap().data, "one");
        let second = records.take().unwrap();
        assert_eq!(second.data, "");
        assert_eq!(second.sequence_number.counter(), 8);
        assert_eq!(second.sequence_number.time_seconds(), 1_600_000_005);
        assert_eq!(second.partition_key, key);
        assert!(records.take().is_none());
    }
}
