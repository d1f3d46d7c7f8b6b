//! The log: groups appended to the active segment, and the step from one segment to the next.
//!
//! Owned by the writer alone. Whoever appends shows the group to readers afterwards, so what readers
//! see is as durable as promised. What a failed write left behind is cut off before anything else is
//! written; what a failed sync left behind is not known, and the log takes nothing more.
//!
//! With [`Durability::OsBuffer`] the first group of each session and of each segment is synced all
//! the same. So an end without a clean commit, behind any group but a segment's head, tells recovery
//! that numbers may have been handed out that it cannot see.

use std::io;
use std::sync::Arc;

use crate::disk::{self, Disk, DiskFile, OpenMode};
use crate::frame::{Commit, Frames, HEADER, Kind};
use crate::segment;
use crate::settings::{Durability, GROUP_BYTES};

/// What a segment starts with beside the body of its snapshot: a header and a commit frame.
const SEGMENT_HEAD: usize = 2 * HEADER + Commit::LENGTH;

/// Why a group was not written.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// No space. Nothing of the group is left; later groups may succeed.
    Full(io::Error),
    /// What is on the disk is not known: the log takes nothing more until it is opened again.
    Fatal(io::Error),
}

/// The log as its writer knows it.
pub(crate) struct Log {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) durability: Durability,
    /// The active segment.
    pub(crate) number: u64,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Behind the last commit.
    pub(crate) end: u64,
    /// Behind the active segment's snapshot; 0 where it was begun by an earlier session.
    head: u64,
    /// Of the last commit.
    pub(crate) group: u64,
    /// The last commit says that the store was closed.
    pub(crate) clean: bool,
    /// Behind `end` stands a torn tail: nothing may be written but the next segment.
    pub(crate) torn: bool,
    /// Groups need no sync of their own.
    relaxed: bool,
    buffer: Vec<u8>,
}

impl Log {
    /// A log that goes on at `end` of a segment.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        durability: Durability,
        (number, file): (u64, Arc<dyn DiskFile>),
        end: u64,
        last: Commit,
    ) -> Self {
        let (group, clean) = (last.group, last.clean);
        let (torn, relaxed, buffer) = (false, false, Vec::new());
        Self { disk, durability, number, file, end, head: 0, group, clean, torn, relaxed, buffer }
    }

    /// Frames to be filled and handed to [`Log::append`]. One at a time: the buffer is shared.
    pub(crate) fn frames(&mut self) -> Frames {
        Frames::new(self.number, self.end, std::mem::take(&mut self.buffer))
    }

    /// Ends the group and writes it; on return it is as durable as promised.
    pub(crate) fn append(&mut self, mut frames: Frames, clean: bool) -> Result<(), AppendError> {
        let commit = Commit { group: self.group + 1, start: self.end, clean };
        frames.add(Kind::Commit, |body| commit.write(body));
        let written = self.file.write_at(&frames.bytes, self.end);
        let length = frames.bytes.len() as u64;
        // One huge put must not hold its memory for good.
        if frames.bytes.capacity() <= 2 * GROUP_BYTES {
            self.buffer = frames.bytes;
        }
        if let Err(error) = written {
            return Err(self.undo(error));
        }
        if !self.relaxed || clean {
            self.file.sync().map_err(AppendError::Fatal)?;
        }
        self.relaxed = self.durability == Durability::OsBuffer;
        self.end += length;
        self.group = commit.group;
        self.clean = clean;
        Ok(())
    }

    /// Cuts off what stands behind the last commit after a failed write.
    fn undo(&self, error: io::Error) -> AppendError {
        match self.file.truncate(self.end) {
            Ok(()) if disk::is_full(&error) => AppendError::Full(error),
            Ok(()) => AppendError::Fatal(error),
            Err(second) => AppendError::Fatal(io::Error::new(
                second.kind(),
                format!("{error}; and what was written could not be cut off again: {second}"),
            )),
        }
    }

    /// Whether the active segment has grown to twice its snapshot: worth a new one, also when there are notes in it only.
    pub(crate) fn has_grown(&self) -> bool {
        self.end > 2 * self.head
    }

    /// Cuts off a torn tail, as soon as there is space for what is written then. Not before: the tail
    /// is what tells the next opening that counters must jump.
    fn cut_torn_tail(&mut self, needed: usize) -> Result<(), AppendError> {
        let probe = segment::name(self.number + 1);
        let failed = |error| match disk::is_full(&error) {
            true => AppendError::Full(error),
            false => AppendError::Fatal(error),
        };
        let (file, _) = self.disk.open(&probe, OpenMode::New).map_err(failed)?;
        let written = file.write_at(&vec![0; needed], 0);
        // Emptied first: its removal may be undone by power loss.
        file.truncate(0).and_then(|()| self.disk.remove(&probe)).map_err(AppendError::Fatal)?;
        written.map_err(failed)?;
        self.file.truncate(self.end).map_err(AppendError::Fatal)?;
        self.torn = false;
        Ok(())
    }

    /// Seals the active segment with `footer`, and starts the next one with the body of a snapshot;
    /// both durable on return. Gives the sealed segment's length.
    pub(crate) fn roll(&mut self, footer: &[u8], snapshot: &[u8]) -> Result<u64, AppendError> {
        if self.torn {
            self.cut_torn_tail(footer.len() + snapshot.len() + SEGMENT_HEAD)?;
        }
        if let Err(error) = self.file.write_at(footer, self.end) {
            return Err(self.undo(error));
        }
        self.file.sync().map_err(AppendError::Fatal)?;
        let (number, group) = (self.number + 1, self.group + 1);
        let write = |body: &mut Vec<u8>| body.extend_from_slice(snapshot);
        let (file, end) = match create(&*self.disk, number, group, write) {
            Ok(created) => created,
            Err(error) => {
                // Without a next segment this one goes on, and a footer would be in its way.
                return Err(match self.disk.remove(&segment::name(number)) {
                    Err(second) if second.kind() != io::ErrorKind::NotFound => {
                        AppendError::Fatal(second)
                    }
                    _ => self.undo(error),
                });
            }
        };
        let sealed_bytes = self.end + footer.len() as u64;
        (self.number, self.file, self.end, self.group) = (number, file, end, group);
        self.head = end;
        (self.clean, self.relaxed) = (false, false);
        Ok(sealed_bytes)
    }
}

/// Makes a segment whose first group is a snapshot; durable on return. Gives the group's end.
pub(crate) fn create(
    disk: &dyn Disk,
    number: u64,
    group: u64,
    snapshot: impl FnOnce(&mut Vec<u8>),
) -> io::Result<(Arc<dyn DiskFile>, u64)> {
    let mut frames = Frames::new(number, 0, Vec::new());
    frames.add(Kind::Snapshot, snapshot);
    frames.add(Kind::Commit, |body| Commit { group, start: 0, clean: false }.write(body));
    let (file, _) = disk.open(&segment::name(number), OpenMode::New)?;
    if let Err(error) = file.write_at(&frames.bytes, 0).and_then(|()| file.sync()) {
        // Its removal may be undone by power loss: a whole snapshot that came back would be taken for the newest state.
        file.truncate(0)?;
        return Err(error);
    }
    Ok((file, frames.end()))
}
