//! The keeper of one mapping: runs it, stops it, and starts it again in another way when asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use baikonur_mapping::Board;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::Ground;
use super::position;
use super::remembered::{Remembered, Said};
use crate::config::ModuleConfig;
use crate::control::{MappingState, Position};

/// What a keeper can be asked for.
#[derive(Debug)]
pub(in crate::pipeline) enum Order {
    /// Stop, and stay stopped.
    Pause,
    /// Go on.
    Resume,
    /// Go on from another position.
    Reset { shard: Option<String>, to: Position },
    /// Go on with another configuration of the same name.
    Change(Box<ModuleConfig>),
}

/// What became of an order, in words for an operator.
pub(in crate::pipeline) type Outcome = Result<String, String>;

/// An order on its way.
pub(in crate::pipeline) struct Sent {
    pub(super) order: Order,
    pub(super) done: oneshot::Sender<Outcome>,
}

/// A mapping as it is now.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) state: MappingState,
    pub(super) reason: &'static str,
    pub(super) config: ModuleConfig,
    /// What the present or the last run tells.
    pub(super) board: Board,
}

/// Reasons of states (`StateTransitionReason`); the first is Lambda's word.
const USER: &str = "User action";
const CONFIGURED: &str = "enabled = false in the configuration";
const BROKEN: &str = "The mapping broke off and starts again";
const CANNOT_START: &str = "The mapping cannot be started and is tried again; the log tells why";

/// A mapping that should run and does not is started again after this long.
const RESTART: Duration = Duration::from_secs(5);

/// Runs one mapping.
pub(super) struct Keeper {
    ground: Arc<Ground>,
    remembered: Arc<Remembered>,
    said: Said,
    view: Arc<Mutex<View>>,
    orders: mpsc::Receiver<Sent>,
    running: Option<Run>,
}

struct Run {
    drain: watch::Sender<bool>,
    /// Ends with this one.
    task: JoinSet<()>,
}

impl Keeper {
    /// A keeper that obeys `orders`, and what it shows.
    pub(super) async fn new(
        config: ModuleConfig,
        ground: Arc<Ground>,
        remembered: Arc<Remembered>,
        orders: mpsc::Receiver<Sent>,
    ) -> (Self, Arc<Mutex<View>>) {
        let said = remembered.of(&config.name).await;
        let state = MappingState::Disabled;
        let view = View { state, reason: USER, config, board: Board::default() };
        let view = Arc::new(Mutex::new(view));
        let keeper =
            Self { ground, remembered, said, view: Arc::clone(&view), orders, running: None };
        (keeper, view)
    }

    /// Runs the mapping, if it is to run, until all who could give orders are gone or `draining` turns true.
    ///
    /// # Errors
    /// The configuration cannot work; nothing was started.
    pub(super) fn begin(&mut self) -> anyhow::Result<()> {
        let config = self.view().config.clone();
        if self.said.paused {
            info!(module = %config.name, "the mapping is paused; `baikonur mappings resume` lets it go on");
        }
        self.start(config)
    }

    /// Obeys until the pipeline drains, or nobody can give orders any more.
    pub(super) async fn run(mut self, mut draining: watch::Receiver<bool>) {
        let pipeline_drains = loop {
            tokio::select! {
                () = wait_for_drain(&mut draining) => break true,
                sent = self.orders.recv() => match sent {
                    Some(Sent { order, done }) => {
                        let outcome = self.obey(order).await;
                        // Whoever asked may have gone; it is done all the same.
                        let _ = done.send(outcome);
                    }
                    None => break false,
                },
                () = broke_off(&mut self.running) => {
                    self.running = None;
                    self.show(MappingState::Disabled, BROKEN);
                    error!(module = %self.view().config.name, "the mapping broke off and starts again");
                }
                () = tokio::time::sleep(RESTART), if self.is_to_run() && self.running.is_none() => {
                    let config = self.view().config.clone();
                    let module = config.name.clone();
                    if let Err(error) = self.start(config) {
                        error!(%module, error = format!("{error:#}"), "the mapping cannot be started");
                    }
                }
            }
        };
        if !pipeline_drains {
            self.stop(MappingState::Disabling).await;
        } else if let Some(mut run) = self.running.take() {
            // The pipeline has a deadline of its own and ends this future at it.
            run.drain.send_replace(true);
            run.task.join_next().await;
        }
    }

    async fn obey(&mut self, order: Order) -> Outcome {
        let config = self.view().config.clone();
        let name = &config.name;
        match order {
            Order::Pause => {
                self.remember(|said| said.paused = true).await?;
                let drained = self.stop(MappingState::Disabling).await;
                self.show(MappingState::Disabled, USER);
                info!(module = %name, drained, "paused");
                Ok(match drained {
                    true => format!("{name} is paused; everything it held is written"),
                    false => format!(
                        "{name} is paused; what it held could not be written in time and comes again when it is resumed"
                    ),
                })
            }
            Order::Resume if !config.enabled => {
                Err(format!("{name} has enabled = false in the configuration: change it there"))
            }
            Order::Resume => {
                self.remember(|said| said.paused = false).await?;
                if self.running.is_none() {
                    self.start(config.clone()).map_err(|error| format!("{error:#}"))?;
                }
                info!(module = %name, "resumed");
                Ok(format!("{name} goes on"))
            }
            Order::Reset { .. } if self.ground.streams.leases.is_some() => Err(format!(
                "{name} shares its shards by leases, where other workers have positions too: stop all workers and \
                 change the checkpoints in the lease table, or begin anew with another table_name"
            )),
            Order::Reset { shard, to } => {
                let reader = self.ground.streams.reader();
                let moves = || position::moves(&*reader, &config.source, shard.as_deref(), &to);
                // First whether it can be; and again when nothing is delivered any more, for LATEST is where it stops.
                moves().await?;
                let was_running = self.running.is_some();
                self.stop(MappingState::Updating).await;
                let moved = match moves().await {
                    Ok(moves) => self.reset(&config, &moves).await.map(|()| moves.len()),
                    Err(why) => Err(why),
                };
                if was_running {
                    self.start(config.clone()).map_err(|error| format!("{error:#}"))?;
                } else {
                    self.show(MappingState::Disabled, USER);
                }
                let count = moved?;
                let plural = if count == 1 { "" } else { "s" };
                info!(module = %name, shards = count, ?to, "position reset");
                Ok(format!("{name} goes on from there with {count} shard{plural}"))
            }
            // Shards of all streams have the same names: its positions would be believed for the other stream.
            Order::Change(changed)
                if self.ground.streams.leases.is_some() && changed.source != config.source =>
            {
                Err(format!(
                    "nothing was changed: {name} has its positions of the stream {} in a lease table, which is of one \
                     stream: to read {}, add a module of another name, or restart all workers with another table_name",
                    config.source, changed.source
                ))
            }
            Order::Change(changed) => {
                // First what can fail: the running one stays when it does.
                let checked = self.ground.check(&changed);
                checked.map_err(|error| format!("nothing was changed: {error:#}"))?;
                self.stop(MappingState::Updating).await;
                self.view().config = (*changed).clone();
                self.start(*changed).map_err(|error| format!("{error:#}"))?;
                Ok(format!("{name} runs with its new configuration"))
            }
        }
    }

    async fn reset(
        &mut self,
        config: &ModuleConfig,
        moves: &[position::Move],
    ) -> Result<(), String> {
        let progress = Arc::clone(&self.ground.streams.progress);
        for (moved, next) in moves.iter().enumerate() {
            let shard = next.shard().clone();
            // Before the position: what a target remembers must not keep back what is asked for again.
            self.remember(|said| said.resets.count(&shard)).await?;
            if let Err(error) = next.store(&*progress, &config.name).await {
                return Err(format!(
                    "{shard} was not moved, and {moved} of {} shards before it were: {error}; say it again",
                    moves.len()
                ));
            }
        }
        Ok(())
    }

    async fn remember(&mut self, change: impl FnOnce(&mut Said)) -> Result<(), String> {
        let module = self.view().config.name.clone();
        let said = self.remembered.change(&module, change).await;
        self.said = said.map_err(|error| error.to_string())?;
        Ok(())
    }

    fn is_to_run(&self) -> bool {
        !self.said.paused && self.view().config.enabled
    }

    /// Starts the mapping unless it is paused or disabled.
    fn start(&mut self, config: ModuleConfig) -> anyhow::Result<()> {
        if !config.enabled || self.said.paused {
            let reason = if config.enabled { USER } else { CONFIGURED };
            self.show(MappingState::Disabled, reason);
            return Ok(());
        }
        let mapping = self.ground.mapping(&config, &self.said.resets);
        let mapping = mapping.inspect_err(|_| self.show(MappingState::Disabled, CANNOT_START))?;
        let (kind, source, to) = (config.kind.name(), &config.source, config.kind.destination());
        info!(module = %config.name, kind, %source, destination = to, "module starts");
        let (drain, draining) = watch::channel(false);
        self.show(MappingState::Enabled, USER);
        self.view().board = mapping.board.clone();
        let mut task = JoinSet::new();
        task.spawn(mapping.run(draining));
        self.running = Some(Run { drain, task });
        Ok(())
    }

    /// Stops the mapping; whether all that it held was written.
    async fn stop(&mut self, state: MappingState) -> bool {
        let Some(mut run) = self.running.take() else { return true };
        self.show(state, USER);
        let module = self.view().config.name.clone();
        run.drain.send_replace(true);
        let drained =
            tokio::time::timeout(self.ground.server.drain, run.task.join_next()).await.is_ok();
        if !drained {
            warn!(%module, "not everything that is held could be written in time; it comes again");
            run.task.shutdown().await;
        }
        drained
    }

    fn show(&self, state: MappingState, reason: &'static str) {
        let mut view = self.view();
        (view.state, view.reason) = (state, reason);
    }

    fn view(&self) -> MutexGuard<'_, View> {
        // Changed by assignments only.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn wait_for_drain(draining: &mut watch::Receiver<bool>) {
    // An error means that nobody can drain the pipeline any more: it is over.
    let _ = draining.wait_for(|draining| *draining).await;
}

/// Waits until a mapping that was not asked to ends.
async fn broke_off(running: &mut Option<Run>) {
    match running {
        Some(run) => _ = run.task.join_next().await,
        None => std::future::pending().await,
    }
}
