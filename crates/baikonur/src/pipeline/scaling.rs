//! What changes the number of shards while a pipeline runs: the load of on-demand streams, and the monitor.

use std::sync::Arc;

use anyhow::Context;
use baikonur_scaling::autoscale::{CoolOffs, Monitor};
use baikonur_scaling::on_demand::FollowLoad;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Source, StreamStore};
use crate::autoscale::{Streams, load, monitors};
use crate::config::ServerConfig;

/// When the monitor scaled which stream, in the data directory.
const STATE_FILE: &str = "autoscale.json";

/// The monitors that the configuration asks for. Nothing is contacted yet.
pub(super) async fn configured_monitors(
    server: &ServerConfig,
    streams: &StreamStore,
) -> anyhow::Result<Vec<Monitor>> {
    let Some(file) = &server.autoscale else { return Ok(Vec::new()) };
    let configs = load(file, server.autoscale_rule)?;
    let cool_offs = CoolOffs::open(server.data.join(STATE_FILE)).await;
    let cool_offs = Arc::new(cool_offs.context("autoscaling cannot start")?);
    let measured = match &streams.source {
        Source::Kinesis(connection) if connection.is_to_amazon() => {
            Streams::Amazon(connection.clone())
        }
        _ => Streams::embedded(Arc::clone(&streams.administer), &streams.clock),
    };
    Ok(monitors(configs, &measured, cool_offs, &streams.clock).await)
}

/// Starts the monitors, and lets on-demand streams follow their load.
pub(super) fn start(
    monitors: Vec<Monitor>,
    streams: &StreamStore,
    draining: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut running = JoinSet::new();
    // Elsewhere the service follows the load itself.
    if let Source::Embedded(_) = streams.source {
        let (administer, clock) = (Arc::clone(&streams.administer), Arc::clone(&streams.clock));
        let on_demand = FollowLoad::new(administer, clock);
        running.spawn(on_demand.run(draining.clone()));
    }
    for monitor in monitors {
        running.spawn(monitor.run(draining.clone()));
    }
    running
}
