//! Names of streams, shards and consumers, checked once when they enter.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A stream name: 1 to 128 characters of `[a-zA-Z0-9_.-]` (API model, `StreamName`), in the account
/// and region whose it is.
///
/// It is shown without account and region, as messages of the service do. Read and stored, a stream
/// of the store's own account and region is its name alone, one of another `account/region/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamName(Arc<str>);

/// A text that is not a stream name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a stream name: 1 to 128 characters of a-z, A-Z, 0-9, '_', '.' and '-'")]
pub struct InvalidStreamName(pub String);

fn is_name(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=128).contains(&text.len()) && text.bytes().all(legal)
}

impl StreamName {
    /// A stream of the store's own account and region.
    pub fn new(name: &str) -> Result<Self, InvalidStreamName> {
        if is_name(name) { Ok(Self(name.into())) } else { Err(InvalidStreamName(name.to_owned())) }
    }

    /// The name, without account and region.
    pub fn as_str(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The name, with account and region unless they are the store's own.
    pub fn qualified(&self) -> &str {
        &self.0
    }

    /// Whose stream it is.
    pub fn owner(&self) -> StreamOwner {
        StreamOwner(self.0.rsplit_once('/').map(|(owner, _)| owner.into()))
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StreamName {
    type Err = InvalidStreamName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidStreamName(text.to_owned());
        match text.rsplit_once('/') {
            None => Self::new(text),
            Some((owner, name)) => {
                let (account, region) = owner.split_once('/').ok_or_else(invalid)?;
                StreamOwner::other(account, region).ok_or_else(invalid)?.stream(name)
            }
        }
    }
}

impl TryFrom<String> for StreamName {
    type Error = InvalidStreamName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<StreamName> for String {
    fn from(name: StreamName) -> Self {
        name.0.as_ref().to_owned()
    }
}

/// An account and region that streams belong to: the store's own, or another that shares the store
/// and sees none of the others' streams.
///
/// As text, the store's own is empty, another is `account/region`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamOwner(Option<Arc<str>>);

impl TryFrom<String> for StreamOwner {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() {
            return Ok(Self::OWN);
        }
        let other = text.split_once('/').and_then(|(account, region)| Self::other(account, region));
        other.ok_or_else(|| format!("{text:?} is no account and region"))
    }
}

impl From<StreamOwner> for String {
    fn from(owner: StreamOwner) -> Self {
        owner.0.map(|owner| owner.as_ref().to_owned()).unwrap_or_default()
    }
}

impl StreamOwner {
    /// The store's own account and region.
    pub const OWN: Self = Self(None);

    /// Another account (12 digits) and region (1 to 32 characters of `[a-z0-9-]`); none if it is
    /// neither.
    pub fn other(account: &str, region: &str) -> Option<Self> {
        let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let is_region = (1..=32).contains(&region.len()) && region.bytes().all(legal);
        (is_account && is_region).then(|| Self(Some(format!("{account}/{region}").into())))
    }

    /// The stream of this owner that is called `name`.
    pub fn stream(&self, name: &str) -> Result<StreamName, InvalidStreamName> {
        match &self.0 {
            None => StreamName::new(name),
            Some(owner) if is_name(name) => Ok(StreamName(format!("{owner}/{name}").into())),
            Some(_) => Err(InvalidStreamName(name.to_owned())),
        }
    }
}

/// A shard of a stream: an index that counts up over the stream's life, shown as
/// `shardId-` and twelve digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardId(u32);

/// A text that names no shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no shard")]
pub struct UnknownShardId(pub String);

impl ShardId {
    /// The shard with this index, 0 to 2^31 − 1.
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// The index.
    pub const fn index(self) -> u32 {
        self.0
    }

    /// How it is shown, written into `space`: without the formatter, since each record of an answer
    /// names its shard.
    pub fn text(self, space: &mut [u8; Self::TEXT_BYTES]) -> &str {
        *space = *b"shardId-000000000000";
        let mut rest = self.0;
        for digit in space.iter_mut().rev() {
            if rest == 0 {
                break;
            }
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        str::from_utf8(space).expect("letters and digits are ASCII")
    }

    /// Bytes of the text.
    pub const TEXT_BYTES: usize = 20;
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(&mut [0; Self::TEXT_BYTES]))
    }
}

impl FromStr for ShardId {
    type Err = UnknownShardId;

    /// As lenient as the service: the digits after the first `-`, or the whole text if there is
    /// none, 0 to 2147483647.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.split_once('-').map_or(text, |(_, after)| after);
        let unknown = || UnknownShardId(text.to_owned());
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(unknown());
        }
        let index: u32 = digits.parse().map_err(|_| unknown())?;
        if index > i32::MAX as u32 {
            return Err(unknown());
        }
        Ok(Self(index))
    }
}

/// Who reads a stream and remembers how far: the name of a mapping, unique in its store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerName(Arc<str>);

impl ConsumerName {
    /// A consumer of this name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConsumerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shard_ids_are_read_as_leniently_as_the_service_does() {
        for text in ["shardId-000000000005", "5", "x-5", "-5"] {
            assert_eq!(text.parse(), Ok(ShardId::new(5)), "{text}");
        }
        for text in ["", "shardId-", "shardId-x", "2147483648", "shard-1-2"] {
            assert!(text.parse::<ShardId>().is_err(), "{text}");
        }
        assert_eq!(ShardId::new(7).to_string(), "shardId-000000000007");
    }

    #[test]
    fn streams_of_other_owners_are_other_streams() {
        let owner = StreamOwner::other("123456789012", "eu-west-1").unwrap();
        let (own, other) = (StreamName::new("s").unwrap(), owner.stream("s").unwrap());
        assert_ne!(own, other);
        assert_eq!((own.as_str(), other.as_str()), ("s", "s"));
        assert_eq!((own.owner(), other.owner()), (StreamOwner::OWN, owner));
        assert_eq!(
            (other.to_string().as_str(), other.qualified()),
            ("s", "123456789012/eu-west-1/s")
        );
        assert_eq!(other.qualified().parse(), Ok(other));
        for text in ["1/eu-west-1/s", "123456789012//s", "123456789012/s", "/s", "a/b/c/d"] {
            assert!(text.parse::<StreamName>().is_err(), "{text}");
        }
    }

    #[test]
    fn stream_names_outside_the_pattern_are_refused() {
        assert!(StreamName::new("router_1.A-b").is_ok());
        for name in ["", "a b", "a/b", "é", &"x".repeat(129)] {
            assert!(StreamName::new(name).is_err(), "{name}");
        }
    }
}
