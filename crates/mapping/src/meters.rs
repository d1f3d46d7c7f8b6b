//! What one shard's delivery tells the metrics, beside AWS Lambda's names for the same numbers.

use std::time::Duration;

use baikonur_stream::{Batch, Clock, ConsumerName, FailedBatch, Outcome, Record, ShardAddress};
use metrics::{Counter, Gauge, Histogram, counter, describe_counter, gauge, histogram};

/// The meters of a shard; its lanes add up in the same ones.
pub(crate) struct Meters {
    labels: [(&'static str, String); 3],
    /// `PolledEventCount`.
    pub(crate) polled: Counter,
    /// `InvokedEventCount`.
    invoked: Counter,
    /// `FailedInvokeEventCount`.
    failed_invoke: Counter,
    delivered_records: Counter,
    delivered_bytes: Counter,
    pub(crate) retries: Counter,
    /// Ranges that gave other objects after a restart than were announced before it.
    pub(crate) changed_repetitions: Counter,
    pub(crate) iterator_age: Gauge,
    batch: Histogram,
}

/// Registers the help texts of those that Lambda has too.
pub(crate) fn describe() {
    describe_counter!(
        "baikonur_polled_records_total",
        "Records read from the stream (PolledEventCount)"
    );
    describe_counter!(
        "baikonur_invoked_records_total",
        "Records handed to the module, retries counted again (InvokedEventCount)"
    );
    describe_counter!(
        "baikonur_failed_invoke_records_total",
        "Records handed to the module that it did not take (FailedInvokeEventCount)"
    );
}

impl Meters {
    pub(crate) fn new(consumer: &ConsumerName, shard: &ShardAddress) -> Self {
        let labels = [
            ("module", consumer.to_string()),
            ("stream", shard.stream.to_string()),
            ("shard", shard.shard.to_string()),
        ];
        Self {
            polled: counter!("baikonur_polled_records_total", &labels),
            invoked: counter!("baikonur_invoked_records_total", &labels),
            failed_invoke: counter!("baikonur_failed_invoke_records_total", &labels),
            delivered_records: counter!("baikonur_delivered_records_total", &labels),
            delivered_bytes: counter!("baikonur_delivered_bytes_total", &labels),
            retries: counter!("baikonur_retries_total", &labels),
            changed_repetitions: counter!("baikonur_changed_repetitions_total", &labels),
            iterator_age: gauge!("baikonur_iterator_age_seconds", &labels),
            batch: histogram!("baikonur_batch_seconds", "module" => consumer.to_string()),
            labels,
        }
    }

    /// The module was busy since `started`.
    pub(crate) fn took(&self, clock: &dyn Clock, started: Duration) {
        self.batch.record(clock.monotonic().saturating_sub(started).as_secs_f64());
    }

    /// The module answered for `batch`.
    pub(crate) fn answered(&self, batch: &Batch, outcome: &Outcome) {
        let all = batch.records.len();
        let taken = match outcome {
            Outcome::Failed { from, .. } => batch.records_before(*from),
            Outcome::Delivered | Outcome::Held(_) => all,
        };
        self.invoked.increment(all as u64);
        self.failed_invoke.increment((all - taken) as u64);
        self.delivered_records.increment(taken as u64);
        let bytes: usize = batch.records[..taken].iter().map(Record::size).sum();
        self.delivered_bytes.increment(bytes as u64);
    }

    /// The failed store has taken `batch`.
    pub(crate) fn kept(&self, batch: &FailedBatch) {
        for record in &batch.records {
            let [module, stream, shard] = self.labels.clone();
            let labels = [module, stream, shard, ("reason", record.reason.clone())];
            counter!("baikonur_failed_records_total", &labels).increment(1);
        }
    }
}
