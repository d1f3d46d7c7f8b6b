//! Carrying a plan out: UpdateShardCount where it will do, splits and merges where it is refused,
//! and waiting for ACTIVE between the steps.

use std::collections::BTreeSet;
use std::time::Duration;

use baikonur_stream::{
    Administer, AdministerError, Clock, HashKeyRange, Reshard, ShardId, StreamChange,
    StreamDescription, StreamName, StreamStatus,
};

use crate::key_space::{KeySpace, KeySpaceHole};
use crate::plan::{PartError, part_ranges, steps};
use crate::report::{Direction, EndStatus, Operations, Report};
use crate::target::{Bounds, Goal, Target};

/// The first pause between two looks at a stream that is busy.
const PAUSE_INITIAL: Duration = Duration::from_millis(50);
/// The longest one.
const PAUSE_MAXIMUM: Duration = Duration::from_secs(2);
/// How long a change is tried again that cannot be made now.
const BUSY_PATIENCE: Duration = Duration::from_secs(60);
/// Steps beyond those planned first, for somebody else who reshards the same stream meanwhile.
const STEPS_SPARE: usize = 16;

/// How far a scaling has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Open shards now.
    pub open: u32,
    /// Open shards in the end.
    pub target: u32,
    /// Calls made so far.
    pub operations: Operations,
}

/// Scales streams.
#[derive(Clone, Copy)]
pub struct Scaler<'a> {
    /// Where they are.
    pub administer: &'a dyn Administer,
    /// What the deadline goes by.
    pub clock: &'a dyn Clock,
    /// How long a scaling may take, waits included.
    pub patience: Duration,
    /// Whether to wait until the last step is done, too; between steps there is no choice.
    pub wait: bool,
    /// Told after each step.
    pub progress: &'a (dyn Fn(Progress) + Send + Sync),
}

/// Why a scaling broke off.
#[derive(Debug, thiserror::Error)]
enum BrokenOff {
    #[error(transparent)]
    Refused(#[from] AdministerError),
    #[error(transparent)]
    Hole(#[from] KeySpaceHole),
    #[error(transparent)]
    Part(#[from] PartError),
    #[error("not done within {patience:?}; the stream is {status:?} and has {open} open shards")]
    TooLate { patience: Duration, status: StreamStatus, open: usize },
    #[error("somebody else seems to reshard the stream at the same time")]
    Contended,
}

/// Calls and waits for one stream, until a deadline.
struct Waiting<'a> {
    scaler: Scaler<'a>,
    stream: &'a StreamName,
    deadline: Duration,
}

/// A scaling under way.
struct Run<'a> {
    waiting: Waiting<'a>,
    operations: Operations,
    target: u32,
    /// The key space as it was seen last.
    layout: KeySpace,
}

impl Scaler<'_> {
    /// How the key space of a stream lies.
    ///
    /// # Errors
    /// The stream cannot be described, or not as long as it changes.
    pub async fn report(&self, stream: &StreamName) -> Result<Report, AdministerError> {
        let run = self.look(stream).await?;
        Ok(Report::only(stream.clone(), run.layout))
    }

    /// Scales a stream. Whatever goes wrong after the first look is in the report.
    ///
    /// # Errors
    /// The stream cannot be described.
    pub async fn scale(
        &self,
        stream: &StreamName,
        target: Target,
        bounds: Bounds,
    ) -> Result<Report, AdministerError> {
        let mut run = self.look(stream).await?;
        let before = run.layout.count();
        match target.goal(before, bounds) {
            Goal::Nothing(status) => {
                Ok(Report { status, ..Report::only(stream.clone(), run.layout) })
            }
            Goal::Shards(target) => {
                run.target = target;
                let end = run.update().await;
                run.report(before, end).await
            }
        }
    }

    /// Cuts shards that lie side by side into so many of equal width: one into many, or many into
    /// one. Whatever goes wrong after the first look is in the report.
    ///
    /// # Errors
    /// The stream cannot be described.
    pub async fn part(
        &self,
        stream: &StreamName,
        shards: &BTreeSet<ShardId>,
        into: u32,
        bounds: Bounds,
    ) -> Result<Report, AdministerError> {
        let mut run = self.look(stream).await?;
        let before = run.layout.count();
        let named = u32::try_from(shards.len()).unwrap_or(u32::MAX);
        run.target = before.saturating_sub(named).saturating_add(into);
        if run.target != before
            && let Goal::Nothing(status) = Target::Count(run.target).goal(before, bounds)
        {
            return Ok(Report { status, ..Report::only(stream.clone(), run.layout) });
        }
        let end = match part_ranges(&run.layout, shards, into) {
            Ok(wanted) => run.by_hand(&wanted).await,
            Err(error) => Err(error.into()),
        };
        run.report(before, end).await
    }

    /// The stream once it is at rest.
    async fn look<'s>(&'s self, stream: &'s StreamName) -> Result<Run<'s>, AdministerError> {
        let described = self.administer.describe_stream(stream).await?;
        let waiting =
            Waiting { scaler: *self, stream, deadline: self.clock.monotonic() + self.patience };
        let looked = async {
            let described = waiting.settled(described, |_| true).await?;
            Ok(KeySpace::of(&described)?)
        };
        match looked.await {
            Ok(layout) => Ok(Run { waiting, operations: Operations::default(), target: 0, layout }),
            Err(BrokenOff::Refused(error)) => Err(error),
            Err(error) => Err(AdministerError::Unavailable(error.to_string())),
        }
    }
}

impl Run<'_> {
    /// By UpdateShardCount, at most to double or half at a time; by hand from where it is refused.
    async fn update(&mut self) -> Result<(), BrokenOff> {
        while self.layout.count() != self.target {
            let next = next_count(self.layout.count(), self.target);
            match self.waiting.change(StreamChange::UpdateShardCount { target: next }).await {
                Ok(changed) => {
                    self.operations.updates += 1;
                    let is_last = next == self.target;
                    let there =
                        |stream: &StreamDescription| stream.open_shards().count() == next as usize;
                    let Some(changed) = self.waiting.after(changed, is_last, there).await? else {
                        return Ok(());
                    };
                    self.layout = KeySpace::of(&changed)?;
                    self.tell();
                }
                Err(BrokenOff::Refused(
                    AdministerError::AboveDouble { .. }
                    | AdministerError::BelowHalf { .. }
                    | AdministerError::DailyLimit { .. }
                    | AdministerError::Refused(_),
                )) => return self.by_hand(&HashKeyRange::evenly(self.target)).await,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// By splits and merges. Planned anew after each, so that what the service or somebody else
    /// did in between is taken as it is.
    async fn by_hand(&mut self, wanted: &[HashKeyRange]) -> Result<(), BrokenOff> {
        let mut plan = steps(&self.layout, wanted);
        let steps_max = plan.len() + STEPS_SPARE;
        for _ in 0..steps_max {
            let Some(step) = plan.first().copied() else { return Ok(()) };
            let changed = self.waiting.change(StreamChange::Reshard(step)).await?;
            let closing = match step {
                Reshard::Split { shard, .. } => {
                    self.operations.splits += 1;
                    shard
                }
                Reshard::Merge { shard, .. } => {
                    self.operations.merges += 1;
                    shard
                }
            };
            let there =
                |stream: &StreamDescription| stream.open_shards().all(|shard| shard.id != closing);
            let Some(changed) = self.waiting.after(changed, plan.len() == 1, there).await? else {
                return Ok(());
            };
            self.layout = KeySpace::of(&changed)?;
            self.tell();
            plan = steps(&self.layout, wanted);
        }
        if plan.is_empty() { Ok(()) } else { Err(BrokenOff::Contended) }
    }

    fn tell(&self) {
        let (open, target, operations) = (self.layout.count(), self.target, self.operations);
        (self.waiting.scaler.progress)(Progress { open, target, operations });
    }

    async fn report(
        self,
        before: u32,
        end: Result<(), BrokenOff>,
    ) -> Result<Report, AdministerError> {
        let stream = self.waiting.stream;
        let described = self.waiting.scaler.administer.describe_stream(stream).await?;
        // While it changes, a stream may be listed with holes.
        let layout = KeySpace::of(&described).unwrap_or(self.layout);
        Ok(Report {
            status: if end.is_ok() { EndStatus::Ok } else { EndStatus::Error },
            direction: Direction::between(before, self.target),
            operations: self.operations,
            before,
            error: end.err().map(|error| error.to_string()),
            ..Report::only(stream.clone(), layout)
        })
    }
}

impl Waiting<'_> {
    /// The stream after a step; none where nobody wants to wait for it.
    async fn after(
        &self,
        changed: StreamDescription,
        is_last: bool,
        there: impl Fn(&StreamDescription) -> bool + Send,
    ) -> Result<Option<StreamDescription>, BrokenOff> {
        if is_last && !self.scaler.wait {
            return Ok(None);
        }
        self.settled(changed, there).await.map(Some)
    }

    /// Makes a change; tries again while the stream is busy.
    async fn change(&self, change: StreamChange) -> Result<StreamDescription, BrokenOff> {
        let mut pause = PAUSE_INITIAL;
        let give_up = self.deadline.min(self.scaler.clock.monotonic() + BUSY_PATIENCE);
        loop {
            let changed = self.scaler.administer.change_stream(self.stream, change.clone()).await;
            match changed {
                Err(AdministerError::Unavailable(_)) if self.scaler.clock.monotonic() < give_up => {
                }
                changed => return Ok(changed?),
            }
            sleep(&mut pause).await;
        }
    }

    /// The stream when it is ACTIVE and `there`.
    async fn settled(
        &self,
        mut described: StreamDescription,
        there: impl Fn(&StreamDescription) -> bool + Send,
    ) -> Result<StreamDescription, BrokenOff> {
        let mut pause = PAUSE_INITIAL;
        while described.status != StreamStatus::Active || !there(&described) {
            if !self.has_time() {
                return Err(BrokenOff::TooLate {
                    patience: self.scaler.patience,
                    status: described.status,
                    open: described.open_shards().count(),
                });
            }
            sleep(&mut pause).await;
            match self.scaler.administer.describe_stream(self.stream).await {
                Ok(now) => described = now,
                Err(AdministerError::Unavailable(_)) if self.has_time() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(described)
    }

    fn has_time(&self) -> bool {
        self.scaler.clock.monotonic() < self.deadline
    }
}

/// The next number of shards that one UpdateShardCount may ask for: at most double, at least half
/// (API text of UpdateShardCount).
fn next_count(current: u32, target: u32) -> u32 {
    target.clamp(current.div_ceil(2), current.saturating_mul(2))
}

async fn sleep(pause: &mut Duration) {
    tokio::time::sleep(*pause).await;
    *pause = (*pause * 2).min(PAUSE_MAXIMUM);
}

#[cfg(test)]
mod tests;
