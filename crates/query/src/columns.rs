//! The columns of a table: what its keys tell, and the fields that a few of its objects have.
//!
//! A field that none of them has is no column; `_record ->> '$.field'` reaches it.

use std::collections::HashSet;
use std::io::Cursor;
use std::str::FromStr;
use std::sync::Arc;

use baikonur_record::scan;
use futures_util::future::join_all;
use jiff::civil::Date;

use crate::QueryError;
use crate::archive::Object;
use crate::cells::Wants;
use crate::choice::Subject;
use crate::format::Format;
use crate::layout::is_date;
use crate::lines::Blocks;
use crate::parquet::{self, Ranges};
use crate::scan::{Context, Halt, unwound};

/// Objects that are looked into: the first one, the newest one, and some between.
const OBJECTS_MAX: usize = 8;
/// Bytes of each, as they are stored, where it has lines.
const OBJECT_BYTES: u64 = 64 << 10;
/// Lines of each.
const LINES_MAX: usize = 500;
/// Fields that become columns. SQLite takes 2,000 columns.
const FIELDS_MAX: usize = 1000;

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Column {
    /// The JSON text of the record.
    Record,
    /// What the object's key tells.
    Key(Subject),
    /// A field at the top of the record.
    Field(Box<str>),
}

/// The columns of a table, in the order in which SQLite has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Columns {
    names: Vec<(String, Column)>,
    /// The column of the records' time, if conditions on it can choose objects.
    time: Option<usize>,
}

/// What a few objects have.
#[derive(Debug, Default)]
struct Found {
    fields: Vec<String>,
    known: HashSet<String>,
    /// Every time that was seen begins with the object's date, or one beside it.
    times_are_near: bool,
    times: u64,
}

impl Columns {
    /// Those that need no look into an object: of the table of all log types.
    pub(crate) fn of_keys(objects: &[Object]) -> Self {
        Self::new(objects, Found::default(), "", true)
    }

    /// Looks into a few objects.
    ///
    /// # Errors
    /// None of them can be fetched.
    pub(crate) fn sample(context: &Context, objects: &[Object]) -> Result<Self, QueryError> {
        let time_field = context.options.time_field.as_str();
        let chosen: Vec<&Object> = spread(objects).collect();
        let runtime = context.store.runtime();
        let fetches = chosen.iter().map(|object| head(context, object));
        let heads = runtime.block_on(join_all(fetches));
        let mut found = Found { times_are_near: true, ..Found::default() };
        let mut failure = None;
        for (object, head) in chosen.iter().zip(heads) {
            match head {
                Ok(head) => found.take(head, object, time_field),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if found.fields.is_empty() => Err(error),
            _ => Ok(Self::new(objects, found, time_field, false)),
        }
    }

    fn new(objects: &[Object], found: Found, time_field: &str, is_of_all: bool) -> Self {
        let mut columns = Self { names: vec![("_record".to_owned(), Column::Record)], time: None };
        for (name, subject) in [
            ("_log_type", Subject::LogType),
            ("_date", Subject::Date),
            ("_object", Subject::Object),
        ] {
            columns.names.push((name.to_owned(), Column::Key(subject)));
        }
        let fields = if is_of_all { Vec::new() } else { found.fields };
        for field in fields {
            columns.push(&field, Column::Field(field.as_str().into()));
            let is_time = field == time_field && found.times_are_near && found.times > 0;
            if is_time && columns.names.last().is_some_and(|(name, _)| *name == field) {
                columns.time = Some(columns.names.len() - 1);
            }
        }
        let partitions = objects.iter().flat_map(|object| &object.place.partitions);
        let mut known = HashSet::new();
        for (name, _) in partitions {
            if known.insert(name) {
                columns.replace(name, Column::Key(Subject::Partition(name.as_str().into())));
            }
        }
        columns
    }

    /// Unless there is one of this name: SQLite's do not differ by case alone.
    fn push(&mut self, name: &str, column: Column) {
        if !name.contains('\0') && self.position(name).is_none() {
            self.names.push((name.to_owned(), column));
        }
    }

    /// A partition outranks a field, as in Hive.
    fn replace(&mut self, name: &str, column: Column) {
        match self.position(name) {
            Some(at) => {
                if matches!(self.names[at].1, Column::Field(_)) {
                    self.names[at].1 = column;
                    self.time = self.time.filter(|&time| time != at);
                }
            }
            None => self.push(name, column),
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// The column at a place.
    pub(crate) fn get(&self, place: usize) -> Option<&Column> {
        self.names.get(place).map(|(_, column)| column)
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// What a condition on a column can choose objects by.
    pub(crate) fn subject(&self, place: usize) -> Option<Subject> {
        if self.time == Some(place) {
            return Some(Subject::Time);
        }
        match self.get(place)? {
            Column::Key(subject) => Some(subject.clone()),
            Column::Record | Column::Field(_) => None,
        }
    }

    /// The table as SQLite wants it declared. Columns that `select *` leaves out are hidden; fields have no type, so that
    /// every value keeps its own.
    pub(crate) fn declaration(&self, is_of_all: bool) -> String {
        let columns = self.names.iter().map(|(name, column)| {
            let kind = match column {
                Column::Record | Column::Key(Subject::LogType) if is_of_all => " TEXT",
                Column::Record => " TEXT HIDDEN",
                Column::Key(Subject::Partition(_)) => " TEXT",
                Column::Key(_) => " TEXT HIDDEN",
                Column::Field(_) => "",
            };
            format!("{}{kind}", quoted(name))
        });
        format!("CREATE TABLE x({})", columns.collect::<Vec<_>>().join(", "))
    }
}

/// A name as SQL writes it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// At most [`OBJECTS_MAX`], the newest one first: its fields stand first.
fn spread(objects: &[Object]) -> impl Iterator<Item = &Object> {
    let last = objects.len().saturating_sub(1);
    let count = objects.len().min(OBJECTS_MAX);
    let places = (0..count).map(move |place| match count {
        1 => last,
        _ => last - place * last / (count - 1),
    });
    places.filter_map(|place| objects.get(place))
}

enum Head {
    Lines(Blocks),
    Parquet(Ranges),
}

async fn head(context: &Context, object: &Object) -> Result<Head, QueryError> {
    let (store, key) = (&context.store, &object.key);
    Ok(match object.format {
        Format::Lines(codec) => {
            let bytes = store.range(key, 0..object.bytes.min(OBJECT_BYTES)).await?;
            Head::Lines(Blocks::new(codec, Cursor::new(bytes)))
        }
        Format::Parquet => {
            // What is looked at beforehand is not counted as read.
            let ranges = Ranges::fetch(store.clone(), key.clone(), object.bytes, Arc::default());
            Head::Parquet(ranges.await?)
        }
    })
}

impl Found {
    fn field(&mut self, name: &str) {
        if self.fields.len() < FIELDS_MAX && self.known.insert(name.to_owned()) {
            self.fields.push(name.to_owned());
        }
    }

    /// What is damaged, or makes a library panic, is told when it is read.
    fn take(&mut self, head: Head, object: &Object, time_field: &str) {
        let _ = unwound(|| match head {
            Head::Lines(blocks) => self.take_lines(blocks, object, time_field),
            Head::Parquet(ranges) => {
                let _ = self.take_parquet(ranges, object, time_field);
            }
        });
    }

    fn take_lines(&mut self, mut blocks: Blocks, object: &Object, time_field: &str) {
        let mut left = LINES_MAX;
        // The object is cut off somewhere: what comes before is enough.
        while let Ok(Some(block)) = blocks.next() {
            for line in block.split(|&byte| byte == b'\n') {
                if left == 0 {
                    return;
                }
                left -= 1;
                self.take_line(line, object, time_field);
            }
        }
    }

    fn take_line(&mut self, line: &[u8], object: &Object, time_field: &str) {
        if simdutf8::basic::from_utf8(line).is_err() {
            return;
        }
        let mut fields = Vec::new();
        let mut time = None;
        let root = scan::root(line, |cursor, key| {
            let value = cursor.value()?;
            let name = String::from_utf8_lossy(&key.text()).into_owned();
            if name == time_field {
                time = Some(value);
            }
            fields.push(name);
            Ok(())
        });
        if root.is_err() {
            return;
        }
        fields.iter().for_each(|name| self.field(name));
        match time.map(|value| &line[value]) {
            None | Some(b"null") => {}
            Some([b'"', text @ .., b'"']) => self.time(text, object),
            Some(_) => self.times_are_near = false,
        }
    }

    fn take_parquet(
        &mut self,
        ranges: Ranges,
        object: &Object,
        time_field: &str,
    ) -> Result<(), parquet::Stop> {
        parquet::names(ranges.clone())?.iter().for_each(|name| self.field(name));
        let wants = Wants { fields: vec![time_field.into()], record: false };
        let first = parquet::read(ranges, &wants, &mut |rows| {
            for row in 0..rows.count.min(LINES_MAX) {
                match rows.value(row, 0) {
                    rusqlite::types::ValueRef::Null => {}
                    rusqlite::types::ValueRef::Text(text) => self.time(text, object),
                    _ => self.times_are_near = false,
                }
            }
            Err(Halt::Stopped)
        });
        match first {
            Err(parquet::Stop::Halt(Halt::Stopped)) => Ok(()),
            other => other,
        }
    }

    fn time(&mut self, text: &[u8], object: &Object) {
        self.times += 1;
        self.times_are_near &= is_near(text, object.place.date.as_deref());
    }
}

/// Whether a time is written with its date first, and this is the object's or one beside it.
fn is_near(text: &[u8], date: Option<&str>) -> bool {
    let written = text.get(..10).and_then(|head| std::str::from_utf8(head).ok());
    let Some(written) = written.filter(|written| is_date(written)) else { return false };
    let Some(date) = date else { return true };
    let day = |text: &str| Date::from_str(text).ok();
    let (Some(written), Some(date)) = (day(written), day(date)) else { return false };
    written.since(date).is_ok_and(|span| span.get_days().abs() <= 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Place;

    fn object(key: &str) -> Object {
        Object { key: key.to_owned(), bytes: 1, format: Format::Parquet, place: Place::of(key) }
    }

    /// What a library does that meets what its authors did not think of.
    struct Panics;

    impl std::io::Read for Panics {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            panic!("no such table of codes")
        }
    }

    #[test]
    fn an_object_that_makes_a_library_panic_is_passed_over() {
        let blocks = |stored: Box<dyn std::io::Read>| {
            Head::Lines(Blocks::new(crate::format::Codec::Plain, stored))
        };
        let object = object("auth/2015-05/17/x.gz");
        let mut found = Found::default();
        found.take(blocks(Box::new(Panics)), &object, "time");
        found.take(blocks(Box::new(Cursor::new(b"{\"a\":1}\n"))), &object, "time");
        assert_eq!(found.fields, ["a"]);
    }

    fn columns(keys: &[&str], lines: &[&str]) -> Columns {
        let objects: Vec<_> = keys.iter().map(|key| object(key)).collect();
        let mut found = Found { times_are_near: true, ..Found::default() };
        for line in lines {
            found.take_line(line.as_bytes(), &objects[0], "time");
        }
        Columns::new(&objects, found, "time", false)
    }

    #[test]
    fn fields_and_partitions_become_columns() {
        let columns = columns(
            &["auth/2015-05/17/region=eu/x.gz", "auth/2015-05/17/user=7/x.gz"],
            &[
                r#"{"time":"2015-05-17T10:05:03Z","User":1,"a \"b":2}"#,
                r#"{"user":3,"_date":4,"x\u0000":5,"last":6}"#,
                "broken",
            ],
        );
        assert_eq!(
            columns.declaration(false),
            r#"CREATE TABLE x("_record" TEXT HIDDEN, "_log_type" TEXT HIDDEN, "_date" TEXT HIDDEN, "_object" TEXT HIDDEN, "time", "User" TEXT, "a ""b", "last", "region" TEXT)"#
        );
        assert_eq!(columns.subject(4), Some(Subject::Time));
        assert_eq!(columns.subject(5), Some(Subject::Partition("user".into())));
        assert_eq!((columns.subject(0), columns.subject(6)), (None, None));
        assert_eq!(columns.get(6), Some(&Column::Field("a \"b".into())));
    }

    #[test]
    fn a_time_chooses_objects_only_if_it_begins_with_their_date() {
        let time = |key: &str, value: &str| {
            let columns = columns(&[key], &[&format!("{{\"time\":{value}}}")]);
            columns.subject(4) == Some(Subject::Time)
        };
        let key = "auth/2015-05/17/x.gz";
        assert!(time(key, "\"2015-05-17T10:05:03.000+00:00\""));
        assert!(time(key, "\"2015-05-18 00:01\""));
        assert!(time("auth/x.gz", "\"2015-05-17\""));
        assert!(!time(key, "\"2015-05-19\""), "filed elsewhere");
        assert!(!time(key, "\"May 17 10:05:03 2015\""));
        assert!(!time(key, "1431857103"));
        assert!(!time(key, "null"), "none was seen");
    }

    #[test]
    fn the_first_the_newest_and_some_between_are_looked_into() {
        let chosen = |count: usize| -> Vec<String> {
            let objects: Vec<_> = (0..count).map(|number| object(&number.to_string())).collect();
            spread(&objects).map(|object| object.key.clone()).collect()
        };
        assert!(chosen(0).is_empty());
        assert_eq!(chosen(1), ["0"]);
        assert_eq!(chosen(3), ["2", "1", "0"]);
        let many = chosen(1000);
        assert_eq!((many.len(), many[0].as_str(), many[7].as_str()), (8, "999", "0"));
    }
}
