//! Making the lease table as KCL 3 makes it: on demand, with the index by owner.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TableStatus,
};

use super::item::{LEASE_KEY, LEASE_OWNER};
use super::{OWNER_INDEX, is, told};
use crate::table::TableError;

/// Between two looks whether the table is there.
const POLL: Duration = Duration::from_millis(500);
/// A table is made within a minute; so many looks are more than that.
const POLLS: u32 = 300;

/// Makes the table unless it exists; returns when it is active.
pub(super) async fn make(client: &Client, table: &str) -> Result<(), TableError> {
    if status(client, table).await?.is_none() {
        let strange = |error: BuildError| TableError(error.to_string());
        let attribute = |name: &str| {
            let definition = AttributeDefinition::builder().attribute_name(name);
            definition.attribute_type(ScalarAttributeType::S).build().map_err(strange)
        };
        let key = |name: &str, kind: KeyType| {
            let element = KeySchemaElement::builder().attribute_name(name);
            element.key_type(kind).build().map_err(strange)
        };
        let keys_only = Projection::builder().projection_type(ProjectionType::KeysOnly).build();
        let index = GlobalSecondaryIndex::builder()
            .index_name(OWNER_INDEX)
            .key_schema(key(LEASE_OWNER, KeyType::Hash)?)
            .key_schema(key(LEASE_KEY, KeyType::Range)?)
            .projection(keys_only)
            .build()
            .map_err(strange)?;
        let call = client
            .create_table()
            .table_name(table)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute(LEASE_KEY)?)
            .attribute_definitions(attribute(LEASE_OWNER)?)
            .key_schema(key(LEASE_KEY, KeyType::Hash)?)
            .global_secondary_indexes(index);
        match call.send().await {
            Ok(_) => tracing::info!(table, "the lease table is made"),
            // Another worker was first.
            Err(error) if is(&error, "ResourceInUseException") => {}
            Err(error) => return Err(told(&error)),
        }
    }
    for _ in 0..POLLS {
        match status(client, table).await? {
            Some(TableStatus::Active | TableStatus::Updating) => return Ok(()),
            _ => tokio::time::sleep(POLL).await,
        }
    }
    Err(TableError(format!("table {table} is still being made")))
}

async fn status(client: &Client, table: &str) -> Result<Option<TableStatus>, TableError> {
    match client.describe_table().table_name(table).send().await {
        Ok(answer) => Ok(answer.table.and_then(|table| table.table_status)),
        Err(error) if is(&error, "ResourceNotFoundException") => Ok(None),
        Err(error) => Err(told(&error)),
    }
}
