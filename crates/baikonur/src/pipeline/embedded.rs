//! Embedded streams: the engine in this process, and the contracts over it.

use std::sync::Arc;

use anyhow::Context;
use baikonur_api::Limits;
use baikonur_engine::{Engine, EngineSettings, Throughput};
use baikonur_mapping::MemoryBudget;
use baikonur_stream::Clock;
use tracing::{error, info, warn};

use super::{Source, StreamStore};
use crate::config::ServerConfig;

/// Opens the streams in the data directory, and tells what was found there.
pub(super) async fn open(server: &ServerConfig, clock: &Arc<dyn Clock>) -> anyhow::Result<Engine> {
    let settings = EngineSettings {
        durability: server.durability,
        throughput: match server.api.limits {
            Limits::Calls => Throughput::Unlimited,
            Limits::Aws => Throughput::Aws,
        },
        ..EngineSettings::new(&server.data)
    };
    let opening = {
        let clock = Arc::clone(clock);
        tokio::task::spawn_blocking(move || Engine::open(settings, clock))
    };
    let (engine, report) = opening.await.context("opening the streams broke off")??;
    if let Some(tail) = &report.torn_tail {
        warn!(%tail, "an unfinished end of the log was cut off; it was never acknowledged");
    }
    for segment in &report.rebuilt {
        warn!(%segment, "a footer was missing or broken and was written again");
    }
    for damage in &report.damaged {
        error!(%damage, "stored data is damaged; the rest stays readable");
    }
    info!(
        directory = %server.data.display(),
        segments = report.segments,
        closed_cleanly = report.closed_cleanly,
        "streams are open"
    );
    Ok(engine)
}

impl StreamStore {
    /// The contracts over an engine.
    pub(super) fn embedded(
        engine: &Engine,
        clock: Arc<dyn Clock>,
        memory: Arc<MemoryBudget>,
    ) -> Self {
        Self {
            source: Source::Embedded(Arc::new(engine.clone())),
            write: Arc::new(engine.clone()),
            administer: Arc::new(engine.clone()),
            progress: Arc::new(engine.clone()),
            leases: None,
            clock,
            memory,
        }
    }
}
