//! A stream as the service describes it, in the words of the contract.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::operation::list_shards::ListShardsError;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types;
use baikonur_stream::{
    AdministerError, HashKeyRange, RecordDistribution, RegisteredConsumer, RegisteredConsumers,
    RetentionHours, SequenceNumber, Shard, ShardId, ShardLevelMetric, StreamDescription,
    StreamMode, StreamName, StreamProperties, StreamStatus, Tags, Timestamp,
};

use crate::refusal::refusal;

/// A stream and its ARN, which some calls insist on.
pub(crate) struct Described {
    pub(crate) arn: String,
    pub(crate) stream: StreamDescription,
}

/// Shards of a page (API model: the most that ListShards gives).
const PAGE_SHARDS: i32 = 10_000;
/// How often a listing begins anew because its token expired.
const LISTINGS_MAX: u32 = 3;

fn is_expired(error: &SdkError<ListShardsError>) -> bool {
    error.as_service_error().is_some_and(ListShardsError::is_expired_next_token_exception)
}

/// Describes a stream by its summary, its shards, and its consumers if it has any.
pub(crate) async fn describe(
    client: &Client,
    name: &StreamName,
) -> Result<Described, AdministerError> {
    let summary = client.describe_stream_summary().stream_name(name.as_str()).send().await;
    let summary = summary.map_err(|error| refusal(name, error))?.stream_description_summary;
    let summary = summary.ok_or_else(|| strange("an answer without a summary"))?;
    let shards = shards(client, name).await?;
    let consumers = match summary.consumer_count {
        None | Some(0) => RegisteredConsumers::new(),
        Some(_) => consumers(client, name, summary.stream_arn()).await?,
    };
    let stream = StreamDescription {
        name: name.clone(),
        status: match summary.stream_status() {
            types::StreamStatus::Creating => StreamStatus::Creating,
            types::StreamStatus::Deleting => StreamStatus::Deleting,
            types::StreamStatus::Active => StreamStatus::Active,
            _ => StreamStatus::Updating,
        },
        created: timestamp(summary.stream_creation_timestamp()),
        // The service tells neither.
        hidden_before: Timestamp::default(),
        newest_arrival: Timestamp::default(),
        properties: Arc::new(properties(&summary)),
        shards: shards.into(),
        consumers: Arc::new(consumers),
    };
    Ok(Described { arn: summary.stream_arn, stream })
}

fn properties(summary: &types::StreamDescriptionSummary) -> StreamProperties {
    let defaults = StreamProperties::default();
    let hours = u32::try_from(summary.retention_period_hours()).ok();
    let mode = summary.stream_mode_details().map(|details| details.stream_mode().clone());
    let metrics = summary.enhanced_monitoring().iter();
    let metrics: BTreeSet<_> = metrics
        .flat_map(|metrics| metrics.shard_level_metrics())
        .filter_map(|metric| {
            ShardLevelMetric::ALL.into_iter().find(|known| known.name() == metric.as_str())
        })
        .collect();
    let warm = summary.warm_throughput().and_then(types::WarmThroughputObject::target_mibps);
    let strategy = summary.record_distribution_strategy();
    StreamProperties {
        retention: hours.and_then(RetentionHours::new).unwrap_or(defaults.retention),
        mode: match mode {
            Some(types::StreamMode::OnDemand) => StreamMode::OnDemand,
            _ => StreamMode::Provisioned,
        },
        distribution: match strategy {
            Some(types::RecordDistributionStrategy::Auto) => RecordDistribution::Auto,
            _ => RecordDistribution::UserPartitionKey,
        },
        record_kib_max: summary
            .max_record_size_in_kib()
            .and_then(|size| u32::try_from(size).ok())
            .unwrap_or(defaults.record_kib_max),
        encryption_key: match summary.encryption_type() {
            Some(types::EncryptionType::Kms) => summary.key_id().map(str::to_owned),
            _ => None,
        },
        // The service tells it with each record.
        encryption_periods: Vec::new(),
        shard_level_metrics: metrics,
        warm_throughput_mibps: warm.and_then(|mibps| u32::try_from(mibps).ok()),
        tags: Tags::new(),
        policy: None,
    }
}

/// All shards that the service lists. Pages after the first are asked for by their token alone:
/// token and name together are refused.
pub(crate) async fn shards(
    client: &Client,
    name: &StreamName,
) -> Result<Vec<Shard>, AdministerError> {
    let (mut shards, mut token) = (Vec::new(), None::<String>);
    let mut expired = 0;
    loop {
        let call = client.list_shards().max_results(PAGE_SHARDS);
        let call = match token {
            None => call.stream_name(name.as_str()),
            Some(token) => call.next_token(token),
        };
        let page = match call.send().await {
            Ok(page) => page,
            Err(error) if is_expired(&error) && expired < LISTINGS_MAX => {
                // A token lives for 300 s: somebody held us up. From the first page on again.
                expired += 1;
                (shards, token) = (Vec::new(), None);
                continue;
            }
            Err(error) => return Err(refusal(name, error)),
        };
        for shard in page.shards() {
            shards.push(shard_of(shard)?);
        }
        token = page.next_token;
        if token.is_none() {
            shards.sort_by_key(|shard| shard.id);
            return Ok(shards);
        }
    }
}

fn shard_of(shard: &types::Shard) -> Result<Shard, AdministerError> {
    let id = shard_id(shard.shard_id())?;
    let parent = |id: Option<&str>| id.map(shard_id).transpose();
    let (Some(range), Some(numbers)) = (shard.hash_key_range(), shard.sequence_number_range())
    else {
        return Err(strange("a shard without ranges"));
    };
    let key = |text: &str| text.parse().map_err(strange);
    Ok(Shard {
        id,
        parent: parent(shard.parent_shard_id())?,
        adjacent_parent: parent(shard.adjacent_parent_shard_id())?,
        hash_key_range: HashKeyRange {
            start: key(range.starting_hash_key())?,
            end: key(range.ending_hash_key())?,
        },
        starting_sequence_number: number(numbers.starting_sequence_number())?,
        ending_sequence_number: numbers.ending_sequence_number().map(number).transpose()?,
    })
}

fn number(text: &str) -> Result<SequenceNumber, AdministerError> {
    text.parse().map_err(strange)
}

fn shard_id(text: &str) -> Result<ShardId, AdministerError> {
    text.parse().map_err(strange)
}

async fn consumers(
    client: &Client,
    name: &StreamName,
    arn: &str,
) -> Result<RegisteredConsumers, AdministerError> {
    let mut consumers = RegisteredConsumers::new();
    let mut pages = client.list_stream_consumers().stream_arn(arn).into_paginator().send();
    while let Some(page) = pages.next().await {
        for consumer in page.map_err(|error| refusal(name, error))?.consumers() {
            let created = timestamp(consumer.consumer_creation_timestamp());
            let registered = RegisteredConsumer { created, tags: Tags::new(), policy: None };
            consumers.insert(consumer.consumer_name().to_owned(), registered);
        }
    }
    Ok(consumers)
}

pub(crate) fn timestamp(time: &DateTime) -> Timestamp {
    let millis = time.to_millis().ok().and_then(|millis| u64::try_from(millis).ok());
    Timestamp::from_millis(millis.unwrap_or(0))
}

/// An answer that makes no sense.
pub(crate) fn strange(what: impl std::fmt::Display) -> AdministerError {
    AdministerError::Unavailable(format!("the service gave a strange answer: {what}"))
}
