//! Which records are in which lane, what is acknowledged, and where that leaves the shard. No I/O.

use std::collections::VecDeque;

use baikonur_stream::{Lane, ReadLimits, Record, SequenceNumber, Timestamp};

/// The records of a shard between reading and checkpoint.
///
/// Invariants: a lane's records leave in the shard's order; `done` is a number below which (itself
/// included) every record dealt is acknowledged; at most `ahead_max` records are between it and the
/// last one dealt, but for the rest of the page that came last.
#[derive(Debug)]
pub(super) struct Ledger {
    lanes: Vec<LaneRecords>,
    /// All records behind `done`, in the shard's order.
    ahead: VecDeque<Dealt>,
    ahead_max: usize,
    /// Payloads and keys of records that are not acknowledged.
    bytes: usize,
    done: Option<SequenceNumber>,
}

#[derive(Debug, Default)]
struct LaneRecords {
    /// Not handed to the lane's machine yet.
    waiting: VecDeque<Record>,
    /// Number and bytes of those that are not acknowledged, waiting or handed over.
    unacknowledged: VecDeque<(SequenceNumber, usize)>,
    acknowledged: Option<SequenceNumber>,
    ended: bool,
}

/// A record behind the checkpoint.
#[derive(Debug)]
struct Dealt {
    number: SequenceNumber,
    arrival: Timestamp,
    lane: usize,
}

impl Ledger {
    pub(super) fn new(lanes: u32, ahead_max: usize) -> Self {
        let lanes = Lane::all(lanes).map(|_| LaneRecords::default()).collect();
        Self { lanes, ahead: VecDeque::new(), ahead_max, bytes: 0, done: None }
    }

    /// Deals a page out; which lanes got some of it.
    pub(super) fn deal(&mut self, records: &[Record]) -> Vec<bool> {
        let mut got = vec![false; self.lanes.len()];
        for record in records {
            let lanes = self.lanes.len() as u32;
            let number = record.sequence_number;
            let lane = Lane::of(&record.partition_key, number, lanes).index();
            self.ahead.push_back(Dealt { number, arrival: record.arrival, lane });
            self.bytes += record.size();
            let records = &mut self.lanes[lane];
            records.unacknowledged.push_back((number, record.size()));
            // A lane that is behind must not keep in memory what was read together with its records.
            records.waiting.push_back(record.detached());
            got[lane] = true;
        }
        got
    }

    /// Whether records wait for the lane.
    pub(super) fn waits(&self, lane: Lane) -> bool {
        !self.lanes[lane.index()].waiting.is_empty()
    }

    /// The next records of a lane, at least one if there is one.
    pub(super) fn take(&mut self, lane: Lane, limits: ReadLimits) -> Vec<Record> {
        let waiting = &mut self.lanes[lane.index()].waiting;
        let (mut records, mut bytes) = (0, 0);
        for record in waiting.iter().take(limits.records) {
            bytes += record.size();
            if records > 0 && bytes > limits.bytes {
                break;
            }
            records += 1;
        }
        waiting.drain(..records).collect()
    }

    /// The lane is done with all its records up to `number`.
    pub(super) fn acknowledge(&mut self, lane: Lane, number: SequenceNumber) {
        let records = &mut self.lanes[lane.index()];
        while let Some((_, bytes)) = records.unacknowledged.pop_front_if(|(n, _)| *n <= number) {
            self.bytes -= bytes;
        }
        records.acknowledged = records.acknowledged.max(Some(number));
        let lanes = &self.lanes;
        let is_done = |dealt: &mut Dealt| lanes[dealt.lane].acknowledged >= Some(dealt.number);
        while let Some(dealt) = self.ahead.pop_front_if(is_done) {
            self.done = Some(dealt.number);
        }
    }

    /// The lane has come to the end of the shard; whether all have.
    pub(super) fn end(&mut self, lane: Lane) -> bool {
        self.lanes[lane.index()].ended = true;
        self.lanes.iter().all(|lane| lane.ended)
    }

    /// The shard's checkpoint: all records dealt up to here are acknowledged.
    pub(super) fn done(&self) -> Option<SequenceNumber> {
        self.done
    }

    /// How many more records may be dealt before the slowest lane has moved.
    pub(super) fn room(&self) -> usize {
        self.ahead_max.saturating_sub(self.ahead.len())
    }

    /// Payloads and keys of all records that are not acknowledged.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the oldest record arrived that the checkpoint has not passed.
    pub(super) fn oldest_arrival(&self) -> Option<Timestamp> {
        self.ahead.front().map(|dealt| dealt.arrival)
    }
}

#[cfg(test)]
mod tests {
    use baikonur_stream::PartitionKey;
    use bytes::Bytes;

    use super::*;

    const LIMITS: ReadLimits = ReadLimits { records: 100, bytes: 1000 };

    fn number(counter: u64) -> SequenceNumber {
        SequenceNumber::new(1_600_000_000, 0, counter, 1_600_000_000)
    }

    /// A record of the first key that goes into `lane` of two.
    fn record(counter: u64, lane: usize) -> Record {
        let mut keys = (0..).map(|n: u32| PartitionKey::new(n.to_string().into()).unwrap());
        let key = keys.find(|key| Lane::of(key, number(1), 2).index() == lane).unwrap();
        Record {
            sequence_number: number(counter),
            arrival: Timestamp::from_seconds(counter),
            partition_key: key,
            data: Bytes::from_static(b"123456789"),
        }
    }

    fn lanes() -> [Lane; 2] {
        let mut lanes = Lane::all(2);
        [lanes.next().unwrap(), lanes.next().unwrap()]
    }

    fn taken(ledger: &mut Ledger, lane: Lane, limits: ReadLimits) -> Vec<u64> {
        let records = ledger.take(lane, limits);
        records.iter().map(|record| record.sequence_number.counter()).collect()
    }

    #[test]
    fn the_checkpoint_is_that_of_the_slowest_lane_and_jumps_when_it_moves() {
        let [zero, one] = lanes();
        let mut ledger = Ledger::new(2, 10);
        ledger.deal(&[record(1, 0), record(2, 1), record(3, 1), record(4, 0), record(5, 1)]);
        assert_eq!(taken(&mut ledger, zero, LIMITS), [1, 4]);
        assert_eq!(taken(&mut ledger, one, LIMITS), [2, 3, 5]);
        ledger.acknowledge(one, number(5));
        assert_eq!(ledger.done(), None);
        assert_eq!(
            (ledger.room(), ledger.bytes()),
            (5, 20),
            "what is acknowledged takes no memory"
        );
        assert_eq!(ledger.oldest_arrival(), Some(Timestamp::from_seconds(1)));
        ledger.acknowledge(zero, number(1));
        assert_eq!(ledger.done(), Some(number(3)));
        ledger.acknowledge(zero, number(4));
        assert_eq!((ledger.done(), ledger.room(), ledger.bytes()), (Some(number(5)), 10, 0));
        assert_eq!(ledger.oldest_arrival(), None);
    }

    #[test]
    fn a_lane_takes_what_its_limits_admit_and_at_least_one_record() {
        let [zero, one] = lanes();
        let mut ledger = Ledger::new(2, 3);
        assert_eq!(ledger.deal(&[record(1, 0), record(2, 0), record(3, 0)]), [true, false]);
        assert_eq!(ledger.room(), 0);
        assert!(ledger.waits(zero) && !ledger.waits(one));
        assert_eq!(taken(&mut ledger, zero, ReadLimits { records: 9, bytes: 1 }), [1]);
        assert_eq!(taken(&mut ledger, zero, ReadLimits { records: 9, bytes: 29 }), [2, 3]);
        assert!(taken(&mut ledger, one, LIMITS).is_empty());
    }

    #[test]
    fn the_shard_ends_when_every_lane_has() {
        let [zero, one] = lanes();
        let mut ledger = Ledger::new(2, 3);
        assert!(!ledger.end(one));
        assert!(ledger.end(zero));
    }
}
