//! Sequence numbers: integers, as any service of the Kinesis API may give them, and their parts in
//! the layout that Amazon Kinesis uses today (version 2), in which embedded streams number.
//!
//! As 47 hexadecimal digits: `2`, shard creation second (9), shard index modulo 16 (1), counter (16),
//! `00`, record second (9), shard index (8), `2`. Printed in decimal that makes 56 digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The place of a record in its shard: an integer below 2^192. Numbers of one shard compare by
/// size; numbers of different shards are not comparable in any useful way.
///
/// Its parts are read as those of version 2. In a number of another layout there are none:
/// [`time`](Self::time) is none then, and the others are 0, which no embedded stream's number has
/// for its creation second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
// Three limbs, highest first: so compared, they compare as one integer.
pub struct SequenceNumber([u64; 3]);

/// A text that is no sequence number: not the digits of an integer below 2^192, without leading
/// zeros. (The API's model admits 129 digits; no service is known to give more than 56.)
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a sequence number of a shard")]
pub struct InvalidSequenceNumber(pub String);

const VERSION: u64 = 2;
/// 36 bits.
const SECONDS: u64 = 0xf_ffff_ffff;
/// From here on the service refuses a second.
const SECONDS_MAX: u64 = 16_025_175_000;
/// 19 decimal digits, the most that fit into a limb.
const GROUP: u64 = 10_000_000_000_000_000_000;
const GROUP_DIGITS: usize = 19;
/// 2^192 has 58 digits.
const GROUPS: usize = 4;

impl SequenceNumber {
    /// Below every record: the lower bound of a shard whose numbers are not known yet.
    pub const ZERO: Self = Self([0; 3]);

    /// The highest counter: the number that closes a shard.
    pub const COUNTER_MAX: u64 = 0x7fff_ffff_ffff_ffff;

    /// The number of the record with this counter, in version 2.
    ///
    /// `created_seconds` is when the shard was created and stays the same over the shard's life,
    /// `time_seconds` when the record arrived. Both count from the epoch and have 36 bits.
    pub const fn new(created_seconds: u64, shard: u32, counter: u64, time_seconds: u64) -> Self {
        let shard = shard as u64;
        let high =
            VERSION << 56 | (created_seconds & SECONDS) << 20 | (shard % 16) << 16 | counter >> 48;
        let middle = counter << 16 | (time_seconds & SECONDS) >> 28;
        let low = time_seconds << 36 | shard << 4 | VERSION;
        Self([high, middle, low])
    }

    /// Whether its shape is that of version 2.
    const fn has_parts(self) -> bool {
        let [high, middle, low] = self.0;
        high >> 56 == VERSION && middle >> 8 & 0xff == 0 && low & 0xf == VERSION
    }

    /// Whether a shard that numbers in version 2 can have made it: also its parts are in their
    /// ranges.
    pub const fn is_version_2(self) -> bool {
        self.has_parts()
            && self.counter() <= Self::COUNTER_MAX
            && self.created_seconds() < SECONDS_MAX
            && self.time_seconds() < SECONDS_MAX
            && self.0[0] >> 16 & 0xf == self.shard() as u64 % 16
            && self.shard() <= i32::MAX as u32
    }

    /// When the shard was created, in seconds since the epoch; it tells a stream from an earlier
    /// one of the same name.
    pub const fn created_seconds(self) -> u64 {
        if self.has_parts() { self.0[0] >> 20 & SECONDS } else { 0 }
    }

    /// How many records the shard had taken before this one, plus one; 0 for the shard's start.
    pub const fn counter(self) -> u64 {
        if self.has_parts() { self.0[0] << 48 | self.0[1] >> 16 } else { 0 }
    }

    /// When the record arrived, in seconds since the epoch.
    pub const fn time_seconds(self) -> u64 {
        if self.has_parts() { (self.0[1] & 0xff) << 28 | self.0[2] >> 36 } else { 0 }
    }

    /// When the record arrived, to the second; none in a number that does not tell.
    pub const fn time(self) -> Option<crate::Timestamp> {
        if self.has_parts() {
            Some(crate::Timestamp::from_seconds(self.time_seconds()))
        } else {
            None
        }
    }

    /// Index of the shard that the number belongs to.
    pub const fn shard(self) -> u32 {
        if self.has_parts() { (self.0[2] >> 4) as u32 } else { 0 }
    }

    /// The next integer: the lower bound of what comes after this record.
    pub const fn successor(self) -> Self {
        let [high, middle, low] = self.0;
        let (low, carry) = low.overflowing_add(1);
        let (middle, carry) = middle.overflowing_add(carry as u64);
        match high.checked_add(carry as u64) {
            Some(high) => Self([high, middle, low]),
            None => self,
        }
    }

    /// The integer before; none before 0.
    pub const fn predecessor(self) -> Option<Self> {
        let [high, middle, low] = self.0;
        let (low, borrow) = low.overflowing_sub(1);
        let (middle, borrow) = middle.overflowing_sub(borrow as u64);
        match high.checked_sub(borrow as u64) {
            Some(high) => Some(Self([high, middle, low])),
            None => None,
        }
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SequenceNumber({self})")
    }
}

/// An integer of three limbs, highest first, divided by [`GROUP`], and what is left.
const fn divided([high, middle, low]: [u64; 3]) -> ([u64; 3], u64) {
    if high == 0 && middle == 0 {
        // The last step of every number: without the division of 128 bits.
        return ([0, 0, low / GROUP], low % GROUP);
    }
    let group = GROUP as u128;
    let middle = (high % GROUP) as u128 * (1 << 64) + middle as u128;
    let low = (middle % group) * (1 << 64) + low as u128;
    ([high / GROUP, (middle / group) as u64, (low / group) as u64], (low % group) as u64)
}

impl SequenceNumber {
    /// Room for its digits, 58 at most.
    pub const TEXT_BYTES: usize = GROUPS * GROUP_DIGITS;

    /// How it is shown, written into `space`: without the formatter, since each record of an answer
    /// has one.
    pub fn text(self, space: &mut [u8; Self::TEXT_BYTES]) -> &str {
        // Divided by one group after the other; what is left after three has a digit at most.
        space.fill(b'0');
        let mut rest = self.0;
        let mut end = space.len();
        while rest != [0; 3] {
            let group;
            (rest, group) = divided(rest);
            let mut buffer = itoa::Buffer::new();
            let group = buffer.format(group).as_bytes();
            space[end - group.len()..end].copy_from_slice(group);
            end -= GROUP_DIGITS;
        }
        let first = space.iter().position(|digit| *digit != b'0').unwrap_or(space.len() - 1);
        str::from_utf8(&space[first..]).expect("digits are ASCII")
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(&mut [0; Self::TEXT_BYTES]))
    }
}

impl FromStr for SequenceNumber {
    type Err = InvalidSequenceNumber;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidSequenceNumber(text.to_owned());
        let canonical = text == "0" || !text.starts_with('0');
        if text.is_empty() || !canonical || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        let mut limbs = [0u64; 3];
        let mut rest = text;
        while !rest.is_empty() {
            // The first group is the one that may be shorter.
            let digits = (rest.len() - 1) % GROUP_DIGITS + 1;
            let (group, behind) = rest.split_at(digits);
            rest = behind;
            let mut carry: u128 = group.parse::<u64>().map_err(|_| invalid())?.into();
            for limb in limbs.iter_mut().rev() {
                let t = u128::from(*limb) * u128::from(GROUP) + carry;
                *limb = t as u64;
                carry = t >> 64;
            }
            if carry != 0 {
                return Err(invalid());
            }
        }
        Ok(Self(limbs))
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
    fn numbers_of_other_layouts_are_kept_and_compared_and_have_no_parts() {
        let texts = [
            "0",
            "5",
            "18446744073709551615",
            "18446744073709551616",
            "26227199374822427428162556223570313216",
            "10000000000000000000000000000000000000000",
            // A digit more than version 2 has, and the largest of all.
            &"1".repeat(57),
            "6277101735386680763835789423207666416102355444464034512895",
        ];
        let numbers = texts.map(|text| text.parse::<SequenceNumber>().unwrap());
        assert!(numbers.is_sorted());
        for (number, text) in numbers.iter().zip(texts) {
            assert_eq!(number.to_string(), text);
            assert!(!number.is_version_2(), "{text}");
            assert_eq!((number.created_seconds(), number.shard(), number.time()), (0, 0, None));
        }
    }

    #[test]
    fn what_is_no_integer_or_too_large_is_refused() {
        for text in [
            "",
            "-1",
            "+1",
            "05",
            "1e3",
            "1 ",
            "\u{661}",
            "6277101735386680763835789423207666416102355444464034512896",
            &"1".repeat(129),
        ] {
            assert!(text.parse::<SequenceNumber>().is_err(), "{text}");
        }
    }

    #[test]
    fn parts_out_of_their_ranges_are_of_no_version_2_shard() {
        let legal = SequenceNumber::new(1600000000, 17, 5, 1600000000);
        assert!(legal.is_version_2());
        for illegal in [
            SequenceNumber::new(SECONDS_MAX, 17, 5, 1600000000),
            SequenceNumber::new(1600000000, 17, 5, SECONDS_MAX),
            SequenceNumber::new(1600000000, 1 << 31, 5, 1600000000),
            SequenceNumber::new(1600000000, 17, SequenceNumber::COUNTER_MAX + 1, 1600000000),
            legal.successor(),
            // Another shard in one place than in the other.
            SequenceNumber([legal.0[0] ^ 1 << 16, legal.0[1], legal.0[2]]),
        ] {
            assert!(!illegal.is_version_2(), "{illegal}");
        }
    }

    #[test]
    fn neighbours_carry_from_limb_to_limb() {
        let number = |text: &str| text.parse::<SequenceNumber>().unwrap();
        for (low, high) in [
            ("0", "1"),
            ("18446744073709551615", "18446744073709551616"),
            ("340282366920938463463374607431768211455", "340282366920938463463374607431768211456"),
        ] {
            assert_eq!(number(low).successor(), number(high));
            assert_eq!(number(high).predecessor(), Some(number(low)));
        }
        assert_eq!(SequenceNumber::ZERO.predecessor(), None);
        let last = number("6277101735386680763835789423207666416102355444464034512895");
        assert_eq!(last.successor(), last);
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
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            prop_assert!(a.is_version_2());
            let parts = (a.created_seconds(), a.shard(), a.counter(), a.time_seconds());
            prop_assert_eq!(parts, (created, shard, counters[0], times[0]));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn any_integer_survives_its_text(limbs in prop::array::uniform3(any::<u64>())) {
            let number = SequenceNumber(limbs);
            prop_assert_eq!(number.to_string().parse(), Ok(number));
            prop_assert_eq!(number.successor().predecessor(), Some(number));
        }
    }
}
