//! Load for any endpoint that speaks the Kinesis API (JSON 1.1 over plain HTTP/1.1).
//!
//! Requests are prepared before the clock starts and written as they are; of an answer only the
//! status line, the length and the words that decide are looked at. So the figures are the server's
//! even when both share two cores. One line of JSON goes to stdout. Every run ends by itself, whatever
//! the server does.

mod bounds;
mod caller;
mod chunked;
mod event_stream;
mod floor;
mod get;
mod http;
mod kernel;
mod latency;
mod mixed;
mod put;
mod requests;
mod subscribe;
mod summary;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde_json::Value;

use crate::http::Connection;

/// What went wrong, in words for whoever runs it.
type Failure = Box<dyn Error + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// PutRecords as fast as it goes.
    Put,
    /// GetRecords as fast as it goes, over all shards from the oldest record, again and again.
    Get,
    /// SubscribeToShard on every shard at once, from the oldest record to the newest.
    Subscribe,
    /// One record at a time: how long its put takes, and how long until a reader has it.
    Latency,
    /// PutRecords at a fixed rate beside readers of the newest and of the oldest records.
    Mixed,
    /// What decoding, checking, hashing and copying the same requests costs, without a server.
    Floor,
}

/// Puts load on a Kinesis endpoint and prints what it took.
#[derive(Debug, Clone, Parser)]
#[command(version)]
struct Arguments {
    /// What to do.
    #[arg(value_enum, default_value = "put")]
    mode: Mode,
    /// Host and port of the endpoint.
    #[arg(long, default_value = "127.0.0.1:4567")]
    endpoint: String,
    /// Stream to use; made if it does not exist.
    #[arg(long, default_value = "load")]
    stream: String,
    /// Shards of a stream that is made.
    #[arg(long, default_value_t = 4)]
    shards: u32,
    /// Connections at once, each with one request at a time.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// How long to go on, in seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// How much to put at most, in 10^6 bytes of records.
    #[arg(long, default_value_t = 100_000)]
    megabytes: u64,
    /// Records of a PutRecords call.
    #[arg(long, default_value_t = 100)]
    records: usize,
    /// Bytes of a record, when they are made up.
    #[arg(long, default_value_t = 480)]
    record_bytes: usize,
    /// A file whose lines are the records, instead of made-up ones.
    #[arg(long)]
    lines: Option<PathBuf>,
    /// `floor`: a folder on the disk to write to.
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    /// `Limit` of GetRecords calls.
    #[arg(long, default_value_t = 10_000)]
    limit: u32,
    /// `mixed`: PutRecords calls a second, whether the server keeps up or not.
    #[arg(long, default_value_t = 200.0)]
    calls_per_second: f64,
    /// `mixed`: GetRecords calls a second on each shard, of each of the two readers.
    #[arg(long, default_value_t = 5.0)]
    reads_per_second: f64,
}

impl Arguments {
    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    // A run ends by itself much earlier; what comes before it, and a server that hangs, must end as well.
    let patience = arguments.duration() + PREPARATION_MAX;
    let summary = tokio::time::timeout(patience, run(&arguments)).await;
    println!(
        "{}",
        summary.map_err(|_| "the server does not even answer what comes before the load")??
    );
    Ok(())
}

/// How long streams, iterators and connections may take, and the answers after the end of a run.
const PREPARATION_MAX: Duration = Duration::from_secs(30);

async fn run(arguments: &Arguments) -> Result<Value, Failure> {
    if arguments.mode == Mode::Floor {
        return floor::run(arguments);
    }
    ensure_stream(arguments).await?;
    match arguments.mode {
        Mode::Put => put::run(arguments).await,
        Mode::Get => get::run(arguments).await,
        Mode::Subscribe => subscribe::run(arguments).await,
        Mode::Latency => latency::run(arguments).await,
        Mode::Mixed | Mode::Floor => mixed::run(arguments).await,
    }
}

/// Pause between two looks at a stream that is being made.
const CREATION_PAUSE: Duration = Duration::from_millis(50);
/// How often to look.
const CREATION_LOOKS: u32 = 500;

async fn ensure_stream(arguments: &Arguments) -> Result<(), Failure> {
    let mut connection = Connection::open(&arguments.endpoint).await?;
    let stream = &arguments.stream;
    let body = serde_json::json!({ "StreamName": stream, "ShardCount": arguments.shards });
    let create = requests::request(&arguments.endpoint, "CreateStream", &body.to_string());
    let status = connection.call(&create).await?;
    if status != 200 && memchr::memmem::find(connection.body(), b"ResourceInUse").is_none() {
        return Err(connection.failure("CreateStream").into());
    }
    let body = serde_json::json!({ "StreamName": stream }).to_string();
    let describe = requests::request(&arguments.endpoint, "DescribeStreamSummary", &body);
    for _ in 0..CREATION_LOOKS {
        connection.call(&describe).await?;
        if memchr::memmem::find(connection.body(), b"\"ACTIVE\"").is_some() {
            return Ok(());
        }
        tokio::time::sleep(CREATION_PAUSE).await;
    }
    Err(format!("stream {stream} does not become active").into())
}
