//! Records to Fluentd, Fluent Bit or any other receiver of the Forward protocol, acknowledged.
//!
//! `settings` says where and how, `chunks` decides which events make a message and `encode` writes
//! it, `balance` says whose turn it is, `connect` makes a connection and `send` uses it. A message
//! counts as delivered when its acknowledgement is here. What was not acknowledged goes again over
//! a new connection, so a receiver may see a message twice: at least once, in order within a tag as
//! long as nothing breaks and one server takes it all.

mod answer;
mod balance;
mod chunks;
mod connect;
#[cfg(test)]
mod doubles;
mod encode;
mod endpoint;
mod failure;
#[cfg(test)]
mod faults;
mod fields;
mod handshake;
mod invalid;
#[cfg(test)]
mod secured;
mod send;
mod settings;
#[cfg(test)]
mod several;
mod tag;
mod tls;

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use baikonur_stream::{
    Batch, Cause, Clock, ConsumerName, Deliver, Delivery, Lane, Module, OpenError, Outcome,
    RejectedRecord, SequenceNumber, ShardAddress,
};
use metrics::{Counter, Histogram, counter, histogram};
use tracing::{info, warn};

pub use chunks::{Chunk, Chunker};
pub use encode::Encoder;
pub use endpoint::ServerSettings;
pub use invalid::InvalidSettings;
pub use settings::{Compression, RecordFormat, Settings, TimePrecision};
pub use tag::{TagTemplate, TagTemplateError};

use crate::intake::{Intake, TakenEvent};
use balance::{Choice, Servers};
use connect::{Connector, Resolve, SystemResolver};
use failure::{Failures, SendError};
use send::Connection;

/// The `kinesis-to-fluent` module.
pub struct ToFluent {
    shared: Arc<Shared>,
}

/// What the deliveries of all shards have in common.
struct Shared {
    settings: Settings,
    chunker: Chunker,
    servers: Servers,
    connector: Connector,
    intake: Arc<Intake>,
    clock: Arc<dyn Clock>,
    meters: Meters,
}

impl ToFluent {
    /// A module that sends what `intake` takes where `settings` say. Nothing is connected yet.
    ///
    /// # Errors
    /// The first setting that cannot work, or a file of TLS that cannot be used.
    pub fn new(
        settings: Settings,
        intake: Arc<Intake>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InvalidSettings> {
        Self::with_resolver(settings, intake, clock, Arc::new(SystemResolver))
    }

    fn with_resolver(
        settings: Settings,
        intake: Arc<Intake>,
        clock: Arc<dyn Clock>,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, InvalidSettings> {
        settings.check()?;
        let shared = Shared {
            chunker: Chunker::new(&settings, settings.tag_template()?),
            servers: Servers::new(&settings, settings.places()?),
            connector: Connector::new(&settings, resolver, Arc::clone(&clock))?,
            meters: Meters::new(intake.consumer()),
            settings,
            intake,
            clock,
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

#[async_trait]
impl Module for ToFluent {
    async fn open(&self, _shard: &ShardAddress) -> Result<Box<dyn Deliver>, OpenError> {
        let shared = Arc::clone(&self.shared);
        let connections = (0..shared.servers.count()).map(|_| None).collect();
        let encoder = Encoder::new(&shared.settings);
        Ok(Box::new(Delivering { shared, connections, encoder }))
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

/// The delivery of one shard, or of one lane of it, over connections of its own.
struct Delivering {
    shared: Arc<Shared>,
    /// To each server, where there is one.
    connections: Vec<Option<Connection>>,
    encoder: Encoder,
}

#[async_trait]
impl Deliver for Delivering {
    async fn deliver(&mut self, batch: &Batch) -> Delivery {
        let shared = Arc::clone(&self.shared);
        let mut rejected = Vec::new();
        for mut taken in shared.intake.parts(batch) {
            rejected.append(&mut taken.rejected);
            let mut waiting: VecDeque<_> =
                shared.chunker.chunks(&batch.shard, &taken.events).into();
            let mut refused = Vec::new();
            let mut failure = None;
            while let Err(failures) = self.send(&mut waiting, &taken.events).await {
                match waiting.pop_front_if(|chunk| shared.is_oversized(chunk)) {
                    // It was alone on its way, and the receiver cut it off, again and again. One that is silent or
                    // slow may be so for other reasons, and one that restarts cuts whatever is on its way.
                    Some(chunk)
                        if batch.attempt >= ATTEMPTS_BEFORE_TOO_LARGE
                            && matches!(failures.last(), Some(SendError::Lost { .. })) =>
                    {
                        refused.push(too_large(&taken.events[chunk.first_event()], &failures));
                    }
                    chunk => {
                        chunk.into_iter().for_each(|chunk| waiting.push_front(chunk));
                        failure = Some(failures);
                        break;
                    }
                }
            }
            rejected.extend(shared.intake.in_proportion(batch, refused));
            if let Some(failures) = failure {
                let unacknowledged = waiting.iter().map(|chunk| chunk.first(&taken.events)).min();
                let from = unacknowledged.unwrap_or_else(|| batch.first());
                // The others come again with their records.
                rejected.retain(|record| record.sequence_number < from);
                let (cause, reason) = (Cause::Destination, failures.to_string());
                return Delivery { outcome: Outcome::Failed { from, cause, reason }, rejected };
            }
        }
        Delivery { outcome: Outcome::Delivered, rejected }
    }
}

impl Delivering {
    /// Sends the chunks in `waiting` and leaves there those that were not acknowledged. A server
    /// that cannot be used is passed over; one that lost something on the way has used up an
    /// attempt of the first chunk that is left, and may be tried again.
    async fn send(
        &mut self,
        waiting: &mut VecDeque<Chunk>,
        events: &[TakenEvent],
    ) -> Result<(), Failures> {
        if waiting.is_empty() {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let started = shared.clock.monotonic();
        let (mut failures, mut tried, mut attempts) = (Failures::new(), Vec::new(), 0);
        while let Some(choice) = shared.servers.choose(shared.clock.monotonic(), &tried) {
            let kept = self.kept(choice);
            let (was_kept, left_before) = (kept.is_some(), waiting.len());
            let Err(error) = self.pass(choice, kept, waiting, events).await else {
                shared.note_success(choice);
                let took = shared.clock.monotonic().saturating_sub(started);
                shared.meters.acknowledged.record(took.as_secs_f64());
                return Ok(());
            };
            let was_there = error.is_of_a_receiver_that_is_there();
            // That a connection ended which was not used for a while is no sign of trouble.
            let was_stale = was_kept && matches!(error, SendError::Lost { .. });
            // An event that is too large says nothing of the server.
            let is_oversized = waiting.front().is_some_and(|chunk| shared.is_oversized(chunk));
            let is_its_fault = !(was_stale || was_there && is_oversized);
            if is_its_fault {
                shared.note_failure(choice, &error);
            }
            failures.push(error);
            if was_there {
                // An attempt that brought some of it across says nothing of what comes next.
                attempts = if waiting.len() < left_before { 0 } else { attempts };
                attempts += u32::from(!was_stale);
            } else {
                tried.push(choice);
            }
            if attempts == shared.settings.send_attempts {
                break;
            }
        }
        Err(failures)
    }

    /// The connection to a server that is still good, if there is one.
    fn kept(&mut self, choice: Choice) -> Option<Connection> {
        let keep_alive = self.shared.settings.keep_alive();
        self.connections[choice.0]
            .take()
            .and_then(|mut kept| kept.is_good(keep_alive).then_some(kept))
    }

    /// One attempt at one server, over the connection that was kept or a new one.
    async fn pass(
        &mut self,
        choice: Choice,
        kept: Option<Connection>,
        waiting: &mut VecDeque<Chunk>,
        events: &[TakenEvent],
    ) -> Result<(), SendError> {
        let mut connection = match kept {
            Some(kept) => kept,
            None => self.connect(choice).await?,
        };
        let mut on_their_way = 0;
        let result = loop {
            if on_their_way == 0 && connection.is_used_up() {
                connection = match self.connect(choice).await {
                    Ok(connection) => connection,
                    Err(error) => break Err(error),
                };
            }
            let all_sent = on_their_way == waiting.len();
            // An event that a receiver may not take goes alone, so that nothing else is lost with it, and so that it is
            // known which one it was.
            let oversized = |place: usize| {
                waiting.get(place).is_some_and(|chunk| self.shared.is_oversized(chunk))
            };
            let alone = on_their_way > 0 && (oversized(0) || oversized(on_their_way));
            let step = if all_sent || alone || on_their_way >= connection.window() {
                settle(&mut connection, waiting, &mut on_their_way).await
            } else {
                let message = self.encoder.message(&waiting[on_their_way], events);
                on_their_way += 1;
                self.shared.meters.sent.increment(1);
                connection.send(message).await
            };
            if step.is_err() || waiting.is_empty() {
                break step;
            }
        };
        match result {
            Ok(()) => self.connections[choice.0] = Some(connection),
            Err(_) => self.shared.meters.missing.increment(on_their_way as u64),
        }
        result
    }

    async fn connect(&self, choice: Choice) -> Result<Connection, SendError> {
        self.shared.connector.open(self.shared.servers.endpoint(choice)).await
    }
}

/// Takes the chunk of the next acknowledgement off those on their way, the first in `waiting`.
async fn settle(
    connection: &mut Connection,
    waiting: &mut VecDeque<Chunk>,
    on_their_way: &mut usize,
) -> Result<(), SendError> {
    let sent = *on_their_way;
    let place_of = |id: &str| waiting.iter().take(sent).position(|chunk| chunk.id == id);
    let place = connection.acknowledged(place_of).await?;
    waiting.remove(place);
    *on_their_way -= 1;
    Ok(())
}

/// A batch comes this often in vain before an event in it counts as too large.
const ATTEMPTS_BEFORE_TOO_LARGE: u32 = 2;

/// The reason of events that are larger than `chunk_bytes` and that the receiver cuts the connection at, each time.
pub const TOO_LARGE_FOR_RECEIVER: &str = "too_large_for_receiver";

fn too_large(taken: &TakenEvent, failures: &Failures) -> RejectedRecord {
    let detail = format!(
        "{failures}; the event has {} bytes, more than `chunk_bytes`, and the receiver may have a limit",
        taken.event.json.len()
    );
    taken.rejected(TOO_LARGE_FOR_RECEIVER, detail)
}

impl Shared {
    fn is_oversized(&self, chunk: &Chunk) -> bool {
        chunk.is_oversized(self.settings.chunk_bytes)
    }

    fn note_failure(&self, choice: Choice, error: &SendError) {
        let wait = self.servers.failed(choice, self.clock.monotonic()).as_secs();
        let (module, server) = (self.intake.consumer(), self.servers.endpoint(choice));
        let labels = [("module", module.to_string()), ("server", server.to_string())];
        counter!("baikonur_to_fluent_server_failures_total", &labels).increment(1);
        // With one server the mapping tells it, and waits as it does for any destination.
        if self.servers.count() > 1 {
            warn!(%module, %server, %error, "left out for {wait} s");
        }
    }

    fn note_success(&self, choice: Choice) {
        if self.servers.worked(choice) && self.servers.count() > 1 {
            let (module, server) = (self.intake.consumer(), self.servers.endpoint(choice));
            info!(%module, %server, "takes messages again");
        }
    }
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
