//! Who carries out what an operator asks of a running pipeline: by command, by SIGHUP, or by changing the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;
use tracing::{error, info, warn};

use super::StreamStore;
use super::mappings::{Directory, Mappings, Order, Outcome, order};
use super::streams::make_streams;
use crate::config::{CleanerConfig, Config, KinesisConfig, LeasesConfig, Overrides, ServerConfig};
use crate::control::{Answer, Question, Reply};

/// The file is looked at this often; a change counts once the file has stayed the same for as long.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Where the configuration came from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// None for the built-in one.
    pub(crate) file: Option<PathBuf>,
    /// What goes before the file.
    pub(crate) overrides: Overrides,
}

/// Carries out what is asked.
pub(super) struct Operator {
    pub(super) origin: Origin,
    /// As the pipeline was started with it.
    pub(super) server: ServerConfig,
    /// As the pipeline was started with it.
    pub(super) kinesis: Option<KinesisConfig>,
    /// As the pipeline was started with it.
    pub(super) leases: Option<LeasesConfig>,
    /// As the pipeline was started with it.
    pub(super) cleaners: Vec<CleanerConfig>,
    pub(super) streams: StreamStore,
    pub(super) directory: Directory,
    pub(super) mappings: Arc<Mutex<Mappings>>,
}

#[async_trait]
impl Answer for Operator {
    async fn answer(&self, question: Question) -> Reply {
        let outcome = match question {
            Question::Mappings => return Reply::Mappings(self.directory.report()),
            Question::Pause { module } => self.order(&module, Order::Pause).await,
            Question::Resume { module } => self.order(&module, Order::Resume).await,
            Question::Reset { module, shard, to } => {
                self.order(&module, Order::Reset { shard, to }).await
            }
            Question::Reload => self.reload().await,
        };
        match outcome {
            Ok(what) => Reply::Done(what),
            Err(why) => Reply::Refused(why),
        }
    }
}

impl Operator {
    async fn order(&self, module: &str, what: Order) -> Outcome {
        order(&self.directory.reach(module)?, what).await
    }

    /// Reads the configuration again and makes the pipeline what it says. One with mistakes changes nothing.
    async fn reload(&self) -> Outcome {
        let Some(file) = self.origin.file.clone() else {
            return Err(
                "the built-in configuration runs: there is no file to read again".to_owned()
            );
        };
        let overrides = self.origin.overrides.clone();
        let read = tokio::task::spawn_blocking(move || Config::load(&file, &overrides)).await;
        let config = match read {
            Ok(Ok(config)) => config,
            Ok(Err(error)) => return Err(format!("nothing was changed: {error:#}")),
            Err(error) => return Err(format!("nothing was changed: {error}")),
        };
        let mut done = Vec::new();
        let (server, kinesis, leases) = (&config.server, &config.kinesis, &config.leases);
        if (server, kinesis, leases) != (&self.server, &self.kinesis, &self.leases) {
            let what =
                "what changed in [server], [kinesis] and [leases] takes effect at the next start";
            warn!("{what}");
            done.push(what.to_owned());
        }
        if config.cleaners != self.cleaners {
            let what = "what changed in modules of type es-cleaner takes effect at the next start";
            warn!("{what}");
            done.push(what.to_owned());
        }
        let mut mappings = self.mappings.lock().await;
        let made =
            make_streams(&*self.streams.administer, self.kinesis.as_ref(), &config.streams).await;
        let made = made.map_err(|error| format!("nothing was changed: {error:#}"))?;
        done.extend(made.iter().map(|name| format!("stream {name} is made")));
        let (changed, failed) = mappings.become_those_of(&config.modules).await;
        done.extend(changed);
        if !failed.is_empty() {
            return Err([done, failed].concat().join("\n"));
        }
        if done.is_empty() {
            done.push("nothing has changed".to_owned());
        }
        Ok(done.join("\n"))
    }

    async fn reload_and_tell(&self, why: &str) {
        info!("the configuration is read again: {why}");
        match self.reload().await {
            Ok(what) => info!(what = what.replace('\n', "; "), "the configuration was read again"),
            Err(why) => error!("{why}"),
        }
    }

    /// Reloads at each SIGHUP and at each change of the file, until it is dropped.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut hang_up = match signal(SignalKind::hangup()) {
            Ok(hang_up) => hang_up,
            Err(error) => {
                warn!(%error, "SIGHUP cannot be noticed; the file is watched all the same");
                return self.watch_file().await;
            }
        };
        let by_signal = async {
            while hang_up.recv().await.is_some() {
                self.reload_and_tell("SIGHUP").await;
            }
        };
        tokio::join!(by_signal, self.watch_file());
    }

    async fn watch_file(&self) {
        let Some(file) = &self.origin.file else { return };
        let mut read = Stamp::of(file).await;
        let mut seen = read;
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let now = Stamp::of(file).await;
            // Half of a file may be a configuration, too: whoever writes it is given time.
            if now == seen && now != read && now.is_some() {
                read = now;
                self.reload_and_tell("the file has changed").await;
            }
            seen = now;
        }
    }
}

/// What tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    bytes: u64,
    file: u64,
}

impl Stamp {
    /// None while there is no file.
    async fn of(file: &Path) -> Option<Self> {
        let metadata = tokio::fs::metadata(file).await.ok()?;
        let modified = metadata.modified().ok()?;
        let file = std::os::unix::fs::MetadataExt::ino(&metadata);
        Some(Self { modified, bytes: metadata.len(), file })
    }
}
