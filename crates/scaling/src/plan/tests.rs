//! Plans carried out on a model that refuses what the service refuses.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Shards by id, with the service's rules for splits and merges.
struct Model {
    open: BTreeMap<ShardId, HashKeyRange>,
    next_id: u32,
}

impl Model {
    fn of(key_space: &KeySpace) -> Self {
        let open: BTreeMap<_, _> =
            key_space.shards().iter().map(|shard| (shard.id, shard.range)).collect();
        let next_id = open.keys().next_back().unwrap().index() + 1;
        Self { open, next_id }
    }

    fn add(&mut self, start: HashKey, end: HashKey) {
        self.open.insert(ShardId::new(self.next_id), HashKeyRange { start, end });
        self.next_id += 1;
    }

    fn apply(&mut self, step: Reshard) {
        match step {
            Reshard::Split { shard, at } => {
                let HashKeyRange { start, end } = self.open.remove(&shard).unwrap();
                assert!(at.value() > start.value() + 1 && at < end, "{at} in {start}..{end}");
                self.add(start, HashKey::new(at.value() - 1));
                self.add(at, end);
            }
            Reshard::Merge { shard, adjacent } => {
                let lower = self.open.remove(&shard).unwrap();
                let upper = self.open.remove(&adjacent).unwrap();
                assert_eq!(lower.end.value() + 1, upper.start.value());
                self.add(lower.start, upper.end);
            }
        }
    }

    fn key_space(&self) -> KeySpace {
        let shards = self.open.iter().map(|(id, range)| OpenShard { id: *id, range: *range });
        KeySpace::new(shards.collect()).unwrap()
    }
}

/// A key space with these boundaries, ids in an order of their own.
fn divided(boundaries: impl IntoIterator<Item = u128>) -> KeySpace {
    let starts: BTreeSet<u128> = boundaries.into_iter().chain([0]).collect();
    let starts: Vec<_> = starts.into_iter().collect();
    let count = starts.len() as u32;
    let shards = starts.iter().enumerate().map(|(place, start)| OpenShard {
        id: ShardId::new(100 + (place as u32 * 7 + 3) % count),
        range: HashKeyRange {
            start: HashKey::new(*start),
            end: HashKey::new(starts.get(place + 1).map_or(u128::MAX, |next| next - 1)),
        },
    });
    // Sevens may meet themselves.
    let mut shards: Vec<_> = shards.collect();
    if count.is_multiple_of(7) {
        for (place, shard) in shards.iter_mut().enumerate() {
            shard.id = ShardId::new(100 + count - place as u32);
        }
    }
    KeySpace::new(shards).unwrap()
}

fn even(count: u32) -> KeySpace {
    divided(HashKeyRange::evenly(count).iter().map(|range| range.start.value()))
}

fn carried_out(key_space: &KeySpace, steps: &[Reshard]) -> KeySpace {
    let mut model = Model::of(key_space);
    steps.iter().for_each(|step| model.apply(*step));
    model.key_space()
}

#[test]
fn doubling_splits_each_shard_once_and_halving_merges_pairs() {
    let four = even(4);
    let up = steps(&four, &HashKeyRange::evenly(8));
    assert_eq!(up.len(), 4);
    assert!(up.iter().all(|step| matches!(step, Reshard::Split { .. })), "{up:?}");
    let eight = carried_out(&four, &up);
    let down = steps(&eight, &HashKeyRange::evenly(4));
    assert_eq!(down.len(), 4);
    assert!(down.iter().all(|step| matches!(step, Reshard::Merge { .. })), "{down:?}");
    assert!(steps(&eight, &HashKeyRange::evenly(8)).is_empty());
}

#[test]
fn thirds_split_in_the_middle_count_as_sixths() {
    // Middle of ⅓ rounded in its own way: one hash key beside the evenly rounded sixth.
    let sixths = HashKeyRange::evenly(6);
    let beside = sixths.iter().map(|range| range.start.value() + 1).skip(1);
    assert!(steps(&divided(beside), &sixths).is_empty());
}

#[test]
fn four_to_three_is_two_splits_and_three_merges() {
    let plan = steps(&even(4), &HashKeyRange::evenly(3));
    let splits = plan.iter().filter(|step| matches!(step, Reshard::Split { .. })).count();
    assert_eq!((splits, plan.len() - splits), (2, 3));
}

#[test]
fn one_shard_becomes_equal_parts_and_one_again() {
    let three = even(3);
    let middle = three.shards()[1];
    let wanted = part_ranges(&three, &[middle.id].into(), 4).unwrap();
    let plan = steps(&three, &wanted);
    assert_eq!(plan.len(), 3);
    let parted = carried_out(&three, &plan);
    assert_eq!(parted.count(), 6);
    let parts: BTreeSet<ShardId> = parted.shards()[1..5].iter().map(|shard| shard.id).collect();
    let back = part_ranges(&parted, &parts, 1).unwrap();
    let again = carried_out(&parted, &steps(&parted, &back));
    let ranges = |key_space: &KeySpace| -> Vec<_> {
        key_space.shards().iter().map(|shard| shard.range).collect()
    };
    assert_eq!(ranges(&again), ranges(&three));
}

#[test]
fn all_shards_become_one() {
    let five = even(5);
    let all = five.shards().iter().map(|shard| shard.id).collect();
    assert_eq!(part_ranges(&five, &all, 1), Ok(HashKeyRange::evenly(1)));
    assert_eq!(part_ranges(&five, &all, 3), Ok(HashKeyRange::evenly(3)));
}

#[test]
fn parts_that_cannot_be_made_are_refused() {
    let narrow = divided([100, 107]);
    let ids: Vec<_> = narrow.shards().iter().map(|shard| shard.id).collect();
    let part = |ids: &[ShardId], into| part_ranges(&narrow, &ids.iter().copied().collect(), into);
    assert_eq!(part(&[ids[1]], 2), Err(PartError::TooNarrow(2)));
    assert_eq!(part(&[ids[0], ids[2]], 1), Err(PartError::Apart(ids[1])));
    assert_eq!(part(&[ShardId::new(5)], 2), Err(PartError::NotOpen(ShardId::new(5))));
    assert_eq!(part(&[], 2), Err(PartError::Nothing));
    assert_eq!(part(&[ids[0]], 0), Err(PartError::Nothing));
    assert!(part(&[ids[0]], 25).is_ok());
}

/// Boundaries anywhere, some of them crowded about the places that will be wanted.
fn any_division() -> impl Strategy<Value = KeySpace> {
    let anywhere = prop::collection::vec(1..=u128::MAX, 0..40);
    let crowded = prop::collection::vec((1u32..60, 0u32..60, 0u128..5), 0..10);
    (anywhere, crowded).prop_map(|(anywhere, crowded)| {
        let near = crowded.into_iter().map(|(count, place, off)| {
            let ranges = HashKeyRange::evenly(count);
            ranges[(place % count) as usize].start.value().saturating_add(off)
        });
        divided(anywhere.into_iter().chain(near))
    })
}

proptest! {
    #[test]
    fn any_division_becomes_even(key_space in any_division(), target in 1u32..60) {
        let wanted = HashKeyRange::evenly(target);
        let plan = steps(&key_space, &wanted);
        prop_assert!(plan.len() < (key_space.count() + target) as usize);
        let (most, least) =
            (key_space.count().max(target) as usize, key_space.count().min(target) as usize);
        let mut model = Model::of(&key_space);
        for step in &plan {
            model.apply(*step);
            prop_assert!((least..=most + 1).contains(&model.open.len()));
        }
        let result = model.key_space();
        prop_assert_eq!(result.count(), target);
        let tolerance = u128::MAX / u128::from(target) / TOLERANCE_DIVISOR;
        for (shard, wanted) in result.shards().iter().zip(&wanted) {
            prop_assert!(shard.range.start.value().abs_diff(wanted.start.value()) <= tolerance);
        }
        prop_assert!(steps(&result, &wanted).is_empty());
    }

    #[test]
    fn shards_side_by_side_are_cut_anew_and_others_left(
        key_space in any_division(),
        (first, count, into) in (0usize..50, 1usize..8, 1u32..20),
    ) {
        let all = key_space.shards();
        let first = first % all.len();
        let last = (first + count).min(all.len());
        let chosen: BTreeSet<ShardId> = all[first..last].iter().map(|shard| shard.id).collect();
        let Ok(wanted) = part_ranges(&key_space, &chosen, into) else {
            let width = all[last - 1].range.end.value() - all[first].range.start.value();
            prop_assert!(width < 4 * u128::from(into));
            return Ok(());
        };
        let result = carried_out(&key_space, &steps(&key_space, &wanted));
        prop_assert_eq!(result.count() as usize, all.len() - chosen.len() + into as usize);
        for shard in all.iter().filter(|shard| !chosen.contains(&shard.id)) {
            prop_assert!(result.shards().contains(shard));
        }
    }
}
