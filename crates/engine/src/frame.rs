//! Frames: how things stand in a segment. Each carries its length and a checksum.
//!
//! ```text
//! header   magic u32 · kind u8 · 0 0 0 · body length u32 · crc32c u32 of kind, length and body
//! block    incarnation u64 · shard u32 · first counter u64 · arrival ms u64 · count u32 ·
//!          count × (key length u16 · data length u32 · key · data)
//! note     key length u16 · value length u32, or 2^32−1 for a removal · key · value
//! snapshot count u32 · count × (incarnation u64 · shard u32 · next counter u64) ·
//!          last arrival ms u64 · count u32 · count × note
//! commit   group number u64 · offset u64 of the group's first frame
//! footer   count u32 · count × (incarnation u64 · shard u32 · count u32 ·
//!          count × (first counter u64 · offset u64 · arrival ms u64 · length u32 · count u32))
//! ```
//! All numbers are little-endian.

use baikonur_stream::{PartitionKey, Record, SequenceNumber, Timestamp};
use bytes::Bytes;

const MAGIC: u32 = u32::from_le_bytes(*b"BKF1");
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
    Footer = 5,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Block,
            2 => Self::Note,
            3 => Self::Snapshot,
            4 => Self::Commit,
            5 => Self::Footer,
            _ => return None,
        })
    }
}

/// Writes a frame whose body `write` appends.
pub(crate) fn encode(out: &mut Vec<u8>, kind: Kind, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&[kind as u8, 0, 0, 0]);
    out.extend_from_slice(&[0; 8]);
    write(out);
    let length = (out.len() - start - HEADER) as u32;
    out[start + 8..start + 12].copy_from_slice(&length.to_le_bytes());
    let crc = checksum(&out[start + 4..start + 12], &out[start + HEADER..]);
    out[start + 12..start + 16].copy_from_slice(&crc.to_le_bytes());
}

fn checksum(head: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(head), body)
}

/// The frame's kind and body length, if these 16 bytes can be a header.
pub(crate) fn header(bytes: &[u8]) -> Option<(Kind, usize)> {
    let mut fields = Fields(bytes.get(..HEADER)?);
    if fields.u32()? != MAGIC {
        return None;
    }
    let kind = Kind::of(fields.bytes(4)?[0])?;
    Some((kind, fields.u32()? as usize))
}

/// The frame at the start of `bytes`: its kind, its body, and its whole length. None if it is not
/// all there or not what was written.
pub(crate) fn decode(bytes: &[u8]) -> Option<(Kind, &[u8], usize)> {
    let (kind, length) = header(bytes)?;
    let body = bytes.get(HEADER..HEADER.checked_add(length)?)?;
    let crc = u32::from_le_bytes(bytes[12..16].try_into().ok()?);
    (checksum(&bytes[4..12], body) == crc).then_some((kind, body, HEADER + length))
}

/// Takes little-endian fields off the front; none when too few bytes are left.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
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
    const LENGTH: usize = 32;

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.key.incarnation.to_le_bytes());
        out.extend_from_slice(&self.key.shard.to_le_bytes());
        out.extend_from_slice(&self.first_counter.to_le_bytes());
        out.extend_from_slice(&self.arrival.millis().to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
    }

    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let mut fields = Fields(body);
        Some(Self {
            key: ShardKey { incarnation: fields.u64()?, shard: fields.u32()? },
            first_counter: fields.u64()?,
            arrival: Timestamp::from_millis(fields.u64()?),
            count: fields.u32()?,
        })
    }
}

/// Appends one record of a block.
pub(crate) fn write_record(out: &mut Vec<u8>, key: &PartitionKey, data: &[u8]) {
    // At most 256 characters of at most 4 bytes; payloads are bounded far below 4 GiB by every caller.
    out.extend_from_slice(&(key.bytes().len() as u16).to_le_bytes());
    out.extend_from_slice(&(data.len() as u32).to_le_bytes());
    out.extend_from_slice(key.bytes());
    out.extend_from_slice(data);
}

/// The records of a block's body, sharing its bytes. None if it is not a block's body.
pub(crate) fn records(body: &Bytes) -> Option<Vec<Record>> {
    let head = BlockHead::read(body)?;
    let mut at = BlockHead::LENGTH;
    let mut records = Vec::with_capacity((head.count as usize).min(body.len() / 6));
    for index in 0..u64::from(head.count) {
        let mut fields = Fields(body.get(at..)?);
        let (key, data) = (fields.u16()? as usize, fields.u32()? as usize);
        let key_at = at + 6;
        let data_at = key_at + key;
        at = data_at.checked_add(data)?;
        if at > body.len() {
            return None;
        }
        let number = SequenceNumber::new(
            head.key.incarnation,
            head.key.shard,
            head.first_counter.checked_add(index)?,
            head.arrival.seconds(),
        );
        records.push(Record {
            sequence_number: number,
            arrival: head.arrival,
            partition_key: PartitionKey::new(body.slice(key_at..data_at)).ok()?,
            data: body.slice(data_at..at),
        });
    }
    Some(records)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_with_any_bit_flipped_is_not_a_frame() {
        let mut out = Vec::new();
        encode(&mut out, Kind::Note, |body| write_note(body, "key", Some(b"value")));
        assert!(decode(&out).is_some());
        for bit in 0..out.len() * 8 {
            // The three bytes behind the kind are padding, covered by the checksum as well.
            let mut broken = out.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&broken).is_none(), "bit {bit}");
        }
        for length in 0..out.len() {
            assert!(decode(&out[..length]).is_none(), "{length} bytes");
        }
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
        let key = PartitionKey::new(Bytes::from_static("schlüssel".as_bytes())).unwrap();
        write_record(&mut body, &key, b"one");
        write_record(&mut body, &key, b"");
        let records = records(&Bytes::from(body)).unwrap();
        assert_eq!(records[0].data, "one");
        assert_eq!(records[1].data, "");
        assert_eq!(records[1].sequence_number.counter(), 8);
        assert_eq!(records[1].sequence_number.time_seconds(), 1_600_000_005);
        assert_eq!(records[1].partition_key, key);
    }
}
