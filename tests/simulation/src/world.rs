//! What survives a crash: the stream, the progress, the failed store and the destination.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use baikonur_stream::{HashKeyRange, Intent, Lane, ShardProgress, Timestamp};
use tokio::sync::{Notify, watch};

use crate::ownership::Tenancy;
use crate::plan::Plan;
use crate::process::{Life, Process};
use crate::random::Random;
use crate::stream::{KEYS, Put, SimShard};
use crate::tally::Tally;

/// When a story begins.
pub const EPOCH: Timestamp = Timestamp::from_seconds(1_600_000_000);

/// What is needed to see a failure again.
#[derive(Clone, Copy)]
pub struct Told {
    seed: u64,
    life: u32,
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "replay with BAIKONUR_SEED={} (life {})", self.seed, self.life)
    }
}

/// All that is known of a world.
pub struct State {
    seed: u64,
    pub plan: Plan,
    pub random: Random,
    pub shards: Vec<SimShard>,
    /// By key: shard and index of each record in the order of the puts.
    pub(crate) keys: Vec<Vec<(usize, usize)>>,
    pub progress: BTreeMap<u32, ShardProgress>,
    /// The note that the consumer has begun.
    pub(crate) begun: bool,
    /// Every announcement that was stored, by the key of its object.
    pub(crate) announced: BTreeMap<String, Intent>,
    /// Objects of a holding module, by key.
    pub(crate) objects: BTreeMap<String, Vec<u64>>,
    /// The failed store: a batch that is kept twice is stored once.
    pub(crate) kept: BTreeSet<(String, u32, Vec<u64>)>,
    /// By number: every start of a process.
    pub(crate) lives: BTreeMap<u32, Life>,
    /// Lives that are to end by a crash, and by a drain.
    pub(crate) crashes_left: u32,
    pub(crate) drains_left: u32,
    /// By life and shard.
    pub(crate) tenancies: BTreeMap<(u32, u32), Tenancy>,
    pub(crate) tenancies_given: u32,
    /// When another took the lease, by life and shard.
    pub(crate) taken: BTreeMap<(u32, u32), Duration>,
    /// By tenancy and shard: records that came in it and in an earlier one, in whichever order.
    pub(crate) again: BTreeMap<(u32, u32), BTreeSet<u64>>,
    /// The most of them that there may be.
    pub(crate) bound: usize,
    /// Lanes that a batch is with, by life and shard.
    pub(crate) busy: BTreeSet<(u32, u32, Lane)>,
    /// The most batches of a life that were with the module at the same time.
    pub side_by_side: usize,
    pub(crate) down_until: Duration,
    pub(crate) writer_done: bool,
    /// The most bytes of a shard that were read and not settled.
    pub unsettled_most: usize,
    pub tally: Tally,
    /// Whether the story is told line by line.
    aloud: bool,
    started: tokio::time::Instant,
}

/// A world; its time is Tokio's, which is to be paused.
pub struct World {
    state: Mutex<State>,
    pub(crate) is_shared: bool,
    started: tokio::time::Instant,
    pub(crate) news: Notify,
    pub(crate) finished: watch::Sender<bool>,
}

impl World {
    pub fn new(plan: Plan, seed: u64, random: Random) -> Arc<Self> {
        let shards = HashKeyRange::evenly(plan.shards).into_iter();
        let started = tokio::time::Instant::now();
        let state = State {
            seed,
            shards: shards.map(|range| SimShard::new(Vec::new(), range)).collect(),
            keys: (0..KEYS).map(|_| Vec::new()).collect(),
            progress: BTreeMap::new(),
            begun: false,
            announced: BTreeMap::new(),
            objects: BTreeMap::new(),
            kept: BTreeSet::new(),
            lives: BTreeMap::new(),
            crashes_left: plan.crashes,
            drains_left: plan.drains,
            tenancies: BTreeMap::new(),
            tenancies_given: 0,
            taken: BTreeMap::new(),
            again: BTreeMap::new(),
            bound: 0,
            busy: BTreeSet::new(),
            side_by_side: 0,
            down_until: Duration::ZERO,
            writer_done: false,
            unsettled_most: 0,
            tally: Tally::default(),
            aloud: std::env::var("BAIKONUR_SEED").is_ok(),
            started,
            plan,
            random,
        };
        Arc::new(Self {
            is_shared: state.plan.workers.is_some(),
            state: Mutex::new(state),
            started,
            news: Notify::new(),
            finished: watch::Sender::new(false),
        })
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time since the story began.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn now(&self) -> Timestamp {
        EPOCH.plus(self.elapsed())
    }

    /// Whether an assertion failed in a task of the mapping, which starts it again after a panic.
    pub fn is_wrong(&self) -> bool {
        self.state.is_poisoned()
    }

    /// Ends the story if everything is delivered.
    pub fn tell_if_finished(&self) {
        if self.lock().is_finished() {
            self.finished.send_replace(true);
        }
    }

    /// A process starts, whose mapping has so many lanes, and after which so many records of a
    /// shard may come again.
    pub fn begin_life(self: &Arc<Self>, lanes: u32, bound: usize) -> Process {
        let state = &mut *self.lock();
        let (mut offset, mut fast) = (Duration::ZERO, 0);
        if self.is_shared {
            offset = state.random.millis(0..1_000_000);
            fast = state.random.below(10_000) as u32;
        }
        let life = state.lives.len() as u32 + 1;
        state.lives.insert(life, Life::new(lanes, offset, fast));
        state.bound = state.bound.max(bound);
        state.tell(format_args!("life {life} with {lanes} lanes"));
        state.tally.count_all("a start with lanes", (lanes > 1).into());
        Process { world: Arc::clone(self), life, died: Arc::default() }
    }
}

impl State {
    pub fn told(&self) -> Told {
        Told { seed: self.seed, life: self.lives.len() as u32 }
    }

    /// A line of the story, for whoever replays one seed.
    pub fn tell(&self, what: std::fmt::Arguments<'_>) {
        if self.aloud {
            eprintln!("{:9.3} s: {what}", self.started.elapsed().as_secs_f64());
        }
    }

    pub(crate) fn put_of(&self, shard: u32, counter: u64) -> &Put {
        &self.shards[shard as usize].puts[counter as usize - 1]
    }
}
