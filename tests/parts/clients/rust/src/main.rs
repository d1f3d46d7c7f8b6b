//! The scenario of tests/parts/clients/README.md, with the AWS SDK for Rust: `client ENDPOINT STREAM`.

mod follow;
mod say;

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use aws_sdk_kinesis::config::{Credentials, Region};
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::{
    ConsumerStatus, PutRecordsRequestEntry, ScalingType, Shard, ShardFilter, ShardFilterType,
    StreamDescriptionSummary, StreamStatus, Tag,
};
use aws_sdk_kinesis::{Client, Config};
use serde_json::{Map, Value, json};

use crate::follow::{Subscriber, read_all};
use crate::say::{md5, say, say_shards};

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A client and the stream that it works on.
#[derive(Clone)]
pub struct Scenario {
    pub client: Client,
    pub stream: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, stream] = arguments.as_slice() else { return Err("ENDPOINT STREAM".into()) };
    let config = Config::builder()
        .behavior_version_latest()
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "scenario"))
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    let scenario = Scenario { client: Client::from_conf(config), stream: stream.clone() };
    tokio::task::LocalSet::new().run_until(scenario.run()).await
}

/// Asks until there is an answer.
pub async fn eventually<T, F: Future<Output = Result<Option<T>>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> Result<T> {
    for _ in 0..600 {
        if let Some(found) = ask().await? {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(format!("not in 60 s: {what}").into())
}

impl Scenario {
    async fn run(self) -> Result<()> {
        let put = self.stream_and_records().await?;
        self.lists().await?;
        let arn = self.active().await?.stream_arn;
        let consumer = self.consumer(&arn).await?;
        let subscriber = Subscriber::new(self.clone(), consumer.clone());
        for shard in self.shards(Some(ShardFilterType::AtTrimHorizon)).await? {
            subscriber.follow(shard.shard_id());
        }
        eventually("the first records", async || subscriber.has(put, 0)).await?;
        let put = put + self.reshard().await?;
        let all = self.shards(None).await?;
        say_shards("all", &all);
        let closed = all.iter().filter(|shard| say::is_closed(shard)).count();
        eventually("all records and all ends", async || subscriber.has(put, closed)).await?;
        read_all(&self).await?;
        self.tags(&arn, &consumer).await?;
        self.retention().await?;
        self.refusals().await?;
        self.client.deregister_stream_consumer().consumer_arn(&consumer).send().await?;
        self.client
            .delete_stream()
            .stream_name(&self.stream)
            .enforce_consumer_deletion(true)
            .send()
            .await?;
        eventually("no stream", async || {
            let described = self.client.describe_stream().stream_name(&self.stream).send().await;
            Ok(described
                .is_err_and(|error| error.code() == Some("ResourceNotFoundException"))
                .then_some(()))
        })
        .await?;
        say("deleted", json!({}));
        Ok(())
    }

    async fn stream_and_records(&self) -> Result<usize> {
        self.client.create_stream().stream_name(&self.stream).shard_count(2).send().await?;
        let summary = self.active().await?;
        say(
            "created",
            json!({
                "arn": summary.stream_arn,
                "count": summary.open_shard_count,
                "status": summary.stream_status.as_str(),
            }),
        );
        say_shards("shards", &self.shards(None).await?);
        let every_byte: Vec<u8> = (0..=255).collect();
        let long = "k".repeat(256);
        for key in ["a", "é", "\u{1F680} 発射", &long] {
            self.put_one(key, every_byte.clone(), None).await?;
        }
        self.put_one("empty", Vec::new(), None).await?;
        self.put_one("large", vec![0xa5; 1 << 20], None).await?;
        self.put_one("explicit", b"text".to_vec(), Some("0")).await?;
        Ok(7 + self.put_many("first", 500).await?)
    }

    async fn lists(&self) -> Result<()> {
        for kind in [
            ShardFilterType::AtLatest,
            ShardFilterType::AtTrimHorizon,
            ShardFilterType::FromTrimHorizon,
            ShardFilterType::AfterShardId,
            ShardFilterType::AtTimestamp,
            ShardFilterType::FromTimestamp,
        ] {
            let shards = self.shards(Some(kind.clone())).await?;
            say("filtered", json!({ "filter": kind.as_str(), "shards": ids(&shards) }));
        }
        let mut pages = Vec::new();
        let mut page =
            self.client.list_shards().stream_name(&self.stream).max_results(1).send().await?;
        loop {
            pages.push(json!(ids(page.shards())));
            let Some(token) = page.next_token() else { break };
            page = self.client.list_shards().next_token(token).max_results(1).send().await?;
        }
        say("pages", json!({ "pages": pages }));
        let mut pages = self.client.list_streams().limit(1).into_paginator().send();
        let mut listed = false;
        while let Some(page) = pages.next().await {
            listed |= page?.stream_names().contains(&self.stream);
        }
        say("listed", json!({ "listed": listed }));
        Ok(())
    }

    async fn consumer(&self, arn: &str) -> Result<String> {
        let client = &self.client;
        client.register_stream_consumer().stream_arn(arn).consumer_name("follower").send().await?;
        let consumer = eventually("an active consumer", async || {
            let described = client
                .describe_stream_consumer()
                .stream_arn(arn)
                .consumer_name("follower")
                .send()
                .await?;
            Ok(described
                .consumer_description
                .filter(|described| described.consumer_status == ConsumerStatus::Active)
                .map(|described| described.consumer_arn))
        })
        .await?;
        let listed = client.list_stream_consumers().stream_arn(arn).send().await?;
        let names: Vec<_> = listed.consumers().iter().map(|one| one.consumer_name()).collect();
        say("consumer", json!({ "arn": consumer, "consumers": names }));
        Ok(consumer)
    }

    /// A split, a merge, and a doubling; gives how many records were put between.
    async fn reshard(&self) -> Result<usize> {
        let client = &self.client;
        let shards = self.shards(None).await?;
        let range = shards[0].hash_key_range().ok_or("a shard without a range")?;
        let (start, end): (u128, u128) =
            (range.starting_hash_key().parse()?, range.ending_hash_key().parse()?);
        client
            .split_shard()
            .stream_name(&self.stream)
            .shard_to_split("shardId-000000000000")
            .new_starting_hash_key((start + (end - start) / 2 + 1).to_string())
            .send()
            .await?;
        let mut put = self.put_between("split").await?;
        client
            .merge_shards()
            .stream_name(&self.stream)
            .shard_to_merge("shardId-000000000002")
            .adjacent_shard_to_merge("shardId-000000000003")
            .send()
            .await?;
        put += self.put_between("merged").await?;
        let scaled = client
            .update_shard_count()
            .stream_name(&self.stream)
            .target_shard_count(4)
            .scaling_type(ScalingType::UniformScaling)
            .send()
            .await?;
        say(
            "scaling",
            json!({
                "current": scaled.current_shard_count(), "target": scaled.target_shard_count(),
            }),
        );
        Ok(put + self.put_between("scaled").await?)
    }

    async fn put_between(&self, phase: &str) -> Result<usize> {
        self.active().await?;
        say_shards(phase, &self.shards(Some(ShardFilterType::AtLatest)).await?);
        self.put_many(phase, 100).await
    }

    async fn tags(&self, arn: &str, consumer: &str) -> Result<()> {
        let client = &self.client;
        client
            .add_tags_to_stream()
            .stream_name(&self.stream)
            .tags("team", "logs")
            .tags("größe", "")
            .send()
            .await?;
        client
            .tag_resource()
            .resource_arn(arn)
            .tags("team", "space")
            .tags("a:b", "c")
            .send()
            .await?;
        client.tag_resource().resource_arn(consumer).tags("reader", "yes").send().await?;
        let of_stream = async || -> Result<Value> {
            Ok(object(client.list_tags_for_stream().stream_name(&self.stream).send().await?.tags()))
        };
        say("tags", json!({ "of": "stream", "tags": of_stream().await? }));
        for (of, resource) in [("resource", arn), ("consumer", consumer)] {
            let answer = client.list_tags_for_resource().resource_arn(resource).send().await?;
            say("tags", json!({ "of": of, "tags": object(answer.tags()) }));
        }
        client
            .remove_tags_from_stream()
            .stream_name(&self.stream)
            .tag_keys("team")
            .tag_keys("missing")
            .send()
            .await?;
        client.untag_resource().resource_arn(arn).tag_keys("a:b").send().await?;
        say("tags", json!({ "of": "rest", "tags": of_stream().await? }));
        Ok(())
    }

    async fn retention(&self) -> Result<()> {
        let client = &self.client;
        client
            .increase_stream_retention_period()
            .stream_name(&self.stream)
            .retention_period_hours(48)
            .send()
            .await?;
        let raised = self.active().await?.retention_period_hours;
        client
            .decrease_stream_retention_period()
            .stream_name(&self.stream)
            .retention_period_hours(30)
            .send()
            .await?;
        let lowered = self.active().await?.retention_period_hours;
        say("retention", json!({ "raised": raised, "lowered": lowered }));
        Ok(())
    }

    async fn refusals(&self) -> Result<()> {
        let client = &self.client;
        let missing = format!("{}-missing", self.stream);
        refused("DescribeStream", client.describe_stream().stream_name(missing).send().await);
        let put = client.put_record().stream_name(&self.stream).data(Blob::new([0; 256]));
        refused("PutRecord", put.partition_key("k".repeat(257)).send().await);
        refused("GetRecords", client.get_records().shard_iterator("nonsense").send().await);
        let create = client.create_stream().stream_name(&self.stream).shard_count(1);
        refused("CreateStream", create.send().await);
        refused("DeleteStream", client.delete_stream().stream_name(&self.stream).send().await);
        Ok(())
    }

    async fn active(&self) -> Result<StreamDescriptionSummary> {
        eventually("an active stream", async || {
            let answer =
                self.client.describe_stream_summary().stream_name(&self.stream).send().await?;
            Ok(answer
                .stream_description_summary
                .filter(|summary| summary.stream_status == StreamStatus::Active))
        })
        .await
    }

    /// The shards that a filter gives, with the companions that its type asks for.
    pub async fn shards(&self, filter: Option<ShardFilterType>) -> Result<Vec<Shard>> {
        let filter = match filter {
            None => None,
            Some(kind) => {
                let filter = ShardFilter::builder().r#type(kind.clone());
                Some(match kind {
                    ShardFilterType::AfterShardId => filter.shard_id("shardId-000000000000"),
                    ShardFilterType::AtTimestamp | ShardFilterType::FromTimestamp => {
                        filter.timestamp(DateTime::from(std::time::SystemTime::now()))
                    }
                    _ => filter,
                })
            }
        };
        let filter = filter.map(|filter| filter.build()).transpose()?;
        let answer = self
            .client
            .list_shards()
            .stream_name(&self.stream)
            .set_shard_filter(filter)
            .send()
            .await?;
        Ok(answer.shards.unwrap_or_default())
    }

    async fn put_one(&self, key: &str, data: Vec<u8>, hash_key: Option<&str>) -> Result<()> {
        let (size, digest) = (data.len(), md5(&data));
        let answer = self
            .client
            .put_record()
            .stream_name(&self.stream)
            .partition_key(key)
            .set_explicit_hash_key(hash_key.map(str::to_owned))
            .data(Blob::new(data))
            .send()
            .await?;
        say(
            "put",
            json!({
                "key": key, "shard": answer.shard_id, "number": answer.sequence_number, "size": size, "md5": digest,
            }),
        );
        Ok(())
    }

    async fn put_many(&self, phase: &str, count: usize) -> Result<usize> {
        let records: Vec<(String, String)> = (0..count)
            .map(|place| (format!("key-{}", place % 20), format!("{phase} {place}")))
            .collect();
        let entries = records
            .iter()
            .map(|(key, data)| {
                PutRecordsRequestEntry::builder()
                    .partition_key(key)
                    .data(Blob::new(data.as_bytes()))
                    .build()
            })
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let answer = self
            .client
            .put_records()
            .stream_name(&self.stream)
            .set_records(Some(entries))
            .send()
            .await?;
        say("batch", json!({ "failed": answer.failed_record_count.unwrap_or(0) }));
        for (placed, (key, data)) in answer.records().iter().zip(&records) {
            say(
                "put",
                json!({
                    "key": key,
                    "shard": placed.shard_id(),
                    "number": placed.sequence_number(),
                    "size": data.len(),
                    "md5": md5(data.as_bytes()),
                }),
            );
        }
        Ok(count)
    }
}

fn ids(shards: &[Shard]) -> Vec<&str> {
    shards.iter().map(Shard::shard_id).collect()
}

fn object(tags: &[Tag]) -> Value {
    let pairs = tags.iter().map(|tag| (tag.key().to_owned(), json!(tag.value())));
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn refused<T, E: ProvideErrorMetadata, R>(
    operation: &str,
    answer: std::result::Result<T, SdkError<E, R>>,
) where
    SdkError<E, R>: ProvideErrorMetadata,
{
    let error = answer.err();
    say(
        "refused",
        json!({
            "operation": operation,
            "error": error.as_ref().and_then(|error| error.code()),
            "message": error.as_ref().and_then(|error| error.message()),
        }),
    );
}
