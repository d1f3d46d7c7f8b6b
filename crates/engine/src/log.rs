//! The log: groups appended to the active segment, segments sealed and dropped.
//!
//! Owned by the writer thread alone. A group becomes visible only after it is durable, and its
//! bytes are cut off again if it cannot be written.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use baikonur_stream::Timestamp;
use bytes::Bytes;

use crate::disk::{Disk, DiskFile, LOG_FOLDER};
use crate::frame::{self, Kind, ShardKey};
use crate::index::{Active, Index};
use crate::notes::{self, Notes};
use crate::segment::{self, BlockPlace, Sealed};
use crate::settings::Durability;

/// A segment with records is sealed at this age, so that retention can free it.
const SEAL_AFTER: Duration = Duration::from_secs(6 * 3600);

/// Why a group was not written.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// No space. Nothing of the group is left; later groups may succeed.
    Full(io::Error),
    /// What is on the disk is not known: the log takes nothing more until it is opened again.
    Fatal(io::Error),
}

/// What is appended at once: all of it is found again after a crash, or nothing.
#[derive(Default)]
pub(crate) struct Group {
    bytes: Vec<u8>,
    /// Blocks with their offsets in `bytes`.
    pub(crate) blocks: Vec<(ShardKey, BlockPlace)>,
    pub(crate) notes: Vec<(String, Option<Bytes>)>,
}

impl Group {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.blocks.clear();
        self.notes.clear();
    }

    /// Adds records of one shard. `write` appends them after the head.
    pub(crate) fn block(&mut self, head: frame::BlockHead, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        frame::encode(&mut self.bytes, Kind::Block, |body| {
            head.write(body);
            write(body);
        });
        let place = BlockPlace {
            first_counter: head.first_counter,
            offset: start as u64,
            arrival: head.arrival,
            length: (self.bytes.len() - start) as u32,
            count: head.count,
        };
        self.blocks.push((head.key, place));
    }

    /// Adds a note.
    pub(crate) fn note(&mut self, key: String, value: Option<Bytes>) {
        frame::encode(&mut self.bytes, Kind::Note, |body| {
            frame::write_note(body, &key, value.as_deref());
        });
        self.notes.push((key, value));
    }

    fn end(&mut self, number: u64, offset: u64) {
        frame::encode(&mut self.bytes, Kind::Commit, |body| {
            body.extend_from_slice(&number.to_le_bytes());
            body.extend_from_slice(&offset.to_le_bytes());
        });
    }
}

/// The log as its writer knows it.
pub(crate) struct Log {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) durability: Durability,
    pub(crate) segment_bytes: u64,
    pub(crate) index: Arc<RwLock<Index>>,
    pub(crate) notes: Arc<RwLock<Notes>>,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) number: u64,
    /// Behind the last commit.
    pub(crate) offset: u64,
    /// Of the last group.
    pub(crate) group: u64,
    /// When the active segment took its first record.
    pub(crate) used_since: Option<Timestamp>,
    /// Of the newest record of all shards: arrival times never fall.
    pub(crate) last_arrival: Timestamp,
}

impl Log {
    /// Appends a group and makes it as durable as promised, then shows it to readers.
    pub(crate) fn append(
        &mut self,
        group: &mut Group,
        now: Timestamp,
        exists: &dyn Fn(u64) -> bool,
    ) -> Result<(), AppendError> {
        let grown = self.offset + group.bytes.len() as u64;
        if grown > self.segment_bytes && self.used_since.is_some() {
            self.roll(exists)?;
        }
        group.end(self.group + 1, self.offset);
        if let Err(error) = self.file.write_at(&group.bytes, self.offset) {
            return Err(self.undo(error));
        }
        if self.durability == Durability::Fsync {
            self.file.sync().map_err(AppendError::Fatal)?;
        }
        if !group.blocks.is_empty() {
            self.used_since.get_or_insert(now);
        }
        self.publish(group);
        self.group += 1;
        self.offset += group.bytes.len() as u64;
        Ok(())
    }

    fn publish(&mut self, group: &Group) {
        if !group.blocks.is_empty() {
            let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
            for (key, place) in &group.blocks {
                self.last_arrival = self.last_arrival.max(place.arrival);
                let offset = self.offset + place.offset;
                index.publish(*key, BlockPlace { offset, ..*place });
            }
        }
        if !group.notes.is_empty() {
            let mut notes = self.notes.write().unwrap_or_else(PoisonError::into_inner);
            for (key, value) in &group.notes {
                match value {
                    Some(value) => notes.insert(key.clone(), value.clone()),
                    None => notes.remove(key),
                };
            }
        }
    }

    /// Cuts off what a failed write left behind the last commit.
    fn undo(&mut self, error: io::Error) -> AppendError {
        let full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        match self.file.truncate(self.offset) {
            Ok(()) if full => AppendError::Full(error),
            Ok(()) => AppendError::Fatal(error),
            Err(second) => AppendError::Fatal(io::Error::new(
                second.kind(),
                format!("{error}, and what was written could not be cut off again: {second}"),
            )),
        }
    }

    /// Seals the active segment and starts the next one with a snapshot.
    pub(crate) fn roll(&mut self, exists: &dyn Fn(u64) -> bool) -> Result<(), AppendError> {
        let footer = {
            let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
            segment::encode_footer(&index.active.blocks, self.offset)
        };
        if let Err(error) = self.file.write_at(&footer, self.offset) {
            return Err(self.undo(error));
        }
        self.file.sync().map_err(AppendError::Fatal)?;
        let sealed = Sealed::load(self.number, &*self.file)
            .and_then(|sealed| sealed.ok_or_else(|| io::Error::other("a footer did not read back")))
            .map_err(AppendError::Fatal)?;
        self.drop_dead_notes(exists);
        let next = match self.begin_segment(self.number + 1) {
            Ok(next) => next,
            Err(error) => {
                // Without a next segment this one goes on; its footer would be in the way.
                let _ = self.disk.remove(&segment::name(self.number + 1));
                return Err(self.undo(error));
            }
        };
        let (file, length) = next;
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.sealed.insert(sealed.number, Arc::new(sealed));
        self.number += 1;
        self.file = Arc::clone(&file);
        self.offset = length;
        self.group += 1;
        self.used_since = None;
        index.active = Active { number: self.number, file, blocks: Default::default() };
        Ok(())
    }

    /// Notes of streams that do not exist any more are not carried into the next segment.
    fn drop_dead_notes(&self, exists: &dyn Fn(u64) -> bool) {
        let mut notes = self.notes.write().unwrap_or_else(PoisonError::into_inner);
        notes.retain(|key, _| notes::is_alive(key, exists));
    }

    /// Makes a segment that starts with a snapshot of the state; durable on return.
    fn begin_segment(&self, number: u64) -> io::Result<(Arc<dyn DiskFile>, u64)> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let notes = self.notes.read().unwrap_or_else(PoisonError::into_inner);
        let head = head(&index.tips, self.last_arrival, &notes, self.group + 1);
        drop((index, notes));
        create_segment(&*self.disk, number, &head)
    }

    /// Frees segments in which every record is expired, or of a stream that is gone; seals the
    /// active one when it is old. `horizon` gives the moment before which a stream's records are
    /// expired, none for a stream that does not exist.
    pub(crate) fn retain(
        &mut self,
        now: Timestamp,
        horizon: &dyn Fn(u64) -> Option<Timestamp>,
    ) -> Result<(), AppendError> {
        if self.used_since.is_some_and(|since| now.since(since) > SEAL_AFTER) {
            self.roll(&|incarnation| horizon(incarnation).is_some())?;
        }
        let expired: Vec<u64> = {
            let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
            let of_shard = |key: &ShardKey, last: Timestamp| {
                horizon(key.incarnation).is_none_or(|horizon| last < horizon)
            };
            let expired = |s: &Sealed| s.shards.iter().all(|(k, s)| of_shard(k, s.last_arrival));
            index.sealed.values().filter(|s| expired(s)).map(|s| s.number).collect()
        };
        for number in expired {
            // Out of the index first: a reader that has it open reads on, no other one finds it.
            let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
            index.sealed.remove(&number);
            drop(index);
            self.disk.remove(&segment::name(number)).map_err(AppendError::Fatal)?;
        }
        Ok(())
    }

    /// Makes everything written durable, in either mode.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

/// The first frames of a segment: everything that recovery needs of earlier ones.
pub(crate) fn head(
    tips: &HashMap<ShardKey, u64>,
    last_arrival: Timestamp,
    notes: &Notes,
    group: u64,
) -> Vec<u8> {
    let mut head = Group::default();
    frame::encode(&mut head.bytes, Kind::Snapshot, |body| {
        let mut tips: Vec<_> = tips.iter().collect();
        tips.sort_by_key(|(key, _)| **key);
        body.extend_from_slice(&(tips.len() as u32).to_le_bytes());
        for (key, tip) in tips {
            body.extend_from_slice(&key.incarnation.to_le_bytes());
            body.extend_from_slice(&key.shard.to_le_bytes());
            body.extend_from_slice(&tip.to_le_bytes());
        }
        body.extend_from_slice(&last_arrival.millis().to_le_bytes());
        body.extend_from_slice(&(notes.len() as u32).to_le_bytes());
        for (key, value) in notes {
            frame::write_note(body, key, Some(value));
        }
    });
    head.end(group, 0);
    head.bytes
}

/// Makes a segment file that holds `head`; durable on return.
pub(crate) fn create_segment(
    disk: &dyn Disk,
    number: u64,
    head: &[u8],
) -> io::Result<(Arc<dyn DiskFile>, u64)> {
    let file = disk.open(&segment::name(number), true)?;
    file.write_at(head, 0)?;
    file.sync()?;
    disk.sync_folder(LOG_FOLDER)?;
    Ok((file, head.len() as u64))
}
