//! What the tests of operations share: real streams in a folder, a clock set by hand, and writes
//! that fail as no embedded store would.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use baikonur_engine::{Durability, Engine, EngineSettings};
use baikonur_stream::{
    Clock, Placed, ProducerPosition, PutEntry, PutError, SequenceNumber, StreamName, Timestamp,
    Write,
};
use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Answer, Home, Kinesis, Operation, Shared};
use crate::wire::error::ApiError;
use crate::wire::format::Format;
use crate::{ServerSettings, Streams};

/// When the first stream of a test is made, in seconds.
pub(crate) const START: u64 = 1_700_000_000;

#[derive(Debug)]
pub(crate) struct HandClock(AtomicU64);

impl HandClock {
    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    pub(crate) fn step_back(&self, seconds: u64) {
        self.0.fetch_sub(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Operations over real streams.
pub(crate) struct World {
    pub(crate) kinesis: Kinesis,
    pub(crate) clock: Arc<HandClock>,
    _folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let clock = Arc::new(HandClock(AtomicU64::new(START * 1000)));
        let settings = EngineSettings {
            durability: Durability::OsBuffer,
            ..EngineSettings::new(folder.path())
        };
        let (engine, _) = Engine::open(settings, Arc::clone(&clock) as _).unwrap();
        let engine = Arc::new(engine);
        let streams = Streams {
            read: Arc::clone(&engine) as _,
            write: Arc::clone(&engine) as _,
            administer: engine,
            clock: Arc::clone(&clock) as _,
        };
        let settings = ServerSettings::default();
        let shared = Shared::new(&settings, streams);
        let kinesis = Kinesis { shared, home: Home::of(&settings), format: Format::Json };
        Self { kinesis, clock, _folder: folder }
    }

    pub(crate) async fn with_stream(name: &str, shards: u32) -> Self {
        let world = Self::new();
        world.create(name, shards).await;
        world
    }

    /// The same with writes that fail.
    pub(crate) fn failing(mut self, writes: Failing) -> Self {
        let shared = Arc::get_mut(&mut self.kinesis.shared).expect("no request is under way");
        shared.streams.write = Arc::new(writes);
        self
    }

    pub(crate) async fn bytes_of(&self, operation: &str, body: &str) -> Result<Bytes, ApiError> {
        self.bytes_in(Format::Json, operation, body.to_owned()).await
    }

    pub(crate) async fn bytes_in(
        &self,
        format: Format,
        operation: &str,
        body: impl Into<Bytes>,
    ) -> Result<Bytes, ApiError> {
        let operation = Operation::named(operation).unwrap();
        let kinesis = Kinesis { format, ..self.kinesis.clone() };
        match operation.answer(&kinesis, body.into()).await? {
            Answer::Whole(bytes) => Ok(bytes),
            Answer::Stream(_) => panic!("{} streams", operation.name()),
        }
    }

    pub(crate) async fn bytes(&self, operation: &str, body: &str) -> Result<String, ApiError> {
        let bytes = self.bytes_of(operation, body).await?;
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// The answer as a tree; null for an empty one.
    pub(crate) async fn call(&self, operation: &str, body: &str) -> Result<Value, ApiError> {
        let answer = self.bytes(operation, body).await?;
        Ok(if answer.is_empty() { Value::Null } else { serde_json::from_str(&answer).unwrap() })
    }

    pub(crate) async fn create(&self, name: &str, shards: u32) {
        let body = json!({ "StreamName": name, "ShardCount": shards }).to_string();
        self.call("CreateStream", &body).await.unwrap();
    }

    /// Registers a consumer; its ARN.
    pub(crate) async fn register(&self, stream: &str, consumer: &str) -> String {
        let arn = format!("arn:aws:kinesis:us-east-1:000000000000:stream/{stream}");
        let body = json!({ "StreamARN": arn, "ConsumerName": consumer }).to_string();
        let answer = self.call("RegisterStreamConsumer", &body).await.unwrap();
        assert_eq!(answer["Consumer"]["ConsumerStatus"], "CREATING");
        answer["Consumer"]["ConsumerARN"].as_str().unwrap().to_owned()
    }

    /// The summary of a stream.
    pub(crate) async fn summary(&self, stream: &str) -> Value {
        let body = json!({ "StreamName": stream }).to_string();
        self.call("DescribeStreamSummary", &body).await.unwrap()["StreamDescriptionSummary"].clone()
    }

    /// Puts a record whose payload is its key; its sequence number.
    pub(crate) async fn put(&self, stream: &str, key: &str) -> String {
        let data = base64_simd::STANDARD.encode_to_string(key);
        let body = json!({ "StreamName": stream, "Data": data, "PartitionKey": key }).to_string();
        let answer = self.call("PutRecord", &body).await.unwrap();
        answer["SequenceNumber"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn iterator(&self, stream: &str, shard: u32, kind: &str) -> Value {
        let body = json!({ "StreamName": stream, "ShardId": shard.to_string(), "ShardIteratorType": kind });
        self.call("GetShardIterator", &body.to_string()).await.unwrap()["ShardIterator"].clone()
    }

    /// All records of a shard.
    pub(crate) async fn records(&self, stream: &str, shard: u32) -> Vec<Value> {
        let iterator = self.iterator(stream, shard, "TRIM_HORIZON").await;
        let body = json!({ "ShardIterator": iterator }).to_string();
        self.call("GetRecords", &body).await.unwrap()["Records"].as_array().unwrap().clone()
    }
}

pub(crate) fn message(error: &ApiError) -> String {
    error.message.clone().expect("an error with a message")
}

/// Writes of which single records fail, as only a store with throughput limits has them.
pub(crate) struct Failing {
    /// What becomes of the entries of each call.
    pub(crate) entries: Vec<Result<(), PutError>>,
}

#[async_trait]
impl Write for Failing {
    async fn put(
        &self,
        _: &StreamName,
        entries: Vec<PutEntry>,
        _: Option<ProducerPosition>,
    ) -> Result<Vec<Result<Placed, PutError>>, PutError> {
        assert_eq!(entries.len(), self.entries.len());
        let placed = Placed {
            shard: baikonur_stream::ShardId::new(0),
            sequence_number: SequenceNumber::new(START, 0, 1, START),
        };
        Ok(self.entries.iter().map(|result| result.clone().map(|()| placed)).collect())
    }

    async fn remembered(&self, _: &str) -> Result<Option<SequenceNumber>, PutError> {
        Ok(None)
    }
}
