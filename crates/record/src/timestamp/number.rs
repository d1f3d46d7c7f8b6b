//! Numbers of a timestamp: digits, with at most one point or comma between them.

/// As many places as an exact minute or second can depend on.
const FRACTION_PLACES_MAX: usize = 30;

/// A token that is a number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number<'t> {
    /// As written.
    pub(super) text: &'t str,
    whole: &'t str,
    fraction: &'t str,
}

impl<'t> Number<'t> {
    pub(super) fn read(token: &'t str) -> Option<Self> {
        let (whole, fraction) = match token.find(['.', ',']) {
            Some(point) => (&token[..point], Some(&token[point + 1..])),
            None => (token, None),
        };
        let is_number = is_digits(whole) && fraction.is_none_or(is_digits);
        is_number.then_some(Self { text: token, whole, fraction: fraction.unwrap_or("") })
    }

    /// Rounded down.
    pub(super) fn whole(&self) -> i64 {
        saturating(self.whole)
    }

    pub(super) fn has_point(&self) -> bool {
        self.whole.len() < self.text.len()
    }

    pub(super) fn is_more_than(&self, bound: i64) -> bool {
        self.whole() > bound
            || self.whole() == bound && self.fraction.bytes().any(|digit| digit != b'0')
    }

    /// Sixtieths in the fraction, rounded down; `None` when the fraction is zero.
    pub(super) fn sixtieths(&self) -> Option<i64> {
        let places = self.fraction.len().min(FRACTION_PLACES_MAX);
        let digits: u128 = self.fraction[..places].parse().ok()?;
        let is_zero = self.fraction.bytes().all(|digit| digit == b'0');
        let sixtieths = digits * 60 / 10_u128.pow(places as u32);
        (!is_zero).then(|| i64::try_from(sixtieths).expect("a fraction has less than 60 sixtieths"))
    }

    /// Seconds and microseconds; further digits are cut.
    pub(super) fn seconds(&self) -> (i64, i64) {
        let micros = self.fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
        let micros = micros.fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
        (self.whole(), micros)
    }
}

/// The value of a text of digits alone.
pub(super) fn integer(text: &str) -> Option<i64> {
    is_digits(text).then(|| saturating(text))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Larger numbers are out of every range alike; this bound leaves room to calculate.
fn saturating(digits: &str) -> i64 {
    const MAX: i64 = i32::MAX as i64;
    digits.parse().map_or(MAX, |value: i64| value.min(MAX))
}
