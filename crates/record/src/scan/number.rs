//! Numbers of JSON: where one ends (RFC 8259, section 6).

use super::Fault;

/// The offset behind the number at `start`, which is a minus sign or a digit.
#[inline]
pub(super) fn end(text: &[u8], start: usize) -> Result<usize, Fault> {
    let minus = usize::from(text.get(start) == Some(&b'-'));
    let first = start + minus;
    let mut at = match text.get(first) {
        Some(b'0') => first + 1,
        _ => digits(text, first)?,
    };
    if text.get(at) == Some(&b'.') {
        at = digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        at = digits(text, at + 1 + sign)?;
    }
    Ok(at)
}

/// The offset behind one or more digits.
#[inline]
fn digits(text: &[u8], start: usize) -> Result<usize, Fault> {
    let mut at = start;
    while text.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    if at == start {
        return Err(Fault { at, what: "a digit" });
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::end;

    #[test]
    fn a_number_ends_where_its_grammar_ends() {
        for (text, length) in [
            ("0", 1),
            ("-0", 2),
            ("10", 2),
            ("01", 1),
            ("1.5e+30,", 7),
            ("1E5", 3),
            ("-12.25e-3]", 9),
        ] {
            assert_eq!(end(text.as_bytes(), 0), Ok(length), "{text}");
        }
    }

    #[test]
    fn an_unfinished_number_is_refused() {
        for text in ["-", "1.", "1.e5", "1e", "1e+", "-x", "1.x"] {
            assert!(end(text.as_bytes(), 0).is_err(), "{text}");
        }
    }
}
