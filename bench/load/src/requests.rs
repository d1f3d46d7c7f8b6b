//! Requests, prepared byte for byte.

use std::fs;
use std::io;

use crate::Arguments;

/// An HTTP request for an operation. It looks signed; servers that verify signatures refuse it.
pub(crate) fn request(host: &str, operation: &str, body: &str) -> Vec<u8> {
    format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-amz-json-1.1\r\n\
         X-Amz-Target: Kinesis_20131202.{operation}\r\nX-Amz-Date: 20240101T000000Z\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=load/20240101/us-east-1/kinesis/aws4_request, \
         SignedHeaders=host;x-amz-date;x-amz-target, Signature=0\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Different PutRecords requests that a connection sends in turn.
const REQUESTS: usize = 16;

/// PutRecords requests of a connection. Partition keys are all different.
pub(crate) fn put_requests(arguments: &Arguments, connection: usize) -> io::Result<Vec<Vec<u8>>> {
    let lines = match &arguments.lines {
        Some(path) => fs::read(path)?.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect(),
        None => Vec::new(),
    };
    let lines: Vec<Vec<u8>> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    let mut next = connection * REQUESTS * arguments.records;
    let mut record = || {
        let line = match lines.len() {
            0 => made_up_line(next, arguments.record_bytes),
            count => lines[next % count].clone(),
        };
        next += 1;
        let data = base64_simd::STANDARD.encode_to_string(line);
        format!("{{\"Data\":\"{data}\",\"PartitionKey\":\"key-{next:08}\"}}")
    };
    let mut body = || {
        let records: Vec<String> = (0..arguments.records).map(|_| record()).collect();
        format!("{{\"StreamName\":\"{}\",\"Records\":[{}]}}", arguments.stream, records.join(","))
    };
    Ok((0..REQUESTS).map(|_| request(&arguments.endpoint, "PutRecords", &body())).collect())
}

/// A log line of the usual kind.
fn made_up_line(number: usize, bytes: usize) -> Vec<u8> {
    let mut line = format!(
        "{{\"log_type\":\"load\",\"log_id\":\"{number:010}\",\"time\":\"2024-01-01T00:00:00.000Z\",\"text\":\""
    );
    let mut state = number as u64;
    while line.len() + 2 < bytes {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        line.push(char::from(b"abcdefghijklmnopqrstuvwxyz      "[(state >> 59) as usize]));
    }
    (line + "\"}").into_bytes()
}
