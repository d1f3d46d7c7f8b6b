//! What a parallelization factor promises, and what memory and fairness promise beside it, in worlds
//! without bad luck.

use std::sync::Arc;
use std::time::Duration;

use baikonur_mapping::{MemoryBudget, Settings};
use baikonur_simulation::{EPOCH, Plan, Random, World};
use baikonur_stream::{Checkpoint, Lane};
use tokio::sync::watch;

use super::in_its_own_time;

/// A stream of one shard that nothing happens to.
fn calm(settings: Settings) -> Arc<World> {
    let plan = Plan {
        records: 0,
        shards: 1,
        settings,
        lanes: false,
        hold: 0,
        poison: 0,
        bad: 0,
        names_poison: false,
        faults: 0,
        crashes: 0,
        drains: 0,
        down: Duration::ZERO,
        numbers_known: true,
        reshards: false,
        trims: false,
        damages: false,
        memory: 1 << 20,
        workers: None,
    };
    World::new(plan, 0, Random(7))
}

/// Runs the mapping in virtual time.
pub(super) fn run(settings: Settings, fill: impl FnOnce(&World), time: Duration) -> Arc<World> {
    in_its_own_time(async {
        let world = calm(settings.clone());
        fill(&world);
        let process = world.begin_life(settings.parallelization_factor, usize::MAX);
        let memory = MemoryBudget::new(1 << 20);
        let (_drain, draining) = watch::channel(false);
        let mapping = process.mapping(settings, memory, 1);
        let _ = tokio::time::timeout(time, mapping.run(draining)).await;
        assert!(!world.is_wrong(), "what went wrong stands above");
        world
    })
}

fn with_lanes(parallelization_factor: u32, batch_size: usize) -> Settings {
    Settings { parallelization_factor, batch_size, ..Settings::default() }
}

/// Record `n` of the shard has the key `key(n)`; poison is as `poison` says.
pub(super) fn fill(
    world: &World,
    records: u64,
    key: impl Fn(u64) -> u64,
    poison: impl Fn(u64) -> bool,
) {
    let state = &mut *world.lock();
    for n in 0..records {
        state.put_as(key(n), EPOCH, poison(n), false);
    }
}

/// Counters of the records that were delivered or given up.
fn settled(world: &World) -> Vec<u64> {
    let state = world.lock();
    let puts = state.shards[0].puts.iter().filter(|put| put.is_settled());
    puts.map(|put| put.record.sequence_number.counter()).collect()
}

fn checkpoint(world: &World) -> Option<u64> {
    match world.lock().progress.get(&0)?.checkpoint? {
        Checkpoint::After(number) => Some(number.counter()),
        Checkpoint::At(_)
        | Checkpoint::AtTimestamp(_)
        | Checkpoint::Within { .. }
        | Checkpoint::ShardEnd => None,
    }
}

#[test]
fn lanes_are_delivered_side_by_side_and_a_hot_key_stays_in_order() {
    // Nine of ten records have one key; the order of each is asserted at every delivery.
    let key = |n| if n % 10 == 0 { 1 + n / 10 % 6 } else { 0 };
    let world = run(with_lanes(4, 5), |world| fill(world, 400, key, |_| false), MINUTE);
    assert_eq!(settled(&world).len(), 400);
    assert_eq!(checkpoint(&world), Some(400));
    let side_by_side = world.lock().side_by_side;
    assert!((2..=4).contains(&side_by_side), "{side_by_side}");
}

#[test]
fn without_lanes_there_is_one_batch_at_a_time() {
    let world = run(with_lanes(1, 5), |world| fill(world, 400, |n| n % 7, |_| false), MINUTE);
    assert_eq!(settled(&world).len(), 400);
    assert_eq!(world.lock().side_by_side, 1);
}

#[test]
fn poison_stops_a_shard_without_lanes_and_only_its_own_lane_with_them() {
    let poison = |n| n == 10;
    let key = |n| n % 7;
    let world = run(with_lanes(1, 5), |world| fill(world, 200, key, poison), MINUTE);
    assert_eq!(settled(&world), (1..=10).collect::<Vec<_>>(), "the shard waits, as Lambda's does");

    let world = run(with_lanes(4, 5), |world| fill(world, 200, key, poison), MINUTE);
    let state = world.lock();
    let lane = |at: usize| {
        let record = &state.shards[0].puts[at].record;
        Lane::of(&record.partition_key, record.sequence_number, 4)
    };
    let bad = lane(10);
    for (at, put) in state.shards[0].puts.iter().enumerate() {
        if lane(at) != bad {
            assert!(put.is_settled(), "{:?}", put.record);
        } else if at >= 10 {
            assert!(!put.is_settled(), "{:?}", put.record);
        }
    }
    drop(state);
    assert!(checkpoint(&world).is_some_and(|passed| passed <= 10), "{:?}", checkpoint(&world));
}

#[test]
fn lanes_run_ahead_of_a_stuck_one_by_ten_batches_each_and_no_further() {
    let world = run(with_lanes(2, 3), |world| fill(world, 500, |n| n % 7, |n| n == 0), MINUTE);
    let last = settled(&world).pop();
    assert!(last.is_some_and(|last| (40..=60).contains(&last)), "{last:?}");
}

#[test]
fn a_shard_ends_when_every_lane_has_and_its_children_begin_then() {
    let write = |world: &World| {
        fill(world, 60, |n| n % 7, |_| false);
        world.lock().reshard(EPOCH);
        fill(world, 60, |n| n % 7, |_| false);
        world.lock().close_all(EPOCH);
    };
    let world = run(with_lanes(3, 2), write, MINUTE);
    let state = world.lock();
    assert!(state.is_finished(), "{:?}", state.progress);
    state.check();
}

#[test]
fn what_is_in_memory_stays_within_the_budget_whatever_is_behind_it() {
    // Room for some 16 records; a lane that is stuck keeps its records, and the others go on.
    let settings = Settings { in_flight_bytes: 128, ..with_lanes(4, 100) };
    let world = run(settings, |world| fill(world, 300, |n| n % 7, |n| n == 250), MINUTE);
    let stuck_at = checkpoint(&world);
    assert!(stuck_at.is_some_and(|passed| passed > 200), "{stuck_at:?}");
    let most = world.lock().unsettled_most;
    assert!((100..=128 + 5).contains(&most), "{most}: all of the room is used, and a record more");
}

#[test]
fn a_mapping_that_is_stuck_leaves_room_to_the_others() {
    in_its_own_time(async {
        let settings = Settings { in_flight_bytes: 1000, ..with_lanes(4, 10) };
        let memory = MemoryBudget::new(100);
        let worlds: [Arc<World>; 2] = std::array::from_fn(|_| calm(settings.clone()));
        fill(&worlds[0], 300, |n| n % 7, |n| n < 7);
        fill(&worlds[1], 300, |n| n % 7, |_| false);
        let (_drain, draining) = watch::channel(false);
        let mappings = worlds.each_ref().map(|world| {
            let process = world.begin_life(4, usize::MAX);
            process.mapping(settings.clone(), memory.clone(), 1).run(draining.clone())
        });
        let [stuck, free] = mappings;
        let both = async { tokio::join!(stuck, free) };
        let _ = tokio::time::timeout(MINUTE, both).await;
        assert_eq!(settled(&worlds[0]), [] as [u64; 0]);
        assert_eq!(settled(&worlds[1]).len(), 300);
    });
}

const MINUTE: Duration = Duration::from_secs(60);
