//! Records into daily indices or data streams of Elasticsearch or OpenSearch, by the bulk API.
//!
//! `settings` says where and how, `index_names` and `encode` make requests, `send` makes one of
//! them and tells failures of the whole apart, `answer` judges document by document, `aside` keeps those whose index is closed, `templates`
//! installs what is asked for before the first of them. What only the cluster's load keeps out is
//! sent again, and nothing beside it; what the cluster refuses is rejected with its reason. A
//! document's id is a function of the record, so that a batch that comes again overwrites itself.

mod answer;
mod aside;
mod bisect;
#[cfg(test)]
mod doubles;
mod encode;
#[cfg(test)]
mod faults;
mod index_names;
mod send;
mod settings;
mod templates;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baikonur_stream::{
    Batch, Cause, Clock, ConsumerName, Deliver, Delivery, Lane, Module, OpenError, Outcome,
    RejectedRecord, SequenceNumber, ShardAddress,
};
use metrics::{Counter, Histogram, counter, histogram};
use serde_json::{Map, Value};
use tokio::sync::OnceCell;
use tracing::{info, warn};

pub use encode::{Bulk, Bulks, document_id};
pub use index_names::index_name;
pub use settings::{DocumentId, InvalidSettings, Settings, WriteTo};

use crate::cluster::{Amazon, Client, Flavour, Found, Server};
use crate::intake::{Intake, TakenEvent};
use answer::{Answer, Verdict};
use aside::Aside;
use bisect::Bisect;
use send::{BulkApi, SendError};

/// The reason of records that the cluster will never take.
pub const REFUSED_BY_ELASTICSEARCH: &str = "refused_by_elasticsearch";

/// Pauses before busy documents are sent again: at most this long at first, doubling.
const PAUSE_INITIAL: Duration = Duration::from_millis(200);
/// The bound on a pause stops growing here.
const PAUSE_MAXIMUM: Duration = Duration::from_secs(10);

/// The `kinesis-to-es` module.
pub struct ToElasticsearch {
    shared: Arc<Shared>,
}

/// What the deliveries of all shards have in common.
struct Shared {
    settings: Settings,
    intake: Arc<Intake>,
    clock: Arc<dyn Clock>,
    client: Client,
    bulks: BulkApi,
    /// The user's own part of the index template.
    template: Map<String, Value>,
    /// Set once the cluster is known and has what is to be installed.
    prepared: OnceCell<()>,
    meters: Meters,
}

impl ToElasticsearch {
    /// A module that puts what `intake` takes where `settings` say; `amazon` is asked for credentials where requests
    /// are to be signed. Nothing is sent yet.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn new(
        settings: Settings,
        intake: Arc<Intake>,
        clock: Arc<dyn Clock>,
        amazon: Option<Arc<dyn Amazon>>,
    ) -> Result<Self, InvalidSettings> {
        settings.check()?;
        let client = Client::new(&settings.cluster, amazon, Arc::clone(&clock))?;
        let (bulks, template) = (BulkApi::new(&settings, &client), settings.template()?);
        let (meters, prepared) = (Meters::new(intake.consumer()), OnceCell::new());
        let shared = Shared { settings, intake, clock, client, bulks, template, prepared, meters };
        Ok(Self { shared: Arc::new(shared) })
    }
}

#[async_trait]
impl Module for ToElasticsearch {
    async fn open(&self, _shard: &ShardAddress) -> Result<Box<dyn Deliver>, OpenError> {
        Ok(Box::new(Delivering { shared: self.shared.clone() }))
    }

    fn resume_within(&self, shard: &ShardAddress, number: SequenceNumber, sub_sequence: u64) {
        self.shared.intake.resume_within(shard, number, sub_sequence);
    }

    async fn open_lane(
        &self,
        shard: &ShardAddress,
        _lane: Lane,
    ) -> Result<Box<dyn Deliver>, OpenError> {
        // A document that comes again has the same id, whichever lane brings it.
        self.open(shard).await
    }
}

/// The delivery of one shard, or of one lane of it: one request at a time.
struct Delivering {
    shared: Arc<Shared>,
}

#[async_trait]
impl Deliver for Delivering {
    async fn deliver(&mut self, batch: &Batch) -> Delivery {
        let shared = &self.shared;
        let mut rejected = Vec::new();
        if let Err(reason) = shared.prepare().await {
            let (from, cause) = (batch.first(), Cause::Destination);
            return Delivery { outcome: Outcome::Failed { from, cause, reason }, rejected };
        }
        for mut taken in shared.intake.parts(batch) {
            rejected.append(&mut taken.rejected);
            let mut refused = Vec::new();
            let mut stuck = None;
            let mut aside = Aside::default();
            for bulk in Bulks::new(&shared.settings, &batch.shard, &taken.events) {
                let put = shared.put(bulk, batch.attempt, &taken.events, &mut aside, &mut refused);
                stuck = put.await.err();
                if stuck.is_some() {
                    break;
                }
            }
            let closed = shared.decide(aside, &taken.events, &mut refused);
            let stuck = stuck.into_iter().chain(closed).min_by_key(|stuck| stuck.from);
            rejected.extend(shared.intake.in_proportion(batch, refused));
            if let Some(Stuck { from, cause, reason }) = stuck {
                // The others come again with their records.
                rejected.retain(|record| record.sequence_number < from);
                return Delivery { outcome: Outcome::Failed { from, cause, reason }, rejected };
            }
        }
        Delivery { outcome: Outcome::Delivered, rejected }
    }
}

/// Names `{this}-*-*` for which Elasticsearch has index templates of its own, and since when.
const BUILT_IN_TEMPLATES: [&str; 4] = ["logs", "metrics", "traces", "synthetics"];
const BUILT_IN_TEMPLATES_SINCE: (u32, u32) = (7, 9);

/// A batch of nothing but documents that the cluster breaks on is handed over this often before they are given up.
const ATTEMPTS_OF_BROKEN_MAX: u32 = 10;

/// Documents that are not stored, from this record on.
struct Stuck {
    from: SequenceNumber,
    cause: Cause,
    reason: String,
}

/// Documents on their way.
struct Attempt {
    bulk: Bulk,
    /// How often the cluster was too busy for them.
    busy: u32,
    /// Whether it took others of the same request: then it is these documents that it cannot deal with.
    others_passed: bool,
    /// Whether it is a piece of a request that failed as a whole however often it was sent.
    is_piece: bool,
}

impl Shared {
    /// Finds out what the cluster is and installs what it is to have, once.
    async fn prepare(&self) -> Result<(), String> {
        if self.prepared.initialized() {
            return Ok(());
        }
        let installs = self.settings.install_templates;
        let found = Server::find(&self.client).await.map_err(|error| error.to_string())?;
        let server = match found {
            Found::Server(server) => server,
            Found::Unsupported(why) => return Err(why),
            Found::Busy(why) | Found::Untold(why) if installs => {
                return Err(format!("install_templates needs to know the cluster: {why}"));
            }
            // The bulk request tells more, and may pass.
            Found::Busy(_) => return Ok(()),
            Found::Untold(why) => {
                info!(module = %self.intake.consumer(), "delivering to a cluster that does not tell its version: {why}");
                let _ = self.prepared.set(());
                return Ok(());
            }
        };
        let prepare = || async {
            let is_stream = self.settings.write_to == WriteTo::DataStreams;
            if is_stream && server.flavour == Flavour::ElasticsearchOss {
                return Err(format!(
                    "{server} has no data streams: set write_to = \"daily_indices\""
                ));
            }
            if self.meets_built_in_templates(&server) {
                warn!(
                    "{server} makes data streams of names such as {}-*-*, which take no daily indices: choose another index_name_prefix, or set install_templates = true",
                    self.settings.index_name_prefix
                );
            }
            if installs {
                templates::install(&self.client, &server, &self.settings, &self.template).await?;
            }
            info!(module = %self.intake.consumer(), "delivering to {server} at {}", self.settings.shown_destination());
            Ok(())
        };
        self.prepared.get_or_try_init(prepare).await.copied()
    }

    /// Whether documents would land in data streams that the server's own templates make.
    fn meets_built_in_templates(&self, server: &Server) -> bool {
        let has_them =
            matches!(server.flavour, Flavour::Elasticsearch | Flavour::ElasticsearchServerless)
                && server.is_at_least(BUILT_IN_TEMPLATES_SINCE);
        let Settings { write_to, install_templates, index_name_prefix, .. } = &self.settings;
        has_them
            && *write_to == WriteTo::DailyIndices
            && !install_templates
            && BUILT_IN_TEMPLATES.contains(&index_name_prefix.as_str())
    }

    /// Stores the documents of `bulk`, or finds out that the cluster never will.
    async fn put(
        &self,
        bulk: Bulk,
        attempt: u32,
        events: &[TakenEvent],
        aside: &mut Aside,
        rejected: &mut Vec<RejectedRecord>,
    ) -> Result<(), Stuck> {
        let mut bisect = Bisect::default();
        let put = self.put_pieces(bulk, attempt, events, aside, &mut bisect, rejected).await;
        let (refused, waiting) = bisect.decide(put.is_ok());
        self.meters.refused.increment(refused.len() as u64);
        rejected.extend(refused.into_iter().map(|(event, reason)| {
            let detail = format!("{reason}; other documents of the same request are stored");
            events[event].rejected(REFUSED_BY_ELASTICSEARCH, detail)
        }));
        // The first one is the earliest, and earlier than whatever comes behind.
        match waiting.into_iter().next() {
            Some((event, reason)) => {
                let from = events[event].sequence_number;
                Err(Stuck { from, cause: Cause::Destination, reason })
            }
            None => put,
        }
    }

    /// Sends a bulk, whole or in pieces. What fails alone is left to `bisect`.
    async fn put_pieces(
        &self,
        bulk: Bulk,
        attempt: u32,
        events: &[TakenEvent],
        aside: &mut Aside,
        bisect: &mut Bisect,
        rejected: &mut Vec<RejectedRecord>,
    ) -> Result<(), Stuck> {
        // The last one has the earliest events: what is cut or comes again goes on top.
        let mut waiting = vec![Attempt { bulk, busy: 0, others_passed: false, is_piece: false }];
        while let Some(Attempt { bulk, busy, others_passed, is_piece }) = waiting.pop() {
            let verdicts = match self.send(&bulk).await {
                Ok(Answer::AllStored) => {
                    self.meters.stored.increment(bulk.len() as u64);
                    aside.stored(bulk.event(0));
                    aside.stored(bulk.event(bulk.len() - 1));
                    if is_piece {
                        bisect.passed();
                    }
                    continue;
                }
                Ok(Answer::Each(verdicts)) => verdicts,
                Err(SendError::Refused(_)) if bulk.len() > 1 => {
                    let (first, second) = bulk.halves();
                    waiting.push(Attempt { bulk: second, busy, others_passed, is_piece });
                    waiting.push(Attempt { bulk: first, busy, others_passed, is_piece });
                    continue;
                }
                Err(SendError::Refused(reason)) => vec![Verdict::Refused(reason)],
                // A piece is on trial, and not waited for, before it is one document.
                Err(SendError::Busy(_) | SendError::NotReady(_))
                    if busy < self.settings.busy_retries && !(is_piece && bulk.len() > 1) =>
                {
                    let first = events[bulk.event(0)].sequence_number;
                    self.meters.retried.increment(bulk.len() as u64);
                    tokio::time::sleep(pause(first, busy)).await;
                    waiting.push(Attempt { bulk, busy: busy + 1, others_passed, is_piece });
                    continue;
                }
                Err(SendError::Busy(_)) if bulk.len() > 1 && (!is_piece || bisect.failed(1)) => {
                    let (first, second) = bulk.halves();
                    for bulk in [second, first] {
                        waiting.push(Attempt { bulk, busy: 0, others_passed, is_piece: true });
                    }
                    continue;
                }
                Err(SendError::Busy(reason)) if is_piece && bulk.len() == 1 => {
                    let event = bulk.event(0);
                    if bisect.failed_alone(event, reason.clone(), busy + 1) {
                        continue;
                    }
                    let from = events[event].sequence_number;
                    return Err(Stuck { from, cause: Cause::Destination, reason });
                }
                Err(
                    SendError::Unavailable(reason)
                    | SendError::Busy(reason)
                    | SendError::NotReady(reason),
                ) => {
                    let from = events[bulk.event(0)].sequence_number;
                    return Err(Stuck { from, cause: Cause::Destination, reason });
                }
            };
            let mut left = self.judge(&bulk, verdicts, events, aside, rejected);
            let is_last = busy == self.settings.busy_retries;
            let others_passed = others_passed || left.len() < bulk.len();
            if is_piece && left.len() < bulk.len() {
                bisect.passed();
            }
            if is_last {
                for (position, reason) in left.closed.drain(..) {
                    aside.closed(bulk.event(position), reason);
                }
            }
            if left.len() == 0 {
                continue;
            }
            let bulk = bulk.only(&left.all());
            let first = &events[bulk.event(0)];
            if is_last {
                if !left.busy && (others_passed || attempt >= ATTEMPTS_OF_BROKEN_MAX) {
                    self.refuse(&bulk, &left.reason, events, rejected);
                    continue;
                }
                let shown = self.settings.shown_destination();
                return Err(left.stuck(first.sequence_number, &shown));
            }
            self.meters.retried.increment(bulk.len() as u64);
            tokio::time::sleep(pause(first.sequence_number, busy)).await;
            waiting.push(Attempt { bulk, busy: busy + 1, others_passed, is_piece });
        }
        Ok(())
    }

    async fn send(&self, bulk: &Bulk) -> Result<Answer, SendError> {
        let started = self.clock.monotonic();
        let answer = self.bulks.send(&self.client, bulk).await;
        let took = self.clock.monotonic().saturating_sub(started);
        self.meters.request.record(took.as_secs_f64());
        answer
    }

    /// Gives up the documents whose index is closed while others are open, and waits for the rest of them.
    fn decide(
        &self,
        aside: Aside,
        events: &[TakenEvent],
        rejected: &mut Vec<RejectedRecord>,
    ) -> Option<Stuck> {
        let decided = aside.decide(&self.settings, events);
        self.meters.refused.increment(decided.refused.len() as u64);
        rejected.extend(decided.refused.into_iter().map(|(event, reason)| {
            let detail = format!("{reason}; documents of other indices are stored");
            events[event].rejected(REFUSED_BY_ELASTICSEARCH, detail)
        }));
        let documents = decided.waiting.len();
        let waiting = decided.waiting.into_iter();
        let first = waiting.min_by_key(|(event, _)| events[*event].sequence_number);
        first.map(|(event, reason)| {
            let shown = self.settings.shown_destination();
            let reason = format!(
                "{shown} did not store {documents} documents ({reason}): their indices are closed to them"
            );
            Stuck { from: events[event].sequence_number, cause: Cause::Destination, reason }
        })
    }

    /// Gives up documents that the cluster breaks on.
    fn refuse(
        &self,
        bulk: &Bulk,
        reason: &str,
        events: &[TakenEvent],
        rejected: &mut Vec<RejectedRecord>,
    ) {
        self.meters.refused.increment(bulk.len() as u64);
        rejected.extend((0..bulk.len()).map(|position| {
            let detail = format!("{reason}, again and again");
            events[bulk.event(position)].rejected(REFUSED_BY_ELASTICSEARCH, detail)
        }));
    }

    /// Counts what is stored, rejects what is refused, and gives back what has to be sent again.
    fn judge(
        &self,
        bulk: &Bulk,
        verdicts: Vec<Verdict>,
        events: &[TakenEvent],
        aside: &mut Aside,
        rejected: &mut Vec<RejectedRecord>,
    ) -> Left {
        let mut left = Left::default();
        let mut refused = 0;
        let documents = verdicts.len();
        for (position, verdict) in verdicts.into_iter().enumerate() {
            match verdict {
                Verdict::Stored => aside.stored(bulk.event(position)),
                Verdict::Busy(reason) => left.add(position, true, reason),
                Verdict::Closed(reason) => left.closed.push((position, reason)),
                Verdict::Broken(reason) => left.add(position, false, reason),
                Verdict::Refused(detail) => {
                    refused += 1;
                    let taken = &events[bulk.event(position)];
                    rejected.push(taken.rejected(REFUSED_BY_ELASTICSEARCH, detail));
                }
            }
        }
        self.meters.refused.increment(refused);
        let stored = documents - left.len();
        self.meters.stored.increment(stored as u64 - refused);
        left
    }
}

/// Documents of a bulk that are to be sent again.
#[derive(Default)]
struct Left {
    positions: Vec<usize>,
    /// Others, whose index is closed, and what the cluster said.
    closed: Vec<(usize, String)>,
    /// Whether the cluster was too busy for at least one of them.
    busy: bool,
    /// What it said of the first.
    reason: String,
}

impl Left {
    fn len(&self) -> usize {
        self.positions.len() + self.closed.len()
    }

    /// The positions of all, ascending.
    fn all(&self) -> Vec<usize> {
        let closed = self.closed.iter().map(|(position, _)| *position);
        let mut all: Vec<_> = self.positions.iter().copied().chain(closed).collect();
        all.sort_unstable();
        all
    }

    fn add(&mut self, position: usize, busy: bool, reason: String) {
        if self.positions.is_empty() {
            self.reason = reason;
        }
        self.positions.push(position);
        self.busy |= busy;
    }

    fn stuck(self, from: SequenceNumber, shown: &str) -> Stuck {
        let Self { positions, busy, reason, .. } = self;
        let documents = positions.len();
        let (cause, hint) = if busy {
            (Cause::Destination, "the cluster is overloaded or blocked for writes")
        } else {
            // The rest of the bulk went through: it may well be these documents.
            (Cause::Batch, "look into the cluster's log")
        };
        let reason = format!("{shown} did not store {documents} documents ({reason}): {hint}");
        Stuck { from, cause, reason }
    }
}

/// How long to wait before documents are sent again, the first of which is in the record `first`.
/// The jitter comes from there, so that shards do not come back together and a test can repeat it.
fn pause(first: SequenceNumber, retries: u32) -> Duration {
    let bound = PAUSE_INITIAL.saturating_mul(1 << retries.min(16)).min(PAUSE_MAXIMUM);
    let mut hasher = DefaultHasher::new();
    (first, retries).hash(&mut hasher);
    let jitter = hasher.finish() as f64 / u64::MAX as f64;
    bound.mul_f64(0.5 + 0.5 * jitter)
}

struct Meters {
    stored: Counter,
    refused: Counter,
    retried: Counter,
    request: Histogram,
}

impl Meters {
    fn new(consumer: &ConsumerName) -> Self {
        let documents = |outcome: &'static str| counter!("baikonur_to_es_documents_total", "module" => consumer.to_string(), "outcome" => outcome);
        Self {
            stored: documents("stored"),
            refused: documents("refused"),
            retried: documents("retried"),
            request: histogram!("baikonur_to_es_request_seconds", "module" => consumer.to_string()),
        }
    }
}
