//! The monitor that scales provisioned streams by thresholds, from the configuration file of
//! amazon-kinesis-scaling-utils.

mod config;
mod cool_off;
mod decide;
mod metrics;
mod monitor;
mod usage_metrics;

pub use config::{ConfigMistake, MonitorConfig, PercentRule, ScaleConfig, read};
pub use cool_off::{CoolOffError, CoolOffs};
pub use decide::{Capacity, Judgement, Metric, Vote, decide, judge};
pub use metrics::{Measured, Metrics, MetricsError, Operation, Volume};
pub use monitor::{Check, Monitor, Notify};
pub use usage_metrics::UsageMetrics;
