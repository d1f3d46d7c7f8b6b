//! Where a field of the Common Schema stands in a record.

use std::fmt;
use std::ops::Range;

use thiserror::Error;

use crate::scan::{self, Cursor, Key};

/// A field's place: a top-level key, a dotted path (`a.b`) or a JSON pointer (`/a/b`, RFC 6901).
///
/// A top-level key that is literally the whole text outranks the path. In a JSON pointer a number also chooses an
/// element of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    text: Box<str>,
    /// Empty when the text has no parts.
    parts: Box<[Box<str>]>,
}

/// Why a text is no field path.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FieldPathError {
    /// No text at all.
    #[error("a field name must not be empty")]
    Empty,
    /// A dotted path with nothing between two dots.
    #[error(
        "`{path}` has an empty part; a name that begins or ends with a dot can be written as a JSON pointer"
    )]
    EmptyPart {
        /// The text given.
        path: String,
    },
    /// A JSON pointer in which `~` is not followed by `0` or `1`.
    #[error("`{path}`: in a JSON pointer `~` is written `~0`, and `/` inside of a name `~1`")]
    BadEscape {
        /// The text given.
        path: String,
    },
}

/// The values that a pass over the root object found for one path.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    literal: Option<Range<usize>>,
    first_part: Option<Range<usize>>,
}

impl FieldPath {
    /// Reads `log_type`, `a.b` or `/a/b`.
    ///
    /// # Errors
    /// An empty text, an empty part of a dotted path, or an unknown escape in a JSON pointer.
    pub fn parse(text: &str) -> Result<Self, FieldPathError> {
        if text.is_empty() {
            return Err(FieldPathError::Empty);
        }
        let parts = match text.strip_prefix('/') {
            Some(pointer) => {
                pointer.split('/').map(|part| pointer_part(text, part)).collect::<Result<_, _>>()?
            }
            None if text.contains('.') => {
                text.split('.').map(|part| dotted_part(text, part)).collect::<Result<_, _>>()?
            }
            None => Box::default(),
        };
        let text = text.into();
        Ok(Self { text, parts })
    }

    /// Where the values of `paths` stand in `text`, which is valid JSON; none of a path that leads nowhere.
    pub fn find_all(paths: &[Self], text: &[u8]) -> Vec<Option<Range<usize>>> {
        if paths.is_empty() {
            return Vec::new();
        }
        let mut found: Vec<_> = paths.iter().map(|_| Candidates::default()).collect();
        let passed = scan::root(text, |cursor, key| {
            let value = cursor.value()?;
            for (path, found) in paths.iter().zip(&mut found) {
                path.offer(found, key, &value);
            }
            Ok(())
        });
        let found = paths.iter().zip(found);
        found.map(|(path, found)| path.resolve(text, found).filter(|_| passed.is_ok())).collect()
    }

    /// Notes a member of the root object if this path leads to it or through it. A later one replaces an earlier one of
    /// the same key, as in the originals.
    #[inline(always)]
    pub(crate) fn offer(&self, found: &mut Candidates, key: Key<'_>, value: &Range<usize>) {
        if key.is(self.text.as_bytes()) {
            found.literal = Some(value.clone());
        } else if let Some(first) = self.parts.first()
            && key.is(first.as_bytes())
        {
            found.first_part = Some(value.clone());
        }
    }

    /// The value that this path leads to in `text`, which is valid JSON.
    #[inline]
    pub(crate) fn resolve(&self, text: &[u8], found: Candidates) -> Option<Range<usize>> {
        if found.literal.is_some() {
            return found.literal;
        }
        let rest = self.parts.get(1..)?;
        let first = found.first_part?;
        rest.iter().try_fold(first, |outer, part| child(text, outer, part))
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn dotted_part(path: &str, part: &str) -> Result<Box<str>, FieldPathError> {
    if part.is_empty() {
        return Err(FieldPathError::EmptyPart { path: path.into() });
    }
    Ok(part.into())
}

fn pointer_part(path: &str, part: &str) -> Result<Box<str>, FieldPathError> {
    let mut escapes = part.split('~').skip(1);
    if escapes.any(|after| !after.starts_with(['0', '1'])) {
        return Err(FieldPathError::BadEscape { path: path.into() });
    }
    Ok(part.replace("~1", "/").replace("~0", "~").into())
}

fn child(text: &[u8], outer: Range<usize>, part: &str) -> Option<Range<usize>> {
    let mut found = None;
    let mut cursor = Cursor::within(text, outer);
    match cursor.peek() {
        Some(b'{') => cursor.object(|cursor, key| {
            let value = cursor.value()?;
            if key.is(part.as_bytes()) {
                found = Some(value);
            }
            Ok(())
        }),
        Some(b'[') => {
            let mut left = part.parse::<usize>().ok().filter(|index| index.to_string() == part)?;
            cursor.array(|cursor| {
                let value = cursor.value()?;
                if left == 0 && found.is_none() {
                    found = Some(value);
                }
                left = left.saturating_sub(1);
                Ok(())
            })
        }
        _ => Ok(()),
    }
    .ok()?;
    found
}

#[cfg(test)]
mod tests {
    use super::{Candidates, FieldPath, FieldPathError};
    use crate::scan;

    fn find(path: &str, text: &str) -> Option<String> {
        let path = FieldPath::parse(path).unwrap();
        let mut found = Candidates::default();
        scan::root(text.as_bytes(), |cursor, key| {
            let value = cursor.value()?;
            path.offer(&mut found, key, &value);
            Ok(())
        })
        .unwrap();
        path.resolve(text.as_bytes(), found).map(|span| text[span].to_owned())
    }

    #[test]
    fn a_plain_name_is_a_top_level_key() {
        assert_eq!(find("time", r#"{"a":{"time":1},"time":2}"#).as_deref(), Some("2"));
        assert_eq!(find("time", r#"{"a":{"time":1}}"#), None);
    }

    #[test]
    fn dots_and_pointers_lead_into_objects() {
        let text = r#"{"a":{"b":{"c":"x"}},"d/e":{"~":3},"list":[[10],{"k":20}]}"#;
        for (path, value) in [
            ("a.b.c", Some(r#""x""#)),
            ("/a/b/c", Some(r#""x""#)),
            ("/a/b", Some(r#"{"c":"x"}"#)),
            ("/d~1e/~0", Some("3")),
            ("/list/1/k", Some("20")),
            ("/list/0/0", Some("10")),
            ("/list/01/k", None),
            ("/list/2", None),
            ("a.b.d", None),
            ("a.b.c.d", None),
        ] {
            assert_eq!(find(path, text).as_deref(), value, "{path}");
        }
    }

    #[test]
    fn a_literal_key_outranks_a_path() {
        assert_eq!(find("a.b", r#"{"a.b":1,"a":{"b":2}}"#).as_deref(), Some("1"));
        assert_eq!(find("/a", r#"{"a":2,"/a":1}"#).as_deref(), Some("1"));
    }

    #[test]
    fn the_last_of_equal_keys_wins_at_each_level() {
        assert_eq!(find("a.b", r#"{"a":{"b":1},"a":{"b":2,"b":3}}"#).as_deref(), Some("3"));
        assert_eq!(find("a.b", r#"{"a":{"b":1},"a":0}"#), None);
    }

    #[test]
    fn many_paths_are_found_at_once() {
        let text = br#"{"a":{"b":1},"c":"x","a":{"b":2}}"#;
        let paths = ["a.b", "c", "d"].map(|path| FieldPath::parse(path).unwrap());
        let found = FieldPath::find_all(&paths, text);
        let shown: Vec<_> = found.into_iter().map(|span| span.map(|span| &text[span])).collect();
        assert_eq!(shown, [Some(&b"2"[..]), Some(br#""x""#), None]);
        assert_eq!(FieldPath::find_all(&paths, b"{\"c\":1"), [None, None, None]);
        assert!(FieldPath::find_all(&[], text).is_empty());
    }

    #[test]
    fn broken_paths_are_refused() {
        let path = |text: &str| FieldPath::parse(text).unwrap_err();
        assert_eq!(path(""), FieldPathError::Empty);
        assert_eq!(path("a..b"), FieldPathError::EmptyPart { path: "a..b".into() });
        assert_eq!(path("/a~2"), FieldPathError::BadEscape { path: "/a~2".into() });
        assert_eq!(path("/a~"), FieldPathError::BadEscape { path: "/a~".into() });
    }
}
