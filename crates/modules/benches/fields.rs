//! What changed fields cost: the intake alone, with settings of each kind, against events that stay as they came.
//!
//! `cargo bench -p baikonur-modules --bench fields`. Logs: the gzipped NDJSON file that `BAIKONUR_REAL_LOGS` names, or
//! made-up ones. The figure is the best of several passes over all lines, by the wall clock of a single thread; the last
//! column is the time for an event as a multiple of that without settings.

#![allow(clippy::unwrap_used, reason = "a benchmark ends at the first thing that is wrong")]

use std::hint::black_box;
use std::io::Read;
use std::time::Duration;

use baikonur_modules::intake::{Intake, IntakeSettings};
use baikonur_stream::{
    Batch, Clock, ConsumerName, PartitionKey, Record, SequenceNumber, ShardAddress, ShardId,
    StreamName, SystemClock, Timestamp,
};
use bytes::Bytes;

const BATCH_RECORDS: usize = 500;
const MEASURE: Duration = Duration::from_secs(3);
const KINDS: [(&str, &str); 9] = [
    ("as they came", ""),
    ("add a text", "fields.add = { environment = 'prod' }"),
    (
        "add all there is",
        "fields.add = { stream = '{stream}', shard = '{shard}', number = '{sequence_number}', at = '{arrival_time}', host = '{host}' }",
    ),
    ("drop two, none there", "fields.drop = ['debug', 'kubernetes.labels']"),
    ("drop one that is there", "fields.drop = ['log_id']"),
    ("rename one", "fields.rename = { message = 'msg' }"),
    ("redact by key", "fields.redact = ['message']"),
    (
        "redact by pattern",
        r"fields.redact = [{ pattern = '\b\d{4}-\d{4}-\d{4}-\d{4}\b', with = '[card]' }]",
    ),
    ("parse all, none there", "fields.parse = ['cloudwatch', 'container', 'json']"),
];

fn main() {
    let lines = lines();
    let bytes: usize = lines.iter().map(Bytes::len).sum();
    let batches = batches(&lines);
    println!("{} records, {:.1} MB, batches of {BATCH_RECORDS}", lines.len(), bytes as f64 / 1e6);
    let mut base = None;
    for (name, toml) in KINDS {
        let settings: IntakeSettings = toml::from_str(toml).unwrap();
        let intake = Intake::new(&settings, &ConsumerName::new("bench")).unwrap();
        let best = best(|| {
            for batch in &batches {
                intake.parts(batch).for_each(|part| _ = black_box(part.events.len()));
            }
        });
        let base = *base.get_or_insert(best);
        println!(
            "{name:<24} {:>8.0} MB/s {:>8.0} ns a record {:>6.2} ×",
            bytes as f64 / 1e6 / best.as_secs_f64(),
            best.as_secs_f64() * 1e9 / lines.len() as f64,
            best.as_secs_f64() / base.as_secs_f64()
        );
    }
}

fn best(mut pass: impl FnMut()) -> Duration {
    let clock = SystemClock::new();
    let until = clock.monotonic() + MEASURE;
    let mut best = Duration::MAX;
    while clock.monotonic() < until {
        let started = clock.monotonic();
        pass();
        best = best.min(clock.monotonic() - started);
    }
    best
}

fn batches(lines: &[Bytes]) -> Vec<Batch> {
    let shard = ShardAddress { stream: StreamName::new("router").unwrap(), shard: ShardId::new(0) };
    let records: Vec<_> = (1..)
        .zip(lines)
        .map(|(counter, line)| Record {
            sequence_number: SequenceNumber::new(1_700_000_000, 0, counter, 1_700_000_000),
            arrival: Timestamp::from_seconds(1_700_000_000),
            partition_key: PartitionKey::new(format!("key-{}", counter % 100).into()).unwrap(),
            data: line.clone(),
        })
        .collect();
    records
        .chunks(BATCH_RECORDS)
        .map(|records| Batch { shard: shard.clone(), records: records.to_vec(), attempt: 0 })
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
                let message = format!("GET /articles/{n}/comments?page={} HTTP/1.1 200 ", n % 7);
                format!(
                    r#"{{"log_type":"web_{}","log_id":"{n:032x}","time":"2015-05-17T10:{:02}:{:02}+00:00","message":"{}"}}{}"#,
                    n % 4,
                    n / 60 % 60,
                    n % 60,
                    message.repeat(6),
                    '\n'
                )
            })
            .collect(),
    };
    text.lines().map(|line| Bytes::copy_from_slice(line.as_bytes())).collect()
}
