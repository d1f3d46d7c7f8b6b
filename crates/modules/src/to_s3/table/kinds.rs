//! What the columns of a table are: learnt from its records, one after the other, and never narrower than any of them.
//!
//! | values met | column |
//! | --- | --- |
//! | texts | STRING |
//! | `true`, `false` | BOOLEAN |
//! | whole numbers of 64 bits | INT64 |
//! | other numbers, or both sorts while the whole ones are below 2^53 | DOUBLE |
//! | objects of few keys | a group |
//! | arrays of one of these | LIST |
//! | anything else, and any mixture | the JSON text |
//! | nothing but null, or empty arrays and objects | none |
//!
//! A column of a type that no value has said would be at odds with the same column of the objects before and after it.
//!
//! The order of fields is that of their first coming. So the columns depend on the records and their order alone.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use baikonur_record::scan::{self, Cursor, Key, unescape};

use super::{NestedObjects, REST};

/// Columns and groups of a table; what comes later goes into [`REST`].
pub(super) const FIELDS_MAX: usize = 500;
/// Keys of an object within a record; one with more is a map and no group, and becomes JSON text.
pub(super) const GROUP_FIELDS_MAX: usize = 64;
/// Objects and arrays within each other; what is deeper becomes JSON text.
pub(super) const NESTING_MAX: usize = 8;
/// Bytes of a column's name.
pub(super) const NAME_BYTES_MAX: usize = 128;

/// Whole numbers up to here are exact as doubles.
const EXACT_MAX: u64 = 1 << 53;

/// The type of a column, or of an element of a list.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// Nothing but null was met: no column, but for the elements of a list within a list's elements.
    Unknown,
    Bool,
    Int {
        /// One of them is not exact as a double.
        wide: bool,
    },
    Float,
    Text,
    /// Never learnt: the record's time, or a column that is given.
    Timestamp,
    Json,
    Group(Fields),
    List(Box<Kind>),
}

/// The columns of a table or the members of a group.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Fields {
    pub(super) list: Vec<Field>,
    places: HashMap<Box<[u8]>, usize>,
    /// Fields were left out that may have values, here or in groups below.
    pub(super) is_narrowed: bool,
    /// The names in lower case: for Athena, Hive and DuckDB two that differ in case alone are one.
    folded: HashSet<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) name: Box<str>,
    pub(super) kind: Kind,
}

impl Fields {
    /// Adds a field; gives its place, or none when it cannot be a column beside the others.
    pub(super) fn add(&mut self, name: &[u8], kind: Kind) -> Option<usize> {
        let text = std::str::from_utf8(name).ok()?;
        if !is_column_name(text) || !self.folded.insert(text.to_lowercase()) {
            return None;
        }
        self.list.push(Field { name: text.into(), kind });
        self.places.insert(name.into(), self.list.len() - 1);
        Some(self.list.len() - 1)
    }

    /// Only those fields of which a value has said the type. What the others hold is for [`REST`].
    pub(super) fn known(self) -> Self {
        let mut known =
            Self { folded: self.folded, is_narrowed: self.is_narrowed, ..Self::default() };
        for Field { name, kind } in self.list {
            if kind.is_known() {
                let kind = kind.without_unknown();
                known.is_narrowed |= matches!(&kind, Kind::Group(fields) if fields.is_narrowed);
                known.places.insert(name.as_bytes().into(), known.list.len());
                known.list.push(Field { name, kind });
            } else {
                known.is_narrowed |= kind != Kind::Unknown;
            }
        }
        known
    }

    /// Without the members that were always null, which is what a member is that is not there.
    fn without_nulls(self) -> Self {
        let mut without = Self { folded: self.folded, ..Self::default() };
        for Field { name, kind } in
            self.list.into_iter().filter(|field| field.kind != Kind::Unknown)
        {
            without.places.insert(name.as_bytes().into(), without.list.len());
            without.list.push(Field { name, kind: kind.within_list() });
        }
        without
    }

    /// No field is called like that, in whatever case.
    pub(super) fn reserve(&mut self, name: &str) {
        self.folded.insert(name.to_lowercase());
    }

    /// The place of a field, which most often is `expected`.
    #[inline]
    pub(super) fn find(&self, key: Key<'_>, expected: usize) -> Option<usize> {
        if self.list.get(expected).is_some_and(|field| key.is(field.name.as_bytes())) {
            return Some(expected);
        }
        self.places.get(&*key.text()).copied()
    }
}

impl Kind {
    /// Whether any value has said what it is.
    fn is_known(&self) -> bool {
        match self {
            Self::Unknown => false,
            Self::List(element) => element.is_known(),
            Self::Group(fields) => fields.list.iter().any(|field| field.kind.is_known()),
            _ => true,
        }
    }

    fn without_unknown(self) -> Self {
        match self {
            Self::Group(fields) => Self::Group(fields.known()),
            Self::List(element) => Self::List(Box::new(element.within_list())),
            kind => kind,
        }
    }

    /// An element cannot stand in parts in [`REST`]: so it keeps all that is more than null.
    fn within_list(self) -> Self {
        match self {
            Self::Group(fields) => Self::Group(fields.without_nulls()),
            Self::List(element) => Self::List(Box::new(element.within_list())),
            kind => kind,
        }
    }
}

/// U+FFFD stands for what is no text, and is taken for that.
fn is_column_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name
            .contains(|symbol: char| symbol.is_control() || symbol == char::REPLACEMENT_CHARACTER)
}

/// Learns the columns of one table.
pub(super) struct Learner {
    nested: NestedObjects,
    fields_left: usize,
}

impl Learner {
    pub(super) fn new(nested: NestedObjects) -> Self {
        Self { nested, fields_left: FIELDS_MAX }
    }

    /// Widens `columns` so that they hold the record, but for what goes into [`REST`].
    pub(super) fn learn(&mut self, columns: &mut Fields, json: &[u8]) {
        let mut expected = 0;
        let passed = scan::root(json, |cursor, key| {
            let span = cursor.value()?;
            let place = match columns.find(key, expected) {
                None if !key.is(REST.as_bytes()) => self.add(columns, key),
                place => place,
            };
            if let Some(place) = place {
                expected = place + 1;
                self.value(&mut columns.list[place].kind, json, span, 1);
            }
            Ok(())
        });
        debug_assert!(passed.is_ok(), "records were read before");
    }

    fn add(&mut self, fields: &mut Fields, key: Key<'_>) -> Option<usize> {
        let left = self.fields_left.checked_sub(1)?;
        let place = fields.add(&key.text(), Kind::Unknown)?;
        self.fields_left = left;
        Some(place)
    }

    fn value(&mut self, kind: &mut Kind, json: &[u8], span: Range<usize>, depth: usize) {
        let value = &json[span.clone()];
        match (value[0], &mut *kind) {
            (b'n', _) | (_, Kind::Json | Kind::Timestamp) => {}
            (b'"', Kind::Text) if is_exact(value) => {}
            (b'"', Kind::Unknown) if is_exact(value) => *kind = Kind::Text,
            (b't' | b'f', Kind::Bool | Kind::Unknown) => *kind = Kind::Bool,
            (b'-' | b'0'..=b'9', _) => *kind = with_number(kind, value),
            (b'{', Kind::Group(fields)) => {
                if !self.group(fields, json, span, depth) {
                    *kind = Kind::Json;
                }
            }
            (b'{', Kind::Unknown)
                if self.nested == NestedObjects::Struct && depth < NESTING_MAX =>
            {
                let mut fields = Fields::default();
                *kind = match self.group(&mut fields, json, span, depth) {
                    true => Kind::Group(fields),
                    false => Kind::Json,
                };
            }
            (b'[', Kind::List(element)) => self.list(element, json, span, depth),
            (b'[', Kind::Unknown) if depth < NESTING_MAX => {
                let mut element = Kind::Unknown;
                self.list(&mut element, json, span, depth);
                *kind = Kind::List(Box::new(element));
            }
            _ => *kind = Kind::Json,
        }
    }

    /// False when the object cannot be a group: with one field left out, it would be another object.
    fn group(
        &mut self,
        fields: &mut Fields,
        json: &[u8],
        span: Range<usize>,
        depth: usize,
    ) -> bool {
        let (mut expected, mut is_group) = (0, true);
        let passed = Cursor::within(json, span).object(|cursor, key| {
            let span = cursor.value()?;
            let place = match fields.find(key, expected) {
                None if fields.list.len() < GROUP_FIELDS_MAX => self.add(fields, key),
                place => place,
            };
            match place {
                Some(place) => {
                    expected = place + 1;
                    self.value(&mut fields.list[place].kind, json, span, depth + 1);
                }
                None => is_group = false,
            }
            Ok(())
        });
        is_group && passed.is_ok()
    }

    fn list(&mut self, element: &mut Kind, json: &[u8], span: Range<usize>, depth: usize) {
        let passed = Cursor::within(json, span).array(|cursor| {
            let span = cursor.value()?;
            self.value(element, json, span, depth + 1);
            Ok(())
        });
        debug_assert!(passed.is_ok(), "records were read before");
    }
}

/// Whether a JSON string can be said in UTF-8.
pub(super) fn is_exact(string: &[u8]) -> bool {
    let content = &string[1..string.len() - 1];
    if memchr::memchr(b'\\', content).is_none() {
        return true;
    }
    let replacement = "\u{fffd}".as_bytes();
    memchr::memmem::find(&unescape(content), replacement).is_none()
}

/// A JSON number as a column can hold it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
    /// Larger than what there is.
    Other,
}

impl Number {
    pub(super) fn of(text: &[u8]) -> Self {
        let text = std::str::from_utf8(text).unwrap_or_default();
        let whole = !text.contains(['.', 'e', 'E']) && text != "-0";
        if whole {
            return text.parse().map_or(Self::Other, Self::Int);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Self::Float(number),
            _ => Self::Other,
        }
    }

    /// As a double, if it is one.
    pub(super) fn exact(self) -> Option<f64> {
        match self {
            Self::Int(number) if number.unsigned_abs() <= EXACT_MAX => Some(number as f64),
            Self::Float(number) => Some(number),
            Self::Int(_) | Self::Other => None,
        }
    }
}

fn with_number(kind: &Kind, text: &[u8]) -> Kind {
    let number = Number::of(text);
    let is_exact = number.exact().is_some();
    match (kind, number) {
        (Kind::Unknown, Number::Int(_)) => Kind::Int { wide: !is_exact },
        (Kind::Int { wide }, Number::Int(_)) => Kind::Int { wide: *wide || !is_exact },
        (Kind::Unknown | Kind::Float | Kind::Int { wide: false }, Number::Float(_)) => Kind::Float,
        (Kind::Float, Number::Int(_)) if is_exact => Kind::Float,
        _ => Kind::Json,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(records: &[&str]) -> Fields {
        learnt_as(NestedObjects::Struct, records)
    }

    fn learnt_as(nested: NestedObjects, records: &[&str]) -> Fields {
        let (mut learner, mut fields) = (Learner::new(nested), Fields::default());
        records.iter().for_each(|json| learner.learn(&mut fields, json.as_bytes()));
        fields
    }

    fn shown(fields: &Fields) -> String {
        let shown = fields.list.iter().map(|field| format!("{} {}", field.name, word(&field.kind)));
        shown.collect::<Vec<_>>().join(", ")
    }

    fn word(kind: &Kind) -> String {
        match kind {
            Kind::Group(fields) => format!("{{{}}}", shown(fields)),
            Kind::List(element) => format!("[{}]", word(element)),
            Kind::Int { .. } => "Int".to_owned(),
            kind => format!("{kind:?}"),
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_values() {
        for (values, kind) in [
            (vec!["null"], "Unknown"),
            (vec!["null", "\"x\"", "\"\\u00e9\""], "Text"),
            (vec!["true", "false", "null"], "Bool"),
            (vec!["1", "-9223372036854775808"], "Int"),
            (vec!["1", "1.5"], "Float"),
            (vec!["1e3", "9007199254740992"], "Float"),
            (vec!["-0"], "Float"),
            (vec!["9007199254740993", "1.5"], "Json"),
            (vec!["1.5", "9007199254740993"], "Json"),
            (vec!["9223372036854775808"], "Json"),
            (vec!["1e999"], "Json"),
            (vec!["1", "\"1\""], "Json"),
            (vec!["true", "0"], "Json"),
            (vec!["\"\\ud800\""], "Json"),
            (vec!["{}", "{\"a\":1}", "null"], "{a Int}"),
            (vec!["{\"a\":1}", "{\"b\":[]}", "{\"a\":2.5}"], "{a Float, b [Unknown]}"),
            (vec!["{\"a\":1}", "[1]"], "Json"),
            (vec!["[]", "[1,null]", "[2.5]"], "[Float]"),
            (vec!["[1,\"a\"]"], "[Json]"),
            (vec!["[[1],[[]]]"], "[[Json]]"),
            (vec!["[{\"a\":1},{\"b\":true}]"], "[{a Int, b Bool}]"),
            (vec!["{\"a\":1,\"A\":2}"], "Json"),
            (vec!["{\"\":1}"], "Json"),
        ] {
            let records: Vec<_> = values.iter().map(|value| format!("{{\"v\":{value}}}")).collect();
            let records: Vec<_> = records.iter().map(String::as_str).collect();
            assert_eq!(shown(&learnt(&records)), format!("v {kind}"), "{values:?}");
        }
    }

    #[test]
    fn what_no_value_says_the_type_of_is_no_column() {
        for (values, kind, is_narrowed) in [
            (vec!["null"], "", false),
            (vec!["[]", "null"], "", true),
            (vec!["[null]", "[[]]"], "", true),
            (vec!["{}", "{\"a\":{\"b\":null},\"c\":[]}"], "", true),
            (vec!["{\"a\":1,\"b\":null}"], "v {a Int}", false),
            (vec!["{\"a\":1,\"b\":[]}"], "v {a Int}", true),
            (vec!["{\"a\":{\"b\":1,\"c\":{}}}"], "v {a {b Int}}", true),
            (vec!["[{\"a\":1,\"b\":null,\"c\":[]}]"], "v [{a Int, c [Unknown]}]", false),
        ] {
            let records: Vec<_> = values.iter().map(|value| format!("{{\"v\":{value}}}")).collect();
            let records: Vec<_> = records.iter().map(String::as_str).collect();
            let fields = learnt(&records).known();
            assert_eq!((&*shown(&fields), fields.is_narrowed), (kind, is_narrowed), "{values:?}");
        }
        let fields = learnt(&[r#"{"n":null,"a":1,"m":[],"b":"x"}"#]).known();
        assert_eq!(shown(&fields), "a Int, b Text");
        assert_eq!(fields.places[&b"b"[..]], 1);
    }

    #[test]
    fn objects_stay_text_when_that_is_wished() {
        let fields = learnt_as(NestedObjects::Json, &[r#"{"o":{"a":1},"l":[{"a":1}],"n":[1]}"#]);
        assert_eq!(shown(&fields), "o Json, l [Json], n [Int]");
    }

    #[test]
    fn fields_come_in_the_order_of_the_records() {
        let fields = learnt(&[r#"{"b":1,"a":2}"#, r#"{"c":1,"a":"x","b":3}"#]);
        assert_eq!(shown(&fields), "b Int, a Json, c Int");
    }

    #[test]
    fn names_that_cannot_be_columns_are_left_out() {
        let long = format!(r#"{{"{}":1,"k":1}}"#, "x".repeat(NAME_BYTES_MAX + 1));
        let records =
            [r#"{"a":1,"A":2,"":3,"_rest":4,"\ud800":5,"x\u0000":6,"\u0062":7}"#, long.as_str()];
        assert_eq!(shown(&learnt(&records)), "a Int, b Int, k Int");
    }

    #[test]
    fn foreign_keys_cost_no_more_than_there_is_room_for() {
        let keys = |count: usize| {
            let keys: Vec<_> = (0..count).map(|n| format!("\"k{n}\":1")).collect();
            format!("{{{}}}", keys.join(","))
        };
        assert_eq!(learnt(&[&keys(FIELDS_MAX + 10)]).list.len(), FIELDS_MAX);
        let map = format!("{{\"map\":{}}}", keys(GROUP_FIELDS_MAX + 1));
        assert_eq!(shown(&learnt(&[&map])), "map Json");
        let group = format!("{{\"map\":{}}}", keys(GROUP_FIELDS_MAX));
        assert!(shown(&learnt(&[&group])).starts_with("map {k0 Int"));
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100), "]".repeat(100));
        let shown = shown(&learnt(&[&deep]));
        assert_eq!(shown, format!("a {}Json{}", "[".repeat(7), "]".repeat(7)));
    }
}
