//! One life of a process: what it asks of others takes time, goes wrong, stands still and ends.

use std::sync::Arc;
use std::time::Duration;

use baikonur_mapping::{Board, Mapping, MemoryBudget, Settings};
use baikonur_stream::{Clock, ConsumerName, StreamName, Timestamp};
use tokio::sync::Notify;

use crate::world::{EPOCH, State, World};

/// How a step of a process goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Well,
    /// It fails and has no effect.
    Fails,
    /// It has its effect, and nobody is told.
    Ambiguous,
    /// The process dies right behind it.
    Dies,
}

/// What a life has of its own.
#[derive(Debug, Default)]
pub(crate) struct Life {
    pub(crate) lanes: u32,
    /// Its monotonic clock: an offset, and parts per million that it is fast.
    offset: Duration,
    fast: u32,
    steps: u64,
    /// It dies at this step.
    pub(crate) dies_at: Option<u64>,
    still_until: Duration,
}

impl Life {
    pub(crate) fn new(lanes: u32, offset: Duration, fast: u32) -> Self {
        Self { lanes, offset, fast, ..Self::default() }
    }

    /// Its monotonic clock, `elapsed` after the world began.
    pub(crate) fn clock(&self, elapsed: Duration) -> Duration {
        self.offset + elapsed + elapsed * self.fast / 1_000_000
    }
}

/// A process as it meets the world; clones are one.
#[derive(Clone)]
pub struct Process {
    pub world: Arc<World>,
    /// The number of this life, from 1 on.
    pub life: u32,
    pub(crate) died: Arc<Notify>,
}

impl Clock for Process {
    fn now(&self) -> Timestamp {
        EPOCH.plus(self.world.elapsed())
    }

    fn monotonic(&self) -> Duration {
        let elapsed = self.world.elapsed();
        self.world.lock().lives[&self.life].clock(elapsed)
    }
}

impl Process {
    /// The mapping of this life, with the stream to itself.
    pub fn mapping(&self, settings: Settings, memory: Arc<MemoryBudget>, seed: u64) -> Mapping {
        let this = Arc::new(self.clone());
        Mapping {
            consumer: ConsumerName::new("m"),
            source: StreamName::new("s").unwrap(),
            settings,
            read: this.clone(),
            progress: this.clone(),
            leases: None,
            module: this.clone(),
            failed_store: this.clone(),
            memory,
            clock: this,
            board: Board::default(),
            seed,
        }
    }

    /// A call to somebody else: it takes some time, and `effect` says what it does there. None when
    /// no answer comes.
    ///
    /// Where workers share the stream, what is on its way arrives, whatever becomes of whoever sent it.
    pub async fn call<T: Send + 'static>(
        &self,
        effect: impl FnOnce(Fate) -> T + Send + 'static,
    ) -> Option<T> {
        let process = self.clone();
        let call = async move {
            let fate = process.set_out().await;
            let answer = effect(fate);
            process.come_back(fate).await.then_some(answer)
        };
        if !self.world.is_shared {
            return call.await;
        }
        match tokio::spawn(call).await {
            Ok(answer) => answer,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// A call that does all or nothing; none when it failed, or when nobody says that it did not.
    pub async fn attempt<T: Send + 'static>(
        &self,
        effect: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Option<T> {
        let world = Arc::clone(&self.world);
        self.call(move |fate| (fate != Fate::Fails).then(|| effect(&mut world.lock())))
            .await
            .flatten()
    }

    async fn set_out(&self) -> Fate {
        if self.world.is_wrong() {
            return self.die().await;
        }
        let (pause, fate, dies) = {
            let elapsed = self.world.elapsed();
            let state = &mut *self.world.lock();
            state.tally.count("a step");
            let pause = state.pause();
            let fate = state.fate();
            if state.stands_still() {
                let workers = state.plan.workers.as_ref().unwrap();
                let longest = 4 * workers.failover_time.as_millis() as u64;
                let life = state.lives.get_mut(&self.life).unwrap();
                life.still_until = elapsed + state.random.millis(0..longest);
                state.tally.count("a process that stood still");
            }
            let life = state.lives.get_mut(&self.life).unwrap();
            life.steps += 1;
            (pause, fate, life.dies_at.is_some_and(|at| life.steps >= at))
        };
        self.stand_still().await;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        if !dies {
            return fate;
        }
        let before = self.world.lock().random.once_in(2);
        if before { self.die().await } else { Fate::Dies }
    }

    /// A step had its effect; whether to tell of it.
    async fn come_back(&self, fate: Fate) -> bool {
        self.stand_still().await;
        match fate {
            Fate::Dies => self.die().await,
            Fate::Ambiguous => false,
            Fate::Well | Fate::Fails => true,
        }
    }

    async fn stand_still(&self) {
        loop {
            let until = self.world.lock().lives[&self.life].still_until;
            let elapsed = self.world.elapsed();
            if until <= elapsed {
                return;
            }
            tokio::time::sleep(until - elapsed).await;
        }
    }

    async fn die<T>(&self) -> T {
        self.died.notify_one();
        std::future::pending().await
    }
}

impl State {
    /// How long a call is on its way.
    fn pause(&mut self) -> Duration {
        let late = self.plan.workers.as_ref().map_or(0, |workers| workers.late);
        if late > 0 && self.random.once_in(late) {
            self.tally.count("a call that was long on its way");
            return self.random.millis(100..4000);
        }
        if self.random.once_in(3) { self.random.millis(0..40) } else { Duration::ZERO }
    }

    fn stands_still(&mut self) -> bool {
        let one_in = self.plan.workers.as_ref().map_or(0, |workers| workers.stands_still);
        one_in > 0 && self.random.once_in(one_in)
    }

    fn fate(&mut self) -> Fate {
        if self.plan.faults == 0 || !self.random.once_in(self.plan.faults) {
            return Fate::Well;
        }
        self.tally.count("a fault");
        if self.random.once_in(3) {
            self.tally.count("an effect without an answer");
            return Fate::Ambiguous;
        }
        Fate::Fails
    }
}
