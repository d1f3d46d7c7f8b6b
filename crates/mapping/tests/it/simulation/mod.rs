//! The whole mapping in a world that a seed decides (`tests/simulation`): time is virtual; the source
//! is throttled, trimmed, damaged, split and merged; progress, failed store and destination fail, with
//! and without effect; the process dies at any step, is drained, and starts again with other lanes.
//!
//! What must hold is asserted where it would break: nothing is lost, records of a key come in order
//! and children after their parents, no checkpoint passes what is not delivered, little comes again,
//! and objects are repeated with the same key and the same cut.
//!
//! A seed that fails is printed; `BAIKONUR_SEED=n cargo test -p baikonur-mapping --test it` replays it
//! alone, and `BAIKONUR_SEEDS=n` runs so many.

mod counts;
mod lanes;

use std::sync::Arc;
use std::time::Duration;

use baikonur_mapping::MemoryBudget;
use baikonur_simulation::{Plan, Random, Tally, World, begin, live, tell, wait_for_start, write};

/// Seeds of an ordinary run of the tests.
const SEEDS: u64 = 20_000;

/// No story takes longer, in its own time.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// What every run of the simulation has to contain, often.
const OFTEN: [&str; 34] = [
    "a batch handed over again",
    "a batch refused",
    "a batch that met a destination that is down",
    "a crash",
    "a damaged record",
    "a drain",
    "a failed batch kept again",
    "a fault",
    "a full object",
    "a mark of damage kept",
    "a merge",
    "a page cut by bytes",
    "a partial failure",
    "a place without a number",
    "a record from before a start at LATEST",
    "a record from before a start at a moment",
    "a record that came again",
    "a record trimmed before it was delivered",
    "a split",
    "a start at LATEST",
    "a start at TRIM_HORIZON",
    "a start at a moment",
    "a start at a number",
    "a start with lanes",
    "a step",
    "a trimmed record",
    "an announced range loaded",
    "an effect without an answer",
    "an object that waits",
    "an object written again",
    "records kept that were too old",
    "records kept whose retries were used up",
    "rejected records kept",
    "two batches side by side",
];

/// And now and then.
const RARELY: [&str; 1] = ["held records discarded"];

#[test]
fn whatever_happens_nothing_is_lost_doubled_or_out_of_order() {
    tell(SEEDS, &OFTEN, &RARELY, story);
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    for seed in 0..50 {
        assert_eq!(story(seed), story(seed), "seed {seed}");
    }
}

/// In virtual time.
fn in_its_own_time<T>(story: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(story)
}

/// The whole story of a seed.
fn story(seed: u64) -> Tally {
    in_its_own_time(async {
        let mut random = Random(seed);
        let plan = Plan::alone(&mut random);
        let world = World::new(plan, seed, random);
        let writer = tokio::spawn(write(Arc::clone(&world)));
        let told = world.lock().told();
        let lived = tokio::time::timeout(PATIENCE, lives(&world)).await;
        assert!(!world.is_wrong(), "what went wrong stands above; {told}");
        assert!(lived.is_ok(), "the mapping is stuck; {told}: {:?}", world.lock().progress);
        writer.await.unwrap();
        let state = world.lock();
        state.check();
        state.tally.clone()
    })
}

/// Starts of the process, one after the other, until all is delivered.
async fn lives(world: &Arc<World>) {
    wait_for_start(world).await;
    while !world.lock().is_finished() && !world.is_wrong() {
        let (process, settings, drain_after) = begin(world);
        let (memory, seed) = {
            let state = &mut *world.lock();
            (MemoryBudget::new(state.plan.memory), state.random.draw())
        };
        live(&process, process.mapping(settings, memory, seed), drain_after).await;
    }
}
