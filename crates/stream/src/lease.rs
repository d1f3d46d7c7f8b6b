//! Leases: which shards of a stream are this worker's to deliver, be it one of many or the only one.
//!
//! A worker acts for a shard while it can prove, by its own monotonic clock and without asking
//! anybody, that no other worker may act for it: that is a [`Tenure`]. It ends by itself unless it
//! is renewed, before another worker takes the shard. Checkpoints are conditional on the lease
//! beside that ([`ProgressError::LeaseLost`]): a worker that was paused amid a step stores nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    ConsumerName, ProgressError, Shard, ShardAddress, ShardId, StartingPosition, StreamName,
};

/// Until when a worker may act for a shard, by its own monotonic clock. All clones are one.
#[derive(Debug, Clone)]
pub struct Tenure(Arc<AtomicU64>);

impl Tenure {
    /// Of a worker that has no others beside it.
    pub fn endless() -> Self {
        Self(Arc::new(AtomicU64::new(Self::ENDLESS)))
    }

    /// Up to `moment`.
    pub fn until(moment: Duration) -> Self {
        Self(Arc::new(AtomicU64::new(nanos(moment))))
    }

    /// Moves the end up to `moment`; an end that lies behind it stays. One that was ended stays ended.
    pub fn extend(&self, moment: Duration) {
        let moment = nanos(moment);
        let later = |end: u64| (end != Self::ENDED && moment > end).then_some(moment);
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, later);
    }

    /// Ends it for good.
    pub fn end(&self) {
        self.0.store(Self::ENDED, Ordering::Release);
    }

    /// Whether it lasts at this moment.
    pub fn holds(&self, now: Duration) -> bool {
        now.as_nanos() < u128::from(self.0.load(Ordering::Acquire))
    }

    /// Whether it never ends by itself.
    pub fn is_endless(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::ENDLESS
    }

    const ENDED: u64 = 0;
    const ENDLESS: u64 = u64::MAX;
}

/// Never [`Tenure::ENDED`].
fn nanos(moment: Duration) -> u64 {
    u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX).max(1)
}

/// A shard that is this worker's own.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The shard.
    pub shard: ShardId,
    /// Where delivery starts if there is no checkpoint.
    pub start: StartingPosition,
    /// Another worker is to have the shard: what is held is to be closed, nothing new begun, and
    /// then the shard [given up](Leases::give_up).
    pub leaving: bool,
    /// How long it is this worker's own.
    pub tenure: Tenure,
}

/// Which shards are whose.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// Takes notice of the shards that `stream` has; gives those that are this worker's to deliver
    /// now: its own, with more to come than their end, and with all parents done. `start` is where
    /// a consumer begins that has never been seen before.
    ///
    /// A shard that was given before and is not given now is lost: its delivery stops at once.
    async fn own(
        &self,
        consumer: &ConsumerName,
        stream: &StreamName,
        listed: &[Shard],
        start: StartingPosition,
    ) -> Result<Vec<Lease>, ProgressError>;

    /// Waits until [`own`](Self::own) may give another answer, or wants a newer list of shards.
    async fn changed(&self);

    /// Delivery of the shard has ended, with every position stored: others may have it.
    async fn give_up(&self, consumer: &ConsumerName, shard: &ShardAddress);

    /// Delivery ends: nothing more is to be taken until [`own`](Self::own) is asked again, and
    /// others may have at once whatever is not among the shards that are still `delivered`. Those
    /// are [given up](Self::give_up) one by one.
    async fn stop(&self, _consumer: &ConsumerName, _delivered: &[ShardId]) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenure_is_extended_but_never_shortened_and_never_comes_back() {
        let second = Duration::from_secs;
        let tenure = Tenure::until(second(10));
        let other = tenure.clone();
        assert!(tenure.holds(second(9)) && !tenure.holds(second(10)));
        other.extend(second(20));
        other.extend(second(15));
        assert!(tenure.holds(second(19)) && !tenure.holds(second(20)));
        other.end();
        other.extend(second(30));
        assert!(!tenure.holds(second(0)) && !tenure.holds(second(25)));
        assert!(Tenure::endless().is_endless() && !Tenure::until(second(10)).is_endless());
        assert!(Tenure::endless().holds(Duration::from_secs(u64::MAX / 1_000_000_000 - 1)));
    }
}
