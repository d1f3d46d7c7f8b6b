//! The answer of `ReportBatchItemFailures`: where each shard has to be handed over again from.

use baikonur_stream::SequenceNumber;
use serde::Serialize;

/// What a function answers. Without failures the whole batch is done; with some, Lambda's mapping goes on at the lowest.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// One for each shard of which a record is not delivered.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// The first record of a shard that is not delivered; all behind it count as not delivered either.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// Its sequence number.
    pub item_identifier: SequenceNumber,
}

impl Answer {
    /// Notes where a shard has to be handed over again from.
    pub fn fail_from(&mut self, from: SequenceNumber) {
        self.batch_item_failures.push(BatchItemFailure { item_identifier: from });
    }
}
