//! From what is on the disk to a log that can go on: footers of sealed segments, and every frame of
//! the last one.
//!
//! - A torn tail was never acknowledged: it is cut off, when the next segment can be begun.
//! - A broken middle was: it is reported, kept as a note as long as its segment lives, and everything
//!   around it stays readable.
//! - Where an end may hide numbers that were handed out, counters jump, so that none is given twice.
//!
//! Recovery run twice gives the same bytes as run once: whatever it writes (a cut, a footer, a new
//! segment behind a jump) takes away the reason for writing it.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use baikonur_stream::Timestamp;

use crate::catalog::Catalog;
use crate::disk::{Disk, DiskFile, LOG_FOLDER, OpenMode};
use crate::frame::{self, Commit, HEADER, Kind, ShardKey};
use crate::index::{Active, Index};
use crate::log::{self, Log};
use crate::notes::{self, Notes};
use crate::replay::Replay;
use crate::scan::{Scanned, has_commit, scan};
use crate::segment::{self, Summaries, Summary};
use crate::settings::{COUNTER_JUMP, Durability};
use crate::snapshot::{Snapshot, Tips};

/// What recovery found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Segments in the log.
    pub segments: usize,
    /// Whether the store had been closed, or is new; false after a crash.
    pub closed_cleanly: bool,
    /// A tail that was cut off: file, offset, bytes. It was never acknowledged, or, with
    /// [`Durability::OsBuffer`], lost with the machine's memory.
    pub torn_tail: Option<String>,
    /// Sealed segments whose footer was missing or broken and was rebuilt.
    pub rebuilt: Vec<String>,
    /// Stretches that are not what was written, by file and offsets, now or at an earlier opening.
    /// Their records are lost.
    pub damaged: Vec<String>,
}

/// A log as recovery hands it over.
pub(crate) struct Recovered {
    pub(crate) log: Log,
    pub(crate) index: Index,
    pub(crate) notes: Notes,
    pub(crate) tips: Tips,
    pub(crate) last_arrival: Timestamp,
    /// When the active segment took its first record.
    pub(crate) active_since: Option<Timestamp>,
    /// A new segment must be begun before anything is written, behind this jump.
    pub(crate) roll: Option<u64>,
    pub(crate) report: RecoveryReport,
}

/// A segment, open. Not many are at a time: a store may have more than a process may open.
struct Opened {
    number: u64,
    file: Arc<dyn DiskFile>,
    length: u64,
}

impl Opened {
    fn open(disk: &dyn Disk, number: u64) -> io::Result<Self> {
        let (file, length) = disk.open(&segment::name(number), OpenMode::Existing)?;
        Ok(Self { number, file, length })
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        segment::read_from_start(&*self.file, self.length)
    }

    /// The snapshot that the segment starts with, if it is whole.
    fn snapshot(&self) -> io::Result<Option<Snapshot>> {
        if self.length < HEADER as u64 {
            return Ok(None);
        }
        let head = segment::read_from_start(&*self.file, HEADER as u64)?;
        let length = match frame::header(&head) {
            Some((Kind::Snapshot, length)) if length as u64 <= self.length => length,
            _ => return Ok(None),
        };
        let frame = segment::read_from_start(&*self.file, length as u64)?;
        let body = frame::decode(&frame, self.number, 0);
        Ok(body.and_then(|(_, body, _)| Snapshot::read(body)))
    }
}

/// Opens the log of a store with these streams, to be written with `durability`.
pub(crate) fn recover(
    disk: &Arc<dyn Disk>,
    catalog: &Catalog,
    durability: Durability,
) -> io::Result<Recovered> {
    let mut segments = list_segments(&**disk)?;
    let mut report = RecoveryReport::default();
    let Some((last, bytes)) = take_last(&**disk, &mut segments, &mut report)? else {
        return begin(disk, catalog, durability);
    };
    let scanned = scan(last.number, &bytes, false);
    let commit = scanned.last.expect("a segment without a commit is not taken as the last one");
    let replay = replay(&**disk, &segments, &scanned)?;
    let torn = scanned.end < last.length && !scanned.footer_behind;
    if torn {
        let (name, end) = (segment::name(last.number), scanned.end);
        let bytes = last.length - end;
        report.torn_tail = Some(format!("{name} from {end} on, {bytes} bytes"));
    } else if scanned.end < last.length {
        last.file.truncate(scanned.end)?;
    }
    if !commit.clean {
        // After a failed fsync the system may show bytes that it will never write. Readers are about
        // to see them: write what no later commit proves to be durable once more.
        let proven = replay.durability == Some(Durability::Fsync);
        let from = if proven { commit.start } else { 0 };
        last.file.write_at(&bytes[from as usize..scanned.end as usize], from)?;
        last.file.sync()?;
    }
    let active = Active { number: last.number, file: Arc::clone(&last.file) };
    let mut index = Index::new(active);
    let mut damage: Vec<(u64, Range<u64>)> = Vec::new();
    for (at, number) in segments.iter().enumerate() {
        let next = segments.get(at + 1).copied().unwrap_or(last.number);
        add_sealed(&**disk, &mut index, (*number, next), &mut damage, &mut report)?;
    }
    for (key, places) in &replay.blocks {
        places.iter().for_each(|place| index.publish(*key, *place));
    }
    let active_since = replay.blocks.values().filter_map(|p| p.first()).map(|p| p.arrival).min();

    // An end that was not announced, in a mode in which the newest groups may be gone.
    let handed_out = commit.start > 0 && !commit.clean;
    let unclean = handed_out && replay.durability != Some(Durability::Fsync);
    // A tail that was cut off is taken for a torn write. Should it have rotted instead, its numbers
    // were handed out.
    let unknown =
        report.torn_tail.is_some() || !replay.damaged.is_empty() || replay.durability.is_none();
    let jump = unclean || unknown;
    damage.extend(replay.damaged.iter().map(|range| (last.number, range.clone())));
    let roll = match jump {
        true => Some(COUNTER_JUMP),
        false if !damage.is_empty() || replay.durability != Some(durability) => Some(0),
        false => None,
    };
    let Replay { mut tips, mut notes, last_arrival, .. } = replay;
    if jump {
        jump_counters(&mut tips, catalog);
    }
    for (number, range) in &damage {
        notes.insert(notes::damage_key(*number, range), bytes::Bytes::new());
    }
    report.damaged = describe_damage(&notes, &index);
    report.closed_cleanly = commit.clean;
    report.segments = index.segments();
    let active = (last.number, last.file);
    let mut log = Log::new(Arc::clone(disk), durability, active, scanned.end, commit);
    log.torn = torn;
    Ok(Recovered { log, index, notes, tips, last_arrival, active_since, roll, report })
}

fn list_segments(disk: &dyn Disk) -> io::Result<Vec<u64>> {
    let names = disk.list(LOG_FOLDER)?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment::number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Takes the last segment with a commit off the list. Files behind it were being made when the
/// process ended: a segment's head is durable before anything else is written to it.
fn take_last(
    disk: &dyn Disk,
    segments: &mut Vec<u64>,
    report: &mut RecoveryReport,
) -> io::Result<Option<(Opened, Vec<u8>)>> {
    while let Some(number) = segments.pop() {
        let last = Opened::open(disk, number)?;
        let bytes = last.read()?;
        if has_commit(last.number, &bytes) {
            return Ok(Some((last, bytes)));
        }
        let name = segment::name(last.number);
        if last.length > 0 {
            report.torn_tail = Some(format!("{name}, all of it, {} bytes", last.length));
        }
        disk.remove(&name)?;
    }
    Ok(None)
}

/// The state at the end of the last segment. Its snapshot is all that is needed of the others; if
/// that is damaged, they make up for it from the nearest whole one on.
fn replay(disk: &dyn Disk, segments: &[u64], last: &Scanned<'_>) -> io::Result<Replay> {
    let mut replay = Replay::default();
    replay.play(last);
    if replay.durability.is_some() {
        return Ok(replay);
    }
    let mut from = segments.len();
    while from > 0 {
        from -= 1;
        if Opened::open(disk, segments[from])?.snapshot()?.is_some() {
            break;
        }
    }
    replay = Replay::default();
    for number in &segments[from..] {
        let bytes = Opened::open(disk, *number)?.read()?;
        replay.play(&scan(*number, &bytes, true));
    }
    replay.play(last);
    Ok(replay)
}

/// Adds a sealed segment to the index by its footer, or by reading all of it and writing a new one.
fn add_sealed(
    disk: &dyn Disk,
    index: &mut Index,
    (number, next): (u64, u64),
    damage: &mut Vec<(u64, Range<u64>)>,
    report: &mut RecoveryReport,
) -> io::Result<()> {
    let sealed = Opened::open(disk, number)?;
    let length = sealed.length;
    if let Some(summaries) = segment::read_footer(&*sealed.file, number, length)? {
        index.add_sealed(number, length, &summaries);
        return Ok(());
    }
    let mut replay = match sealed.snapshot()? {
        Some(_) => Replay::default(),
        None => behind(disk, index, number)?,
    };
    let bytes = sealed.read()?;
    replay.play(&scan(number, &bytes, true));
    // A later one also counts what expired in between.
    if number.checked_add(1) == Some(next)
        && let Some(snapshot) = Opened::open(disk, next)?.snapshot()?
    {
        replay.missing_at_end(&snapshot, length);
    }
    damage.extend(replay.damaged.iter().map(|range| (number, range.clone())));
    report.rebuilt.push(segment::name(number));
    let blocks = replay.blocks.iter().map(|(key, places)| (*key, places.as_slice()));
    let (footer, summaries) = segment::encode_footer(number, length, blocks);
    let written = sealed.file.write_at(&footer, length).and_then(|()| sealed.file.sync());
    if written.is_ok() {
        index.add_sealed(number, length + footer.len() as u64, &summaries);
        return Ok(());
    }
    // A full disk, perhaps: the segment is read again when somebody asks, and at the next opening.
    sealed.file.truncate(length)?;
    let summary = |(key, places): (&ShardKey, &Vec<_>)| Some((*key, Summary::of(places, length)?));
    let summaries: Summaries = replay.blocks.iter().filter_map(summary).collect();
    index.add_sealed(number, length, &summaries);
    Ok(())
}

/// The state behind the segment before this one, whose own snapshot is lost.
fn behind(disk: &dyn Disk, index: &Index, number: u64) -> io::Result<Replay> {
    let mut replay = Replay::default();
    let before = number.checked_sub(1).filter(|before| index.holds(*before));
    if let Some(before) = before
        && let Some(snapshot) = Opened::open(disk, before)?.snapshot()?
    {
        replay.begin(snapshot);
        index.newest_of_all().for_each(|(key, newest)| replay.went_on(key, newest));
    }
    Ok(replay)
}

/// A log with its first segment.
fn begin(disk: &Arc<dyn Disk>, catalog: &Catalog, durability: Durability) -> io::Result<Recovered> {
    let (mut tips, notes) = (Tips::new(), Notes::new());
    let jump = if catalog.streams.is_empty() { 0 } else { COUNTER_JUMP };
    let closed_cleanly = jump == 0;
    let mut report = RecoveryReport { segments: 1, closed_cleanly, ..RecoveryReport::default() };
    if jump > 0 {
        // The catalog outlived the log: somebody removed the segments.
        report.damaged.push(format!("{LOG_FOLDER} holds no segment: all records are gone"));
        jump_counters(&mut tips, catalog);
    }
    let commit = Commit { group: 1, start: 0, clean: false };
    let (file, end) = log::create(&**disk, 1, commit.group, |body| {
        Snapshot::write(body, durability, jump, &tips, &notes);
    })?;
    let index = Index::new(Active { number: 1, file: Arc::clone(&file) });
    let log = Log::new(Arc::clone(disk), durability, (1, file), end, commit);
    let last_arrival = Timestamp::default();
    Ok(Recovered { log, index, notes, tips, last_arrival, active_since: None, roll: None, report })
}

/// Passes over all numbers that may have been handed out, also of shards that no frame tells of.
fn jump_counters(tips: &mut Tips, catalog: &Catalog) {
    for stream in catalog.streams.values() {
        for shard in stream.shards.iter() {
            let key = ShardKey { incarnation: stream.incarnation, shard: shard.id.index() };
            tips.entry(key).or_default();
        }
    }
    tips.values_mut()
        .for_each(|tip| tip.next_counter = tip.next_counter.saturating_add(COUNTER_JUMP));
}

/// The findings of damage that are still about something, for people.
pub(crate) fn describe_damage(notes: &Notes, index: &Index) -> Vec<String> {
    notes::damages(notes)
        .into_iter()
        .filter(|(number, _)| index.holds(*number))
        .map(|(number, at)| format!("{} from {} to {}", segment::name(number), at.start, at.end))
        .collect()
}
