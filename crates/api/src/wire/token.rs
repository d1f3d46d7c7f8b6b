//! Opaque tokens: shard iterators and `NextToken`s.
//!
//! In base64: 8 bytes of version (the service's iterators start the same way), 4 bytes CRC-32C of
//! what follows, 1 byte kind, 8 bytes serial number, 8 bytes creation time in milliseconds, and what
//! the kind holds; numbers are big-endian. The checksum finds accidents, not forgeries: a token
//! grants nothing that its bearer could not ask for by name.

use std::sync::atomic::{AtomicU64, Ordering};

use baikonur_stream::Timestamp;

use crate::limits::TOKEN_LIFE;
use crate::wire::time::java_date;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum TokenKind {
    /// A place in a shard.
    ShardIterator = 1,
    /// The next page of ListShards.
    ShardsPage = 2,
    /// The next page of ListStreams.
    StreamsPage = 3,
    /// The next page of ListStreamConsumers.
    ConsumersPage = 4,
}

const VERSION: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 1];

/// Makes tokens, no two alike.
#[derive(Debug, Default)]
pub(crate) struct Tokens(AtomicU64);

/// A token, read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// When it was made.
    pub(crate) created: Timestamp,
    /// What it holds.
    pub(crate) content: Vec<u8>,
}

impl Tokens {
    /// A token that holds `content`.
    pub(crate) fn seal(&self, kind: TokenKind, created: Timestamp, content: &[u8]) -> String {
        let serial = self.0.fetch_add(1, Ordering::Relaxed);
        let mut bytes = Vec::with_capacity(29 + content.len());
        bytes.extend_from_slice(&VERSION);
        bytes.extend_from_slice(&[0; 4]);
        bytes.push(kind as u8);
        bytes.extend_from_slice(&serial.to_be_bytes());
        bytes.extend_from_slice(&created.millis().to_be_bytes());
        bytes.extend_from_slice(content);
        let sum = crc32c::crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&sum.to_be_bytes());
        base64_simd::STANDARD.encode_to_string(bytes)
    }
}

impl Token {
    /// Reads a token of a kind; none if it is something else.
    pub(crate) fn open(kind: TokenKind, text: &str) -> Option<Self> {
        // Clients that paste a token with its JSON quotes are understood, as the service does.
        let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
        let bytes = base64_simd::STANDARD.decode_to_vec(text).ok()?;
        let rest = bytes.strip_prefix(&VERSION)?;
        let (sum, rest) = rest.split_first_chunk()?;
        if crc32c::crc32c(rest) != u32::from_be_bytes(*sum) {
            return None;
        }
        let (of_kind, rest) = rest.split_first()?;
        let (_serial, rest) = rest.split_first_chunk::<8>()?;
        let (created, content) = rest.split_first_chunk()?;
        let created = Timestamp::from_millis(u64::from_be_bytes(*created));
        (*of_kind == kind as u8).then(|| Self { created, content: content.to_vec() })
    }

    /// What the service says of a token that outlived its time, which is called `noun` there; none
    /// while it is good.
    pub(crate) fn expiry(&self, noun: &str, now: Timestamp) -> Option<String> {
        (now.since(self.created) > TOKEN_LIFE).then(|| {
            format!(
                "expired. The {noun} was created at time {} while right now it is {} which is \
                 further in the future than the tolerated delay of {} milliseconds.",
                java_date(self.created),
                java_date(now),
                TOKEN_LIFE.as_millis(),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_421_889_722);

    #[test]
    fn tokens_start_as_the_service_starts_them_and_differ() {
        let tokens = Tokens::default();
        let seal = || tokens.seal(TokenKind::ShardIterator, NOW, b"place");
        let (one, other) = (seal(), seal());
        assert!(
            one.starts_with("AAAAAAAAAA") && ('E'..='H').contains(&(one.as_bytes()[10] as char))
        );
        assert_ne!(one, other);
        assert_eq!(Token::open(TokenKind::ShardsPage, &one), None);
    }

    #[test]
    fn tokens_live_five_minutes() {
        let token = Token { created: NOW, content: Vec::new() };
        let at = |millis| token.expiry("iterator", Timestamp::from_millis(NOW.millis() + millis));
        assert_eq!(at(300_000), None);
        assert_eq!(
            at(301_000).unwrap(),
            "expired. The iterator was created at time Thu Jan 22 01:22:02 UTC 2015 while right now \
             it is Thu Jan 22 01:27:03 UTC 2015 which is further in the future than the tolerated \
             delay of 300000 milliseconds."
        );
    }

    proptest! {
        #[test]
        fn every_token_is_read_back(content in prop::collection::vec(any::<u8>(), 0..200), millis: u64, quoted: bool) {
            let created = Timestamp::from_millis(millis);
            let mut text = Tokens::default().seal(TokenKind::ShardsPage, created, &content);
            if quoted {
                text = format!("\"{text}\"");
            }
            prop_assert_eq!(Token::open(TokenKind::ShardsPage, &text), Some(Token { created, content }));
        }

        #[test]
        fn a_token_with_one_letter_changed_is_refused(at in 0usize..40, letter in "[A-Za-z0-9+/]") {
            let mut text = Tokens::default().seal(TokenKind::ShardIterator, NOW, b"0123456789");
            prop_assume!(text.is_char_boundary(at) && text[at..=at] != letter);
            text.replace_range(at..=at, &letter);
            prop_assert_eq!(Token::open(TokenKind::ShardIterator, &text), None);
        }

        #[test]
        fn garbage_is_refused(text in "\\PC*|[A-Za-z0-9+/=\"]*") {
            prop_assert_eq!(Token::open(TokenKind::ShardIterator, &text), None);
        }
    }
}
