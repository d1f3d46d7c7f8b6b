//! MB/s of one core for each module, the network left out, on batches of 500 records.
//!
//! `cargo bench -p baikonur-modules --bench modules`. Logs: the gzipped NDJSON file that
//! `BAIKONUR_REAL_LOGS` names, or made-up ones. The figure is the best of several passes over all
//! lines, by the wall clock of a single thread.

#![allow(clippy::unwrap_used, reason = "a benchmark ends at the first thing that is wrong")]

#[path = "modules/archives.rs"]
mod archives;

use std::hint::black_box;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baikonur_modules::forward::{self, Forward};
use baikonur_modules::intake::{Intake, IntakeSettings};
use baikonur_stream::{
    Batch, Clock, ConsumerName, Module, Outcome, PartitionKey, Placed, ProducerPosition, PutEntry,
    PutError, Record, SequenceNumber, ShardAddress, ShardId, StreamName, SystemClock, Timestamp,
    Write,
};
use bytes::Bytes;
use tokio::runtime::Runtime;

const BATCH_RECORDS: usize = 500;
const MEASURE: Duration = Duration::from_secs(3);

fn main() {
    let lines = lines();
    let bytes: usize = lines.iter().map(Bytes::len).sum();
    let batches = batches(&lines);
    println!("{} records, {:.1} MB, batches of {BATCH_RECORDS}", lines.len(), bytes as f64 / 1e6);
    let bench = Bench {
        runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
        clock: Arc::new(SystemClock::new()),
        batches,
        bytes,
    };
    bench.decoding();
    bench.forward();
    archives::run(&bench);
}

struct Bench {
    runtime: Runtime,
    clock: Arc<SystemClock>,
    batches: Vec<Batch>,
    bytes: usize,
}

impl Bench {
    /// Reports the best of many passes over all batches.
    fn report(&self, name: &str, mut pass: impl FnMut()) {
        let until = self.clock.monotonic() + MEASURE;
        let mut best = Duration::MAX;
        while self.clock.monotonic() < until {
            let started = self.clock.monotonic();
            pass();
            best = best.min(self.clock.monotonic() - started);
        }
        let records = self.batches.iter().map(|batch| batch.records.len()).sum::<usize>();
        let seconds = best.as_secs_f64();
        println!(
            "{name:<32} {:>8.0} MB/s {:>10.0} records/s",
            self.bytes as f64 / 1e6 / seconds,
            records as f64 / seconds
        );
    }

    fn intake(&self) -> Arc<Intake> {
        let consumer = ConsumerName::new("bench");
        Arc::new(Intake::new(&IntakeSettings::default(), &consumer).unwrap())
    }

    fn decoding(&self) {
        let intake = self.intake();
        self.report("intake: events", || {
            for batch in &self.batches {
                intake.parts(batch).for_each(|part| _ = black_box(part.events.len()));
            }
        });
        self.report("intake: log types alone", || {
            for batch in &self.batches {
                intake.payload_parts(batch).for_each(|part| _ = black_box(part.events.len()));
            }
        });
    }

    fn forward(&self) {
        let target_stream_name = StreamName::new("target").unwrap();
        let settings = forward::Settings { target_stream_name, kinesis_max_retries: None };
        let module = Forward::new(settings, self.intake(), Arc::new(Nowhere));
        let mut shard = self.runtime.block_on(module.open(&shard())).unwrap();
        self.report("kinesis-forward", || {
            for batch in &self.batches {
                let delivery = self.runtime.block_on(shard.deliver(batch));
                assert_eq!(delivery.outcome, Outcome::Delivered);
            }
        });
    }
}

/// Takes everything at once and keeps nothing.
struct Nowhere;

#[async_trait]
impl Write for Nowhere {
    async fn put(
        &self,
        _: &StreamName,
        entries: Vec<PutEntry>,
        _: Option<ProducerPosition>,
    ) -> Result<Vec<Result<Placed, PutError>>, PutError> {
        let placed = Placed { shard: ShardId::new(0), sequence_number: number(1) };
        Ok(vec![Ok(placed); black_box(entries).len()])
    }

    async fn remembered(&self, _: &str) -> Result<Option<SequenceNumber>, PutError> {
        Ok(None)
    }
}

fn shard() -> ShardAddress {
    ShardAddress { stream: StreamName::new("router").unwrap(), shard: ShardId::new(0) }
}

fn number(counter: u64) -> SequenceNumber {
    SequenceNumber::new(1_700_000_000, 0, counter, 1_700_000_000)
}

fn batches(lines: &[Bytes]) -> Vec<Batch> {
    let records: Vec<_> = (1..)
        .zip(lines)
        .map(|(counter, line)| Record {
            sequence_number: number(counter),
            arrival: Timestamp::from_seconds(1_700_000_000),
            partition_key: PartitionKey::new(format!("key-{}", counter % 100).into()).unwrap(),
            data: line.clone(),
        })
        .collect();
    records
        .chunks(BATCH_RECORDS)
        .map(|records| Batch { shard: shard(), records: records.to_vec(), attempt: 0 })
        .collect()
}

fn lines() -> Vec<Bytes> {
    let text = match std::env::var_os("BAIKONUR_REAL_LOGS") {
        Some(path) => {
            let packed = std::fs::read(path).unwrap();
            let mut text = String::new();
            flate2::read::GzDecoder::new(&*packed).read_to_string(&mut text).unwrap();
            text
        }
        None => (0..20_000)
            .map(|n| {
                format!(
                    r#"{{"log_type":"web_{}","log_id":"{n:032x}","time":"2015-05-17T10:{:02}:{:02}+00:00","message":"{}"}}{}"#,
                    n % 4,
                    n / 60 % 60,
                    n % 60,
                    format!("GET /articles/{n}/comments?page={} HTTP/1.1 200 {} ", n % 7, n * 31 % 9000)
                        .repeat(6),
                    '\n'
                )
            })
            .collect(),
    };
    text.lines().map(|line| Bytes::copy_from_slice(line.as_bytes())).collect()
}
