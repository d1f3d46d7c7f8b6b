//! Pauses between retries: capped exponential with full jitter, from a seed.

use std::time::Duration;

/// The pauses of one shard.
#[derive(Debug)]
pub(crate) struct Backoff {
    initial: Duration,
    maximum: Duration,
    failures: u32,
    seed: u64,
}

impl Backoff {
    pub(crate) fn new(initial: Duration, maximum: Duration, seed: u64) -> Self {
        Self { initial, maximum, failures: 0, seed }
    }

    /// Something went well: the next failure waits briefly again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        let bound = self.initial.saturating_mul(1 << self.failures.min(20)).min(self.maximum);
        self.failures = self.failures.saturating_add(1);
        // At least a tenth, so that jitter never turns a failing destination into a busy loop.
        bound.mul_f64(0.1 + 0.9 * self.random())
    }

    /// SplitMix64, scaled to 0..1: good enough to spread retries, and replayable.
    fn random(&mut self) -> f64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) as f64 / u64::MAX as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_maximum_and_start_over_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30), 7);
        for failure in 0..40u32 {
            let bound =
                Duration::from_millis(500 * (1 << failure.min(10))).min(Duration::from_secs(30));
            let pause = backoff.next();
            assert!(pause <= bound && pause >= bound / 10, "{failure}: {pause:?} of {bound:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(500));
    }
}
