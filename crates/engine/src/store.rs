//! What the writer and the readers of a store share. Each lock is held for steps in memory only,
//! never during I/O.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use baikonur_stream::{BillingCommitment, Clock, StreamName, StreamOwner, Timestamp};

use crate::disk::{Disk, DiskFile, OpenMode};
use crate::frame::ShardKey;
use crate::index::Index;
use crate::lock::{lock, read, write};
use crate::notes::Notes;
use crate::replay::Replay;
use crate::segment::{self, BlockPlace, Summary};
use crate::settings::Throughput;
use crate::streams::{Stream, Streams};

/// What the writer and the readers share.
pub(crate) struct Store {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Whether shards are limited.
    pub(crate) throughput: Throughput,
    /// What owners agreed to; replaced whole by the writer.
    pub(crate) commitments: RwLock<BTreeMap<StreamOwner, BillingCommitment>>,
    /// Replaced whole by the writer.
    pub(crate) streams: RwLock<Arc<Streams>>,
    pub(crate) index: RwLock<Index>,
    /// Durable ones only, as the index.
    pub(crate) notes: RwLock<Notes>,
    pub(crate) sealed: SealedCache,
    /// The newest arrival, in milliseconds.
    newest_arrival: AtomicU64,
    /// Why no write is taken any more.
    closed: RwLock<Option<String>>,
    damaged: Mutex<Vec<String>>,
}

impl Store {
    /// A store with what recovery found.
    pub(crate) fn new(
        (disk, clock): (Arc<dyn Disk>, Arc<dyn Clock>),
        throughput: Throughput,
        streams: Arc<Streams>,
        (index, notes): (Index, Notes),
        damaged: Vec<String>,
    ) -> Self {
        Self {
            disk,
            clock,
            throughput,
            commitments: RwLock::default(),
            streams: RwLock::new(streams),
            index: RwLock::new(index),
            notes: RwLock::new(notes),
            sealed: SealedCache::default(),
            newest_arrival: AtomicU64::new(0),
            closed: RwLock::new(None),
            damaged: Mutex::new(damaged),
        }
    }

    /// A stream in use.
    pub(crate) fn stream(&self, name: &StreamName) -> Option<Arc<Stream>> {
        read(&self.streams).get(name).cloned()
    }

    /// A record that arrived then is durable.
    pub(crate) fn arrived(&self, at: Timestamp) {
        self.newest_arrival.fetch_max(at.millis(), Ordering::Relaxed);
    }

    /// No record arrived later so far.
    pub(crate) fn newest_arrival(&self) -> Timestamp {
        Timestamp::from_millis(self.newest_arrival.load(Ordering::Relaxed))
    }

    /// Why no write is taken any more.
    pub(crate) fn closed(&self) -> Option<String> {
        read(&self.closed).clone()
    }

    /// Takes no more writes. The first reason stays.
    pub(crate) fn close(&self, reason: String) {
        write(&self.closed).get_or_insert(reason);
    }

    /// Damage known, oldest finding first.
    pub(crate) fn damaged(&self) -> Vec<String> {
        lock(&self.damaged).clone()
    }

    /// Remembers a finding of damage, once, and counts it.
    pub(crate) fn found_damage(&self, what: &str) {
        const FINDINGS_MAX: usize = 1000;
        let mut damaged = lock(&self.damaged);
        if damaged.iter().any(|known| known == what) {
            return;
        }
        metrics::counter!("baikonur_damaged_blocks_total").increment(1);
        tracing::error!(%what, "stored data is damaged");
        if damaged.len() < FINDINGS_MAX {
            damaged.push(what.to_owned());
        }
    }

    /// A sealed segment, open for reading. `NotFound` once retention has removed it.
    pub(crate) fn sealed_file(&self, number: u64) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.sealed.file(number) {
            return Ok(file);
        }
        let (file, _) = self.disk.open(&segment::name(number), OpenMode::Existing)?;
        self.sealed.keep_file(number, Arc::clone(&file));
        Ok(file)
    }

    /// Where the blocks of a shard are in a sealed segment.
    pub(crate) fn sealed_places(
        &self,
        file: &dyn DiskFile,
        number: u64,
        key: ShardKey,
        summary: &Summary,
    ) -> io::Result<Places> {
        if let Some(places) = self.sealed.places(number, key) {
            return Ok(places);
        }
        let places = match segment::read_places(file, number, key, summary)? {
            Some(places) => places,
            None => {
                // The footer's list is damaged: all of the segment says the same, only slower.
                let bytes = segment::read_from_start(file, summary.offset)?;
                Replay::places(number, &bytes, key, summary)
            }
        };
        let places: Places = places.into();
        self.sealed.keep_places(number, key, Arc::clone(&places));
        Ok(places)
    }
}

/// Places of one shard in one sealed segment.
pub(crate) type Places = Arc<[BlockPlace]>;

/// Open files and places of the sealed segments that were read last.
#[derive(Default)]
pub(crate) struct SealedCache {
    files: Mutex<VecDeque<(u64, Arc<dyn DiskFile>)>>,
    places: Mutex<VecDeque<(u64, ShardKey, Places)>>,
}

impl SealedCache {
    /// Files kept open.
    const FILES_MAX: usize = 64;
    /// Bytes of places kept; one list alone may be larger.
    const PLACES_BYTES_MAX: usize = 32 * 1024 * 1024;

    fn file(&self, number: u64) -> Option<Arc<dyn DiskFile>> {
        let mut files = lock(&self.files);
        let at = files.iter().position(|(n, _)| *n == number)?;
        let entry = files.remove(at)?;
        let file = Arc::clone(&entry.1);
        files.push_back(entry);
        Some(file)
    }

    fn keep_file(&self, number: u64, file: Arc<dyn DiskFile>) {
        let mut files = lock(&self.files);
        files.push_back((number, file));
        while files.len() > Self::FILES_MAX {
            files.pop_front();
        }
    }

    fn places(&self, number: u64, key: ShardKey) -> Option<Places> {
        let mut kept = lock(&self.places);
        let at = kept.iter().position(|(n, k, _)| *n == number && *k == key)?;
        let entry = kept.remove(at)?;
        let places = Arc::clone(&entry.2);
        kept.push_back(entry);
        Some(places)
    }

    fn keep_places(&self, number: u64, key: ShardKey, places: Places) {
        let mut kept = lock(&self.places);
        kept.push_back((number, key, places));
        let size = |(_, _, places): &(u64, ShardKey, Places)| size_of_val(&**places) + 64;
        while kept.len() > 1 && kept.iter().map(size).sum::<usize>() > Self::PLACES_BYTES_MAX {
            kept.pop_front();
        }
    }

    /// Lets go of a segment that was removed, so that its space is freed.
    pub(crate) fn forget(&self, number: u64) {
        lock(&self.files).retain(|(n, _)| *n != number);
        lock(&self.places).retain(|(n, _, _)| *n != number);
    }
}
