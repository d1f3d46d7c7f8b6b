//! One invocation: batches to the module, what cannot be delivered into the failed store, and the answer in time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use baikonur_stream::{
    Batch, Clock, Close, ConsumerName, Deliver, Delivery, FailedBatch, FailedRecord, FailedStore,
    Module, Outcome, RejectedRecord, SequenceNumber, ShardAddress,
};
use tracing::{error, warn};

use crate::answer::Answer;
use crate::event::{InvalidEvent, KinesisEvent};

/// Records that are handed to a module at once, so that a function that runs out of time, or whose destination
/// refuses some, answers with little that was delivered: as many as a call of PutRecords takes.
const PART_RECORDS: usize = 500;

/// A module in a Lambda function, from its first invocation to its last.
pub struct Function {
    /// Whose rejected records they are in the failed store: the name of the function.
    pub consumer: ConsumerName,
    /// What is done with records.
    pub module: Arc<dyn Module>,
    /// Where rejected records go.
    pub failed_store: Arc<dyn FailedStore>,
    /// For the time that is left.
    pub clock: Arc<dyn Clock>,
    /// Deliveries stay open between invocations, with their connections.
    pub(crate) open: HashMap<ShardAddress, Box<dyn Deliver>>,
}

/// Deliveries that stay open. A function sees few shards: more of them than it runs copies, and not all.
const OPEN_MAX: usize = 64;

impl Function {
    /// A function that has not been invoked yet.
    pub fn new(
        consumer: ConsumerName,
        module: Arc<dyn Module>,
        failed_store: Arc<dyn FailedStore>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { consumer, module, failed_store, clock, open: HashMap::new() }
    }

    /// Delivers an event within `patience`: what is not delivered by then is in the answer, so that Lambda does not end
    /// the function in the middle and hand over all of it again.
    ///
    /// # Errors
    /// An event that no mapping to a Kinesis stream makes.
    pub async fn invoke(
        &mut self,
        event: KinesisEvent,
        patience: Duration,
    ) -> Result<Answer, InvalidEvent> {
        let batches = event.batches()?;
        let until = self.clock.monotonic() + patience;
        let mut answer = Answer::default();
        for batch in batches {
            let shard = batch.shard.clone();
            if self.open.len() >= OPEN_MAX {
                self.open.clear();
            }
            // Out of the map: what fails or is given up in the middle is opened anew.
            let mut deliver = match self.open.remove(&shard) {
                Some(deliver) => deliver,
                None => match self.in_time(until, self.module.open(&shard)).await {
                    Some(Ok(deliver)) => deliver,
                    Some(Err(why)) => {
                        error!(%shard, %why, "the module cannot be opened");
                        answer.fail_from(batch.first());
                        continue;
                    }
                    None => {
                        warn!(%shard, "no time was left to open the module");
                        answer.fail_from(batch.first());
                        continue;
                    }
                },
            };
            match self.deliver(&mut *deliver, batch, until).await {
                None => {
                    self.open.insert(shard, deliver);
                }
                Some(from) => answer.fail_from(from),
            }
        }
        Ok(answer)
    }

    /// Delivers a shard's records; gives the first that has to come again.
    async fn deliver(
        &self,
        deliver: &mut dyn Deliver,
        batch: Batch,
        until: Duration,
    ) -> Option<SequenceNumber> {
        let shard = batch.shard.clone();
        let mut progress = Progress::default();
        let mut records = batch.records.into_iter();
        loop {
            let part: Vec<_> = records.by_ref().take(PART_RECORDS).collect();
            if part.is_empty() {
                break;
            }
            let part = Batch { shard: shard.clone(), records: part, attempt: 0 };
            let Some(delivery) = self.in_time(until, deliver.deliver(&part)).await else {
                warn!(%shard, from = %part.first(), "no time is left: the rest has to come again");
                // What is held cannot be written any more either, and goes with the delivery.
                progress.failed = Some(progress.held_from.take().unwrap_or(part.first()));
                break;
            };
            let closes = progress.note(&shard, &part, delivery);
            if closes && let Some(from) = self.close(&shard, deliver, &mut progress, until).await {
                return Some(from);
            }
            if progress.failed.is_some() {
                break;
            }
        }
        if let Some(from) = self.close(&shard, deliver, &mut progress, until).await {
            return Some(from);
        }
        let unkept = self.keep(&shard, progress.rejected_before_failure(), until).await;
        // The lowest counts: Lambda's mapping goes on there.
        [progress.failed, unkept].into_iter().flatten().min()
    }

    /// Writes what is held; gives where to go on if that cannot be.
    ///
    /// What was rejected meanwhile is kept first: if it came again after the objects were written, the range would begin
    /// later, and the same records would be written into other objects.
    async fn close(
        &self,
        shard: &ShardAddress,
        deliver: &mut dyn Deliver,
        progress: &mut Progress,
        until: Duration,
    ) -> Option<SequenceNumber> {
        let from = progress.held_from.take()?;
        let unkept = self.keep(shard, progress.rejected_before_failure(), until).await;
        if let Some(unkept) = unkept {
            return Some(unkept.min(from));
        }
        match self.in_time(until, deliver.close()).await {
            Some(Delivery { outcome: Outcome::Failed { reason, .. }, .. }) => {
                warn!(%shard, %from, reason, "objects were not written: their records have to come again");
                Some(from)
            }
            Some(Delivery { rejected, .. }) => {
                progress.rejected.extend(rejected);
                None
            }
            None => {
                warn!(%shard, %from, "no time was left to write objects: their records have to come again");
                Some(from)
            }
        }
    }

    /// Puts rejected records into the failed store; gives the first of them if it does not take them.
    async fn keep(
        &self,
        shard: &ShardAddress,
        rejected: Vec<RejectedRecord>,
        until: Duration,
    ) -> Option<SequenceNumber> {
        let first = rejected.iter().map(|record| record.sequence_number).min()?;
        let records = rejected.into_iter().map(FailedRecord::from).collect();
        let batch = FailedBatch { consumer: self.consumer.clone(), shard: shard.clone(), records };
        match self.in_time(until, self.failed_store.keep(&batch)).await {
            Some(Ok(())) => None,
            Some(Err(why)) => {
                error!(%shard, %why, "rejected records cannot be kept: they have to come again");
                Some(first)
            }
            None => {
                warn!(%shard, "no time was left to keep rejected records: they have to come again");
                Some(first)
            }
        }
    }

    async fn in_time<T>(&self, until: Duration, work: impl Future<Output = T>) -> Option<T> {
        let left = until.saturating_sub(self.clock.monotonic());
        tokio::time::timeout(left, work).await.ok()
    }
}

/// What became of a shard's records so far.
#[derive(Default)]
struct Progress {
    failed: Option<SequenceNumber>,
    /// The first record of what is held.
    held_from: Option<SequenceNumber>,
    rejected: Vec<RejectedRecord>,
}

impl Progress {
    /// Notes what became of a part; says whether what is held is to be written now.
    fn note(&mut self, shard: &ShardAddress, part: &Batch, delivery: Delivery) -> bool {
        self.rejected.extend(delivery.rejected);
        match delivery.outcome {
            Outcome::Delivered => false,
            Outcome::Held(close) => {
                self.held_from.get_or_insert(part.first());
                matches!(close, Close::Now)
            }
            Outcome::Failed { from, reason, .. } => {
                let before = part.records_before(from);
                let from = part.records[before].sequence_number;
                warn!(%shard, %from, reason, "records were not delivered and have to come again");
                self.failed = Some(from);
                // What came before it in this part may be held.
                if before > 0 {
                    self.held_from.get_or_insert(part.first());
                }
                false
            }
        }
    }

    /// Those that come again are rejected again then.
    fn rejected_before_failure(&mut self) -> Vec<RejectedRecord> {
        let mut rejected = std::mem::take(&mut self.rejected);
        if let Some(from) = self.failed {
            rejected.retain(|record| record.sequence_number < from);
        }
        rejected.sort_by_key(|record| {
            (record.sequence_number, record.sub_sequence, record.event_index)
        });
        rejected
    }
}

#[cfg(test)]
mod tests;
