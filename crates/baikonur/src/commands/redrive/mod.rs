//! `baikonur redrive`: what failed, by reason, and again into a stream or a module.
//!
//! The store is gone through twice: once to say what there is ([`tally`]), once to send it ([`send`]). Both ways look at
//! the same objects ([`walk`]) with the same eyes ([`choice`]). Neither holds more than a few objects and one call.

mod choice;
mod into_module;
mod replay;
mod send;
mod tally;
#[cfg(test)]
mod tests;
mod walk;

use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use baikonur_modules::failed_store::Claim;
use baikonur_modules::objects::{Location, ObjectSource, open_source};
use baikonur_stream::{Clock, StreamName, SystemClock};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::sync::watch;

use super::s3::S3;
use super::summary::{count, rate, table};
use crate::client::Endpoint;
use choice::{Choice, Prepared};
use into_module::IntoModule;
use replay::{CallLimits, Replay};
use send::{Sent, Target};
use tally::Tally;

/// Replay what failed: from a failed store, or from an on-failure destination of AWS Lambda on S3, into a stream or a
/// module.
///
/// Says what failed, by module, reason and log type, then puts the records that are chosen into the stream that they
/// were in, or into another one, with their partition keys and bytes; or hands them to a module of a configuration, past
/// all streams. What was replayed is marked in the store and not replayed again. Objects that are none of a failed store
/// are told and passed over.
///
/// Records that were rejected for what they are will be rejected again: look with --dry-run first, and choose. All
/// modules that read the stream get what is put into it; --into a stream that only the right one reads, or
/// --into-module, keeps the others from getting records twice. The exit status is 1 when a record that was chosen could not be replayed or an object of
/// the store could not be read.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Redrive {
    /// The failed store: s3://bucket/prefix, file:///folder or file://./folder.
    #[arg(value_name = "URL")]
    store: String,
    /// Replay into this stream instead of the one that each record was in.
    #[arg(long, value_name = "STREAM")]
    into: Option<StreamName>,
    /// Replay into this module of --config instead of a stream: what it gave up, unless --module says otherwise.
    #[arg(long, value_name = "MODULE", conflicts_with = "into", requires = "config")]
    into_module: Option<String>,
    /// The configuration that --into-module is in.
    #[arg(long, value_name = "CONFIG", requires = "into_module")]
    config: Option<PathBuf>,
    #[command(flatten)]
    choice: Choice,
    /// Say what would be replayed, and send nothing.
    #[arg(long)]
    dry_run: bool,
    /// Answer with one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    s3: S3,
    #[command(flatten)]
    server: Endpoint,
}

const EXAMPLES: &str = "\
Examples:
  baikonur redrive file://./baikonur-data/failed --dry-run
  baikonur redrive file://./baikonur-data/failed --module to-es --reason refused_by_elasticsearch
  baikonur redrive s3://logs/failed --module archive --since 2h --into repair
  baikonur redrive file://./baikonur-data/failed --into-module to-es --config baikonur.toml
  baikonur redrive s3://lambda-failures --into router";

/// Places that cannot be read, told one by one.
const TROUBLES_TOLD_MAX: u64 = 20;

impl Redrive {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let mut choice = self.choice.clone();
        choice.prefer_module(self.into_module.as_deref());
        let choice = Arc::new(choice.prepare(clock.now())?);
        let location = Location::parse("URL", &self.store)?;
        let source = open_source(&location, &self.s3.settings())?;
        let tally = self.scan(&source, &choice).await?;
        if !self.json {
            show(&tally)?;
        }
        let mut sent = Sent::default();
        let started = clock.monotonic();
        if !self.dry_run && tally.waiting() > 0 {
            if tally.modules() > 1 && !choice.names_modules() {
                // A record that cannot be decoded is kept by every module that reads its stream: all of these copies
                // would be replayed.
                bail!(
                    "these are failures of {} modules, which may have kept the same records: name one with \
                     --module, or several if what they kept are different records",
                    tally.modules()
                );
            }
            let (target, limits) = self.target(&clock)?;
            let claim = claim(&source, &clock).await?;
            let replay = Replay {
                source,
                choice,
                into: self.into.clone(),
                clock: Arc::clone(&clock),
                limits,
                progress: bar(tally.waiting()),
                stop: stop_on_interrupt(),
            };
            let (done, failure) = replay.run(&*target, claim).await;
            if let Some(failure) = failure {
                let records = count(done.records);
                return Err(failure.context(format!(
                    "{records} records were replayed; the same command goes on with the rest"
                )));
            }
            sent = done;
        }
        let left = tally.troubles.broken + tally.unfit() + sent.refused;
        if self.json {
            let answer = json!({
                "store": location.to_string(), "dryRun": self.dry_run, "failed": tally.in_json(),
                "foreignObjects": tally.troubles.foreign, "unreadable": tally.troubles.broken,
                "replayed": sent.records, "replayedBytes": sent.bytes, "mayBeTwice": sent.may_be_twice,
                "refused": sent.refused,
            });
            writeln!(std::io::stdout(), "{answer}")?;
        } else if !self.dry_run && tally.waiting() > 0 {
            let time = clock.monotonic() - started;
            let mut rows = vec![
                ("replayed", count(sent.records)),
                ("bytes", HumanBytes(sent.bytes).to_string()),
                ("seconds", format!("{:.1}", time.as_secs_f64())),
                ("records/s", rate(sent.records, time)),
            ];
            for (name, number) in [
                ("sent again", sent.repeated),
                ("may be there twice", sent.may_be_twice),
                ("refused", sent.refused),
            ] {
                if number > 0 {
                    rows.push((name, count(number)));
                }
            }
            eprint!("{}", table(&rows));
        }
        Ok(if left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// What is replayed into, and what a call to it may have.
    fn target(&self, clock: &Arc<dyn Clock>) -> anyhow::Result<(Box<dyn Target>, CallLimits)> {
        Ok(match (&self.into_module, &self.config) {
            (Some(module), Some(config)) => {
                let module = IntoModule::open(config, module, clock)?;
                (Box::new(module), IntoModule::limits())
            }
            _ => (Box::new(self.server.client()?), CallLimits::default()),
        })
    }

    /// Goes through the store and counts.
    async fn scan(
        &self,
        source: &Arc<dyn ObjectSource>,
        choice: &Arc<Prepared>,
    ) -> anyhow::Result<Tally> {
        let spinner = ProgressBar::new_spinner().with_style(style("{spinner} {msg}"));
        let mut tally = Tally::default();
        let mut visits = walk::walk(Arc::clone(source), Arc::clone(choice));
        while let Some(visit) = walk::next(&mut visits).await? {
            let told = &mut |what: &str| spinner.suspend(|| eprintln!("{what}"));
            tally.visit(visit, choice, self.into.as_ref(), told).await;
            spinner.set_message(format!("{} failed records found", count(tally.found())));
            spinner.tick();
        }
        spinner.finish_and_clear();
        Ok(tally)
    }
}

fn show(tally: &Tally) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    write!(out, "{}", tally.table())?;
    if tally.waiting() == 0 {
        writeln!(out, "nothing to replay")?;
    }
    out.flush()
}

/// Claims the store for this process.
async fn claim(source: &Arc<dyn ObjectSource>, clock: &Arc<dyn Clock>) -> anyhow::Result<Claim> {
    let lot = RandomState::new();
    let run = format!("{:016x}{:08x}", lot.hash_one(clock.now()), std::process::id());
    let mut claim = Claim::take(Arc::clone(source), Arc::clone(clock), &run).await?;
    let in_flight: u64 = claim.in_flight().iter().map(|object| object.places.count()).sum();
    if in_flight > 0 {
        eprintln!(
            "records in flight when the last redrive was killed: {}; they may have been replayed (--in-doubt)",
            count(in_flight)
        );
        send::note_doubts(&**source, &**clock, claim.in_flight()).await?;
    }
    claim.renew(Vec::new()).await?;
    Ok(claim)
}

/// Turns true at the first interrupt: the call under way is finished and marked.
fn stop_on_interrupt() -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            sender.send_replace(true);
        }
    });
    receiver
}

fn bar(records: u64) -> ProgressBar {
    let template =
        "{bar:30} {percent:>3}% {human_pos} of {human_len} records, {per_sec}, {eta} left";
    ProgressBar::new(records).with_style(style(template))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a template of ours")
}
