//! The open shards of a stream, in the order of the key space that they cover, and their shares.

use std::fmt;

use baikonur_stream::{HashKeyRange, ShardId, StreamDescription};

/// A shard that takes records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenShard {
    /// Its id.
    pub id: ShardId,
    /// Its part of the key space.
    pub range: HashKeyRange,
}

impl OpenShard {
    /// Its share of the key space.
    pub fn share(&self) -> PartsPerTrillion {
        PartsPerTrillion::of(&self.range)
    }
}

/// A share of the key space in 10^-12, rounded half up from the exact width (end − start + 1) in
/// integers; a percent has ten decimals of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartsPerTrillion(u64);

impl PartsPerTrillion {
    const WHOLE: u64 = 1_000_000_000_000;

    /// The share of a range.
    pub fn of(range: &HashKeyRange) -> Self {
        let less_one = range.end.value().saturating_sub(range.start.value());
        let Some(width) = less_one.checked_add(1) else { return Self(Self::WHOLE) };
        // floor(width × 2·WHOLE / 2^128), by halves of 64 bits, then rounded.
        let double = u128::from(2 * Self::WHOLE);
        let (high, low) = (width >> 64, width & u128::from(u64::MAX));
        let floor = (high * double + ((low * double) >> 64)) >> 64;
        Self(u64::try_from(floor.div_ceil(2)).unwrap_or(Self::WHOLE))
    }

    /// The share as a fraction of 1.
    pub fn fraction(self) -> f64 {
        self.0 as f64 / Self::WHOLE as f64
    }

    /// The share in percent, to ten decimals.
    pub fn percent(self) -> f64 {
        self.0 as f64 / (Self::WHOLE / 100) as f64
    }
}

impl fmt::Display for PartsPerTrillion {
    /// Percent with three decimals, such as `33.333%`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thousandths = (self.0 + 5_000_000) / 10_000_000;
        write!(f, "{}.{:03}%", thousandths / 1000, thousandths % 1000)
    }
}

/// Open shards that do not cover the key space once and whole; a stream in the middle of a change
/// may be listed like that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the open shards of the stream do not cover the key space: {0}")]
pub struct KeySpaceHole(String);

/// The open shards of a stream, lowest hash keys first; together they cover the key space once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySpace {
    shards: Vec<OpenShard>,
}

impl KeySpace {
    /// The key space that these shards cover.
    ///
    /// # Errors
    /// They leave a hole, or overlap.
    pub fn new(mut shards: Vec<OpenShard>) -> Result<Self, KeySpaceHole> {
        shards.sort_by_key(|shard| shard.range.start);
        let mut next = Some(0u128);
        for OpenShard { id, range } in &shards {
            if next != Some(range.start.value()) || range.end < range.start {
                return Err(KeySpaceHole(format!("{id} starts at {}", range.start)));
            }
            next = range.end.value().checked_add(1);
        }
        match next {
            None => Ok(Self { shards }),
            Some(end) => Err(KeySpaceHole(format!("nothing takes hash keys from {end} on"))),
        }
    }

    /// The key space of a stream: of its shards without an ending sequence number.
    ///
    /// # Errors
    /// They leave a hole, or overlap.
    pub fn of(stream: &StreamDescription) -> Result<Self, KeySpaceHole> {
        let open = |shard: &baikonur_stream::Shard| OpenShard {
            id: shard.id,
            range: shard.hash_key_range,
        };
        Self::new(stream.open_shards().map(open).collect())
    }

    /// The shards, lowest hash keys first.
    pub fn shards(&self) -> &[OpenShard] {
        &self.shards
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.shards.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use baikonur_stream::HashKey;

    fn range(start: u128, end: u128) -> HashKeyRange {
        HashKeyRange { start: HashKey::new(start), end: HashKey::new(end) }
    }

    fn shards(ranges: &[HashKeyRange]) -> Vec<OpenShard> {
        ranges
            .iter()
            .zip(0..)
            .map(|(range, id)| OpenShard { id: ShardId::new(id), range: *range })
            .collect()
    }

    #[test]
    fn shares_are_rounded_from_exact_widths() {
        let half = 1u128 << 127;
        for (start, end, percent, shown) in [
            (0, u128::MAX, 100.0, "100.000%"),
            (0, half - 1, 50.0, "50.000%"),
            (half, u128::MAX, 50.0, "50.000%"),
            (0, u128::MAX / 3, 33.333_333_333_3, "33.333%"),
            (0, u128::MAX / 3 * 2, 66.666_666_666_7, "66.667%"),
            (0, u128::MAX / 1000, 0.1, "0.100%"),
            (5, 5, 0.0, "0.000%"),
        ] {
            let share = PartsPerTrillion::of(&range(start, end));
            assert_eq!((share.percent(), share.to_string().as_str()), (percent, shown));
        }
    }

    #[test]
    fn holes_and_overlaps_are_told() {
        let half = 1u128 << 127;
        assert!(KeySpace::new(shards(&[range(half, u128::MAX), range(0, half - 1)])).is_ok());
        for wrong in [
            vec![],
            vec![range(0, half)],
            vec![range(1, u128::MAX)],
            vec![range(0, half), range(half, u128::MAX)],
            vec![range(0, half - 2), range(half, u128::MAX)],
            vec![range(0, u128::MAX), range(0, u128::MAX)],
        ] {
            assert!(KeySpace::new(shards(&wrong)).is_err(), "{wrong:?}");
        }
    }
}
