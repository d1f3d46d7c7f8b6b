//! Space set aside for what makes space: when the disk is full, a stream can still be deleted, its
//! retention shortened, and a segment sealed so that it can expire.
//!
//! A file of its own, given up for the length of one such write and filled again at once, by the
//! writer, before anything else is written. The file means nothing: a store without it is whole.

use std::sync::Arc;

use crate::catalog;
use crate::disk::{self, Disk, DiskFile, OpenMode};

pub(crate) const FILE: &str = "RESERVE";

/// Beside the size of the catalog, which is written anew while the old one is still there.
const BYTES: u64 = 1024 * 1024;
/// It is filled in steps of this size: some of it is better than none, and less is left for puts.
const STEP: usize = 4096;

/// The space set aside.
pub(crate) struct Reserve {
    disk: Arc<dyn Disk>,
    file: Option<Arc<dyn DiskFile>>,
    /// Bytes in the file.
    held: u64,
    /// Beside the size of the catalog.
    bytes: u64,
}

impl Reserve {
    /// What is set aside in a store with segments of this size; filled up by [`Reserve::fill`].
    pub(crate) fn open(disk: Arc<dyn Disk>, segment_bytes: u64) -> Self {
        // Small segments are for small disks.
        let bytes = BYTES.min(segment_bytes / 8);
        let opened = disk.open(FILE, OpenMode::Existing).ok();
        let (file, held) = opened.map_or((None, 0), |(file, length)| (Some(file), length));
        Self { disk, file, held, bytes }
    }

    /// Gives the space back to the disk; false if there was none.
    pub(crate) fn give_up(&mut self) -> bool {
        let Some(file) = self.file.as_ref().filter(|_| self.held > 0) else { return false };
        let given = file.truncate(0).is_ok();
        if given {
            self.held = 0;
        }
        given
    }

    /// Sets space aside, as much as there is. What fails is tried again at the next call.
    pub(crate) fn fill(&mut self) {
        let catalog = self.disk.open(catalog::FILE, OpenMode::Existing);
        let wanted = self.bytes + catalog.map_or(0, |(_, length)| length);
        // In whole steps, so that few changes of the catalog ask for more.
        let wanted = wanted.next_multiple_of(STEP as u64);
        if self.held >= wanted {
            return;
        }
        if self.file.is_none() {
            self.file = self.disk.open(FILE, OpenMode::New).map(|(file, _)| file).ok();
        }
        let Some(file) = &self.file else { return };
        let step = noise();
        let before = self.held;
        while self.held < wanted {
            if let Err(error) = file.write_at(&step, self.held) {
                if !disk::is_full(&error) {
                    tracing::warn!(%error, "no space can be set aside for a full disk");
                }
                break;
            }
            self.held += STEP as u64;
        }
        // The file has what was written in whole steps, durable, so that the space is really taken.
        let kept = match self.held < wanted {
            true => file.truncate(self.held),
            false => Ok(()),
        };
        if kept.and_then(|()| file.sync()).is_err() {
            self.held = before;
        }
    }
}

/// Bytes that a file system cannot compress to nothing.
fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(STEP);
    while bytes.len() < STEP {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}
