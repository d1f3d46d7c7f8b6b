//! Speed of decoding on one core, in MB (10⁶ bytes) of log text a second. `BAIKONUR_REAL_LOGS` names a file of one JSON
//! object a line to use instead of the sample; plain or gzipped.

use std::hint::black_box;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use baikonur_record::{Limits, Origin, Payload, Schema, for_each_payload, parse_timestamp};
use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use jiff::civil::date;
use md5::{Digest, Md5};

const SAMPLE: &[u8] = include_bytes!("../tests/data/real-logs.ndjson");
const BATCH: usize = 50;

const ORIGIN: Origin<'static> = Origin {
    stream: "logs",
    shard: "shardId-000000000000",
    sequence_number: &"49590338271490256608559692538361571095921575989136588898",
    arrival_millis: 1_700_000_000_000,
};

fn main() {
    let lines = lines();
    let text_bytes = lines.iter().map(Bytes::len).sum::<usize>();
    println!(
        "{} records, {text_bytes} bytes, {} bytes each",
        lines.len(),
        text_bytes / lines.len()
    );
    let schema = Schema::default();
    let event = |payload: Payload| {
        black_box(schema.event(payload, &ORIGIN)).expect("real logs are good");
    };
    measure("schema event, plain", text_bytes, || decode(&lines, event));
    measure("router: log_type only, plain", text_bytes, || {
        decode(&lines, |payload| {
            black_box(schema.log_type(&payload)).expect("real logs are good");
        });
    });
    let gzipped: Vec<Bytes> = lines.iter().map(|line| gzip(line)).collect();
    measure("schema event, each gzipped", text_bytes, || decode(&gzipped, event));
    let aggregates: Vec<Bytes> = lines.chunks(BATCH).map(aggregate).collect();
    measure("schema event, KPL aggregates of 50", text_bytes, || decode(&aggregates, event));
    let envelopes: Vec<Bytes> = lines.chunks(BATCH).map(envelope).collect();
    measure("schema event, CloudWatch envelopes of 50", text_bytes, || decode(&envelopes, event));
    let gzipped: Vec<Bytes> = envelopes.iter().map(|envelope| gzip(envelope)).collect();
    measure("schema event, gzipped CloudWatch envelopes of 50", text_bytes, || {
        decode(&gzipped, event)
    });
    for stamp in [
        "2015-05-17T10:05:03.000+00:00",
        "2016-12-19 16:31:49,733",
        "Mar 28 12:03:17 2015",
        "Fri, 05 Dec 2008 13:22:24 GMT",
    ] {
        measure_stamp(stamp);
    }
}

fn decode<F: FnMut(Payload)>(records: &[Bytes], mut take: F) {
    let limits = Limits::default();
    for record in records {
        for_each_payload(record, &limits, |payload| take(payload.expect("real logs are good")));
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn measure<F: FnMut()>(name: &str, bytes: usize, mut work: F) {
    work();
    let mut best = Duration::MAX;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        let start = Instant::now();
        work();
        best = best.min(start.elapsed());
    }
    println!("{name:50} {:8.0} MB/s", bytes as f64 / 1e6 / best.as_secs_f64());
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn measure_stamp(stamp: &str) {
    const ROUNDS: u32 = 1_000_000;
    let start = Instant::now();
    for _ in 0..ROUNDS {
        black_box(parse_timestamp(black_box(stamp), date(2003, 9, 25))).expect("a good stamp");
    }
    println!(
        "{:50} {:8.1} ns",
        format!("timestamp {stamp}"),
        start.elapsed().as_nanos() as f64 / f64::from(ROUNDS)
    );
}

fn lines() -> Vec<Bytes> {
    let mut text = SAMPLE.to_vec();
    if let Some(path) = std::env::var_os("BAIKONUR_REAL_LOGS") {
        text = std::fs::read(path).expect("the file of real logs can be read");
    }
    if text.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        #[expect(clippy::disallowed_methods, reason = "the input of a benchmark is trusted")]
        MultiGzDecoder::new(text.as_slice()).read_to_end(&mut plain).expect("good gzip");
        text = plain;
    }
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(Bytes::copy_from_slice).collect()
}

fn gzip(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).expect("memory takes all");
    encoder.finish().expect("memory takes all").into()
}

fn aggregate(records: &[Bytes]) -> Bytes {
    let mut body = b"\x0a\x03key".to_vec();
    for record in records {
        let data_length = varint(record.len());
        let mut message = b"\x08\x00\x1a".to_vec();
        message.extend(data_length);
        message.extend(record);
        body.push(0x1a);
        body.extend(varint(message.len()));
        body.extend(message);
    }
    let checksum = Md5::digest(&body);
    [b"\xf3\x89\x9a\xc2", body.as_slice(), &checksum].concat().into()
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn envelope(messages: &[Bytes]) -> Bytes {
    let events = messages.iter().map(|message| {
        let text = std::str::from_utf8(message).expect("logs are text");
        serde_json::json!({"id": "3".repeat(56), "timestamp": 1_510_109_208_016_u64, "message": text})
    });
    let envelope = serde_json::json!({
        "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "G", "logStream": "S",
        "subscriptionFilters": ["F"], "logEvents": events.collect::<Vec<_>>(),
    });
    envelope.to_string().into()
}
