//! How much the engine takes in and gives out, and how fast it opens: `cargo bench -p baikonur-engine`.
//!
//! `BENCH_DIR` names a directory on the disk to be measured (default: the build directory),
//! `BENCH_SECONDS` how long each line runs (default 3), `BENCH_RECOVERY_GB` the size of the store
//! that is opened (default 1).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use baikonur_engine::{Durability, Engine, EngineSettings};
use baikonur_stream::{
    Administer, CreateStream, PartitionKey, PutEntry, Read, ReadLimits, ShardAddress, ShardId,
    StartingPosition, StreamName, StreamProperties, SystemClock, Write,
};
use bytes::Bytes;

const RECORDS: usize = 100;
const RECORD_BYTES: usize = 480;
const SHARDS: u32 = 8;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn stream() -> StreamName {
    StreamName::new("bench").expect("a legal name")
}

fn open(directory: &Path, durability: Durability) -> Engine {
    let settings = EngineSettings { durability, ..EngineSettings::new(directory) };
    Engine::open(settings, Arc::new(SystemClock::new())).expect("an empty directory opens").0
}

async fn create(engine: &Engine) {
    let request = CreateStream {
        name: stream(),
        shard_count: SHARDS,
        properties: StreamProperties::default(),
    };
    engine.create_stream(request).await.expect("a new stream");
}

fn entries(from: u64) -> Vec<PutEntry> {
    let data = Bytes::from(vec![b'x'; RECORD_BYTES]);
    let entry = |n| PutEntry {
        partition_key: PartitionKey::new(Bytes::from(format!("key-{n}"))).expect("a legal key"),
        explicit_hash_key: None,
        data: data.clone(),
    };
    (from..from + RECORDS as u64).map(entry).collect()
}

/// Puts from `tasks` at once for `time`; gives records per second.
async fn put(engine: &Engine, tasks: u64, time: Duration) -> f64 {
    let (started, count) = (now(), Arc::new(AtomicU64::new(0)));
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let (engine, count) = (engine.clone(), Arc::clone(&count));
            tokio::spawn(async move {
                let entries = entries(task * 1_000_000);
                while started.elapsed() < time {
                    let placed = engine.put(&stream(), entries.clone(), None).await;
                    assert_eq!(placed.expect("a healthy disk").len(), RECORDS);
                    count.fetch_add(RECORDS as u64, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in running {
        task.await.expect("no task panics");
    }
    count.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

/// Reads every shard from its start to its tip; gives records and seconds.
async fn read(engine: &Engine) -> (u64, f64) {
    let (started, mut count) = (now(), 0);
    for index in 0..SHARDS {
        let shard = ShardAddress { stream: stream(), shard: ShardId::new(index) };
        let mut cursor = engine.seek(&shard, StartingPosition::TrimHorizon).await.expect("a shard");
        loop {
            let limits = ReadLimits { records: 10_000, bytes: 10 * 1024 * 1024 };
            let page = engine.read(&cursor, limits).await.expect("sound data");
            count += page.records.len() as u64;
            cursor = page.next.expect("the shard is open");
            if page.millis_behind_latest == 0 {
                break;
            }
        }
    }
    (count, started.elapsed().as_secs_f64())
}

/// The store's files as they are now, linked into another directory: no clean end.
fn copy_as_after_a_crash(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("log")).expect("a new directory");
    for name in ["FORMAT", "catalog.json"] {
        std::fs::copy(from.join(name), to.join(name)).expect("a store has it");
    }
    for entry in std::fs::read_dir(from.join("log")).expect("a store has it") {
        let path = entry.expect("a segment").path();
        let name = path.file_name().expect("a file");
        std::fs::hard_link(&path, to.join("log").join(name)).expect("the same disk");
    }
}

async fn time_opening(after: &str, directory: &Path) {
    let started = now();
    let engine = open(directory, Durability::OsBuffer);
    println!("open after {after}: {:.3} s", started.elapsed().as_secs_f64());
    engine.close().await;
}

fn base() -> PathBuf {
    std::env::var_os("BENCH_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench-engine"),
        PathBuf::from,
    )
}

#[tokio::main]
async fn main() {
    let time = Duration::from_secs(number("BENCH_SECONDS", 3));
    // All directories go at the end: where deleted blocks are discarded at once, a deletion slows the
    // syncs after it by a factor of ten.
    let base = base();
    // It need not exist.
    let _ = std::fs::remove_dir_all(&base);
    for durability in [Durability::Fsync, Durability::OsBuffer] {
        for tasks in [1, 4, 16] {
            let directory = base.join(format!("put-{durability:?}-{tasks}"));
            let engine = open(&directory, durability);
            create(&engine).await;
            let rate = put(&engine, tasks, time).await;
            let megabytes = rate * RECORD_BYTES as f64 / 1e6;
            println!(
                "put  {durability:?} {tasks:>2} tasks: {rate:>10.0} records/s, {megabytes:>5.0} MB/s"
            );
        }
    }
    let directory = base.join("recovery");
    let engine = open(&directory, Durability::OsBuffer);
    create(&engine).await;
    let wanted = number("BENCH_RECOVERY_GB", 1) * 1_000_000_000 / RECORD_BYTES as u64;
    let mut stored = 0;
    while stored < wanted {
        engine.put(&stream(), entries(stored), None).await.expect("a healthy disk");
        stored += RECORDS as u64;
    }
    let (count, seconds) = read(&engine).await;
    let rate = count as f64 / seconds;
    println!("read {count} records: {rate:.0} records/s, {:.0} MB/s", rate * 480.0 / 1e6);
    let crashed = base.join("crashed");
    copy_as_after_a_crash(&directory, &crashed);
    time_opening("a crash", &crashed).await;
    engine.close().await;
    drop(engine);
    time_opening("close", &directory).await;
    std::fs::remove_dir_all(&base).expect("what was made can be removed");
}
