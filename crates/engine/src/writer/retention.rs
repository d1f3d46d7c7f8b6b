//! What the writer does about records that have expired: segments are sealed in time, and freed whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use baikonur_stream::Timestamp;

use super::Writer;
use crate::lock::{read, write};
use crate::log::AppendError;
use crate::segment;
use crate::streams::Stream;

/// Expired segments are looked for this often, and a segment with records is sealed at this age, so
/// that retention, which frees whole segments, is not much later than promised.
const RETENTION_CHECK: Duration = Duration::from_secs(60);
const SEGMENT_AGE: Duration = Duration::from_secs(3600);

impl Writer {
    /// Looks for expired segments if it is time to.
    pub(crate) fn keep_house(&mut self) {
        let now = self.store.clock.monotonic();
        if now.saturating_sub(self.checked) < RETENTION_CHECK || self.store.closed().is_some() {
            return;
        }
        self.checked = now;
        let age = |since| self.store.clock.now().since(since);
        let aged = self.active_since.is_some_and(|since| age(since) >= SEGMENT_AGE);
        let rolled = if aged { self.seal_aged() } else { self.begin() };
        if let Err(error) = rolled {
            self.refusal(error);
        }
        // As readers have it, who go by the clock alone.
        if let Some(trimmed) = self.catalog.trimmed(self.store.clock.now())
            && let Err(error) = self.adopt(trimmed, true)
        {
            tracing::warn!(%error, "shards without records stay listed for now");
        }
        self.retain();
        self.reserve.fill();
    }

    /// By incarnation, the arrival of the oldest record that may be read.
    fn horizons(&self) -> BTreeMap<u64, Timestamp> {
        let now = self.store.clock.now();
        let horizon =
            |stream: &Arc<Stream>| (stream.stored.incarnation, stream.stored.horizon(now));
        self.streams.values().map(horizon).collect()
    }

    fn active_is_expired(&self) -> bool {
        let horizons = self.horizons();
        let index = read(&self.store.index);
        index.active_blocks().iter().all(|(key, places)| {
            let horizon = horizons.get(&key.incarnation);
            horizon.is_none_or(|horizon| places.iter().all(|place| place.arrival < *horizon))
        })
    }

    /// Removes segments in which every record is expired or of a deleted stream.
    pub(super) fn retain(&self) {
        let expired = read(&self.store.index).expired(&self.horizons());
        for number in expired {
            // Out of the index first: who has it open reads on, and nobody else finds it.
            write(&self.store.index).remove(number);
            self.store.sealed.forget(number);
            let name = segment::name(number);
            if let Err(error) = self.store.disk.remove(&name) {
                tracing::warn!(%name, %error, "an expired segment stays until the next start");
            }
        }
        self.show_bytes();
    }

    pub(super) fn show_bytes(&self) {
        let sealed = read(&self.store.index).sealed_bytes();
        self.log_bytes.set((sealed + self.log.end) as f64);
    }

    /// Seals the active segment so that it can expire, on a full disk too.
    fn seal_aged(&mut self) -> Result<(), AppendError> {
        let jump = self.pending_roll.unwrap_or(0);
        let mut rolled = self.roll(jump);
        // What is set aside is not used up for a segment that then stays.
        let full = matches!(rolled, Err(AppendError::Full(_)));
        if full && self.active_is_expired() && self.reserve.give_up() {
            rolled = self.roll(jump);
        }
        if rolled.is_ok() {
            self.pending_roll = None;
        }
        rolled
    }
}
