//! The KCL's tables in DynamoDB, or at an endpoint that speaks its API: the leases; and, in version
//! 3, who leads and who lives, in tables beside it or, since 3.5, in rows among the leases.

mod expression;
mod item;
mod make;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_types::SdkConfig;
use baikonur_stream::{ShardId, Timestamp};
use tracing::warn;

use crate::lease::{Lease, WorkerId, Write};
use crate::table::{Coordination, LeaderLock, LeaseTable, TableError};
use expression::Expression;
use item::{LEASE_KEY, LEASE_OWNER, Row};

/// By owner; keys only (KCL 3).
const OWNER_INDEX: &str = "LeaseOwnerToLeaseKeyIndex";
/// Added to the table's name: who leads, and which version coordinates (KCL 3).
const COORDINATOR_STATE: &str = "CoordinatorState";
/// Added to the table's name: who lives (KCL 3).
const WORKER_METRICS: &str = "WorkerMetricStats";
/// The kind of a worker's row among the leases.
const METRICS_ROW: &str = "WORKER_METRIC_STATS";
/// The rows of the coordinator.
const LEADER: &str = "Leader";
const MIGRATION: &str = "Migration3.0";
/// How long a single attempt of a call may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// The tables of one application.
#[derive(Debug, Clone)]
pub struct DynamoDb {
    client: Client,
    table: String,
    /// The rows of the coordinator were found among the leases.
    is_single: Arc<AtomicBool>,
}

type Item = HashMap<String, AttributeValue>;

impl DynamoDb {
    /// The lease table of this name, in the region and with the credentials of `sdk`, at `endpoint`
    /// instead of Amazon's if there is one. Nothing is contacted yet.
    pub fn new(sdk: &SdkConfig, endpoint: Option<&str>, table: &str) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
        let mut config = aws_sdk_dynamodb::config::Builder::from(sdk).timeout_config(timeouts);
        if let Some(endpoint) = endpoint {
            config = config.endpoint_url(endpoint);
        }
        let client = Client::from_conf(config.build());
        Self { client, table: table.to_owned(), is_single: Arc::default() }
    }

    fn beside(&self, table: &str) -> String {
        format!("{}-{table}", self.table)
    }

    /// A row of the coordinator: in its own table, or, where an application has one table for all,
    /// among the leases.
    async fn coordinator_row(&self, key: &str) -> Result<Option<Item>, TableError> {
        let own = self.beside(COORDINATOR_STATE);
        for (table, attribute) in [(own.as_str(), "key"), (self.table.as_str(), LEASE_KEY)] {
            let call = self.client.get_item().table_name(table).consistent_read(true);
            match call.key(attribute, AttributeValue::S(key.to_owned())).send().await {
                Ok(answer) if answer.item.is_some() => {
                    self.is_single.store(table == self.table, Ordering::Relaxed);
                    return Ok(answer.item);
                }
                Ok(_) => {}
                Err(error) if is(&error, "ResourceNotFoundException") => {}
                Err(error) => return Err(told(&error)),
            }
        }
        Ok(None)
    }
}

fn is<E: ProvideErrorMetadata>(error: &SdkError<E>, exception: &str) -> bool {
    error.code() == Some(exception)
}

/// What went wrong, by the service's own words where there are some.
fn told<E>(error: &SdkError<E>) -> TableError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    if let Some(code) = error.code() {
        return TableError(format!("{code}: {}", error.message().unwrap_or_default()));
    }
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    TableError(last.to_string())
}

fn text<'i>(item: &'i Item, attribute: &str) -> Option<&'i str> {
    item.get(attribute)?.as_s().ok().map(String::as_str)
}

#[async_trait]
impl LeaseTable for DynamoDb {
    async fn make(&self) -> Result<(), TableError> {
        make::make(&self.client, &self.table).await
    }

    async fn scan(&self) -> Result<Vec<Lease>, TableError> {
        let call = self.client.scan().table_name(&self.table).consistent_read(true);
        let mut pages = call.into_paginator().send();
        let mut leases = Vec::new();
        while let Some(page) = pages.next().await {
            for item in page.map_err(|error| told(&error))?.items.unwrap_or_default() {
                match item::read(&item) {
                    Ok(Row::Lease(lease)) => leases.push(*lease),
                    Ok(Row::Other) => {}
                    // One bad row is no reason to give up the others.
                    Err(error) => warn!(table = %self.table, %error, "a row is left alone"),
                }
            }
        }
        Ok(leases)
    }

    async fn get(&self, shard: ShardId) -> Result<Option<Lease>, TableError> {
        let call = self.client.get_item().table_name(&self.table).consistent_read(true);
        let answer = call.key(LEASE_KEY, item::key(shard)).send().await;
        let Some(item) = answer.map_err(|error| told(&error))?.item else { return Ok(None) };
        match item::read(&item).map_err(TableError)? {
            Row::Lease(lease) => Ok(Some(*lease)),
            Row::Other => Ok(None),
        }
    }

    async fn write(&self, shard: ShardId, write: &Write) -> Result<bool, TableError> {
        let Expression { condition, update, names, values } = expression::of(write);
        let (names, values) = (Some(names), (!values.is_empty()).then_some(values));
        let error = match write {
            Write::Create(lease) => {
                let call = self.client.put_item().table_name(&self.table);
                let call = call.set_item(Some(item::item(lease))).condition_expression(condition);
                call.set_expression_attribute_names(names).send().await.err().map(refused)
            }
            Write::Delete { .. } => {
                let call = self.client.delete_item().table_name(&self.table);
                let call = call.key(LEASE_KEY, item::key(shard)).condition_expression(condition);
                let call = call.set_expression_attribute_names(names);
                let call = call.set_expression_attribute_values(values);
                call.send().await.err().map(refused)
            }
            _ => {
                let call = self.client.update_item().table_name(&self.table);
                let call = call.key(LEASE_KEY, item::key(shard)).condition_expression(condition);
                let call = call.update_expression(update).set_expression_attribute_names(names);
                let call = call.set_expression_attribute_values(values);
                call.send().await.err().map(refused)
            }
        };
        match error {
            None => Ok(true),
            Some(None) => Ok(false),
            Some(Some(error)) => Err(error),
        }
    }

    async fn owned_by(&self, worker: &WorkerId) -> Result<Vec<ShardId>, TableError> {
        let call = self.client.query().table_name(&self.table).index_name(OWNER_INDEX);
        let call = call
            .key_condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", LEASE_OWNER)
            .expression_attribute_values(":owner", AttributeValue::S(worker.to_string()));
        let mut pages = call.into_paginator().send();
        let mut shards = Vec::new();
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => shards.extend(page.items().iter().filter_map(item::shard)),
                // Tables of KCL 2 are without the index.
                Err(error) if is(&error, "ValidationException") => {
                    let leases = self.scan().await?.into_iter();
                    let mine = leases.filter(|lease| lease.owner.as_ref() == Some(worker));
                    return Ok(mine.map(|lease| lease.shard).collect());
                }
                Err(error) => return Err(told(&error)),
            }
        }
        Ok(shards)
    }

    async fn coordination(&self) -> Result<Coordination, TableError> {
        let Some(row) = self.coordinator_row(MIGRATION).await? else {
            return Ok(Coordination::default());
        };
        let version = text(&row, "cv").unwrap_or_default();
        let is_version_3 = version.starts_with("CLIENT_VERSION_3X");
        if !is_version_3 {
            return Ok(Coordination::default());
        }
        let leader = self.coordinator_row(LEADER).await?;
        let leader = leader.filter(|row| !row.contains_key("isReleased")).and_then(|row| {
            let millis = text(&row, "leaseDuration")?.parse().ok()?;
            let version = text(&row, "recordVersionNumber")?.to_owned();
            Some(LeaderLock { version, lease_duration: Duration::from_millis(millis) })
        });
        Ok(Coordination { is_version_3, leader })
    }

    async fn report(&self, worker: &WorkerId, now: Timestamp) -> Result<(), TableError> {
        let now = AttributeValue::N(now.seconds().to_string());
        let call = self.client.update_item().expression_attribute_values(":now", now);
        let call = call.expression_attribute_names("#lut", "lut");
        let worker = AttributeValue::S(worker.to_string());
        let beside =
            call.clone().table_name(self.beside(WORKER_METRICS)).key("wid", worker.clone());
        match beside.update_expression("SET #lut = :now").send().await {
            Ok(_) => return Ok(()),
            // Workers of this table have no leader, or their rows are among the leases.
            Err(error) if is(&error, "ResourceNotFoundException") => {}
            Err(error) => return Err(told(&error)),
        }
        if !self.is_single.load(Ordering::Relaxed) {
            return Ok(());
        }
        // `sup` 1: this worker knows that a table can have rows of several kinds.
        let among = call
            .table_name(&self.table)
            .key(LEASE_KEY, worker)
            .update_expression("SET #lut = :now, #slu = :now, #sup = :one, #type = :metrics")
            .expression_attribute_names("#slu", "slu")
            .expression_attribute_names("#sup", "sup")
            .expression_attribute_names("#type", item::ENTITY_TYPE)
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .expression_attribute_values(":metrics", AttributeValue::S(METRICS_ROW.to_owned()));
        among.send().await.map(drop).map_err(|error| told(&error))
    }
}

/// None when a condition was not met.
fn refused<E>(error: SdkError<E>) -> Option<TableError>
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    (!is(&error, "ConditionalCheckFailedException")).then(|| told(&error))
}
