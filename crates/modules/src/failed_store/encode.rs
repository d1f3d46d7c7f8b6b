//! Failed records as lines, and the keys of the objects that hold them.

use baikonur_stream::{FailedBatch, FailedRecord};
use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::wall::{rfc3339, utc};
use crate::intake::UNDECODABLE;
use crate::objects::gzip::{Deflate, Gzip};
use crate::objects::name;
use crate::objects::piece;

/// Bytes of a folder's name.
const FOLDER_BYTES_MAX: usize = 200;
/// Failed records are few: they may as well be small.
const COMPRESSION_LEVEL: u32 = 6;

/// A line of an object.
#[derive(Serialize)]
struct Line<'r> {
    reason: &'r str,
    detail: &'r str,
    consumer: &'r str,
    stream: &'r str,
    shard: String,
    sequence_number: String,
    sub_sequence: u64,
    event_index: u32,
    arrival: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition_key: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition_key_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

/// The records of `batch` that have one reason.
pub(super) struct Group<'b> {
    batch: &'b FailedBatch,
    reason: &'b str,
    records: Vec<&'b FailedRecord>,
}

/// The records of `batch` by reason, in the order of the first of each.
pub(super) fn groups(batch: &FailedBatch) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for record in &batch.records {
        match groups.iter_mut().find(|group| group.reason == record.reason) {
            Some(group) => group.records.push(record),
            None => groups.push(Group { batch, reason: &record.reason, records: vec![record] }),
        }
    }
    groups
}

impl Group<'_> {
    /// The key; see the header of `failed_store`.
    pub(super) fn key(&self, unknown_prefix: &str) -> String {
        let first = self.records[0];
        let reason = folder_name(self.reason);
        let reason = match UNDECODABLE.contains(&self.reason) {
            true => format!("{unknown_prefix}/{reason}"),
            false => reason,
        };
        let consumer = folder_name(self.batch.consumer.as_str());
        let arrival = utc(first.arrival, "%Y-%m/%d/%Y-%m-%d-%H:%M:%S");
        let stream = &self.batch.shard.stream;
        let shard = self.batch.shard.shard.index();
        let FailedRecord { sequence_number, sub_sequence, event_index, .. } = first;
        let (count, places) = (self.records.len(), self.places());
        format!(
            "{reason}/{consumer}/{arrival}-\
             {stream}-{shard}-{sequence_number}-{sub_sequence}-{event_index}-{count}-{places:08x}.gz"
        )
    }

    /// Tells objects apart that begin with the same record and have as many, but not the same: with
    /// lanes a batch may be cut at another place after a crash.
    fn places(&self) -> u32 {
        let mut places = Sha256::new();
        for record in &self.records {
            places.update(record.sequence_number.to_string());
            places.update(record.sub_sequence.to_be_bytes());
            places.update(record.event_index.to_be_bytes());
        }
        let digest = places.finalize();
        u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
    }

    /// The lines, compressed. Lets others have a turn between records.
    pub(super) async fn content(&self) -> Result<Vec<Bytes>, serde_json::Error> {
        let mut deflate = Deflate::new(COMPRESSION_LEVEL);
        let mut gzip = Gzip::new();
        let mut line = Vec::new();
        for record in &self.records {
            line.clear();
            serde_json::to_writer(&mut line, &self.line(record))?;
            gzip.push_line(&line, &mut deflate);
            tokio::task::consume_budget().await;
        }
        let origin = format!("baikonur {} failed records", self.records.len());
        piece::unpacked(gzip.whole(&origin, &mut deflate)).map_err(serde::ser::Error::custom)
    }

    fn line<'r>(&'r self, record: &'r FailedRecord) -> Line<'r> {
        let (partition_key, partition_key_base64) = text_or_base64(&record.partition_key);
        let (data, data_base64) = text_or_base64(&record.data);
        Line {
            reason: &record.reason,
            detail: &record.detail,
            consumer: self.batch.consumer.as_str(),
            stream: self.batch.shard.stream.as_str(),
            shard: self.batch.shard.shard.to_string(),
            sequence_number: record.sequence_number.to_string(),
            sub_sequence: record.sub_sequence,
            event_index: record.event_index,
            arrival: rfc3339(record.arrival),
            partition_key,
            partition_key_base64,
            data,
            data_base64,
        }
    }
}

fn text_or_base64(bytes: &[u8]) -> (Option<&str>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(base64_simd::STANDARD.encode_to_string(bytes))),
    }
}

/// What the key of an object of ours tells: its folders of reason and module, as [`folder_name`] makes them. None for
/// other keys.
pub fn key_folders(key: &str) -> Option<(&str, &str)> {
    let is_number = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut parts = key.rsplit('/');
    let (file, day, month) = (parts.next()?, parts.next()?, parts.next()?);
    let (module, reason) = (parts.next()?, parts.next()?);
    let (year, month) = month.split_once('-')?;
    let ours =
        file.ends_with(".gz") && is_number(day, 2) && is_number(month, 2) && is_number(year, 4);
    ours.then_some((reason, module))
}

/// A reason or a module's name as a part of a key.
pub fn folder_name(text: &str) -> String {
    name(text, FOLDER_BYTES_MAX)
}
