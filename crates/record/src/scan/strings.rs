//! All strings of a value, however deep they stand.

use std::ops::Range;

use memchr::memchr;

use super::string;

/// Calls `visit` with the content, between its quotes, of each string within `span` that is a value: keys are none.
/// `span` is a value of a text that is known to be valid. Nesting costs neither heap nor stack.
pub fn strings<F>(text: &[u8], span: Range<usize>, mut visit: F)
where
    F: FnMut(Range<usize>),
{
    let text = &text[..span.end];
    let mut at = span.start;
    // Quotes stand around strings alone, so that the next one always begins one.
    while let Some(offset) = text.get(at..).and_then(|rest| memchr(b'"', rest)) {
        let start = at + offset + 1;
        let Ok((end, _)) = string::end(text, start) else { return };
        at = end + 1;
        if !is_key(&text[at..]) {
            visit(start..end);
        }
    }
}

/// Whether what ends before `rest` is a key.
fn is_key(rest: &[u8]) -> bool {
    let next = rest.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    next == Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::strings;

    fn found(text: &str, part: &str) -> Vec<String> {
        let start = text.find(part).unwrap();
        let mut found = Vec::new();
        strings(text.as_bytes(), start..start + part.len(), |content| {
            found.push(text[content].to_owned());
        });
        found
    }

    #[test]
    fn values_are_found_at_every_depth_and_keys_are_not() {
        let text = r#"{"a":"1","b" : ["2",{"c":{"d":"3:\"x\""}},4,"5:"],"e":"" }"#;
        assert_eq!(found(text, text), ["1", "2", r#"3:\"x\""#, "5:", ""]);
    }

    #[test]
    fn only_the_value_asked_for_is_looked_at() {
        let text = r#"{"a":"1","b":["2"],"c":"3"}"#;
        assert_eq!(found(text, r#"["2"]"#), ["2"]);
        assert_eq!(found(text, r#""1""#), ["1"]);
        assert_eq!(found(text, r#""3""#), ["3"]);
        assert!(found("[1,true]", "[1,true]").is_empty());
    }
}
