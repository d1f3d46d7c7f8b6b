//! From what is wished to a number of shards: clamped to the bounds first, compared then.

use crate::legacy;
use crate::report::{Direction, EndStatus};

/// By how much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// So many shards, at least 1.
    Count(u32),
    /// So many percent of the open shards, in integers. More shards are rounded up and fewer are
    /// too: what is left is never less than was asked for.
    Percent(u32),
    /// A fraction as amazon-kinesis-scaling-utils' command line takes it.
    LegacyFraction(f64),
    /// Percent as amazon-kinesis-scaling-utils' monitor takes them.
    LegacyPercent(u32),
}

/// A change that means nothing.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum InvalidChange {
    /// Nothing would change.
    #[error("a change by 0 is none")]
    Nothing,
    /// More than everything.
    #[error("{0} % is more than all shards")]
    MoreThanAll(u32),
    /// No number, or below zero.
    #[error("{0} is no fraction to scale by")]
    NoFraction(f64),
}

/// The least and the most shards that are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    min: Option<u32>,
    max: Option<u32>,
}

/// Bounds that leave nothing between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBounds {
    /// The least is above the most.
    #[error("the minimum of {min} shards is above the maximum of {max}")]
    Crossed {
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// No stream has no shards.
    #[error("a stream has at least one shard")]
    Zero,
}

impl Bounds {
    /// Bounds, none of them demanded.
    ///
    /// # Errors
    /// A zero, or the minimum above the maximum.
    pub fn new(min: Option<u32>, max: Option<u32>) -> Result<Self, InvalidBounds> {
        match (min, max) {
            (Some(0), _) | (_, Some(0)) => Err(InvalidBounds::Zero),
            (Some(min), Some(max)) if min > max => Err(InvalidBounds::Crossed { min, max }),
            _ => Ok(Self { min, max }),
        }
    }

    fn clamp(self, count: u32) -> u32 {
        count.max(self.min.unwrap_or(1)).min(self.max.unwrap_or(u32::MAX))
    }
}

/// What is wished for a stream as a whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// More shards.
    Up(Change),
    /// Fewer shards, never less than one.
    Down(Change),
    /// So many.
    Count(u32),
}

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Have so many shards; another number than now.
    Shards(u32),
    /// Nothing, for this reason.
    Nothing(EndStatus),
}

impl Target {
    /// Whether it can mean something.
    ///
    /// # Errors
    /// It cannot.
    pub fn check(self) -> Result<(), InvalidChange> {
        match self {
            Self::Up(Change::Count(0) | Change::Percent(0))
            | Self::Down(Change::Count(0) | Change::Percent(0))
            | Self::Count(0) => Err(InvalidChange::Nothing),
            Self::Down(Change::Percent(percent)) if percent > 100 => {
                Err(InvalidChange::MoreThanAll(percent))
            }
            Self::Up(Change::LegacyFraction(fraction))
            | Self::Down(Change::LegacyFraction(fraction))
                if !fraction.is_finite() || fraction < 0.0 =>
            {
                Err(InvalidChange::NoFraction(fraction))
            }
            _ => Ok(()),
        }
    }

    /// How many shards are wished for where there are `current`, before any bounds.
    pub fn wish(self, current: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Up(Change::Count(count)) => current.saturating_add(count),
            Self::Up(Change::Percent(percent)) => {
                let more = (u64::from(current) * u64::from(percent)).div_ceil(100);
                current.saturating_add(u32::try_from(more).unwrap_or(u32::MAX))
            }
            Self::Up(Change::LegacyFraction(fraction)) => legacy::command_up(current, fraction),
            Self::Up(Change::LegacyPercent(percent)) => legacy::monitor_up(current, percent),
            Self::Down(Change::Count(count)) => current.saturating_sub(count).max(1),
            Self::Down(Change::Percent(percent)) => {
                let less = u64::from(current) * u64::from(percent) / 100;
                current.saturating_sub(u32::try_from(less).unwrap_or(u32::MAX)).max(1)
            }
            Self::Down(Change::LegacyFraction(fraction)) => legacy::command_down(current, fraction),
            Self::Down(Change::LegacyPercent(percent)) => legacy::monitor_down(current, percent),
        }
    }

    /// What there is to do for a stream of `current` open shards. Bounds never turn a wish round:
    /// who scales up above the maximum is not scaled down to it.
    pub fn goal(self, current: u32, bounds: Bounds) -> Goal {
        let wish = self.wish(current);
        let target = bounds.clamp(wish);
        let asked = match self {
            Self::Up(_) => Direction::Up,
            Self::Down(_) => Direction::Down,
            Self::Count(_) => Direction::between(current, target),
        };
        if target != current && Direction::between(current, target) == asked {
            return Goal::Shards(target);
        }
        Goal::Nothing(match self {
            _ if target < wish => EndStatus::AlreadyAtMaximum,
            _ if target > wish => EndStatus::AlreadyAtMinimum,
            Self::Down(_) if current == 1 => EndStatus::AlreadyAtMinimum,
            _ => EndStatus::NoActionRequired,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use EndStatus::{AlreadyAtMaximum, AlreadyAtMinimum, NoActionRequired};

    #[test]
    fn percent_are_by_so_much_in_integers() {
        for (current, percent, up, down) in [
            (10, 20, 12, 8),
            (10, 100, 20, 1),
            (3, 50, 5, 2),
            (1, 15, 2, 1),
            (3, 15, 4, 3),
            (50, 10, 55, 45),
            (100, 29, 129, 71),
            (7, 1, 8, 7),
            (u32::MAX, 100, u32::MAX, 1),
        ] {
            assert_eq!(
                Target::Up(Change::Percent(percent)).wish(current),
                up,
                "{current} {percent}"
            );
            assert_eq!(
                Target::Down(Change::Percent(percent)).wish(current),
                down,
                "{current} {percent}"
            );
        }
        assert_eq!(Target::Up(Change::Percent(300)).wish(10), 40);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for target in [
            Target::Count(0),
            Target::Up(Change::Count(0)),
            Target::Down(Change::Percent(0)),
            Target::Down(Change::Percent(101)),
            Target::Up(Change::LegacyFraction(-0.1)),
            Target::Down(Change::LegacyFraction(f64::NAN)),
        ] {
            assert!(target.check().is_err(), "{target:?}");
        }
        assert!(Target::Down(Change::LegacyFraction(0.0)).check().is_ok());
        assert!(Bounds::new(Some(3), Some(2)).is_err());
        assert!(Bounds::new(Some(0), None).is_err());
    }

    #[test]
    fn a_wish_is_clamped_then_compared_then_done() {
        let bounds = |min, max| Bounds::new(min, max).unwrap();
        let up = |count| Target::Up(Change::Count(count));
        let down = |count| Target::Down(Change::Count(count));
        let done = Goal::Nothing;
        for (target, current, limits, goal) in [
            (up(5), 10, bounds(None, None), Goal::Shards(15)),
            (up(5), 10, bounds(None, Some(12)), Goal::Shards(12)),
            (up(5), 10, bounds(None, Some(10)), done(AlreadyAtMaximum)),
            (up(5), 10, bounds(None, Some(8)), done(AlreadyAtMaximum)),
            (up(1), 2, bounds(Some(8), None), Goal::Shards(8)),
            (down(5), 10, bounds(None, None), Goal::Shards(5)),
            (down(50), 10, bounds(None, None), Goal::Shards(1)),
            (down(5), 10, bounds(Some(7), None), Goal::Shards(7)),
            (down(5), 10, bounds(Some(10), None), done(AlreadyAtMinimum)),
            (down(5), 10, bounds(Some(12), None), done(AlreadyAtMinimum)),
            (down(1), 1, bounds(None, None), done(AlreadyAtMinimum)),
            (Target::Down(Change::Percent(10)), 5, bounds(None, None), done(NoActionRequired)),
            (Target::Count(10), 10, bounds(None, None), done(NoActionRequired)),
            (Target::Count(10), 8, bounds(None, Some(8)), done(AlreadyAtMaximum)),
            (Target::Count(1), 8, bounds(Some(8), None), done(AlreadyAtMinimum)),
            (Target::Count(20), 12, bounds(None, Some(8)), Goal::Shards(8)),
        ] {
            assert_eq!(target.goal(current, limits), goal, "{target:?} {current} {limits:?}");
        }
    }
}
