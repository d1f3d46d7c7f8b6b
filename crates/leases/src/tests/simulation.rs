//! Workers among each other, in a time of their own: they pause, crash, leave, have clocks of
//! different speed, and their writes are lost, late, or answered by nobody.
//!
//! What must hold in every run:
//! - a checkpoint is written by the one who wrote the last, or by one who read it: they follow on
//!   each other without a gap and never go back;
//! - where nothing is stolen from the living, no two workers act for a shard at the same time, also
//!   where a leader assigns leases and has them handed off; where leases are stolen, only the one
//!   that it was stolen from, and no longer than the failover time after that;
//! - once the faults end, every lease is held by a living worker, and no worker that steals has two
//!   more than another.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use baikonur_simulation::{Random, Tally, tell};
use baikonur_stream::ShardId;

use super::lease;
use crate::lease::{Lease, WorkerId, Write};
use crate::place::Place;
use crate::settings::Settings;
use crate::worker::{Answer, Outcome, Worker};

/// What a worker is about to do.
#[derive(Clone)]
enum Plan {
    Renew(ShardId),
    Checkpoint(ShardId),
    GiveUp(ShardId),
    Write(ShardId, Box<Write>),
}

/// A write on its way.
struct InFlight {
    plan: Plan,
    shard: ShardId,
    write: Write,
    sent: Duration,
    arrives: Duration,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    /// It is done, and nobody says so.
    Unanswered,
    /// It never arrives.
    Lost,
    /// It arrives twice: the second answer is told.
    Twice,
}

struct Sim {
    worker: Worker,
    /// Its monotonic clock: an offset, and parts per million that it is fast.
    offset: Duration,
    fast: u64,
    todo: VecDeque<Plan>,
    flight: Option<InFlight>,
    next_renewal: Duration,
    next_look: Duration,
    leaving: bool,
}

impl Sim {
    fn new(settings: &Settings, name: String, random: &mut Random, now: Duration) -> Self {
        let settings = Settings { worker_identifier: name, ..settings.clone() };
        Self {
            worker: Worker::new(settings),
            offset: random.millis(0..1_000_000),
            fast: random.below(1000),
            todo: VecDeque::new(),
            flight: None,
            next_renewal: now,
            next_look: now + random.millis(0..3000),
            leaving: false,
        }
    }

    fn clock(&self, now: Duration) -> Duration {
        now + now * self.fast as u32 / 1_000_000 + self.offset
    }

    fn acts_for(&self, shard: ShardId, now: Duration) -> bool {
        let held = self.worker.held().get(&shard);
        held.is_some_and(|held| held.tenure.holds(self.clock(now)))
    }
}

/// Who decides which worker gets which lease.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rules {
    /// Each for itself, as in KCL 2.
    Stealing,
    /// The same, from the dead alone.
    WithoutStealing,
    /// A leader, as in KCL 3.
    Led,
}

/// A leader that never fails: it assigns what nobody renews, and has leases handed off.
struct Leader {
    /// Counters, and since when.
    seen: BTreeMap<ShardId, (u64, Duration)>,
    next: Duration,
}

struct World {
    seed: u64,
    rules: Rules,
    leader: Leader,
    random: Random,
    settings: Settings,
    table: BTreeMap<ShardId, Lease>,
    workers: Vec<Sim>,
    names: u64,
    now: Duration,
    faults: bool,
    tally: Tally,
    /// When a lease was taken from a worker, last.
    taken: BTreeMap<(ShardId, WorkerId), Duration>,
}

/// The place as a number; the beginning is 0.
fn position(place: &Place) -> u64 {
    place.attributes().0.parse().unwrap_or(0)
}

impl World {
    fn new(seed: u64, rules: Rules) -> Self {
        let mut random = Random(seed);
        let mut settings = Settings::new("app", "");
        settings.max_leases_to_steal_at_one_time = usize::from(rules == Rules::Stealing);
        let shards = 1 + random.below(8) as u32;
        let table = (0..shards).map(|id| (ShardId::new(id), lease(id, None))).collect();
        let leader = Leader { seen: BTreeMap::new(), next: Duration::ZERO };
        let mut world = Self {
            seed,
            rules,
            leader,
            random,
            settings,
            table,
            workers: Vec::new(),
            names: 0,
            now: Duration::ZERO,
            faults: true,
            tally: Tally::default(),
            taken: BTreeMap::new(),
        };
        for _ in 0..1 + world.random.below(4) {
            let worker = world.newcomer();
            world.workers.push(worker);
        }
        world
    }

    fn newcomer(&mut self) -> Sim {
        self.names += 1;
        Sim::new(&self.settings, format!("w{}", self.names), &mut self.random, self.now)
    }

    fn run(&mut self, until: Duration, steps: std::ops::Range<u64>) {
        while self.now < until {
            self.now += self.random.millis(steps.clone());
            if self.rules == Rules::Led && self.now >= self.leader.next {
                self.lead();
            }
            for place in 0..self.workers.len() {
                self.turn(place);
            }
        }
    }

    /// A run of the leader, each two failover times.
    fn lead(&mut self) {
        self.leader.next = self.now + self.settings.failover_time * 2;
        for (shard, lease) in &mut self.table {
            let (counter, since) =
                self.leader.seen.entry(*shard).or_insert((lease.counter, self.now));
            if *counter != lease.counter {
                (*counter, *since) = (lease.counter, self.now);
            }
            let is_expired = self.now - *since > self.settings.failover_time;
            let other = self.random.below(self.workers.len() as u64) as usize;
            let other = self.workers[other].worker.me().clone();
            if lease.owner.is_none() || is_expired {
                let (owner, checkpoint_owner) =
                    (lease.owner.clone(), lease.checkpoint_owner.clone());
                let assign = Write::Assign { to: other, owner, checkpoint_owner };
                let mut row = Some(lease.clone());
                assign.apply(&mut row).expect("as it was read");
                *lease = row.expect("it is not deleted");
            } else if self.faults
                && self.random.percent(30)
                && !lease.is_handed_off()
                && lease.owner.as_ref() != Some(&other)
            {
                // The counter stays as it is.
                lease.checkpoint_owner = lease.owner.replace(other);
                self.tally.count("a hand-off begun");
            }
        }
    }

    fn turn(&mut self, place: usize) {
        if self.faults && self.random.below(3000) == 0 {
            // Killed; another starts in its place, under another name.
            self.tally.count("a worker killed");
            self.workers[place] = self.newcomer();
            return;
        }
        if let Some(flight) = &self.workers[place].flight {
            if flight.arrives > self.now {
                return;
            }
            self.arrive(place);
        }
        let (now, clock) = (self.now, self.workers[place].clock(self.now));
        let sim = &mut self.workers[place];
        if now >= sim.next_renewal {
            sim.next_renewal = now + self.settings.renewer_interval();
            // Those that were not done yet would be done twice.
            sim.todo.retain(|plan| !matches!(plan, Plan::Renew(_)));
            sim.worker.drop_expired(clock);
            let held: Vec<_> = sim.worker.held().keys().copied().collect();
            held.into_iter().rev().for_each(|shard| sim.todo.push_front(Plan::Renew(shard)));
            // What another waits for is given up when what is under way is done.
            let leaving = sim.worker.held().iter().filter(|(_, held)| held.is_leaving());
            sim.todo.extend(leaving.map(|(shard, _)| Plan::GiveUp(*shard)));
        }
        if now >= sim.next_look {
            let is_led = self.rules == Rules::Led;
            let interval = match is_led {
                true => self.settings.discovery_interval(),
                false => self.settings.taker_interval(),
            };
            // It also looks when a shard has ended.
            let pause = self.random.millis(100..2 * interval.as_millis() as u64);
            sim.next_look = now + pause.min(interval);
            sim.worker.scanned(clock, self.table.values().cloned());
            if !sim.leaving {
                let adoptions = sim.worker.adoptions(self.table.values());
                self.tally.count_all("an adoption", adoptions.len() as u64);
                let random = &mut self.random;
                let takes = match is_led {
                    true => Vec::new(),
                    false => sim.worker.takes(clock, &mut |n| random.below(n as u64) as usize),
                };
                let writes = adoptions.into_iter().chain(takes);
                sim.todo.extend(writes.map(|(shard, write)| Plan::Write(shard, write.into())));
            }
        }
        if self.faults && self.random.below(4000) == 0 {
            sim.leaving = true;
            self.tally.count("a worker that leaves");
            let held: Vec<_> = sim.worker.held().keys().copied().collect();
            sim.todo.extend(held.into_iter().map(Plan::GiveUp));
        }
        if sim.leaving && sim.todo.is_empty() && sim.worker.held().is_empty() {
            self.workers[place] = self.newcomer();
            return;
        }
        if self.random.percent(30) {
            let held: Vec<_> = sim.worker.held().keys().copied().collect();
            if !held.is_empty() {
                let one = held[self.random.below(held.len() as u64) as usize];
                sim.todo.push_back(Plan::Checkpoint(one));
            }
        }
        if let Some(plan) = sim.todo.pop_front() {
            self.send(place, plan);
        }
    }

    fn send(&mut self, place: usize, plan: Plan) {
        if let Plan::Checkpoint(shard) = plan
            && !self.workers[place].acts_for(shard, self.now)
        {
            // Without proof nothing is delivered.
            return;
        }
        let sim = &self.workers[place];
        let (shard, write) = match &plan {
            Plan::Renew(shard) => (*shard, sim.worker.renewal(*shard)),
            Plan::GiveUp(shard) => (*shard, sim.worker.giving_up(*shard)),
            Plan::Write(shard, write) => (*shard, Some(Write::clone(write))),
            Plan::Checkpoint(shard) => {
                self.check_alone(place, *shard);
                let lease = &sim.worker.held()[shard].lease;
                let next = position(&lease.place) + 1 + self.random.below(5);
                let (place, pending) = (Place::read(&next.to_string(), 0).unwrap(), None);
                let (counter, children) = (lease.counter, [].into());
                (*shard, Some(Write::Checkpoint { counter, place, pending, children }))
            }
        };
        let Some(write) = write else { return };
        let sent = self.workers[place].clock(self.now);
        let pause = match self.faults && self.random.percent(2) {
            // The process stands still, or the network does.
            true => {
                self.tally.count("a write that took long");
                self.random.millis(100..40_000)
            }
            false => self.random.millis(1..60),
        };
        let fate = match self.random.below(100) {
            0..=3 if self.faults => Fate::Unanswered,
            4..=7 if self.faults => Fate::Lost,
            8..=9 if self.faults => Fate::Twice,
            _ => Fate::Answered,
        };
        let what = match fate {
            Fate::Answered => "a write answered",
            Fate::Unanswered => "a write without an answer",
            Fate::Lost => "a write lost",
            Fate::Twice => "a write that arrived twice",
        };
        self.tally.count(what);
        let arrives = self.now + pause;
        let flight = InFlight { plan, shard, write, sent, arrives, fate };
        self.workers[place].flight = Some(flight);
    }

    /// Nobody else acts for the shard, unless one of them has it stolen from the other: then until the
    /// next renewal of that one, and no longer than the failover time.
    fn check_alone(&self, place: usize, shard: ShardId) {
        for (other, sim) in self.workers.iter().enumerate() {
            if other == place || !sim.acts_for(shard, self.now) {
                continue;
            }
            let taken = |sim: &Sim| self.taken.get(&(shard, sim.worker.me().clone()));
            let taken = taken(sim).or_else(|| taken(&self.workers[place]));
            let since = taken.map(|taken| self.now - *taken);
            let may = self.rules == Rules::Stealing
                && since.is_some_and(|since| since < self.settings.failover_time);
            assert!(
                may,
                "seed {}: two act for {shard} at {:?}, taken {since:?} ago",
                self.seed, self.now
            );
        }
    }

    fn arrive(&mut self, place: usize) {
        let flight = self.workers[place].flight.take().expect("seen by turn");
        let InFlight { plan, shard, write, sent, fate, .. } = flight;
        let answer = match fate {
            Fate::Lost => Answer::Unknown,
            Fate::Answered => self.apply(shard, &write),
            Fate::Unanswered => {
                self.apply(shard, &write);
                Answer::Unknown
            }
            Fate::Twice => {
                self.apply(shard, &write);
                self.apply(shard, &write)
            }
        };
        let sim = &mut self.workers[place];
        if sim.worker.settle(sent, shard, &write, answer) == Outcome::Again {
            sim.todo.push_front(plan);
        }
    }

    fn apply(&mut self, shard: ShardId, write: &Write) -> Answer {
        let mut row = self.table.get(&shard).cloned();
        let before = row.clone().expect("leases are not deleted here");
        if write.apply(&mut row).is_err() {
            self.tally.count("a write refused");
            return Answer::Refused(row.map(Box::new));
        }
        let after = row.expect("leases are not deleted here");
        self.tally.count(match write {
            Write::Renew { .. } => "a renewal",
            Write::Checkpoint { .. } => "a checkpoint",
            Write::Take { .. } => "a take",
            Write::Evict { .. } => "a lease freed",
            Write::Assign { .. } => "a hand-off ended",
            other => unreachable!("{other:?} is not made here"),
        });
        if matches!(write, Write::Checkpoint { .. }) {
            let (from, to) = (position(&before.place), position(&after.place));
            // At most five on from what it was: by one who knew that.
            let follows = from < to && to <= from + 5;
            assert!(follows, "seed {}: {shard} from {from} to {to}", self.seed);
        }
        if let Write::Take { owner, .. } = write {
            self.taken.remove(&(shard, owner.clone()));
            let from = before.owner.filter(|from| from != owner);
            self.taken.extend(from.map(|from| ((shard, from), self.now)));
        }
        assert!(after.counter > before.counter, "each write counts");
        self.table.insert(shard, after);
        Answer::Done
    }

    /// Without faults everything comes to rest.
    fn check_rest(&mut self) {
        self.faults = false;
        self.workers.iter_mut().for_each(|sim| sim.leaving = false);
        self.run(self.now + Duration::from_secs(420), 100..400);
        for (shard, lease) in &self.table {
            let holds = |sim: &&Sim| sim.acts_for(*shard, self.now);
            let holders: Vec<_> = self.workers.iter().filter(holds).collect();
            assert_eq!(holders.len(), 1, "seed {}: {shard}", self.seed);
            assert_eq!(lease.owner.as_ref(), Some(holders[0].worker.me()), "seed {}", self.seed);
        }
        if self.rules == Rules::Stealing {
            let loads = self.workers.iter().map(|sim| sim.worker.held().len());
            let (least, most) = (loads.clone().min().unwrap(), loads.max().unwrap());
            assert!(most <= least + 1, "seed {}: {least} to {most}", self.seed);
        }
    }
}

/// Seeds of an ordinary run of the tests.
const SEEDS: u64 = 8_000;

/// What every run has to contain, whatever the rules.
const OFTEN: [&str; 12] = [
    "a checkpoint",
    "a lease freed",
    "a renewal",
    "a worker killed",
    "a worker that leaves",
    "a write answered",
    "a write lost",
    "a write refused",
    "a write that arrived twice",
    "a write that took long",
    "a write without an answer",
    "an adoption",
];

/// Tells the story of a seed.
fn run(seed: u64, rules: Rules) -> Tally {
    let mut world = World::new(seed, rules);
    world.run(Duration::from_secs(240), 1..300);
    world.check_rest();
    world.tally
}

fn tell_all(rules: Rules, and: &[&'static str]) {
    tell(SEEDS, &[&OFTEN[..], and].concat(), &[], |seed| run(seed, rules));
}

#[test]
fn workers_that_steal_never_lose_a_place_and_come_to_rest_balanced() {
    tell_all(Rules::Stealing, &["a take"]);
}

#[test]
fn workers_that_do_not_steal_never_act_for_a_shard_at_once() {
    tell_all(Rules::WithoutStealing, &["a take"]);
}

#[test]
fn workers_that_are_led_hand_off_without_acting_for_a_shard_at_once() {
    tell_all(Rules::Led, &["a hand-off begun", "a hand-off ended"]);
}
