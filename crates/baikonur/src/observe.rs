//! Logs and metrics: text on a terminal and JSON otherwise; Prometheus histograms with buckets of seconds.

use std::io::IsTerminal;

use anyhow::Context;
use clap::ValueEnum;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Upper bounds of histograms, in seconds: from a memory copy to a long wait for a destination.
const SECONDS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0, 120.0];

/// Sends log lines to the standard error.
///
/// # Errors
/// A filter that cannot be understood.
pub(crate) fn start_logging(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| {
        format!("log filter {filter:?}: write a level (error, warn, info, debug, trace), or target=level with commas between")
    })?;
    let on_terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let text = format == LogFormat::Text || (format == LogFormat::Auto && on_terminal);
    if text {
        builder.with_ansi(on_terminal).with_target(false).init();
    } else {
        builder.json().flatten_event(true).init();
    }
    Ok(())
}

/// Installs the recorder that `/metrics` shows.
pub(crate) fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .install_recorder()
        .context("metrics cannot be recorded")?;
    baikonur_mapping::describe_metrics();
    baikonur_kinesis::describe_metrics();
    baikonur_modules::failed_store::on_failure::describe_metrics();
    Ok(handle)
}
