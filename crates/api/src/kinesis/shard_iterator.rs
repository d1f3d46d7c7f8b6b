//! Shard iterators: a cursor in a token.
//!
//! Content of the token: shard index (4 bytes), then the lower bound of the next record as creation
//! second, counter and record second (8 each), then the stream's name, with account and region unless
//! they are the store's own. At 128 characters of name that is below the 512 characters which the
//! model allows.

use baikonur_stream::{Cursor, SequenceNumber, ShardAddress, ShardId, StreamName};

use crate::kinesis::Kinesis;
use crate::wire::error::{ApiError, ErrorCode};
use crate::wire::token::{Token, TokenKind};

fn content(cursor: &Cursor) -> Vec<u8> {
    let name = cursor.shard.stream.qualified();
    let mut content = Vec::with_capacity(28 + name.len());
    content.extend_from_slice(&cursor.shard.shard.index().to_be_bytes());
    content.extend_from_slice(&cursor.from.created_seconds().to_be_bytes());
    content.extend_from_slice(&cursor.from.counter().to_be_bytes());
    content.extend_from_slice(&cursor.from.time_seconds().to_be_bytes());
    content.extend_from_slice(name.as_bytes());
    content
}

fn cursor(content: &[u8]) -> Option<Cursor> {
    let (shard, rest) = content.split_first_chunk()?;
    let (created, rest) = rest.split_first_chunk()?;
    let (counter, rest) = rest.split_first_chunk()?;
    let (time, name) = rest.split_first_chunk()?;
    let shard = u32::from_be_bytes(*shard);
    let [created, counter, time] = [created, counter, time].map(|bytes| u64::from_be_bytes(*bytes));
    let stream: StreamName = std::str::from_utf8(name).ok()?.parse().ok()?;
    let from = SequenceNumber::new(created, shard, counter, time);
    // Bits that a number has no room for are in no iterator of this server.
    if (from.created_seconds(), from.time_seconds()) != (created, time) {
        return None;
    }
    Some(Cursor { shard: ShardAddress { stream, shard: ShardId::new(shard) }, from, since: None })
}

impl Kinesis {
    /// An iterator for a place, unlike all others.
    pub(crate) fn shard_iterator(&self, cursor: &Cursor) -> String {
        let now = self.streams.clock.now();
        self.tokens.seal(TokenKind::ShardIterator, now, &content(cursor))
    }

    /// The place that an iterator stands for.
    pub(crate) fn place_of(&self, iterator: &str) -> Result<Cursor, ApiError> {
        let invalid = || ApiError::invalid_argument("Invalid ShardIterator.");
        let token = Token::open(TokenKind::ShardIterator, iterator).ok_or_else(invalid)?;
        let cursor = cursor(&token.content).ok_or_else(invalid)?;
        if cursor.shard.stream.owner() != self.home.owner {
            return Err(invalid());
        }
        match token.expiry("iterator", self.streams.clock.now()) {
            Some(expiry) => {
                Err(ApiError::new(ErrorCode::ExpiredIterator, format!("Iterator {expiry}")))
            }
            None => Ok(cursor),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::token::Tokens;

    proptest! {
        #[test]
        fn every_place_is_read_back(
            name in "[a-zA-Z0-9_.-]{1,128}", shard: u32, created in 0..1u64 << 36, counter: u64,
            time in 0..1u64 << 36,
        ) {
            let stream = StreamName::new(&name).unwrap();
            let from = SequenceNumber::new(created, shard, counter, time);
            let shard = ShardAddress { stream, shard: ShardId::new(shard) };
            let place = Cursor { shard, from, since: None };
            prop_assert_eq!(cursor(&content(&place)), Some(place.clone()));
            let now = baikonur_stream::Timestamp::from_seconds(1);
            let text = Tokens::default().seal(TokenKind::ShardIterator, now, &content(&place));
            prop_assert!(text.len() <= 512);
        }

        #[test]
        fn garbage_is_no_place_or_one_that_is_written_the_same(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(place) = cursor(&bytes) {
                prop_assert_eq!(content(&place), bytes);
            }
        }
    }
}
