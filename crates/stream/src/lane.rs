//! Lanes: the parts of a shard that are delivered side by side (`ParallelizationFactor`).

use std::fmt;

use crate::{PartitionKey, SequenceNumber};

/// One of the lanes that the records of a shard are dealt to, by partition key: all records of a key
/// are in the same lane, in the shard's order.
///
/// Which key goes where is part of what is stored (a forwarding module remembers positions by
/// lane), so it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    index: u32,
    of: u32,
}

impl Lane {
    /// The most lanes that a shard may have (API reference, `ParallelizationFactor`).
    pub const MAX: u32 = 10;

    /// The whole shard as one lane.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// The lanes of a shard that has `of` of them, at least one.
    pub fn all(of: u32) -> impl Iterator<Item = Self> {
        let of = of.max(1);
        (0..of).map(move |index| Self { index, of })
    }

    /// The lane, of `of` lanes, of a record with this key and number. Records without a key have no
    /// order among each other and are dealt out one by one.
    pub fn of(key: &PartitionKey, number: SequenceNumber, of: u32) -> Self {
        if of <= 1 {
            return Self::WHOLE;
        }
        let hash =
            if key.is_absent() { hash(&number.counter().to_be_bytes()) } else { hash(key.bytes()) };
        Self { index: (hash % u64::from(of)) as u32, of }
    }

    /// Its place among the lanes, from 0 on.
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// How many lanes there are.
    pub const fn count(self) -> u32 {
        self.of
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-of-{}", self.index, self.of)
    }
}

/// FNV-1a, its bits mixed so that the remainder depends on all of them.
fn hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn number(counter: u64) -> SequenceNumber {
        SequenceNumber::new(1_700_000_000, 0, counter, 1_700_000_000)
    }

    fn key(text: &str) -> PartitionKey {
        PartitionKey::new(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    #[test]
    fn a_key_is_always_in_the_same_lane_and_keys_spread_evenly() {
        for of in 2..=Lane::MAX {
            let mut records = vec![0; of as usize];
            for n in 0..1000u64 {
                let lane = Lane::of(&key(&format!("host-{n}")), number(n), of);
                assert_eq!(lane, Lane::of(&key(&format!("host-{n}")), number(n + 1), of));
                assert_eq!(lane.count(), of);
                records[lane.index()] += 1;
            }
            let even = 1000 / of;
            assert!(records.iter().all(|n| *n > even / 2 && *n < even * 2), "{of}: {records:?}");
        }
    }

    #[test]
    fn records_without_a_key_use_all_lanes() {
        let lanes: std::collections::BTreeSet<_> =
            (0..100).map(|n| Lane::of(&PartitionKey::ABSENT, number(n), 4)).collect();
        assert_eq!(lanes.len(), 4);
    }

    #[test]
    fn where_a_key_goes_is_stored_and_must_not_change() {
        let lanes = ["a", "b", "host-17", "日本"].map(|text| Lane::of(&key(text), number(1), 10));
        assert_eq!(lanes.map(Lane::index), [9, 8, 3, 3]);
        assert_eq!(Lane::of(&key("a"), number(1), 1), Lane::WHOLE);
        assert_eq!(
            Lane::all(3).map(|lane| lane.to_string()).collect::<Vec<_>>().join(" "),
            "0-of-3 1-of-3 2-of-3"
        );
    }
}
