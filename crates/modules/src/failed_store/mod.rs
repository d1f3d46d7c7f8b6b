//! Where records go that were not delivered: objects in an S3 bucket or in a folder, one record a
//! line, with all that is needed to understand and to replay it.
//!
//! A batch gives one object for each reason, under a key that depends on the batch alone, so that a
//! batch that is kept again replaces itself:
//!
//! ```text
//! {reason}/{module}/{YYYY-MM}/{DD}/
//!     {YYYY-MM-DD-HH:MM:SS}-{stream}-{shard}-{sequence number}-{sub-sequence}-{event}-{records}-{places}.gz
//! ```
//!
//! Time (UTC), number, sub-sequence and event are those of the first record of that reason; `places`
//! are eight digits of a SHA-256 over those of all its records. Before the reasons of what cannot be
//! decoded stands the unknown prefix: `unknown/not_json/…`.
//!
//! A line is a JSON object: `reason`, `detail`, `consumer`, `stream`, `shard`, `sequence_number`,
//! `sub_sequence`, `event_index`, `arrival` (RFC 3339, milliseconds), `partition_key` and `data`; the
//! last two are `partition_key_base64` and `data_base64` when they are not UTF-8.
//!
//! What was kept is found again by [`entries`], which reads the documents of AWS Lambda as well; [`Mark`]s tell what of
//! it was replayed, and a [`Claim`] that one replay runs at a time. Both lie below `redrive/`.

mod claim;
mod decode;
mod encode;
mod lambda;
mod marks;
#[cfg(test)]
mod memory;
pub mod on_failure;
mod settings;
pub(crate) mod wall;

use std::sync::Arc;

use async_trait::async_trait;
use baikonur_stream::{FailedBatch, FailedStore, KeepError};

pub use claim::{Claim, ClaimError, InFlight, LEASE};
pub use decode::{Entries, Entry, Foreign, Found, entries};
pub use encode::{folder_name, key_folders};
pub use marks::{Mark, Places, is_of_redrive};
pub use settings::Settings;

use crate::objects::{ObjectDestination, PutMode};

/// The failed store of a module.
pub struct ObjectFailedStore {
    destination: Arc<dyn ObjectDestination>,
    unknown_prefix: String,
}

impl ObjectFailedStore {
    /// A failed store in `destination`; `unknown_prefix` is the module's `log_type_unknown_prefix`.
    pub fn new(destination: Arc<dyn ObjectDestination>, unknown_prefix: &str) -> Self {
        Self { destination, unknown_prefix: unknown_prefix.to_owned() }
    }
}

#[async_trait]
impl FailedStore for ObjectFailedStore {
    async fn keep(&self, batch: &FailedBatch) -> Result<(), KeepError> {
        for group in encode::groups(batch) {
            let key = group.key(&self.unknown_prefix);
            let content = group.content().await.map_err(|error| KeepError(error.to_string()))?;
            let put = self.destination.put(&key, content, PutMode::Overwrite).await;
            put.map_err(|error| KeepError(error.to_string()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::Path;

    use baikonur_stream::{
        ConsumerName, FailedRecord, SequenceNumber, ShardAddress, ShardId, StreamName, Timestamp,
    };
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;
    use crate::objects::{Location, S3Settings, open};

    fn record(counter: u64, reason: &str, data: &[u8]) -> FailedRecord {
        FailedRecord {
            sequence_number: SequenceNumber::new(1_600_000_000, 1, counter, 1_600_000_000),
            sub_sequence: 2,
            event_index: 3,
            arrival: Timestamp::from_millis(1_600_000_000_123),
            partition_key: Bytes::from_static(b"key"),
            reason: reason.to_owned(),
            detail: "a sentence".to_owned(),
            data: Bytes::copy_from_slice(data),
            given_up: None,
        }
    }

    fn batch(records: Vec<FailedRecord>) -> FailedBatch {
        let stream = StreamName::new("router").unwrap();
        let shard = ShardAddress { stream, shard: ShardId::new(1) };
        FailedBatch { consumer: ConsumerName::new("to archive"), shard, records }
    }

    fn store(folder: &Path) -> ObjectFailedStore {
        let location = Location::Folder(folder.to_owned());
        ObjectFailedStore::new(open(&location, &S3Settings::default()).unwrap(), "unknown")
    }

    /// All files below `folder`, by path, with their lines.
    fn files(folder: &Path) -> Vec<(String, Vec<Value>)> {
        let mut files = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let packed = std::fs::read(&path).unwrap();
                let mut text = String::new();
                flate2::read::GzDecoder::new(&*packed).read_to_string(&mut text).unwrap();
                let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
                let path = path.strip_prefix(folder).unwrap().display().to_string();
                files.push((path, lines.collect()));
            }
        }
        files.sort_by(|one, two| one.0.cmp(&two.0));
        files
    }

    #[tokio::test]
    async fn each_reason_has_a_place_and_each_record_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let batch = batch(vec![
            record(1, "not_json", b"no \"json\"\n"),
            record(2, "retry_attempts_exhausted", b"{}"),
            record(3, "not_json", b"\xff\x00"),
        ]);
        store(folder.path()).keep(&batch).await.unwrap();
        let files = files(folder.path());
        let [undelivered, undecodable] = &*files else { panic!("{files:?}") };
        let stem = "to%20archive/2020-09/13/2020-09-13-12:26:40-router-1-";
        assert_eq!(
            undecodable.0,
            format!(
                "unknown/not_json/{stem}{}-2-3-2-17b26846.gz",
                batch.records[0].sequence_number
            )
        );
        assert!(undelivered.0.starts_with(&format!("retry_attempts_exhausted/{stem}")));
        let expected = json!({
            "reason": "not_json", "detail": "a sentence", "consumer": "to archive",
            "stream": "router", "shard": "shardId-000000000001",
            "sequence_number": batch.records[0].sequence_number.to_string(),
            "sub_sequence": 2, "event_index": 3, "arrival": "2020-09-13T12:26:40.123Z",
            "partition_key": "key", "data": "no \"json\"\n",
        });
        assert_eq!(undecodable.1[0], expected);
        assert_eq!(undecodable.1[1]["data_base64"], "/wA=");
        assert_eq!(undecodable.1[1].get("data"), None);
        assert_eq!((undecodable.1.len(), undelivered.1.len()), (2, 1));
    }

    #[tokio::test]
    async fn a_batch_that_is_kept_twice_is_stored_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let first = batch(vec![record(1, "empty", b""), record(2, "bad_gzip", b"\x1f\x8b")]);
        store.keep(&first).await.unwrap();
        let once = files(folder.path());
        store.keep(&first).await.unwrap();
        assert_eq!(files(folder.path()), once);
        store.keep(&batch(vec![record(3, "empty", b"")])).await.unwrap();
        assert_eq!(files(folder.path()).len(), 3);
    }

    #[tokio::test]
    async fn another_batch_replaces_nothing_though_it_begins_alike_and_is_as_long() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        for second in [2, 3] {
            let records = vec![record(1, "empty", b""), record(second, "empty", b"")];
            store.keep(&batch(records)).await.unwrap();
        }
        assert_eq!(files(folder.path()).len(), 2);
    }

    #[tokio::test]
    async fn a_store_that_cannot_be_written_says_where() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("unknown"), b"in the way").unwrap();
        let kept = store(folder.path()).keep(&batch(vec![record(1, "empty", b"")])).await;
        let error = kept.unwrap_err().to_string();
        assert!(error.contains("unknown/empty/"), "{error}");
    }

    #[tokio::test]
    async fn hostile_names_stay_in_their_place_and_fit_a_file_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut hostile = batch(vec![record(u64::MAX >> 1, "../../etc", b"x")]);
        hostile.consumer = ConsumerName::new(&"../日".repeat(99));
        hostile.shard.stream = StreamName::new(&"s".repeat(128)).unwrap();
        store(folder.path()).keep(&hostile).await.unwrap();
        assert_eq!(files(folder.path()).len(), 1);
    }
}
