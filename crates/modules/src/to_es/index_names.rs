//! The names of daily indices: `{index_name_prefix}-{log_type}-{YYYYMMDD}`.

use std::collections::HashMap;

use baikonur_record::{EventTime, LogEvent};

use super::settings::InvalidSettings;

/// Bytes that Elasticsearch and OpenSearch allow in an index name.
const INDEX_NAME_BYTES_MAX: usize = 255;
/// Bytes that [`baikonur_record::LogType::index_segment`] takes at most.
const LOG_TYPE_BYTES_MAX: usize = 200;
/// `-` before the log type, `-YYYYMMDD` behind it.
const DATE_AND_DASHES_BYTES: usize = 10;
/// What is left for the prefix, whatever the log type.
const PREFIX_BYTES_MAX: usize = INDEX_NAME_BYTES_MAX - LOG_TYPE_BYTES_MAX - DATE_AND_DASHES_BYTES;

/// The index of an event, by the date of its own time in its own offset.
pub fn index_name(index_name_prefix: &str, event: &LogEvent) -> String {
    let segment = event.log_type.index_segment();
    let date = event.time.date_compact();
    format!("{index_name_prefix}-{segment}-{date}")
}

pub(super) fn check_prefix(prefix: &str) -> Result<(), InvalidSettings> {
    let why = if prefix.is_empty() {
        "is missing: indices are named {index_name_prefix}-{log_type}-{YYYYMMDD}"
    } else if prefix.len() > PREFIX_BYTES_MAX {
        const { assert!(PREFIX_BYTES_MAX == 45) };
        "has more than 45 bytes: with log type and date it would exceed the 255 bytes of an index name"
    } else if prefix.to_lowercase() != prefix {
        "has upper case letters, which Elasticsearch refuses in index names"
    } else if prefix.starts_with(['-', '_', '+']) {
        "starts with '-', '_' or '+', which Elasticsearch refuses in index names"
    } else if prefix.contains(|symbol: char| {
        symbol.is_whitespace() || symbol.is_control() || "\\/*?\"<>|,#:".contains(symbol)
    }) {
        "has a character that Elasticsearch refuses in index names: white space or one of \\ / * ? \" < > | , # :"
    } else {
        return Ok(());
    };
    Err(InvalidSettings::IndexNamePrefix { given: prefix.to_owned(), why })
}

/// Action lines up to the document's id, made once per index of a batch.
pub(super) struct ActionHeads<'a> {
    index_name_prefix: &'a str,
    /// What stands behind the index name.
    tail: &'static str,
    places: HashMap<Box<[u8]>, usize>,
    heads: Vec<String>,
    /// Reused for every look-up: the date, and the name of the log type.
    key: Vec<u8>,
}

impl<'a> ActionHeads<'a> {
    pub(super) fn new(index_name_prefix: &'a str, tail: &'static str) -> Self {
        Self { index_name_prefix, tail, places: HashMap::new(), heads: Vec::new(), key: Vec::new() }
    }

    /// The beginning of the action line for `event`.
    pub(super) fn head(&mut self, event: &LogEvent) -> &str {
        self.key.clear();
        self.key.extend_from_slice(&date_number(&event.time).to_ne_bytes());
        // Two log types of one name have one index: the name is all that counts.
        self.key.extend_from_slice(event.log_type.name().as_bytes());
        let place = match self.places.get(self.key.as_slice()) {
            Some(&place) => place,
            None => self.add(event),
        };
        &self.heads[place]
    }

    #[cold]
    fn add(&mut self, event: &LogEvent) -> usize {
        // No quote, backslash or control character is legal in an index name: nothing to escape.
        let name = index_name(self.index_name_prefix, event);
        self.heads.push(format!(r#"{{"index":{{"_index":"{name}"{}"#, self.tail));
        let place = self.heads.len() - 1;
        self.places.insert(self.key.as_slice().into(), place);
        place
    }
}

fn date_number(time: &EventTime) -> u32 {
    let year = u32::from(time.year().unsigned_abs());
    (year << 9) | (u32::from(time.month()) << 5) | u32::from(time.day())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batches::event;

    #[test]
    fn an_index_is_dated_in_the_offset_of_the_stamp() {
        let late = event(r#"{"log_type":"Auth","log_id":"1","time":"2024-12-31T23:30:00-05:00"}"#);
        assert_eq!(index_name("logs", &late), "logs-auth-20241231");
        let early = event(r#"{"log_type":"auth","log_id":"1","time":"2025-01-01T00:30:00+09:00"}"#);
        assert_eq!(index_name("logs", &early), "logs-auth-20250101");
    }

    #[test]
    fn the_longest_name_has_255_bytes() {
        let text = format!(r#"{{"log_type":"{}","time":"2025-01-01"}}"#, "日".repeat(500));
        let prefix = "p".repeat(PREFIX_BYTES_MAX);
        assert!(check_prefix(&prefix).is_ok());
        let name = index_name(&prefix, &event(&text));
        assert!(name.len() <= INDEX_NAME_BYTES_MAX && name.len() > 240, "{name}");
    }

    #[test]
    fn prefixes_that_no_index_may_have_are_refused() {
        for prefix in ["", "Logs", "-logs", "_logs", "+logs", "a b", "a/b", "a*", &"p".repeat(46)] {
            assert!(check_prefix(prefix).is_err(), "{prefix}");
        }
        for prefix in ["logs", ".hidden", "my-logs_1.a"] {
            assert!(check_prefix(prefix).is_ok(), "{prefix}");
        }
    }

    #[test]
    fn each_type_and_date_has_its_own_action_line() {
        let mut heads = ActionHeads::new("logs", r#","_id":""#);
        for (text, head) in [
            (
                r#"{"log_type":"a","time":"2025-01-01"}"#,
                r#"{"index":{"_index":"logs-a-20250101","_id":""#,
            ),
            (
                r#"{"log_type":"b","time":"2025-01-01"}"#,
                r#"{"index":{"_index":"logs-b-20250101","_id":""#,
            ),
            (
                r#"{"log_type":"a","time":"2025-01-02"}"#,
                r#"{"index":{"_index":"logs-a-20250102","_id":""#,
            ),
            (
                r#"{"log_type":"a","time":"2025-01-01"}"#,
                r#"{"index":{"_index":"logs-a-20250101","_id":""#,
            ),
        ] {
            assert_eq!(heads.head(&event(text)), head);
        }
        assert_eq!(heads.heads.len(), 3);
    }
}
