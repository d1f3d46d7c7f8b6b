//! Foreign bytes in, log events or rejections with a reason out: de-aggregate, decompress, unwrap CloudWatch, find the three fields, parse time.
//!
//! [`payloads`] takes a Kinesis record apart, [`Schema::event`] makes a [`LogEvent`] of each part. Whatever cannot be
//! decoded comes out as a [`RejectedPayload`] with its bytes: no input panics, and none is lost. There is no I/O and no
//! clock here; every answer is a function of the bytes, their origin and the settings.

mod aggregate;
mod envelope;
mod event;
mod event_time;
mod field_path;
mod field_texts;
mod gzip;
mod log_id;
mod log_type;
mod payload;
mod protobuf;
mod rejection;
pub mod scan;
mod schema;
mod segment;
mod timestamp;
mod timezone;
mod whitelist;

pub use envelope::{EnvelopeEvent, InEnvelope};
pub use event::{LogEvent, Origin};
pub use event_time::EventTime;
pub use field_path::{FieldPath, FieldPathError};
pub use field_texts::field_texts;
pub use log_id::LogId;
pub use log_type::{LogType, SchemaProblem};
pub use payload::{Limits, Payload, for_each_payload, for_each_payload_within, payloads};
pub use rejection::{Reason, RejectedPayload};
pub use schema::Schema;
pub use segment::for_key as key_segment;
pub use timestamp::{ParsedTime, TimestampError, parse_timestamp};
pub use timezone::{Timezone, UnknownTimezone};
pub use whitelist::Whitelist;
