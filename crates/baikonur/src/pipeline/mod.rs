//! A configuration, running: the embedded streams and the API over them, or streams on Amazon Kinesis; and an event
//! source mapping for each module.

mod embedded;
mod kinesis;
mod leases;
mod modules;
mod pages;
mod scaling;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use baikonur_api::{Certificates, Server, Streams};
use baikonur_engine::Engine;
use baikonur_kinesis::Connection;
use baikonur_scaling::autoscale::Monitor;
use baikonur_stream::{
    Administer, AdministerError, Clock, CreateStream, Progress, Read, StreamName, SystemClock,
    Write,
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::config::{Config, ModuleConfig};
use leases::LeaseTables;
use pages::OperatorPages;

/// The contracts that a pipeline stands on; what is behind them is chosen in [`Pipeline::open`] and nowhere else.
struct StreamStore {
    source: Source,
    write: Arc<dyn Write>,
    administer: Arc<dyn Administer>,
    progress: Arc<dyn Progress>,
    /// Instead of `progress`, where other processes read the same streams.
    leases: Option<LeaseTables>,
    clock: Arc<dyn Clock>,
}

/// Where modules read.
enum Source {
    /// All in the same way.
    Embedded(Arc<dyn Read>),
    /// Each in its own, over a connection of all.
    Kinesis(Box<Connection>),
}

/// How often histograms are drained into their buckets.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// A pipeline whose streams are open and whose server listens; nothing is delivered yet.
pub(crate) struct Pipeline {
    config: Config,
    /// None where the streams are not embedded ones.
    engine: Option<Engine>,
    streams: StreamStore,
    server: Server,
    authority: Option<PathBuf>,
    metrics: PrometheusHandle,
    monitors: Vec<Monitor>,
}

impl Pipeline {
    /// Listens, opens the streams, and makes those that are missing.
    pub(crate) async fn open(config: Config, metrics: PrometheusHandle) -> anyhow::Result<Self> {
        // First what fails at once: recovery may take a while.
        let server = Server::bind(config.server.api.clone()).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (streams, engine) = match &config.kinesis {
            None => {
                let engine = embedded::open(&config.server, &clock).await?;
                (StreamStore::embedded(&engine, clock), Some(engine))
            }
            Some(kinesis) => (kinesis::open(kinesis, &config, clock).await?, None),
        };
        // The data directory is this process's own now: what is made in it stays.
        let (server, authority) = match &config.server.tls {
            None => (server, None),
            Some(tls) => {
                let certificates = Certificates::open(tls).context("TLS cannot be spoken")?;
                let authority = certificates.authority().map(Path::to_owned);
                if let Some(authority) = &authority {
                    info!(authority = %authority.display(), "TLS with a generated certificate: clients trust it by this file");
                }
                (server.with_tls(certificates), authority)
            }
        };
        let monitors = scaling::configured_monitors(&config.server, &streams).await?;
        let pipeline = Self { config, engine, streams, server, authority, metrics, monitors };
        pipeline.make_streams().await?;
        Ok(pipeline)
    }

    /// Where the server listens.
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.server.local_addr()
    }

    /// The certificate that clients must trust, if it is one of the server's own making.
    pub(crate) fn authority(&self) -> Option<&Path> {
        self.authority.as_deref()
    }

    /// What runs.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    async fn make_streams(&self) -> anyhow::Result<()> {
        if self.config.kinesis.as_ref().is_some_and(|kinesis| !kinesis.create_streams) {
            return self.expect_streams().await;
        }
        for stream in &self.config.streams {
            let request = CreateStream {
                name: stream.name.clone(),
                shard_count: stream.shards,
                properties: stream.properties.clone(),
            };
            let administer = &self.streams.administer;
            let made = match &self.config.kinesis {
                None => administer.create_stream(request).await,
                Some(_) => kinesis::make_stream(&**administer, request).await,
            };
            match made {
                Ok(()) => info!(stream = %stream.name, shards = stream.shards, "stream made"),
                Err(AdministerError::StreamExists(name)) => self.tell_differences(&name).await?,
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("cannot make stream {}", stream.name));
                }
            }
        }
        Ok(())
    }

    /// On Amazon a stream costs money: one that is missing is made only where that is asked for.
    async fn expect_streams(&self) -> anyhow::Result<()> {
        for stream in &self.config.streams {
            match self.streams.administer.describe_stream(&stream.name).await {
                Ok(_) => {}
                Err(error @ AdministerError::StreamNotFound(_)) => {
                    return Err(error).context(
                        "make it, correct its name, or set create_streams = true in [kinesis]",
                    );
                }
                Err(error) => {
                    // Nothing is wrong with the configuration: modules try until the service is there.
                    warn!(stream = %stream.name, %error, "whether the stream exists is not known");
                }
            }
        }
        Ok(())
    }

    /// An existing stream is never changed by the file; whoever expects that is told.
    async fn tell_differences(&self, name: &StreamName) -> anyhow::Result<()> {
        let found = self.streams.administer.describe_stream(name).await?;
        let Some(asked) = self.config.streams.iter().find(|stream| stream.name == *name) else {
            return Ok(());
        };
        let open = found.open_shards().count();
        if open != asked.shards as usize {
            warn!(stream = %name, open, configured = asked.shards, "the stream exists with another number of shards and is left as it is");
        }
        let (found, asked) = (found.properties.retention, asked.properties.retention);
        if found != asked {
            warn!(stream = %name, hours = found.hours(), configured = asked.hours(), "the stream exists with another retention period and is left as it is");
        }
        Ok(())
    }

    /// Runs until `stop` is done, then answers what is under way, writes what is held, stores every position, and
    /// closes the streams. True when all of that was done within the time for draining.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<bool> {
        let Self { config, engine, streams, server, authority: _, metrics, monitors } = self;
        let (drain, draining) = watch::channel(false);
        let mut mappings = start_mappings(&config, &streams, &draining)?;
        let mut scaling = scaling::start(monitors, &streams, &draining);
        let StreamStore { source, write, administer, progress: _, leases: _, clock } = streams;
        let upkeep = tokio::spawn({
            let metrics = metrics.clone();
            async move {
                loop {
                    tokio::time::sleep(METRICS_UPKEEP).await;
                    metrics.run_upkeep();
                }
            }
        });
        let pages = Arc::new(OperatorPages::new(engine.clone(), metrics, draining.clone()));
        let mut stopped = draining;
        let stopped = async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        let serving = match source {
            Source::Embedded(read) => {
                let streams = Streams { read, write, administer, clock };
                tokio::spawn(server.run(streams, pages, stopped))
            }
            Source::Kinesis(_) => tokio::spawn(server.run_pages(pages, stopped)),
        };
        stop.await;
        info!(within = ?config.server.drain, "stopping: what is held is written, every position is stored");
        drain.send_replace(true);
        let drained = tokio::time::timeout(config.server.drain, async {
            while let Some(ended) = mappings.join_next().await {
                if let Err(error) = ended {
                    error!(%error, "a mapping broke off");
                }
            }
            let _ = serving.await;
            while scaling.join_next().await.is_some() {}
        })
        .await
        .is_ok();
        if !drained {
            warn!(
                modules = mappings.len(),
                "not everything could be written in time; it is delivered after the next start"
            );
            mappings.shutdown().await;
        }
        scaling.shutdown().await;
        upkeep.abort();
        if let Some(engine) = engine {
            engine.close().await;
        }
        info!("stopped");
        Ok(drained)
    }
}

/// Starts the mapping of each module that is enabled.
fn start_mappings(
    config: &Config,
    streams: &StreamStore,
    draining: &watch::Receiver<bool>,
) -> anyhow::Result<JoinSet<()>> {
    let mut mappings = JoinSet::new();
    for module in config.modules.iter().filter(|module| module.enabled) {
        let ModuleConfig { name, source, .. } = module;
        let mapping = modules::mapping(module, &config.server.data, streams)
            .with_context(|| format!("module {name} cannot be set up"))?;
        info!(module = %name, kind = module.kind.name(), %source, destination = module.kind.destination(), "module starts");
        mappings.spawn(mapping.run(draining.clone()));
    }
    Ok(mappings)
}
