//! `baikonur put`: lines into a stream.

use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use baikonur_stream::{Clock, StreamName, SystemClock};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::lines::{Line, Lines, or_standard_input};
use super::summary::{count, rate, table};
use crate::client::{CallError, Client, Endpoint};
use crate::put_records::{CALL_BYTES_MAX, CALL_RECORDS_MAX, Entry, explained};

/// Send lines to a stream, each as a record.
///
/// Files that are gzipped are decompressed. Records that the stream refuses for want of capacity are sent again. When
/// an answer is lost the records are sent again as well, and may be in the stream twice.
#[derive(Debug, clap::Args)]
pub(super) struct Put {
    /// The stream.
    stream: StreamName,
    /// Files; `-` is the standard input, which is also read when no file is named.
    files: Vec<PathBuf>,
    /// Partition key of all records, which keeps them in order in one shard. Without it each record gets a key of its
    /// own, and they spread over all shards.
    #[arg(long, value_name = "KEY")]
    partition_key: Option<String>,
    #[command(flatten)]
    server: Endpoint,
}

/// Bytes of a record with its key.
const RECORD_BYTES_MAX: usize = 1 << 20;
/// Calls at the same time, unless order is to be kept.
const CALLS_MAX: usize = 4;
/// How long a record is tried.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE_INITIAL: Duration = Duration::from_millis(50);
const PAUSE_MAXIMUM: Duration = Duration::from_secs(3);

/// What was read, before it was sent.
#[derive(Default)]
struct Skipped {
    empty: u64,
    too_long: u64,
}

#[derive(Default)]
struct Sent {
    records: u64,
    bytes: u64,
    repeated: u64,
}

impl Put {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let clock = SystemClock::new();
        let started = clock.monotonic();
        let client = self.server.client()?;
        let progress = progress(&self.files);
        let (calls, receiver) = mpsc::channel(2 * CALLS_MAX);
        let receiver = Arc::new(Mutex::new(receiver));
        let at_once = if self.partition_key.is_some() { 1 } else { CALLS_MAX };
        let reading = tokio::task::spawn_blocking({
            let (progress, key) = (progress.clone(), self.partition_key);
            let files = or_standard_input(self.files);
            move || read(&files, key, &progress, &calls)
        });
        let answered = Arc::new(AtomicBool::new(false));
        let mut senders = JoinSet::new();
        for _ in 0..at_once {
            let sender = Sender {
                client: client.clone(),
                answered: Arc::clone(&answered),
                stream: self.stream.clone(),
                progress: progress.clone(),
                clock,
            };
            senders.spawn(sender.run(Arc::clone(&receiver)));
        }
        // Only the senders hold it now: when they are gone, reading ends too.
        drop(receiver);
        let mut sent = Sent::default();
        let mut failure = None;
        while let Some(ended) = senders.join_next().await {
            match ended.context("a sender broke off")? {
                Ok(part) => {
                    sent.records += part.records;
                    sent.bytes += part.bytes;
                    sent.repeated += part.repeated;
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        progress.finish_and_clear();
        if let Some(error) = failure {
            return Err(error);
        }
        let skipped = reading.await.context("reading broke off")??;
        let time = clock.monotonic() - started;
        let mut rows = vec![
            ("stream", self.stream.to_string()),
            ("records", count(sent.records)),
            ("bytes", HumanBytes(sent.bytes).to_string()),
            ("seconds", format!("{:.1}", time.as_secs_f64())),
            ("records/s", rate(sent.records, time)),
        ];
        for (name, number) in [
            ("sent again", sent.repeated),
            ("empty lines passed over", skipped.empty),
            ("lines over 1 MiB passed over", skipped.too_long),
        ] {
            if number > 0 {
                rows.push((name, count(number)));
            }
        }
        eprint!("{}", table(&rows));
        Ok(if skipped.too_long == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn progress(files: &[PathBuf]) -> ProgressBar {
    let sizes: Option<u64> =
        files.iter().map(|file| std::fs::metadata(file).ok().map(|found| found.len())).sum();
    let template = "{bar:30} {percent:>3}% {msg} records, {bytes_per_sec}, {eta} left";
    let style = match sizes {
        Some(size) if !files.is_empty() && size > 0 => {
            let style = ProgressStyle::with_template(template).expect("a template of ours");
            return ProgressBar::new(size).with_style(style);
        }
        _ => "{spinner} {msg} records, {bytes_per_sec}",
    };
    let style = ProgressStyle::with_template(style).expect("a template of ours");
    ProgressBar::new_spinner().with_style(style)
}

/// Cuts the lines of all files into calls.
fn read(
    files: &[PathBuf],
    key: Option<String>,
    progress: &ProgressBar,
    calls: &mpsc::Sender<Vec<Entry>>,
) -> anyhow::Result<Skipped> {
    let mut skipped = Skipped::default();
    let (spread, mut number) = (RandomState::new(), 0u64);
    let (mut call, mut bytes) = (Vec::new(), 0);
    for file in files {
        let shown = file.display();
        let watch = |input: Box<dyn Read + Send>| -> Box<dyn Read + Send> {
            Box::new(progress.wrap_read(input))
        };
        let mut lines = Lines::open(file, RECORD_BYTES_MAX - 256, watch)
            .with_context(|| format!("cannot read {shown}"))?;
        while let Some(line) = lines.next().with_context(|| format!("cannot read {shown}"))? {
            number += 1;
            let data = match line {
                Line::Bytes(data) if data.is_empty() => {
                    skipped.empty += 1;
                    continue;
                }
                Line::Bytes(data) => data,
                Line::TooLong(length) => {
                    skipped.too_long += 1;
                    progress.suspend(|| {
                        eprintln!(
                            "{shown}: line {number} has {length} bytes, more than a record may have"
                        );
                    });
                    continue;
                }
            };
            let key = key.clone().unwrap_or_else(|| format!("{:016x}", spread.hash_one(number)));
            let entry = Entry { key, data };
            let size = entry.size();
            if call.len() == CALL_RECORDS_MAX || bytes + size > CALL_BYTES_MAX {
                bytes = 0;
                if calls.blocking_send(std::mem::take(&mut call)).is_err() {
                    return Ok(skipped);
                }
            }
            bytes += size;
            call.push(entry);
        }
    }
    if !call.is_empty() {
        // Nobody receiving means that a sender failed, and says why.
        let _ = calls.blocking_send(call);
    }
    Ok(skipped)
}

struct Sender {
    client: Client,
    /// Whether the server has answered any of the senders.
    answered: Arc<AtomicBool>,
    stream: StreamName,
    progress: ProgressBar,
    clock: SystemClock,
}

impl Sender {
    async fn run(self, calls: Arc<Mutex<mpsc::Receiver<Vec<Entry>>>>) -> anyhow::Result<Sent> {
        let mut sent = Sent::default();
        loop {
            let next = calls.lock().await.recv().await;
            let Some(call) = next else { return Ok(sent) };
            let (records, bytes) = (call.len() as u64, call.iter().map(|r| r.data.len() as u64));
            let bytes: u64 = bytes.sum();
            sent.repeated += self.put(call).await?;
            sent.records += records;
            sent.bytes += bytes;
            let total = self.progress.message().replace(',', "").parse::<u64>().unwrap_or(0);
            self.progress.set_message(count(total + records));
        }
    }

    /// Puts all of `records`; gives how many had to be sent more than once.
    async fn put(&self, mut records: Vec<Entry>) -> anyhow::Result<u64> {
        let (mut repeated, mut pause) = (0, PAUSE_INITIAL);
        let deadline = self.clock.monotonic() + PATIENCE;
        loop {
            let answer = self.client.put_records(&self.stream, &records).await;
            let failure = match answer {
                Ok(answers) => {
                    self.answered.store(true, Ordering::Relaxed);
                    let mut failure = None;
                    let mut left = Vec::new();
                    for (record, answer) in records.into_iter().zip(answers) {
                        if let Some(why) = answer {
                            failure.get_or_insert(why);
                            left.push(record);
                        }
                    }
                    let Some(failure) = failure else { return Ok(repeated) };
                    records = left;
                    anyhow::anyhow!(failure)
                }
                // A server that is not there at the beginning will not come; one that was there restarts.
                Err(error @ CallError::NotThere { .. })
                    if !self.answered.load(Ordering::Relaxed) =>
                {
                    return Err(error.into());
                }
                Err(error) if error.may_pass() => error.into(),
                Err(error) => return Err(explained(error, &self.stream)),
            };
            if self.clock.monotonic() > deadline {
                let seconds = PATIENCE.as_secs();
                return Err(failure.context(format!(
                    "{} records could not be put into {} within {seconds} s",
                    records.len(),
                    self.stream
                )));
            }
            repeated += records.len() as u64;
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(PAUSE_MAXIMUM);
        }
    }
}
