//! Records into another stream: chosen by log type, bytes, partition key and order kept.
//!
//! Each log event becomes a record: an aggregate or a CloudWatch Logs envelope is opened, gzip is
//! undone, since what is decoded once need not be decoded again behind the router. What cannot be
//! put now is never dropped: the mapping hands it over again, from the first record that is not in
//! the target.
//!
//! With each put the target remembers, atomically, how far this module has come in the source shard,
//! or in a lane of it. After a crash between a put and the checkpoint the records come again and are
//! left out, also when the number of lanes was changed in between; what among them was rejected is
//! reported again. Targets that cannot remember get them twice.

mod encode;
mod put_before;
mod send;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use baikonur_stream::{
    Batch, Cause, Deliver, Delivery, Lane, Module, OpenError, Outcome, RejectedRecord,
    SequenceNumber, ShardAddress, StreamName, Write,
};

pub use encode::{REFUSED_BY_STREAM, TOO_LARGE_FOR_STREAM};
pub use settings::Settings;

use crate::intake::{Intake, Taken, TakenPayload};
use put_before::PutBefore;
use send::{NotPut, Refused};

/// The `kinesis-forward` module.
pub struct Forward {
    shared: Arc<Shared>,
}

/// What the deliveries of all shards have in common.
struct Shared {
    target: StreamName,
    intake: Arc<Intake>,
    write: Arc<dyn Write>,
}

impl Forward {
    /// A module that puts what `intake` takes into the stream that `settings` name.
    pub fn new(settings: Settings, intake: Arc<Intake>, write: Arc<dyn Write>) -> Self {
        let shared = Shared { target: settings.target_stream_name, intake, write };
        Self { shared: Arc::new(shared) }
    }
}

#[async_trait]
impl Module for Forward {
    async fn open(&self, shard: &ShardAddress) -> Result<Box<dyn Deliver>, OpenError> {
        self.open_lane(shard, Lane::WHOLE).await
    }

    async fn open_lane(
        &self,
        shard: &ShardAddress,
        lane: Lane,
    ) -> Result<Box<dyn Deliver>, OpenError> {
        let Shared { target, intake, write } = &*self.shared;
        if shard.stream == *target {
            return Err(OpenError(format!(
                "{target} would be forwarded to itself: target_stream_name must be another stream"
            )));
        }
        let whole = format!("{}/{shard}", intake.consumer());
        let put_before = PutBefore::load(&**write, &whole).await.map_err(|error| {
            OpenError(format!("how far {whole} has put into {target} is not known: {error}"))
        })?;
        let producer = put_before::producer(&whole, lane);
        Ok(Box::new(Forwarding { shared: self.shared.clone(), producer, put_before }))
    }

    fn resume_within(&self, shard: &ShardAddress, number: SequenceNumber, sub_sequence: u64) {
        self.shared.intake.resume_within(shard, number, sub_sequence);
    }
}

/// The delivery of one shard, or of one lane of it.
struct Forwarding {
    shared: Arc<Shared>,
    producer: String,
    /// What earlier deliveries of this shard have put.
    put_before: PutBefore,
}

#[async_trait]
impl Deliver for Forwarding {
    async fn deliver(&mut self, batch: &Batch) -> Delivery {
        let (mut rejected, mut refused) = (Vec::new(), Vec::new());
        let mut failed = None;
        for part in self.shared.intake.payload_parts(batch) {
            failed = self.put(batch, part, &mut rejected, &mut refused).await;
            if failed.is_some() {
                break;
            }
        }
        rejected.extend(self.rejections(batch, refused));
        let outcome = match failed {
            None => Outcome::Delivered,
            Some(NotPut { from, reason }) => {
                Outcome::Failed { from, cause: Cause::Destination, reason }
            }
        };
        Delivery { outcome, rejected }
    }
}

impl Forwarding {
    async fn put(
        &self,
        batch: &Batch,
        part: Taken<TakenPayload>,
        rejected: &mut Vec<RejectedRecord>,
        refused: &mut Vec<Refused>,
    ) -> Option<NotPut> {
        let Shared { target, write, intake } = &*self.shared;
        rejected.extend(part.rejected);
        let mut too_large = Vec::new();
        let puts = encode::puts(part.events, &self.put_before, &mut too_large);
        rejected.extend(intake.in_proportion(batch, too_large));
        for put in puts {
            let sent = send::send(&**write, target, &self.producer, put).await;
            refused.extend(sent.refused);
            if sent.failed.is_some() {
                return sent.failed;
            }
        }
        None
    }

    /// What the target refused, as it was: taken out of the batch once more, since it is rare.
    fn rejections(&self, batch: &Batch, refused: Vec<Refused>) -> Vec<RejectedRecord> {
        if refused.is_empty() {
            return Vec::new();
        }
        let intake = &self.shared.intake;
        let mut told: HashMap<_, _> =
            refused.into_iter().map(|one| ((one.source, one.place), one.told)).collect();
        let mut rejected = Vec::new();
        for taken in intake.payload_parts(batch).flat_map(|part| part.events) {
            let place = (taken.payload.sub_sequence, taken.payload.event_index);
            if let Some(told) = told.remove(&(taken.sequence_number, place)) {
                let detail = format!("{} refused it: {told}", self.shared.target);
                rejected.push(taken.rejected(REFUSED_BY_STREAM, detail));
            }
        }
        intake.in_proportion(batch, rejected)
    }
}
