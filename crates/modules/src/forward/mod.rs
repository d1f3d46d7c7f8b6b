//! Records into other streams: chosen by log type and filters, bytes, partition key and order kept.
//!
//! Each log event becomes a record: an aggregate or a CloudWatch Logs envelope is opened, gzip is
//! undone, since what is decoded once need not be decoded again behind the router. On request a
//! record gets a key made of its fields, or goes together with others of its key. What cannot be put
//! now is never dropped: the mapping hands it over again, from the first record that is not in every
//! target that it is for; a target that has it already does not get it again.
//!
//! With each put the target remembers, atomically, how far this module has come in the source shard,
//! or in a lane of it. After a crash between a put and the checkpoint the records come again and are
//! left out, also when the number of lanes was changed in between; what among them was rejected is
//! reported again. Targets that cannot remember get them twice.

mod aggregate;
mod encode;
mod key_template;
mod producer;
mod put_before;
mod routes;
mod send;
mod settings;
mod target;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use baikonur_stream::{
    Batch, Cause, Deliver, Delivery, Lane, Module, OpenError, Outcome, RejectedRecord,
    SequenceNumber, ShardAddress, Write,
};
use futures_util::future::join_all;

pub use key_template::{KeyTemplate, KeyTemplateError};
pub use producer::Producer;
pub use routes::Routes;
pub use settings::{Elsewhere, Settings, SettingsError, TargetSettings};

use crate::intake::{Intake, IntakeSettings, IntakeSettingsError, Rules, TakenPayload};
use encode::Encoding;
use send::Refused;
use target::{Course, Target};

/// The reason of events that a target stream is too small for: decompression can make them larger than a record.
pub const TOO_LARGE_FOR_STREAM: &str = "too_large_for_stream";
/// The reason of events that a target stream refused for something else.
pub const REFUSED_BY_STREAM: &str = "refused_by_stream";

/// Bytes of the largest record that any stream can be made to take (`MaxRecordSizeInKiB`).
const RECORD_BYTES_MAX: usize = 10 << 20;

/// The `kinesis-forward` module.
pub struct Forward {
    shared: Arc<Shared>,
}

/// What the deliveries of all shards have in common.
struct Shared {
    targets: Vec<Arc<Target>>,
    rules: Rules,
    intake: Arc<Intake>,
}

/// Settings that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// Those of the module.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Those of decoding, which rules need as well.
    #[error(transparent)]
    Intake(#[from] IntakeSettingsError),
}

impl Forward {
    /// A module that puts what `intake`, which is set up by `decoding`, takes into the streams that `settings` name;
    /// `write` opens each of them.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn new(
        settings: &Settings,
        decoding: &IntakeSettings,
        intake: Arc<Intake>,
        write: impl Fn(&TargetSettings) -> Arc<dyn Write>,
    ) -> Result<Self, ForwardError> {
        let targets = settings.targets()?;
        let rules = targets.iter().map(TargetSettings::rule).collect();
        let rules = Rules::new(decoding, rules, settings.first_target_only)?;
        let targets = targets.iter().map(|target| {
            Arc::new(Target {
                stream: target.target_stream_name.clone(),
                encoding: Encoding {
                    partition_key: target.partition_key.clone(),
                    aggregation: target.aggregation(),
                },
                write: write(target),
                is_here: target.elsewhere().is_none(),
                is_one_of_several: settings.has_list(),
            })
        });
        let targets = targets.collect();
        Ok(Self { shared: Arc::new(Shared { targets, rules, intake }) })
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
        let shared = Arc::clone(&self.shared);
        let mut courses = Vec::new();
        for target in &shared.targets {
            let whole = Producer::new(shared.intake.consumer(), shard);
            courses.push(target.open(shard, whole, lane).await?);
        }
        Ok(Box::new(Forwarding { shared, courses, shard_id: shard.shard.to_string() }))
    }

    fn resume_within(&self, shard: &ShardAddress, number: SequenceNumber, sub_sequence: u64) {
        self.shared.intake.resume_within(shard, number, sub_sequence);
    }
}

/// The delivery of one shard, or of one lane of it.
struct Forwarding {
    shared: Arc<Shared>,
    /// One for each target, in their order.
    courses: Vec<Course>,
    shard_id: String,
}

#[async_trait]
impl Deliver for Forwarding {
    async fn deliver(&mut self, batch: &Batch) -> Delivery {
        let shared = Arc::clone(&self.shared);
        let mut rejected = Vec::new();
        self.courses.iter_mut().for_each(Course::begin);
        for part in shared.intake.payload_parts(batch) {
            rejected.extend(part.rejected);
            let mut too_large = Vec::new();
            for taken in part.events {
                self.route(taken, &mut too_large);
            }
            rejected.extend(shared.intake.in_proportion(batch, too_large));
            // All at once: targets of one store share an fsync, and others are waited for once.
            join_all(self.courses.iter_mut().map(Course::put_full)).await;
            if self.courses.iter().any(|course| course.failed().is_some()) {
                break;
            }
        }
        join_all(self.courses.iter_mut().map(Course::put_rest)).await;
        let outcome = self.outcome();
        let behind = match &outcome {
            Outcome::Failed { from, .. } => *from,
            Outcome::Delivered | Outcome::Held(_) => batch.last().successor(),
        };
        let refused = self.courses.iter_mut().flat_map(|course| {
            let target = course.target().to_string();
            course.take_refused(behind).into_iter().map(move |refused| (target.clone(), refused))
        });
        let refused = refused.collect();
        rejected.extend(self.rejections(batch, refused));
        Delivery { outcome, rejected }
    }
}

impl Forwarding {
    fn route(&mut self, taken: TakenPayload, too_large: &mut Vec<RejectedRecord>) {
        let is_too_large = taken.payload.bytes.len() > RECORD_BYTES_MAX;
        let rules = &self.shared.rules;
        if rules.is_one_for_all() && !is_too_large {
            return self.courses[0].push(&taken);
        }
        let takers = rules.takers(&self.shard_id, &taken);
        if is_too_large && !takers.is_empty() {
            return too_large.push(rejected_for_size(taken));
        }
        takers.into_iter().for_each(|place| self.courses[place].push(&taken));
    }

    /// Where some target has not got everything, the batch failed from the first record that it lacks.
    fn outcome(&self) -> Outcome {
        let failed = self.courses.iter().filter_map(Course::failed);
        match failed.min_by_key(|failed| failed.from) {
            None => Outcome::Delivered,
            Some(first) => Outcome::Failed {
                from: first.from,
                cause: Cause::Destination,
                reason: first.reason.clone(),
            },
        }
    }

    /// What targets refused, as it was: taken out of the batch once more, since it is rare.
    fn rejections(&self, batch: &Batch, refused: Vec<(String, Refused)>) -> Vec<RejectedRecord> {
        if refused.is_empty() {
            return Vec::new();
        }
        let mut told: HashMap<_, (&'static str, Vec<String>)> = HashMap::new();
        for (target, Refused { origin, reason, told: why }) in refused {
            let (_, whys) = told.entry(origin).or_insert((reason, Vec::new()));
            whys.push(format!("{target} refused it: {why}"));
        }
        let intake = &self.shared.intake;
        let mut rejected = Vec::new();
        for taken in intake.payload_parts(batch).flat_map(|part| part.events) {
            let payload = &taken.payload;
            let origin = (taken.sequence_number, payload.sub_sequence, payload.event_index);
            if let Some((reason, whys)) = told.remove(&origin) {
                rejected.push(taken.rejected(reason, whys.join("; ")));
            }
        }
        intake.in_proportion(batch, rejected)
    }
}

fn rejected_for_size(taken: TakenPayload) -> RejectedRecord {
    let bytes = taken.payload.bytes.len();
    let detail = format!(
        "the event has {bytes} bytes, and a stream takes {RECORD_BYTES_MAX} at most (MaxRecordSizeInKiB)"
    );
    taken.rejected(TOO_LARGE_FOR_STREAM, detail)
}
