//! Streams that fail at random, in parts or as a whole, and processes that stop: what arrives, how often, in which order.

use std::collections::{BTreeMap, HashSet};

use baikonur_record::{Limits, payloads};
use proptest::prelude::*;

use super::*;

/// A small random generator (xorshift), so that a failing case is a seed.
struct Luck(u64);

impl Luck {
    fn below(&mut self, bound: u64) -> u64 {
        for shift in [13, -7, 17] {
            self.0 ^= if shift > 0 { self.0 << shift } else { self.0 >> -shift };
        }
        self.0 % bound
    }
}

/// A stream that takes some records of a put and not others, and remembers nothing, as Amazon's does.
struct Flaky(Mutex<FlakyState>);

struct FlakyState {
    luck: Luck,
    /// Key and payload of each event, in the order of arrival.
    taken: Vec<(String, String)>,
    /// Payloads that were put behind one of their key which was not: these must come again.
    overtook: HashSet<String>,
}

impl Flaky {
    fn new(seed: u64) -> Arc<Self> {
        let (taken, overtook) = (Vec::new(), HashSet::new());
        Arc::new(Self(Mutex::new(FlakyState { luck: Luck(seed | 1), taken, overtook })))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, FlakyState> {
        self.0.lock().unwrap()
    }
}

/// The events in an entry.
fn events(entry: &PutEntry) -> Vec<(String, String)> {
    let key = entry.partition_key.as_str().to_owned();
    let opened = payloads(&entry.data, &Limits::default()).into_iter();
    opened
        .map(|payload| {
            let text = String::from_utf8(payload.unwrap().bytes.to_vec()).unwrap();
            (key.clone(), text)
        })
        .collect()
}

#[async_trait]
impl Write for Flaky {
    async fn put(
        &self,
        _stream: &StreamName,
        entries: Vec<PutEntry>,
        _remember: Option<ProducerPosition>,
    ) -> Result<Vec<Result<Placed, PutError>>, PutError> {
        let state = &mut *self.lock();
        let harm = state.luck.below(4);
        if harm == 0 {
            return Err(PutError::Unavailable("down".to_owned()));
        }
        let mut failed = HashSet::new();
        let results = entries.iter().map(|entry| {
            let key = entry.partition_key.as_str().to_owned();
            if entry.data.windows(6).any(|bytes| bytes == b"poison") {
                return Err(PutError::RecordRefused("poison".to_owned()));
            }
            if harm < 3 && state.luck.below(3) == 0 {
                failed.insert(key);
                return Err(PutError::ThroughputExceeded(ShardId::new(0)));
            }
            for event in events(entry) {
                if failed.contains(&key) {
                    state.overtook.insert(event.1.clone());
                }
                state.taken.push(event);
            }
            Ok(Placed { shard: ShardId::new(0), sequence_number: number(0) })
        });
        let mut results: Vec<_> = results.collect();
        if state.luck.below(10) == 0 {
            // Some answers are lost: what they say is not known.
            let answers = state.luck.below(results.len() as u64 + 1) as usize;
            for entry in &entries[answers..] {
                state.overtook.extend(events(entry).into_iter().map(|(_, text)| text));
            }
            results.truncate(answers);
        }
        Ok(results)
    }

    async fn remembered(&self, _producer: &str) -> Result<Option<SequenceNumber>, PutError> {
        Ok(None)
    }
}

fn records(luck: &mut Luck, count: u64) -> Vec<Record> {
    let record = |counter| {
        let poison = if luck.below(40) == 0 { "poison" } else { "" };
        let log_type = ["a", "b"][luck.below(2) as usize];
        let text = format!(r#"{{"log_type":"{log_type}","n":{counter},"x":"{poison}"}}"#);
        Record {
            sequence_number: number(counter),
            arrival: Timestamp::from_seconds(1_700_000_000),
            partition_key: PartitionKey::new(format!("key-{}", luck.below(5)).into()).unwrap(),
            data: text.into(),
        }
    };
    (1..=count).map(record).collect()
}

/// Hands `records` over as a mapping does, in batches, until all are settled; gives what was rejected.
async fn hand_over(module: &Forward, records: &[Record], luck: &mut Luck) -> Vec<String> {
    let mut delivering = module.open(&shard("in")).await.unwrap();
    let (mut done, mut rejected) = (0, Vec::new());
    while done < records.len() {
        let mut end = (done + 1 + luck.below(60) as usize).min(records.len());
        while done < end {
            let records = records[done..end].to_vec();
            let batch = Batch { shard: shard("in"), records, attempt: 0 };
            let delivery = delivering.deliver(&batch).await;
            let settled = match delivery.outcome {
                Outcome::Delivered => end - done,
                Outcome::Failed { from, .. } => batch.records_before(from),
                Outcome::Held(_) => panic!("forwarding never holds"),
            };
            let last = batch.records[..settled].last().map(|record| record.sequence_number);
            let kept = delivery.rejected.into_iter();
            let kept = kept.filter(|one| last.is_some_and(|last| one.sequence_number <= last));
            rejected.extend(kept.map(|one| String::from_utf8(one.data.to_vec()).unwrap()));
            done += settled;
            // A batch that is tried again may be cut.
            end = end.min(done + 1 + luck.below(60) as usize).max(done.min(end));
        }
    }
    rejected
}

fn targets(aggregated: bool) -> Settings {
    let text = format!(
        "[[targets]]\ntarget_stream_name = 'all'\naggregation_enabled = {aggregated}\n
         [[targets]]\ntarget_stream_name = 'some'\nlog_type_field_whitelist = ['b']"
    );
    toml::from_str(&text).unwrap()
}

fn intake() -> Arc<Intake> {
    Arc::new(Intake::new(&IntakeSettings::default(), &ConsumerName::new("m")).unwrap())
}

fn counter(text: &str) -> u64 {
    text.split(&[':', ','][..]).nth(3).unwrap().parse().unwrap()
}

fn text(record: &Record) -> String {
    String::from_utf8(record.data.to_vec()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever subsets fail: nothing is lost, records of a key stand in order behind the last copy of any, and copies
    /// there are only of records that had overtaken one of their key, or whose answer was lost.
    #[test]
    fn order_per_key_is_kept_through_partial_failures(seed in any::<u64>(), aggregated: bool) {
        let mut luck = Luck(seed | 1);
        let records = records(&mut luck, 200);
        let (all, some) = (Flaky::new(luck.below(u64::MAX)), Flaky::new(luck.below(u64::MAX)));
        let write = |target: &TargetSettings| match target.target_stream_name.as_str() {
            "all" => Arc::<Flaky>::clone(&all) as Arc<dyn Write>,
            _ => Arc::<Flaky>::clone(&some) as Arc<dyn Write>,
        };
        let settings = targets(aggregated);
        let module = Forward::new(&settings, &IntakeSettings::default(), intake(), write).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let rejected = runtime.block_on(hand_over(&module, &records, &mut luck));
        let rejected: HashSet<_> = rejected.into_iter().collect();
        for (stream, takes) in [(&all, &["a", "b"][..]), (&some, &["b"])] {
            let state = stream.lock();
            let mut order: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
            let mut copies: BTreeMap<&str, usize> = BTreeMap::new();
            for (key, text) in &state.taken {
                *copies.entry(text).or_default() += 1;
                // What was refused in the end may have been put before, in another aggregate.
                if !rejected.contains(text) {
                    let order = order.entry(key).or_default();
                    order.retain(|before| *before != counter(text));
                    order.push(counter(text));
                }
            }
            let meant = |record: &&Record| {
                takes.iter().any(|kind| text(record).contains(&format!("\"log_type\":\"{kind}\"")))
            };
            let mut expected: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
            for record in records.iter().filter(meant) {
                let text = text(record);
                let is_there = copies.contains_key(&*text);
                // A poison spoils the aggregate that it is in, and all of it is told.
                prop_assert!(is_there || rejected.contains(&text), "{}", text);
                prop_assert!(!is_there || !text.contains("poison"));
                if !rejected.contains(&text) {
                    expected.entry(record.partition_key.as_str()).or_default().push(counter(&text));
                }
            }
            prop_assert_eq!(order, expected);
            for (text, copies) in copies {
                prop_assert!(copies == 1 || state.overtook.contains(text), "{} {}", copies, text);
            }
        }
    }

    /// A target that remembers gets each record once, whatever fails and wherever the process stops.
    #[test]
    fn a_target_that_remembers_gets_each_record_once(seed in any::<u64>()) {
        let mut luck = Luck(seed | 1);
        let records: Vec<_> = records(&mut luck, 100);
        let (all, some) = (Arc::new(super::Target::default()), Arc::new(super::Target::default()));
        let write = |target: &TargetSettings| match target.target_stream_name.as_str() {
            "all" => Arc::<super::Target>::clone(&all) as Arc<dyn Write>,
            _ => Arc::<super::Target>::clone(&some) as Arc<dyn Write>,
        };
        let settings = targets(false);
        let module = Forward::new(&settings, &IntakeSettings::default(), intake(), write).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut checkpoint = 0;
            while checkpoint < records.len() {
                // Each turn is a process, which ends with its checkpoint stored or not.
                let mut delivering = module.open(&shard("in")).await.unwrap();
                let mut done = checkpoint;
                for _ in 0..luck.below(5) {
                    for target in [&all, &some] {
                        if luck.below(3) == 0 {
                            target.fail_next(Fault::Whole(PutError::Unavailable("down".into())));
                        }
                    }
                    let end = (done + 1 + luck.below(30) as usize).min(records.len());
                    let records = records[done.min(end - 1)..end].to_vec();
                    let batch = Batch { shard: shard("in"), records, attempt: 0 };
                    done = done.min(end - 1) + match delivering.deliver(&batch).await.outcome {
                        Outcome::Failed { from, .. } => batch.records_before(from),
                        _ => batch.records.len(),
                    };
                    if luck.below(2) == 0 {
                        checkpoint = done;
                    }
                }
                all.lock().faults.clear();
                some.lock().faults.clear();
            }
        });
        let texts: Vec<_> = records.iter().map(text).collect();
        let of_b: Vec<_> = texts.iter().filter(|text| text.contains("\"b\"")).cloned().collect();
        prop_assert_eq!(all.lines(), texts);
        prop_assert_eq!(some.lines(), of_b);
    }
}
