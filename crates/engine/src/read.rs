//! Reading pages of records: from a cursor through the index to blocks on the disk.
//!
//! Blocks of the segment being written come from the page cache and are read in place; blocks of
//! sealed segments may have left it and are read on a thread that may block.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use baikonur_stream::{
    Cursor, ReadError, ReadLimits, ReadPage, Record, SequenceNumber, StartingPosition, Timestamp,
};

use crate::catalog::Stream;
use crate::disk::Disk;
use crate::frame;
use crate::index::{Index, PlaceCache, Stretch};
use crate::segment;

/// What readers need of the store.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) index: Arc<RwLock<Index>>,
    pub(crate) cache: Arc<PlaceCache>,
}

/// A page on its way.
struct Page {
    limits: ReadLimits,
    records: Vec<Record>,
    bytes: usize,
    /// The counter to go on with.
    counter: u64,
}

impl Page {
    fn is_full(&self) -> bool {
        self.records.len() >= self.limits.records || self.bytes >= self.limits.bytes
    }

    /// Takes a record; false when there is no room for it.
    fn take(&mut self, record: Record) -> bool {
        let first = self.records.is_empty();
        let fits = self.bytes + record.size() <= self.limits.bytes;
        if self.records.len() >= self.limits.records || !(fits || first) {
            return false;
        }
        self.bytes += record.size();
        self.counter = record.sequence_number.counter() + 1;
        self.records.push(record);
        true
    }
}

impl Reader {
    fn stretch(
        &self,
        stream: &Stream,
        cursor: &Cursor,
        counter: u64,
        arrival: Timestamp,
    ) -> io::Result<Option<Stretch>> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.stretch(&*self.disk, &self.cache, stream.key(cursor.shard.shard), counter, arrival)
    }

    fn tip(&self, stream: &Stream, cursor: &Cursor) -> u64 {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.tip(stream.key(cursor.shard.shard))
    }

    /// Whether a read from `cursor` may have to wait for the disk.
    pub(crate) fn is_cold(&self, stream: &Stream, cursor: &Cursor, now: Timestamp) -> bool {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let key = stream.key(cursor.shard.shard);
        let horizon = stream.trim_horizon(now);
        index.sealed.values().any(|sealed| {
            sealed.shards.get(&key).is_some_and(|summary| {
                summary.last_counter >= cursor.from.counter() && summary.last_arrival >= horizon
            })
        })
    }

    /// The page from `cursor` on.
    pub(crate) fn page(
        &self,
        stream: &Stream,
        cursor: &Cursor,
        limits: ReadLimits,
        now: Timestamp,
    ) -> Result<ReadPage, ReadError> {
        let horizon = stream.trim_horizon(now);
        let tip = self.tip(stream, cursor);
        let mut page =
            Page { limits, records: Vec::new(), bytes: 0, counter: cursor.from.counter() };
        loop {
            if page.is_full() {
                break;
            }
            match self.stretch(stream, cursor, page.counter, horizon) {
                Ok(Some(stretch)) => {
                    if !self.fill(&mut page, stream, cursor, &stretch)? {
                        break;
                    }
                }
                Ok(None) => {
                    // All that was there when the read began has been returned, or is expired.
                    page.counter = page.counter.max(tip);
                    break;
                }
                // Retention removed the segment between two looks: it is out of the index by now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(ReadError::Unavailable(error.to_string())),
            }
        }
        Ok(self.finish(page, stream, cursor, now))
    }

    /// Takes records of a stretch; whether to look for the next one.
    fn fill(
        &self,
        page: &mut Page,
        stream: &Stream,
        cursor: &Cursor,
        stretch: &Stretch,
    ) -> Result<bool, ReadError> {
        for place in &stretch.places[stretch.from..] {
            if page.is_full() {
                return Ok(false);
            }
            let body = segment::read_block(&*stretch.file, place)
                .map_err(|error| ReadError::Unavailable(error.to_string()));
            let records = match body {
                Ok(body) => body.as_ref().and_then(frame::records),
                // A file cut short is damage as well: trying again would not help.
                Err(_) if is_cut_short(stretch, place) => None,
                Err(error) => return Err(error),
            };
            let Some(records) = records else {
                if !page.records.is_empty() {
                    return Ok(false);
                }
                let name = segment::name(stretch.segment);
                let (start, length) = (place.offset, place.length);
                let (first, last) = (place.first_counter, place.last_counter());
                return Err(ReadError::Damaged {
                    what: format!(
                        "{name} from {start}, {length} bytes: {} of {} with counters {first} to {last}",
                        cursor.shard.shard, stream.name
                    ),
                    resume: Some(at(stream, cursor, last + 1)),
                });
            };
            for record in records {
                if record.sequence_number.counter() >= page.counter && !page.take(record) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn finish(&self, page: Page, stream: &Stream, cursor: &Cursor, now: Timestamp) -> ReadPage {
        let behind = page.counter < self.tip(stream, cursor);
        let millis_behind_latest = match page.records.last() {
            Some(last) if behind => (now.since(last.arrival).as_millis() as u64).max(1),
            None if behind => 1,
            _ => 0,
        };
        let closed = stream
            .shard(cursor.shard.shard)
            .is_some_and(|shard| shard.ending_sequence_number.is_some());
        let next = (!closed || behind).then(|| at(stream, cursor, page.counter));
        ReadPage { records: page.records, next, millis_behind_latest, children: Vec::new() }
    }

    /// Turns a position into a cursor.
    pub(crate) fn seek(
        &self,
        stream: &Stream,
        cursor: &Cursor,
        position: StartingPosition,
        now: Timestamp,
    ) -> Result<Cursor, ReadError> {
        let shard = &cursor.shard;
        let check = |number: SequenceNumber| {
            let shard = || shard.clone();
            if number.shard() != cursor.shard.shard.index() {
                return Err(ReadError::OtherShard { number, shard: shard() });
            }
            if number.created_seconds() != stream.incarnation {
                return Err(ReadError::OtherStream { number, shard: shard() });
            }
            Ok(number.counter())
        };
        let counter = match position {
            StartingPosition::TrimHorizon => 0,
            StartingPosition::Latest => self.tip(stream, cursor),
            StartingPosition::AtSequenceNumber(number) => check(number)?,
            StartingPosition::AfterSequenceNumber(number) => {
                check(number)?.saturating_add(1).min(SequenceNumber::COUNTER_MAX)
            }
            StartingPosition::AtTimestamp(from) => {
                let tip = self.tip(stream, cursor);
                let from = from.max(stream.trim_horizon(now));
                let stretch = self
                    .stretch(stream, cursor, 0, from)
                    .map_err(|error| ReadError::Unavailable(error.to_string()))?;
                stretch.map_or(tip, |found| found.places[found.from].first_counter)
            }
        };
        Ok(at(stream, cursor, counter))
    }
}

/// A cursor on the shard of `cursor`. Its time is zero: it stands before the record of its counter.
fn at(stream: &Stream, cursor: &Cursor, counter: u64) -> Cursor {
    let shard = cursor.shard.shard.index();
    let from = SequenceNumber::new(stream.incarnation, shard, counter, 0);
    Cursor { shard: cursor.shard.clone(), from }
}

fn is_cut_short(stretch: &Stretch, place: &segment::BlockPlace) -> bool {
    let end = place.offset + u64::from(place.length);
    stretch.file.length().is_ok_and(|length| length < end)
}
