//! What the lanes of a shard share: one place in the stream, one look-ahead, one checkpoint.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use baikonur_stream::{
    Checkpoint, ChildShard, ConsumerName, Cursor, Lane, ProgressError, ReadError, ReadLimits,
    ReadPage, SequenceNumber, ShardAddress, ShardProgress, StartingPosition, Timestamp,
};
use tokio::sync::Notify;

use super::ledger::Ledger;
use crate::budget::Share;
use crate::driver::{Seen, Surroundings};
use crate::meters::Meters;
use crate::settings::Settings;
use crate::status::ShardState;

/// What the lanes of a shard share.
pub(crate) struct Hub {
    surroundings: Surroundings,
    shard: ShardAddress,
    meters: Meters,
    place: Mutex<Place>,
    /// Whoever reads from the shard, or looks for its place: one lane for all.
    turn: tokio::sync::Mutex<()>,
    /// Whoever watches the tip of the shard for all.
    watch: tokio::sync::Mutex<()>,
    stored: tokio::sync::Mutex<Stored>,
    /// Tells each lane that there is something new for it.
    news: Vec<Notify>,
}

/// How far the shard was read, and what became of it.
struct Place {
    ledger: Ledger,
    share: Share,
    cursor: Option<Cursor>,
    /// None before the first read.
    millis_behind_latest: Option<u64>,
    /// As it is stored.
    checkpoint: Option<Checkpoint>,
    states: Vec<ShardState>,
    /// A read is under way, and all room that it might need is reserved.
    reading: bool,
    /// The last read found nothing more: somebody must wait before the next one.
    at_tip: bool,
    /// A closed shard was read to its end: the shards that follow.
    end: Option<Vec<ChildShard>>,
    /// Damage that a lane has come to, and where it goes on behind it. Until the lane has left its
    /// mark in the failed store nobody reads on: the checkpoint might pass the damage.
    damage: Option<(Lane, Cursor)>,
}

/// The progress as it is stored.
#[derive(Default)]
struct Stored {
    loaded: bool,
    checkpoint: Option<Checkpoint>,
}

impl Place {
    fn is_blocked(&self) -> bool {
        let full = !self.reading && self.share.left() == 0 && self.ledger.bytes() > 0;
        self.damage.is_some() || self.ledger.room() == 0 || full
    }
}

impl Hub {
    pub(super) fn new(surroundings: Surroundings, shard: ShardAddress) -> Self {
        let settings = &surroundings.settings;
        let lanes = settings.parallelization_factor;
        let place = Place {
            ledger: Ledger::new(lanes, settings.look_ahead()),
            share: surroundings.memory.share(),
            cursor: None,
            millis_behind_latest: None,
            checkpoint: None,
            states: vec![ShardState::Starting; lanes as usize],
            reading: false,
            at_tip: false,
            end: None,
            damage: None,
        };
        Self {
            meters: Meters::new(&surroundings.consumer, &shard),
            place: Mutex::new(place),
            turn: tokio::sync::Mutex::new(()),
            watch: tokio::sync::Mutex::new(()),
            stored: tokio::sync::Mutex::new(Stored::default()),
            news: Lane::all(lanes).map(|_| Notify::new()).collect(),
            surroundings,
            shard,
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_all(&self) {
        self.news.iter().for_each(Notify::notify_one);
    }

    /// The shard, now that the lane is in this state.
    pub(super) fn seen(&self, lane: Lane, state: ShardState) -> Seen {
        let place = &mut *self.place();
        place.states[lane.index()] = state;
        Seen {
            state: ShardState::of_lanes(&place.states),
            checkpoint: place.checkpoint,
            millis_behind_latest: place.millis_behind_latest,
            oldest_arrival: place.ledger.oldest_arrival(),
        }
    }

    /// When the oldest record arrived that the checkpoint has not passed.
    pub(super) fn oldest_arrival(&self) -> Option<Timestamp> {
        self.place().ledger.oldest_arrival()
    }

    /// Bytes that the lane may still take, so none when nothing more will come before others move.
    pub(super) fn room(&self, lane: Lane) -> usize {
        let place = self.place();
        let nothing = place.is_blocked() && !place.ledger.waits(lane);
        if nothing { 0 } else { usize::MAX }
    }

    /// Finds the place of the shard; lanes that come later are told where it is.
    pub(super) async fn seek(&self, position: StartingPosition) -> Result<Cursor, ReadError> {
        let _turn = self.turn.lock().await;
        if let Some(cursor) = self.place().cursor.clone() {
            return Ok(cursor);
        }
        let sought = self.surroundings.read.seek(&self.shard, position).await;
        match &sought {
            Ok(cursor) => self.place().cursor = Some(cursor.clone()),
            Err(ReadError::OtherStream { .. } | ReadError::OtherShard { .. }) => {
                // What is stored is of an earlier stream: the next start replaces it.
                self.stored.lock().await.checkpoint = None;
            }
            Err(_) => {}
        }
        sought
    }

    /// The next records of a lane, read from the shard if none wait for it.
    pub(super) async fn read(
        &self,
        lane: Lane,
        cursor: &Cursor,
        limits: ReadLimits,
    ) -> Result<ReadPage, ReadError> {
        loop {
            if let Some(page) = self.page(lane, cursor, limits) {
                return Ok(page);
            }
            let _turn = self.turn.lock().await;
            // Another lane may have read for this one meanwhile.
            if let Some(page) = self.page(lane, cursor, limits) {
                return Ok(page);
            }
            if let Err(error) = self.read_on(cursor).await {
                return self.failed(lane, cursor, error);
            }
        }
    }

    /// What there is for a lane without reading; none if the shard is to be read.
    fn page(&self, lane: Lane, cursor: &Cursor, limits: ReadLimits) -> Option<ReadPage> {
        let place = &mut *self.place();
        if let Some((_, resume)) =
            place.damage.take_if(|(by, resume)| *by == lane && cursor.from >= resume.from)
        {
            place.cursor = Some(resume);
            self.tell_all();
        }
        let records = place.ledger.take(lane, limits);
        let more = place.ledger.waits(lane);
        let next = place.cursor.clone().unwrap_or_else(|| cursor.clone());
        if let Some(children) = place.end.as_ref().filter(|_| !more) {
            let children = children.clone();
            return Some(ReadPage { records, next: None, millis_behind_latest: 0, children });
        }
        let nothing_to_read = place.at_tip || place.is_blocked();
        if records.is_empty() && !nothing_to_read {
            return None;
        }
        let behind = place.millis_behind_latest.filter(|_| !nothing_to_read).unwrap_or(0);
        let millis_behind_latest = if more { behind.max(1) } else { behind };
        Some(ReadPage { records, next: Some(next), millis_behind_latest, children: Vec::new() })
    }

    /// Reads a page and deals it out.
    async fn read_on(&self, cursor: &Cursor) -> Result<(), ReadError> {
        let Settings { batch_size, batch_bytes, parallelization_factor, .. } =
            self.surroundings.settings;
        let (from, limits) = {
            let place = &mut *self.place();
            place.reading = true;
            let records = batch_size * parallelization_factor as usize;
            let limits = ReadLimits {
                records: records.min(place.ledger.room()).clamp(1, 10_000),
                bytes: place.share.reserve(batch_bytes).max(1),
            };
            (place.cursor.clone().unwrap_or_else(|| cursor.clone()), limits)
        };
        let page = self.surroundings.read.read(&from, limits).await;
        let place = &mut *self.place();
        place.reading = false;
        if let Ok(page) = &page {
            self.meters.polled.increment(page.records.len() as u64);
            let got = place.ledger.deal(&page.records);
            place.millis_behind_latest = Some(page.millis_behind_latest);
            place.at_tip = page.records.is_empty();
            match &page.next {
                Some(next) => place.cursor = Some(next.clone()),
                None => place.end = Some(page.children.clone()),
            }
            if page.next.is_none() {
                self.tell_all();
            }
            let lanes = self.news.iter().zip(got).filter(|(_, got)| *got);
            lanes.for_each(|(news, _)| news.notify_one());
        }
        place.share.set(place.ledger.bytes());
        page.map(|_| ())
    }

    fn failed(&self, lane: Lane, cursor: &Cursor, error: ReadError) -> Result<ReadPage, ReadError> {
        if let ReadError::Damaged { resume: Some(resume), .. } = &error {
            let place = &mut *self.place();
            let here = place.cursor.clone().unwrap_or_else(|| cursor.clone());
            if here != *cursor {
                // The mark must say where the damage begins: the lane comes again from there.
                let (records, children) = (Vec::new(), Vec::new());
                let (next, millis_behind_latest) = (Some(here), 1);
                return Ok(ReadPage { records, next, millis_behind_latest, children });
            }
            place.damage = Some((lane, resume.clone()));
        }
        Err(error)
    }

    /// Waits until there may be something for the lane. One lane watches the shard for all.
    pub(super) async fn wait(&self, lane: Lane, at_most: Duration) {
        let there_is_something = {
            let place = self.place();
            let can_read = !place.at_tip && !place.is_blocked();
            place.ledger.waits(lane) || place.end.is_some() || can_read
        };
        if there_is_something {
            return;
        }
        tokio::select! {
            biased;
            () = self.news[lane.index()].notified() => {}
            () = self.watch_tip(at_most) => {}
            () = tokio::time::sleep(at_most) => {}
        }
    }

    async fn watch_tip(&self, at_most: Duration) {
        let _watch = self.watch.lock().await;
        let tip = {
            let place = self.place();
            if place.is_blocked() {
                None
            } else if place.at_tip {
                place.cursor.clone()
            } else {
                return;
            }
        };
        match tip {
            Some(cursor) => {
                self.surroundings.read.wait(&cursor, at_most).await;
                self.place().at_tip = false;
            }
            // Acknowledgements make room, and tell.
            None => std::future::pending().await,
        }
    }

    fn consumer(&self) -> &ConsumerName {
        &self.surroundings.consumer
    }

    /// The checkpoint of the shard. Announcements are left out: lanes neither hold objects, nor can
    /// they repeat a range with the same cut, since a lane's batches depend on what the others do.
    pub(super) async fn load(&self) -> Result<ShardProgress, ProgressError> {
        let stored = &mut *self.stored.lock().await;
        if !stored.loaded {
            let loaded = self.surroundings.progress.load(self.consumer(), &self.shard).await?;
            *stored = Stored { loaded: true, checkpoint: loaded.checkpoint };
            self.place().checkpoint = loaded.checkpoint;
        }
        Ok(ShardProgress { checkpoint: stored.checkpoint, intent: None })
    }

    /// A lane has come this far; returns when what follows from it for the shard is stored.
    pub(super) async fn store(
        &self,
        lane: Lane,
        checkpoint: Option<Checkpoint>,
    ) -> Result<(), ProgressError> {
        match checkpoint {
            None => Ok(()),
            Some(Checkpoint::After(number)) => {
                self.acknowledge(lane, number);
                self.store_done().await
            }
            Some(Checkpoint::ShardEnd) => {
                if !self.place().ledger.end(lane) {
                    return Ok(());
                }
                let stored = &mut *self.stored.lock().await;
                self.put(stored, checkpoint).await
            }
            // Where the shard starts: the first lane to say so decides.
            Some(_) => {
                let stored = &mut *self.stored.lock().await;
                if stored.checkpoint.is_some() {
                    return Ok(());
                }
                self.put(stored, checkpoint).await
            }
        }
    }

    fn acknowledge(&self, lane: Lane, number: SequenceNumber) {
        let place = &mut *self.place();
        let was_blocked = place.is_blocked();
        place.ledger.acknowledge(lane, number);
        place.share.set(place.ledger.bytes());
        if was_blocked && !place.is_blocked() {
            self.tell_all();
        }
    }

    /// Stores how far all lanes have come, unless it is stored.
    async fn store_done(&self) -> Result<(), ProgressError> {
        let Some(done) = self.place().ledger.done() else { return Ok(()) };
        let stored = &mut *self.stored.lock().await;
        // Another lane may have stored for this one, and more may be done by now.
        let done = self.place().ledger.done().unwrap_or(done);
        if stored.checkpoint == Some(Checkpoint::After(done)) {
            return Ok(());
        }
        self.put(stored, Some(Checkpoint::After(done))).await
    }

    async fn put(
        &self,
        stored: &mut Stored,
        checkpoint: Option<Checkpoint>,
    ) -> Result<(), ProgressError> {
        let progress = ShardProgress { checkpoint, intent: None };
        self.surroundings.progress.store(self.consumer(), &self.shard, &progress).await?;
        stored.checkpoint = checkpoint;
        self.place().checkpoint = checkpoint;
        Ok(())
    }
}
