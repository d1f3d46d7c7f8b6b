//! One shard of a service that does what a test says of each of its reads in turn.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use baikonur_stream::{
    Clock, ReadLimits, SequenceNumber, ShardAddress, ShardId, StreamName, Timestamp,
};
use serde_json::{Value, json};

/// When the records of the scripts arrive, in seconds since the epoch.
pub(crate) const START: u64 = 1_700_000_000;
pub(crate) const ARN: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/router";
/// As much as a test ever asks for.
pub(crate) const ALL: ReadLimits = ReadLimits { records: 10_000, bytes: 10 << 20 };

pub(crate) fn shard() -> ShardAddress {
    ShardAddress { stream: StreamName::new("router").unwrap(), shard: ShardId::new(0) }
}

pub(crate) fn number(counter: u64) -> SequenceNumber {
    SequenceNumber::new(START, 0, counter, START)
}

/// A record as an answer has it; its data are its counter.
pub(crate) fn record(counter: u64) -> Value {
    let data = base64_simd::STANDARD.encode_to_string(counter.to_string());
    json!({
        "SequenceNumber": number(counter).to_string(), "Data": data, "PartitionKey": "k",
        "ApproximateArrivalTimestamp": START as f64 + counter as f64,
    })
}

pub(crate) fn records(counters: impl IntoIterator<Item = u64>) -> Vec<Value> {
    counters.into_iter().map(record).collect()
}

/// An answer of GetRecords.
pub(crate) fn page(counters: &[u64], next: Option<&str>, millis_behind: u64) -> (u16, Value) {
    let records = records(counters.iter().copied());
    let answer = json!({
        "Records": records, "NextShardIterator": next, "MillisBehindLatest": millis_behind,
    });
    (200, answer)
}

pub(crate) fn refusal(kind: &str, message: &str) -> (u16, Value) {
    (400, json!({"__type": kind, "message": message}))
}

/// A shard of ListShards.
pub(crate) fn listed(id: u32, parent: Option<u32>, end: Option<u64>) -> Value {
    json!({
        "ShardId": ShardId::new(id).to_string(),
        "ParentShardId": parent.map(|id| ShardId::new(id).to_string()),
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "9"},
        "SequenceNumberRange": {
            "StartingSequenceNumber": SequenceNumber::new(START, id, 0, START).to_string(),
            "EndingSequenceNumber": end.map(|counter| number(counter).to_string()),
        },
    })
}

/// What answers in turn to one operation.
#[derive(Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<VecDeque<(u16, Value)>>>);

impl Turns {
    pub(crate) fn of(answers: impl IntoIterator<Item = (u16, Value)>) -> Self {
        Self(Arc::new(Mutex::new(answers.into_iter().collect())))
    }

    /// The next answer; that there is none fails the call, and shows in the test.
    pub(crate) fn next(&self) -> (u16, Value) {
        let next = self.0.lock().unwrap().pop_front();
        next.unwrap_or_else(|| refusal("InternalFailure", "the script is at its end"))
    }
}

/// A clock that a test sets.
#[derive(Debug, Default)]
pub(crate) struct SetClock(AtomicU64);

impl SetClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as u64, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(START).plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}
