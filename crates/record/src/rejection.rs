//! Why a part of a Kinesis record could not become a log event, with the bytes that could not.

use bytes::Bytes;
use thiserror::Error;

/// The smallest part of a Kinesis record that is bad, kept whole so that it can be stored and replayed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct RejectedPayload {
    /// The bytes as they came: what cannot be decompressed stays compressed, an aggregate stays an aggregate. What can
    /// be decompressed, but is bad then, is kept decompressed.
    pub bytes: Bytes,
    /// Partition key of the inner KPL user record; `None` means that of the Kinesis record.
    pub partition_key: Option<Bytes>,
    /// KPL sub-sequence number, 0 for a plain record.
    pub sub_sequence: u64,
    /// Index of the log event in a CloudWatch envelope, 0 otherwise.
    pub event_index: u32,
    /// What is wrong.
    #[source]
    pub reason: Reason,
}

/// What is wrong with a rejected payload.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// A user record of zero bytes, or one that decompresses to them.
    #[error("the record has no bytes")]
    Empty,
    /// Starts like gzip (`1F 8B`) but cannot be decompressed to its end.
    #[error("not a whole gzip stream: {what}")]
    BadGzip {
        /// The first thing that is wrong.
        what: &'static str,
    },
    /// More bytes would come out of decompression than [`crate::Limits::decompressed_bytes`] allows.
    #[error("more than {limit} bytes after decompression")]
    TooLarge {
        /// The limit, in bytes per Kinesis record.
        limit: usize,
    },
    /// More payloads in one Kinesis record than [`crate::Limits::payloads`] allows.
    #[error("more than {limit} payloads in one record")]
    TooManyPayloads {
        /// The limit, in payloads per Kinesis record.
        limit: usize,
    },
    /// A user record of a KPL aggregate points outside of the aggregate's key tables.
    #[error("user record {sub_sequence} of the KPL aggregate points outside of the {table} table")]
    BadAggregate {
        /// The first user record that does.
        sub_sequence: u64,
        /// Which table.
        table: &'static str,
    },
    /// A CloudWatch Logs subscription envelope with a log event that has no message.
    #[error("CloudWatch Logs envelope: {what}")]
    BadEnvelope {
        /// What is wrong with the log event.
        what: &'static str,
    },
    /// Not UTF-8.
    #[error("not UTF-8 from byte {at} on")]
    NotUtf8 {
        /// Offset of the first bad byte.
        at: usize,
    },
    /// Not JSON text (RFC 8259).
    #[error("not JSON at byte {at}: {what}")]
    NotJson {
        /// Offset in bytes.
        at: usize,
        /// What was expected there.
        what: &'static str,
    },
    /// More bytes than `limit` would be made of one Kinesis record by what a module's `fields` put into its events.
    #[error("the module's fields would make more than {limit} bytes of one record")]
    TooLargeWithFields {
        /// The limit, in bytes per Kinesis record.
        limit: usize,
    },
    /// JSON, but its root is not an object.
    #[error("the JSON root is not an object")]
    NotAnObject,
}

impl Reason {
    /// A stable name for metrics, failed-store documents and object keys.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::BadGzip { .. } => "bad_gzip",
            Self::TooLarge { .. } => "too_large",
            Self::TooManyPayloads { .. } => "too_many_payloads",
            Self::BadAggregate { .. } => "bad_aggregate",
            Self::BadEnvelope { .. } => "bad_envelope",
            Self::NotUtf8 { .. } => "not_utf8",
            Self::NotJson { .. } => "not_json",
            Self::TooLargeWithFields { .. } => "too_large_with_fields",
            Self::NotAnObject => "not_an_object",
        }
    }
}
