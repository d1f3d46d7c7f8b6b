//! Records to Fluentd, Fluent Bit or any other receiver of the Forward protocol, acknowledged.
//!
//! `settings` says where and how, `encode` decides which events make a message and writes it,
//! `send` keeps a connection. A message counts as delivered when its acknowledgement is here. What
//! was not acknowledged goes again over a new connection, so the receiver may see a message twice:
//! at least once, in order within a tag as long as nothing breaks.

#[cfg(test)]
mod doubles;
mod encode;
#[cfg(test)]
mod faults;
mod send;
mod settings;

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use baikonur_stream::{
    Batch, Cause, Clock, ConsumerName, Deliver, Delivery, Lane, Module, OpenError, Outcome,
    RejectedRecord, SequenceNumber, ShardAddress,
};
use metrics::{Counter, Histogram, counter, histogram};

pub use encode::{Chunk, chunks, tag};
pub use settings::{InvalidSettings, Settings, TimePrecision};

use crate::intake::{Intake, TakenEvent};
use send::{Connection, SendError};
use settings::Endpoint;

/// Messages that may be on their way without an acknowledgement: so few that all of them fit into
/// the connection's buffers, and neither side waits for the other to read.
const UNACKNOWLEDGED_MAX: usize = 64;

/// The `kinesis-to-fluent` module.
pub struct ToFluent {
    shared: Arc<Shared>,
}

/// What the deliveries of all shards have in common.
struct Shared {
    settings: Settings,
    endpoint: Endpoint,
    intake: Arc<Intake>,
    clock: Arc<dyn Clock>,
    meters: Meters,
}

impl ToFluent {
    /// A module that sends what `intake` takes where `settings` say. Nothing is connected yet.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn new(
        settings: Settings,
        intake: Arc<Intake>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InvalidSettings> {
        settings.check()?;
        let endpoint = settings.endpoint()?;
        let meters = Meters::new(intake.consumer());
        Ok(Self { shared: Arc::new(Shared { settings, endpoint, intake, clock, meters }) })
    }
}

#[async_trait]
impl Module for ToFluent {
    async fn open(&self, _shard: &ShardAddress) -> Result<Box<dyn Deliver>, OpenError> {
        let shared = self.shared.clone();
        Ok(Box::new(Delivering { shared, connection: None, message: Vec::new() }))
    }

    fn resume_within(&self, shard: &ShardAddress, number: SequenceNumber, sub_sequence: u64) {
        self.shared.intake.resume_within(shard, number, sub_sequence);
    }

    async fn open_lane(
        &self,
        shard: &ShardAddress,
        _lane: Lane,
    ) -> Result<Box<dyn Deliver>, OpenError> {
        self.open(shard).await
    }
}

/// The delivery of one shard, or of one lane of it, over a connection of its own.
struct Delivering {
    shared: Arc<Shared>,
    connection: Option<Connection>,
    /// The message being sent; its memory is used again.
    message: Vec<u8>,
}

#[async_trait]
impl Deliver for Delivering {
    async fn deliver(&mut self, batch: &Batch) -> Delivery {
        let shared = self.shared.clone();
        let mut rejected = Vec::new();
        for mut taken in shared.intake.parts(batch) {
            rejected.append(&mut taken.rejected);
            let mut waiting: VecDeque<_> =
                chunks(&shared.settings, &batch.shard, &taken.events).into();
            let mut refused = Vec::new();
            let mut failure = None;
            while let Err(error) = self.send(&mut waiting, &taken.events).await {
                let oversized = |chunk: &mut Chunk| chunk.is_oversized(&shared.settings);
                match waiting.pop_front_if(oversized) {
                    // It was alone on its way, and the receiver was there.
                    Some(chunk) if error.is_of_a_receiver_that_is_there() => {
                        refused.push(too_large(&taken.events[chunk.first_event()], &error));
                    }
                    chunk => {
                        chunk.into_iter().for_each(|chunk| waiting.push_front(chunk));
                        failure = Some(error);
                        break;
                    }
                }
            }
            rejected.extend(shared.intake.in_proportion(batch, refused));
            if let Some(error) = failure {
                let unacknowledged = waiting.iter().map(|chunk| chunk.first(&taken.events)).min();
                let from = unacknowledged.unwrap_or_else(|| batch.first());
                // The others come again with their records.
                rejected.retain(|record| record.sequence_number < from);
                let (cause, reason) = (Cause::Destination, error.to_string());
                return Delivery { outcome: Outcome::Failed { from, cause, reason }, rejected };
            }
        }
        Delivery { outcome: Outcome::Delivered, rejected }
    }
}

impl Delivering {
    /// Sends the chunks in `waiting` and leaves there those that were not acknowledged.
    async fn send(
        &mut self,
        waiting: &mut VecDeque<Chunk>,
        events: &[TakenEvent],
    ) -> Result<(), SendError> {
        let shared = self.shared.clone();
        let started = shared.clock.monotonic();
        let mut attempt = 1;
        while let Err(error) = self.pass(waiting, events).await {
            if attempt == shared.settings.send_attempts
                || matches!(error, SendError::Unreachable { .. })
            {
                return Err(error);
            }
            attempt += 1;
        }
        let took = shared.clock.monotonic().saturating_sub(started);
        shared.meters.acknowledged.record(took.as_secs_f64());
        Ok(())
    }

    /// One attempt, over the connection that there is or a new one.
    async fn pass(
        &mut self,
        waiting: &mut VecDeque<Chunk>,
        events: &[TakenEvent],
    ) -> Result<(), SendError> {
        if waiting.is_empty() {
            return Ok(());
        }
        let shared = &self.shared;
        let open = self.connection.take().and_then(|mut open| open.is_open().then_some(open));
        let mut connection = match open {
            Some(connection) => connection,
            None => Connection::open(&shared.settings, &shared.endpoint).await?,
        };
        let mut on_their_way = 0;
        let result = loop {
            let all_sent = on_their_way == waiting.len();
            // An event that a receiver may not take goes alone, so that nothing else is lost with it, and so that it is
            // known which one it was.
            let oversized = |place: usize| {
                waiting.get(place).is_some_and(|chunk| chunk.is_oversized(&shared.settings))
            };
            let alone = on_their_way > 0 && (oversized(0) || oversized(on_their_way));
            let step = if all_sent || alone || on_their_way == UNACKNOWLEDGED_MAX {
                settle(&mut connection, waiting, &mut on_their_way).await
            } else {
                self.message.clear();
                let time_precision = shared.settings.time_precision;
                waiting[on_their_way].append(events, time_precision, &mut self.message);
                on_their_way += 1;
                shared.meters.sent.increment(1);
                connection.send(&self.message).await
            };
            if step.is_err() || waiting.is_empty() {
                break step;
            }
        };
        // One large message must not hold its memory for ever.
        self.message.shrink_to(2 * shared.settings.chunk_bytes);
        match result {
            Ok(()) => self.connection = Some(connection),
            Err(_) => shared.meters.missing.increment(on_their_way as u64),
        }
        result
    }
}

/// Takes the chunk of the next acknowledgement off those on their way, the first in `waiting`.
async fn settle(
    connection: &mut Connection,
    waiting: &mut VecDeque<Chunk>,
    on_their_way: &mut usize,
) -> Result<(), SendError> {
    let id = connection.acknowledged().await?;
    // An id that is not ours tells nothing.
    if let Some(place) = waiting.iter().take(*on_their_way).position(|chunk| chunk.id == id) {
        waiting.remove(place);
        *on_their_way -= 1;
    }
    Ok(())
}

/// The reason of events that are larger than `chunk_bytes` and that no attempt got an acknowledgement for.
pub const TOO_LARGE_FOR_RECEIVER: &str = "too_large_for_receiver";

fn too_large(taken: &TakenEvent, error: &SendError) -> RejectedRecord {
    let detail = format!(
        "{error}; the event has {} bytes, more than `chunk_bytes`, and the receiver may have a limit",
        taken.event.json.len()
    );
    taken.rejected(TOO_LARGE_FOR_RECEIVER, detail)
}

struct Meters {
    sent: Counter,
    missing: Counter,
    acknowledged: Histogram,
}

impl Meters {
    fn new(consumer: &ConsumerName) -> Self {
        let module = consumer.to_string();
        Self {
            sent: counter!("baikonur_to_fluent_chunks_total", "module" => module.clone()),
            missing: counter!("baikonur_to_fluent_acks_missing_total", "module" => module.clone()),
            acknowledged: histogram!("baikonur_to_fluent_ack_seconds", "module" => module),
        }
    }
}
