//! The stream: records and what became of them, shards that are split, merged, trimmed and damaged.

use baikonur_mapping::Start;
use baikonur_stream::{
    HashKey, HashKeyRange, PartitionKey, Record, SequenceNumber, ShardAddress, ShardId, StreamName,
    Timestamp,
};
use bytes::Bytes;

use crate::world::{EPOCH, State};

pub(crate) const KEYS: u64 = 7;

pub(crate) fn number(shard: u32, counter: u64) -> SequenceNumber {
    SequenceNumber::new(EPOCH.seconds(), shard, counter, EPOCH.seconds())
}

pub(crate) fn address(shard: u32) -> ShardAddress {
    ShardAddress { stream: StreamName::new("s").unwrap(), shard: ShardId::new(shard) }
}

/// A record and what became of it.
#[derive(Debug)]
pub struct Put {
    pub record: Record,
    pub(crate) key: u64,
    /// Its place among the records of its key.
    pub(crate) nth: usize,
    pub(crate) poison: bool,
    pub(crate) bad: bool,
    pub(crate) damaged: bool,
    /// The tenancies in which it was delivered, and whether the mapping was told.
    pub(crate) delivered: Vec<(u32, bool)>,
    pub(crate) kept: bool,
    /// Nobody wants it any more, or ever did.
    pub(crate) expired: bool,
    /// The object that it is in.
    pub(crate) object: Option<String>,
}

impl Put {
    pub fn is_settled(&self) -> bool {
        !self.delivered.is_empty() || self.kept || self.expired
    }
}

/// A shard of the stream.
#[derive(Debug)]
pub struct SimShard {
    pub parents: Vec<u32>,
    pub range: HashKeyRange,
    pub puts: Vec<Put>,
    /// When it was closed.
    pub closed: Option<Timestamp>,
    /// The counter of the oldest record that is retained.
    pub(crate) horizon: u64,
}

impl SimShard {
    pub(crate) fn new(parents: Vec<u32>, range: HashKeyRange) -> Self {
        Self { parents, range, puts: Vec::new(), closed: None, horizon: 1 }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }
}

impl State {
    pub(crate) fn put(&mut self, arrival: Timestamp) {
        let key = self.random.below(KEYS).min(self.random.below(KEYS));
        let (plan, random) = (&self.plan, &mut self.random);
        let poison = plan.poison > 0 && random.once_in(plan.poison);
        let bad = !poison && plan.bad > 0 && random.once_in(plan.bad);
        self.put_as(key, arrival, poison, bad);
    }

    /// A producer puts a record of this key.
    pub fn put_as(&mut self, key: u64, arrival: Timestamp, poison: bool, bad: bool) {
        let partition_key = PartitionKey::new(Bytes::from(format!("k{key}"))).unwrap();
        let hash = partition_key.hash_key();
        let open = |shard: &SimShard| !shard.is_closed() && shard.range.contains(hash);
        let Some(shard) = self.shards.iter().position(open) else { return };
        let (nth, puts) = (self.keys[key as usize].len(), &mut self.shards[shard].puts);
        self.keys[key as usize].push((shard, puts.len()));
        let sequence_number = number(shard as u32, puts.len() as u64 + 1);
        let data = Bytes::from(format!("{nth}"));
        // A start at a moment wants nothing from before it.
        let start = self.plan.settings.starting_position;
        let expired = matches!(start, Start::AtTimestamp(moment) if arrival < moment);
        self.tally.count_all("a record from before a start at a moment", expired.into());
        puts.push(Put {
            record: Record { sequence_number, arrival, partition_key, data },
            key,
            nth,
            poison,
            bad,
            damaged: false,
            delivered: Vec::new(),
            kept: false,
            expired,
            object: None,
        });
    }

    /// A shard is split, or two are merged.
    pub fn reshard(&mut self, now: Timestamp) {
        let open: Vec<usize> =
            (0..self.shards.len()).filter(|n| !self.shards[*n].is_closed()).collect();
        let one = open[self.random.below(open.len() as u64) as usize];
        let HashKeyRange { start, end } = self.shards[one].range;
        let neighbour = open.iter().copied().find(|other| {
            let other = self.shards[*other].range;
            end.value().checked_add(1) == Some(other.start.value())
        });
        match neighbour {
            Some(other) if self.random.once_in(2) => {
                self.tally.count("a merge");
                let end = self.shards[other].range.end;
                self.child(now, vec![one, other], HashKeyRange { start, end });
            }
            _ => {
                self.tally.count("a split");
                let middle = start.value() + (end.value() - start.value()) / 2;
                let (left, right) = (middle, middle + 1);
                self.child(now, vec![one], HashKeyRange { start, end: HashKey::new(left) });
                self.child(now, vec![one], HashKeyRange { start: HashKey::new(right), end });
            }
        }
    }

    fn child(&mut self, now: Timestamp, parents: Vec<usize>, range: HashKeyRange) {
        parents.iter().for_each(|parent| self.shards[*parent].closed = Some(now));
        let parents = parents.into_iter().map(|parent| parent as u32).collect();
        self.shards.push(SimShard::new(parents, range));
    }

    /// Nothing is written any more, and every shard is closed.
    pub fn close_all(&mut self, now: Timestamp) {
        self.shards.iter_mut().for_each(|shard| _ = shard.closed.get_or_insert(now));
        self.writer_done = true;
    }

    /// Retention takes the oldest records of a shard.
    pub(crate) fn trim(&mut self) {
        let shard = self.random.below(self.shards.len() as u64) as usize;
        let count = self.random.below(4);
        let shard = &mut self.shards[shard];
        let before = shard.horizon;
        shard.horizon = (shard.horizon + count).min(shard.puts.len() as u64 + 1);
        self.tally.count_all("a trimmed record", shard.horizon - before);
        for put in &mut shard.puts[..shard.horizon as usize - 1] {
            if !put.is_settled() {
                put.expired = true;
                self.tally.count("a record trimmed before it was delivered");
            }
        }
    }

    /// A few records in the middle of a shard cannot be read any more.
    pub(crate) fn damage(&mut self) {
        let shard = self.random.below(self.shards.len() as u64) as usize;
        let (from, count) = (self.random.below(8) as usize, 1 + self.random.below(3) as usize);
        for put in self.shards[shard].puts.iter_mut().skip(from).take(count) {
            put.damaged = true;
            self.tally.count("a damaged record");
        }
    }
}
