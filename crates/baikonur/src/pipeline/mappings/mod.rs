//! All mappings of a pipeline: one keeper each, what operators ask of them, and a configuration that changes.

mod keeper;
mod position;
mod remembered;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use baikonur_mapping::{Mapping, ShardState, ShardStatus};
use baikonur_stream::ConsumerName;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::{error, info};

use super::StreamStore;
use super::redelivery::Resets;
use crate::config::{ModuleConfig, ServerConfig};
use crate::control::{MappingReport, ShardReport};
use keeper::{Keeper, View};
pub(super) use keeper::{Order, Outcome, Sent};
use remembered::Remembered;

/// What every mapping of a pipeline stands on.
pub(super) struct Ground {
    pub(super) streams: StreamStore,
    /// The data directory, the time for a stop, and who the pipeline is.
    pub(super) server: ServerConfig,
}

impl Ground {
    fn check(&self, config: &ModuleConfig) -> anyhow::Result<()> {
        super::modules::check(config, &self.server, &self.streams)
            .with_context(|| format!("module {} cannot be set up", config.name))
    }

    fn mapping(&self, config: &ModuleConfig, resets: &Resets) -> anyhow::Result<Mapping> {
        super::modules::mapping(config, &self.server, &self.streams, resets)
            .with_context(|| format!("module {} cannot be set up", config.name))
    }
}

/// The mappings of a running pipeline.
pub(super) struct Mappings {
    ground: Arc<Ground>,
    remembered: Arc<Remembered>,
    directory: Directory,
    /// Keepers of modules that are configured no more; one of the same name waits for them.
    leaving: BTreeMap<ConsumerName, oneshot::Receiver<()>>,
    tasks: JoinSet<()>,
    draining: watch::Receiver<bool>,
}

/// Who keeps which mapping. Cheap to clone; looking does not wait for what is being done.
#[derive(Clone, Default)]
pub(super) struct Directory(Arc<Mutex<BTreeMap<ConsumerName, Kept>>>);

/// What is known of a mapping from outside of its keeper.
struct Kept {
    orders: mpsc::Sender<Sent>,
    view: Arc<Mutex<View>>,
    ended: oneshot::Receiver<()>,
}

impl Mappings {
    /// No mappings yet.
    pub(super) async fn new(
        ground: Ground,
        draining: watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let remembered = Arc::new(Remembered::open(&ground.server.data).await?);
        let (directory, leaving, tasks) = (Directory::default(), BTreeMap::new(), JoinSet::new());
        Ok(Self { ground: Arc::new(ground), remembered, directory, leaving, tasks, draining })
    }

    /// Who keeps which.
    pub(super) fn directory(&self) -> Directory {
        self.directory.clone()
    }

    /// Starts the mapping of a module.
    ///
    /// # Errors
    /// Its configuration cannot work.
    pub(super) async fn add(&mut self, config: ModuleConfig) -> anyhow::Result<()> {
        let name = config.name.clone();
        if let Some(ended) = self.leaving.remove(&name) {
            // Two deliveries of one name would store each other's position. Gone is gone, however it ended.
            let _ = ended.await;
        }
        let (orders, received) = mpsc::channel(1);
        let (ground, remembered) = (Arc::clone(&self.ground), Arc::clone(&self.remembered));
        let (mut keeper, view) = Keeper::new(config, ground, remembered, received).await;
        keeper.begin()?;
        let (ends, ended) = oneshot::channel();
        let draining = self.draining.clone();
        self.tasks.spawn(async move {
            keeper.run(draining).await;
            // Nobody waits for most of them.
            let _ = ends.send(());
        });
        self.directory.lock().insert(name, Kept { orders, view, ended });
        Ok(())
    }

    /// Makes the mappings those of `modules`: what is not named any more is stopped, what is new is started, what has
    /// changed is stopped and goes on where it was, and all others are left alone.
    ///
    /// What was done and what could not be done, a line each.
    pub(super) async fn become_those_of(
        &mut self,
        modules: &[ModuleConfig],
    ) -> (Vec<String>, Vec<String>) {
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for (name, Kept { orders, ended, .. }) in self.directory.take_all_but(modules) {
            // Its keeper drains and ends when nobody can give it orders.
            drop(orders);
            done.push(format!("{name} is stopped"));
            self.leaving.insert(name, ended);
        }
        for module in modules {
            let outcome = match self.directory.changed(module) {
                Change::None => continue,
                Change::New => match self.add(module.clone()).await {
                    Ok(()) => Ok(format!("{} is new", module.name)),
                    Err(error) => Err(format!("{error:#}")),
                },
                Change::Of(orders) => order(&orders, Order::Change(Box::new(module.clone()))).await,
            };
            match outcome {
                Ok(what) => done.push(what),
                Err(why) => failed.push(why),
            }
        }
        for line in &done {
            info!("{line}");
        }
        for line in &failed {
            error!("{line}");
        }
        (done, failed)
    }

    /// Waits until all have drained; they do so once `draining` is true.
    pub(super) async fn drained(&mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                error!(%error, "a mapping broke off");
            }
        }
    }

    /// Ends what runs still.
    pub(super) async fn shutdown(&mut self) {
        self.tasks.shutdown().await;
    }
}

/// What a configuration means for a module.
enum Change {
    None,
    New,
    Of(mpsc::Sender<Sent>),
}

impl Directory {
    /// How orders reach a module's keeper.
    ///
    /// # Errors
    /// There is none of that name.
    pub(super) fn reach(&self, module: &str) -> Result<mpsc::Sender<Sent>, String> {
        let kept = self.lock();
        kept.get(&ConsumerName::new(module)).map(|kept| kept.orders.clone()).ok_or_else(|| {
            let names: Vec<_> = kept.keys().map(ConsumerName::as_str).collect();
            format!("there is no module {module}; there are {}", names.join(", "))
        })
    }

    /// All of them, by name.
    pub(super) fn report(&self) -> BTreeMap<String, MappingReport> {
        self.lock().iter().map(|(name, kept)| (name.to_string(), report(&kept.view()))).collect()
    }

    fn changed(&self, module: &ModuleConfig) -> Change {
        match self.lock().get(&module.name) {
            None => Change::New,
            Some(kept) if kept.view().config == *module => Change::None,
            Some(kept) => Change::Of(kept.orders.clone()),
        }
    }

    fn take_all_but(&self, modules: &[ModuleConfig]) -> Vec<(ConsumerName, Kept)> {
        let stays = |name: &ConsumerName| modules.iter().any(|module| module.name == *name);
        self.lock().extract_if(.., |name, _| !stays(name)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ConsumerName, Kept>> {
        // Changed by single insertions and removals.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn view(&self) -> View {
        self.view.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Gives an order and waits until it is carried out.
pub(super) async fn order(orders: &mpsc::Sender<Sent>, order: Order) -> Outcome {
    let (done, answer) = oneshot::channel();
    let stopping = || "the pipeline is stopping".to_owned();
    orders.send(Sent { order, done }).await.map_err(|_| stopping())?;
    answer.await.unwrap_or_else(|_| Err(stopping()))
}

fn report(view: &View) -> MappingReport {
    let View { state, reason, config, board } = view;
    let shards = board.shards();
    MappingReport {
        state: *state,
        state_transition_reason: (*reason).to_owned(),
        kind: config.kind.name().to_owned(),
        source: config.source.to_string(),
        destination: config.kind.destination(),
        shards: shards.iter().map(|(id, status)| (id.to_string(), shard_report(status))).collect(),
    }
}

fn shard_report(status: &ShardStatus) -> ShardReport {
    let state = match status.state {
        ShardState::Starting => "starting",
        ShardState::AtTip => "at_tip",
        ShardState::Delivering => "delivering",
        ShardState::Retrying => "retrying",
        ShardState::Ended => "ended",
        ShardState::Stopped => "stopped",
    };
    ShardReport {
        state: state.to_owned(),
        checkpoint: status.checkpoint,
        millis_behind_latest: status.millis_behind_latest,
        iterator_age_millis: u64::try_from(status.iterator_age.as_millis()).unwrap_or(u64::MAX),
        retries: status.retries,
        last_error_at: status.last_error.as_ref().map(|error| error.at),
        last_error: status.last_error.as_ref().map(|error| error.reason.clone()),
    }
}
