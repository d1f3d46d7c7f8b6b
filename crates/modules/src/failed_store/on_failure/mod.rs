//! On-failure destinations: who is told that a batch was given up, beside the failed store that has its records.
//!
//! What is sent has the shape of AWS Lambda's ([`message`]), so that what listens to Lambda's queue or topic listens to
//! this one. As with Lambda a message that cannot be delivered is counted and given up: the shard goes on, since the
//! records are in the failed store already. A batch whose checkpoint a crash forgot is told of again, under the same
//! `requestId`.

mod message;
mod place;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baikonur_stream::{Clock, FailedBatch, FailedStore, KeepError};
use bytes::Bytes;
use metrics::{Counter, counter, describe_counter};
use tracing::warn;

pub use message::Home;
use message::Told;
pub use place::{OnFailurePlace, QueueUrl};

use crate::objects::{ObjectDestination, PutMode};

const DELIVERED: &str = "baikonur_destination_delivered_records_total";
const FAILURES: &str = "baikonur_destination_delivery_failures_total";

/// Registers help texts of these metrics with the recorder in place.
pub fn describe_metrics() {
    describe_counter!(
        DELIVERED,
        "Records of batches that were given up and that the on-failure destination was told of"
    );
    describe_counter!(
        FAILURES,
        "Batches that were given up and that the on-failure destination could not be told of"
    );
}

/// Attempts to deliver a message.
const ATTEMPTS: u32 = 3;
/// Before the second; twice as long before the third.
const PAUSE: Duration = Duration::from_millis(500);
/// How long one may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(20);

/// A queue or a topic.
#[async_trait]
pub trait Messages: Send + Sync + 'static {
    /// Sends a message once.
    ///
    /// # Errors
    /// What went wrong, where, and what to do.
    async fn send(&self, message: &str) -> Result<(), String>;
}

/// Where batches are told of.
pub enum Destination {
    /// As messages without the records.
    Messages(Arc<dyn Messages>),
    /// As documents with the records.
    Objects(Arc<dyn ObjectDestination>),
}

/// A failed store that tells of the batches that were given up.
pub struct TellingFailedStore {
    store: Arc<dyn FailedStore>,
    destination: Destination,
    home: Home,
    clock: Arc<dyn Clock>,
    delivered: Counter,
    failures: Counter,
}

impl TellingFailedStore {
    /// Keeps in `store`, then tells `destination`; `module` is the name in metrics.
    pub fn new(
        store: Arc<dyn FailedStore>,
        destination: Destination,
        home: Home,
        clock: Arc<dyn Clock>,
        module: &str,
    ) -> Self {
        let labels = [("module", module.to_owned())];
        Self {
            store,
            destination,
            home,
            clock,
            delivered: counter!(DELIVERED, &labels),
            failures: counter!(FAILURES, &labels),
        }
    }

    async fn tell(&self, told: &Told<'_>) -> Result<(), String> {
        match &self.destination {
            Destination::Messages(messages) => {
                messages.send(&told.message(&self.home, self.clock.now())).await
            }
            Destination::Objects(objects) => {
                let document = told.document(&self.home, self.clock.now());
                let (key, content) = (told.key(), vec![Bytes::from(document)]);
                let put = objects.put(&key, content, PutMode::Overwrite).await;
                put.map_err(|error| error.to_string())
            }
        }
    }
}

#[async_trait]
impl FailedStore for TellingFailedStore {
    async fn keep(&self, batch: &FailedBatch) -> Result<(), KeepError> {
        self.store.keep(batch).await?;
        for told in message::given_up(batch) {
            let mut pause = PAUSE;
            for attempt in 1.. {
                let told_in_time = tokio::time::timeout(ATTEMPT_MAX, self.tell(&told)).await;
                let late = |_| Err(format!("no answer in {} s", ATTEMPT_MAX.as_secs()));
                match told_in_time.unwrap_or_else(late) {
                    Ok(()) => {
                        self.delivered.increment(told.records.len() as u64);
                        break;
                    }
                    Err(error) if attempt == ATTEMPTS => {
                        self.failures.increment(1);
                        warn!(module = %batch.consumer, shard = %batch.shard, records = told.records.len(), %error,
                            "the on-failure destination was not told of a batch; its records are in the failed store");
                        break;
                    }
                    Err(_) => tokio::time::sleep(pause).await,
                }
                pause *= 2;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use baikonur_stream::{
        ConsumerName, FailedRecord, GiveUpCondition, GivenUp, SequenceNumber, ShardAddress,
        ShardId, StreamName, SystemClock, Timestamp,
    };
    use serde_json::Value;

    use super::*;
    use crate::failed_store::decode::{Entry, entries};
    use crate::objects::{Location, S3Settings, open};

    fn number(counter: u64) -> SequenceNumber {
        SequenceNumber::new(1_600_000_000, 1, counter, 1_600_000_000)
    }

    fn record(counter: u64, given_up: Option<GivenUp>) -> FailedRecord {
        FailedRecord {
            sequence_number: number(counter),
            sub_sequence: 0,
            event_index: 0,
            arrival: Timestamp::from_millis(1_600_000_000_000 + counter),
            partition_key: Bytes::from_static(b"k"),
            reason: "retry_attempts_exhausted".to_owned(),
            detail: "a sentence".to_owned(),
            data: Bytes::from(format!("{{\"n\":{counter}}}")),
            given_up,
        }
    }

    fn exhausted(first: u64) -> Option<GivenUp> {
        let condition = GiveUpCondition::RetryAttemptsExhausted;
        Some(GivenUp { condition, first: number(first), invoke_count: 3 })
    }

    fn batch(records: Vec<FailedRecord>) -> FailedBatch {
        let shard =
            ShardAddress { stream: StreamName::new("router").unwrap(), shard: ShardId::new(1) };
        FailedBatch { consumer: ConsumerName::new("archive"), shard, records }
    }

    fn home() -> Home {
        Home { region: "eu-west-1".to_owned(), account: "123456789012".to_owned() }
    }

    /// Keeps everything, and notes the order of what happens.
    #[derive(Default)]
    struct Happened {
        events: Mutex<Vec<String>>,
        failing: Mutex<u32>,
        refuses: bool,
    }

    #[async_trait]
    impl FailedStore for Happened {
        async fn keep(&self, _batch: &FailedBatch) -> Result<(), KeepError> {
            self.events.lock().unwrap().push("kept".to_owned());
            if self.refuses { Err(KeepError("full".to_owned())) } else { Ok(()) }
        }
    }

    #[async_trait]
    impl Messages for Happened {
        async fn send(&self, message: &str) -> Result<(), String> {
            let mut failing = self.failing.lock().unwrap();
            if *failing > 0 {
                *failing -= 1;
                self.events.lock().unwrap().push("failed".to_owned());
                return Err("down".to_owned());
            }
            self.events.lock().unwrap().push(message.to_owned());
            Ok(())
        }
    }

    fn telling(happened: &Arc<Happened>) -> TellingFailedStore {
        let destination = Destination::Messages(happened.clone());
        let clock = Arc::new(SystemClock::new());
        TellingFailedStore::new(happened.clone(), destination, home(), clock, "archive")
    }

    #[tokio::test]
    async fn records_are_kept_first_and_each_batch_is_told_of_once() {
        let happened = Arc::new(Happened::default());
        let records = vec![
            record(1, exhausted(1)),
            record(2, exhausted(1)),
            record(3, None),
            record(4, exhausted(4)),
        ];
        telling(&happened).keep(&batch(records)).await.unwrap();
        let events = happened.events.lock().unwrap();
        let [kept, one, two] = &**events else { panic!("{events:?}") };
        assert_eq!(kept, "kept");
        let sizes = [one, two].map(|text| {
            let message: Value = serde_json::from_str(text).unwrap();
            message["KinesisBatchInfo"]["batchSize"].as_u64().unwrap()
        });
        assert_eq!(sizes, [2, 1]);
    }

    #[tokio::test]
    async fn a_destination_that_is_down_does_not_stop_the_shard() {
        for (failing, events) in [(2, 4), (99, 4)] {
            let happened =
                Arc::new(Happened { failing: Mutex::new(failing), ..Happened::default() });
            telling(&happened).keep(&batch(vec![record(1, exhausted(1))])).await.unwrap();
            let all = happened.events.lock().unwrap();
            assert_eq!(all.len(), events, "{all:?}");
            assert_eq!(all.last().unwrap() == "failed", failing == 99);
        }
    }

    #[tokio::test]
    async fn nobody_is_told_of_what_is_not_kept() {
        let happened = Arc::new(Happened { refuses: true, ..Happened::default() });
        let kept = telling(&happened).keep(&batch(vec![record(1, exhausted(1))])).await;
        assert!(kept.is_err());
        assert_eq!(*happened.events.lock().unwrap(), ["kept"]);
    }

    #[tokio::test]
    async fn a_document_holds_the_records_and_is_written_again_to_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Folder(folder.path().to_owned());
        let objects = open(&location, &S3Settings::default()).unwrap();
        let clock = Arc::new(SystemClock::new());
        let telling = TellingFailedStore::new(
            Arc::new(Happened::default()),
            Destination::Objects(objects),
            home(),
            clock,
            "archive",
        );
        let records: Vec<_> = (1..=3).map(|counter| record(counter, exhausted(1))).collect();
        telling.keep(&batch(records.clone())).await.unwrap();
        telling.keep(&batch(records.clone())).await.unwrap();
        let day = folder.path().join("aws/lambda");
        let mapping = std::fs::read_dir(day).unwrap().next().unwrap().unwrap().path();
        let day = mapping.join("shardId-000000000001/2020/09/13");
        let files: Vec<_> = std::fs::read_dir(day).unwrap().map(|file| file.unwrap()).collect();
        let [file] = &*files else { panic!("{files:?}") };
        assert!(file.file_name().into_string().unwrap().starts_with("2020-09-13T12.26.40-"));
        let document = Bytes::from(std::fs::read(file.path()).unwrap());
        let payload: Value = serde_json::from_slice(&document).unwrap();
        assert!(payload["payload"].is_string());
        for (entry, record) in entries(&document).unwrap().zip(&records) {
            let Entry::Record(found) = entry else { panic!("{entry:?}") };
            assert_eq!((&found.data, found.arrival), (&record.data, record.arrival));
            assert_eq!((&*found.module, &*found.stream), ("archive", "router"));
            assert_eq!(found.reason, record.reason);
        }
    }
}
