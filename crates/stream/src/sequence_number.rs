//! Sequence numbers in the layout that Amazon Kinesis uses today (version 2).
//!
//! As 47 hexadecimal digits: `2`, shard creation second (9), shard index modulo 16 (1), counter (16),
//! `00`, record second (9), shard index (8), `2`. Printed in decimal that makes 56 digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The place of a record in its shard. Numbers of one shard compare by that order; numbers of
/// different shards are not comparable in any useful way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber {
    created_seconds: u64,
    shard_modulo: u8,
    counter: u64,
    time_seconds: u64,
    shard: u32,
}

/// A text that is no sequence number, or one of a layout that no shard here can have made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a sequence number of a shard")]
pub struct InvalidSequenceNumber(pub String);

const SECONDS_MAX: u64 = 16_025_175_000;
const LIMB_DECIMAL: u64 = 10_000_000_000_000_000_000;

impl SequenceNumber {
    /// The highest counter: the number that closes a shard.
    pub const COUNTER_MAX: u64 = 0x7fff_ffff_ffff_ffff;

    /// The number of the record with this counter.
    ///
    /// `created_seconds` is when the shard was created and stays the same over the shard's life,
    /// `time_seconds` when the record arrived. Both count from the epoch.
    pub const fn new(created_seconds: u64, shard: u32, counter: u64, time_seconds: u64) -> Self {
        Self { created_seconds, shard_modulo: (shard % 16) as u8, counter, time_seconds, shard }
    }

    /// When the shard was created, in seconds since the epoch; it tells a stream from an earlier
    /// one of the same name.
    pub const fn created_seconds(self) -> u64 {
        self.created_seconds
    }

    /// How many records the shard had taken before this one, plus one; 0 for the shard's start.
    pub const fn counter(self) -> u64 {
        self.counter
    }

    /// When the record arrived, in seconds since the epoch.
    pub const fn time_seconds(self) -> u64 {
        self.time_seconds
    }

    /// Index of the shard that the number belongs to.
    pub const fn shard(self) -> u32 {
        self.shard
    }

    /// The number as three 64-bit limbs, highest first.
    fn limbs(self) -> [u64; 3] {
        // low 128 bits: counter's low bits … version; built nibble by nibble from the right.
        let low: u128 = 2
            | (self.shard as u128) << 4
            | (self.time_seconds as u128 & 0xf_ffff_ffff) << 36
            // two zero nibbles at bit 72
            | (self.counter as u128 & 0xffff_ffff_ffff) << 80;
        let high: u64 = (self.counter >> 48)
            | u64::from(self.shard_modulo) << 16
            | (self.created_seconds & 0xf_ffff_ffff) << 20
            | 2 << 56;
        [high, (low >> 64) as u64, low as u64]
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 2 * 16^46 is above 10^55, so there are always 56 digits: 18 + 19 + 19.
        let [a, b, c] = self.limbs();
        let d = u128::from(LIMB_DECIMAL);
        let divide = |[a, b, c]: [u64; 3]| {
            let (qa, ra) = (u128::from(a) / d, u128::from(a) % d);
            let t = ra << 64 | u128::from(b);
            let (qb, rb) = (t / d, t % d);
            let t = rb << 64 | u128::from(c);
            ([qa as u64, qb as u64, (t / d) as u64], (t % d) as u64)
        };
        let (rest, low) = divide([a, b, c]);
        let (rest, middle) = divide(rest);
        let mut digits = [b'0'; 56];
        for (part, end) in [(rest[2], 18), (middle, 37), (low, 56)] {
            let mut buffer = itoa::Buffer::new();
            let part = buffer.format(part).as_bytes();
            digits[end - part.len()..end].copy_from_slice(part);
        }
        f.write_str(str::from_utf8(&digits).expect("digits are ASCII"))
    }
}

impl FromStr for SequenceNumber {
    type Err = InvalidSequenceNumber;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidSequenceNumber(text.to_owned());
        if text.len() != 56 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        let mut limbs = [0u64; 3];
        for part in [&text[..18], &text[18..37], &text[37..]] {
            let mut carry: u128 = part.parse::<u64>().map_err(|_| invalid())?.into();
            for limb in limbs.iter_mut().rev() {
                let t = u128::from(*limb) * u128::from(LIMB_DECIMAL) + carry;
                *limb = t as u64;
                carry = t >> 64;
            }
        }
        let [high, middle, low] = limbs;
        let low = u128::from(middle) << 64 | u128::from(low);
        let number = Self {
            created_seconds: high >> 20 & 0xf_ffff_ffff,
            shard_modulo: (high >> 16 & 0xf) as u8,
            counter: (high & 0xffff) << 48 | (low >> 80) as u64,
            time_seconds: (low >> 36 & 0xf_ffff_ffff) as u64,
            shard: (low >> 4) as u32,
        };
        let legal = number.limbs() == limbs
            && number.counter <= Self::COUNTER_MAX
            && number.created_seconds < SECONDS_MAX
            && number.time_seconds < SECONDS_MAX
            && u32::from(number.shard_modulo) == number.shard % 16
            && number.shard <= i32::MAX as u32;
        if legal { Ok(number) } else { Err(invalid()) }
    }
}

impl Serialize for SequenceNumber {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SequenceNumber {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn published_numbers_are_taken_apart_as_amazon_made_them() {
        let number: SequenceNumber =
            "49590338271490256608559692538361571095921575989136588898".parse().unwrap();
        assert_eq!(number, SequenceNumber::new(1542776258, 6, 1734642199, 1545084650));
        let number: SequenceNumber =
            "49546986683135544286507457936321625675700192471156785154".parse().unwrap();
        assert_eq!(number, SequenceNumber::new(1421279230, 0, 469, 1421279386));
    }

    #[test]
    fn numbers_print_as_amazon_prints_them() {
        for (number, text) in [
            (
                SequenceNumber::new(1600000000, 0, 0, 1600000000),
                "49610756384790827419890419256589692040303913337075269634",
            ),
            (
                SequenceNumber::new(1600000000, 1, 0, 1600000000),
                "49610756384813128165088949879731227758576561698581250066",
            ),
            (
                SequenceNumber::new(1600000000, 0, SequenceNumber::COUNTER_MAX, 1600003600),
                "49610756384801977792489684568159250973620870278769803266",
            ),
        ] {
            assert_eq!(number.to_string(), text);
        }
    }

    #[test]
    fn foreign_layouts_are_refused() {
        for text in [
            "",
            "0",
            "5",
            "-1",
            &"9".repeat(56),
            &"1".repeat(129),
            "26227199374822427428162556223570313216",
        ] {
            assert!(text.parse::<SequenceNumber>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_number_survives_its_text_and_order_is_numeric(
            created in 0..SECONDS_MAX, shard in 0..i32::MAX as u32,
            counters in prop::array::uniform2(0..=SequenceNumber::COUNTER_MAX),
            times in prop::array::uniform2(0..SECONDS_MAX),
        ) {
            let a = SequenceNumber::new(created, shard, counters[0], times[0]);
            let b = SequenceNumber::new(created, shard, counters[1], times[1]);
            if created > 0 {
                prop_assert_eq!(a.to_string().parse(), Ok(a));
            }
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }
}
