//! Invocations with a module and a failed store that do what a test says.

use std::sync::Mutex;

use async_trait::async_trait;
use baikonur_stream::{Cause, Close, KeepError, OpenError, SystemClock, Timestamp};
use bytes::Bytes;
use serde_json::json;

use super::*;

/// What a module answers for one batch, by the counters of its records.
type Script = Box<dyn Fn(&Batch) -> Delivery + Send + Sync>;

#[derive(Default)]
struct Seen {
    opened: u32,
    batches: Vec<usize>,
    closed: u32,
    kept: Vec<SequenceNumber>,
}

struct Scripted {
    seen: Arc<Mutex<Seen>>,
    script: Arc<Script>,
    /// What `close` answers.
    closes: bool,
    keeps: bool,
    stuck: bool,
}

#[async_trait]
impl Module for Scripted {
    async fn open(&self, _shard: &ShardAddress) -> Result<Box<dyn Deliver>, OpenError> {
        self.seen.lock().unwrap().opened += 1;
        let (seen, script) = (Arc::clone(&self.seen), Arc::clone(&self.script));
        Ok(Box::new(Opened { seen, script, closes: self.closes, stuck: self.stuck }))
    }
}

struct Opened {
    seen: Arc<Mutex<Seen>>,
    script: Arc<Script>,
    closes: bool,
    stuck: bool,
}

#[async_trait]
impl Deliver for Opened {
    async fn deliver(&mut self, batch: &Batch) -> Delivery {
        self.seen.lock().unwrap().batches.push(batch.records.len());
        if self.stuck && self.seen.lock().unwrap().batches.len() > 1 {
            std::future::pending::<()>().await;
        }
        (self.script)(batch)
    }

    async fn close(&mut self) -> Delivery {
        self.seen.lock().unwrap().closed += 1;
        if self.closes { Delivery::delivered() } else { fails(number(0)) }
    }
}

#[async_trait]
impl FailedStore for Scripted {
    async fn keep(&self, batch: &FailedBatch) -> Result<(), KeepError> {
        if !self.keeps {
            return Err(KeepError("full".to_owned()));
        }
        let mut seen = self.seen.lock().unwrap();
        seen.kept.extend(batch.records.iter().map(|record| record.sequence_number));
        Ok(())
    }
}

fn number(counter: u64) -> SequenceNumber {
    SequenceNumber::new(1_700_000_000, 6, counter, 1_700_000_001)
}

fn fails(from: SequenceNumber) -> Delivery {
    let outcome = Outcome::Failed { from, cause: Cause::Destination, reason: "down".to_owned() };
    Delivery { outcome, rejected: Vec::new() }
}

fn rejects(counters: &[u64]) -> Vec<RejectedRecord> {
    let reject = |counter: &u64| RejectedRecord {
        sequence_number: number(*counter),
        sub_sequence: 0,
        event_index: 0,
        arrival: Timestamp::from_seconds(1),
        partition_key: Bytes::from_static(b"k"),
        reason: "not_json".to_owned(),
        detail: String::new(),
        data: Bytes::new(),
    };
    counters.iter().map(reject).collect()
}

/// Records 1 to `count` of one shard.
fn event(count: u64) -> KinesisEvent {
    let record = |counter| {
        json!({
            "eventID": format!("shardId-000000000006:{}", number(counter)),
            "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/logs",
            "kinesis": {
                "partitionKey": "k", "sequenceNumber": number(counter), "data": "e30=",
                "approximateArrivalTimestamp": 1.0,
            },
        })
    };
    let records: Vec<_> = (1..=count).map(record).collect();
    serde_json::from_value(json!({ "Records": records })).unwrap()
}

struct World {
    closes: bool,
    keeps: bool,
    stuck: bool,
}

const WELL: World = World { closes: true, keeps: true, stuck: false };

fn function(
    world: World,
    script: impl Fn(&Batch) -> Delivery + Send + Sync + 'static,
) -> (Function, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let World { closes, keeps, stuck } = world;
    let scripted = Arc::new(Scripted {
        seen: Arc::clone(&seen),
        script: Arc::new(Box::new(script)),
        closes,
        keeps,
        stuck,
    });
    let clock = Arc::new(SystemClock::new());
    (Function::new(ConsumerName::new("f"), Arc::clone(&scripted) as _, scripted, clock), seen)
}

async fn failures(function: &mut Function, count: u64, patience: Duration) -> Vec<SequenceNumber> {
    let answer = function.invoke(event(count), patience).await.unwrap();
    answer.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
}

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn what_is_delivered_is_answered_with_no_failure_and_stays_open() {
    let (mut function, seen) = function(WELL, |_| Delivery::delivered());
    for _ in 0..2 {
        assert_eq!(failures(&mut function, 1200, LONG).await, []);
    }
    let seen = seen.lock().unwrap();
    assert_eq!((seen.opened, &*seen.batches), (1, &[500, 500, 200, 500, 500, 200][..]));
}

#[tokio::test]
async fn a_failure_names_its_record_and_ends_the_batch() {
    let (mut function, seen) = function(WELL, |batch| {
        if batch.first() > number(500) { fails(number(700)) } else { Delivery::delivered() }
    });
    assert_eq!(failures(&mut function, 1200, LONG).await, [number(700)]);
    assert_eq!(seen.lock().unwrap().batches, [500, 500]);
    assert_eq!(failures(&mut function, 10, LONG).await, []);
    assert_eq!(seen.lock().unwrap().opened, 2, "what failed is opened anew");
}

#[tokio::test]
async fn a_number_that_no_record_has_means_all() {
    let (mut function, _) = function(WELL, |_| fails(number(9_999)));
    assert_eq!(failures(&mut function, 10, LONG).await, [number(1)]);
}

#[tokio::test]
async fn what_is_held_is_closed_within_the_invocation() {
    let held = |_: &Batch| Delivery {
        outcome: Outcome::Held(Close::Within(LONG)),
        rejected: rejects(&[2]),
    };
    let (mut well, seen) = function(WELL, held);
    assert_eq!(failures(&mut well, 600, LONG).await, []);
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!((seen.closed, seen.kept.len()), (1, 2));
    let (mut broken, seen) = function(World { closes: false, ..WELL }, held);
    assert_eq!(failures(&mut broken, 600, LONG).await, [number(1)]);
    assert_eq!(seen.lock().unwrap().kept.len(), 2, "kept before objects are written");
}

#[tokio::test]
async fn what_is_full_is_closed_before_more_is_held() {
    let full = |_: &Batch| Delivery { outcome: Outcome::Held(Close::Now), rejected: Vec::new() };
    let (mut well, seen) = function(WELL, full);
    assert_eq!(failures(&mut well, 1200, LONG).await, []);
    assert_eq!(seen.lock().unwrap().closed, 3);
    let (mut broken, seen) = function(World { closes: false, ..WELL }, full);
    assert_eq!(failures(&mut broken, 1200, LONG).await, [number(1)]);
    assert_eq!(seen.lock().unwrap().batches, [500], "nothing more is taken");
}

#[tokio::test]
async fn no_object_is_written_while_its_rejected_records_cannot_be_kept() {
    let held = |_: &Batch| Delivery {
        outcome: Outcome::Held(Close::Within(LONG)),
        rejected: rejects(&[7]),
    };
    let (mut function, seen) = function(World { keeps: false, ..WELL }, held);
    assert_eq!(failures(&mut function, 10, LONG).await, [number(1)]);
    assert_eq!(seen.lock().unwrap().closed, 0);
}

#[tokio::test(start_paused = true)]
async fn rejected_records_are_kept_or_come_again_when_time_runs_out() {
    let script = |batch: &Batch| {
        let rejected = if batch.first() == number(1) { rejects(&[9]) } else { Vec::new() };
        Delivery { rejected, ..Delivery::delivered() }
    };
    let (mut function, seen) = function(World { stuck: true, ..WELL }, script);
    let from = failures(&mut function, 1200, Duration::from_millis(50)).await;
    let kept = std::mem::take(&mut seen.lock().unwrap().kept);
    assert!(
        from == [number(9)] || (from == [number(501)] && kept == [number(9)]),
        "{from:?} {kept:?}"
    );
}

#[tokio::test]
async fn rejected_records_are_kept_unless_they_come_again() {
    let (mut function, seen) =
        function(WELL, |_| Delivery { rejected: rejects(&[3, 2, 8]), ..fails(number(5)) });
    assert_eq!(failures(&mut function, 10, LONG).await, [number(5)]);
    assert_eq!(seen.lock().unwrap().kept, [number(2), number(3)]);
}

#[tokio::test]
async fn what_cannot_be_kept_comes_again() {
    let script = |_: &Batch| Delivery { rejected: rejects(&[4, 7]), ..Delivery::delivered() };
    let (mut function, _) = function(World { keeps: false, ..WELL }, script);
    assert_eq!(failures(&mut function, 10, LONG).await, [number(4)]);
}

#[tokio::test(start_paused = true)]
async fn a_function_answers_before_its_time_is_over() {
    let (mut function, _) = function(World { stuck: true, ..WELL }, |_| Delivery::delivered());
    assert_eq!(failures(&mut function, 1200, Duration::from_millis(50)).await, [number(501)]);
}
