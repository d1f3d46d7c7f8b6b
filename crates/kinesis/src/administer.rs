//! The contract `Administer` over the API.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::types;
use baikonur_stream::{
    Administer, AdministerError, BillingCommitment, CreateStream, RecordDistribution,
    RetentionHours, ShardUsage, StreamChange, StreamDescription, StreamMode, StreamName,
    StreamOwner, StreamProperties,
};

use crate::change;
use crate::connect::Connection;
use crate::counters::Counters;
use crate::describe::{Described, describe, strange, timestamp};
use crate::refusal::{refusal, refusal_about_all};

/// Streams of Amazon Kinesis, or of an endpoint that speaks its API: those of the account and
/// region that the credentials belong to, which are the store's own.
///
/// Changes are asked for and not waited for: a stream is UPDATING after them. A description has no
/// tags and policies: the service answers for these five times a second per account, which would
/// slow down everyone who waits for a stream.
#[derive(Debug, Clone)]
pub struct AmazonKinesis {
    client: Client,
    counters: Option<Counters>,
}

impl AmazonKinesis {
    /// Streams behind `connection`. Nothing is contacted yet.
    pub fn new(connection: &Connection) -> Self {
        let mut config = aws_sdk_kinesis::config::Builder::from(&connection.sdk);
        // The environment's endpoint does not count: whoever connects has chosen.
        config.set_endpoint_url(connection.endpoint.clone());
        let patience = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(ANSWER_TIMEOUT)
            .build();
        config.set_timeout_config(Some(patience));
        let counters = connection.endpoint.as_deref();
        let counters = counters.map(|endpoint| Counters::at(endpoint, connection.trusted.clone()));
        Self { client: Client::from_conf(config.build()), counters }
    }
}

impl AmazonKinesis {
    /// A client that leaves it to us what to do about a call that failed.
    pub(crate) fn single_attempts(&self) -> Client {
        let config = self.client.config().to_builder();
        Client::from_conf(config.retry_config(RetryConfig::disabled()).build())
    }
}

pub(crate) fn stream_mode(mode: StreamMode) -> Result<types::StreamModeDetails, AdministerError> {
    let mode = match mode {
        StreamMode::Provisioned => types::StreamMode::Provisioned,
        StreamMode::OnDemand => types::StreamMode::OnDemand,
    };
    types::StreamModeDetails::builder().stream_mode(mode).build().map_err(strange)
}

pub(crate) fn strategy(distribution: RecordDistribution) -> types::RecordDistributionStrategy {
    match distribution {
        RecordDistribution::UserPartitionKey => types::RecordDistributionStrategy::UserPartitionKey,
        RecordDistribution::Auto => types::RecordDistributionStrategy::Auto,
    }
}

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take to begin.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// One connection has one account and region.
fn own(owner: &StreamOwner) -> Result<(), AdministerError> {
    match *owner == StreamOwner::OWN {
        true => Ok(()),
        false => Err(AdministerError::Refused(
            "another account or region is reached with credentials of its own".to_owned(),
        )),
    }
}

/// A number of the contract as the API has it.
pub(crate) fn number(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[async_trait]
impl Administer for AmazonKinesis {
    async fn create_stream(&self, request: CreateStream) -> Result<(), AdministerError> {
        let CreateStream { name, shard_count, properties } = request;
        let StreamProperties { mode, tags, warm_throughput_mibps, .. } = &properties;
        let mut call = self
            .client
            .create_stream()
            .stream_name(name.as_str())
            .stream_mode_details(stream_mode(*mode)?)
            .set_warm_throughput_mibps(warm_throughput_mibps.map(number));
        if *mode == StreamMode::Provisioned {
            call = call.shard_count(number(shard_count));
        }
        let defaults = StreamProperties::default();
        // What is as usual is not said: older services do not know the word.
        if properties.record_kib_max != defaults.record_kib_max {
            call = call.max_record_size_in_kib(number(properties.record_kib_max));
        }
        if properties.distribution != defaults.distribution {
            call = call.record_distribution_strategy(strategy(properties.distribution));
        }
        for (key, value) in tags {
            call = call.tags(key, value);
        }
        call.send().await.map_err(|error| {
            let in_use = error.as_service_error().is_some_and(|e| e.is_resource_in_use_exception());
            if in_use { AdministerError::StreamExists(name.clone()) } else { refusal(&name, error) }
        })?;
        let later = [
            (properties.retention != RetentionHours::MIN)
                .then_some(StreamChange::IncreaseRetention(properties.retention)),
            (properties.encryption_key.is_some())
                .then(|| StreamChange::EncryptionKey(properties.encryption_key.clone())),
            (!properties.shard_level_metrics.is_empty())
                .then(|| StreamChange::EnableMetrics(properties.shard_level_metrics.clone())),
            (properties.policy.is_some())
                .then(|| StreamChange::Policy(None, properties.policy.clone())),
        ];
        for change in later.into_iter().flatten() {
            self.change_stream(&name, change).await?;
        }
        Ok(())
    }

    async fn delete_stream(
        &self,
        name: &StreamName,
        with_consumers: bool,
    ) -> Result<(), AdministerError> {
        let call = self.client.delete_stream().stream_name(name.as_str());
        let call = call.enforce_consumer_deletion(with_consumers);
        call.send().await.map_err(|error| {
            let about_consumers = error
                .as_service_error()
                .filter(|error| error.is_resource_in_use_exception())
                .and_then(|error| error.meta().message())
                .is_some_and(|message| message.contains("consumers"));
            if about_consumers {
                AdministerError::HasConsumers(name.clone())
            } else {
                refusal(name, error)
            }
        })?;
        Ok(())
    }

    async fn list_streams(&self, owner: &StreamOwner) -> Result<Vec<StreamName>, AdministerError> {
        own(owner)?;
        let mut names: Vec<StreamName> = Vec::new();
        loop {
            let last = names.last().map(|name: &StreamName| name.as_str().to_owned());
            let call = self.client.list_streams().set_exclusive_start_stream_name(last);
            let page = call.send().await.map_err(refusal_about_all)?;
            for name in page.stream_names() {
                names.push(StreamName::new(name).map_err(strange)?);
            }
            if !page.has_more_streams() || page.stream_names().is_empty() {
                names.sort();
                return Ok(names);
            }
        }
    }

    async fn describe_stream(
        &self,
        name: &StreamName,
    ) -> Result<StreamDescription, AdministerError> {
        Ok(describe(&self.client, name).await?.stream)
    }

    async fn change_stream(
        &self,
        name: &StreamName,
        change: StreamChange,
    ) -> Result<StreamDescription, AdministerError> {
        change::make(&self.client, name, change).await?;
        self.describe_stream(name).await
    }

    async fn usage(&self, name: &StreamName) -> Result<Vec<ShardUsage>, AdministerError> {
        let Some(counters) = &self.counters else {
            return Err(AdministerError::Refused(
                "Amazon Kinesis has no counters by the shard; CloudWatch has sums by the minute"
                    .to_owned(),
            ));
        };
        let Described { arn, stream: shards } = describe(&self.client, name).await?;
        let usage = counters.read(name, &arn).await.map_err(AdministerError::Unavailable)?;
        let none =
            |shard| ShardUsage { shard, records_in: 0, bytes_in: 0, records_out: 0, bytes_out: 0 };
        let of = |id| usage.get(&id).copied().unwrap_or(none(id));
        Ok(shards.open_shards().map(|shard| of(shard.id)).collect())
    }

    async fn commitment(&self, owner: &StreamOwner) -> Result<BillingCommitment, AdministerError> {
        own(owner)?;
        let answer = self.client.describe_account_settings().send().await;
        let answer = answer.map_err(refusal_about_all)?;
        let Some(found) = answer.minimum_throughput_billing_commitment else {
            return Ok(BillingCommitment::default());
        };
        Ok(BillingCommitment {
            started: found.started_at().map(timestamp),
            ended: found.ended_at().map(timestamp),
        })
    }

    async fn commit_to(
        &self,
        owner: &StreamOwner,
        commitment: BillingCommitment,
    ) -> Result<(), AdministerError> {
        use types::MinimumThroughputBillingCommitmentInputStatus as Status;
        own(owner)?;
        let status = match (commitment.started, commitment.ended) {
            (Some(_), None) => Status::Enabled,
            _ => Status::Disabled,
        };
        let commitment = types::MinimumThroughputBillingCommitmentInput::builder();
        let commitment = commitment.status(status).build().map_err(strange)?;
        let call = self.client.update_account_settings();
        let call = call.minimum_throughput_billing_commitment(commitment);
        call.send().await.map_err(refusal_about_all)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
