//! Each change of the contract as the API's call for it.

use std::collections::BTreeSet;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types;
use baikonur_stream::{
    AdministerError, ConsumerOrStream, Reshard, ShardLevelMetric, StreamChange, StreamName, Tags,
};

use crate::administer::{number, strategy, stream_mode};
use crate::describe::{Described, describe};
use crate::refusal::refusal;

/// Makes a change; it is under way then.
pub(crate) async fn make(
    client: &Client,
    name: &StreamName,
    change: StreamChange,
) -> Result<(), AdministerError> {
    /// Sends a call; only whether it succeeded matters.
    macro_rules! send {
        ($call:expr) => {
            $call.send().await.map(drop).map_err(|error| refusal(name, error))
        };
    }
    let stream = name.as_str();
    match change {
        StreamChange::IncreaseRetention(period) => send!(
            client
                .increase_stream_retention_period()
                .stream_name(stream)
                .retention_period_hours(number(period.hours()))
        ),
        StreamChange::DecreaseRetention(period) => send!(
            client
                .decrease_stream_retention_period()
                .stream_name(stream)
                .retention_period_hours(number(period.hours()))
        ),
        StreamChange::Reshard(Reshard::Split { shard, at }) => send!(
            client
                .split_shard()
                .stream_name(stream)
                .shard_to_split(shard.to_string())
                .new_starting_hash_key(at.to_string())
        ),
        StreamChange::Reshard(Reshard::Merge { shard, adjacent }) => send!(
            client
                .merge_shards()
                .stream_name(stream)
                .shard_to_merge(shard.to_string())
                .adjacent_shard_to_merge(adjacent.to_string())
        ),
        StreamChange::UpdateShardCount { target } => send!(
            client
                .update_shard_count()
                .stream_name(stream)
                .target_shard_count(number(target))
                .scaling_type(types::ScalingType::UniformScaling)
        ),
        StreamChange::FollowLoad(_) => Err(AdministerError::Refused(
            "the shards of an on-demand stream follow the load by the service's own doing"
                .to_owned(),
        )),
        StreamChange::Mode { mode, warm_throughput_mibps } => send!(
            client
                .update_stream_mode()
                .stream_arn(arn(client, name).await?)
                .stream_mode_details(stream_mode(mode)?)
                .set_warm_throughput_mibps(warm_throughput_mibps.map(number))
        ),
        StreamChange::WarmThroughput(mibps) => send!(
            client
                .update_stream_warm_throughput()
                .stream_name(stream)
                .warm_throughput_mibps(number(mibps))
        ),
        StreamChange::RecordKibMax(size) => send!(
            client
                .update_max_record_size()
                .stream_arn(arn(client, name).await?)
                .max_record_size_in_kib(number(size))
        ),
        StreamChange::Distribution(distribution) => send!(
            client
                .update_stream_record_distribution_strategy()
                .stream_arn(arn(client, name).await?)
                .record_distribution_strategy(strategy(distribution))
        ),
        StreamChange::EncryptionKey(Some(key)) => send!(
            client
                .start_stream_encryption()
                .stream_name(stream)
                .encryption_type(types::EncryptionType::Kms)
                .key_id(key)
        ),
        StreamChange::EncryptionKey(None) => switch_encryption_off(client, name).await,
        StreamChange::EnableMetrics(metrics) => send!(
            client
                .enable_enhanced_monitoring()
                .stream_name(stream)
                .set_shard_level_metrics(Some(names(&metrics)))
        ),
        StreamChange::DisableMetrics(metrics) => send!(
            client
                .disable_enhanced_monitoring()
                .stream_name(stream)
                .set_shard_level_metrics(Some(names(&metrics)))
        ),
        StreamChange::AddTags(resource, tags) => add_tags(client, name, resource, tags).await,
        StreamChange::RemoveTags(resource, keys) => send!(
            client
                .untag_resource()
                .resource_arn(resource_arn(client, name, resource).await?)
                .set_tag_keys(Some(keys))
        ),
        StreamChange::Policy(resource, Some(policy)) => send!(
            client
                .put_resource_policy()
                .resource_arn(resource_arn(client, name, resource).await?)
                .policy(policy)
        ),
        StreamChange::Policy(resource, None) => send!(
            client
                .delete_resource_policy()
                .resource_arn(resource_arn(client, name, resource).await?)
        ),
        StreamChange::RegisterConsumer { name: consumer, tags } => send!(
            client
                .register_stream_consumer()
                .stream_arn(arn(client, name).await?)
                .consumer_name(consumer)
                .set_tags((!tags.is_empty()).then(|| tags.into_iter().collect()))
        ),
        StreamChange::DeregisterConsumer { name: consumer } => send!(
            client
                .deregister_stream_consumer()
                .stream_arn(arn(client, name).await?)
                .consumer_name(consumer)
        ),
    }
}

/// The call wants to know which key it was.
async fn switch_encryption_off(client: &Client, name: &StreamName) -> Result<(), AdministerError> {
    let Described { stream, .. } = describe(client, name).await?;
    let Some(key) = stream.properties.encryption_key.clone() else { return Ok(()) };
    let call = client.stop_stream_encryption().stream_name(name.as_str());
    let call = call.encryption_type(types::EncryptionType::Kms).key_id(key);
    call.send().await.map(drop).map_err(|error| refusal(name, error))
}

async fn add_tags(
    client: &Client,
    name: &StreamName,
    resource: ConsumerOrStream,
    tags: Tags,
) -> Result<(), AdministerError> {
    let arn = resource_arn(client, name, resource).await?;
    let call = client.tag_resource().resource_arn(arn).set_tags(Some(tags.into_iter().collect()));
    call.send().await.map(drop).map_err(|error| refusal(name, error))
}

async fn arn(client: &Client, name: &StreamName) -> Result<String, AdministerError> {
    Ok(describe(client, name).await?.arn)
}

async fn resource_arn(
    client: &Client,
    name: &StreamName,
    resource: ConsumerOrStream,
) -> Result<String, AdministerError> {
    let stream = arn(client, name).await?;
    let Some(consumer) = resource else { return Ok(stream) };
    let call = client.describe_stream_consumer().stream_arn(stream).consumer_name(&consumer);
    let described = call.send().await.map_err(|error| {
        let missing = error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception());
        if missing {
            let stream = name.clone();
            AdministerError::ConsumerNotFound { stream, consumer: consumer.clone() }
        } else {
            refusal(name, error)
        }
    })?;
    let described = described.consumer_description;
    let described = described.ok_or_else(|| crate::describe::strange("no consumer"))?;
    Ok(described.consumer_arn)
}

fn names(metrics: &BTreeSet<ShardLevelMetric>) -> Vec<types::MetricsName> {
    metrics.iter().map(|metric| metric.name().into()).collect()
}
