//! Where a shard's blocks are: in full for the segment being written, by summary for sealed ones.
//!
//! Memory grows with the number of segments times the shards in them, not with records: the places
//! of a sealed segment are read from its footer when a reader comes by, and a few are kept.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use baikonur_stream::Timestamp;

use crate::disk::{Disk, DiskFile};
use crate::frame::ShardKey;
use crate::segment::{self, BlockPlace, Blocks, Sealed};

/// Everything durable that readers may see.
pub(crate) struct Index {
    pub(crate) sealed: BTreeMap<u64, Arc<Sealed>>,
    pub(crate) active: Active,
    /// The counter of each shard's next record.
    pub(crate) tips: HashMap<ShardKey, u64>,
}

/// The segment being written.
pub(crate) struct Active {
    pub(crate) number: u64,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) blocks: Blocks,
}

/// The counter of a shard's first record; 0 is its starting sequence number, below every record.
pub(crate) const FIRST_COUNTER: u64 = 1;

/// Blocks of one segment that a reader wants, in order.
pub(crate) struct Stretch {
    pub(crate) segment: u64,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) places: Places,
    /// The first of `places` that is wanted.
    pub(crate) from: usize,
}

/// Places shared with the cache, or copied from the active segment.
pub(crate) type Places = Arc<Vec<BlockPlace>>;

/// The places of a few sealed segments that were read last.
#[derive(Default)]
pub(crate) struct PlaceCache(Mutex<VecDeque<(u64, ShardKey, Places)>>);

impl PlaceCache {
    /// Bytes of places kept; one list may be larger.
    const BYTES_MAX: usize = 32 * 1024 * 1024;

    fn get(&self, file: &dyn DiskFile, segment: &Sealed, key: ShardKey) -> io::Result<Places> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.iter().position(|(n, k, _)| *n == segment.number && *k == key) {
            let entry = kept.remove(at).expect("found above");
            let places = Arc::clone(&entry.2);
            kept.push_back(entry);
            return Ok(places);
        }
        drop(kept);
        let places = Arc::new(segment.places(file, key)?);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back((segment.number, key, Arc::clone(&places)));
        let size =
            |(_, _, places): &(u64, ShardKey, Places)| places.len() * size_of::<BlockPlace>();
        while kept.len() > 1 && kept.iter().map(size).sum::<usize>() > Self::BYTES_MAX {
            kept.pop_front();
        }
        Ok(places)
    }
}

impl Index {
    /// The blocks of a shard that hold records from `counter` on, or that arrived at `arrival` or
    /// later: the first segment with any.
    pub(crate) fn stretch(
        &self,
        disk: &dyn Disk,
        cache: &PlaceCache,
        key: ShardKey,
        counter: u64,
        arrival: Timestamp,
    ) -> io::Result<Option<Stretch>> {
        let wanted =
            |place: &BlockPlace| place.last_counter() >= counter && place.arrival >= arrival;
        for sealed in self.sealed.values() {
            let Some(summary) = sealed.shards.get(&key) else { continue };
            if summary.last_counter < counter || summary.last_arrival < arrival {
                continue;
            }
            let file = disk.open(&segment::name(sealed.number), false)?;
            let places = cache.get(&*file, sealed, key)?;
            // Counters and arrivals rise together, so the wanted blocks are a suffix.
            let from = places.partition_point(|place| !wanted(place));
            if from < places.len() {
                let segment = sealed.number;
                return Ok(Some(Stretch { segment, file, places, from }));
            }
        }
        let Some(places) = self.active.blocks.get(&key) else { return Ok(None) };
        let from = places.partition_point(|place| !wanted(place));
        if from == places.len() {
            return Ok(None);
        }
        // A reader takes one page: copying a bounded piece is cheaper than sharing a growing list.
        let piece = places[from..places.len().min(from + PIECE)].to_vec();
        Ok(Some(Stretch {
            segment: self.active.number,
            file: Arc::clone(&self.active.file),
            places: Arc::new(piece),
            from: 0,
        }))
    }

    /// The counter of the shard's next record.
    pub(crate) fn tip(&self, key: ShardKey) -> u64 {
        self.tips.get(&key).copied().unwrap_or(FIRST_COUNTER)
    }

    /// Adds a block that became durable in the active segment.
    pub(crate) fn publish(&mut self, key: ShardKey, place: BlockPlace) {
        self.active.blocks.entry(key).or_default().push(place);
        self.tips.insert(key, place.last_counter() + 1);
    }
}

/// Blocks of the active segment that one read considers.
const PIECE: usize = 1024;
