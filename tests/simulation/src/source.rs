//! The stream as a mapping reads it, and the producers, operators and bad luck that write it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baikonur_mapping::Start;
use baikonur_stream::{
    ChildShard, Cursor, Read, ReadError, ReadLimits, ReadPage, SequenceNumber, Shard, ShardAddress,
    ShardId, StartingPosition, StreamName,
};

use crate::process::Process;
use crate::stream::{Put, SimShard, address, number};
use crate::world::{EPOCH, State, World};

/// Writes all records of the plan, splits and merges meanwhile, and ends the stream.
pub async fn write(world: Arc<World>) {
    if world.is_shared && world.lock().plan.settings.starting_position == Start::Latest {
        // Before each shard has its starting position it is nobody's word what LATEST is.
        while !world.lock().all_have_begun() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let records = world.lock().plan.records;
    for _ in 0..records {
        let pause = {
            let state = &mut *world.lock();
            if state.plan.reshards && state.random.once_in(12) {
                state.reshard(world.now());
            }
            if state.plan.trims && state.random.once_in(10) {
                state.trim();
            }
            if state.plan.damages && state.random.once_in(25) {
                state.damage();
            }
            state.put(world.now());
            // Mostly bursts.
            let longest = if state.random.once_in(4) { 3000 } else { 20 };
            state.random.millis(0..longest)
        };
        world.news.notify_waiters();
        tokio::time::sleep(pause).await;
    }
    {
        let state = &mut *world.lock();
        state.writer_done = true;
        if !world.is_shared {
            state.close_all(world.now());
        }
    }
    world.news.notify_waiters();
    world.tell_if_finished();
}

fn throttled() -> ReadError {
    ReadError::Unavailable("throttled, or an expired iterator".to_owned())
}

#[async_trait]
impl Read for Process {
    async fn shards(&self, _stream: &StreamName) -> Result<Vec<Shard>, ReadError> {
        self.attempt(|state| state.listed()).await.ok_or_else(throttled)
    }

    async fn seek(
        &self,
        shard: &ShardAddress,
        position: StartingPosition,
    ) -> Result<Cursor, ReadError> {
        let (world, shard) = (Arc::clone(&self.world), shard.clone());
        let sought = self.attempt(move |state| {
            let index = shard.shard.index();
            let known = state.plan.numbers_known;
            let sim = &state.shards[index as usize];
            let number_of =
                |moment| sim.puts.partition_point(|put| put.record.arrival < moment) as u64 + 1;
            let (counter, since) = match position {
                StartingPosition::TrimHorizon => (sim.horizon, None),
                StartingPosition::AtSequenceNumber(at) => (at.counter(), None),
                StartingPosition::AfterSequenceNumber(after) => (after.counter() + 1, None),
                StartingPosition::Latest if known => (sim.puts.len() as u64 + 1, None),
                StartingPosition::AtTimestamp(moment) if known => (number_of(moment), None),
                StartingPosition::Latest => (0, Some(world.now())),
                StartingPosition::AtTimestamp(moment) => (0, Some(moment)),
            };
            state.tally.count(match position {
                StartingPosition::TrimHorizon => "a start at TRIM_HORIZON",
                StartingPosition::Latest => "a start at LATEST",
                StartingPosition::AtTimestamp(_) => "a start at a moment",
                _ => "a start at a number",
            });
            state.tally.count_all("a place without a number", since.is_some().into());
            Cursor { shard, from: number(index, counter), since }
        });
        sought.await.ok_or_else(throttled)
    }

    async fn read(&self, cursor: &Cursor, limits: ReadLimits) -> Result<ReadPage, ReadError> {
        let cursor = cursor.clone();
        let page = self.attempt(move |state| state.page(&cursor, limits)).await;
        page.unwrap_or_else(|| Err(throttled()))
    }

    async fn wait(&self, cursor: &Cursor, at_most: Duration) {
        let news = self.world.news.notified();
        let there_is_something = {
            let state = self.world.lock();
            let shard = &state.shards[cursor.shard.shard.index() as usize];
            let is_wanted =
                |put: &&Put| cursor.since.is_none_or(|since| put.record.arrival >= since);
            let last = shard.puts.last().filter(is_wanted);
            shard.is_closed() || last.is_some_and(|put| cursor.from <= put.record.sequence_number)
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
    fn all_have_begun(&self) -> bool {
        let begun = |shard: &u32| {
            self.progress.get(shard).is_some_and(|progress| progress.checkpoint.is_some())
        };
        (0..self.shards.len() as u32).all(|shard| begun(&shard))
    }

    fn listed(&self) -> Vec<Shard> {
        let shard = |(index, shard): (usize, &SimShard)| {
            let index = index as u32;
            let mut parents = shard.parents.iter().copied().map(ShardId::new);
            let last = shard.puts.len() as u64;
            // An ending number tells when its shard was closed.
            let end = |closed: baikonur_stream::Timestamp| {
                SequenceNumber::new(EPOCH.seconds(), index, last + 1, closed.seconds())
            };
            Shard {
                id: ShardId::new(index),
                parent: parents.next(),
                adjacent_parent: parents.next(),
                hash_key_range: shard.range,
                starting_sequence_number: number(index, 0),
                ending_sequence_number: shard.closed.map(end),
            }
        };
        self.shards.iter().enumerate().map(shard).collect()
    }

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
            let too_large = !records.is_empty() && bytes > limits.bytes;
            self.tally.count_all("a page cut by bytes", too_large.into());
            if records.len() >= most || too_large || put.damaged {
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
        let at_its_end = shard.is_closed() && behind.is_empty();
        let over = at_its_end && (records.is_empty() || counter.is_multiple_of(2));
        let child = |(child, shard): (usize, &SimShard)| ChildShard {
            id: ShardId::new(child as u32),
            parents: shard.parents.iter().copied().map(ShardId::new).collect(),
            hash_key_range: shard.range,
        };
        let of_this = |(_, shard): &(usize, &SimShard)| shard.parents.contains(&index);
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
