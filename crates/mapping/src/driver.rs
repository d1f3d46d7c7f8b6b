//! Carries out what the machine decides for one shard, one action at a time.

use std::sync::Arc;
use std::time::Duration;

use baikonur_stream::{
    Batch, Clock, ConsumerName, Deliver, Delivery, FailedBatch, FailedStore, Module, Outcome,
    Progress, Read, ReadError, ReadPage, Record, ShardAddress, StartingPosition, Tenure,
};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::backoff::Backoff;
use crate::machine::{Action, Event, Finish, Now, ShardMachine};
use crate::settings::Settings;

/// How often a delivery without proof of ownership looks for it.
const PROOF_WAIT: Duration = Duration::from_millis(50);

/// Everything that the delivery of a shard touches.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) consumer: ConsumerName,
    pub(crate) settings: Settings,
    pub(crate) read: Arc<dyn Read>,
    pub(crate) progress: Arc<dyn Progress>,
    pub(crate) module: Arc<dyn Module>,
    pub(crate) failed_store: Arc<dyn FailedStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) drain: watch::Receiver<bool>,
    /// How long the shard is this worker's own.
    pub(crate) tenure: Tenure,
    pub(crate) seed: u64,
}

/// Delivers one shard until it ends, vanishes, or the mapping is drained.
pub(crate) async fn run(
    surroundings: Surroundings,
    shard: ShardAddress,
    start: StartingPosition,
) -> Finish {
    let seed = surroundings.seed ^ u64::from(shard.shard.index());
    let Some(deliver) = open(&surroundings, &shard, seed).await else {
        return Finish::Drained;
    };
    let machine = ShardMachine::new(
        surroundings.consumer.clone(),
        shard.clone(),
        surroundings.settings.clone(),
        start,
        seed,
    );
    let meters = Meters::new(&surroundings.consumer, &shard);
    Driver { surroundings, shard, deliver, machine, meters }.run().await
}

/// Opens the module, as often as it takes; none when drained meanwhile.
async fn open(
    surroundings: &Surroundings,
    shard: &ShardAddress,
    seed: u64,
) -> Option<Box<dyn Deliver>> {
    let settings = &surroundings.settings;
    let mut backoff = Backoff::new(settings.retry_initial, settings.retry_maximum, seed);
    let mut drain = surroundings.drain.clone();
    loop {
        match surroundings.module.open(shard).await {
            Ok(deliver) => return Some(deliver),
            Err(error) => {
                let pause = backoff.next();
                warn!(module = %surroundings.consumer, %shard, ?pause, %error, "cannot start delivery, trying again");
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = draining(&mut drain) => return None,
                }
            }
        }
    }
}

struct Driver {
    surroundings: Surroundings,
    shard: ShardAddress,
    deliver: Box<dyn Deliver>,
    machine: ShardMachine,
    meters: Meters,
}

impl Driver {
    async fn run(mut self) -> Finish {
        let mut action = self.machine.begin();
        loop {
            let event = match action {
                Action::Finish(finish) => {
                    self.meters.iterator_age.set(0.0);
                    info!(module = %self.surroundings.consumer, shard = %self.shard, ?finish, "delivery ended");
                    return finish;
                }
                action => self.carry_out(action).await,
            };
            let now = self.now();
            action = self.machine.step(now, event);
            let age = self.machine.oldest_arrival().map(|arrival| now.wall.since(arrival));
            self.meters.iterator_age.set(age.unwrap_or_default().as_secs_f64());
            if let Some((retries, reason)) = self.machine.take_retries() {
                self.meters.retries.increment(retries);
                warn!(module = %self.surroundings.consumer, shard = %self.shard, %reason, "will try again");
            }
        }
    }

    fn now(&self) -> Now {
        Now {
            monotonic: self.surroundings.clock.monotonic(),
            wall: self.surroundings.clock.now(),
            draining: *self.surroundings.drain.borrow(),
        }
    }

    async fn carry_out(&mut self, action: Action) -> Event {
        if matches!(action, Action::Deliver(_) | Action::Close | Action::Keep(_)) {
            let Surroundings { tenure, clock, .. } = &self.surroundings;
            prove_ownership(tenure, &**clock).await;
        }
        let Surroundings { consumer, read, progress, failed_store, .. } = &self.surroundings;
        match action {
            Action::Load => Event::Loaded(progress.load(consumer, &self.shard).await),
            Action::Seek(position) => Event::Sought(read.seek(&self.shard, position).await),
            Action::Read(cursor, limits) => {
                let result = read.read(&cursor, limits).await;
                self.saw(&result);
                Event::Read(result)
            }
            Action::Wait(cursor, at_most) => {
                let mut drain = self.surroundings.drain.clone();
                tokio::select! {
                    () = read.wait(&cursor, at_most) => {}
                    () = draining(&mut drain) => {}
                }
                Event::Woken
            }
            Action::Sleep(pause) => {
                sleep(&self.surroundings.drain, pause).await;
                Event::Woken
            }
            Action::Deliver(batch) => Event::Delivered(self.hand_over(&batch).await),
            Action::Keys => Event::Keys(self.deliver.keys()),
            Action::Close => {
                let started = self.surroundings.clock.monotonic();
                let delivery = self.deliver.close().await;
                self.meters.took(&*self.surroundings.clock, started);
                Event::Closed(delivery)
            }
            Action::Discard => {
                self.deliver.discard();
                Event::Discarded
            }
            Action::Keep(batch) => {
                let kept = failed_store.keep(&batch).await;
                if kept.is_ok() {
                    self.count_kept(&batch);
                }
                Event::Kept(kept)
            }
            Action::Store(state) => {
                Event::Stored(progress.store(consumer, &self.shard, &state).await)
            }
            Action::Finish(_) => unreachable!("run returns on Finish"),
        }
    }

    async fn hand_over(&mut self, batch: &Batch) -> Delivery {
        let clock = &self.surroundings.clock;
        let started = clock.monotonic();
        let delivery = self.deliver.deliver(batch).await;
        self.meters.took(&**clock, started);
        let taken = match &delivery.outcome {
            Outcome::Failed { from, .. } => {
                batch.records.partition_point(|record| record.sequence_number < *from)
            }
            _ => batch.records.len(),
        };
        self.meters.records.increment(taken as u64);
        let bytes: usize = batch.records[..taken].iter().map(Record::size).sum();
        self.meters.bytes.increment(bytes as u64);
        delivery
    }

    fn saw(&self, result: &Result<ReadPage, ReadError>) {
        if let Err(ReadError::Damaged { what, .. }) = result {
            error!(module = %self.surroundings.consumer, shard = %self.shard, %what,
                "stored records are damaged; going on behind them, a mark is in the failed store");
        }
    }

    fn count_kept(&self, batch: &FailedBatch) {
        let consumer = &self.surroundings.consumer;
        for record in &batch.records {
            let labels = [
                ("module", consumer.to_string()),
                ("stream", self.shard.stream.to_string()),
                ("shard", self.shard.shard.to_string()),
                ("reason", record.reason.clone()),
            ];
            counter!("baikonur_failed_records_total", &labels).increment(1);
        }
        let first = &batch.records[0];
        warn!(module = %consumer, shard = %self.shard, records = batch.records.len(),
            reason = %first.reason, detail = %first.detail, sequence_number = %first.sequence_number,
            "records went to the failed store");
    }
}

/// Returns while the shard is this worker's own. After a pause of the process it may be another's:
/// then the mapping ends this delivery here, unless the lease is renewed after all.
async fn prove_ownership(tenure: &Tenure, clock: &dyn Clock) {
    while !tenure.holds(clock.monotonic()) {
        tokio::time::sleep(PROOF_WAIT).await;
    }
}

/// Waits until the mapping is drained, or nobody can drain it any more.
pub(crate) async fn draining(drain: &mut watch::Receiver<bool>) {
    let _ = drain.wait_for(|draining| *draining).await;
}

/// Sleeps; the beginning of a drain ends it, but a drain under way does not.
async fn sleep(drain: &watch::Receiver<bool>, pause: Duration) {
    let mut drain = drain.clone();
    if *drain.borrow() {
        return tokio::time::sleep(pause).await;
    }
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = draining(&mut drain) => {}
    }
}

struct Meters {
    records: Counter,
    bytes: Counter,
    retries: Counter,
    iterator_age: Gauge,
    batch: Histogram,
}

impl Meters {
    fn new(consumer: &ConsumerName, shard: &ShardAddress) -> Self {
        let labels = [
            ("module", consumer.to_string()),
            ("stream", shard.stream.to_string()),
            ("shard", shard.shard.to_string()),
        ];
        Self {
            records: counter!("baikonur_delivered_records_total", &labels),
            bytes: counter!("baikonur_delivered_bytes_total", &labels),
            retries: counter!("baikonur_retries_total", &labels),
            iterator_age: gauge!("baikonur_iterator_age_seconds", &labels),
            batch: histogram!("baikonur_batch_seconds", "module" => consumer.to_string()),
        }
    }

    fn took(&self, clock: &dyn Clock, started: Duration) {
        self.batch.record(clock.monotonic().saturating_sub(started).as_secs_f64());
    }
}
