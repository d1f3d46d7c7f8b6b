//! The stream as the mapping reads it, and the producers, operators and bad luck that write it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baikonur_stream::{
    ChildShard, Clock, Cursor, Read, ReadError, ReadLimits, ReadPage, Shard, ShardAddress, ShardId,
    StartingPosition, StreamName,
};

use super::world::{Fate, Put, State, World, address, number};

/// Writes all records of the plan, splits and merges meanwhile, and ends the stream.
pub(super) async fn write(world: Arc<World>) {
    let records = world.lock().plan.records;
    for _ in 0..records {
        let pause = {
            let state = &mut *world.lock();
            if state.plan.reshards && state.random.once_in(12) {
                state.reshard();
            }
            if state.plan.trims && state.random.once_in(10) {
                state.trim();
            }
            if state.plan.damages && state.random.once_in(25) {
                state.damage();
            }
            state.put(world.now());
            // Mostly bursts.
            if state.random.once_in(4) { state.random.below(3000) } else { state.random.below(20) }
        };
        world.news.notify_waiters();
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    let state = &mut *world.lock();
    state.shards.iter_mut().for_each(|shard| shard.closed = true);
    state.writer_done = true;
    world.news.notify_waiters();
}

#[async_trait]
impl Read for World {
    async fn shards(&self, _stream: &StreamName) -> Result<Vec<Shard>, ReadError> {
        let fate = self.begin().await;
        let listed = {
            let state = self.lock();
            let shard = |(index, shard): (usize, &super::world::SimShard)| {
                let index = index as u32;
                let mut parents = shard.parents.iter().copied().map(ShardId::new);
                let last = shard.puts.len() as u64;
                Shard {
                    id: ShardId::new(index),
                    parent: parents.next(),
                    adjacent_parent: parents.next(),
                    hash_key_range: shard.range,
                    starting_sequence_number: number(index, 0),
                    ending_sequence_number: shard.closed.then(|| number(index, last + 1)),
                }
            };
            state.shards.iter().enumerate().map(shard).collect()
        };
        if fate == Fate::Fails || !self.end(fate).await {
            return Err(ReadError::Unavailable("throttled".to_owned()));
        }
        Ok(listed)
    }

    async fn seek(
        &self,
        shard: &ShardAddress,
        position: StartingPosition,
    ) -> Result<Cursor, ReadError> {
        let fate = self.begin().await;
        let index = shard.shard.index();
        let (counter, since) = {
            let state = self.lock();
            let shard = &state.shards[index as usize];
            let number_of =
                |moment| shard.puts.partition_point(|put| put.record.arrival < moment) as u64 + 1;
            match position {
                StartingPosition::TrimHorizon => (shard.horizon, None),
                StartingPosition::AtSequenceNumber(at) => (at.counter(), None),
                StartingPosition::AfterSequenceNumber(after) => (after.counter() + 1, None),
                StartingPosition::Latest if state.plan.numbers_known => {
                    (shard.puts.len() as u64 + 1, None)
                }
                StartingPosition::AtTimestamp(moment) if state.plan.numbers_known => {
                    (number_of(moment), None)
                }
                StartingPosition::Latest => (0, Some(self.now())),
                StartingPosition::AtTimestamp(moment) => (0, Some(moment)),
            }
        };
        if fate == Fate::Fails || !self.end(fate).await {
            return Err(ReadError::Unavailable("throttled".to_owned()));
        }
        Ok(Cursor { shard: shard.clone(), from: number(index, counter), since })
    }

    async fn read(&self, cursor: &Cursor, limits: ReadLimits) -> Result<ReadPage, ReadError> {
        let fate = self.begin().await;
        let page = self.lock().page(cursor, limits);
        if fate == Fate::Fails || !self.end(fate).await {
            return Err(ReadError::Unavailable("throttled, or an expired iterator".to_owned()));
        }
        page
    }

    async fn wait(&self, cursor: &Cursor, at_most: Duration) {
        let news = self.news.notified();
        let there_is_something = {
            let state = self.lock();
            let shard = &state.shards[cursor.shard.shard.index() as usize];
            let last = shard
                .puts
                .last()
                .filter(|put| cursor.since.is_none_or(|since| put.record.arrival >= since));
            shard.closed || last.is_some_and(|put| cursor.from <= put.record.sequence_number)
        };
        if there_is_something {
            return;
        }
        tokio::select! {
            biased;
            () = news => {}
            () = tokio::time::sleep(at_most) => {}
        }
    }
}

impl State {
    fn page(&mut self, cursor: &Cursor, limits: ReadLimits) -> Result<ReadPage, ReadError> {
        let told = self.told();
        assert!((1..=10_000).contains(&limits.records) && limits.bytes > 0, "{limits:?}; {told}");
        let index = cursor.shard.shard.index();
        let at =
            |counter| Cursor { shard: address(index), from: number(index, counter), since: None };
        let most = 1 + self.random.below(limits.records as u64) as usize;
        let shard = &self.shards[index as usize];
        let early = |put: &Put| cursor.since.is_some_and(|since| put.record.arrival < since);
        let wanted = shard.puts.partition_point(early) as u64 + 1;
        let mut counter = cursor.from.counter().max(shard.horizon).max(wanted);
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some(put) = shard.puts.get(counter as usize - 1) {
            bytes += put.record.size();
            if records.len() >= most || !records.is_empty() && bytes > limits.bytes || put.damaged {
                break;
            }
            records.push(put.record.clone());
            counter += 1;
        }
        let behind = &shard.puts[(counter as usize - 1).min(shard.puts.len())..];
        if let (true, Some(put)) = (records.is_empty(), behind.first().filter(|put| put.damaged)) {
            let lost = behind.iter().take_while(|put| put.damaged).count() as u64;
            return Err(ReadError::Damaged {
                what: format!("records {counter} and {lost} more of shard {index}"),
                arrival: put.record.arrival,
                resume: Some(at(counter + lost)),
            });
        }
        let millis_behind_latest = behind.len() as u64;
        let read = shard.puts[..shard.puts.len() - behind.len()].iter();
        let unsettled = read.filter(|put| !put.is_settled()).map(|put| put.record.size()).sum();
        self.unsettled_most = self.unsettled_most.max(unsettled);
        let over =
            shard.closed && behind.is_empty() && (records.is_empty() || counter.is_multiple_of(2));
        let child = |(child, shard): (usize, &super::world::SimShard)| ChildShard {
            id: ShardId::new(child as u32),
            parents: shard.parents.iter().copied().map(ShardId::new).collect(),
            hash_key_range: shard.range,
        };
        let of_this =
            |(_, shard): &(usize, &super::world::SimShard)| shard.parents.contains(&index);
        let children = self.shards.iter().enumerate().filter(of_this).map(child).collect();
        let at_moment = cursor.since.is_some() && records.is_empty();
        Ok(ReadPage {
            records,
            // Until a record was read there is only the moment to go by.
            next: (!over).then(|| if at_moment { cursor.clone() } else { at(counter) }),
            millis_behind_latest,
            children: if over { children } else { Vec::new() },
        })
    }
}
