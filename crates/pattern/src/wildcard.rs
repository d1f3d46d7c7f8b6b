//! `wildcard`: text in which `*` stands for any number of characters.
//!
//! The pieces between the stars are looked for from left to right, each at its first place behind the one before: what
//! matches at all matches so. There is no going back, and the time is that of the value.

use memchr::memmem::Finder;

use crate::fault::Problem;
use crate::limits::WILDCARDS_MAX;

/// The text between stars.
#[derive(Debug, Clone)]
pub(crate) struct Wildcard {
    start: Box<[u8]>,
    /// None without a star.
    rest: Option<Rest>,
}

#[derive(Debug, Clone)]
struct Rest {
    middle: Box<[Finder<'static>]>,
    end: Box<[u8]>,
}

impl Wildcard {
    /// Reads a text; `\*` is a star and `\\` a backslash.
    ///
    /// # Errors
    /// Another escape, two stars beside each other, or more than [`WILDCARDS_MAX`].
    pub(crate) fn read(text: &str) -> Result<Self, Problem> {
        let mut pieces = vec![Vec::new()];
        let mut bytes = text.bytes().enumerate().peekable();
        let mut star_before = false;
        while let Some((at, byte)) = bytes.next() {
            // As the original counts: from the quote on.
            let position = at + 1;
            let piece = pieces.last_mut().expect("there is always one");
            match byte {
                b'*' if star_before => return Err(Problem::ConsecutiveWildcards(position - 1)),
                b'*' => pieces.push(Vec::new()),
                b'\\' => match bytes.next() {
                    Some((_, escaped @ (b'*' | b'\\'))) => piece.push(escaped),
                    _ => return Err(Problem::InvalidEscape(position)),
                },
                _ => piece.push(byte),
            }
            star_before = byte == b'*';
        }
        if pieces.len() - 1 > WILDCARDS_MAX {
            return Err(Problem::WildcardTooComplex);
        }
        let end = if pieces.len() > 1 { pieces.pop() } else { None };
        let mut pieces = pieces.into_iter();
        let start = pieces.next().unwrap_or_default().into();
        let middle = pieces.map(|piece| Finder::new(&piece).into_owned());
        let rest = end.map(|end| Rest { middle: middle.collect(), end: end.into() });
        Ok(Self { start, rest })
    }

    /// Whether the whole of `text` is as this says.
    pub(crate) fn takes(&self, text: &[u8]) -> bool {
        let Some(Rest { middle, end }) = &self.rest else { return *text == *self.start };
        let inside = text.strip_prefix(&*self.start).and_then(|rest| rest.strip_suffix(&**end));
        let Some(mut inside) = inside else { return false };
        for piece in middle {
            match piece.find(inside) {
                Some(at) => inside = &inside[at + piece.needle().len()..],
                None => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn takes(wildcard: &str, text: &str) -> bool {
        Wildcard::read(wildcard).unwrap().takes(text.as_bytes())
    }

    #[test]
    fn a_star_stands_for_any_characters_also_none() {
        for (wildcard, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a/b", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "abbc", true),
            ("a*b*c", "acb", false),
            ("*ab*ab", "ab", false),
            ("*ab*ab", "abab", true),
            ("ab*ab", "aba", false),
            ("*ü*", "für", true),
            (r"\*", "*", true),
            (r"\*", "x", false),
            (r"a\*b*", "a*bc", true),
            (r"\\*", r"\x", true),
            ("a?", "a?", true),
        ] {
            assert_eq!(takes(wildcard, text), expected, "{wildcard} {text}");
        }
    }

    #[test]
    fn what_is_no_wildcard_is_refused() {
        for (text, problem) in [
            ("a**b", Problem::ConsecutiveWildcards(2)),
            ("**", Problem::ConsecutiveWildcards(1)),
            ("a\\", Problem::InvalidEscape(2)),
            ("\\n", Problem::InvalidEscape(1)),
            ("*:*:*:*:*:event-bus/*", Problem::WildcardTooComplex),
        ] {
            assert_eq!(Wildcard::read(text).unwrap_err(), problem, "{text}");
        }
        assert!(Wildcard::read(r"*\**").is_ok());
        assert!(Wildcard::read("a*b*c*d*e*f").is_ok());
    }

    #[test]
    fn a_star_beside_an_escaped_one_is_a_star() {
        assert!(takes(r"a\**b", "a*xb"));
    }

    /// By trying every length.
    fn naive(wildcard: &[u8], text: &[u8]) -> bool {
        match wildcard.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            Some((byte, rest)) => {
                text.split_first().is_some_and(|(first, left)| first == byte && naive(rest, left))
            }
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_trying_every_length(
            pieces in prop::collection::vec("[ab]{1,2}", 1..5), ends in any::<[bool; 2]>(), text in "[ab]{0,12}"
        ) {
            let [before, behind] = ends.map(|end| if end { "*" } else { "" });
            let wildcard = format!("{before}{}{behind}", pieces.join("*"));
            prop_assert_eq!(takes(&wildcard, &text), naive(wildcard.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn nothing_makes_it_panic(wildcard in any::<String>(), text in any::<Vec<u8>>()) {
            if let Ok(wildcard) = Wildcard::read(&wildcard) {
                wildcard.takes(&text);
            }
        }
    }
}
