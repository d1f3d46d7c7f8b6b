//! `baikonur streams autoscale`: the monitor, alone.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use baikonur_kinesis::AmazonKinesis;
use baikonur_scaling::autoscale::{CoolOffs, PercentRule};
use baikonur_stream::{Clock, SystemClock};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Place;
use crate::autoscale::{Streams, load, monitors};
use crate::observe::{self, LogFormat};

/// Scale streams by thresholds until a signal.
///
/// The file is that of amazon-kinesis-scaling-utils. Streams of Amazon are measured by CloudWatch, in the region that
/// each monitor names; those of an embedded server by its counters.
#[derive(Debug, clap::Args)]
pub(super) struct Autoscale {
    /// The configuration, a JSON array of monitors.
    #[arg(value_name = "CONFIG")]
    file: PathBuf,
    /// Only read the configuration, and tell its first mistake.
    #[arg(long)]
    check: bool,
    /// Compute scalePct as amazon-kinesis-scaling-utils does.
    #[arg(long)]
    compat: bool,
    /// Where to remember when streams were scaled [default: CONFIG with .state at its end].
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// What is logged: a level, or target=level with commas between.
    #[arg(long, env = "BAIKONUR_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
    /// How log lines look. They go to the standard error.
    #[arg(long, env = "BAIKONUR_LOG_FORMAT", value_enum, default_value = "auto")]
    log_format: LogFormat,
    #[command(flatten)]
    place: Place,
}

impl Autoscale {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let rule = if self.compat { PercentRule::Legacy } else { PercentRule::Plain };
        let configs = load(&self.file, rule)?;
        if self.check {
            let plural = if configs.len() == 1 { "" } else { "s" };
            println!("{} can be run: {} monitor{plural}", self.file.display(), configs.len());
            return Ok(ExitCode::SUCCESS);
        }
        observe::start_logging(self.log_format, &self.log)?;
        let mut interrupt = signal(SignalKind::interrupt()).context("Ctrl-C cannot be noticed")?;
        let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be noticed")?;
        let connection = self.place.connect().await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let streams = match self.place.aws {
            true => Streams::Amazon(Box::new(connection)),
            false => Streams::embedded(Arc::new(AmazonKinesis::new(&connection)), &clock),
        };
        let state = self.state.unwrap_or_else(|| {
            let mut path = self.file.into_os_string();
            path.push(".state");
            path.into()
        });
        let cool_offs = Arc::new(CoolOffs::open(state).await?);
        let (stop, stopping) = watch::channel(false);
        let mut running = JoinSet::new();
        for monitor in monitors(configs, &streams, cool_offs, &clock).await {
            running.spawn(monitor.run(stopping.clone()));
        }
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.send_replace(true);
        while running.join_next().await.is_some() {}
        Ok(ExitCode::SUCCESS)
    }
}
