//! A disk that fails as real ones do. Every choice comes from a seed.
//!
//! Fault model:
//! - *Power loss* at a chosen operation: it and all later ones fail. What was synced stays. Of each
//!   write that was not, all, nothing, a beginning, or any of its 512-byte sectors stays, whatever
//!   became of writes before and after it; where later bytes stayed, missing ones read as zeros. A
//!   replacement that was under way happened or not. A removed file may be there again.
//! - *Kill* of the process: everything written stays; what was under way may be there in part.
//! - *A failed sync*: the call fails, a part of what it covered became durable, and no later sync
//!   covers the rest, though it is still read: Linux keeps such pages and takes them for written.
//! - *A full disk*: files that grow beyond a number of bytes fail with `StorageFull` after growing in
//!   part. Writing over what is there takes no space; cutting and removing give space back.
//! - *A flipped bit* and *a cut* of a stored file.
//!
//! Not in the model: reads that lie once and tell the truth later, and writes that land elsewhere.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use super::{Disk, DiskFile, OpenMode};
use crate::lock::lock;

/// A small generator of numbers (SplitMix64): the same seed gives the same ones everywhere.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// A number from 0 up to, not including, `n`; 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % n.max(1)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A file, whatever its name is now.
#[derive(Debug, Clone, Default)]
struct Inode {
    /// What reading gives.
    live: Vec<u8>,
    /// What stays after power loss at the least.
    durable: Vec<u8>,
    /// Writes since the last sync.
    unsynced: Vec<(usize, Vec<u8>)>,
}

#[derive(Debug, Clone)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    /// Removed names, which power loss may bring back.
    removed: BTreeMap<String, usize>,
    /// A replacement during which power was lost.
    replacing: Option<(String, Vec<u8>)>,
    operations: u64,
    power_lost_at: Option<u64>,
    failing_syncs: u64,
    space: Option<u64>,
    /// Decides what failed syncs leave.
    random: Random,
}

impl Default for State {
    fn default() -> Self {
        Self {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            removed: BTreeMap::new(),
            replacing: None,
            operations: 0,
            power_lost_at: None,
            failing_syncs: 0,
            space: None,
            random: Random(0),
        }
    }
}

/// The disk; clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

const SECTOR: usize = 512;

impl SimulatedDisk {
    /// Loses power at this operation, counted from now; the next one is 1.
    pub fn lose_power_at(&self, operation: u64) {
        let mut state = lock(&self.0);
        state.power_lost_at = Some(state.operations + operation);
    }

    /// Operations so far: writes, syncs, cuts, creations, removals, replacements.
    pub fn operations(&self) -> u64 {
        lock(&self.0).operations
    }

    /// Lets the next syncs fail.
    pub fn fail_syncs(&self, count: u64) {
        lock(&self.0).failing_syncs = count;
    }

    /// Leaves room for this many more bytes; none for a disk that is never full.
    pub fn set_space(&self, bytes: Option<u64>) {
        lock(&self.0).space = bytes;
    }

    /// The disk as the next start finds it after power loss.
    pub fn after_power_loss(&self, random: &mut Random) -> Self {
        let state = lock(&self.0);
        let mut after = State::default();
        for (name, inode) in &state.names {
            after.add(name, settle(&state.inodes[*inode], random));
        }
        for (name, inode) in &state.removed {
            if !state.names.contains_key(name) && random.one_in(2) {
                after.add(name, settle(&state.inodes[*inode], random));
            }
        }
        if let Some((name, bytes)) = state.replacing.as_ref().filter(|_| random.one_in(2)) {
            after.add(name, bytes.clone());
        }
        Self(Arc::new(Mutex::new(after)))
    }

    /// The disk as the next start finds it after the process was killed.
    pub fn after_kill(&self) -> Self {
        let state = lock(&self.0);
        let (inodes, names) = (state.inodes.clone(), state.names.clone());
        Self(Arc::new(Mutex::new(State { inodes, names, ..State::default() })))
    }

    /// Flips one bit of a file.
    pub fn flip(&self, name: &str, bit: usize) {
        let mut state = lock(&self.0);
        let inode = state.inode(name);
        for bytes in [&mut inode.live, &mut inode.durable] {
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// Cuts a file, as a lost footer would be.
    pub fn cut(&self, name: &str, length: usize) {
        let mut state = lock(&self.0);
        let inode = state.inode(name);
        inode.live.truncate(length);
        inode.durable.truncate(length);
    }

    /// All files with their bytes.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = lock(&self.0);
        let bytes = |inode: &usize| state.inodes[*inode].live.clone();
        state.names.iter().map(|(name, inode)| (name.clone(), bytes(inode))).collect()
    }

    /// Brings a whole file in.
    pub fn put_file(&self, name: &str, bytes: Vec<u8>) {
        lock(&self.0).add(name, bytes);
    }
}

/// What of a file is there after power loss.
fn settle(inode: &Inode, random: &mut Random) -> Vec<u8> {
    let mut bytes = inode.durable.clone();
    for (offset, written) in &inode.unsynced {
        let beginning = random.below(written.len() as u64 + 1) as usize;
        match random.below(4) {
            0 => {}
            1 => overwrite(&mut bytes, *offset, written),
            2 => overwrite(&mut bytes, *offset, &written[..beginning]),
            _ => {
                for (at, sector) in written.chunks(SECTOR).enumerate() {
                    if random.one_in(2) {
                        overwrite(&mut bytes, offset + at * SECTOR, sector);
                    }
                }
            }
        }
    }
    bytes
}

fn overwrite(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    if written.is_empty() {
        return;
    }
    if bytes.len() < offset + written.len() {
        bytes.resize(offset + written.len(), 0);
    }
    bytes[offset..offset + written.len()].copy_from_slice(written);
}

impl State {
    fn operate(&mut self) -> io::Result<()> {
        self.operations += 1;
        match self.power_lost_at {
            Some(at) if self.operations >= at => Err(io::Error::other("power lost")),
            _ => Ok(()),
        }
    }

    fn add(&mut self, name: &str, bytes: Vec<u8>) -> usize {
        self.inodes.push(Inode { durable: bytes.clone(), live: bytes, ..Inode::default() });
        self.names.insert(name.to_owned(), self.inodes.len() - 1);
        self.inodes.len() - 1
    }

    fn take(&mut self, bytes: usize) {
        self.space = self.space.map(|space| space.saturating_sub(bytes as u64));
    }

    fn free(&mut self, bytes: usize) {
        self.space = self.space.map(|space| space.saturating_add(bytes as u64));
    }

    fn inode(&mut self, name: &str) -> &mut Inode {
        let inode = *self.names.get(name).expect("a test names a file that there is");
        &mut self.inodes[inode]
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    inode: usize,
}

impl Disk for SimulatedDisk {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<(Arc<dyn DiskFile>, u64)> {
        let mut state = lock(&self.0);
        let known = state.names.get(name).copied();
        let inode = match (mode, known) {
            (OpenMode::Existing, Some(inode)) => inode,
            (OpenMode::Existing, None) => return Err(io::ErrorKind::NotFound.into()),
            (OpenMode::New, Some(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (OpenMode::New, None) => {
                state.operate()?;
                state.add(name, Vec::new())
            }
        };
        let length = state.inodes[inode].live.len() as u64;
        Ok((Arc::new(SimulatedFile { disk: self.clone(), inode }), length))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let state = lock(&self.0);
        let prefix = format!("{folder}/");
        Ok(state.names.keys().filter_map(|n| n.strip_prefix(&prefix).map(str::to_owned)).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = lock(&self.0);
        state.operate()?;
        let inode = state.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        state.removed.insert(name.to_owned(), inode);
        let freed = state.inodes[inode].live.len();
        state.free(freed);
        Ok(())
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = lock(&self.0);
        let before = state.power_lost_at.is_some_and(|at| state.operations >= at);
        if let Err(error) = state.operate() {
            if !before {
                state.replacing = Some((name.to_owned(), bytes.to_vec()));
            }
            return Err(error);
        }
        if state.space.is_some_and(|space| space < bytes.len() as u64) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let freed = state.names.get(name).map_or(0, |inode| state.inodes[*inode].live.len());
        state.take(bytes.len());
        state.free(freed);
        state.add(name, bytes.to_vec());
        Ok(())
    }
}

impl DiskFile for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let state = lock(&self.disk.0);
        let live = &state.inodes[self.inode].live;
        let start = offset as usize;
        let found = start.checked_add(buffer.len()).and_then(|end| live.get(start..end));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = lock(&self.disk.0);
        let power = state.operate();
        let space = state.space.unwrap_or(u64::MAX);
        let length = state.inodes[self.inode].live.len();
        let room = (length as u64).saturating_sub(offset).saturating_add(space);
        let done = if power.is_err() { bytes.len() } else { bytes.len().min(room as usize) };
        state.take((offset as usize + done).saturating_sub(length));
        let inode = &mut state.inodes[self.inode];
        inode.unsynced.push((offset as usize, bytes[..done].to_vec()));
        overwrite(&mut inode.live, offset as usize, &bytes[..done]);
        power?;
        if done < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = lock(&self.disk.0);
        state.operate()?;
        if state.failing_syncs > 0 {
            state.failing_syncs -= 1;
            let mut random = state.random.clone();
            let inode = &mut state.inodes[self.inode];
            inode.durable = settle(inode, &mut random);
            inode.unsynced.clear();
            state.random = random;
            return Err(io::Error::other("input/output error"));
        }
        let inode = &mut state.inodes[self.inode];
        let covered = std::mem::take(&mut inode.unsynced);
        for (offset, written) in covered {
            overwrite(&mut inode.durable, offset, &written);
        }
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut state = lock(&self.disk.0);
        state.operate()?;
        let inode = &mut state.inodes[self.inode];
        for (offset, written) in std::mem::take(&mut inode.unsynced) {
            overwrite(&mut inode.durable, offset, &written);
        }
        let freed = inode.live.len().saturating_sub(length as usize);
        inode.live.truncate(length as usize);
        inode.durable.truncate(length as usize);
        state.free(freed);
        Ok(())
    }
}
