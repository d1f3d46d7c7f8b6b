//! Taking CBOR apart, item by item, out of one piece of memory. Nothing is allocated on the word of
//! a length, and nothing is read deeper than [`CBOR_DEPTH_MAX`].

use std::borrow::Cow;
use std::fmt;

use crate::limits::CBOR_DEPTH_MAX;
use crate::wire::cbor::{ARRAY, BYTES, MAP, NEGATIVE, SIMPLE, TAG, TEXT, UNSIGNED};

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not CBOR, or nested too deep.
    Malformed,
    /// It is CBOR, and a member is not of its type.
    Refused(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("not well-formed CBOR"),
            Self::Refused(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Refused(message.to_string())
    }
}

/// An item, or the start of one.
#[derive(Debug, PartialEq)]
pub(super) enum Item<'a> {
    Unsigned(u64),
    /// Minus one, minus this.
    Negative(u64),
    Bytes(Cow<'a, [u8]>),
    Text(Cow<'a, str>),
    /// So many elements follow; if none is given, elements up to a break.
    Array(Option<u64>),
    /// So many pairs follow; if none is given, pairs up to a break.
    Map(Option<u64>),
    Boolean(bool),
    /// `null`, and `undefined` too.
    Null,
    Float(f64),
}

/// A place in a body.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    depth: usize,
}

/// The argument of a head, for the major types whose items can end with a break.
type Length = Option<u64>;

impl<'a> Reader<'a> {
    pub(super) const fn new(body: &'a [u8]) -> Self {
        Self { rest: body, depth: 0 }
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Goes one level deeper, if that is allowed.
    pub(super) fn enter(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > CBOR_DEPTH_MAX { Err(Fault::Malformed) } else { Ok(()) }
    }

    /// Comes back.
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Whether a break comes next, which is taken then.
    pub(super) fn take_break(&mut self) -> Result<bool, Fault> {
        match self.rest.split_first() {
            Some((0xff, rest)) => {
                self.rest = rest;
                Ok(true)
            }
            Some(_) => Ok(false),
            None => Err(Fault::Malformed),
        }
    }

    /// Whether `null` or `undefined` comes next, which is taken then.
    #[inline]
    pub(super) fn take_null(&mut self) -> bool {
        match self.rest.split_first() {
            Some((0xf6 | 0xf7, rest)) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// The next item; tags before it say nothing that its place does not say.
    #[inline]
    pub(super) fn item(&mut self) -> Result<Item<'a>, Fault> {
        loop {
            let first = self.byte()?;
            let (major, info) = (first >> 5, first & 0x1f);
            return Ok(match major {
                UNSIGNED => Item::Unsigned(self.argument(info)?),
                NEGATIVE => Item::Negative(self.argument(info)?),
                BYTES => match self.length(info)? {
                    Some(length) => Item::Bytes(Cow::Borrowed(self.take(length)?)),
                    None => Item::Bytes(Cow::Owned(self.chunks(BYTES)?)),
                },
                TEXT => match self.length(info)? {
                    Some(length) => Item::Text(Cow::Borrowed(text(self.take(length)?)?)),
                    None => {
                        let joined = String::from_utf8(self.chunks(TEXT)?);
                        Item::Text(Cow::Owned(joined.map_err(|_| Fault::Malformed)?))
                    }
                },
                ARRAY => Item::Array(self.length(info)?),
                MAP => Item::Map(self.length(info)?),
                TAG => {
                    self.argument(info)?;
                    continue;
                }
                _ => self.simple(info)?,
            });
        }
    }

    fn simple(&mut self, info: u8) -> Result<Item<'a>, Fault> {
        Ok(match info {
            20 => Item::Boolean(false),
            21 => Item::Boolean(true),
            22 | 23 => Item::Null,
            25 => Item::Float(half(u16::from_be_bytes(self.array()?))),
            26 => Item::Float(f32::from_be_bytes(self.array()?).into()),
            27 => Item::Float(f64::from_be_bytes(self.array()?)),
            _ => return Err(Fault::Malformed),
        })
    }

    /// Passes over the next item with all that is in it.
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        let mut first = self.byte()?;
        while first >> 5 == TAG {
            self.argument(first & 0x1f)?;
            first = self.byte()?;
        }
        let (major, info) = (first >> 5, first & 0x1f);
        match major {
            UNSIGNED | NEGATIVE => self.argument(info).map(drop),
            BYTES => match self.length(info)? {
                Some(length) => self.take(length).map(drop),
                None => self.chunks(BYTES).map(drop),
            },
            TEXT => match self.length(info)? {
                Some(length) => text(self.take(length)?).map(drop),
                None => {
                    let joined = self.chunks(TEXT)?;
                    text(&joined).map(drop)
                }
            },
            ARRAY => self.skip_items(info, 1),
            MAP => self.skip_items(info, 2),
            // The values that mean nothing yet are well-formed, too.
            SIMPLE if info < 20 => Ok(()),
            SIMPLE if info == 24 => self.byte().map(drop),
            SIMPLE => self.simple(info).map(drop),
            _ => Err(Fault::Malformed),
        }
    }

    fn skip_items(&mut self, info: u8, per_element: u64) -> Result<(), Fault> {
        let length = self.length(info)?;
        self.enter()?;
        let mut left = length;
        while self.goes_on(&mut left)? {
            for _ in 0..per_element {
                self.skip()?;
            }
        }
        self.leave();
        Ok(())
    }

    /// Whether an array or map has one more element, which is counted then.
    #[inline]
    pub(super) fn goes_on(&mut self, left: &mut Length) -> Result<bool, Fault> {
        match left {
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None => Ok(!self.take_break()?),
        }
    }

    /// The pieces of a text or of bytes up to a break, each of definite length. Pieces of a text are
    /// put together before they are looked at, so that one may end within a character.
    fn chunks(&mut self, major: u8) -> Result<Vec<u8>, Fault> {
        let mut joined = Vec::new();
        while !self.take_break()? {
            let first = self.byte()?;
            let length = (first >> 5 == major).then(|| self.length(first & 0x1f));
            let length = length.ok_or(Fault::Malformed)??.ok_or(Fault::Malformed)?;
            joined.extend_from_slice(self.take(length)?);
        }
        Ok(joined)
    }

    #[inline]
    fn length(&mut self, info: u8) -> Result<Length, Fault> {
        if info == 31 { Ok(None) } else { self.argument(info).map(Some) }
    }

    #[inline]
    fn argument(&mut self, info: u8) -> Result<u64, Fault> {
        Ok(match info {
            0..=23 => info.into(),
            24 => self.byte()?.into(),
            25 => u16::from_be_bytes(self.array()?).into(),
            26 => u32::from_be_bytes(self.array()?).into(),
            27 => u64::from_be_bytes(self.array()?),
            _ => return Err(Fault::Malformed),
        })
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Fault> {
        let (byte, rest) = self.rest.split_first().ok_or(Fault::Malformed)?;
        self.rest = rest;
        Ok(*byte)
    }

    #[inline]
    fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Fault> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Fault::Malformed)?;
        self.rest = rest;
        Ok(*array)
    }

    #[inline]
    fn take(&mut self, length: u64) -> Result<&'a [u8], Fault> {
        let length = usize::try_from(length).map_err(|_| Fault::Malformed)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Fault::Malformed)?;
        self.rest = rest;
        Ok(taken)
    }
}

#[inline]
fn text(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| Fault::Malformed)
}

/// A number of half precision (RFC 8949, appendix D).
fn half(bits: u16) -> f64 {
    let (exponent, mantissa) = ((bits >> 10) & 0x1f, f64::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => mantissa * 2f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (mantissa + 1024.0) * 2f64.powi(i32::from(exponent) - 25),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}
