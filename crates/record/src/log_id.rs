//! The id of a log event: its own, or one derived from where it came from, so that a retry gives the same.

use std::fmt::Write;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::Origin;

/// Separates these ids from every other use of SHA-256 over similar bytes; part of the stored format.
const DOMAIN: &[u8] = b"baikonur log_id 1";

/// A log event's id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogId {
    /// UTF-8.
    text: Bytes,
    derived: bool,
}

impl LogId {
    /// An id that the record carries; `text` is UTF-8.
    pub(crate) fn own(text: Bytes) -> Self {
        Self { text, derived: false }
    }

    /// An id for a record that carries none: a UUID of version 8 (RFC 9562) over the place of the payload, and nothing
    /// else, so that reading the same record again gives the same id.
    pub(crate) fn derive(origin: &Origin<'_>, sub_sequence: u64, event_index: u32) -> Self {
        let mut hash = Sha256::new_with_prefix(DOMAIN);
        let sequence_number = origin.sequence_number.to_string();
        for part in [origin.stream, origin.shard, &sequence_number] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update(sub_sequence.to_be_bytes());
        hash.update(event_index.to_be_bytes());
        let hash: [u8; 32] = hash.finalize().into();
        let text =
            uuid(u128::from_be_bytes(*hash.first_chunk().expect("32 bytes have a first 16")))
                .into();
        Self { text, derived: true }
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).expect("made from UTF-8 only")
    }

    /// True when the record had no id of its own.
    pub fn is_derived(&self) -> bool {
        self.derived
    }
}

fn uuid(random: u128) -> String {
    let versioned = random & !(0xf << 76) & !(0x3 << 62) | 0x8 << 76 | 0x2 << 62;
    let mut text = String::with_capacity(36);
    for (index, byte) in versioned.to_be_bytes().iter().enumerate() {
        if let 4 | 6 | 8 | 10 = index {
            text.push('-');
        }
        write!(text, "{byte:02x}").expect("a String takes all that is written");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::LogId;
    use crate::Origin;

    const ORIGIN: Origin<'static> = Origin {
        stream: "logs",
        shard: "shardId-000000000000",
        sequence_number: &"49590338271490256608559692538361571095921575989136588898",
        arrival_millis: 1_500_000_000_000,
    };

    #[test]
    fn a_derived_id_is_a_stored_format_and_never_changes() {
        let id = LogId::derive(&ORIGIN, 3, 7);
        assert_eq!(id.as_str(), "cf1b9bf8-791f-874c-bed8-bb1e66e189fb");
        assert!(id.is_derived());
    }

    #[test]
    fn a_derived_id_depends_on_the_place_alone() {
        let later = Origin { arrival_millis: 0, ..ORIGIN };
        assert_eq!(LogId::derive(&ORIGIN, 0, 0), LogId::derive(&later, 0, 0));
        let others = [
            LogId::derive(&ORIGIN, 1, 0),
            LogId::derive(&ORIGIN, 0, 1),
            LogId::derive(&Origin { stream: "log", ..ORIGIN }, 0, 0),
            LogId::derive(&Origin { shard: "s", ..ORIGIN }, 0, 0),
            LogId::derive(&Origin { sequence_number: &"1", ..ORIGIN }, 0, 0),
        ];
        for other in others {
            assert_ne!(other, LogId::derive(&ORIGIN, 0, 0));
        }
    }
}
