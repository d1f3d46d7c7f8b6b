//! What a record costs in this room: JSON or CBOR, MD5 and the answer, without a disk; then JSON
//! with HTTP over a socket, whose client shares the core. Prints records per second on one core; run
//! with `cargo bench -p baikonur-api`.

mod weightless;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use baikonur_api::{Format, InProcess, NoPages, Server, ServerSettings, Streams};
use baikonur_stream::{Clock, PartitionKey, Record, ShardId, SystemClock};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weightless::number;

const RECORDS: usize = 100;
const RECORD_BYTES: usize = 480;
const RUN: Duration = Duration::from_secs(2);

/// A log line of the usual kind, of about `RECORD_BYTES`.
fn line(index: usize) -> Vec<u8> {
    let mut line = format!(
        "{{\"log_type\":\"access\",\"log_id\":\"{index:08}\",\"time\":\"2024-01-01T00:00:00Z\",\"text\":\""
    );
    while line.len() < RECORD_BYTES - 2 {
        line.push(char::from(b'a' + ((line.len() * 7 + index) % 26) as u8));
    }
    (line + "\"}").into_bytes()
}

fn put_body() -> Bytes {
    let record = |index: usize| {
        let data = base64_simd::STANDARD.encode_to_string(line(index));
        format!("{{\"Data\":\"{data}\",\"PartitionKey\":\"partition-{index:06}\"}}")
    };
    let records: Vec<String> = (0..RECORDS).map(record).collect();
    format!("{{\"StreamName\":\"bench\",\"Records\":[{}]}}", records.join(",")).into()
}

fn put_body_in_cbor() -> Bytes {
    use ciborium::Value::{Array, Bytes, Map, Text};
    let text = |text: &str| Text(text.to_owned());
    let record = |index: usize| {
        let key = format!("partition-{index:06}");
        Map(vec![(text("Data"), Bytes(line(index))), (text("PartitionKey"), Text(key))])
    };
    let records = (0..RECORDS).map(record).collect();
    in_cbor(&Map(vec![(text("StreamName"), text("bench")), (text("Records"), Array(records))]))
}

fn in_cbor(value: &ciborium::Value) -> Bytes {
    let mut body = Vec::new();
    ciborium::into_writer(value, &mut body).expect("written to memory");
    body.into()
}

fn page() -> Vec<Record> {
    let record = |index: usize| Record {
        sequence_number: number(ShardId::new(1), index as u64),
        arrival: Clock::now(&SystemClock::new()),
        partition_key: PartitionKey::new(format!("partition-{index:06}").into()).expect("short"),
        data: line(index).into(),
    };
    (0..RECORDS).map(record).collect()
}

/// Calls until the time is up, and prints how many records that were.
async fn measure(format: Format, operations: &InProcess, operation: &str, body: Bytes) {
    let clock = SystemClock::new();
    let (status, answer) = operations.call_in(format, operation, body.clone()).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    let (started, mut calls) = (clock.monotonic(), 0);
    while clock.monotonic() - started < RUN {
        for _ in 0..100 {
            black_box(operations.call_in(format, operation, black_box(body.clone())).await);
        }
        calls += 100;
    }
    print(&format!("{operation} {format:?}"), calls, clock.monotonic() - started);
}

fn print(name: &str, calls: usize, took: Duration) {
    let records = (calls * RECORDS) as f64;
    let seconds = took.as_secs_f64();
    println!(
        "{name:<20} {:>12.0} records/s {:>8.0} ns/record {:>8.0} MB/s of payload",
        records / seconds,
        seconds * 1e9 / records,
        records * RECORD_BYTES as f64 / seconds / 1e6,
    );
}

/// PutRecords by one client with one connection.
async fn measure_http(streams: Streams) {
    let listen = ([127, 0, 0, 1], 0).into();
    let settings = ServerSettings { listen, ..ServerSettings::default() };
    let server = Server::bind(settings).await.expect("a free port");
    let address = server.local_addr();
    tokio::spawn(server.run(streams, Arc::new(NoPages), std::future::pending()));
    let body = put_body();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-amz-json-1.1\r\n\
         X-Amz-Target: Kinesis_20131202.PutRecords\r\nX-Amz-Date: 20240101T000000Z\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let request = [head.as_bytes(), &body].concat();
    let mut stream = TcpStream::connect(address).await.expect("a server");
    stream.set_nodelay(true).expect("a socket");
    let mut buffer = vec![0; 64 * 1024];
    let clock = SystemClock::new();
    let (started, mut calls) = (clock.monotonic(), 0);
    while clock.monotonic() - started < RUN {
        stream.write_all(&request).await.expect("a server that reads");
        let mut filled = 0;
        // The answer ends as no other part of it does.
        while !buffer[..filled].ends_with(b"\"}]}") {
            filled += stream.read(&mut buffer[filled..]).await.expect("a server that answers");
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200"));
        calls += 1;
    }
    print("PutRecords by HTTP", calls, clock.monotonic() - started);
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let streams = weightless::streams(page());
    let operations = InProcess::new(&ServerSettings::default(), streams.clone());
    measure(Format::Json, &operations, "PutRecords", put_body()).await;
    measure(Format::Cbor, &operations, "PutRecords", put_body_in_cbor()).await;
    let body = r#"{"StreamName":"bench","ShardId":"1","ShardIteratorType":"LATEST"}"#;
    let (_, iterator) = operations.call("GetShardIterator", body.into()).await;
    // The answer of one is a request of the other.
    measure(Format::Json, &operations, "GetRecords", iterator.clone()).await;
    let iterator: ciborium::Value = serde_json::from_slice(&iterator).expect("JSON");
    measure(Format::Cbor, &operations, "GetRecords", in_cbor(&iterator)).await;
    measure_http(streams).await;
}
