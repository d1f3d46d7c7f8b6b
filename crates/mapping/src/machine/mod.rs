//! What happens next to one shard. No I/O, no clock: `step(now, event) → action`.
//!
//! The driver carries out exactly one action at a time and answers with its event. Between two
//! steps the machine stands in one of these places, and [`ShardMachine::next`] reads in this order:
//!
//! 1. a pause after a failure;
//! 2. `todo`: announcements, failed records and checkpoints that must be durable, in order, before
//!    anything else happens;
//! 3. `pieces`: the batch under delivery, perhaps cut by bisection or a partial failure;
//! 4. `held`: what the module took but has not written yet, when it is time to close it;
//! 5. a new batch from the records read; the end of the shard; the next read.
//!
//! Invariants: the checkpoint moves only behind records that were delivered or kept in the failed
//! store; it never moves into a held range; while an announced range is repeated after a crash,
//! nothing is closed before its end and no batch reaches across it.

mod action;
mod failure;
mod held;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use baikonur_stream::{
    Batch, Checkpoint, ConsumerName, Cursor, Delivery, FailedBatch, FailedRecord, Intent, Outcome,
    ProgressError, ReadError, ReadLimits, ReadPage, Record, SequenceNumber, ShardAddress,
    ShardProgress, StartingPosition, Timestamp,
};

use crate::backoff::Backoff;
use crate::settings::Settings;
pub(crate) use action::{Action, Event, Finish, Now};
use held::Held;
pub(crate) use held::OtherKeys;

/// Something that must be done, and be durable, before the shard goes on.
#[derive(Debug)]
enum Todo {
    Store(ShardProgress),
    Keep(Arc<FailedBatch>),
    Close,
}

/// Consecutive records under delivery.
#[derive(Debug)]
struct Piece {
    batch: Arc<Batch>,
    bytes: usize,
    /// Failures that counted so far.
    failures: u32,
}

/// Without news, a reader looks again after this long.
const POLL: Duration = Duration::from_secs(1);

/// The state of one shard's delivery.
pub(crate) struct ShardMachine {
    consumer: ConsumerName,
    shard: ShardAddress,
    settings: Settings,
    start: StartingPosition,
    /// As it is stored.
    progress: ShardProgress,
    cursor: Option<Cursor>,
    /// The last read found nothing: wait before the next one.
    at_tip: bool,
    /// The last read left records behind: a batch can be filled without waiting.
    more_behind: bool,
    /// A closed shard has been read to its end.
    at_end: bool,
    /// Read, but not yet part of a batch.
    buffer: VecDeque<Record>,
    buffer_bytes: usize,
    /// When the previous delivery ended.
    window_since: Duration,
    pieces: VecDeque<Piece>,
    held: Option<Held>,
    /// End of a range that was announced before a crash and is being repeated.
    repeat_until: Option<SequenceNumber>,
    /// Whether objects were announced for that range.
    repeats_objects: bool,
    todo: VecDeque<Todo>,
    sleep_until: Option<Duration>,
    backoff: Backoff,
    /// The module was told to forget what it held, because the drain came amid a repetition.
    discarded: bool,
    /// Why the last attempt of anything failed, for the log and for the failed store.
    last_error: Option<String>,
    retries: u64,
    /// Milliseconds that the last read was behind the newest record.
    behind: Option<u64>,
    finish: Option<Finish>,
}

impl ShardMachine {
    /// A machine for a shard; `start` is where it begins without a checkpoint.
    pub(crate) fn new(
        consumer: ConsumerName,
        shard: ShardAddress,
        settings: Settings,
        start: StartingPosition,
        seed: u64,
    ) -> Self {
        let backoff = Backoff::new(settings.retry_initial, settings.retry_maximum, seed);
        Self {
            consumer,
            shard,
            settings,
            start,
            progress: ShardProgress::default(),
            cursor: None,
            at_tip: false,
            more_behind: false,
            at_end: false,
            buffer: VecDeque::new(),
            buffer_bytes: 0,
            window_since: Duration::ZERO,
            pieces: VecDeque::new(),
            held: None,
            repeat_until: None,
            repeats_objects: false,
            todo: VecDeque::new(),
            sleep_until: None,
            backoff,
            discarded: false,
            last_error: None,
            retries: 0,
            behind: None,
            finish: None,
        }
    }

    /// The first action.
    pub(crate) fn begin(&self) -> Action {
        Action::Load
    }

    /// Failures that led to a retry since the last call, with the newest reason.
    pub(crate) fn take_retries(&mut self) -> Option<(u64, String)> {
        let retries = std::mem::take(&mut self.retries);
        let reason = self.last_error.take()?;
        (retries > 0).then_some((retries, reason))
    }

    /// Bytes of payloads and keys that are held for the shard, beside what the module holds.
    pub(crate) fn bytes(&self) -> usize {
        let pieces = self.pieces.iter().map(|piece| piece.bytes).sum::<usize>();
        self.buffer_bytes + pieces + self.failed_bytes()
    }

    /// The position as it is stored.
    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        self.progress.checkpoint
    }

    /// How far reading is behind the newest record, as the last read said.
    pub(crate) fn millis_behind_latest(&self) -> Option<u64> {
        self.behind
    }

    /// Takes the answer to the last action and says what to do next.
    pub(crate) fn step(&mut self, mut now: Now, event: Event) -> Action {
        let before = self.bytes();
        match event {
            Event::Loaded(Ok(progress)) => return self.loaded(now, progress),
            Event::Loaded(Err(ProgressError::LeaseLost(_))) => {
                return Action::Finish(Finish::LeaseLost);
            }
            Event::Loaded(Err(error)) => {
                let pause = self.pause(now, error.to_string());
                // Without the progress there is nothing else to do: sleep, then load again.
                self.sleep_until = None;
                return if now.draining {
                    Action::Finish(Finish::Drained)
                } else {
                    Action::Sleep(pause)
                };
            }
            Event::Sought(result) => return self.sought(now, result),
            Event::Read(Ok(page)) => self.took(page),
            Event::Read(Err(error)) => self.read_failed(now, error),
            Event::Woken => self.at_tip = false,
            Event::Delivered(delivery) => self.delivered(now, delivery),
            Event::Keys(keys) => self.announce(keys),
            Event::Closed(delivery) => self.closed(now, delivery),
            Event::Discarded => self.discarded = true,
            Event::Kept(Ok(())) => self.did_todo(),
            Event::Kept(Err(error)) => _ = self.pause(now, error.to_string()),
            Event::Stored(Ok(())) => {
                if let Some(Todo::Store(progress)) = self.todo.front() {
                    self.progress = progress.clone();
                }
                self.did_todo();
            }
            Event::Stored(Err(ProgressError::Gone(_))) => self.finish = Some(Finish::Gone),
            Event::Stored(Err(ProgressError::LeaseLost(_))) => {
                self.finish = Some(Finish::LeaseLost);
            }
            Event::Stored(Err(error)) => _ = self.pause(now, error.to_string()),
        }
        // What this has freed is room again; the driver counts it only after the step.
        now.room = now.room.saturating_add(before.saturating_sub(self.bytes()));
        self.next(now)
    }

    fn did_todo(&mut self) {
        self.todo.pop_front();
        self.backoff.reset();
    }

    /// Notes a failure and how long to wait after it.
    fn pause(&mut self, now: Now, reason: String) -> Duration {
        let pause = self.backoff.next();
        self.sleep_until = Some(now.monotonic + pause);
        self.last_error = Some(reason);
        self.retries += 1;
        pause
    }

    fn loaded(&mut self, now: Now, progress: ShardProgress) -> Action {
        self.backoff.reset();
        self.window_since = now.monotonic;
        self.repeat_until = progress.intent.as_ref().map(|intent| intent.last);
        self.repeats_objects =
            progress.intent.as_ref().is_some_and(|intent| !intent.keys.is_empty());
        self.progress = progress;
        match self.progress.checkpoint {
            None => Action::Seek(self.start),
            // Within: the module was told which part of the record it is to leave out.
            Some(Checkpoint::At(number) | Checkpoint::Within { number, .. }) => {
                Action::Seek(StartingPosition::AtSequenceNumber(number))
            }
            Some(Checkpoint::After(number)) => {
                Action::Seek(StartingPosition::AfterSequenceNumber(number))
            }
            Some(Checkpoint::AtTimestamp(moment)) => {
                Action::Seek(StartingPosition::AtTimestamp(moment))
            }
            Some(Checkpoint::ShardEnd) => Action::Finish(Finish::ShardEnd),
        }
    }

    fn sought(&mut self, now: Now, result: Result<Cursor, ReadError>) -> Action {
        match result {
            Ok(cursor) => {
                if self.progress.checkpoint.is_none() {
                    // Where to start is decided once: also if we are stopped before the first record,
                    // or with another starting position after it.
                    let at = cursor.since.map(Checkpoint::AtTimestamp);
                    let checkpoint = Some(at.unwrap_or(Checkpoint::At(cursor.from)));
                    let intent = self.progress.intent.clone();
                    self.todo.push_back(Todo::Store(ShardProgress { checkpoint, intent }));
                }
                self.cursor = Some(cursor);
                self.backoff.reset();
                self.next(now)
            }
            Err(ReadError::OtherStream { .. } | ReadError::OtherShard { .. }) => {
                // The stream was deleted and made anew: its old positions mean nothing. All of the
                // new one came after the first start, so whoever starts at LATEST or at a moment
                // wants all of it as well.
                self.progress = ShardProgress::default();
                self.repeat_until = None;
                Action::Seek(StartingPosition::TrimHorizon)
            }
            Err(ReadError::StreamNotFound(_) | ReadError::ShardNotFound(_)) => {
                Action::Finish(Finish::Gone)
            }
            Err(error) => {
                self.pause(now, error.to_string());
                self.next(now)
            }
        }
    }

    fn took(&mut self, page: ReadPage) {
        self.backoff.reset();
        self.at_tip = page.records.is_empty();
        self.at_end = page.next.is_none();
        self.more_behind = !self.at_tip && page.millis_behind_latest > 0;
        self.buffer_bytes += page.size();
        self.behind = Some(page.millis_behind_latest);
        self.cursor = page.next.or(self.cursor.take());
        self.buffer.extend(page.records);
    }

    fn read_failed(&mut self, now: Now, error: ReadError) {
        match error {
            // Deleted, or deleted and made anew: whoever starts this shard again finds out which.
            ReadError::StreamNotFound(_)
            | ReadError::ShardNotFound(_)
            | ReadError::OtherStream { .. }
            | ReadError::OtherShard { .. } => self.finish = Some(Finish::Gone),
            ReadError::Damaged { what, arrival, resume: Some(resume) } => {
                self.skip_damage(&what, arrival, resume);
            }
            error => _ = self.pause(now, error.to_string()),
        }
    }

    /// The next action, with the places looked at in the order of the module's header.
    fn next(&mut self, now: Now) -> Action {
        if let Some(finish) = self.finish {
            return Action::Finish(finish);
        }
        if let Some(until) = self.sleep_until {
            if until > now.monotonic && !now.draining {
                return Action::Sleep(until - now.monotonic);
            }
            self.sleep_until = None;
            if until > now.monotonic {
                // While draining a failing step is tried again, but still not in a busy loop.
                return Action::Sleep((until - now.monotonic).min(Duration::from_millis(200)));
            }
        }
        match self.todo.front() {
            Some(Todo::Store(progress)) => return Action::Store(progress.clone()),
            Some(Todo::Keep(batch)) => return Action::Keep(Arc::clone(batch)),
            Some(Todo::Close) => return Action::Close,
            None => {}
        }
        if now.draining {
            return self.drain();
        }
        if self.progress.checkpoint == Some(Checkpoint::ShardEnd) {
            return Action::Finish(Finish::ShardEnd);
        }
        let Some(cursor) = self.cursor.clone() else {
            // Seeking failed: again from the top.
            return Action::Load;
        };
        if !self.pieces.is_empty() {
            return self.deliver(now);
        }
        if self.held.is_none() && self.is_past_repetition() {
            // Nothing of the announced range is there any more.
            self.repeat_until = None;
        }
        if self.close_is_due(now) {
            return Action::Keys;
        }
        if self.batch_is_due(now) {
            self.form_batch();
            return self.deliver(now);
        }
        if self.at_end && self.buffer.is_empty() {
            self.todo.push_back(Todo::Store(ShardProgress {
                checkpoint: Some(Checkpoint::ShardEnd),
                intent: None,
            }));
            return self.next(now);
        }
        if self.at_tip || self.at_end {
            return Action::Wait(cursor, self.patience(now));
        }
        let records = self.settings.batch_size.saturating_sub(self.buffer.len()).max(1);
        let bytes = self.settings.batch_bytes.saturating_sub(self.buffer_bytes).min(now.room);
        let bytes = bytes.max(1);
        Action::Read(cursor, ReadLimits { records, bytes })
    }

    /// Stops: nothing new is begun; what is held is closed, unless it is the middle of a range that
    /// has to be repeated whole.
    fn drain(&mut self) -> Action {
        self.pieces.clear();
        self.buffer.clear();
        self.buffer_bytes = 0;
        match (&self.held, self.repeat_until) {
            (None, _) => Action::Finish(Finish::Drained),
            (Some(_), None) => Action::Keys,
            (Some(_), Some(_)) if self.discarded => Action::Finish(Finish::Drained),
            (Some(_), Some(_)) => Action::Discard,
        }
    }

    /// How long a reader at the tip may sleep.
    fn patience(&self, now: Now) -> Duration {
        let mut until = now.monotonic + POLL;
        if !self.buffer.is_empty() {
            until = until.min(self.window_since + self.settings.batching_window);
        }
        if let Some(deadline) = self.held.as_ref().and_then(|held| held.deadline) {
            until = until.min(deadline);
        }
        until.saturating_sub(now.monotonic)
    }

    /// Whether the records read so far make a batch.
    fn batch_is_due(&self, now: Now) -> bool {
        let Some(last) = self.buffer.back() else {
            return false;
        };
        let full = self.buffer.len() >= self.settings.batch_size
            || self.buffer_bytes >= self.settings.batch_bytes
            || self.at_end
            // Waiting for more would only keep the room from others.
            || now.room == 0;
        if let Some(until) = self.repeat_until {
            // The cut must be the one announced: wait for all of it rather than for the window.
            return full || last.sequence_number >= until || self.is_past_repetition();
        }
        let window = self.settings.batching_window;
        let waited = now.monotonic >= self.window_since + window;
        full || waited && !(self.more_behind && window.is_zero())
    }

    /// Whether reading has come to the end of the range being repeated, and beyond what is left of it.
    fn is_past_repetition(&self) -> bool {
        let Some(until) = self.repeat_until else { return false };
        match self.buffer.front() {
            Some(next) => next.sequence_number > until,
            None => self.cursor.as_ref().is_some_and(|cursor| cursor.from > until),
        }
    }

    /// When the oldest record arrived that the checkpoint has not passed, as far as it was read.
    pub(crate) fn oldest_arrival(&self) -> Option<Timestamp> {
        let held = self.held.as_ref().map(Held::first_arrival);
        let piece = || self.pieces.front().map(|piece| piece.batch.records[0].arrival);
        held.or_else(piece).or_else(|| self.buffer.front().map(|record| record.arrival))
    }

    fn form_batch(&mut self) {
        let mut records = Vec::with_capacity(self.buffer.len().min(self.settings.batch_size));
        let mut bytes = 0;
        while let Some(record) = self.buffer.front() {
            let crosses = self.repeat_until.is_some_and(|until| record.sequence_number > until);
            let too_large = bytes + record.size() > self.settings.batch_bytes;
            let full = records.len() == self.settings.batch_size || too_large;
            if !records.is_empty() && (full || crosses) {
                break;
            }
            bytes += record.size();
            records.extend(self.buffer.pop_front());
        }
        self.buffer_bytes -= bytes;
        let batch = Arc::new(Batch { shard: self.shard.clone(), records, attempt: 0 });
        self.pieces.push_back(Piece { batch, bytes, failures: 0 });
    }

    fn deliver(&mut self, now: Now) -> Action {
        if self.held.is_some() && self.repeat_until.is_none() && self.expired(now) > 0 {
            // What expires is no part of the objects being filled: a repetition could not leave it out again.
            return Action::Keys;
        }
        if self.give_up_expired(now) {
            return self.next(now);
        }
        let piece = self.pieces.front().expect("deliver is called with a piece at hand");
        Action::Deliver(Arc::clone(&piece.batch))
    }

    fn delivered(&mut self, now: Now, delivery: Delivery) {
        let Some(piece) = self.pieces.pop_front() else {
            return;
        };
        self.window_since = now.monotonic;
        let failed = delivery.rejected.into_iter().map(FailedRecord::from).collect();
        match delivery.outcome {
            Outcome::Delivered => {
                self.backoff.reset();
                self.settle(&piece.batch.records, failed);
            }
            Outcome::Held(close) => {
                self.backoff.reset();
                self.hold(now, &piece.batch, close);
                self.settle(&piece.batch.records, failed);
            }
            Outcome::Failed { from, cause, reason } => {
                self.failed(now, piece, from, cause, reason, failed);
            }
        }
    }

    /// Consecutive records are done with: delivered, held, or in `failed`.
    fn settle(&mut self, records: &[Record], failed: Vec<FailedRecord>) {
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            return;
        };
        let (first, arrival, last) = (first.sequence_number, first.arrival, last.sequence_number);
        if self.held.is_none() && self.repeat_until.is_some() {
            // A repeated range is settled as a whole, however its pieces fall this time, so that
            // the failed store gets the same object again.
            self.held = Some(Held::new(first, arrival));
        }
        if let Some(held) = &mut self.held {
            held.take(last, failed);
            return;
        }
        if !failed.is_empty() {
            // So that a crash right after the failed store repeats this very range.
            self.push_store(Some(Intent { first, last, keys: Vec::new() }));
            self.push_keep(failed);
        }
        let checkpoint = Some(Checkpoint::After(last));
        self.todo.push_back(Todo::Store(ShardProgress { checkpoint, intent: None }));
    }

    /// Stores an announcement beside the present checkpoint.
    fn push_store(&mut self, intent: Option<Intent>) {
        // A checkpoint that is still on its way to the store is the present one.
        let checkpoint = self.todo.iter().rev().find_map(|todo| match todo {
            Todo::Store(progress) => Some(progress.checkpoint),
            Todo::Keep(_) | Todo::Close => None,
        });
        let checkpoint = checkpoint.unwrap_or(self.progress.checkpoint);
        self.todo.push_back(Todo::Store(ShardProgress { checkpoint, intent }));
    }

    fn push_keep(&mut self, records: Vec<FailedRecord>) {
        self.todo.push_back(Todo::Keep(Arc::new(FailedBatch {
            consumer: self.consumer.clone(),
            shard: self.shard.clone(),
            records,
        })));
    }
}
