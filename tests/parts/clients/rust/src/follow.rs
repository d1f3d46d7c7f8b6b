//! Reading a stream whole, from parents to children: by GetRecords and by SubscribeToShard.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use aws_sdk_kinesis::types::{
    ChildShard, ShardFilterType, ShardIteratorType, StartingPosition, SubscribeToShardEventStream,
};
use serde_json::json;

use crate::say::{family, say, say_record};
use crate::{Result, Scenario};

#[derive(Default)]
struct Progress {
    pushed: usize,
    ended: BTreeSet<String>,
    subscribed: BTreeSet<String>,
    failure: Option<String>,
}

/// Follows the stream by SubscribeToShard.
#[derive(Clone)]
pub struct Subscriber {
    scenario: Scenario,
    consumer: String,
    progress: Rc<RefCell<Progress>>,
}

impl Subscriber {
    pub fn new(scenario: Scenario, consumer: String) -> Self {
        Self { scenario, consumer, progress: Rc::default() }
    }

    /// Whether so many records, and the ends of so many shards, have come.
    pub fn has(&self, records: usize, ends: usize) -> Result<Option<()>> {
        let progress = self.progress.borrow();
        match &progress.failure {
            Some(failure) => Err(failure.clone().into()),
            None => Ok((progress.pushed >= records && progress.ended.len() >= ends).then_some(())),
        }
    }

    /// Subscribes to a shard, once.
    pub fn follow(&self, shard: &str) {
        if self.progress.borrow_mut().subscribed.insert(shard.to_owned()) {
            let (this, shard) = (self.clone(), shard.to_owned());
            tokio::task::spawn_local(async move {
                if let Err(error) = this.read(&shard).await {
                    this.progress.borrow_mut().failure = Some(format!("{shard}: {error:?}"));
                }
            });
        }
    }

    async fn read(&self, shard: &str) -> Result<()> {
        let mut position =
            Some(StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon).build()?);
        while position.is_some() {
            let mut answer = self
                .scenario
                .client
                .subscribe_to_shard()
                .consumer_arn(&self.consumer)
                .shard_id(shard)
                .set_starting_position(position.clone())
                .send()
                .await?;
            say("subscribed", json!({ "shard": shard }));
            while let Some(event) = answer.event_stream.recv().await? {
                let SubscribeToShardEventStream::SubscribeToShardEvent(event) = event else {
                    return Err(format!("an event that is none: {event:?}").into());
                };
                for record in event.records() {
                    say_record("pushed", shard, record);
                }
                self.progress.borrow_mut().pushed += event.records().len();
                let next =
                    Some(event.continuation_sequence_number()).filter(|next| !next.is_empty());
                position = next
                    .map(|next| {
                        StartingPosition::builder()
                            .r#type(ShardIteratorType::AfterSequenceNumber)
                            .sequence_number(next)
                            .build()
                    })
                    .transpose()?;
                if !event.child_shards().is_empty() {
                    self.end(shard, next, event.child_shards());
                }
            }
        }
        Ok(())
    }

    fn end(&self, shard: &str, next: Option<&str>, children: &[ChildShard]) {
        self.progress.borrow_mut().ended.insert(shard.to_owned());
        say(
            "pushed_end",
            json!({
                "shard": shard, "continuation": next, "children": family(children),
            }),
        );
        for child in children {
            let ready = {
                let ended = &self.progress.borrow().ended;
                child.parent_shards().iter().all(|parent| ended.contains(parent))
            };
            if ready {
                self.follow(child.shard_id());
            }
        }
    }
}

/// Reads the whole stream by GetRecords.
pub async fn read_all(scenario: &Scenario) -> Result<()> {
    let named = async |kind| -> Result<Vec<String>> {
        Ok(scenario.shards(Some(kind)).await?.into_iter().map(|shard| shard.shard_id).collect())
    };
    let open = named(ShardFilterType::AtLatest).await?;
    let mut waiting: VecDeque<String> = named(ShardFilterType::AtTrimHorizon).await?.into();
    let mut seen: BTreeSet<String> = waiting.iter().cloned().collect();
    let mut ended = BTreeSet::new();
    while let Some(shard) = waiting.pop_front() {
        let mut iterator = scenario
            .client
            .get_shard_iterator()
            .stream_name(&scenario.stream)
            .shard_id(&shard)
            .shard_iterator_type(ShardIteratorType::TrimHorizon)
            .send()
            .await?
            .shard_iterator;
        while let Some(position) = iterator {
            let answer =
                scenario.client.get_records().shard_iterator(position).limit(60).send().await?;
            for record in answer.records() {
                say_record("read", &shard, record);
            }
            if answer.next_shard_iterator().is_none() {
                ended.insert(shard.clone());
                say(
                    "read_end",
                    json!({
                        "shard": shard, "children": family(answer.child_shards()),
                    }),
                );
                for child in answer.child_shards() {
                    let ready = child.parent_shards().iter().all(|parent| ended.contains(parent));
                    if ready && seen.insert(child.shard_id().to_owned()) {
                        waiting.push_back(child.shard_id().to_owned());
                    }
                }
            } else if open.contains(&shard)
                && answer.records().is_empty()
                && answer.millis_behind_latest() == Some(0)
            {
                break;
            }
            iterator = answer.next_shard_iterator;
        }
    }
    Ok(())
}
