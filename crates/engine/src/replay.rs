//! What the frames of segments add up to: where shards stand, the notes, and where blocks are.
//!
//! Counters of a shard have no gaps on disk but those that a snapshot explains. A gap is a loss: it
//! is kept as a hole, a place without a block, so that a reader gets told and not led past it.

use std::collections::btree_map::Entry;
use std::ops::Range;

use baikonur_stream::Timestamp;
use bytes::Bytes;

use crate::frame::{Fields, Kind, ShardKey, read_note};
use crate::index::Newest;
use crate::notes::Notes;
use crate::scan::{Found, Scanned, block_place, scan};
use crate::segment::{BlockPlace, Blocks, Summary};
use crate::settings::{COUNTER_JUMP, Durability};
use crate::snapshot::{Snapshot, Tip, Tips};

/// The state at the end of the segments played so far.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    pub(crate) tips: Tips,
    pub(crate) notes: Notes,
    pub(crate) last_arrival: Timestamp,
    /// The blocks of the segment played last, with holes.
    pub(crate) blocks: Blocks,
    /// Damage in the segment played last.
    pub(crate) damaged: Vec<Range<u64>>,
    /// How the segment played last was written, if its snapshot was whole.
    pub(crate) durability: Option<Durability>,
    /// A snapshot was seen: what is not in `tips` has not begun.
    grounded: bool,
}

impl Replay {
    /// The places of one shard in a sealed segment whose footer promises `summary`, but whose list of
    /// places is damaged: from the segment's bytes.
    pub(crate) fn places(
        segment: u64,
        bytes: &[u8],
        key: ShardKey,
        summary: &Summary,
    ) -> Vec<BlockPlace> {
        let mut replay = Self::default();
        let (next_counter, last_arrival) = (summary.first_counter, summary.first_arrival);
        replay.tips.insert(key, Tip { next_counter, last_arrival });
        replay.play(&scan(segment, bytes, true));
        let next_counter = summary.last_counter.saturating_add(1);
        let last_arrival = summary.last_arrival;
        replay.missing_before(key, Tip { next_counter, last_arrival }, bytes.len() as u64);
        replay.blocks.remove(&key).unwrap_or_default()
    }

    /// Plays a segment over the state of the ones before.
    pub(crate) fn play(&mut self, scanned: &Scanned<'_>) {
        self.blocks.clear();
        self.damaged.clear();
        self.durability = None;
        for found in &scanned.found {
            match found {
                Found::Frame(frame) => match frame.kind {
                    Kind::Snapshot => self.snapshot(frame.body),
                    Kind::Note => self.note(frame.body),
                    _ => {
                        if let Some((key, place)) = block_place(found) {
                            self.block(key, place);
                        }
                    }
                },
                Found::Damage { range, .. } => {
                    self.damaged.push(range.clone());
                    // Believed only where it goes on where the shard stood, and then not in all.
                    if let Some((key, mut hole)) = block_place(found)
                        && self.expected(key) == Some(hole.first_counter)
                    {
                        hole.arrival = self.last_arrival;
                        self.block(key, hole);
                    }
                }
            }
        }
        self.date_holes();
    }

    /// A hole expires with the record behind it, or with the newest of all: not before what it stands
    /// for could.
    fn date_holes(&mut self) {
        for places in self.blocks.values_mut() {
            let mut behind = self.last_arrival;
            for place in places.iter_mut().rev() {
                if place.length == 0 {
                    place.arrival = behind;
                }
                behind = place.arrival;
            }
        }
    }

    /// Records missing at the end of the segment played last, as the next one's snapshot tells.
    pub(crate) fn missing_at_end(&mut self, next: &Snapshot, end: u64) {
        for (key, tip) in &next.tips {
            let next_counter = tip.next_counter.saturating_sub(next.jump);
            self.missing_before(*key, Tip { next_counter, ..*tip }, end);
        }
    }

    fn missing_before(&mut self, key: ShardKey, tip: Tip, end: u64) {
        let Some(expected) = self.expected(key) else { return };
        let missing = tip.next_counter.saturating_sub(expected);
        if missing > 0 {
            self.push(key, BlockPlace::hole(expected, missing, end, tip.last_arrival));
        }
    }

    fn snapshot(&mut self, body: &[u8]) {
        if let Some(snapshot) = Snapshot::read(body) {
            self.begin(snapshot);
        }
    }

    /// Goes on from what a snapshot says.
    pub(crate) fn begin(&mut self, snapshot: Snapshot) {
        let newest = snapshot.tips.values().map(|tip| tip.last_arrival).max();
        self.last_arrival = self.last_arrival.max(newest.unwrap_or_default());
        self.tips = snapshot.tips;
        self.notes = snapshot.notes;
        self.durability = Some(snapshot.durability);
        self.grounded = true;
    }

    /// A shard went on up to this record.
    pub(crate) fn went_on(&mut self, key: ShardKey, newest: Newest) {
        let tip = self.tips.entry(key).or_default();
        tip.next_counter = newest.counter.saturating_add(1).max(tip.next_counter);
        tip.last_arrival = newest.arrival.max(tip.last_arrival);
    }

    fn note(&mut self, body: &[u8]) {
        if let Some((key, value)) = read_note(&mut Fields(body)) {
            apply(&mut self.notes, key, value);
        }
    }

    /// The counter that the shard's next record has, if that is known.
    fn expected(&self, key: ShardKey) -> Option<u64> {
        let start = || self.grounded.then_some(Tip::default().next_counter);
        self.tips.get(&key).map(|tip| tip.next_counter).or_else(start)
    }

    fn block(&mut self, key: ShardKey, place: BlockPlace) {
        self.shorten_hole(key, place.first_counter);
        if let Some(expected) = self.expected(key)
            && place.first_counter > expected
        {
            // Where the snapshot that tells of a jump is lost, the jump is no loss.
            let missing = (place.first_counter - expected) % COUNTER_JUMP;
            if missing > 0 {
                self.push(key, BlockPlace::hole(expected, missing, place.offset, place.arrival));
            }
        }
        self.push(key, place);
    }

    /// A hole that reaches into the block behind it was a guess from a damaged head.
    fn shorten_hole(&mut self, key: ShardKey, to: u64) {
        let Entry::Occupied(mut places) = self.blocks.entry(key) else { return };
        let places = places.get_mut();
        let Some(last) = places.last_mut().filter(|p| p.length == 0 && p.last_counter() >= to)
        else {
            return;
        };
        last.count = u32::try_from(to.saturating_sub(last.first_counter)).unwrap_or(u32::MAX);
        if last.count == 0 {
            places.pop();
        }
        self.tips.entry(key).or_default().next_counter = to;
    }

    /// Adds a place behind the shard's others. What would go back is not what a writer makes.
    fn push(&mut self, key: ShardKey, mut place: BlockPlace) {
        let places = self.blocks.entry(key).or_default();
        let tip = self.tips.entry(key).or_default();
        if places.last().is_some_and(|last| last.last_counter() >= place.first_counter) {
            return;
        }
        place.arrival = place.arrival.max(places.last().map_or(place.arrival, |p| p.arrival));
        tip.next_counter = place.last_counter().saturating_add(1).max(tip.next_counter);
        tip.last_arrival = place.arrival.max(tip.last_arrival);
        self.last_arrival = self.last_arrival.max(place.arrival);
        places.push(place);
    }
}

/// Sets a note, or removes it.
pub(crate) fn apply(notes: &mut Notes, key: String, value: Option<Bytes>) {
    match value {
        Some(value) => notes.insert(key, value),
        None => notes.remove(&key),
    };
}
