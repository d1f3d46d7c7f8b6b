//! What is said about one value: the list of a field, of which any member may take the value.

use std::net::IpAddr;

use crate::address::{self, Network};
use crate::decimal::Decimal;
use crate::letter_case::CaseFolded;
use crate::numeric::Numeric;
use crate::wildcard::Wildcard;

/// A value of the data that is no object and no array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaf<'t> {
    /// Unescaped.
    Text(&'t [u8]),
    /// As it is written.
    Number(&'t [u8]),
    True,
    False,
    Null,
}

/// Matchers of which one is enough.
#[derive(Debug, Clone, Default)]
pub(crate) struct AnyOf {
    /// Sorted: lists of texts are long at times.
    texts: Vec<Box<[u8]>>,
    others: Vec<Matcher>,
}

/// A matcher that is no plain text.
#[derive(Debug, Clone)]
pub(crate) enum Matcher {
    Number(Decimal),
    True,
    False,
    Null,
    /// A text that is an address: so are its other spellings.
    Address(IpAddr),
    Prefix(Box<[u8]>),
    PrefixIgnoringCase(CaseFolded),
    Suffix(Box<[u8]>),
    SuffixIgnoringCase(CaseFolded),
    IgnoringCase(CaseFolded),
    Wildcard(Wildcard),
    AnythingBut(AnyOf),
    Numeric(Numeric),
    Exists,
    Cidr(Network),
}

impl AnyOf {
    /// Adds a text that values have to be equal to.
    pub(crate) fn push_text(&mut self, text: &str) {
        let text: Box<[u8]> = text.as_bytes().into();
        if let Err(place) = self.texts.binary_search(&text) {
            self.texts.insert(place, text);
        }
    }

    /// Adds another matcher.
    pub(crate) fn push(&mut self, matcher: Matcher) {
        self.others.push(matcher);
    }

    /// Whether nothing was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.others.is_empty()
    }

    /// Whether a matcher takes the value.
    pub(crate) fn takes(&self, value: Leaf<'_>) -> bool {
        if let Leaf::Text(text) = value
            && self.texts.binary_search_by(|known| (**known).cmp(text)).is_ok()
        {
            return true;
        }
        self.others.iter().any(|matcher| matcher.takes(value))
    }
}

impl Matcher {
    fn takes(&self, value: Leaf<'_>) -> bool {
        match (self, value) {
            (Self::Exists, _)
            | (Self::True, Leaf::True)
            | (Self::False, Leaf::False)
            | (Self::Null, Leaf::Null) => true,
            (Self::AnythingBut(list), value) => !list.takes(value),
            (Self::Number(known), Leaf::Number(number)) => known.order_of(number).is_eq(),
            (Self::Numeric(range), Leaf::Number(number)) => range.takes(number),
            (matcher, Leaf::Text(text)) => matcher.takes_text(text),
            _ => false,
        }
    }

    fn takes_text(&self, text: &[u8]) -> bool {
        match self {
            Self::Address(known) => address::address(text) == Some(*known),
            Self::Cidr(network) => network.takes(text),
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::PrefixIgnoringCase(prefix) => prefix.begins(text),
            Self::Suffix(suffix) => text.ends_with(suffix),
            Self::SuffixIgnoringCase(suffix) => suffix.ends(text),
            Self::IgnoringCase(known) => known.is(text),
            Self::Wildcard(wildcard) => wildcard.takes(text),
            Self::Number(_)
            | Self::True
            | Self::False
            | Self::Null
            | Self::AnythingBut(_)
            | Self::Numeric(_)
            | Self::Exists => false,
        }
    }
}
