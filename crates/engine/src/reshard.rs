//! The shards of a stream split and merged. Pure: from a list of shards to the list after it.
//!
//! A parent is closed in the second of the change, or in that of its own making if that lies ahead;
//! its children are made in the second after it, as the service does. Children get the next indexes,
//! the lower one first.

use baikonur_stream::{
    AdministerError, HashKey, HashKeyRange, Reshard, SequenceNumber, Shard, ShardAddress, ShardId,
    StreamName,
};

use crate::catalog::{StoredStream, new_shard};

/// Shards being changed.
pub(crate) struct Resharding<'a> {
    name: &'a StreamName,
    shards: Vec<Shard>,
    next: u32,
    /// The second of the change.
    now: u64,
}

impl<'a> Resharding<'a> {
    /// The shards of `stream`, to be changed in the second `now`.
    pub(crate) fn new(name: &'a StreamName, stream: &StoredStream, now: u64) -> Self {
        Self { name, shards: stream.shards.to_vec(), next: stream.next_shard, now }
    }

    /// The stream with its new shards.
    pub(crate) fn done(self, stream: &StoredStream) -> StoredStream {
        let shards = self.shards.into();
        StoredStream { shards, next_shard: self.next, ..stream.clone() }
    }

    /// One step, as the stream's owner asks for it.
    pub(crate) fn step(&mut self, step: Reshard) -> Result<(), AdministerError> {
        match step {
            Reshard::Split { shard, at } => {
                let range = self.open(shard)?.hash_key_range;
                let (start, end) = (range.start.value(), range.end.value());
                let splits =
                    start.checked_add(1).is_some_and(|v| at.value() > v) && at.value() < end;
                if !splits {
                    let (shard, start, end) = (self.address(shard), range.start, range.end);
                    return Err(AdministerError::SplitPoint { shard, at, start, end });
                }
                self.split(shard, at);
            }
            Reshard::Merge { shard, adjacent } => {
                let lower = self.open(shard)?.hash_key_range;
                let upper = self.open(adjacent)?.hash_key_range;
                if lower.end.value().checked_add(1) != Some(upper.start.value()) {
                    let stream = self.name.clone();
                    return Err(AdministerError::NotAdjacent { stream, shard, adjacent });
                }
                self.merge(shard, adjacent);
            }
        }
        Ok(())
    }

    /// Splits and merges from the lowest hash key up until there are `target` shards of equal width,
    /// in the order in which the service does it.
    pub(crate) fn evenly(&mut self, target: u32) {
        let open = self.shards.iter().filter(|shard| shard.ending_sequence_number.is_none());
        let mut open: Vec<(HashKeyRange, ShardId)> =
            open.map(|shard| (shard.hash_key_range, shard.id)).collect();
        // The lowest last, to be popped first.
        open.sort_unstable_by_key(|(range, _)| std::cmp::Reverse(range.start));
        for wanted in HashKeyRange::evenly(target) {
            let Some((mut range, mut id)) = open.pop() else { return };
            loop {
                if range.end == wanted.end {
                    break;
                }
                let cut = HashKey::new(wanted.end.value().wrapping_add(1));
                if range.end > wanted.end {
                    let (_, upper) = self.split(id, cut);
                    open.push((HashKeyRange { start: cut, end: range.end }, upper));
                    break;
                }
                let Some((next, next_id)) = open.pop() else { return };
                let (next, next_id) = match next.end > wanted.end {
                    true => {
                        let (lower, upper) = self.split(next_id, cut);
                        open.push((HashKeyRange { start: cut, end: next.end }, upper));
                        (HashKeyRange { start: next.start, end: wanted.end }, lower)
                    }
                    false => (next, next_id),
                };
                id = self.merge(id, next_id);
                range.end = next.end;
            }
        }
    }

    fn address(&self, shard: ShardId) -> ShardAddress {
        ShardAddress { stream: self.name.clone(), shard }
    }

    fn open(&self, id: ShardId) -> Result<&Shard, AdministerError> {
        let found = self.shards.binary_search_by_key(&id, |shard| shard.id);
        let shard = found.map(|place| &self.shards[place]);
        match shard {
            Err(_) => Err(AdministerError::ShardNotFound(self.address(id))),
            Ok(shard) if shard.ending_sequence_number.is_some() => {
                Err(AdministerError::ShardClosed(self.address(id)))
            }
            Ok(shard) => Ok(shard),
        }
    }

    /// Closes a shard that is there; its range, and the second in which it was closed.
    fn close(&mut self, id: ShardId) -> (HashKeyRange, u64) {
        let place = self.shards.binary_search_by_key(&id, |shard| shard.id);
        let shard = &mut self.shards[place.expect("only shards of the list are closed")];
        let created = shard.starting_sequence_number.created_seconds();
        let (counter, index) = (SequenceNumber::COUNTER_MAX, id.index());
        // Not before it was made: by a clock that stepped back, or within one change.
        let closed = self.now.max(created);
        let end = SequenceNumber::new(created, index, counter, closed);
        shard.ending_sequence_number = Some(end);
        (shard.hash_key_range, closed)
    }

    fn add(&mut self, range: HashKeyRange, closed: u64, parents: [Option<ShardId>; 2]) -> ShardId {
        let shard = new_shard(self.next, range, closed + 1, parents);
        self.next += 1;
        let id = shard.id;
        self.shards.push(shard);
        id
    }

    fn split(&mut self, id: ShardId, at: HashKey) -> (ShardId, ShardId) {
        let (range, closed) = self.close(id);
        let below = HashKey::new(at.value().saturating_sub(1));
        let lower = HashKeyRange { start: range.start, end: below };
        let upper = HashKeyRange { start: at, end: range.end };
        let [lower, upper] = [lower, upper].map(|range| self.add(range, closed, [Some(id), None]));
        (lower, upper)
    }

    fn merge(&mut self, id: ShardId, adjacent: ShardId) -> ShardId {
        let ((lower, one), (upper, other)) = (self.close(id), self.close(adjacent));
        let range = HashKeyRange { start: lower.start, end: upper.end };
        self.add(range, one.max(other), [Some(id), Some(adjacent)])
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use baikonur_stream::{StreamProperties, Timestamp};
    use proptest::prelude::*;

    use super::*;

    fn name() -> StreamName {
        StreamName::new("s").unwrap()
    }

    fn stream(count: u32) -> StoredStream {
        let shards = HashKeyRange::evenly(count).into_iter().zip(0..);
        StoredStream {
            incarnation: 1000,
            hidden_before: Timestamp::default(),
            properties: StreamProperties::default().into(),
            shards: shards
                .map(|(range, index)| new_shard(index, range, 1000, [None, None]))
                .collect(),
            next_shard: count,
            consumers: Arc::default(),
            recent_calls: Default::default(),
        }
    }

    fn open(stream: &StoredStream) -> Vec<&Shard> {
        let mut open: Vec<_> =
            stream.shards.iter().filter(|s| s.ending_sequence_number.is_none()).collect();
        open.sort_by_key(|shard| shard.hash_key_range.start);
        open
    }

    fn evenly(before: &StoredStream, target: u32) -> StoredStream {
        let name = name();
        let mut resharding = Resharding::new(&name, before, 2000);
        resharding.evenly(target);
        resharding.done(before)
    }

    #[test]
    fn four_become_three_by_the_steps_of_the_service() {
        let after = evenly(&stream(4), 3);
        let ids: Vec<u32> = open(&after).iter().map(|shard| shard.id.index()).collect();
        assert_eq!(ids, [6, 9, 10]);
    }

    #[test]
    fn doubling_splits_each_in_its_middle() {
        let after = evenly(&stream(2), 4);
        let parents: Vec<_> = open(&after).iter().map(|s| s.parent.unwrap().index()).collect();
        assert_eq!(parents, [0, 0, 1, 1]);
        assert_eq!(evenly(&stream(3), 3), stream(3), "what is even already stays");
    }

    #[test]
    fn a_split_leaves_two_keys_on_either_side_and_a_merge_wants_its_order() {
        let (name, before) = (name(), stream(2));
        let mut resharding = Resharding::new(&name, &before, 2000);
        let [zero, one] = [0, 1].map(ShardId::new);
        let half = u128::MAX / 2 + 1;
        for at in [0, 1, half - 1, half, u128::MAX] {
            let step = Reshard::Split { shard: zero, at: HashKey::new(at) };
            let refused = resharding.step(step);
            assert!(matches!(refused, Err(AdministerError::SplitPoint { .. })), "{at}");
        }
        let inverted = resharding.step(Reshard::Merge { shard: one, adjacent: zero });
        assert!(matches!(inverted, Err(AdministerError::NotAdjacent { .. })));
        resharding.step(Reshard::Split { shard: zero, at: HashKey::new(2) }).unwrap();
        let again = resharding.step(Reshard::Split { shard: zero, at: HashKey::new(2) });
        assert!(matches!(again, Err(AdministerError::ShardClosed(_))));
        resharding.step(Reshard::Merge { shard: ShardId::new(3), adjacent: one }).unwrap();
        let unknown =
            resharding.step(Reshard::Split { shard: ShardId::new(9), at: HashKey::new(2) });
        assert!(matches!(unknown, Err(AdministerError::ShardNotFound(_))));
        let after = resharding.done(&before);
        let created = |index: usize| after.shards[index].starting_sequence_number.created_seconds();
        assert_eq!((created(2), created(3), created(4)), (2001, 2001, 2002));
        let merged = open(&after)[1];
        assert_eq!((merged.parent, merged.adjacent_parent), (Some(ShardId::new(3)), Some(one)));
        assert_eq!(after.shards[0].ending_sequence_number.unwrap().time_seconds(), 2000);
    }

    proptest! {
        #[test]
        fn whatever_is_done_the_open_shards_cover_the_key_space(
            count in 1u32..6,
            steps in prop::collection::vec((any::<bool>(), any::<u8>(), any::<u128>()), 0..30),
            target in 1u32..40,
        ) {
            let name = name();
            let before = stream(count);
            let mut resharding = Resharding::new(&name, &before, 2000);
            for (split, which, at) in steps {
                let ids: Vec<ShardId> = {
                    let mut open: Vec<_> = resharding.shards.iter()
                        .filter(|s| s.ending_sequence_number.is_none()).collect();
                    open.sort_by_key(|s| s.hash_key_range.start);
                    open.iter().map(|s| s.id).collect()
                };
                let which = usize::from(which) % ids.len();
                let step = match (split, ids.get(which + 1)) {
                    (false, Some(adjacent)) => Reshard::Merge { shard: ids[which], adjacent: *adjacent },
                    _ => Reshard::Split { shard: ids[which], at: HashKey::new(at) },
                };
                // Refused or not, the shards stay whole.
                let _ = resharding.step(step);
            }
            resharding.evenly(target);
            let after = resharding.done(&before);
            let ranges: Vec<_> = open(&after).iter().map(|s| s.hash_key_range).collect();
            prop_assert_eq!(ranges, HashKeyRange::evenly(target));
            for shard in after.shards.iter().filter(|s| s.parent.is_some()) {
                for parent in [shard.parent, shard.adjacent_parent].into_iter().flatten() {
                    let parent = &after.shards[parent.index() as usize];
                    prop_assert!(parent.ending_sequence_number.is_some() && parent.id < shard.id);
                }
            }
        }
    }
}
