//! Replay straight into a module, past its stream: nobody but the module's destination gets the records.
//!
//! A module is handed batches as a mapping hands them over, and what it holds is closed at the end of each. Numbers of
//! records decide about keys of objects and ids of documents, so they are functions of what is replayed: the number that
//! the record had, where a document replaces itself by it; else one of the record's place in the failed store, which no
//! stream has, so that nothing that was delivered is replaced.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use async_trait::async_trait;
use baikonur_record::{Limits, payloads};
use baikonur_stream::{
    Batch, Clock, Deliver, Delivery, HashKey, Module, Outcome, PartitionKey, Record,
    SequenceNumber, ShardAddress, ShardId, StreamName,
};
use bytes::Bytes;
use tokio::sync::Mutex;

use super::replay::CallLimits;
use super::send::{Answer, Pending, Target};
use crate::client::CallError;
use crate::config::{Config, Kind, Overrides};
use crate::pipeline;

/// Records of a call: the largest batch of an event source mapping.
const CALL_RECORDS_MAX: usize = 10_000;
/// Bytes of a call: a batch as Lambda has it.
const CALL_BYTES_MAX: usize = 6 << 20;

/// A module that records are replayed into.
pub(super) struct IntoModule {
    module: Arc<dyn Module>,
    effect: Effect,
    /// For each shard the delivery that goes on.
    delivering: Mutex<HashMap<ShardAddress, Box<dyn Deliver>>>,
}

/// What a batch that is delivered again does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Documents replace themselves.
    Documents,
    /// All that was taken is there twice. Objects too: their keys come from the first and the last record of a call, and
    /// the records may come together with others the next time.
    Doubles,
}

/// The records of one shard in a call.
#[derive(Default)]
struct OfShard {
    records: BTreeMap<SequenceNumber, (usize, Record)>,
    /// Those whose number is another one's as well: for another batch.
    others: Vec<usize>,
}

impl IntoModule {
    /// The module `name` of the configuration `file`.
    ///
    /// # Errors
    /// There is none of that name, its settings cannot work, or it is one that streams are better for.
    pub(super) fn open(file: &Path, name: &str, clock: &Arc<dyn Clock>) -> anyhow::Result<Self> {
        let config = Config::load(file, &Overrides::of_environment())?;
        let names: Vec<_> = config.modules.iter().map(|module| module.name.to_string()).collect();
        let Some(module) = config.modules.iter().find(|module| module.name.as_str() == name) else {
            bail!(
                "there is no module {name} in {}; there are {}",
                file.display(),
                names.join(", ")
            );
        };
        let effect = match &module.kind {
            Kind::ToElasticsearch(_) => Effect::Documents,
            Kind::ToS3(_) | Kind::ToFluent(_) => Effect::Doubles,
            Kind::Forward(_) => bail!(
                "{name} is a kinesis-forward, whose targets are streams: replay with --into and the stream"
            ),
        };
        let destination = pipeline::destination(module, clock).map_err(anyhow::Error::from_boxed);
        let module = destination.with_context(|| format!("module {name} cannot be set up"))?;
        let module = module.context("only forwarding modules have no destination of their own")?;
        Ok(Self { module, effect, delivering: Mutex::default() })
    }

    /// What a call may have.
    pub(super) fn limits() -> CallLimits {
        CallLimits { records: CALL_RECORDS_MAX, bytes: CALL_BYTES_MAX, ..CallLimits::default() }
    }

    fn number(&self, record: &Pending) -> SequenceNumber {
        let own = record.origin.sequence_number.parse();
        match own {
            Ok(number) if self.effect == Effect::Documents && record.origin.is_first => number,
            _ => number_in_store(&record.origin.object, record.place),
        }
    }

    async fn deliver(&self, shard: &ShardAddress, batch: Batch) -> Result<Delivery, String> {
        let delivering = &mut *self.delivering.lock().await;
        if !delivering.contains_key(shard) {
            let opened = self.module.open(shard).await.map_err(|error| error.to_string())?;
            delivering.insert(shard.clone(), opened);
        }
        let module = delivering.get_mut(shard).ok_or("a delivery is gone")?;
        let mut delivery = module.deliver(&batch).await;
        if matches!(delivery.outcome, Outcome::Held(_)) {
            let closed = module.close().await;
            delivery.rejected.extend(closed.rejected);
            delivery.outcome = match closed.outcome {
                Outcome::Failed { cause, reason, .. } => {
                    // It is handed over again as a whole.
                    module.discard();
                    Outcome::Failed { from: batch.first(), cause, reason }
                }
                Outcome::Delivered | Outcome::Held(_) => Outcome::Delivered,
            };
        }
        Ok(delivery)
    }

    /// Delivers some records of a call, and says what became of each.
    async fn put_batch(
        &self,
        shard: &ShardAddress,
        records: BTreeMap<SequenceNumber, (usize, Record)>,
        answers: &mut [Answer],
    ) {
        let (places, records): (Vec<_>, Vec<_>) = records.into_values().unzip();
        let batch = Batch { shard: shard.clone(), records, attempt: 0 };
        let not_now = |why, may_be_done| Answer::NotNow { why, may_be_done };
        let delivery = match self.deliver(shard, batch.clone()).await {
            Ok(delivery) => delivery,
            Err(why) => {
                places.iter().for_each(|&place| answers[place] = not_now(why.clone(), false));
                return;
            }
        };
        let mut delivered = batch.records.len();
        if let Outcome::Failed { from, reason, .. } = delivery.outcome {
            delivered = batch.records_before(from);
            let may_be_done = self.effect == Effect::Doubles;
            for &place in &places[delivered..] {
                answers[place] = not_now(reason.clone(), may_be_done);
            }
        }
        places[..delivered].iter().for_each(|&place| answers[place] = Answer::Taken);
        for rejected in delivery.rejected {
            let at = batch.records[..delivered]
                .binary_search_by_key(&rejected.sequence_number, |record| record.sequence_number);
            let Ok(at) = at else { continue };
            let why = format!("{}: {}", rejected.reason, rejected.detail);
            // Of several events in a record some are delivered, and must not be again.
            let events = payloads(&batch.records[at].data, &Limits::default()).len();
            answers[places[at]] = if events > 1 { Answer::Partly(why) } else { Answer::Never(why) };
        }
    }
}

/// A number that no stream has given: of a record's object and its place there, in the order of places.
fn number_in_store(object: &str, place: u64) -> SequenceNumber {
    let object = HashKey::of_partition_key(object.as_bytes()).value() >> 64;
    let number = (object << 64 | u128::from(place)).to_string();
    number.parse().expect("a number of 128 bits is one of 192")
}

fn record(number: SequenceNumber, pending: &Pending) -> Record {
    let key = Bytes::copy_from_slice(pending.entry.key.as_bytes());
    Record {
        sequence_number: number,
        arrival: pending.origin.arrival,
        partition_key: PartitionKey::new(key).unwrap_or(PartitionKey::ABSENT),
        data: pending.entry.data.clone(),
    }
}

#[async_trait]
impl Target for IntoModule {
    async fn put(
        &self,
        stream: &StreamName,
        records: &[&Pending],
    ) -> Result<Vec<Answer>, CallError> {
        let not_tried = Answer::NotNow { why: "not tried yet".to_owned(), may_be_done: false };
        let mut answers = vec![not_tried; records.len()];
        let mut left: Vec<usize> = (0..records.len()).collect();
        while !left.is_empty() {
            let mut by_shard: BTreeMap<ShardId, OfShard> = BTreeMap::new();
            for place in left.drain(..) {
                let shard = records[place].origin.shard.parse().unwrap_or(ShardId::new(0));
                let of_shard = by_shard.entry(shard).or_default();
                let number = self.number(records[place]);
                match of_shard.records.entry(number) {
                    Slot::Occupied(_) => of_shard.others.push(place),
                    Slot::Vacant(slot) => _ = slot.insert((place, record(number, records[place]))),
                }
            }
            for (shard, OfShard { records, others }) in by_shard {
                let shard = ShardAddress { stream: stream.clone(), shard };
                self.put_batch(&shard, records, &mut answers).await;
                left.extend(others);
            }
        }
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as StdMutex;

    use baikonur_stream::{Cause, Close, OpenError, RejectedRecord, Timestamp};

    use super::super::send::Origin;
    use super::*;
    use crate::put_records::Entry;

    /// Number and text of each record of a batch.
    type Noted = Vec<(SequenceNumber, String)>;

    /// Notes what it gets: `hold` holds, `down` fails from the record `down` on, `bad` is rejected.
    #[derive(Default, Clone)]
    struct Noting {
        batches: Arc<StdMutex<Vec<Noted>>>,
        closed: Arc<StdMutex<usize>>,
        holds: bool,
        close_fails: bool,
    }

    #[async_trait]
    impl Module for Noting {
        async fn open(&self, shard: &ShardAddress) -> Result<Box<dyn Deliver>, OpenError> {
            match shard.shard.index() {
                9 => Err(OpenError("no such place".to_owned())),
                _ => Ok(Box::new(self.clone())),
            }
        }
    }

    #[async_trait]
    impl Deliver for Noting {
        async fn deliver(&mut self, batch: &Batch) -> Delivery {
            let text = |record: &Record| String::from_utf8(record.data.to_vec()).unwrap();
            let noted = batch.records.iter().map(|record| (record.sequence_number, text(record)));
            self.batches.lock().unwrap().push(noted.collect());
            let down = batch.records.iter().find(|record| record.data == "down");
            let outcome = match down {
                Some(down) => Outcome::Failed {
                    from: down.sequence_number,
                    cause: Cause::Destination,
                    reason: "is down".to_owned(),
                },
                None if self.holds => Outcome::Held(Close::Now),
                None => Outcome::Delivered,
            };
            let bad = batch.records.iter().filter(|record| text(record).contains("bad"));
            let rejected = bad.map(|record| RejectedRecord {
                sequence_number: record.sequence_number,
                sub_sequence: 0,
                event_index: 0,
                arrival: record.arrival,
                partition_key: Bytes::new(),
                reason: "refused".to_owned(),
                detail: "is bad".to_owned(),
                data: record.data.clone(),
            });
            Delivery { outcome, rejected: rejected.collect() }
        }

        async fn close(&mut self) -> Delivery {
            *self.closed.lock().unwrap() += 1;
            let failed = Outcome::Failed {
                from: SequenceNumber::new(0, 0, 0, 0),
                cause: Cause::Destination,
                reason: "cannot write".to_owned(),
            };
            let outcome = if self.close_fails { failed } else { Outcome::Delivered };
            Delivery { outcome, rejected: Vec::new() }
        }
    }

    fn into(module: &Noting, effect: Effect) -> IntoModule {
        let module = Arc::new(module.clone());
        IntoModule { module, effect, delivering: Mutex::default() }
    }

    fn pending(place: u64, shard: u32, number: &str, is_first: bool, data: &str) -> Pending {
        Pending {
            place,
            stream: stream(),
            entry: Entry {
                key: format!("key-{place}"),
                data: Bytes::copy_from_slice(data.as_bytes()),
            },
            origin: Origin {
                object: "unknown/x/m/object.gz".into(),
                shard: format!("shardId-{shard:012}"),
                sequence_number: number.to_owned(),
                is_first,
                arrival: Timestamp::from_seconds(1_700_000_000),
            },
            is_doubtful: false,
        }
    }

    fn stream() -> StreamName {
        StreamName::new("router").unwrap()
    }

    async fn put(target: &IntoModule, records: &[Pending]) -> Vec<Answer> {
        target.put(&stream(), &records.iter().collect::<Vec<_>>()).await.unwrap()
    }

    fn not_now(why: &str, may_be_done: bool) -> Answer {
        Answer::NotNow { why: why.to_owned(), may_be_done }
    }

    #[tokio::test]
    async fn documents_keep_the_numbers_of_whole_records_and_no_number_is_twice_in_a_batch() {
        let module = Noting::default();
        let target = into(&module, Effect::Documents);
        let records = [
            pending(0, 0, "70", true, "a"),
            pending(1, 0, "50", true, "b"),
            pending(2, 0, "50", false, "c"),
            pending(3, 0, "50", true, "d"),
            pending(4, 1, "50", true, "e"),
            pending(5, 0, "", true, "f"),
        ];
        assert_eq!(put(&target, &records).await, vec![Answer::Taken; 6]);
        let batches = module.batches.lock().unwrap().clone();
        let texts: Vec<String> = batches
            .iter()
            .map(|batch| batch.iter().map(|(_, text)| &**text).collect::<Vec<_>>().concat())
            .collect();
        assert_eq!(texts, ["bacf", "e", "d"]);
        let numbers: Vec<_> = batches[0].iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers[..2], ["50", "70"].map(|text| text.parse().unwrap()));
        assert!(numbers.is_sorted() && numbers[2] == number_in_store("unknown/x/m/object.gz", 2));
    }

    #[tokio::test]
    async fn objects_get_numbers_that_no_stream_has_and_are_closed() {
        let module = Noting { holds: true, ..Noting::default() };
        let target = into(&module, Effect::Doubles);
        let records = [pending(7, 0, "70", true, "a"), pending(8, 0, "60", true, "b")];
        for _ in 0..2 {
            assert_eq!(put(&target, &records).await, vec![Answer::Taken; 2]);
        }
        assert_eq!(*module.closed.lock().unwrap(), 2);
        let batches = module.batches.lock().unwrap().clone();
        assert_eq!(batches[0], batches[1], "a repetition is the same");
        assert!(batches[0][0].0 > "70".parse().unwrap() && batches[0][0].0 < batches[0][1].0);
        let module = Noting { close_fails: true, ..module };
        let answers = put(&into(&module, Effect::Doubles), &records).await;
        assert_eq!(answers, vec![not_now("cannot write", true); 2], "some objects may be there");
    }

    #[tokio::test]
    async fn each_record_has_its_own_answer() {
        let module = Noting::default();
        let two = r#"{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"s","subscriptionFilters":[],"logEvents":[{"id":"1","timestamp":1,"message":"bad"},{"id":"2","timestamp":1,"message":"b"}]}"#;
        let records = [
            pending(0, 0, "1", true, "bad"),
            pending(1, 0, "2", true, two),
            pending(2, 0, "3", true, "good"),
            pending(3, 0, "4", true, "down"),
            pending(4, 0, "5", true, "bad"),
            pending(5, 9, "6", true, "good"),
        ];
        for (effect, may_be_done) in [(Effect::Documents, false), (Effect::Doubles, true)] {
            let answers = put(&into(&module, effect), &records).await;
            let expected = [
                Answer::Never("refused: is bad".to_owned()),
                Answer::Partly("refused: is bad".to_owned()),
                Answer::Taken,
                not_now("is down", may_be_done),
                not_now("is down", may_be_done),
                not_now("no such place", false),
            ];
            assert_eq!(answers, expected);
        }
    }
}
