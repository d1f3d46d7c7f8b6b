//! What survives a crash: the stream, the progress, the failed store and the destination. And what
//! must be true of them, asserted at the very step that would break it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use baikonur_mapping::Start;
use baikonur_stream::{
    Checkpoint, Clock, HashKey, HashKeyRange, Lane, PartitionKey, Record, SequenceNumber,
    ShardAddress, ShardId, ShardProgress, StreamName, Timestamp,
};
use bytes::Bytes;
use tokio::sync::Notify;

use super::random::{Plan, Random};

/// When the simulation begins.
pub(super) const EPOCH: Timestamp = Timestamp::from_seconds(1_600_000_000);
const KEYS: u64 = 7;

pub(super) fn number(shard: u32, counter: u64) -> SequenceNumber {
    SequenceNumber::new(EPOCH.seconds(), shard, counter, EPOCH.seconds())
}

pub(super) fn address(shard: u32) -> ShardAddress {
    ShardAddress { stream: StreamName::new("s").unwrap(), shard: ShardId::new(shard) }
}

/// A record and what became of it.
#[derive(Debug)]
pub(super) struct Put {
    pub(super) record: Record,
    pub(super) key: u64,
    /// Its place among the records of its key.
    nth: usize,
    pub(super) poison: bool,
    pub(super) bad: bool,
    pub(super) damaged: bool,
    /// The run in which it was delivered last; 0: in none.
    delivered_in: u32,
    /// Whether the mapping was told of that.
    for_sure: bool,
    kept: bool,
    expired: bool,
    /// The object that it is in.
    object: Option<String>,
}

impl Put {
    pub(super) fn is_settled(&self) -> bool {
        self.delivered_in > 0 || self.kept || self.expired
    }
}

/// A shard of the stream.
#[derive(Debug)]
pub(super) struct SimShard {
    pub(super) parents: Vec<u32>,
    pub(super) range: HashKeyRange,
    pub(super) puts: Vec<Put>,
    pub(super) closed: bool,
    /// The counter of the oldest record that is retained.
    pub(super) horizon: u64,
    /// Records that were delivered in an earlier run and again in this one.
    again: usize,
}

/// How a step of the mapping goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Well,
    /// It fails and has no effect.
    Fails,
    /// It has its effect, and nobody is told.
    Ambiguous,
    /// The process dies right behind it.
    Dies,
}

/// What is needed to see a failure again.
#[derive(Clone, Copy)]
pub(super) struct Told {
    seed: u64,
    run: u32,
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "replay with BAIKONUR_SEED={} (run {})", self.seed, self.run)
    }
}

/// How often what happened, over all seeds: a simulation in which nothing happens proves nothing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) crashes: u64,
    pub(super) drains: u64,
    pub(super) faults: u64,
    pub(super) ambiguous: u64,
    pub(super) again: u64,
    pub(super) objects_again: u64,
    pub(super) kept: u64,
    pub(super) expired: u64,
    pub(super) damaged: u64,
    pub(super) children: u64,
    pub(super) lanes: u64,
    /// The most batches that were with the module at the same time.
    pub(super) side_by_side: u64,
    pub(super) steps: u64,
}

impl Tally {
    pub(super) fn all(&self) -> [(&'static str, u64); 11] {
        [
            ("a crash", self.crashes),
            ("a drain", self.drains),
            ("a fault", self.faults),
            ("an effect without an answer", self.ambiguous),
            ("a record that came again", self.again),
            ("an object written again", self.objects_again),
            ("a record kept", self.kept),
            ("a record expired", self.expired),
            ("a record damaged", self.damaged),
            ("a child shard", self.children),
            ("a start with lanes", self.lanes),
        ]
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.drains += other.drains;
        self.faults += other.faults;
        self.ambiguous += other.ambiguous;
        self.again += other.again;
        self.objects_again += other.objects_again;
        self.kept += other.kept;
        self.expired += other.expired;
        self.damaged += other.damaged;
        self.children += other.children;
        self.lanes += other.lanes;
        self.side_by_side = self.side_by_side.max(other.side_by_side);
        self.steps += other.steps;
    }
}

pub(super) struct State {
    pub(super) seed: u64,
    pub(super) plan: Plan,
    pub(super) random: Random,
    pub(super) shards: Vec<SimShard>,
    /// By key: shard and index of each record in the order of the puts.
    keys: Vec<Vec<(usize, usize)>>,
    pub(super) progress: BTreeMap<u32, ShardProgress>,
    /// The note that the consumer has begun.
    pub(super) begun: bool,
    /// Objects of a holding module, by key.
    objects: BTreeMap<String, Vec<u64>>,
    /// The failed store: a batch that is kept twice is stored once.
    kept: BTreeSet<(String, u32, Vec<u64>)>,
    /// The number of this start of the process.
    pub(super) run: u32,
    /// Lanes of this run, and the most records of a shard that may come again after it.
    bound: usize,
    pub(super) lanes: u32,
    steps: u64,
    pub(super) crash_at: Option<u64>,
    /// Lanes that a batch is with.
    pub(super) busy: BTreeSet<(u32, Lane)>,
    pub(super) down_until: Duration,
    pub(super) writer_done: bool,
    /// The most bytes of a shard that were read and not settled.
    pub(super) unsettled_most: usize,
    pub(super) tally: Tally,
    /// Whether the story is told line by line.
    aloud: bool,
}

pub(super) struct World {
    state: Mutex<State>,
    pub(super) started: tokio::time::Instant,
    pub(super) news: Notify,
    pub(super) crashed: Notify,
    pub(super) finished: Notify,
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        EPOCH.plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let plan = Plan::new(&mut random);
        Self::with(plan, seed, random)
    }

    pub(super) fn with(plan: Plan, seed: u64, random: Random) -> Self {
        let shard = |range| SimShard {
            parents: Vec::new(),
            range,
            puts: Vec::new(),
            closed: false,
            horizon: 1,
            again: 0,
        };
        let state = State {
            seed,
            shards: HashKeyRange::evenly(plan.shards).into_iter().map(shard).collect(),
            keys: (0..KEYS).map(|_| Vec::new()).collect(),
            progress: BTreeMap::new(),
            begun: false,
            objects: BTreeMap::new(),
            kept: BTreeSet::new(),
            run: 0,
            bound: 0,
            lanes: 1,
            steps: 0,
            crash_at: None,
            busy: BTreeSet::new(),
            down_until: Duration::ZERO,
            writer_done: false,
            unsettled_most: 0,
            tally: Tally::default(),
            aloud: std::env::var("BAIKONUR_SEED").is_ok(),
            plan,
            random,
        };
        Self {
            state: Mutex::new(state),
            started: tokio::time::Instant::now(),
            news: Notify::new(),
            crashed: Notify::new(),
            finished: Notify::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A step of the mapping begins: it takes some time, and something may happen to it.
    pub(super) async fn begin(&self) -> Fate {
        if self.is_wrong() {
            return self.die().await;
        }
        let (pause, fate, dies) = {
            let state = &mut *self.lock();
            state.steps += 1;
            state.tally.steps += 1;
            let pause = if state.random.once_in(3) { state.random.below(40) } else { 0 };
            let dies = state.crash_at.is_some_and(|at| state.steps >= at);
            (pause, state.fate(), dies)
        };
        if pause > 0 {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        if !dies {
            return fate;
        }
        let before = self.lock().random.once_in(2);
        if before { self.die().await } else { Fate::Dies }
    }

    /// A step had its effect; whether to tell of it.
    pub(super) async fn end(&self, fate: Fate) -> bool {
        match fate {
            Fate::Dies => self.die().await,
            Fate::Ambiguous => false,
            Fate::Well | Fate::Fails => true,
        }
    }

    /// Whether an assertion failed in a task of the mapping, which starts it again after a panic.
    pub(super) fn is_wrong(&self) -> bool {
        self.state.is_poisoned()
    }

    async fn die<T>(&self) -> T {
        self.crashed.notify_one();
        std::future::pending().await
    }
}

impl State {
    fn fate(&mut self) -> Fate {
        if self.plan.faults == 0 || !self.random.once_in(self.plan.faults) {
            return Fate::Well;
        }
        self.tally.faults += 1;
        if self.random.once_in(3) {
            self.tally.ambiguous += 1;
            return Fate::Ambiguous;
        }
        Fate::Fails
    }

    pub(super) fn begin_run(&mut self, lanes: u32, bound: usize) {
        self.run += 1;
        self.tell(format_args!("run {} with {lanes} lanes", self.run));
        self.lanes = lanes;
        self.bound = self.bound.max(bound);
        self.crash_at = None;
        self.busy.clear();
        self.tally.lanes += u64::from(lanes > 1);
        self.shards.iter_mut().for_each(|shard| shard.again = 0);
    }

    /// The process dies so many steps from now.
    pub(super) fn crash_within(&mut self, steps: u64) {
        self.crash_at = Some(self.steps + 1 + self.random.below(steps));
    }

    pub(super) fn put(&mut self, arrival: Timestamp) {
        let key = self.random.below(KEYS).min(self.random.below(KEYS));
        let (plan, random) = (&self.plan, &mut self.random);
        let poison = plan.poison > 0 && random.once_in(plan.poison);
        let bad = !poison && plan.bad > 0 && random.once_in(plan.bad);
        self.put_as(key, arrival, poison, bad);
    }

    pub(super) fn put_as(&mut self, key: u64, arrival: Timestamp, poison: bool, bad: bool) {
        let partition_key = PartitionKey::new(Bytes::from(format!("k{key}"))).unwrap();
        let hash = partition_key.hash_key();
        let open = |shard: &SimShard| !shard.closed && shard.range.contains(hash);
        let Some(shard) = self.shards.iter().position(open) else { return };
        let (nth, puts) = (self.keys[key as usize].len(), &mut self.shards[shard].puts);
        self.keys[key as usize].push((shard, puts.len()));
        let sequence_number = number(shard as u32, puts.len() as u64 + 1);
        let data = Bytes::from(format!("{nth}"));
        puts.push(Put {
            record: Record { sequence_number, arrival, partition_key, data },
            key,
            nth,
            poison,
            bad,
            damaged: false,
            delivered_in: 0,
            for_sure: false,
            kept: false,
            expired: false,
            object: None,
        });
        // A start at a moment wants nothing from before it.
        if let Start::AtTimestamp(moment) = self.plan.settings.starting_position
            && arrival < moment
        {
            puts.last_mut().unwrap().expired = true;
        }
    }

    pub(super) fn reshard(&mut self) {
        let open: Vec<usize> = (0..self.shards.len()).filter(|n| !self.shards[*n].closed).collect();
        let one = open[self.random.below(open.len() as u64) as usize];
        let HashKeyRange { start, end } = self.shards[one].range;
        let neighbour = open.iter().copied().find(|other| {
            let other = self.shards[*other].range;
            end.value().checked_add(1) == Some(other.start.value())
        });
        match neighbour {
            Some(other) if self.random.once_in(2) => {
                let end = self.shards[other].range.end;
                self.child(vec![one, other], HashKeyRange { start, end });
            }
            _ => {
                let middle = start.value() + (end.value() - start.value()) / 2;
                let (left, right) = (middle, middle + 1);
                self.child(vec![one], HashKeyRange { start, end: HashKey::new(left) });
                self.child(vec![one], HashKeyRange { start: HashKey::new(right), end });
            }
        }
    }

    fn child(&mut self, parents: Vec<usize>, range: HashKeyRange) {
        parents.iter().for_each(|parent| self.shards[*parent].closed = true);
        self.tally.children += 1;
        self.shards.push(SimShard {
            parents: parents.into_iter().map(|parent| parent as u32).collect(),
            range,
            puts: Vec::new(),
            closed: false,
            horizon: 1,
            again: 0,
        });
    }

    /// Retention takes the oldest records of a shard.
    pub(super) fn trim(&mut self) {
        let shard = self.random.below(self.shards.len() as u64) as usize;
        let count = self.random.below(4);
        let shard = &mut self.shards[shard];
        shard.horizon = (shard.horizon + count).min(shard.puts.len() as u64 + 1);
        for put in &mut shard.puts[..shard.horizon as usize - 1] {
            if !put.is_settled() {
                put.expired = true;
                self.tally.expired += 1;
            }
        }
    }

    /// A few records in the middle of a shard cannot be read any more.
    pub(super) fn damage(&mut self) {
        let shard = self.random.below(self.shards.len() as u64) as usize;
        let (from, count) = (self.random.below(8) as usize, 1 + self.random.below(3) as usize);
        for put in self.shards[shard].puts.iter_mut().skip(from).take(count) {
            put.damaged = true;
            self.tally.damaged += 1;
        }
    }

    /// A line of the story, for whoever replays one seed.
    fn tell(&self, what: std::fmt::Arguments<'_>) {
        if self.aloud {
            eprintln!("{what}");
        }
    }

    pub(super) fn told(&self) -> Told {
        Told { seed: self.seed, run: self.run }
    }

    fn is_repeated(&self, shard: u32, record: &Record) -> bool {
        let intent = self.progress.get(&shard).and_then(|progress| progress.intent.as_ref());
        let range = intent.map(|intent| intent.first..=intent.last);
        range.is_some_and(|range| range.contains(&record.sequence_number))
    }

    /// A record comes to the destination.
    pub(super) fn deliver(&mut self, shard: u32, counter: u64, for_sure: bool) {
        let told = self.told();
        self.tell(format_args!("deliver {shard}/{counter}, for sure: {for_sure}"));
        let (at, run) = (counter as usize - 1, self.run);
        let put = &self.shards[shard as usize].puts[at];
        let before = self.keys[put.key as usize][..put.nth].iter();
        for (other, index) in before {
            let earlier = &self.shards[*other].puts[*index];
            // What is rejected is kept after the batch that it was in.
            let settled = earlier.is_settled() || earlier.damaged || earlier.bad;
            // What is given up within a range that is repeated is kept at the end of the range.
            let settled = settled || self.is_repeated(*other as u32, &earlier.record);
            assert!(settled, "{:?} came before {:?}; {told}", put.record, earlier.record);
        }
        for parent in &self.shards[shard as usize].parents {
            let parent = &self.shards[*parent as usize];
            let settled = parent.puts.iter().all(|put| put.is_settled() || put.damaged);
            assert!(settled, "{:?} came before the end of its parent; {told}", put.record);
        }
        assert!(!put.bad && !put.poison, "{:?} cannot be delivered; {told}", put.record);
        if let Start::AtTimestamp(moment) = self.plan.settings.starting_position {
            assert!(put.record.arrival >= moment, "{:?} is of before; {told}", put.record);
        }
        let twice = put.delivered_in == run && put.for_sure;
        assert!(!twice, "{:?} was delivered twice in one run; {told}", put.record);
        let bound = self.bound;
        let shard = &mut self.shards[shard as usize];
        let put = &mut shard.puts[at];
        if put.delivered_in > 0 && put.delivered_in < run {
            shard.again += 1;
            self.tally.again += 1;
            assert!(shard.again <= bound, "{} records came again, of {bound}; {told}", shard.again);
        }
        put.delivered_in = run;
        put.for_sure = for_sure;
    }

    /// A holding module writes an object.
    pub(super) fn write(&mut self, shard: u32, key: &str, counters: &[u64], for_sure: bool) {
        let told = self.told();
        self.tell(format_args!("write {key}: {counters:?}"));
        let intent = self.progress.get(&shard).and_then(|progress| progress.intent.clone());
        let intent = intent.unwrap_or_else(|| panic!("{key} was not announced; {told}"));
        assert_eq!(intent.keys, [key], "announced; {told}");
        assert!(intent.first.counter() <= counters[0], "{intent:?} {counters:?}; {told}");
        assert!(intent.last.counter() >= *counters.last().unwrap(), "{intent:?}; {told}");
        if let Some(before) = self.objects.insert(key.to_owned(), counters.to_vec()) {
            self.tally.objects_again += 1;
            assert_eq!(before, counters, "{key} was written with another cut; {told}");
        }
        for counter in counters {
            let put = &mut self.shards[shard as usize].puts[*counter as usize - 1];
            let object = put.object.get_or_insert_with(|| key.to_owned());
            assert_eq!(object, key, "{:?} is in two objects; {told}", put.record);
            if put.delivered_in == 0 {
                self.deliver(shard, *counter, for_sure);
            }
        }
    }

    /// The failed store takes records of one reason.
    pub(super) fn keep(&mut self, shard: u32, reason: &str, counters: Vec<u64>) {
        let told = self.told();
        self.tell(format_args!("keep {reason} of {shard}: {counters:?}"));
        for counter in &counters {
            let puts = &mut self.shards[shard as usize].puts;
            if reason == "stream_damaged" {
                let from = counter.saturating_sub(1) as usize;
                // The mark says where reading was to go on: what is trimmed there was not met.
                let lost = puts[from..].iter_mut().skip_while(|put| !put.damaged || put.expired);
                lost.take_while(|put| put.damaged).for_each(|put| put.kept = true);
            } else {
                let put = &mut puts[*counter as usize - 1];
                assert!(reason != "not_json" || put.bad, "{:?} is good; {told}", put.record);
                put.kept = true;
                self.tally.kept += 1;
            }
        }
        self.kept.insert((reason.to_owned(), shard, counters));
    }

    /// The progress of a shard changes.
    pub(super) fn store(&mut self, shard: u32, progress: &ShardProgress) {
        let told = self.told();
        self.tell(format_args!("store {shard}: {progress:?}"));
        let puts = &mut self.shards[shard as usize].puts;
        let passed = match progress.checkpoint {
            None => 0,
            Some(Checkpoint::At(number)) => number.counter().saturating_sub(1),
            Some(Checkpoint::After(number)) => number.counter(),
            Some(Checkpoint::ShardEnd) => puts.len() as u64,
            Some(Checkpoint::AtTimestamp(moment)) => {
                puts.partition_point(|put| put.record.arrival < moment) as u64
            }
            Some(Checkpoint::Within { .. }) => unreachable!("no other worker was here"),
        };
        let starts = self.progress.get(&shard).is_none_or(|before| before.checkpoint.is_none());
        if starts && self.plan.settings.starting_position == Start::Latest {
            // Nothing from before the start is wanted.
            puts.iter_mut().take(passed as usize).for_each(|put| put.expired = true);
        }
        if let Some(put) = puts.iter().take(passed as usize).find(|put| !put.is_settled()) {
            panic!("{:?} was passed by {progress:?}; {told}", put.record);
        }
        let before = self.progress.insert(shard, progress.clone()).and_then(|p| p.checkpoint);
        if let (Some(Checkpoint::After(before)), Some(Checkpoint::After(now))) =
            (before, progress.checkpoint)
        {
            assert!(before <= now, "the checkpoint of {shard} went back; {told}");
        }
        assert!(
            before != Some(Checkpoint::ShardEnd) || progress.checkpoint == before,
            "shard {shard} was over; {told}"
        );
    }

    /// Whether every shard was delivered to its end.
    pub(super) fn is_finished(&self) -> bool {
        let ended = |progress: &ShardProgress| progress.checkpoint == Some(Checkpoint::ShardEnd);
        let ended = self.progress.values().filter(|progress| ended(progress)).count();
        self.writer_done && ended == self.shards.len()
    }

    /// A batch is with the module, alone in its lane.
    pub(super) fn hand_over(&mut self, shard: u32, lane: Lane) {
        let told = self.told();
        assert!(self.busy.insert((shard, lane)), "two batches in lane {lane}; {told}");
        self.tally.side_by_side = self.tally.side_by_side.max(self.busy.len() as u64);
    }

    /// What must be true when everything is over.
    pub(super) fn check(&self) {
        let told = self.told();
        for put in self.shards.iter().flat_map(|shard| &shard.puts) {
            assert!(put.is_settled(), "{:?} is lost; {told}", put.record);
        }
        let exact = self.plan.settings.maximum_retry_attempts.is_none()
            && self.plan.settings.maximum_record_age.is_none()
            && !self.plan.lanes
            && !self.plan.trims
            && !self.plan.damages;
        if exact {
            let rejected = self.kept.iter().filter(|(reason, ..)| reason == "not_json");
            let mut seen: Vec<_> = rejected
                .flat_map(|(_, shard, counters)| counters.iter().map(move |n| (*shard, *n)))
                .collect();
            let all = seen.len();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), all, "a rejected record is in two failed objects; {told}");
        }
    }
}
