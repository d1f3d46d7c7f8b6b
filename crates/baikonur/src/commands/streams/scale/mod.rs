//! `baikonur streams scale`: more, fewer or so many shards, and how they lie.

mod report;
mod step;
mod to;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use baikonur_scaling::{Bounds, Change, EndStatus, Operations, Progress, Report, Scaler, Target};
use baikonur_stream::{StreamName, SystemClock};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};

use super::drawing::{Drawing, draw};
use super::{Patience, Place};

/// Scale a stream, as amazon-kinesis-scaling-utils does.
///
/// UpdateShardCount is used as far as it goes, in steps of at most double or half; where the service refuses it, shards
/// are split and merged one by one until all are of equal width.
#[derive(Debug, clap::Args)]
pub(super) struct Scale {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// More shards.
    Up(step::Step),
    /// Fewer shards, at least one.
    Down(step::Step),
    To(to::To),
    Report(report::ReportOnly),
}

impl Scale {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Up(step) => step.run(Target::Up).await,
            Command::Down(step) => step.run(Target::Down).await,
            Command::To(to) => to.run().await,
            Command::Report(report) => report.run().await,
        }
    }
}

/// By how much.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct By {
    /// So many shards.
    #[arg(long, value_name = "COUNT")]
    count: Option<u32>,
    /// So many percent of the open shards.
    #[arg(long, value_name = "PERCENT")]
    percent: Option<f64>,
}

/// How percent are read.
#[derive(Debug, clap::Args)]
struct Rule {
    /// Take --percent as amazon-kinesis-scaling-utils takes pct: a fraction, 0.5 for half.
    #[arg(long, requires = "percent")]
    compat: bool,
}

impl By {
    fn change(&self, rule: &Rule) -> anyhow::Result<Change> {
        match (self.count, self.percent) {
            (Some(count), _) => Ok(Change::Count(count)),
            (None, Some(fraction)) if rule.compat => Ok(Change::LegacyFraction(fraction)),
            (None, Some(percent)) if percent.fract() == 0.0 && (1.0..=1e6).contains(&percent) => {
                Ok(Change::Percent(percent as u32))
            }
            (None, Some(percent)) => {
                anyhow::bail!("--percent {percent}: a whole number from 1 on, or add --compat")
            }
            (None, None) => anyhow::bail!("--count or --percent"),
        }
    }
}

/// What all scalings take.
#[derive(Debug, clap::Args)]
struct Options {
    /// The least shards.
    #[arg(long, value_name = "COUNT")]
    min: Option<u32>,
    /// The most shards.
    #[arg(long, value_name = "COUNT")]
    max: Option<u32>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    place: Place,
}

/// What is scaled.
enum What {
    Stream(Target),
    Shards(std::collections::BTreeSet<baikonur_stream::ShardId>, u32),
}

impl Options {
    /// Scales, shows how far it is, and prints the report.
    async fn scale(&self, stream: &StreamName, what: What) -> anyhow::Result<ExitCode> {
        let bounds = Bounds::new(self.min, self.max)?;
        if let What::Stream(target) = &what {
            target.check()?;
        }
        let administer = self.place.administer().await?;
        let clock = SystemClock::new();
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} shards {msg} {elapsed}");
        bar.set_style(style.expect("a template of ours"));
        let progress = |progress: Progress| {
            bar.set_length(progress.target.max(progress.open).into());
            bar.set_position(progress.open.into());
            bar.set_message(calls(progress.operations));
        };
        let scaler = Scaler {
            administer: &*administer,
            clock: &clock,
            patience: self.patience.limit(),
            wait: !self.patience.no_wait,
            progress: &progress,
        };
        let report = match what {
            What::Stream(target) => scaler.scale(stream, target, bounds).await,
            What::Shards(shards, into) => scaler.part(stream, &shards, into, bounds).await,
        };
        bar.finish_and_clear();
        let report = report.map_err(|error| self.place.explained(error))?;
        print_report(&report, self.json)?;
        Ok(match report.status {
            EndStatus::Error => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        })
    }
}

/// `1 update, 2 splits`.
fn calls(operations: Operations) -> String {
    let Operations { updates, splits, merges } = operations;
    let named = [(updates, "update"), (splits, "split"), (merges, "merge")];
    let words = named.into_iter().filter(|(count, _)| *count > 0).map(|(count, name)| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {name}{plural}")
    });
    words.collect::<Vec<_>>().join(", ")
}

/// One line: what was done, and how it ended.
fn summary(report: &Report) -> String {
    let (before, after) = (report.before, report.layout.count());
    let stream = &report.stream;
    match report.status {
        EndStatus::ReportOnly => format!("{stream}: {after} open shards"),
        EndStatus::NoActionRequired => format!("{stream}: {after} open shards, nothing to do"),
        EndStatus::AlreadyAtMinimum => format!("{stream}: {after} open shards, the minimum"),
        EndStatus::AlreadyAtMaximum => format!("{stream}: {after} open shards, the maximum"),
        EndStatus::Ok => {
            format!("{stream}: {before} → {after} shards ({})", calls(report.operations))
        }
        EndStatus::Error => format!("{stream}: {before} → {after} shards, broken off"),
    }
}

/// Prints a report: as JSON, or in words and as a drawing.
fn print_report(report: &Report, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(report)?)?;
    } else {
        writeln!(out, "{}", summary(report))?;
        write!(out, "{}", draw(&report.layout, Drawing::of_terminal()))?;
    }
    out.flush()?;
    if let Some(error) = &report.error {
        let hint = match std::io::stderr().is_terminal() && report.operations.total() > 0 {
            true => "; what was done until then stays, and the same command goes on from there",
            false => "",
        };
        eprintln!("error: {error}{hint}");
    }
    Ok(())
}
