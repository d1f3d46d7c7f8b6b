//! How a worker shares: the KCL's settings, by its names and with its defaults
//! (`LeaseManagementConfig`, 3.5.1).

use std::time::Duration;

/// Settings of a worker. All workers of a table must have the same failover time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `tableName`: the table, 3 to 255 characters of `[a-zA-Z0-9_.-]`; by default the name of the
    /// application.
    pub table_name: String,
    /// `workerIdentifier`: unique for each process and each of its runs.
    pub worker_identifier: String,
    /// `failoverTimeMillis`: a lease that was not renewed for this long may be taken by another
    /// worker; a worker that could not renew one stops just before. At least 500 ms, default 10 s.
    pub failover_time: Duration,
    /// `maxLeasesForWorker`: this worker takes no more than so many. Default: any number.
    pub max_leases_for_worker: usize,
    /// `maxLeasesToStealAtOneTime`: from another live worker, in one round. Default 1.
    pub max_leases_to_steal_at_one_time: usize,
    /// `shardSyncIntervalMillis`: how often the one worker whose turn it is compares the stream's
    /// shards with the leases. Default 60 s.
    pub shard_sync_interval: Duration,
}

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// The table's name.
    #[error(
        "table_name {0:?}: a table's name is 3 to 255 characters of a-z, A-Z, 0-9, '_', '.' and '-'"
    )]
    TableName(String),
    /// No name.
    #[error("worker_identifier is empty: each worker has a name of its own")]
    WorkerIdentifier,
    /// Too short a time.
    #[error("failover_time_millis is {0}: it is 500 at least, and 10000 if nothing is said")]
    FailoverTime(u128),
    /// None at all.
    #[error("max_leases_for_worker is 0: this worker would never do anything")]
    MaxLeases,
}

/// What is subtracted from and added to times so that clocks and calls have room (`epsilonMillis`).
pub(crate) const EPSILON: Duration = Duration::from_millis(25);

impl Settings {
    /// The defaults, for the worker of this name on the table of this name.
    pub fn new(table_name: &str, worker_identifier: &str) -> Self {
        Self {
            table_name: table_name.to_owned(),
            worker_identifier: worker_identifier.to_owned(),
            failover_time: Duration::from_secs(10),
            max_leases_for_worker: usize::MAX,
            max_leases_to_steal_at_one_time: 1,
            shard_sync_interval: Duration::from_secs(60),
        }
    }

    /// Looks for what cannot work.
    ///
    /// # Errors
    /// The first such setting.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        let name = &self.table_name;
        if !(3..=255).contains(&name.len()) || !name.bytes().all(legal) {
            return Err(InvalidSettings::TableName(name.clone()));
        }
        if self.worker_identifier.is_empty() {
            return Err(InvalidSettings::WorkerIdentifier);
        }
        if self.failover_time < Duration::from_millis(500) {
            return Err(InvalidSettings::FailoverTime(self.failover_time.as_millis()));
        }
        if self.max_leases_for_worker == 0 {
            return Err(InvalidSettings::MaxLeases);
        }
        Ok(())
    }

    /// Between renewals: failover/3 − ε.
    pub(crate) fn renewer_interval(&self) -> Duration {
        self.failover_time / 3 - EPSILON
    }

    /// Between two looks at the table: (failover + ε) × 2.
    pub(crate) fn taker_interval(&self) -> Duration {
        (self.failover_time + EPSILON) * 2
    }

    /// Between two looks for leases that a leader assigned: half of its interval of 2 × failover,
    /// less ε.
    pub(crate) fn discovery_interval(&self) -> Duration {
        self.failover_time - EPSILON
    }

    /// How long a lease is this worker's own after the beginning of a renewal that succeeded.
    pub(crate) fn tenure(&self) -> Duration {
        self.failover_time - EPSILON
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_kcl() {
        let settings = Settings::new("app", "me");
        assert_eq!(settings.check(), Ok(()));
        let millis = |duration: Duration| duration.as_millis();
        assert_eq!(millis(settings.renewer_interval()), 3308);
        assert_eq!(millis(settings.taker_interval()), 20_050);
        assert_eq!(millis(settings.discovery_interval()), 9975);
    }

    #[test]
    fn what_cannot_work_is_named() {
        let settings = Settings::new("app", "me");
        let tables = ["ab", "a b c", &"x".repeat(256)].map(|name| Settings::new(name, "me"));
        for settings in tables {
            assert!(matches!(settings.check(), Err(InvalidSettings::TableName(_))));
        }
        let failover_time = Duration::from_millis(499);
        for (settings, word) in [
            (Settings { failover_time, ..settings.clone() }, "failover_time_millis"),
            (Settings { max_leases_for_worker: 0, ..settings.clone() }, "max_leases_for_worker"),
            (Settings::new("app", ""), "worker_identifier"),
        ] {
            assert!(settings.check().unwrap_err().to_string().contains(word), "{word}");
        }
    }
}
