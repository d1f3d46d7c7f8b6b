//! The driver of one monitor: measure, decide, scale, tell.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baikonur_stream::{
    Administer, AdministerError, Clock, StreamDescription, StreamMode, StreamStatus,
};
use serde::Serialize;
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

use super::config::{MonitorConfig, ScaleConfig};
use super::cool_off::{CoolOffs, Key};
use super::decide::{Capacity, Judgement, Vote, decide, judge};
use super::metrics::{Metrics, MetricsError, Operation};
use crate::report::{EndStatus, Report};
use crate::scale::Scaler;
use crate::target::{Goal, Target};

/// How long a scaling may take.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Tells somebody that a stream was scaled.
#[async_trait]
pub trait Notify: Send + Sync + 'static {
    /// Sends a message to a topic; gives what went wrong.
    async fn notify(&self, topic: &str, subject: &str, message: &str) -> Result<(), String>;
}

/// A monitor of one stream.
pub struct Monitor {
    /// What it does when.
    pub config: MonitorConfig,
    /// Where the stream is.
    pub administer: Arc<dyn Administer>,
    /// What it measures with.
    pub metrics: Arc<dyn Metrics>,
    /// How it tells, where the configuration names a topic.
    pub notify: Option<Arc<dyn Notify>>,
    /// When it scaled last.
    pub cool_offs: Arc<CoolOffs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// What came of a look at a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// The load asks for nothing.
    Fits,
    /// The stream is being changed.
    Busy,
    /// The bounds forbid what the load asks for, or it would change nothing.
    Bounded(EndStatus),
    /// The direction still rests for so long.
    Rests(Duration),
    /// It was scaled, or that was tried.
    Scaled(Report),
}

/// Why a look failed.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The stream cannot be administered.
    #[error(transparent)]
    Administer(#[from] AdministerError),
    /// The stream cannot be measured.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

/// What a topic is told: the report, and why.
#[derive(Serialize)]
struct Message<'a> {
    #[serde(flatten)]
    report: &'a Report,
    judgements: Vec<OperationJudgement<'a>>,
}

#[derive(Serialize)]
struct OperationJudgement<'a> {
    operation: String,
    #[serde(flatten)]
    judgement: &'a Judgement,
}

impl Monitor {
    /// Runs until `draining` says so.
    pub async fn run(self, mut draining: watch::Receiver<bool>) {
        let stream = &self.config.stream;
        info!(%stream, interval = ?self.config.check_interval, "autoscaling starts");
        let mut ticks = tokio::time::interval(self.config.check_interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let watching = async {
            loop {
                ticks.tick().await;
                if let Err(error) = self.check().await {
                    warn!(%stream, %error, "autoscaling could not look at the stream");
                }
            }
        };
        tokio::select! {
            () = watching => {}
            _ = draining.wait_for(|draining| *draining) => {}
        }
    }

    /// One look.
    ///
    /// # Errors
    /// The stream cannot be described or measured.
    pub async fn check(&self) -> Result<Check, CheckError> {
        let MonitorConfig { stream, scale_up, scale_down, .. } = &self.config;
        let described = self.administer.describe_stream(stream).await?;
        if described.properties.mode == StreamMode::OnDemand {
            return Err(AdministerError::OnDemand(stream.clone()).into());
        }
        let open = u32::try_from(described.open_shards().count()).unwrap_or(u32::MAX);
        let judgements = self.judgements(&described, open).await?;
        if described.status != StreamStatus::Active {
            return Ok(Check::Busy);
        }
        let votes: Vec<_> = judgements.iter().map(|(_, judgement)| judgement.vote).collect();
        let vote = decide(&votes);
        let (scale, target) = match (vote, scale_up, scale_down) {
            (Vote::Up, Some(up), _) => (up, Target::Up(up.change())),
            (Vote::Down, _, Some(down)) => (down, Target::Down(down.change())),
            _ => {
                debug!(%stream, open, ?judgements, "autoscaling: the shards fit the load");
                return Ok(Check::Fits);
            }
        };
        if let Goal::Nothing(status) = target.goal(open, self.config.bounds) {
            debug!(%stream, open, %vote, ?status, "autoscaling: nothing to do");
            return Ok(Check::Bounded(status));
        }
        let key = Key { region: &self.config.region, stream };
        let now = self.clock.now();
        if let Some(rest) = self.cool_offs.rests(&key, vote, scale.cool_off, now).await {
            info!(%stream, open, %vote, ?rest, "autoscaling is put off: it was done not long ago");
            return Ok(Check::Rests(rest));
        }
        let scaler = Scaler {
            administer: &*self.administer,
            clock: &*self.clock,
            patience: PATIENCE,
            wait: true,
            progress: &|progress| debug!(%stream, ?progress, "autoscaling goes on"),
        };
        // Before it is done: whoever stops in the middle must not begin again at once.
        if let Err(error) = self.cool_offs.scaled(&key, vote, now).await {
            error!(%stream, %error, "a restart will forget this scaling");
        }
        let report = scaler.scale(stream, target, self.config.bounds).await?;
        self.tell(vote, scale, &report, &judgements).await;
        Ok(Check::Scaled(report))
    }

    /// Of each operation that is looked at. Measuring goes on while the stream changes, so that
    /// embedded metrics have no gap.
    async fn judgements(
        &self,
        described: &StreamDescription,
        open: u32,
    ) -> Result<Vec<(Operation, Judgement)>, MetricsError> {
        let MonitorConfig { stream, scale_up, scale_down, operations, .. } = &self.config;
        let (up, down) = (scale_up.as_ref(), scale_down.as_ref());
        let after = |scale: Option<&ScaleConfig>| scale.map_or(0, |scale| scale.after_minutes);
        let minutes = after(up).max(after(down));
        let mut judgements = Vec::new();
        for operation in operations {
            let measured = self.metrics.measure(stream, *operation, minutes).await?;
            let capacity = Capacity::of(*operation, open);
            judgements.push((*operation, judge(capacity, &measured, described.created, up, down)));
        }
        Ok(judgements)
    }

    async fn tell(
        &self,
        vote: Vote,
        scale: &ScaleConfig,
        report: &Report,
        judgements: &[(Operation, Judgement)],
    ) {
        let stream = &self.config.stream;
        let (before, after) = (report.before, report.layout.count());
        let operations = report.operations.total();
        match &report.error {
            None => {
                info!(%stream, %vote, before, after, operations, ?judgements, "autoscaling is done");
            }
            Some(error) => {
                error!(%stream, %vote, before, after, operations, error, "autoscaling broke off");
            }
        }
        let (Some(topic), Some(notify)) = (&scale.notification_arn, &self.notify) else { return };
        let judgements = judgements.iter().map(|(operation, judgement)| OperationJudgement {
            operation: operation.to_string(),
            judgement,
        });
        let message = Message { report, judgements: judgements.collect() };
        let subject = match vote {
            Vote::Down => "Kinesis Autoscaling - Scale Down",
            Vote::Up | Vote::None => "Kinesis Autoscaling - Scale Up",
        };
        let sent = match serde_json::to_string(&message) {
            Ok(message) => notify.notify(topic, subject, &message).await,
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = sent {
            error!(%stream, topic, error, "the notification could not be sent");
        }
    }
}

#[cfg(test)]
mod tests;
