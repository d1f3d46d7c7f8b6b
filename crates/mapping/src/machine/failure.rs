//! What becomes of a batch that was not delivered: again, in halves, or into the failed store.

use std::sync::Arc;

use baikonur_stream::{
    Batch, Cause, Cursor, FailedRecord, GiveUpCondition, GivenUp, Record, SequenceNumber, Timestamp,
};

use super::{Now, Piece, ShardMachine};

/// The reason of records whose batch failed as often as it may.
const RETRY_ATTEMPTS_EXHAUSTED: &str = "retry_attempts_exhausted";
/// The reason of records that became too old to be tried.
const RECORD_AGE_EXCEEDED: &str = "record_age_exceeded";
/// The reason of the mark that stands where stored data was damaged.
const STREAM_DAMAGED: &str = "stream_damaged";

fn given_up(record: &Record, batch: GivenUp, detail: &str) -> FailedRecord {
    let reason = match batch.condition {
        GiveUpCondition::RetryAttemptsExhausted => RETRY_ATTEMPTS_EXHAUSTED,
        GiveUpCondition::RecordAgeExceeded => RECORD_AGE_EXCEEDED,
    };
    FailedRecord {
        sequence_number: record.sequence_number,
        sub_sequence: 0,
        event_index: 0,
        arrival: record.arrival,
        partition_key: record.partition_key.bytes().clone(),
        reason: reason.to_owned(),
        detail: detail.to_owned(),
        data: record.data.clone(),
        given_up: Some(batch),
    }
}

impl ShardMachine {
    /// The batch was not delivered from `from` on.
    pub(super) fn failed(
        &mut self,
        now: Now,
        piece: Piece,
        from: SequenceNumber,
        cause: Cause,
        reason: String,
        failed: Vec<FailedRecord>,
    ) {
        let records = &piece.batch.records;
        let (taken, rest) = records.split_at(piece.batch.records_before(from));
        let moved = !taken.is_empty();
        if moved {
            let failed = failed.into_iter().filter(|r| r.sequence_number < from).collect();
            self.settle(taken, failed);
        }
        match cause {
            Cause::Destination => {
                let failures = if moved { 0 } else { piece.failures };
                self.again(now, rest, failures, &piece, reason);
            }
            // Progress was made: the count starts anew, as Lambda's does.
            Cause::Batch if moved => self.again(now, rest, 0, &piece, reason),
            Cause::Batch => {
                let bisect = self.settings.bisect_batch_on_function_error;
                let most = self.settings.maximum_retry_attempts;
                if bisect && rest.len() > 1 {
                    let (one, two) = rest.split_at(rest.len() / 2);
                    self.push_piece(two, piece.failures, 0);
                    self.again(now, one, piece.failures, &piece, reason);
                } else if most.is_some_and(|most| piece.failures >= most) {
                    let condition = GiveUpCondition::RetryAttemptsExhausted;
                    self.give_up(rest, condition, piece.failures + 1, &reason);
                } else {
                    self.again(now, rest, piece.failures + 1, &piece, reason);
                }
            }
        }
    }

    /// Hands `records`, a part of `piece` or all of it, over again after a pause.
    fn again(
        &mut self,
        now: Now,
        records: &[Record],
        failures: u32,
        piece: &Piece,
        reason: String,
    ) {
        let same = records.len() == piece.batch.records.len();
        self.push_piece(records, failures, if same { piece.batch.attempt + 1 } else { 0 });
        self.pause(now, reason);
    }

    fn push_piece(&mut self, records: &[Record], failures: u32, attempt: u32) {
        let (shard, records) = (self.shard.clone(), records.to_vec());
        let bytes = records.iter().map(Record::size).sum();
        let batch = Arc::new(Batch { shard, records, attempt });
        self.pieces.push_front(Piece { batch, bytes, failures });
    }

    /// Puts `records` into the failed store and goes on behind them.
    fn give_up(
        &mut self,
        records: &[Record],
        condition: GiveUpCondition,
        invoke_count: u32,
        detail: &str,
    ) {
        let Some(first) = records.first() else { return };
        let batch = GivenUp { condition, first: first.sequence_number, invoke_count };
        let failed = records.iter().map(|record| given_up(record, batch, detail)).collect();
        self.settle(records, failed);
    }

    /// How many records at the front of the present piece are too old to be tried.
    pub(super) fn expired(&self, now: Now) -> usize {
        let (Some(age), Some(piece)) = (self.settings.maximum_record_age, self.pieces.front())
        else {
            return 0;
        };
        if self.repeat_until.is_some() && self.repeats_objects {
            // These records may be in an object already: it must be written again as it was.
            return 0;
        }
        piece.batch.records.partition_point(|record| now.wall.since(record.arrival) > age)
    }

    /// Gives up the records of the present piece that are too old; whether there were any.
    pub(super) fn give_up_expired(&mut self, now: Now) -> bool {
        let expired = self.expired(now);
        let (Some(age), 1..) = (self.settings.maximum_record_age, expired) else {
            return false;
        };
        let piece = self.pieces.pop_front().expect("seen above");
        let (old, rest) = piece.batch.records.split_at(expired);
        if !rest.is_empty() {
            self.push_piece(rest, piece.failures, piece.batch.attempt);
        }
        let detail = format!("the record was not delivered within {} s", age.as_secs());
        // Lambda counts a batch that expired before its first attempt as tried once.
        let invoke_count = piece.batch.attempt.max(1);
        self.give_up(old, GiveUpCondition::RecordAgeExceeded, invoke_count, &detail);
        true
    }

    /// Stored bytes cannot be read back: leaves a mark in the failed store and goes on behind them.
    pub(super) fn skip_damage(&mut self, what: &str, arrival: Timestamp, resume: Cursor) {
        let Some(cursor) = self.cursor.replace(resume) else {
            return;
        };
        self.push_keep(vec![FailedRecord {
            sequence_number: cursor.from,
            sub_sequence: 0,
            event_index: 0,
            arrival,
            partition_key: bytes::Bytes::new(),
            reason: STREAM_DAMAGED.to_owned(),
            detail: what.to_owned(),
            data: bytes::Bytes::new(),
            given_up: None,
        }]);
    }
}
