//! Forwarding, against a stream that lives in memory and fails when told to.

mod failures;
mod several;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use baikonur_stream::{
    ConsumerName, PartitionKey, Placed, ProducerPosition, PutEntry, PutError, Record, ShardId,
    StreamName, Timestamp,
};
use bytes::Bytes;

use super::*;
use crate::intake::IntakeSettings;

/// A target stream that remembers its producers, as embedded streams do.
#[derive(Default)]
struct Target {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: Vec<PutEntry>,
    remembered: HashMap<String, SequenceNumber>,
    /// What the next puts answer instead: for the whole, or from the record at a place on.
    faults: Vec<Fault>,
    record_bytes_max: Option<usize>,
}

enum Fault {
    Whole(PutError),
    FromPlace(usize, PutError),
    /// The record at this place, and it alone.
    AtPlace(usize, PutError),
}

impl Target {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail_next(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    fn lines(&self) -> Vec<String> {
        let entries = &self.lock().entries;
        entries.iter().map(|entry| String::from_utf8_lossy(&entry.data).into_owned()).collect()
    }
}

#[async_trait]
impl Write for Target {
    async fn put(
        &self,
        _stream: &StreamName,
        entries: Vec<PutEntry>,
        remember: Option<ProducerPosition>,
    ) -> Result<Vec<Result<Placed, PutError>>, PutError> {
        let mut state = self.lock();
        let mut alone = None;
        let (put, error) = match state.faults.pop() {
            Some(Fault::AtPlace(place, error)) => {
                alone = Some((place, error));
                (entries.len(), None)
            }
            None => (entries.len(), None),
            Some(Fault::Whole(error)) => return Err(error),
            Some(Fault::FromPlace(place, error)) => (place, Some(error)),
        };
        let mut results = Vec::new();
        for (place, entry) in entries.into_iter().enumerate() {
            if let Some((_, error)) = alone.as_ref().filter(|(at, _)| *at == place) {
                results.push(Err(error.clone()));
                continue;
            }
            if let (true, Some(error)) = (place >= put, &error) {
                results.push(Err(error.clone()));
                continue;
            }
            let sequence_number = number(state.entries.len() as u64);
            state.entries.push(entry);
            results.push(Ok(Placed { shard: ShardId::new(0), sequence_number }));
        }
        if let (None, Some(position)) = (error, remember) {
            state.remembered.insert(position.producer, position.up_to);
        }
        Ok(results)
    }

    fn record_bytes_max(&self, _stream: &StreamName) -> Option<usize> {
        self.lock().record_bytes_max
    }

    async fn remembered(&self, producer: &str) -> Result<Option<SequenceNumber>, PutError> {
        Ok(self.lock().remembered.get(producer).copied())
    }
}

fn number(counter: u64) -> SequenceNumber {
    SequenceNumber::new(1_700_000_000, 0, counter, 1_700_000_000)
}

fn shard(stream: &str) -> ShardAddress {
    ShardAddress { stream: StreamName::new(stream).unwrap(), shard: ShardId::new(0) }
}

fn module(target: &Arc<Target>, whitelist: &str) -> Forward {
    let settings = IntakeSettings {
        log_type_field_whitelist: vec![whitelist.to_owned()],
        ..IntakeSettings::default()
    };
    let intake = Intake::new(&settings, &ConsumerName::new("to-b")).unwrap();
    let to_b = Settings::to_stream(StreamName::new("b").unwrap());
    let write = |_: &TargetSettings| Arc::<Target>::clone(target) as Arc<dyn Write>;
    Forward::new(&to_b, &settings, Arc::new(intake), write).unwrap()
}

fn batch(first: u64, payloads: &[&str]) -> Batch {
    let records = (first..).zip(payloads).map(|(counter, payload)| Record {
        sequence_number: number(counter),
        arrival: Timestamp::from_seconds(1_700_000_000),
        partition_key: PartitionKey::new(format!("key-{counter}").into()).unwrap(),
        data: Bytes::copy_from_slice(payload.as_bytes()),
    });
    Batch { shard: shard("a"), records: records.collect(), attempt: 0 }
}

const A1: &str = r#"{"log_type":"a", "n":1 }"#;
const A2: &str = r#"{"log_type":"a","n":2}"#;
const A3: &str = r#"{"log_type":"a","n":3}"#;
const B1: &str = r#"{"log_type":"b","n":1}"#;

#[tokio::test]
async fn records_keep_bytes_key_and_order_and_the_whitelist_chooses() {
    let target = Arc::new(Target::default());
    let mut forwarding = module(&target, "a").open(&shard("a")).await.unwrap();
    let delivery = forwarding.deliver(&batch(1, &[A1, B1, "no json", A2])).await;
    assert_eq!(delivery.outcome, Outcome::Delivered);
    assert_eq!(delivery.rejected.len(), 1);
    assert_eq!(delivery.rejected[0].reason, "not_json");
    assert_eq!(target.lines(), [A1, A2]);
    let entries = &target.lock().entries;
    assert_eq!(entries[1].partition_key.as_str(), "key-4");
    assert_eq!(entries[1].explicit_hash_key, None);
}

#[tokio::test]
async fn what_was_not_put_comes_again_from_the_first_failure_on() {
    let target = Arc::new(Target::default());
    let mut forwarding = module(&target, "").open(&shard("a")).await.unwrap();
    target.fail_next(Fault::FromPlace(1, PutError::ThroughputExceeded(ShardId::new(3))));
    let delivery = forwarding.deliver(&batch(1, &[A1, A2, A3])).await;
    let Outcome::Failed { from, cause: Cause::Destination, reason } = delivery.outcome else {
        panic!("{delivery:?}");
    };
    assert_eq!(from, number(2));
    assert!(reason.contains("2 of 3") && reason.contains("target stream b"), "{reason}");
    forwarding.deliver(&batch(2, &[A2, A3])).await;
    assert_eq!(target.lines(), [A1, A2, A3]);
}

#[tokio::test]
async fn what_the_target_refuses_for_good_is_rejected_and_the_rest_goes_on() {
    let target = Arc::new(Target::default());
    let mut forwarding = module(&target, "").open(&shard("a")).await.unwrap();
    target.fail_next(Fault::AtPlace(1, PutError::RecordRefused("too long".to_owned())));
    let delivery = forwarding.deliver(&batch(1, &[A1, A2, A3])).await;
    assert_eq!(delivery.outcome, Outcome::Delivered);
    assert_eq!(target.lines(), [A1, A3]);
    let [rejected] = &*delivery.rejected else { panic!("{delivery:?}") };
    assert_eq!((rejected.sequence_number, &*rejected.reason), (number(2), REFUSED_BY_STREAM));
    assert_eq!(rejected.data, A2);
    assert!(rejected.detail.contains("b refused it: too long"), "{}", rejected.detail);
}

#[tokio::test]
async fn a_destination_that_is_down_fails_the_batch_as_a_whole() {
    let target = Arc::new(Target::default());
    let mut forwarding = module(&target, "").open(&shard("a")).await.unwrap();
    for error in [
        PutError::StreamNotFound(StreamName::new("b").unwrap()),
        PutError::StorageFull("0 bytes left".to_owned()),
        PutError::Unavailable("fsync failed".to_owned()),
    ] {
        target.fail_next(Fault::Whole(error));
        let delivery = forwarding.deliver(&batch(5, &[B1, A1])).await;
        assert!(
            matches!(delivery.outcome, Outcome::Failed { from, cause: Cause::Destination, .. } if from == number(5)),
            "{delivery:?}"
        );
    }
    assert!(target.lines().is_empty());
}

#[tokio::test]
async fn after_a_crash_before_the_checkpoint_nothing_is_put_twice() {
    let target = Arc::new(Target::default());
    let module = module(&target, "");
    let whole = batch(1, &[A1, "no json", A2, A3]);
    module.open(&shard("a")).await.unwrap().deliver(&batch(1, &[A1, "no json", A2])).await;
    let delivery = module.open(&shard("a")).await.unwrap().deliver(&whole).await;
    assert_eq!(target.lines(), [A1, A2, A3]);
    assert_eq!(delivery.rejected.len(), 1, "a rejection may not have been kept before the crash");
    // Another source shard has a position of its own.
    let other = ShardAddress { shard: ShardId::new(1), ..shard("a") };
    module.open(&other).await.unwrap().deliver(&whole).await;
    assert_eq!(target.lines().len(), 6);
}

#[tokio::test]
async fn a_stream_is_not_forwarded_to_itself() {
    let target = Arc::new(Target::default());
    let error = module(&target, "").open(&shard("b")).await.err().unwrap();
    assert!(error.0.contains("target_stream_name"), "{error}");
}

/// The records of `whole` that are dealt to `lane`.
fn dealt(whole: &Batch, lane: Lane) -> Option<Batch> {
    let in_lane = |r: &&Record| Lane::of(&r.partition_key, r.sequence_number, lane.count()) == lane;
    let records: Vec<_> = whole.records.iter().filter(in_lane).cloned().collect();
    (!records.is_empty()).then(|| Batch { records, ..whole.clone() })
}

#[tokio::test]
async fn nothing_is_put_twice_whatever_the_number_of_lanes_was_before() {
    let target = Arc::new(Target::default());
    let module = module(&target, "");
    let payloads: Vec<String> = (0..40).map(|n| format!(r#"{{"log_type":"a","n":{n}}}"#)).collect();
    let texts: Vec<&str> = payloads.iter().map(String::as_str).collect();
    let whole = batch(1, &texts);
    // Of three lanes two come ahead of the checkpoint, which waits for the third.
    for lane in Lane::all(3).skip(1) {
        let mut forwarding = module.open_lane(&shard("a"), lane).await.unwrap();
        forwarding.deliver(&dealt(&whole, lane).unwrap()).await;
    }
    let ahead = target.lines().len();
    assert!(ahead > 0 && ahead < 40, "{ahead}");
    // After a stop there are four, then two, then the shard is whole again.
    for lane in Lane::all(4).take(2).chain(Lane::all(2)) {
        let mut forwarding = module.open_lane(&shard("a"), lane).await.unwrap();
        let Some(batch) = dealt(&whole, lane) else { continue };
        assert_eq!(forwarding.deliver(&batch).await.outcome, Outcome::Delivered);
    }
    module.open(&shard("a")).await.unwrap().deliver(&whole).await;
    let mut lines = target.lines();
    lines.sort();
    let mut once = payloads.clone();
    once.sort();
    assert_eq!(lines, once);
}
