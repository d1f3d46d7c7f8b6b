//! `equals-ignore-case`: text compared character by character, as Java's `equalsIgnoreCase` does.

/// Text without its case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CaseFolded(Box<[char]>);

impl CaseFolded {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.chars().map(folded).collect())
    }

    /// Whether `text` is the same but for its case. What is no UTF-8 is not.
    pub(crate) fn is(&self, text: &[u8]) -> bool {
        std::str::from_utf8(text)
            .is_ok_and(|text| text.chars().map(folded).eq(self.0.iter().copied()))
    }

    /// Whether `text` begins so.
    pub(crate) fn begins(&self, text: &[u8]) -> bool {
        std::str::from_utf8(text).is_ok_and(|text| {
            let mut symbols = text.chars().map(folded);
            self.0.iter().all(|symbol| symbols.next() == Some(*symbol))
        })
    }

    /// Whether `text` ends so.
    pub(crate) fn ends(&self, text: &[u8]) -> bool {
        std::str::from_utf8(text).is_ok_and(|text| {
            let mut symbols = text.chars().rev().map(folded);
            self.0.iter().rev().all(|symbol| symbols.next() == Some(*symbol))
        })
    }
}

/// Upper case, then lower case, where either is one character.
fn folded(symbol: char) -> char {
    if symbol.is_ascii() {
        return symbol.to_ascii_lowercase();
    }
    let upper = alone(symbol, symbol.to_uppercase());
    alone(upper, upper.to_lowercase())
}

fn alone(symbol: char, mut mapped: impl ExactSizeIterator<Item = char>) -> char {
    match (mapped.len(), mapped.next()) {
        (1, Some(mapped)) => mapped,
        _ => symbol,
    }
}

#[cfg(test)]
mod tests {
    use super::CaseFolded;

    #[test]
    fn case_is_that_of_single_characters() {
        for (one, other, expected) in [
            ("", "", true),
            ("EventBridge", "eVENTbRIDGE", true),
            ("ÄÖÜ", "äöü", true),
            ("ΣΑΣ", "σας", true),
            ("ДОМ", "дом", true),
            ("straße", "STRASSE", false),
            ("ß", "ẞ", true),
            ("İ", "i", false),
            ("ı", "I", true),
            ("a", "ab", false),
            ("ab", "a", false),
        ] {
            assert_eq!(CaseFolded::new(one).is(other.as_bytes()), expected, "{one} {other}");
            assert_eq!(CaseFolded::new(other).is(one.as_bytes()), expected, "{other} {one}");
        }
    }

    #[test]
    fn beginnings_and_endings_are_compared_alike() {
        assert!(CaseFolded::new("EventB").begins(b"eVeNtBridge"));
        assert!(!CaseFolded::new("EventB").begins(b"event"));
        assert!(CaseFolded::new(".PNG").ends(b"a.png"));
        assert!(!CaseFolded::new(".PNG").ends(b"png"));
        assert!(CaseFolded::new("Ä").ends("bä".as_bytes()));
        assert!(CaseFolded::new("").begins(b"") && CaseFolded::new("").ends(b"x"));
        assert!(!CaseFolded::new("").is(b"\xff") && !CaseFolded::new("").begins(b"\xff"));
    }
}
