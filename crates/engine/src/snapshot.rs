//! The snapshot at the head of each segment: all that recovery would otherwise need of earlier ones.

use std::collections::HashMap;

use baikonur_stream::{SequenceNumber, Timestamp};

use crate::frame::{Fields, ShardKey, read_note, write_key, write_note};
use crate::notes::Notes;
use crate::settings::Durability;

/// Where a shard stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tip {
    /// The counter of the next record: 1 in a new shard, since 0 is the number that it starts with.
    pub(crate) next_counter: u64,
    pub(crate) last_arrival: Timestamp,
}

impl Default for Tip {
    fn default() -> Self {
        Self { next_counter: 1, last_arrival: Timestamp::default() }
    }
}

/// The shards that ever took a record and whose stream exists.
pub(crate) type Tips = HashMap<ShardKey, Tip>;

/// What a segment starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// How this segment is written.
    pub(crate) durability: Durability,
    /// Numbers that were passed over behind the segment before.
    pub(crate) jump: u64,
    pub(crate) tips: Tips,
    pub(crate) notes: Notes,
}

impl Snapshot {
    pub(crate) fn write(
        out: &mut Vec<u8>,
        durability: Durability,
        jump: u64,
        tips: &Tips,
        notes: &Notes,
    ) {
        out.push(match durability {
            Durability::Fsync => 0,
            Durability::OsBuffer => 1,
        });
        out.extend_from_slice(&jump.to_le_bytes());
        let mut tips: Vec<_> = tips.iter().collect();
        tips.sort_unstable_by_key(|(key, _)| **key);
        out.extend_from_slice(&(tips.len() as u32).to_le_bytes());
        for (key, tip) in tips {
            write_key(out, *key);
            out.extend_from_slice(&tip.next_counter.to_le_bytes());
            out.extend_from_slice(&tip.last_arrival.millis().to_le_bytes());
        }
        out.extend_from_slice(&(notes.len() as u32).to_le_bytes());
        for (key, value) in notes {
            write_note(out, key, Some(value));
        }
    }

    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let mut fields = Fields(body);
        let durability = match fields.u8()? {
            0 => Durability::Fsync,
            1 => Durability::OsBuffer,
            _ => return None,
        };
        let jump = fields.u64()?;
        let mut tips = Tips::new();
        for _ in 0..fields.u32()? {
            let key = fields.key()?;
            let tip = Tip { next_counter: fields.u64()?, last_arrival: fields.timestamp()? };
            if tip.next_counter > SequenceNumber::COUNTER_MAX {
                return None;
            }
            tips.insert(key, tip);
        }
        let mut notes = Notes::new();
        for _ in 0..fields.u32()? {
            if let (key, Some(value)) = read_note(&mut fields)? {
                notes.insert(key, value);
            }
        }
        Some(Self { durability, jump, tips, notes })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_snapshot_reads_back_as_it_was_written() {
        let tip = Tip { next_counter: 9, last_arrival: Timestamp::from_millis(1234) };
        let tips = Tips::from([(ShardKey { incarnation: 5, shard: 2 }, tip)]);
        let notes = Notes::from([("producer/x".to_owned(), Bytes::from_static(b"12"))]);
        let mut out = Vec::new();
        Snapshot::write(&mut out, Durability::OsBuffer, 7, &tips, &notes);
        let read = Snapshot::read(&out).unwrap();
        assert_eq!(read, Snapshot { durability: Durability::OsBuffer, jump: 7, tips, notes });
        assert_eq!(Snapshot::read(&out[..out.len() - 1]), None);
    }
}
