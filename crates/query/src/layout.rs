//! What the key of an object says of it: log type, date, partitions.
//!
//! Two layouts are read, also mixed: the originals' `{log_type}/{YYYY-MM}/{DD}/…`, with the variants `{YYYY-MM-DD}` and
//! `{YYYY}/{MM}/{DD}`, with or without an hour, and Hive's `key=value` folders. The folders before the first date or
//! `key=value` are the log type, or those behind it where there is none before; a folder `log_type=…` outranks them.

use percent_encoding::percent_decode_str;

/// The table of objects that lie in no folder of a log type.
pub(crate) const NO_FOLDER: &str = "archive";

/// How `modules::objects::name` writes what is empty.
const EMPTY: &str = "%empty";

/// What Hive writes for NULL.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// Where an object stands in its archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) log_type: String,
    /// `YYYY-MM-DD`.
    pub(crate) date: Option<String>,
    /// Hive's partitions, in their order; none for NULL.
    pub(crate) partitions: Vec<(String, Option<String>)>,
}

impl Place {
    /// Reads a key without the archive's prefix.
    pub(crate) fn of(key: &str) -> Self {
        let folders: Vec<&str> =
            key.rsplit_once('/').map_or("", |(folders, _)| folders).split('/').collect();
        let (mut before, mut behind) = (Vec::new(), Vec::new());
        let (mut partitions, mut declared, mut date) = (Vec::new(), None, None);
        let mut at = 0;
        while let Some(folder) = folders.get(at) {
            if let Some((key, value)) = partition(folder) {
                if key == "log_type" {
                    declared = value;
                } else {
                    partitions.push((key, value));
                }
                at += 1;
            } else if let Some((found, used)) = date_at(&folders[at..]) {
                date = Some(found);
                at += used;
            } else {
                let is_before = partitions.is_empty() && declared.is_none() && date.is_none();
                let names = if is_before { &mut before } else { &mut behind };
                if !folder.is_empty() {
                    names.push(decoded(folder));
                }
                at += 1;
            }
        }
        let date = date.or_else(|| partitioned_date(&partitions));
        let names = if before.is_empty() { behind } else { before };
        let log_type = match declared {
            Some(declared) => declared,
            None if names.is_empty() => NO_FOLDER.to_owned(),
            None => names.join("/"),
        };
        Self { log_type, date, partitions }
    }
}

/// Whether a folder at the top of an archive can hold the log type that is called `name` in a statement, which is
/// `statement` in lower case. A folder that may be anything can.
pub(crate) fn may_be_named(folder: &str, statement: &str) -> bool {
    let is_month = folder.len() == 7 && is_date(&format!("{folder}-01"));
    let is_year = folder.len() == 4 && is_date(&format!("{folder}-01-01"));
    if is_date(folder) || is_month || is_year {
        return true;
    }
    let name = match partition(folder) {
        Some((key, Some(value))) if key == "log_type" => value,
        Some(_) => return true,
        None => decoded(folder),
    };
    // As a quoted name would be written.
    statement.contains(&name.to_lowercase().replace('"', "\"\"").replace('\0', "%00"))
}

fn decoded(text: &str) -> String {
    if text == EMPTY {
        return String::new();
    }
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), Into::into)
}

fn partition(folder: &str) -> Option<(String, Option<String>)> {
    let (key, value) = folder.split_once('=')?;
    let key = decoded(key);
    if key.is_empty() {
        return None;
    }
    Some((key, (value != HIVE_NULL).then(|| decoded(value))))
}

/// A date at the beginning of `folders`, and how many of them it takes.
fn date_at(folders: &[&str]) -> Option<(String, usize)> {
    let number = |place: usize, digits: usize| {
        let text = *folders.get(place)?;
        (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
    };
    let hours = |place: usize| usize::from(number(place, 2).is_some_and(|hour| hour < "24"));
    let first = *folders.first()?;
    if is_date(first) {
        return Some((first.to_owned(), 1 + hours(1)));
    }
    if let Some((year, month)) = first.split_once('-')
        && let Some(day) = number(1, 2)
    {
        let date = format!("{year}-{month}-{day}");
        return is_date(&date).then(|| (date, 2 + hours(2)));
    }
    let (year, month, day) = (number(0, 4)?, number(1, 2)?, number(2, 2)?);
    let date = format!("{year}-{month}-{day}");
    is_date(&date).then(|| (date, 3 + hours(3)))
}

/// `date=…`, or `year=…`, `month=…` and `day=…`.
fn partitioned_date(partitions: &[(String, Option<String>)]) -> Option<String> {
    let find = |names: &[&str]| {
        let found = partitions.iter().find(|(key, _)| names.contains(&key.to_lowercase().as_str()));
        found.and_then(|(_, value)| value.as_deref())
    };
    if let Some(date) = find(&["date", "dt", "day", "_date"]).filter(|date| is_date(date)) {
        return Some(date.to_owned());
    }
    let (year, month, day) = (find(&["year"])?, find(&["month"])?, find(&["day"])?);
    let date = match month.split_once('-') {
        // month=2015-05
        Some(_) => format!("{month}-{day:0>2}"),
        None => format!("{year}-{month:0>2}-{day:0>2}"),
    };
    is_date(&date).then_some(date)
}

/// `YYYY-MM-DD`, of a day that there is.
pub(crate) fn is_date(text: &str) -> bool {
    let shaped = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    shaped && text.parse::<jiff::civil::Date>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Partitions = Vec<(String, Option<String>)>;

    fn place(key: &str) -> (String, Option<String>, Partitions) {
        let Place { log_type, date, partitions } = Place::of(key);
        (log_type, date, partitions)
    }

    #[test]
    fn the_layout_of_the_originals_is_read() {
        let date = Some("2015-05-17".to_owned());
        for (key, log_type, date) in [
            ("apache_access/2015-05/17/2015-05-17-10:05:03-x.gz", "apache_access", date.clone()),
            (
                "unknown/auth/no_timestamp/2015-05/17/x.gz",
                "unknown/auth/no_timestamp",
                date.clone(),
            ),
            ("..%2Fa%20b/2015-05/17/x.gz", "../a b", date.clone()),
            ("%empty/2015-05/17/x.gz", "", date.clone()),
            ("auth/2015-05-17/x.gz", "auth", date.clone()),
            ("auth/2015-05-17/09/x.gz", "auth", date.clone()),
            ("auth/2015/05/17/x.gz", "auth", date.clone()),
            ("auth/2015/05/17/23/x.gz", "auth", date.clone()),
            ("2015-05/17/x.gz", NO_FOLDER, date.clone()),
            ("2015/05/17/x.gz", NO_FOLDER, date.clone()),
            ("2015/05/17/auth/x.gz", "auth", date.clone()),
            ("auth/2015-05/17/info/x.gz", "auth", date),
            ("auth/x.gz", "auth", None),
            ("x.gz", NO_FOLDER, None),
            ("auth/2015-02/30/x.gz", "auth/2015-02/30", None),
            ("2015/x.gz", "2015", None),
        ] {
            assert_eq!(place(key), (log_type.to_owned(), date, Vec::new()), "{key}");
        }
    }

    #[test]
    fn folders_of_hive_are_partitions() {
        let partitions = |pairs: &[(&str, &str)]| {
            let pairs =
                pairs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned())));
            pairs.collect::<Vec<_>>()
        };
        let date = Some("2015-05-07".to_owned());
        assert_eq!(
            place("log_type=apache%2Faccess/year=2015/month=05/day=07/x.parquet"),
            (
                "apache/access".to_owned(),
                date.clone(),
                partitions(&[("year", "2015"), ("month", "05"), ("day", "07")])
            )
        );
        assert_eq!(
            place("auth/year=2015/month=5/day=7/hour=3/x.gz"),
            (
                "auth".to_owned(),
                date.clone(),
                partitions(&[("year", "2015"), ("month", "5"), ("day", "7"), ("hour", "3")])
            )
        );
        assert_eq!(
            place("log_type=auth/dt=2015-05-07/x.zst"),
            ("auth".to_owned(), date.clone(), partitions(&[("dt", "2015-05-07")]))
        );
        assert_eq!(
            place("auth/2015-05/07/region=eu%3D1/x.gz"),
            ("auth".to_owned(), date, partitions(&[("region", "eu=1")]))
        );
        assert_eq!(
            place("auth/region=__HIVE_DEFAULT_PARTITION__/x.gz"),
            ("auth".to_owned(), None, vec![("region".to_owned(), None)])
        );
    }

    #[test]
    fn a_folder_at_the_top_is_listed_if_the_statement_may_mean_it() {
        let statement = r#"select * from Auth join "a ""b""/no_timestamp""#.to_lowercase();
        for (folder, may) in [
            ("auth", true),
            ("AUTH", true),
            ("log_type=auth", true),
            ("year=2015", true),
            ("2015-05-17", true),
            ("2015-05", true),
            ("2015", true),
            ("a%20%22b%22", true),
            ("nginx", false),
            ("log_type=nginx", false),
        ] {
            assert_eq!(may_be_named(folder, &statement), may, "{folder}");
        }
    }
}
