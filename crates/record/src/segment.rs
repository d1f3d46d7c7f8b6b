//! Foreign text made safe for object keys, tags and index names, without merging two texts into one.

use std::borrow::Cow;
use std::fmt::Write;

use sha2::{Digest, Sha256};

/// The longest file name of the usual file systems, in bytes; object stores allow more.
const KEY_BYTES_MAX: usize = 255;
/// Leaves room for a prefix and a date below the 255 bytes of an Elasticsearch index name.
const INDEX_BYTES_MAX: usize = 200;
const HASH_DIGITS: usize = 16;

/// Any foreign text as one segment of an object key or a tag; see [`crate::LogType::key_segment`].
pub fn for_key(text: &str) -> Cow<'_, str> {
    let dots_only = text.bytes().all(|byte| byte == b'.');
    if !dots_only && text.len() <= KEY_BYTES_MAX && text.bytes().all(is_unchanged_in_key) {
        return Cow::Borrowed(text);
    }
    if text.is_empty() {
        // No encoding gives this: `%` is always followed by two hexadecimal digits.
        return Cow::Borrowed("%empty");
    }
    let mut encoded = String::with_capacity(text.len() + 16);
    let whole_ends_at = KEY_BYTES_MAX - HASH_DIGITS - 1;
    let mut cut_at = 0;
    for byte in text.bytes() {
        if encoded.len() <= whole_ends_at {
            cut_at = encoded.len();
        }
        if is_unchanged_in_key(byte) && !(dots_only && byte == b'.') {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a String takes all that is written");
        }
    }
    if encoded.len() > KEY_BYTES_MAX {
        encoded.truncate(cut_at);
        encoded.push('~');
        encoded.push_str(&hash(text));
    }
    Cow::Owned(encoded)
}

fn is_unchanged_in_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

/// A part of an index name; see [`crate::LogType::index_segment`].
pub(crate) fn for_index(text: &str) -> String {
    let lower = text.to_lowercase();
    let mut replaced = String::with_capacity(lower.len());
    for symbol in lower.chars() {
        let illegal =
            symbol.is_control() || symbol.is_whitespace() || "\\/*?\"<>|,#:".contains(symbol);
        let illegal_first = replaced.is_empty() && matches!(symbol, '-' | '_' | '+' | '.');
        replaced.push(if illegal || illegal_first {
            if replaced.is_empty() { 'x' } else { '_' }
        } else {
            symbol
        });
    }
    if replaced == lower && !lower.is_empty() && lower.len() <= INDEX_BYTES_MAX {
        return lower;
    }
    // The hash is that of the lower-cased text, so that two spellings which differ in case stay together here as well.
    let room = INDEX_BYTES_MAX - HASH_DIGITS - 1;
    replaced.truncate(replaced.floor_char_boundary(room));
    if replaced.is_empty() {
        replaced.push_str("empty");
    }
    format!("{replaced}-{}", hash(&lower))
}

fn hash(text: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(text).into();
    let head = u64::from_be_bytes(*digest.first_chunk().expect("32 bytes have a first 8"));
    format!("{head:0HASH_DIGITS$x}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::{for_index, for_key};

    #[test]
    fn ordinary_names_stay_as_they_are_in_keys() {
        for name in ["auth", "Nginx_Access-2.log", "a..b", ".hidden", "0"] {
            assert_eq!(for_key(name), name);
        }
    }

    #[test]
    fn nothing_leaves_its_place_in_a_key() {
        for (name, segment) in [
            ("", "%empty"),
            (".", "%2E"),
            ("..", "%2E%2E"),
            ("a/b", "a%2Fb"),
            ("/", "%2F"),
            ("50%", "50%25"),
            ("%2F", "%252F"),
            ("a b\n", "a%20b%0A"),
            ("日", "%E6%97%A5"),
            ("a~b", "a%7Eb"),
        ] {
            assert_eq!(for_key(name), segment);
        }
    }

    #[test]
    fn long_names_are_cut_and_told_apart_by_a_hash() {
        let fits = "x".repeat(255);
        assert_eq!(for_key(&fits), fits);
        for long in ["x".repeat(256), "日".repeat(40), "/".repeat(86)] {
            let segment = for_key(&long);
            assert!(segment.len() <= 255 && segment.len() > 235, "{segment}");
            assert_ne!(segment, for_key(&format!("{long}y")));
        }
        assert!(for_key(&"/".repeat(86)).contains("%2F~"), "no escape is cut in two");
    }

    #[test]
    fn index_names_are_lower_case_and_nothing_else_when_that_is_enough() {
        for (name, segment) in
            [("auth", "auth"), ("Auth", "auth"), ("AUTH-2.x_y", "auth-2.x_y"), ("Größe", "größe")]
        {
            assert_eq!(for_index(name), segment);
        }
    }

    #[test]
    fn index_names_that_need_more_carry_a_hash() {
        for (name, start) in [
            ("a/b", "a_b-"),
            ("a b", "a_b-"),
            ("_a", "xa-"),
            ("..", "x.-"),
            ("", "empty-"),
            ("unknown/unknown_type", "unknown_unknown_type-"),
        ] {
            let segment = for_index(name);
            assert!(segment.starts_with(start), "{name:?}: {segment}");
            assert_eq!(segment.len(), start.len() + 16);
        }
        assert_ne!(for_index("a/b"), for_index("a b"));
        assert_eq!(for_index("A/B"), for_index("a/b"));
    }

    proptest! {
        #[test]
        fn a_key_segment_is_one_safe_path_component(text in any::<String>()) {
            let segment = for_key(&text);
            prop_assert!(!segment.is_empty() && segment.len() <= 255);
            prop_assert!(segment.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b'\\'));
            prop_assert!(segment != "." && segment != "..");
        }

        #[test]
        fn different_texts_have_different_key_segments(texts in prop::collection::vec("[a./%~ _é]{0,5}", 2..40)) {
            let mut seen = HashMap::new();
            for text in &texts {
                let other = seen.insert(for_key(text), text);
                prop_assert!(other.is_none_or(|other| other == text));
            }
        }

        #[test]
        fn an_index_segment_is_legal(text in any::<String>()) {
            let segment = for_index(&text);
            prop_assert!(!segment.is_empty() && segment.len() <= 200);
            prop_assert!(!segment.starts_with(['-', '_', '+', '.']));
            prop_assert!(!segment.contains(['\\', '/', '*', '?', '"', '<', '>', '|', ' ', ',', '#', ':']));
            prop_assert_eq!(segment.to_lowercase(), segment);
        }
    }
}
