//! Failures of the streams, in the words of the service.

use baikonur_stream::{AdministerError, PutError, ReadError, ShardAddress, ShardId, StreamName};

use crate::kinesis::Home;
use crate::wire::error::{ApiError, ErrorCode};

fn limit_exceeded(message: String) -> ApiError {
    ApiError::new(ErrorCode::LimitExceeded, message)
}

/// Answers 500, which every SDK tries again, and says why for whoever reads the client's log.
fn internal_failure(reason: impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorCode::InternalFailure, reason.to_string())
}

impl Home {
    /// A whole put that failed.
    ///
    /// A full disk is answered as throttling: nothing is broken, space comes back when retention
    /// frees it, and a throttled SDK tries again ever more slowly, where it would hurry after a 500.
    pub(crate) fn put_failure(&self, stream: &StreamName, error: &PutError) -> ApiError {
        match error {
            PutError::StreamNotFound(_) => self.stream_not_found(stream),
            PutError::ThroughputExceeded(_) | PutError::StorageFull(_) => {
                let (code, message) = self.put_entry_failure(stream, error);
                ApiError::new(code, message)
            }
            PutError::RecordRefused(_) | PutError::Unavailable(_) => internal_failure(error),
        }
    }

    /// One record of a PutRecords call that failed: `ErrorCode` and `ErrorMessage`.
    pub(crate) fn put_entry_failure(
        &self,
        stream: &StreamName,
        error: &PutError,
    ) -> (ErrorCode, String) {
        let account = &self.account;
        match error {
            PutError::ThroughputExceeded(shard) => (
                ErrorCode::ProvisionedThroughputExceeded,
                format!(
                    "Rate exceeded for shard {shard} in stream {stream} under account {account}."
                ),
            ),
            PutError::StorageFull(_) => (
                ErrorCode::ProvisionedThroughputExceeded,
                format!("Rate exceeded for stream {stream} under account {account}: {error}."),
            ),
            // There are two codes for a record; these are no throttling.
            PutError::StreamNotFound(_) | PutError::RecordRefused(_) | PutError::Unavailable(_) => {
                (ErrorCode::InternalFailure, "Internal service failure.".to_owned())
            }
        }
    }

    /// A shard that is not there; said of a missing stream as well.
    pub(crate) fn shard_does_not_exist(&self, shard: &ShardAddress) -> ApiError {
        let ShardAddress { stream, shard } = shard;
        let account = &self.account;
        ApiError::not_found(format!(
            "Shard {shard} in stream {stream} under account {account} does not exist"
        ))
    }

    /// A text that is no shard id.
    pub(crate) fn shard_not_found(&self, shard: &str, stream: &StreamName) -> ApiError {
        let account = &self.account;
        ApiError::not_found(format!(
            "Could not find shard {shard} in stream {stream} under account {account}."
        ))
    }

    /// A sequence number that cannot be a place to start.
    pub(crate) fn starting_number_invalid(
        &self,
        number: &str,
        ShardAddress { stream, shard }: &ShardAddress,
        why: &str,
    ) -> ApiError {
        let account = &self.account;
        ApiError::invalid_argument(format!(
            "StartingSequenceNumber {number} used in GetShardIterator on shard {shard} in stream \
             {stream} under account {account} is invalid{why}."
        ))
    }

    /// A search for a place to read from that failed.
    pub(crate) fn seek_failure(&self, shard: &ShardAddress, error: &ReadError) -> ApiError {
        match error {
            ReadError::OtherShard { number, .. } => ApiError::invalid_argument(format!(
                "Invalid StartingSequenceNumber. It encodes {}, while it was used in a call to a \
                 shard with {}",
                ShardId::new(number.shard()),
                shard.shard,
            )),
            ReadError::OtherStream { number, .. } => self.starting_number_invalid(
                &number.to_string(),
                shard,
                " because it did not come from this stream",
            ),
            ReadError::StreamNotFound(_)
            | ReadError::ShardNotFound(_)
            | ReadError::Damaged { .. }
            | ReadError::Unavailable(_) => self.read_failure(shard, error),
        }
    }

    /// A read that failed. A place in a stream that was made anew is a place in a shard that is gone.
    pub(crate) fn read_failure(&self, shard: &ShardAddress, error: &ReadError) -> ApiError {
        match error {
            ReadError::StreamNotFound(_)
            | ReadError::ShardNotFound(_)
            | ReadError::OtherShard { .. }
            | ReadError::OtherStream { .. } => self.shard_does_not_exist(shard),
            // Not skipped in silence: the reader decides to go on behind the damage.
            ReadError::Damaged { resume: Some(resume), .. } => internal_failure(format_args!(
                "{error}; reading can go on AT_SEQUENCE_NUMBER {}",
                resume.from
            )),
            ReadError::Damaged { resume: None, .. } | ReadError::Unavailable(_) => {
                internal_failure(error)
            }
        }
    }

    /// A stream that could not be administered.
    pub(crate) fn administer_failure(&self, error: &AdministerError) -> ApiError {
        let Self { region, account, .. } = self;
        match error {
            AdministerError::StreamNotFound(stream) => self.stream_not_found(stream),
            AdministerError::StreamExists(stream) => ApiError::new(
                ErrorCode::ResourceInUse,
                format!("Stream {stream} under account {account} already exists."),
            ),
            AdministerError::ShardLimit { requested, open, limit } => ApiError::new(
                ErrorCode::LimitExceeded,
                format!(
                    "This request would exceed the shard limit for the account {account} in \
                     {region}. Current shard count for the account: {open}. Limit: {limit}. Number \
                     of additional shards that would have resulted from this request: {requested}. \
                     Refer to the AWS Service Limits page \
                     (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for \
                     current limits and how to request higher limits."
                ),
            ),
            // The two operations that change retention say which stream it is.
            AdministerError::RetentionShorter { .. } | AdministerError::RetentionLonger { .. } => {
                ApiError::invalid_argument(error.to_string())
            }
            AdministerError::Unavailable(_) => internal_failure(error),
            AdministerError::ShardNotFound(ShardAddress { stream, shard }) => {
                self.shard_not_found(&shard.to_string(), stream)
            }
            AdministerError::ShardClosed(ShardAddress { stream, shard }) => {
                ApiError::invalid_argument(format!(
                    "Shard {shard} in stream {stream} under account {account} has already been \
                     merged or split, and thus is not eligible for merging or splitting."
                ))
            }
            AdministerError::SplitPoint {
                shard: ShardAddress { stream, shard },
                at,
                start,
                end,
            } => ApiError::invalid_argument(format!(
                "NewStartingHashKey {at} used in SplitShard() on shard {shard} in stream \
                     {stream} under account {account} is not both greater than one plus the \
                     shard's StartingHashKey {start} and less than the shard's EndingHashKey {end}."
            )),
            AdministerError::NotAdjacent { stream, shard, adjacent } => {
                ApiError::invalid_argument(format!(
                    "Shards {shard} and {adjacent} in stream {stream} under account {account} are \
                     not an adjacent pair of shards eligible for merging"
                ))
            }
            AdministerError::AboveDouble { open, target } => limit_exceeded(format!(
                "UpdateShardCount cannot scale up over double your current open shard count. \
                 Current open shard count: {open} Target shard count: {target}"
            )),
            AdministerError::BelowHalf { open, target } => limit_exceeded(format!(
                "UpdateShardCount cannot scale down below half your current open shard count. \
                 Current open shard count: {open} Target shard count: {target}"
            )),
            AdministerError::DailyLimit { .. }
            | AdministerError::EncryptionPeriodLimit { .. }
            | AdministerError::StorageFull(_) => limit_exceeded(format!("{error}.")),
            AdministerError::OnDemand(stream) => ApiError::new(
                ErrorCode::Validation,
                format!(
                    "Request is invalid. Stream {stream} under account {account} is in On-Demand \
                     mode."
                ),
            ),
            AdministerError::Provisioned(stream) => ApiError::invalid_argument(format!(
                "Request is invalid. Stream {stream} under account {account} is in Provisioned mode."
            )),
            // Operations on tags say which resource it is.
            AdministerError::TooManyTags | AdministerError::Refused(_) => {
                ApiError::invalid_argument(error.to_string())
            }
            AdministerError::ConsumerNotFound { consumer, .. } => {
                ApiError::not_found(format!("Consumer {consumer}, account {account} not found."))
            }
            AdministerError::ConsumerExists { consumer, .. } => ApiError::new(
                ErrorCode::ResourceInUse,
                format!("Consumer {consumer} under account {account} already exists."),
            ),
            AdministerError::ConsumerLimit { limit } => {
                limit_exceeded(format!("A stream has at most {limit} registered consumers."))
            }
            AdministerError::HasConsumers(stream) => ApiError::new(
                ErrorCode::ResourceInUse,
                format!(
                    "DeleteStream can't delete {} because there are consumers associated with this \
                     data stream. To delete {stream} anyway, set the EnforceConsumerDeletion \
                     parameter to true to force the deletion of all the consumers that are \
                     associated with it.",
                    self.arn(stream)
                ),
            ),
            AdministerError::NoPolicy => {
                ApiError::not_found("There is no policy attached to the resource.")
            }
        }
    }

    /// A retention period that could not be changed.
    pub(crate) fn retention_failure(
        &self,
        stream: &StreamName,
        error: &AdministerError,
    ) -> ApiError {
        let (requested, present, comparison, other) = match error {
            AdministerError::RetentionShorter { requested, present } => {
                (requested, present, "shorter", "Decrease")
            }
            AdministerError::RetentionLonger { requested, present } => {
                (requested, present, "longer", "Increase")
            }
            _ => return self.administer_failure(error),
        };
        ApiError::invalid_argument(format!(
            "Requested retention period ({requested} hours) for stream {stream} can not be \
             {comparison} than existing retention period ({present} hours). Use \
             {other}RetentionPeriod API."
        ))
    }
}

#[cfg(test)]
mod tests {
    use baikonur_stream::{Cursor, SequenceNumber, Timestamp};

    use super::*;

    fn home() -> Home {
        Home::of(&crate::ServerSettings::default())
    }

    #[test]
    fn throttling_and_a_full_disk_are_tried_again_slowly() {
        let stream = StreamName::new("s").unwrap();
        let failure = |error| home().put_failure(&stream, &error);
        let throttled = failure(PutError::ThroughputExceeded(ShardId::new(1)));
        assert_eq!(throttled.code, ErrorCode::ProvisionedThroughputExceeded);
        assert_eq!(
            throttled.message.unwrap(),
            "Rate exceeded for shard shardId-000000000001 in stream s under account 000000000000."
        );
        let full = failure(PutError::StorageFull("disk".into()));
        assert_eq!(full.code, ErrorCode::ProvisionedThroughputExceeded);
        assert!(full.message.unwrap().ends_with("no space left for records: disk."));
        assert_eq!(failure(PutError::Unavailable("x".into())).code.status(), 500);
    }

    #[test]
    fn a_change_that_finds_no_space_is_told_as_a_limit() {
        let failure = home().administer_failure(&AdministerError::StorageFull("catalog".into()));
        assert_eq!(failure.code, ErrorCode::LimitExceeded);
        assert_eq!(failure.message.unwrap(), "no space left for the change: catalog.");
        let limit = AdministerError::DailyLimit { operation: "UpdateShardCount", limit: 10 };
        let failure = home().administer_failure(&limit);
        assert_eq!(failure.message.unwrap(), "UpdateShardCount was called 10 times in 24 hours.");
    }

    #[test]
    fn damage_is_named_with_the_place_behind_it() {
        let shard = ShardAddress { stream: StreamName::new("s").unwrap(), shard: ShardId::new(0) };
        let from = SequenceNumber::new(1_600_000_000, 0, 7, 1_600_000_000);
        let resume = Some(Cursor { shard: shard.clone(), from, since: None });
        let arrival = Timestamp::default();
        let error = ReadError::Damaged { what: "segment 3".into(), arrival, resume };
        let failure = home().read_failure(&shard, &error);
        assert_eq!(failure.code, ErrorCode::InternalFailure);
        let message = failure.message.unwrap();
        assert!(message.contains("segment 3") && message.ends_with(&from.to_string()), "{message}");
    }
}
