//! Which seeds are told, by how many threads, and how to tell one again.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::tally::Tally;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// `BAIKONUR_SEED` is one seed, `BAIKONUR_SEEDS` how many; without them it is as `usual`.
fn seeds(usual: u64) -> Range<u64> {
    match variable("BAIKONUR_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..variable("BAIKONUR_SEEDS").unwrap_or(usual),
    }
}

/// Tells the stories of all seeds, shared out to the processors; a seed that fails is printed.
///
/// Each of `often` has to happen in one of a hundred stories at least, each of `rarely` in one of ten
/// thousand, and nothing happens beside them. What a simulation does not do proves nothing, and is not
/// to fall away unseen.
pub fn tell(
    usual: u64,
    often: &[&'static str],
    rarely: &[&'static str],
    story: impl Fn(u64) -> Tally + Sync,
) {
    let seeds = seeds(usual);
    let all = seeds.end - seeds.start;
    let (next, total) = (AtomicU64::new(seeds.start), Mutex::new(Tally::default()));
    let threads = thread::available_parallelism().map_or(1, |count| count.get());
    let work = || {
        let mut mine = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break total.lock().unwrap().add(&mine);
            }
            let told = catch_unwind(AssertUnwindSafe(|| story(seed)));
            mine.add(&told.unwrap_or_else(|panic| {
                // The others stop behind their present one.
                next.store(seeds.end, Ordering::Relaxed);
                eprintln!("seed {seed} failed: replay with BAIKONUR_SEED={seed}");
                resume_unwind(panic)
            }));
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
    let total = total.into_inner().unwrap();
    eprintln!("{all} seeds: {total:?}");
    for what in total.names() {
        let is_named = often.contains(&what) || rarely.contains(&what);
        assert!(is_named, "{what:?} happened: it must, from now on");
    }
    for (one_in, whats) in [(100, often), (10_000, rarely)] {
        for what in whats.iter().filter(|_| all >= 1000.max(one_in * 2)) {
            let times = total.of(what);
            assert!(times >= all / one_in, "{what:?} happened {times} times only: {total:?}");
        }
    }
}
