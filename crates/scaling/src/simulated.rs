//! A service in memory, and a clock, for tests: the limits of UpdateShardCount, streams that take
//! their time to become ACTIVE, usage as a test sets it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use baikonur_stream::{
    Administer, AdministerError, BillingCommitment, Clock, CreateStream, HashKey, HashKeyRange,
    Reshard, SequenceNumber, Shard, ShardId, ShardUsage, StreamChange, StreamDescription,
    StreamMode, StreamName, StreamOwner, StreamProperties, StreamStatus, Timestamp,
};

use crate::plan::steps;
use crate::{KeySpace, OpenShard};

/// Time as tokio's paused clock has it, from a full minute on.
pub(crate) struct PausedClock(tokio::time::Instant);

impl PausedClock {
    pub(crate) const START: Timestamp = Timestamp::from_seconds(60 * 1_000_000);

    pub(crate) fn new() -> Self {
        Self(tokio::time::Instant::now())
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(Self::START.millis() + self.0.elapsed().as_millis() as u64)
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// What the service is like, and what it holds.
pub(crate) struct State {
    pub(crate) shards: Vec<Shard>,
    pub(crate) mode: StreamMode,
    /// Each has a stream of the one name; it is the same one.
    pub(crate) owners: Vec<StreamOwner>,
    pub(crate) created: Timestamp,
    /// Looks at a stream after a change until it is ACTIVE.
    pub(crate) looks_until_active: u32,
    pub(crate) looks_left: u32,
    /// Calls of UpdateShardCount that are still allowed.
    pub(crate) updates_left: u32,
    /// Calls that fail because the store is busy.
    pub(crate) busy: u32,
    /// Records and bytes a second put into, and read from, a shard.
    pub(crate) usage: BTreeMap<ShardId, ShardUsage>,
    /// Changes made, in order.
    pub(crate) changes: Vec<StreamChange>,
}

/// A service with one stream.
pub(crate) struct Service {
    pub(crate) state: Mutex<State>,
}

pub(crate) fn name() -> StreamName {
    StreamName::new("router").unwrap()
}

impl Service {
    pub(crate) fn new(count: u32) -> Self {
        let shards =
            HashKeyRange::evenly(count).into_iter().zip(0..).map(|(range, id)| shard(id, range));
        Self {
            state: Mutex::new(State {
                shards: shards.collect(),
                mode: StreamMode::Provisioned,
                owners: vec![StreamOwner::OWN],
                created: Timestamp::from_millis(0),
                looks_until_active: 0,
                looks_left: 0,
                updates_left: 10,
                busy: 0,
                usage: BTreeMap::new(),
                changes: Vec::new(),
            }),
        }
    }

    pub(crate) fn open(&self) -> u32 {
        self.state.lock().unwrap().key_space().count()
    }

    pub(crate) fn key_space(&self) -> KeySpace {
        self.state.lock().unwrap().key_space()
    }
}

fn shard(id: u32, hash_key_range: HashKeyRange) -> Shard {
    Shard {
        id: ShardId::new(id),
        parent: None,
        adjacent_parent: None,
        hash_key_range,
        starting_sequence_number: SequenceNumber::new(0, id, 0, 0),
        ending_sequence_number: None,
    }
}

impl State {
    fn key_space(&self) -> KeySpace {
        let open = self.shards.iter().filter(|shard| shard.ending_sequence_number.is_none());
        let open = open.map(|shard| OpenShard { id: shard.id, range: shard.hash_key_range });
        KeySpace::new(open.collect()).unwrap()
    }

    fn close(&mut self, id: ShardId) -> HashKeyRange {
        let shard = self.shards.iter_mut().find(|shard| shard.id == id).unwrap();
        assert!(shard.ending_sequence_number.is_none(), "{id} is closed");
        shard.ending_sequence_number = Some(SequenceNumber::new(0, id.index(), 1, 0));
        shard.hash_key_range
    }

    fn reshard(&mut self, step: Reshard) {
        let next = self.shards.len() as u32;
        match step {
            Reshard::Split { shard: parent, at } => {
                let HashKeyRange { start, end } = self.close(parent);
                assert!(at.value() > start.value() + 1 && at < end);
                let lower = HashKeyRange { start, end: HashKey::new(at.value() - 1) };
                self.shards.push(shard(next, lower));
                self.shards.push(shard(next + 1, HashKeyRange { start: at, end }));
            }
            Reshard::Merge { shard: lower, adjacent } => {
                let (lower, upper) = (self.close(lower), self.close(adjacent));
                assert_eq!(lower.end.value() + 1, upper.start.value());
                self.shards.push(shard(next, HashKeyRange { start: lower.start, end: upper.end }));
            }
        }
    }

    fn describe(&mut self) -> StreamDescription {
        let status = match self.looks_left {
            0 => StreamStatus::Active,
            _ => StreamStatus::Updating,
        };
        self.looks_left = self.looks_left.saturating_sub(1);
        StreamDescription {
            name: name(),
            status,
            created: self.created,
            hidden_before: Timestamp::default(),
            newest_arrival: Timestamp::default(),
            properties: Arc::new(StreamProperties { mode: self.mode, ..Default::default() }),
            shards: self.shards.clone().into(),
            consumers: Arc::default(),
        }
    }
}

#[async_trait]
impl Administer for Service {
    async fn create_stream(&self, _: CreateStream) -> Result<(), AdministerError> {
        Err(AdministerError::StreamExists(name()))
    }

    async fn delete_stream(&self, name: &StreamName, _: bool) -> Result<(), AdministerError> {
        Err(AdministerError::HasConsumers(name.clone()))
    }

    async fn list_streams(&self, owner: &StreamOwner) -> Result<Vec<StreamName>, AdministerError> {
        Ok(vec![owner.stream(name().as_str()).unwrap()])
    }

    async fn list_owners(&self) -> Result<Vec<StreamOwner>, AdministerError> {
        Ok(self.state.lock().unwrap().owners.clone())
    }

    async fn describe_stream(
        &self,
        stream: &StreamName,
    ) -> Result<StreamDescription, AdministerError> {
        if stream.as_str() != name().as_str() {
            return Err(AdministerError::StreamNotFound(stream.clone()));
        }
        Ok(self.state.lock().unwrap().describe())
    }

    async fn change_stream(
        &self,
        stream: &StreamName,
        change: StreamChange,
    ) -> Result<StreamDescription, AdministerError> {
        let mut state = self.state.lock().unwrap();
        if state.busy > 0 {
            state.busy -= 1;
            return Err(AdministerError::Unavailable("busy".to_owned()));
        }
        let on_demand = state.mode == StreamMode::OnDemand;
        match &change {
            StreamChange::FollowLoad(steps) if on_demand => {
                steps.iter().for_each(|step| state.reshard(*step));
            }
            StreamChange::UpdateShardCount { .. } | StreamChange::Reshard(_) if on_demand => {
                return Err(AdministerError::OnDemand(stream.clone()));
            }
            StreamChange::Reshard(step) => state.reshard(*step),
            StreamChange::UpdateShardCount { target } => {
                let (target, open) = (*target, state.key_space().count());
                if target > 2 * open {
                    return Err(AdministerError::AboveDouble { open, target });
                }
                if 2 * target < open {
                    return Err(AdministerError::BelowHalf { open, target });
                }
                if state.updates_left == 0 {
                    let message = "LimitExceededException: 10 times in 24 hours".to_owned();
                    return Err(AdministerError::Refused(message));
                }
                state.updates_left -= 1;
                for step in steps(&state.key_space(), &HashKeyRange::evenly(target)) {
                    state.reshard(step);
                }
            }
            other => panic!("not needed here: {other:?}"),
        }
        state.changes.push(change);
        state.looks_left = state.looks_until_active;
        Ok(state.describe())
    }

    async fn usage(&self, _: &StreamName) -> Result<Vec<ShardUsage>, AdministerError> {
        let state = self.state.lock().unwrap();
        let none =
            |shard| ShardUsage { shard, records_in: 0, bytes_in: 0, records_out: 0, bytes_out: 0 };
        let key_space = state.key_space();
        let usage =
            |shard: &OpenShard| state.usage.get(&shard.id).copied().unwrap_or(none(shard.id));
        Ok(key_space.shards().iter().map(usage).collect())
    }

    async fn commitment(&self, _: &StreamOwner) -> Result<BillingCommitment, AdministerError> {
        Ok(BillingCommitment::default())
    }

    async fn commit_to(
        &self,
        _: &StreamOwner,
        _: BillingCommitment,
    ) -> Result<(), AdministerError> {
        Ok(())
    }
}
