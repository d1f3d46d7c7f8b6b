//! Where a field stands in an event: names with dots between them.

use std::fmt;

use thiserror::Error;

/// Names that a path may have: each could be written with dots in it, which makes twice as many spellings.
const NAMES_MAX: usize = 8;

/// A place in an event. `user.email` leads to `{"user":{"email":…}}`, and to `{"user.email":…}` as well, as in filter
/// patterns; where a dot is written `\.` it is a dot of the name alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    text: Box<str>,
    names: Box<[Box<str>]>,
}

/// Why a text is no path.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum PathError {
    #[error("a field has no name")]
    Empty,
    #[error("`{0}` has nothing between two dots, or at an end; a dot of a name is written `\\.`")]
    EmptyName(String),
    #[error("`{0}` has a backslash before something else than a dot or a backslash")]
    BadEscape(String),
    #[error("`{0}` has more than {NAMES_MAX} names")]
    TooDeep(String),
}

impl Path {
    /// Reads `a`, `a.b` or `a\.b`.
    ///
    /// # Errors
    /// No name, an empty one, an unknown escape, more than 8 names.
    pub(super) fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        let (mut names, mut name) = (Vec::new(), String::new());
        let mut symbols = text.chars();
        while let Some(symbol) = symbols.next() {
            match symbol {
                '\\' => match symbols.next() {
                    Some(escaped @ ('.' | '\\')) => name.push(escaped),
                    _ => return Err(PathError::BadEscape(text.to_owned())),
                },
                '.' => names.push(std::mem::take(&mut name).into_boxed_str()),
                _ => name.push(symbol),
            }
        }
        names.push(name.into_boxed_str());
        if names.iter().any(|name| name.is_empty()) {
            return Err(PathError::EmptyName(text.to_owned()));
        }
        if names.len() > NAMES_MAX {
            return Err(PathError::TooDeep(text.to_owned()));
        }
        Ok(Self { text: text.into(), names: names.into() })
    }

    /// The names that lead there.
    pub(super) fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// The last name, and those before it.
    pub(super) fn split_last(&self) -> (&str, &[Box<str>]) {
        let (last, before) = self.names.split_last().expect("a path has a name");
        (last, before)
    }

    /// All names with dots between them: paths of which this is equal lead to the same field.
    pub(super) fn joined(&self) -> String {
        self.names.join(".")
    }

    /// Every spelling of the place: with each of the dots between names, and as a dot in a name.
    pub(super) fn spellings(&self) -> Vec<Vec<String>> {
        spellings_of(&self.names)
    }
}

fn spellings_of(names: &[Box<str>]) -> Vec<Vec<String>> {
    let (first, rest) = names.split_first().expect("a path has a name");
    let mut all = vec![vec![first.to_string()]];
    for name in rest {
        let joined: Vec<_> = all
            .iter()
            .cloned()
            .map(|mut spelling| {
                if let Some(last) = spelling.last_mut() {
                    last.push('.');
                    last.push_str(name);
                }
                spelling
            })
            .collect();
        for spelling in &mut all {
            spelling.push(name.to_string());
        }
        all.extend(joined);
    }
    all
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        Path::parse(text).unwrap().names().iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn names_stand_between_dots() {
        assert_eq!(names("a"), ["a"]);
        assert_eq!(names("a.b.c"), ["a", "b", "c"]);
        assert_eq!(names(r"a\.b.c\\"), ["a.b", r"c\"]);
        assert_eq!(names("a b/ö"), ["a b/ö"]);
    }

    #[test]
    fn broken_paths_are_refused() {
        let wrong = |text: &str| Path::parse(text).unwrap_err();
        assert_eq!(wrong(""), PathError::Empty);
        for text in ["a..b", ".a", "a.", "."] {
            assert_eq!(wrong(text), PathError::EmptyName(text.to_owned()));
        }
        for text in [r"a\b", r"a\"] {
            assert_eq!(wrong(text), PathError::BadEscape(text.to_owned()));
        }
        assert_eq!(wrong("a.b.c.d.e.f.g.h.i"), PathError::TooDeep("a.b.c.d.e.f.g.h.i".to_owned()));
    }

    #[test]
    fn a_dot_between_names_may_be_one_of_a_name() {
        let mut spellings = Path::parse("a.b.c").unwrap().spellings();
        spellings.sort();
        assert_eq!(
            spellings,
            [vec!["a", "b", "c"], vec!["a", "b.c"], vec!["a.b", "c"], vec!["a.b.c"]]
        );
        assert_eq!(Path::parse(r"a\.b").unwrap().spellings(), [["a.b"]]);
        assert_eq!(Path::parse("a.b.c.d.e.f.g.h").unwrap().spellings().len(), 128);
    }
}
