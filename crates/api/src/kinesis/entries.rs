//! Records on their way in: out of JSON and base64, into entries that share one piece of memory.

use baikonur_stream::{HashKey, PartitionKey, PutEntry, StreamName};
use bytes::Bytes;

use crate::kinesis::Kinesis;
use crate::limits::RECORD_BYTES_MAX;
use crate::wire::constraint::{HASH_KEY, Length, Required};
use crate::wire::error::{ApiError, ErrorCode};
use crate::wire::members::{Blob, Text};
use crate::wire::structure::structure;

structure! {
    /// `PutRecordsRequestEntry`, and the same members of PutRecord.
    pub(crate) struct Entry<'a> {
        pub(crate) data: Blob<'a> = "Data" [Required, Length(0, RECORD_BYTES_MAX)],
        pub(crate) partition_key: Text<'a> = "PartitionKey" [Required, Length(1, PartitionKey::CHARACTERS_MAX)],
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
        let partition_key = PartitionKey::new(memory.slice(data_end..key_end))
            .map_err(|error| ApiError::new(ErrorCode::Validation, error.to_string()))?;
        decoded.push(PutEntry {
            partition_key,
            explicit_hash_key: entry.explicit_hash_key()?,
            data: memory.slice(start..data_end),
        });
        start = key_end;
    }
    Ok(decoded)
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
