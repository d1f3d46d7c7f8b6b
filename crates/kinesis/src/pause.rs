//! How long to wait after refusals in a row: a bound that doubles, and a random part of it.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Bounds of the pauses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pauses {
    /// After the first refusal.
    pub(crate) first: Duration,
    /// From here on the bound stops growing.
    pub(crate) longest: Duration,
}

impl Pauses {
    /// The pause after this many refusals in a row: at least half of the bound, so that nobody is
    /// asked in a busy loop, and never the same for all who were refused together.
    pub(crate) fn after(self, refusals: u32) -> Duration {
        let doublings = refusals.saturating_sub(1).min(16);
        let bound = self.first.saturating_mul(1 << doublings).min(self.longest);
        // Each of these states has keys of its own.
        let random = RandomState::new().hash_one(refusals) as f64 / u64::MAX as f64;
        bound.mul_f64(0.5 + 0.5 * random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest() {
        let pauses = Pauses { first: Duration::from_millis(100), longest: Duration::from_secs(5) };
        for refusals in 1..40u32 {
            let bound = Duration::from_millis(100 << (refusals - 1).min(10)).min(pauses.longest);
            let pause = pauses.after(refusals);
            assert!(pause <= bound && pause >= bound / 2, "{refusals}: {pause:?} of {bound:?}");
        }
    }
}
