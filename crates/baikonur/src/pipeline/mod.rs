//! A configuration, running: the embedded streams and the API over them, or streams on Amazon Kinesis; and an event
//! source mapping for each module.

mod cleaners;
mod embedded;
mod kinesis;
mod leases;
mod mappings;
mod modules;
mod on_failure;
mod operator;
mod pages;
mod redelivery;
mod scaling;
mod streams;
mod targets;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use baikonur_api::{Certificates, Server, Streams};
use baikonur_engine::Engine;
use baikonur_kinesis::Connection;
use baikonur_mapping::MemoryBudget;
use baikonur_modules::es_cleaner::Cleaner;
use baikonur_scaling::autoscale::Monitor;
use baikonur_stream::{Administer, Clock, ConsumerName, Progress, Read, SystemClock, Write};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{Mutex, watch};
use tracing::{info, warn};

use crate::config::{Config, Consumption};
use crate::control::{self, Listening};
use leases::LeaseTables;
use mappings::{Ground, Mappings};
pub(crate) use modules::destination;
use operator::Operator;
pub(crate) use operator::Origin;
use pages::OperatorPages;

/// The contracts that a pipeline stands on; what is behind them is chosen in [`Pipeline::open`] and nowhere else.
#[derive(Clone)]
struct StreamStore {
    source: Source,
    write: Arc<dyn Write>,
    administer: Arc<dyn Administer>,
    progress: Arc<dyn Progress>,
    /// Instead of `progress`, where other processes read the same streams.
    leases: Option<Arc<LeaseTables>>,
    clock: Arc<dyn Clock>,
    /// For all mappings together.
    memory: Arc<MemoryBudget>,
}

/// Where modules read.
#[derive(Clone)]
enum Source {
    /// All in the same way.
    Embedded(Arc<dyn Read>),
    /// Each in its own, over a connection of all.
    Kinesis(Box<Connection>),
}

impl StreamStore {
    /// A reader that belongs to no module.
    fn reader(&self) -> Arc<dyn Read> {
        match &self.source {
            Source::Embedded(read) => Arc::clone(read),
            Source::Kinesis(connection) => {
                kinesis::reader(connection, &Consumption::Polling, &self.clock)
            }
        }
    }
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
    cleaners: Vec<(ConsumerName, Cleaner)>,
    listening: Listening,
}

impl Pipeline {
    /// Listens, opens the streams, and makes those that are missing.
    pub(crate) async fn open(config: Config, metrics: PrometheusHandle) -> anyhow::Result<Self> {
        // First what fails at once: recovery may take a while.
        let server = Server::bind(config.server.api.clone()).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let memory = usize::try_from(config.server.in_flight_bytes).unwrap_or(usize::MAX);
        let memory = MemoryBudget::new(memory);
        let (streams, engine) = match &config.kinesis {
            None => {
                let engine = embedded::open(&config.server, &clock).await?;
                (StreamStore::embedded(&engine, clock, memory), Some(engine))
            }
            Some(kinesis) => (kinesis::open(kinesis, &config, clock, memory).await?, None),
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
        let cleaners = cleaners::configured(&config.cleaners, &streams.clock)?;
        streams::make_streams(&*streams.administer, config.kinesis.as_ref(), &config.streams)
            .await?;
        let listening = Listening::bind(&config.server.data);
        let listening = listening.context("`baikonur mappings` could not be answered")?;
        Ok(Self {
            config,
            engine,
            streams,
            server,
            authority,
            metrics,
            monitors,
            cleaners,
            listening,
        })
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

    /// Runs until `stop` is done, then answers what is under way, writes what is held, stores every position, and
    /// closes the streams. True when all of that was done within the time for draining.
    ///
    /// Meanwhile it follows its configuration, which came from `origin`, and does what operators ask for.
    pub(crate) async fn run(
        self,
        origin: Origin,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<bool> {
        let Self {
            config, engine, streams, server, metrics, monitors, cleaners, listening, ..
        } = self;
        let (drain, draining) = watch::channel(false);
        let ground = Ground { streams: streams.clone(), server: config.server.clone() };
        let mut mappings = Mappings::new(ground, draining.clone()).await?;
        for module in config.modules {
            mappings.add(module).await?;
        }
        let directory = mappings.directory();
        let mappings = Arc::new(Mutex::new(mappings));
        let operator = Arc::new(Operator {
            origin,
            server: config.server.clone(),
            kinesis: config.kinesis.clone(),
            leases: config.leases.clone(),
            cleaners: config.cleaners,
            streams: streams.clone(),
            directory,
            mappings: Arc::clone(&mappings),
        });
        let answering = tokio::spawn(control::serve(listening, Arc::<Operator>::clone(&operator)));
        let watching = tokio::spawn(operator.watch());
        let mut scaling = scaling::start(monitors, &streams, &draining);
        let mut cleaning = cleaners::start(cleaners, &draining);
        let StreamStore { source, write, administer, clock, .. } = streams;
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
        watching.abort();
        let drained = tokio::time::timeout(config.server.drain, async {
            // A change under way ends soon: each mapping that it waits for drains as well.
            mappings.lock().await.drained().await;
            let _ = serving.await;
            while scaling.join_next().await.is_some() {}
            while cleaning.join_next().await.is_some() {}
        })
        .await
        .is_ok();
        if !drained {
            warn!("not everything could be written in time; it is delivered after the next start");
            // Held by a change that hangs: its mappings end with the process.
            if let Ok(mut mappings) = mappings.try_lock() {
                mappings.shutdown().await;
            }
        }
        answering.abort();
        scaling.shutdown().await;
        cleaning.shutdown().await;
        upkeep.abort();
        if let Some(engine) = engine {
            engine.close().await;
        }
        info!("stopped");
        Ok(drained)
    }
}
