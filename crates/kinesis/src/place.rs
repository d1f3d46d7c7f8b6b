//! Where readers are: for each shard what was fetched and not handed over yet, and how to go on.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use baikonur_stream::{
    ChildShard, Cursor, ReadLimits, ReadPage, Record, SequenceNumber, ShardAddress,
    StartingPosition,
};

use crate::pause::Pauses;

/// A place that nobody has come back to for this long is forgotten, with the records that it holds:
/// its shard is read elsewhere, or not at all.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// Between calls to a shard that refuses them. Its five calls a second are new every second: who
/// waited for much longer than that would starve beside readers that were not refused.
const THROTTLED: Pauses =
    Pauses { first: Duration::from_millis(400), longest: Duration::from_secs(2) };

/// A reader's place in a shard; records come to it by a `Feed`.
pub(crate) struct Place<Feed> {
    /// Where the next read begins.
    pub(crate) cursor: Cursor,
    /// Where the next feed begins: behind all that was fetched.
    pub(crate) behind: StartingPosition,
    /// Where records come from; none until it is (again) asked for.
    pub(crate) feed: Option<Feed>,
    /// Fetched and not handed over.
    buffer: VecDeque<Record>,
    /// How far the end of `buffer` is behind the newest record.
    millis_behind: u64,
    /// Once the closed shard was fetched to its end.
    end: Option<Vec<ChildShard>>,
    /// Nothing is asked for before this monotonic moment.
    pub(crate) due: Duration,
    refusals: u32,
    used: Duration,
}

/// What came, and where it leads.
pub(crate) struct Fetched {
    pub(crate) records: Vec<Record>,
    /// Behind these records, where the service says it; else behind the last of them.
    pub(crate) up_to: Option<SequenceNumber>,
    pub(crate) millis_behind: u64,
    /// At the end of a closed shard.
    pub(crate) end: Option<Vec<ChildShard>>,
}

/// Where to begin for a cursor of which nothing else is known.
pub(crate) fn position_of(cursor: &Cursor) -> StartingPosition {
    let from = cursor.from;
    if let Some(moment) = cursor.since {
        return StartingPosition::AtTimestamp(moment);
    }
    match from.predecessor() {
        None => StartingPosition::TrimHorizon,
        // The service wants numbers as it makes them, and it did not make the successor of one.
        Some(before) if before.is_version_2() && !from.is_version_2() => {
            StartingPosition::AfterSequenceNumber(before)
        }
        Some(_) => StartingPosition::AtSequenceNumber(from),
    }
}

/// The cursor for a position. `now` stands for LATEST.
pub(crate) fn cursor_at(
    shard: &ShardAddress,
    position: StartingPosition,
    now: baikonur_stream::Timestamp,
) -> Cursor {
    let (from, since) = match position {
        StartingPosition::TrimHorizon => (SequenceNumber::ZERO, None),
        StartingPosition::Latest => (SequenceNumber::ZERO, Some(now)),
        StartingPosition::AtTimestamp(moment) => (SequenceNumber::ZERO, Some(moment)),
        StartingPosition::AtSequenceNumber(number) => (number, None),
        StartingPosition::AfterSequenceNumber(number) => (number.successor(), None),
    };
    Cursor { shard: shard.clone(), from, since }
}

impl<Feed> Place<Feed> {
    /// A place from which nothing was fetched.
    pub(crate) fn new(cursor: Cursor, behind: StartingPosition) -> Self {
        Self {
            cursor,
            behind,
            feed: None,
            buffer: VecDeque::new(),
            millis_behind: 0,
            end: None,
            due: Duration::ZERO,
            refusals: 0,
            used: Duration::ZERO,
        }
    }

    /// Goes where `cursor` says, if it is not there already.
    pub(crate) fn turn_to(&mut self, cursor: &Cursor) {
        if self.cursor != *cursor {
            let due = self.due;
            *self = Self::new(cursor.clone(), position_of(cursor));
            self.due = due;
        }
    }

    /// Whether a read has nothing to hand over without fetching.
    pub(crate) fn is_dry(&self) -> bool {
        self.buffer.is_empty() && self.end.is_none()
    }

    /// Whether more than this many records wait to be handed over.
    pub(crate) fn has_more_than(&self, records: usize) -> bool {
        self.buffer.len() > records
    }

    /// Takes what came.
    pub(crate) fn took(&mut self, fetched: Fetched) {
        let Fetched { records, up_to, millis_behind, end } = fetched;
        self.refusals = 0;
        self.millis_behind = millis_behind;
        self.end = end;
        let last = records.last().map(|record| record.sequence_number);
        // A service that says less than it gave is not believed.
        let up_to = up_to.max(last);
        if let Some(up_to) = up_to {
            self.behind = StartingPosition::AfterSequenceNumber(up_to);
        }
        if let (true, Some(up_to)) = (self.buffer.is_empty() && records.is_empty(), up_to) {
            self.cursor.from = self.cursor.from.max(up_to.successor());
            self.cursor.since = None;
        }
        self.buffer.extend(records);
    }

    /// The service refused a call: the next one is due after a pause.
    pub(crate) fn throttled(&mut self, now: Duration) {
        self.refusals = self.refusals.saturating_add(1);
        self.due = now + THROTTLED.after(self.refusals);
    }

    /// As much as `limits` admit of what was fetched, and at least one record if there is any.
    pub(crate) fn page(&mut self, limits: ReadLimits) -> ReadPage {
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some(record) = self.buffer.front() {
            bytes += record.size();
            let full = records.len() >= limits.records || bytes > limits.bytes;
            if full && !records.is_empty() {
                break;
            }
            records.extend(self.buffer.pop_front());
        }
        let mut millis_behind_latest = self.millis_behind;
        if let Some(last) = records.last() {
            self.cursor.from = last.sequence_number.successor();
            self.cursor.since = None;
            if let Some(newest) = self.buffer.back() {
                let span = newest.arrival.since(last.arrival).as_millis() as u64;
                millis_behind_latest = millis_behind_latest.saturating_add(span).max(1);
            }
        }
        let children = match self.buffer.is_empty() {
            true => self.end.clone(),
            false => None,
        };
        let next = children.is_none().then(|| self.cursor.clone());
        ReadPage { records, next, millis_behind_latest, children: children.unwrap_or_default() }
    }
}

/// The places of all shards that are being read.
pub(crate) struct Places<Feed>(Mutex<HashMap<ShardAddress, SharedPlace<Feed>>>);

/// One reader at a time.
pub(crate) type SharedPlace<Feed> = Arc<tokio::sync::Mutex<Place<Feed>>>;

impl<Feed> Default for Places<Feed> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Feed> Places<Feed> {
    /// The place for a cursor, locked, and there.
    pub(crate) async fn at(
        &self,
        cursor: &Cursor,
        now: Duration,
    ) -> tokio::sync::OwnedMutexGuard<Place<Feed>> {
        let place = {
            let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let known = places.get(&cursor.shard).map(Arc::clone);
            known.unwrap_or_else(|| {
                places.retain(|_, place| is_in_use(place, now));
                let place = Place::new(cursor.clone(), position_of(cursor));
                let place = Arc::new(tokio::sync::Mutex::new(place));
                places.insert(cursor.shard.clone(), Arc::clone(&place));
                place
            })
        };
        let mut place = place.lock_owned().await;
        place.turn_to(cursor);
        place.used = now;
        place
    }

    /// Begins anew at a place.
    pub(crate) fn begin(&self, mut place: Place<Feed>, now: Duration) {
        place.used = now;
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|_, place| is_in_use(place, now));
        places.insert(place.cursor.shard.clone(), Arc::new(tokio::sync::Mutex::new(place)));
    }

    /// Forgets a shard that is read no more.
    pub(crate) fn forget(&self, shard: &ShardAddress) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(shard);
    }
}

fn is_in_use<Feed>(place: &SharedPlace<Feed>, now: Duration) -> bool {
    let idle = |place: &Place<Feed>| now.saturating_sub(place.used) > FORGOTTEN_AFTER;
    // One that is locked is being read this moment.
    place.try_lock().map_or(true, |place| !idle(&place))
}
