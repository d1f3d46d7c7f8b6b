//! Redaction: what stands in place of a value, or of the parts of a text that a pattern finds.

use std::borrow::Cow;
use std::fmt;

use baikonur_record::scan::unescape;
use hmac::{Hmac, KeyInit, Mac};
use regex::bytes::{Regex, RegexBuilder};
use sha2::Sha256;

use super::json_text::{Bounded, TooLarge};

/// Memory that a compiled pattern may take, and again what its automaton may take while it looks.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// The longest replacement: a match may be a single byte, and a text be full of them.
const WITH_BYTES_MAX: usize = 128;
/// The shortest salt: without one, or with a short one, hashes of names and numbers can be tried out.
const SALT_BYTES_MIN: usize = 16;

/// Texts in which a pattern must not find a place without a character: beginnings and ends of lines and of words.
const TEXTS_TRIED: [&str; 8] = ["", "a", " a", "a b", "1", "-", "a\nb", "\u{e9}"];

/// A regular expression, compared by its text.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Compiles a pattern in the syntax of the crate `regex`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // The form for texts refuses what could find half a character.
        if let Err(error) = regex::RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build() {
            return Err(format!("{text:?} is no pattern: {}", in_one_line(&error)));
        }
        let built = RegexBuilder::new(text)
            .size_limit(PATTERN_BYTES_MAX)
            .dfa_size_limit(PATTERN_BYTES_MAX)
            .build();
        let regex =
            built.map_err(|error| format!("{text:?} is no pattern: {}", in_one_line(&error)))?;
        // What is found first wins: a pattern that may find nothing finds it before the text that it is meant for.
        let finds_nothing =
            |text: &&str| regex.find_iter(text.as_bytes()).any(|found| found.is_empty());
        if TEXTS_TRIED.iter().any(finds_nothing) {
            return Err(format!("{text:?} also finds nothing at all: it has to find a character"));
        }
        Ok(Self(regex))
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

/// The last line of an error of `regex`, which draws the pattern before it.
fn in_one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim().trim_start_matches("error: ").to_owned()
}

/// The key of hashes; shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Salt(String);

impl Salt {
    /// # Errors
    /// A salt that is too short to keep anything secret.
    pub(super) fn new(text: String) -> Result<Self, String> {
        if text.len() < SALT_BYTES_MIN {
            return Err(format!(
                "hash is the secret that values are hashed with: at least {SALT_BYTES_MIN} bytes; take it from the environment (\"${{NAME}}\")"
            ));
        }
        Ok(Self(text))
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(…)")
    }
}

/// What stands in place of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum With {
    Text(String),
    Hash(Salt),
}

impl With {
    /// # Errors
    /// A text that is too long.
    pub(super) fn text(text: String) -> Result<Self, String> {
        if text.len() > WITH_BYTES_MAX {
            return Err(format!("with has {} bytes, and may have {WITH_BYTES_MAX}", text.len()));
        }
        Ok(Self::Text(text))
    }
}

/// A [`With`], ready to be used.
#[derive(Debug)]
pub(super) struct Mask(Kind);

enum Kind {
    Text(String),
    Hash(Hmac<Sha256>),
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({text:?})"),
            Self::Hash(_) => f.write_str("Hash(…)"),
        }
    }
}

impl Mask {
    pub(super) fn new(with: &With) -> Self {
        Self(match with {
            With::Text(text) => Kind::Text(text.clone()),
            With::Hash(Salt(salt)) => Kind::Hash(
                Hmac::new_from_slice(salt.as_bytes()).expect("HMAC takes keys of any length"),
            ),
        })
    }

    /// What stands in place of `hidden`, which is unescaped.
    fn of(&self, hidden: &[u8]) -> Cow<'_, [u8]> {
        match &self.0 {
            Kind::Text(text) => Cow::Borrowed(text.as_bytes()),
            Kind::Hash(key) => {
                let hash = key.clone().chain_update(hidden).finalize().into_bytes();
                Cow::Owned(hex(&hash))
            }
        }
    }

    /// The string in place of `value`, which is JSON. Equal texts have equal hashes, however they are escaped; a value
    /// that is no text is hashed as it is written.
    pub(super) fn write_for(&self, value: &[u8], out: &mut Bounded) {
        let hidden = match value {
            [b'"', content @ .., b'"'] => unescape(content),
            _ => Cow::Borrowed(value),
        };
        out.push_string(&self.of(&hidden));
    }
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.map(|digit| DIGITS[usize::from(digit)]).collect()
}

/// A pattern and what stands in place of what it finds.
#[derive(Debug)]
pub(super) struct Search {
    pattern: Regex,
    mask: Mask,
}

impl Search {
    pub(super) fn new(pattern: &Pattern, with: &With) -> Self {
        Self { pattern: pattern.0.clone(), mask: Mask::new(with) }
    }

    /// The content of a string (between its quotes) with everything replaced that is found in what it stands for; none
    /// when nothing is. What is not replaced keeps its bytes, escapes too.
    ///
    /// # Errors
    /// When it would be more than `max` bytes.
    fn hide_in_content(&self, content: &[u8], max: usize) -> Result<Option<Vec<u8>>, TooLarge> {
        let plain = unescape(content);
        let mut found = self.pattern.find_iter(&plain).filter(|found| !found.is_empty()).peekable();
        if found.peek().is_none() {
            return Ok(None);
        }
        let mut offsets = Offsets { content, at: 0, plain_at: 0 };
        let mut out = Bounded::new(content.len() + WITH_BYTES_MAX, max);
        let mut copied = 0;
        for found in found {
            let start = offsets.forward_to(found.start());
            out.push(&content[copied..start]);
            out.push_escaped(&self.mask.of(found.as_bytes()));
            copied = offsets.forward_to(found.end());
        }
        out.push(&content[copied..]);
        out.finish().map(Some)
    }

    /// As [`hide_in_content`](Self::hide_in_content), of a text that is no JSON.
    fn hide_in_plain(&self, text: &str) -> Option<String> {
        let hide = |found: &regex::bytes::Captures<'_>| {
            let found = found.get(0).map_or(&b""[..], |whole| whole.as_bytes());
            if found.is_empty() { Vec::new() } else { self.mask.of(found).into_owned() }
        };
        match self.pattern.replace_all(text.as_bytes(), hide) {
            Cow::Borrowed(_) => None,
            Cow::Owned(hidden) => Some(String::from_utf8_lossy(&hidden).into_owned()),
        }
    }
}

/// Applies `searches` one after the other to the content of a string; none when nothing is found.
///
/// # Errors
/// When it would be more than `max` bytes.
pub(super) fn hide_in_content<'s>(
    searches: impl Iterator<Item = &'s Search>,
    content: &[u8],
    max: usize,
) -> Result<Option<Vec<u8>>, TooLarge> {
    let mut hidden: Option<Vec<u8>> = None;
    for search in searches {
        if let Some(more) = search.hide_in_content(hidden.as_deref().unwrap_or(content), max)? {
            hidden = Some(more);
        }
    }
    Ok(hidden)
}

/// As [`hide_in_content`], of a text that is no JSON.
pub(super) fn hide_in_plain<'s>(
    searches: impl Iterator<Item = &'s Search>,
    text: &str,
) -> Option<String> {
    let mut hidden: Option<String> = None;
    for search in searches {
        if let Some(more) = search.hide_in_plain(hidden.as_deref().unwrap_or(text)) {
            hidden = Some(more);
        }
    }
    hidden.filter(|hidden| hidden != text)
}

/// Where in the content of a string a place of what it stands for is; asked in ascending order.
struct Offsets<'c> {
    content: &'c [u8],
    at: usize,
    plain_at: usize,
}

impl Offsets<'_> {
    fn forward_to(&mut self, plain: usize) -> usize {
        while self.plain_at < plain {
            let (length, plain_length) = match self.content[self.at] {
                b'\\' => escape(&self.content[self.at..]),
                _ => (1, 1),
            };
            self.at += length;
            self.plain_at += plain_length;
        }
        self.at
    }
}

/// The length of the escape that `content` begins with, and of what it stands for.
fn escape(content: &[u8]) -> (usize, usize) {
    if content.get(1) != Some(&b'u') {
        return (2, 1);
    }
    // A pair of surrogates is one character of four bytes.
    let is_pair = matches!(
        content,
        [
            _,
            _,
            b'd' | b'D',
            b'8' | b'9' | b'a' | b'A' | b'b' | b'B',
            _,
            _,
            b'\\',
            b'u',
            b'd' | b'D',
            b'c'..=b'f' | b'C'..=b'F',
            ..,
        ]
    );
    if is_pair {
        return (12, 4);
    }
    (6, unescape(&content[..6.min(content.len())]).len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn search(pattern: &str, with: &str) -> Search {
        Search::new(&Pattern::parse(pattern).unwrap(), &With::Text(with.to_owned()))
    }

    fn hidden(pattern: &str, content: &str) -> Option<String> {
        let found = search(pattern, "*").hide_in_content(content.as_bytes(), 1000).unwrap();
        found.map(|found| String::from_utf8(found).unwrap())
    }

    #[test]
    fn what_is_found_is_replaced_and_the_rest_keeps_its_bytes() {
        for (pattern, content, expected) in [
            (r"\d{4}", "card 1234 and 5678!", Some("card * and *!")),
            (r"\d{4}", "none", None),
            (r"\d+", r"\u0031\u0032\u00e9\/", Some(r"*\u00e9\/")),
            ("é", r"\u00e9 é \ud83d\ude00", Some(r"* * \ud83d\ude00")),
            ("😀+", r"a\ud83d\uDE00\n😀b", Some(r"a*\n*b")),
            ("\n", r"a\nb", Some("a*b")),
            ("b", r"\ud800b\udc00\\", Some(r"\ud800*\udc00\\")),
            (r"^a$", "a", Some("*")),
        ] {
            assert_eq!(hidden(pattern, content).as_deref(), expected, "{pattern} in {content}");
        }
    }

    #[test]
    fn a_later_search_sees_what_an_earlier_one_has_left() {
        let searches = [search("a", "b\""), search("b\"", "c")];
        let found = hide_in_content(searches.iter(), b"xa", 1000).unwrap().unwrap();
        assert_eq!(found, b"xc");
        assert_eq!(hide_in_plain(searches.iter(), "xa").as_deref(), Some("xc"));
        assert_eq!(hide_in_plain(searches.iter(), "x"), None);
    }

    #[test]
    fn replacements_are_no_templates_and_are_escaped() {
        let found = search("(x)", "$1\"\n").hide_in_content(b"x", 1000).unwrap().unwrap();
        assert_eq!(found, br#"$1\"\n"#);
    }

    #[test]
    fn nothing_grows_beyond_its_bound() {
        let long = search("x", &"y".repeat(128));
        assert_eq!(long.hide_in_content(&[b'x'; 100], 1000), Err(TooLarge));
        assert!(With::text("x".repeat(129)).is_err());
    }

    #[test]
    fn hashes_are_those_of_hmac_and_depend_on_the_text_alone() {
        let salt = Salt::new("0123456789abcdef".to_owned()).unwrap();
        assert_eq!(format!("{salt:?}"), "Salt(…)");
        let mask = Mask::new(&With::Hash(salt));
        let of = |value: &str| {
            let mut out = Bounded::new(0, 1000);
            mask.write_for(value.as_bytes(), &mut out);
            String::from_utf8(out.finish().unwrap()).unwrap()
        };
        // printf é | openssl dgst -sha256 -hmac 0123456789abcdef
        assert_eq!(
            of("\"é\""),
            "\"26382c5adb93384755a55b17c0c37aae724ec74042101cae59fd075e577a743c\""
        );
        assert_eq!(of("\"é\""), of(r#""\u00e9""#));
        assert_eq!(of("\"7\""), of("7"));
        assert_ne!(of("7"), of("7.0"));
        assert_eq!(of("7").len(), 66);
        assert!(Salt::new("short".to_owned()).unwrap_err().contains("at least 16 bytes"));
    }

    #[test]
    fn patterns_that_mean_nothing_are_refused() {
        for (pattern, words) in [
            ("(", "unclosed group"),
            ("x*", "also finds nothing at all"),
            (r"\b|secret", "also finds nothing at all"),
            (r"\B|secret", "also finds nothing at all"),
            (r"(?m)x$|^", "also finds nothing at all"),
            (r"\b{start}|secret", "also finds nothing at all"),
            (r"(?-u:\xff)", "UTF-8"),
            (r"(\pL{999}){99}", "size limit"),
            (r"(?=x)", "look-around"),
        ] {
            let told = Pattern::parse(pattern).unwrap_err();
            assert!(told.contains(words), "{told}");
            assert!(!told.contains('\n'), "{told}");
        }
    }

    proptest! {
        /// Whatever is found in what a string stands for is replaced, and nothing else.
        #[test]
        fn a_string_without_its_escapes_tells_what_is_replaced(
            units in prop::collection::vec(prop::sample::select(vec![
                "a", "b", "é", "😀", r"\u0061", r"\u00e9", r"\ud83d\ude00", r"\ud83d", r"\udc00", r"\n", r"\\", r#"\""#, r"\/", r"\u65E5",
            ]), 0..12),
            pattern in prop::sample::select(vec!["a", "[aé]+", "😀", r"\\", "\"", "日|\n", "\u{fffd}", "a.b"]),
        ) {
            let content = units.concat();
            let found = search(pattern, "*").hide_in_content(content.as_bytes(), 10_000).unwrap();
            let plain = String::from_utf8(unescape(content.as_bytes()).into_owned()).unwrap();
            let expected = regex::Regex::new(pattern).unwrap().replace_all(&plain, "*").into_owned();
            let got = found.as_deref().unwrap_or(content.as_bytes());
            prop_assert_eq!(String::from_utf8(unescape(got).into_owned()).unwrap(), expected);
        }
    }
}
