//! Carries out what the machine decides for one shard, one action at a time.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use baikonur_stream::{
    Batch, Checkpoint, Clock, ConsumerName, Deliver, Delivery, FailedBatch, FailedStore, Module,
    Progress, Read, ReadError, ReadPage, ShardAddress, StartingPosition, Tenure, Timestamp,
};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::age::Age;
use crate::backoff::Backoff;
use crate::budget::{MappingBudget, Share};
use crate::lanes::{self, Seat};
use crate::machine::{Action, Event, Finish, Now, OtherKeys, ShardMachine};
use crate::meters::Meters;
use crate::settings::Settings;
use crate::status::{Board, LastError, ShardState};

/// A shard as its delivery sees it.
pub(crate) struct Seen {
    pub(crate) state: ShardState,
    /// As it is stored.
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) millis_behind_latest: Option<u64>,
    /// When the oldest record arrived that the checkpoint has not passed.
    pub(crate) oldest_arrival: Option<Timestamp>,
}

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
    pub(crate) memory: Arc<MappingBudget>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) board: Board,
    pub(crate) drain: watch::Receiver<bool>,
    /// How long the shard is this worker's own.
    pub(crate) tenure: Tenure,
    pub(crate) seed: u64,
    /// The lane that is delivered; none for a whole shard.
    pub(crate) lane: Option<Arc<Seat>>,
}

/// Delivers one shard until it ends, vanishes, or the mapping is drained.
pub(crate) async fn run(
    surroundings: Surroundings,
    shard: ShardAddress,
    start: StartingPosition,
) -> Finish {
    let meters = Meters::new(&surroundings.consumer, &shard);
    let age = age(&surroundings, &meters, &shard);
    let finish = if surroundings.settings.parallelization_factor > 1 {
        lanes::run(&surroundings, &shard, start).await
    } else {
        deliver(surroundings, shard, start).await
    };
    age.show(None);
    age.board.note(age.shard, |status| status.state = ShardState::at_the_end(finish));
    finish
}

fn age(surroundings: &Surroundings, meters: &Meters, shard: &ShardAddress) -> Age {
    Age {
        gauge: meters.iterator_age.clone(),
        board: surroundings.board.clone(),
        clock: Arc::clone(&surroundings.clock),
        shard: shard.shard,
    }
}

/// Delivers one shard, or one lane of it.
pub(crate) async fn deliver(
    surroundings: Surroundings,
    shard: ShardAddress,
    start: StartingPosition,
) -> Finish {
    let lane = surroundings.lane.as_ref().map_or(0, |seat| seat.lane().index() as u64);
    let seed = surroundings.seed ^ u64::from(shard.shard.index()) ^ lane << 32;
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
    let share = surroundings.lane.is_none().then(|| surroundings.memory.share());
    let age = age(&surroundings, &meters, &shard);
    Driver { surroundings, shard, deliver, machine, meters, age, share }.run().await
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
        let opened = match &surroundings.lane {
            None => surroundings.module.open(shard).await,
            Some(seat) => surroundings.module.open_lane(shard, seat.lane()).await,
        };
        match opened {
            Ok(deliver) => return Some(deliver),
            Err(error) => {
                let pause = backoff.next();
                warn!(module = %surroundings.consumer, %shard, ?pause, %error, "cannot start delivery, trying again");
                tokio::select! {
                    biased;
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
    age: Age,
    /// Of memory; none for a lane, whose records are counted where they are dealt.
    share: Option<Share>,
}

impl Driver {
    async fn run(mut self) -> Finish {
        let mut action = self.machine.begin();
        loop {
            if let Action::Finish(finish) = action {
                return self.end(finish);
            }
            let growing = self.growing_age();
            let event = tokio::select! {
                biased;
                event = self.carry_out_as_owner(action) => event,
                never = growing => match never {},
            };
            let Some(event) = event else { return self.end(Finish::LeaseLost) };
            let now = self.now();
            action = self.machine.step(now, event);
            if let Some(other) = self.machine.take_other_keys() {
                self.tell_other_keys(&other);
            }
            if let Some(share) = &mut self.share {
                share.set(self.machine.bytes());
            }
            let state = match &action {
                Action::Wait(..) => ShardState::AtTip,
                Action::Sleep(_) => ShardState::Retrying,
                _ => ShardState::Delivering,
            };
            let mut last_error = None;
            if let Some((retries, reason)) = self.machine.take_retries() {
                self.meters.retries.increment(retries);
                warn!(module = %self.surroundings.consumer, shard = %self.shard, %reason, "will try again");
                last_error = Some((retries, LastError { at: now.wall, reason }));
            }
            self.tell(state, last_error);
        }
    }

    fn end(&self, finish: Finish) -> Finish {
        self.tell(ShardState::at_the_end(finish), None);
        info!(module = %self.surroundings.consumer, shard = %self.shard, ?finish, "delivery ended");
        finish
    }

    /// What leaves this process is begun by the owner of the shard alone, and broken off when
    /// ownership ends meanwhile: none then.
    async fn carry_out_as_owner(&mut self, action: Action) -> Option<Event> {
        if !matches!(action, Action::Deliver(_) | Action::Close | Action::Keep(_)) {
            return Some(self.carry_out(action).await);
        }
        let (tenure, clock) =
            (self.surroundings.tenure.clone(), Arc::clone(&self.surroundings.clock));
        prove_ownership(&tenure, &*clock).await;
        tokio::select! {
            biased;
            event = self.carry_out(action) => Some(event),
            () = ownership_ends(&tenure, &*clock) => None,
        }
    }

    fn tell(&self, state: ShardState, failed: Option<(u64, LastError)>) {
        let own = Seen {
            state,
            checkpoint: self.machine.checkpoint(),
            millis_behind_latest: self.machine.millis_behind_latest(),
            oldest_arrival: self.machine.oldest_arrival(),
        };
        let seen = match &self.surroundings.lane {
            None => own,
            Some(seat) => seat.seen(state),
        };
        self.age.show(seen.oldest_arrival);
        self.surroundings.board.note(self.shard.shard, |status| {
            status.state = seen.state;
            status.checkpoint = seen.checkpoint;
            status.millis_behind_latest = seen.millis_behind_latest;
            if let Some((retries, error)) = failed {
                status.retries += retries;
                status.last_error = Some(error);
            }
        });
    }

    /// Shows the age of what waits for the end of a step; nothing waits at the tip.
    fn growing_age(&self) -> impl Future<Output = Infallible> + use<> {
        let (age, seat) = (self.age.clone(), self.surroundings.lane.clone());
        let own = self.machine.oldest_arrival();
        async move {
            if own.is_none() {
                return std::future::pending().await;
            }
            age.grow(|| seat.as_ref().map_or(own, |seat| seat.oldest_arrival())).await
        }
    }

    fn now(&self) -> Now {
        Now {
            monotonic: self.surroundings.clock.monotonic(),
            wall: self.surroundings.clock.now(),
            room: match (&self.share, &self.surroundings.lane) {
                (Some(share), _) => share.left(),
                (None, Some(seat)) => seat.room(),
                (None, None) => usize::MAX,
            },
            draining: *self.surroundings.drain.borrow(),
        }
    }

    async fn carry_out(&mut self, action: Action) -> Event {
        let Surroundings { consumer, read, progress, failed_store, .. } = &self.surroundings;
        match action {
            Action::Load => Event::Loaded(progress.load(consumer, &self.shard).await),
            Action::Seek(position) => Event::Sought(read.seek(&self.shard, position).await),
            Action::Read(cursor, mut limits) => {
                if let Some(share) = &mut self.share {
                    // The one record that a read gives at least may go beyond the budget: else a
                    // shard that finds it used up would wait for good.
                    share.set(self.machine.bytes());
                    limits.bytes = share.reserve(limits.bytes).max(1);
                }
                let result = read.read(&cursor, limits).await;
                if let Some(share) = &mut self.share {
                    // What was reserved and not needed is room again, for this shard too.
                    let page = result.as_ref().map_or(0, ReadPage::size);
                    share.set(self.machine.bytes() + page);
                }
                self.saw(&result);
                Event::Read(result)
            }
            Action::Wait(cursor, at_most) => {
                let mut drain = self.surroundings.drain.clone();
                tokio::select! {
                    biased;
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
                    self.tell_kept(&batch);
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
        self.meters.answered(batch, &delivery.outcome);
        delivery
    }

    fn saw(&self, result: &Result<ReadPage, ReadError>) {
        match result {
            // What a lane gets was counted when the shard was read.
            Ok(page) if self.share.is_some() => {
                self.meters.polled.increment(page.records.len() as u64);
            }
            Err(ReadError::Damaged { what, .. }) => {
                error!(module = %self.surroundings.consumer, shard = %self.shard, %what,
                    "stored records are damaged; going on behind them, a mark is in the failed store");
            }
            Ok(_) | Err(_) => {}
        }
    }

    fn tell_other_keys(&self, OtherKeys { announced, keys }: &OtherKeys) {
        self.meters.changed_repetitions.increment(1);
        warn!(module = %self.surroundings.consumer, shard = %self.shard,
            announced = %OtherKeys::shown(announced), keys = %OtherKeys::shown(keys),
            "a range that was announced before a restart gives other objects now: settings that decide about them were \
             changed meanwhile, or records have expired. What was written under the announced keys is there beside the \
             new ones: look which lines are twice. Drain before such settings are changed");
    }

    fn tell_kept(&self, batch: &FailedBatch) {
        self.meters.kept(batch);
        let consumer = &self.surroundings.consumer;
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

/// Returns when the shard is not this worker's own any more.
async fn ownership_ends(tenure: &Tenure, clock: &dyn Clock) {
    if tenure.is_endless() {
        return std::future::pending().await;
    }
    while tenure.holds(clock.monotonic()) {
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
        biased;
        () = tokio::time::sleep(pause) => {}
        () = draining(&mut drain) => {}
    }
}
