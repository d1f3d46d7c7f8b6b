//! Reading pages of records: from a cursor through the index to blocks on the disk.
//!
//! Blocks of the segment being written come from the page cache and are read in place; blocks of
//! sealed segments may have left it, and are read on a thread that may block (`engine` decides by
//! [`Index::is_cold`](crate::index::Index::is_cold)). A block is checked whole before any record of
//! it is given out. Adjacent blocks are read together; the records of a page share what was read.

use std::io;
use std::sync::Arc;

use baikonur_stream::{
    ChildShard, Cursor, ReadError, ReadLimits, ReadPage, Record, SequenceNumber, Shard, ShardId,
    StartingPosition, Timestamp,
};
use bytes::Bytes;

use crate::disk::DiskFile;
use crate::frame::{Records, ShardKey};
use crate::index::{Located, wanted};
use crate::lock::read;
use crate::segment::{self, BlockPlace};
use crate::settings::COUNTER_JUMP;
use crate::store::Store;
use crate::streams::Stream;

/// One read of the disk takes in this many bytes at most, or one block.
const READ_BYTES: u64 = 1024 * 1024;
/// Blocks this close are read together: what lies between is a commit, or a few small blocks.
const GAP_BYTES: u64 = 4 * 1024;

/// A shard being read.
pub(crate) struct Reader<'a> {
    pub(crate) store: &'a Store,
    pub(crate) stream: &'a Stream,
    pub(crate) key: ShardKey,
    /// When the shard was created, for its sequence numbers.
    pub(crate) created_seconds: u64,
    /// Records that arrived before are expired.
    pub(crate) horizon: Timestamp,
}

/// Some blocks of a segment.
struct Stretch {
    segment: u64,
    file: Arc<dyn DiskFile>,
    places: Vec<BlockPlace>,
}

/// A page on its way.
struct Page {
    limits: ReadLimits,
    records: Vec<Record>,
    bytes: usize,
    /// The counter to go on with.
    counter: u64,
}

/// Why a page ends before its limits.
enum Stop {
    Full,
    Damaged { place: BlockPlace, segment: u64 },
    Failed(io::Error),
}

impl Page {
    fn is_full(&self) -> bool {
        self.records.len() >= self.limits.records.max(1) || self.bytes >= self.limits.bytes.max(1)
    }

    /// Takes the records of a block that are wanted; `None` if it is not what a writer makes.
    fn take(&mut self, mut records: Records) -> Option<Result<(), Stop>> {
        while let Some((counter, size)) = records.peek() {
            if counter < self.counter {
                records.skip()?;
                continue;
            }
            let first = self.records.is_empty();
            if self.is_full() || !(first || self.bytes + size <= self.limits.bytes) {
                return Some(Err(Stop::Full));
            }
            let record = records.take()?;
            self.bytes += size;
            self.counter = counter + 1;
            self.records.push(record);
        }
        records.is_done().then_some(Ok(()))
    }
}

impl Reader<'_> {
    fn locate(&self, page: &Page) -> Option<Located> {
        read(&self.store.index).locate(self.key, page.counter, self.horizon, page.limits)
    }

    fn stretch(&self, page: &Page) -> io::Result<Option<Stretch>> {
        loop {
            let (number, summary) = match self.locate(page) {
                None => return Ok(None),
                Some(Located::Active { number, file, places }) => {
                    return Ok(Some(Stretch { segment: number, file, places }));
                }
                Some(Located::Sealed { number, summary }) => (number, summary),
            };
            let file = match self.store.sealed_file(number) {
                Ok(file) => file,
                // Retention takes a segment out of the index before it removes the file: look again.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        && !read(&self.store.index).holds(number) =>
                {
                    continue;
                }
                Err(error) => return Err(error),
            };
            let places = self.store.sealed_places(&*file, number, self.key, &summary)?;
            let mut places = wanted(&places, page.counter, self.horizon, page.limits).to_vec();
            if places.is_empty() {
                // The summary promises more than can be found: what is missing is lost.
                let first = page.counter.max(summary.first_counter);
                let missing = summary.last_counter.saturating_sub(first) + 1;
                let arrival = summary.last_arrival;
                places.push(BlockPlace::hole(first, missing, summary.offset, arrival));
            }
            return Ok(Some(Stretch { segment: number, file, places }));
        }
    }

    /// The page from `cursor` on.
    pub(crate) fn page(&self, cursor: &Cursor, limits: ReadLimits) -> Result<ReadPage, ReadError> {
        let counter = cursor.from.counter();
        // Seen before looking: what is put meanwhile is not taken for expired.
        let place = self.place();
        let seen = place.map_or(0, |place| self.stream.lane(place).tip().newest);
        // As this view of the stream has it, which knows the children as well: all that a closed
        // shard took is shown before it is closed.
        let shard = place.map(|place| &self.stream.stored.shards[place]);
        let closed = shard.is_some_and(|shard| shard.ending_sequence_number.is_some());
        let mut page = Page { limits, records: Vec::new(), bytes: 0, counter };
        let mut stop = Ok(());
        while stop.is_ok() && !page.is_full() {
            stop = match self.stretch(&page) {
                Ok(Some(stretch)) => fill(&mut page, &stretch, self.created_seconds),
                Ok(None) => break,
                Err(error) => Err(Stop::Failed(error)),
            };
        }
        match stop {
            Err(Stop::Damaged { place, segment }) => {
                let what = self.name_damage(&place, segment);
                self.store.found_damage(&what);
                if page.records.is_empty() {
                    let resume =
                        self.cursor(cursor, place.last_counter().saturating_add(1), place.arrival);
                    let arrival = place.arrival;
                    return Err(ReadError::Damaged { what, arrival, resume: Some(resume) });
                }
            }
            Err(Stop::Failed(error)) if page.records.is_empty() => {
                return Err(ReadError::Unavailable(error.to_string()));
            }
            // Everything up to the newest record is expired: the reader goes on behind it.
            Ok(()) if page.records.is_empty() => {
                page.counter = counter.max(seen + 1);
                if closed {
                    self.count_trimmed(cursor, &page);
                    return Ok(self.end());
                }
            }
            // What was read before is good; the next read meets the same again.
            Ok(()) | Err(Stop::Full | Stop::Failed(_)) => {}
        }
        self.count_trimmed(cursor, &page);
        Ok(self.finish(page, cursor))
    }

    /// The page behind the last record of a closed shard.
    fn end(&self) -> ReadPage {
        let child = |shard: &Shard| ChildShard {
            id: shard.id,
            parents: [shard.parent, shard.adjacent_parent].into_iter().flatten().collect(),
            hash_key_range: shard.hash_key_range,
        };
        let children = self.stream.children(ShardId::new(self.key.shard)).map(child).collect();
        ReadPage { records: Vec::new(), next: None, millis_behind_latest: 0, children }
    }

    /// In the stream's list of shards.
    fn place(&self) -> Option<usize> {
        self.stream.shard(ShardId::new(self.key.shard)).map(|(place, _)| place)
    }

    /// Tells of records that expired before a reader with a position came to them.
    fn count_trimmed(&self, cursor: &Cursor, page: &Page) {
        let wanted = cursor.from.counter();
        let first = page.records.first().map_or(page.counter, |r| r.sequence_number.counter());
        let trimmed = first.saturating_sub(wanted);
        // A start at the trim horizon wants nothing older, and over a jump no numbers were given.
        if wanted == 0 || trimmed == 0 || trimmed >= COUNTER_JUMP / 2 {
            return;
        }
        tracing::warn!(shard = %cursor.shard, records = trimmed, "records expired before they were read");
        if let Some(place) = self.place() {
            self.stream.flow(place).was_trimmed(trimmed);
        }
    }

    fn finish(&self, page: Page, cursor: &Cursor) -> ReadPage {
        let newest = read(&self.store.index).newest(self.key);
        let millis_behind_latest = match (newest, page.records.last()) {
            (Some(newest), Some(last)) if page.counter <= newest.counter => {
                newest.arrival.millis().saturating_sub(last.arrival.millis()).max(1)
            }
            _ => 0,
        };
        let next = match page.records.last() {
            Some(last) => self.cursor(cursor, page.counter, last.arrival),
            None if page.counter > cursor.from.counter() => {
                let from = cursor.from.time_seconds();
                self.cursor(cursor, page.counter, Timestamp::from_seconds(from))
            }
            None => cursor.clone(),
        };
        if let Some(place) = self.place() {
            self.stream.flow(place).went_out(page.records.len() as u64, page.bytes as u64);
        }
        let children = Vec::new();
        ReadPage { records: page.records, next: Some(next), millis_behind_latest, children }
    }

    fn cursor(&self, at: &Cursor, counter: u64, arrival: Timestamp) -> Cursor {
        let counter = counter.min(SequenceNumber::COUNTER_MAX);
        let (created, shard) = (self.created_seconds, self.key.shard);
        let from = SequenceNumber::new(created, shard, counter, arrival.seconds());
        Cursor { shard: at.shard.clone(), from, since: None }
    }

    fn name_damage(&self, place: &BlockPlace, segment: u64) -> String {
        let file = segment::name(segment);
        let (first, last) = (place.first_counter, place.last_counter());
        let shard = baikonur_stream::ShardId::new(self.key.shard);
        format!(
            "{file} at offset {}: records {first} to {last} of {shard} (stream created {}) are lost",
            place.offset, self.key.incarnation
        )
    }

    /// Where a starting position is now.
    pub(crate) fn seek(
        &self,
        start: Cursor,
        position: StartingPosition,
    ) -> Result<Cursor, ReadError> {
        match position {
            StartingPosition::TrimHorizon => Ok(start),
            StartingPosition::Latest => Ok(self.tip(&start)),
            StartingPosition::AtSequenceNumber(number) => {
                self.own(&start, number)?;
                Ok(Cursor { from: number, ..start })
            }
            StartingPosition::AfterSequenceNumber(number) => {
                self.own(&start, number)?;
                let arrival = Timestamp::from_seconds(number.time_seconds());
                Ok(self.cursor(&start, number.counter().saturating_add(1), arrival))
            }
            StartingPosition::AtTimestamp(at) => self.seek_arrival(start, at),
        }
    }

    /// The first record that arrived at `at` or later; behind the newest if there is none.
    fn seek_arrival(&self, start: Cursor, at: Timestamp) -> Result<Cursor, ReadError> {
        let tip = self.tip(&start);
        let limits = ReadLimits { records: 1, bytes: 1 };
        let page = Page { limits, records: Vec::new(), bytes: 0, counter: 0 };
        let horizon = self.horizon.max(at);
        let from = Reader { horizon, ..*self };
        let stretch =
            from.stretch(&page).map_err(|error| ReadError::Unavailable(error.to_string()))?;
        let first = stretch.and_then(|stretch| stretch.places.first().copied());
        Ok(first.map_or(tip, |first| self.cursor(&start, first.first_counter, first.arrival)))
    }

    /// Behind the newest record.
    fn tip(&self, start: &Cursor) -> Cursor {
        match read(&self.store.index).newest(self.key) {
            Some(newest) => self.cursor(start, newest.counter.saturating_add(1), newest.arrival),
            None => start.clone(),
        }
    }

    /// Whether a number is of this shard of this stream.
    pub(crate) fn own(&self, at: &Cursor, number: SequenceNumber) -> Result<(), ReadError> {
        let shard = at.shard.clone();
        if number.shard() != self.key.shard {
            return Err(ReadError::OtherShard { number, shard });
        }
        if number.created_seconds() != self.created_seconds {
            return Err(ReadError::OtherStream { number, shard });
        }
        Ok(())
    }
}

/// Takes the records of a stretch into the page.
fn fill(page: &mut Page, stretch: &Stretch, created_seconds: u64) -> Result<(), Stop> {
    let mut rest = stretch.places.as_slice();
    while let Some(first) = rest.first() {
        let damaged =
            |place: &BlockPlace| Stop::Damaged { place: *place, segment: stretch.segment };
        if first.length == 0 {
            return Err(damaged(first));
        }
        let together = run(rest);
        let (blocks, after) = rest.split_at(together);
        rest = after;
        let end = blocks.last().map_or(0, |last| last.offset + u64::from(last.length));
        let mut buffer = vec![0; end.saturating_sub(first.offset) as usize];
        let bytes = match stretch.file.read_at(&mut buffer, first.offset) {
            Ok(()) => Bytes::from(buffer),
            // The file is shorter than it was: nothing of this run can be trusted to be there.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(damaged(first));
            }
            Err(error) => return Err(Stop::Failed(error)),
        };
        for place in blocks {
            let taken = segment::block_body(&bytes, stretch.segment, first.offset, place)
                .and_then(|body| Records::new(body, created_seconds))
                .and_then(|records| page.take(records));
            match taken {
                Some(Ok(())) => {}
                Some(Err(stop)) => return Err(stop),
                None => return Err(damaged(place)),
            }
        }
    }
    Ok(())
}

/// How many of these blocks, one at least, are read together.
fn run(places: &[BlockPlace]) -> usize {
    let Some(first) = places.first() else { return 0 };
    let mut end = first.offset + u64::from(first.length);
    let adjacent = |place: &&BlockPlace| {
        let place_end = place.offset + u64::from(place.length);
        let fits = place.length > 0
            && (end..=end + GAP_BYTES).contains(&place.offset)
            && place_end - first.offset <= READ_BYTES;
        end = place_end;
        fits
    };
    1 + places[1..].iter().take_while(adjacent).count()
}
