//! How much may be in memory between reading and acknowledgement: one budget for the process, a part
//! of it for each mapping, and a share of that for each shard.
//!
//! On both levels half of the whole is guaranteed, in equal parts, and the other half is for whoever
//! comes first. So a mapping whose destination is down fills its own part and the common half, and
//! finds no way into what is guaranteed to the others; and the same holds for a shard that is stuck
//! beside other shards of its mapping.
//!
//! Room is asked for before a read, which is then made no larger. Only one thing goes beyond the
//! budget: a shard that holds nothing may read one record, so that none ever waits for good.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A whole that members share.
#[derive(Debug)]
struct Pool {
    bytes: usize,
    members: usize,
    used: usize,
    /// What is used of the half that is for whoever comes first.
    common: usize,
}

/// What a member of a pool uses.
#[derive(Debug, Default)]
struct Part {
    /// Of what is guaranteed to it.
    own: usize,
    common: usize,
}

impl Pool {
    fn new(bytes: usize) -> Self {
        Self { bytes, members: 0, used: 0, common: 0 }
    }

    fn guaranteed(&self) -> usize {
        self.bytes / 2 / self.members.max(1)
    }

    fn left(&self, part: &Part) -> usize {
        let own = self.guaranteed().saturating_sub(part.own);
        let common = (self.bytes / 2).saturating_sub(self.common);
        // When members came later, others may still use what was theirs alone.
        (own + common).min(self.bytes.saturating_sub(self.used))
    }

    /// Notes that `part` uses `bytes` more, its own first.
    fn grow(&mut self, part: &mut Part, bytes: usize) {
        let own = bytes.min(self.guaranteed().saturating_sub(part.own));
        part.own += own;
        part.common += bytes - own;
        self.common += bytes - own;
        self.used += bytes;
    }

    /// Notes that `part` uses `bytes` less, the common ones first.
    fn shrink(&mut self, part: &mut Part, bytes: usize) {
        let common = bytes.min(part.common);
        part.common -= common;
        part.own = part.own.saturating_sub(bytes - common);
        self.common -= common;
        self.used = self.used.saturating_sub(bytes);
    }
}

/// The budget of a process, shared by all its mappings.
#[derive(Debug)]
pub struct MemoryBudget(Mutex<Pool>);

impl MemoryBudget {
    /// A budget of `bytes`: payloads and partition keys of records that were read and are not yet
    /// acknowledged.
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Pool::new(bytes))))
    }

    /// The part of a mapping, which uses at most `bytes` itself.
    pub(crate) fn mapping(self: &Arc<Self>, bytes: usize) -> Arc<MappingBudget> {
        lock(&self.0).members += 1;
        let state = Mutex::new((Pool::new(bytes), Part::default()));
        Arc::new(MappingBudget { process: Arc::clone(self), state })
    }
}

/// What a mapping may use: its own limit, and its part of the process's budget.
#[derive(Debug)]
pub(crate) struct MappingBudget {
    process: Arc<MemoryBudget>,
    state: Mutex<(Pool, Part)>,
}

impl MappingBudget {
    /// The share of one more shard.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        lock(&self.state).0.members += 1;
        Share { mapping: Arc::clone(self), part: Part::default() }
    }
}

impl Drop for MappingBudget {
    fn drop(&mut self) {
        // Its shares are gone, and with them all that was used.
        lock(&self.process.0).members -= 1;
    }
}

/// What a shard uses; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    mapping: Arc<MappingBudget>,
    part: Part,
}

impl Share {
    /// Bytes that the shard may use beside those that it uses.
    pub(crate) fn left(&self) -> usize {
        let state = lock(&self.mapping.state);
        let process = lock(&self.mapping.process.0);
        state.0.left(&self.part).min(process.left(&state.1))
    }

    /// Takes as many of `bytes` as there are left; how many.
    pub(crate) fn reserve(&mut self, bytes: usize) -> usize {
        let mut state = lock(&self.mapping.state);
        let mut process = lock(&self.mapping.process.0);
        let (pool, part) = &mut *state;
        let bytes = bytes.min(pool.left(&self.part)).min(process.left(part));
        pool.grow(&mut self.part, bytes);
        process.grow(part, bytes);
        bytes
    }

    /// The shard uses `bytes`, whatever was reserved.
    pub(crate) fn set(&mut self, bytes: usize) {
        let used = self.part.own + self.part.common;
        if bytes == used {
            return;
        }
        let mut state = lock(&self.mapping.state);
        let mut process = lock(&self.mapping.process.0);
        let (pool, part) = &mut *state;
        if bytes > used {
            pool.grow(&mut self.part, bytes - used);
            process.grow(part, bytes - used);
        } else {
            pool.shrink(&mut self.part, used - bytes);
            process.shrink(part, used - bytes);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
        lock(&self.mapping.state).0.members -= 1;
    }
}

/// Numbers stay true whatever happened to their last user.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    #[test]
    fn a_mapping_that_is_stuck_leaves_the_others_what_is_guaranteed_to_them() {
        let process = MemoryBudget::new(400 * KIB);
        let (stuck, other) = (process.mapping(1000 * KIB), process.mapping(1000 * KIB));
        let (mut stuck, mut other) = (stuck.share(), other.share());
        // A quarter is its own, half is common.
        assert_eq!(stuck.reserve(1000 * KIB), 300 * KIB);
        assert_eq!(stuck.left(), 0);
        assert_eq!(other.left(), 100 * KIB);
        assert_eq!(other.reserve(1000 * KIB), 100 * KIB);
        assert_eq!(other.left(), 0);
        // What is given back is common again.
        stuck.set(200 * KIB);
        assert_eq!(other.left(), 100 * KIB);
    }

    #[test]
    fn a_shard_that_is_stuck_leaves_the_others_of_its_mapping_their_part() {
        let process = MemoryBudget::new(4000 * KIB);
        let mapping = process.mapping(400 * KIB);
        let (mut stuck, mut other) = (mapping.share(), mapping.share());
        assert_eq!(stuck.reserve(1000 * KIB), 300 * KIB);
        assert_eq!(other.reserve(1000 * KIB), 100 * KIB);
    }

    #[test]
    fn one_record_may_go_beyond_the_budget_and_is_counted() {
        let process = MemoryBudget::new(4 * KIB);
        let mapping = process.mapping(4 * KIB);
        let (mut one, mut other) = (mapping.share(), mapping.share());
        one.set(9 * KIB);
        assert_eq!((one.left(), other.left()), (0, 0), "nothing is left for anybody");
        assert_eq!(other.reserve(KIB), 0);
        one.set(KIB);
        assert_eq!(other.reserve(KIB), KIB);
    }

    #[test]
    fn everything_comes_back_whoever_goes_first() {
        let process = MemoryBudget::new(400 * KIB);
        let mapping = process.mapping(200 * KIB);
        let mut one = mapping.share();
        one.reserve(150 * KIB);
        let mut two = mapping.share();
        two.set(120 * KIB);
        drop(one);
        drop(two);
        drop(mapping);
        let pool = lock(&process.0);
        assert_eq!((pool.used, pool.common, pool.members), (0, 0, 0));
    }
}
