//! What must be true of deliveries, objects, failed records and checkpoints, asserted when they
//! come to be.

use baikonur_mapping::Start;
use baikonur_stream::{Checkpoint, Record, ShardProgress};

use crate::world::State;

impl State {
    fn is_repeated(&self, shard: u32, record: &Record) -> bool {
        let intent = self.progress.get(&shard).and_then(|progress| progress.intent.as_ref());
        let range = intent.map(|intent| intent.first..=intent.last);
        range.is_some_and(|range| range.contains(&record.sequence_number))
    }

    /// A record comes to the destination.
    pub(crate) fn deliver(&mut self, shard: u32, tenancy: u32, counter: u64, for_sure: bool) {
        let told = self.told();
        self.tell(format_args!("deliver {shard}/{counter} by {tenancy}, for sure: {for_sure}"));
        let at = counter as usize - 1;
        let put = &self.shards[shard as usize].puts[at];
        let before = self.keys[put.key as usize][..put.nth].iter();
        for (other, index) in before {
            let earlier = &self.shards[*other].puts[*index];
            // What is rejected is kept after the batch that it was in.
            let settled = earlier.is_settled() || earlier.damaged || earlier.bad;
            // What is given up within a range that is repeated is kept at the end of the range.
            let settled = settled || self.is_repeated(*other as u32, &earlier.record);
            assert!(settled, "{:?} came before {:?}; {told}", put.record, earlier.record);
        }
        for parent in &self.shards[shard as usize].parents {
            let parent = &self.shards[*parent as usize];
            let settled = parent.puts.iter().all(|put| put.is_settled() || put.damaged);
            assert!(settled, "{:?} came before the end of its parent; {told}", put.record);
        }
        assert!(!put.bad && !put.poison, "{:?} cannot be delivered; {told}", put.record);
        if let (Start::AtTimestamp(moment), None) =
            (self.plan.settings.starting_position, &self.plan.workers)
        {
            // Leases are made anew at the trim horizon where one was lost.
            assert!(put.record.arrival >= moment, "{:?} is of before; {told}", put.record);
        }
        let here = put.delivered.iter().position(|(by, _)| *by == tenancy);
        let twice = here.is_some_and(|here| put.delivered[here].1);
        assert!(!twice, "{:?} was delivered twice by {tenancy}; {told}", put.record);
        // The newest of those who have it began before it, be it this one or another.
        let newest = put.delivered.iter().map(|(by, _)| *by).max();
        let again = newest.filter(|_| here.is_none()).map(|newest| newest.max(tenancy));
        let put = &mut self.shards[shard as usize].puts[at];
        match here {
            Some(here) => put.delivered[here].1 = for_sure,
            None => put.delivered.push((tenancy, for_sure)),
        }
        if let Some(by) = again {
            let again = self.again.entry((by, shard)).or_default();
            again.insert(counter);
            let (again, bound) = (again.len(), self.bound);
            assert!(again <= bound, "{again} records of {shard} came again, of {bound}; {told}");
            self.tally.count("a record that came again");
        }
    }

    /// A holding module writes an object.
    pub(crate) fn write(
        &mut self,
        shard: u32,
        tenancy: u32,
        key: &str,
        counters: &[u64],
        for_sure: bool,
    ) {
        let told = self.told();
        self.tell(format_args!("write {key} by {tenancy}: {counters:?}"));
        let intent = match self.plan.workers {
            None => self.progress.get(&shard).and_then(|progress| progress.intent.clone()),
            // The writer may have lost the shard on the way, to one who was faster.
            Some(_) => self.announced.get(key).cloned(),
        };
        let intent = intent.unwrap_or_else(|| panic!("{key} was not announced; {told}"));
        assert_eq!(intent.keys, [key], "announced; {told}");
        assert!(intent.first.counter() <= counters[0], "{intent:?} {counters:?}; {told}");
        assert!(intent.last.counter() >= *counters.last().unwrap(), "{intent:?}; {told}");
        if let Some(before) = self.objects.insert(key.to_owned(), counters.to_vec()) {
            self.tally.count("an object written again");
            assert_eq!(before, counters, "{key} was written with another cut; {told}");
        }
        for counter in counters {
            let put = &mut self.shards[shard as usize].puts[*counter as usize - 1];
            let object = put.object.get_or_insert_with(|| key.to_owned());
            assert_eq!(object, key, "{:?} is in two objects; {told}", put.record);
            if put.delivered.is_empty() {
                self.deliver(shard, tenancy, *counter, for_sure);
            }
        }
    }

    /// The failed store takes records of one reason.
    pub(crate) fn keep(&mut self, shard: u32, reason: &str, counters: Vec<u64>) {
        let told = self.told();
        self.tell(format_args!("keep {reason} of {shard}: {counters:?}"));
        self.tally.count(match reason {
            "not_json" => "rejected records kept",
            "stream_damaged" => "a mark of damage kept",
            "retry_attempts_exhausted" => "records kept whose retries were used up",
            "record_age_exceeded" => "records kept that were too old",
            other => panic!("{other:?} is no reason; {told}"),
        });
        for counter in &counters {
            let puts = &mut self.shards[shard as usize].puts;
            if reason == "stream_damaged" {
                let from = counter.saturating_sub(1) as usize;
                // The mark says where reading was to go on: what is trimmed there was not met.
                let lost = puts[from..].iter_mut().skip_while(|put| !put.damaged || put.expired);
                lost.take_while(|put| put.damaged).for_each(|put| put.kept = true);
            } else {
                let put = &mut puts[*counter as usize - 1];
                assert!(reason != "not_json" || put.bad, "{:?} is good; {told}", put.record);
                put.kept = true;
            }
        }
        let is_new = self.kept.insert((reason.to_owned(), shard, counters));
        self.tally.count_all("a failed batch kept again", (!is_new).into());
    }

    /// The progress of a shard changes.
    pub fn store(&mut self, shard: u32, progress: &ShardProgress) {
        let told = self.told();
        self.tell(format_args!("store {shard}: {progress:?}"));
        let passed = self.passed(shard, progress.checkpoint);
        let puts = &mut self.shards[shard as usize].puts;
        let starts = self.progress.get(&shard).is_none_or(|before| before.checkpoint.is_none());
        if starts && self.plan.settings.starting_position == Start::Latest {
            // Nothing from before the start is wanted.
            self.tally.count_all("a record from before a start at LATEST", passed as u64);
            puts.iter_mut().take(passed).for_each(|put| put.expired = true);
        }
        if let Some(put) = puts.iter().take(passed).find(|put| !put.is_settled()) {
            panic!("{:?} was passed by {progress:?}; {told}", put.record);
        }
        for key in progress.intent.iter().flat_map(|intent| &intent.keys) {
            self.announced.insert(key.clone(), progress.intent.clone().unwrap());
        }
        let before = self.progress.insert(shard, progress.clone()).and_then(|p| p.checkpoint);
        if let (Some(Checkpoint::After(before)), Some(Checkpoint::After(now))) =
            (before, progress.checkpoint)
        {
            assert!(before <= now, "the checkpoint of {shard} went back; {told}");
        }
        assert!(
            before != Some(Checkpoint::ShardEnd) || progress.checkpoint == before,
            "shard {shard} was over; {told}"
        );
    }

    /// How many records of a shard a checkpoint has passed.
    fn passed(&self, shard: u32, checkpoint: Option<Checkpoint>) -> usize {
        let puts = &self.shards[shard as usize].puts;
        match checkpoint {
            None => 0,
            Some(Checkpoint::At(number)) => number.counter().saturating_sub(1) as usize,
            Some(Checkpoint::After(number)) => number.counter() as usize,
            Some(Checkpoint::ShardEnd) => puts.len(),
            Some(Checkpoint::AtTimestamp(moment)) => {
                puts.partition_point(|put| put.record.arrival < moment)
            }
            Some(Checkpoint::Within { .. }) => unreachable!("no other worker was here"),
        }
    }

    /// Whether every shard was delivered to its end, or, where workers share the stream, to its tip:
    /// to them a shard that is closed and has no children is one whose children are not listed yet.
    pub fn is_finished(&self) -> bool {
        let is_shared = self.plan.workers.is_some();
        let done = |(shard, sim): (usize, &crate::SimShard)| {
            let progress = self.progress.get(&(shard as u32));
            let checkpoint = progress.and_then(|progress| progress.checkpoint);
            // No checkpoint moves behind records that nobody reads.
            let mut behind = sim.puts.iter().skip(self.passed(shard as u32, checkpoint));
            match checkpoint {
                Some(Checkpoint::ShardEnd) => true,
                _ if !is_shared => false,
                // One that was closed before the start at a moment has no lease.
                Some(_) if sim.is_closed() => false,
                _ => behind.all(|put| put.kept || put.expired),
            }
        };
        self.writer_done && self.shards.iter().enumerate().all(done)
    }

    /// What must be true when everything is over.
    pub fn check(&self) {
        let told = self.told();
        for put in self.shards.iter().flat_map(|shard| &shard.puts) {
            assert!(put.is_settled(), "{:?} is lost; {told}", put.record);
        }
        let exact = self.plan.settings.maximum_retry_attempts.is_none()
            && self.plan.settings.maximum_record_age.is_none()
            && !self.plan.lanes
            && !self.plan.trims
            && !self.plan.damages;
        if exact {
            let rejected = self.kept.iter().filter(|(reason, ..)| reason == "not_json");
            let mut seen: Vec<_> = rejected
                .flat_map(|(_, shard, counters)| counters.iter().map(move |n| (*shard, *n)))
                .collect();
            let all = seen.len();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), all, "a rejected record is in two failed objects; {told}");
        }
    }
}
