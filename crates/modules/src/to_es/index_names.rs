//! The names of daily indices, `{index_name_prefix}-{log_type}-{YYYYMMDD}`, and of data streams,
//! `{index_name_prefix}-{log_type}[-{data_stream_namespace}]`.

use std::collections::HashMap;

use baikonur_record::{EventTime, LogEvent};

use super::settings::{DocumentId, InvalidSettings, Settings, WriteTo};

/// Bytes that Elasticsearch and OpenSearch allow in an index name.
const INDEX_NAME_BYTES_MAX: usize = 255;
/// Bytes that [`baikonur_record::LogType::index_segment`] takes at most.
const LOG_TYPE_BYTES_MAX: usize = 200;
/// `-` before the log type, `-YYYYMMDD` behind it.
const DATE_AND_DASHES_BYTES: usize = 10;
/// What is left for the prefix, whatever the log type.
const PREFIX_BYTES_MAX: usize = INDEX_NAME_BYTES_MAX - LOG_TYPE_BYTES_MAX - DATE_AND_DASHES_BYTES;
/// The backing indices of a data stream are named `.ds-{name}-{date}-{generation}`: 24 bytes more.
const BACKING_BYTES: usize = 24;

/// The index of an event, by the date of its own time in its own offset; or its data stream.
pub fn index_name(settings: &Settings, event: &LogEvent) -> String {
    let prefix = &settings.index_name_prefix;
    let segment = event.log_type.index_segment();
    match (settings.write_to, &settings.data_stream_namespace) {
        (WriteTo::DailyIndices, _) => format!("{prefix}-{segment}-{}", event.time.date_compact()),
        (WriteTo::DataStreams, None) => format!("{prefix}-{segment}"),
        (WriteTo::DataStreams, Some(namespace)) => format!("{prefix}-{segment}-{namespace}"),
    }
}

/// What all indices of these settings match, and hardly any other.
pub(super) fn index_pattern(settings: &Settings) -> String {
    let prefix = &settings.index_name_prefix;
    match &settings.data_stream_namespace {
        Some(namespace) => format!("{prefix}-*-{namespace}"),
        None => format!("{prefix}-*"),
    }
}

pub(super) fn check(settings: &Settings) -> Result<(), InvalidSettings> {
    let prefix = &settings.index_name_prefix;
    let invalid = |key, given: &str, why| {
        Err(InvalidSettings::IndexName { key, given: given.to_owned(), why })
    };
    if let Some(why) = problem(prefix) {
        return invalid("index_name_prefix", prefix, why);
    }
    let Some(namespace) = &settings.data_stream_namespace else { return Ok(()) };
    if let Some(why) = problem(namespace) {
        return invalid("data_stream_namespace", namespace, why);
    }
    let bytes = prefix.len() + LOG_TYPE_BYTES_MAX + namespace.len() + 2 + BACKING_BYTES;
    if bytes > INDEX_NAME_BYTES_MAX {
        let why = "is too long: with index_name_prefix and log type it would exceed the 255 bytes of an index name";
        return invalid("data_stream_namespace", namespace, why);
    }
    Ok(())
}

/// Why a text cannot be a part of index names.
fn problem(text: &str) -> Option<&'static str> {
    Some(if text.is_empty() {
        "is missing: indices are named {index_name_prefix}-{log_type}-{YYYYMMDD}"
    } else if text.len() > PREFIX_BYTES_MAX {
        const { assert!(PREFIX_BYTES_MAX == 45) };
        "has more than 45 bytes: with log type and date it would exceed the 255 bytes of an index name"
    } else if text.to_lowercase() != text {
        "has upper case letters, which Elasticsearch refuses in index names"
    } else if text.starts_with(['-', '_', '+']) {
        "starts with '-', '_' or '+', which Elasticsearch refuses in index names"
    } else if text.contains(|symbol: char| {
        symbol.is_whitespace() || symbol.is_control() || "\\/*?\"<>|,#:".contains(symbol)
    }) {
        "has a character that Elasticsearch refuses in index names: white space or one of \\ / * ? \" < > | , # :"
    } else {
        return None;
    })
}

/// Action lines up to the document's id, made once per index of a batch.
pub(super) struct ActionHeads<'a> {
    settings: &'a Settings,
    places: HashMap<Box<[u8]>, usize>,
    heads: Vec<String>,
    /// Reused for every look-up: the date, and the name of the log type.
    key: Vec<u8>,
}

impl<'a> ActionHeads<'a> {
    pub(super) fn new(settings: &'a Settings) -> Self {
        Self { settings, places: HashMap::new(), heads: Vec::new(), key: Vec::new() }
    }

    /// The beginning of the action line for `event`, up to its id where it gets one: `,"_id":"` is the end of it then.
    pub(super) fn head(&mut self, event: &LogEvent) -> &str {
        self.key.clear();
        if self.settings.write_to == WriteTo::DailyIndices {
            self.key.extend_from_slice(&date_number(&event.time).to_ne_bytes());
        }
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
        let name = index_name(self.settings, event);
        let action = match self.settings.write_to {
            WriteTo::DailyIndices => "index",
            // The only one that data streams take.
            WriteTo::DataStreams => "create",
        };
        let tail = match self.settings.document_id {
            DocumentId::LogId | DocumentId::Origin => r#","_id":""#,
            DocumentId::None => "",
        };
        self.heads.push(format!(r#"{{"{action}":{{"_index":"{name}"{tail}"#));
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
    use super::super::doubles::settings;
    use super::*;
    use crate::batches::event;

    fn with_prefix(prefix: &str) -> Settings {
        Settings { index_name_prefix: prefix.to_owned(), ..settings() }
    }

    fn streams(namespace: Option<&str>) -> Settings {
        let data_stream_namespace = namespace.map(str::to_owned);
        Settings { write_to: WriteTo::DataStreams, data_stream_namespace, ..settings() }
    }

    #[test]
    fn an_index_is_dated_in_the_offset_of_the_stamp() {
        let late = event(r#"{"log_type":"Auth","log_id":"1","time":"2024-12-31T23:30:00-05:00"}"#);
        assert_eq!(index_name(&settings(), &late), "logs-auth-20241231");
        let early = event(r#"{"log_type":"auth","log_id":"1","time":"2025-01-01T00:30:00+09:00"}"#);
        assert_eq!(index_name(&settings(), &early), "logs-auth-20250101");
    }

    #[test]
    fn a_data_stream_has_no_date_and_may_have_a_namespace() {
        let auth = event(r#"{"log_type":"Auth","log_id":"1","time":"2024-12-31T23:30:00-05:00"}"#);
        assert_eq!(index_name(&streams(None), &auth), "logs-auth");
        assert_eq!(index_name(&streams(Some("prod")), &auth), "logs-auth-prod");
        assert_eq!(index_pattern(&streams(Some("prod"))), "logs-*-prod");
        assert_eq!(index_pattern(&settings()), "logs-*");
    }

    #[test]
    fn the_longest_name_has_255_bytes() {
        let text = format!(r#"{{"log_type":"{}","time":"2025-01-01"}}"#, "日".repeat(500));
        let settings = with_prefix(&"p".repeat(PREFIX_BYTES_MAX));
        assert_eq!(check(&settings), Ok(()));
        let name = index_name(&settings, &event(&text));
        assert!(name.len() <= INDEX_NAME_BYTES_MAX && name.len() > 240, "{name}");
        assert!(check(&streams(Some(&"n".repeat(25)))).is_ok());
        assert!(check(&streams(Some(&"n".repeat(26)))).is_err());
    }

    #[test]
    fn prefixes_that_no_index_may_have_are_refused() {
        for prefix in ["", "Logs", "-logs", "_logs", "+logs", "a b", "a/b", "a*", &"p".repeat(46)] {
            assert!(check(&with_prefix(prefix)).is_err(), "{prefix}");
        }
        for prefix in ["logs", ".hidden", "my-logs_1.a"] {
            assert!(check(&with_prefix(prefix)).is_ok(), "{prefix}");
        }
    }

    #[test]
    fn each_type_and_date_has_its_own_action_line() {
        let settings = settings();
        let mut heads = ActionHeads::new(&settings);
        for (log_type, date) in
            [("a", "2025-01-01"), ("b", "2025-01-01"), ("a", "2025-01-02"), ("a", "2025-01-01")]
        {
            let event = event(&format!(r#"{{"log_type":"{log_type}","time":"{date}"}}"#));
            let head = format!(
                r#"{{"index":{{"_index":"logs-{log_type}-{}","_id":""#,
                date.replace('-', "")
            );
            assert_eq!(heads.head(&event), head);
        }
        assert_eq!(heads.heads.len(), 3);
    }

    #[test]
    fn a_data_stream_has_one_action_line_whatever_the_date() {
        let settings = Settings { document_id: DocumentId::None, ..streams(None) };
        let mut heads = ActionHeads::new(&settings);
        for date in ["2025-01-01", "2025-01-02"] {
            let event = event(&format!(r#"{{"log_type":"a","time":"{date}"}}"#));
            assert_eq!(heads.head(&event), r#"{"create":{"_index":"logs-a""#);
        }
        assert_eq!(heads.heads.len(), 1);
    }
}
