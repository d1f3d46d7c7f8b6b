//! What deletes old indices of clusters while a pipeline runs.

use std::sync::Arc;

use anyhow::Context;
use baikonur_modules::es_cleaner::Cleaner;
use baikonur_stream::{Clock, ConsumerName};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::CleanerConfig;

/// The cleaners that the configuration asks for. Nothing is contacted yet.
///
/// # Errors
/// Settings that cannot work.
pub(super) fn configured(
    configs: &[CleanerConfig],
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Vec<(ConsumerName, Cleaner)>> {
    let enabled = configs.iter().filter(|config| config.enabled);
    let cleaner = |config: &CleanerConfig| {
        let amazon = baikonur_assembly::for_cluster(&config.settings.cluster);
        let cleaner = Cleaner::new(config.settings.clone(), Arc::clone(clock), amazon);
        let cleaner =
            cleaner.with_context(|| format!("module {} cannot be set up", config.name))?;
        Ok((config.name.clone(), cleaner))
    };
    enabled.map(cleaner).collect()
}

/// Starts them, until `draining`.
pub(super) fn start(
    cleaners: Vec<(ConsumerName, Cleaner)>,
    draining: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut running = JoinSet::new();
    for (name, cleaner) in cleaners {
        running.spawn(cleaner.run(name, draining.clone()));
    }
    running
}
