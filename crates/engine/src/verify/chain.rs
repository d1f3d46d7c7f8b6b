//! The thread through all segments: counters of each shard without a gap, arrivals that never fall,
//! groups in order, and whose records they are.

use std::collections::{BTreeMap, HashMap, HashSet};

use baikonur_stream::{ShardId, StreamName, Timestamp};

use super::report::{Severity, VerifiedStream, VerifyReport};
use crate::catalog::Catalog;
use crate::frame::{Commit, ShardKey};
use crate::segment::{self, BlockPlace};
use crate::settings::COUNTER_JUMP;
use crate::snapshot::{Snapshot, Tip, Tips};

/// What is known behind the segments checked so far.
pub(super) struct Chain {
    /// None if the catalog cannot be read: then nothing is said about streams.
    catalog: Option<Catalog>,
    owners: HashMap<u64, Owner>,
    now: Timestamp,
    tips: Tips,
    /// The segment checked last, and its last commit.
    last: Option<(u64, Option<Commit>)>,
    /// What is not in `tips` has not begun.
    grounded: bool,
    /// Streams that were named in a finding already.
    strangers: HashSet<ShardKey>,
    pub(super) report: VerifyReport,
}

struct Owner {
    name: StreamName,
    horizon: Timestamp,
    shards: HashSet<u32>,
    /// Shards below this one were made at some time; those that are not there were trimmed.
    next_shard: u32,
    records: u64,
    bytes: u64,
}

impl Chain {
    pub(super) fn new(catalog: Option<Catalog>, now: Timestamp, report: VerifyReport) -> Self {
        let mut owners = HashMap::new();
        for (name, stream) in catalog.iter().flat_map(|catalog| &catalog.streams) {
            let owner = Owner {
                name: name.clone(),
                horizon: stream.horizon(now),
                shards: stream.shards.iter().map(|shard| shard.id.index()).collect(),
                next_shard: stream.next_shard,
                records: 0,
                bytes: 0,
            };
            owners.insert(stream.incarnation, owner);
        }
        let (tips, strangers) = (Tips::new(), HashSet::new());
        Self { catalog, owners, now, tips, last: None, grounded: false, strangers, report }
    }

    /// Goes from one segment to the next: what its snapshot says must be where the ones before ended.
    pub(super) fn enter(&mut self, number: u64, snapshot: Option<&Snapshot>) {
        let follows = self.last.is_some_and(|(last, _)| last.checked_add(1) == Some(number));
        if let Some(snapshot) = snapshot {
            match follows {
                true => self.compare_with_end(number - 1, snapshot),
                false => self.look_for_missing(number, snapshot),
            }
            self.tips.clone_from(&snapshot.tips);
            self.grounded = true;
        } else if !follows {
            self.tips.clear();
            self.grounded = false;
        }
        if !follows {
            self.last = None;
        }
    }

    /// The segment before ended with the records that this one's snapshot counts.
    fn compare_with_end(&mut self, before: u64, snapshot: &Snapshot) {
        let file = segment::name(before);
        let mut keys: Vec<_> = snapshot.tips.keys().copied().collect();
        keys.sort_unstable();
        for key in keys {
            let next = snapshot.tips[&key].next_counter.saturating_sub(snapshot.jump);
            let Some(expected) = self.expected(key) else { continue };
            if next > expected {
                let lost = self.records(key, expected, next - 1);
                let what = format!("{lost} are missing at its end");
                self.report.find(Severity::Damage, &file, None, what);
            } else if next < expected {
                let shard = self.shard(key);
                let what = format!(
                    "the segment behind counts {} records of {shard}, and {} were seen: numbers may \
                     be given twice",
                    next.saturating_sub(1),
                    expected - 1
                );
                self.report.find(Severity::Damage, &file, None, what);
            }
        }
        let mut forgotten: Vec<ShardKey> = self.tips.keys().copied().collect();
        forgotten.retain(|key| self.owns(*key) && !snapshot.tips.contains_key(key));
        forgotten.sort_unstable();
        for key in forgotten {
            let what = format!("the segment behind has forgotten {}", self.shard(key));
            self.report.find(Severity::Damage, &file, None, what);
        }
    }

    /// Segments in front of this one are gone: retention removed them, if nothing in them could be
    /// read any more.
    fn look_for_missing(&mut self, number: u64, snapshot: &Snapshot) {
        let first = self.last.map_or(1, |(last, _)| last.saturating_add(1));
        let mut newest: BTreeMap<&StreamName, Timestamp> = BTreeMap::new();
        for (key, tip) in &snapshot.tips {
            let before = self.tips.get(key).copied().unwrap_or_default();
            // Segments that are gone may have had jumps of their own.
            let next = tip.next_counter.saturating_sub(snapshot.jump);
            let grew = next.saturating_sub(before.next_counter) % COUNTER_JUMP > 0;
            let owner = self.owners.get(&key.incarnation);
            if let Some(owner) = owner.filter(|o| grew && tip.last_arrival >= o.horizon) {
                let arrival = newest.entry(&owner.name).or_default();
                *arrival = tip.last_arrival.max(*arrival);
            }
        }
        for (name, arrival) in newest {
            let age = self.now.since(arrival).as_secs();
            let what = format!(
                "segments {first} to {} are gone with records of stream {name} that have not \
                 expired; the newest arrived {age} s ago",
                number.saturating_sub(1)
            );
            self.report.find(Severity::Damage, segment::name(number), None, what);
        }
    }

    /// The counter that the shard's next record has, if that is known.
    pub(super) fn expected(&self, key: ShardKey) -> Option<u64> {
        let start = || self.grounded.then_some(Tip::default().next_counter);
        self.tips.get(&key).map(|tip| tip.next_counter).or_else(start)
    }

    /// A shard goes on with these records.
    pub(super) fn advance(&mut self, file: &str, key: ShardKey, place: &BlockPlace) {
        let expected = self.expected(key);
        match expected {
            Some(expected) if place.first_counter > expected => {
                // Where the snapshot that tells of a jump is lost, the jump is no loss.
                let missing = (place.first_counter - expected) % COUNTER_JUMP;
                if missing > 0 {
                    let lost = self.records(key, expected, expected + missing - 1);
                    let what = format!("{lost} are missing in front of this place");
                    self.report.find(Severity::Damage, file, place.offset, what);
                }
            }
            Some(expected) if place.first_counter < expected => {
                let again = self.records(key, place.first_counter, place.last_counter());
                let what = format!("{again} stand behind ones with higher numbers");
                self.report.find(Severity::Damage, file, place.offset, what);
            }
            _ => {}
        }
        let last = self.tips.get(&key).map(|tip| tip.last_arrival).unwrap_or_default();
        if place.length > 0 && place.arrival < last {
            let records = self.records(key, place.first_counter, place.last_counter());
            let what = format!("{records} arrived before the ones in front of them");
            self.report.find(Severity::Damage, file, place.offset, what);
        }
        let tip = self.tips.entry(key).or_default();
        tip.next_counter = place.last_counter().saturating_add(1).max(tip.next_counter);
        if place.length > 0 {
            tip.last_arrival = place.arrival.max(tip.last_arrival);
        }
    }

    /// The last commit of the segment in front of this one, if that is there and ends whole.
    pub(super) fn commit_before(&self, number: u64) -> Option<Commit> {
        self.last.filter(|(last, _)| last.checked_add(1) == Some(number))?.1
    }

    pub(super) fn leave(&mut self, number: u64, commit: Option<Commit>) {
        self.last = Some((number, commit));
    }

    /// Counts the records of a block.
    pub(super) fn count(
        &mut self,
        file: &str,
        offset: u64,
        key: ShardKey,
        (records, bytes): (u64, u64),
    ) {
        self.report.records += records;
        let newest = self.catalog.as_ref().map(Catalog::last_created);
        let stranger = match self.owners.get_mut(&key.incarnation) {
            Some(owner) => {
                owner.records += records;
                owner.bytes += bytes;
                key.shard >= owner.next_shard
            }
            None => {
                self.report.deleted_records += records;
                newest.is_some_and(|newest| key.incarnation > newest)
            }
        };
        if stranger && self.strangers.len() < 1000 && self.strangers.insert(key) {
            let what = format!(
                "records of {} that the catalog has never heard of: retention will remove them. Put \
                 back the catalog.json that belongs to this log",
                self.shard(key)
            );
            self.report.find(Severity::Damage, file, offset, what);
        }
    }

    /// Whether the catalog has the shard.
    pub(super) fn owns(&self, key: ShardKey) -> bool {
        self.owners.get(&key.incarnation).is_some_and(|owner| owner.shards.contains(&key.shard))
    }

    fn shard(&self, key: ShardKey) -> String {
        let shard = ShardId::new(key.shard);
        match self.owners.get(&key.incarnation) {
            Some(owner) => format!("{shard} of stream {}", owner.name),
            None => format!("{shard} of the stream created at {} s", key.incarnation),
        }
    }

    /// Names records.
    pub(super) fn records(&self, key: ShardKey, first: u64, last: u64) -> String {
        format!("records {first} to {last} of {}", self.shard(key))
    }

    /// Ends the check.
    pub(super) fn finish(self) -> VerifyReport {
        let mut report = self.report;
        let stream = |owner: Owner| {
            let Owner { name, records, bytes, .. } = owner;
            VerifiedStream { name, records, bytes }
        };
        report.streams = self.owners.into_values().map(stream).collect();
        report.streams.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        report
    }
}
