//! One budget of memory for the objects of all shards, and one for what is made of them to be written.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What all shards together may hold.
#[derive(Debug)]
pub(super) struct Budget {
    bytes_max: usize,
    used: AtomicUsize,
}

impl Budget {
    pub(super) fn new(bytes_max: u64) -> Arc<Self> {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        Arc::new(Self { bytes_max, used: AtomicUsize::new(0) })
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// What one shard holds of it; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    pub(super) fn of(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), bytes: 0 }
    }

    /// The shard holds `bytes` now.
    pub(super) fn set(&mut self, bytes: usize) {
        let used = &self.budget.used;
        if bytes >= self.bytes {
            used.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else {
            used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }

    /// Whether all shards together hold more than they may.
    pub(super) fn is_exceeded(&self) -> bool {
        self.budget.used.load(Ordering::Relaxed) > self.budget.bytes_max
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Room for files that are made, or unpacked, until they are written.
#[derive(Debug)]
pub(super) struct Room {
    kib: Arc<Semaphore>,
    kib_max: u32,
}

impl Room {
    pub(super) fn new(bytes_max: u64) -> Self {
        let most = Semaphore::MAX_PERMITS.min(u32::MAX as usize);
        let kib_max = usize::try_from(bytes_max / 1024).unwrap_or(most).clamp(1, most);
        let kib = Arc::new(Semaphore::new(kib_max));
        Self { kib, kib_max: u32::try_from(kib_max).unwrap_or(u32::MAX) }
    }

    /// Waits for room of so many bytes; what is larger than all of it waits for all of it. None when none is needed.
    pub(super) async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).min(self.kib_max);
        if kib == 0 {
            return None;
        }
        Arc::clone(&self.kib).acquire_many_owned(kib).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn shares_add_up_and_are_given_back() {
        let budget = Budget::new(100);
        let (mut one, mut two) = (Share::of(&budget), Share::of(&budget));
        one.set(60);
        two.set(40);
        assert!(!one.is_exceeded());
        two.set(41);
        assert!(one.is_exceeded() && two.is_exceeded());
        one.set(10);
        assert!(!two.is_exceeded());
        one.set(200);
        drop(one);
        assert!(!two.is_exceeded());
    }

    #[test]
    fn files_wait_until_there_is_room_for_them() {
        let room = Room::new(100 << 10);
        let take = |bytes: usize| room.take(bytes).now_or_never();
        let first = take(60 << 10).expect("there is room");
        assert!(take(41 << 10).is_none() && take(1 << 40).is_none());
        assert!(matches!(take(0), Some(None)));
        let second = take(40 << 10).expect("there is room");
        drop((first, second));
        let all = take(1 << 40).expect("what is too large gets all");
        assert!(take(1).is_none());
        drop(all);
        assert!(take(1).is_some());
    }
}
