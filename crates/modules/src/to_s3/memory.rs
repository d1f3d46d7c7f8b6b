//! One budget of memory for the objects of all shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

#[cfg(test)]
mod tests {
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
}
