//! What a module took without writing it yet: when it is closed, and in which order its
//! announcement, its failed records and its checkpoint become durable.

use std::time::Duration;

use baikonur_stream::{
    Batch, Checkpoint, Close, Delivery, FailedRecord, Intent, Outcome, SequenceNumber,
    ShardProgress, Timestamp,
};

use super::{Now, ShardMachine, Todo};

/// Failed records that wait for the close of the range they are in; above this the range is closed.
const FAILED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Keys that a log names of a range.
const SHOWN_KEYS_MAX: usize = 8;

/// What a failed record takes beside its texts.
const FAILED_RECORD_BYTES: usize = 256;

/// A range of records that a module holds.
#[derive(Debug)]
pub(super) struct Held {
    first: SequenceNumber,
    first_arrival: Timestamp,
    last: SequenceNumber,
    /// The module wants to be closed now.
    close_now: bool,
    /// The module wants to be closed at this monotonic moment.
    pub(super) deadline: Option<Duration>,
    /// Records of the range that no retry would help. They are kept at the close and not before,
    /// so that the failed store, too, gets the same objects when a range is repeated.
    failed: Vec<FailedRecord>,
    failed_bytes: usize,
    /// Set when the range was announced before a restart, under other keys.
    other_keys: Option<OtherKeys>,
}

/// The keys of a range that gives other objects than were announced for it before a restart: those may have been
/// written, and nobody writes over them any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OtherKeys {
    /// Before the restart.
    pub(crate) announced: Vec<String>,
    /// Now.
    pub(crate) keys: Vec<String>,
}

impl OtherKeys {
    /// Some of `keys`, for a log.
    pub(crate) fn shown(keys: &[String]) -> String {
        let some = keys.iter().take(SHOWN_KEYS_MAX).map(String::as_str).collect::<Vec<_>>();
        match keys.len() - some.len() {
            0 => some.join(", "),
            more => format!("{} and {more} more", some.join(", ")),
        }
    }
}

impl Held {
    /// A range that begins with the record of this number and arrival.
    pub(super) fn new(first: SequenceNumber, first_arrival: Timestamp) -> Self {
        Self {
            first,
            first_arrival,
            last: first,
            close_now: false,
            deadline: None,
            failed: Vec::new(),
            failed_bytes: 0,
            other_keys: None,
        }
    }

    /// When its first record arrived.
    pub(super) fn first_arrival(&self) -> Timestamp {
        self.first_arrival
    }

    /// Counts records up to `last` in.
    pub(super) fn take(&mut self, last: SequenceNumber, failed: Vec<FailedRecord>) {
        self.last = last;
        self.failed_bytes += size(&failed);
        self.failed.extend(failed);
    }
}

/// What failed records take in memory.
fn size(failed: &[FailedRecord]) -> usize {
    let texts = |record: &FailedRecord| {
        record.data.len() + record.partition_key.len() + record.detail.len()
    };
    failed.iter().map(|record| texts(record) + FAILED_RECORD_BYTES).sum()
}

impl ShardMachine {
    /// Bytes of the failed records that are not kept yet: they wait for a close, or for the failed
    /// store.
    pub(super) fn failed_bytes(&self) -> usize {
        let waiting = self.held.as_ref().map_or(0, |held| held.failed_bytes);
        let keep = |todo: &Todo| match todo {
            Todo::Keep(batch) => size(&batch.records),
            Todo::Store(_) | Todo::Close => 0,
        };
        waiting + self.todo.iter().map(keep).sum::<usize>()
    }

    /// The module holds `batch`.
    pub(super) fn hold(&mut self, now: Now, batch: &Batch, close: Close) {
        let arrival = batch.records[0].arrival;
        let held = self.held.get_or_insert_with(|| Held::new(batch.first(), arrival));
        match close {
            Close::Now => held.close_now = true,
            Close::Within(wish) => {
                let wish = now.monotonic + wish;
                held.deadline = Some(held.deadline.map_or(wish, |earlier| earlier.min(wish)));
            }
        }
    }

    /// Whether what is held is to be written now.
    pub(super) fn close_is_due(&self, now: Now) -> bool {
        let Some(held) = &self.held else { return false };
        let read_out = self.at_end && self.buffer.is_empty();
        if let Some(until) = self.repeat_until {
            return held.last >= until || self.is_past_repetition() || read_out;
        }
        held.close_now
            || held.failed_bytes > FAILED_BYTES_MAX
            // They are what can be given back: else they would grow beyond the budget.
            || now.room == 0 && held.failed_bytes > 0
            || held.deadline.is_some_and(|deadline| now.monotonic >= deadline)
            || read_out
    }

    /// Announces the objects, then keeps the failed records, then writes.
    pub(super) fn announce(&mut self, keys: Vec<String>) {
        let Some(held) = &mut self.held else { return };
        let failed = std::mem::take(&mut held.failed);
        held.failed_bytes = 0;
        let before = self.progress.intent.as_ref().filter(|_| self.repeat_until.is_some());
        if let Some(before) = before.filter(|before| before.keys != keys) {
            let announced = before.keys.clone();
            held.other_keys = Some(OtherKeys { announced, keys: keys.clone() });
        }
        let intent = Intent { first: held.first, last: held.last, keys };
        if self.repeat_until.is_none() {
            self.push_store(Some(intent));
        }
        if !failed.is_empty() {
            self.push_keep(failed);
        }
        self.todo.push_back(Todo::Close);
    }

    /// That the range that is about to be written was announced before a restart under other keys, once.
    pub(crate) fn take_other_keys(&mut self) -> Option<OtherKeys> {
        self.held.as_mut()?.other_keys.take()
    }

    /// The module was asked to write what it holds. A failure is tried again without end: the
    /// objects are good, it is their destination that is not there.
    pub(super) fn closed(&mut self, now: Now, delivery: Delivery) {
        match delivery.outcome {
            Outcome::Delivered => {
                self.did_todo();
                let Some(held) = self.held.take() else { return };
                let failed: Vec<_> =
                    delivery.rejected.into_iter().map(FailedRecord::from).collect();
                if !failed.is_empty() {
                    self.push_keep(failed);
                }
                self.repeat_until = None;
                self.window_since = now.monotonic;
                let checkpoint = Some(Checkpoint::After(held.last));
                self.todo.push_back(Todo::Store(ShardProgress { checkpoint, intent: None }));
            }
            Outcome::Failed { reason, .. } => _ = self.pause(now, reason),
            Outcome::Held(_) => {
                self.pause(now, "the module held on to its objects when closed".to_owned());
            }
        }
    }
}
