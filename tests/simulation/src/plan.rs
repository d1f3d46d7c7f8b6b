//! What a seed decides before its story begins.

use std::time::Duration;

use baikonur_mapping::{Settings, Start};
use baikonur_stream::Timestamp;

use crate::random::Random;
use crate::world::EPOCH;

/// One life of a stream and its mapping.
#[derive(Debug, Clone)]
pub struct Plan {
    pub records: u64,
    pub shards: u32,
    pub settings: Settings,
    /// Whether each start has a number of lanes of its own.
    pub lanes: bool,
    /// Records after which the module wants to close; 0: it does not hold.
    pub hold: usize,
    /// One record in so many is poison, one in so many is rejected; 0: none.
    pub poison: u64,
    pub bad: u64,
    /// Whether the module names the poison or fails the whole batch.
    pub names_poison: bool,
    /// One step in so many goes wrong; 0: none.
    pub faults: u64,
    pub crashes: u32,
    pub drains: u32,
    /// The longest that the destination is down.
    pub down: Duration,
    /// Whether the source knows a number for LATEST and for a moment; Amazon's does not.
    pub numbers_known: bool,
    pub reshards: bool,
    pub trims: bool,
    pub damages: bool,
    /// Bytes of the budget of a process.
    pub memory: usize,
    /// Who shares the stream; none where one process has it alone.
    pub workers: Option<Workers>,
}

/// Workers that share the stream by leases.
#[derive(Debug, Clone)]
pub struct Workers {
    pub count: u32,
    pub failover_time: Duration,
    /// Whether they take leases from the living, to balance.
    pub steal: bool,
    /// One step in so many finds its process standing still; 0: none.
    pub stands_still: u64,
    /// One call in so many is on its way for long; 0: none.
    pub late: u64,
}

impl Plan {
    /// Of one process that has the stream alone.
    pub fn alone(random: &mut Random) -> Self {
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
        let window = if random.once_in(3) { random.below(4) } else { 0 };
        let settings = Settings {
            batch_size: 1 + random.below(6) as usize,
            batching_window: Duration::from_secs(window),
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
            down: Duration::from_secs(100),
            numbers_known: random.once_in(2),
            reshards: random.once_in(2),
            trims: random.once_in(4) && hold == 0,
            damages: random.once_in(6) && hold == 0,
            memory,
            workers: None,
        }
    }

    /// Of several workers that share the stream by leases, which steal from each other or do not.
    pub fn shared(random: &mut Random, steal: bool) -> Self {
        let mut plan = Self::alone(random);
        if let Start::AtTimestamp(moment) = &mut plan.settings.starting_position {
            // Which closed shards are wanted is told by the second in which they were closed.
            *moment = Timestamp::from_seconds(EPOCH.seconds() + 1 + random.below(2));
        }
        plan.settings.retry_maximum = Duration::from_secs(3);
        plan.down = Duration::from_secs(15);
        plan.shards = 1 + random.below(4) as u32;
        plan.faults = [0, 8, 20, 60][random.below(4) as usize];
        plan.workers = Some(Workers {
            count: 2 + random.below(3) as u32,
            failover_time: Duration::from_secs(1 + random.below(2)),
            steal,
            stands_still: [0, 100, 400][random.below(3) as usize],
            late: [0, 30, 100][random.below(3) as usize],
        });
        plan
    }
}
