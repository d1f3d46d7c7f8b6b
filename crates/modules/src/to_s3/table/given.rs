//! Columns that the configuration gives.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::REST;
use super::kinds::{FIELDS_MAX, Fields, Kind, NESTING_MAX};

/// A column: the name of a type, a list `["string"]`, or a table of fields.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a column's type: \"string\", \"int\", \"double\", \"boolean\", \"timestamp\", \"json\", a list \
                 of one such as [\"int\"], or a table of fields"
)]
pub enum ColumnType {
    /// A single value.
    Scalar(ScalarType),
    /// A list of one type.
    List(Vec<ColumnType>),
    /// A group.
    Struct(BTreeMap<String, ColumnType>),
}

/// The type of a single value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScalarType {
    /// Text.
    String,
    /// A whole number of 64 bits.
    Int,
    /// A floating-point number of 64 bits.
    Double,
    /// `true` or `false`.
    Boolean,
    /// An instant, in microseconds; from any text or number that is a time of a record.
    Timestamp,
    /// The JSON text of any value.
    Json,
}

/// Columns that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{log_type}: {why}")]
pub struct InvalidColumns {
    log_type: String,
    why: String,
}

/// Says what is wrong with the columns of a log type, if anything is.
///
/// # Errors
/// Names or types that cannot be, or too many of them.
pub(in super::super) fn check_columns(
    log_type: &str,
    columns: &BTreeMap<String, ColumnType>,
) -> Result<(), InvalidColumns> {
    let invalid = |why: String| InvalidColumns { log_type: log_type.to_owned(), why };
    if columns.contains_key(REST) {
        return Err(invalid(format!("{REST} holds what fits into no column, and is always there")));
    }
    let mut left = FIELDS_MAX;
    fields(columns, 1, &mut left).map(|_| ()).map_err(invalid)
}

/// The columns of a log type; those that [`check_columns`] refuses are left out.
pub(super) fn given_fields(columns: &BTreeMap<String, ColumnType>) -> Fields {
    let mut left = FIELDS_MAX;
    fields(columns, 1, &mut left).unwrap_or_default()
}

fn fields(
    columns: &BTreeMap<String, ColumnType>,
    depth: usize,
    left: &mut usize,
) -> Result<Fields, String> {
    let mut fields = Fields::default();
    if depth == 1 {
        fields.reserve(REST);
    }
    for (name, column) in columns {
        *left = left.checked_sub(1).ok_or(format!("has more than {FIELDS_MAX} columns"))?;
        let kind = kind(name, column, depth, left)?;
        fields.add(name.as_bytes(), kind).ok_or_else(|| {
            format!("{name:?} is no name of a column, or differs from another one in case alone")
        })?;
    }
    Ok(fields)
}

fn kind(name: &str, column: &ColumnType, depth: usize, left: &mut usize) -> Result<Kind, String> {
    if depth > NESTING_MAX {
        return Err(format!("{name} lies deeper than {NESTING_MAX} levels: take \"json\""));
    }
    match column {
        ColumnType::Scalar(ScalarType::String) => Ok(Kind::Text),
        ColumnType::Scalar(ScalarType::Int) => Ok(Kind::Int { wide: false }),
        ColumnType::Scalar(ScalarType::Double) => Ok(Kind::Float),
        ColumnType::Scalar(ScalarType::Boolean) => Ok(Kind::Bool),
        ColumnType::Scalar(ScalarType::Timestamp) => Ok(Kind::Timestamp),
        ColumnType::Scalar(ScalarType::Json) => Ok(Kind::Json),
        ColumnType::List(types) => match types.as_slice() {
            [element] => Ok(Kind::List(Box::new(kind(name, element, depth + 1, left)?))),
            _ => Err(format!("{name} is a list, and has one type between its brackets")),
        },
        ColumnType::Struct(columns) if columns.is_empty() => {
            Err(format!("{name} has no fields: take \"json\""))
        }
        ColumnType::Struct(columns) => Ok(Kind::Group(fields(columns, depth + 1, left)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BTreeMap<String, ColumnType>, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn every_type_can_be_given() {
        let columns = read(
            "a = 'string'\nb = 'int'\nc = 'double'\nd = 'boolean'\ne = 'timestamp'\nf = 'json'\n\
             g = ['int']\nh = { x = 'int', y = [['string']] }",
        )
        .unwrap();
        assert_eq!(check_columns("web", &columns), Ok(()));
        let kinds: Vec<_> =
            given_fields(&columns).list.into_iter().map(|field| field.kind).collect();
        assert_eq!(kinds[1], Kind::Int { wide: false });
        assert_eq!(kinds[4], Kind::Timestamp);
        assert_eq!(kinds[6], Kind::List(Box::new(Kind::Int { wide: false })));
        assert!(matches!(&kinds[7], Kind::Group(fields) if fields.list.len() == 2));
    }

    #[test]
    fn mistakes_are_explained() {
        for (text, word) in [
            ("_rest = 'string'", "_rest"),
            ("a = []", "one type"),
            ("a = ['int', 'int']", "one type"),
            ("a = {}", "no fields"),
            ("'' = 'int'", "no name"),
            ("a = 'int'\nA = 'int'", "case"),
            (&format!("a = {}'int'{}", "[".repeat(9), "]".repeat(9)), "deeper"),
        ] {
            let message = check_columns("web", &read(text).unwrap()).unwrap_err().to_string();
            assert!(message.starts_with("web: ") && message.contains(word), "{text}: {message}");
        }
        let message = read("a = 'varchar'").unwrap_err().to_string();
        assert!(message.contains("\"timestamp\""), "{message}");
    }
}
