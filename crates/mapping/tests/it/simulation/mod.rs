//! The whole mapping in a world that a seed decides: time is virtual; the source is throttled,
//! trimmed, damaged, split and merged; progress, failed store and destination fail, with and without
//! effect; the process dies at any step, is drained, and starts again with other lanes.
//!
//! What must hold is asserted where it would break (see `world.rs`): nothing is lost, records of a
//! key come in order and children after their parents, no checkpoint passes what is not delivered,
//! little comes again, and objects are repeated with the same key and the same cut.
//!
//! A seed that fails is printed; `BAIKONUR_SEED=n cargo test -p baikonur-mapping --test it` replays it
//! alone, and `BAIKONUR_SEEDS=n` runs so many.

mod counts;
mod lanes;
mod random;
mod sinks;
mod source;
mod world;

use std::sync::Arc;
use std::time::Duration;

use baikonur_mapping::{Board, Mapping, MemoryBudget, Settings, Start};
use baikonur_stream::{ConsumerName, StreamName};
use tokio::sync::watch;

use sinks::SimModule;
use world::{EPOCH, Tally, World};

/// Seeds of an ordinary run of the tests.
const SEEDS: u64 = 20_000;

/// No story takes longer, in its own time.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn whatever_happens_nothing_is_lost_doubled_or_out_of_order() {
    let seeds = match variable("BAIKONUR_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..variable("BAIKONUR_SEEDS").unwrap_or(SEEDS),
    };
    let all = seeds.end - seeds.start;
    let mut total = Tally::default();
    for seed in seeds {
        let story = std::panic::catch_unwind(|| live(seed));
        let tally = story.unwrap_or_else(|panic| {
            eprintln!("seed {seed} failed: replay with BAIKONUR_SEED={seed}");
            std::panic::resume_unwind(panic)
        });
        total.add(&tally);
    }
    eprintln!("{all} seeds: {total:?}");
    if all >= 1000 {
        for (what, times) in total.all() {
            assert!(times >= all / 100, "{what} happened {times} times only: {total:?}");
        }
    }
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    for seed in 0..50 {
        assert_eq!(live(seed), live(seed), "seed {seed}");
    }
}

/// The whole story of a seed.
fn live(seed: u64) -> Tally {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = Arc::new(World::new(seed));
        let writer = tokio::spawn(source::write(world.clone()));
        let told = world.lock().told();
        let lived = tokio::time::timeout(PATIENCE, runs(&world)).await;
        assert!(!world.is_wrong(), "what went wrong stands above; {told}");
        assert!(lived.is_ok(), "the mapping is stuck; {told}: {:?}", world.lock().progress);
        writer.await.unwrap();
        let state = world.lock();
        state.check();
        state.tally
    })
}

/// Starts of the process, one after the other, until all is delivered.
async fn runs(world: &Arc<World>) {
    let start_at = world.lock().plan.settings.starting_position;
    if let Start::AtTimestamp(moment) = start_at {
        // A moment in the future is refused before a mapping comes to be.
        tokio::time::sleep(moment.since(EPOCH)).await;
    }
    while !world.lock().is_finished() {
        let (mapping, drain_after) = start(world);
        let (drain, draining) = watch::channel(false);
        let crashed = {
            let mut running = std::pin::pin!(mapping.run(draining));
            let mut drained = false;
            loop {
                tokio::select! {
                    biased;
                    () = world.crashed.notified() => break true,
                    () = world.finished.notified() => return,
                    () = &mut running => break false,
                    () = tokio::time::sleep(drain_after.unwrap_or(PATIENCE)), if !drained => {
                        drained = true;
                        drain.send_replace(true);
                    }
                }
            }
        };
        // What was aborted is gone before the next start.
        for _ in 0..32 {
            tokio::task::yield_now().await;
        }
        tokio::select! {
            biased;
            () = world.crashed.notified() => {}
            () = std::future::ready(()) => {}
        }
        if world.is_wrong() {
            return;
        }
        let state = &mut *world.lock();
        if crashed {
            state.tally.crashes += 1;
        } else {
            state.tally.drains += 1;
        }
    }
}

/// The next start: a mapping, and when it is drained again.
fn start(world: &Arc<World>) -> (Mapping, Option<Duration>) {
    let state = &mut *world.lock();
    let plan = state.plan.clone();
    let mut settings = plan.settings.clone();
    if plan.lanes {
        settings.parallelization_factor = 1 + state.random.below(4) as u32;
    }
    let lanes = settings.parallelization_factor;
    // A batch without lanes; with lanes ten batches for each of them.
    let bound = if lanes == 1 { 1 } else { 10 * lanes as usize } * settings.batch_size;
    state.begin_run(lanes, bound);
    let mut drain_after = None;
    if u64::from(state.run) <= u64::from(plan.crashes) {
        state.crash_within(150);
    } else if state.run <= plan.crashes + plan.drains {
        drain_after = Some(Duration::from_millis(state.random.below(8000)));
    }
    let seed = state.random.next();
    let mapping = mapping(world, settings, MemoryBudget::new(plan.memory), seed);
    (mapping, drain_after)
}

fn mapping(
    world: &Arc<World>,
    settings: Settings,
    memory: Arc<MemoryBudget>,
    seed: u64,
) -> Mapping {
    Mapping {
        consumer: ConsumerName::new("m"),
        source: StreamName::new("s").unwrap(),
        settings,
        read: world.clone(),
        progress: world.clone(),
        leases: None,
        module: Arc::new(SimModule(world.clone())),
        failed_store: world.clone(),
        memory,
        clock: world.clone(),
        board: Board::default(),
        seed,
    }
}
