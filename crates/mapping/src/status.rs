//! What a mapping tells about itself while it runs: for each shard where it is and what went wrong last.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use baikonur_stream::{Checkpoint, ShardId, Timestamp};

use crate::machine::Finish;

/// What is being done with a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ShardState {
    /// Its delivery is being set up.
    #[default]
    Starting,
    /// All that is in it has been read; there is nothing to deliver.
    AtTip,
    /// Records are read and delivered.
    Delivering,
    /// A step failed and is tried again.
    Retrying,
    /// The shard is closed and all of it was delivered.
    Ended,
    /// Its delivery was stopped.
    Stopped,
}

impl ShardState {
    /// After a delivery that ended so.
    pub(crate) fn at_the_end(finish: Finish) -> Self {
        if finish == Finish::ShardEnd { Self::Ended } else { Self::Stopped }
    }

    /// What the states of its lanes say of a shard: the one that wants most attention.
    pub(crate) fn of_lanes(lanes: &[Self]) -> Self {
        let by_attention = [
            Self::Retrying,
            Self::Delivering,
            Self::Starting,
            Self::AtTip,
            Self::Stopped,
            Self::Ended,
        ];
        by_attention.into_iter().find(|state| lanes.contains(state)).unwrap_or_default()
    }
}

/// The newest failure of a shard's delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// When.
    pub at: Timestamp,
    /// What was wrong, where, and what to do.
    pub reason: String,
}

/// One shard of a mapping, as its delivery saw it last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShardStatus {
    /// What is being done.
    pub state: ShardState,
    /// The position as it is stored.
    pub checkpoint: Option<Checkpoint>,
    /// How far reading is behind the newest record, in milliseconds of arrival time; none before
    /// the first read.
    pub millis_behind_latest: Option<u64>,
    /// Age of the oldest record read that the checkpoint has not passed; zero at the tip.
    pub iterator_age: Duration,
    /// Failures that led to a retry, since the mapping was started.
    pub retries: u64,
    /// The newest of them.
    pub last_error: Option<LastError>,
}

/// Where a running mapping writes what it does, and anybody may look. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<BTreeMap<ShardId, ShardStatus>>>);

impl Board {
    /// The shards that were delivered since the mapping was started.
    pub fn shards(&self) -> BTreeMap<ShardId, ShardStatus> {
        self.lock().clone()
    }

    /// Notes something about a shard.
    pub(crate) fn note(&self, shard: ShardId, change: impl FnOnce(&mut ShardStatus)) {
        change(self.lock().entry(shard).or_default());
    }

    /// Whether all of a shard is known to be delivered.
    pub(crate) fn is_ended(&self, shard: ShardId) -> bool {
        self.lock().get(&shard).is_some_and(|status| status.state == ShardState::Ended)
    }

    /// Forgets shards that the stream does not list any more.
    pub(crate) fn keep(&self, listed: impl Fn(ShardId) -> bool) {
        self.lock().retain(|shard, _| listed(*shard));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ShardId, ShardStatus>> {
        // Every change is one assignment after the other: what a panic left behind can be read.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_retrying_as_long_as_a_lane_is_and_ended_when_all_are() {
        use ShardState::{AtTip, Delivering, Ended, Retrying};
        for (lanes, shard) in [
            ([AtTip, Delivering, Retrying], Retrying),
            ([AtTip, Delivering, AtTip], Delivering),
            ([Ended, AtTip, Ended], AtTip),
            ([Ended, Ended, Ended], Ended),
        ] {
            assert_eq!(ShardState::of_lanes(&lanes), shard, "{lanes:?}");
        }
    }

    #[test]
    fn a_board_shows_what_was_noted_of_the_shards_that_are_listed() {
        let (one, two) = (ShardId::new(1), ShardId::new(2));
        let board = Board::default();
        let looking = board.clone();
        board.note(one, |status| status.state = ShardState::AtTip);
        board.note(two, |status| status.retries += 2);
        assert_eq!(looking.shards()[&one].state, ShardState::AtTip);
        assert_eq!(looking.shards()[&two], ShardStatus { retries: 2, ..ShardStatus::default() });
        board.keep(|shard| shard == two);
        assert_eq!(looking.shards().keys().collect::<Vec<_>>(), [&two]);
    }
}
