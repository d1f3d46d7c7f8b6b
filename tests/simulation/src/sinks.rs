//! Where a mapping stores and delivers: progress, failed store, and a module in two kinds.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baikonur_stream::{
    Batch, Begun, Cause, Close, ConsumerName, Deliver, Delivery, FailedBatch, FailedStore,
    KeepError, Lane, Module, OpenError, Outcome, Progress, ProgressError, Record, RejectedRecord,
    SequenceNumber, ShardAddress, ShardProgress, StreamName,
};

use crate::process::{Fate, Process};
use crate::stream::number;
use crate::world::{State, World};

fn no_answer() -> ProgressError {
    ProgressError::Unavailable("no answer: perhaps it was done".to_owned())
}

#[async_trait]
impl Progress for Process {
    async fn load(
        &self,
        _consumer: &ConsumerName,
        shard: &ShardAddress,
    ) -> Result<ShardProgress, ProgressError> {
        let shard = shard.shard.index();
        let loaded = self.attempt(move |state| {
            let progress = state.progress.get(&shard).cloned().unwrap_or_default();
            state.tally.count_all("an announced range loaded", progress.intent.is_some().into());
            progress
        });
        loaded.await.ok_or_else(no_answer)
    }

    async fn store(
        &self,
        _consumer: &ConsumerName,
        shard: &ShardAddress,
        progress: &ShardProgress,
    ) -> Result<(), ProgressError> {
        let (shard, progress) = (shard.shard.index(), progress.clone());
        let world = Arc::clone(&self.world);
        let stored = self.call(move |fate| {
            if fate == Fate::Fails {
                return None;
            }
            world.lock().store(shard, &progress);
            world.tell_if_finished();
            Some(())
        });
        stored.await.flatten().ok_or_else(no_answer)
    }

    async fn begun(&self, _: &ConsumerName, _: &StreamName) -> Result<Begun, ProgressError> {
        let begun = self.attempt(|state| state.begun).await.ok_or_else(no_answer)?;
        Ok(if begun { Begun::ThisStream } else { Begun::Never })
    }

    async fn begin(&self, _: &ConsumerName, _: &StreamName) -> Result<(), ProgressError> {
        self.attempt(|state| state.begun = true).await.ok_or_else(no_answer)
    }
}

#[async_trait]
impl FailedStore for Process {
    async fn keep(&self, batch: &FailedBatch) -> Result<(), KeepError> {
        let shard = batch.shard.shard.index();
        self.begins(shard);
        let mut reasons: Vec<String> = batch.records.iter().map(|r| r.reason.clone()).collect();
        reasons.dedup();
        let of = |reason: String| {
            let of_it = batch.records.iter().filter(|record| record.reason == reason);
            (reason.clone(), of_it.map(|record| record.sequence_number.counter()).collect())
        };
        let batches: Vec<(String, Vec<u64>)> = reasons.into_iter().map(of).collect();
        let kept = self.attempt(move |state| {
            batches.into_iter().for_each(|(reason, counters)| state.keep(shard, &reason, counters));
        });
        let kept = kept.await;
        self.world.tell_if_finished();
        kept.ok_or_else(|| KeepError("no answer: perhaps it was kept".to_owned()))
    }
}

#[async_trait]
impl Module for Process {
    async fn open(&self, shard: &ShardAddress) -> Result<Box<dyn Deliver>, OpenError> {
        self.open_part(shard, Lane::WHOLE).await
    }

    async fn open_lane(
        &self,
        shard: &ShardAddress,
        lane: Lane,
    ) -> Result<Box<dyn Deliver>, OpenError> {
        self.open_part(shard, lane).await
    }
}

impl Process {
    async fn open_part(
        &self,
        shard: &ShardAddress,
        lane: Lane,
    ) -> Result<Box<dyn Deliver>, OpenError> {
        let (lanes, told) = {
            let state = self.world.lock();
            (state.lives[&self.life].lanes, state.told())
        };
        assert_eq!(lanes, lane.count(), "opened with other lanes; {told}");
        self.attempt(|_| ()).await.ok_or_else(|| OpenError("not now".to_owned()))?;
        let shard = shard.shard.index();
        self.opened(shard, lane);
        Ok(Box::new(Part { process: self.clone(), shard, lane, held: Vec::new() }))
    }
}

/// The delivery of a shard, or of a lane of it.
struct Part {
    process: Process,
    shard: u32,
    lane: Lane,
    held: Vec<u64>,
}

fn failed(from: SequenceNumber, cause: Cause) -> Delivery {
    let outcome = Outcome::Failed { from, cause, reason: "no".to_owned() };
    Delivery { outcome, rejected: Vec::new() }
}

#[async_trait]
impl Deliver for Part {
    async fn deliver(&mut self, batch: &Batch) -> Delivery {
        let tenancy = self.process.begins(self.shard);
        let _busy = self.hand_over(batch);
        let (world, shard, lane) = (Arc::clone(&self.process.world), self.shard, self.lane);
        let (records, holds_already) = (batch.records.clone(), self.held.len());
        let answer = self.process.call(move |fate| {
            let now = world.elapsed();
            let state = &mut *world.lock();
            state.check_batch(shard, lane, &records);
            state.take(now, shard, tenancy, &records, holds_already, fate)
        });
        match answer.await {
            Some((delivery, held)) => {
                self.held.extend(held);
                delivery
            }
            // The destination has it, and nobody knows.
            None => failed(batch.first(), Cause::Destination),
        }
    }

    fn keys(&self) -> Vec<String> {
        self.held.first().map(|first| format!("{}/{first}", self.shard)).into_iter().collect()
    }

    async fn close(&mut self) -> Delivery {
        let Some(key) = self.keys().pop() else { return Delivery::delivered() };
        let tenancy = self.process.begins(self.shard);
        let (shard, held) = (self.shard, self.held.clone());
        let world = Arc::clone(&self.process.world);
        let written = self.process.call(move |fate| {
            if fate != Fate::Fails {
                world.lock().write(shard, tenancy, &key, &held, fate == Fate::Well);
            }
            fate != Fate::Fails
        });
        if written.await == Some(true) {
            self.held.clear();
            return Delivery::delivered();
        }
        failed(number(self.shard, self.held[0]), Cause::Destination)
    }

    fn discard(&mut self) {
        self.process.world.lock().tally.count("held records discarded");
        self.held.clear();
    }
}

/// A batch is with the module, alone in its lane.
struct Busy(Arc<World>, (u32, u32, Lane));

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.lock().busy.remove(&self.1);
    }
}

impl Part {
    fn hand_over(&self, batch: &Batch) -> Busy {
        let (life, key) = (self.process.life, (self.process.life, self.shard, self.lane));
        let state = &mut *self.process.world.lock();
        let told = state.told();
        assert!(state.busy.insert(key), "two batches in lane {}; {told}", self.lane);
        let side_by_side = state.busy.iter().filter(|(other, ..)| *other == life).count();
        state.side_by_side = state.side_by_side.max(side_by_side);
        state.tally.count_all("two batches side by side", (side_by_side > 1).into());
        state.tally.count_all("a batch handed over again", (batch.attempt > 0).into());
        Busy(Arc::clone(&self.process.world), key)
    }
}

impl State {
    fn check_batch(&self, shard: u32, lane: Lane, records: &[Record]) {
        let told = self.told();
        let most = self.plan.settings.batch_size;
        assert!((1..=most).contains(&records.len()), "{}; {told}", records.len());
        for record in records {
            let number = record.sequence_number;
            let of = Lane::of(&record.partition_key, number, lane.count());
            assert_eq!(of, lane, "{record:?}; {told}");
            assert_eq!(self.put_of(shard, number.counter()).record, *record, "{told}");
        }
        assert!(records.is_sorted_by_key(|record| record.sequence_number), "{told}");
    }

    /// What becomes of a batch at the destination, and which records are held instead.
    fn take(
        &mut self,
        now: Duration,
        shard: u32,
        tenancy: u32,
        records: &[Record],
        holds_already: usize,
        fate: Fate,
    ) -> (Delivery, Vec<u64>) {
        let first = records[0].sequence_number;
        let holds = self.plan.hold > 0;
        if fate == Fate::Fails && self.random.once_in(2) {
            self.down_until = now + self.random.millis(0..self.plan.down.as_millis() as u64);
        }
        let down = now < self.down_until;
        self.tally.count_all("a batch that met a destination that is down", down.into());
        // A module that holds keeps what it took, told or not: it fails before it takes.
        if down || fate == Fate::Fails || holds && fate == Fate::Ambiguous {
            let refused = !down && !holds && self.random.once_in(2);
            self.tally.count_all("a batch refused", refused.into());
            let cause = if refused { Cause::Batch } else { Cause::Destination };
            return (failed(first, cause), Vec::new());
        }
        let put = |record: &Record| self.put_of(shard, record.sequence_number.counter());
        let poison = records.iter().position(|record| put(record).poison);
        let (bad, good): (Vec<&Record>, Vec<&Record>) =
            records.iter().partition(|record| put(record).bad);
        let end = poison.map(|at| if self.plan.names_poison { at } else { 0 });
        let end = end.map(|at| records[at].sequence_number);
        let mut outcome = match end {
            None => Outcome::Delivered,
            Some(from) => failed(from, Cause::Batch).outcome,
        };
        let named = end.is_some_and(|end| end > first);
        let taken = |record: &&&Record| end.is_none_or(|end| record.sequence_number < end);
        let counters: Vec<u64> =
            good.iter().filter(taken).map(|record| record.sequence_number.counter()).collect();
        let rejected = bad.iter().filter(taken).map(|record| rejected(record)).collect();
        self.tally.count_all("a partial failure", named.into());
        let mut held = Vec::new();
        if holds {
            let all = holds_already + counters.len();
            held = counters;
            if all > 0 {
                let full = all >= self.plan.hold;
                self.tally.count(if full { "a full object" } else { "an object that waits" });
                let close = if full { Close::Now } else { Close::Within(Duration::from_secs(5)) };
                outcome = Outcome::Held(close);
            }
        } else {
            for counter in counters {
                self.deliver(shard, tenancy, counter, fate == Fate::Well);
            }
        }
        (Delivery { outcome, rejected }, held)
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
