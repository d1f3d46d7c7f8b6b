//! The objects of an archive, by log type.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::QueryError;
use crate::format::Format;
use crate::layout::{Place, may_be_named};
use crate::store::{ArchiveStore, Listed};

/// What of an archive is listed: a large one takes a request for every thousand objects.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'s> {
    /// Everything.
    All,
    /// What this statement may name.
    NamedIn(&'s str),
}

/// The name of the table of all log types.
pub(crate) const ALL: &str = "logs";

/// Whether a statement, in lower case, may name the table of all log types.
pub(crate) fn names_all(statement: &str) -> bool {
    let words = statement.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    words.into_iter().any(|word| word == ALL)
}

/// An archive whose objects were listed.
#[derive(Debug)]
pub struct Archive {
    store: ArchiveStore,
    tables: Vec<Table>,
    others: u64,
}

/// The objects of one log type.
#[derive(Debug)]
pub struct Table {
    /// The log type, as a statement names it.
    pub name: String,
    /// Its objects, in the order of their keys.
    pub(crate) objects: Arc<[Object]>,
}

/// An object of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) key: String,
    pub(crate) bytes: u64,
    pub(crate) format: Format,
    pub(crate) place: Place,
}

impl Table {
    /// How many objects it has.
    pub fn objects(&self) -> u64 {
        self.objects.len() as u64
    }

    /// Their bytes, as they are stored.
    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.bytes).sum()
    }

    /// The first and the last date (`YYYY-MM-DD`) by the keys; none where they tell none.
    pub fn dates(&self) -> Option<(&str, &str)> {
        let dates = || self.objects.iter().filter_map(|object| object.place.date.as_deref());
        Some((dates().min()?, dates().max()?))
    }
}

impl Archive {
    /// Lists what is there. `met` is told of more and more objects.
    ///
    /// # Errors
    /// The store cannot be listed.
    pub fn list(
        store: ArchiveStore,
        wanted: Wanted<'_>,
        met: &dyn Fn(u64),
    ) -> Result<Self, QueryError> {
        let (folders, mut listed) = store.top()?;
        met(listed.len() as u64);
        let statement = match wanted {
            Wanted::All => None,
            Wanted::NamedIn(statement) => Some(statement.to_lowercase()),
        };
        // Somebody who asks for all log types names none.
        let statement = statement.filter(|statement| !names_all(statement));
        for folder in &folders {
            let is_wanted = |statement: &String| may_be_named(folder, statement);
            if statement.as_ref().is_none_or(is_wanted) {
                listed.extend(store.below(folder, met)?);
            }
        }
        let (tables, others) = tables(listed);
        Ok(Self { store, tables, others })
    }

    /// The tables, in the order of their names.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// How many objects there are beside those of the tables: of no format that is read.
    pub fn others(&self) -> u64 {
        self.others
    }

    /// Where it is.
    pub fn store(&self) -> &ArchiveStore {
        &self.store
    }
}

fn tables(listed: Vec<Listed>) -> (Vec<Table>, u64) {
    let mut by_type: BTreeMap<String, Vec<Object>> = BTreeMap::new();
    let mut others = 0;
    for Listed { key, bytes } in listed {
        let Some(format) = Format::of(&key) else {
            others += 1;
            continue;
        };
        let place = Place::of(&key);
        let objects = by_type.entry(place.log_type.clone()).or_default();
        objects.push(Object { key, bytes, format, place });
    }
    let mut tables: Vec<Table> = Vec::new();
    for (log_type, mut objects) in by_type {
        objects.sort_by(|one, other| one.key.cmp(&other.key));
        let name = free_name(&log_type, |name| {
            tables.iter().any(|table| table.name.eq_ignore_ascii_case(name))
        });
        tables.push(Table { name, objects: objects.into() });
    }
    (tables, others)
}

/// SQLite's names do not differ by case alone; log types may, and then the later one is called `name~2`. A NUL cannot be
/// in a statement.
pub(crate) fn free_name(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let name = match name {
        "" => "%empty".to_owned(),
        name => name.replace('\0', "%00"),
    };
    let numbered = (2..).map(|number: u32| format!("{name}~{number}"));
    std::iter::once(name.clone()).chain(numbered).find(|name| !is_taken(name)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(keys: &[&str]) -> Vec<Listed> {
        let listed = keys.iter().map(|key| Listed { key: (*key).to_owned(), bytes: 10 });
        listed.collect()
    }

    #[test]
    fn objects_are_gathered_by_log_type() {
        let (tables, others) = tables(listed(&[
            "b/2015-05/18/x.gz",
            "log_type=b/year=2015/month=05/day=16/x.parquet",
            "a%2Fb/2015-05/17/x.gz",
            "b/_SUCCESS",
            "b/2015-05/17/x.gz",
            "unknown/unknown_type/2015-05/17/x.gz",
        ]));
        let shown: Vec<_> = tables
            .iter()
            .map(|table| (table.name.as_str(), table.objects(), table.bytes(), table.dates()))
            .collect();
        assert_eq!(
            shown,
            [
                ("a/b", 1, 10, Some(("2015-05-17", "2015-05-17"))),
                ("b", 3, 30, Some(("2015-05-16", "2015-05-18"))),
                ("unknown/unknown_type", 1, 10, Some(("2015-05-17", "2015-05-17"))),
            ]
        );
        assert_eq!(others, 1);
    }

    #[test]
    fn all_log_types_are_meant_by_a_word_of_its_own() {
        for (statement, means) in [
            ("select * from logs", true),
            ("select \"logs\".x from main.logs", true),
            ("select * from my_logs, logs2", false),
        ] {
            assert_eq!(names_all(statement), means, "{statement}");
        }
    }

    #[test]
    fn log_types_that_sqlite_would_take_for_one_are_told_apart() {
        let (tables, _) =
            tables(listed(&["Auth/x.gz", "auth/x.gz", "AUTH/x.gz", "%empty/x.gz", "a%00/x.gz"]));
        let names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["%empty", "AUTH", "Auth~2", "a%00", "auth~3"]);
    }
}
