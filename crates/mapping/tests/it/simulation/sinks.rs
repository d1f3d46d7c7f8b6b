//! Where the mapping stores and delivers: progress, failed store, and a module in two kinds.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baikonur_stream::{
    Batch, Begun, Cause, Clock, Close, ConsumerName, Deliver, Delivery, FailedBatch, FailedStore,
    KeepError, Lane, Module, OpenError, Outcome, Progress, ProgressError, Record, RejectedRecord,
    SequenceNumber, ShardAddress, ShardProgress, StreamName,
};

use super::world::{Fate, World};

#[async_trait]
impl Progress for World {
    async fn load(
        &self,
        _consumer: &ConsumerName,
        shard: &ShardAddress,
    ) -> Result<ShardProgress, ProgressError> {
        let fate = World::begin(self).await;
        let loaded = self.lock().progress.get(&shard.shard.index()).cloned().unwrap_or_default();
        if fate == Fate::Fails || !self.end(fate).await {
            return Err(ProgressError::Unavailable("no answer".to_owned()));
        }
        Ok(loaded)
    }

    async fn store(
        &self,
        _consumer: &ConsumerName,
        shard: &ShardAddress,
        progress: &ShardProgress,
    ) -> Result<(), ProgressError> {
        let fate = World::begin(self).await;
        if fate == Fate::Fails {
            return Err(ProgressError::Unavailable("no answer".to_owned()));
        }
        let finished = {
            let state = &mut *self.lock();
            state.store(shard.shard.index(), progress);
            state.is_finished()
        };
        if finished {
            self.finished.notify_one();
        }
        if self.end(fate).await {
            Ok(())
        } else {
            Err(ProgressError::Unavailable("no answer, but stored".to_owned()))
        }
    }

    async fn begun(&self, _: &ConsumerName, _: &StreamName) -> Result<Begun, ProgressError> {
        let fate = World::begin(self).await;
        let begun = self.lock().begun;
        if fate == Fate::Fails || !self.end(fate).await {
            return Err(ProgressError::Unavailable("no answer".to_owned()));
        }
        Ok(if begun { Begun::ThisStream } else { Begun::Never })
    }

    async fn begin(&self, _: &ConsumerName, _: &StreamName) -> Result<(), ProgressError> {
        let fate = World::begin(self).await;
        if fate == Fate::Fails {
            return Err(ProgressError::Unavailable("no answer".to_owned()));
        }
        self.lock().begun = true;
        if self.end(fate).await {
            Ok(())
        } else {
            Err(ProgressError::Unavailable("no answer, but stored".to_owned()))
        }
    }
}

#[async_trait]
impl FailedStore for World {
    async fn keep(&self, batch: &FailedBatch) -> Result<(), KeepError> {
        let fate = World::begin(self).await;
        if fate == Fate::Fails {
            return Err(KeepError("no answer".to_owned()));
        }
        {
            let state = &mut *self.lock();
            let mut reasons: Vec<&str> = batch.records.iter().map(|r| &*r.reason).collect();
            reasons.dedup();
            for reason in reasons {
                let of_it = batch.records.iter().filter(|record| record.reason == reason);
                let counters = of_it.map(|record| record.sequence_number.counter()).collect();
                state.keep(batch.shard.shard.index(), reason, counters);
            }
        }
        if self.end(fate).await { Ok(()) } else { Err(KeepError("no answer, but kept".to_owned())) }
    }
}

/// The module of the simulation.
pub(super) struct SimModule(pub(super) Arc<World>);

#[async_trait]
impl Module for SimModule {
    async fn open(&self, shard: &ShardAddress) -> Result<Box<dyn Deliver>, OpenError> {
        let told = self.0.lock().told();
        assert_eq!(self.0.lock().lanes, 1, "opened as a whole; {told}");
        self.open_part(shard, Lane::WHOLE).await
    }

    async fn open_lane(
        &self,
        shard: &ShardAddress,
        lane: Lane,
    ) -> Result<Box<dyn Deliver>, OpenError> {
        let told = self.0.lock().told();
        assert_eq!(self.0.lock().lanes, lane.count(), "opened as a lane; {told}");
        self.open_part(shard, lane).await
    }
}

impl SimModule {
    async fn open_part(
        &self,
        shard: &ShardAddress,
        lane: Lane,
    ) -> Result<Box<dyn Deliver>, OpenError> {
        let fate = self.0.begin().await;
        if fate == Fate::Fails || !self.0.end(fate).await {
            return Err(OpenError("not now".to_owned()));
        }
        let shard = shard.shard.index();
        Ok(Box::new(Part { world: self.0.clone(), shard, lane, held: Vec::new() }))
    }
}

/// The delivery of a shard, or of a lane of it.
struct Part {
    world: Arc<World>,
    shard: u32,
    lane: Lane,
    held: Vec<u64>,
}

fn failed(from: SequenceNumber, cause: Cause) -> Outcome {
    Outcome::Failed { from, cause, reason: "no".to_owned() }
}

#[async_trait]
impl Deliver for Part {
    async fn deliver(&mut self, batch: &Batch) -> Delivery {
        self.world.lock().hand_over(self.shard, self.lane);
        let fate = self.world.begin().await;
        let delivery = self.take(batch, fate);
        self.world.lock().busy.remove(&(self.shard, self.lane));
        if self.world.end(fate).await {
            return delivery;
        }
        // The answer was lost: the destination has it, and nobody knows.
        Delivery { outcome: failed(batch.first(), Cause::Destination), rejected: Vec::new() }
    }

    fn keys(&self) -> Vec<String> {
        self.held.first().map(|first| format!("{}/{first}", self.shard)).into_iter().collect()
    }

    async fn close(&mut self) -> Delivery {
        let fate = self.world.begin().await;
        let Some(key) = self.keys().pop() else { return Delivery::delivered() };
        if fate != Fate::Fails {
            let for_sure = fate == Fate::Well;
            self.world.lock().write(self.shard, &key, &self.held, for_sure);
            if self.world.end(fate).await {
                self.held.clear();
                return Delivery::delivered();
            }
        }
        let outcome = failed(super::world::number(self.shard, self.held[0]), Cause::Destination);
        Delivery { outcome, rejected: Vec::new() }
    }

    fn discard(&mut self) {
        self.held.clear();
    }
}

impl Part {
    fn take(&mut self, batch: &Batch, fate: Fate) -> Delivery {
        let now = self.world.monotonic();
        let state = &mut *self.world.lock();
        let told = state.told();
        let most = state.plan.settings.batch_size;
        assert!((1..=most).contains(&batch.records.len()), "{}; {told}", batch.records.len());
        for record in &batch.records {
            let number = record.sequence_number;
            let lane = Lane::of(&record.partition_key, number, self.lane.count());
            assert_eq!(lane, self.lane, "{record:?}; {told}");
            let put = &state.shards[self.shard as usize].puts[number.counter() as usize - 1];
            assert_eq!(put.record, *record, "{told}");
        }
        assert!(batch.records.is_sorted_by_key(|record| record.sequence_number), "{told}");
        let holds = state.plan.hold > 0;
        if fate == Fate::Fails && state.random.once_in(2) {
            state.down_until = now + Duration::from_secs(state.random.below(100));
        }
        let down = now < state.down_until;
        // A module that holds keeps what it took, told or not: it fails before it takes.
        if down || fate == Fate::Fails || holds && fate == Fate::Ambiguous {
            let refused = !down && !holds && state.random.once_in(2);
            let cause = if refused { Cause::Batch } else { Cause::Destination };
            return Delivery { outcome: failed(batch.first(), cause), rejected: Vec::new() };
        }
        let put = |record: &Record| {
            let at = record.sequence_number.counter() as usize - 1;
            &state.shards[self.shard as usize].puts[at]
        };
        let poison = batch.records.iter().position(|record| put(record).poison);
        let (bad, good): (Vec<&Record>, Vec<&Record>) =
            batch.records.iter().partition(|record| put(record).bad);
        let (end, mut outcome) = match poison {
            None => (None, Outcome::Delivered),
            Some(at) if state.plan.names_poison => {
                let from = batch.records[at].sequence_number;
                (Some(from), failed(from, Cause::Batch))
            }
            Some(_) => (Some(batch.first()), failed(batch.first(), Cause::Batch)),
        };
        let taken = |record: &&&Record| end.is_none_or(|end| record.sequence_number < end);
        let counters: Vec<u64> =
            good.iter().filter(taken).map(|record| record.sequence_number.counter()).collect();
        let rejected = bad.iter().filter(taken).map(|record| rejected(record)).collect();
        if holds {
            self.held.extend(counters);
            if !self.held.is_empty() {
                let full = self.held.len() >= state.plan.hold;
                let close = if full { Close::Now } else { Close::Within(Duration::from_secs(5)) };
                outcome = Outcome::Held(close);
            }
        } else {
            let for_sure = fate == Fate::Well;
            for counter in counters {
                state.deliver(self.shard, counter, for_sure);
            }
        }
        Delivery { outcome, rejected }
    }
}

fn rejected(record: &Record) -> RejectedRecord {
    RejectedRecord {
        sequence_number: record.sequence_number,
        sub_sequence: 0,
        event_index: 0,
        arrival: record.arrival,
        partition_key: record.partition_key.bytes().clone(),
        reason: "not_json".to_owned(),
        detail: String::new(),
        data: record.data.clone(),
    }
}
