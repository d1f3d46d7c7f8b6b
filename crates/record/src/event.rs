//! A log event: the JSON text as it came, with the three fields of the Common Schema found in it.

use std::fmt;

use bytes::Bytes;

use crate::{EventTime, LogId, LogType};

/// Where a payload came from.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// Stream name.
    pub stream: &'a str,
    /// Shard id.
    pub shard: &'a str,
    /// Sequence number of the Kinesis record. Shown only for records without an id of their own: making 56 decimal
    /// digits is a tenth of what decoding a record takes.
    pub sequence_number: &'a dyn fmt::Display,
    /// Approximate arrival time, in milliseconds since the Unix epoch.
    pub arrival_millis: i64,
}

/// One log event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    /// The JSON text as it came, without surrounding white space.
    pub json: Bytes,
    /// False when raw line ends stand between the tokens of `json`.
    pub one_line: bool,
    /// The log type, or why there is none.
    pub log_type: LogType,
    /// The record's own id or one derived from its origin.
    pub log_id: LogId,
    /// The record's own time, or the arrival time when it has none.
    pub time: EventTime,
    /// Partition key of the inner KPL user record; `None` means that of the Kinesis record.
    pub partition_key: Option<Bytes>,
    /// KPL sub-sequence number, 0 for a plain record.
    pub sub_sequence: u64,
    /// Index of the log event in a CloudWatch envelope, 0 otherwise.
    pub event_index: u32,
}

impl LogEvent {
    /// Gives the event the id that it would have without one of its own.
    pub fn forget_own_id(&mut self, origin: &Origin<'_>) {
        self.log_id = LogId::derive(origin, self.sub_sequence, self.event_index);
    }

    /// The JSON text on one line; shares `json` when it already is.
    pub fn to_one_line(&self) -> Bytes {
        if self.one_line {
            return self.json.clone();
        }
        // Valid JSON has raw line ends between tokens only, and no two tokens are kept apart by white space alone.
        let text = self.json.iter().copied().filter(|byte| !matches!(byte, b'\n' | b'\r'));
        text.collect::<Vec<u8>>().into()
    }
}
