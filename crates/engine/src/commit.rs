//! Group commit: the writer thread, its queue, and those who wait for it.
//!
//! Everything that was asked for while the previous group was being made durable goes into the
//! next one and shares its fsync; nobody waits for company. No lock is held during I/O. Waiters
//! are answered in the order of their requests.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use baikonur_stream::{
    Clock, Placed, ProducerPosition, PutEntry, PutError, SequenceNumber, ShardId,
};
use bytes::Bytes;
use metrics::{Histogram, gauge, histogram};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tracing::{error, warn};

use crate::catalog::{Stream, Streams};
use crate::frame::{BlockHead, ShardKey, write_record};
use crate::log::{AppendError, Group, Log};
use crate::notes::producer_key;

/// Payload bytes of one group: bounds the writer's buffer and the time to the answer.
const GROUP_BYTES: usize = 16 * 1024 * 1024;
/// Payload bytes of one block. A reader of a few records reads their block whole.
const BLOCK_BYTES: usize = 256 * 1024;
/// Expired segments are looked for this often.
const RETENTION_CHECK: Duration = Duration::from_secs(60);

/// What the writer is asked for.
pub(crate) enum Request {
    Put(Put),
    Note(Note),
    /// Make everything durable and end.
    Close(oneshot::Sender<()>),
}

pub(crate) struct Put {
    pub(crate) stream: Arc<Stream>,
    pub(crate) entries: Vec<PutEntry>,
    pub(crate) shards: Vec<ShardId>,
    pub(crate) bytes: usize,
    pub(crate) remember: Option<ProducerPosition>,
    pub(crate) answer: oneshot::Sender<Result<Vec<Placed>, PutError>>,
    /// Room in the queue, given back with the request.
    pub(crate) _room: OwnedSemaphorePermit,
}

pub(crate) struct Note {
    pub(crate) key: String,
    pub(crate) value: Option<Bytes>,
    pub(crate) answer: oneshot::Sender<Result<(), PutError>>,
}

/// The writer thread's state.
pub(crate) struct Writer {
    pub(crate) log: Log,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) streams: Arc<RwLock<Streams>>,
    /// Why writes are closed; read by whoever wants to write.
    pub(crate) closed: Arc<RwLock<Option<String>>>,
    pub(crate) meters: Meters,
}

/// Figures of the writer.
pub(crate) struct Meters {
    commit: Histogram,
    requests: Histogram,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            commit: histogram!("baikonur_commit_seconds"),
            requests: histogram!("baikonur_commit_requests"),
        }
    }
}

impl Writer {
    /// Works until it is closed or nobody can ask any more.
    pub(crate) fn run(mut self, requests: &Receiver<Request>) {
        let mut group = Group::default();
        let mut checked = self.clock.monotonic();
        loop {
            match requests.recv_timeout(RETENTION_CHECK) {
                Ok(first) => {
                    if let Some(done) = self.work(first, requests, &mut group) {
                        // The directory's lock goes before the answer: it may be opened again then.
                        self.finish();
                        let _ = done.send(());
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
            }
            if self.clock.monotonic().saturating_sub(checked) >= RETENTION_CHECK {
                checked = self.clock.monotonic();
                self.retain();
            }
        }
    }

    /// Commits `first` and all that is queued behind it. Some when the writer is to end.
    fn work(
        &mut self,
        first: Request,
        requests: &Receiver<Request>,
        group: &mut Group,
    ) -> Option<oneshot::Sender<()>> {
        let (mut puts, mut notes, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut next = Some(first);
        let mut done = None;
        while let Some(request) = next {
            match request {
                Request::Put(put) => {
                    bytes += put.bytes;
                    puts.push(put);
                }
                Request::Note(note) => notes.push(note),
                Request::Close(answer) => {
                    done = Some(answer);
                    break;
                }
            }
            next = if bytes < GROUP_BYTES { requests.try_recv().ok() } else { None };
        }
        if !(puts.is_empty() && notes.is_empty()) {
            self.commit(puts, notes, group);
        }
        done
    }

    fn commit(&mut self, puts: Vec<Put>, notes: Vec<Note>, group: &mut Group) {
        let closed = self.closed.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(reason) = closed {
            return refuse(puts, notes, &PutError::Unavailable(reason));
        }
        let started = self.clock.monotonic();
        self.meters.requests.record((puts.len() + notes.len()) as f64);
        let now = self.clock.now();
        group.clear();
        let placed = self.encode(&puts, &notes, group);
        let streams = Arc::clone(&self.streams);
        let exists = |incarnation| {
            let streams = streams.read().unwrap_or_else(PoisonError::into_inner);
            streams.values().any(|stream| stream.incarnation == incarnation)
        };
        match self.log.append(group, now, &exists) {
            Ok(()) => {
                wake_readers(&puts, &placed);
                for (put, placed) in puts.into_iter().zip(placed) {
                    // Whoever asked may have given up waiting; the records are stored all the same.
                    let _ = put.answer.send(Ok(placed));
                }
                for note in notes {
                    let _ = note.answer.send(Ok(()));
                }
            }
            Err(AppendError::Full(error)) => {
                warn!(%error, "no space left; puts are refused until there is some");
                refuse(puts, notes, &PutError::StorageFull(error.to_string()));
            }
            Err(AppendError::Fatal(error)) => {
                let reason = self.close(&error);
                refuse(puts, notes, &PutError::Unavailable(reason));
            }
        }
        self.meters.commit.record(self.clock.monotonic().saturating_sub(started).as_secs_f64());
    }

    /// Gives every record its place, and writes blocks and notes into the group.
    fn encode(&self, puts: &[Put], notes: &[Note], group: &mut Group) -> Vec<Vec<Placed>> {
        let arrival = self.clock.now().max(self.log.last_arrival);
        let mut shards: HashMap<ShardKey, Taken<'_>> = HashMap::new();
        let mut order = Vec::new();
        let mut placed = Vec::with_capacity(puts.len());
        let index = self.log.index.read().unwrap_or_else(PoisonError::into_inner);
        for put in puts {
            let mut places = Vec::with_capacity(put.entries.len());
            for (entry, shard) in put.entries.iter().zip(&put.shards) {
                let key = put.stream.key(*shard);
                let taken = shards.entry(key).or_insert_with(|| {
                    order.push(key);
                    Taken { first: index.tip(key), entries: Vec::new() }
                });
                let counter = taken.first + taken.entries.len() as u64;
                taken.entries.push(entry);
                let incarnation = put.stream.incarnation;
                let sequence_number =
                    SequenceNumber::new(incarnation, shard.index(), counter, arrival.seconds());
                places.push(Placed { shard: *shard, sequence_number });
            }
            placed.push(places);
        }
        drop(index);
        for key in order {
            let taken = &shards[&key];
            let mut first_counter = taken.first;
            for piece in pieces(&taken.entries) {
                let count = piece.len() as u32;
                let head = BlockHead { key, first_counter, arrival, count };
                group.block(head, |body| {
                    for entry in piece {
                        write_record(body, &entry.partition_key, &entry.data);
                    }
                });
                first_counter += u64::from(count);
            }
        }
        for put in puts {
            if let Some(ProducerPosition { producer, up_to }) = &put.remember {
                group.note(producer_key(producer), Some(Bytes::from(up_to.to_string())));
            }
        }
        for note in notes {
            group.note(note.key.clone(), note.value.clone());
        }
        placed
    }

    fn retain(&mut self) {
        if self.closed.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return;
        }
        let now = self.clock.now();
        let horizons: HashMap<u64, _> = {
            let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
            streams.values().map(|s| (s.incarnation, s.trim_horizon(now))).collect()
        };
        match self.log.retain(now, &|incarnation| horizons.get(&incarnation).copied()) {
            Ok(()) => {}
            Err(AppendError::Full(error)) => warn!(%error, "no space left to seal a segment"),
            Err(AppendError::Fatal(error)) => drop(self.close(&error)),
        }
        let index = self.log.index.read().unwrap_or_else(PoisonError::into_inner);
        let sealed: u64 = index.sealed.values().map(|sealed| sealed.bytes).sum();
        gauge!("baikonur_log_bytes").set((sealed + self.log.offset) as f64);
    }

    /// Closes writes for good: what is on the disk is not known any more.
    fn close(&self, error: &std::io::Error) -> String {
        let reason = format!(
            "writing failed and what is stored is not known: {error}. \
             Check the disk, then start again: recovery finds what was acknowledged"
        );
        error!(%reason, "writes are closed");
        *self.closed.write().unwrap_or_else(PoisonError::into_inner) = Some(reason.clone());
        reason
    }

    fn finish(self) {
        if let Err(error) = self.log.sync() {
            error!(%error, "the last sync failed");
        }
        let mut closed = self.closed.write().unwrap_or_else(PoisonError::into_inner);
        closed.get_or_insert_with(|| "the store is closed".to_owned());
    }
}

/// Records of a group that go to one shard.
struct Taken<'a> {
    first: u64,
    entries: Vec<&'a PutEntry>,
}

/// Cuts entries into pieces of at most `BLOCK_BYTES`, one entry at least.
fn pieces<'s, 'a>(entries: &'s [&'a PutEntry]) -> impl Iterator<Item = &'s [&'a PutEntry]> {
    let mut rest = entries;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |entry: &&&PutEntry| {
            bytes += entry.data.len() + entry.partition_key.bytes().len();
            bytes <= BLOCK_BYTES
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (piece, after) = rest.split_at(count);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

fn wake_readers(puts: &[Put], placed: &[Vec<Placed>]) {
    for (put, placed) in puts.iter().zip(placed) {
        // The last place in each shard is the highest.
        let mut highest: HashMap<ShardId, u64> = HashMap::new();
        for place in placed {
            highest.insert(place.shard, place.sequence_number.counter() + 1);
        }
        for (shard, next) in highest {
            if let Some(tip) = put.stream.tip(shard) {
                tip.send_if_modified(|known| {
                    let higher = next > *known;
                    *known = next.max(*known);
                    higher
                });
            }
        }
    }
}

fn refuse(puts: Vec<Put>, notes: Vec<Note>, error: &PutError) {
    for put in puts {
        let _ = put.answer.send(Err(error.clone()));
    }
    for note in notes {
        let _ = note.answer.send(Err(error.clone()));
    }
}
