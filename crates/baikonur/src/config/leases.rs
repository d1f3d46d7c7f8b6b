//! `[leases]`: how this process shares streams of Amazon Kinesis with other workers, by the names of the Kinesis Client
//! Library (`LeaseManagementConfig`).

use std::time::Duration;

use baikonur_leases::Settings;
use baikonur_modules::settings::keys_of;
use baikonur_stream::ConsumerName;
use serde::Deserialize;

use super::document::Section;
use super::mistake::Mistake;

/// Stands for the module's name in the name of a table.
const MODULE: &str = "{module}";

/// What `[leases]` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeasesConfig {
    /// With [`MODULE`] in it, unless one module alone has leases.
    table_name: String,
    /// None: a new name for each run.
    worker_identifier: Option<String>,
    /// Of the table; none: as for every Amazon SDK.
    pub(crate) region: Option<String>,
    /// Instead of Amazon DynamoDB.
    pub(crate) endpoint_url: Option<String>,
    failover_time: Duration,
    max_leases_for_worker: usize,
    max_leases_to_steal_at_one_time: usize,
    shard_sync_interval: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct LeasesKeys {
    table_name: String,
    worker_identifier: Option<String>,
    region: Option<String>,
    endpoint_url: Option<String>,
    failover_time_millis: u64,
    max_leases_for_worker: Option<usize>,
    max_leases_to_steal_at_one_time: usize,
    shard_sync_interval_millis: u64,
}

impl Default for LeasesKeys {
    fn default() -> Self {
        let settings = Settings::new("", "");
        let millis = |duration: Duration| duration.as_millis() as u64;
        Self {
            table_name: MODULE.to_owned(),
            worker_identifier: None,
            region: None,
            endpoint_url: None,
            failover_time_millis: millis(settings.failover_time),
            max_leases_for_worker: None,
            max_leases_to_steal_at_one_time: settings.max_leases_to_steal_at_one_time,
            shard_sync_interval_millis: millis(settings.shard_sync_interval),
        }
    }
}

impl LeasesConfig {
    /// The settings of a worker of `module`; `run` names this process and this run of it.
    pub(crate) fn settings(&self, module: &ConsumerName, run: &str) -> Settings {
        let table = self.table_name.replace(MODULE, module.as_str());
        Settings {
            failover_time: self.failover_time,
            max_leases_for_worker: self.max_leases_for_worker,
            max_leases_to_steal_at_one_time: self.max_leases_to_steal_at_one_time,
            shard_sync_interval: self.shard_sync_interval,
            ..Settings::new(&table, self.worker_identifier.as_deref().unwrap_or(run))
        }
    }
}

/// Reads the section; `modules` are those that have leases.
pub(super) fn read(
    mut section: Section<'_>,
    modules: &[ConsumerName],
    mistakes: &mut Vec<Mistake>,
) -> Option<LeasesConfig> {
    let known = keys_of::<LeasesKeys>();
    let keys: Option<LeasesKeys> = section.take(known, mistakes);
    section.refuse_the_rest(known, mistakes);
    let keys = keys?;
    if modules.len() > 1 && !keys.table_name.contains(MODULE) {
        mistakes.push(section.mistake(format_args!(
            "table_name: {} modules would share one table; write {MODULE} where the module's name belongs",
            modules.len()
        )));
    }
    let config = LeasesConfig {
        table_name: keys.table_name,
        worker_identifier: keys.worker_identifier,
        region: keys.region,
        endpoint_url: keys.endpoint_url,
        failover_time: Duration::from_millis(keys.failover_time_millis),
        max_leases_for_worker: keys.max_leases_for_worker.unwrap_or(usize::MAX),
        max_leases_to_steal_at_one_time: keys.max_leases_to_steal_at_one_time,
        shard_sync_interval: Duration::from_millis(keys.shard_sync_interval_millis),
    };
    for module in modules {
        if let Err(error) = config.settings(module, "worker").check() {
            mistakes.push(section.mistake(error));
            break;
        }
    }
    Some(config)
}
