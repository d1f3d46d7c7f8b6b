//! Timestamps as python-dateutil reads them (`dateutil.parser.parse`, version 2.9.0, without options), and numbers since the epoch.
//!
//! A stamp goes the short way (`iso8601`, `ctime`: the layouts that logs are full of) or the long one, which gives the
//! same answers: `lexer` → `parse` (what each token can be, with `names`) → `date_parts` (which number is the year) →
//! `resolve` (fill up, check, apply the zone).

mod ctime;
mod date_parts;
mod epoch;
mod iso8601;
mod lexer;
mod names;
mod number;
mod parse;
mod resolve;

use jiff::civil::{Date, DateTime};
use thiserror::Error;

pub(crate) use epoch::epoch_nanos;

/// No layout that is in use comes near; the bound keeps a foreign megabyte from being split into tokens.
const BYTES_MAX: usize = 256;

/// A timestamp's wall clock and, when it carries one, its UTC offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParsedTime {
    /// Wall clock, in microseconds (further digits are cut).
    pub civil: DateTime,
    /// Seconds east of UTC, less than a day either way; `None` when the stamp has none, or names a zone other than UTC.
    pub offset_seconds: Option<i32>,
}

/// Why a text is no timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TimestampError {
    /// Longer than any timestamp is.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Something in it has no meaning where it stands.
    #[error("not a known timestamp format")]
    UnknownFormat,
    /// All of it can be understood, but there is no such date, time or offset.
    #[error("no such date, time or UTC offset")]
    OutOfRange,
}

/// Reads a timestamp; what it does not say is that of `default`, at midnight. Two digits of a year are within 50 years
/// of `default`.
///
/// Digits other than ASCII ones are refused, where dateutil would read them.
///
/// # Errors
/// When dateutil would raise, and on more than 256 bytes.
pub fn parse_timestamp(text: &str, default: Date) -> Result<ParsedTime, TimestampError> {
    parse_with(text.as_bytes(), || default)
}

/// As [`parse_timestamp`], for UTF-8 bytes and a default that is asked for only if it is needed.
#[inline]
pub(crate) fn parse_with<D>(text: &[u8], default: D) -> Result<ParsedTime, TimestampError>
where
    D: FnOnce() -> Date,
{
    if text.len() > BYTES_MAX {
        return Err(TimestampError::TooLong { limit: BYTES_MAX });
    }
    if let Some(parsed) = iso8601::parse(text).or_else(|| ctime::parse(text)) {
        return Ok(parsed);
    }
    let text = std::str::from_utf8(text).map_err(|_| TimestampError::UnknownFormat)?;
    parse_any(text, default())
}

fn parse_any(text: &str, default: Date) -> Result<ParsedTime, TimestampError> {
    // Dateutil reads over NUL characters, even within a word.
    let without_nul = text.contains('\0').then(|| text.replace('\0', ""));
    let tokens = lexer::tokens(without_nul.as_deref().unwrap_or(text));
    let fields = parse::fields(&tokens, default.year()).ok_or(TimestampError::UnknownFormat)?;
    resolve::resolve(&fields, default)
}

/// The value of `N` ASCII digits at `at`.
#[inline]
fn digits<const N: usize>(text: &[u8], at: usize) -> Option<i32> {
    let digits = text.get(at..)?.first_chunk::<N>()?;
    digits.iter().try_fold(0, |value, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then_some(value * 10 + i32::from(digit))
    })
}

#[cfg(test)]
mod tests;
