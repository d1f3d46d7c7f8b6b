//! Where a record goes: the 128-bit hash of its partition key, and the ranges that shards own.

use std::fmt;
use std::str::FromStr;

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// A point of the key space, 0 to 2^128 − 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashKey(u128);

/// A text that is no hash key: not decimal, or above 2^128 − 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a decimal number from 0 to 2^128-1")]
pub struct InvalidHashKey(pub String);

impl HashKey {
    /// The highest hash key.
    pub const MAX: Self = Self(u128::MAX);

    /// The hash key of this number.
    pub const fn new(value: u128) -> Self {
        Self(value)
    }

    /// The MD5 of a partition key, read as a big-endian number.
    pub fn of_partition_key(key: &[u8]) -> Self {
        Self(u128::from_be_bytes(Md5::digest(key).into()))
    }

    /// The number.
    pub const fn value(self) -> u128 {
        self.0
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for HashKey {
    type Err = InvalidHashKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidHashKey(text.to_owned());
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        text.parse().map(Self).map_err(|_| invalid())
    }
}

impl Serialize for HashKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HashKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The part of the key space that a shard owns, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashKeyRange {
    /// The lowest hash key of the range.
    pub start: HashKey,
    /// The highest hash key of the range.
    pub end: HashKey,
}

impl HashKeyRange {
    /// Whether the range holds `key`.
    pub fn contains(&self, key: HashKey) -> bool {
        self.start <= key && key <= self.end
    }

    /// The key space cut into `count` ranges as `CreateStream` cuts it: each 2^128 / `count` wide,
    /// rounded down, the last one taking the rest. None for 0.
    pub fn evenly(count: u32) -> Vec<Self> {
        if count == 0 {
            return Vec::new();
        }
        if count == 1 {
            return vec![Self { start: HashKey(0), end: HashKey::MAX }];
        }
        let n = u128::from(count);
        // floor(2^128 / n) without the 129th bit.
        let width = u128::MAX / n + u128::from(u128::MAX % n == n - 1);
        (0..n)
            .map(|i| Self {
                start: HashKey(i * width),
                end: if i == n - 1 { HashKey::MAX } else { HashKey((i + 1) * width - 1) },
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_keys_hash_as_amazon_hashes_them() {
        for (key, hash) in [
            ("a", "16955237001963240173058271559858726497"),
            ("b", "195289424170611159128911017612795795343"),
            ("é", "136732923097551493579404309126273812335"),
        ] {
            assert_eq!(HashKey::of_partition_key(key.as_bytes()).to_string(), hash);
        }
    }

    #[test]
    fn the_key_space_is_cut_as_create_stream_cuts_it() {
        let starts =
            |n| HashKeyRange::evenly(n).iter().map(|r| r.start.to_string()).collect::<Vec<_>>();
        assert_eq!(starts(2), ["0", "170141183460469231731687303715884105728"]);
        assert_eq!(
            starts(3),
            [
                "0",
                "113427455640312821154458202477256070485",
                "226854911280625642308916404954512140970"
            ]
        );
        assert_eq!(starts(4)[3], "255211775190703847597530955573826158592");
        for n in [1, 2, 3, 4, 5, 7, 1000] {
            let ranges = HashKeyRange::evenly(n);
            assert_eq!(ranges[0].start, HashKey::new(0));
            assert_eq!(ranges[n as usize - 1].end, HashKey::MAX);
            for pair in ranges.windows(2) {
                assert_eq!(pair[0].end.value() + 1, pair[1].start.value());
            }
        }
    }
}
