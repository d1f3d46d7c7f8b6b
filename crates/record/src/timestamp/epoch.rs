//! Numbers since the Unix epoch, their unit told by their magnitude.

/// From here on a number counts milliseconds: as seconds it would be the year 5138, as milliseconds it is 1973.
const MILLIS_MIN: i128 = 100_000_000_000;
const MICROS_MIN: i128 = MILLIS_MIN * 1000;
const NANOS_MIN: i128 = MICROS_MIN * 1000;

/// More digits than nanoseconds of any year have; further ones change nothing.
const DIGITS_MAX: usize = 30;

/// Nanoseconds since the epoch for a number of JSON: seconds below 10¹¹ either way, then milliseconds, from 10¹⁴
/// microseconds, from 10¹⁷ nanoseconds. Fractions and exponents are allowed; what is finer than a nanosecond is cut.
/// `None` when the number is beyond all calendars.
pub(crate) fn epoch_nanos(number: &[u8]) -> Option<i128> {
    let (negative, magnitude) = match number.strip_prefix(b"-") {
        Some(magnitude) => (true, magnitude),
        None => (false, number),
    };
    let decimal = Decimal::read(magnitude)?;
    let nanos_per_unit_exponent = match decimal.times_ten_to(0)? {
        whole if whole < MILLIS_MIN => 9,
        whole if whole < MICROS_MIN => 6,
        whole if whole < NANOS_MIN => 3,
        _ => 0,
    };
    let nanos = decimal.times_ten_to(nanos_per_unit_exponent)?;
    Some(if negative { -nanos } else { nanos })
}

/// `digits` × 10^`exponent`.
struct Decimal {
    digits: i128,
    exponent: i32,
}

impl Decimal {
    fn read(text: &[u8]) -> Option<Self> {
        let mut decimal = Self { digits: 0, exponent: 0 };
        let mut places = 0;
        let mut after_point = false;
        for (at, &byte) in text.iter().enumerate() {
            match byte {
                b'.' => after_point = true,
                b'e' | b'E' => {
                    // An exponent that is no i32 is out of range, unless there is nothing to multiply.
                    let exponent =
                        std::str::from_utf8(&text[at + 1..]).ok()?.parse::<i32>().ok()?;
                    decimal.exponent = decimal.exponent.checked_add(exponent)?;
                    break;
                }
                digit if places < DIGITS_MAX => {
                    decimal.digits = decimal.digits * 10 + i128::from(digit - b'0');
                    decimal.exponent -= i32::from(after_point);
                    places += usize::from(decimal.digits > 0);
                }
                _ => decimal.exponent += i32::from(!after_point),
            }
        }
        Some(decimal)
    }

    /// Rounded towards zero.
    fn times_ten_to(&self, power: i32) -> Option<i128> {
        let exponent = self.exponent.checked_add(power)?;
        match 10_i128.checked_pow(exponent.unsigned_abs()) {
            Some(factor) if exponent >= 0 => self.digits.checked_mul(factor),
            Some(divisor) => Some(self.digits / divisor),
            None if exponent < 0 || self.digits == 0 => Some(0),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::epoch_nanos;

    #[test]
    fn the_unit_follows_from_the_magnitude() {
        for (number, nanos) in [
            ("0", 0),
            ("-0", 0),
            ("1431857103", 1_431_857_103_000_000_000),
            ("1431857103123", 1_431_857_103_123_000_000),
            ("1431857103123456", 1_431_857_103_123_456_000),
            ("1431857103123456789", 1_431_857_103_123_456_789),
            ("99999999999", 99_999_999_999_000_000_000),
            ("100000000000", 100_000_000_000_000_000),
            ("-86400", -86_400_000_000_000),
            ("-86400000000000", -86_400_000_000_000_000_000),
        ] {
            assert_eq!(epoch_nanos(number.as_bytes()), Some(nanos), "{number}");
        }
    }

    #[test]
    fn fractions_and_exponents_are_exact() {
        for (number, nanos) in [
            ("1431857103.123", 1_431_857_103_123_000_000),
            ("1431857103123.4567891", 1_431_857_103_123_456_789),
            ("1.431857103e9", 1_431_857_103_000_000_000),
            ("1.431857103123E+12", 1_431_857_103_123_000_000),
            ("14318571030e-1", 1_431_857_103_000_000_000),
            ("0.0000000001", 0),
            ("1e-400", 0),
            ("0e400", 0),
            ("1.00000000000000000000000000000000000000000000001", 1_000_000_000),
        ] {
            assert_eq!(epoch_nanos(number.as_bytes()), Some(nanos), "{number}");
        }
    }

    #[test]
    fn numbers_beyond_all_calendars_are_refused() {
        for number in ["1e400", "1e99999999999", "9".repeat(60).as_str()] {
            assert_eq!(epoch_nanos(number.as_bytes()), None, "{number}");
        }
    }
}
