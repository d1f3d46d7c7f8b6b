//! Load for any endpoint that speaks the Kinesis API (JSON 1.1 over plain HTTP).
//!
//! Requests are prepared before the clock starts and written as they are; of an answer only the
//! status line, the length and the words that decide are looked at. So the figures are the server's
//! even when both share two cores. One line of JSON goes to stdout.

mod get;
mod http;
mod latency;
mod put;
mod requests;
mod summary;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::http::Connection;

/// What went wrong, in words for whoever runs it.
type Failure = Box<dyn Error + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// PutRecords as fast as it goes.
    Put,
    /// GetRecords as fast as it goes, over all shards from the oldest record, again and again.
    Get,
    /// One record at a time: how long its put takes, and how long until a reader has it.
    Latency,
}

/// Puts load on a Kinesis endpoint and prints what it took.
#[derive(Debug, Clone, Parser)]
#[command(version)]
struct Arguments {
    /// Host and port of the endpoint.
    #[arg(long, default_value = "127.0.0.1:4567")]
    endpoint: String,
    /// What to do.
    #[arg(long, value_enum, default_value = "put")]
    mode: Mode,
    /// Stream to use; made if it does not exist.
    #[arg(long, default_value = "load")]
    stream: String,
    /// Shards of a stream that is made.
    #[arg(long, default_value_t = 4)]
    shards: u32,
    /// Connections at once, each with one request at a time.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// How long to go on.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Records of a PutRecords call.
    #[arg(long, default_value_t = 100)]
    records: usize,
    /// Bytes of a record, when they are made up.
    #[arg(long, default_value_t = 480)]
    record_bytes: usize,
    /// A file whose lines are the records, instead of made-up ones.
    #[arg(long)]
    lines: Option<PathBuf>,
}

impl Arguments {
    fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    ensure_stream(&arguments).await?;
    let summary = match arguments.mode {
        Mode::Put => put::run(&arguments).await?,
        Mode::Get => get::run(&arguments).await?,
        Mode::Latency => latency::run(&arguments).await?,
    };
    println!("{summary}");
    Ok(())
}

/// Pause between two looks at a stream that is being made.
const CREATION_PAUSE: Duration = Duration::from_millis(100);
/// How often to look.
const CREATION_LOOKS: u32 = 300;

async fn ensure_stream(arguments: &Arguments) -> Result<(), Failure> {
    let mut connection = Connection::open(&arguments.endpoint).await?;
    let stream = &arguments.stream;
    let body = serde_json::json!({ "StreamName": stream, "ShardCount": arguments.shards });
    let create = requests::request(&arguments.endpoint, "CreateStream", &body.to_string());
    let answer = connection.call(&create).await?;
    if answer.status != 200 && memchr::memmem::find(answer.body, b"ResourceInUse").is_none() {
        return Err(answer.failure("CreateStream").into());
    }
    let body = serde_json::json!({ "StreamName": stream }).to_string();
    let describe = requests::request(&arguments.endpoint, "DescribeStreamSummary", &body);
    for _ in 0..CREATION_LOOKS {
        let answer = connection.call(&describe).await?;
        if memchr::memmem::find(answer.body, b"\"ACTIVE\"").is_some() {
            return Ok(());
        }
        tokio::time::sleep(CREATION_PAUSE).await;
    }
    Err(format!("stream {stream} does not become active").into())
}
