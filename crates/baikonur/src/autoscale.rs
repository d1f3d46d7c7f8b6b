//! From an autoscaling configuration to monitors: for embedded streams and for Amazon's, with topics of SNS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use baikonur_kinesis::{AmazonKinesis, CloudWatch, Connection, Flow, Topics};
use baikonur_scaling::autoscale::{
    CoolOffs, Measured, Metrics, MetricsError, Monitor, MonitorConfig, Notify, Operation,
    PercentRule, UsageMetrics, Volume, read,
};
use baikonur_stream::{Administer, Clock, StreamName, Timestamp};

/// Reads a configuration file.
///
/// # Errors
/// That it cannot be read, or its first mistake with its place.
pub(crate) fn load(file: &Path, rule: PercentRule) -> anyhow::Result<Vec<MonitorConfig>> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the autoscaling configuration {shown}"))?;
    read(&text, rule).map_err(|mistake| anyhow::anyhow!("{shown}: {mistake}"))
}

/// Where the streams of the monitors are, and what measures them.
pub(crate) enum Streams {
    /// Embedded ones, measured by their counters.
    Embedded {
        /// The streams.
        administer: Arc<dyn Administer>,
        /// Their counters.
        metrics: Arc<dyn Metrics>,
    },
    /// Those of Amazon Kinesis, each in the region that its monitor names, measured by CloudWatch.
    Amazon(Box<Connection>),
}

impl Streams {
    /// Embedded ones.
    pub(crate) fn embedded(administer: Arc<dyn Administer>, clock: &Arc<dyn Clock>) -> Self {
        let metrics = Arc::new(UsageMetrics::new(Arc::clone(&administer), Arc::clone(clock)));
        Self::Embedded { administer, metrics }
    }
}

/// The monitors of a configuration. Nothing is contacted yet.
pub(crate) async fn monitors(
    configs: Vec<MonitorConfig>,
    streams: &Streams,
    cool_offs: Arc<CoolOffs>,
    clock: &Arc<dyn Clock>,
) -> Vec<Monitor> {
    let mut monitors = Vec::new();
    for config in configs {
        let (administer, metrics): (Arc<dyn Administer>, Arc<dyn Metrics>) = match streams {
            Streams::Embedded { administer, metrics } => {
                (Arc::clone(administer), Arc::clone(metrics))
            }
            Streams::Amazon(connection) => {
                let connection = connection.in_region(&config.region);
                let client = CloudWatch::new(&connection);
                let metrics = CloudWatchMetrics { client, clock: Arc::clone(clock) };
                (Arc::new(AmazonKinesis::new(&connection)), Arc::new(metrics))
            }
        };
        let notify = notify(&config, streams).await;
        let (cool_offs, clock) = (Arc::clone(&cool_offs), Arc::clone(clock));
        monitors.push(Monitor { config, administer, metrics, notify, cool_offs, clock });
    }
    monitors
}

/// Topics, where a monitor names one: they are Amazon's, wherever the stream is.
async fn notify(config: &MonitorConfig, streams: &Streams) -> Option<Arc<dyn Notify>> {
    let scales = [&config.scale_up, &config.scale_down];
    let topic = scales.into_iter().flatten().find_map(|scale| scale.notification_arn.as_deref())?;
    let connection = match streams {
        Streams::Amazon(connection) => Connection::clone(connection),
        Streams::Embedded { .. } => Connection::to_amazon(Some(config.region.clone()), None).await,
    };
    // `arn:aws:sns:REGION:ACCOUNT:NAME`.
    let region = topic.split(':').nth(3).filter(|region| !region.is_empty());
    let connection = connection.in_region(region.unwrap_or(&config.region));
    Some(Arc::new(SnsTopics(Topics::new(&connection))))
}

struct SnsTopics(Topics);

#[async_trait]
impl Notify for SnsTopics {
    async fn notify(&self, topic: &str, subject: &str, message: &str) -> Result<(), String> {
        self.0.publish(topic, Some(subject), message).await
    }
}

struct CloudWatchMetrics {
    client: CloudWatch,
    clock: Arc<dyn Clock>,
}

const MINUTE: Duration = Duration::from_secs(60);

#[async_trait]
impl Metrics for CloudWatchMetrics {
    async fn measure(
        &self,
        stream: &StreamName,
        operation: Operation,
        minutes: u32,
    ) -> Result<Measured, MetricsError> {
        let flow = match operation {
            Operation::Put => Flow::In,
            Operation::Get => Flow::Out,
        };
        let settled = self.clock.now().minus(CloudWatch::LAG);
        let to = Timestamp::from_seconds(settled.seconds() / MINUTE.as_secs() * MINUTE.as_secs());
        let from = to.minus(MINUTE * minutes);
        let sums = self.client.sums(stream, flow, from, to).await.map_err(MetricsError)?;
        let volume =
            |sum: baikonur_kinesis::FlowSum| Volume { bytes: sum.bytes, records: sum.records };
        let minutes = sums.into_iter().map(|(minute, sum)| (minute, volume(sum))).collect();
        Ok(Measured { known: from..to, minutes })
    }
}
