//! Reading a segment from its start, as recovery does: groups that were committed, and damage.
//!
//! What counts, in this order:
//! - A group counts when its commit frame is whole. Frames behind the last commit count for nothing.
//! - A group with damage in it counts only if a later commit follows: the writer starts a group when
//!   the one before is written (and synced, in that mode), so a later one proves that this one was
//!   acknowledged. Without a later one it is a torn tail, and nobody was told of it.
//! - In a segment that was sealed everything was durable before the next one was made: nothing in it
//!   is a torn tail.

use std::ops::Range;

use memchr::memmem;

use crate::frame::{self, BlockHead, Commit, Kind, MAGIC, ShardKey};
use crate::segment::BlockPlace;

/// A whole frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) body: &'a [u8],
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

/// A whole frame, or bytes that are none.
enum Piece<'a> {
    Frame(Frame<'a>),
    Broken(Range<u64>),
}

/// What counts, in the order of the file.
#[derive(Debug, Clone)]
pub(crate) enum Found<'a> {
    /// A frame of a committed group.
    Frame(Frame<'a>),
    /// Bytes that are not what was written, within or before committed groups.
    Damage {
        range: Range<u64>,
        /// The block that seems to have been there.
        head: Option<BlockHead>,
    },
}

/// All that counts in a segment.
pub(crate) struct Scanned<'a> {
    pub(crate) found: Vec<Found<'a>>,
    /// Where the last committed group ends.
    pub(crate) end: u64,
    /// The last commit; none in a segment without any.
    pub(crate) last: Option<Commit>,
    /// Bytes behind `end` are a footer, or the beginning of one, and no torn group.
    pub(crate) footer_behind: bool,
}

/// Reads a segment. `sealed` tells whether a later segment exists.
pub(crate) fn scan(segment: u64, bytes: &[u8], sealed: bool) -> Scanned<'_> {
    scan_showing(segment, bytes, sealed, |_| ())
}

/// Reads a segment, and shows each whole frame on the way, also those that do not count.
pub(crate) fn scan_showing<'a>(
    segment: u64,
    bytes: &'a [u8],
    sealed: bool,
    mut show: impl FnMut(&Frame<'a>),
) -> Scanned<'a> {
    let mut groups = Groups::new(bytes);
    let mut pieces = Pieces { segment, bytes, at: 0, effort: 0 };
    while let Some(piece) = pieces.next() {
        if let Piece::Frame(frame) = &piece {
            show(frame);
        }
        groups.add(piece);
    }
    groups.finish(sealed)
}

/// Whether a segment has any committed group. Quick where it starts with a whole one.
pub(crate) fn has_commit(segment: u64, bytes: &[u8]) -> bool {
    let mut pieces = Pieces { segment, bytes, at: 0, effort: 0 };
    loop {
        match pieces.next() {
            Some(Piece::Frame(frame)) if frame.kind != Kind::Commit => {}
            Some(Piece::Frame(frame))
                if Commit::read(frame.body).is_some_and(|c| c.start == 0 && c.group > 0) =>
            {
                return true;
            }
            _ => return scan(segment, bytes, false).last.is_some(),
        }
    }
}

/// The place of the block that was found, or that seems to have been there.
pub(crate) fn block_place(found: &Found<'_>) -> Option<(ShardKey, BlockPlace)> {
    match found {
        Found::Frame(frame) if frame.kind == Kind::Block => {
            let head = BlockHead::read(frame.body).filter(BlockHead::is_possible)?;
            let place = BlockPlace {
                first_counter: head.first_counter,
                offset: frame.offset,
                arrival: head.arrival,
                length: frame.length,
                count: head.count,
            };
            Some((head.key, place))
        }
        Found::Damage { range, head: Some(head) } => {
            let count = u64::from(head.count);
            let hole = BlockPlace::hole(head.first_counter, count, range.start, head.arrival);
            Some((head.key, hole))
        }
        _ => None,
    }
}

/// Cuts a segment's bytes into frames and what is none.
struct Pieces<'a> {
    segment: u64,
    bytes: &'a [u8],
    at: usize,
    /// Bytes checked in the search for whole frames behind damage.
    effort: usize,
}

/// The search for whole frames gives up after checking this many times the segment's bytes: a
/// payload may be full of what looks like headers.
const EFFORT: usize = 32;

impl<'a> Pieces<'a> {
    fn next(&mut self) -> Option<Piece<'a>> {
        if self.at == self.bytes.len() {
            return None;
        }
        if let Some(frame) = self.frame_at(self.at) {
            self.at += frame.length as usize;
            return Some(Piece::Frame(frame));
        }
        let start = self.at;
        self.at = self.next_whole(start).unwrap_or(self.bytes.len());
        Some(Piece::Broken(start as u64..self.at as u64))
    }

    fn frame_at(&self, at: usize) -> Option<Frame<'a>> {
        let offset = at as u64;
        let (kind, body, length) = frame::decode(&self.bytes[at..], self.segment, offset)?;
        Some(Frame { kind, body, offset, length: length as u32 })
    }

    /// Where the next whole frame stands behind the broken one at `at`.
    fn next_whole(&mut self, at: usize) -> Option<usize> {
        // Most damage leaves the header alone, and with it the way to the next frame.
        if let Some((_, length)) = frame::header(&self.bytes[at..])
            && let Some(next) = at.checked_add(length).filter(|next| *next < self.bytes.len())
            && self.frame_at(next).is_some()
        {
            return Some(next);
        }
        for found in memmem::find_iter(&self.bytes[at + 1..], &MAGIC) {
            let candidate = at + 1 + found;
            let Some((_, length)) = frame::header(&self.bytes[candidate..]) else { continue };
            if candidate + length > self.bytes.len() {
                continue;
            }
            if self.frame_at(candidate).is_some() {
                return Some(candidate);
            }
            self.effort += length;
            if self.effort > self.bytes.len().saturating_mul(EFFORT) {
                break;
            }
        }
        None
    }
}

/// Puts pieces together to groups and decides which of them count.
struct Groups<'a> {
    bytes: &'a [u8],
    found: Vec<Found<'a>>,
    end: u64,
    last: Option<Commit>,
    /// Pieces since the last commit.
    pending: Vec<Piece<'a>>,
    /// The last committed group, if there is damage in it and no later commit was seen yet.
    suspect: Option<Suspect<'a>>,
}

struct Suspect<'a> {
    pieces: Vec<Piece<'a>>,
    end: u64,
    commit: Commit,
}

impl<'a> Groups<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let (found, pending) = (Vec::new(), Vec::new());
        Self { bytes, found, end: 0, last: None, pending, suspect: None }
    }

    fn add(&mut self, piece: Piece<'a>) {
        match &piece {
            Piece::Frame(frame) if frame.kind == Kind::Commit => {
                let end = frame.offset + u64::from(frame.length);
                match Commit::read(frame.body).filter(|commit| self.follows(commit, frame.offset)) {
                    Some(commit) => self.commit(commit, end),
                    None => self.pending.push(Piece::Broken(frame.offset..end)),
                }
            }
            _ => self.pending.push(piece),
        }
    }

    /// Whether a commit can come after those seen so far.
    fn follows(&self, commit: &Commit, offset: u64) -> bool {
        let before = self.suspect.as_ref().map(|s| (s.commit.group, s.end));
        let before = before.or(self.last.map(|last| (last.group, self.end)));
        let (group, end) = before.unwrap_or((0, 0));
        commit.group > group && (end..=offset).contains(&commit.start)
    }

    fn commit(&mut self, commit: Commit, end: u64) {
        self.accept_suspect();
        let mut own = std::mem::take(&mut self.pending);
        // Pieces before the group's start are groups whose commit frame was lost.
        let start = |piece: &Piece<'_>| match piece {
            Piece::Frame(frame) => frame.offset,
            Piece::Broken(range) => range.start,
        };
        let first = own.partition_point(|piece| start(piece) < commit.start);
        let older: Vec<_> = own.drain(..first).collect();
        self.accept(older);
        if own.iter().any(|piece| matches!(piece, Piece::Broken(_))) {
            self.suspect = Some(Suspect { pieces: own, end, commit });
        } else {
            self.accept(own);
            (self.end, self.last) = (end, Some(commit));
        }
    }

    fn accept_suspect(&mut self) {
        if let Some(suspect) = self.suspect.take() {
            self.accept(suspect.pieces);
            (self.end, self.last) = (suspect.end, Some(suspect.commit));
        }
    }

    fn accept(&mut self, pieces: Vec<Piece<'a>>) {
        for piece in pieces {
            let found = match piece {
                Piece::Frame(frame) => Found::Frame(frame),
                Piece::Broken(range) => {
                    let head = self.broken_head(&range);
                    Found::Damage { range, head }
                }
            };
            self.found.push(found);
        }
    }

    /// The head of the block that seems to have been in a broken range: recovery believes it only
    /// where it fits the shard's counter.
    fn broken_head(&self, range: &Range<u64>) -> Option<BlockHead> {
        let bytes = &self.bytes[range.start as usize..range.end as usize];
        let body = bytes.get(frame::HEADER..)?;
        let head = BlockHead::read(body)?;
        let records_max = body.len() / (BlockHead::RECORD + 1);
        (head.is_possible() && head.count as usize <= records_max).then_some(head)
    }

    fn finish(mut self, sealed: bool) -> Scanned<'a> {
        let is_footer = |piece: &Piece<'_>| matches!(piece, Piece::Frame(f) if matches!(f.kind, Kind::Places | Kind::Footer));
        let footer_behind = self.suspect.is_none() && self.pending.first().is_some_and(is_footer);
        if sealed {
            self.accept_suspect();
            let mut pending = std::mem::take(&mut self.pending);
            let groups_end = pending.iter().position(is_footer).unwrap_or(pending.len());
            pending.truncate(groups_end);
            self.accept(pending);
        }
        Scanned { found: self.found, end: self.end, last: self.last, footer_behind }
    }
}
