//! From what is on the disk to a log that can go on: reads footers, and the tail frame by frame.
//!
//! A torn tail (a group without its commit) was never acknowledged: it is cut off. A broken middle
//! (damage in front of a later commit) was: it is reported, and everything around it stays.
//! Recovery run twice gives the same bytes as run once.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use baikonur_stream::Timestamp;

use crate::disk::{Disk, DiskFile, LOG_FOLDER};
use crate::frame::{self, BlockHead, Fields, HEADER, Kind, ShardKey};
use crate::index::{Active, FIRST_COUNTER, Index};
use crate::log;
use crate::notes::Notes;
use crate::segment::{self, BlockPlace, Blocks, Sealed};

/// What recovery found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Segments in the log.
    pub segments: usize,
    /// A tail that was cut off: file, offset, bytes. It was never acknowledged.
    pub torn_tail: Option<String>,
    /// Sealed segments whose footer was missing or broken and was rebuilt in memory.
    pub rebuilt: Vec<String>,
    /// Stretches that are not what was written, by file and offsets. Their records are lost.
    pub damaged: Vec<String>,
}

/// A log as recovery hands it over.
pub(crate) struct Recovered {
    pub(crate) index: Index,
    pub(crate) notes: Notes,
    pub(crate) offset: u64,
    pub(crate) group: u64,
    pub(crate) last_arrival: Timestamp,
    pub(crate) report: RecoveryReport,
}

/// Sequence numbers that are passed over when records may have been lost, so that none is ever
/// given twice.
const COUNTER_GAP: u64 = 1 << 20;

/// What the frames of a segment say.
#[derive(Default)]
struct Scan {
    blocks: Blocks,
    snapshot: Option<Snapshot>,
    notes: Vec<(String, Option<bytes::Bytes>)>,
    /// Behind the last commit.
    end: u64,
    group: u64,
    damaged: Vec<Range<u64>>,
}

struct Snapshot {
    tips: HashMap<ShardKey, u64>,
    last_arrival: Timestamp,
    notes: Notes,
}

/// Opens the log. `may_lose` says that records acknowledged before a power loss may be gone.
pub(crate) fn recover(disk: &dyn Disk, may_lose: bool) -> io::Result<Recovered> {
    let mut numbers: Vec<u64> =
        disk.list(LOG_FOLDER)?.iter().filter_map(|name| segment::number(name)).collect();
    numbers.sort_unstable();
    let mut report = RecoveryReport::default();
    let Some((number, file, last)) = last_segment(disk, &mut numbers)? else {
        return begin(disk);
    };
    let mut index = Index {
        sealed: Default::default(),
        active: Active { number, file: Arc::clone(&file), blocks: Blocks::new() },
        tips: HashMap::new(),
    };
    for number in &numbers {
        let sealed = take_up_sealed(disk, *number, &mut report)?;
        index.sealed.insert(*number, Arc::new(sealed));
    }
    cut_tail(&*file, number, last.end, &mut report)?;
    note_damage(number, &last.damaged, &mut report);

    let (mut notes, mut last_arrival) = (Notes::new(), Timestamp::default());
    let mut scans = vec![last];
    // A snapshot that cannot be read is made up for by the segments before it.
    for number in numbers.iter().rev() {
        if scans.last().is_some_and(|scan| scan.snapshot.is_some()) {
            break;
        }
        scans.push(scan(&read_whole(&*disk.open(&segment::name(*number), false)?)?));
    }
    let (offset, group) = (scans[0].end, scans[0].group);
    for scan in scans.iter().rev() {
        apply(scan, &mut index.tips, &mut notes, &mut last_arrival);
    }
    index.active.blocks = std::mem::take(&mut scans[0].blocks);
    if may_lose || !report.damaged.is_empty() {
        index.tips.values_mut().for_each(|tip| *tip += COUNTER_GAP);
    }
    report.segments = numbers.len() + 1;
    Ok(Recovered { index, notes, offset, group, last_arrival, report })
}

/// A new log with its first segment.
fn begin(disk: &dyn Disk) -> io::Result<Recovered> {
    let head = log::head(&HashMap::new(), Timestamp::default(), &Notes::new(), 1);
    let (file, offset) = log::create_segment(disk, 1, &head)?;
    Ok(Recovered {
        index: Index {
            sealed: Default::default(),
            active: Active { number: 1, file, blocks: Blocks::new() },
            tips: HashMap::new(),
        },
        notes: Notes::new(),
        offset,
        group: 1,
        last_arrival: Timestamp::default(),
        report: RecoveryReport { segments: 1, ..RecoveryReport::default() },
    })
}

/// The active segment: its number, its file, and what its frames say.
type Last = (u64, Arc<dyn DiskFile>, Scan);

/// Takes the last segment with a commit off the list. Files behind it, without one, were being
/// made when the process ended; they hold nothing and are removed.
fn last_segment(disk: &dyn Disk, numbers: &mut Vec<u64>) -> io::Result<Option<Last>> {
    while let Some(number) = numbers.pop() {
        let name = segment::name(number);
        let file = disk.open(&name, false)?;
        let scan = scan(&read_whole(&*file)?);
        if scan.end > 0 {
            return Ok(Some((number, file, scan)));
        }
        disk.remove(&name)?;
        disk.sync_folder(LOG_FOLDER)?;
    }
    Ok(None)
}

fn take_up_sealed(disk: &dyn Disk, number: u64, report: &mut RecoveryReport) -> io::Result<Sealed> {
    let name = segment::name(number);
    let file = disk.open(&name, false)?;
    if let Some(sealed) = Sealed::load(number, &*file)? {
        return Ok(sealed);
    }
    let scan = scan(&read_whole(&*file)?);
    report.rebuilt.push(name);
    note_damage(number, &scan.damaged, report);
    Ok(Sealed::rebuilt(number, file.length()?, scan.blocks))
}

fn cut_tail(
    file: &dyn DiskFile,
    number: u64,
    end: u64,
    report: &mut RecoveryReport,
) -> io::Result<()> {
    let length = file.length()?;
    if length > end {
        let bytes = length - end;
        report.torn_tail = Some(format!("{} from {end} on, {bytes} bytes", segment::name(number)));
        file.truncate(end)?;
    }
    Ok(())
}

fn note_damage(number: u64, damaged: &[Range<u64>], report: &mut RecoveryReport) {
    let name = segment::name(number);
    report
        .damaged
        .extend(damaged.iter().map(|at| format!("{name} from {} to {}", at.start, at.end)));
}

fn read_whole(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; file.length()? as usize];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn scan(bytes: &[u8]) -> Scan {
    let mut scan = Scan::default();
    let mut group: Vec<(Kind, usize, usize)> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match frame::decode(&bytes[at..]) {
            Some((Kind::Footer, ..)) => break,
            Some((Kind::Commit, body, length)) => {
                accept(&mut scan, bytes, &mut group);
                scan.group = Fields(body).u64().unwrap_or(scan.group);
                at += length;
                scan.end = at as u64;
            }
            Some((kind, _, length)) => {
                group.push((kind, at, length));
                at += length;
            }
            None => {
                let Some((start, end)) = next_commit(bytes, at + 1) else { break };
                // What stood before the damage in the same group was committed with it.
                let resume = if start > at { start } else { end };
                accept(&mut scan, bytes, &mut group);
                scan.damaged.push(at as u64..resume as u64);
                at = resume;
                scan.end = scan.end.max(if start > at { 0 } else { resume as u64 });
            }
        }
    }
    scan
}

/// Counts the frames of a committed group in.
fn accept(scan: &mut Scan, bytes: &[u8], group: &mut Vec<(Kind, usize, usize)>) {
    for (kind, offset, length) in group.drain(..) {
        let body = &bytes[offset + HEADER..offset + length];
        match kind {
            Kind::Block => {
                let Some(head) = BlockHead::read(body).filter(|head| head.count > 0) else {
                    continue;
                };
                scan.blocks.entry(head.key).or_default().push(BlockPlace {
                    first_counter: head.first_counter,
                    offset: offset as u64,
                    arrival: head.arrival,
                    length: length as u32,
                    count: head.count,
                });
            }
            Kind::Note => scan.notes.extend(frame::read_note(&mut Fields(body))),
            Kind::Snapshot => scan.snapshot = read_snapshot(body),
            Kind::Commit | Kind::Footer => {}
        }
    }
}

/// The next whole commit frame at or behind `from`: where its group starts, and where it ends.
fn next_commit(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    const COMMIT_BODY: usize = 16;
    (from..bytes.len().saturating_sub(HEADER + COMMIT_BODY - 1)).find_map(|at| {
        // Only headers of the right kind and length are checked in full: damage may hold anything.
        let plausible = frame::header(&bytes[at..]) == Some((Kind::Commit, COMMIT_BODY));
        let (_, body, length) = plausible.then(|| frame::decode(&bytes[at..]))??;
        let mut fields = Fields(body);
        fields.u64()?;
        let start = fields.u64()?.min(at as u64) as usize;
        Some((start, at + length))
    })
}

fn read_snapshot(body: &[u8]) -> Option<Snapshot> {
    let mut fields = Fields(body);
    let mut tips = HashMap::new();
    for _ in 0..fields.u32()? {
        let key = ShardKey { incarnation: fields.u64()?, shard: fields.u32()? };
        tips.insert(key, fields.u64()?);
    }
    let last_arrival = Timestamp::from_millis(fields.u64()?);
    let mut notes = Notes::new();
    for _ in 0..fields.u32()? {
        if let (key, Some(value)) = frame::read_note(&mut fields)? {
            notes.insert(key, value);
        }
    }
    Some(Snapshot { tips, last_arrival, notes })
}

/// Plays a segment's contents over the state of the ones before.
fn apply(
    scan: &Scan,
    tips: &mut HashMap<ShardKey, u64>,
    notes: &mut Notes,
    last_arrival: &mut Timestamp,
) {
    if let Some(snapshot) = &scan.snapshot {
        tips.clone_from(&snapshot.tips);
        notes.clone_from(&snapshot.notes);
        *last_arrival = snapshot.last_arrival;
    }
    for (key, places) in &scan.blocks {
        for place in places {
            let tip = tips.entry(*key).or_insert(FIRST_COUNTER);
            *tip = (*tip).max(place.last_counter() + 1);
            *last_arrival = (*last_arrival).max(place.arrival);
        }
    }
    for (key, value) in &scan.notes {
        match value {
            Some(value) => notes.insert(key.clone(), value.clone()),
            None => notes.remove(key),
        };
    }
}
