//! Splits a timestamp where the kind of character changes: words, numbers, single signs.
//!
//! A point or comma within digits makes a decimal number (`17.25`); if the whole turns out to be anything else
//! (`25.Sep.2003`, `10.09.2003`), it is split at these signs.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Letter,
    Digit,
    Space,
    Sign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Word,
    Number,
    /// A word with points; what follows may be words again.
    DottedWord,
    /// A number with points.
    DottedNumber,
}

/// The tokens of a text, white space as one `" "` for each character.
pub(super) fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::with_capacity(24);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match kind(first) {
            Kind::Space => {
                tokens.push(" ");
                first.len_utf8()
            }
            Kind::Sign => {
                tokens.push(&rest[..first.len_utf8()]);
                first.len_utf8()
            }
            Kind::Letter => push_run(&mut tokens, rest, State::Word),
            Kind::Digit => push_run(&mut tokens, rest, State::Number),
        };
        rest = &rest[length..];
    }
    tokens
}

/// Letters other than ASCII ones have no meaning to tell apart, nor have digits.
fn kind(symbol: char) -> Kind {
    match symbol {
        'a'..='z' | 'A'..='Z' => Kind::Letter,
        '0'..='9' => Kind::Digit,
        // Separators that Python counts as white space, other than Unicode.
        '\x1c'..='\x1f' => Kind::Space,
        _ if symbol.is_whitespace() => Kind::Space,
        _ if symbol.is_ascii() => Kind::Sign,
        _ => Kind::Letter,
    }
}

/// Adds the token or tokens of the run of letters or digits at the start of `rest`, and gives its length.
fn push_run<'t>(tokens: &mut Vec<&'t str>, rest: &'t str, start: State) -> usize {
    let mut state = start;
    let mut letters_seen = false;
    let mut length = 0;
    for symbol in rest.chars() {
        let before = &rest[..length];
        letters_seen |= length > 0 && matches!(state, State::Word | State::DottedWord);
        state = match (state, symbol, kind(symbol)) {
            (State::Word, '.', _) => State::DottedWord,
            (State::Word, _, Kind::Letter) => State::Word,
            (State::Number, _, Kind::Digit) => State::Number,
            (State::Number, '.', _) => State::DottedNumber,
            (State::Number, ',', _) if length >= 2 => State::DottedNumber,
            (State::DottedWord, '.', _) | (State::DottedWord, _, Kind::Letter) => State::DottedWord,
            (State::DottedWord, _, Kind::Digit) if before.ends_with('.') => State::DottedNumber,
            (State::DottedNumber, '.', _) | (State::DottedNumber, _, Kind::Digit) => {
                State::DottedNumber
            }
            (State::DottedNumber, _, Kind::Letter) if before.ends_with('.') => State::DottedWord,
            _ => break,
        };
        length += symbol.len_utf8();
    }
    let run = &rest[..length];
    let dotted = matches!(state, State::DottedWord | State::DottedNumber);
    let several = run.matches('.').count() > 1;
    if dotted && (letters_seen || several || run.ends_with(['.', ','])) {
        tokens.extend(run.split_inclusive(['.', ',']).flat_map(split_off_sign));
    } else {
        tokens.push(run);
    }
    length
}

/// `"Sep."` is `"Sep"` and `"."`.
fn split_off_sign(part: &str) -> impl Iterator<Item = &str> {
    let word = part.trim_end_matches(['.', ',']);
    let sign = &part[word.len()..];
    [word, sign].into_iter().filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::tokens;

    #[test]
    fn a_text_is_split_where_the_kind_of_character_changes() {
        for (text, expected) in [
            ("", vec![]),
            ("10:36:28", vec!["10", ":", "36", ":", "28"]),
            ("Sep\t25", vec!["Sep", " ", "25"]),
            ("28.5 x", vec!["28.5", " ", "x"]),
            ("28,5", vec!["28,5"]),
            ("8,5", vec!["8", ",", "5"]),
            ("28,", vec!["28", ","]),
            ("10.09.03", vec!["10", ".", "09", ".", "03"]),
            ("25.Sep.2003", vec!["25", ".", "Sep", ".", "2003"]),
            ("p.m.", vec!["p", ".", "m", "."]),
            ("10.a", vec!["10.a"]),
            ("1..2", vec!["1", ".", ".", "2"]),
            ("5é,日", vec!["5", "é", ",", "日"]),
        ] {
            assert_eq!(tokens(text), expected, "{text}");
        }
    }
}
