//! Which events a module takes: the whitelist looks at the log type, then the filter criteria at the event as a whole.
//!
//! Filters act on what is decoded, event by event: on the user records of an aggregate, on what was compressed, on the
//! log events of a CloudWatch Logs envelope. Their metadata are those of the Kinesis record, but for the partition key of
//! a user record that has one of its own.

use baikonur_pattern::{Data, FilterCriteria, Metadata};
use baikonur_record::{LogType, Reason, RejectedPayload, Whitelist};
use baikonur_stream::Record;

use super::IntakeSettings;

/// The choice of one module.
pub(super) struct Choice {
    whitelist: Whitelist,
    criteria: FilterCriteria,
    /// What a record without a log type is called.
    unknown_type: String,
}

/// The record that an event was in.
#[derive(Clone, Copy)]
pub(super) struct Whence<'r> {
    pub(super) record: &'r Record,
    pub(super) shard_id: &'r str,
}

impl Choice {
    pub(super) fn new(settings: &IntakeSettings) -> Self {
        Self {
            whitelist: settings.whitelist(),
            criteria: settings.filter_criteria.clone(),
            unknown_type: format!("{}/unknown_type", settings.log_type_unknown_prefix),
        }
    }

    /// Whether an event is taken; `own_key` is the partition key that it has inside of an aggregate.
    #[inline]
    pub(super) fn takes(
        &self,
        whence: Whence<'_>,
        log_type: &LogType,
        own_key: Option<&[u8]>,
        json: &[u8],
    ) -> bool {
        self.whitelist.admits(log_type.declared().unwrap_or(&self.unknown_type))
            && self.matches(whence, own_key, Data::Json(json))
    }

    /// Whether something that cannot be delivered would have been taken otherwise, and so has to be kept.
    ///
    /// As in Lambda, data that is no JSON object matches no pattern that speaks of data. What is not known because it
    /// could not be unpacked is no such data: the metadata alone decide.
    pub(super) fn wants(&self, whence: Whence<'_>, rejected: &RejectedPayload) -> bool {
        let data = match rejected.reason {
            Reason::Empty
            | Reason::NotUtf8 { .. }
            | Reason::NotJson { .. }
            | Reason::NotAnObject => Data::NotJson,
            _ => Data::Unknown,
        };
        self.matches(whence, rejected.partition_key.as_deref(), data)
    }

    #[inline]
    fn matches(&self, whence: Whence<'_>, own_key: Option<&[u8]>, data: Data<'_>) -> bool {
        if self.criteria.is_empty() {
            return true;
        }
        let Whence { record, shard_id } = whence;
        let metadata = Metadata {
            partition_key: own_key.unwrap_or(record.partition_key.bytes()),
            sequence_number: &record.sequence_number,
            shard_id,
            arrival_millis: record.arrival.millis(),
        };
        self.criteria.matches(&metadata, data)
    }
}
