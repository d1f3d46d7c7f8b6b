//! How long an answer waits for its client: a minute, and longer for one that goes on taking it.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::ANSWER_RATE_MIN;

/// What is left of the time in which a client may let an answer wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    most: Duration,
    left: Duration,
    /// Since when something waits.
    since: Option<Instant>,
}

impl Patience {
    /// A client may let wait for `most` what it then begins to take.
    pub(crate) fn new(most: Duration) -> Self {
        Self { most, left: most, since: None }
    }

    /// Something waits at `now`. Gives when that has to end.
    pub(crate) fn waits(&mut self, now: Instant) -> Instant {
        *self.since.get_or_insert(now) + self.left
    }

    /// Nothing waits any more, for the client took `bytes` at `now`.
    pub(crate) fn took(&mut self, bytes: usize, now: Instant) {
        if let Some(since) = self.since.take() {
            self.left = self.left.saturating_sub(now - since);
        }
        let earned = Duration::from_secs_f64(bytes as f64 / ANSWER_RATE_MIN as f64);
        self.left = (self.left + earned).min(self.most);
    }

    /// When it ends, if something waits.
    pub(crate) fn end(&self) -> Option<Instant> {
        Some(self.since? + self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_earns_time_by_what_it_takes() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let mut patience = Patience::new(60 * second);
        assert_eq!(patience.end(), None);
        assert_eq!(patience.waits(start), start + 60 * second);
        assert_eq!(patience.waits(start + 20 * second), start + 60 * second, "it has waited");
        patience.took(5 * ANSWER_RATE_MIN, start + 20 * second);
        assert_eq!(patience.end(), None);
        assert_eq!(patience.waits(start + 30 * second), start + 75 * second);
        patience.took(1, start + 74 * second);
        let end = patience.waits(start + 74 * second);
        assert!(end < start + 76 * second, "a byte a minute is too little");
        patience.took(1 << 30, start + 75 * second);
        assert_eq!(
            patience.waits(start + 75 * second),
            start + 135 * second,
            "no more than at first"
        );
    }
}
