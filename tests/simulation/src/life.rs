//! Lives of processes, one after the other: how each begins, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use baikonur_mapping::{Mapping, Settings, Start};
use tokio::sync::watch;

use crate::process::Process;
use crate::world::{EPOCH, State, World};

/// No story takes longer, in its own time.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Crashed,
    Drained,
    /// All of the story is over.
    Finished,
}

/// A moment in the future is refused before a mapping comes to be.
pub async fn wait_for_start(world: &World) {
    let start_at = world.lock().plan.settings.starting_position;
    if let Start::AtTimestamp(moment) = start_at {
        tokio::time::sleep(moment.since(EPOCH)).await;
    }
}

/// The next start of a process: its settings, and when it is drained again.
pub fn begin(world: &Arc<World>) -> (Process, Settings, Option<Duration>) {
    let (settings, bound) = {
        let state = &mut *world.lock();
        let mut settings = state.plan.settings.clone();
        if state.plan.lanes {
            settings.parallelization_factor = 1 + state.random.below(4) as u32;
        }
        // A batch without lanes; with lanes ten batches for each of them.
        let lanes = settings.parallelization_factor as usize;
        let bound = if lanes == 1 { 1 } else { 10 * lanes } * settings.batch_size;
        (settings, bound)
    };
    let process = world.begin_life(settings.parallelization_factor, bound);
    let drain_after = world.lock().decide_end(process.life);
    (process, settings, drain_after)
}

impl State {
    /// How a life is to end, if not with the story; gives the moment of a drain.
    fn decide_end(&mut self, life: u32) -> Option<Duration> {
        // Of several workers some live on, and a life is longer.
        let is_shared = self.plan.workers.is_some();
        let steps = if is_shared { 600 } else { 150 };
        if is_shared && self.random.once_in(2) {
            return None;
        }
        if self.crashes_left > 0 {
            self.crashes_left -= 1;
            let dies_at = 1 + self.random.below(steps);
            self.lives.get_mut(&life).unwrap().dies_at = Some(dies_at);
        } else if self.drains_left > 0 {
            self.drains_left -= 1;
            // Some come amid what a crash has left to repeat.
            let longest = if self.random.once_in(3) { 100 } else { 8000 };
            return Some(self.random.millis(0..longest));
        }
        None
    }
}

/// Lets a mapping run until its process dies, is drained, or everything is delivered.
pub async fn live(process: &Process, mapping: Mapping, drain_after: Option<Duration>) -> End {
    let world = &process.world;
    let mut finished = world.finished.subscribe();
    let (drain, draining) = watch::channel(false);
    let end = {
        let mut running = std::pin::pin!(mapping.run(draining));
        let mut drained = false;
        loop {
            tokio::select! {
                biased;
                () = process.died.notified() => break End::Crashed,
                _ = finished.wait_for(|finished| *finished) => return End::Finished,
                () = &mut running => break End::Drained,
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
    let tally = &mut world.lock().tally;
    tally.count(if end == End::Crashed { "a crash" } else { "a drain" });
    end
}
