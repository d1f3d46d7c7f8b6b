//! What the event source mapping costs: a mapping whose module does nothing reads a stream from its oldest record until
//! all that is to come has come. Beside it, what a forwarding module does without a mapping. One line of JSON goes to
//! stdout.

mod forward;
mod nothing;
mod place;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use baikonur_mapping::{Board, Mapping, MemoryBudget, Settings};
use baikonur_stream::{Clock, ConsumerName, StreamName, SystemClock};
use clap::{Parser, ValueEnum};
use nothing::{Count, Nothing};
use serde_json::json;
use tokio::sync::watch;

/// What went wrong, in words for whoever runs it.
type Failure = Box<dyn Error + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum From {
    /// A store of its own in `--folder`, filled first; no HTTP between.
    Embedded,
    /// `--endpoint`, by GetRecords.
    Polling,
    /// `--endpoint`, by SubscribeToShard.
    FanOut,
    /// No stream: prepared batches of `--lines` through `kinesis-forward` into a store of its own in `--folder`.
    Forward,
}

/// Delivers a stream to nobody, and prints what it took.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where the stream is.
    #[arg(value_enum)]
    from: From,
    /// `embedded`, `forward`: an empty folder.
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    /// `embedded`, `forward`: shards of the stream.
    #[arg(long, default_value_t = 4)]
    shards: u32,
    /// `embedded`, `forward`: how much is put, in 10^6 bytes of records.
    #[arg(long, default_value_t = 1000)]
    megabytes: u64,
    /// `embedded`: bytes of a record.
    #[arg(long, default_value_t = 480)]
    record_bytes: usize,
    /// URL of an endpoint that speaks the Kinesis API.
    #[arg(long, default_value = "http://127.0.0.1:4567")]
    endpoint: String,
    /// The stream there, with records in it.
    #[arg(long, default_value = "load")]
    stream: StreamName,
    /// How many records there are.
    #[arg(long, default_value_t = 0)]
    records: u64,
    /// `forward`: a file with records, one a line.
    #[arg(long)]
    lines: Option<PathBuf>,
    /// `BatchSize`.
    #[arg(long, default_value_t = 500)]
    batch_size: usize,
    /// `ParallelizationFactor`.
    #[arg(long, default_value_t = 1)]
    parallelization_factor: u32,
    /// Give up after so many seconds without a record.
    #[arg(long, default_value_t = 20)]
    patience: u64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    if arguments.from == From::Forward {
        let processor = processor_seconds()?;
        let alone = forward::run(&arguments, &clock).await?;
        let used = processor_seconds()? - processor;
        print(alone.records, alone.bytes, alone.batches, alone.time, used);
        return Ok(());
    }
    let place = place::open(&arguments, &clock).await?;
    let count = Arc::new(Count::default());
    let mapping = Mapping {
        consumer: ConsumerName::new("nobody"),
        source: place.stream,
        settings: Settings {
            batch_size: arguments.batch_size,
            parallelization_factor: arguments.parallelization_factor,
            ..Settings::default()
        },
        read: place.read,
        progress: place.progress,
        leases: None,
        module: Arc::new(Nothing { count: Arc::clone(&count) }),
        failed_store: Arc::new(nothing::Refusing),
        memory: MemoryBudget::new(MEMORY),
        clock: Arc::clone(&clock),
        board: Board::default(),
        seed: 1,
    };
    let (drain, draining) = watch::channel(false);
    let (started, processor) = (clock.monotonic(), processor_seconds()?);
    let running = tokio::spawn(mapping.run(draining));
    let (mut seen, mut news) = (0, started);
    while seen < place.records {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let now = clock.monotonic();
        if count.records() != seen {
            (seen, news) = (count.records(), now);
        } else if now - news > Duration::from_secs(arguments.patience) {
            return Err(format!("{seen} of {} records came, and no more", place.records).into());
        }
    }
    let (seconds, used) = (news - started, processor_seconds()? - processor);
    drain.send_replace(true);
    running.await?;
    print(seen, count.bytes(), count.batches(), seconds, used);
    Ok(())
}

fn print(records: u64, bytes: u64, batches: u64, time: Duration, processor_seconds: f64) {
    let (seconds, gigabytes) = (time.as_secs_f64(), bytes as f64 / 1e9);
    println!(
        "{}",
        json!({
            "records": records,
            "batches": batches,
            "seconds": seconds,
            "records_per_second": records as f64 / seconds,
            "payload_mb_per_second": gigabytes * 1000.0 / seconds,
            "processor_seconds_per_gb": processor_seconds / gigabytes,
        })
    );
}

/// What is in flight at once, at most: the default of `baikonur up` for a process.
const MEMORY: usize = 256 << 20;
/// Short against a run.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// User and system time of this process so far (`/proc/self/stat`, in hundredths of a second on every Linux).
fn processor_seconds() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit_once(')').ok_or("an unknown form of /proc/self/stat")?.1;
    let mut ticks = after.split_whitespace().skip(11).map(str::parse::<f64>);
    let mut next = || ticks.next().ok_or("an unknown form of /proc/self/stat");
    Ok((next()?? + next()??) / 100.0)
}
