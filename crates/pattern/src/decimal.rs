//! Numbers as JSON writes them, compared as the decimals that they are: nothing is rounded, and nothing is computed.

use std::cmp::Ordering;

/// A decimal of any size: ± 0.DIGITS × 10^magnitude, where the digits neither begin nor end with 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decimal {
    is_negative: bool,
    /// ASCII; empty for zero.
    digits: Box<[u8]>,
    magnitude: i64,
}

/// The same, in the text of a number: its digits stand before and behind the point.
#[derive(Debug, Clone, Copy)]
struct Written<'t> {
    is_negative: bool,
    before: &'t [u8],
    behind: &'t [u8],
    magnitude: i64,
}

impl Decimal {
    /// Reads a number of JSON.
    pub(crate) fn read(number: &[u8]) -> Self {
        let Written { is_negative, before, behind, magnitude } = Written::read(number);
        Self { is_negative, digits: [before, behind].concat().into(), magnitude }
    }

    /// How `number`, a number of JSON, compares with this one.
    pub(crate) fn order_of(&self, number: &[u8]) -> Ordering {
        Written::read(number).cmp(self.written())
    }

    /// How this number compares with another.
    pub(crate) fn cmp(&self, other: &Self) -> Ordering {
        self.written().cmp(other.written())
    }

    fn written(&self) -> Written<'_> {
        let Self { is_negative, digits, magnitude } = self;
        Written { is_negative: *is_negative, before: digits, behind: &[], magnitude: *magnitude }
    }
}

impl<'t> Written<'t> {
    fn read(number: &'t [u8]) -> Self {
        let (is_negative, number) = match number.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, number),
        };
        let exponent_at = number.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (digits, exponent) = match exponent_at {
            Some(at) => (&number[..at], exponent(&number[at + 1..])),
            None => (number, 0),
        };
        let point = digits.iter().position(|&byte| byte == b'.');
        let (before, behind) = match point {
            Some(at) => (&digits[..at], &digits[at + 1..]),
            None => (digits, &[][..]),
        };
        let mut magnitude = exponent;
        let mut before = without_leading_zeros(before);
        let mut behind = without_trailing_zeros(behind);
        if before.is_empty() {
            let all = behind.len();
            behind = without_leading_zeros(behind);
            magnitude = magnitude.saturating_sub(length(all - behind.len()));
        } else {
            magnitude = magnitude.saturating_add(length(before.len()));
        }
        if behind.is_empty() {
            before = without_trailing_zeros(before);
        }
        if before.is_empty() && behind.is_empty() {
            return Self { is_negative: false, before, behind, magnitude: 0 };
        }
        Self { is_negative, before, behind, magnitude }
    }

    fn cmp(self, other: Self) -> Ordering {
        let signs = self.sign().cmp(&other.sign());
        if signs.is_ne() {
            return signs;
        }
        let sizes = self.magnitude.cmp(&other.magnitude).then_with(|| {
            let digits = self.before.iter().chain(self.behind);
            digits.cmp(other.before.iter().chain(other.behind))
        });
        if self.is_negative { sizes.reverse() } else { sizes }
    }

    fn sign(self) -> i8 {
        match (self.before.is_empty() && self.behind.is_empty(), self.is_negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }
}

/// What stands behind the `e`. An exponent beyond 64 bits, which no sane number has, is as large as they go.
fn exponent(text: &[u8]) -> i64 {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let size = digits.iter().fold(0_i64, |value, digit| {
        value.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    if is_negative { -size } else { size }
}

fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn without_leading_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    &digits[zeros..]
}

fn without_trailing_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().rev().take_while(|&&digit| digit == b'0').count();
    &digits[..digits.len() - zeros]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(one: &str, other: &str) -> Ordering {
        let order = Decimal::read(other.as_bytes()).order_of(one.as_bytes());
        let (one, other) = (Decimal::read(one.as_bytes()), Decimal::read(other.as_bytes()));
        assert_eq!(one.cmp(&other), order);
        assert_eq!(one == other, order.is_eq());
        order
    }

    #[test]
    fn spellings_of_one_number_are_equal() {
        for spellings in [
            &["300", "300.0", "3e2", "3.0E+2", "0.3e3", "30000e-2", "300.000e0"][..],
            &["0", "-0", "0.0", "0e99", "-0.000e-7"],
            &["-1.5", "-15e-1", "-0.15e1", "-1.50"],
            &["0.001", "1e-3", "0.1e-2", "10e-4"],
            &["100", "1e2"],
            &["1e99999999999999999999", "1e99999999999999999998"],
        ] {
            for one in spellings {
                for other in spellings {
                    assert_eq!(order(one, other), Ordering::Equal, "{one} {other}");
                }
            }
        }
    }

    #[test]
    fn numbers_keep_their_order_where_binary_fractions_lose_it() {
        let ascending = [
            "-1e400",
            "-9007199254740993",
            "-9007199254740992",
            "-2",
            "-1.5",
            "-1",
            "-1e-400",
            "0",
            "1e-400",
            "0.1",
            "0.10000000000000000001",
            "0.12",
            "0.3",
            "0.30000000000000004",
            "1",
            "1.0000000000000000001",
            "9.99",
            "10",
            "12",
            "120",
            "9007199254740992",
            "9007199254740993",
            "12345678901234567890",
            "12345678901234567891",
            "1e400",
            "1.1e400",
        ];
        for (place, one) in ascending.iter().enumerate() {
            for (other_place, other) in ascending.iter().enumerate() {
                assert_eq!(order(one, other), place.cmp(&other_place), "{one} {other}");
            }
        }
    }

    proptest! {
        #[test]
        fn integers_compare_as_integers(one in any::<i64>(), other in any::<i64>()) {
            prop_assert_eq!(order(&one.to_string(), &other.to_string()), one.cmp(&other));
        }

        #[test]
        fn shifted_integers_compare_as_shifted(
            one in -9999_i64..9999, other in -9999_i64..9999, shift in 0_usize..4, zeros in 0_usize..3
        ) {
            let written = format!("{one}{}e-{}", "0".repeat(zeros), shift + zeros);
            let scaled = 10_i64.pow(u32::try_from(shift).unwrap());
            prop_assert_eq!(order(&written, &other.to_string()), one.cmp(&(other * scaled)));
        }
    }
}
