//! What a seed decides.

use std::time::Duration;

use baikonur_mapping::{Settings, Start};
use baikonur_stream::Timestamp;

use super::world::EPOCH;

/// SplitMix64.
#[derive(Debug, Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// True once in `n` times.
    pub(super) fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// One life of a stream and its mapping.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) records: u64,
    pub(super) shards: u32,
    pub(super) settings: Settings,
    /// Whether each start has a number of lanes of its own.
    pub(super) lanes: bool,
    /// Records after which the module wants to close; 0: it does not hold.
    pub(super) hold: usize,
    /// One record in so many is poison, one in so many is rejected; 0: none.
    pub(super) poison: u64,
    pub(super) bad: u64,
    /// Whether the module names the poison or fails the whole batch.
    pub(super) names_poison: bool,
    /// One step in so many goes wrong; 0: none.
    pub(super) faults: u64,
    pub(super) crashes: u32,
    pub(super) drains: u32,
    /// Whether the source knows a number for LATEST and for a moment; Amazon's does not.
    pub(super) numbers_known: bool,
    pub(super) reshards: bool,
    pub(super) trims: bool,
    pub(super) damages: bool,
    /// Bytes of the budget of the process.
    pub(super) memory: usize,
}

impl Plan {
    pub(super) fn new(random: &mut Random) -> Self {
        let hold = if random.once_in(3) { 2 + random.below(9) as usize } else { 0 };
        // Objects must be functions of what is between their cuts: a module that holds fails no batch.
        let poison = if hold == 0 && random.once_in(3) { 4 + random.below(8) } else { 0 };
        let attempts = match random.below(3) {
            _ if hold > 0 => None,
            // Poison that is tried without end is no story with an end.
            0 if poison == 0 => None,
            _ => Some(random.below(4) as u32),
        };
        let starting_position = match random.below(5) {
            0 => Start::AtTimestamp(Timestamp::from_millis(EPOCH.millis() + random.below(2000))),
            1 => Start::Latest,
            _ => Start::TrimHorizon,
        };
        let memory = if random.once_in(3) { 8 + random.below(60) as usize } else { 1 << 20 };
        let settings = Settings {
            batch_size: 1 + random.below(6) as usize,
            batching_window: Duration::from_secs(if random.once_in(3) {
                random.below(4)
            } else {
                0
            }),
            batch_bytes: if random.once_in(4) { 12 } else { 1 << 20 },
            in_flight_bytes: memory,
            starting_position,
            maximum_retry_attempts: attempts,
            maximum_record_age: random.once_in(6).then(|| Duration::from_secs(60)),
            bisect_batch_on_function_error: random.once_in(2),
            ..Settings::default()
        };
        Self {
            records: 5 + random.below(40),
            shards: 1 + random.below(2) as u32,
            settings,
            lanes: hold == 0 && !random.once_in(3),
            hold,
            poison,
            bad: if random.once_in(2) { 5 } else { 0 },
            names_poison: random.once_in(2),
            faults: [0, 6, 12, 30][random.below(4) as usize],
            crashes: random.below(5) as u32,
            drains: random.below(3) as u32,
            numbers_known: random.once_in(2),
            reshards: random.once_in(2),
            trims: random.once_in(4) && hold == 0,
            damages: random.once_in(6) && hold == 0,
            memory,
        }
    }
}
