//! Records on their way in: out of JSON and base64, into entries that share one piece of memory.

use baikonur_stream::{
    HashKey, PartitionKey, PutEntry, RecordDistribution, StreamName, StreamProperties,
};
use bytes::Bytes;

use crate::kinesis::Kinesis;
use crate::limits::RECORD_BYTES_MAX;
use crate::wire::constraint::{HASH_KEY, Length, Path, Required, Violations};
use crate::wire::error::{ApiError, ErrorCode};
use crate::wire::members::{Blob, Text};
use crate::wire::structure::structure;

structure! {
    /// `PutRecordsRequestEntry`, and the same members of PutRecord.
    pub(crate) struct Entry<'a> {
        pub(crate) data: Blob<'a> = "Data" [Required, Length(0, RECORD_BYTES_MAX)],
        pub(crate) partition_key: Text<'a> = "PartitionKey" [Length(1, PartitionKey::CHARACTERS_MAX)],
        pub(crate) explicit_hash_key: Text<'a> = "ExplicitHashKey" [HASH_KEY],
    }
}

impl Entry<'_> {
    /// Bytes that count against limits.
    pub(crate) fn size(&self) -> usize {
        let data = self.data.as_ref().map_or(0, Blob::decoded_length);
        data + self.partition_key.as_ref().map_or(0, |key| key.as_str().len())
    }

    /// Appends payload and key; where each ends.
    fn write_to(&self, memory: &mut Vec<u8>) -> (usize, usize) {
        if let Some(data) = &self.data {
            data.decode_into(memory);
        }
        let data_end = memory.len();
        if let Some(key) = &self.partition_key {
            memory.extend_from_slice(key.as_str().as_bytes());
        }
        (data_end, memory.len())
    }

    fn explicit_hash_key(&self) -> Result<Option<HashKey>, ApiError> {
        let Some(key) = &self.explicit_hash_key else { return Ok(None) };
        let key = key.as_str();
        key.parse().map(Some).map_err(|_| {
            ApiError::invalid_argument(format!(
                "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. \
                 Specified value was {key}"
            ))
        })
    }
}

/// The entries of a request whose constraints hold. All payloads and keys are slices of one
/// allocation, so that the request's body, a third larger, can go.
pub(crate) fn decode(entries: &[Entry<'_>]) -> Result<Vec<PutEntry>, ApiError> {
    let mut memory = Vec::with_capacity(entries.iter().map(Entry::size).sum());
    let ends: Vec<_> = entries.iter().map(|entry| entry.write_to(&mut memory)).collect();
    let memory = Bytes::from(memory);
    let mut start = 0;
    let mut decoded = Vec::with_capacity(entries.len());
    for (entry, (data_end, key_end)) in entries.iter().zip(ends) {
        let partition_key = match entry.partition_key {
            None => PartitionKey::ABSENT,
            Some(_) => PartitionKey::new(memory.slice(data_end..key_end))
                .map_err(|error| ApiError::new(ErrorCode::Validation, error.to_string()))?,
        };
        decoded.push(PutEntry {
            partition_key,
            explicit_hash_key: entry.explicit_hash_key()?,
            data: memory.slice(start..data_end),
        });
        start = key_end;
    }
    Ok(decoded)
}

/// Holds entries against what their stream takes; `list` is where they are in the request, none for
/// the request itself.
pub(crate) fn admit(
    properties: &StreamProperties,
    entries: &[PutEntry],
    list: Option<&'static str>,
) -> Result<(), ApiError> {
    let max = properties.record_kib_max as usize * 1024;
    let keyless = properties.distribution == RecordDistribution::Auto;
    let legal = |e: &PutEntry| e.data.len() <= max && (keyless || !e.partition_key.is_absent());
    if entries.iter().all(legal) {
        return Ok(());
    }
    let mut violations = Violations::default();
    let list = list.map(|list| Path::Member(&Path::Request, list));
    for (index, entry) in entries.iter().enumerate() {
        let element = list.as_ref().map(|list| Path::Element(list, index + 1));
        let parent = element.as_ref().unwrap_or(&Path::Request);
        violations.check_blob(entry.data.len(), (0, max), &Path::Member(parent, "Data"));
        if entry.partition_key.is_absent() && !keyless {
            violations.add_null(&Path::Member(parent, "PartitionKey"));
        }
    }
    violations.into_result()
}

impl Kinesis {
    /// Refuses a `DryRun` request, as asked, once it is sure that it would have succeeded.
    pub(crate) async fn refuse_dry_run(&self, stream: &StreamName) -> ApiError {
        match self.streams.administer.describe_stream(stream).await {
            Ok(_) => {
                let message = "Request would have succeeded, but DryRun flag is set.";
                ApiError::new(ErrorCode::DryRunOperation, message)
            }
            Err(error) => self.home.administer_failure(&error),
        }
    }
}
