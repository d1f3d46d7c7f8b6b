//! Streams without weight: they take everything at once, keep nothing, and hold the same page at all
//! times. What is measured or fuzzed over them is the room above.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baikonur_api::Streams;
use baikonur_stream::{
    Administer, AdministerError, BillingCommitment, CreateStream, Cursor, HashKeyRange, Placed,
    ProducerPosition, PutEntry, PutError, Read, ReadError, ReadLimits, ReadPage, Record,
    SequenceNumber, Shard, ShardAddress, ShardId, ShardUsage, StartingPosition, StreamChange,
    StreamDescription, StreamName, StreamOwner, StreamStatus, SystemClock, Timestamp, Write,
};

/// Streams that take everything at once and always hold the same page.
struct Weightless {
    page: Vec<Record>,
}

/// Such streams, with this page.
pub(crate) fn streams(page: Vec<Record>) -> Streams {
    let weightless = Arc::new(Weightless { page });
    Streams {
        read: Arc::clone(&weightless) as _,
        write: Arc::clone(&weightless) as _,
        administer: weightless,
        clock: Arc::new(SystemClock::new()),
    }
}

/// A number that a shard may have given.
pub(crate) fn number(shard: ShardId, counter: u64) -> SequenceNumber {
    SequenceNumber::new(1_700_000_000, shard.index(), counter, 1_700_000_100)
}

#[async_trait]
impl Write for Weightless {
    async fn put(
        &self,
        _: &StreamName,
        entries: Vec<PutEntry>,
        _: Option<ProducerPosition>,
    ) -> Result<Vec<Result<Placed, PutError>>, PutError> {
        let place = |(counter, entry): (usize, &PutEntry)| {
            let shard = ShardId::new((entry.hash_key().value() >> 126) as u32);
            Ok(Placed { shard, sequence_number: number(shard, counter as u64) })
        };
        Ok(entries.iter().enumerate().map(place).collect())
    }

    async fn remembered(&self, _: &str) -> Result<Option<SequenceNumber>, PutError> {
        Ok(None)
    }
}

#[async_trait]
impl Read for Weightless {
    async fn shards(&self, _: &StreamName) -> Result<Vec<Shard>, ReadError> {
        Ok(Vec::new())
    }

    async fn seek(&self, shard: &ShardAddress, _: StartingPosition) -> Result<Cursor, ReadError> {
        Ok(Cursor { shard: shard.clone(), from: number(shard.shard, 0), since: None })
    }

    async fn read(&self, cursor: &Cursor, _: ReadLimits) -> Result<ReadPage, ReadError> {
        Ok(ReadPage {
            records: self.page.clone(),
            next: Some(cursor.clone()),
            millis_behind_latest: 0,
            children: Vec::new(),
        })
    }

    async fn wait(&self, _: &Cursor, _: Duration) {}
}

#[async_trait]
impl Administer for Weightless {
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
        let shard = |(range, index): (HashKeyRange, u32)| Shard {
            id: ShardId::new(index),
            parent: None,
            adjacent_parent: None,
            hash_key_range: range,
            starting_sequence_number: number(ShardId::new(index), 0),
            ending_sequence_number: None,
        };
        Ok(StreamDescription {
            hidden_before: Timestamp::default(),
            newest_arrival: Timestamp::default(),
            name: name.clone(),
            status: StreamStatus::Active,
            created: Timestamp::from_seconds(1_700_000_000),
            properties: Arc::default(),
            shards: HashKeyRange::evenly(4).into_iter().zip(0..).map(shard).collect(),
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
