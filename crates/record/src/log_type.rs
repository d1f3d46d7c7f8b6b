//! The log type: foreign text, or the name for what a record lacks.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::segment;

/// What of the Common Schema a record does not keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchemaProblem {
    /// No log type (or one that is neither text nor a number).
    UnknownType,
    /// No time.
    NoTimestamp,
    /// A time that cannot be understood.
    BadTimestamp,
}

/// A log type; cheap to clone.
///
/// A record without a type, or without a usable time, gets a name under the unknown prefix, as in the originals:
/// `{prefix}/unknown_type`, `{prefix}/{log_type}/no_timestamp`, `{prefix}/{log_type}/bad_timestamp`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogType {
    /// UTF-8.
    declared: Option<Bytes>,
    /// Set for problems only, so that ordinary records share nothing but their own bytes.
    problem: Option<Problem>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Problem {
    prefix: Arc<str>,
    time: Option<TimeProblem>,
}

/// What is wrong with a record's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TimeProblem {
    Missing,
    Bad,
}

const UNKNOWN_TYPE: &str = "unknown_type";

impl LogType {
    /// The type as a record gives it, if it does; `declared` is UTF-8.
    #[inline]
    pub(crate) fn new(
        declared: Option<Bytes>,
        time: Option<TimeProblem>,
        unknown_prefix: &str,
    ) -> Self {
        let is_problem = declared.is_none() || time.is_some();
        let problem = is_problem.then(|| Problem { prefix: unknown_prefix.into(), time });
        Self { declared, problem }
    }

    /// The same with another value for the one that the record gives.
    pub fn redeclared(&self, declared: String) -> Self {
        Self { declared: Some(declared.into()), problem: self.problem.clone() }
    }

    /// The record's own value, unescaped; `None` when it has none.
    pub fn declared(&self) -> Option<&str> {
        let text = self.declared.as_deref()?;
        Some(std::str::from_utf8(text).expect("made from UTF-8 only"))
    }

    /// What the record lacks, if anything. A record that lacks both its type and its time has an unknown type.
    pub fn problem(&self) -> Option<SchemaProblem> {
        let problem = self.problem.as_ref()?;
        match problem.time {
            _ if self.declared.is_none() => Some(SchemaProblem::UnknownType),
            None => None,
            Some(TimeProblem::Missing) => Some(SchemaProblem::NoTimestamp),
            Some(TimeProblem::Bad) => Some(SchemaProblem::BadTimestamp),
        }
    }

    /// The name as the originals spell it. Foreign text: not for keys, index names or tags.
    pub fn name(&self) -> Cow<'_, str> {
        let declared = self.declared();
        match (&self.problem, declared) {
            (None, Some(name)) => Cow::Borrowed(name),
            _ => Cow::Owned(self.spelled(Cow::Borrowed(declared.unwrap_or(UNKNOWN_TYPE)))),
        }
    }

    /// The name for object keys: parts joined by `/`, of which the foreign one cannot leave its place.
    ///
    /// Names of `A-Z a-z 0-9 _ . -` stay as they are; every other byte, and a name of dots alone, is percent-encoded;
    /// the empty name is `%empty`. What would be longer than 255 bytes is cut and ends in `~` and a hash of the whole.
    pub fn key_segment(&self) -> String {
        self.spelled(segment::for_key(self.declared().unwrap_or(UNKNOWN_TYPE)))
    }

    /// The name for a part of an Elasticsearch index name: lower case, at most 200 bytes, without `\ / * ? " < > |`,
    /// space, `,`, `#`, `:` and without `-`, `_`, `+` or `.` at its start.
    ///
    /// A name that needs more than lower case gets a hash of the whole appended, so that two types share an index only
    /// when they differ in case alone.
    pub fn index_segment(&self) -> String {
        segment::for_index(&self.name())
    }

    /// The name for a part of a Fluent tag; spelled like [`key_segment`](Self::key_segment).
    pub fn tag_segment(&self) -> String {
        self.key_segment()
    }

    fn spelled(&self, log_type: Cow<'_, str>) -> String {
        let Some(problem) = &self.problem else {
            return log_type.into_owned();
        };
        let prefix = &problem.prefix;
        match problem.time {
            None => format!("{prefix}/{log_type}"),
            Some(TimeProblem::Missing) => format!("{prefix}/{log_type}/no_timestamp"),
            Some(TimeProblem::Bad) => format!("{prefix}/{log_type}/bad_timestamp"),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{LogType, SchemaProblem, TimeProblem};

    fn log_type(declared: Option<&'static str>, time: Option<TimeProblem>) -> LogType {
        LogType::new(declared.map(|text| Bytes::from_static(text.as_bytes())), time, "unknown")
    }

    #[test]
    fn names_under_the_unknown_prefix_are_those_of_the_originals() {
        for (declared, time, name, problem) in [
            (Some("auth"), None, "auth", None),
            (None, None, "unknown/unknown_type", Some(SchemaProblem::UnknownType)),
            (
                Some("auth"),
                Some(TimeProblem::Missing),
                "unknown/auth/no_timestamp",
                Some(SchemaProblem::NoTimestamp),
            ),
            (
                Some("auth"),
                Some(TimeProblem::Bad),
                "unknown/auth/bad_timestamp",
                Some(SchemaProblem::BadTimestamp),
            ),
            (
                None,
                Some(TimeProblem::Missing),
                "unknown/unknown_type/no_timestamp",
                Some(SchemaProblem::UnknownType),
            ),
        ] {
            let log_type = log_type(declared, time);
            assert_eq!(log_type.name(), name);
            assert_eq!(log_type.key_segment(), name);
            assert_eq!(log_type.tag_segment(), name);
            assert_eq!(log_type.problem(), problem);
            assert_eq!(log_type.declared(), declared);
        }
    }

    #[test]
    fn only_the_foreign_part_of_a_key_is_encoded() {
        let missing = log_type(Some("../a"), Some(TimeProblem::Missing));
        assert_eq!(missing.key_segment(), "unknown/..%2Fa/no_timestamp");
    }
}
