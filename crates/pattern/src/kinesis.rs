//! The filters of an event source mapping of a Kinesis stream: patterns over a record's data and what is known about it.
//!
//! What a pattern sees is the object `kinesis` of the event that AWS Lambda would hand to a function, its `data` decoded,
//! and beside it the event's own keys.

use std::fmt;

use thiserror::Error;

use crate::evaluate::Top;
use crate::fault::{PatternError, Problem};
use crate::limits::FILTERS_MAX;
use crate::matcher::Leaf;
use crate::pattern::Pattern;

const DATA: &str = "data";

/// The keys beside `data`.
const METADATA: [&str; 8] = [
    "partitionKey",
    "sequenceNumber",
    "approximateArrivalTimestamp",
    "kinesisSchemaVersion",
    "eventID",
    "eventName",
    "eventSource",
    "eventVersion",
];

/// Patterns of which one has to match; without any everything does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterCriteria {
    filters: Vec<Pattern>,
}

/// Texts that are no filter criteria.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FilterCriteriaError {
    /// One is no pattern, or none that a Kinesis record could match.
    #[error("{0}")]
    Pattern(#[from] PatternError),
    /// There are too many.
    #[error("{0} filters are too many: an event source mapping has at most {FILTERS_MAX}")]
    TooMany(usize),
}

/// What is known about a record beside its data.
#[derive(Clone, Copy)]
pub struct Metadata<'r> {
    /// That of the user record in a KPL aggregate, otherwise that of the Kinesis record.
    pub partition_key: &'r [u8],
    /// Shown only where a pattern asks for it.
    pub sequence_number: &'r dyn fmt::Display,
    /// Such as `shardId-000000000000`.
    pub shard_id: &'r str,
    /// Approximate arrival time, in milliseconds since the Unix epoch.
    pub arrival_millis: u64,
}

/// A record's data, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data<'r> {
    /// A JSON text. Where it is none, or its root is no object, this is [`Data::NotJson`].
    Json(&'r [u8]),
    /// No JSON object: a combination of fields that has one of `data` does not match.
    NotJson,
    /// It could not be decoded: only what is said about the metadata decides.
    Unknown,
}

impl FilterCriteria {
    /// Compiles patterns.
    ///
    /// # Errors
    /// The first that is no pattern, that has a key which no Kinesis record has, or that says something about `data` as a
    /// whole; more patterns than an event source mapping can have.
    pub fn parse<I, S>(patterns: I) -> Result<Self, FilterCriteriaError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let filters = patterns.into_iter().map(|text| parse(text.as_ref()));
        let criteria = Self { filters: filters.collect::<Result<_, _>>()? };
        match criteria.filters.len() {
            0..=FILTERS_MAX => Ok(criteria),
            count => Err(FilterCriteriaError::TooMany(count)),
        }
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// The texts of the patterns.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.filters.iter().map(Pattern::text)
    }

    /// Whether a record is to be delivered.
    pub fn matches(&self, metadata: &Metadata<'_>, data: Data<'_>) -> bool {
        self.is_empty() || self.filters.iter().any(|filter| matches(filter, metadata, data))
    }
}

/// Compiles a pattern whose fields are those of a Kinesis record.
fn parse(text: &str) -> Result<Pattern, PatternError> {
    let pattern = Pattern::parse(text)?;
    let compiled = pattern.compiled();
    for (name, place) in compiled.top() {
        if name == DATA.as_bytes() {
            if compiled.nodes[place].wants_values() {
                return Err(PatternError { path: DATA.to_owned(), problem: Problem::PlainData });
            }
        } else if !METADATA.iter().any(|known| known.as_bytes() == name) {
            let key = String::from_utf8_lossy(name).into_owned();
            let known = METADATA.join(", ");
            let problem = Problem::NoKinesisKey { key, known };
            return Err(PatternError { path: String::new(), problem });
        }
    }
    Ok(pattern)
}

fn matches(filter: &Pattern, metadata: &Metadata<'_>, data: Data<'_>) -> bool {
    let Metadata { partition_key, sequence_number, shard_id, arrival_millis } = *metadata;
    let (mut number, mut id, mut arrival) = (String::new(), String::new(), String::new());
    for (name, _) in filter.compiled().top() {
        match name {
            b"sequenceNumber" => number = sequence_number.to_string(),
            b"eventID" => id = format!("{shard_id}:{sequence_number}"),
            b"approximateArrivalTimestamp" => {
                arrival = format!("{}.{:03}", arrival_millis / 1000, arrival_millis % 1000);
            }
            _ => {}
        }
    }
    filter.compiled().matches_below(|name| match name {
        b"data" => Some(match data {
            Data::Json(text) => Top::Document(text),
            Data::NotJson => Top::NoDocument,
            Data::Unknown => Top::Unknown,
        }),
        b"partitionKey" => text(partition_key),
        b"sequenceNumber" => text(number.as_bytes()),
        b"approximateArrivalTimestamp" => Some(Top::Leaf(Leaf::Number(arrival.as_bytes()))),
        b"kinesisSchemaVersion" | b"eventVersion" => text(b"1.0"),
        b"eventID" => text(id.as_bytes()),
        b"eventName" => text(b"aws:kinesis:record"),
        b"eventSource" => text(b"aws:kinesis"),
        _ => None,
    })
}

fn text(text: &[u8]) -> Option<Top<'_>> {
    Some(Top::Leaf(Leaf::Text(text)))
}
