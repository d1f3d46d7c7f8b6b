//! What was put before a stop, as the target remembers it: a position for the shard as a whole and
//! one for each lane that it ever had.
//!
//! Each position says that all records of its lane up to there were put. That stays true when the
//! shard is dealt to another number of lanes, so all positions are looked at, whatever the number is
//! now: a record was put if any of them says so.

use baikonur_stream::{Lane, PartitionKey, PutError, SequenceNumber, Write};

use super::producer::Producer;

/// The positions that were remembered when the delivery began.
#[derive(Debug, Default)]
pub(super) struct PutBefore {
    positions: Vec<(Lane, SequenceNumber)>,
    /// The highest of them: behind it nothing was put before.
    highest: Option<SequenceNumber>,
}

impl PutBefore {
    /// Asks the target for what it remembers of the shard that is `whole`.
    pub(super) async fn load(write: &dyn Write, whole: &Producer) -> Result<Self, PutError> {
        let mut positions = Vec::new();
        for lane in (1..=Lane::MAX).flat_map(Lane::all) {
            if let Some(up_to) = write.remembered(&whole.of_lane(lane).to_string()).await? {
                positions.push((lane, up_to));
            }
        }
        Ok(Self::from_positions(positions))
    }

    pub(super) fn from_positions(positions: Vec<(Lane, SequenceNumber)>) -> Self {
        let highest = positions.iter().map(|(_, up_to)| *up_to).max();
        Self { positions, highest }
    }

    /// Whether the record with this key and number was put.
    pub(super) fn includes(&self, key: &PartitionKey, number: SequenceNumber) -> bool {
        let in_lane = |lane: Lane| Lane::of(key, number, lane.count()) == lane;
        self.highest.is_some_and(|highest| number <= highest)
            && self.positions.iter().any(|(lane, up_to)| number <= *up_to && in_lane(*lane))
    }
}
