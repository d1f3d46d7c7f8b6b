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

/// What all prepared requests may take together, about.
const PREPARED_BYTES: usize = 128 * 1024 * 1024;
/// Different requests to send in turn: not so few that everything stays in the processor's cache.
const REQUESTS_MIN: usize = 8;
/// More of them would only take longer to prepare.
const REQUESTS_MAX: usize = 512;

/// A record to put: its partition key and its payload.
pub(crate) type Entry = (String, Vec<u8>);

/// The records of the requests that a run sends, request by request.
pub(crate) fn put_records(arguments: &Arguments) -> io::Result<Vec<Vec<Entry>>> {
    let lines = match &arguments.lines {
        Some(path) => fs::read(path)?.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect(),
        None => Vec::new(),
    };
    let lines: Vec<Vec<u8>> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    let request_bytes = (arguments.records * arguments.record_bytes * 4 / 3).max(1);
    let requests = (PREPARED_BYTES / request_bytes).clamp(REQUESTS_MIN, REQUESTS_MAX);
    let mut next = 0;
    let mut record = || {
        let line = match lines.len() {
            0 => made_up_line(next, arguments.record_bytes),
            count => lines[next % count].clone(),
        };
        next += 1;
        (format!("key-{next:08}"), line)
    };
    Ok((0..requests).map(|_| (0..arguments.records).map(|_| record()).collect()).collect())
}

/// PutRecords requests that the connections of a run send in turn. Partition keys are all different.
pub(crate) fn put_requests(arguments: &Arguments) -> io::Result<Vec<Vec<u8>>> {
    let entry = |(key, line): &Entry| {
        let data = base64_simd::STANDARD.encode_to_string(line);
        format!("{{\"Data\":\"{data}\",\"PartitionKey\":\"{key}\"}}")
    };
    let whole = |records: Vec<Entry>| {
        let entries: Vec<String> = records.iter().map(entry).collect();
        let (stream, entries) = (&arguments.stream, entries.join(","));
        let body = format!("{{\"StreamName\":\"{stream}\",\"Records\":[{entries}]}}");
        request(&arguments.endpoint, "PutRecords", &body)
    };
    Ok(put_records(arguments)?.into_iter().map(whole).collect())
}

/// A log line of the usual kind, of this length (shorter ones than its fixed part are not possible).
fn made_up_line(number: usize, bytes: usize) -> Vec<u8> {
    let mut line = format!("{{\"log_type\":\"load\",\"log_id\":\"{number:010}\",\"text\":\"");
    let mut state = number as u64;
    while line.len() + 2 < bytes {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        line.push(char::from(b"abcdefghijklmnopqrstuvwxyz      "[(state >> 59) as usize]));
    }
    (line + "\"}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::made_up_line;

    #[test]
    fn made_up_lines_have_the_length_asked_for() {
        for bytes in [100, 480, 1_048_576] {
            assert_eq!(made_up_line(123, bytes).len(), bytes);
        }
    }
}
