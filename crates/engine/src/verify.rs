//! A check of a whole data directory that changes nothing in it.
//!
//! Recovery reads what it needs to open a store; this reads everything: each frame of each segment, the
//! numbers of each shard from one segment to the next, and each footer against the frames that it lists.
//! One segment is in memory at a time.

mod chain;
mod report;
mod segment;

use std::io;
use std::path::Path;
use std::sync::Arc;

use baikonur_stream::Timestamp;
use bytes::Bytes;

use crate::catalog::{self, Catalog};
use crate::disk::{self, Disk, DiskFile, LOG_FOLDER, OpenMode, ReadOnlyFolder};
use crate::engine::{FORMAT, FORMAT_1, FORMAT_FILE};
use crate::frame::Kind;
use crate::scan::{has_commit, scan_showing};
use crate::segment as segments;
use crate::settings::EngineSettings;
use chain::Chain;
pub use report::{Finding, Severity, VerifiedStream, VerifyError, VerifyProgress, VerifyReport};

/// A segment ends soon behind its largest size: with the group that filled it, and its footer.
const SEGMENT_FILE_BYTES_MAX: u64 = 2 * EngineSettings::SEGMENT_BYTES_MAX;

/// Whether somebody else may have the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyAccess {
    /// It is a store's directory: it is locked while it is checked, so that no process opens it.
    Locked,
    /// It is a copy that nobody has open, and that may not even be writable.
    Copy,
}

/// Checks a data directory without changing a byte of it. `now` is for what retention may have removed.
/// `progress` is called after each segment. Blocks for as long as reading the whole directory takes.
pub fn verify(
    directory: &Path,
    access: VerifyAccess,
    now: Timestamp,
    progress: impl FnMut(VerifyProgress),
) -> Result<VerifyReport, VerifyError> {
    let owned = directory.to_owned();
    let folder =
        ReadOnlyFolder::open(directory, access == VerifyAccess::Locked).map_err(|source| {
            match source.kind() {
                io::ErrorKind::WouldBlock => VerifyError::InUse { directory: owned },
                _ => VerifyError::Io { directory: owned, source },
            }
        })?;
    verify_on(&folder, directory, now, progress)
}

/// Checks what is on a given disk; `directory` only names it in errors.
pub fn verify_on(
    disk: &dyn Disk,
    directory: &Path,
    now: Timestamp,
    mut progress: impl FnMut(VerifyProgress),
) -> Result<VerifyReport, VerifyError> {
    let wrap = |source| VerifyError::Io { directory: directory.to_owned(), source };
    let mut report = VerifyReport::default();
    let mut numbers = Vec::new();
    for name in disk.list(LOG_FOLDER).map_err(wrap)? {
        match segments::number(&name) {
            Some(number) => numbers.push(number),
            None => {
                let what = "it is no segment, and is left alone";
                report.find(Severity::Note, format!("{LOG_FOLDER}/{name}"), None, what);
            }
        }
    }
    numbers.sort_unstable();
    let format = disk::read_small(disk, FORMAT_FILE).map_err(wrap)?;
    let catalog = read_catalog(disk, &mut report).map_err(wrap)?;
    if format.is_none() && catalog.is_missing() && numbers.is_empty() {
        return Err(VerifyError::NoStore { directory: directory.to_owned() });
    }
    if !check_format(format.as_deref(), &mut report) {
        return Ok(report);
    }
    if catalog.is_missing() {
        let what = "it is missing; put it back from a copy: without it nobody knows the streams";
        report.find(Severity::Damage, catalog::FILE, None, what);
    }
    let catalog = catalog.whole();
    if numbers.is_empty() && catalog.as_ref().is_some_and(|catalog| !catalog.streams.is_empty()) {
        let what = "it holds no segment: all records are gone";
        report.find(Severity::Damage, LOG_FOLDER, None, what);
    }
    let mut chain = Chain::new(catalog, now, report);
    check_segments(disk, &numbers, &mut chain, &mut progress);
    Ok(chain.finish())
}

/// The catalog file.
enum Read {
    Missing,
    Damaged,
    Whole(Catalog),
}

impl Read {
    fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }

    fn whole(self) -> Option<Catalog> {
        match self {
            Self::Whole(catalog) => Some(catalog),
            Self::Missing | Self::Damaged => None,
        }
    }
}

fn read_catalog(disk: &dyn Disk, report: &mut VerifyReport) -> io::Result<Read> {
    match Catalog::load(disk) {
        Ok(Some(catalog)) => Ok(Read::Whole(catalog)),
        Ok(None) => Ok(Read::Missing),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let what =
                format!("{error}. Put it back from a copy: a store does not open without it");
            report.find(Severity::Damage, catalog::FILE, None, what);
            Ok(Read::Damaged)
        }
        Err(error) => Err(error),
    }
}

/// Whether the segments mean what this version takes them for.
fn check_format(bytes: Option<&[u8]>, report: &mut VerifyReport) -> bool {
    let Some(bytes) = bytes else {
        let what = "it is missing; put it back from a copy: a store does not open without it";
        report.find(Severity::Damage, FORMAT_FILE, None, what);
        return true;
    };
    let found = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).trim().to_owned();
    match found.as_str() {
        FORMAT => return true,
        FORMAT_1 => {
            let what = "it is of format 1; opening brings it to the present one";
            report.find(Severity::Note, FORMAT_FILE, None, what);
            return true;
        }
        _ => {}
    }
    let what = format!(
        "it says {found:?}, and this version reads {FORMAT:?}: nothing else was checked. Use the \
         version that wrote the directory"
    );
    report.find(Severity::Damage, FORMAT_FILE, None, what);
    false
}

fn check_segments(
    disk: &dyn Disk,
    numbers: &[u64],
    chain: &mut Chain,
    progress: &mut impl FnMut(VerifyProgress),
) {
    let bytes_total = numbers.iter().filter_map(|n| open(disk, *n).ok()).map(|(_, length)| length);
    let mut done = VerifyProgress {
        segments: 0,
        segments_total: numbers.len(),
        bytes: 0,
        bytes_total: bytes_total.sum(),
    };
    progress(done);
    let mut behind = numbers.len();
    while behind > 0 && !may_have_commit(disk, numbers[behind - 1]) {
        behind -= 1;
    }
    for (at, number) in numbers.iter().enumerate() {
        let name = segments::name(*number);
        chain.report.segments += 1;
        let checked = match read(disk, *number) {
            Ok((file, bytes)) => {
                let length = bytes.len() as u64;
                chain.report.bytes += length;
                done.bytes += length;
                if at < behind {
                    let sealed = at + 1 < behind;
                    let segment = segment::Segment { number: *number, file: &*file, bytes, sealed };
                    segment::check(&segment, chain)
                } else {
                    check_headless(&name, *number, &bytes, chain);
                    Ok(())
                }
            }
            Err(error) => Err(error),
        };
        if let Err(error) = checked {
            let what = format!("it cannot be read: {error}");
            chain.report.find(Severity::Damage, &name, None, what);
        }
        done.segments += 1;
        progress(done);
    }
}

fn open(disk: &dyn Disk, number: u64) -> io::Result<(Arc<dyn DiskFile>, u64)> {
    disk.open(&segments::name(number), OpenMode::Existing)
}

fn read(disk: &dyn Disk, number: u64) -> io::Result<(Arc<dyn DiskFile>, Bytes)> {
    let (file, length) = open(disk, number)?;
    if length > SEGMENT_FILE_BYTES_MAX {
        let what = format!("it has {length} bytes, more than a segment can have");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let bytes = segments::read_from_start(&*file, length)?;
    Ok((file, bytes.into()))
}

/// False only for a segment that was read and has no commit.
fn may_have_commit(disk: &dyn Disk, number: u64) -> bool {
    read(disk, number).map_or(true, |(_, bytes)| has_commit(number, &bytes))
}

/// A segment at the end of the log without any commit: it was being made when the process ended.
fn check_headless(name: &str, number: u64, bytes: &Bytes, chain: &mut Chain) {
    let mut blocks = 0u64;
    scan_showing(number, bytes, false, |frame| {
        chain.report.frames += 1;
        blocks += u64::from(frame.kind == Kind::Block);
    });
    let length = bytes.len();
    if blocks > 0 {
        let what = format!(
            "{length} bytes with {blocks} whole blocks and no commit: an opening takes it for a segment \
             that was being made, and removes it. Keep a copy before"
        );
        chain.report.find(Severity::Damage, name, 0, what);
    } else {
        let what = format!(
            "{length} bytes without a commit: it was being made when the process ended. An opening \
             removes it"
        );
        chain.report.find(Severity::Repairable, name, 0, what);
    }
}
