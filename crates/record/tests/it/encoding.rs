//! The other direction: records as producers write them.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};

/// A user record to aggregate.
#[derive(Debug, Clone)]
pub(crate) struct UserRecord {
    pub(crate) partition_key: String,
    pub(crate) explicit_hash_key: Option<u128>,
    pub(crate) data: Vec<u8>,
}

pub(crate) fn gzip(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap().into()
}

/// A KPL aggregate; its tables hold each key once.
pub(crate) fn aggregate(records: &[UserRecord]) -> Bytes {
    let mut partition_keys: Vec<&str> = Vec::new();
    let mut explicit_hash_keys: Vec<u128> = Vec::new();
    let mut messages = Vec::new();
    for record in records {
        let mut message =
            varint_field(1, index_of(&mut partition_keys, record.partition_key.as_str()));
        if let Some(key) = record.explicit_hash_key {
            message.extend(varint_field(2, index_of(&mut explicit_hash_keys, key)));
        }
        message.extend(bytes_field(3, &record.data));
        messages.extend(bytes_field(3, &message));
    }
    let partition_keys = partition_keys.iter().flat_map(|key| bytes_field(1, key.as_bytes()));
    let mut body: Vec<u8> = partition_keys.collect();
    body.extend(
        explicit_hash_keys.iter().flat_map(|key| bytes_field(2, key.to_string().as_bytes())),
    );
    body.extend(messages);
    seal(&body)
}

/// Magic, body and checksum.
pub(crate) fn seal(body: &[u8]) -> Bytes {
    [b"\xf3\x89\x9a\xc2", body, &Md5::digest(body)].concat().into()
}

/// A CloudWatch Logs subscription envelope.
pub(crate) fn envelope(messages: &[String]) -> String {
    let events = messages
        .iter()
        .map(|message| serde_json::json!({"id": "1", "timestamp": 1, "message": message}));
    let envelope = serde_json::json!({
        "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "G", "logStream": "S",
        "subscriptionFilters": ["F"], "logEvents": events.collect::<Vec<_>>(),
    });
    envelope.to_string()
}

fn index_of<T: PartialEq>(table: &mut Vec<T>, entry: T) -> usize {
    table.iter().position(|known| *known == entry).unwrap_or_else(|| {
        table.push(entry);
        table.len() - 1
    })
}

fn varint_field(number: usize, value: usize) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

fn bytes_field(number: usize, value: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(value.len()), value.to_vec()].concat()
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
