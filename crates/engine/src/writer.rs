//! The writer: the one owner of log and catalog. It works in memory and on the disk, and knows
//! neither threads nor queues: `engine` runs it on a thread, tests step by step.
//!
//! A group is written and made durable first, shown to readers next, and answered last. Changes of
//! the catalog stand between groups: requests before one see the streams before it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use baikonur_stream::{
    AdministerError, HashKey, Placed, ProducerPosition, PutEntry, PutError, ShardId, StreamChange,
    StreamName, Timestamp,
};
use bytes::Bytes;
use metrics::{Gauge, Histogram, gauge, histogram};
use tokio::sync::oneshot;

use crate::administer::{self, Change, Limits, Moment};
use crate::catalog::{Catalog, StreamTexts};
use crate::disk;
use crate::frame::ShardKey;
use crate::group::{Group, Grown, Written, size};
use crate::index::Active;
use crate::lock::{read, write};
use crate::log::{AppendError, Log};
use crate::notes;
use crate::replay;
use crate::reserve::Reserve;
use crate::segment;
use crate::settings::Throughput;
use crate::snapshot::{Snapshot, Tip, Tips};
use crate::store::Store;
use crate::streams::{self, Stream, Streams};

mod retention;

/// What the writer is asked for.
pub(crate) enum Request {
    Put(Put),
    Store(StoreNote),
    Change(Change, oneshot::Sender<Result<(), AdministerError>>),
    /// Make everything durable and end.
    Close(oneshot::Sender<()>),
}

/// Records to be put, all or none.
pub(crate) struct Put {
    pub(crate) stream: StreamName,
    pub(crate) entries: Vec<PutEntry>,
    /// Of the entries, one each.
    pub(crate) hashes: Vec<HashKey>,
    pub(crate) remember: Option<ProducerPosition>,
    pub(crate) answer: oneshot::Sender<Result<Vec<Placed>, PutError>>,
}

/// A note about a shard to be stored.
pub(crate) struct StoreNote {
    pub(crate) shard: ShardKey,
    pub(crate) key: String,
    pub(crate) value: Bytes,
    pub(crate) answer: oneshot::Sender<Result<(), PutError>>,
}

/// Bytes that a group may take beside its payloads: frame headers, lengths, notes.
const OVERHEAD_PER_ENTRY: u64 = 64;

/// The writer's state.
pub(crate) struct Writer {
    store: Arc<Store>,
    log: Log,
    catalog: Catalog,
    catalog_texts: StreamTexts,
    streams: Arc<Streams>,
    by_incarnation: HashMap<u64, Arc<Stream>>,
    tips: Tips,
    /// Arrivals never fall, whatever the clock does.
    last_arrival: Timestamp,
    /// When the active segment took its first record.
    active_since: Option<Timestamp>,
    segment_bytes: u64,
    limits: Limits,
    /// A new segment must be begun before anything is written, behind this jump.
    pending_roll: Option<u64>,
    reserve: Reserve,
    /// Monotonic time of the last look for expired segments.
    checked: Duration,
    commit_seconds: Histogram,
    commit_requests: Histogram,
    log_bytes: Gauge,
}

type Waiting = Vec<(Put, Arc<Stream>)>;

impl Writer {
    /// A writer that goes on where recovery ended.
    pub(crate) fn start(
        store: Arc<Store>,
        catalog: Catalog,
        start: Start,
        segment_bytes: u64,
        shard_limit: u32,
    ) -> Result<Self, AppendError> {
        let Start { log, tips, last_arrival, active_since, roll } = start;
        let streams = Arc::clone(&read(&store.streams));
        let checked = store.clock.monotonic();
        let reserve = Reserve::open(Arc::clone(&store.disk), segment_bytes);
        let limits = Limits { shards: shard_limit, daily: store.throughput == Throughput::Aws };
        let mut writer = Self {
            store,
            log,
            catalog,
            catalog_texts: StreamTexts::default(),
            streams,
            by_incarnation: HashMap::new(),
            tips,
            last_arrival,
            active_since,
            segment_bytes,
            limits,
            pending_roll: roll,
            reserve,
            checked,
            commit_seconds: histogram!("baikonur_commit_seconds"),
            commit_requests: histogram!("baikonur_commit_requests"),
            log_bytes: gauge!("baikonur_log_bytes"),
        };
        writer.store.arrived(last_arrival);
        writer.use_catalog();
        writer.forget();
        match writer.begin() {
            Err(AppendError::Full(error)) => {
                tracing::warn!(%error, "no space left: open for reading, puts are refused until there is some");
            }
            begun => begun?,
        }
        writer.reserve.fill();
        writer.show_newest();
        writer.show_bytes();
        Ok(writer)
    }

    fn show_newest(&self) {
        let index = read(&self.store.index);
        for stream in self.streams.values() {
            for place in 0..stream.stored.shards.len() {
                if let Some(newest) = index.newest(stream.key(place)) {
                    stream.lane(place).announce(newest.counter);
                }
            }
        }
    }

    /// Does what was asked, in order. Some when the writer is to end.
    pub(crate) fn work(
        &mut self,
        requests: impl IntoIterator<Item = Request>,
    ) -> Option<oneshot::Sender<()>> {
        let (mut puts, mut stores) = (Vec::new(), Vec::new());
        for request in requests {
            match request {
                Request::Put(put) => puts.push(put),
                Request::Store(store) => stores.push(store),
                Request::Change(change, answer) => {
                    self.commit(std::mem::take(&mut puts), std::mem::take(&mut stores));
                    let changed = self.change(change);
                    // Whoever asked may have gone; the change stands all the same. So below.
                    let _ = answer.send(changed);
                }
                Request::Close(answer) => {
                    self.commit(puts, stores);
                    return Some(answer);
                }
            }
        }
        self.commit(puts, stores);
        None
    }

    fn commit(&mut self, puts: Vec<Put>, stores: Vec<StoreNote>) {
        let started = self.store.clock.monotonic();
        let requests = puts.len() + stores.len();
        let (puts, stores) = self.admit(puts, stores);
        if puts.is_empty() && stores.is_empty() {
            return;
        }
        match self.write_group(&puts, &stores) {
            Ok((written, placed)) => {
                self.show(written);
                for ((put, _), placed) in puts.into_iter().zip(placed) {
                    let _ = put.answer.send(Ok(placed));
                }
                stores.into_iter().for_each(|store| drop(store.answer.send(Ok(()))));
            }
            Err(error) => {
                let error = self.refusal(error);
                puts.into_iter().for_each(|(put, _)| drop(put.answer.send(Err(error.clone()))));
                stores.into_iter().for_each(|s| drop(s.answer.send(Err(error.clone()))));
            }
        }
        let took = self.store.clock.monotonic().saturating_sub(started);
        self.commit_seconds.record(took.as_secs_f64());
        self.commit_requests.record(requests as f64);
    }

    /// Answers what cannot be done, and keeps the rest.
    fn admit(&self, puts: Vec<Put>, stores: Vec<StoreNote>) -> (Waiting, Vec<StoreNote>) {
        let closed = self.store.closed().map(PutError::Unavailable);
        let mut admitted = Vec::with_capacity(puts.len());
        for put in puts {
            let stream = self.streams.get(&put.stream);
            match (&closed, stream) {
                (Some(closed), _) => drop(put.answer.send(Err(closed.clone()))),
                // Routed when there was no such stream yet: not to be stored in part.
                (None, Some(stream)) if put.hashes.len() == put.entries.len() => {
                    admitted.push((put, Arc::clone(stream)));
                }
                (None, _) => {
                    let missing = PutError::StreamNotFound(put.stream.clone());
                    let _ = put.answer.send(Err(missing));
                }
            }
        }
        let mut kept = Vec::with_capacity(stores.len());
        for store in stores {
            let exists = self.exists(store.shard);
            match &closed {
                Some(closed) => drop(store.answer.send(Err(closed.clone()))),
                None if exists => kept.push(store),
                None => {
                    let gone = "the stream was deleted".to_owned();
                    let _ = store.answer.send(Err(PutError::Unavailable(gone)));
                }
            }
        }
        (admitted, kept)
    }

    fn exists(&self, shard: ShardKey) -> bool {
        let stream = self.by_incarnation.get(&shard.incarnation);
        stream.is_some_and(|stream| stream.shard(ShardId::new(shard.shard)).is_some())
    }

    /// Makes a group durable. Nothing of it is seen before.
    fn write_group(
        &mut self,
        puts: &[(Put, Arc<Stream>)],
        stores: &[StoreNote],
    ) -> Result<(Written, Vec<Vec<Placed>>), AppendError> {
        let entries: usize = puts.iter().map(|(put, _)| put.entries.len() + 1).sum();
        self.begin()?;
        let payload: usize = puts.iter().map(|(put, _)| size(&put.entries)).sum();
        let notes: usize = stores.iter().map(|store| store.key.len() + store.value.len()).sum();
        let overhead = (entries + stores.len()) as u64 * OVERHEAD_PER_ENTRY;
        let estimate = (payload + notes) as u64 + overhead;
        let worth_it = self.active_since.is_some() || self.log.has_grown();
        if self.log.end + estimate > self.segment_bytes && worth_it {
            self.roll(0)?;
            self.retain();
        }
        let mut frames = self.log.frames();
        frames.bytes.reserve(estimate as usize);
        let arrival = self.store.clock.now().max(self.last_arrival);
        let mut group = Group::new(&self.tips, arrival);
        let mut placed = Vec::with_capacity(puts.len());
        for (put, stream) in puts {
            placed.push(group.put(stream, &put.entries, &put.hashes));
            if let Some(ProducerPosition { producer, up_to }) = &put.remember {
                group.note(notes::producer_key(producer), up_to.to_string().into());
            }
        }
        for store in stores {
            group.note(store.key.clone(), store.value.clone());
        }
        let written = group.encode(&mut frames);
        self.log.append(frames, false)?;
        if !written.blocks.is_empty() {
            self.last_arrival = arrival;
            self.active_since.get_or_insert(arrival);
        }
        Ok((written, placed))
    }

    /// Shows a durable group to readers.
    fn show(&mut self, written: Written) {
        for (key, place) in &written.blocks {
            let next_counter = place.last_counter() + 1;
            self.tips.insert(*key, Tip { next_counter, last_arrival: place.arrival });
        }
        self.store.arrived(self.last_arrival);
        let mut index = write(&self.store.index);
        for (key, place) in written.blocks {
            index.publish(key, place);
        }
        drop(index);
        if !written.notes.is_empty() {
            let mut notes = write(&self.store.notes);
            for (key, value) in written.notes {
                replay::apply(&mut notes, key, value);
            }
        }
        for Grown { stream, place, newest, records, bytes } in written.grown {
            stream.flow(place).came_in(records, bytes);
            stream.lane(place).announce(newest);
        }
        self.show_bytes();
    }

    /// What waiters get told of a failure. One that leaves the disk unknown closes writes for good.
    fn refusal(&self, error: AppendError) -> PutError {
        match error {
            AppendError::Full(error) => {
                tracing::warn!(%error, "no space left: puts are refused until there is some");
                PutError::StorageFull(error.to_string())
            }
            AppendError::Fatal(error) => PutError::Unavailable(self.close_writes(&error)),
        }
    }

    fn close_writes(&self, error: &io::Error) -> String {
        let reason = format!(
            "writing failed, and what is on the disk is not known: {error}. Check the disk, then \
             restart: opening the store again finds everything that was acknowledged"
        );
        tracing::error!(%reason, "writes are closed");
        self.store.close(reason.clone());
        reason
    }

    /// Begins the segment that recovery asked for, once.
    fn begin(&mut self) -> Result<(), AppendError> {
        if let Some(jump) = self.pending_roll {
            self.roll(jump)?;
            self.pending_roll = None;
        }
        Ok(())
    }

    /// Seals the active segment and begins the next one.
    fn roll(&mut self, jump: u64) -> Result<(), AppendError> {
        let store = &self.store;
        {
            let index = read(&store.index);
            let mut notes = write(&store.notes);
            let now = store.clock.now();
            let known = |stream| self.by_incarnation.contains_key(&stream);
            let exists = |key| self.exists(key);
            notes::retain(&mut notes, now, known, exists, |number| index.holds(number));
        }
        let (footer, summaries) = {
            let index = read(&store.index);
            segment::encode_footer(self.log.number, self.log.end, index.active_blocks())
        };
        let durability = self.log.durability;
        let mut snapshot = Vec::new();
        Snapshot::write(&mut snapshot, durability, jump, &self.tips, &read(&store.notes));
        let bytes = self.log.roll(&footer, &snapshot)?;
        let next = Active { number: self.log.number, file: Arc::clone(&self.log.file) };
        write(&store.index).seal(bytes, &summaries, next);
        self.active_since = None;
        Ok(())
    }

    /// Changes the catalog: stored first, seen after.
    fn change(&mut self, change: Change) -> Result<(), AdministerError> {
        if let Some(reason) = self.store.closed() {
            return Err(AdministerError::Unavailable(reason));
        }
        // Between the records before and those after: a shard is closed after all that it took.
        let next = self.last_arrival.plus(Duration::from_millis(1));
        let clock = self.store.clock.now();
        let at = Moment { clock, arrival: clock.max(next) };
        let frees = matches!(
            change,
            Change::Delete { .. } | Change::Stream(_, StreamChange::DecreaseRetention(_))
        );
        match administer::changed(&self.catalog, change, at, self.limits)? {
            Some(changed) => {
                self.adopt(changed, frees)?;
                self.last_arrival = at.arrival;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Stores a changed catalog and uses it. If it frees space, it may take the reserve.
    fn adopt(&mut self, mut changed: Catalog, frees: bool) -> Result<(), AdministerError> {
        let mut stored = changed.store(&*self.store.disk, &mut self.catalog_texts);
        if frees && stored.as_ref().is_err_and(disk::is_full) && self.reserve.give_up() {
            stored = changed.store(&*self.store.disk, &mut self.catalog_texts);
        }
        // At once: the next put would take it.
        self.reserve.fill();
        if let Err(error) = stored {
            return Err(match disk::is_full(&error) {
                true => AdministerError::StorageFull(error.to_string()),
                false => AdministerError::Unavailable(self.close_writes(&error)),
            });
        }
        self.catalog = changed;
        self.use_catalog();
        if frees {
            self.forget();
            self.retain();
        }
        Ok(())
    }

    fn use_catalog(&mut self) {
        let now = Arc::new(streams::in_use(&self.catalog, &self.streams));
        let before = std::mem::replace(&mut self.streams, now);
        let by_incarnation = |stream: &Arc<Stream>| (stream.stored.incarnation, Arc::clone(stream));
        self.by_incarnation = self.streams.values().map(by_incarnation).collect();
        *write(&self.store.commitments) = self.catalog.commitments.clone();
        *write(&self.store.streams) = Arc::clone(&self.streams);
        streams::announce_ends(&before, &self.streams);
    }

    /// Forgets shards that are gone.
    fn forget(&mut self) {
        write(&self.store.index).retain_shards(|key| self.exists(key));
        let mut tips = std::mem::take(&mut self.tips);
        tips.retain(|key, _| self.exists(*key));
        self.tips = tips;
    }

    /// Ends the session: everything is durable, and the log says that the end was meant.
    pub(crate) fn finish(mut self) {
        // A log that must go on in a new segment has no end that could be called clean.
        let begun = self.pending_roll.is_none();
        if self.store.closed().is_none() && !self.log.clean && begun {
            let frames = self.log.frames();
            if let Err(error) = self.log.append(frames, true) {
                self.refusal(error);
            }
        }
        self.store.close("the store is closed".to_owned());
    }
}

/// Where a writer starts: what recovery found, less what readers share.
pub(crate) struct Start {
    pub(crate) log: Log,
    pub(crate) tips: Tips,
    pub(crate) last_arrival: Timestamp,
    pub(crate) active_since: Option<Timestamp>,
    pub(crate) roll: Option<u64>,
}
