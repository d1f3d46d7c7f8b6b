//! A disk that fails as real ones do.
//!
//! Fault model, all drawn from one seed:
//! - *Power loss* at a chosen operation: that operation and all later ones fail. What was synced
//!   stays; of the writes that were not, any subset stays, each perhaps torn at any byte. Files
//!   created or removed without a synced folder may be there or not.
//! - *A failed sync*: the call fails, and what it covered counts as not synced.
//! - *A full disk*: writes beyond a number of bytes fail with `StorageFull`, after writing a part.
//! - *A flipped bit* in a stored file.
//!
//! Not in the model: reads that lie once and tell the truth later, and writes that land elsewhere.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use baikonur_engine::{Disk, DiskFile};

/// SplitMix64.
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % n.max(1)
    }
}

#[derive(Debug, Clone, Default)]
struct Contents {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Writes since the last sync: offset and bytes.
    unsynced: Vec<(usize, Vec<u8>)>,
    /// Its name is in the folder for good.
    named: bool,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Contents>,
    /// Removed, but not yet for good.
    removed: BTreeMap<String, Contents>,
    operations: u64,
    power_lost_at: Option<u64>,
    failing_syncs: u64,
    space: Option<u64>,
}

/// The disk; clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct SimulatedDisk(Arc<Mutex<State>>);

impl SimulatedDisk {
    /// Loses power at this operation, counted from now, 1 being the next one.
    pub(crate) fn lose_power_at(&self, operation: u64) {
        let mut state = self.0.lock().unwrap();
        state.power_lost_at = Some(state.operations + operation);
    }

    /// Operations so far: writes, syncs, creations, removals, replacements.
    pub(crate) fn operations(&self) -> u64 {
        self.0.lock().unwrap().operations
    }

    /// Lets the next syncs fail.
    pub(crate) fn fail_syncs(&self, count: u64) {
        self.0.lock().unwrap().failing_syncs = count;
    }

    /// Leaves room for this many more bytes; none for a disk that is never full.
    pub(crate) fn set_space(&self, bytes: Option<u64>) {
        self.0.lock().unwrap().space = bytes;
    }

    /// The disk as the next start finds it after power loss.
    pub(crate) fn after_power_loss(&self, random: &mut Random) -> Self {
        let state = self.0.lock().unwrap();
        let mut files = BTreeMap::new();
        for (name, contents) in &state.files {
            if contents.named || random.below(2) == 0 {
                files.insert(name.clone(), settle(contents, random));
            }
        }
        for (name, contents) in &state.removed {
            if !files.contains_key(name) && random.below(2) == 0 {
                files.insert(name.clone(), settle(contents, random));
            }
        }
        Self(Arc::new(Mutex::new(State { files, ..State::default() })))
    }

    /// The disk as the next start finds it after the process was killed.
    pub(crate) fn after_kill(&self) -> Self {
        let state = self.0.lock().unwrap();
        let files = state.files.clone();
        Self(Arc::new(Mutex::new(State { files, ..State::default() })))
    }

    /// Flips one bit of a file.
    pub(crate) fn flip(&self, name: &str, bit: usize) {
        let mut state = self.0.lock().unwrap();
        let contents = state.files.get_mut(name).unwrap();
        contents.live[bit / 8] ^= 1 << (bit % 8);
    }

    /// Cuts a file, as a lost footer would be.
    pub(crate) fn cut(&self, name: &str, length: usize) {
        self.0.lock().unwrap().files.get_mut(name).unwrap().live.truncate(length);
    }

    /// All files with their bytes.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.0.lock().unwrap();
        state.files.iter().map(|(name, c)| (name.clone(), c.live.clone())).collect()
    }

    /// Brings a file's whole contents in.
    pub(crate) fn put_file(&self, name: &str, bytes: Vec<u8>) {
        let contents =
            Contents { durable: bytes.clone(), live: bytes, named: true, ..Contents::default() };
        self.0.lock().unwrap().files.insert(name.to_owned(), contents);
    }
}

/// What of a file's writes is there after power loss.
fn settle(contents: &Contents, random: &mut Random) -> Contents {
    let mut bytes = contents.durable.clone();
    for (offset, written) in &contents.unsynced {
        let kept = match random.below(3) {
            0 => 0,
            1 => written.len(),
            _ => random.below(written.len() as u64 + 1) as usize,
        };
        if kept > 0 {
            overwrite(&mut bytes, *offset, &written[..kept]);
        }
    }
    Contents { live: bytes.clone(), durable: bytes, unsynced: Vec::new(), named: true }
}

fn overwrite(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
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

    fn file(&mut self, name: &str) -> io::Result<&mut Contents> {
        if !self.files.contains_key(name) && self.removed.contains_key(name) {
            return Ok(self.removed.get_mut(name).unwrap());
        }
        self.files.get_mut(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    name: String,
}

impl Disk for SimulatedDisk {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock().unwrap();
        if create {
            state.operate()?;
            if state.files.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.files.insert(name.to_owned(), Contents::default());
        } else if !state.files.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Arc::new(SimulatedFile { disk: self.clone(), name: name.to_owned() }))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let state = self.0.lock().unwrap();
        let prefix = format!("{folder}/");
        Ok(state.files.keys().filter_map(|n| n.strip_prefix(&prefix).map(str::to_owned)).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.operate()?;
        let contents = state.files.remove(name).ok_or(io::ErrorKind::NotFound)?;
        state.removed.insert(name.to_owned(), contents);
        Ok(())
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().operate()?;
        self.put_file(name, bytes.to_vec());
        Ok(())
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.operate()?;
        for (name, contents) in &mut state.files {
            contents.named |= name.starts_with(folder);
        }
        state.removed.clear();
        Ok(())
    }
}

impl DiskFile for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock().unwrap();
        let live = &state.file(&self.name)?.live;
        let wanted = offset as usize..offset as usize + buffer.len();
        let found = live.get(wanted).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(found);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock().unwrap();
        let lost = state.operate();
        let room = state.space.map_or(bytes.len(), |space| bytes.len().min(space as usize));
        // A write that fails may have done a part of its work.
        let done = if lost.is_err() { bytes.len() } else { room };
        if let (Ok(()), Some(space)) = (&lost, &mut state.space) {
            *space -= done as u64;
        }
        let contents = state.file(&self.name)?;
        contents.unsynced.push((offset as usize, bytes[..done].to_vec()));
        overwrite(&mut contents.live, offset as usize, &bytes[..done]);
        lost?;
        if done < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.0.lock().unwrap();
        state.operate()?;
        if state.failing_syncs > 0 {
            state.failing_syncs -= 1;
            return Err(io::Error::other("input/output error"));
        }
        let contents = state.file(&self.name)?;
        contents.durable.clone_from(&contents.live);
        contents.unsynced.clear();
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock().unwrap();
        state.operate()?;
        let contents = state.file(&self.name)?;
        contents.live.truncate(length as usize);
        contents.durable.clone_from(&contents.live);
        contents.unsynced.clear();
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        let mut state = self.disk.0.lock().unwrap();
        Ok(state.file(&self.name)?.live.len() as u64)
    }
}
