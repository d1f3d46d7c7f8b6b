//! What Amazon lets be done to a stream in a day, where a store is told to limit it as Amazon does.

use std::collections::BTreeMap;
use std::time::Duration;

use baikonur_stream::{AdministerError, Timestamp};
use serde::{Deserialize, Serialize};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// An operation with a quota for 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum DailyOperation {
    UpdateShardCount,
    UpdateStreamMode,
    StartStreamEncryption,
    StopStreamEncryption,
}

impl DailyOperation {
    /// Its name, and how often a stream may have it in 24 hours (quotas page and API text).
    const fn quota(self) -> (&'static str, usize) {
        match self {
            Self::UpdateShardCount => ("UpdateShardCount", 10),
            Self::UpdateStreamMode => ("UpdateStreamMode", 2),
            Self::StartStreamEncryption => ("StartStreamEncryption", 25),
            Self::StopStreamEncryption => ("StopStreamEncryption", 25),
        }
    }
}

/// When a stream had such operations within the last 24 hours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct RecentCalls(BTreeMap<DailyOperation, Vec<Timestamp>>);

impl RecentCalls {
    /// Whether there were none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Remembers a call at `now`, or refuses it.
    pub(crate) fn note(
        &mut self,
        operation: DailyOperation,
        now: Timestamp,
    ) -> Result<(), AdministerError> {
        let (name, limit) = operation.quota();
        let calls = self.0.entry(operation).or_default();
        // By a clock that was set back a call would stay for as long as that lay ahead.
        calls.retain(|at| *at <= now && now.since(*at) < DAY);
        if calls.len() >= limit {
            return Err(AdministerError::DailyLimit { operation: name, limit });
        }
        calls.push(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_call_within_a_day_is_refused_until_the_first_is_a_day_old() {
        let at = |minutes: u64| Timestamp::from_seconds(60 * minutes);
        let mut calls = RecentCalls::default();
        let operation = DailyOperation::UpdateShardCount;
        for minutes in 100..110 {
            assert_eq!(calls.note(operation, at(minutes)), Ok(()));
        }
        let refused = Err(AdministerError::DailyLimit { operation: "UpdateShardCount", limit: 10 });
        assert_eq!(calls.note(operation, at(110)), refused);
        assert_eq!(calls.note(DailyOperation::UpdateStreamMode, at(110)), Ok(()));
        assert_eq!(calls.note(operation, at(100 + 24 * 60 - 1)), refused);
        assert_eq!(calls.note(operation, at(100 + 24 * 60)), Ok(()));
        assert_eq!(calls.note(operation, at(100 + 24 * 60)), refused);
        assert_eq!(calls.note(operation, at(50)), Ok(()), "the clock was set back");
    }
}
