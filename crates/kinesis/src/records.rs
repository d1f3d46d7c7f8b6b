//! Records and child shards of an answer in the words of the contract. What cannot be true is
//! refused: a reader that believed it would lose records or go backwards.

use aws_sdk_kinesis::types;
use baikonur_stream::{
    ChildShard, HashKeyRange, PartitionKey, ReadError, Record, SequenceNumber, ShardAddress,
    ShardId,
};
use bytes::Bytes;

use crate::describe::timestamp;

/// An answer that makes no sense.
pub(crate) fn strange(shard: &ShardAddress, what: impl std::fmt::Display) -> ReadError {
    ReadError::Unavailable(format!("the service gave a strange answer for {shard}: {what}"))
}

/// The records from `from` on; those below it are left out.
pub(crate) fn records(
    shard: &ShardAddress,
    answer: Vec<types::Record>,
    from: SequenceNumber,
) -> Result<Vec<Record>, ReadError> {
    let mut records: Vec<Record> = Vec::with_capacity(answer.len());
    for record in answer {
        let record = self::record(shard, record)?;
        if let Some(before) = records.last()
            && before.sequence_number >= record.sequence_number
        {
            let (before, number) = (before.sequence_number, record.sequence_number);
            return Err(strange(shard, format_args!("record {number} comes after {before}")));
        }
        if record.sequence_number >= from {
            records.push(record);
        }
    }
    Ok(records)
}

fn record(shard: &ShardAddress, record: types::Record) -> Result<Record, ReadError> {
    let sequence_number = number(shard, &record.sequence_number)?;
    let arrival = match &record.approximate_arrival_timestamp {
        Some(arrival) => timestamp(arrival),
        None => sequence_number.time().unwrap_or_default(),
    };
    let partition_key = match record.partition_key.filter(|key| !key.is_empty()) {
        None => PartitionKey::ABSENT,
        Some(key) => PartitionKey::new(Bytes::from(key)).map_err(|error| strange(shard, error))?,
    };
    let data = Bytes::from(record.data.into_inner());
    Ok(Record { sequence_number, arrival, partition_key, data })
}

/// A sequence number of an answer.
pub(crate) fn number(shard: &ShardAddress, text: &str) -> Result<SequenceNumber, ReadError> {
    text.parse().map_err(|error| strange(shard, error))
}

/// The shards that follow.
pub(crate) fn children(
    shard: &ShardAddress,
    answer: Vec<types::ChildShard>,
) -> Result<Vec<ChildShard>, ReadError> {
    answer.into_iter().map(|child| self::child(shard, child)).collect()
}

fn child(shard: &ShardAddress, child: types::ChildShard) -> Result<ChildShard, ReadError> {
    let id = |text: &str| text.parse::<ShardId>().map_err(|error| strange(shard, error));
    let key = |text: &str| text.parse().map_err(|error| strange(shard, error));
    let range = child.hash_key_range().ok_or_else(|| strange(shard, "a child without a range"))?;
    Ok(ChildShard {
        id: id(child.shard_id())?,
        parents: child.parent_shards().iter().map(|parent| id(parent)).collect::<Result<_, _>>()?,
        hash_key_range: HashKeyRange {
            start: key(range.starting_hash_key())?,
            end: key(range.ending_hash_key())?,
        },
    })
}
