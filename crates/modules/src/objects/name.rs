//! Foreign text as a part of a key: it stays in its place, and two texts stay two.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

/// What RFC 3986 leaves as it is, but `~`, which marks a name that was cut.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

const HASH_DIGITS: usize = 16;

/// `text`, percent-encoded. One that would be longer than `bytes_max` is cut, and ends in `~` and a
/// hash of the whole.
pub fn name(text: &str, bytes_max: usize) -> String {
    let mut encoded = utf8_percent_encode(text, ENCODED).to_string();
    // Names of dots alone lead to other folders.
    if encoded.bytes().all(|byte| byte == b'.') {
        encoded = encoded.replace('.', "%2E");
    }
    match encoded.as_str() {
        "" => "%empty".to_owned(),
        _ if encoded.len() <= bytes_max => encoded,
        _ => {
            let mut end = bytes_max.saturating_sub(HASH_DIGITS + 1);
            // No escape is cut in two.
            let last = &encoded[end.saturating_sub(2)..end];
            end -= last.find('%').map_or(0, |at| last.len() - at);
            format!("{}~{}", &encoded[..end], hash(text))
        }
    }
}

/// The first 64 bits of the SHA-256, in hexadecimal.
pub(crate) fn hash(text: &str) -> String {
    Sha256::digest(text).iter().take(HASH_DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_place() {
        for (text, expected) in [
            ("3f2a-4b_c.d", "3f2a-4b_c.d"),
            ("../../etc/passwd", "..%2F..%2Fetc%2Fpasswd"),
            ("..", "%2E%2E"),
            ("", "%empty"),
            ("%2F", "%252F"),
            ("a b~\n", "a%20b%7E%0A"),
            ("日", "%E6%97%A5"),
        ] {
            assert_eq!(name(text, 100), expected);
        }
    }

    #[test]
    fn long_names_are_cut_between_escapes_and_told_apart() {
        assert_eq!(name(&"x".repeat(100), 100), "x".repeat(100));
        for length in 40..46 {
            let cut = name(&"日".repeat(100), length);
            let (start, hash) = cut.split_once('~').unwrap();
            assert!(cut.len() <= length && cut.len() > length - 3, "{cut}");
            assert_eq!((start.len() % 3, hash.len()), (0, HASH_DIGITS));
            assert_ne!(cut, name(&"日".repeat(101), length));
            assert!(name(&".".repeat(100), length).len() <= length);
        }
    }
}
