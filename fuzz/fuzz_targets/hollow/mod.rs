//! All operations, over streams that take everything and hold nothing.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use baikonur_api::{Format, InProcess, ServerSettings, Streams};
use baikonur_stream::{
    Administer, AdministerError, BillingCommitment, CreateStream, Cursor, HashKeyRange, Placed,
    ProducerPosition, PutEntry, PutError, Read, ReadError, ReadLimits, ReadPage, SequenceNumber,
    Shard, ShardAddress, ShardId, ShardUsage, StartingPosition, StreamChange, StreamDescription,
    StreamName, StreamOwner, StreamStatus, SystemClock, Timestamp, Write,
};
use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

pub(crate) const OPERATIONS: [&str; 40] = [
    "AddTagsToStream",
    "CreateStream",
    "DecreaseStreamRetentionPeriod",
    "DeleteResourcePolicy",
    "DeleteStream",
    "DeregisterStreamConsumer",
    "DescribeAccountSettings",
    "DescribeLimits",
    "DescribeStream",
    "DescribeStreamConsumer",
    "DescribeStreamSummary",
    "DisableEnhancedMonitoring",
    "EnableEnhancedMonitoring",
    "GetRecords",
    "GetResourcePolicy",
    "GetShardIterator",
    "IncreaseStreamRetentionPeriod",
    "ListShards",
    "ListStreamConsumers",
    "ListStreams",
    "ListTagsForResource",
    "ListTagsForStream",
    "MergeShards",
    "PutRecord",
    "PutRecords",
    "PutResourcePolicy",
    "RegisterStreamConsumer",
    "RemoveTagsFromStream",
    "SplitShard",
    "StartStreamEncryption",
    "StopStreamEncryption",
    "SubscribeToShard",
    "TagResource",
    "UntagResource",
    "UpdateAccountSettings",
    "UpdateMaxRecordSize",
    "UpdateShardCount",
    "UpdateStreamMode",
    "UpdateStreamRecordDistributionStrategy",
    "UpdateStreamWarmThroughput",
];

/// Streams that take everything and hold nothing.
struct Hollow;

fn number(shard: ShardId) -> SequenceNumber {
    SequenceNumber::new(1_700_000_000, shard.index(), 1, 1_700_000_000)
}

#[async_trait]
impl Write for Hollow {
    async fn put(
        &self,
        _: &StreamName,
        entries: Vec<PutEntry>,
        _: Option<ProducerPosition>,
    ) -> Result<Vec<Result<Placed, PutError>>, PutError> {
        let shard = ShardId::new(0);
        Ok(entries.iter().map(|_| Ok(Placed { shard, sequence_number: number(shard) })).collect())
    }

    async fn remembered(&self, _: &str) -> Result<Option<SequenceNumber>, PutError> {
        Ok(None)
    }
}

#[async_trait]
impl Read for Hollow {
    async fn shards(&self, _: &StreamName) -> Result<Vec<Shard>, ReadError> {
        Ok(Vec::new())
    }

    async fn seek(&self, shard: &ShardAddress, _: StartingPosition) -> Result<Cursor, ReadError> {
        Ok(Cursor { shard: shard.clone(), from: number(shard.shard) })
    }

    async fn read(&self, cursor: &Cursor, _: ReadLimits) -> Result<ReadPage, ReadError> {
        let next = Some(cursor.clone());
        Ok(ReadPage { records: Vec::new(), next, millis_behind_latest: 0, children: Vec::new() })
    }

    async fn wait(&self, _: &Cursor, _: Duration) {}
}

#[async_trait]
impl Administer for Hollow {
    async fn create_stream(&self, _: CreateStream) -> Result<(), AdministerError> {
        Ok(())
    }

    async fn delete_stream(&self, _: &StreamName, _: bool) -> Result<(), AdministerError> {
        Ok(())
    }

    async fn list_streams(&self, _: &StreamOwner) -> Result<Vec<StreamName>, AdministerError> {
        Ok(Vec::new())
    }

    async fn describe_stream(
        &self,
        name: &StreamName,
    ) -> Result<StreamDescription, AdministerError> {
        let shard = |(index, range): (usize, HashKeyRange)| Shard {
            id: ShardId::new(index as u32),
            parent: None,
            adjacent_parent: None,
            hash_key_range: range,
            starting_sequence_number: number(ShardId::new(index as u32)),
            ending_sequence_number: None,
        };
        Ok(StreamDescription {
            name: name.clone(),
            status: StreamStatus::Active,
            created: Timestamp::from_seconds(1_700_000_000),
            properties: Arc::default(),
            shards: HashKeyRange::evenly(3).into_iter().enumerate().map(shard).collect(),
            consumers: Arc::default(),
        })
    }

    async fn change_stream(
        &self,
        name: &StreamName,
        _: StreamChange,
    ) -> Result<StreamDescription, AdministerError> {
        self.describe_stream(name).await
    }

    async fn usage(&self, _: &StreamName) -> Result<Vec<ShardUsage>, AdministerError> {
        Ok(Vec::new())
    }

    async fn commitment(&self, _: &StreamOwner) -> Result<BillingCommitment, AdministerError> {
        Ok(BillingCommitment::default())
    }

    async fn commit_to(
        &self,
        _: &StreamOwner,
        _: BillingCommitment,
    ) -> Result<(), AdministerError> {
        Ok(())
    }
}

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime without I/O"));
static OPERATIONS_IN_PROCESS: LazyLock<InProcess> = LazyLock::new(|| {
    let hollow = Arc::new(Hollow);
    let streams = Streams {
        read: Arc::clone(&hollow) as _,
        write: Arc::clone(&hollow) as _,
        administer: hollow,
        clock: Arc::new(SystemClock::new()),
    };
    InProcess::new(&ServerSettings::default(), streams)
});

/// Status and body of an answer.
pub(crate) fn call(format: Format, operation: &str, body: Bytes) -> (u16, Bytes) {
    RUNTIME.block_on(OPERATIONS_IN_PROCESS.call_in(format, operation, body))
}
