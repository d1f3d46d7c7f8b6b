//! A store driven step by step, and a model of what it promised beside it.
//!
//! The writer is called directly: the composition of commit groups comes from the seed, so a seed
//! replays exactly.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use baikonur_stream::{
    Checkpoint, Clock, ConsumerName, CreateStream, Cursor, Placed, ProducerPosition, PutEntry,
    PutError, ReadError, ReadLimits, SequenceNumber, ShardProgress, StreamProperties,
};
use memchr::memmem;
use tokio::sync::oneshot;

use super::world::{START, TestClock, entry, shard, stream, text};
use crate::administer::Change;
use crate::engine::assemble;
use crate::frame::ShardKey;
use crate::lock::read;
use crate::notes;
use crate::read::Reader;
use crate::settings::COUNTER_JUMP;
use crate::store::Store;
use crate::writer::{Put, Request, StoreNote, Writer};
use crate::{Durability, EngineSettings, OpenError, Random, RecoveryReport, SimulatedDisk};

/// A store without its thread.
pub(crate) struct Bench {
    pub(crate) store: Arc<Store>,
    pub(crate) writer: Writer,
}

pub(crate) fn open(
    disk: &SimulatedDisk,
    clock: &Arc<TestClock>,
    durability: Durability,
) -> Result<(Bench, RecoveryReport), OpenError> {
    let settings =
        EngineSettings { durability, segment_bytes: 3_000, ..EngineSettings::new("simulated") };
    let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
    let (store, writer, report) = assemble(Arc::new(disk.clone()), settings, clock)?;
    Ok((Bench { store, writer }, report))
}

/// Names a shard over the life of the store: the stream's incarnation and the shard's index.
type Key = (u64, u32);
type Records = BTreeMap<Key, BTreeMap<SequenceNumber, String>>;

impl Hole {
    fn told(key: Key, what: String) -> Self {
        let words: Vec<_> = what.split(' ').collect();
        let at = words.iter().position(|word| *word == "records").unwrap();
        let counter = |at: usize| words[at].parse::<u64>().unwrap();
        Self { key, counters: counter(at + 1)..=counter(at + 3), what }
    }

    fn has(&self, key: &Key, number: SequenceNumber) -> bool {
        self.key == *key && self.counters.contains(&number.counter())
    }
}

/// One put as it was asked for.
#[derive(Clone, Debug)]
struct Asked {
    /// Shard key and payload of each record.
    records: Vec<(Key, String)>,
    position: u64,
}

/// What was promised.
#[derive(Default)]
pub(crate) struct Shadow {
    /// Acknowledged records that must be there.
    acknowledged: Records,
    /// Every number ever handed out or seen, and its payload.
    numbers: Records,
    /// Puts that failed or were never answered: each is there whole, or not at all.
    unknown: Vec<Asked>,
    position: u64,
    progress: Option<ShardProgress>,
    progress_unknown: Vec<ShardProgress>,
    /// Losses that were told, and will be told again.
    damage: HashSet<Hole>,
    next: u64,
}

const PRODUCER: &str = "forward";
const NAMES: [&str; 2] = ["s", "t"];

/// How much of what was acknowledged must be found again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Expect<'a> {
    /// All of it.
    All,
    /// What is missing was lost in a mode that allows it.
    Loss,
    /// What is missing must lie in a hole that readers are told of, or, at the end of its shard, in
    /// bytes that recovery reported: these.
    ReportedLoss(&'a [Vec<u8>]),
}

/// Records that a reader was told are lost.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Hole {
    key: Key,
    counters: RangeInclusive<u64>,
    what: String,
}

impl Bench {
    fn incarnation(&self, name: &str) -> Option<u64> {
        self.store.stream(&stream(name)).map(|stream| stream.stored.incarnation)
    }

    pub(crate) fn change(&mut self, change: Change) -> bool {
        let (answer, mut done) = oneshot::channel();
        self.writer.work([Request::Change(change, answer)]);
        done.try_recv().is_ok_and(|changed| changed.is_ok())
    }

    pub(crate) fn create(&mut self, name: &str) -> bool {
        let (shard_count, properties) = (2, StreamProperties::default());
        self.change(Change::Create(CreateStream { name: stream(name), shard_count, properties }))
    }

    /// All records of a shard, and the holes that its reader was told of.
    fn read_all(&self, name: &str, index: u32) -> (BTreeMap<SequenceNumber, String>, Vec<Hole>) {
        let known = self.store.stream(&stream(name)).unwrap();
        let (place, found) = known.shard(shard(name, index).shard).unwrap();
        let start = found.starting_sequence_number;
        let reader = Reader {
            store: &self.store,
            stream: &known,
            key: known.key(place),
            created_seconds: start.created_seconds(),
            horizon: known.stored.horizon(self.store.clock.now()),
        };
        let mut cursor = Cursor { shard: shard(name, index), from: start, since: None };
        let (mut records, mut holes) = (BTreeMap::new(), Vec::new());
        loop {
            match reader.page(&cursor, ReadLimits { records: 7, bytes: 2_000 }) {
                Ok(page) => {
                    for record in &page.records {
                        let last = records.last_key_value().map(|(number, _)| *number);
                        assert!(last < Some(record.sequence_number), "order in {name}/{index}");
                        records.insert(record.sequence_number, text(record));
                    }
                    cursor = page.next.unwrap();
                    if page.millis_behind_latest == 0 {
                        return (records, holes);
                    }
                }
                Err(ReadError::Damaged { what, resume, .. }) => {
                    holes.push(Hole::told((known.stored.incarnation, index), what));
                    let resume = resume.unwrap();
                    assert!(resume.from > cursor.from, "reading goes on behind the damage");
                    cursor = resume;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn position(&self) -> u64 {
        let notes = read(&self.store.notes);
        let value = notes.get(&notes::producer_key(PRODUCER));
        value.map_or(0, |v| {
            let number: SequenceNumber = std::str::from_utf8(v).unwrap().parse().unwrap();
            number.counter()
        })
    }

    fn progress_key(&self) -> (ShardKey, String) {
        let key = ShardKey { incarnation: self.incarnation("s").unwrap(), shard: 0 };
        (key, notes::progress_key(key, &ConsumerName::new("c")))
    }

    fn progress(&self) -> Option<ShardProgress> {
        let notes = read(&self.store.notes);
        notes.get(&self.progress_key().1).map(|value| serde_json::from_slice(value).unwrap())
    }
}

type PutAnswer = oneshot::Receiver<Result<Vec<Placed>, PutError>>;

impl Shadow {
    /// One step of a random workload; false when the store took something no more.
    pub(crate) fn step(
        &mut self,
        bench: &mut Bench,
        clock: &TestClock,
        random: &mut Random,
    ) -> bool {
        match random.below(12) {
            0 => {
                clock.advance(std::time::Duration::from_secs(random.below(4_000)));
                bench.writer.keep_house();
                true
            }
            1 => {
                clock.step_back(std::time::Duration::from_secs(random.below(100)));
                true
            }
            2 if random.one_in(2) => self.recreate(bench),
            _ => self.group(bench, random),
        }
    }

    /// Deletes stream `t` and makes it again.
    fn recreate(&mut self, bench: &mut Bench) -> bool {
        if let Some(before) = bench.incarnation("t") {
            if !bench.change(Change::Delete { name: stream("t"), with_consumers: false }) {
                // It may be there or not: `check` looks, and expects its records if it is.
                return false;
            }
            self.acknowledged.retain(|key, _| key.0 != before);
            self.unknown.iter_mut().for_each(|asked| asked.records.retain(|r| r.0.0 != before));
        }
        bench.create("t")
    }

    /// A group of several requests, so that many share a commit.
    pub(crate) fn group(&mut self, bench: &mut Bench, random: &mut Random) -> bool {
        let mut requests = Vec::new();
        let (mut puts, mut stores) = (Vec::new(), Vec::new());
        for _ in 0..=random.below(4) {
            if random.one_in(4) {
                let (request, progress, done) = self.checkpoint(bench);
                requests.push(request);
                stores.push((progress, done));
            } else if let Some((request, asked, done)) = self.put(bench, random) {
                requests.push(request);
                puts.push((asked, done));
            }
        }
        bench.writer.work(requests);
        let mut good = true;
        for (asked, done) in puts {
            good &= self.answered(asked, done);
        }
        for (progress, mut done) in stores {
            match done.try_recv() {
                Ok(Ok(())) => {
                    self.progress = Some(progress);
                    self.progress_unknown.clear();
                }
                _ => {
                    self.progress_unknown.push(progress);
                    good = false;
                }
            }
        }
        good
    }

    fn put(&mut self, bench: &Bench, random: &mut Random) -> Option<(Request, Asked, PutAnswer)> {
        let name = NAMES[random.below(2) as usize];
        let incarnation = bench.incarnation(name)?;
        let (mut entries, mut records): (Vec<PutEntry>, Vec<_>) = (Vec::new(), Vec::new());
        for _ in 0..=random.below(5) {
            self.next += 1;
            let index = random.below(2) as u32;
            let data = format!("{}:{}", self.next, "x".repeat(random.below(60) as usize));
            entries.push(entry(index, &data));
            records.push(((incarnation, index), data));
        }
        let position = self.next;
        let up_to = SequenceNumber::new(START, 0, position, START);
        let remember = Some(ProducerPosition { producer: PRODUCER.into(), up_to });
        let hashes = entries.iter().map(PutEntry::hash_key).collect();
        let (answer, done) = oneshot::channel();
        let put = Put { stream: stream(name), entries, hashes, remember, answer };
        Some((Request::Put(put), Asked { records, position }, done))
    }

    fn checkpoint(
        &self,
        bench: &Bench,
    ) -> (Request, ShardProgress, oneshot::Receiver<Result<(), PutError>>) {
        let number = SequenceNumber::new(START, 0, self.next, START);
        let progress = ShardProgress { checkpoint: Some(Checkpoint::After(number)), intent: None };
        let (shard, key) = bench.progress_key();
        let value = serde_json::to_vec(&progress).unwrap().into();
        let (answer, done) = oneshot::channel();
        (Request::Store(StoreNote { shard, key, value, answer }), progress, done)
    }

    fn answered(&mut self, asked: Asked, mut done: PutAnswer) -> bool {
        let Ok(Ok(placed)) = done.try_recv() else {
            self.unknown.push(asked);
            return false;
        };
        assert_eq!(placed.len(), asked.records.len());
        self.position = self.position.max(asked.position);
        for ((key, data), placed) in asked.records.into_iter().zip(placed) {
            let number = placed.sequence_number;
            assert_eq!((number.created_seconds(), number.shard()), key);
            let numbers = self.numbers.entry(key).or_default();
            let highest = numbers.last_key_value().map_or(0, |(number, _)| number.counter());
            assert!(number.counter() > highest, "{number} was handed out before, or is below");
            numbers.insert(number, data.clone());
            self.acknowledged.entry(key).or_default().insert(number, data);
        }
        true
    }

    /// What was promised is there, and nothing that was not put.
    pub(crate) fn check(&mut self, bench: &Bench, expect: Expect<'_>) {
        assert!(bench.incarnation("s").is_some(), "a stream that nobody deletes is gone");
        let mut found = Records::new();
        let mut holes = Vec::new();
        for name in NAMES {
            let Some(incarnation) = bench.incarnation(name) else { continue };
            for index in 0..2 {
                let key = (incarnation, index);
                let (records, told) = bench.read_all(name, index);
                let hidden = |number| told.iter().any(|hole| hole.has(&key, number));
                assert!(!records.keys().copied().any(hidden), "damage is larger than it is");
                found.insert(key, records);
                holes.extend(told);
            }
        }
        let seen = found.clone();
        let alive = |key: &Key| found.contains_key(key);
        self.acknowledged.retain(|key, _| alive(key));
        let mut missing = Vec::new();
        for (key, records) in &mut self.acknowledged {
            let there = found.get_mut(key).unwrap();
            records.retain(|number, data| match there.remove(number) {
                Some(stored) => {
                    assert_eq!(stored, *data, "another record under {number}");
                    true
                }
                None => {
                    missing.push((*key, *number, data.clone()));
                    false
                }
            });
        }
        match expect {
            Expect::All => {
                let new: Vec<_> = holes.iter().filter(|hole| !self.damage.contains(hole)).collect();
                assert!(missing.is_empty() && new.is_empty(), "lost: {missing:?}; told: {new:?}");
            }
            Expect::Loss => {}
            Expect::ReportedLoss(bytes) => {
                for (key, number, data) in missing {
                    // As it stands in a block: behind its key.
                    let stored = format!("key{data}");
                    let reported =
                        bytes.iter().any(|b| memmem::find(b, stored.as_bytes()).is_some());
                    // Only at a shard's end may it be unknown which numbers the bytes had.
                    let mut counters = seen[&key].keys().map(|number| number.counter());
                    let behind = number.counter()..number.counter() + COUNTER_JUMP / 2;
                    let last = !counters.any(|counter| behind.contains(&counter));
                    let told =
                        holes.iter().any(|hole| hole.has(&key, number)) || (reported && last);
                    assert!(told, "a silent loss: {key:?} {number} {data}, told: {holes:?}");
                }
            }
        }
        self.damage.extend(holes);
        self.settle_unknown(found, expect);
        self.check_notes(bench, expect);
    }

    /// Records that are left over belong to puts without an answer, each whole.
    fn settle_unknown(&mut self, mut found: Records, expect: Expect<'_>) {
        for asked in std::mem::take(&mut self.unknown) {
            let mut there = Vec::new();
            for (key, data) in &asked.records {
                let records = found.get_mut(key);
                let number = records.as_ref().and_then(|records| {
                    records.iter().find(|(_, stored)| *stored == data).map(|(number, _)| *number)
                });
                if let (Some(number), Some(records)) = (number, records) {
                    records.remove(&number);
                    there.push((*key, number, data.clone()));
                }
            }
            let whole = there.is_empty() || there.len() == asked.records.len();
            assert!(whole || expect != Expect::All, "a put in part: {asked:?}");
            if !there.is_empty() {
                self.position = self.position.max(asked.position);
            }
            for (key, number, data) in there {
                let before = self.numbers.entry(key).or_default().insert(number, data.clone());
                assert!(before.is_none_or(|before| before == data), "{number} given twice");
                self.acknowledged.entry(key).or_default().insert(number, data);
            }
        }
        found.retain(|_, records| !records.is_empty());
        let strange: Vec<_> = found.values().flatten().take(3).collect();
        assert!(strange.is_empty(), "records from nowhere: {strange:?}");
    }

    fn check_notes(&mut self, bench: &Bench, expect: Expect<'_>) {
        let (position, progress) = (bench.position(), bench.progress());
        if expect == Expect::All {
            // A put whose records went with their stream may have been the last.
            let deleted = self.position;
            assert!(position >= self.position, "position {position} before {deleted}");
            let known = progress == self.progress;
            let asked = progress.as_ref().is_some_and(|p| self.progress_unknown.contains(p));
            assert!(known || asked, "progress {progress:?}");
        }
        self.position = position;
        self.progress = progress;
        self.progress_unknown.clear();
    }
}
