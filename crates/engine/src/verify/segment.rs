//! One segment: every frame, the order of its commits, and its footer against its frames.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use bytes::Bytes;

use super::chain::Chain;
use super::report::Severity::{Damage, Note, Repairable};
use crate::disk::DiskFile;
use crate::frame::{BlockHead, Commit, Fields, HEADER, Kind, Records, ShardKey, read_note};
use crate::scan::{Found, Frame, block_place, scan_showing};
use crate::segment::{self, BlockPlace, Blocks, Summary};
use crate::settings::Durability;
use crate::snapshot::Snapshot;

/// A segment in memory.
pub(super) struct Segment<'a> {
    pub(super) number: u64,
    pub(super) file: &'a dyn DiskFile,
    pub(super) bytes: Bytes,
    /// A later segment exists.
    pub(super) sealed: bool,
}

/// What readers go by.
enum Footer {
    /// The blocks as they are found.
    None,
    /// Lists of places by shard, where they can be read.
    Lists(BTreeMap<ShardKey, Vec<BlockPlace>>),
}

/// Checks a segment, the one behind those that `chain` knows.
pub(super) fn check(segment: &Segment<'_>, chain: &mut Chain) -> io::Result<()> {
    let name = segment::name(segment.number);
    let mut commits = Commits::new(chain.commit_before(segment.number));
    let mut frames = 0;
    let scanned = scan_showing(segment.number, &segment.bytes, segment.sealed, |frame| {
        frames += 1;
        commits.see(frame);
    });
    chain.report.frames += frames;
    let snapshot = scanned.found.first().and_then(|first| match first {
        Found::Frame(frame) if frame.kind == Kind::Snapshot && frame.offset == 0 => {
            Snapshot::read(frame.body)
        }
        _ => None,
    });
    chain.enter(segment.number, snapshot.as_ref());
    for (offset, what) in commits.wrong.iter().filter(|(offset, _)| *offset < scanned.end) {
        chain.report.find(Damage, &name, *offset, what);
    }
    if snapshot.is_none() && matches!(scanned.found.first(), Some(Found::Frame(_)) | None) {
        chain.report.find(Damage, &name, 0, "it does not begin with a snapshot");
    }

    let mut blocks = Blocks::new();
    for found in &scanned.found {
        let Found::Frame(frame) = found else { continue };
        check_body(segment, frame, chain);
        if let Some((key, place)) = block_place(found) {
            blocks.entry(key).or_default().push(place);
        }
    }
    let footer = match segment.sealed {
        true => check_footer(segment, &blocks, chain)?,
        false => Footer::None,
    };
    let broken = |found: &Found<'_>| match found {
        Found::Damage { range, head } => Some((range.clone(), *head)),
        Found::Frame(_) => None,
    };
    let broken = scanned.found.iter().filter_map(broken).collect();
    follow(&name, blocks, footer, broken, chain);
    if !segment.sealed {
        let tail = scanned.end..segment.bytes.len() as u64;
        check_end(&name, tail, scanned.footer_behind, scanned.last, snapshot.as_ref(), chain);
    }
    let whole = matches!(scanned.found.last(), Some(Found::Frame(_)) | None);
    chain.leave(segment.number, scanned.last.filter(|_| whole));
    Ok(())
}

/// Groups are numbered without a gap, and each begins where the one before ended.
struct Commits {
    last: Option<(u64, u64)>,
    /// Behind the frame seen last.
    end: u64,
    /// Frames were lost since the last commit.
    broken: bool,
    wrong: Vec<(u64, String)>,
}

impl Commits {
    /// More are no more telling.
    const WRONG_MAX: usize = 100;

    fn new(before: Option<Commit>) -> Self {
        let last = before.map(|commit| (commit.group, 0));
        Self { last, end: 0, broken: false, wrong: Vec::new() }
    }

    fn see(&mut self, frame: &Frame<'_>) {
        self.broken |= frame.offset != self.end;
        self.end = frame.offset + u64::from(frame.length);
        if frame.kind != Kind::Commit {
            return;
        }
        let Some(commit) = Commit::read(frame.body) else {
            return self.wrong(frame.offset, "a commit that cannot be read".to_owned());
        };
        let broken = std::mem::take(&mut self.broken);
        if let Some((group, end)) = self.last.replace((commit.group, self.end)).filter(|_| !broken)
        {
            if group.checked_add(1) != Some(commit.group) {
                let what = format!("commit {} follows on commit {group}", commit.group);
                self.wrong(frame.offset, what);
            }
            if commit.start != end {
                let what = format!("its group begins at {}, not at {end}", commit.start);
                self.wrong(frame.offset, format!("commit {}: {what}", commit.group));
            }
        }
    }

    fn wrong(&mut self, offset: u64, what: String) {
        if self.wrong.len() < Self::WRONG_MAX {
            self.wrong.push((offset, what));
        }
    }
}

/// What stands in a frame is what a writer makes.
fn check_body(segment: &Segment<'_>, frame: &Frame<'_>, chain: &mut Chain) {
    let name = segment::name(segment.number);
    let sound = match frame.kind {
        Kind::Block => {
            let start = frame.offset as usize;
            let body = segment.bytes.slice(start + HEADER..start + frame.length as usize);
            match count_records(body) {
                Some((key, counted)) => {
                    chain.count(&name, frame.offset, key, counted);
                    true
                }
                None => false,
            }
        }
        Kind::Note => {
            let mut fields = Fields(frame.body);
            read_note(&mut fields).is_some() && fields.0.is_empty()
        }
        Kind::Snapshot => frame.offset == 0 && Snapshot::read(frame.body).is_some(),
        Kind::Commit => true,
        Kind::Places | Kind::Footer => false,
    };
    if !sound {
        let what = format!("a {:?} that no writer makes, or not here", frame.kind).to_lowercase();
        chain.report.find(Damage, name, frame.offset, what);
    }
}

/// Records of a block, and bytes of their keys and payloads. None if it is not what a writer makes.
fn count_records(body: Bytes) -> Option<(ShardKey, (u64, u64))> {
    let head = BlockHead::read(&body).filter(BlockHead::is_possible)?;
    let length = body.len();
    let mut records = Records::new(body, 0)?;
    let (mut count, mut bytes, mut at) = (0, 0, BlockHead::LENGTH);
    while let Some(record) = records.take() {
        let size = record.data.len() + record.partition_key.bytes().len();
        count += 1;
        bytes += size as u64;
        at += BlockHead::RECORD + size;
    }
    (records.is_done() && at == length).then_some((head.key, (count, bytes)))
}

/// The footer of a sealed segment against its blocks.
fn check_footer(segment: &Segment<'_>, blocks: &Blocks, chain: &mut Chain) -> io::Result<Footer> {
    let name = segment::name(segment.number);
    let length = segment.bytes.len() as u64;
    let Some(summaries) = segment::read_footer(segment.file, segment.number, length)? else {
        let what = "its footer is missing or damaged: an opening reads the segment and writes the \
                    footer again";
        chain.report.find(Repairable, &name, None, what);
        return Ok(Footer::None);
    };
    let mut lists = BTreeMap::new();
    for (key, summary) in &summaries {
        let Some(places) = segment::read_places(segment.file, segment.number, *key, summary)?
        else {
            let records = chain.records(*key, summary.first_counter, summary.last_counter);
            let what = format!(
                "the list of places of {records} is damaged: readers read all of the segment instead, \
                 and nothing is lost"
            );
            chain.report.find(Damage, &name, summary.offset, what);
            continue;
        };
        let fits = Summary::of(&places, 0).is_some_and(|of| of.tells_the_same_as(summary));
        if !fits {
            let records = chain.records(*key, summary.first_counter, summary.last_counter);
            let what = format!("the footer does not fit the list of places of {records}");
            chain.report.find(Damage, &name, summary.offset, what);
        }
        lists.insert(*key, places);
    }
    for (key, found) in blocks {
        let listed = lists.get(key).map_or(&[][..], Vec::as_slice);
        // A footer leaves out what was deleted before.
        if !chain.owns(*key) || (summaries.contains_key(key) && listed.is_empty()) {
            continue;
        }
        for block in found.iter().filter(|block| !has(listed, block)) {
            let records = chain.records(*key, block.first_counter, block.last_counter());
            let what = format!("the footer does not list {records}: readers do not find them");
            chain.report.find(Damage, &name, block.offset, what);
        }
    }
    Ok(Footer::Lists(lists))
}

/// Whether these places, in the order of the file, have this one.
fn has(places: &[BlockPlace], wanted: &BlockPlace) -> bool {
    let at = places.partition_point(|place| place.offset < wanted.offset);
    let mut same = places[at..].iter().take_while(|place| place.offset == wanted.offset);
    same.any(|p| {
        (p.first_counter, p.length, p.count) == (wanted.first_counter, wanted.length, wanted.count)
    })
}

/// Follows each shard through the segment, and tells of broken bytes and of what is lost with them.
fn follow(
    name: &str,
    blocks: Blocks,
    footer: Footer,
    broken: Vec<(Range<u64>, Option<BlockHead>)>,
    chain: &mut Chain,
) {
    let mut lists = match footer {
        Footer::Lists(lists) => lists,
        Footer::None => BTreeMap::new(),
    };
    // What is lost, by its place in the file.
    let mut lost: Vec<(u64, String)> = Vec::new();
    let mut keys: Vec<_> = blocks.keys().chain(lists.keys()).copied().collect();
    let mut heads: BTreeMap<ShardKey, Vec<(u64, BlockHead)>> = BTreeMap::new();
    for (range, head) in &broken {
        if let Some(head) = head {
            heads.entry(head.key).or_default().push((range.start, *head));
        }
    }
    keys.extend(heads.keys());
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let found = blocks.get(&key).map_or(&[][..], Vec::as_slice);
        let listed = lists.remove(&key);
        let places = listed.unwrap_or_else(|| {
            with_holes(found, key, heads.remove(&key).unwrap_or_default(), chain)
        });
        for place in &places {
            if place.length == 0 || !has(found, place) {
                let records = chain.records(key, place.first_counter, place.last_counter());
                lost.push((place.offset, format!("{records} are lost")));
            }
            chain.advance(name, key, place);
        }
    }
    lost.sort();
    for (range, _) in broken {
        let bytes = range.end - range.start;
        let mut what = format!("{bytes} bytes are not what was written");
        let first = lost.partition_point(|(offset, _)| *offset < range.start);
        let behind = lost.partition_point(|(offset, _)| *offset < range.end);
        for (_, records) in lost.drain(first..behind) {
            what.push_str("; ");
            what.push_str(&records);
        }
        chain.report.find(Damage, name, range.start, what);
    }
    for (offset, what) in lost {
        chain.report.find(Damage, name, offset, what);
    }
}

/// The blocks of a shard without a list, and holes where damaged ones seem to have been: believed only
/// where they fit, as recovery does.
fn with_holes(
    found: &[BlockPlace],
    key: ShardKey,
    heads: Vec<(u64, BlockHead)>,
    chain: &Chain,
) -> Vec<BlockPlace> {
    let mut expected = chain.expected(key);
    let mut heads = heads.into_iter().peekable();
    let mut places = Vec::with_capacity(found.len());
    let mut rest = found.iter().peekable();
    loop {
        let next_block = rest.peek().map(|place| place.offset);
        let Some((offset, head)) =
            heads.next_if(|(offset, _)| next_block.is_none_or(|block| *offset < block))
        else {
            let Some(place) = rest.next() else { return places };
            expected = Some(place.last_counter().saturating_add(1));
            places.push(*place);
            continue;
        };
        let hole = BlockPlace::hole(head.first_counter, head.count.into(), offset, head.arrival);
        let limit = rest.peek().map_or(u64::MAX, |place| place.first_counter);
        if expected == Some(hole.first_counter) && hole.last_counter() < limit {
            expected = Some(hole.last_counter().saturating_add(1));
            places.push(hole);
        }
    }
}

/// The end of the last segment: what an opening would do.
fn check_end(
    name: &str,
    tail: Range<u64>,
    footer_behind: bool,
    last: Option<Commit>,
    snapshot: Option<&Snapshot>,
    chain: &mut Chain,
) {
    let bytes = tail.end - tail.start;
    if bytes > 0 && footer_behind {
        let what = format!("{bytes} bytes of a footer; an opening cuts them off and goes on");
        chain.report.find(Repairable, name, tail.start, what);
    } else if bytes > 0 {
        let what = format!(
            "a torn tail of {bytes} bytes: no commit says that they were ever acknowledged. An opening \
             cuts them off, and counters jump"
        );
        chain.report.find(Repairable, name, tail.start, what);
    }
    if last.is_some_and(|commit| !commit.clean && commit.start > 0) {
        let what = match snapshot.map(|snapshot| snapshot.durability) {
            Some(Durability::Fsync) => {
                "the store was not closed; an opening writes the last group once more"
            }
            _ => {
                "the store was not closed, and the end may be lost with the machine's memory; an \
                 opening writes the segment once more, and counters jump"
            }
        };
        chain.report.find(Note, name, None, what);
    }
}
